//! A probe of ours and its answer (RFC 6121 section 4.3).

use crate::limits;
use crate::model::Mono;

/// Whether a probe is on its way, and what was heard since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Probe {
    /// None is.
    #[default]
    None,
    /// One is to be sent at this time, unless presence comes before.
    Later(Mono),
    /// One is to be sent, or on its way to the peer.
    Sent(Heard),
    /// The peer has it since then, and had its settle time.
    HandedOver(Mono, Heard),
}

/// The devices that were heard of since a probe was sent. Its answer names every one there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard(Option<Box<Devices>>);

/// Names of devices, out of the way: most relations have no probe on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Devices(Vec<Box<str>>);

impl Heard {
    /// Takes note of a device.
    fn insert(&mut self, device: &str) {
        let Devices(devices) = &mut **self.0.get_or_insert_default();
        if !devices.iter().any(|known| **known == *device) && devices.len() < limits::TUPLES {
            devices.push(device.into());
        }
    }

    /// Whether nothing was heard: silence is the answer then.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a device was heard of.
    pub(super) fn contains(&self, device: &str) -> bool {
        let mut devices = self.0.iter().flat_map(|devices| devices.0.iter());
        devices.any(|known| **known == *device)
    }
}

impl Probe {
    /// A probe that is to be sent.
    pub(super) const fn sent() -> Self {
        Self::Sent(Heard(None))
    }

    /// Whether a refusal answers the probe and not the request of the watcher: anything that comes
    /// before five seconds after its hand-over, whatever was sent later.
    pub(super) fn is_answered_by_refusal(&self, now: Mono) -> bool {
        match self {
            Self::None | Self::Later(_) => false,
            Self::Sent(_) => true,
            Self::HandedOver(at, _) => now < *at + limits::PROBE_ANSWER_TIME,
        }
    }

    /// Whether one is on its way or waits for its answer.
    pub(super) const fn is_open(&self) -> bool {
        match self {
            Self::None | Self::Later(_) => false,
            Self::Sent(_) | Self::HandedOver(..) => true,
        }
    }

    /// Whether one waits for its answer and nothing came yet.
    pub(super) const fn is_unanswered(&self) -> bool {
        match self {
            Self::None | Self::Later(_) => false,
            Self::Sent(heard) | Self::HandedOver(_, heard) => heard.is_empty(),
        }
    }

    /// Whether one is on its way whose answer comes in.
    pub(super) const fn is_answered(&self) -> bool {
        self.is_open() && !self.is_unanswered()
    }

    /// Takes note that something was heard of a device, or with none of all of them.
    pub(super) fn on_heard(&mut self, device: &str) {
        match self {
            Self::None => {}
            Self::Later(_) => *self = Self::None,
            Self::Sent(heard) | Self::HandedOver(_, heard) => heard.insert(device),
        }
    }

    /// Takes note that the peer has it.
    pub(super) fn on_handed_over(&mut self, now: Mono) {
        if let Self::Sent(heard) = self {
            *self = Self::HandedOver(now, std::mem::take(heard));
        }
    }

    /// When something is to be done: to send it, or to take what was not heard as the answer.
    pub(super) fn deadline(&self) -> Option<Mono> {
        match self {
            Self::None | Self::Sent(_) => None,
            Self::Later(at) => Some(*at),
            Self::HandedOver(at, _) => Some(*at + limits::PROBE_ANSWER_TIME),
        }
    }
}
