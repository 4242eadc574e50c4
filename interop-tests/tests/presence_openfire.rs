//! Presence between a real Openfire and a SIP peer, with real clients.

use interop_tests::xmpp_server::Kind;

interop_tests::presence_suite!(Kind::Openfire, 100);
