//! Who speaks with whom, and over what.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use jid::{BareJid, Jid};
use serde::{Deserialize, Serialize};

/// One of the two worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// SIP/SIMPLE.
    Sip,
    /// XMPP server-to-server.
    Xmpp,
}

impl Side {
    /// The other world.
    pub const fn other(self) -> Self {
        match self {
            Self::Sip => Self::Xmpp,
            Self::Xmpp => Self::Sip,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sip => "sip",
            Self::Xmpp => "xmpp",
        })
    }
}

/// Which way an exchange goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// From the SIP user to the XMPP user.
    ToXmpp,
    /// From the XMPP user to the SIP user.
    ToSip,
}

/// Which part the gateway plays in a subscription between the two users of a pair (RFC 6665).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The XMPP user watches the SIP user: we subscribe on SIP.
    Subscriber,
    /// The SIP user watches the XMPP user: we notify on SIP.
    Notifier,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subscriber => "subscriber",
            Self::Notifier => "notifier",
        })
    }
}

/// The number that spreads XMPP users over shards: FNV-1a over the bare JID, so that it is the same
/// in both directions and in every process.
pub fn spread(jid: &BareJid) -> u64 {
    digest(jid.as_str().bytes())
}

/// A digest that is the same in every process (FNV-1a). Not for keys that a peer may choose.
pub fn digest(octets: impl IntoIterator<Item = u8>) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325;
    octets.into_iter().fold(start, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The shard, below `shards`, of the XMPP users with this [`spread`].
pub fn shard_of_spread(spread: u64, shards: u16) -> u16 {
    u16::try_from(spread % u64::from(shards.max(1))).unwrap_or(0)
}

/// A peer by the name it has in the configuration: records keep it over restarts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// The peer called `name`.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One live TLS connection to a peer; never used twice in the life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A domain in its one form: lower case, U-labels, no final dot (RFC 7622 section 3.2.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Domain(Arc<str>);

impl Domain {
    /// Reads a name in any letter case, with A-labels or U-labels; `None` for what is no name.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let refused = |c: char| c.is_control() || c.is_whitespace() || "/@:;?<>\"\\".contains(c);
        if name.is_empty() || name.len() > 253 || name.contains(refused) {
            return None;
        }
        if is_plain(name) {
            return Some(Self(name.into()));
        }
        let (unicode, outcome) = idna::domain_to_unicode(name);
        (outcome.is_ok() && !unicode.is_empty()).then(|| Self(unicode.into()))
    }

    /// The name with U-labels, as XMPP writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a sub-domain of `parent`, however deep.
    pub fn is_below(&self, parent: &Self) -> bool {
        let rest = self.0.strip_suffix(&*parent.0);
        rest.is_some_and(|rest| rest.ends_with('.'))
    }

    /// The name with A-labels, as DNS, certificates and SIP URIs write it (RFC 7247 section 6.1).
    pub fn to_ascii(&self) -> String {
        if is_plain(&self.0) {
            return self.0.to_string();
        }
        idna::domain_to_ascii(&self.0).unwrap_or_else(|_| self.0.to_string())
    }
}

/// Whether a name is in the one form with A-labels and with U-labels; most names are.
fn is_plain(name: &str) -> bool {
    let plain = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let hyphens = |pair: &[u8]| pair == b"--";
    name.bytes().all(plain) && !name.as_bytes().windows(2).any(hyphens)
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The canonical address of record of a SIP user: decoded user part and domain.
///
/// The JID image (XEP-0106 escapes, lower case) is the key, since URIs that differ as octets may
/// be the same user (RFC 3261 section 19.1.4). The address rules make it from a URI and back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aor(BareJid);

impl Aor {
    /// The AOR whose image on the XMPP side is `jid`.
    pub const fn from_image(jid: BareJid) -> Self {
        Self(jid)
    }

    /// The bare JID under which the XMPP side knows this user.
    pub const fn image(&self) -> &BareJid {
        &self.0
    }

    /// The image as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The domain part of the image.
    pub fn domain(&self) -> Option<Domain> {
        Domain::parse(self.0.domain().as_str())
    }
}

impl fmt::Display for Aor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two users of an exchange, XMPP side first. Whatever is kept for a pair names it, so its
/// copies share the addresses; pairs of one XMPP user may share his.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair(Arc<Users>);

impl Pair {
    /// The pair of these two.
    pub fn new(jid: impl Into<Arc<BareJid>>, aor: Aor) -> Self {
        let jid = jid.into();
        Self(Arc::new(Users { jid, aor }))
    }
}

impl Deref for Pair {
    type Target = Users;

    fn deref(&self) -> &Users {
        &self.0
    }
}

/// The addresses of a [`Pair`].
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Users {
    /// The XMPP user.
    pub jid: Arc<BareJid>,
    /// The SIP user.
    pub aor: Aor,
}

impl Users {
    /// The address of the XMPP user for a stanza.
    pub fn address(&self) -> Jid {
        BareJid::clone(&self.jid).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_form() {
        let one = Domain::parse("xn--exmple-cua.DE.").unwrap();

        assert_eq!(one, Domain::parse("Exämple.de").unwrap());
        assert_eq!(one.as_str(), "exämple.de");
        assert_eq!(one.to_ascii(), "xn--exmple-cua.de");
        assert_eq!(Domain::parse("a b"), None);
        assert_eq!(Domain::parse("user@host"), None);
    }
}
