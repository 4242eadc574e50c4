//! Where what comes goes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jid::BareJid;
use tempfile::TempDir;
use tokio::sync::watch;
use translators::model::{Domain, LinkId, PeerId};
use translators::origin::Proven;
use translators::shard::{Input, Place, Shard, shard_of};
use translators::sip::{Hosts, Mark, Message, Tag};
use translators::xmpp::Stanza;
use translators::xmpp::reader::{Frame, Reader, ReaderLimits};

use super::*;
use crate::clock::Clock;
use crate::config::load_text;
use crate::config::testing::{NOW, WORKING, folder};
use crate::egress::Egress;
use crate::peers::{PathDomains, Peers};
use crate::shards;
use crate::store;

const SHARDS: u16 = 16;

struct Lab {
    ingress: Ingress,
    peers: Peers,
    sip: Proven,
    xmpp: Proven,
    _folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        Self::with(WORKING)
    }

    /// The same with a SIP peer of the Microsoft profile.
    fn microsoft() -> Self {
        let profile = "name = \"kamailio\"\nprofile = \"microsoft\"";
        let config = WORKING.replace("name = \"kamailio\"", profile);
        Self::with(&config.replace("page_limit = 8000\n", ""))
    }

    fn with(config: &str) -> Self {
        let folder = folder();
        let (config, _) = load_text(&folder.path().join("isthmus.toml"), config, NOW);
        let config = config.unwrap();
        let clock = Clock::start();
        let peers = Peers::new(1, SHARDS, clock);
        peers.configure(config.peers.values(), PathDomains::default());
        let (store, _) = store::open(folder.path(), clock).unwrap();
        let place = |number| Place {
            number,
            mark: Mark(0),
            hosts: Hosts::only("gw.example", 5061).unwrap(),
        };
        let shard = |number| {
            let (directory, policy) = (Arc::clone(&config.directory), Arc::clone(&config.policy));
            Shard::new(place(number), 1, directory, policy)
        };
        let shards = (0..SHARDS).map(shard).collect();
        let (inputs, _groups) = {
            let directory = Arc::clone(&config.directory);
            let egress = Egress::new(peers.clone(), store.clone(), directory, clock);
            shards::deal(shards, 1, &egress, &store, clock)
        };
        let proven = |link, peer: &str, domain| {
            let domain = Domain::parse(domain).unwrap();
            Proven::new(LinkId(link), PeerId::new(peer), [domain])
        };
        let (_, ending) = watch::channel(false);
        let config = Arc::new(ArcSwap::from_pointee(config));
        Self {
            ingress: Ingress::new(config, peers.clone(), inputs, clock, ending),
            peers,
            sip: proven(1, "kamailio", "two.example.net"),
            xmpp: proven(2, "prosody", "one.example.net"),
            _folder: folder,
        }
    }

    fn request(&self, method: &str, uri: &str, from: &str, to_tag: &str) -> RequestVerdict {
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TLS k.example;branch=z9hG4bK1\r\n\
             From: <{from}>;tag=1\r\nTo: <sip:juliet@one.example.net>{to_tag}\r\nCall-ID: c\r\n\
             CSeq: 1 {method}\r\nEvent: presence\r\nContent-Length: 0\r\n\r\n"
        );
        match Message::parse(text.into()).unwrap() {
            Message::Request(request) => self.ingress.request(&self.sip, 1, request.into()),
            Message::Response(_) => panic!("a response"),
        }
    }

    fn presence(&self, from: &str, to: &str, rest: &str) -> StanzaVerdict {
        let text = format!(
            "<stream:stream xmlns='jabber:server' version='1.0' \
             xmlns:stream='http://etherx.jabber.org/streams'>\
             <presence from='{from}' to='{to}'{rest}"
        );
        let mut reader = Reader::new(ReaderLimits::default());
        let mut bytes = text.as_bytes();
        let stanza = loop {
            match reader.next(&mut bytes).unwrap().unwrap() {
                Frame::Stanza(element) => break element,
                Frame::Header(_) | Frame::Oversize(_) | Frame::Close => {}
            }
        };
        let stanza = Stanza::read(stanza, self.xmpp.domains()).unwrap();
        let local = Domain::parse("two.example.net").unwrap();
        self.ingress.stanza(&self.xmpp, &local, 1, stanza)
    }

    /// How many stanzas wait for the XMPP peer.
    fn replies(&self) -> usize {
        let status = self.peers.status();
        let peer = status.iter().find(|peer| peer.id.as_str() == "prosody");
        let paths = peer.into_iter().flat_map(|peer| &peer.paths);
        paths.map(|path| path.waiting).sum()
    }
}

