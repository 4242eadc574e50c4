//! From the request to the stanza.

use super::*;

#[test]
fn a_request_becomes_a_stanza_with_all_its_fields() {
    let request = from_bob(
        "Subject: Two <words>\r\nContent-Language: en_US, de\r\nDate: Wed, 25 Nov 2026 11:59:00 GMT\r\n\
         Content-Type: text/plain\r\n",
        b" a\r\n<b>\x01 ",
    );
    let incoming = read_request(&request, &SipProfile::default()).unwrap();
    let sent = to_xmpp(&admit(incoming.pair, incoming.message)).unwrap();

    let written = String::from_utf8(sent.write(10_000).unwrap().to_vec()).unwrap();
    assert!(!written.contains("type="), "{written}");
    let read = stanza(&written);
    assert_eq!(read.from.as_str(), "bob@example.net/desk");
    assert_eq!(read.to.as_str(), "alice@example.com");
    assert_eq!(read.id.as_deref(), Some("z9hG4bKb1"));
    assert_eq!(read.thread.as_deref(), Some("call1"));
    assert_eq!(read.lang.as_deref(), Some("en-US"));
    assert_eq!(read.bodies[0].1, " a\n<b>\u{fffd} ");
    assert_eq!(read.subjects[0].1, "Two <words>");
    let nick = read.payload("nick", crate::xmpp::ns::NICK).unwrap();
    assert_eq!(nick.text(), "Bob \"B\"");
    let delay = read.payload("delay", crate::xmpp::ns::DELAY).unwrap();
    assert_eq!(delay.attr("stamp"), Some("2026-11-25T11:59:00Z"));
    assert_eq!(delay.attr("from"), Some("example.net"));
}

#[test]
fn only_domains_of_xmpp_peers_are_written_to() {
    let peer = SipProfile::default();
    let head = "Content-Type: text/plain\r\n";
    let asked = from_bob(head, b"").bytes().to_vec();
    let other = |domain: &str| {
        let text = String::from_utf8(asked.clone()).unwrap();
        let other = request(text.replacen("alice@example.com", domain, 1).as_bytes());
        read_request(&other, &peer).map(|incoming| incoming.pair.jid.clone())
    };

    assert_eq!(other("alice@example.com"), Err(Reason::Empty.into()));
    for domain in [
        "alice@elsewhere.example",
        "alice@sub.example.com",
        "alice@example.net",
    ] {
        assert_eq!(other(domain), Err(Own::NotServed.into()), "{domain}");
    }
}

#[test]
fn bodies_are_read_in_their_charset() {
    assert_eq!(
        body_of("text/plain", b"x\xef\xbf\xbf").unwrap(),
        "x\u{fffd}"
    );
    assert_eq!(
        body_of("text/plain;charset=\"UTF-8\"", "\u{fc}".as_bytes()).unwrap(),
        "\u{fc}"
    );
    assert_eq!(
        body_of("text/plain; charset=ISO-8859-1", b"\xfc\x80").unwrap(),
        "\u{fc}\u{20ac}"
    );
    assert_eq!(body_of("text/plain", b"\xfc"), Err(Own::Unreadable.into()));
    assert_eq!(
        body_of("text/plain;charset=utf-16", b"a\0"),
        Err(Own::Unsupported.into())
    );
    assert_eq!(body_of("text/plain", b""), Err(Reason::Empty.into()));
}

#[test]
fn the_best_part_is_chosen() {
    let multipart = |boundary: &str, parts: &[(&str, &str)]| {
        let mut body = String::new();
        for (kind, content) in parts {
            body.push_str(&format!(
                "--{boundary}\r\nContent-Type: {kind}\r\n\r\n{content}\r\n"
            ));
        }
        format!("{body}--{boundary}--\r\n")
    };
    let alternative = multipart(
        "b",
        &[
            ("text/rtf", "{}"),
            ("text/html", "<b>no</b>"),
            ("text/plain", "yes"),
        ],
    );
    let kind = "multipart/alternative; boundary=b";

    assert_eq!(body_of(kind, alternative.as_bytes()).unwrap(), "yes");
    let html = multipart("b", &[("text/html", "<p>a<p>b")]);
    assert_eq!(body_of(kind, html.as_bytes()).unwrap(), "a\nb");
    let rich = multipart("b", &[("text/rtf", "{}"), ("image/gif", "GIF")]);
    assert_eq!(body_of(kind, rich.as_bytes()), Err(Own::Formatted.into()));
    let foreign = multipart("b", &[("application/x-ms-ink", "x"), ("image/gif", "GIF")]);
    assert_eq!(
        body_of(kind, foreign.as_bytes()),
        Err(Own::Unsupported.into())
    );
    assert_eq!(
        body_of("multipart/alternative", foreign.as_bytes()),
        Err(Own::Unreadable.into())
    );

    let mut deep = "x".to_owned();
    let mut inner = "text/plain".to_owned();
    for level in 0..6 {
        let boundary = format!("b{level}");
        deep = multipart(&boundary, &[(&inner, &deep)]);
        inner = format!("multipart/mixed; boundary={boundary}");
    }
    assert_eq!(
        body_of(&inner, deep.as_bytes()),
        Err(Own::Unreadable.into())
    );
    for kind in ["text/rtf", "TEXT/RTF; charset=UTF-8", "application/rtf"] {
        assert_eq!(body_of(kind, b"x"), Err(Own::Formatted.into()), "{kind}");
    }
    for kind in [
        "image/gif",
        "text/x-msmsgsinvite",
        "application/ms-imdn+xml",
    ] {
        assert_eq!(body_of(kind, b"x"), Err(Own::Unsupported.into()), "{kind}");
    }
    let packed = from_bob(
        "Content-Encoding: gzip\r\nContent-Type: text/plain\r\n",
        b"x",
    );
    assert_eq!(
        read_request(&packed, &SipProfile::default()),
        Err(Own::Unsupported.into())
    );
}

