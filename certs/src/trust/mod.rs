//! One peer's verification policy.

#[cfg(test)]
mod damage;
mod path;
mod policy;
mod revocation;
#[cfg(test)]
mod tests;

pub use policy::{Eku, Source, Trust};
