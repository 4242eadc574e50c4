//! Our own certificates and keys, chosen by name and replaced while running.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::check;
use crate::finding::{Finding, Loaded, unless_error};
use crate::identity::{Side, mentions};
use crate::inspect::{Facts, chain_from_pem};

/// One certificate of ours as it was read from disk.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What the findings call it, such as the name of the file.
    pub subject: &'a str,
    /// The chain as PEM, leaf first.
    pub chain: &'a [u8],
    /// The private key as PEM.
    pub key: &'a [u8],
}

/// One certificate of ours, ready for use.
#[derive(Debug)]
pub struct Identity {
    /// What the findings call it.
    subject: String,
    /// The facts of the chain, leaf first; never empty.
    facts: Vec<Facts>,
    /// What rustls needs.
    certified: Arc<CertifiedKey>,
    /// The private key once more, for other engines.
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// The certificate and its key in the form of rustls.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// Whether the key can sign in one of these ways.
    pub fn can_sign(&self, schemes: &[SignatureScheme]) -> bool {
        self.certified.key.choose_scheme(schemes).is_some()
    }

    /// The facts of the leaf.
    fn leaf(&self) -> Option<&Facts> {
        self.facts.first()
    }
}

/// The certificates and keys of one side.
#[derive(Debug)]
pub struct Credentials {
    /// All of them in order; the first is the default.
    identities: Vec<Identity>,
}

impl Credentials {
    /// Reads and checks certificates and keys; the first is the default.
    ///
    /// The findings say what is wrong with each. What peers may dislike is [`Self::review`]'s business.
    pub fn load(sources: &[Source<'_>], now: UnixTime) -> Loaded<Self> {
        let mut findings = Vec::new();
        let identities: Vec<Identity> = sources
            .iter()
            .filter_map(|source| match identity(source) {
                Ok(identity) => Some(identity),
                Err(finding) => {
                    findings.push(finding);
                    None
                }
            })
            .collect();
        for identity in &identities {
            findings.extend(
                identity
                    .leaf()
                    .and_then(|leaf| check::validity(&identity.subject, leaf, now)),
            );
        }
        if identities.is_empty() {
            if findings.is_empty() {
                findings.push(Finding::error(
                    "own-cert-none",
                    "identity",
                    "No certificate is configured.",
                    "Name a certificate and its key.",
                ));
            }
            return (None, findings);
        }
        unless_error(Self { identities }, findings)
    }

    /// The certificates that can be shown to who asks for `name`: those whose names cover it, of keys of
    /// several kinds mostly, in their order. Without a name, or where none covers it, the first of all and
    /// those that stand beside it for the same names. Never empty.
    pub fn all_for(&self, name: Option<&str>) -> Vec<&Identity> {
        let covering = |name: &str| {
            let covers =
                |identity: &&Identity| identity.leaf().is_some_and(|leaf| mentions(leaf, name));
            self.identities.iter().filter(covers).collect::<Vec<_>>()
        };
        let chosen = name.map(covering).unwrap_or_default();
        if !chosen.is_empty() {
            return chosen;
        }
        let default: Vec<String> = self.identities.first().map_or_else(Vec::new, dns_names);
        let alike = |identity: &&Identity| {
            identity
                .leaf()
                .is_some_and(|leaf| default.iter().all(|name| mentions(leaf, name)))
        };
        let beside = self.identities.iter().skip(1).filter(alike);
        let beside = beside.filter(|_| !default.is_empty());
        self.identities.iter().take(1).chain(beside).collect()
    }

    /// The certificate for `name` whose key can sign in one of the ways that the other end takes; where none
    /// can, the first for that name, so that the handshake fails by its own reasons.
    pub fn suited(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let all = self.all_for(name);
        let suited = all.iter().find(|identity| identity.can_sign(schemes));
        let chosen = suited.or_else(|| all.first())?;
        Some(Arc::clone(&chosen.certified))
    }

    /// Whether the names of one of them cover `name`.
    pub fn mentions(&self, name: &str) -> bool {
        let mut leaves = self.identities.iter().filter_map(Identity::leaf);
        leaves.any(|leaf| mentions(leaf, name))
    }

    /// Compares the certificates with what peers are known to refuse, and with the domains they should cover.
    pub fn review(&self, side: Side, domains: &[String], now: UnixTime) -> Vec<Finding> {
        let mut findings = Vec::new();
        for identity in &self.identities {
            findings.extend(check::chain(&identity.subject, &identity.facts, side, now));
        }
        let leaves: Vec<&Facts> = self.identities.iter().filter_map(Identity::leaf).collect();
        findings.extend(check::coverage(&leaves, side, domains));
        findings
    }

    /// The facts of each leaf with its subject, for status and metrics.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &Facts)> {
        self.identities
            .iter()
            .filter_map(|identity| Some((identity.subject.as_str(), identity.leaf()?)))
    }
}

