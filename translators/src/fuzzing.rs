//! Bodies of the fuzz targets: each takes any bytes and panics where a promise is broken.
//!
//! They are library functions so that `cargo test` can replay the corpora. Nothing else uses them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;

use crate::address::{self, Spelling};
use crate::documents::adrl;
use crate::documents::presence::{self, Format, Reading};
use crate::limits;
use crate::mapping::parties;
use crate::mapping::presence::{Document, Occasion, document, full};
use crate::model::{
    Accept, Aor, Dialect, Directory, Domain, LinkId, Microsoft, Mono, Now, Pair, PeerId,
    PresenceState, Profile, Show, SipProfile, Wall, XmppProfile,
};
use crate::origin::{self, Origin, Proven};
use crate::policy::{Disclosure, Policy};
use crate::shard::{Effects, Input, Place, Shard};
use crate::sip::invite::{self, Inside};
use crate::sip::subscription::SubscriptionState;
use crate::sip::{
    Answer, Branch, Dialog, Draft, Frame, Framer, HeaderName, Hosts, Invited, Mark, Message,
    Request, SentBy, Session, SipUri, Tag, sdp, write_request, write_response,
};
use crate::text::SipToken;
use crate::xmpp::Stanza;
use crate::xmpp::reader::{self, Reader, ReaderLimits};
use crate::xmpp::stream::{
    Acks, IncomingSettings, LinkInput, OutgoingSettings, Stream, Terms, TlsVersion, Verdict,
};

const XMPP: &str = "xmpp.example";
const SIP: &str = "sip.example";

/// Bytes of a SIP connection give the same messages in one piece and one by one.
pub fn sip_framing(data: &[u8]) {
    let whole = messages(data, data.len().max(1));
    assert_eq!(whole, messages(data, 1), "the pieces matter");
}

/// A SIP message that can be read can be judged, and its answer can be read; what makes a dialog
/// is answered in the dialog with a request that can be read, too.
pub fn sip_message(data: &[u8]) {
    let Ok(Message::Request(request)) = Message::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    if request.validate().is_err() {
        return;
    }
    let answer = Answer::new(200).to_tag(SipToken::from_number(1));
    let written = write_response(&request, &answer);
    let read = Message::parse(written.clone());
    assert!(
        matches!(read, Ok(Message::Response(_))),
        "unreadable answer: {written:?}"
    );
    _ = request.subscription_state();
    if let Some(sent) = answered_in_dialog(&request) {
        let read = Message::parse(sent.clone());
        let read = read.and_then(|message| message.validate().map(|()| message));
        let Ok(Message::Request(sent)) = read else {
            panic!("unreadable request: {sent:?}");
        };
        let asked = request.record_routes().unwrap_or_default();
        let routes = sent.all(HeaderName::Route).count();
        assert_eq!(routes, asked.len(), "{sent:?}");
    }
}

/// A NOTIFY in the dialog that a request makes.
fn answered_in_dialog(request: &Request) -> Option<Bytes> {
    let tag = Tag::new(&BareJid::new("a@xmpp.example").ok()?, 1);
    let mut dialog = Dialog::accepting(request, tag).ok()?;
    let sent_by = SentBy::new("gw.example", 5061)?;
    let state = SubscriptionState::active(60);
    let draft = dialog.notify(&state, Vec::new(), None, &sent_by);
    let (draft, _) = draft.unwrap_or_else(|defect| panic!("{defect}: {dialog:?}"));
    let branch = Branch::parse("z9hG4bK000000ab00070000000000000001")?;
    Some(write_request(&draft, &sent_by, branch))
}

