//! Finds messages and keep-alives in the bytes of one connection (RFC 3261 section 18.3, RFC 5626
//! section 3.5.1).
//!
//! What could make two readers see different messages in the same bytes ends the connection: line
//! ends that are not CRLF, lines that are no headers, and a Content-Length that is missing,
//! repeated or no plain decimal number.

use std::ops::ControlFlow::{self, Break, Continue};

use bytes::{Buf as _, BytesMut};

use crate::limits;
use crate::sip::head::{Head, HeadLimits, Lines, split};
use crate::sip::message::StartLine;
use crate::sip::{Defect, Malformed, Message};

/// One thing found in the bytes.
#[derive(Clone, Debug)]
pub enum Frame {
    /// A message with readable start line.
    Message(Message),
    /// A message that cannot be read, but whose end is known.
    Broken(Broken),
    /// A double CRLF: the peer asks whether the connection lives.
    Ping,
    /// A single CRLF: the peer answers such a question.
    Pong,
}

/// A message that cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Broken {
    /// What is wrong with it.
    #[source]
    pub why: Malformed,
    /// The headers that could be read, for an answer.
    pub head: Head,
}

/// The reader of one connection.
#[derive(Debug, Default)]
pub struct Framer {
    limits: HeadLimits,
    buffer: BytesMut,
    place: Place,
}

/// Where in the stream the reader is.
#[derive(Debug, Default)]
enum Place {
    /// Between messages.
    #[default]
    Between,
    /// Behind a single CRLF, which is the first half of a ping if another follows.
    AfterCrlf,
    /// In a head.
    Head(Lines),
    /// In a body; the head has been read.
    Body { head: Box<Head>, length: usize },
    /// In a body that is too long to be kept, with so many octets to come.
    Skipping(usize),
}

impl Framer {
    /// Starts at the beginning of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts at the beginning of a connection of a Microsoft server, which may send longer heads.
    pub(super) fn of_microsoft() -> Self {
        Self {
            limits: HeadLimits::MICROSOFT,
            ..Self::default()
        }
    }

    /// Takes bytes from the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete frame. After an error nothing more can be read from the
    /// connection.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Box<Broken>> {
        loop {
            let frame = match std::mem::take(&mut self.place) {
                Place::Between => self.between(false),
                Place::AfterCrlf => self.between(true),
                Place::Head(lines) => self.head(lines)?,
                Place::Body { head, length } => self.body(head, length),
                Place::Skipping(octets) => self.skip(octets),
            };
            match frame {
                Break(frame) => return Ok(frame),
                Continue(()) => {}
            }
        }
    }

    /// Says what is missing if the connection ends here.
    pub fn finish(&self) -> Result<(), Malformed> {
        match &self.place {
            Place::Between | Place::AfterCrlf if self.buffer.is_empty() => Ok(()),
            Place::Between
            | Place::AfterCrlf
            | Place::Head(_)
            | Place::Body { .. }
            | Place::Skipping(_) => Err(Malformed::new(Defect::Incomplete, self.buffer.len())),
        }
    }

    fn between(&mut self, after_crlf: bool) -> Step {
        match self.buffer.as_ref() {
            [b'\r', b'\n', b'\r', b'\n', ..] if !after_crlf => {
                self.buffer.advance(4);
                Break(Some(Frame::Ping))
            }
            [b'\r', b'\n', ..] if after_crlf => {
                self.buffer.advance(2);
                Break(Some(Frame::Ping))
            }
            [b'\r', b'\n', b'\r'] => {
                self.place = Place::Between;
                Break(None)
            }
            [b'\r', b'\n', ..] => {
                self.buffer.advance(2);
                self.place = Place::AfterCrlf;
                Break(Some(Frame::Pong))
            }
            [] | [b'\r'] => {
                self.place = if after_crlf {
                    Place::AfterCrlf
                } else {
                    Place::Between
                };
                Break(None)
            }
            _ => {
                self.place = Place::Head(Lines::within(self.limits));
                Continue(())
            }
        }
    }

    fn head(&mut self, mut lines: Lines) -> Result<Step, Box<Broken>> {
        match lines.scan(&self.buffer) {
            Ok(true) => {}
            Ok(false) => {
                self.place = Place::Head(lines);
                return Ok(Break(None));
            }
            Err(why) => return Err(self.lost(&lines, why)),
        }
        let bytes = self.buffer.split_to(lines.next_start()).freeze();
        let (head, outcome) = split(bytes, &lines);
        let length = match outcome.and_then(|()| head.content_length()) {
            Ok(length) => length,
            Err(why) => return Err(Box::new(Broken { why, head })),
        };
        if length <= limits::SIP_BODY {
            let head = Box::new(head);
            self.place = Place::Body { head, length };
            return Ok(Continue(()));
        }
        let why = Malformed::new(Defect::BodyTooLong, head.bytes().len());
        let broken = Broken { why, head };
        if length > limits::SIP_BODY_SKIPPED {
            return Err(Box::new(broken));
        }
        self.place = Place::Skipping(length);
        Ok(Break(Some(Frame::Broken(broken))))
    }

    fn body(&mut self, head: Box<Head>, length: usize) -> Step {
        if self.buffer.len() < length {
            self.place = Place::Body { head, length };
            return Break(None);
        }
        let body = self.buffer.split_to(length).freeze();
        let head = head.with_body(body);
        Break(Some(match StartLine::read(&head) {
            Ok(line) => Frame::Message(Message::new(head, line)),
            Err(why) => Frame::Broken(Broken { why, head }),
        }))
    }

    fn skip(&mut self, octets: usize) -> Step {
        let here = octets.min(self.buffer.len());
        self.buffer.advance(here);
        if here == octets {
            return Continue(());
        }
        self.place = Place::Skipping(octets - here);
        Break(None)
    }

    /// Gives up on the connection, with the headers of the lines that could be told apart.
    fn lost(&mut self, lines: &Lines, why: Malformed) -> Box<Broken> {
        let bytes = self.buffer.split().freeze();
        let (head, _) = split(bytes, lines);
        Box::new(Broken { why, head })
    }
}

/// What one look at the buffer gave: a frame, nothing until more bytes come, or a step forward.
type Step = ControlFlow<Option<Frame>>;