/// The names of a leaf that hosts are asked for by.
fn dns_names(identity: &Identity) -> Vec<String> {
    let names = identity.leaf().map_or(&[][..], |leaf| &leaf.names);
    names.iter().map(|name| name.text()).collect()
}

/// Chooses by SNI, and among several for that name by the signatures that the client takes.
impl ResolvesServerCert for Credentials {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.suited(hello.server_name(), hello.signature_schemes())
    }
}

/// Chooses among the certificates for one name, whatever SNI says, by the signatures that the other end takes.
#[derive(Debug)]
pub struct Named {
    /// Where they are from.
    credentials: Arc<Credentials>,
    /// The name.
    name: String,
}

impl Named {
    /// Takes those of `credentials` for `name`.
    pub fn new(credentials: Arc<Credentials>, name: impl Into<String>) -> Arc<Self> {
        let name = name.into();
        Arc::new(Self { credentials, name })
    }

    /// All of them, of which one is chosen; see [`Credentials::all_for`].
    pub fn all(&self) -> Vec<&Identity> {
        self.credentials.all_for(Some(&self.name))
    }
}

impl ResolvesServerCert for Named {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.credentials
            .suited(Some(&self.name), hello.signature_schemes())
    }
}

/// Shows a certificate whatever CAs the server lists: a list without ours says nothing about our peers' trust.
impl ResolvesClientCert for Named {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.credentials.suited(Some(&self.name), schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Something that is replaced while running, whole or not at all.
#[derive(Debug)]
pub struct Store<T>(ArcSwap<T>);

impl<T> Store<T> {
    /// Starts with a first value.
    pub fn new(value: T) -> Self {
        Self(ArcSwap::from_pointee(value))
    }

    /// The value of now.
    pub fn current(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Takes a newly loaded value into use, or keeps the old one if there is none. The findings pass through.
    pub fn publish(&self, loaded: Loaded<T>) -> Vec<Finding> {
        let (value, findings) = loaded;
        if let Some(value) = value {
            self.0.store(Arc::new(value));
        }
        findings
    }
}

/// Chooses from the credentials of now, so a listener needs no new configuration.
impl ResolvesServerCert for Store<Credentials> {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().resolve(hello)
    }
}

/// Reads one certificate and its key, and checks that they belong together.
fn identity(source: &Source<'_>) -> Result<Identity, Finding> {
    let unreadable = |fault| {
        Finding::error(
            "own-cert-unreadable",
            source.subject,
            format!("The certificate cannot be used: {fault}."),
            "Give a PEM file with the certificate first and its intermediates behind it.",
        )
    };
    let facts = Facts::read_pem(source.chain).map_err(unreadable)?;
    let chain = chain_from_pem(source.chain).map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(source.key).map_err(|_| key_unreadable(source))?;
    let kept = key.clone_key();
    let certified = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
        if error == Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
            return Finding::error(
                "own-cert-key-mismatch",
                source.subject,
                "The private key does not belong to the first certificate of the file.",
                "Put the certificate that was issued for this key first, or name its own key.",
            );
        }
        Finding::error(
            "own-key-unsupported",
            source.subject,
            "The private key is broken or of a kind that is not supported.",
            "Use an ECDSA key (P-256) or an RSA key of 2048 to 8192 bits.",
        )
    })?;
    Ok(Identity {
        subject: source.subject.to_owned(),
        facts,
        certified: Arc::new(certified),
        key: kept,
    })
}

