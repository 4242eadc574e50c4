//! Whether an edge that looks for our domains finds us and believes us.
//!
//! An edge refuses most federated set-ups with a bare 504 and tells nobody why. So its two checks are
//! made here first, on our own records and certificate: the host that `_sipfederationtls._tcp` of a
//! domain names lies exactly in that domain, and the certificate of the link names that host.

use std::collections::BTreeSet;

use certs::identity;
use certs::inspect::Facts;
use certs::names::Name;
use rustls_pki_types::UnixTime;
use translators::model::{Domain, Side};
use translators::sip::lies_in;

use crate::config::{Config, SIPS, Srv, is_fetchable};
use crate::peers::Skew;
use crate::resolve::Resolve;

/// One thing that may be why an edge says no, and whether it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is looked at: a stable word.
    pub id: &'static str,
    /// Which domain or certificate.
    pub subject: String,
    /// How it is.
    pub outcome: Outcome,
    /// What was found.
    pub sentence: String,
    /// What to do; empty where all is well.
    pub fix: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Good,
    /// It is wrong.
    Bad,
    /// Nobody can tell from here.
    Unknown,
}

impl Outcome {
    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Bad => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

impl Check {
    fn good(id: &'static str, subject: impl ToString, sentence: String) -> Self {
        Self::with(id, subject, Outcome::Good, sentence, "")
    }

    fn bad(id: &'static str, subject: impl ToString, sentence: String, fix: &str) -> Self {
        Self::with(id, subject, Outcome::Bad, sentence, fix)
    }

    fn unknown(id: &'static str, subject: impl ToString, sentence: String, fix: &str) -> Self {
        Self::with(id, subject, Outcome::Unknown, sentence, fix)
    }

