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
    /// One is to be sent, or on its way to the peer since then.
    Sent(Box<Heard>),
    /// The peer has it since then, and had its settle time.
    HandedOver(Box<Heard>),
}

/// The devices that were heard of since a probe was sent. Its answer names every one there is. Out of
/// the way: most relations have no probe on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Since when the probe is where it is.
    since: Mono,
    devices: Vec<Box<str>>,
}

impl Heard {
    /// Takes note of a device.
    fn insert(&mut self, device: &str) {
        if !self.contains(device) && self.devices.len() < limits::TUPLES {
            self.devices.push(device.into());
        }
    }

    /// Whether nothing was heard: silence is the answer then.
    pub(super) const fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Whether a device was heard of.
    pub(super) fn contains(&self, device: &str) -> bool {
        self.devices.iter().any(|known| **known == *device)
    }
}

impl Probe {
    /// A probe that is to be sent.
    pub(super) fn sent(now: Mono) -> Self {
        Self::Sent(Box::new(Heard {
            since: now,
            devices: Vec::new(),
        }))
    }

    /// Whether a refusal answers the probe and not the request of the watcher: anything that comes
    /// before five seconds after its hand-over, whatever was sent later.
    pub(super) fn is_answered_by_refusal(&self, now: Mono) -> bool {
        match self {
            Self::None | Self::Later(_) => false,
            Self::Sent(..) => true,
            Self::HandedOver(heard) => now < heard.since + limits::PROBE_ANSWER_TIME,
        }
    }

    /// Whether one is on its way or waits for its answer.
    pub(super) const fn is_open(&self) -> bool {
        match self {
            Self::None | Self::Later(_) => false,
            Self::Sent(..) | Self::HandedOver(..) => true,
        }
    }

    /// Whether one waits for its answer and nothing came yet.
    pub(super) fn is_unanswered(&self) -> bool {
        match self {
            Self::None | Self::Later(_) => false,
            Self::Sent(heard) | Self::HandedOver(heard) => heard.is_empty(),
        }
    }

    /// Whether one is on its way whose answer comes in.
    pub(super) fn is_answered(&self) -> bool {
        self.is_open() && !self.is_unanswered()
    }

    /// Takes note that something was heard of a device, or with none of all of them.
    pub(super) fn on_heard(&mut self, device: &str) {
        match self {
            Self::None => {}
            Self::Later(_) => *self = Self::None,
            Self::Sent(heard) | Self::HandedOver(heard) => heard.insert(device),
        }
    }

    /// Takes note that the peer has it. Where that took longer than an answer may take, the answer
    /// may have been swallowed on the way, as ejabberd does while it waits before it connects anew:
    /// its silence says nothing, and the probe is sent again.
    pub(super) fn on_handed_over(&mut self, now: Mono) {
        if let Self::Sent(heard) = self {
            let late = now.since(heard.since) >= limits::PROBE_ANSWER_TIME && heard.is_empty();
            *self = if late {
                Self::Later(now)
            } else {
                let devices = std::mem::take(&mut heard.devices);
                Self::HandedOver(Box::new(Heard {
                    since: now,
                    devices,
                }))
            };
        }
    }

    /// When something is to be done: to send it, or to take what was not heard as the answer.
    pub(super) fn deadline(&self) -> Option<Mono> {
        match self {
            Self::None | Self::Sent(..) => None,
            Self::Later(at) => Some(*at),
            Self::HandedOver(heard) => Some(heard.since + limits::PROBE_ANSWER_TIME),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn silence_counts_only_after_a_hand_over_in_time() {
        let start = Mono::default();
        let late = start + limits::PROBE_ANSWER_TIME;
        let mut slow = Probe::sent(start);
        let mut quick = Probe::sent(start);
        let mut heard = Probe::sent(start);
        heard.on_heard("desk");

        slow.on_handed_over(late);
        quick.on_handed_over(start + Duration::from_millis(20));
        heard.on_handed_over(late);

        assert_eq!(slow, Probe::Later(late), "sent again at once");
        assert!(quick.is_unanswered());
        assert!(heard.is_answered());
    }
}
