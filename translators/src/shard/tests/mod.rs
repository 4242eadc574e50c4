//! Every rule about when a message counts as delivered, on virtual time.

mod denied;
mod elsewhere;
mod lab;
mod model;
mod restart;
mod signals;
mod store;
mod to_sip;
mod to_xmpp;
