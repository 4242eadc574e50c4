//! Every rule about when a message counts as delivered, and every story of presence, on virtual
//! time.

mod denied;
mod diagnosed;
mod elsewhere;
mod lab;
mod migration;
mod model;
mod mutual;
mod presence_lab;
mod restart;
mod signals;
mod store;
mod to_sip;
mod to_xmpp;
mod verdicts;
mod watched;
mod watched_lab;
mod watched_microsoft;
mod watched_peers;
mod watched_policy;
mod watched_store;
mod watching;
mod watching_trouble;
