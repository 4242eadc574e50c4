//! Black-box tests of the binaries against real peers.
//!
//! Everything here is test equipment with parsers of its own; it shares no code with what it
//! tests. A [`lab::Lab`] is one isolated set of loopback addresses, certificates and names; real
//! servers ([`xmpp_server`], [`kamailio`]), scripted peers ([`xmpp_peer`], [`sip_agent`]) and a
//! simulator of Microsoft's ([`lync_sim`]) live in it, and [`gateway`] starts the binaries under test. Tests need root, or the root of a
//! user namespace, because servers are given a name server of their own by a mount namespace.

pub mod authority;
pub mod bridge;
pub mod demo;
pub mod dns;
pub mod ejabberd;
pub mod fault_proxy;
pub mod gateway;
pub mod history;
pub mod http;
pub mod inbox;
pub mod kamailio;
pub mod lab;
pub mod load;
pub mod lookup;
pub mod lync_scenes;
pub mod lync_sim;
pub mod openfire;
pub mod pidf;
pub mod presence;
pub mod presence_load;
pub mod process;
mod prosody;
pub mod s2s;
pub mod session_load;
pub mod siege;
pub mod sip;
pub mod sip_agent;
mod sip_wire;
pub mod soak;
pub mod suite;
pub mod tls;
pub mod windows;
pub mod xml;
pub mod xmpp_clients;
pub mod xmpp_peer;
pub mod xmpp_server;
pub mod xmpp_user;
