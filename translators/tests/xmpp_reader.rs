//! The XMPP reader: frames, limits, what is refused with which condition.
#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    clippy::indexing_slicing,
    reason = "tests"
)]

use proptest::prelude::*;
use translators::limits;
use translators::xmpp::faults::{StreamCondition, StreamFault};
use translators::xmpp::reader::{Frame, Oversized, Reader, ReaderLimits};
use translators::xmpp::writer::XmlWriter;

const HEADER: &str = "<stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='b.example' version='1.0'>";

/// Reads all of `bytes`, fed in pieces of `size`.
fn read(bytes: &[u8], size: usize, limits: ReaderLimits) -> (Vec<Frame>, Option<StreamFault>) {
    let mut reader = Reader::new(limits);
    let mut frames = Vec::new();
    for piece in bytes.chunks(size) {
        let mut rest = piece;
        loop {
            match reader.next(&mut rest) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault)),
            }
        }
    }
    (frames, None)
}

fn whole(text: &str) -> (Vec<Frame>, Option<StreamFault>) {
    read(text.as_bytes(), usize::MAX, ReaderLimits::default())
}

/// Reads what follows a header.
fn after_header(text: &str) -> (Vec<Frame>, Option<StreamFault>) {
    let (mut frames, fault) = whole(&format!("{HEADER}{text}"));
    assert!(matches!(frames.remove(0), Frame::Header(_)));
    (frames, fault)
}

fn fault(text: &str) -> StreamFault {
    let (frames, fault) = after_header(text);
    fault.unwrap_or_else(|| panic!("{frames:?}"))
}

fn written(frame: &Frame) -> String {
    let Frame::Stanza(element) = frame else {
        panic!("{frame:?}");
    };
    let mut xml = XmlWriter::default();
    xml.element(element);
    String::from_utf8(xml.finish(1 << 20).unwrap().to_vec()).unwrap()
}

