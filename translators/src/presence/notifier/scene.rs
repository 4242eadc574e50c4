//! What holds around a relation at the time of an event.

use std::time::Duration;

use crate::limits;
use crate::model::microsoft::Undecided;
use crate::model::{Mono, Now, Wall};
use crate::presence::Composition;
use crate::presence::notifier::{Body, Show};

/// Whether a peer can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It has had no link since then.
    Down(Now),
    /// It has had one since then.
    Up(Now),
}

impl Link {
    /// Whether it can be reached.
    pub const fn is_up(self) -> bool {
        match self {
            Self::Down(_) => false,
            Self::Up(_) => true,
        }
    }
}

/// What holds around a relation at the time of an event.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// The time.
    pub now: Now,
    /// The peer of the SIP user.
    pub sip: Link,
    /// The peer of the XMPP user.
    pub xmpp: Link,
    /// Whether a block ends the dialogs of the SIP user (`terminate_on_block`, RFC 5025 section
    /// 3.2.1), instead of showing him an offline user.
    pub terminates: bool,
    /// Whether the XMPP user holds an authorization to watch the SIP user: what is told to him about
    /// the SIP user is then told by that relation.
    pub watched_back: bool,
    /// After which time a look of the SIP user becomes a request.
    pub ask_after: Duration,
    /// How devices of the XMPP user become a document for this peer.
    pub composition: Composition,
    /// Whether whatever withholds or ends presence carries a closed document, since watchers of the
    /// Microsoft profile look at nothing else; and what they are told while it is not decided.
    pub closes: Option<Undecided>,
}

impl Scene {
    /// What a watcher is shown while nobody has decided.
    pub(super) const fn undecided(&self) -> Show {
        match self.closes {
            Some(Undecided::Active) => Show::Closed,
            None | Some(Undecided::Pending) => Show::Pending,
        }
    }

    /// What the last NOTIFY of a dialog carries that shows nothing.
    pub(super) const fn nothing(&self) -> Body {
        match self.closes {
            Some(_) => Body::Closed,
            None => Body::Empty,
        }
    }

    /// When a subscription that lasts until `expires_at` is over: never while the watcher cannot
    /// refresh it, and not before he had the time to, once he can again.
    pub(super) fn expiry(&self, expires_at: Wall) -> Option<Mono> {
        let Link::Up(since) = self.sip else {
            return None;
        };
        let usual = self.at(expires_at);
        Some(usual.max(since.mono + limits::REFRESH_AFTER_RETURN))
    }

    /// The point of the monotonic clock that a time of the wall clock is now.
    pub(super) fn at(&self, wall: Wall) -> Mono {
        self.now.mono + wall.since(self.now.wall)
    }

    /// Seconds that are left of a subscription.
    pub fn seconds_until(&self, expires_at: Wall) -> u32 {
        let left = expires_at.since(self.now.wall).as_millis().div_ceil(1_000);
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}
