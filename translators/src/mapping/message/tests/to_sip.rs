//! From the stanza to the request.

use super::*;

#[test]
fn a_stanza_becomes_a_message_with_all_its_fields() {
    let message = from_alice(
        "type='chat' xml:lang='en'",
        "<subject>Two\nlines</subject><body>Hi</body><body xml:lang='de'>Hallo</body><thread>t 1</thread>\
         <nick xmlns='http://jabber.org/protocol/nick'>Alice\u{200b}</nick>\
         <delay xmlns='urn:xmpp:delay' stamp='2026-11-25T11:00:00Z'/>\
         <delay xmlns='urn:xmpp:delay' stamp='2026-11-25T10:00:00Z'/>\
         <x xmlns='jabber:x:delay' stamp='20200910T23:08:25'/>\
         <active xmlns='http://jabber.org/protocol/chatstates'/>",
    );

    let request = request_for(&message, &SipProfile::default());

    assert_eq!(request.uri().unwrap().as_str(), "sip:bob@example.net");
    assert_eq!(
        request.from().unwrap().to_string(),
        "\"Alice\" <sip:alice@example.com;gr=pda>;tag=t1"
    );
    assert_eq!(request.to().unwrap().to_string(), "<sip:bob@example.net>");
    assert_eq!(request.body(), &Bytes::from_static(b"Hi"));
    let expected = [
        (HeaderName::Subject, "Two lines"),
        (HeaderName::ContentLanguage, "en"),
        (HeaderName::Date, "Wed, 25 Nov 2026 10:00:00 GMT"),
        (HeaderName::ContentType, "text/plain;charset=UTF-8"),
        (HeaderName::MaxForwards, "70"),
    ];
    for (name, expected) in expected {
        assert_eq!(value(&request, name).as_deref(), Some(expected));
    }
    assert_eq!(value(&request, HeaderName::Contact), None);
}

#[test]
fn the_language_of_the_stanza_chooses_the_body() {
    let (_, message) = read_stanza(&from_alice(
        "xml:lang='de'",
        "<body xml:lang='fr'>Salut</body><body>Hallo</body>",
    ))
    .unwrap();

    assert_eq!(message.lang.as_deref(), Some("de"));
    assert!(matches!(message.payload, Payload::Text { text, .. } if text == "Hallo"));
}

#[test]
fn what_stands_in_for_a_body() {
    let oob = "<x xmlns='jabber:x:oob'><url>https://x.example/f</url><desc>A file</desc></x>";
    let html = "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><p>One</p><p>Two</p></body></html>";
    let eme = "<encryption xmlns='urn:xmpp:eme:0' namespace='eu.siacs.conversations.axolotl'/>";
    let omemo = "<encrypted xmlns='eu.siacs.conversations.axolotl'/>";

    assert_eq!(text_of(oob).unwrap(), "A file\nhttps://x.example/f");
    assert_eq!(text_of(html).unwrap(), "One\nTwo");
    assert_eq!(
        text_of(&format!("<body>Fallback</body>{eme}")).unwrap(),
        "Fallback"
    );
    assert_eq!(
        text_of(&format!("<body>{oob}</body>{oob}")).unwrap(),
        "A file\nhttps://x.example/f"
    );
    for encrypted in [eme, omemo] {
        assert_eq!(text_of(encrypted), Err(Own::Encrypted.into()));
    }
}

#[test]
fn what_is_dropped_and_what_is_refused() {
    let read = |attributes: &str, content: &str| {
        read_stanza(&from_alice(attributes, content)).map(|(_, message)| message.payload)
    };
    let carbon = "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>";

    assert_eq!(read("", carbon), Err(Reason::Carbon.into()));
    assert_eq!(
        read("", "<subject>Only</subject>"),
        Err(Reason::Empty.into())
    );
    assert_eq!(read("", "<body/>"), Err(Reason::Empty.into()));
    assert_eq!(
        read("", "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>"),
        Err(Reason::Empty.into())
    );
    assert_eq!(
        read(
            "type='headline'",
            "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event>"
        ),
        Err(Reason::Empty.into())
    );
    assert_eq!(
        read("type='error'", "<body>x</body>"),
        Err(Reason::Unmatched.into())
    );
    assert_eq!(
        read("type='groupchat'", "<body>x</body>"),
        Err(Own::Nobody.into())
    );
    let to_device = stanza(
        "<message from='room@rooms.example.com/nick' to='bob@example.net/x' type='groupchat'><body>x</body></message>",
    );
    assert_eq!(read_stanza(&to_device), Err(Reason::Room.into()));
    let to = |address: &str| {
        read_stanza(&stanza(&format!(
            "<message from='alice@example.com/pda' to='{address}'><body>x</body></message>"
        )))
    };
    assert_eq!(to("example.net"), Err(Own::Nobody.into()));
    assert_eq!(to("bob@example.org"), Err(Own::NotServed.into()));
    assert_eq!(to("\\5cbob@example.net"), Err(Reject::User.into()));
}

