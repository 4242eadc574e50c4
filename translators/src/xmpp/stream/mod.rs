//! The machine of one server-to-server stream (RFC 6120, XEP-0178, XEP-0198, XEP-0368).
//!
//! A [`Stream`] takes bytes, time and what the shell found out, and returns what to write, what happened and when it
//! wants to be called again. It never waits. What it reads from the peer it believes only after TLS, a certificate
//! that the shell found good, and SASL EXTERNAL; before that nothing but the negotiation is understood.
//!
//! Order of calls: [`LinkInput::Connected`] when TCP is up (with direct TLS: [`LinkInput::Tls`] first of all), then
//! [`LinkInput::Bytes`] as they come and [`LinkInput::Timeout`] at [`LinkEffects::wake_at`]. The caller carries out
//! the effects in the order of their fields, each `write` in one piece.

mod accepting;
mod dialling;
mod established;
mod incoming;
mod outgoing;
mod receiving;
mod sending;
mod types;
mod wire;

use incoming::Incoming;
use outgoing::Outgoing;
use wire::{Flow, Wire};

use super::faults::StreamFault;
use crate::model::{Mono, Now};

pub use types::{
    Acks, Cause, CloseReason, IncomingSettings, LinkEffects, LinkInput, OutgoingSettings, Stage,
    StartTls, StreamEvent, Terms, TlsVersion, Verdict,
};

/// One server-to-server stream, with its restarts.
pub struct Stream {
    wire: Wire,
    role: Role,
}

enum Role {
    Incoming(Box<Incoming>),
    Outgoing(Box<Outgoing>),
}

impl Stream {
    /// Makes the machine of a connection that a peer opened.
    pub fn incoming(settings: IncomingSettings) -> Self {
        Self {
            wire: Wire::new(settings.seed),
            role: Role::Incoming(Box::new(Incoming::new(settings))),
        }
    }

    /// Makes the machine of a connection that we open.
    pub fn outgoing(settings: OutgoingSettings) -> Self {
        Self {
            wire: Wire::new(settings.seed),
            role: Role::Outgoing(Box::new(Outgoing::new(settings))),
        }
    }

    /// Where the stream is.
    pub fn stage(&self) -> Stage {
        match &self.role {
            Role::Incoming(incoming) => incoming.stage(),
            Role::Outgoing(outgoing) => outgoing.stage(),
        }
    }

    /// Whether [`LinkInput::Send`] is taken; it would be dropped otherwise.
    pub fn accepts(&self) -> bool {
        let outgoing = matches!(self.role, Role::Outgoing(_));
        outgoing && self.stage() == Stage::Established && !self.wire.is_closed()
    }

    /// Takes one input. After [`LinkEffects::close`] every further input does nothing.
    pub fn handle(&mut self, input: LinkInput<'_>, now: Now) -> LinkEffects {
        let now = now.mono;
        if !self.wire.is_closed() {
            match &input {
                LinkInput::Bytes(bytes) => self.bytes(bytes, now),
                LinkInput::Eof => self.eof(),
                LinkInput::Answered(_)
                | LinkInput::Connected
                | LinkInput::Probe
                | LinkInput::Send { .. }
                | LinkInput::Settled(_)
                | LinkInput::Shutdown
                | LinkInput::Timeout
                | LinkInput::Tls(_)
                | LinkInput::Verdict(_) => self.input(&input, now),
            }
            if self.wire.has_written() {
                match &mut self.role {
                    Role::Incoming(incoming) => incoming.wrote(now),
                    Role::Outgoing(outgoing) => outgoing.wrote(now),
                }
            }
        }
        self.wire.finish(match &self.role {
            Role::Incoming(incoming) => incoming.wake_at(),
            Role::Outgoing(outgoing) => outgoing.wake_at(),
        })
    }

    fn input(&mut self, input: &LinkInput<'_>, now: Mono) {
        match &mut self.role {
            Role::Incoming(incoming) => {
                incoming.input(input, &mut self.wire, now);
                if !incoming.is_holding() {
                    let held = self.wire.take_held();
                    self.read(&held, now);
                }
            }
            Role::Outgoing(outgoing) => outgoing.input(input, &mut self.wire, now),
        }
    }

    fn eof(&mut self) {
        match &mut self.role {
            Role::Incoming(incoming) => incoming.eof(&mut self.wire),
            Role::Outgoing(outgoing) => outgoing.eof(&mut self.wire),
        }
    }

    fn bytes(&mut self, bytes: &[u8], now: Mono) {
        let (holding, reading) = match &self.role {
            Role::Incoming(incoming) => (incoming.is_holding(), incoming.is_reading()),
            Role::Outgoing(outgoing) => (false, outgoing.is_reading()),
        };
        if holding {
            self.hold(bytes);
        } else if reading {
            self.read(bytes, now);
        }
    }

    fn read(&mut self, bytes: &[u8], now: Mono) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.wire.is_closed() {
            let frame = match self.wire.next_frame(&mut rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(fault) => return self.fail(fault),
            };
            let flow = match &mut self.role {
                Role::Incoming(incoming) => incoming.frame(frame, &mut self.wire, now),
                Role::Outgoing(outgoing) => outgoing.frame(frame, &mut self.wire, now),
            };
            match flow {
                Ok(Flow::Next) => {}
                Ok(Flow::Discard) => return,
                Ok(Flow::Hold) => return self.hold(rest),
                Err(fault) => return self.fail(fault),
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        if let Err(fault) = self.wire.hold(bytes) {
            self.fail(fault);
        }
    }

    fn fail(&mut self, fault: StreamFault) {
        match &mut self.role {
            Role::Incoming(incoming) => incoming.fail(fault, &mut self.wire),
            Role::Outgoing(outgoing) => outgoing.fail(fault, &mut self.wire),
        }
    }
}
