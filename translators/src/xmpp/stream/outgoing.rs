//! Streams that we open.

use std::time::Duration;

use minidom::Element;

use super::dialling::{Dialling, Progress};
use super::established::Established;
use super::sending::Sending;
use super::types::{Acks, CloseReason, LinkInput, OutgoingSettings, Stage, StreamEvent};
use super::wire::{Flow, Wire};
use crate::model::Mono;
use crate::xmpp::acks::Barrier;
use crate::xmpp::faults::StreamFault;
use crate::xmpp::ns;
use crate::xmpp::reader::Frame;

/// The initiating entity's machine.
pub(super) struct Outgoing {
    settings: OutgoingSettings,
    state: State,
}

enum State {
    /// We are not authenticated yet.
    Dialling(Dialling),
    /// Stanzas flow.
    Established(Box<Sending>),
}

impl Outgoing {
    pub(super) fn new(settings: OutgoingSettings) -> Self {
        Self {
            settings,
            state: State::Dialling(Dialling::new()),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match &self.state {
            State::Dialling(dialling) => dialling.stage(),
            State::Established(sending) => sending.base.stage(),
        }
    }

    /// Whether bytes of the peer can be XML at all.
    pub(super) fn is_reading(&self) -> bool {
        match &self.state {
            State::Dialling(dialling) => dialling.is_reading(),
            State::Established(_) => true,
        }
    }

    pub(super) fn input(&mut self, input: &LinkInput<'_>, wire: &mut Wire, now: Mono) {
        match &mut self.state {
            State::Dialling(dialling) => match input {
                LinkInput::Connected => dialling.connected(&self.settings, wire, now),
                LinkInput::Tls(version) => dialling.secured(*version, &self.settings, wire, now),
                LinkInput::Shutdown => dialling.give_up(CloseReason::Completed, wire),
                LinkInput::Timeout if dialling.wake_at().is_some_and(|at| at <= now) => {
                    dialling.timeout(wire);
                }
                // The shell verifies the certificate of an outgoing link in the handshake.
                LinkInput::Verdict(_) => {}
                LinkInput::Answered(_)
                | LinkInput::Bytes(_)
                | LinkInput::Eof
                | LinkInput::Probe
                | LinkInput::Send { .. }
                | LinkInput::Settled(_)
                | LinkInput::Timeout => {}
            },
            State::Established(sending) => match input {
                LinkInput::Send { bytes, barrier } => sending.send(bytes, *barrier, wire, now),
                LinkInput::Answered(id) => sending.answered(id, wire, now),
                LinkInput::Probe => sending.probe(wire, now),
                LinkInput::Settled(n) => sending.base.settled(*n, wire),
                LinkInput::Shutdown => sending.base.shut_down(wire, now),
                LinkInput::Timeout => sending.timeout(wire, now),
                LinkInput::Bytes(_)
                | LinkInput::Connected
                | LinkInput::Eof
                | LinkInput::Tls(_)
                | LinkInput::Verdict(_) => {}
            },
        }
    }

    /// Ends the stream with an error.
    pub(super) fn fail(&self, fault: StreamFault, wire: &mut Wire) {
        wire.fail(
            fault,
            Some(&self.settings.local),
            Some(&self.settings.remote),
        );
    }

    pub(super) fn eof(&self, wire: &mut Wire) {
        let reason = match &self.state {
            State::Dialling(dialling) => CloseReason::Eof(dialling.stage()),
            State::Established(sending) => sending.base.eof(),
        };
        wire.close(reason);
    }

    pub(super) fn frame(
        &mut self,
        frame: Frame,
        wire: &mut Wire,
        now: Mono,
    ) -> Result<Flow, StreamFault> {
        match &mut self.state {
            State::Dialling(dialling) => match dialling.frame(frame, &self.settings, wire, now)? {
                Progress::On(flow) => Ok(flow),
                Progress::Authenticated(features) => {
                    self.establish(features.as_ref(), wire, now);
                    Ok(Flow::Next)
                }
            },
            State::Established(sending) => sending.frame(frame, wire),
        }
    }

    fn establish(&mut self, features: Option<&Element>, wire: &mut Wire, now: Mono) {
        let has = |name, namespace| features.is_some_and(|f| f.has_child(name, namespace));
        let asked = match self.settings.acks {
            Acks::Auto => has("sm", ns::SM) || has("limits", ns::LIMITS),
            Acks::Off => false,
            Acks::On => true,
        };
        if asked {
            wire.leaf("enable", ns::SM);
        }
        let (local, remote) = (self.settings.local.clone(), self.settings.remote.clone());
        wire.event(StreamEvent::Established {
            local: local.clone(),
            remote: remote.clone(),
        });
        let mut terms = self.settings.terms;
        terms.keepalive = terms.keepalive.min(patience_of(features));
        let domains = self.settings.domains.clone();
        let base = Established::new(local, remote, domains, terms, now);
        let barrier = Barrier::new(self.settings.seed, self.settings.settle);
        self.state = State::Established(Box::new(Sending::new(base, asked, barrier, now)));
    }

    pub(super) fn wrote(&mut self, now: Mono) {
        if let State::Established(sending) = &mut self.state {
            sending.base.wrote(now);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        match &self.state {
            State::Dialling(dialling) => dialling.wake_at(),
            State::Established(sending) => Some(sending.wake_at()),
        }
    }
}

/// A third of the silence that the peer bears, where it tells (XEP-0478): Openfire counts silent halves.
fn patience_of(features: Option<&Element>) -> Duration {
    let limits = features.and_then(|features| features.get_child("limits", ns::LIMITS));
    let idle = limits.and_then(|limits| limits.get_child("idle-seconds", ns::LIMITS));
    let seconds = idle.and_then(|idle| idle.text().trim_ascii().parse::<u64>().ok());
    seconds.map_or(Duration::MAX, |seconds| {
        Duration::from_secs((seconds / 3).max(1))
    })
}
