//! The peers of the file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use certs::identity::NamePolicy;
use certs::trust::{Eku, Source, Trust};
use translators::model::{
    Accept, Dialect as CoreDialect, Directory, Domain, PageThread, PeerId, Profile, Side,
    SipProfile, XmppProfile,
};

use crate::config::document::Path;
use crate::config::fault::Fault;
use crate::config::loader::Loader;
use crate::config::{Acks, Authzid, Connect, Dialect, Peer, Route, SipPeer, XmppPeer};
use crate::config::{microsoft, schema, tls, values};

/// Longest name of a peer: it is a label of metrics.
const NAME: usize = 64;
/// Bounds of the settle time: it is part of the 8 s a SIP sender waits.
const SETTLE: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(5));
/// Bounds of the keep-alive: Openfire ends a stream after 30 minutes, counted in halves.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(840));

/// Settings that only an XMPP peer has.
const XMPP_ONLY: [&str; 8] = [
    "connect",
    "accept",
    "settle",
    "acks",
    "keepalive",
    "authzid",
    "max_stanza",
    "contacts",
];
/// Settings that only a SIP peer has.
const SIP_ONLY: [&str; 16] = [
    "profile",
    "microsoft",
    "allow_listed",
    "legacy_tls",
    "page_limit",
    "message_type",
    "page_thread",
    "success",
    "cpim",
    "xhtml_im",
    "conditional",
    "idle_is_away",
    "pace",
    "strict_user",
    "terminate_on_block",
    "trust_asserted",
];

/// The peers, in the order of the file.
#[derive(Default)]
pub(super) struct Peers {
    list: Vec<(Peer, Profile)>,
    owners: BTreeMap<Domain, Owner>,
}

/// Who has a domain.
struct Owner {
    peer: String,
    side: Side,
    place: String,
}

impl Peers {
    /// The domains of one side in the form of certificates, sub-domains included.
    pub(super) fn domains(&self, side: Side) -> Vec<&Domain> {
        let owned = self
            .owners
            .iter()
            .filter(move |(_, owner)| owner.side == side);
        owned.map(|(domain, _)| domain).collect()
    }

    /// Whether a peer of `side` has `domain`.
    pub(super) fn has(&self, side: Side, domain: &Domain) -> bool {
        self.owners
            .get(domain)
            .is_some_and(|owner| owner.side == side)
    }

    /// The domains of the peers on `side` without their sub-domains.
    pub(super) fn mains(&self, side: Side) -> impl Iterator<Item = &Domain> {
        let peers = self
            .list
            .iter()
            .filter(move |(peer, _)| peer.side() == side);
        peers.flat_map(|(peer, _)| &peer.domains)
    }

    /// What core and shell work with.
    pub(super) fn finish(self) -> (Directory, BTreeMap<PeerId, Arc<Peer>>) {
        let (peers, profiles): (Vec<Peer>, Vec<Profile>) = self.list.into_iter().unzip();
        let peers = peers
            .into_iter()
            .map(|peer| (peer.id.clone(), Arc::new(peer)));
        (Directory::new(profiles), peers.collect())
    }
}

/// Reads the peers; one with an error is left out.
pub(super) fn load(loader: &mut Loader<'_>, sections: &[schema::Peer]) -> Peers {
    let path = Path::default().key("peer");
    let mut peers = Peers::default();
    for (place, section) in sections.iter().enumerate() {
        let path = path.item(place);
        if let Some(side) = side(section) {
            let read = peer(loader, &path, section, side, &mut peers);
            peers.list.extend(read);
        }
    }
    peers
}

/// The side; without one there was a finding before.
fn side(section: &schema::Peer) -> Option<Side> {
    section.side.map(|side| match side {
        schema::Side::Sip => Side::Sip,
        schema::Side::Xmpp => Side::Xmpp,
    })
}

