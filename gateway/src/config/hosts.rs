//! The names under which SIP peers reach us.

use std::net::{IpAddr, SocketAddr};

use certs::credentials::Credentials;
use certs::inspect::Facts;
use translators::model::{Domain, Side};
use translators::sip::{Hosts, lies_in};

use super::check::RESERVED;
use crate::config::document::Path;
use crate::config::fault::Fault;
use crate::config::loader::Loader;
use crate::config::peers::Peers;
use crate::config::schema::{self, SipDialect};
use crate::config::{Dns, SIPS};

/// Reads `sip.host` and `sip.hosts`; the port is that of the first listener, which is known at the
/// start only.
pub(super) fn load(loader: &mut Loader<'_>, section: &schema::Sip, peers: &Peers) -> Option<Hosts> {
    let path = Path::default().key("sip");
    let mut hosts = match &section.host {
        Some(host) => {
            let host = loader.host(&path.key("host"), host)?;
            Hosts::only(&bracketed(&host), SIPS)?
        }
        None => Hosts::new(SIPS),
    };
    for (domain, host) in &section.hosts {
        let path = path.key("hosts").key(domain);
        let domain = Domain::parse(domain).filter(|domain| {
            let served = peers.has(Side::Xmpp, domain);
            if !served {
                let sentence = format!("No XMPP peer has the domain {domain}.");
                let fix =
                    "Name a domain of an XMPP peer, such as \"a.example\" = \"gw.a.example\".";
                loader.error(Fault::BadDomain, &path, sentence, fix);
            }
            served
        });
        let host = loader.host(&path, host);
        let (domain, host) = domain.zip(host)?;
        hosts = hosts.with(domain, &bracketed(&host))?;
    }
    Some(hosts)
}

/// An IPv6 address as it stands in a Via.
fn bracketed(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
    }
}

/// What is known, without a look into DNS, to keep peers from reaching our hosts.
pub(super) fn check(
    loader: &mut Loader<'_>,
    file: &schema::File,
    (hosts, peers): (&Hosts, &Peers),
    (listen, dns): (&[SocketAddr], &Dns),
    credentials: Option<&Credentials>,
) {
    let is_sip = |peer: &&schema::Peer| peer.side == Some(schema::Side::Sip);
    let mut sip = file.peers.iter().filter(is_sip).peekable();
    if sip.peek().is_none() {
        return;
    }
    let microsoft = sip.any(|peer| peer.profile == SipDialect::Microsoft);
    let path = Path::default().key("sip");
    for domain in peers.mains(Side::Xmpp) {
        let sent_by = hosts.of(domain);
        let host = sent_by.host();
        let name = domain.to_ascii();
        let key = path.key("hosts").key(&name);
        let path = if file.sip.hosts.is_empty() {
            path.key("host")
        } else {
            key
        };
        if is_out_of_reach(host, listen, dns) {
            let sentence = format!(
                "SIP peers are told to reach users of {domain} at {host}, where nobody else finds this gateway."
            );
            let fix = "Set sip.host to a name that leads peers to this host.";
            loader.warn(Fault::HostUnreachable, &path, sentence, fix);
        }
        if !microsoft {
            continue;
        }
        let inside = Domain::parse(host).is_some_and(|host| lies_in(&host, domain));
        if !inside {
            let sentence = format!(
                "The host {host} does not lie exactly in {domain}: an edge that finds us by DNS refuses its users."
            );
            let fix = format!(
                "Add hosts = {{ \"{name}\" = \"sip.{name}\" }} to [sip], with its SRV record and certificate; \
                 or enter {host} at the edge as ProxyFqdn of the allowed domain."
            );
            loader.warn(Fault::HostOutside, &path, sentence, fix);
        }
        if credentials.is_some_and(|credentials| !credentials.mentions(host)) {
            let sentence =
                format!("No SIP certificate of ours names {host}, which an edge demands.");
            let fix = format!("Get a certificate with the dNSName {host}.");
            loader.warn(Fault::HostNotInCertificate, &path, sentence, fix);
        }
    }
    if microsoft {
        revocation_known(loader, &path.key("identity"), credentials);
    }
}

/// An edge keeps the revocation lists of its partners, and Microsoft demands that every certificate
/// says where its list is.
fn revocation_known(loader: &mut Loader<'_>, path: &Path, credentials: Option<&Credentials>) {
    let facts = credentials.into_iter().flat_map(Credentials::facts);
    for (file, _) in facts.filter(|(_, facts)| !is_fetchable(facts)) {
        let sentence =
            format!("{file} names no revocation list that an edge could fetch over HTTP.");
        let fix = "Get a certificate with such a CRL distribution point.";
        loader.warn(Fault::CertificateWithoutCrl, path, sentence, fix);
    }
}