#[test]
fn a_header_is_read_with_its_declaration() {
    let (frames, fault) = whole(&format!(
        "<?xml version='1.0' encoding=\"UTF-8\"?>\n{HEADER}"
    ));

    assert_eq!(fault, None);
    let [Frame::Header(header)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!(header.from.as_deref(), Some("a.example"));
    assert_eq!(header.to.as_deref(), Some("b.example"));
    assert_eq!(header.id, None);
    assert!(header.declaration && header.has_features());
    assert!(matches!(&whole(HEADER).0[0], Frame::Header(header) if !header.declaration));
}

#[test]
fn a_version_below_one_has_no_features() {
    for (version, features) in [
        ("1.0", true),
        ("1.1", true),
        ("2.0", true),
        ("0.9", false),
        ("", false),
        ("x", false),
    ] {
        let header = HEADER.replace("version='1.0'", &format!("version='{version}'"));
        let (frames, _) = whole(&header);
        assert!(
            matches!(&frames[0], Frame::Header(h) if h.has_features() == features),
            "{version:?}"
        );
    }
}

#[test]
fn headers_in_other_namespaces_are_refused() {
    for (header, expected) in [
        (
            HEADER.replace("jabber:server", "jabber:client"),
            StreamFault::InvalidNamespace,
        ),
        (
            HEADER.replace("xmlns='jabber:server'", ""),
            StreamFault::InvalidNamespace,
        ),
        (
            HEADER.replace("etherx", "other"),
            StreamFault::InvalidNamespace,
        ),
        (
            HEADER.replace("<stream:stream", "<stream:flow"),
            StreamFault::BadFormat,
        ),
        (
            HEADER.replace("<stream:stream", "<flow:stream"),
            StreamFault::NotWellFormed,
        ),
        ("GET / HTTP/1.1\r\n".to_owned(), StreamFault::NotWellFormed),
        ("\u{feff}".to_owned() + HEADER, StreamFault::NotWellFormed),
        (format!("<!-- -->{HEADER}"), StreamFault::RestrictedXml),
    ] {
        assert_eq!(whole(&header).1, Some(expected), "{header}");
    }
}

#[test]
fn stanzas_come_in_the_client_namespace_along_their_chain_only() {
    let (frames, fault) = after_header(
        "<message from='x@a.example'><body>hi</body>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:server'><body/></message></forwarded>\
         <error xmlns='jabber:client'/></message> \n<iq xmlns='jabber:client'/></stream:stream>",
    );

    assert_eq!(fault, None);
    let [Frame::Stanza(message), Frame::Stanza(iq), Frame::Close] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert!(message.is("message", "jabber:client"));
    assert!(message.has_child("body", "jabber:client"));
    let inner = message
        .get_child("forwarded", "urn:xmpp:forward:0")
        .unwrap();
    assert!(
        inner.has_child("message", "jabber:server"),
        "foreign stanzas stay what they are"
    );
    assert!(iq.is("iq", "jabber:client"));
    assert_eq!(
        written(&frames[0]),
        "<message from=\"x@a.example\"><body>hi</body><forwarded xmlns=\"urn:xmpp:forward:0\">\
         <message xmlns=\"jabber:server\"><body/></message></forwarded><error/></message>"
    );
}

#[test]
fn prefixes_are_resolved_and_attributes_kept() {
    let (frames, fault) = after_header(
        "<s:message xmlns:s='jabber:server' xml:lang='de' s:x='1' x='2'>\
         <q:y xmlns:q='urn:y' q:z='&quot;'/></s:message>",
    );

    assert_eq!(fault, None);
    assert_eq!(
        written(&frames[0]),
        "<message x=\"2\" xml:lang=\"de\" xmlns:ns1=\"jabber:server\" ns1:x=\"1\">\
         <y xmlns=\"urn:y\" xmlns:ns1=\"urn:y\" ns1:z=\"&quot;\"/></message>"
    );
}

#[test]
fn restricted_and_broken_xml_is_told_apart() {
    for (text, expected) in [
        ("<a><!-- comment --></a>", StreamFault::RestrictedXml),
        ("<?php ?>", StreamFault::RestrictedXml),
        ("<a><?xml version='1.0'?></a>", StreamFault::RestrictedXml),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]>", StreamFault::RestrictedXml),
        ("<a>&b;</a>", StreamFault::RestrictedXml),
        ("<a></b>", StreamFault::NotWellFormed),
        ("<a b='1' b='2'/>", StreamFault::NotWellFormed),
        (
            "<a xmlns:p='urn:x' xmlns:q='urn:x' p:b='1' q:b='2'/>",
            StreamFault::NotWellFormed,
        ),
        (
            "<a xmlns:p='urn:x' xmlns:p='urn:y'/>",
            StreamFault::NotWellFormed,
        ),
        (
            "<a xmlns='urn:x' xmlns='urn:y'/>",
            StreamFault::NotWellFormed,
        ),
        ("<p:a/>", StreamFault::NotWellFormed),
        ("<a p:b='1'/>", StreamFault::NotWellFormed),
        ("<a>\u{1}</a>", StreamFault::NotWellFormed),
        ("<a>\u{ffff}</a>", StreamFault::NotWellFormed),
        ("<a>&#8;</a>", StreamFault::NotWellFormed),
        ("<a b='<'/>", StreamFault::NotWellFormed),
        ("<a>]]></a>", StreamFault::NotWellFormed),
        ("text", StreamFault::BadFormat),
    ] {
        assert_eq!(fault(&format!("{text}<next/>")), expected, "{text}");
    }
}

#[test]
fn only_utf8_is_read() {
    for (bytes, expected) in [
        (
            b"\xFF\xFE<\0?\0".as_slice(),
            StreamFault::UnsupportedEncoding,
        ),
        (b"\xFE\xFF\0<", StreamFault::UnsupportedEncoding),
        (b"\0<\0?", StreamFault::UnsupportedEncoding),
        (
            b"<?xml version='1.0' encoding='UTF-16'?><a",
            StreamFault::UnsupportedEncoding,
        ),
        (b"<?xml version='1.1'?><a", StreamFault::NotWellFormed),
    ] {
        let (_, fault) = read(bytes, 1, ReaderLimits::default());
        assert_eq!(fault, Some(expected), "{bytes:?}");
    }
    for bad in [
        b"<a>\xC3\x28</a>".as_slice(),
        b"<a>\xED\xA0\x80</a>",
        b"<a b='\xF8'/>",
    ] {
        let bytes = [HEADER.as_bytes(), bad].concat();
        let (_, fault) = read(&bytes, usize::MAX, ReaderLimits::default());
        assert_eq!(
            fault.map(StreamFault::condition),
            Some(StreamCondition::UnsupportedEncoding),
            "{bad:?}"
        );
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth))
}