fn peer(
    loader: &mut Loader<'_>,
    path: &Path,
    section: &schema::Peer,
    side: Side,
    peers: &mut Peers,
) -> Option<(Peer, Profile)> {
    let id = name(loader, path, section, peers);
    let domains = domains(loader, path, section, side, peers);
    let trust = trust(loader, path, section);
    let tls = tls::load(loader, path, section, side);
    let route = routes(loader, &path.key("route"), &section.route);
    let dialect = match side {
        Side::Sip => Some(Dialect::Sip(SipPeer {
            pace: (section.pace > 0).then_some(section.pace),
            cap: microsoft::cap(section),
            microsoft: section.profile == schema::SipDialect::Microsoft,
        })),
        Side::Xmpp => xmpp(loader, path, section).map(Dialect::Xmpp),
    };
    right_side(loader, path, side);
    if side == Side::Sip {
        microsoft::right_profile(loader, path, section);
    }
    let (id, (domains, subdomains)) = (id?, domains?);
    let profile = Profile {
        id: id.clone(),
        domains: domains.iter().chain(&subdomains).cloned().collect(),
        accept: match section.accept {
            schema::Accept::Barrier => Accept::Barrier,
            schema::Accept::Immediate => Accept::Immediate,
        },
        dialect: core_dialect(loader, path, section, side),
    };
    let peer = Peer {
        id,
        domains,
        subdomains,
        trust: trust?,
        tls,
        route,
        dialect: dialect?,
    };
    Some((peer, profile))
}

fn name(
    loader: &mut Loader<'_>,
    path: &Path,
    section: &schema::Peer,
    peers: &Peers,
) -> Option<PeerId> {
    let (path, name) = (path.key("name"), &section.name);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() && !loader.names(&path) {
        return None;
    }
    if name.is_empty() || name.len() > NAME || !name.chars().all(fits) {
        let sentence = format!("\"{name}\" cannot be the name of a peer.");
        let fix = "Use up to 64 letters, digits, dots, hyphens and underscores.";
        loader.error(Fault::BadValue, &path, sentence, fix);
        return None;
    }
    let id = PeerId::new(name);
    if peers.list.iter().any(|(peer, _)| peer.id == id) {
        let sentence = format!("Two peers are called {name}.");
        loader.error(
            Fault::Duplicate,
            &path,
            sentence,
            "Give each peer a name of its own.",
        );
    }
    Some(id)
}

/// Domains and sub-domains, entered in the list of owners.
fn domains(
    loader: &mut Loader<'_>,
    path: &Path,
    section: &schema::Peer,
    side: Side,
    peers: &mut Peers,
) -> Option<(Vec<Domain>, Vec<Domain>)> {
    if section.domains.is_empty() && loader.names(&path.key("domains")) {
        let sentence = "The peer has no domain.";
        let fix = "Name the domains of its users, such as domains = [\"example.net\"].";
        loader.error(Fault::MissingKey, &path.key("domains"), sentence, fix);
    }
    let mut lists = [Vec::new(), Vec::new()];
    let keys = [
        ("domains", &section.domains),
        ("subdomains", &section.subdomains),
    ];
    for (list, (key, texts)) in lists.iter_mut().zip(keys) {
        for (place, text) in texts.iter().enumerate() {
            let path = path.key(key).item(place);
            list.extend(domain(loader, &path, text, (side, &section.name), peers));
        }
    }
    let [domains, subdomains] = lists;
    (!domains.is_empty()).then_some((domains, subdomains))
}

fn domain(
    loader: &mut Loader<'_>,
    path: &Path,
    text: &str,
    (side, peer): (Side, &str),
    peers: &mut Peers,
) -> Option<Domain> {
    let Some(domain) =
        Domain::parse(text).filter(|_| values::host_name(text).is_some() || !text.is_ascii())
    else {
        let sentence = format!("\"{text}\" is not a domain name.");
        let fix = "Write the domain alone, such as example.net, without user, port or wildcard.";
        loader.error(Fault::BadDomain, path, sentence, fix);
        return None;
    };
    if text.chars().any(char::is_uppercase) {
        let sentence =
            format!("\"{text}\" has capitals; some peers compare names letter by letter.");
        let fix = format!("Write {domain}, here and in certificates.");
        loader.warn(Fault::Capitals, path, sentence, fix);
    }
    let place = loader.place(path);
    if let Some(owner) = peers.owners.get(&domain) {
        let (fault, fix) = if owner.side == side {
            (
                Fault::DuplicateDomain,
                "Leave it with the one peer whose server serves it.",
            )
        } else {
            (
                Fault::DomainOnBothSides,
                "A domain has its users on one side only; use another domain on the other side.",
            )
        };
        let sentence = format!(
            "{domain} belongs to peer {} already ({}).",
            owner.peer, owner.place
        );
        loader.error(fault, path, sentence, fix);
        return None;
    }
    let peer = peer.to_owned();
    peers
        .owners
        .insert(domain.clone(), Owner { peer, side, place });
    Some(domain)
}