/// A connection that begins with an INVITE: whatever follows in its dialog, every answer and every
/// request of ours can be read, our numbers only grow, and no message counts twice.
pub fn conversation(data: &[u8]) {
    let mut framer = Framer::new();
    framer.push(data);
    let mut open: Option<(Session, Vec<u32>, u32)> = None;
    let (Some(tag), Some(sent_by)) = (tag(), SentBy::new("gw.example", 5061)) else {
        return;
    };
    let terms = invite::Terms {
        sent_by: &sent_by,
        types: sdp::TYPES_MICROSOFT,
        epid: true,
        took_first: true,
    };
    while let Ok(Some(frame)) = framer.next_frame() {
        let Frame::Message(Message::Request(request)) = frame else {
            continue;
        };
        if request.validate().is_err() {
            continue;
        }
        let Some((session, heard, sent)) = &mut open else {
            open = invited(&request, tag, &terms).map(|session| (session, Vec::new(), 0));
            continue;
        };
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        match session.on_request(&request, &terms) {
            Inside::Accepted(answer) | Inside::Answer(answer) => is_answered(&request, &answer),
            Inside::Info | Inside::Message => {
                assert!(!heard.contains(&number), "number {number} again");
                heard.push(number);
            }
            Inside::Ack | Inside::Bye | Inside::Ignored => {}
        }
        let bye = session
            .bye()
            .unwrap_or_else(|defect| panic!("{defect}: {session:?}"));
        assert!(bye.cseq > *sent, "{bye:?}");
        *sent = bye.cseq;
        is_sent_whole(&bye, &sent_by);
    }
}

/// The conversation that an INVITE makes, if it is for one.
fn invited(request: &Request, tag: Tag, terms: &invite::Terms<'_>) -> Option<Session> {
    let invited = Invited::read(request);
    if let Some(refusal) = invited.refusal() {
        is_answered(request, &refusal);
        return None;
    }
    let (session, answer) = Invited::accept(request, tag, terms).ok()?;
    is_answered(request, &answer);
    Some(session)
}

fn tag() -> Option<Tag> {
    Some(Tag::new(&BareJid::new("a@xmpp.example").ok()?, 1))
}

fn is_answered(request: &Request, answer: &Answer) {
    let written = write_response(request, answer);
    let read = Message::parse(written.clone());
    assert!(
        matches!(read, Ok(Message::Response(_))),
        "unreadable answer: {written:?}"
    );
}

fn is_sent_whole(draft: &Draft, sent_by: &SentBy) {
    let Some(branch) = Branch::parse("z9hG4bK000000ab00070000000000000001") else {
        return;
    };
    let written = write_request(draft, sent_by, branch);
    let read = Message::parse(written.clone()).and_then(|message| message.validate());
    assert_eq!(read, Ok(()), "{written:?}");
}

/// A URI that has an image as JID comes back as a URI with the same image.
pub fn uri(data: &[u8]) {
    let Some(uri) = str::from_utf8(data)
        .ok()
        .and_then(|text| SipUri::parse(text).ok())
    else {
        return;
    };
    let Ok(jid) = address::to_jid(&uri, uri.param("gr")) else {
        return;
    };
    if let Ok(back) = address::to_sip(&jid, Spelling::Plain) {
        let again = address::to_jid(&back, back.param("gr"));
        assert_eq!(again, Ok(jid), "{back:?}");
    }
}

/// A stanza that can be read is written as one that reads the same.
pub fn xmpp_reader(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        let mut reader = Reader::new(ReaderLimits::default());
        // What is no text may be anything but a crash.
        while let Ok(Some(_)) = reader.next(&mut &*data) {}
        return;
    };
    for stanza in stanzas(text) {
        let written = match &stanza {
            Stanza::Iq(_) => continue,
            Stanza::Message(message) => message.write(usize::MAX),
            Stanza::Presence(presence) => presence.write(usize::MAX),
        };
        if let Ok(written) = written {
            let text = String::from_utf8_lossy(&written);
            assert_eq!(stanzas(&text), [stanza], "{text}");
        }
    }
}

/// A presence document that can be read says the same when it is written again, and whatever it
/// says, its stanzas are whole and small enough.
pub fn presence_document(data: &[u8]) {
    let how = Reading {
        lang: Some("en"),
        ..Reading::default()
    };
    let (Ok(Some(state)), Some(disclosure)) = (presence::read(data, how), disclosure()) else {
        return;
    };
    is_told_whole(&disclosure, &state);
    let (peer, wall) = (SipProfile::default(), now().wall);
    let occasion = Occasion {
        now: wall,
        last_sent: None,
    };
    let written = document(&disclosure, Format::Pidf, &peer, &state, occasion);
    let Ok(Document { body, .. }) = written else {
        return;
    };
    assert!(body.len() <= limits::DOCUMENT, "{} octets", body.len());
    let again = presence::read(&body, Reading::default());
    let again = again.ok().flatten().unwrap_or_default();
    let cut = again.tuples().len() < state.tuples().len();
    assert!(
        cut || again.tells_same_as(&state),
        "{state:?} became {again:?}"
    );
}

