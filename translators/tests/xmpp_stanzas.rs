//! Stanzas: tolerant reading, refusals with an answer, plain writing.
#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "tests"
)]

use minidom::Element;
use proptest::prelude::*;
use translators::limits;
use translators::model::{Condition, Domain};
use translators::xmpp::faults::StreamFault;
use translators::xmpp::reader::{Frame, Oversized, Reader, ReaderLimits};
use translators::xmpp::stanza::{
    ErrorKind, IqKind, Message, MessageKind, Presence, PresenceKind, Refused, Stanza, StanzaError,
};
use translators::xmpp::writer::Unwritable;

const HEADER: &str = "<stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='xmpp.example' to='sip.example' version='1.0'>";

fn element(text: &str) -> Element {
    let mut reader = Reader::new(ReaderLimits::default());
    let bytes = format!("{HEADER}{text}");
    let mut rest = bytes.as_bytes();
    reader.next(&mut rest).unwrap();
    match reader.next(&mut rest) {
        Ok(Some(Frame::Stanza(element))) => element,
        other => panic!("{other:?}"),
    }
}

fn proven() -> Vec<Domain> {
    ["xmpp.example", "exämple.de"]
        .map(|name| Domain::parse(name).unwrap())
        .to_vec()
}

fn read(text: &str) -> Result<Stanza, Refused> {
    Stanza::read(element(text), &proven())
}

