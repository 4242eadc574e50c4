//! Which domains a certificate speaks for.
//!
//! XMPP: RFC 6120 section 13.7.1.2 and XEP-0178: dNSName (a wildcard stands for the whole left-most label),
//! SRVName `_xmpp-server.`, xmppAddr. SIP: RFC 5922 sections 7.1 and 7.2: a SIP URI without user part, dNSName
//! only where there is no such URI, no wildcards. The common name counts by policy only, and never beside a
//! subjectAltName (RFC 9525 section 2).
//!
//! Domains are compared as lower-case A-labels. A trailing dot, an empty label or white space matches nothing.

use crate::inspect::Facts;
use crate::names::Name;

/// One of the two networks a certificate is used in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// XMPP server to server.
    Xmpp,
    /// SIP over TLS.
    Sip,
}

/// Which names of a certificate count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamePolicy {
    /// Subject alternative names only.
    #[default]
    San,
    /// Also the one common name of a certificate without any subjectAltName, compared exactly.
    CnIfNoSan,
}

/// Which kinds of names the issuers in the path were able to vouch for.
///
/// Name constraints are enforced on dNSNames only, so below a constrained CA the other kinds prove nothing:
/// it could put a stranger's SRVName into a certificate without breaking them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// No CA of the path is constrained.
    AllNames,
    /// Some CA of the path carries name constraints.
    DnsNamesOnly,
}

/// How a peer's certificate is matched with domains.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matching {
    /// Which names count.
    pub(crate) policy: NamePolicy,
    /// Exact names that stand for all domains of the peer.
    pub(crate) expected: Vec<String>,
}

impl Matching {
    /// The part of `domains` that the certificate proves.
    pub(crate) fn proven(
        &self,
        facts: &Facts,
        side: Side,
        reach: Reach,
        domains: &[String],
    ) -> Vec<String> {
        let presented = self.presented(facts, reach);
        let all = presented.iter().any(|name| {
            let text = comparable(&name.text());
            self.expected
                .iter()
                .any(|wanted| comparable(wanted) == text)
        });
        if all {
            return domains.to_vec();
        }
        let identities = identities(&presented, side);
        domains
            .iter()
            .filter(|domain| covered(&identities, domain))
            .cloned()
            .collect()
    }

    /// The names that count; a common name that counts is an exact dNSName.
    fn presented(&self, facts: &Facts, reach: Reach) -> Vec<Name> {
        match reach {
            Reach::DnsNamesOnly => facts
                .names
                .iter()
                .filter(|name| matches!(name, Name::Dns(_)))
                .cloned()
                .collect(),
            Reach::AllNames => match (self.policy, facts.common_names.as_slice()) {
                (NamePolicy::CnIfNoSan, [name]) if !facts.has_san && !name.contains('*') => {
                    vec![Name::Dns(name.clone())]
                }
                (NamePolicy::CnIfNoSan | NamePolicy::San, _) => facts.names.clone(),
            },
        }
    }
}

/// Whether a certificate speaks for `domain` on `side` by its subject alternative names.
pub fn covers(facts: &Facts, side: Side, domain: &str) -> bool {
    covered(&identities(&facts.names, side), domain)
}

/// Whether a certificate is a good choice to show to someone who asked for `name` (SNI, stream header).
///
/// More tolerant than [`covers`]: every kind of name counts, because showing is not proving.
pub fn mentions(facts: &Facts, name: &str) -> bool {
    covers(facts, Side::Xmpp, name) || covers(facts, Side::Sip, name)
}

/// The lower-case A-label form of a domain; `None` if it is none.
pub fn a_label(domain: &str) -> Option<String> {
    let ascii = if domain.is_ascii() {
        domain.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(domain).ok()?
    };
    let labels = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ascii
        .split('.')
        .all(|label| !label.is_empty() && label.chars().all(labels))
        .then_some(ascii)
}

/// One thing a certificate stands for.
enum Identity {
    /// Exactly this domain.
    Exact(String),
    /// Every domain of one label more than this.
    AnyLabelOf(String),
}

