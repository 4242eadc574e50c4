//! Our own certificate against what peers are known to refuse.

use rustls_pki_types::UnixTime;

use crate::dates::{self, DAY};
use crate::finding::Finding;
use crate::identity::{Side, covers};
use crate::inspect::{Facts, Key, Purpose, Signature, listed};
use crate::names::Name;

/// Says whether the certificate is valid now, and how long still.
///
/// The id changes when 30, 14, 7 and 1 days are left, so that each step can raise an alarm of its own.
pub fn validity(subject: &str, leaf: &Facts, now: UnixTime) -> Option<Finding> {
    let end = dates::shown(leaf.not_after);
    if now > leaf.not_after {
        return Some(Finding::error(
            "own-cert-expired",
            subject,
            format!("The certificate expired on {end}."),
            RENEW,
        ));
    }
    if now < leaf.not_before {
        return Some(Finding::error(
            "own-cert-not-yet-valid",
            subject,
            format!(
                "The certificate is not valid before {}.",
                dates::shown(leaf.not_before)
            ),
            "Check the clock of this machine, or wait.",
        ));
    }
    let left = leaf.not_after.as_secs().saturating_sub(now.as_secs());
    let (days, id) = EXPIRY_STEPS
        .into_iter()
        .find(|(days, _)| left <= days * DAY)?;
    let sentence = format!("The certificate expires on {end}, in less than {days} days.");
    Some(if days > 14 {
        Finding::note(id, subject, sentence, RENEW)
    } else {
        Finding::warning(id, subject, sentence, RENEW)
    })
}

/// Checks a whole chain of ours, leaf first: validity, and everything that some peer refuses.
pub fn chain(subject: &str, chain: &[Facts], side: Side, now: UnixTime) -> Vec<Finding> {
    let Some(leaf) = chain.first() else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    findings.extend(validity(subject, leaf, now));
    findings.extend(usage(subject, leaf));
    findings.extend(names(subject, leaf, side));
    findings.extend(algorithms(subject, leaf, side));
    findings.extend(order(subject, chain));
    findings
}

/// Says which of `domains` none of the certificates speaks for.
pub fn coverage(leaves: &[&Facts], side: Side, domains: &[String]) -> Vec<Finding> {
    let fix = match side {
        Side::Xmpp => "Get a certificate that has the domain as dNSName.",
        Side::Sip => {
            "Get a certificate with the URI sip:DOMAIN or the domain as dNSName; SIP knows no wildcards."
        }
    };
    domains
        .iter()
        .filter(|domain| !leaves.iter().any(|leaf| covers(leaf, side, domain)))
        .map(|domain| {
            let sentence =
                "No certificate of ours covers this domain, so its peers will refuse us.";
            Finding::warning("own-cert-domain-uncovered", domain.as_str(), sentence, fix)
        })
        .collect()
}

/// What the extended key usages forbid.
fn usage(subject: &str, leaf: &Facts) -> Vec<Finding> {
    let lacks = |purpose| !leaf.purposes.is_empty() && !leaf.purposes.contains(&purpose);
    let fix = "Get a certificate with both serverAuth and clientAuth, or with no extended key usage at all.";
    let mut findings = Vec::new();
    if lacks(Purpose::ClientAuth) {
        findings.push(Finding::warning(
            "own-cert-no-client-auth",
            subject,
            "The certificate is not for TLS clients; ejabberd before 25.08 and most OpenSSL servers refuse it when we dial.",
            fix,
        ));
    }
    if lacks(Purpose::ServerAuth) {
        findings.push(Finding::warning(
            "own-cert-no-server-auth",
            subject,
            "The certificate is not for TLS servers; peers that dial us refuse it, and Prosody also when we dial.",
            fix,
        ));
    }
    if leaf.is_ca {
        findings.push(Finding::warning(
            "own-cert-is-ca",
            subject,
            "The certificate is a CA certificate, which peers refuse as a server's own.",
            "Get an end-entity certificate.",
        ));
    } else if leaf.self_issued {
        findings.push(Finding::warning(
            "own-cert-self-signed",
            subject,
            "The certificate is self-signed; every peer must pin or import it.",
            "Get a certificate from a CA that the peers trust.",
        ));
    }
    findings
}

