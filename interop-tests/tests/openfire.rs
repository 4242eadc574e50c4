//! Openfire and the gateway, from socket to socket.
#![allow(clippy::unwrap_used)]

use interop_tests::xmpp_server::Kind;

interop_tests::server_suite!(Kind::Openfire);