    fn with(
        id: &'static str,
        subject: impl ToString,
        outcome: Outcome,
        sentence: String,
        fix: &str,
    ) -> Self {
        Self {
            id,
            subject: subject.to_string(),
            outcome,
            sentence,
            fix: fix.to_owned(),
        }
    }
}

/// Makes every check, the most frequent causes first. `skew` is what the clock of the peer showed.
pub async fn checks(
    config: &Config,
    resolver: &dyn Resolve,
    now: UnixTime,
    skew: Option<Skew>,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let domains = local_domains(config);
    for domain in &domains {
        checks.extend(records(config, resolver, domain).await);
    }
    for domain in &domains {
        checks.push(name(config, domain));
    }
    checks.extend(certificates(config, &domains, now));
    checks.push(clock(skew));
    checks.extend(domains.iter().map(|domain| one_side(config, domain)));
    checks.push(allowed(&domains));
    checks
}

/// The domains in whose names we speak to SIP peers: main domains of XMPP peers.
fn local_domains(config: &Config) -> Vec<Domain> {
    let peers = config.peers_on(Side::Xmpp);
    let domains: BTreeSet<Domain> = peers.flat_map(|peer| peer.domains.clone()).collect();
    domains.into_iter().collect()
}

/// What DNS says about a domain of ours.
async fn records(config: &Config, resolver: &dyn Resolve, domain: &Domain) -> Vec<Check> {
    let host = host(config, domain);
    let service = format!("_sipfederationtls._tcp.{}", domain.to_ascii());
    let found = match resolver.srv(&service).await {
        Ok(found) => found,
        Err(fault) => {
            let sentence = format!("{service} could not be looked up: {fault}.");
            let fix = "See that the name servers of this machine answer ([dns] servers).";
            return vec![Check::unknown("record", domain, sentence, fix)];
        }
    };
    let mut checks = Vec::new();
    if found.is_empty() {
        let sentence = format!("There is no record {service}, as this machine sees DNS.");
        let fix = format!(
            "Add {service} SRV 0 0 {SIPS} {host}, or have the other side enter {host} as ProxyFqdn of the allowed domain, where no record is needed."
        );
        checks.push(Check::bad("record", domain, sentence, &fix));
    } else {
        let sentence = format!("There is a record {service}.");
        checks.push(Check::good("record", domain, sentence));
        checks.extend(found.iter().map(|record| target(domain, &host, record)));
        checks.push(ports(config, domain, &service, &found));
    }
    checks.push(address(resolver, domain, &host).await);
    checks
}

/// Whether a record names a host in the domain, and the one that we call ourselves.
fn target(domain: &Domain, host: &str, record: &Srv) -> Check {
    let name = &record.target;
    let inside = Domain::parse(name).is_some_and(|target| lies_in(&target, domain));
    if !inside {
        let sentence = format!(
            "The record leads to {name}, which does not lie exactly in {domain}: an edge that goes by DNS refuses its users (1009)."
        );
        let fix = format!(
            "Let it lead to a host one label below {domain}, such as sip.{domain}, and name that in [sip] hosts; or have the other side enter {host} as ProxyFqdn."
        );
        return Check::bad("record-host", domain, sentence, &fix);
    }
    if !name.eq_ignore_ascii_case(host) {
        let sentence = format!("The record leads to {name}, and we call ourselves {host} there.");
        let fix = format!(
            "Make both the same: [sip] hosts = {{ \"{domain}\" = \"{name}\" }} with a certificate that names it."
        );
        return Check::bad("record-host", domain, sentence, &fix);
    }
    Check::good(
        "record-host",
        domain,
        format!("The record leads to {name}, exactly in {domain}."),
    )
}

/// Whether we listen where the records lead.
fn ports(config: &Config, domain: &Domain, service: &str, found: &[Srv]) -> Check {
    let listened: Vec<u16> = config.sip.listen.iter().map(|at| at.port()).collect();
    let mut records = found.iter();
    let Some(other) = records.find(|record| !listened.contains(&record.port)) else {
        let ports = listed(listened.iter());
        let sentence = format!("The record leads to port {ports}, where this gateway listens.");
        return Check::good("record-port", domain, sentence);
    };
    let sentence = format!(
        "{service} says port {}, and this gateway listens on {}.",
        other.port,
        listed(listened.iter())
    );
    let fix = "Correct the record or [sip] listen; with a port forwarded on the way all is well.";
    Check::unknown("record-port", domain, sentence, fix)
}

async fn address(resolver: &dyn Resolve, domain: &Domain, host: &str) -> Check {
    match resolver.addresses(host).await {
        Ok(found) if found.is_empty() => {
            let sentence = format!("{host} has no address, as this machine sees DNS.");
            let fix = "Add an A or AAAA record that leads to this gateway from outside.";
            Check::bad("address", domain, sentence, fix)
        }
        Ok(found) => {
            let sentence = format!("{host} has the address {}.", listed(found.iter()));
            Check::good("address", domain, sentence)
        }
        Err(fault) => {
            let sentence = format!("{host} could not be looked up: {fault}.");
            let fix = "See that the name servers of this machine answer ([dns] servers).";
            Check::unknown("address", domain, sentence, fix)
        }
    }
}

/// Whether a certificate of ours names the host of a domain, exactly: wildcards do not count.
fn name(config: &Config, domain: &Domain) -> Check {
    let host = host(config, domain);
    let mut credentials = config.sip.credentials.facts();
    let found = credentials.find(|(_, facts)| names(facts, &host));
    if let Some((file, _)) = found {
        let sentence = format!("{file} names {host}.");
        return Check::good("certificate-name", domain, sentence);
    }
    let sentence = format!(
        "No SIP certificate of ours has {host} as dNSName, and an edge compares exactly that (1010)."
    );
    let fix = format!("Get a certificate with the dNSName {host}; wildcards do not count.");
    Check::bad("certificate-name", domain, sentence, &fix)
}

fn names(facts: &Facts, host: &str) -> bool {
    let same = |name: &Name| matches!(name, Name::Dns(text) if text.eq_ignore_ascii_case(host));
    facts.names.iter().any(same)
}

/// Everything else that an edge may dislike about our certificates.
fn certificates(config: &Config, domains: &[Domain], now: UnixTime) -> Vec<Check> {
    let hosts: Vec<String> = domains.iter().map(|domain| host(config, domain)).collect();
    let shown = |facts: &Facts| hosts.iter().any(|host| names(facts, host));
    let all: Vec<(&str, &Facts)> = config.sip.credentials.facts().collect();
    let some = all.iter().any(|(_, facts)| shown(facts));
    // Where none fits, whichever is shown instead is looked at.
    let used = all.iter().filter(|(_, facts)| !some || shown(facts));
    let findings = config.sip.credentials.review(identity::Side::Sip, &[], now);
    let mut checks = Vec::new();
    for (file, facts) in used {
        let about: Vec<_> = findings
            .iter()
            .filter(|finding| finding.subject == *file)
            .collect();
        if about.is_empty() {
            let sentence = "Validity, usages, key, signature and the order of the chain are as they should be.";
            checks.push(Check::good("certificate", file, sentence.to_owned()));
        }
        checks.extend(
            about
                .iter()
                .map(|one| Check::bad("certificate", file, one.sentence.clone(), &one.fix)),
        );
        checks.push(revocation(file, facts));
        let sentence = format!(
            "Whether the other side trusts its issuer, {}.",
            facts.issuer
        );
        let fix = "Have the root above it imported into the store of each edge (isthmusctl lync-setup prints how).";
        checks.push(Check::unknown("certificate-issuer", file, sentence, fix));
    }
    checks
}

/// An edge keeps the revocation lists of its partners, so it must be able to fetch ours.
fn revocation(file: &str, facts: &Facts) -> Check {
    if is_fetchable(facts) {
        let urls = listed(facts.crl_urls.iter());
        let sentence = format!("Its revocation list is at {urls}.");
        let fix = "See that the other side can fetch it.";
        return Check::unknown("certificate-crl", file, sentence, fix);
    }
    let sentence = if facts.crl_urls.is_empty() {
        "It names no place of a revocation list, which Microsoft demands of every certificate."
            .to_owned()
    } else {
        format!(
            "Its revocation list is at {}, where nobody outside can fetch it.",
            listed(facts.crl_urls.iter())
        )
    };
    let fix = "Get a certificate whose CRL distribution point is an http address that the other side reaches.";
    Check::bad("certificate-crl", file, sentence, fix)
}

/// Whether the clocks agree.
fn clock(skew: Option<Skew>) -> Check {
    let fix = "Compare the clocks of both sides with NTP.";
    match skew {
        None => {
            let sentence = "No answer of the peer showed its time yet.".to_owned();
            Check::unknown("clock", "time", sentence, fix)
        }
        Some(Skew { seconds, .. }) if seconds.unsigned_abs() > TOLERATED => {
            let way = if seconds > 0 { "ahead of" } else { "behind" };
            let sentence = format!(
                "The clock of the peer is {} s {way} ours (1013).",
                seconds.unsigned_abs()
            );
            Check::bad("clock", "time", sentence, fix)
        }
        Some(_) => {
            let sentence = "The clock of the peer agrees with ours.".to_owned();
            Check::good("clock", "time", sentence)
        }
    }
}

/// A domain that both sides have can be routed by neither.
fn one_side(config: &Config, domain: &Domain) -> Check {
    if config.directory.owner_on(Side::Sip, domain).is_none() {
        let sentence = "No SIP peer of the configuration has it too.".to_owned();
        return Check::good("one-side", domain, sentence);
    }
    let sentence = "The same SIP domain is on both sides (1017).".to_owned();
    let fix = "Serve it on one side only.";
    Check::bad("one-side", domain, sentence, fix)
}

/// What only the other side can say.
fn allowed(domains: &[Domain]) -> Check {
    let sentence = format!(
        "Whether the other side allows federation with {} for the users in question.",
        listed(domains.iter())
    );
    let fix = "There: Get-CsAllowedDomain, Get-CsAccessEdgeConfiguration, Get-CsExternalAccessPolicy; isthmusctl lync-setup prints what to set.";
    Check::unknown("allowed", "the other side", sentence, fix)
}

fn host(config: &Config, domain: &Domain) -> String {
    config.sip.hosts.of(domain).host().to_owned()
}

fn listed(items: impl Iterator<Item = impl ToString>) -> String {
    items
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Seconds that clocks may differ; Kerberos and Windows take five minutes.
const TOLERATED: u64 = 300;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::testing::{NOW, WORKING, folder};
    use crate::config::{Override, load_text};
    use crate::resolve::Overridden;

    /// The test certificate names one.example.net and conference.one.example.net.
    const HOST: &str = "conference.one.example.net";

    fn config(host: &str) -> Config {
        let folder = folder();
        let text = format!("sip.host = \"{host}\"\n{WORKING}");
        let (config, findings) = load_text(&folder.path().join("isthmus.toml"), &text, NOW);
        config.unwrap_or_else(|| panic!("{findings:?}"))
    }

    fn dns(target: &str, port: u16) -> Overridden {
        let record = Srv {
            priority: 0,
            weight: 0,
            target: target.to_owned(),
            port,
        };
        let srv = Override {
            srv: vec![record],
            addresses: Vec::new(),
        };
        let host = Override {
            srv: Vec::new(),
            addresses: vec![[192, 0, 2, 1].into()],
        };
        let service = "_sipfederationtls._tcp.one.example.net".to_owned();
        Overridden::only([(service, srv), (HOST.to_owned(), host)].into())
    }

    async fn found(host: &str, dns: &Overridden, skew: Option<i64>) -> BTreeMap<String, String> {
        let at = translators::model::Wall::from_unix_millis(0);
        let skew = skew.map(|seconds| Skew { seconds, at });
        let checks = checks(&config(host), dns, NOW, skew).await;
        let told = checks.iter();
        told.map(|check| (check.id.to_owned(), check.outcome.as_str().to_owned()))
            .collect()
    }

    #[tokio::test]
    async fn a_host_that_fits_in_dns_and_certificate_is_good() {
        let found = found(HOST, &dns(HOST, 5061), Some(2)).await;

        for id in [
            "record",
            "record-host",
            "record-port",
            "address",
            "certificate-name",
            "certificate",
            "clock",
            "one-side",
        ] {
            assert_eq!(found.get(id).map(String::as_str), Some("ok"), "{id}");
        }
        assert_eq!(found["certificate-crl"], "wrong", "the test CA names none");
        assert_eq!(found["certificate-issuer"], "unknown");
        assert_eq!(found["allowed"], "unknown");
    }

    #[tokio::test]
    async fn each_cause_is_found() {
        let nothing = Overridden::only(BTreeMap::new());
        let none = found(HOST, &nothing, None).await;
        assert_eq!(none["record"], "wrong");
        assert_eq!(none["address"], "wrong");
        assert_eq!(none["clock"], "unknown");

        let deeper = found(HOST, &dns("gw.sub.one.example.net", 5061), None).await;
        assert_eq!(deeper["record-host"], "wrong");
        let itself = found(HOST, &dns("one.example.net", 5061), None).await;
        assert_eq!(itself["record-host"], "wrong");
        let another = found(HOST, &dns("sip.one.example.net", 5061), None).await;
        assert_eq!(another["record-host"], "wrong");
        let port = found(HOST, &dns(HOST, 443), None).await;
        assert_eq!(port["record-port"], "unknown");

        let unnamed = found("gw.one.example.net", &dns(HOST, 5061), None).await;
        assert_eq!(unnamed["certificate-name"], "wrong");
        for seconds in [301, -301] {
            let late = found(HOST, &dns(HOST, 5061), Some(seconds)).await;
            assert_eq!(late["clock"], "wrong");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_has_a_remedy() {
        let config = config("gw.one.example.net");
        let nothing = Overridden::only(BTreeMap::new());
        for check in checks(&config, &nothing, NOW, None).await {
            let remedy = check.fix.is_empty();
            assert_eq!(remedy, check.outcome == Outcome::Good, "{check:?}");
        }
    }
}