/// The status of an answer, 0 where a shard gives it.
fn status(verdict: &RequestVerdict) -> u16 {
    match verdict {
        RequestVerdict::Answer(_, answer) | RequestVerdict::Spoofed(_, answer, _) => {
            answer.status()
        }
        RequestVerdict::Shard(..) => 0,
    }
}

fn juliet() -> BareJid {
    BareJid::new("juliet@one.example.net").unwrap()
}

#[tokio::test]
async fn a_subscription_goes_to_the_shard_of_the_user_watched() {
    let lab = Lab::new();

    let verdict = lab.request(
        "SUBSCRIBE",
        "sip:juliet@one.example.net",
        "sip:romeo@two.example.net",
        "",
    );

    let RequestVerdict::Shard(shard, Input::Request(origin, _)) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(shard, shard_of(&juliet(), SHARDS));
    assert_eq!(origin.peer().as_str(), "kamailio");
    for (uri, from) in [
        ("sip:one.example.net", "sip:romeo@two.example.net"),
        ("sip:juliet@one.example.net", "sip:two.example.net"),
        ("sip:juliet@three.example.net", "sip:romeo@two.example.net"),
    ] {
        let verdict = lab.request("SUBSCRIBE", uri, from, "");
        assert!(matches!(verdict, RequestVerdict::Answer(_, answer) if answer.status() == 403));
    }
}

#[tokio::test]
async fn a_request_in_a_dialog_goes_to_the_shard_of_our_tag() {
    let lab = Lab::new();
    let tag = Tag::new(&juliet(), 7);
    let to_tag = format!(";tag={tag}");
    let contact = format!("sip:{tag}@gw.example:5061;transport=tls");
    for (method, uri) in [
        ("NOTIFY", contact.as_str()),
        ("SUBSCRIBE", contact.as_str()),
        ("SUBSCRIBE", "sip:romeo@two.example.net"),
        ("NOTIFY", "tel:+4712345"),
    ] {
        let verdict = lab.request(method, uri, "sip:romeo@two.example.net", &to_tag);
        let RequestVerdict::Shard(shard, _) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(shard, shard_of(&juliet(), SHARDS));
    }
    let other = lab.request("NOTIFY", &contact, "sip:eve@three.example.net", &to_tag);
    assert!(matches!(other, RequestVerdict::Spoofed(_, answer, _) if answer.status() == 403));
}

#[tokio::test]
async fn presence_goes_to_the_shard_of_its_sender() {
    let lab = Lab::new();
    for (from, rest) in [
        ("juliet@one.example.net", " type='subscribe'/>"),
        ("juliet@one.example.net/balcony", "/>"),
        ("juliet@one.example.net", " type='probe'/>"),
        ("juliet@one.example.net", " type='error'/>"),
    ] {
        let verdict = lab.presence(from, "romeo@two.example.net", rest);
        let StanzaVerdict::Shard(shard, Input::Presence(..)) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(shard, shard_of(&juliet(), SHARDS));
    }
}

#[tokio::test]
async fn presence_for_nobody_is_answered_only_where_somebody_waits() {
    let (juliet, room) = (
        "juliet@one.example.net",
        "room@conference.one.example.net/romeo",
    );
    let enter = "><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    let inside = "><x xmlns='http://jabber.org/protocol/muc#user'/></presence>";
    for (from, to, rest, replies) in [
        (juliet, "two.example.net", " type='subscribe'/>", 1),
        (juliet, "two.example.net", " type='probe'/>", 0),
        (juliet, "two.example.net", "/>", 0),
        (juliet, "romeo@two.example.net/nick", enter, 1),
        (juliet, "romeo@three.example.net", " type='subscribe'/>", 1),
        (juliet, "romeo@three.example.net", " type='error'/>", 0),
        (
            "one.example.net",
            "romeo@two.example.net",
            " type='subscribe'/>",
            1,
        ),
        (
            "one.example.net",
            "romeo@two.example.net",
            " type='error'/>",
            0,
        ),
    ] {
        let lab = Lab::new();
        let verdict = lab.presence(from, to, rest);

        assert!(matches!(verdict, StanzaVerdict::Done), "{verdict:?}");
        assert_eq!(lab.replies(), replies, "{from} {to} {rest}");
    }
    let lab = Lab::new();
    let proven = Domain::parse("conference.one.example.net").unwrap();
    let lab = Lab {
        xmpp: Proven::new(LinkId(2), PeerId::new("prosody"), [proven]),
        ..lab
    };
    assert!(matches!(
        lab.presence(room, "romeo@two.example.net", inside),
        StanzaVerdict::Done
    ));
    assert_eq!(lab.replies(), 0);
}

