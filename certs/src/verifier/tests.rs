//! Whole handshakes in memory: what both ends accept, and what each learns when one refuses.

use std::sync::Arc;

use rustls::client::ClientConnection;
use rustls::server::{ResolvesServerCert, ServerConnection};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, ClientConfig, Error, HandshakeKind, ProtocolVersion, ServerConfig};
use rustls_pki_types::{ServerName, UnixTime};

use super::{Inbound, Outbound, Tls, TlsVersions, always};
use crate::authority::Authority;
use crate::credentials::{Credentials, Source, Store};
use crate::explain::explain;
use crate::identity::Side;
use crate::inspect::Facts;
use crate::reason::{Reason, Role};
use crate::request::Issued;
use crate::testing::{ca, domains, in_days, now, request, trusting};

/// Stands still at the time of the tests.
#[derive(Debug)]
struct Still;

impl TimeProvider for Still {
    fn current_time(&self) -> Option<UnixTime> {
        Some(now())
    }
}

/// Our end serves `us.example`, the peer's serves `peer.example`; one CA stands above both.
struct Scene {
    ca: Authority,
    ours: Arc<CertifiedKey>,
    theirs: Arc<CertifiedKey>,
}

impl Scene {
    fn new() -> Self {
        let ca = ca("Scene CA");
        Self {
            ours: certified(&ca.issue(&request(&["us.example"])).unwrap()),
            theirs: certified(&ca.issue(&request(&["peer.example"])).unwrap()),
            ca,
        }
    }

    /// Demands that a client is `domain`, like a SIP listener.
    fn inbound(&self, domain: &str) -> Arc<Inbound> {
        let trust = trusting(&self.ca);
        let domains = domains(&[domain]);
        Arc::new(Inbound::required(Box::new(move |chain, now| {
            let verdict = trust.judge(chain, Role::Client, Side::Sip, &domains, now);
            verdict.into_result().map(|_| ())
        })))
    }

    /// Demands that a server is `domain`.
    fn outbound(&self, domain: &str) -> Arc<Outbound> {
        Arc::new(Outbound::new(
            Arc::new(trusting(&self.ca)),
            Side::Xmpp,
            domain,
        ))
    }

    /// Peer dials us; each demands the other's right name.
    fn good(&self, tls: &Tls) -> Ends {
        let server = tls
            .server_config(self.inbound("peer.example"), always(Arc::clone(&self.ours)))
            .unwrap();
        let client = tls
            .client_config(
                self.outbound("us.example"),
                always(Arc::clone(&self.theirs)),
            )
            .unwrap();
        Ends::new(client, server, "us.example")
    }
}

/// Both ends of one connection.
struct Ends {
    client: ClientConnection,
    server: ServerConnection,
}

impl Ends {
    fn new(client: ClientConfig, server: ServerConfig, sni: &str) -> Self {
        let sni = ServerName::try_from(sni.to_owned()).unwrap();
        Self {
            client: ClientConnection::new(Arc::new(client), sni).unwrap(),
            server: ServerConnection::new(Arc::new(server)).unwrap(),
        }
    }

    /// Carries bytes to and fro until nothing moves; gives the error of each end.
    fn run(&mut self) -> (Option<Error>, Option<Error>) {
        let (mut client, mut server) = (None, None);
        loop {
            let mut wire = Vec::new();
            self.client.write_tls(&mut wire).unwrap();
            let moved = wire.len();
            while !wire.is_empty() && server.is_none() {
                let taken = self.server.read_tls(&mut wire.as_slice()).unwrap();
                wire.drain(..taken);
                server = self.server.process_new_packets().err();
            }
            let mut wire = Vec::new();
            self.server.write_tls(&mut wire).unwrap();
            if moved + wire.len() == 0 {
                return (client, server);
            }
            while !wire.is_empty() && client.is_none() {
                let taken = self.client.read_tls(&mut wire.as_slice()).unwrap();
                wire.drain(..taken);
                client = self.client.process_new_packets().err();
            }
        }
    }
}

fn certified(issued: &Issued) -> Arc<CertifiedKey> {
    Arc::clone(credentials(&[issued]).all_for(None)[0].certified())
}

fn credentials(issued: &[&Issued]) -> Credentials {
    let sources: Vec<Source<'_>> = issued
        .iter()
        .map(|issued| Source {
            subject: "test",
            chain: issued.chain_pem.as_bytes(),
            key: issued.key_pem.as_bytes(),
        })
        .collect();
    Credentials::load(&sources, now()).0.unwrap()
}

fn tls() -> Tls {
    Tls::new(Arc::new(Still))
}

#[test]
fn both_ends_prove_themselves_in_every_version() {
    let scene = Scene::new();
    let versions = [
        (TlsVersions::Both, ProtocolVersion::TLSv1_3),
        (TlsVersions::Only12, ProtocolVersion::TLSv1_2),
        (TlsVersions::Only13, ProtocolVersion::TLSv1_3),
    ];
    for (versions, expected) in versions {
        let mut ends = scene.good(&tls().with_versions(versions));

        assert_eq!(ends.run(), (None, None));

        assert_eq!(ends.server.protocol_version(), Some(expected));
        assert_eq!(
            ends.client.peer_certificates().unwrap()[..],
            scene.ours.cert[..]
        );
        assert_eq!(
            ends.server.peer_certificates().unwrap()[..],
            scene.theirs.cert[..]
        );
    }
}