#[test]
fn small_things_travel_as_messages() {
    let payload = |content: &str| read_stanza(&from_alice("", content)).unwrap().1.payload;
    let receipt = |kind| {
        let of = "m7".to_owned();
        Payload::Receipt(Receipt { of, kind })
    };

    assert_eq!(
        payload("<composing xmlns='http://jabber.org/protocol/chatstates'/>"),
        Payload::Typing(ChatState::Composing)
    );
    assert_eq!(
        payload("<received xmlns='urn:xmpp:receipts' id='m7'/>"),
        receipt(ReceiptKind::Delivered)
    );
    assert_eq!(
        payload("<displayed xmlns='urn:xmpp:chat-markers:0' id='m7'/>"),
        receipt(ReceiptKind::Displayed)
    );
}

#[test]
fn typing_is_an_iscomposing_document() {
    let typing = |state: &str| {
        from_alice(
            "",
            &format!("<{state} xmlns='http://jabber.org/protocol/chatstates'/>"),
        )
    };
    let request = request_for(&typing("composing"), &SipProfile::default());

    assert_eq!(
        value(&request, HeaderName::ContentType).as_deref(),
        Some("application/im-iscomposing+xml")
    );
    let incoming = read_request(
        &from_bob(
            "Content-Type: application/im-iscomposing+xml\r\n",
            request.body(),
        ),
        &SipProfile::default(),
    )
    .unwrap();
    assert_eq!(
        incoming.message.payload,
        Payload::Typing(ChatState::Composing)
    );
    assert_eq!(incoming.refresh.map(|one| one.as_secs()), Some(60));

    let (pair, gone) = read_stanza(&typing("gone")).unwrap();
    let peer = SipProfile::default();
    assert_eq!(
        to_sip(&admit(pair, gone), &peer, envelope()),
        Err(Reason::Empty.into())
    );
}

#[test]
fn microsofts_servers_are_told_one_endpoint_for_each_user() {
    let message = from_alice(
        "",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    );
    let peer = SipProfile {
        microsoft: Some(Microsoft::default()),
        ..SipProfile::default()
    };

    let [one, other] = [0, 1].map(|_| request_for(&message, &peer).from().unwrap());

    let epid = one.param("epid").unwrap();
    assert!(epid.len() <= 16 && epid.bytes().all(|octet| octet.is_ascii_hexdigit()));
    assert_eq!(other.param("epid"), Some(epid));
    let generic = request_for(&message, &SipProfile::default());
    assert!(!generic.from().unwrap().has_param("epid"));
}

#[test]
fn the_whole_message_counts_against_the_page_limit() {
    let message = from_alice("", &format!("<body>{}</body>", "x".repeat(800)));
    let size = |peer: &SipProfile| {
        let request = request_for(&message, peer);
        request.bytes().len() + request.body().len()
    };
    let whole = size(&SipProfile::default());
    let exact = SipProfile {
        page_limit: whole,
        ..SipProfile::default()
    };
    assert_eq!(size(&exact), whole);

    let less = SipProfile {
        page_limit: whole - 1,
        ..exact
    };
    let (pair, instant) = read_stanza(&message).unwrap();
    let draft = to_sip(&admit(pair, instant), &less, envelope()).unwrap();
    let sent_by = SentBy::new("gw.example.com", 5061).unwrap();
    let refused = write_page(&draft, &less, &sent_by, branch()).unwrap_err();
    assert_eq!(
        refused.failure().text.unwrap(),
        format!("More than {} octets (page_limit)", whole - 1)
    );
}