/// Whatever a state is, it is packed whole, and its stanzas are whole and small enough.
fn is_told_whole(disclosure: &Disclosure, state: &PresenceState) {
    assert_eq!(PresenceState::unpack(&state.pack()).as_ref(), Some(state));
    let told = full(disclosure, state, None, None);
    assert_eq!(told.len(), state.open().count().max(1), "{state:?}");
    for stanza in &told {
        let written = stanza.write(limits::STANZA);
        let text = written.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let read = text.as_deref().map(stanzas);
        assert_eq!(read, Ok(vec![Stanza::Presence(stanza.clone())]), "{text:?}");
    }
}

/// A document of Microsoft's software in any of its formats is told whole, and what is written of it
/// in each of them is read as the same, as far as that format can say it. A body of its SUBSCRIBE has
/// a purpose, whatever it is.
pub fn microsoft_document(data: &[u8]) {
    _ = adrl::purpose(Some(adrl::CONTENT_TYPE), data, "sip:alice@xmpp.example");
    let Some(disclosure) = disclosure() else {
        return;
    };
    let peer = SipProfile {
        microsoft: Some(Microsoft::default()),
        ..SipProfile::default()
    };
    let occasion = Occasion {
        now: now().wall,
        last_sent: None,
    };
    let of = |format: Format, body: &[u8]| {
        let kind = format.content_type();
        let how = Reading {
            content_type: Some(kind),
            ..Reading::of_peer(&peer)
        };
        presence::read(body, how).ok().flatten()
    };
    for state in Format::ALL.iter().filter_map(|format| of(*format, data)) {
        is_told_whole(&disclosure, &state);
        for format in Format::ALL.iter().copied() {
            let written = document(&disclosure, format, &peer, &state, occasion);
            let Ok(Document { body, .. }) = written else {
                continue;
            };
            assert!(body.len() <= limits::DOCUMENT, "{} octets", body.len());
            let again = of(format, &body).unwrap_or_default();
            assert_eq!(
                again.is_offline(),
                state.is_offline(),
                "{state:?} became {again:?}"
            );
            let show = |state: &PresenceState| state.most_available().and_then(|it| it.show);
            let said = match (format, show(&state)) {
                (Format::Pidf, show) => show,
                (_, Some(Show::Chat)) => None,
                (Format::Xpidf, Some(Show::Xa)) => Some(Show::Away),
                (Format::Categories | Format::Msrtc | Format::Xpidf, show) => show,
            };
            assert_eq!(show(&again), said, "{format:?}: {state:?} became {again:?}");
        }
    }
}

/// No bytes of a peer, before or behind TLS, crash a stream.
pub fn xmpp_stream(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let mut stream = if first & 1 == 0 {
        Stream::incoming(IncomingSettings {
            domains: Arc::new([domain(SIP)].into_iter().flatten().collect()),
            management: true,
            seed: 1,
        })
    } else {
        let (Some(local), Some(remote)) = (domain(SIP), domain(XMPP)) else {
            return;
        };
        Stream::outgoing(OutgoingSettings {
            domains: vec![remote.clone()],
            local,
            remote,
            terms: Terms::default(),
            acks: Acks::Auto,
            authzid: true,
            settle: Duration::ZERO,
            seed: 2,
        })
    };
    let verdict = Verdict::Proven {
        domains: domain(XMPP).into_iter().collect(),
        terms: Terms::default(),
    };
    let mut feed = |input: LinkInput<'_>| drop(stream.handle(input, now()));
    feed(LinkInput::Connected);
    for (number, piece) in rest.split(|octet| *octet == 0).enumerate() {
        feed(LinkInput::Bytes(piece));
        match number {
            0 => feed(LinkInput::Tls(TlsVersion::Tls13)),
            1 => feed(LinkInput::Verdict(verdict.clone())),
            _ => feed(LinkInput::Settled(1)),
        }
    }
    feed(LinkInput::Eof);
}

/// Whatever stanza comes, what the shard sends can be read.
pub fn from_xmpp(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let (Some(mut shard), Some(origin)) = (shard(), origin(XMPP)) else {
        return;
    };
    for stanza in stanzas(text) {
        let origin = origin.clone();
        let input = match stanza {
            Stanza::Message(message) => Input::Stanza(origin, Box::new(message)),
            Stanza::Presence(presence) => Input::Presence(origin, Box::new(presence)),
            Stanza::Iq(_) => continue,
        };
        check(&shard.handle(input, now()));
    }
}

