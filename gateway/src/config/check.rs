//! What can run and will still not work: warnings.

use certs::credentials::Credentials;
use translators::model::{Domain, Side};
use translators::policy::Scope;

use crate::config::document::Path;
use crate::config::fault::Fault;
use crate::config::loader::Loader;
use crate::config::peers::Peers;
use crate::config::schema::SipDialect;
use crate::config::{Dns, schema};

/// Top-level names that no DNS answers for (RFC 2606).
pub(super) const RESERVED: [&str; 4] = ["example", "test", "invalid", "localhost"];

/// Checks the parts of the file against each other.
pub(super) fn file(loader: &mut Loader<'_>, file: &schema::File, peers: &Peers, dns: &Dns) {
    somebody_to_talk_to(loader, file);
    no_domain_inside_another(loader, peers);
    rules_reach_somebody(loader, &file.federation, peers);
    decisions_reach_somebody(loader, &file.policy, peers);
    for (place, peer) in file.peers.iter().enumerate() {
        let path = Path::default().key("peer").item(place);
        way_known(loader, &path, peer, dns);
    }
}

/// Checks our certificates of one side against what its peers are known to refuse, and against
/// the domains we speak for there.
pub(super) fn credentials(
    loader: &mut Loader<'_>,
    side: Side,
    credentials: Option<&Credentials>,
    peers: &Peers,
) {
    let Some(credentials) = credentials else {
        return;
    };
    let domains = peers.domains(side.other());
    let domains: Vec<String> = domains.into_iter().map(Domain::to_ascii).collect();
    let (side, section) = match side {
        Side::Sip => (certs::identity::Side::Sip, "sip"),
        Side::Xmpp => (certs::identity::Side::Xmpp, "xmpp"),
    };
    let path = Path::default().key(section).key("identity");
    for finding in credentials.review(side, &domains, loader.now()) {
        // What forbids the use of a certificate was said when it was loaded.
        if !finding.is_error() {
            loader.adopt(&path, finding);
        }
    }
}

fn somebody_to_talk_to(loader: &mut Loader<'_>, file: &schema::File) {
    let path = Path::default().key("peer");
    if file.peers.is_empty() {
        let sentence = "There are no peers, so there is nobody to carry messages between.";
        let fix = "Add a [[peer]] for each server; conf/peers has samples.";
        loader.error(Fault::NoPeers, &path, sentence, fix);
        return;
    }
    for (side, name) in [(schema::Side::Xmpp, "xmpp"), (schema::Side::Sip, "sip")] {
        if !file.peers.iter().any(|peer| peer.side == Some(side)) {
            let sentence = format!("No peer is on side {name}, so nothing can be carried.");
            let fix = format!("Add a [[peer]] with side = \"{name}\".");
            loader.warn(Fault::SideWithoutPeers, &path, sentence, fix);
        }
    }
}

/// Openfire compares domains by substring and by suffix: presence gets lost or goes astray.
fn no_domain_inside_another(loader: &mut Loader<'_>, peers: &Peers) {
    for sip in peers.domains(Side::Sip) {
        for xmpp in peers.domains(Side::Xmpp) {
            let sentence = if sip.as_str().contains(xmpp.as_str()) {
                format!(
                    "The SIP domain {sip} contains the XMPP domain {xmpp}: Openfire drops presence then."
                )
            } else if xmpp.as_str().ends_with(&format!(".{sip}")) {
                format!(
                    "The XMPP domain {xmpp} ends with the SIP domain {sip}: Openfire may keep what is for SIP users."
                )
            } else {
                continue;
            };
            let fix = "Use domains of which none is part of the other, or no Openfire.";
            let path = Path::default().key("peer");
            loader.warn(Fault::DomainInside, &path, sentence, fix);
        }
    }
}

fn rules_reach_somebody(loader: &mut Loader<'_>, section: &schema::Federation, peers: &Peers) {
    let path = Path::default().key("federation");
    let allows = |rule: &schema::Rule| matches!(rule.verdict, schema::Ruling::Allow);
    let closed = matches!(section.default, schema::Ruling::Deny);
    if closed && !section.rules.iter().any(allows) {
        let sentence = "The default is deny and no rule allows anything, so nobody may exchange.";
        let fix = "Add a [[federation.rule]] with verdict = \"allow\".";
        loader.warn(Fault::NobodyAllowed, &path.key("default"), sentence, fix);
    }
    for (place, rule) in section.rules.iter().enumerate() {
        let path = path.key("rule").item(place);
        for (side, key, text) in [
            (Side::Xmpp, "xmpp", &rule.xmpp),
            (Side::Sip, "sip", &rule.sip),
        ] {
            reaches_somebody(loader, &path.key(key), side, text, peers);
        }
    }
}

fn decisions_reach_somebody(loader: &mut Loader<'_>, section: &schema::Policy, peers: &Peers) {
    let path = Path::default().key("policy").key("domain");
    for (place, decision) in section.domains.iter().enumerate() {
        let path = path.item(place);
        reaches_somebody(loader, &path.key("xmpp"), Side::Xmpp, &decision.xmpp, peers);
        reaches_somebody(loader, &path.key("sip"), Side::Sip, &decision.sip, peers);
    }
}

fn reaches_somebody(loader: &mut Loader<'_>, path: &Path, side: Side, text: &str, peers: &Peers) {
    let domain = match Scope::parse(text) {
        Some(Scope::Domain(domain)) => Some(domain),
        Some(Scope::User(user)) => Domain::parse(user.domain().as_str()),
        Some(Scope::Any) | None => None,
    };
    if let Some(domain) = domain.filter(|domain| !peers.has(side, domain)) {
        let sentence =
            format!("No peer on side {side} has the domain {domain}, so this never matches.");
        let fix = "Correct the domain, or add it to a peer.";
        loader.warn(Fault::RuleWithoutPeer, path, sentence, fix);
    }
}

/// Warns where DNS will not know the way and nothing else does.
fn way_known(loader: &mut Loader<'_>, path: &Path, peer: &schema::Peer, dns: &Dns) {
    let services: &[&str] = match peer.side {
        Some(schema::Side::Sip) if peer.profile == SipDialect::Microsoft => {
            &["_sipfederationtls._tcp.", "_sips._tcp."]
        }
        Some(schema::Side::Sip) => &["_sips._tcp."],
        Some(schema::Side::Xmpp) => &["_xmpp-server._tcp.", "_xmpps-server._tcp."],
        None => return,
    };
    if !peer.route.is_empty() || !dns.servers.is_empty() {
        return;
    }
    for (place, domain) in peer.domains.iter().enumerate() {
        let name = domain.to_ascii_lowercase();
        let last = name.rsplit('.').next().unwrap_or(&name);
        let answered = |service: &&str| dns.overrides.contains_key(&format!("{service}{name}"));
        if Domain::parse(&name).is_none() {
            continue;
        }
        let known = services.iter().any(answered) || dns.overrides.contains_key(&name);
        if known || (name.contains('.') && !RESERVED.contains(&last)) {
            continue;
        }
        let path = path.key("domains").item(place);
        let sentence = format!("Public DNS knows no way to {domain}, and no route is given.");
        let fix = "Give the peer a route, or the name a [[dns.override]].";
        loader.warn(Fault::NoRoute, &path, sentence, fix);
    }
}
