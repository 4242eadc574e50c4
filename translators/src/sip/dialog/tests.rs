//! Dialogs from both ends.

use std::mem::size_of;

use jid::BareJid;

use crate::sip::dialog::{
    Block, Decisive, Dialog, RoutePool, RouteSet, Sequence, Subscribing, Tag,
};
use crate::sip::subscription::{EventReason, PIDF, SubscriptionState, Wish};
use crate::sip::tests::{request, response, with};
use crate::sip::{
    Branch, Draft, HeaderName, Message, NameAddr, Request, SentBy, SipUri, write_request,
};
use crate::text::Line;

/// Two signed routes of Lync with all that could tempt one to write them anew.
const ROUTES: [&str; 2] = [
    "<sip:sipfed.contoso.com:5061;transport=tls;epid=01;lr;ms-key-info=jAAB%2F==;ms-route-sig=fe.Ab%2f>;ms-rrsig=x;tag=9F",
    "<SIP:pool.contoso.com;MS-FE=fe1.contoso.com;opaque=state:T:F;lr>;ms-identity=\"a, b\"",
];

const SUBSCRIBE: &str = "SUBSCRIBE sip:juliet@example.com SIP/2.0\n\
    Via: SIP/2.0/TLS edge.example.net:5061;branch=z9hG4bK77a1\n\
    Max-Forwards: 70\n\
    From: \"Romeo\" <sip:romeo@example.net>;epid=4c4d6e;tag=xfg9\n\
    To: <sip:juliet@example.com;x=1>\n\
    Call-ID: AA5A8BE5@example.net\n\
    CSeq: 7 SUBSCRIBE\n\
    Contact: <sip:romeo@example.net;opaque=user:epid:A_b==;gruu>\n\
    Event: presence;id=i1\n\
    Content-Length: 0\n\n";

const NOTIFY: &str = "NOTIFY sip:TAG@gw.example:5061;transport=tls SIP/2.0\n\
    Via: SIP/2.0/TLS edge.example.net:5061;branch=z9hG4bK77a2\n\
    Max-Forwards: 70\n\
    From: <sip:romeo@example.net;changed=1>;tag=ffd2;epid=77\n\
    To: <sip:juliet@example.com>;tag=TAG\n\
    Call-ID: CALL\n\
    CSeq: 3 NOTIFY\n\
    Contact: <sip:romeo@example.net;gr=dr4h?Subject=x>\n\
    Event: presence\n\
    Subscription-State: active;expires=499\n\
    Content-Length: 0\n\n";

const SUCCESS: &str = "SIP/2.0 200 OK\n\
    Via: SIP/2.0/TLS gw.example:5061;branch=z9hG4bK1\n\
    From: <sip:juliet@example.com>;tag=TAG\n\
    To: <sip:romeo@example.net>;tag=ffd2\n\
    Call-ID: CALL\n\
    CSeq: 1 SUBSCRIBE\n\
    Contact: <sip:romeo@host1.example.net>\n\
    Expires: 3600\n\
    Content-Length: 0\n\n";

fn jid() -> BareJid {
    BareJid::new("juliet@example.com").unwrap()
}

fn tag() -> Tag {
    Tag::new(&jid(), 42)
}

fn sent_by() -> SentBy {
    SentBy::new("gw.example", 5061).unwrap()
}

fn subscribing() -> Subscribing {
    let uri = |text| SipUri::parse(text).unwrap();
    Subscribing::new(
        tag(),
        0xabc,
        NameAddr::new(None, uri("sip:juliet@example.com"), None),
        uri("sip:romeo@example.net"),
    )
}

/// A message for the dialog of [`subscribing`].
fn ours(text: &str) -> String {
    let call_id = subscribing().call_id();
    text.replace("TAG", &tag().to_string())
        .replace("CALL", call_id.as_str())
}

fn record_routes(text: &str, routes: &[&str]) -> String {
    let header = format!("Record-Route: {}\nCall-ID", routes.join(", "));
    with(text, "Call-ID", &header)
}

/// The request as the peer gets it.
fn sent(draft: &Draft) -> Request {
    let bytes = write_request(draft, &sent_by(), branch());
    match Message::parse(bytes).unwrap() {
        Message::Request(request) => {
            assert_eq!(request.validate(), Ok(()));
            request
        }
        Message::Response(_) => panic!("a response"),
    }
}

fn branch() -> Branch {
    Branch::parse("z9hG4bK000000ab00070000000000000001").unwrap()
}

