//! Presence between a real ejabberd and a SIP peer, with real clients.

use interop_tests::xmpp_server::Kind;

interop_tests::presence_suite!(Kind::Ejabberd, 100);
