//! Streams that peers open to us.

use super::accepting::{Accepting, Feature, Pinned, Progress, Proof, features};
use super::established::Established;
use super::receiving;
use super::types::{CloseReason, IncomingSettings, LinkInput, Stage, StreamEvent};
use super::wire::{Flow, Wire};
use crate::limits;
use crate::model::Mono;
use crate::xmpp::faults::StreamFault;
use crate::xmpp::reader::Frame;

/// The receiving entity's machine.
pub(super) struct Incoming {
    settings: IncomingSettings,
    state: State,
}

enum State {
    /// The peer is not authenticated yet.
    Accepting(Box<Accepting>),
    /// Stanzas flow.
    Established(Box<Established>),
    /// The peer could not authenticate; its closing tag is awaited.
    Lingering { until: Mono },
}

impl Incoming {
    pub(super) fn new(settings: IncomingSettings) -> Self {
        Self {
            settings,
            state: State::Accepting(Box::new(Accepting::new())),
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match &self.state {
            State::Accepting(accepting) => accepting.stage(),
            State::Established(established) => established.stage(),
            State::Lingering { .. } => Stage::Closing,
        }
    }

    /// Whether bytes have to wait for the verdict.
    pub(super) fn is_holding(&self) -> bool {
        matches!(&self.state, State::Accepting(accepting) if accepting.is_holding())
    }

    /// Whether bytes of the peer can be XML at all.
    pub(super) fn is_reading(&self) -> bool {
        match &self.state {
            State::Accepting(accepting) => accepting.is_reading(),
            State::Established(_) | State::Lingering { .. } => true,
        }
    }

    pub(super) fn input(&mut self, input: &LinkInput<'_>, wire: &mut Wire, now: Mono) {
        match &mut self.state {
            State::Accepting(accepting) => match input {
                LinkInput::Connected => accepting.connected(now),
                LinkInput::Tls(_) => accepting.secured(wire, now),
                LinkInput::Verdict(verdict) => accepting.judged(verdict, wire),
                LinkInput::Shutdown if accepting.is_reading() => {
                    accepting.fail(StreamFault::SystemShutdown, wire);
                }
                LinkInput::Shutdown => wire.close(CloseReason::Completed),
                LinkInput::Timeout if accepting.wake_at().is_some_and(|at| at <= now) => {
                    accepting.timeout(wire);
                }
                LinkInput::Answered(_)
                | LinkInput::Bytes(_)
                | LinkInput::Eof
                | LinkInput::Probe
                | LinkInput::Send { .. }
                | LinkInput::Settled(_)
                | LinkInput::Timeout => {}
            },
            State::Established(established) => match input {
                LinkInput::Settled(n) => established.settled(*n, wire),
                LinkInput::Shutdown => established.shut_down(wire, now),
                LinkInput::Timeout => established.timeout(wire, now),
                // Nothing of ours travels on a stream of the peer, and the negotiation is over.
                LinkInput::Answered(_)
                | LinkInput::Bytes(_)
                | LinkInput::Connected
                | LinkInput::Eof
                | LinkInput::Probe
                | LinkInput::Send { .. }
                | LinkInput::Tls(_)
                | LinkInput::Verdict(_) => {}
            },
            State::Lingering { until } => {
                let late = *until <= now;
                if matches!(input, LinkInput::Shutdown) || late {
                    wire.end();
                    wire.close(CloseReason::PeerNotAuthenticated);
                }
            }
        }
    }

    /// Ends the stream with an error.
    pub(super) fn fail(&self, fault: StreamFault, wire: &mut Wire) {
        match &self.state {
            State::Accepting(accepting) => accepting.fail(fault, wire),
            State::Established(established) => established.fail(fault, wire),
            State::Lingering { .. } => wire.close(CloseReason::PeerNotAuthenticated),
        }
    }

    pub(super) fn eof(&self, wire: &mut Wire) {
        let reason = match &self.state {
            State::Accepting(accepting) => {
                accepting.left(wire, CloseReason::Eof(accepting.stage()))
            }
            State::Established(established) => established.eof(),
            State::Lingering { .. } => CloseReason::PeerNotAuthenticated,
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
            State::Accepting(accepting) => match accepting.frame(frame, &self.settings, wire)? {
                Progress::On(flow) => Ok(flow),
                Progress::Authenticated(pinned, proof) => {
                    self.establish(pinned, proof, wire, now);
                    Ok(Flow::Next)
                }
                Progress::Refused => {
                    let until = now + limits::CLOSE_TIME;
                    self.state = State::Lingering { until };
                    Ok(Flow::Next)
                }
            },
            State::Established(established) => {
                receiving::frame(established, frame, self.settings.management, wire)
            }
            State::Lingering { .. } => {
                if matches!(frame, Frame::Close) {
                    wire.end();
                    wire.close(CloseReason::PeerNotAuthenticated);
                }
                Ok(Flow::Next)
            }
        }
    }

    fn establish(&mut self, pinned: Pinned, proof: Proof, wire: &mut Wire, now: Mono) {
        let management = self.settings.management;
        features(wire, management.then_some(Feature::Management));
        wire.event(StreamEvent::Established {
            local: pinned.to.clone(),
            remote: pinned.from.clone(),
        });
        let established = Established::new(pinned.to, pinned.from, proof.domains, proof.terms, now);
        self.state = State::Established(Box::new(established));
    }

    pub(super) fn wrote(&mut self, now: Mono) {
        if let State::Established(established) = &mut self.state {
            established.wrote(now);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Mono> {
        match &self.state {
            State::Accepting(accepting) => accepting.wake_at(),
            State::Established(established) => Some(established.wake_at()),
            State::Lingering { until } => Some(*until),
        }
    }
}