#[tokio::test]
async fn answers_about_a_user_go_to_his_shard_and_questions_are_answered_here() {
    let lab = Lab::new();
    let iq = |from: &str, kind: &str, content: &str| {
        let text = format!(
            "<iq xmlns='jabber:client' from='{from}' to='two.example.net' id='vcard-1' type='{kind}'>{content}</iq>"
        );
        let served = ["one.example.net", "three.example.net"].map(|it| Domain::parse(it).unwrap());
        let stanza = Stanza::read(text.parse().unwrap(), &served).unwrap();
        let local = Domain::parse("two.example.net").unwrap();
        lab.ingress.stanza(&lab.xmpp, &local, 1, stanza)
    };
    for kind in ["result", "error"] {
        let verdict = iq("juliet@one.example.net", kind, "");
        let StanzaVerdict::Shard(shard, Input::Iq(..)) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(shard, shard_of(&juliet(), SHARDS));
        let verdict = iq("one.example.net", kind, "");
        assert!(matches!(verdict, StanzaVerdict::Done), "{verdict:?}");
    }
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let verdict = iq("juliet@one.example.net", "get", ping);
    assert!(matches!(verdict, StanzaVerdict::Done), "{verdict:?}");
    let verdict = iq("juliet@three.example.net", "result", "");
    assert!(matches!(verdict, StanzaVerdict::Spoofed(_)), "{verdict:?}");
}

#[tokio::test]
async fn no_address_of_a_microsoft_peer_is_a_bad_request() {
    let juliet = "sip:juliet@one.example.net";
    let romeo = "sip:romeo@two.example.net";
    let number = "sip:+15550100;phone-context=two.example.net@two.example.net;user=phone";
    let gruu = "sip:juliet@one.example.net;opaque=user:epid:hYnsEUpJhlGc0T-xd_I7vAAA;gruu";
    for (generic, microsoft, uri, from) in [
        (0, 0, juliet, romeo),
        (0, 0, gruu, number),
        (
            0,
            0,
            "sip:juliet@ONE.example.net:5061;transport=TLS;lr",
            romeo,
        ),
        (416, 416, "tel:+15550100", romeo),
        (400, 404, "sip:juliet:secret@one.example.net", romeo),
        (400, 404, "sip:%ff@one.example.net", romeo),
        (
            400,
            404,
            juliet,
            "tel:+15550100;phone-context=two.example.net",
        ),
        (400, 404, juliet, "sip:romeo@[2001:db8::9]"),
        (403, 403, juliet, "sip:romeo@203.0.113.9"),
        (403, 403, "sip:juliet@gw.example:5061;transport=tls", romeo),
    ] {
        let (one, other) = (Lab::new(), Lab::microsoft());
        for method in ["INVITE", "MESSAGE", "SUBSCRIBE"] {
            let status = |lab: &Lab| status(&lab.request(method, uri, from, ""));
            let found = (status(&one), status(&other));
            assert_eq!(found, (generic, microsoft), "{method} {uri} {from}");
        }
    }
}

#[tokio::test]
async fn a_user_of_a_microsoft_peer_who_asks_too_often_is_no_error_of_ours() {
    let last = |lab: &Lab| {
        let (uri, from) = ("sip:juliet@one.example.net", "sip:romeo@two.example.net");
        let answers: Vec<u16> = (0..2_000)
            .map(|_| status(&lab.request("SUBSCRIBE", uri, from, "")))
            .collect();
        answers.last().copied()
    };
    assert_eq!(last(&Lab::new()), Some(500));
    assert_eq!(last(&Lab::microsoft()), Some(480));
}
