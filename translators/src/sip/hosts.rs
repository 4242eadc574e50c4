//! The names under which SIP peers reach the gateway: one for each of our domains.
//!
//! An edge takes a request only if the host that its own look-up of the sender's domain gives lies
//! exactly in that domain, and the certificate of the link names that host. So whatever goes out in
//! the name of a domain carries the host of that domain in Via and Contact.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Domain;
use crate::sip::{Head, SentBy, Via};

/// Our host names, by domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    port: u16,
    /// For domains without a name of their own; without it such a domain is its own host.
    usual: Option<SentBy>,
    named: Arc<BTreeMap<Domain, SentBy>>,
}

impl Hosts {
    /// Each domain is reached under its own name.
    pub fn new(port: u16) -> Self {
        Self {
            port,
            usual: None,
            named: Arc::default(),
        }
    }

    /// Every domain is reached at `host`; `None` if that cannot stand in a Via.
    pub fn only(host: &str, port: u16) -> Option<Self> {
        let usual = Some(SentBy::new(host, port)?);
        Some(Self {
            usual,
            ..Self::new(port)
        })
    }

    /// Users of `local` are reached at `host`; `None` if that cannot stand in a Via.
    pub fn with(mut self, local: Domain, host: &str) -> Option<Self> {
        let sent_by = SentBy::new(host, self.port)?;
        Arc::make_mut(&mut self.named).insert(local, sent_by);
        Some(self)
    }

    /// The same with another port.
    pub fn on_port(self, port: u16) -> Self {
        let moved = |host: &SentBy| host.clone().on_port(port);
        let named = self
            .named
            .iter()
            .map(|(domain, host)| (domain.clone(), moved(host)));
        Self {
            port,
            usual: self.usual.as_ref().map(moved),
            named: Arc::new(named.collect()),
        }
    }

    /// What Vias and Contacts in the name of `local` say.
    pub fn of(&self, local: &Domain) -> SentBy {
        let named = self.named.get(local).or(self.usual.as_ref());
        named.map_or_else(|| SentBy::at(local, self.port), Clone::clone)
    }

    /// The name under which the user that a request is for is reached: that of the domain in To, which
    /// stays the same inside dialogs. `None` if To cannot be read.
    pub fn asked_by(&self, request: &Head) -> Option<SentBy> {
        let domain = Domain::parse(request.to().ok()?.uri().host())?;
        Some(self.of(&domain))
    }

    /// Whether a Via names one of them. Where domains are their own hosts, any name may be one: the
    /// mark in the branch tells what is ours.
    pub fn are_named_by(&self, via: &Via<'_>) -> bool {
        let mut known = self.named.values().chain(&self.usual);
        let own = || {
            let host = Domain::parse(via.host).map(|host| SentBy::at(&host, self.port));
            host.is_some_and(|host| host.is_named_by(via))
        };
        known.any(|host| host.is_named_by(via)) || (self.usual.is_none() && own())
    }
}

/// Whether `host` lies exactly in `domain`, one label below it: what an edge demands of the host
/// that the records of a domain name.
pub fn lies_in(host: &Domain, domain: &Domain) -> bool {
    let above = host.as_str().split_once('.').map(|(_, above)| above);
    above == Some(domain.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    fn via(host: &str, port: Option<u16>, hosts: &Hosts) -> bool {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let text = format!("SIP/2.0/TLS {host}{port};branch=z9hG4bK1");
        let mut cursor = crate::sip::cursor::Cursor::new(&text, 0, crate::sip::Defect::Uri);
        hosts.are_named_by(&Via::read(&mut cursor).unwrap())
    }

    #[test]
    fn a_domain_has_its_own_name_else_the_usual_one() {
        let hosts = Hosts::only("gw.a.example", 5061).unwrap();
        let hosts = hosts.with(domain("b.example"), "sip.b.example").unwrap();

        assert_eq!(hosts.of(&domain("a.example")).host(), "gw.a.example");
        assert_eq!(hosts.of(&domain("b.example")).host(), "sip.b.example");
        assert!(via("GW.a.example", Some(5061), &hosts));
        assert!(via("sip.b.example", None, &hosts));
        assert!(!via("b.example", Some(5061), &hosts));
        assert!(!via("sip.b.example", Some(5062), &hosts));
    }

    #[test]
    fn without_a_name_a_domain_is_its_own_host() {
        let hosts = Hosts::new(5062);
        let hosts = hosts.with(domain("b.example"), "sip.b.example").unwrap();

        assert_eq!(
            hosts.of(&domain("bücher.example")).host(),
            "xn--bcher-kva.example"
        );
        assert_eq!(hosts.of(&domain("b.example")).host(), "sip.b.example");
        assert!(via("a.example", Some(5062), &hosts));
        assert!(!via("a.example", None, &hosts));
        assert!(Hosts::only("a b", 5061).is_none());
    }

    #[test]
    fn a_host_lies_in_the_domain_one_label_above_it_and_in_no_other() {
        let lies = |host, above| lies_in(&domain(host), &domain(above));
        assert!(lies("gw.a.example", "a.example"));
        assert!(!lies("gw.x.a.example", "a.example"));
        assert!(!lies("a.example", "a.example"));
        assert!(!lies("gw.b.example", "a.example"));
    }
}
