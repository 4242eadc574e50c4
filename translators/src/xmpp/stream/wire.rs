//! What both roles share: reading frames within the budget, writing headers, errors and closing tags.

use bytes::Bytes;
use minidom::Element;

use super::types::{CloseReason, LinkEffects, StreamEvent};
use crate::limits;
use crate::model::{Domain, Mono};
use crate::xmpp::faults::StreamFault;
use crate::xmpp::ns;
use crate::xmpp::reader::{Frame, Reader, ReaderLimits};
use crate::xmpp::writer::{OwnHeader, XmlWriter};

/// Where the reading goes on after a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// With what follows.
    Next,
    /// Nowhere: what follows in clear text must not be believed behind TLS.
    Discard,
    /// With what follows, but later.
    Hold,
}

/// Reader and output of one connection.
pub(super) struct Wire {
    reader: Reader,
    /// Bytes that may still come before authentication; none once it is done.
    budget: Option<usize>,
    /// Bytes kept until the certificate is judged.
    held: Vec<u8>,
    /// Whether the peer has sent anything at all.
    used: bool,
    /// Whether our header of the current stream is written.
    opened: bool,
    seed: u64,
    headers: u32,
    out: Vec<u8>,
    effects: LinkEffects,
    closed: bool,
}

impl Wire {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            reader: Reader::new(ReaderLimits::default()),
            budget: Some(limits::BEFORE_AUTHENTICATION),
            held: Vec::new(),
            used: false,
            opened: false,
            seed,
            headers: 0,
            out: Vec::new(),
            effects: LinkEffects::default(),
            closed: false,
        }
    }

    /// Reads the next frame; bytes behind it stay in `rest`.
    pub(super) fn next_frame(&mut self, rest: &mut &[u8]) -> Result<Option<Frame>, StreamFault> {
        self.used |= !rest.is_empty();
        let Some(left) = self.budget else {
            return self.reader.next(rest);
        };
        let (allowed, _) = rest.split_at_checked(left).unwrap_or((rest, &[]));
        let mut unread = allowed;
        let frame = self.reader.next(&mut unread)?;
        let taken = allowed.len() - unread.len();
        self.budget = Some(left - taken);
        *rest = rest.get(taken..).unwrap_or_default();
        if frame.is_none() && !rest.is_empty() && !self.closed {
            return Err(StreamFault::BeforeAuthentication);
        }
        Ok(frame)
    }

    /// Keeps bytes until the certificate is judged.
    pub(super) fn hold(&mut self, bytes: &[u8]) -> Result<(), StreamFault> {
        if self
            .budget
            .is_some_and(|left| self.held.len() + bytes.len() > left)
        {
            return Err(StreamFault::BeforeAuthentication);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns what was kept.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Whether the peer has sent anything.
    pub(super) fn is_used(&self) -> bool {
        self.used
    }

    /// Expects a new stream on the same connection, behind TLS.
    pub(super) fn restart(&mut self) {
        self.reader = Reader::new(ReaderLimits::default());
        self.opened = false;
    }

    /// Expects a new stream of an authenticated peer.
    pub(super) fn restart_authenticated(&mut self, limits: ReaderLimits) {
        self.reader = Reader::new(limits);
        self.opened = false;
        self.budget = None;
    }

    /// Writes our header; a response header carries a fresh identifier.
    pub(super) fn header(&mut self, from: Option<&str>, to: Option<&str>, response: bool) {
        self.headers += 1;
        let id = response.then(|| format!("{:016x}-{}", self.seed, self.headers));
        let id = id.as_deref();
        let header = OwnHeader { from, to, id }.write();
        self.out.extend_from_slice(header.as_bytes());
        self.opened = true;
    }

    /// Writes elements of our own.
    pub(super) fn write(&mut self, write: impl FnOnce(&mut XmlWriter)) {
        let mut xml = XmlWriter::default();
        write(&mut xml);
        self.out.extend_from_slice(xml.into_string().as_bytes());
    }

    /// Writes an empty element.
    pub(super) fn leaf(&mut self, name: &str, namespace: &str) {
        self.write(|xml| xml.leaf(name, namespace));
    }

    /// Writes white space.
    pub(super) fn space(&mut self) {
        self.out.push(b' ');
    }

    /// Writes a complete stanza.
    pub(super) fn stanza(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes the count of settled stanzas (XEP-0198 section 4).
    pub(super) fn acknowledge(&mut self, handled: u32) {
        self.write(|xml| {
            xml.open("a", Some(ns::SM));
            xml.attribute("h", &handled.to_string());
            xml.close();
        });
    }

    /// Refuses server dialback at once: a peer that waits for an answer may stop all its federation meanwhile.
    pub(super) fn refuse_dialback(&mut self, request: &Element) {
        let name = if request.name() == "verify" {
            "db:verify"
        } else {
            "db:result"
        };
        self.write(|xml| {
            xml.open(name, None);
            xml.attribute("xmlns:db", ns::DIALBACK);
            xml.optional("from", request.attr("to"));
            xml.optional("to", request.attr("from"));
            xml.optional("id", request.attr("id"));
            xml.attribute("type", "error");
            xml.open("error", None);
            xml.attribute("type", "cancel");
            xml.leaf("policy-violation", ns::STANZA_ERRORS);
            xml.close();
            xml.close();
        });
        self.event(StreamEvent::Dialback);
    }

    /// Writes the closing tag if a stream of ours is open.
    pub(super) fn end(&mut self) {
        if self.opened {
            self.opened = false;
            self.write(XmlWriter::end_stream);
        }
    }

    /// Ends the connection with a stream error; a header goes before it if none was written ("the receiving entity
    /// must still send the opening tag", RFC 6120 section 4.9.1.2).
    pub(super) fn fail(&mut self, fault: StreamFault, from: Option<&Domain>, to: Option<&Domain>) {
        if !self.opened {
            let (from, to) = (from.map(Domain::to_ascii), to.map(Domain::to_ascii));
            self.header(from.as_deref(), to.as_deref(), true);
        }
        self.opened = false;
        self.write(|xml| fault.write(xml));
        self.close(CloseReason::Fault(fault));
    }

    /// Ends the connection.
    pub(super) fn close(&mut self, reason: CloseReason) {
        self.closed = true;
        self.effects.close = Some(reason);
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Reports something.
    pub(super) fn event(&mut self, event: StreamEvent) {
        self.effects.events.push(event);
    }

    /// Asks for TLS.
    pub(super) fn start_tls(&mut self, start: super::types::StartTls) {
        self.effects.start_tls = Some(start);
    }

    /// Whether this turn has written anything yet.
    pub(super) fn has_written(&self) -> bool {
        !self.out.is_empty()
    }

    /// Hands over what this turn brought.
    pub(super) fn finish(&mut self, wake_at: Option<Mono>) -> LinkEffects {
        let mut effects = std::mem::take(&mut self.effects);
        effects.write = Bytes::from(std::mem::take(&mut self.out));
        effects.wake_at = wake_at.filter(|_| !self.closed);
        effects
    }
}

/// Tells whether an element is a dialback request (XEP-0220).
pub(super) fn is_dialback(element: &Element) -> bool {
    element.has_ns(ns::DIALBACK) && matches!(element.name(), "result" | "verify")
}
