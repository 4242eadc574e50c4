//! Fills a journal with relations, as if that many had been set up, for benchmarks of a start.
//!
//! `presence_store FOLDER USERS CONTACTS`: each XMPP user of `peer.example` has so many contacts of
//! `sip.example`; every other one watches him, the rest he watches. Real shards make the records of
//! what two scripted peers answer, on a clock of their own.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use gateway::clock::Clock;
use gateway::store::{self, Store};
use translators::model::{
    Accept, Dialect, Directory, Domain, LinkId, Now, PeerId, Profile, Role, SipProfile, XmppProfile,
};
use translators::origin::{self, Origin, Proven};
use translators::policy::Policy;
use translators::shard::{Change, ChangeId, Effects, Input, Place, Record, Shard, Transmit};
use translators::sip::{Hosts, Mark, Message, Response};
use translators::xmpp::Stanza;
use translators::xmpp::reader::{Frame, Reader, ReaderLimits};

const XMPP: &str = "peer.example";
const SIP: &str = "sip.example";
/// Users whose relations one shard makes before it is forgotten.
const USERS_AT_ONCE: u64 = 200;
/// Records of one commit.
const COMMIT: usize = 5_000;
/// The route set of every dialog: 200 octets, as an edge with two hops leaves behind.
const ROUTES: &str = "<sip:edge-a.sip.example:5061;transport=tls;lr;ms-fe=frontend-01.sip.example;\
    opaque=state:Rp:Sq.7f3a9c>,<sip:pool.sip.example:5061;transport=tls;lr;\
    ms-key-info=AAEAAQx7f3a9c0d1e2;ms-route-sig=bLx7f3a9c0d1e2f3>";
const NOTE: &str = "In a meeting until four, then on the train; for anything urgent please call the \
    desk on the second floor, where somebody will find me or take a note of it for tomorrow.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, users, contacts] = arguments.as_slice() else {
        bail!("usage: presence_store FOLDER USERS CONTACTS");
    };
    let (users, contacts) = (users.parse::<u64>()?, contacts.parse::<u64>()?);
    std::fs::create_dir_all(folder)?;
    let (store, _) = store::open(Path::new(folder), Clock::start())?;
    let mut from = 0;
    while from < users {
        let to = (from + USERS_AT_ONCE).min(users);
        let mut desk = Desk::new(from)?;
        for number in from * contacts..to * contacts {
            desk.relate(number / contacts, number % contacts)?;
        }
        let rows = desk.finish()?;
        let expected = usize::try_from((to - from) * contacts)?;
        ensure!(
            rows.relations == expected,
            "{} of {expected} relations",
            rows.relations
        );
        write(&store, rows.changes).await?;
        from = to;
    }
    store.close().await?;
    Ok(())
}

async fn write(store: &Store, mut changes: Vec<Change>) -> Result<()> {
    while !changes.is_empty() {
        let rest = changes.split_off(changes.len().min(COMMIT));
        store.commit(changes).await?;
        changes = rest;
    }
    Ok(())
}

/// What a chunk of users leaves in the journal.
struct Rows {
    relations: usize,
    changes: Vec<Change>,
}

/// A shard with two peers around it that take everything.
struct Desk {
    shard: Shard,
    now: Now,
    sip: Proven,
    xmpp: Proven,
    inputs: u64,
    sent: VecDeque<Transmit>,
    /// The newest state of each row.
    rows: BTreeMap<(translators::model::Pair, Role, bool), Record>,
}

impl Desk {
    fn new(seed: u64) -> Result<Self> {
        let profile = |name: &str, domain: &str, dialect| -> Result<Profile> {
            Ok(Profile {
                id: PeerId::new(name),
                domains: vec![Domain::parse(domain).context("a domain")?],
                accept: Accept::Barrier,
                dialect,
            })
        };
        let directory = Directory::new([
            profile("peer", XMPP, Dialect::Xmpp(XmppProfile::default()))?,
            profile("sip", SIP, Dialect::Sip(SipProfile::default()))?,
        ]);
        let place = Place {
            number: 0,
            mark: Mark(1),
            hosts: Hosts::only("gateway.example", 5061).context("a name")?,
        };
        let policy = Arc::new(Policy::default());
        let proven = |link, name: &str, domain| -> Result<Proven> {
            let domain = Domain::parse(domain).context("a domain")?;
            Ok(Proven::new(LinkId(link), PeerId::new(name), [domain]))
        };
        let mut desk = Self {
            shard: Shard::new(place, seed + 1, Arc::new(directory), policy),
            now: Clock::start().now(),
            sip: proven(1, "sip", SIP)?,
            xmpp: proven(2, "peer", XMPP)?,
            inputs: 0,
            sent: VecDeque::new(),
            rows: BTreeMap::new(),
        };
        for name in ["sip", "peer"] {
            desk.input(Input::PeerUp(PeerId::new(name)));
        }
        Ok(desk)
    }