#[test]
fn html_is_carried_by_switch_only() {
    let request = from_bob(
        "Content-Type: text/html;charset=utf-8\r\n",
        b"<html><body><p>Neither, <b onclick=\"x()\">fair</b> saint<br>no</p><script>evil()</script></body></html>",
    );
    let written = |peer: &SipProfile| {
        let incoming = read_request(&request, peer).unwrap();
        let stanza = to_xmpp(&admit(incoming.pair, incoming.message)).unwrap();
        String::from_utf8(stanza.write(10_000).unwrap().to_vec()).unwrap()
    };
    let with = SipProfile {
        xhtml_im: true,
        ..SipProfile::default()
    };

    assert!(written(&with).contains("<body>Neither, fair saint\nno</body>"));
    assert!(written(&with).contains(
        "<html xmlns=\"http://jabber.org/protocol/xhtml-im\"><body xmlns=\"http://www.w3.org/1999/xhtml\">\
         <p>Neither, <strong>fair</strong> saint<br/>no</p></body></html>"
    ));
    assert!(!written(&SipProfile::default()).contains("xhtml"));
}

#[test]
fn an_expired_message_is_dropped() {
    let expiring = |date: &str, seconds: u32| {
        let headers = format!("Date: {date}\r\nExpires: {seconds}\r\nContent-Type: text/plain\r\n");
        let read = read_request(&from_bob(&headers, b"x"), &SipProfile::default());
        read.map(|incoming| incoming.message.id)
    };

    assert_eq!(
        expiring("Wed, 25 Nov 2026 11:00:00 GMT", 3_599),
        Err(Reason::Expired.into())
    );
    assert!(expiring("Wed, 25 Nov 2026 11:00:00 GMT", 3_600).is_ok());
    assert!(expiring("Wed, 25 Nov 2026 13:00:00 GMT", 0).is_ok());
}

#[test]
fn the_sender_is_whom_a_trusted_peer_asserts() {
    let request = from_bob(
        "P-Asserted-Identity: <tel:+1>, \"Robert\" <sip:robert@example.net>\r\nContent-Type: text/plain\r\n",
        b"x",
    );
    let sender = |trust_asserted| {
        let peer = SipProfile {
            trust_asserted,
            ..SipProfile::default()
        };
        read_request(&request, &peer).unwrap().pair.aor.to_string()
    };

    assert_eq!(sender(false), "bob@example.net");
    assert_eq!(sender(true), "robert@example.net");
}

#[test]
fn pager_mode_is_normal_unless_the_peer_chats() {
    let style = |chat| {
        let peer = SipProfile {
            chat,
            ..SipProfile::default()
        };
        let request = from_bob("Content-Type: text/plain\r\n", b"x");
        read_request(&request, &peer).unwrap().message.style
    };

    assert_eq!(style(false), MessageStyle::Normal);
    assert_eq!(style(true), MessageStyle::Chat);
}

#[test]
fn a_failed_receipt_is_an_error_stanza() {
    let pair = Pair::new(
        BareJid::new("alice@example.com").unwrap(),
        Aor::from_image(BareJid::new("bob@example.net").unwrap()),
    );
    let receipt = InstantMessage {
        id: Some("i1".to_owned()),
        from_instance: None,
        to_instance: Some("pda".to_owned()),
        payload: Payload::Receipt(Receipt {
            of: "m1".to_owned(),
            kind: ReceiptKind::Failed,
        }),
        lang: None,
        thread: None,
        sent_at: None,
        display_name: None,
        style: MessageStyle::Normal,
    };

    let stanza = to_xmpp(&admit(pair, receipt)).unwrap();

    assert_eq!(stanza.id.as_deref(), Some("m1"));
    assert!(stanza.error().is_some());
}
