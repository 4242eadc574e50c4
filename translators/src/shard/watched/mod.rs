//! SIP users who watch XMPP users: subscriptions and presence become events of
//! [`Notifier`](crate::presence::Notifier), and its actions become effects.
//!
//! `wish` and `subscribe` read SUBSCRIBE requests, `presentity` what comes from the XMPP side; `step` puts an
//! event through the machine and keeps the record, `letters` writes NOTIFYs, `piggyback` the answers
//! that stand for one, and `outcomes` hears what became of them; `rounds` is for what concerns many relations at once: a start, a peer that comes
//! or goes, a change of policy; `orders` is for the operator.

mod admissions;
mod letters;
mod orders;
mod outcomes;
mod piggyback;
mod presentity;
mod refusals;
mod rounds;
mod step;
mod subscribe;
mod wish;

pub(super) use admissions::Admissions;
pub(super) use piggyback::Carried;
