//! `migrate admin-watcher`: from one administrative watcher to watchers who are themselves.
//!
//! The list says who watched whom through the old address. For each the tool asks the daemon how
//! the two stand, lets XMPP users watch as themselves a few at a time, and waits for the first
//! notifications. Towards an XMPP user the old address is given up when everything that the list
//! says of him works; the file of progress remembers that, so that a run can be stopped and begun
//! again.

mod list;
mod plan;
mod progress;
mod report;
mod run;

pub(super) use run::{Fault, admin_watcher};
