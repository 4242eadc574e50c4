//! What the configuration says about peers, as far as the core decides by it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits;
use crate::model::{Domain, Microsoft, PeerId, Side};

/// The peers and the domains each may speak for. Every domain belongs to exactly one peer, so a
/// domain names a side too: towards one side the gateway speaks for the domains of the other.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    peers: BTreeMap<PeerId, Profile>,
    domains: BTreeMap<Domain, PeerId>,
}

impl Directory {
    /// Builds the directory; a domain named twice stays with the first peer that names it (the
    /// configuration check refuses that before).
    pub fn new(profiles: impl IntoIterator<Item = Profile>) -> Self {
        let mut directory = Self::default();
        for profile in profiles {
            for domain in &profile.domains {
                let owner = directory.domains.entry(domain.clone());
                owner.or_insert_with(|| profile.id.clone());
            }
            directory.peers.insert(profile.id.clone(), profile);
        }
        directory
    }

    /// The peer of that name.
    pub fn peer(&self, id: &PeerId) -> Option<&Profile> {
        self.peers.get(id)
    }

    /// The peer that may speak for `domain`.
    pub fn owner(&self, domain: &Domain) -> Option<&Profile> {
        self.peers.get(self.domains.get(domain)?)
    }

    /// The peer that may speak for `domain`, if it is on `side`.
    pub fn owner_on(&self, side: Side, domain: &Domain) -> Option<&Profile> {
        self.owner(domain).filter(|profile| profile.side() == side)
    }

    /// Every peer, by name.
    pub fn peers(&self) -> impl Iterator<Item = &Profile> {
        self.peers.values()
    }

    /// The domains the gateway speaks for towards `side`: those of the other side's peers.
    pub fn local_domains(&self, side: Side) -> impl Iterator<Item = &Domain> {
        let far = side.other();
        self.domains
            .keys()
            .filter(move |domain| self.owner_on(far, domain).is_some())
    }
}

/// One peer.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub id: PeerId,
    /// The domains it may speak for, main domain first, sub-domains included.
    pub domains: Vec<Domain>,
    /// When a 2xx goes to the sender of a message for this peer.
    pub accept: Accept,
    /// What depends on its side.
    pub dialect: Dialect,
}

impl Profile {
    /// Its side.
    pub const fn side(&self) -> Side {
        match self.dialect {
            Dialect::Sip(_) => Side::Sip,
            Dialect::Xmpp(_) => Side::Xmpp,
        }
    }

    /// Its SIP settings, if it is a SIP peer.
    pub const fn sip(&self) -> Option<&SipProfile> {
        match &self.dialect {
            Dialect::Sip(sip) => Some(sip),
            Dialect::Xmpp(_) => None,
        }
    }

    /// Its XMPP settings, if it is an XMPP peer.
    pub const fn xmpp(&self) -> Option<&XmppProfile> {
        match &self.dialect {
            Dialect::Sip(_) => None,
            Dialect::Xmpp(xmpp) => Some(xmpp),
        }
    }
}

/// Settings that only one side has.
#[derive(Clone, Debug)]
pub enum Dialect {
    /// A SIP peer.
    Sip(SipProfile),
    /// An XMPP peer.
    Xmpp(XmppProfile),
}

/// How a message for the peer is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accept {
    /// When the far side has taken it.
    #[default]
    Barrier,
    /// When it is in the journal; it is then sent until it is taken.
    Immediate,
}

/// How Call-IDs of page-mode messages become threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageThread {
    /// Each Call-ID is a thread.
    Map,
    /// No thread.
    Off,
    /// One thread per pair until the conversation is idle.
    #[default]
    Sticky,
}

/// Settings of a SIP peer.
#[derive(Clone, Debug)]
pub struct SipProfile {
    /// The switches of Microsoft's dialect, if the peer speaks it; else it is a generic peer.
    pub microsoft: Option<Microsoft>,
    /// Largest page-mode MESSAGE in octets.
    pub page_limit: usize,
    /// Whether its messages are shown as chat (`true`) or as single messages (RFC 7572 section 5).
    pub chat: bool,
    /// How its Call-IDs become threads.
    pub page_thread: PageThread,
    /// Status of a delivered MESSAGE, 200 or 202.
    pub success: u16,
    /// Whether it takes CPIM and sends and reads IMDN receipts.
    pub cpim: bool,
    /// Whether HTML is carried as XHTML-IM.
    pub xhtml_im: bool,
    /// Whether a device that nobody uses is away, where its document says no more.
    pub idle_is_away: bool,
    /// Whether entity tags spare documents that did not change (RFC 5839).
    pub conditional: bool,
    /// Whether `;`, `/` and `?` are percent-encoded in user parts.
    pub strict_user: bool,
    /// Whether a block ends the subscriptions of its watchers (RFC 5025 section 3.2.1), instead of
    /// showing them an offline user.
    pub terminate_on_block: bool,
    /// Whether its P-Asserted-Identity is believed (RFC 3325).
    pub trust_asserted: bool,
}

impl SipProfile {
    /// How long SUBSCRIBE and NOTIFY may wait for the peer.
    pub const fn presence_waits(&self) -> Duration {
        match self.microsoft {
            Some(_) => limits::CAPPED_WAITS,
            None => limits::PRESENCE_WAITS,
        }
    }
}

impl Default for SipProfile {
    fn default() -> Self {
        Self {
            microsoft: None,
            page_limit: limits::PAGE,
            chat: false,
            page_thread: PageThread::default(),
            success: 200,
            cpim: false,
            xhtml_im: false,
            idle_is_away: false,
            conditional: false,
            strict_user: false,
            terminate_on_block: false,
            trust_asserted: false,
        }
    }
}

/// Settings of an XMPP peer.
#[derive(Clone, Debug)]
pub struct XmppProfile {
    /// Largest stanza sent to it, in octets.
    pub max_stanza: usize,
    /// Contacts and watchers that each of its users may have.
    pub contacts: usize,
}

impl Default for XmppProfile {
    fn default() -> Self {
        Self {
            max_stanza: limits::STANZA,
            contacts: limits::CONTACTS_AND_WATCHERS,
        }
    }
}
