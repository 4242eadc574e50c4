//! Whatever comes in, what goes out reads back as exactly what was meant: no header, element or
//! second message can be smuggled in by any field, in either direction.
#![allow(clippy::unwrap_used)]

mod odd;

use std::collections::BTreeSet;

use bytes::Bytes;
use jid::{BareJid, Jid};
use minidom::Element;
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use translators::address::{self, Spelling};
use translators::documents::{cpim, html, imdn, iscomposing, mime, xml};
use translators::mapping::failure::{self, Addressee};
use translators::mapping::message::{
    self, Envelope, Incoming, from_sip, from_xmpp, to_sip, to_xmpp,
};
use translators::model::{
    Accept, Aor, Blame, Condition, Dialect, Directory, Domain, Failure, InstantMessage, LinkId,
    MessageStyle, Pair, Payload, PeerId, Profile, SipProfile, Wall, XmppProfile,
};
use translators::origin::{self, Origin, Proven};
use translators::policy::{Admitted, Policy};
use translators::sip::{
    self, Branch, CallId, Draft, HeaderName, Mark, Method, NameAddr, Request, SentBy, SipUri,
    write_request, write_response,
};
use translators::text::{Line, SipToken, clean, display_name};
use translators::xmpp::reader::{Frame, Reader, ReaderLimits};
use translators::xmpp::{Message, MessageKind, Stanza, ns};

use self::odd::{legal, nasty, odd_jid};

const NOW: Wall = Wall::from_unix_millis(1_795_608_000_000);

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn directory(peer: &SipProfile) -> Directory {
    let profile = |name, of: &str, dialect| Profile {
        id: PeerId::new(name),
        domains: vec![domain(of)],
        accept: Accept::Barrier,
        dialect,
    };
    Directory::new([
        profile("x", "example.com", Dialect::Xmpp(XmppProfile::default())),
        profile("s", "example.net", Dialect::Sip(peer.clone())),
    ])
}

fn origin() -> Origin {
    let proven = Proven::new(LinkId(1), PeerId::new("x"), [domain("example.com")]);
    origin::verify(&proven, 1, &domain("example.com")).unwrap()
}

fn admit(pair: Pair, message: InstantMessage) -> Admitted<InstantMessage> {
    Policy::default().admit(pair, message).unwrap()
}

fn written(draft: &Draft) -> Bytes {
    let branch = Branch::draw(Mark(1), 2, &mut StdRng::seed_from_u64(1));
    write_request(draft, &SentBy::new("gw.example.com", 5061).unwrap(), branch)
}

/// The one request that a stream of these bytes holds.
fn only_request(bytes: &Bytes) -> Request {
    let mut framer = sip::Framer::new();
    framer.push(bytes);
    let first = framer.next_frame().unwrap();
    let Some(sip::Frame::Message(sip::Message::Request(request))) = first else {
        panic!("{first:?} in {bytes:?}");
    };
    assert!(
        framer.next_frame().unwrap().is_none(),
        "a second message in {bytes:?}"
    );
    request.validate().unwrap();
    request
}

