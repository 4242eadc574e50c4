//! A running daemon takes a new configuration whole, or not at all, and drops no link for it.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "each file uses its part")]
mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use common::{Daemon, Lab, XMPP_DOMAIN, in_time};
use gateway::link::Door;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start() -> (Lab, Daemon) {
    let lab = Lab::new().await;
    let daemon = lab.start().await.unwrap();
    (lab, daemon)
}

/// The certificate that a new connection is shown.
async fn shown(lab: &Lab, daemon: &Daemon) -> CertificateDer<'static> {
    lab.connect(daemon).await.shown()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_at_once_and_a_bad_one_never() {
    let (lab, daemon) = start().await;
    let first = shown(&lab, &daemon).await;

    lab.issue("sip", XMPP_DOMAIN);
    assert_eq!(shown(&lab, &daemon).await, first, "it takes a reload");
    assert!(daemon.reload().await.applied);
    let second = shown(&lab, &daemon).await;
    assert_ne!(second, first);

    let key = fs::read_to_string(lab.folder.path().join("xmpp.key")).unwrap();
    for (name, content, id) in [
        ("sip.key", key.as_str(), "own-cert-key-mismatch"),
        ("sip.pem", "nothing", "own-cert-unreadable"),
    ] {
        lab.write(name, content);
        let outcome = daemon.reload().await;
        assert!(!outcome.applied);
        assert!(
            outcome.findings.iter().any(|finding| finding.id == id),
            "{outcome:?}"
        );
        assert_eq!(shown(&lab, &daemon).await, second);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_may_read_is_refused_whole() {
    let (lab, daemon) = start().await;
    let first = shown(&lab, &daemon).await;

    lab.issue("sip", XMPP_DOMAIN);
    let key = lab.folder.path().join("sip.key");
    fs::set_permissions(key, Permissions::from_mode(0o644)).unwrap();
    let outcome = daemon.reload().await;

    assert!(!outcome.applied);
    assert_eq!(outcome.findings.first().unwrap().id, "config-key-exposed");
    assert_eq!(shown(&lab, &daemon).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_under_way_survives_reloads() {
    let (lab, daemon) = start().await;
    let mut link = TcpStream::connect(daemon.address(Door::XmppStartTls))
        .await
        .unwrap();

    lab.issue("sip", XMPP_DOMAIN);
    assert!(daemon.reload().await.applied);
    lab.write("isthmus.toml", "nonsense");
    assert!(!daemon.reload().await.applied);

    let header = "<stream:stream xmlns='jabber:server' \
                  xmlns:stream='http://etherx.jabber.org/streams' version='1.0' \
                  from='xmpp.example' to='sip.example'>";
    link.write_all(header.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.contains("starttls") {
        let mut part = [0; 1024];
        let read = in_time(link.read(&mut part)).await.unwrap();
        assert_ne!(read, 0, "the link was closed: {answer}");
        answer.push_str(std::str::from_utf8(part.get(..read).unwrap()).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_said() {
    let (lab, daemon) = start().await;

    let text = fs::read_to_string(lab.folder.path().join("isthmus.toml")).unwrap();
    lab.write("isthmus.toml", &text.replace("shards = 4", "shards = 3"));
    let outcome = daemon.reload().await;

    assert!(outcome.applied);
    let ids: Vec<_> = outcome.findings.iter().map(|finding| finding.id).collect();
    assert_eq!(ids, ["config-takes-a-restart"]);
}