fn wide(elements: usize) -> String {
    format!("<a>{}</a>", "<b/>".repeat(elements - 1))
}

fn with_attributes(n: usize) -> String {
    let attributes: String = (0..n).map(|i| format!(" b{i}=''")).collect();
    format!("<a{attributes}/>")
}

fn with_namespaces(n: usize) -> String {
    let declarations: String = (0..n).map(|i| format!(" xmlns:p{i}='u'")).collect();
    format!("<a{declarations}/>")
}

#[test]
fn what_is_within_the_limits_is_read() {
    for good in [
        nested(limits::STANZA_DEPTH),
        wide(limits::STANZA_CHILDREN),
        with_attributes(limits::STANZA_ATTRIBUTES),
        with_namespaces(limits::STANZA_NAMESPACES),
        format!("<iq>{}</iq>", "<offer xmlns='urn:x'/>".repeat(100)),
    ] {
        let (frames, fault) = after_header(&format!("{good}{good}"));
        assert_eq!((frames.len(), fault), (2, None), "{}", &good[..20]);
    }
}

#[test]
fn depth_width_attributes_and_names_are_bounded() {
    let long = "x".repeat(limits::XML_TOKEN + 1);
    for (bad, expected) in [
        (nested(limits::STANZA_DEPTH + 1), StreamFault::TooDeep),
        ("<a>".repeat(100_000), StreamFault::TooDeep),
        (
            wide(limits::STANZA_CHILDREN + 1),
            StreamFault::TooManyChildren,
        ),
        (wide(130_000), StreamFault::TooManyChildren),
        (
            with_attributes(limits::STANZA_ATTRIBUTES + 1),
            StreamFault::TooManyAttributes,
        ),
        (with_attributes(50_000), StreamFault::TooManyAttributes),
        (
            with_namespaces(limits::STANZA_NAMESPACES + 1),
            StreamFault::TooManyNamespaces,
        ),
        (with_namespaces(50_000), StreamFault::TooManyNamespaces),
        (format!("<a b='{long}'/>"), StreamFault::TokenTooLong),
        (format!("<{long}/>"), StreamFault::TokenTooLong),
    ] {
        assert_eq!(fault(&bad), expected, "{}", &bad[..20]);
        assert_eq!(expected.condition(), StreamCondition::PolicyViolation);
    }
}

#[test]
fn a_large_stanza_is_skipped_to_the_byte() {
    let head = "<message type='chat' id='m1' from='a@a.example' to='b@b.example'><body>";
    let tail = "</body></message>";
    let limits = ReaderLimits {
        stanza: 1_000,
        fatal: 3_000,
    };
    let read_with = |size: usize, piece: usize| {
        let filler = "x".repeat(size - head.len() - tail.len());
        let text = format!("{HEADER}  {head}{filler}{tail}\n<presence/>");
        read(text.as_bytes(), piece, limits)
    };
    let skipped = Frame::Oversize(Oversized {
        name: "message".to_owned(),
        content: true,
        kind: Some("chat".to_owned()),
        id: Some("m1".to_owned()),
        from: Some("a@a.example".to_owned()),
        to: Some("b@b.example".to_owned()),
    });

    for piece in [1, 7, 4_096] {
        let (fitting, fault) = read_with(1_000, piece);
        assert!(
            matches!(fitting.as_slice(), [_, Frame::Stanza(_), Frame::Stanza(_)]),
            "{fitting:?}"
        );
        assert_eq!(fault, None);
        for size in [1_001, 3_000] {
            let (large, fault) = read_with(size, piece);
            assert_eq!(large[1], skipped, "{size} in {piece}");
            assert_eq!((large.len(), fault), (3, None), "the stream goes on");
        }
        let (fatal, fault) = read_with(3_001, piece);
        assert_eq!(
            (fatal.len(), fault),
            (1, Some(StreamFault::StanzaTooLarge)),
            "{piece}"
        );
    }
}

#[test]
fn a_skipped_stanza_still_has_to_be_sound() {
    let filler = "x".repeat(limits::STANZA);

    assert_eq!(
        fault(&format!("<a>{filler}<b></c>")),
        StreamFault::NotWellFormed
    );
    assert_eq!(
        fault(&format!("<a>{filler}{}", "<b>".repeat(70))),
        StreamFault::TooDeep
    );
    let wide = format!("<a>{filler}{}</a>", "<b/>".repeat(5_000));
    assert!(
        matches!(after_header(&wide).0.as_slice(), [Frame::Oversize(_)]),
        "elements that are not built cost nothing"
    );
}

