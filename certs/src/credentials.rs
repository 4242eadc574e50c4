//! Our own certificates and keys, chosen by name and replaced while running.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivateKeyDer, UnixTime};

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
struct Identity {
    /// What the findings call it.
    subject: String,
    /// The facts of the chain, leaf first; never empty.
    facts: Vec<Facts>,
    /// What rustls needs.
    certified: Arc<CertifiedKey>,
}

impl Identity {
    /// The facts of the leaf.
    fn leaf(&self) -> Option<&Facts> {
        self.facts.first()
    }
}

/// The certificates and keys of one side.
#[derive(Debug)]
pub struct Credentials {
    /// The default.
    first: Arc<CertifiedKey>,
    /// All of them in order, the default too.
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
        let Some(first) = identities.first() else {
            if findings.is_empty() {
                findings.push(Finding::error(
                    "own-cert-none",
                    "identity",
                    "No certificate is configured.",
                    "Name a certificate and its key.",
                ));
            }
            return (None, findings);
        };
        let first = Arc::clone(&first.certified);
        unless_error(Self { first, identities }, findings)
    }

    /// The certificate whose names cover `name`, else the first.
    pub fn for_name(&self, name: &str) -> Arc<CertifiedKey> {
        let covers =
            |identity: &&Identity| identity.leaf().is_some_and(|leaf| mentions(leaf, name));
        let chosen = self.identities.iter().find(covers);
        Arc::clone(chosen.map_or(&self.first, |identity| &identity.certified))
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

/// Chooses by SNI; without it, the first.
impl ResolvesServerCert for Credentials {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(match hello.server_name() {
            Some(name) => self.for_name(name),
            None => Arc::clone(&self.first),
        })
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
    use crate::request::{Issued, KeyKind};
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
            let certified = credentials.for_name(name);
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
