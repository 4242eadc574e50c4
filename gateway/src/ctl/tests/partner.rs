//! What an operator is told of a Microsoft peer.

use bytes::Bytes;
use serde_json::Value;
use translators::model::{Now, PeerId};
use translators::sip::Message;

use super::ask;
use crate::admin::testing::Daemon;
use crate::config::testing::WORKING;
use crate::ctl::Exit;
use crate::peers::Told;

/// A daemon whose SIP peer is an edge.
fn daemon() -> Daemon {
    let microsoft = "profile = \"microsoft\"";
    Daemon::start_with(&WORKING.replace("page_limit = 8000", microsoft))
}

/// The edge refuses something.
fn refuses(daemon: &Daemon, status: &str, headers: &str) {
    let text =
        format!("SIP/2.0 {status}\r\nCSeq: 7 SUBSCRIBE\r\n{headers}Content-Length: 0\r\n\r\n");
    let Ok(Message::Response(response)) = Message::parse(Bytes::from(text)) else {
        panic!("a response");
    };
    let told = Told::of(&response, Now::default()).unwrap();
    daemon.peers.told(&PeerId::new("kamailio"), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_504_is_explained_with_every_cause() {
    let daemon = daemon();
    refuses(&daemon, "504 Server time-out", "");

    let why = ask(&daemon, &["peer", "why", "two.example.net"]).await;

    assert_eq!(why.exit, Exit::Problem, "there is no record");
    for part in [
        "SUBSCRIBE  504     none  The other side gave up and sent no reason",
        "Why an edge may refuse us",
        "WRONG   record             one.example.net: There is no record _sipfederationtls._tcp.one.example.net",
        "What to do: Add _sipfederationtls._tcp.one.example.net SRV 0 0 5061 one.example.net",
        "ok      certificate-name   one.example.net: sip.pem names one.example.net.",
        "WRONG   certificate-crl    sip.pem:",
        "unknown certificate-issuer sip.pem: Whether the other side trusts its issuer, CN=test CA.",
        "unknown clock",
        "ok      one-side           one.example.net",
        "unknown allowed            the other side:",
    ] {
        assert!(why.out.contains(part), "{part}\n{}", why.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_edge_says_is_shown_and_explained() {
    let daemon = daemon();
    let said = "ms-diagnostics: 1010;reason=\"Certificate trust\";tls-target=\"gw.one.example.net\";\
                PeerServer=\"x\";HRESULT=\"0x80090322\";source=\"sip.two.example.net\"\r\n";
    refuses(&daemon, "504 Server time-out", said);
    refuses(&daemon, "504 Server time-out", said);
    refuses(&daemon, "480 Away", "ms-diagnostics: 77777\r\n");

    let status = ask(&daemon, &["peer", "status", "kamailio"]).await;

    assert_eq!(status.exit, Exit::Fine);
    for part in [
        "kamailio  sip   idle",
        "Profile microsoft; at most 15 messages a second go to it",
        "2      SUBSCRIBE  504     1010   The certificate of a server is not believed",
        "1      SUBSCRIBE  480     77777  Nothing more is known of this number",
        "It said: 1010;reason=\"Certificate trust\";source=\"sip.two.example.net\";tls-target=\"gw.one.example.net\"",
        "What to do: tls-target is the name that was expected",
    ] {
        assert!(status.out.contains(part), "{part}\n{}", status.out);
    }
    assert!(!status.out.contains("Why an edge may refuse us"));
    let json = ask(&daemon, &["peer", "status", "kamailio", "--json"]).await;
    let value: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["profile"], "microsoft");
    assert_eq!(value["refusals"][1]["reasons"][0]["id"], 1010);
    assert_eq!(value["refusals"][1]["count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generic_peer_is_not_measured_by_what_edges_demand() {
    let daemon = Daemon::start();

    let why = ask(&daemon, &["peer", "why", "kamailio"]).await;

    assert_eq!(why.exit, Exit::Fine);
    assert!(!why.out.contains("edge"), "{}", why.out);
}
