use std::sync::Arc;

use arc_swap::ArcSwap;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use translators::model::{Domain, PeerId};

use super::{Tls, Wish, sip_certificates};
use crate::clock::Clock;
use crate::config::testing::{self, NOW, WORKING};
use crate::config::{Config, Peer};

#[tokio::test]
async fn a_server_that_does_not_prove_the_domain_is_refused_for_good() {
    let (_folder, config) = configured(WORKING);
    let tls = Tls::new(
        Arc::new(ArcSwap::from_pointee(config.clone())),
        Clock::start(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap());
    let (here, there) = tokio::join!(listener.accept(), there);
    // The certificate that is shown names our own domain, and its time is not now.
    let (local, remote) = (domain("two.example.net"), domain("one.example.net"));
    let wish = Wish {
        local: &local,
        remote: &remote,
        only_12: false,
        alpn: true,
    };
    let prosody = peer(&config, "prosody");

    let dialling = tls.connect(there.unwrap(), &prosody, &wish);
    let (_, refused) = tokio::join!(tls.accept_direct(here.unwrap().0), dialling);

    let failure = refused.unwrap_err();
    assert!(failure.lasting, "{failure:?}");
    assert!(failure.id.starts_with("cert-"), "{failure:?}");
}

#[test]
fn tls_12_is_fallen_back_to_once_and_only_where_that_is_left_open() {
    let fixed = WORKING.replace(
        "settle = \"250ms\"",
        "settle = \"250ms\"\ntls = { versions = \"1.3\" }",
    );
    for (text, falls_back) in [(WORKING, true), (&fixed, false)] {
        let (_folder, config) = configured(text);
        let prosody = peer(&config, "prosody");
        let tls = Tls::new(Arc::new(ArcSwap::from_pointee(config)), Clock::start());

        assert_eq!(tls.fall_back_to_12(&prosody), falls_back);
        assert!(!tls.fall_back_to_12(&prosody), "not again");
    }
}

#[test]
fn domains_of_one_certificate_share_a_connection() {
    let two = WORKING.replace(
        "domains = [\"one.example.net\"]",
        "domains = [\"one.example.net\", \"three.example.net\"]",
    );
    let (_folder, config) = configured(&two);

    let same = sip_certificates(&config);

    let first = domain("conference.one.example.net");
    for name in [
        "one.example.net",
        "conference.one.example.net",
        "three.example.net",
    ] {
        assert_eq!(same.get(&domain(name)), Some(&first), "{name}");
    }
}

fn configured(text: &str) -> (TempDir, Config) {
    let folder = testing::folder();
    let file = folder.path().join("isthmus.toml");
    let (config, findings) = crate::config::load_text(&file, text, NOW);
    (folder, config.unwrap_or_else(|| panic!("{findings:?}")))
}

fn peer(config: &Config, name: &str) -> Arc<Peer> {
    Arc::clone(config.peers.get(&PeerId::new(name)).unwrap())
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}
