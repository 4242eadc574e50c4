//! Our tags, which find the shard of a dialog.

use std::fmt;

use jid::BareJid;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{microsoft, shard_of_spread, spread};
use crate::text::SipToken;

/// A tag of ours: where the XMPP user of the dialog lives, and 64 random bits (RFC 3261 section
/// 19.3 demands 32). The number of shards may change while the dialog lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    spread: u64,
    random: u64,
}

impl Tag {
    /// The tag of a dialog of `jid`; `random` tells it from all others.
    pub fn new(jid: &BareJid, random: u64) -> Self {
        let spread = spread(jid);
        Self { spread, random }
    }

    /// Reads a tag in our form; whether there is such a dialog is for its shard to say.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(plain) {
            return None;
        }
        Some(Self {
            spread: u64::from_str_radix(text.get(..16)?, 16).ok()?,
            random: u64::from_str_radix(text.get(16..)?, 16).ok()?,
        })
    }

    /// The random part, by which a shard finds the dialog.
    pub const fn random(self) -> u64 {
        self.random
    }

    /// The number of the shard that has the dialog, below `shards`.
    pub fn shard(self, shards: u16) -> u16 {
        shard_of_spread(self.spread, shards)
    }

    /// Names our user's one endpoint towards Microsoft's servers ([MS-SIP] appendix A): hexadecimal, at
    /// most 16 digits, the same in every dialog of his and after every restart.
    pub fn epid(self) -> String {
        microsoft::epid(self.spread)
    }

    /// The tag for a header.
    pub fn token(self) -> SipToken {
        SipToken::from_numbers(self.spread, self.random)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.spread, self.random)
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("no tag of ours"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_reads_back_and_finds_its_shard() {
        let jid = BareJid::new("juliet@example.com").unwrap();
        let tag = Tag::new(&jid, 7);

        assert_eq!(Tag::parse(tag.token().as_str()), Some(tag));
        assert_eq!(tag.token().as_str(), tag.to_string());
        assert_eq!(tag.epid(), Tag::new(&jid, 8).epid());
        assert_eq!(tag.epid().len(), 16);
        for shards in [1, 3, 16, 64] {
            let expected = shard_of_spread(spread(&jid), shards);
            assert_eq!(tag.shard(shards), expected);
        }
    }

    #[test]
    fn tags_of_others_are_not_ours() {
        for text in [
            "",
            "ffd2",
            "0123456789abcdef0123456789ABCDEF",
            "+123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(Tag::parse(text), None, "{text}");
        }
    }
}