/// The identities of `names` under the rules of `side`.
fn identities(names: &[Name], side: Side) -> Vec<Identity> {
    match side {
        Side::Xmpp => names.iter().filter_map(xmpp_identity).collect(),
        Side::Sip => {
            // "... only if no other identity is found that matches the 'sip' URI type identifier"
            // (RFC 5922 section 7.1)
            let uris: Vec<_> = names.iter().filter_map(sip_uri_identity).collect();
            if uris.is_empty() {
                names.iter().filter_map(exact_dns_identity).collect()
            } else {
                uris
            }
        }
    }
}

/// What a name means between XMPP servers.
fn xmpp_identity(name: &Name) -> Option<Identity> {
    match name {
        Name::Dns(text) => match text.strip_prefix("*.") {
            // A wildcard right below a top-level domain is a mistake or worse.
            Some(parent) if parent.contains('.') => a_label(parent).map(Identity::AnyLabelOf),
            Some(_) => None,
            None => a_label(text).map(Identity::Exact),
        },
        Name::Srv(text) => {
            let (service, domain) = text.split_once('.')?;
            service
                .eq_ignore_ascii_case("_xmpp-server")
                .then(|| a_label(domain))
                .flatten()
                .map(Identity::Exact)
        }
        Name::XmppAddr(text) => a_label(text).map(Identity::Exact),
        Name::Ip(_) | Name::SipUri(_) => None,
    }
}

/// The domain of a SIP URI: scheme `sip` only, no user part (RFC 5922 section 7.1).
fn sip_uri_identity(name: &Name) -> Option<Identity> {
    let Name::SipUri(uri) = name else {
        return None;
    };
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') {
        return None;
    }
    let host = rest.split([':', ';', '?']).next()?;
    a_label(host).map(Identity::Exact)
}

/// A dNSName without wildcard (RFC 5922 section 7.2).
fn exact_dns_identity(name: &Name) -> Option<Identity> {
    match name {
        Name::Dns(text) => a_label(text).map(Identity::Exact),
        Name::Ip(_) | Name::SipUri(_) | Name::Srv(_) | Name::XmppAddr(_) => None,
    }
}

/// Whether one of the identities is, or stands for, `domain`.
fn covered(identities: &[Identity], domain: &str) -> bool {
    let Some(domain) = a_label(domain) else {
        return false;
    };
    let parent = domain.split_once('.').map(|(_, parent)| parent);
    identities.iter().any(|identity| match identity {
        Identity::Exact(name) => *name == domain,
        Identity::AnyLabelOf(name) => parent == Some(name),
    })
}

