//! What one connection does with requests of conversations.

use crate::sip::tests::hop::{Lab, method};
use crate::sip::tests::{request, with};
use crate::sip::{Answer, HopEvent, HopInput};

#[test]
fn conversations_go_to_a_shard_and_foreign_dialogs_do_not() {
    let to = "To: <sip:alice@xmpp.example>\n";
    let ours = "To: <sip:alice@xmpp.example>;tag=00000000000000010000000000000002\n";
    let foreign = "To: <sip:alice@xmpp.example>;tag=ffd2\n";
    let outside = |name: &str| method(name);
    let inside = |name: &str| with(&method(name), to, ours);
    let target = |text: String| with(&text, "sip:alice@xmpp.example SIP", "tel:+4712345 SIP");
    let require = |text: &str, tag: &str| {
        with(
            text,
            "Max-Forwards: 70",
            &format!("Max-Forwards: 70\nRequire: {tag}"),
        )
    };
    let mut taken = vec![
        outside("INVITE"),
        outside("CANCEL"),
        require(&outside("INVITE"), "com.microsoft.rtc-multiparty"),
        require(&outside("INVITE"), "timer"),
        require(&outside("CANCEL"), "whatever"),
    ];
    for name in [
        "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "UPDATE",
    ] {
        taken.extend([inside(name), target(inside(name))]);
    }
    for taken in taken {
        let effects = Lab::new().receive(&taken);
        assert!(effects.write.is_empty(), "{taken}");
        assert!(
            matches!(effects.events[..], [HopEvent::Request(_)]),
            "{taken}"
        );
    }
    let mut refused = vec![
        (target(outside("INVITE")), 416),
        (target(outside("CANCEL")), 416),
        (inside("PRACK"), 481),
        (inside("REFER"), 405),
        (require(&outside("INVITE"), "100rel"), 420),
        (require(&inside("MESSAGE"), "timer"), 420),
        (
            with(&inside("INFO"), "Max-Forwards: 70", "Max-Forwards: 0"),
            483,
        ),
    ];
    for name in [
        "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "PRACK", "UPDATE",
    ] {
        refused.push((with(&method(name), to, foreign), 481));
    }
    for (refused, status) in refused {
        let response = Lab::new().answer(&refused);
        assert_eq!(response.status(), status, "{refused}");
    }
}

#[test]
fn options_are_answered_inside_a_dialog_as_outside() {
    let to = "To: <sip:alice@xmpp.example>\n";
    let ours = "To: <sip:alice@xmpp.example>;tag=00000000000000010000000000000002\n";
    let inside = with(&method("OPTIONS"), to, ours);
    let response = Lab::new().answer(&inside);
    assert_eq!((response.status(), response.body().len()), (200, 0));
    let stray = with(&inside, "tag=0", "tag=x");
    assert_eq!(Lab::new().answer(&stray).status(), 481);
}

#[test]
fn an_ack_is_never_answered() {
    let to = "To: <sip:alice@xmpp.example>\n";
    let ack = method("ACK");
    for text in [
        ack.clone(),
        with(&ack, to, "To: <sip:alice@xmpp.example>;tag=ffd2\n"),
        with(&ack, "Call-ID: ", "Call-ID:\nX: "),
        with(&ack, "Max-Forwards: 70", "Max-Forwards: 0"),
    ] {
        let effects = Lab::new().receive(&text);
        assert!(effects.write.is_empty(), "{text}");
        assert!(
            matches!(effects.events[..], [HopEvent::Ignored(_)]),
            "{text}"
        );
    }

    let mut lab = Lab::new();
    let ack = request(&ack);
    let effects = lab
        .hop
        .handle(HopInput::Answer(&ack, Answer::new(503)), lab.now);
    assert!(effects.write.is_empty());
}