fn values(request: &Request, name: HeaderName) -> Vec<&str> {
    request.all(name).map(|header| header.raw).collect()
}

fn wish() -> Wish {
    Wish::new(3600, PIDF)
}

fn notify(dialog: &mut Dialog) -> Request {
    let state = SubscriptionState::active(60);
    sent(
        &dialog
            .notify(&state, Vec::new(), None, &sent_by())
            .unwrap()
            .0,
    )
}

#[test]
fn a_subscription_starts_outside_a_dialog() {
    let mut subscribing = subscribing();

    let (draft, block) = subscribing.request(&wish(), &sent_by());
    let first = sent(&draft);

    assert_eq!(block, Block::New);
    assert_eq!(first.raw_uri(), "sip:romeo@example.net");
    assert_eq!(first.to().unwrap().tag(), None);
    assert_eq!(first.from().unwrap().tag(), Some(&tag().token()));
    assert_eq!(first.cseq().unwrap().number, 1);
    let contact = format!("<sip:{}@gw.example:5061;transport=tls>", tag());
    assert_eq!(values(&first, HeaderName::Contact), [contact]);
    assert_eq!(first.expires(), Ok(Some(3600)));
    let again = sent(&subscribing.request(&wish(), &sent_by()).0);
    assert_eq!(again.call_id(), first.call_id());
    assert_eq!(again.cseq().unwrap().number, 2);
}

#[test]
fn a_notify_before_the_answer_makes_the_dialog() {
    let mut subscribing = subscribing();
    _ = subscribing.request(&wish(), &sent_by());
    let notify = request(&record_routes(&ours(NOTIFY), &ROUTES));

    assert!(subscribing.is_for(&notify));
    let mut dialog = subscribing.establish(&notify, Decisive::Notify).unwrap();

    assert!(dialog.is_for(&notify));
    assert_eq!(dialog.remote_tag(), "ffd2");
    assert_eq!(dialog.on_request(3), Sequence::Repeated);
    assert_eq!(dialog.on_request(2), Sequence::Old);
    let (draft, block) = dialog.subscribe(&wish(), &sent_by()).unwrap();
    let refresh = sent(&draft);
    assert_eq!(block, Block::Reserved);
    assert_eq!(refresh.raw_uri(), "sip:romeo@example.net;gr=dr4h");
    assert_eq!(values(&refresh, HeaderName::Route), ROUTES);
    assert_eq!(refresh.cseq().unwrap().number, 2);
    assert_eq!(refresh.call_id(), Ok(subscribing.call_id().as_str()));
    let to = refresh.to().unwrap();
    assert_eq!(to.uri().as_str(), "sip:romeo@example.net");
    assert_eq!(to.tag().unwrap().as_str(), "ffd2");
    assert_eq!(to.param("epid"), Some("77"));
}

#[test]
fn the_route_set_is_the_first_that_is_not_empty() {
    let plain = request(&ours(NOTIFY));
    let success = response(&record_routes(&ours(SUCCESS), &ROUTES));
    let reversed: Vec<_> = ROUTES.iter().rev().copied().collect();

    let mut answered_first = subscribing();
    answered_first.on_success(&success);
    let answered_first = answered_first.establish(&plain, Decisive::Notify).unwrap();
    let mut notified_first = subscribing().establish(&plain, Decisive::Notify).unwrap();
    assert!(notified_first.routes().is_empty());
    assert!(notified_first.on_success(&success));

    for dialog in [&answered_first, &notified_first] {
        assert!(dialog.routes().routes().eq(reversed.iter().copied()));
    }
    let of_notify = request(&record_routes(&ours(NOTIFY), &ROUTES));
    let mut both = subscribing();
    both.on_success(&success);
    let first = both.establish(&of_notify, Decisive::First).unwrap();
    assert!(first.routes().routes().eq(reversed.iter().copied()));
    let mut both = both.establish(&of_notify, Decisive::Notify).unwrap();
    assert!(both.routes().routes().eq(ROUTES));
    _ = both.on_success(&response(&ours(SUCCESS)));
    assert!(both.routes().routes().eq(ROUTES));
}