/// The one message stanza that a stream of these bytes holds.
fn only_stanza(bytes: &[u8]) -> Message {
    let header = b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    let stream = [header, bytes].concat();
    let mut input = stream.as_slice();
    let mut reader = Reader::new(ReaderLimits::default());
    assert!(matches!(
        reader.next(&mut input),
        Ok(Some(Frame::Header(_)))
    ));
    let Ok(Some(Frame::Stanza(element))) = reader.next(&mut input) else {
        panic!("no stanza in {bytes:?}");
    };
    assert!(input.is_empty(), "more than a stanza in {bytes:?}");
    match Stanza::read(element, &[domain("example.net"), domain("example.com")]) {
        Ok(Stanza::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn jid_of(address: &NameAddr) -> Jid {
    address::to_jid(address.uri(), address.uri().param("gr")).unwrap()
}

fn element(name: &str, namespace: &str, text: &str) -> Element {
    let mut element = Element::bare(name, namespace);
    element.append_text(text);
    element
}

/// Every field that an XMPP user fills.
#[derive(Clone, Debug)]
struct Written {
    from: Jid,
    to: BareJid,
    id: String,
    lang: String,
    body: String,
    subject: String,
    thread: String,
    nick: String,
}

prop_compose! {
    fn written_by_xmpp()(
        (from, to) in (odd_jid("example.com"), odd_jid("example.net")),
        (id, lang, body) in (legal(), legal(), legal()),
        (subject, thread, nick) in (legal(), legal(), legal()),
    ) -> Written {
        Written { from, to: to.into_bare(), id, lang, body: format!("{body}."), subject, thread, nick }
    }
}

impl Written {
    fn stanza(&self, receipt: bool) -> Message {
        let kind = MessageKind::Chat;
        let mut message = Message::new(self.from.clone(), self.to.clone().into(), kind);
        message.id = Some(self.id.clone());
        message.lang = Some(self.lang.clone());
        message
            .bodies
            .push((message.lang.clone(), self.body.clone()));
        message.subjects.push((None, self.subject.clone()));
        message.thread = Some(self.thread.clone());
        message.payloads.push(element("nick", ns::NICK, &self.nick));
        if receipt {
            message
                .payloads
                .push(Element::bare("request", ns::RECEIPTS));
        }
        message
    }
}

fn envelope(message_id: &str) -> Envelope {
    Envelope {
        call_id: CallId::parse("c1").unwrap(),
        from_tag: SipToken::parse("t1").unwrap(),
        cseq: 1,
        message_id: message_id.to_owned(),
        now: NOW,
    }
}

/// Names of the headers of a request.
fn names(request: &Request) -> BTreeSet<HeaderName> {
    request.headers().map(|header| header.id).collect()
}

proptest! {
    #[test]
    fn a_stanza_gives_exactly_one_request(from in written_by_xmpp(), strict_user: bool) {
        let peer = SipProfile { strict_user, ..SipProfile::default() };
        let (pair, instant) = from_xmpp(&from.stanza(false), &origin(), &directory(&peer)).unwrap();
        let draft = to_sip(&admit(pair, instant), &peer, envelope("m")).unwrap();

        let request = only_request(&written(&draft));

        let mut expected: BTreeSet<HeaderName> = [
            HeaderName::Via, HeaderName::MaxForwards, HeaderName::From, HeaderName::To,
            HeaderName::CallId, HeaderName::CSeq, HeaderName::ContentType, HeaderName::ContentLength,
        ].into();
        let subject = Line::fold(&from.subject);
        if !subject.as_str().is_empty() {
            expected.insert(HeaderName::Subject);
            let header = request.header(HeaderName::Subject).unwrap();
            prop_assert_eq!(header.text(), subject.as_str());
        }
        if request.header(HeaderName::ContentLanguage).is_some() {
            expected.insert(HeaderName::ContentLanguage);
        }
        prop_assert_eq!(names(&request), expected);
        prop_assert_eq!(request.headers().count(), names(&request).len());
        prop_assert_eq!(request.body(), &Bytes::from(from.body.clone()));
        prop_assert_eq!(jid_of(&request.from().unwrap()), from.from.clone());
        prop_assert_eq!(jid_of(&request.to().unwrap()), Jid::from(from.to.clone()));
        let target = address::to_bare_jid(&request.uri().unwrap()).unwrap();
        prop_assert_eq!(target, from.to.clone());
        let sender = request.from().unwrap();
        let name = display_name(&from.nick).map(|name| Line::fold(&name).as_str().to_owned());
        prop_assert_eq!(sender.display().map(str::to_owned), name.filter(|name| !name.is_empty()));
    }

    #[test]
    fn cpim_and_imdn_hold_exactly_what_was_meant(
        from in written_by_xmpp(),
        message_id in legal(),
        of in legal(),
    ) {
        let peer = SipProfile { cpim: true, ..SipProfile::default() };
        let (pair, instant) = from_xmpp(&from.stanza(true), &origin(), &directory(&peer)).unwrap();
        let draft = to_sip(&admit(pair.clone(), instant.clone()), &peer, envelope(&message_id)).unwrap();
        let request = only_request(&written(&draft));
        let wrapped = cpim::read(request.body()).unwrap();
        prop_assert_eq!(wrapped.content.as_ref(), from.body.as_bytes());
        prop_assert_eq!(wrapped.receipts.len(), 2);
        let folded = Line::fold(&message_id);
        prop_assert_eq!(wrapped.message_id.unwrap_or_default(), folded.as_str());

        let kind = translators::model::ReceiptKind::Displayed;
        let receipt = translators::model::Receipt { of: format!("{of}."), kind };
        let receipt = InstantMessage { payload: Payload::Receipt(receipt), ..instant };
        let draft = to_sip(&admit(pair, receipt), &peer, envelope("m")).unwrap();
        let request = only_request(&written(&draft));
        let wrapped = cpim::read(request.body()).unwrap();
        let notification = imdn::read(&wrapped.content).unwrap();
        prop_assert_eq!(notification.message_id, format!("{of}.").trim().to_owned());
        prop_assert_eq!(notification.kind, kind);
    }

    #[test]
    fn a_request_gives_exactly_one_stanza(
        (from, to) in (odd_jid("example.net"), odd_jid("example.com")),
        (name, subject, lang) in (nasty(), nasty(), nasty()),
        body in vec(any::<u8>(), 0..40).prop_map(Bytes::from).boxed()
            .prop_union(nasty().prop_map(|text| Bytes::from(format!("{text}."))).boxed()),
        (hypertext, xhtml_im) in any::<(bool, bool)>(),
    ) {
        let peer = SipProfile { xhtml_im, ..SipProfile::default() };
        let kind = if hypertext { "text/html;charset=iso-8859-1" } else { "text/plain" };
        let uri = |jid: &Jid| address::to_sip(jid, Spelling::Plain).unwrap();
        let request = only_request(&written(&Draft {
            method: Method::Message,
            uri: uri(&to),
            from: NameAddr::new(Some(&name), uri(&from), SipToken::parse("t")),
            to: NameAddr::new(None, uri(&to), None),
            call_id: CallId::parse("<a>\"b\\c@]").unwrap(),
            cseq: 1,
            max_forwards: 70,
            headers: vec![
                (HeaderName::Subject, Line::fold(&subject)),
                (HeaderName::ContentLanguage, Line::fold(&lang)),
            ],
            content_type: Some(Line::fold(kind)),
            body: body.clone(),
        }));
        let Ok(Incoming { pair, message, .. }) = from_sip(&request, &peer, &directory(&peer), NOW) else {
            return Ok(());
        };
        let Payload::Text { text, html, .. } = message.payload.clone() else {
            panic!("no text");
        };
        let made = to_xmpp(&admit(pair, message.clone())).unwrap();

        let read = only_stanza(&made.write(1 << 20).unwrap());

        prop_assert_eq!(&read, &made);
        prop_assert_eq!(&read.from, &from);
        prop_assert_eq!(&read.to, &to);
        prop_assert_eq!(read.thread.as_deref(), Some("<a>\"b\\c@]"));
        prop_assert_eq!(read.bodies.len(), 1);
        prop_assert_eq!(&read.bodies[0].1, &text);
        if !hypertext {
            let plain = std::str::from_utf8(&body).unwrap();
            let plain = plain.strip_prefix('\u{feff}').unwrap_or(plain);
            prop_assert_eq!(text, clean(plain).into_owned());
        }
        let extra = usize::from(message.display_name.is_some()) + usize::from(html.is_some());
        prop_assert_eq!(read.payloads.len(), extra);
    }

    #[test]
    fn failures_are_one_answer_or_one_stanza(
        text in nasty(),
        address in nasty(),
        condition in prop::sample::select(Condition::ALL.to_vec()),
        from in odd_jid("example.com"),
        id in legal(),
    ) {
        let failure = Failure {
            condition,
            text: Some(text),
            retry_after: None,
            blame: Blame::Peer,
            new_address: Some(address),
        };
        let pair = Pair::new(from.to_bare(), Aor::from_image(BareJid::new("romeo@example.net").unwrap()));
        let message = InstantMessage {
            id: Some(id),
            from_instance: from.resource().map(|one| one.as_str().to_owned()),
            to_instance: None,
            payload: Payload::Typing(translators::model::ChatState::Active),
            lang: None,
            thread: None,
            sent_at: None,
            display_name: None,
            style: MessageStyle::Normal,
        };
        let bounce = failure::bounce(&pair, &message, &failure).unwrap();
        let read = only_stanza(&bounce.write(1 << 20).unwrap());
        prop_assert_eq!(&read.to, &from);
        prop_assert_eq!(read.payloads.len(), 1);
        prop_assert_eq!(read.error().unwrap().condition, condition);

        let request = only_request(&Bytes::from_static(
            b"MESSAGE sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/TLS h;branch=z9hG4bK1\r\n\
            From: <sip:b@example.net>;tag=1\r\nTo: <sip:a@example.com>\r\nCall-ID: 1\r\n\
            CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
        ));
        let answer = failure::to_sip(&failure, Addressee::Device).to_tag(SipToken::parse("t").unwrap());
        let bytes = write_response(&request, &answer);
        let sip::Message::Response(response) = sip::Message::parse(bytes).unwrap() else {
            panic!("no response");
        };
        prop_assert_eq!(response.status(), answer.status());
        prop_assert!(response.body().is_empty());
        let listed = [
            HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq,
            HeaderName::ContentLength, HeaderName::Contact, HeaderName::RetryAfter, HeaderName::Allow,
        ];
        prop_assert!(response.headers().all(|header| listed.contains(&header.id)));
        prop_assert!(response.headers().count() <= 7);
    }

    #[test]
    fn an_address_comes_back_as_it_was(jid in odd_jid("ex\u{e4}mple.com"), strict: bool) {
        let uri = address::to_sip(&jid, Spelling::of(strict)).unwrap();
        let parsed = SipUri::parse(uri.as_str()).unwrap();

        prop_assert_eq!(address::to_jid(&parsed, parsed.param("gr")), Ok(jid));
    }

    #[test]
    fn a_sip_user_has_one_jid(user in nasty(), gr in nasty()) {
        let coded = |text: &str| text.bytes().map(|octet| format!("%{octet:02x}")).collect::<String>();
        let uri = format!("sip:{}@example.net;gr={}", coded(&user), coded(&gr));
        let Ok(uri) = SipUri::parse(&uri) else {
            return Ok(());
        };
        let Ok(jid) = address::to_jid(&uri, uri.param("gr")) else {
            return Ok(());
        };
        let back = address::to_sip(&jid, Spelling::Plain).unwrap();
        prop_assert_eq!(address::to_jid(&back, back.param("gr")), Ok(jid));
    }

    #[test]
    fn hypertext_comes_out_as_the_allowed_elements(source in nasty(), more in nasty()) {
        let source = format!("<p><a href='{more}'>{source}</a><b {more}>{more}");
        let Some(body) = html::sanitize(&source) else {
            return Ok(());
        };
        let again = xml::read(String::from(&body).as_bytes());
        prop_assert_eq!(again.as_ref(), Ok(&body));
        assert_allowed(&body);
    }

    #[test]
    fn readers_of_documents_end(octets in vec(any::<u8>(), 0..200), text in nasty()) {
        for input in [octets.as_slice(), text.as_bytes()] {
            ends(xml::read(input));
            ends(iscomposing::read(input));
            ends(imdn::read(input));
            ends(cpim::read(input));
            ends(mime::parts(input, "b"));
        }
        ends(html::to_text(&text));
        ends(message::invitation::text(&translators::model::Invitation {
            room: text.clone(), inviter: text.clone(), reason: Some(text), mediated: true,
        }));
    }
}

/// That a reader gives anything at all is what is asked of it.
fn ends<T>(_: T) {}

/// XEP-0071 section 7.8, without styles and images.
fn assert_allowed(element: &Element) {
    const ALLOWED: [&str; 11] = [
        "a",
        "blockquote",
        "body",
        "br",
        "cite",
        "em",
        "li",
        "ol",
        "p",
        "strong",
        "ul",
    ];
    assert!(ALLOWED.contains(&element.name()), "{element:?}");
    assert!(element.has_ns(html::NS), "{element:?}");
    for ((_, name), value) in element.attrs() {
        assert_eq!((element.name(), name.as_str()), ("a", "href"));
        assert!(
            !value.to_lowercase().contains("script:") || value.starts_with("http"),
            "{value}"
        );
    }
    element.children().for_each(assert_allowed);
}
