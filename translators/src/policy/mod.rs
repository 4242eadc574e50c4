//! Who may exchange with whom, and proof of it.
//!
//! Two layers. *Federation policy* says which domains and users may federate at all; a denial there
//! stands above everything. Below it decisions stand on four levels: pair, user, domain pair,
//! system. The first level that has a decision decides. Where several decisions of one level meet,
//! the strictest counts: block, then polite block, then confirm, then allow; what somebody decided
//! against is not laid before the operator again as if it were open.
//!
//! A verdict is an axis beside the authorization that a user granted, not a state of it: a block
//! leaves the authorization as it is, and is undone by another verdict.

mod acl;
mod decide;
mod explain;
mod federation;
mod proof;
mod shelves;
mod verdict;

#[cfg(test)]
mod tests;

pub use acl::{Acl, Affected, Subject};
pub use decide::{Defaults, Policy};
pub use explain::{Explanation, Said};
pub use federation::{Federation, Rule, Ruling, Scope};
pub use proof::{Admitted, Denied, Disclosure};
pub use verdict::{Decision, Level, Verdict};
