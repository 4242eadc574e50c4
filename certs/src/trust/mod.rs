//! One peer's verification policy.

#[cfg(test)]
mod damage;
mod path;
mod policy;
mod revocation;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod weak;

pub use policy::{Eku, Source, Trust};
