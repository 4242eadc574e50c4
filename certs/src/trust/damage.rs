//! Damaged certificates and revocation lists: every one gets a verdict, none is proven by luck.

use rustls_pki_types::CertificateDer;

use crate::identity::Side;
use crate::reason::{Role, Verdict};
use crate::testing::{SOURCE, ca, chain, domains, now, request, trusting};
use crate::trust::{Source, Trust};

/// What is done to one octet.
const DAMAGES: [fn(u8) -> u8; 4] = [|octet| !octet, |octet| octet ^ 1, |_| 0, |_| 0x80];

#[test]
fn a_certificate_with_any_octet_changed_proves_nothing() {
    let ca = ca("CA");
    let trust = trusting(&ca);
    let leaf = chain(&ca.issue(&request(&["xmpp.example"])).unwrap())[0].to_vec();
    let asked = domains(&["xmpp.example"]);

    for (place, damage) in (0..leaf.len()).flat_map(|place| DAMAGES.map(|damage| (place, damage))) {
        let mut damaged = leaf.clone();
        damaged[place] = damage(damaged[place]);
        if damaged == leaf {
            continue;
        }
        let certificate = CertificateDer::from(damaged);
        let verdict = trust.judge(&[certificate], Role::Client, Side::Xmpp, &asked, now());
        assert!(matches!(verdict, Verdict::Unproven(_)), "octet {place}");
    }
}

#[test]
fn a_certificate_cut_short_proves_nothing() {
    let ca = ca("CA");
    let trust = trusting(&ca);
    let leaf = chain(&ca.issue(&request(&["xmpp.example"])).unwrap())[0].to_vec();
    let asked = domains(&["xmpp.example"]);

    for length in 0..leaf.len() {
        let certificate = CertificateDer::from(leaf[..length].to_vec());
        let verdict = trust.judge(&[certificate], Role::Server, Side::Sip, &asked, now());
        assert!(matches!(verdict, Verdict::Unproven(_)), "{length} octets");
    }
}

#[test]
fn a_revocation_list_cut_short_is_a_finding() {
    let ca = ca("CA");
    let anchor = ca.certificate_pem();
    let crl = ca.crl(&[], 1, now(), 30).unwrap();

    for length in (0..crl.len().saturating_sub(30)).step_by(7) {
        let source = Source {
            anchors: anchor.as_bytes(),
            crls: Some(&crl.as_bytes()[..length]),
            ..SOURCE
        };
        let (_, findings) = Trust::load(&source, now());
        assert!(!findings.is_empty(), "{length} octets");
    }
}
