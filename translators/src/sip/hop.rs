//! The machine of one SIP connection.
//!
//! It finds the messages in the bytes, keeps the connection alive, and answers by itself and
//! without state whatever needs no user: OPTIONS, methods that the gateway does not take, requests
//! of dialogs that cannot exist, loops, and what is malformed. A response, ACK or BENOTIFY is never
//! answered.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::limits;
use crate::model::{Microsoft, Mono, Now};
use crate::sip::reception::{self, judge_event};
use crate::sip::writer::write_refusal;
use crate::sip::{
    Answer, Branch, Broken, CallId, Defect, Draft, Frame, Framer, Head, HeaderName, Hosts,
    Malformed, Mark, Message, Method, NameAddr, Request, Response, SentBy, SipUri, write_request,
    write_response,
};
use crate::text::{Line, SipToken};

/// Stands for the connection itself where a branch names a shard.
const NO_SHARD: u16 = u16::MAX;
/// Both halves of a keep-alive (RFC 5626 section 3.5.1).
const PING: &[u8] = b"\r\n\r\n";
const PONG: &[u8] = b"\r\n";

/// What a connection is run with.
#[derive(Clone, Debug)]
pub struct HopConfig {
    /// Marks the branches of this run.
    pub mark: Mark,
    /// What our Vias name.
    pub hosts: Hosts,
    /// The switches of the peer, if it speaks Microsoft's dialect.
    pub microsoft: Option<Microsoft>,
    /// Media types for Accept in the answer to OPTIONS.
    pub accept: Line,
    /// Where the connection comes from, for the Via of answers.
    pub source: Option<SocketAddr>,
    /// How to ask the peer whether the connection lives; without it, it is not asked.
    pub probe: Option<Probe>,
    /// A CRLF keep-alive is sent when nothing was sent for this long.
    pub keepalive: Duration,
    /// The peer is asked with OPTIONS when nothing came for this long.
    pub probe_after: Duration,
    /// The connection is closed when it carried no message for this long.
    pub idle: Option<Duration>,
}

/// Whom our OPTIONS go to.
#[derive(Clone, Debug)]
pub struct Probe {
    /// From: a domain that we speak for.
    pub from: SipUri,
    /// Request-URI and To: a domain of the peer.
    pub to: SipUri,
    /// Via: the name of the same domain of ours.
    pub sent_by: SentBy,
}