/// What is known to go wrong with the names.
fn names(subject: &str, leaf: &Facts, side: Side) -> Vec<Finding> {
    let mut findings = Vec::new();
    let capitals: Vec<String> = leaf
        .names
        .iter()
        .map(Name::text)
        .filter(|text| text.chars().any(char::is_uppercase))
        .collect();
    if !capitals.is_empty() {
        findings.push(Finding::warning(
            "own-cert-capitals",
            subject,
            format!(
                "Names are written with capitals ({}), which ejabberd does not match.",
                listed(&capitals)
            ),
            "Get a certificate with all names in lower case.",
        ));
    }
    let is_dns = |name: &Name| matches!(name, Name::Dns(_));
    if !leaf.names.iter().any(is_dns) {
        findings.push(Finding::warning(
            "own-cert-no-dns-name",
            subject,
            "The certificate has no dNSName; ejabberd and Openfire match nothing else.",
            "Get a certificate with the domains as dNSName, other kinds beside them.",
        ));
    }
    let is_xmpp_addr = |name: &Name| matches!(name, Name::XmppAddr(_));
    if side == Side::Xmpp && leaf.names.iter().any(is_xmpp_addr) {
        findings.push(Finding::warning(
            "own-cert-xmpp-addr",
            subject,
            "The certificate has an xmppAddr; ejabberd 23 breaks the stream on it.",
            "Get a certificate without xmppAddr; dNSName serves all servers.",
        ));
    }
    findings
}

/// What is wrong with key and signature.
fn algorithms(subject: &str, leaf: &Facts, side: Side) -> Vec<Finding> {
    let mut findings = Vec::new();
    let fix = "Get a certificate with an ECDSA P-256 or RSA 2048 key, signed with SHA-256.";
    let key = match leaf.key {
        Key::Dsa => Some((
            "own-cert-dsa",
            "The key is DSA, which no TLS library of today takes.",
        )),
        Key::Rsa(bits) if bits < 2048 => Some((
            "own-cert-rsa-short",
            "The RSA key has less than 2048 bits; peers refuse it.",
        )),
        Key::Ec(_) | Key::Ed25519 | Key::Rsa(_) | Key::Unknown => None,
    };
    let signature = match (leaf.signature, side) {
        (Signature::Sha1, Side::Xmpp | Side::Sip) => Some((
            "own-cert-sha1",
            "The certificate is signed with SHA-1 or MD5; peers refuse it.",
        )),
        (Signature::RsaPss, Side::Sip) => Some((
            "own-cert-pss",
            "The certificate is signed with RSASSA-PSS, which Lync and Skype for Business do not take.",
        )),
        (Signature::RsaPss, Side::Xmpp)
        | (Signature::Ecdsa | Signature::Rsa | Signature::Unknown, _) => None,
    };
    for (id, sentence) in key.into_iter().chain(signature) {
        findings.push(Finding::warning(id, subject, sentence, fix));
    }
    findings
}

/// Whether each certificate of the chain is followed by its issuer.
fn order(subject: &str, chain: &[Facts]) -> Option<Finding> {
    let issuers = chain.iter().skip(1);
    let broken = chain
        .iter()
        .zip(issuers)
        .find(|(lower, upper)| lower.issuer != upper.subject)?;
    Some(Finding::warning(
        "own-cert-chain-order",
        subject,
        format!(
            "In the chain \"{}\" is followed by \"{}\", which did not issue it; peers may not find the path.",
            broken.0.subject, broken.1.subject
        ),
        "Put the certificate first and each issuer behind what it issued.",
    ))
}

/// What to do about the end of validity.
const RENEW: &str = "Renew the certificate and reload.";

