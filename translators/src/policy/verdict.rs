//! What is decided, and on which level.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is decided on a pair: sub-handling of RFC 5025 section 3.2.1, for presence both ways and
/// for messages. Ordered from the mildest to the strictest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The two exchange.
    #[default]
    Allow,
    /// Requests are held until the operator decides; nothing is exchanged meanwhile.
    Confirm,
    /// Nothing is exchanged, and each looks to the other as if he were offline.
    PoliteBlock,
    /// Nothing is exchanged, and requests are refused.
    Block,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Confirm, Self::PoliteBlock, Self::Block];

    /// Its word in commands, configuration, records and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Confirm => "confirm",
            Self::PoliteBlock => "polite-block",
            Self::Block => "block",
        }
    }

    /// Reads its word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a decision stands; the first that has one decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Federation policy: it only ever forbids.
    Federation,
    /// A decision on these two users.
    Pair,
    /// A decision on one of the two, whoever the other is.
    User,
    /// A decision on the domains of the two.
    DomainPair,
    /// What holds for everybody.
    System,
}

impl Level {
    /// Its word in commands and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Federation => "federation",
            Self::Pair => "pair",
            Self::User => "user",
            Self::DomainPair => "domain-pair",
            Self::System => "system",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A verdict and the level that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What holds.
    pub verdict: Verdict,
    /// Who said so.
    pub level: Level,
}

impl Decision {
    /// Whether the two exchange.
    pub fn allows(self) -> bool {
        self.verdict == Verdict::Allow
    }
}