    /// Begins one relation: the answers of both peers do the rest.
    fn relate(&mut self, user: u64, contact: u64) -> Result<()> {
        let (jid, aor) = (
            format!("user{user}@{XMPP}"),
            format!("contact{contact}.{user}@{SIP}"),
        );
        if contact.is_multiple_of(2) {
            self.stanza(&format!(
                "<presence type='subscribe' from='{jid}' to='{aor}'/>"
            ))?;
        } else {
            self.request(&format!(
                "SUBSCRIBE sip:{jid} SIP/2.0\r\nVia: SIP/2.0/TLS edge-a.{SIP};branch=z9hG4bK{user}.{contact}\r\n\
                 Max-Forwards: 70\r\nRecord-Route: {ROUTES}\r\nFrom: <sip:{aor}>;tag=w{contact}.{user}\r\n\
                 To: <sip:{jid}>\r\nCall-ID: {user}.{contact}@{SIP}\r\nCSeq: 1 SUBSCRIBE\r\n\
                 Contact: <sip:{aor};gr=4f1c>\r\nEvent: presence\r\nAccept: application/pidf+xml\r\n\
                 Expires: 3600\r\nContent-Length: 0\r\n\r\n"
            ))?;
        }
        self.answer_all()
    }

    /// Lets what was put off happen; returns what is to be kept.
    fn finish(mut self) -> Result<Rows> {
        for _ in 0..3 {
            let span = Duration::from_secs(6);
            self.now.mono = self.now.mono + span;
            self.now.wall = self.now.wall + span;
            self.input(Input::Timeout);
            self.answer_all()?;
        }
        let relations = self.rows.keys().filter(|(.., is_document)| !is_document);
        let relations = relations.count();
        let numbered = self.rows.into_values().zip(1..);
        let changes = numbered.map(|(record, number)| Change {
            id: ChangeId { shard: 0, number },
            durable: true,
            record,
        });
        Ok(Rows {
            relations,
            changes: changes.collect(),
        })
    }

    fn answer_all(&mut self) -> Result<()> {
        while let Some(transmit) = self.sent.pop_front() {
            let text = String::from_utf8(transmit.bytes.to_vec())?;
            self.input(Input::HandedOver(transmit.id));
            if text.starts_with("SUBSCRIBE") {
                self.grant(&text)?;
            } else if text.starts_with("NOTIFY") {
                self.respond(&text, "")?;
            } else if text.starts_with("<presence") && text.contains("type=\"subscribe\"") {
                let (jid, aor) = (between(&text, "to=\""), between(&text, "from=\""));
                self.stanza(&format!(
                    "<presence type='subscribed' from='{jid}' to='{aor}'/>"
                ))?;
                self.stanza(&format!(
                    "<presence from='{jid}/balcony' to='{aor}'><show>away</show>\
                     <status>{NOTE}</status><priority>5</priority></presence>"
                ))?;
            }
        }
        Ok(())
    }