/// Days left, and the id from there on; the shortest first.
const EXPIRY_STEPS: [(u64, &str); 4] = [
    (1, "own-cert-expires-1d"),
    (7, "own-cert-expires-7d"),
    (14, "own-cert-expires-14d"),
    (30, "own-cert-expires-30d"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Authority;
    use crate::request::Request;
    use crate::testing::{ca, domains, facts, ids, in_days, now, request};

    fn found(side: Side, change: impl FnOnce(&mut Request)) -> Vec<&'static str> {
        let mut wish = request(&["a.example"]);
        change(&mut wish);
        let leaf = facts(&ca("CA").issue(&wish).unwrap());
        ids(&chain("own.pem", &[leaf], side, now()))
    }

    #[test]
    fn nothing_to_say_about_a_good_certificate() {
        for side in [Side::Xmpp, Side::Sip] {
            assert_eq!(found(side, |_| {}), [""; 0]);
            assert_eq!(found(side, |wish| wish.eku.clear()), [""; 0]);
        }
    }

    #[test]
    fn purposes_that_peers_miss() {
        let eku = |eku: Vec<Purpose>| found(Side::Xmpp, |wish| wish.eku = eku);

        assert_eq!(eku(vec![Purpose::ServerAuth]), ["own-cert-no-client-auth"]);
        assert_eq!(eku(vec![Purpose::ClientAuth]), ["own-cert-no-server-auth"]);
        let neither = ["own-cert-no-client-auth", "own-cert-no-server-auth"];
        assert_eq!(eku(vec![Purpose::EmailProtection]), neither);
    }

    #[test]
    fn names_that_peers_stumble_over() {
        let named = |side, text: &'static str| {
            found(side, |wish| {
                wish.names = text.split(' ').map(|n| n.parse().unwrap()).collect()
            })
        };

        assert_eq!(named(Side::Xmpp, "A.example"), ["own-cert-capitals"]);
        assert_eq!(
            named(Side::Xmpp, "a.example xmpp:a.example"),
            ["own-cert-xmpp-addr"]
        );
        assert_eq!(named(Side::Sip, "a.example xmpp:a.example"), [""; 0]);
        assert_eq!(
            named(Side::Xmpp, "srv:_xmpp-server.a.example"),
            ["own-cert-no-dns-name"]
        );
    }

    #[test]
    fn algorithms_that_peers_refuse() {
        let good = facts(&ca("CA").issue(&request(&["a.example"])).unwrap());
        let with = |key, signature, side| {
            let leaf = Facts {
                key,
                signature,
                ..good.clone()
            };
            ids(&chain("own.pem", &[leaf], side, now()))
        };

        assert_eq!(with(Key::Dsa, Signature::Rsa, Side::Xmpp), ["own-cert-dsa"]);
        assert_eq!(
            with(Key::Rsa(1024), Signature::Rsa, Side::Xmpp),
            ["own-cert-rsa-short"]
        );
        assert_eq!(
            with(Key::Rsa(2048), Signature::Sha1, Side::Sip),
            ["own-cert-sha1"]
        );
        assert_eq!(
            with(Key::Rsa(2048), Signature::RsaPss, Side::Sip),
            ["own-cert-pss"]
        );
        assert_eq!(with(Key::Rsa(2048), Signature::RsaPss, Side::Xmpp), [""; 0]);
    }

    #[test]
    fn signed_by_nobody_and_signing_others() {
        let own = facts(&request(&["a.example"]).self_signed().unwrap());
        let as_ca = Facts {
            is_ca: true,
            ..own.clone()
        };

        assert_eq!(
            ids(&chain("own.pem", &[own], Side::Sip, now())),
            ["own-cert-self-signed"]
        );
        assert_eq!(
            ids(&chain("own.pem", &[as_ca], Side::Sip, now())),
            ["own-cert-is-ca"]
        );
    }

    #[test]
    fn a_chain_goes_upwards() {
        let root = ca("Root");
        let ca_facts = |ca: &Authority| Facts::read_pem(ca.certificate_pem().as_bytes()).unwrap();
        let leaf = facts(&root.issue(&request(&["a.example"])).unwrap());
        let other = ca_facts(&ca("Other")).remove(0);
        let root = ca_facts(&root).remove(0);

        let right = chain("own.pem", &[leaf.clone(), root.clone()], Side::Sip, now());
        let wrong = chain("own.pem", &[leaf, other, root], Side::Sip, now());

        assert_eq!(ids(&right), [""; 0]);
        assert_eq!(ids(&wrong), ["own-cert-chain-order"]);
    }

    #[test]
    fn expiry_comes_in_steps() {
        let leaf = facts(&ca("CA").issue(&request(&["a.example"])).unwrap());
        let found = |days_left: i64| {
            let finding = validity("own.pem", &leaf, in_days(100 - days_left));
            finding.map(|finding| (finding.id, finding.is_error()))
        };

        assert_eq!(found(201), Some(("own-cert-not-yet-valid", true)));
        assert_eq!(found(31), None);
        assert_eq!(found(30), Some(("own-cert-expires-30d", false)));
        assert_eq!(found(14), Some(("own-cert-expires-14d", false)));
        assert_eq!(found(7), Some(("own-cert-expires-7d", false)));
        assert_eq!(found(1), Some(("own-cert-expires-1d", false)));
        assert_eq!(found(-1), Some(("own-cert-expired", true)));
    }

    #[test]
    fn domains_without_a_certificate_are_named() {
        let leaf = |names: &[&str]| facts(&ca("CA").issue(&request(names)).unwrap());
        let (one, two) = (leaf(&["a.example"]), leaf(&["*.b.example"]));
        let asked = domains(&["a.example", "x.b.example", "c.example"]);
        let uncovered = |side| {
            let findings = coverage(&[&one, &two], side, &asked);
            findings
                .into_iter()
                .map(|finding| finding.subject)
                .collect::<Vec<_>>()
        };

        assert_eq!(uncovered(Side::Xmpp), ["c.example"]);
        assert_eq!(uncovered(Side::Sip), ["x.b.example", "c.example"]);
    }
}