#[test]
fn alpn_is_agreed_on() {
    let scene = Scene::new();
    let mut ends = scene.good(&tls().with_alpn(&["xmpp-server"]));

    assert_eq!(ends.run(), (None, None));

    assert_eq!(ends.server.alpn_protocol(), Some(&b"xmpp-server"[..]));
}

#[test]
fn the_same_client_is_never_resumed() {
    let scene = Scene::new();
    let server = tls()
        .server_config(
            scene.inbound("peer.example"),
            always(Arc::clone(&scene.ours)),
        )
        .unwrap();
    let client = tls()
        .client_config(
            scene.outbound("us.example"),
            always(Arc::clone(&scene.theirs)),
        )
        .unwrap();
    for _ in 0..2 {
        let mut ends = Ends::new(client.clone(), server.clone(), "us.example");
        assert_eq!(ends.run(), (None, None));
        assert_eq!(ends.server.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(ends.client.tls13_tickets_received(), 0);
    }
}

#[test]
fn a_server_of_another_ca_learns_that_its_ca_is_unknown() {
    let scene = Scene::new();
    let stranger = certified(&ca("Stranger").issue(&request(&["us.example"])).unwrap());
    let server = tls()
        .server_config(scene.inbound("peer.example"), always(stranger))
        .unwrap();
    let verifier = scene.outbound("us.example");
    let client = tls()
        .client_config(Arc::clone(&verifier), always(Arc::clone(&scene.theirs)))
        .unwrap();

    let (ours, theirs) = Ends::new(client, server, "us.example").run();

    assert_eq!(explain(&ours.unwrap()).id, "cert-unknown-issuer");
    let reason = verifier.refusal().unwrap().to_string();
    assert!(reason.contains("CN=Stranger"), "{reason}");
    let alert = theirs.unwrap();
    assert_eq!(alert, Error::AlertReceived(AlertDescription::UnknownCA));
    assert_eq!(explain(&alert).id, "peer-unknown-ca");
}

#[test]
fn the_name_that_counts_is_the_domain_not_the_host_dialled() {
    let scene = Scene::new();
    let server = || {
        tls()
            .server_config(
                scene.inbound("peer.example"),
                always(Arc::clone(&scene.ours)),
            )
            .unwrap()
    };
    let client = |domain| {
        tls()
            .client_config(scene.outbound(domain), always(Arc::clone(&scene.theirs)))
            .unwrap()
    };

    let right = Ends::new(client("us.example"), server(), "host.elsewhere.example").run();
    let (wrong, alert) = Ends::new(client("elsewhere.example"), server(), "us.example").run();

    assert_eq!(right, (None, None));
    assert_eq!(explain(&wrong.unwrap()).id, "cert-wrong-name");
    assert_eq!(
        alert,
        Some(Error::AlertReceived(AlertDescription::BadCertificate))
    );
}

#[test]
fn a_client_with_the_wrong_name_is_refused_with_a_reason() {
    let scene = Scene::new();
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        let tls = tls().with_versions(versions);
        let verifier = scene.inbound("other.example");
        let server = tls
            .server_config(Arc::clone(&verifier), always(Arc::clone(&scene.ours)))
            .unwrap();
        let client = tls
            .client_config(
                scene.outbound("us.example"),
                always(Arc::clone(&scene.theirs)),
            )
            .unwrap();

        let (client_error, server_error) = Ends::new(client, server, "us.example").run();

        assert_eq!(explain(&server_error.unwrap()).id, "cert-wrong-name");
        assert!(matches!(verifier.refusal(), Some(Reason::WrongName { .. })));
        assert_eq!(
            explain(&client_error.unwrap()).id,
            "peer-refused-certificate"
        );
    }
}

#[test]
fn an_expired_client_learns_that_it_is_expired() {
    let scene = Scene::new();
    let mut wish = request(&["peer.example"]);
    (wish.not_before, wish.days) = (in_days(-20), 10);
    let issued = scene.ca.issue(&wish).unwrap();
    let (none, findings) = Credentials::load(
        &[Source {
            subject: "old",
            chain: issued.chain_pem.as_bytes(),
            key: issued.key_pem.as_bytes(),
        }],
        in_days(-15),
    );
    let old = none.unwrap_or_else(|| panic!("{findings:?}"));
    let old = Arc::clone(old.all_for(None)[0].certified());
    let server = tls()
        .server_config(
            scene.inbound("peer.example"),
            always(Arc::clone(&scene.ours)),
        )
        .unwrap();
    let client = tls()
        .client_config(scene.outbound("us.example"), always(old))
        .unwrap();

    let (client_error, server_error) = Ends::new(client, server, "us.example").run();

    assert_eq!(explain(&server_error.unwrap()).id, "cert-expired");
    assert_eq!(
        explain(&client_error.unwrap()).id,
        "peer-certificate-expired"
    );
}

