//! Certificates for tests: made at run time by our own authority, around one fixed point in time.

use rustls_pki_types::{CertificateDer, UnixTime};

use crate::authority::{Authority, CaRequest};
use crate::dates::{DAY, at};
use crate::finding::Finding;
use crate::identity::NamePolicy;
use crate::inspect::{Facts, chain_from_pem};
use crate::request::{BOTH, Issued, KeyKind, Request};
use crate::trust::{Eku, Source, Trust};

/// The time of all tests: 2027-01-15 08:00 UTC.
pub(crate) const NOW: i64 = 1_800_000_000;

/// [`NOW`] as the crate's functions take it.
pub(crate) fn now() -> UnixTime {
    at(NOW)
}

/// The point some days before or after [`NOW`].
pub(crate) fn in_days(days: i64) -> UnixTime {
    at(NOW + days * i64::try_from(DAY).unwrap())
}

/// A wish for a CA that is valid for a year around [`NOW`].
pub(crate) fn ca_request(name: &str) -> CaRequest {
    CaRequest {
        common_name: name.to_owned(),
        key_kind: KeyKind::P256,
        not_before: in_days(-100),
        days: 365,
    }
}

/// A root CA.
pub(crate) fn ca(name: &str) -> Authority {
    Authority::init(&ca_request(name)).unwrap()
}

/// A wish for a server's certificate that is valid for 200 days around [`NOW`].
pub(crate) fn request(names: &[&str]) -> Request {
    Request {
        common_name: "holder".to_owned(),
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
        eku: BOTH.to_vec(),
        key_kind: KeyKind::P256,
        not_before: in_days(-100),
        days: 200,
    }
}

/// The chain of what was issued.
pub(crate) fn chain(issued: &Issued) -> Vec<CertificateDer<'static>> {
    chain_from_pem(issued.chain_pem.as_bytes()).unwrap()
}

/// The facts of the leaf of what was issued.
pub(crate) fn facts(issued: &Issued) -> Facts {
    Facts::read(&chain(issued)[0]).unwrap()
}

/// What a policy is made from, without anything yet.
pub(crate) const SOURCE: Source<'static> = Source {
    subject: "peer",
    anchors: &[],
    crls: None,
    eku: Eku::ServerOk,
    depth: 5,
    pins: &[],
    names: NamePolicy::San,
    expected: &[],
};

/// Loads a policy that must be usable.
pub(crate) fn load(source: &Source<'_>) -> Trust {
    let (trust, findings) = Trust::load(source, now());
    trust.unwrap_or_else(|| panic!("{findings:?}"))
}

/// A policy that trusts one CA.
pub(crate) fn trusting(ca: &Authority) -> Trust {
    load(&Source {
        anchors: ca.certificate_pem().as_bytes(),
        ..SOURCE
    })
}

/// The ids of some findings.
pub(crate) fn ids(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.id).collect()
}

/// Owned domains.
pub(crate) fn domains(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
