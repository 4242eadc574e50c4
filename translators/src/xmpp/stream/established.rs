//! An established stream: stanzas of the peer, acknowledgements, keep-alive, closing.

use std::time::Duration;

use minidom::Element;

use super::types::{CloseReason, Stage, StreamEvent, Terms};
use super::wire::{Wire, is_dialback};
use crate::limits;
use crate::model::{Domain, Mono};
use crate::xmpp::acks::Received;
use crate::xmpp::faults::{PeerError, StreamFault};
use crate::xmpp::ns;
use crate::xmpp::reader::Oversized;
use crate::xmpp::stanza::{Refused, Stanza};

/// What both roles do once stanzas may flow.
pub(super) struct Established {
    pub(super) local: Domain,
    pub(super) remote: Domain,
    /// Domains that may speak on this stream.
    proven: Vec<Domain>,
    max_stanza: usize,
    pub(super) received: Received,
    keepalive: Duration,
    /// When our last byte was written.
    quiet_since: Mono,
    /// Until when the peer's closing tag is awaited, once ours is written.
    closing: Option<Mono>,
}

impl Established {
    pub(super) fn new(
        local: Domain,
        remote: Domain,
        proven: Vec<Domain>,
        terms: Terms,
        now: Mono,
    ) -> Self {
        Self {
            local,
            remote,
            proven,
            max_stanza: terms.max_stanza,
            received: Received::default(),
            keepalive: terms.keepalive,
            quiet_since: now,
            closing: None,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        match self.closing {
            None => Stage::Established,
            Some(_) => Stage::Closing,
        }
    }

    /// Counts and reads a stanza; none if it was refused alone.
    pub(super) fn stanza(
        &mut self,
        element: Element,
        wire: &mut Wire,
    ) -> Result<Option<(u64, Stanza)>, StreamFault> {
        self.counted(Stanza::read(element, &self.proven), wire)
    }

    /// Counts a stanza that was skipped and refuses it; only that a message of ours failed is understood.
    pub(super) fn oversize(
        &mut self,
        root: &Oversized,
        wire: &mut Wire,
    ) -> Result<Option<(u64, Stanza)>, StreamFault> {
        let read = Stanza::of_oversized(root, &self.proven, self.max_stanza);
        self.counted(read, wire)
    }

    fn counted(
        &mut self,
        read: Result<Stanza, Refused>,
        wire: &mut Wire,
    ) -> Result<Option<(u64, Stanza)>, StreamFault> {
        let n = self.received.count();
        match read {
            Ok(stanza) => Ok(Some((n, stanza))),
            Err(refused) => self.refuse(n, refused, wire).map(|()| None),
        }
    }

    fn refuse(&mut self, n: u64, refused: Refused, wire: &mut Wire) -> Result<(), StreamFault> {
        match refused {
            Refused::Stream(fault) => Err(fault),
            Refused::Stanza { condition, reply } => {
                wire.event(StreamEvent::Refused { condition, reply });
                self.settled(n, wire);
                Ok(())
            }
        }
    }

    /// Stanza `n` needs nothing more.
    pub(super) fn settled(&mut self, n: u64, wire: &mut Wire) {
        let handled = self.received.settle(n);
        if let Some(handled) = handled.filter(|_| self.closing.is_none()) {
            wire.acknowledge(handled);
        }
    }

    /// Handles what is no stanza and the same in both roles.
    pub(super) fn other(&mut self, element: &Element, wire: &mut Wire) -> Result<(), StreamFault> {
        if element.is("r", ns::SM) {
            let handled = self.received.requested();
            if let Some(handled) = handled.filter(|_| self.closing.is_none()) {
                wire.acknowledge(handled);
            }
            Ok(())
        } else if is_dialback(element) {
            wire.refuse_dialback(element);
            // A question about a key of ours may be the work of a third server that lies to the peer: the stream,
            // and what is on its way there, must not suffer for it.
            if element.name() == "verify" {
                return Ok(());
            }
            Err(StreamFault::UnsupportedStanzaType)
        } else if let Some(error) = PeerError::read(element) {
            wire.end();
            wire.close(CloseReason::PeerError(error, self.stage()));
            Ok(())
        } else {
            Err(StreamFault::UnsupportedStanzaType)
        }
    }

    /// Ends the stream with an error.
    pub(super) fn fail(&self, fault: StreamFault, wire: &mut Wire) {
        wire.fail(fault, Some(&self.local), Some(&self.remote));
    }

    /// Why the connection ended when the peer ended it without a closing tag.
    pub(super) fn eof(&self) -> CloseReason {
        match self.closing {
            None => CloseReason::Eof(Stage::Established),
            Some(_) => CloseReason::Completed,
        }
    }

    /// The peer's closing tag.
    pub(super) fn peer_closed(&self, wire: &mut Wire) {
        wire.end();
        wire.close(match self.closing {
            None => CloseReason::PeerClosed(Stage::Established),
            Some(_) => CloseReason::Completed,
        });
    }

    /// Writes our closing tag and waits for the peer's; stanzas of the peer still count until then.
    pub(super) fn shut_down(&mut self, wire: &mut Wire, now: Mono) {
        if self.closing.is_some() {
            return;
        }
        if let Some(handled) = self.received.handled().filter(|handled| *handled > 0) {
            wire.acknowledge(handled);
        }
        wire.end();
        self.closing = Some(now + limits::CLOSE_TIME);
    }

    /// Notes that something was written.
    pub(super) fn wrote(&mut self, now: Mono) {
        self.quiet_since = now;
    }

    /// Does what is due.
    pub(super) fn timeout(&mut self, wire: &mut Wire, now: Mono) {
        match self.closing {
            Some(deadline) if deadline <= now => wire.close(CloseReason::Completed),
            None if self.quiet_since + self.keepalive <= now => wire.space(),
            Some(_) | None => {}
        }
    }

    pub(super) fn wake_at(&self) -> Mono {
        self.closing.unwrap_or(self.quiet_since + self.keepalive)
    }
}