    /// Grants a SUBSCRIBE and sends the first document.
    fn grant(&mut self, request: &str) -> Result<()> {
        let header = |name: &str| between(request, &format!("\r\n{name}: "));
        let tag = "p1";
        self.respond(
            request,
            "Expires: 3600\r\nContact: <sip:presence.sip.example;transport=tls>\r\n",
        )?;
        let contact = header("Contact");
        let target = contact.split(['<', '>']).nth(1).context("a contact")?;
        let body = document(&header("To"));
        let (from, to, call) = (header("To"), header("From"), header("Call-ID"));
        self.request(&format!(
            "NOTIFY {target} SIP/2.0\r\nVia: SIP/2.0/TLS edge-a.{SIP};branch=z9hG4bKn{call}\r\n\
             Max-Forwards: 70\r\nRecord-Route: {ROUTES}\r\nFrom: {from};tag={tag}\r\nTo: {to}\r\n\
             Call-ID: {call}\r\nCSeq: 1 NOTIFY\r\nContact: <sip:presence.sip.example;transport=tls>\r\n\
             Event: presence\r\nSubscription-State: active;expires=3600\r\n\
             Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Answers 200.
    fn respond(&mut self, request: &str, more: &str) -> Result<()> {
        let mut text = "SIP/2.0 200 OK\r\n".to_owned();
        for line in request.split("\r\n\r\n").next().unwrap_or_default().lines() {
            let copied = ["Via:", "From:", "Call-ID:", "CSeq:"];
            if copied.iter().any(|name| line.starts_with(name)) {
                text.extend([line, "\r\n"]);
            } else if line.starts_with("To:") {
                let tag = [";tag=p1", ""];
                let has_tag = usize::from(line.contains(";tag="));
                text.extend([line, tag.get(has_tag).copied().unwrap_or_default(), "\r\n"]);
            }
        }
        if request.starts_with("SUBSCRIBE") {
            text.push_str(&format!("Record-Route: {ROUTES}\r\n"));
        }
        text.extend([more, "Content-Length: 0\r\n\r\n"]);
        let response: Box<Response> = match Message::parse(Bytes::from(text))? {
            Message::Response(response) => Box::new(response),
            Message::Request(_) => bail!("no response"),
        };
        self.input(Input::Response(PeerId::new("sip"), response));
        Ok(())
    }

    fn request(&mut self, text: &str) -> Result<()> {
        let Message::Request(request) = Message::parse(Bytes::from(text.to_owned()))? else {
            bail!("no request: {text}");
        };
        let origin = self.origin(true)?;
        self.input(Input::Request(origin, Box::new(request)));
        Ok(())
    }

    fn stanza(&mut self, text: &str) -> Result<()> {
        let header = "<stream:stream xmlns='jabber:server' version='1.0' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
        let text = format!("{header}{text}");
        let mut reader = Reader::new(ReaderLimits::default());
        let mut bytes = text.as_bytes();
        while let Some(frame) = reader.next(&mut bytes)? {
            let Frame::Stanza(element) = frame else {
                continue;
            };
            let Ok(Stanza::Presence(presence)) = Stanza::read(element, self.xmpp.domains()) else {
                bail!("no presence: {text}");
            };
            let origin = self.origin(false)?;
            self.input(Input::Presence(origin, presence.into()));
        }
        Ok(())
    }

    fn origin(&mut self, is_sip: bool) -> Result<Origin> {
        self.inputs += 1;
        let (proven, domain) = if is_sip {
            (&self.sip, SIP)
        } else {
            (&self.xmpp, XMPP)
        };
        let domain = Domain::parse(domain).context("a domain")?;
        Ok(origin::verify(proven, self.inputs, &domain)?)
    }

    fn input(&mut self, input: Input) {
        let effects = self.shard.handle(input, self.now);
        self.keep(effects);
    }

    fn keep(&mut self, effects: Effects) {
        for change in effects.changes {
            let key = match &change.record {
                Record::Im(_) => continue,
                Record::Subscription(record) => (record.pair.clone(), record.role, false),
                Record::Document(record) => (record.pair.clone(), record.role, true),
            };
            self.rows.insert(key, change.record);
        }
        self.sent.extend(effects.transmits);
    }
}

/// What stands behind `begin` up to the end of the attribute or line.
fn between(text: &str, begin: &str) -> String {
    let rest = text.split_once(begin).map_or("", |(_, rest)| rest);
    rest.split(['"', '\r'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// A document of 600 octets.
fn document(of: &str) -> String {
    let uri = of
        .split(['<', '>'])
        .nth(1)
        .unwrap_or_default()
        .trim_start_matches("sip:");
    format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<presence xmlns='urn:ietf:params:xml:ns:pidf' \
         xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
         entity='pres:{uri}'><tuple id='phone'><status><basic>open</basic></status>\
         <note>{NOTE}</note></tuple><dm:person id='p'><rpid:activities><rpid:away/></rpid:activities>\
         </dm:person></presence>"
    )
}