#[test]
fn the_first_fork_that_notifies_has_the_dialog() {
    let mut subscribing = subscribing();
    let success = record_routes(&ours(SUCCESS), &ROUTES);
    subscribing.on_success(&response(&success.replace("tag=ffd2", "tag=other")));
    let notify = request(&ours(NOTIFY));
    let fork = request(&ours(NOTIFY).replace("tag=ffd2", "tag=fork"));

    let mut dialog = subscribing.establish(&notify, Decisive::Notify).unwrap();

    assert!(dialog.routes().is_empty());
    assert!(dialog.is_for(&notify));
    assert!(!dialog.is_for(&fork));
    assert!(subscribing.is_for(&fork));
    let other = response(&ours(SUCCESS).replace("tag=ffd2", "tag=fork"));
    assert!(!dialog.on_success(&other), "the answer of another fork");
}

#[test]
fn an_answer_with_the_document_makes_the_dialog_by_itself() {
    let mut subscribing = subscribing();
    assert_eq!(subscribing.accepted(), None);

    subscribing.on_success(&response(&ours(SUCCESS)));
    let mut dialog = subscribing.accepted().unwrap();

    assert_eq!(dialog.remote_target(), "sip:romeo@host1.example.net");
    assert_eq!(dialog.on_request(0), Sequence::Fresh);
}

#[test]
fn a_subscribe_of_a_peer_makes_the_dialog() {
    let asked = request(&record_routes(SUBSCRIBE, &ROUTES));

    let mut dialog = Dialog::accepting(&asked, tag()).unwrap();

    assert_eq!(dialog.call_id(), "AA5A8BE5@example.net");
    assert_eq!(dialog.event_id(), Some("i1"));
    assert_eq!(dialog.on_request(7), Sequence::Repeated);
    let state = SubscriptionState::terminated(EventReason::Timeout);
    let content = (Line::fold(PIDF), "<presence/>".into());
    let (draft, block) = dialog
        .notify(&state, Vec::new(), Some(content), &sent_by())
        .unwrap();
    let notify = sent(&draft);
    assert_eq!(block, Block::New);
    assert_eq!(
        notify.raw_uri(),
        "sip:romeo@example.net;opaque=user:epid:A_b==;gruu"
    );
    assert_eq!(values(&notify, HeaderName::Route), ROUTES);
    assert_eq!(
        values(&notify, HeaderName::From),
        [format!("<sip:juliet@example.com;x=1>;tag={}", tag())]
    );
    assert_eq!(
        values(&notify, HeaderName::To),
        ["<sip:romeo@example.net>;tag=xfg9;epid=4c4d6e"]
    );
    assert_eq!(values(&notify, HeaderName::Event), ["presence;id=i1"]);
    assert_eq!(
        values(&notify, HeaderName::SubscriptionState),
        ["terminated;reason=timeout"]
    );
    assert_eq!(notify.body().as_ref(), b"<presence/>");
    assert_eq!(notify.content_type().unwrap().unwrap().essence(), PIDF);
}

#[test]
fn a_request_belongs_by_call_id_and_tags_alone() {
    let dialog = Dialog::accepting(&request(SUBSCRIBE), tag()).unwrap();
    let tagged = format!("x=1>;tag={}", tag());
    let refresh = with(SUBSCRIBE, "x=1>", &tagged);

    assert!(dialog.is_for(&request(&refresh)));
    let retargeted = refresh.replace("<sip:romeo@example.net>", "<sip:bob@lync.example>");
    assert!(dialog.is_for(&request(&retargeted)));
    for (old, new) in [
        ("tag=xfg9", "tag=xfg8"),
        (";tag=xfg9", ""),
        ("AA5A8BE5", "aa5a8be5"),
        (tagged.as_str(), "x=1>"),
    ] {
        assert!(!dialog.is_for(&request(&with(&refresh, old, new))), "{old}");
    }
}

#[test]
fn a_peer_of_rfc_2543_needs_no_tag() {
    let asked = request(&with(SUBSCRIBE, ";tag=xfg9", ""));
    let mut dialog = Dialog::accepting(&asked, tag()).unwrap();

    assert_eq!(dialog.remote_tag(), "");
    assert_eq!(notify(&mut dialog).to().unwrap().tag(), None);
}

#[test]
fn strict_routers_get_what_they_expect() {
    let strict = "<sip:p1.example;transport=tls?x=y>;a=1";
    let asked = request(&record_routes(SUBSCRIBE, &[strict, ROUTES[1]]));
    let mut dialog = Dialog::accepting(&asked, tag()).unwrap();

    let notify = notify(&mut dialog);

    assert_eq!(notify.raw_uri(), "sip:p1.example;transport=tls");
    let target = format!("<{}>", dialog.remote_target());
    assert_eq!(values(&notify, HeaderName::Route), [ROUTES[1], &target]);
}

