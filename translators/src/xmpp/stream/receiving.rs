//! An established incoming stream: stanzas of the peer, barrier answers, stream management as receiver.

use minidom::Element;

use super::established::Established;
use super::types::StreamEvent;
use super::wire::{Flow, Wire};
use crate::model::Domain;
use crate::xmpp::acks::PING_PREFIX;
use crate::xmpp::faults::StreamFault;
use crate::xmpp::ns;
use crate::xmpp::reader::Frame;
use crate::xmpp::stanza::{Iq, IqKind, Stanza};
use crate::xmpp::writer::XmlWriter;

/// Handles a frame on an established stream of the peer.
pub(super) fn frame(
    established: &mut Established,
    frame: Frame,
    management: bool,
    wire: &mut Wire,
) -> Result<Flow, StreamFault> {
    match frame {
        Frame::Stanza(child) => element(established, child, management, wire)?,
        Frame::Oversize(root) => {
            let read = established.oversize(&root, wire)?;
            report(established, read, wire);
        }
        Frame::Close => established.peer_closed(wire),
        Frame::Header(_) => return Err(StreamFault::BadFormat),
    }
    Ok(Flow::Next)
}

fn element(
    established: &mut Established,
    element: Element,
    management: bool,
    wire: &mut Wire,
) -> Result<(), StreamFault> {
    if Stanza::is_stanza(&element) {
        let read = established.stanza(element, wire)?;
        report(established, read, wire);
        return Ok(());
    }
    if element.is("enable", ns::SM) {
        if management && established.received.enable() {
            wire.leaf("enabled", ns::SM);
        } else {
            wire.write(|xml| failed(xml, "unexpected-request"));
        }
        return Ok(());
    }
    if element.is("resume", ns::SM) {
        wire.write(|xml| failed(xml, "item-not-found"));
        return Ok(());
    }
    if element.is("a", ns::SM) {
        // We send nothing on this stream that could be acknowledged.
        let handled = element.attr("h").and_then(|h| h.parse().ok()).unwrap_or(0);
        return match handled {
            0 => Ok(()),
            handled => Err(StreamFault::HandledTooHigh { handled, sent: 0 }),
        };
    }
    established.other(&element, wire)
}

/// Hands a stanza on, unless it is the answer to a barrier.
fn report(established: &mut Established, read: Option<(u64, Stanza)>, wire: &mut Wire) {
    let Some((n, stanza)) = read else {
        return;
    };
    if let Some(answered) = barrier_answer(&stanza, established) {
        wire.event(answered);
        established.settled(n, wire);
    } else {
        let stanza = Box::new(stanza);
        wire.event(StreamEvent::Stanza { n, stanza });
    }
}

/// Recognises the answer to a barrier ping; an error is an answer too, it found its way.
fn barrier_answer(stanza: &Stanza, established: &Established) -> Option<StreamEvent> {
    let Stanza::Iq(Iq { from, to, id, kind }) = stanza else {
        return None;
    };
    let answers =
        matches!(kind, IqKind::Result(_) | IqKind::Error(_)) && id.starts_with(PING_PREFIX);
    let of_the_server = from.node().is_none() && from.resource().is_none();
    (answers && of_the_server).then(|| StreamEvent::PingAnswered {
        local: Domain::parse(to.domain().as_str()).unwrap_or_else(|| established.local.clone()),
        remote: Domain::parse(from.domain().as_str()).unwrap_or_else(|| established.remote.clone()),
        id: id.clone(),
    })
}

fn failed(xml: &mut XmlWriter, condition: &str) {
    xml.open("failed", Some(ns::SM));
    xml.leaf(condition, ns::STANZA_ERRORS);
    xml.close();
}
