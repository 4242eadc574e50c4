//! A probe of ours and its answer (RFC 6121 section 4.3).

use crate::limits;
use crate::model::Mono;

/// Whether a probe is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Probe {
    /// None is.
    #[default]
    None,
    /// One is to be sent at this time, unless presence comes before.
    Later(Mono),
    /// One is to be sent, or on its way to the peer.
    Sent,
    /// The peer has it since then, and had its settle time.
    HandedOver(Mono),
}

impl Probe {
    /// Whether a refusal answers the probe and not the request of the watcher: anything that comes
    /// before five seconds after its hand-over, whatever was sent later.
    pub(super) fn is_answered_by_refusal(self, now: Mono) -> bool {
        match self {
            Self::None | Self::Later(_) => false,
            Self::Sent => true,
            Self::HandedOver(at) => now < at + limits::PROBE_ANSWER_TIME,
        }
    }

    /// Whether one is on its way or waits for its answer.
    pub(super) const fn is_open(self) -> bool {
        match self {
            Self::None | Self::Later(_) => false,
            Self::Sent | Self::HandedOver(_) => true,
        }
    }

    /// Takes note that the peer has it.
    pub(super) fn on_handed_over(&mut self, now: Mono) {
        if *self == Self::Sent {
            *self = Self::HandedOver(now);
        }
    }

    /// When something is to be done: to send it, or to take silence as the answer.
    pub(super) fn deadline(self) -> Option<Mono> {
        match self {
            Self::None | Self::Sent => None,
            Self::Later(at) => Some(at),
            Self::HandedOver(at) => Some(at + limits::PROBE_ANSWER_TIME),
        }
    }
}