#[test]
fn folded_routes_become_one_line_and_no_more() {
    let folded = record_routes(SUBSCRIBE, &["<sip:a;lr>\n ;x=1", "<sip:b;lr>  ;  y"]);
    let routes = RouteSet::of_request(&request(&folded)).unwrap();

    let found: Vec<_> = routes.routes().collect();

    assert_eq!(found, ["<sip:a;lr> ;x=1", "<sip:b;lr>  ;  y"]);
}

#[test]
fn the_target_follows_contact() {
    let mut dialog = Dialog::accepting(&request(SUBSCRIBE), tag()).unwrap();
    let moved = SUBSCRIBE.replace("romeo@example.net;opaque", "romeo@host2.example.net;opaque");

    assert!(dialog.on_refresh(&request(&moved)));
    assert!(!dialog.on_refresh(&request(&moved)));
    assert!(!dialog.on_refresh(&request(
        &SUBSCRIBE.replace("Contact: <sip:", "Contact: <tel:")
    )));
    assert_eq!(
        notify(&mut dialog).raw_uri(),
        "sip:romeo@host2.example.net;opaque=user:epid:A_b==;gruu"
    );
}

#[test]
fn the_route_set_follows_a_peer_that_says_it_may_change() {
    let says = "Supported: ms-benotify, MS-Dialog-Route-Set-Update\nEvent";
    let other = ["<sip:pool2.contoso.com;lr>"];
    let first = record_routes(SUBSCRIBE, &ROUTES);
    let routes =
        |dialog: &Dialog| -> Vec<String> { dialog.routes().routes().map(str::to_owned).collect() };
    let again = |text: &str| request(&record_routes(text, &other));

    // Who does not say so keeps it (RFC 3261 section 12.2).
    let mut plain = Dialog::accepting(&request(&first), tag()).unwrap();
    assert!(!plain.on_refresh(&again(SUBSCRIBE)));
    assert_eq!(routes(&plain), ROUTES);
    // It may be said in any message of the dialog, and holds from then on, over a restart as well.
    assert!(plain.on_refresh(&again(&with(SUBSCRIBE, "Event", says))));
    let kept = serde_json::to_string(&plain).unwrap();
    let mut dialog: Dialog = serde_json::from_str(&kept).unwrap();
    assert_eq!(routes(&dialog), other);
    assert!(dialog.on_refresh(&request(&first)));
    assert!(!dialog.on_refresh(&request(&first)));
    assert!(
        !dialog.on_refresh(&request(SUBSCRIBE)),
        "an empty one replaces none"
    );
    let broken = with(SUBSCRIBE, "Event", "Record-Route: sip:x\nEvent");
    assert!(!dialog.on_refresh(&request(&broken)));
    assert_eq!(routes(&dialog), ROUTES);

    let success = with(SUCCESS, "ffd2", "xfg9");
    let success = response(&record_routes(&success, &other));
    assert!(dialog.on_success(&success), "another target");
    assert_eq!(routes(&dialog), ROUTES, "the first answer only fills");
    assert!(dialog.on_refreshed(&success) && !dialog.on_refreshed(&success));
    assert_eq!(routes(&dialog), other);
    let fork = response(&record_routes(SUCCESS, &ROUTES));
    assert!(!dialog.on_refreshed(&fork), "the answer of another fork");
}

#[test]
fn a_record_without_the_word_on_routes_is_read() {
    let dialog = Dialog::accepting(&request(SUBSCRIBE), tag()).unwrap();
    let text = serde_json::to_string(&dialog).unwrap();

    assert!(!text.contains("false") && !text.contains("true"), "{text}");
    assert_eq!(serde_json::from_str::<Dialog>(&text).unwrap().tag(), tag());
}

#[test]
fn what_makes_no_dialog_is_refused() {
    let long = "x".repeat(3_000);
    for (old, new) in [
        (
            "Contact: <sip:romeo@example.net;opaque=user:epid:A_b==;gruu>\n",
            "",
        ),
        ("<sip:romeo@example.net;opaque", "<tel:+123;opaque"),
        ("AA5A8BE5", long.as_str()),
        ("user:epid", long.as_str()),
    ] {
        let asked = request(&with(SUBSCRIBE, old, new));
        assert!(Dialog::accepting(&asked, tag()).is_err(), "{old}");
    }
    let routes = vec![ROUTES[0]; 40];
    let asked = request(&record_routes(SUBSCRIBE, &routes));
    assert!(Dialog::accepting(&asked, tag()).is_err());
}

