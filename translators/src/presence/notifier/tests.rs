//! What the table cannot say: the size of a relation, and what is shared.

use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;

use crate::documents::presence::Format;
use crate::limits;
use crate::mapping::presence::Report;
use crate::model::{Mono, Now, Tuple, Wall};
use crate::policy::Verdict;
use crate::presence::Composition;
use crate::presence::notifier::{Action, Endpoint, Keep, Link, Notifier, Scene, Subscribe};
use crate::sip::{Dialog, Message, Tag};

fn scene() -> Scene {
    let now = Now {
        mono: Mono::from_start(Duration::from_secs(9_000)),
        wall: Wall::from_unix_millis(1_800_000_000_000),
    };
    Scene {
        now,
        sip: Link::Up(Now::default()),
        xmpp: Link::Up(Now::default()),
        terminates: false,
        watched_back: false,
        ask_after: limits::ASK_AFTER,
        composition: Composition::Tuples,
        closes: None,
    }
}

fn subscribe(number: u64, expires: u32) -> Subscribe {
    let text = format!(
        "SUBSCRIBE sip:alice@xmpp.example SIP/2.0\r\n\
         Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:bob@sip.example>;tag=b\r\n\
         To: <sip:alice@xmpp.example>\r\nCall-ID: call{number}\r\nCSeq: 1 SUBSCRIBE\r\n\
         Contact: <sip:bob@10.0.0.1>\r\nEvent: presence\r\nContent-Length: 0\r\n\r\n"
    );
    let Message::Request(request) = Message::parse(Bytes::from(text)).unwrap() else {
        panic!("a request line");
    };
    let jid = BareJid::new("alice@xmpp.example").unwrap();
    Subscribe {
        dialog: Dialog::accepting(&request, Tag::new(&jid, number)).unwrap(),
        format: Format::Pidf,
        expires,
        look: false,
        piggyback: false,
    }
}

fn watched() -> Notifier {
    let mut notifier = Notifier::new(Verdict::Allow);
    assert_eq!(
        notifier.on_subscribe(subscribe(1, 3_600), &scene()).keep,
        Keep::Durable
    );
    assert_eq!(notifier.on_subscribed(&scene()).keep, Keep::Durable);
    let report = Report {
        tuple: Tuple::available("balcony"),
        name: None,
    };
    assert_eq!(notifier.on_presence(report, &scene()).keep, Keep::Same);
    notifier
}

#[test]
fn a_relation_is_small() {
    assert!(size_of::<Notifier>() <= 112, "{}", size_of::<Notifier>());
    assert!(size_of::<Endpoint>() <= 112, "{}", size_of::<Endpoint>());
}

#[test]
fn watchers_of_one_user_share_what_they_know() {
    let (mut one, other) = (watched(), watched());
    assert!(one.share_seen(&other));
    assert!(!one.share_seen(&Notifier::new(Verdict::Allow)));
    let report = Report {
        tuple: Tuple::closed("balcony"),
        name: None,
    };
    assert_eq!(one.on_presence(report, &scene()).actions, []);
    assert!(!one.share_seen(&other), "they know different things now");
    assert_eq!(other.known(&scene()).unwrap().open().count(), 1);
}

#[test]
fn endpoints_are_bounded() {
    let mut notifier = Notifier::new(Verdict::Allow);
    let most = u64::try_from(limits::ENDPOINTS_PER_WATCHER).unwrap();
    for number in 0..most {
        let expires = if number == 3 { 600 } else { 3_600 };
        let step = notifier.on_subscribe(subscribe(number, expires), &scene());
        assert!(
            step.actions
                .iter()
                .all(|action| !matches!(action, Action::End(_)))
        );
    }
    let step = notifier.on_subscribe(subscribe(most, 3_600), &scene());
    let ended = step.actions.iter().find_map(|action| match action {
        Action::End(ended) => Some(ended.dialog.call_id().into_owned()),
        Action::Answer(_) | Action::Ask(_) | Action::Notify(..) | Action::Recall => None,
    });
    assert_eq!(ended.as_deref(), Some("call3"));
    assert_eq!(notifier.endpoints().len(), limits::ENDPOINTS_PER_WATCHER);
}

#[test]
fn no_timestamp_comes_again() {
    let mut notifier = watched();
    let now = scene().now.wall;
    assert_eq!(notifier.stamp(now), None);
    assert_eq!(notifier.stamp(now), Some(now));
}