fn trust(loader: &mut Loader<'_>, path: &Path, section: &schema::Peer) -> Option<Arc<Trust>> {
    let ca = section
        .ca
        .as_ref()
        .map(|ca| loader.read(&path.key("ca"), ca));
    let crl = section
        .crl
        .as_ref()
        .map(|crl| loader.read(&path.key("crl"), crl));
    // A file that was named and could not be read must not pass for one that was not named.
    let anchors = ca.map_or(Some(Vec::new()), |read| read);
    let crls = match crl {
        Some(read) => Some(read?),
        None => None,
    };
    let subject = format!("peer {}", section.name);
    let source = Source {
        subject: &subject,
        anchors: &anchors?,
        crls: crls.as_deref(),
        eku: match section.eku {
            schema::Eku::Strict => Eku::Strict,
            schema::Eku::ServerOk => Eku::ServerOk,
        },
        depth: section.verify_depth,
        pins: &section.pins,
        names: match section.name_policy {
            schema::NamePolicy::San => NamePolicy::San,
            schema::NamePolicy::CnIfNoSan => NamePolicy::CnIfNoSan,
        },
        expected: &section.expected_identity,
    };
    let (trust, findings) = Trust::load(&source, loader.now());
    for finding in findings {
        loader.adopt(path, finding);
    }
    trust.map(Arc::new)
}

fn routes(loader: &mut Loader<'_>, path: &Path, texts: &[String]) -> Vec<Route> {
    let mut routes = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let route = values::route(text);
        if route.is_none() {
            let sentence = format!("\"{text}\" is not a host with a port.");
            let fix = "Write HOST:PORT, such as xmpp.example.net:5269 or [2001:db8::1]:5061.";
            loader.error(Fault::BadAddress, &path.item(place), sentence, fix);
        }
        routes.extend(route);
    }
    routes
}

fn xmpp(loader: &mut Loader<'_>, path: &Path, section: &schema::Peer) -> Option<XmppPeer> {
    let settle = loader.duration(&path.key("settle"), &section.settle, SETTLE);
    let keepalive = loader.duration(&path.key("keepalive"), &section.keepalive, KEEPALIVE);
    Some(XmppPeer {
        connect: match section.connect {
            schema::Connect::Auto => Connect::Auto,
            schema::Connect::Starttls => Connect::Starttls,
            schema::Connect::Direct => Connect::Direct,
        },
        settle: settle?,
        acks: match section.acks {
            schema::Acks::Auto => Acks::Auto,
            schema::Acks::On => Acks::On,
            schema::Acks::Off => Acks::Off,
        },
        keepalive: keepalive?,
        authzid: match section.authzid {
            schema::Authzid::Domain => Authzid::Domain,
            schema::Authzid::None => Authzid::None,
        },
    })
}

fn core_dialect(
    loader: &mut Loader<'_>,
    path: &Path,
    section: &schema::Peer,
    side: Side,
) -> CoreDialect {
    match side {
        Side::Xmpp => CoreDialect::Xmpp(XmppProfile {
            max_stanza: octets(section.max_stanza),
            contacts: octets(section.contacts),
        }),
        Side::Sip => CoreDialect::Sip(SipProfile {
            microsoft: microsoft::load(loader, path, section),
            page_limit: section
                .page_limit
                .map_or_else(|| microsoft::page_limit(section), octets),
            chat: match section.message_type {
                Some(schema::MessageType::Chat) => true,
                Some(schema::MessageType::Normal) => false,
                None => section.profile == schema::SipDialect::Microsoft,
            },
            page_thread: match section.page_thread {
                schema::PageThread::Off => PageThread::Off,
                schema::PageThread::Map => PageThread::Map,
                schema::PageThread::Sticky => PageThread::Sticky,
            },
            success: section.success,
            cpim: section.cpim,
            xhtml_im: section.xhtml_im,
            conditional: section.conditional,
            idle_is_away: section
                .idle_is_away
                .unwrap_or(section.profile == schema::SipDialect::Microsoft),
            strict_user: section.strict_user,
            terminate_on_block: section.terminate_on_block,
            trust_asserted: section.trust_asserted,
        }),
    }
}

fn octets(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Says which settings belong to the other side.
fn right_side(loader: &mut Loader<'_>, path: &Path, side: Side) {
    let foreign: &[&str] = match side {
        Side::Sip => &XMPP_ONLY,
        Side::Xmpp => &SIP_ONLY,
    };
    for key in foreign {
        let path = path.key(key);
        if loader.names(&path) {
            let sentence = format!("{key} means nothing for a peer on side {side}.");
            loader.error(Fault::WrongSide, &path, sentence, "Remove it.");
        }
    }
}
