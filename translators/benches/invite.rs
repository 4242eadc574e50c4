//! What the SIP side of a conversation costs: to take an INVITE, to make one, and one text each way.
//!
//! Prints nanoseconds for one operation, the best of several rounds; asserts nothing.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use jid::BareJid;
use translators::sip::invite::{Caller, Inside, Progress, Terms};
use translators::sip::{
    Branch, Draft, Invited, Inviting, Message, NameAddr, Request, Response, SentBy, Session,
    SipUri, Tag, sdp, write_request, write_response,
};
use translators::text::Line;

const ROUNDS: u32 = 5;
const RUNS: u32 = 50_000;

const ROUTES: &str = "Record-Route: <sip:sipfed.sip.example:5061;transport=tls;lr;ms-key-info=jAAB2F;ms-route-sig=daf_MA>;tag=33080DF1\r\n\
    Record-Route: <sip:pool.sip.example:5061;transport=tls;ms-fe=fe1.sip.example;opaque=state:T;lr>\r\n";
const CONTACT: &str =
    "Contact: <sip:bob@sip.example;opaque=user:epid:hYnsEUpJhlGc0T-xd_I7vAAA;gruu>\r\n";
const IM: &str = "v=0\r\no=- 0 0 IN IP4 198.51.100.57\r\ns=session\r\nc=IN IP4 198.51.100.57\r\nt=0 0\r\n\
    m=message 5060 sip null\r\na=accept-types:text/plain multipart/alternative image/gif text/rtf text/html\r\n";

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() {
    match measured() {
        Some(measured) => {
            for (what, nanoseconds) in measured {
                println!("{what:<44} {nanoseconds:>7.0} ns");
            }
        }
        None => println!("did not work"),
    }
}

fn measured() -> Option<Vec<(&'static str, f64)>> {
    let sent_by = SentBy::new("gw.xmpp.example", 5061)?;
    let tag = Tag::new(&BareJid::new("alice@xmpp.example").ok()?, 7);
    let terms = Terms {
        sent_by: &sent_by,
        types: sdp::TYPES_MICROSOFT,
        epid: true,
        took_first: false,
    };
    let invite = request("INVITE", "", 1, CONTACT, "application/sdp", IM);
    let message = request(
        "MESSAGE",
        &tag.to_string(),
        2,
        "",
        "text/plain; charset=UTF-8",
        "tea at five?",
    );
    let (session, _) = take(&invite, tag, &terms)?;
    let mut talking = session.clone();
    let accept = best(|| take(&invite, tag, &terms));
    let hear = best(|| hear(&message, &session, &terms));
    let say = best(|| say(&mut talking, &sent_by));
    let call = best(|| call(tag, &terms));
    Some(vec![
        ("INVITE: parse, judge, dialog, 200 written", accept),
        ("INVITE of ours: written, 200 parsed, ACK", call),
        ("MESSAGE in the dialog: parse, 200 written", hear),
        ("MESSAGE of ours in the dialog: written", say),
    ])
}

/// Takes an INVITE.
fn take(invite: &Bytes, tag: Tag, terms: &Terms<'_>) -> Option<(Session, Bytes)> {
    let invite = read(invite)?;
    if Invited::read(&invite).refusal().is_some() {
        return None;
    }
    let (session, answer) = Invited::accept(&invite, tag, terms).ok()?;
    let written = write_response(&invite, &answer);
    Some((session, written))
}

/// Takes a text.
fn hear(message: &Bytes, session: &Session, terms: &Terms<'_>) -> Option<Bytes> {
    let message = read(message)?;
    let is_ours = session.is_for(&message);
    let mut session = session.clone();
    let inside = session.on_request(&message, terms);
    let taken = is_ours && inside == Inside::Message;
    taken.then(|| write_response(&message, &translators::sip::Answer::new(200)))
}

/// Sends a text.
fn say(session: &mut Session, sent_by: &SentBy) -> Option<Bytes> {
    let content = (
        Line::fold("text/plain;charset=UTF-8"),
        "tea at five?".into(),
    );
    let draft = session.message(Vec::new(), content).ok()?;
    Some(write_request(&draft, sent_by, branch()?))
}

/// Opens a conversation.
fn call(tag: Tag, terms: &Terms<'_>) -> Option<Bytes> {
    let alice = SipUri::parse("sip:alice@xmpp.example").ok()?;
    let mut inviting = Inviting::new(Caller {
        tag,
        call_id: 0xabc,
        from: NameAddr::new(Some("Alice"), alice, None).with_epid(tag.epid()),
        to: SipUri::parse("sip:bob@sip.example").ok()?,
        conversation: Some(7),
        subject: None,
    });
    let invite = inviting.request(terms);
    black_box(write_request(&invite, terms.sent_by, branch()?));
    let ok = success(&invite)?;
    match inviting.on_response(&ok) {
        Progress::Established(_, ack) => Some(write_request(&ack, terms.sent_by, branch()?)),
        Progress::Again(_)
        | Progress::Refused
        | Progress::Ringing
        | Progress::Unusable(_)
        | Progress::Unwanted(..) => None,
    }
}

fn success(invite: &Draft) -> Option<Response> {
    let text = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS gw.xmpp.example:5061;branch={}\r\nFrom: {}\r\n\
         To: <sip:bob@sip.example>;epid=46c4b2d3ac;tag=1b28537901\r\nCall-ID: {}\r\nCSeq: 1 INVITE\r\n\
         {ROUTES}{CONTACT}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{IM}",
        branch()?,
        invite.from,
        invite.call_id.as_str(),
        IM.len()
    );
    match Message::parse(text.into()).ok()? {
        Message::Response(response) => Some(response),
        Message::Request(_) => None,
    }
}

fn request(method: &str, tag: &str, cseq: u32, contact: &str, kind: &str, body: &str) -> Bytes {
    let tag = match tag {
        "" => String::new(),
        tag => format!(";tag={tag}"),
    };
    let text = format!(
        "{method} sip:alice@xmpp.example SIP/2.0\r\n{ROUTES}\
         Via: SIP/2.0/TLS 192.0.2.7:5061;branch=z9hG4bK2DA3892F.D0429AA14DA5C5DB;branched=FALSE\r\n\
         Max-Forwards: 69\r\nVia: SIP/2.0/TLS 198.51.100.57:37737;ms-received-port=37737\r\n\
         From: \"Bob\"<sip:bob@sip.example>;tag=9d5c2a38ba;epid=b84a59c035\r\n\
         To: <sip:alice@xmpp.example>{tag}\r\nCall-ID: ce878a8bc0ca4c769ca729bc2f56a998\r\n\
         CSeq: {cseq} {method}\r\n{contact}User-Agent: UCCAPI/16.0.4417.1000 OC/16.0.4417.1000\r\n\
         Supported: ms-dialog-route-set-update\r\nSupported: timer\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    text.into()
}

fn read(bytes: &Bytes) -> Option<Request> {
    match Message::parse(bytes.clone()).ok()? {
        Message::Request(request) => request.validate().is_ok().then_some(request),
        Message::Response(_) => None,
    }
}

fn branch() -> Option<Branch> {
    Branch::parse("z9hG4bK000000ab00070000000000000001")
}

/// Nanoseconds of one run, in the best round; no number if a run did not work.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn best<T>(mut run: impl FnMut() -> Option<T>) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..RUNS {
            if black_box(run()).is_none() {
                return f64::NAN;
            }
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(RUNS) * 1e9);
    }
    best
}