/// Why there is no key in what was read.
fn key_unreadable(source: &Source<'_>) -> Finding {
    let marker = b"ENCRYPTED";
    if source
        .key
        .windows(marker.len())
        .any(|bytes| bytes == marker)
    {
        return Finding::error(
            "own-key-encrypted",
            source.subject,
            "The private key is protected by a passphrase.",
            "Store it without one (openssl pkey) and protect the file by its permissions.",
        );
    }
    Finding::error(
        "own-key-unreadable",
        source.subject,
        "There is no private key in the key file.",
        "Give a PEM file with a PKCS #8, PKCS #1 or SEC 1 key.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Key;
    use crate::request::{Issued, KeyKind, Request};
    use crate::testing::{ca, domains, ids, in_days, now, request};

    fn issued(name: &str) -> Issued {
        ca("CA").issue(&request(&[name])).unwrap()
    }

    fn load(chain: &str, key: &str) -> Loaded<Credentials> {
        let source = Source {
            subject: "own.pem",
            chain: chain.as_bytes(),
            key: key.as_bytes(),
        };
        Credentials::load(&[source], now())
    }

    fn both(first: &Issued, second: &Issued) -> Credentials {
        let sources = [first, second].map(|issued| Source {
            subject: "own.pem",
            chain: issued.chain_pem.as_bytes(),
            key: issued.key_pem.as_bytes(),
        });
        Credentials::load(&sources, now()).0.unwrap()
    }

    #[test]
    fn chooses_by_name_else_the_first() {
        let (one, two) = (issued("one.example"), issued("*.two.example"));
        let credentials = both(&one, &two);
        let chosen = |name: &str| {
            let certified = &credentials.all_for(Some(name))[0].certified;
            Facts::read(&certified.cert[0]).unwrap().names[0].text()
        };

        assert_eq!(chosen("one.example"), "one.example");
        assert_eq!(chosen("x.two.example"), "*.two.example");
        assert_eq!(chosen("three.example"), "one.example");
        assert_eq!(chosen(""), "one.example");
    }

    #[test]
    fn takes_both_kinds_of_keys() {
        let mut wish = request(&["a.example"]);
        for kind in [KeyKind::P256, KeyKind::Rsa2048] {
            wish.key_kind = kind;
            let issued = ca("CA").issue(&wish).unwrap();
            let (credentials, findings) = load(&issued.chain_pem, &issued.key_pem);
            assert!(credentials.is_some(), "{findings:?}");
            assert_eq!(findings, []);
        }
    }

    #[test]
    fn every_defect_is_a_finding() {
        let (one, two) = (issued("one.example"), issued("two.example"));
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let found = |chain: &str, key: &str| {
            let (credentials, findings) = load(chain, key);
            assert!(credentials.is_none());
            ids(&findings)
        };

        assert_eq!(
            found(&one.chain_pem, &two.key_pem),
            ["own-cert-key-mismatch"]
        );
        assert_eq!(found("", &one.key_pem), ["own-cert-unreadable"]);
        assert_eq!(found(&one.chain_pem, ""), ["own-key-unreadable"]);
        assert_eq!(found(&one.chain_pem, encrypted), ["own-key-encrypted"]);
        assert_eq!(found(&one.chain_pem, broken), ["own-key-unsupported"]);
        let (none, findings) = Credentials::load(&[], now());
        assert!(none.is_none());
        assert_eq!(ids(&findings), ["own-cert-none"]);
    }

    #[test]
    fn one_bad_certificate_spoils_the_set_and_all_defects_are_told() {
        let (one, two) = (issued("one.example"), issued("two.example"));
        let source = |key: &'static str, issued: &Issued| (key, issued.chain_pem.clone());
        let texts = [source("", &one), source("x", &two)];
        let sources = [0, 1].map(|n: usize| Source {
            subject: "own.pem",
            chain: texts[n].1.as_bytes(),
            key: texts[n].0.as_bytes(),
        });

        let (none, findings) = Credentials::load(&sources, now());

        assert!(none.is_none());
        assert_eq!(ids(&findings), ["own-key-unreadable", "own-key-unreadable"]);
    }

    #[test]
    fn an_expired_certificate_is_not_taken_into_use() {
        let issued = issued("a.example");
        let source = Source {
            subject: "own.pem",
            chain: issued.chain_pem.as_bytes(),
            key: issued.key_pem.as_bytes(),
        };

        let (none, findings) = Credentials::load(&[source], in_days(101));

        assert!(none.is_none());
        assert_eq!(ids(&findings), ["own-cert-expired"]);
    }

    #[test]
    fn keys_of_two_kinds_stand_beside_each_other_for_one_name() {
        let ca = ca("CA");
        let rsa = Request {
            key_kind: KeyKind::Rsa2048,
            ..request(&["one.example"])
        };
        let (rsa, ecdsa) = (ca.issue(&rsa), ca.issue(&request(&["one.example"])));
        let credentials = both(&rsa.unwrap(), &ecdsa.unwrap());
        let shown = |name: Option<&str>, schemes: &[SignatureScheme]| {
            let certified = credentials.suited(name, schemes).unwrap();
            Facts::read(&certified.cert[0]).unwrap().key
        };
        let (rsa, ecdsa) = (Key::Rsa(2048), Key::Ec(256));
        let pkcs1 = [SignatureScheme::RSA_PKCS1_SHA256];
        let p256 = [SignatureScheme::ECDSA_NISTP256_SHA256];

        for name in [Some("one.example"), Some("elsewhere.example"), None] {
            assert_eq!(shown(name, &pkcs1), rsa);
            assert_eq!(shown(name, &p256), ecdsa);
            assert_eq!(shown(name, &[p256[0], pkcs1[0]]), rsa, "the first");
            assert_eq!(shown(name, &[]), rsa, "nothing suits");
        }
    }

    #[test]
    fn a_certificate_for_other_names_does_not_stand_beside_the_default() {
        let credentials = both(&issued("one.example"), &issued("two.example"));

        assert_eq!(credentials.all_for(None).len(), 1);
        assert_eq!(credentials.all_for(Some("two.example")).len(), 1);
    }

    #[test]
    fn a_failed_load_keeps_the_old_value() {
        let (one, two) = (issued("one.example"), issued("two.example"));
        let store = Store::new(both(&one, &one));
        let before = store.current();

        let findings = store.publish(load(&one.chain_pem, &two.key_pem));

        assert_eq!(ids(&findings), ["own-cert-key-mismatch"]);
        assert!(Arc::ptr_eq(&before, &store.current()));
        assert_eq!(store.publish(load(&two.chain_pem, &two.key_pem)), []);
        assert!(!Arc::ptr_eq(&before, &store.current()));
    }

    #[test]
    fn review_speaks_of_every_certificate_and_domain() {
        let mut wish = request(&["One.example"]);
        wish.eku.pop();
        let credentials = both(&ca("CA").issue(&wish).unwrap(), &issued("two.example"));

        let asked = domains(&["one.example", "two.example", "three.example"]);
        let findings = credentials.review(Side::Xmpp, &asked, now());

        assert_eq!(
            ids(&findings),
            [
                "own-cert-no-client-auth",
                "own-cert-capitals",
                "own-cert-domain-uncovered"
            ]
        );
        assert_eq!(credentials.facts().count(), 2);
    }
}
