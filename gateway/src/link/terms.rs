//! What the configuration says about streams, in the words of the stream machine.

use std::sync::Arc;

use translators::xmpp::stream::{Acks, OutgoingSettings, Terms};

use crate::config::{self, Config};
use crate::peers::PathKey;

/// What a stream of ours is for.
pub(super) struct Outgoing<'a> {
    pub(super) peer: &'a Arc<config::Peer>,
    pub(super) dialect: &'a config::XmppPeer,
    pub(super) key: &'a PathKey,
    /// TLS from the first octet.
    pub(super) direct: bool,
}

/// How the stream machine sets the stream up.
pub(super) fn outgoing_settings(config: &Config, wanted: &Outgoing<'_>) -> OutgoingSettings {
    let peer = wanted.peer;
    let dialect = wanted.dialect;
    OutgoingSettings {
        local: wanted.key.local.clone(),
        remote: wanted.key.remote.clone(),
        domains: peer
            .domains
            .iter()
            .chain(&peer.subdomains)
            .cloned()
            .collect(),
        terms: terms(config, peer),
        acks: match dialect.acks {
            config::Acks::Auto => Acks::Auto,
            config::Acks::Off => Acks::Off,
            config::Acks::On => Acks::On,
        },
        authzid: dialect.authzid == config::Authzid::Domain,
        settle: dialect.settle,
        seed: rand::random(),
    }
}

/// What was agreed for a peer.
pub(super) fn terms(config: &Config, peer: &config::Peer) -> Terms {
    let usual = Terms::default();
    let profile = config.directory.peer(&peer.id);
    let profile = profile.and_then(|profile| profile.xmpp());
    Terms {
        max_stanza: profile.map_or(usual.max_stanza, |profile| profile.max_stanza),
        keepalive: peer.xmpp().map_or(usual.keepalive, |xmpp| xmpp.keepalive),
    }
}