/// Whatever request comes, what the shard sends can be read.
pub fn from_sip(data: &[u8]) {
    let Ok(Message::Request(request)) = Message::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    let (Some(mut shard), Some(origin)) = (shard(), origin(SIP)) else {
        return;
    };
    let sender = parties::sender_domain(&request, &SipProfile::default()).ok();
    if request.validate().is_ok() && sender.as_ref() == Some(origin.domain()) {
        let input = Input::Request(origin, Box::new(request));
        check(&shard.handle(input, now()));
    }
}

/// The messages in `data`, fed in pieces, as far as they go. A keep-alive in two pieces may look
/// like two.
fn messages(data: &[u8], piece: usize) -> Vec<String> {
    let (mut framer, mut frames) = (Framer::new(), Vec::new());
    for piece in data.chunks(piece) {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(None) => break,
                Ok(Some(frame)) => frames.extend(show(&frame)),
                Err(broken) => {
                    frames.push(broken.to_string());
                    return frames;
                }
            }
        }
    }
    frames
}

fn show(frame: &Frame) -> Option<String> {
    match frame {
        Frame::Broken(broken) => Some(broken.to_string()),
        Frame::Message(message) => {
            let head = message.head();
            Some(format!("{:?} {:?}", head.bytes(), head.body()))
        }
        Frame::Ping | Frame::Pong => None,
    }
}

/// The stanzas in `text`, which stands in a stream.
fn stanzas(text: &str) -> Vec<Stanza> {
    let header = "<stream:stream xmlns='jabber:server' version='1.0' \
                  xmlns:stream='http://etherx.jabber.org/streams'>";
    let proven: Vec<Domain> = [XMPP, SIP].into_iter().filter_map(domain).collect();
    let text = format!("{header}{text}");
    let (mut reader, mut bytes) = (Reader::new(ReaderLimits::default()), text.as_bytes());
    let mut stanzas = Vec::new();
    while let Ok(Some(frame)) = reader.next(&mut bytes) {
        if let reader::Frame::Stanza(element) = frame {
            stanzas.extend(Stanza::read(element, &proven).ok());
        }
    }
    stanzas
}

/// Everything that is sent is one whole message or stanza.
fn check(effects: &Effects) {
    for transmit in &effects.transmits {
        let bytes = &transmit.bytes;
        if bytes.starts_with(b"<") {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(stanzas(&text).len(), 1, "{text}");
        } else {
            let read = Message::parse(bytes.clone());
            assert!(read.is_ok(), "{read:?}: {bytes:?}");
        }
    }
}

fn shard() -> Option<Shard> {
    let profile = |name, served, dialect| {
        Some(Profile {
            id: PeerId::new(name),
            domains: vec![domain(served)?],
            accept: Accept::Barrier,
            dialect,
        })
    };
    let sip = SipProfile {
        cpim: true,
        xhtml_im: true,
        ..SipProfile::default()
    };
    let directory = Directory::new([
        profile(XMPP, XMPP, Dialect::Xmpp(XmppProfile::default()))?,
        profile(SIP, SIP, Dialect::Sip(sip))?,
    ]);
    let place = Place {
        number: 0,
        mark: Mark(0),
        hosts: Hosts::only("gw.example", 5061)?,
    };
    let (directory, policy) = (Arc::new(directory), Arc::new(Policy::default()));
    Some(Shard::new(place, 1, directory, policy))
}

fn origin(name: &str) -> Option<Origin> {
    let sender = domain(name)?;
    let proven = Proven::new(LinkId(1), PeerId::new(name), [sender.clone()]);
    origin::verify(&proven, 1, &sender).ok()
}

fn disclosure() -> Option<Disclosure> {
    let user = |name, domain| BareJid::new(&format!("{name}@{domain}")).ok();
    let pair = Pair::new(user("alice", XMPP)?, Aor::from_image(user("bob", SIP)?));
    Policy::default().may_see(&pair).ok()
}

fn domain(name: &str) -> Option<Domain> {
    Domain::parse(name)
}

const fn now() -> Now {
    Now {
        mono: Mono::from_start(Duration::from_secs(1)),
        wall: Wall::from_unix_millis(1_800_000_000_000),
    }
}