/// The form in which an expected name is compared: case does not matter, everything else does.
fn comparable(name: &str) -> String {
    a_label(name).unwrap_or_else(|| name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{domains, facts, request};

    fn named(names: &[&str]) -> Facts {
        facts(&request(names).self_signed().unwrap())
    }

    fn proven(names: &[&str], side: Side, asked: &[&str]) -> Vec<String> {
        Matching::default().proven(&named(names), side, Reach::AllNames, &domains(asked))
    }

    #[test]
    fn xmpp_takes_dns_names_srv_names_and_xmpp_addresses() {
        let names = [
            "dns.example",
            "srv:_xmpp-server.srv.example",
            "srv:_XMPP-Server.Capital.example",
            "srv:_sip.sip.example",
            "srv:_xmpp-client.client.example",
            "xmpp:addr.example",
            "sip:uri.example",
            "ip:192.0.2.1",
        ];
        let asked = [
            "dns.example",
            "srv.example",
            "capital.example",
            "sip.example",
            "client.example",
            "addr.example",
            "uri.example",
            "192.0.2.1",
        ];

        assert_eq!(
            proven(&names, Side::Xmpp, &asked),
            [
                "dns.example",
                "srv.example",
                "capital.example",
                "addr.example"
            ]
        );
    }

    #[test]
    fn a_wildcard_is_one_whole_left_most_label_of_xmpp() {
        let covers = |name: &str, domain: &str| !proven(&[name], Side::Xmpp, &[domain]).is_empty();

        assert!(covers("*.a.example", "conference.a.example"));
        assert!(!covers("*.a.example", "a.example"));
        assert!(!covers("*.a.example", "x.conference.a.example"));
        assert!(!covers("*.a.example", ".a.example"));
        assert!(!covers("c*.a.example", "conference.a.example"));
        assert!(!covers("conference.*.example", "conference.a.example"));
        assert!(!covers("*.example", "a.example"));
        assert!(!covers("*", "example"));
    }

    #[test]
    fn a_wildcard_that_is_expected_stands_for_all_of_a_peer() {
        let matching = Matching {
            expected: vec!["*.A.example".to_owned()],
            ..Matching::default()
        };
        let asked = domains(&["a.example", "conference.a.example", "x.y.a.example"]);
        let proven =
            |name: &str| matching.proven(&named(&[name]), Side::Xmpp, Reach::AllNames, &asked);

        assert_eq!(proven("*.a.example"), asked);
        assert_eq!(proven("*.b.example"), [""; 0]);
    }

    #[test]
    fn sip_takes_uris_first_then_dns_names_and_no_wildcards() {
        let sip = |names: &[&str], domain: &str| !proven(names, Side::Sip, &[domain]).is_empty();

        assert!(sip(&["sip:a.example"], "a.example"));
        assert!(sip(&["SIP:A.Example:5061;transport=tls"], "a.example"));
        assert!(sip(&["a.example"], "a.example"));
        assert!(sip(&["sips:b.example", "a.example"], "a.example"));
        assert!(!sip(&["sip:b.example", "a.example"], "a.example"));
        assert!(!sip(&["sip:user@a.example"], "a.example"));
        assert!(!sip(&["sips:a.example"], "a.example"));
        assert!(!sip(&["*.a.example"], "x.a.example"));
        assert!(!sip(&["srv:_xmpp-server.a.example"], "a.example"));
        assert!(!sip(&["xmpp:a.example"], "a.example"));
    }

    #[test]
    fn international_domains_meet_as_a_labels() {
        let a_label = "xn--bcher-kva.example";
        let u_label = "B\u{fc}cher.example";

        assert_eq!(proven(&[a_label], Side::Xmpp, &[u_label]), [u_label]);
        assert_eq!(
            proven(&["xmpp:b\u{fc}cher.example"], Side::Xmpp, &[a_label]),
            [a_label]
        );
        assert_eq!(
            proven(&["XN--BCHER-KVA.example"], Side::Sip, &[a_label]),
            [a_label]
        );
    }

    #[test]
    fn what_is_no_domain_matches_nothing() {
        for odd in [
            "a.example.",
            "",
            ".",
            "a..example",
            "user@a.example",
            "a.example/x",
            "a example",
        ] {
            assert_eq!(a_label(odd), None, "{odd}");
            assert_eq!(proven(&["a.example"], Side::Xmpp, &[odd]), [""; 0]);
        }
    }

    #[test]
    fn the_common_name_counts_alone_exact_and_single() {
        let matching = Matching {
            policy: NamePolicy::CnIfNoSan,
            expected: Vec::new(),
        };
        let by_cn = |common_name: &str, names: &[&str]| {
            let mut wish = request(names);
            wish.common_name = common_name.to_owned();
            let facts = facts(&wish.self_signed().unwrap());
            matching.proven(
                &facts,
                Side::Xmpp,
                Reach::AllNames,
                &domains(&["a.b.example"]),
            )
        };
        let two = Facts {
            common_names: domains(&["a.b.example", "a.b.example"]),
            ..named(&[])
        };

        assert_eq!(by_cn("A.b.example", &[]), ["a.b.example"]);
        assert_eq!(by_cn("*.b.example", &[]), [""; 0]);
        assert_eq!(by_cn("a.b.example", &["other.example"]), [""; 0]);
        assert_eq!(by_cn("a.b.example", &["ip:192.0.2.1"]), [""; 0]);
        let asked = domains(&["a.b.example"]);
        assert_eq!(
            matching.proven(&two, Side::Xmpp, Reach::AllNames, &asked),
            [""; 0]
        );
    }

    #[test]
    fn showing_is_more_tolerant_than_proving() {
        let facts = named(&["*.a.example", "sip:b.example"]);

        assert!(mentions(&facts, "x.a.example"));
        assert!(mentions(&facts, "b.example"));
        assert!(!covers(&facts, Side::Sip, "x.a.example"));
        assert!(!mentions(&facts, "c.example"));
    }
}