#[test]
fn a_record_brings_everything_back_but_the_rest_of_the_block() {
    let asked = request(&record_routes(SUBSCRIBE, &ROUTES));
    let mut theirs = Dialog::accepting(&asked, tag()).unwrap();
    let mut ours = subscribing();
    _ = ours.request(&wish(), &sent_by());
    let notify = request(&self::ours(NOTIFY));
    let ours = ours.establish(&notify, Decisive::Notify).unwrap();
    let first = sent(
        &theirs
            .notify(&SubscriptionState::pending(9), Vec::new(), None, &sent_by())
            .unwrap()
            .0,
    );
    for dialog in [theirs, ours] {
        let text = serde_json::to_string(&dialog).unwrap();
        let mut back: Dialog = serde_json::from_str(&text).unwrap();

        assert_eq!(back.routes(), dialog.routes());
        assert_eq!(back.call_id(), dialog.call_id());
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        let next = self::notify(&mut back);
        assert_eq!(next.cseq().unwrap().number, 101);
        assert_eq!(
            next.to().unwrap().tag().unwrap().as_str(),
            dialog.remote_tag()
        );
        back.skip_blocks(10);
        assert_eq!(self::notify(&mut back).cseq().unwrap().number, 1_201);
    }
    assert_eq!(first.cseq().unwrap().number, 1);
}

#[test]
fn records_in_journals_are_read() {
    let tag = tag();
    let ours = format!(
        r#"["{tag}","00000000000000000000000000000abc",100,3,["","","<sip:juliet@example.com>","<sip:romeo@example.net>","ffd2","sip:romeo@host1.example.net"],"<sip:a;lr>"]"#
    );
    let theirs = format!(
        r#"["{tag}","",100,null,["AA5A8BE5@example.net","i1","<sip:juliet@example.com>","<sip:romeo@example.net>;epid=4c4d6e","xfg9","sip:romeo@example.net"],""]"#
    );
    for (text, call_id, event_id) in [
        (ours, "00000000000000000000000000000abc", None),
        (theirs, "AA5A8BE5@example.net", Some("i1")),
    ] {
        let dialog: Dialog = serde_json::from_str(&text).unwrap();
        assert_eq!((&*dialog.call_id(), dialog.event_id()), (call_id, event_id));
        assert_eq!(serde_json::to_string(&dialog).unwrap(), text);
    }
}

#[test]
fn a_subscription_under_way_has_a_record_too() {
    let mut under_way = subscribing();
    _ = under_way.request(&wish(), &sent_by());
    under_way.on_success(&response(&ours(SUCCESS)));

    let text = serde_json::to_string(&under_way).unwrap();
    let back: Subscribing = serde_json::from_str(&text).unwrap();

    assert!(back.is_for(&request(&ours(NOTIFY))));
    assert_eq!(back.accepted().unwrap().remote_tag(), "ffd2");
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

#[test]
fn equal_route_sets_are_kept_once() {
    let mut pool = RoutePool::default();
    let mut one = Dialog::accepting(&request(&record_routes(SUBSCRIBE, &ROUTES)), tag()).unwrap();
    let mut two = one.clone();
    let other = Dialog::accepting(&request(SUBSCRIBE), tag()).unwrap();
    let unshared: RouteSet = String::from(two.routes().clone()).into();

    one.share_routes(&mut pool);
    two.share_routes(&mut pool);
    other.clone().share_routes(&mut pool);

    assert_eq!(pool.len(), 1);
    assert_eq!(pool.share(&unshared), *one.routes());
    for number in 0..200 {
        let routes: RouteSet = format!("<sip:p{number}.example;lr>").into();
        drop(pool.share(&routes));
    }
    assert!(pool.len() < 140, "{} are kept for nobody", pool.len());
    assert_eq!(pool.share(&unshared), *two.routes());
}

#[test]
fn a_dialog_is_small() {
    let asked = request(&record_routes(SUBSCRIBE, &ROUTES));
    let dialog = Dialog::accepting(&asked, tag()).unwrap();

    let octets = size_of::<Dialog>() + dialog.packed();

    assert!(size_of::<Dialog>() <= 72, "{}", size_of::<Dialog>());
    assert!(octets <= 240, "{octets}");
}
