//! An established outgoing stream: stanzas of ours, acknowledgements, barriers.

use bytes::Bytes;
use minidom::Element;

use super::established::Established;
use super::types::{Stage, StreamEvent};
use super::wire::{Flow, Wire};
use crate::limits;
use crate::model::{Domain, Mono};
use crate::xmpp::acks::{Barrier, BarrierEvent, Sent};
use crate::xmpp::faults::StreamFault;
use crate::xmpp::ns;
use crate::xmpp::reader::Frame;
use crate::xmpp::stanza::Stanza;
use crate::xmpp::writer::XmlWriter;

/// The initiating entity once stanzas may flow.
pub(super) struct Sending {
    pub(super) base: Established,
    /// Number of the last `Send`.
    number: u64,
    sent: Sent,
    barrier: Barrier,
    /// When our last stanza was written.
    last_stanza: Mono,
}

impl Sending {
    /// Starts behind the last features; `asked`: an `<enable/>` was written.
    pub(super) fn new(base: Established, asked: bool, barrier: Barrier, now: Mono) -> Self {
        Self {
            base,
            number: 0,
            sent: Sent::new(asked),
            barrier,
            last_stanza: now,
        }
    }

    pub(super) fn send(&mut self, bytes: &Bytes, wanted: bool, wire: &mut Wire, now: Mono) {
        if self.base.stage() == Stage::Closing {
            return;
        }
        self.number += 1;
        wire.stanza(bytes);
        self.last_stanza = now;
        let request = self.sent.written(Some(self.number));
        self.barrier.written(self.number, wanted);
        self.ping(false, wire, now);
        if request {
            wire.leaf("r", ns::SM);
        }
    }

    /// Asks for a confirmation of what went before, on this stream or an earlier one.
    pub(super) fn probe(&mut self, wire: &mut Wire, now: Mono) {
        self.barrier.want();
        self.ping(false, wire, now);
    }

    /// Writes a ping to the peer's domain if one is wanted (XEP-0199 section 4.4).
    fn ping(&mut self, forced: bool, wire: &mut Wire, now: Mono) {
        if self.base.stage() == Stage::Closing {
            return;
        }
        let Some(id) = self.barrier.next_ping(forced, now) else {
            return;
        };
        let (from, to) = (&self.base.local, &self.base.remote);
        wire.write(|xml| ping(xml, from, to, &id));
        self.last_stanza = now;
        if self.sent.written(None) {
            wire.leaf("r", ns::SM);
        }
    }

    pub(super) fn answered(&mut self, id: &str, wire: &mut Wire, now: Mono) {
        let event = self.barrier.answered(id, now);
        report(event, wire);
        self.barrier_due(wire, now);
    }

    fn barrier_due(&mut self, wire: &mut Wire, now: Mono) {
        while let Some(event) = self.barrier.due(now) {
            report(Some(event), wire);
        }
        self.ping(false, wire, now);
    }

    /// Handles what the peer sends on a stream of ours: acknowledgements and errors, nothing else.
    pub(super) fn frame(&mut self, frame: Frame, wire: &mut Wire) -> Result<Flow, StreamFault> {
        match frame {
            Frame::Stanza(child) => self.element(child, wire)?,
            Frame::Oversize(root) => {
                let read = self.base.oversize(&root, wire)?;
                report_error(read, wire)?;
            }
            Frame::Close => self.base.peer_closed(wire),
            Frame::Header(_) => return Err(StreamFault::BadFormat),
        }
        Ok(Flow::Next)
    }

    fn element(&mut self, element: Element, wire: &mut Wire) -> Result<(), StreamFault> {
        if Stanza::is_stanza(&element) {
            let read = self.base.stanza(element, wire)?;
            return report_error(read, wire);
        }
        if !element.has_ns(ns::SM) || element.name() == "r" {
            return self.base.other(&element, wire);
        }
        match element.name() {
            "enabled" => {
                // What the peer sends on this stream counts from here, too.
                self.base.received.enable();
                if self.sent.enable() {
                    wire.leaf("r", ns::SM);
                }
                Ok(())
            }
            "failed" => {
                self.sent.refuse();
                Ok(())
            }
            "a" => self.acknowledged(&element, wire),
            _ => Err(StreamFault::UnsupportedStanzaType),
        }
    }

    fn acknowledged(&mut self, element: &Element, wire: &mut Wire) -> Result<(), StreamFault> {
        let handled = element.attr("h").and_then(|h| h.parse().ok());
        let handled = handled.ok_or(StreamFault::BadFormat)?;
        let covered = self.sent.acknowledged(handled);
        let covered = covered.map_err(|high| StreamFault::HandledTooHigh {
            handled: high.handled,
            sent: high.sent,
        })?;
        if let Some(n) = covered {
            wire.event(StreamEvent::Acked(n));
        }
        if self.base.stage() == Stage::Established && self.sent.wants_request() {
            wire.leaf("r", ns::SM);
        }
        Ok(())
    }

    pub(super) fn timeout(&mut self, wire: &mut Wire, now: Mono) {
        self.barrier_due(wire, now);
        if self.last_stanza + limits::XMPP_PING <= now {
            // An unanswered ping says nothing about this stream; the barrier judges it.
            self.ping(true, wire, now);
            self.last_stanza = now;
        }
        if !wire.has_written() {
            self.base.timeout(wire, now);
        }
    }

    pub(super) fn wake_at(&self) -> Mono {
        let ping = self.last_stanza + limits::XMPP_PING;
        let wake = self.base.wake_at().min(ping);
        self.barrier.wake_at().map_or(wake, |at| at.min(wake))
    }
}

/// Hands on an error of the peer.
///
/// COMPAT(ejabberd): errors of its router come back on the stream of the stanza. Everything else has to come on a
/// stream that the peer authenticated.
fn report_error(read: Option<(u64, Stanza)>, wire: &mut Wire) -> Result<(), StreamFault> {
    let Some((n, stanza)) = read else {
        return Ok(());
    };
    if !stanza.is_error() {
        return Err(StreamFault::NotAuthorized);
    }
    let stanza = Box::new(stanza);
    wire.event(StreamEvent::Stanza { n, stanza });
    Ok(())
}

fn report(event: Option<BarrierEvent>, wire: &mut Wire) {
    match event {
        Some(BarrierEvent::Confirmed(n)) => wire.event(StreamEvent::Confirmed(n)),
        Some(BarrierEvent::Down) => wire.event(StreamEvent::ReturnPathDown),
        Some(BarrierEvent::Up) => wire.event(StreamEvent::ReturnPathUp),
        None => {}
    }
}

fn ping(xml: &mut XmlWriter, from: &Domain, to: &Domain, id: &str) {
    xml.open("iq", None);
    xml.attribute("from", &from.to_ascii());
    xml.attribute("to", &to.to_ascii());
    xml.attribute("type", "get");
    xml.attribute("id", id);
    xml.leaf("ping", ns::PING);
    xml.close();
}