#[test]
fn a_room_invitation_becomes_text_and_a_decline() {
    let mediated = |from: &str, inviter: &str| {
        stanza(&format!(
            "<message from='{from}' to='bob@example.net'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <invite from='{inviter}'><reason>Come</reason></invite><password>secret</password></x>\
             <x xmlns='jabber:x:conference' jid='room@rooms.example.com' password='secret'/></message>"
        ))
    };
    let message = mediated("room@rooms.example.com", "carol@example.com/home");
    let request = request_for(&message, &SipProfile::default());

    assert_eq!(
        request.from().unwrap().uri().as_str(),
        "sip:carol@example.com;gr=home"
    );
    assert_eq!(
        request.body(),
        &Bytes::from_static(
            b"carol@example.com invites you to the chat room room@rooms.example.com: Come"
        )
    );
    let (pair, instant) = read_stanza(&message).unwrap();
    let Payload::Invitation(invitation) = &instant.payload else {
        panic!("no invitation");
    };
    let decline = invitation::decline(&pair, invitation).unwrap();
    assert_eq!(decline.to.as_str(), "room@rooms.example.com");
    assert_eq!(decline.from.as_str(), "bob@example.net");
    let written = String::from_utf8(decline.write(10_000).unwrap().to_vec()).unwrap();
    assert!(
        written.contains("<decline to=\"carol@example.com/home\"><reason>"),
        "{written}"
    );

    let occupant = mediated("room@rooms.example.com", "room@rooms.example.com/Nick");
    let (pair, instant) = read_stanza(&occupant).unwrap();
    assert_eq!(pair.jid.as_str(), "room@rooms.example.com");
    assert_eq!(instant.from_instance, None);
    let Payload::Invitation(invitation) = &instant.payload else {
        panic!("no invitation");
    };
    assert_eq!(
        invitation::text(invitation),
        "Nick invites you to the chat room room@rooms.example.com: Come"
    );

    // COMPAT(openfire): what the inviter's client and the room add stands before the invitation.
    let marked = stanza(
        "<message from='room@rooms.example.com' to='bob@example.net'>\
         <stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@rooms.example.com'/>\
         <occupant-id xmlns='urn:xmpp:occupant-id:0' id='2'/>\
         <x xmlns='http://jabber.org/protocol/muc#user'><invite from='carol@example.com'><reason/></invite></x>\
         <x xmlns='jabber:x:conference' jid='room@rooms.example.com'/></message>",
    );
    let (pair, instant) = read_stanza(&marked).unwrap();
    assert_eq!(pair.jid.as_str(), "carol@example.com");
    assert!(matches!(instant.payload, Payload::Invitation(invitation) if invitation.mediated));

    let foreign = mediated("room@rooms.example.com", "carol@elsewhere.example");
    let (pair, _) = read_stanza(&foreign).unwrap();
    assert_eq!(pair.jid.as_str(), "room@rooms.example.com");
    let forged = mediated("mallory@example.com/x", "boss@example.com");
    let (pair, _) = read_stanza(&forged).unwrap();
    assert_eq!(pair.jid.as_str(), "mallory@example.com");
}

#[test]
fn a_direct_invitation_becomes_text() {
    let request = request_for(
        &from_alice(
            "",
            "<x xmlns='jabber:x:conference' jid='darkcave@rooms.example.com' reason='Hey &amp; ho' password='secret'/>",
        ),
        &SipProfile::default(),
    );

    assert_eq!(
        request.body(),
        &Bytes::from_static(
            b"alice@example.com invites you to the chat room darkcave@rooms.example.com: Hey & ho"
        )
    );
}

#[test]
fn receipts_are_asked_for_and_given_in_cpim() {
    let peer = SipProfile {
        cpim: true,
        ..SipProfile::default()
    };
    let asked = request_for(
        &from_alice(
            "",
            "<body>Hello World</body><request xmlns='urn:xmpp:receipts'/>",
        ),
        &peer,
    );
    let body = std::str::from_utf8(asked.body()).unwrap();
    assert_eq!(
        body,
        "From: <sip:alice@example.com>\r\nTo: <sip:bob@example.net>\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 34jk324j\r\n\
         DateTime: 2026-11-25T12:00:00Z\r\n\
         imdn.Disposition-Notification: positive-delivery, negative-delivery\r\n\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: 11\r\n\r\nHello World"
    );
    let incoming = read_request(
        &from_bob("Content-Type: message/cpim\r\n", asked.body()),
        &peer,
    );
    let message = incoming.unwrap().message;
    assert_eq!(message.id.as_deref(), Some("34jk324j"));
    assert!(matches!(
        message.payload,
        Payload::Text { receipts, .. } if receipts == [ReceiptKind::Delivered, ReceiptKind::Failed]
    ));

    let given = request_for(
        &from_alice("", "<received xmlns='urn:xmpp:receipts' id='m7'/>"),
        &peer,
    );
    let receipt = from_bob("Content-Type: message/cpim\r\n", given.body());
    let incoming = read_request(&receipt, &peer).unwrap();
    assert_eq!(
        incoming.message.payload,
        Payload::Receipt(Receipt {
            of: "m7".to_owned(),
            kind: ReceiptKind::Delivered
        })
    );
    let plain = SipProfile::default();
    assert_eq!(
        read_request(&receipt, &plain),
        Err(Reason::Unmatched.into())
    );
}