/// What can happen to a connection.
#[derive(Debug)]
pub enum HopInput<'a> {
    /// A request that the connection gave is answered without a shard, with a tag of ours.
    Answer(&'a Request, Answer),
    /// Bytes came.
    Bytes(&'a [u8]),
    /// A whole message is to be sent.
    Send(Bytes),
    /// We stop or go on reading; silence of the peer counts only while we read.
    Reading(bool),
    /// The time asked for has come.
    Timeout,
    /// The peer has closed.
    Ended,
}

/// What is to be done about it, in this order. Once a connection is to be closed, nothing more is.
#[derive(Debug, Default)]
pub struct HopEffects {
    /// Bytes to write.
    pub write: BytesMut,
    /// How many of the messages among them are answers and questions of the connection's own.
    pub own: usize,
    /// What the connection gave.
    pub events: Vec<HopEvent>,
    /// When to call again if nothing happens before.
    pub wake_at: Option<Mono>,
    /// To close once everything is written, and why.
    pub close: Option<HopClose>,
}

impl HopEffects {
    /// Adds a message of the connection's own.
    fn says(&mut self, message: &[u8]) {
        self.write.extend_from_slice(message);
        self.own += 1;
    }
}

/// What a connection gives.
#[derive(Debug)]
pub enum HopEvent {
    /// A MESSAGE or SUBSCRIBE for the shard of its addressee, or a SUBSCRIBE, NOTIFY or BENOTIFY for
    /// the shard of its dialog.
    Request(Box<Request>),
    /// A response to a request of ours, for the shard that its branch names.
    Response(Box<Response>),
    /// A request that was answered here.
    Answered {
        /// Its method, if it is known by name and could be read.
        method: Option<Method>,
        /// The answer.
        status: u16,
        /// What was wrong with it, if it was malformed.
        why: Option<Malformed>,
    },
    /// Something that must not be answered was left out.
    Ignored(Ignored),
    /// The peer answered our OPTIONS.
    Alive,
}

/// What is left out without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// An ACK in no dialog of ours: of a refusal.
    Ack,
    /// A BENOTIFY of no subscription.
    Benotify,
    /// A message that cannot be read, with nobody to tell.
    Unreadable(Malformed),
    /// A response whose Vias are not exactly one of ours (RFC 3261 sections 8.1.3.3, 18.1.2).
    NotOurs,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopClose {
    /// Where one message ends and the next begins can no longer be told.
    Framing(Malformed),
    /// It carried no message for long.
    Idle,
    /// The peer answered no OPTIONS.
    Silent,
    /// The peer closed it.
    Ended,
}

/// One connection.
#[derive(Debug)]
pub struct Hop {
    config: HopConfig,
    framer: Framer,
    rng: StdRng,
    salt: u64,
    reading: bool,
    /// Whether it was to be closed; nothing that comes behind lost framing is read.
    closed: bool,
    received_at: Mono,
    sent_at: Mono,
    message_at: Mono,
    /// When a peer that does not answer our OPTIONS counts as lost.
    lost_at: Option<Mono>,
}

impl Hop {
    /// Starts with an open connection. `seed` must be random.
    pub fn new(config: HopConfig, now: Now, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let framer = match config.microsoft {
            Some(_) => Framer::of_microsoft(),
            None => Framer::new(),
        };
        Self {
            config,
            framer,
            salt: rng.random(),
            rng,
            reading: true,
            closed: false,
            received_at: now.mono,
            sent_at: now.mono,
            message_at: now.mono,
            lost_at: None,
        }
    }

    /// Takes what happened and says what to do.
    pub fn handle(&mut self, input: HopInput<'_>, now: Now) -> HopEffects {
        let mut effects = HopEffects::default();
        if self.closed {
            return effects;
        }
        match input {
            HopInput::Answer(request, _) if is_unanswered(request) => {}
            HopInput::Answer(request, answer) => {
                let answer = self.finished(answer, request);
                let response = write_response(request, &answer);
                effects.says(&response);
            }
            HopInput::Bytes(bytes) => self.on_bytes(bytes, now.mono, &mut effects),
            HopInput::Send(message) => {
                self.message_at = now.mono;
                effects.write.extend_from_slice(&message);
            }
            HopInput::Reading(reading) => self.on_reading(reading, now.mono),
            HopInput::Timeout => self.on_timeout(now.mono, &mut effects),
            HopInput::Ended => effects.close = Some(HopClose::Ended),
        }
        if !effects.write.is_empty() {
            self.sent_at = now.mono;
        }
        self.closed = effects.close.is_some();
        effects.wake_at = self.next_deadline();
        effects
    }

    fn on_bytes(&mut self, bytes: &[u8], now: Mono, effects: &mut HopEffects) {
        self.received_at = now;
        self.lost_at = None;
        self.framer.push(bytes);
        loop {
            match self.framer.next_frame() {
                Ok(None) => return,
                Ok(Some(Frame::Message(message))) => {
                    self.message_at = now;
                    match message {
                        Message::Request(request) => self.on_request(request, effects),
                        Message::Response(response) => self.on_response(response, effects),
                    }
                }
                Ok(Some(Frame::Broken(broken))) => self.on_broken(&broken, effects),
                Ok(Some(Frame::Ping)) => effects.write.extend_from_slice(PONG),
                Ok(Some(Frame::Pong)) => {}
                Err(broken) => {
                    self.on_broken(&broken, effects);
                    effects.close = Some(HopClose::Framing(broken.why));
                    return;
                }
            }
        }
    }

    fn on_request(&mut self, mut request: Request, effects: &mut HopEffects) {
        request.set_received(self.config.source);
        request.strip();
        if request.method() == Some(Method::Ack) {
            return self.on_ack(request, effects);
        }
        if request.method() == Some(Method::Benotify) {
            return self.on_benotify(request, effects);
        }
        if let Err(why) = request.validate() {
            return self.refuse(&request, request.method(), why, effects);
        }
        let answer = if self.went_through_us(&request) {
            Answer::new(482)
        } else if let Some(answer) = reception::judge(&request, &self.config) {
            answer
        } else {
            return effects.events.push(HopEvent::Request(Box::new(request)));
        };
        let answer = self.finished(answer, &request);
        effects.says(&write_response(&request, &answer));
        effects.events.push(HopEvent::Answered {
            method: request.method(),
            status: answer.status(),
            why: None,
        });
    }

    /// Takes an ACK. That of a 2xx names a dialog of ours; that of a refusal ends what is over already.
    fn on_ack(&self, request: Request, effects: &mut HopEffects) {
        let event = match request.validate() {
            Err(why) => HopEvent::Ignored(Ignored::Unreadable(why)),
            Ok(()) if self.went_through_us(&request) || request.our_tag().is_none() => {
                HopEvent::Ignored(Ignored::Ack)
            }
            Ok(()) => HopEvent::Request(Box::new(request)),
        };
        effects.events.push(event);
    }

    /// Takes a request that "MUST NOT" be answered, whatever is wrong with it ([MS-SIP] section 3.5).
    fn on_benotify(&self, request: Request, effects: &mut HopEffects) {
        let event = match request.validate() {
            Err(why) => HopEvent::Ignored(Ignored::Unreadable(why)),
            Ok(())
                if self.went_through_us(&request)
                    || judge_event(&request, &self.config).is_some() =>
            {
                HopEvent::Ignored(Ignored::Benotify)
            }
            Ok(()) => HopEvent::Request(Box::new(request)),
        };
        effects.events.push(event);
    }

    fn on_response(&mut self, mut response: Response, effects: &mut HopEffects) {
        response.strip();
        let event = match (response.validate(), self.asked_by(&response)) {
            (Err(why), _) => HopEvent::Ignored(Ignored::Unreadable(why)),
            (Ok(()), None) => HopEvent::Ignored(Ignored::NotOurs),
            (Ok(()), Some(branch)) if branch.shard() == NO_SHARD => HopEvent::Alive,
            (Ok(()), Some(_)) => HopEvent::Response(Box::new(response)),
        };
        effects.events.push(event);
    }

    /// The branch of the one Via of a response, if it is ours.
    fn asked_by(&self, response: &Response) -> Option<Branch> {
        let vias = response.vias().ok()?;
        let [via] = vias.as_slice() else {
            return None;
        };
        let ours = self.config.hosts.are_named_by(via);
        response.branch().filter(|_| ours)
    }

    /// Whether a Via of a request is one that this run of the gateway wrote.
    fn went_through_us(&self, request: &Request) -> bool {
        let vias = request.all(HeaderName::Via);
        let mut values =
            vias.flat_map(|header| header.raw.split([',', ';', ' ', '\t', '\r', '\n']));
        values.any(|word| {
            let branch = word.split_once('=').map(|(_, value)| value);
            branch.and_then(Branch::parse).map(Branch::mark) == Some(self.config.mark)
        })
    }

    fn on_broken(&self, broken: &Broken, effects: &mut HopEffects) {
        let Broken { why, head } = broken;
        if is_request(head) {
            return self.refuse(head, None, *why, effects);
        }
        let ignored = HopEvent::Ignored(Ignored::Unreadable(*why));
        effects.events.push(ignored);
    }

    /// Answers a malformed request, if its sender could tell what the answer is for.
    fn refuse(
        &self,
        head: &Head,
        method: Option<Method>,
        why: Malformed,
        effects: &mut HopEffects,
    ) {
        let answer = match (why.defect, self.config.microsoft) {
            // It is the body that is too large, and that is what a Microsoft server understands.
            (Defect::BodyTooLong, Some(_)) => Answer::new(413),
            _ => malformed(why),
        };
        let answer = self.finished(answer, head);
        let Some(refusal) = write_refusal(head, &answer) else {
            let ignored = HopEvent::Ignored(Ignored::Unreadable(why));
            return effects.events.push(ignored);
        };
        effects.says(&refusal);
        effects.events.push(HopEvent::Answered {
            method,
            status: answer.status(),
            why: Some(why),
        });
    }

    /// Adds what every answer of the connection has: a tag, and for a Microsoft peer the reason of an
    /// error.
    fn finished(&self, answer: Answer, head: &Head) -> Answer {
        let answer = answer.to_tag(self.tag(head));
        match (self.config.microsoft, self.config.hosts.asked_by(head)) {
            (Some(_), Some(source)) => answer.diagnosed(&source),
            (None, _) | (Some(_), None) => answer,
        }
    }

    /// A tag for To that is the same for every repetition of a request (RFC 3261 section 8.2.7).
    fn tag(&self, head: &Head) -> SipToken {
        let mut hasher = DefaultHasher::new();
        self.salt.hash(&mut hasher);
        for name in [HeaderName::Via, HeaderName::CallId, HeaderName::CSeq] {
            head.header(name).map(|header| header.raw).hash(&mut hasher);
        }
        SipToken::from_number(hasher.finish())
    }

    fn on_reading(&mut self, reading: bool, now: Mono) {
        if reading && !self.reading {
            self.received_at = now;
            self.lost_at = self.lost_at.map(|_| now + limits::TIMER_F);
        }
        self.reading = reading;
    }

    fn on_timeout(&mut self, now: Mono, effects: &mut HopEffects) {
        let due = |deadline: Option<Mono>| deadline.is_some_and(|at| at <= now);
        if due(self.lost_deadline()) {
            effects.close = Some(HopClose::Silent);
        } else if due(self.idle_deadline()) {
            effects.close = Some(HopClose::Idle);
        } else if due(self.probe_deadline()) {
            self.ask(now, effects);
        } else if due(Some(self.keepalive_deadline())) {
            effects.write.extend_from_slice(PING);
        }
    }

    /// Sends OPTIONS; any answer, and anything else that comes, shows that the peer is there.
    fn ask(&mut self, now: Mono, effects: &mut HopEffects) {
        let Some(Probe { from, to, sent_by }) = &self.config.probe else {
            return;
        };
        let call_id = CallId::from_number(self.rng.random());
        let tag = SipToken::from_number(self.rng.random());
        let draft = Draft {
            method: Method::Options,
            uri: to.clone(),
            from: NameAddr::new(None, from.clone(), Some(tag)),
            to: NameAddr::new(None, to.clone(), None),
            call_id,
            cseq: 1,
            max_forwards: limits::MAX_FORWARDS,
            headers: Vec::new(),
            content_type: None,
            body: Bytes::new(),
        };
        let branch = Branch::draw(self.config.mark, NO_SHARD, &mut self.rng);
        let request = write_request(&draft, sent_by, branch);
        effects.says(&request);
        self.lost_at = Some(now + limits::TIMER_F);
    }

    fn next_deadline(&self) -> Option<Mono> {
        if self.closed {
            return None;
        }
        let deadlines = [
            self.lost_deadline(),
            self.idle_deadline(),
            self.probe_deadline(),
            Some(self.keepalive_deadline()),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn keepalive_deadline(&self) -> Mono {
        self.sent_at + self.config.keepalive
    }

    fn probe_deadline(&self) -> Option<Mono> {
        let may_ask = self.reading && self.lost_at.is_none() && self.config.probe.is_some();
        may_ask.then(|| self.received_at + self.config.probe_after)
    }

    fn lost_deadline(&self) -> Option<Mono> {
        self.lost_at.filter(|_| self.reading)
    }

    fn idle_deadline(&self) -> Option<Mono> {
        self.config.idle.map(|idle| self.message_at + idle)
    }
}

/// Whether the request is one that nothing answers.
fn is_unanswered(request: &Request) -> bool {
    matches!(request.method(), Some(Method::Ack | Method::Benotify))
}

/// "The Reason-Phrase SHOULD identify the syntax problem in more detail" (RFC 3261 section 21.4.1).
pub(super) fn malformed(why: Malformed) -> Answer {
    Answer::new(why.status()).reason(Line::fold(&why.defect.to_string()))
}

/// Whether a message that cannot be read may be answered: it is no response, ACK or BENOTIFY.
fn is_request(head: &Head) -> bool {
    let line = head.start_line();
    let word = line.split(' ').next().unwrap_or_default();
    let is_response = word
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("SIP/"));
    !is_response
        && ![Method::Ack, Method::Benotify]
            .iter()
            .any(|one| one.as_str() == word)
}