#[test]
fn a_header_is_bounded() {
    let long = "x".repeat(limits::XML_TOKEN);
    let header = HEADER.replace("version", &format!("a='{long}' b='{long}' version"));

    for text in [
        header,
        format!("<?xml version='1.0'?>{}", " ".repeat(11_000)),
    ] {
        assert_eq!(whole(&text).1, Some(StreamFault::HeaderTooLarge));
    }
}

#[test]
fn white_space_is_free_and_does_not_count() {
    let spaces = " \n".repeat(200_000);
    let limits = ReaderLimits {
        stanza: 100,
        fatal: 200,
    };

    let text = format!("{HEADER}{spaces}<a/>{spaces}<b/>");
    let (frames, fault) = read(text.as_bytes(), 1_000, limits);

    assert_eq!(fault, None);
    assert!(
        matches!(
            frames.as_slice(),
            [Frame::Header(_), Frame::Stanza(_), Frame::Stanza(_)]
        ),
        "{frames:?}"
    );
    let (frames, fault) = whole(&format!("{spaces}{HEADER}"));
    assert_eq!((frames.len(), fault), (1, None), "also before the header");
}

#[test]
fn nothing_behind_the_closing_tag_is_read() {
    let mut reader = Reader::new(ReaderLimits::default());
    let text = format!("{HEADER}</stream:stream><message/>\0\u{1}");
    let mut rest = text.as_bytes();

    assert!(matches!(reader.next(&mut rest), Ok(Some(Frame::Header(_)))));
    assert_eq!(reader.next(&mut rest), Ok(Some(Frame::Close)));
    assert_eq!(reader.next(&mut rest), Ok(None));
    assert!(rest.starts_with(b"<message/>"));
}

#[test]
fn bytes_behind_a_frame_stay_in_the_input() {
    let mut reader = Reader::new(ReaderLimits::default());
    let text = format!("{HEADER}<starttls/><message/>");
    let mut rest = text.as_bytes();

    reader.next(&mut rest).unwrap();
    reader.next(&mut rest).unwrap();

    assert_eq!(rest, b"<message/>");
}

/// Pieces of XML, good and bad, in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<message from='a@a.example' to='b@b.example'>".to_owned()),
        Just("</message>".to_owned()),
        Just("<body xml:lang='en'>".to_owned()),
        Just("</body>".to_owned()),
        Just("<x xmlns='urn:x' y='&lt;&amp;&#228;'/>".to_owned()),
        Just("<![CDATA[<a>]]>".to_owned()),
        Just("\r\n \t".to_owned()),
        Just("<!-- -->".to_owned()),
        Just("</stream:stream>".to_owned()),
        "[ -~äöü\u{2028}]{0,40}".prop_map(|text| text.replace(['<', '&'], "x")),
        (0usize..400).prop_map(|n| "long text ".repeat(n)),
        "\\PC{0,12}",
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// How the bytes are cut makes no difference.
    #[test]
    fn pieces_read_like_the_whole(text in soup(), size in 1usize..50) {
        let bytes = format!("{HEADER}{text}");
        let limits = ReaderLimits { stanza: 1_000, fatal: 2_500 };
        let whole = read(bytes.as_bytes(), usize::MAX, limits);

        prop_assert_eq!(&read(bytes.as_bytes(), 1, limits), &whole);
        prop_assert_eq!(&read(bytes.as_bytes(), size, limits), &whole);
    }

    /// What was read and is written is read as the same.
    #[test]
    fn written_stanzas_read_the_same(text in soup()) {
        let (frames, _) = after_header(&format!("<message>{text}</message>"));
        for frame in frames.iter().filter(|frame| matches!(frame, Frame::Stanza(_))) {
            let (again, fault) = after_header(&written(frame));
            prop_assert_eq!(fault, None);
            prop_assert_eq!(&again[0], frame);
        }
    }

    /// Arbitrary bytes never panic.
    #[test]
    fn garbage_is_refused_in_order(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let with_header = [HEADER.as_bytes(), &bytes].concat();
        for size in [1, 13, 1_000] {
            read(&bytes, size, ReaderLimits::default());
            read(&with_header, size, ReaderLimits::default());
        }
    }
}