fn message(text: &str) -> Message {
    match read(text) {
        Ok(Stanza::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn presence(text: &str) -> Presence {
    match read(text) {
        Ok(Stanza::Presence(presence)) => presence,
        other => panic!("{other:?}"),
    }
}

/// A message to bob with these attributes and children.
fn from_alice(attributes: &str, content: &str) -> Message {
    message(&format!(
        "<message from='alice@xmpp.example/r' to='bob@sip.example'{attributes}>{content}</message>"
    ))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The condition and the error stanza of a refusal.
fn refusal(text_of_stanza: &str) -> (Condition, Option<String>) {
    match read(text_of_stanza) {
        Err(Refused::Stanza { condition, reply }) => {
            (condition, reply.map(|reply| text(&reply.bytes)))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_is_read_with_its_languages() {
    let message = from_alice(
        " type='chat' id='m1' xml:lang='en'",
        "<subject>S</subject><body>hi</body><body xml:lang='de'>hallo</body><body>again</body>\
         stray text<thread>t1</thread><thread>t2</thread>\
         <active xmlns='http://jabber.org/protocol/chatstates'/>",
    );

    assert_eq!(message.kind, MessageKind::Chat);
    assert_eq!(message.id.as_deref(), Some("m1"));
    let en = Some("en".to_owned());
    assert_eq!(
        message.bodies,
        [
            (en.clone(), "hi".to_owned()),
            (Some("de".to_owned()), "hallo".to_owned())
        ]
    );
    assert_eq!(message.subjects, [(en, "S".to_owned())]);
    assert_eq!(message.thread.as_deref(), Some("t1"));
    assert_eq!(message.payloads.len(), 1);
    assert!(
        message
            .payload("active", "http://jabber.org/protocol/chatstates")
            .is_some()
    );
    assert_eq!(message.error(), None);
}

#[test]
fn what_one_odd_client_writes_is_borne() {
    for (attributes, kind) in [
        ("", MessageKind::Normal),
        (" type=''", MessageKind::Normal),
        (" type='whatever'", MessageKind::Normal),
        (" type='headline'", MessageKind::Headline),
        (" type='groupchat'", MessageKind::Groupchat),
    ] {
        assert_eq!(from_alice(attributes, "").kind, kind, "{attributes}");
    }
    for lang in ["", "not a tag", "toolongsubtag", "-", "\u{e4}"] {
        let message = from_alice(&format!(" xml:lang='{lang}'"), "<body>x</body>");
        assert_eq!(message.lang, None, "{lang}");
        assert_eq!(message.bodies, [(None, "x".to_owned())]);
    }
    let underscored = from_alice(" xml:lang='en_US'", "<body>x</body>");
    assert_eq!(underscored.lang.as_deref(), Some("en-US"));
    assert_eq!(from_alice(" id=''", "<thread/>").id, None);
    assert_eq!(from_alice("", "<thread/>").thread, None);
    assert_eq!(from_alice("", "<body/>").bodies, [(None, String::new())]);
}

#[test]
fn presence_types_are_known_or_refused() {
    let head = "from='alice@xmpp.example' to='bob@sip.example'";
    let read_kind = |attribute: &str| match read(&format!("<presence {head}{attribute}/>")) {
        Ok(Stanza::Presence(presence)) => presence.kind,
        other => panic!("{other:?}"),
    };

    assert_eq!(read_kind(""), PresenceKind::Available);
    assert_eq!(read_kind(" type='probe'"), PresenceKind::Probe);
    let (condition, reply) = refusal(&format!("<presence {head} type='odd' id='p'/>"));
    assert_eq!(condition, Condition::BadRequest);
    assert_eq!(
        reply.as_deref(),
        Some(
            r#"<presence from="bob@sip.example" to="alice@xmpp.example" type="error" id="p"><error type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></presence>"#
        )
    );
}

#[test]
fn an_iq_is_sound_or_a_bad_request() {
    let head = "<iq from='alice@xmpp.example' to='sip.example'";
    let kind = |rest: &str| match read(&format!("{head} {rest}")) {
        Ok(Stanza::Iq(iq)) => iq.kind,
        other => panic!("{other:?}"),
    };

    assert!(matches!(
        kind("id='1' type='get'><q xmlns='u'/></iq>"),
        IqKind::Get(_)
    ));
    assert!(matches!(
        kind("id='1' type='set'>text<q xmlns='u'/></iq>"),
        IqKind::Set(_)
    ));
    assert_eq!(kind("id='1' type='result'/>"), IqKind::Result(None));
    assert!(matches!(
        kind(
            "id='1' type='error'><q xmlns='u'/><error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        ),
        IqKind::Error(StanzaError {
            kind: ErrorKind::Wait,
            condition: Condition::Gone,
            ..
        })
    ));
    for bad in [
        "id='1' type='get'/>",
        "id='1' type='set'><q xmlns='u'/><q xmlns='u'/></iq>",
        "id='1' type='odd'><q xmlns='u'/></iq>",
        "id='1'><q xmlns='u'/></iq>",
        "type='get'><q xmlns='u'/></iq>",
    ] {
        let (condition, reply) = refusal(&format!("{head} {bad}"));
        assert_eq!(condition, Condition::BadRequest, "{bad}");
        assert!(reply.is_some(), "{bad}");
    }
    let (_, reply) = refusal(&format!(
        "{head} id='1' type='result'><a xmlns='u'/><b xmlns='u'/></iq>"
    ));
    assert_eq!(reply, None, "a result is never answered");
}

#[test]
fn addresses_decide_between_stanza_and_stream() {
    let with = |from: &str, to: &str| read(&format!("<message{from}{to}/>"));
    let to = " to='bob@sip.example'";
    let from = " from='alice@xmpp.example'";

    for (from, to, fault) in [
        ("", to, StreamFault::ImproperAddressing),
        (" from=''", to, StreamFault::ImproperAddressing),
        (from, "", StreamFault::ImproperAddressing),
        (from, " to=''", StreamFault::ImproperAddressing),
        (" from='alice@other.example'", to, StreamFault::InvalidFrom),
        (" from='alice@sip.example'", to, StreamFault::InvalidFrom),
        (
            " from='alice@sub.xmpp.example'",
            to,
            StreamFault::InvalidFrom,
        ),
        (" from='alice@example'", to, StreamFault::InvalidFrom),
        (
            " from='alice@xmpp.example.evil.example'",
            to,
            StreamFault::InvalidFrom,
        ),
        (
            " from='xmpp.example@evil.example'",
            to,
            StreamFault::InvalidFrom,
        ),
        (
            " from='evil.example/@xmpp.example'",
            to,
            StreamFault::InvalidFrom,
        ),
        (" from='/xmpp.example'", to, StreamFault::InvalidFrom),
        (
            " from='alice@xn--xmpp-.example'",
            to,
            StreamFault::InvalidFrom,
        ),
        (
            " from='alice@xmpp\u{3002}example.org'",
            to,
            StreamFault::InvalidFrom,
        ),
        (" from='alice@xmpр.example'", to, StreamFault::InvalidFrom),
    ] {
        assert_eq!(with(from, to), Err(Refused::Stream(fault)), "{from}{to}");
    }
    for good in [
        " from='xmpp.example'",
        " from='alice@XMPP.example.'",
        " from='alice@exämple.de/r'",
        " from='alice@xn--exmple-cua.de/r'",
    ] {
        assert!(with(good, to).is_ok(), "{good}");
    }
}

#[test]
fn a_malformed_address_costs_the_stanza_only() {
    let (condition, reply) = refusal(
        "<message from='alice@xmpp.example' to='b b@sip.example' id='m'><body>x</body></message>",
    );
    assert_eq!(condition, Condition::JidMalformed);
    assert_eq!(
        reply.as_deref(),
        Some(
            r#"<message from="sip.example" to="alice@xmpp.example" type="error" id="m"><error type="modify"><jid-malformed xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></message>"#
        )
    );
    for silent in [
        "<message from='a b@xmpp.example' to='bob@sip.example'/>",
        "<message from='alice@xmpp.example/' to='bob@sip.example'/>",
        "<message from='alice@xmpp.example' to='b b@sip.example' type='error'/>",
        "<message from='alice@xmpp.example' to='bob@'/>",
    ] {
        assert_eq!(refusal(silent), (Condition::JidMalformed, None), "{silent}");
    }
}

#[test]
fn a_skipped_stanza_is_answered_unless_it_is_an_error() {
    let root = Oversized {
        name: "message".to_owned(),
        content: true,
        kind: Some("chat".to_owned()),
        id: Some("\"<1>".to_owned()),
        from: Some("alice@xmpp.example/r".to_owned()),
        to: Some("bob@sip.example".to_owned()),
    };
    let judge = |root: &Oversized| Stanza::of_oversized(root, &proven(), 65_536);

    let Err(Refused::Stanza { condition, reply }) = judge(&root) else {
        panic!();
    };
    assert_eq!(condition, Condition::PolicyViolation);
    let reply = reply.unwrap();
    assert_eq!(
        (reply.local.as_str(), reply.remote.as_str()),
        ("sip.example", "xmpp.example")
    );
    assert_eq!(
        text(&reply.bytes),
        r#"<message from="bob@sip.example" to="alice@xmpp.example/r" type="error" id="&quot;&lt;1&gt;"><error type="modify"><policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas" xml:lang="en">the stanza has more than 65536 bytes</text></error></message>"#
    );

    let mut error = root.clone();
    error.kind = Some("error".to_owned());
    let Ok(Stanza::Message(failed)) = judge(&error) else {
        panic!("that a message failed is understood");
    };
    assert_eq!(failed.id, root.id);
    assert_eq!(
        failed.error(),
        Some(StanzaError::new(Condition::UndefinedCondition))
    );
    error.name = "iq".to_owned();
    assert!(matches!(
        judge(&error),
        Err(Refused::Stanza { reply: None, .. })
    ));
    let mut foreign = root.clone();
    foreign.from = Some("alice@other.example".to_owned());
    assert_eq!(
        judge(&foreign),
        Err(Refused::Stream(StreamFault::InvalidFrom))
    );
    let mut unknown = root;
    unknown.content = false;
    assert_eq!(
        judge(&unknown),
        Err(Refused::Stream(StreamFault::UnsupportedStanzaType))
    );
}

#[test]
fn errors_are_read_and_never_answered() {
    let bounce = message(
        "<message from='alice@xmpp.example' to='bob@sip.example' type='error' id='m'><body>echo</body>\
         <error type='modify' code='302'><redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:a@b</redirect>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>moved</text><odd xmlns='urn:app'/></error></message>",
    );
    let error = bounce.error().unwrap();

    assert_eq!(error.condition, Condition::Redirect);
    assert_eq!(error.kind, ErrorKind::Modify);
    assert_eq!(error.text.as_deref(), Some("moved"));
    assert_eq!(error.new_address.as_deref(), Some("xmpp:a@b"));
    assert_eq!(bounce.failed(&error), None);

    for odd in [
        "",
        "<error/>",
        "<error type='x'><odd xmlns='urn:app'/></error>",
    ] {
        let text =
            format!("<message from='xmpp.example' to='sip.example' type='error'>{odd}</message>");
        let error = message(&text).error().unwrap();
        assert_eq!(
            error,
            StanzaError::new(Condition::UndefinedCondition),
            "{odd}"
        );
    }
}

#[test]
fn a_presence_error_tells_why_and_is_never_answered() {
    let head = "from='alice@xmpp.example' to='bob@sip.example'";
    let bounce = presence(&format!(
        "<presence {head} type='error' id='p'><status>echo</status><error type='cancel'>\
         <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
         <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>gone</text></error></presence>"
    ));
    let error = bounce.error().unwrap();

    assert_eq!(error.condition, Condition::ItemNotFound);
    assert_eq!(error.text.as_deref(), Some("gone"));
    assert_eq!(bounce.failed(&error), None);
    let bare = presence(&format!("<presence {head} type='error'/>"));
    assert_eq!(
        bare.error(),
        Some(StanzaError::new(Condition::UndefinedCondition))
    );

    let asked = presence(&format!(
        "<presence {head} type='subscribe' id='s'><status>secret</status></presence>"
    ));
    assert_eq!(asked.error(), None);
    let answer = asked.failed(&StanzaError::new(Condition::NotAllowed));
    assert_eq!(
        text(&answer.unwrap().write(limits::STANZA).unwrap()),
        r#"<presence from="bob@sip.example" to="alice@xmpp.example" type="error" id="s"><error type="cancel"><not-allowed xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></presence>"#
    );
}

#[test]
fn an_error_answer_has_no_payload_of_the_original() {
    let original = from_alice(
        " type='chat' id='m1'",
        "<body>secret</body><thread>t</thread>",
    );
    let error = StanzaError::new(Condition::ServiceUnavailable).with_text("no \"such\" <user>");
    let answer = original.failed(&error).unwrap();

    assert_eq!(answer.error().as_ref(), Some(&error));
    assert_eq!(
        text(&answer.write(limits::STANZA).unwrap()),
        r#"<message from="bob@sip.example" to="alice@xmpp.example/r" type="error" id="m1"><thread>t</thread><error type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas" xml:lang="en">no &quot;such&quot; &lt;user&gt;</text></error></message>"#
    );
}

#[test]
fn what_peers_do_not_bear_is_not_written() {
    let mut large = from_alice("", "");
    large.bodies.push((None, "x".repeat(2_000)));
    assert!(large.write(10_000).is_ok());
    assert!(matches!(
        large.write(1_000),
        Err(Unwritable::TooLarge { limit: 1_000, .. })
    ));

    let mut nested = Element::bare("a", "urn:x");
    for _ in 0..limits::STANZA_DEPTH - 2 {
        let mut outer = Element::bare("a", "urn:x");
        outer.append_child(nested);
        nested = outer;
    }
    let mut deep = from_alice("", "");
    deep.payloads.push(nested.clone());
    assert!(deep.write(limits::STANZA).is_ok());
    let mut outer = Element::bare("a", "urn:x");
    outer.append_child(nested);
    deep.payloads = vec![outer];
    assert_eq!(deep.write(limits::STANZA), Err(Unwritable::TooDeep));

    let mut named = from_alice("", "");
    named.payloads.push(Element::bare("a b='c'><d", "urn:x"));
    assert_eq!(named.write(limits::STANZA), Err(Unwritable::Name));
}

fn anything() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,20}",
        ".{0,20}",
        "[<>&\"'\\]\r\n\t\u{0}-\u{20}\u{fffe}\u{ffff}a]{0,20}"
    ]
}

/// What a reader gets back of a text of ours.
fn readable(text: &str) -> String {
    let legal = |c: char| translators::text::is_xml(c);
    text.chars()
        .map(|c| {
            if legal(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// Cuts a stream into stanzas as Openfire does: it knows double quotes and exact closing tags only.
fn cut_like_openfire(stream: &str) -> Vec<&str> {
    let (mut stanzas, mut start, mut depth, mut tag) = (Vec::new(), 0, 0, 0);
    let (mut in_tag, mut quoted) = (false, false);
    for (at, c) in stream.char_indices() {
        match c {
            '<' => (in_tag, tag) = (true, at),
            '"' if in_tag => quoted = !quoted,
            '>' if in_tag && !quoted => {
                in_tag = false;
                let tag = &stream[tag..=at];
                assert!(!tag.starts_with("<!") && !tag.starts_with("<?"), "{tag}");
                depth += match (tag.starts_with("</"), tag.ends_with("/>")) {
                    (true, _) => -1,
                    (false, true) => 0,
                    (false, false) => 1,
                };
                if depth == 0 {
                    stanzas.push(&stream[start..=at]);
                    start = at + 1;
                }
            }
            _ => {}
        }
    }
    stanzas
}

proptest! {
    /// Whatever stands in a message, it is read as what was meant and nothing else.
    #[test]
    fn nothing_can_be_smuggled_into_a_message(
        body in anything(), subject in anything(), thread in anything(), id in anything(), value in anything(),
    ) {
        let mut message = from_alice(" type='chat'", "");
        message.id = Some(format!("i{id}"));
        message.bodies.push((None, body.clone()));
        message.subjects.push((None, subject.clone()));
        message.thread = Some(format!("t{thread}"));
        let mut payload = Element::bare("p", value.replace(char::is_control, ""));
        payload.set_attr(rxml::Namespace::NONE, rxml::xml_ncname!("v").to_owned(), value.as_str());
        message.payloads.push(payload);

        let bytes = message.write(limits::STANZA).unwrap();
        let written = text(&bytes);
        prop_assert!(written.chars().all(translators::text::is_xml));
        let stream = written.repeat(2);
        prop_assert_eq!(cut_like_openfire(&stream), [written.as_str(), written.as_str()]);

        let again = self::message(&written);
        prop_assert_eq!(again.id, Some(format!("i{}", readable(&id))));
        prop_assert_eq!(again.bodies, [(None, readable(&body))]);
        prop_assert_eq!(again.subjects, [(None, readable(&subject))]);
        prop_assert_eq!(again.thread, Some(format!("t{}", readable(&thread))));
        prop_assert_eq!(again.payloads.len(), 1);
        prop_assert_eq!(again.payloads[0].attr("v").map(str::to_owned), Some(readable(&value)));
        prop_assert_eq!(again.payloads[0].children().count(), 0);
    }

    /// Whatever stands in a presence, it is read as what was meant and nothing else.
    #[test]
    fn nothing_can_be_smuggled_into_a_presence(
        status in anything(), id in anything(), value in anything(), kind in 0_usize..8,
    ) {
        let kinds = [
            None, Some("error"), Some("probe"), Some("subscribe"), Some("subscribed"),
            Some("unavailable"), Some("unsubscribe"), Some("unsubscribed"),
        ];
        let mut presence = presence("<presence from='alice@xmpp.example/r' to='bob@sip.example' xml:lang='de'/>");
        presence.kind = PresenceKind::parse(kinds[kind]).unwrap();
        prop_assert_eq!(presence.kind.as_str(), kinds[kind]);
        presence.id = Some(format!("i{id}"));
        let mut element = Element::bare("status", "jabber:client");
        element.append_text(status.as_str());
        presence.payloads.push(element);
        let mut element = Element::bare("idle", "urn:xmpp:idle:1");
        element.set_attr(rxml::Namespace::NONE, rxml::xml_ncname!("since").to_owned(), value.as_str());
        presence.payloads.push(element);

        let written = text(&presence.write(limits::STANZA).unwrap());
        prop_assert!(written.chars().all(translators::text::is_xml));
        let stream = written.repeat(2);
        prop_assert_eq!(cut_like_openfire(&stream), [written.as_str(), written.as_str()]);

        let again = self::presence(&written);
        prop_assert_eq!((again.kind, again.lang), (presence.kind, presence.lang));
        prop_assert_eq!(again.id, Some(format!("i{}", readable(&id))));
        prop_assert_eq!(again.payloads.len(), 2);
        prop_assert!(again.payloads[0].is("status", "jabber:client"));
        prop_assert_eq!(again.payloads[0].text(), readable(&status));
        prop_assert_eq!(again.payloads[1].attr("since").map(str::to_owned), Some(readable(&value)));
    }
}