#[test]
fn a_client_without_certificate_passes_only_where_that_is_allowed() {
    let scene = Scene::new();
    let run = |verifier: Arc<Inbound>| {
        let server = tls()
            .server_config(verifier, always(Arc::clone(&scene.ours)))
            .unwrap();
        let anonymous = ClientConfig::builder_with_details(
            Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            Arc::new(Still),
        )
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(scene.outbound("us.example"))
        .with_no_client_auth();
        Ends::new(anonymous, server, "us.example").run()
    };

    let optional = run(Arc::new(Inbound::optional(Box::new(|_, _| Ok(())))));
    let (client_error, server_error) = run(scene.inbound("peer.example"));

    assert_eq!(optional, (None, None));
    assert_eq!(explain(&server_error.unwrap()).id, "cert-none");
    assert_eq!(explain(&client_error.unwrap()).id, "peer-wants-certificate");
}

#[test]
fn reasons_without_an_alert_of_their_own_travel_whole() {
    let scene = Scene::new();
    let verifier = Arc::new(Inbound::required(Box::new(|_, _| {
        Err(Reason::ChainTooLong { certificates: 100 })
    })));
    let server = tls()
        .server_config(verifier, always(Arc::clone(&scene.ours)))
        .unwrap();
    let client = tls()
        .client_config(
            scene.outbound("us.example"),
            always(Arc::clone(&scene.theirs)),
        )
        .unwrap();

    let (client_error, server_error) = Ends::new(client, server, "us.example").run();

    let explanation = explain(&server_error.unwrap());
    assert_eq!(explanation.id, "cert-chain-too-long");
    assert!(explanation.sentence.contains("100 certificates"));
    assert_eq!(
        client_error,
        Some(Error::AlertReceived(AlertDescription::CertificateUnknown))
    );
}

#[test]
fn no_common_version_is_told_on_both_ends() {
    let scene = Scene::new();
    let server = tls()
        .with_versions(TlsVersions::Only13)
        .server_config(
            scene.inbound("peer.example"),
            always(Arc::clone(&scene.ours)),
        )
        .unwrap();
    let client = tls()
        .with_versions(TlsVersions::Only12)
        .client_config(
            scene.outbound("us.example"),
            always(Arc::clone(&scene.theirs)),
        )
        .unwrap();

    let (client_error, server_error) = Ends::new(client, server, "us.example").run();

    assert_eq!(explain(&server_error.unwrap()).id, "tls-no-common-version");
    assert_eq!(explain(&client_error.unwrap()).id, "tls-no-common-version");
}

#[test]
fn alpn_without_a_match_is_told_on_both_ends() {
    let scene = Scene::new();
    let server = tls()
        .with_alpn(&["xmpp-server"])
        .server_config(
            scene.inbound("peer.example"),
            always(Arc::clone(&scene.ours)),
        )
        .unwrap();
    let client = tls()
        .with_alpn(&["h2"])
        .client_config(
            scene.outbound("us.example"),
            always(Arc::clone(&scene.theirs)),
        )
        .unwrap();

    let (client_error, server_error) = Ends::new(client, server, "us.example").run();

    assert_eq!(explain(&server_error.unwrap()).id, "tls-alpn");
    assert_eq!(explain(&client_error.unwrap()).id, "tls-alpn");
}

#[test]
fn clear_text_is_told_from_tls() {
    let scene = Scene::new();
    let mut ends = scene.good(&tls());

    ends.server
        .read_tls(&mut &b"<?xml version='1.0'?>"[..])
        .unwrap();
    let error = ends.server.process_new_packets().unwrap_err();

    assert_eq!(explain(&error).id, "tls-not-tls");
}

#[test]
fn sni_chooses_from_the_credentials_of_now() {
    let scene = Scene::new();
    let [one, two] =
        ["one.example", "two.example"].map(|name| scene.ca.issue(&request(&[name])).unwrap());
    let store = Arc::new(Store::new(credentials(&[&one, &two])));
    let shown = |sni: &str| {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&store) as _;
        let server = tls()
            .server_config(
                Arc::new(Inbound::optional(Box::new(|_, _| Ok(())))),
                resolver,
            )
            .unwrap();
        let client = tls()
            .client_config(scene.outbound(sni), always(Arc::clone(&scene.theirs)))
            .unwrap();
        let mut ends = Ends::new(client, server, sni);
        let (refused, _) = ends.run();
        refused.map_or_else(
            || {
                Facts::read(&ends.client.peer_certificates().unwrap()[0])
                    .unwrap()
                    .names[0]
                    .text()
            },
            |error| explain(&error).id.to_owned(),
        )
    };

    assert_eq!(shown("two.example"), "two.example");
    assert_eq!(shown("three.example"), "cert-wrong-name");
    let three = scene.ca.issue(&request(&["three.example"])).unwrap();
    store.publish((Some(credentials(&[&three])), Vec::new()));
    assert_eq!(shown("three.example"), "three.example");
}