/// Whether the revocation list of a certificate lies where others can fetch it.
pub fn is_fetchable(facts: &Facts) -> bool {
    let scheme = |url: &String| url.split(':').next().map(str::to_ascii_lowercase);
    let mut schemes = facts.crl_urls.iter().filter_map(scheme);
    schemes.any(|scheme| matches!(scheme.as_str(), "http" | "https"))
}

/// Whether a host leads others to themselves, or nowhere: an address of the loopback while we listen
/// to others, or a name that DNS is not asked for.
fn is_out_of_reach(host: &str, listen: &[SocketAddr], dns: &Dns) -> bool {
    let local_only = listen.iter().all(|address| address.ip().is_loopback());
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    if let Ok(address) = address {
        return address.is_unspecified() || (address.is_loopback() && !local_only);
    }
    let last = host.rsplit('.').next().unwrap_or(host);
    let known = !dns.servers.is_empty() || dns.overrides.contains_key(host);
    let no_name = !host.contains('.') || RESERVED.contains(&last);
    no_name && !known && !local_only
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{NOW, WORKING, folder};
    use crate::config::{Config, load_text};

    fn load(text: &str) -> (Option<Config>, Vec<&'static str>) {
        let folder = folder();
        let (config, findings) = load_text(&folder.path().join("isthmus.toml"), text, NOW);
        (config, findings.iter().map(|finding| finding.id).collect())
    }

    /// The working file with settings in `[sip]`.
    fn with(settings: &str) -> String {
        format!("{WORKING}\n[sip]\n{settings}\n").replace(
            "[[sip.identity]]\ncertificate = \"sip.pem\"\nkey = \"sip.key\"\n",
            "",
        ) + "identity = [{ certificate = \"sip.pem\", key = \"sip.key\" }]\n"
    }

    #[test]
    fn each_domain_has_its_host() {
        let settings =
            "host = \"gw.example.org\"\nhosts = { \"One.example.net\" = \"gw.one.example.net\" }";
        let (config, findings) = load(&with(settings));

        assert!(findings.is_empty(), "{findings:?}");
        let hosts = config.unwrap().sip.hosts;
        let host = |domain: &str| hosts.of(&Domain::parse(domain).unwrap());
        assert_eq!(host("one.example.net").host(), "gw.one.example.net");
        assert_eq!(host("conference.one.example.net").host(), "gw.example.org");
    }

    #[test]
    fn a_host_is_for_a_domain_that_we_speak_for() {
        let (config, findings) = load(&with(
            "hosts = { \"two.example.net\" = \"gw.example.org\" }",
        ));
        assert!(config.is_none());
        assert_eq!(findings, ["config-bad-domain"]);

        let (config, findings) = load(&with("hosts = { \"one.example.net\" = \"no host\" }"));
        assert!(config.is_none());
        assert_eq!(findings, ["config-bad-domain"]);

        let (_, findings) = load(&with("hosts = { \"one.example.net\" = 5 }"));
        assert_eq!(findings, ["config-wrong-type"]);
    }

    #[test]
    fn an_edge_demands_a_host_inside_the_domain_and_in_the_certificate() {
        let microsoft = |settings: &str| {
            let text = with(settings).replace("page_limit = 8000", "profile = \"microsoft\"");
            load(&text).1
        };

        // The test CA publishes no revocation list.
        let crl = "config-certificate-without-crl";
        assert_eq!(microsoft(""), ["config-host-outside", crl]);
        assert_eq!(
            microsoft("host = \"gw.example.org\""),
            ["config-host-outside", "config-host-not-in-certificate", crl]
        );
        assert_eq!(
            microsoft("host = \"gw.one.example.net\""),
            ["config-host-not-in-certificate", crl]
        );
        let named = "hosts = { \"one.example.net\" = \"conference.one.example.net\" }";
        assert_eq!(microsoft(named), [crl]);
    }

    #[test]
    fn a_host_that_leads_nowhere_is_found_without_asking_dns() {
        let nowhere = ["config-host-unreachable"];

        assert_eq!(load(&with("host = \"gateway\"")).1, nowhere);
        assert_eq!(load(&with("host = \"gw.test\"")).1, nowhere);
        assert_eq!(load(&with("host = \"127.0.0.1\"")).1, nowhere);
        assert_eq!(load(&with("host = \"0.0.0.0\"")).1, nowhere);
        let local = "host = \"127.0.0.1\"\nlisten = [\"127.0.0.1:5061\"]";
        assert!(load(&with(local)).1.is_empty());
        let asked = with("host = \"gw.test\"") + "[dns]\nservers = [\"192.0.2.53:53\"]\n";
        assert!(load(&asked).1.is_empty());
        assert!(load(&with("host = \"2001:db8::1\"")).1.is_empty());
    }
}
