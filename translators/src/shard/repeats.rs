//! Messages that an XMPP server sends again because it does not know that they arrived.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::limits;
use crate::model::{InstantMessage, LinkId, Pair, Payload, PeerId, digest};

/// The accepted messages of late, and the streams that broke.
///
/// Identifiers are unique within a stream only, so a message counts as a repetition if the first
/// came on an earlier, broken stream and sender, addressee, identifier and text are equal.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    seen: BTreeMap<u64, Stream>,
    order: VecDeque<u64>,
    broken: BTreeSet<LinkId>,
}

/// The stream on which a message came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// One of an earlier run of the gateway.
    Earlier,
    /// A stream of this run.
    Link(LinkId),
}

impl Repeats {
    /// Remembers a message that came over `link`.
    pub(super) fn remember(&mut self, fingerprint: u64, link: LinkId) {
        self.insert(fingerprint, Stream::Link(link));
    }

    /// Remembers a message of an earlier run.
    pub(super) fn restore(&mut self, fingerprint: u64) {
        self.insert(fingerprint, Stream::Earlier);
    }

    /// Takes note that a stream broke.
    pub(super) fn on_broken(&mut self, link: LinkId) {
        self.broken.insert(link);
        if self.broken.len() > limits::DUPLICATES {
            self.broken.pop_first();
        }
    }

    /// Whether a message that came over `link` came before.
    pub(super) fn is_repeat(&self, fingerprint: u64, link: LinkId) -> bool {
        match self.seen.get(&fingerprint) {
            None => false,
            Some(Stream::Earlier) => true,
            Some(Stream::Link(first)) => *first != link && self.broken.contains(first),
        }
    }

    /// Forgets a message that was not accepted after all.
    pub(super) fn forget(&mut self, fingerprint: u64) {
        self.seen.remove(&fingerprint);
    }

    fn insert(&mut self, fingerprint: u64, stream: Stream) {
        if fingerprint == 0 {
            return;
        }
        if self.order.len() >= limits::DUPLICATES
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(fingerprint);
        self.seen.insert(fingerprint, stream);
    }
}

/// Digest of what makes two messages the same: peer, users, devices, identifier and text; zero for
/// a message without identifier. FNV-1a, the same in every process.
pub(super) fn fingerprint(peer: &PeerId, pair: &Pair, message: &InstantMessage) -> u64 {
    let Some(id) = &message.id else {
        return 0;
    };
    let content = match &message.payload {
        Payload::Invitation(invitation) => invitation.room.as_str(),
        Payload::Receipt(receipt) => receipt.of.as_str(),
        Payload::Text { text, .. } => text.as_str(),
        Payload::Typing { .. } => "",
    };
    let parts = [
        peer.as_str(),
        pair.jid.as_str(),
        pair.aor.as_str(),
        message.from_instance.as_deref().unwrap_or_default(),
        message.to_instance.as_deref().unwrap_or_default(),
        id,
        content,
    ];
    let octets = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    digest(octets).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: LinkId = LinkId(1);
    const SECOND: LinkId = LinkId(2);

    #[test]
    fn a_message_is_a_repetition_only_after_its_stream_broke() {
        let mut repeats = Repeats::default();
        repeats.remember(7, FIRST);

        assert!(!repeats.is_repeat(7, SECOND), "both streams live");
        repeats.on_broken(FIRST);
        assert!(repeats.is_repeat(7, SECOND));
        assert!(!repeats.is_repeat(8, SECOND));
        assert!(!repeats.is_repeat(7, FIRST), "the same stream");
    }

    #[test]
    fn messages_of_an_earlier_run_are_recognised() {
        let mut repeats = Repeats::default();
        repeats.restore(7);

        assert!(repeats.is_repeat(7, FIRST));
    }

    #[test]
    fn messages_without_identifier_are_never_repetitions() {
        let mut repeats = Repeats::default();
        repeats.remember(0, FIRST);
        repeats.on_broken(FIRST);

        assert!(!repeats.is_repeat(0, SECOND));
    }

    #[test]
    fn memory_is_bounded() {
        let mut repeats = Repeats::default();
        for number in 1..10_000 {
            repeats.remember(number, FIRST);
            repeats.on_broken(LinkId(number));
        }

        assert_eq!(repeats.seen.len(), limits::DUPLICATES);
        assert_eq!(repeats.broken.len(), limits::DUPLICATES);
    }
}
