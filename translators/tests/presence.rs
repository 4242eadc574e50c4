//! Whatever an XMPP user or a presence document says, the other side reads exactly what was meant:
//! every device, every word, and nothing that was smuggled in.
#![allow(clippy::unwrap_used)]

mod odd;

use jid::{BareJid, Jid};
use minidom::Element;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rxml::xml_ncname;
use translators::documents::presence::{Format, Reading, note, read};
use translators::documents::{pidf, xml};
use translators::limits;
use translators::mapping::presence::{
    Document, Occasion, changes, document, from_xmpp, full, withdraw,
};
use translators::model::{
    Aor, Domain, Microsoft, Note, Pair, PresenceState, Show, SipProfile, Tuple, Wall, packed,
};
use translators::policy::{Disclosure, Policy};
use translators::presence::{Composition, Resources};
use translators::xmpp::reader::{Frame, Reader, ReaderLimits};
use translators::xmpp::{Presence, PresenceKind, Stanza, ns};

use self::odd::{nasty, odd_jid};

const NOW: Wall = Wall::from_unix_millis(1_795_608_000_000);

fn disclosure(jid: BareJid, aor: BareJid) -> Disclosure {
    let pair = Pair::new(jid, Aor::from_image(aor));
    Policy::default().may_see(&pair).unwrap()
}

fn juliet_and_romeo() -> Disclosure {
    let user = |jid| BareJid::new(jid).unwrap();
    disclosure(user("juliet@example.com"), user("romeo@example.net"))
}

/// The one presence stanza that a stream of these bytes holds.
fn only_stanza(bytes: &[u8]) -> Presence {
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
    let domains = ["example.net", "example.com"].map(|name| Domain::parse(name).unwrap());
    match Stanza::read(element, &domains) {
        Ok(Stanza::Presence(presence)) => presence,
        other => panic!("{other:?}"),
    }
}

fn leaf(name: &str, text: &str) -> Element {
    let mut element = Element::bare(name, ns::CLIENT);
    element.append_text(text);
    element
}

/// What one device of an XMPP user says.
#[derive(Clone, Debug)]
struct Said {
    resource: String,
    open: bool,
    show: String,
    statuses: Vec<(Option<String>, String)>,
    priority: String,
    idle: String,
    nick: String,
}

fn show() -> impl Strategy<Value = Option<Show>> {
    option::of(prop::sample::select(vec![
        Show::Away,
        Show::Chat,
        Show::Dnd,
        Show::Xa,
    ]))
}

fn lang() -> impl Strategy<Value = Option<String>> {
    let tags = prop::sample::select(vec!["en", "de", "fr-CA", "x-odd"]);
    option::of(prop_oneof![3 => tags.prop_map(str::to_owned), 1 => nasty()])
}

prop_compose! {
    fn said()(
        resource in odd_jid("example.com"),
        open in prop::bool::weighted(0.8),
        show in prop_oneof![show().prop_map(|show| show.map_or("", Show::as_str).to_owned()), nasty()],
        statuses in vec((lang(), nasty()), 0..3),
        priority in prop_oneof![any::<i8>().prop_map(|number| number.to_string()), nasty()],
        idle in prop_oneof![Just("2026-01-01T10:00:00Z".to_owned()), nasty()],
        nick in nasty(),
    ) -> Said {
        let resource = resource.resource().map_or("r", |resource| resource.as_str());
        Said { resource: resource.to_owned(), open, show, statuses, priority, idle, nick }
    }
}

impl Said {
    fn stanza(&self, from: &BareJid, to: &BareJid) -> Presence {
        let from = from.with_resource_str(&self.resource).unwrap();
        let kind = if self.open {
            PresenceKind::Available
        } else {
            PresenceKind::Unavailable
        };
        let mut presence = Presence::new(from.into(), to.clone().into(), kind);
        presence.payloads.push(leaf("show", &self.show));
        for (lang, text) in &self.statuses {
            let mut status = leaf("status", text);
            if let Some(lang) = lang {
                let name = xml_ncname!("lang").to_owned();
                status.set_attr(rxml::Namespace::xml().clone(), name, lang.as_str());
            }
            presence.payloads.push(status);
        }
        presence.payloads.push(leaf("priority", &self.priority));
        let mut idle = Element::bare("idle", ns::IDLE);
        let name = xml_ncname!("since").to_owned();
        idle.set_attr(rxml::Namespace::NONE, name, self.idle.as_str());
        presence.payloads.push(idle);
        let mut nick = Element::bare("nick", ns::NICK);
        nick.append_text(self.nick.as_str());
        presence.payloads.push(nick);
        presence
    }
}

prop_compose! {
    /// A tuple as it may come out of a document.
    fn tuple()(
        id in prop_oneof![nasty(), "[a-c]"],
        open: bool,
        show in show(),
        notes in vec((lang(), nasty()), 0..3),
        priority in option::of(0_i8..=127),
        idle in option::of(0_i64..4_000_000_000),
    ) -> Tuple {
        let mut kept: Vec<Note> = Vec::new();
        for (lang, text) in notes {
            let note = note(lang.as_deref(), &text);
            translators::documents::presence::add_note(&mut kept, note);
        }
        Tuple {
            device: pidf::device_of(&id).into(),
            open,
            show: show.filter(|_| open),
            notes: kept.into(),
            priority: priority.filter(|_| open),
            idle_since: idle.filter(|_| open).map(|it| Wall::from_unix_millis(it * 1_000)),
            since: None,
        }
    }
}

fn state() -> impl Strategy<Value = PresenceState> {
    (vec(tuple(), 0..5), option::of("[A-Z][a-z]{0,5}"))
        .prop_map(|(tuples, name)| PresenceState::new(tuples).with_name(name.map(Into::into)))
}

/// What is read of what is written.
fn carried(disclosure: &Disclosure, state: &PresenceState) -> (Document, PresenceState) {
    let occasion = Occasion {
        now: NOW,
        last_sent: None,
    };
    let peer = SipProfile::default();
    let document = document(disclosure, Format::Pidf, &peer, state, occasion).unwrap();
    let content_type = document.content_type.as_str().to_owned();
    let how = Reading {
        content_type: Some(&content_type),
        lang: None,
        idle_is_away: false,
        ..Reading::default()
    };
    let read = read(&document.body, how).unwrap().unwrap();
    (document, read)
}

/// All names of elements in a document.
fn names(element: &Element, out: &mut Vec<String>) {
    out.push(element.name().to_owned());
    for child in element.children() {
        names(child, out);
    }
}

/// What one watcher knows after these stanzas, by device.
fn learn(known: &mut Vec<(Jid, Presence)>, stanzas: &[Presence]) {
    for stanza in stanzas {
        let stanza = only_stanza(&stanza.write(limits::STANZA).unwrap());
        known.retain(|(from, _)| *from != stanza.from);
        if stanza.kind == PresenceKind::Available {
            assert!(stanza.from.is_full());
            known.push((stanza.from.clone(), stanza));
        }
    }
    known.sort_by(|(one, _), (other, _)| one.cmp(other));
}

proptest! {
    #[test]
    fn a_document_says_what_the_stanzas_said(
        (jid, aor) in (odd_jid("example.com"), odd_jid("example.net")),
        said in vec(said(), 0..4),
    ) {
        let (jid, aor) = (jid.into_bare(), aor.into_bare());
        let mut resources = Resources::default();
        for one in &said {
            let stanza = one.stanza(&jid, &aor);
            let sent = only_stanza(&stanza.write(limits::STANZA).unwrap());
            resources.hear(from_xmpp(&sent, NOW).unwrap());
        }
        let kept = Resources::restore(resources.as_bytes());
        prop_assert_eq!(&kept, &resources);
        let state = resources.state(Composition::Tuples);
        let (document, read) = carried(&disclosure(jid, aor), &state);

        let open = state.open().map(|tuple| Tuple {
            priority: tuple.priority.filter(|it| *it >= 0),
            since: None,
            idle_since: tuple.idle_since.map(|it| Wall::from_unix_millis(it.unix_millis() / 1_000 * 1_000)),
            ..tuple.clone()
        });
        prop_assert_eq!(read.open().cloned().collect::<Vec<_>>(), open.collect::<Vec<_>>());
        if state.tuples().is_empty() {
            prop_assert_eq!(read, PresenceState::new([Tuple::closed("gw")]));
        } else {
            let devices = |state: &PresenceState| state.tuples().iter().map(|it| it.device.clone()).collect::<Vec<_>>();
            prop_assert_eq!(devices(&read), devices(&state));
            let name = state.name().filter(|_| !state.is_offline());
            prop_assert_eq!(read.name(), name);
        }

        let mut found = Vec::new();
        names(&xml::read(&document.body).unwrap(), &mut found);
        let known = [
            "presence", "tuple", "status", "basic", "show", "user-input", "contact", "note",
            "person", "activities", "away", "busy", "display-name",
        ];
        prop_assert!(found.iter().all(|name| known.contains(&name.as_str())), "{:?}", found);
    }

    #[test]
    fn a_state_is_carried_whole_and_packed_whole(state in state()) {
        let (_, read) = carried(&juliet_and_romeo(), &state);
        prop_assert!(read.tells_same_as(&state), "{:?}", read);
        prop_assert_eq!(PresenceState::unpack(&state.pack()), Some(state));
    }

    #[test]
    fn microsoft_software_is_told_show_words_and_name(state in state(), jid in odd_jid("example.com")) {
        let disclosure = disclosure(jid.into_bare(), BareJid::new("romeo@example.net").unwrap());
        let peer = SipProfile { microsoft: Some(Microsoft::default()), ..SipProfile::default() };
        let occasion = Occasion { now: NOW, last_sent: None };
        for format in Format::preferred(peer.microsoft.as_ref()).iter().copied() {
            let written = document(&disclosure, format, &peer, &state, occasion).unwrap();
            let kind = written.content_type.as_str().to_owned();
            prop_assert_eq!(Format::of(&kind), Some(format));
            let how = Reading { content_type: Some(&kind), ..Reading::of_peer(&peer) };
            let again = read(&written.body, how).unwrap().unwrap();
            prop_assert_eq!(again.is_offline(), state.is_offline());
            let best = |state: &PresenceState| state.most_available().cloned();
            let (Some(was), Some(is)) = (best(&state), best(&again)) else { continue };
            let show = match (format, was.show) {
                (Format::Pidf, show) => show,
                (_, Some(Show::Chat)) => None,
                (Format::Xpidf, Some(Show::Xa)) => Some(Show::Away),
                (_, show) => show,
            };
            prop_assert_eq!(is.show, show, "{:?}", format);
            if format == Format::Xpidf || format == Format::Pidf {
                continue;
            }
            prop_assert_eq!(again.name(), state.name());
            let words = |tuple: &Tuple| tuple.notes.first().map(|note| note.text.to_string());
            let (was, is) = (words(&was), words(&is));
            match (&was, &is) {
                (Some(was), Some(is)) if format == Format::Msrtc => {
                    let kept = is.strip_suffix('\u{2026}').unwrap_or(is);
                    prop_assert!(was.starts_with(kept), "{} became {}", was, is);
                }
                // A state says something in words where there are none.
                (None, Some(is)) => prop_assert_eq!(is, "Off work"),
                _ => prop_assert_eq!(&was, &is),
            }
        }
    }

    #[test]
    fn octets_are_a_packed_state_or_nothing(octets in vec(any::<u8>(), 0..60)) {
        let versioned: Vec<u8> = [1].into_iter().chain(octets).collect();
        if let Some((tuples, name)) = packed::unpack(&versioned) {
            let again = packed::unpack(&packed::pack(&tuples, name.as_deref()));
            prop_assert_eq!(again, Some((tuples, name)));
        }
    }

    #[test]
    fn who_follows_the_changes_knows_what_who_is_told_all_knows(states in vec(state(), 1..5)) {
        let disclosure = juliet_and_romeo();
        let mut followed = Vec::new();
        learn(&mut followed, &full(&disclosure, &states[0], None, None));
        for pair in states.windows(2) {
            learn(&mut followed, &changes(&disclosure, &pair[0], &pair[1]));
            let mut whole = Vec::new();
            learn(&mut whole, &full(&disclosure, &pair[1], None, None));
            prop_assert_eq!(&followed, &whole);
        }
        let last = states.last().unwrap();
        prop_assert_eq!(followed.len(), last.open().count());
        learn(&mut followed, &withdraw(disclosure.pair(), last));
        prop_assert_eq!(followed, []);
    }

    #[test]
    fn identifiers_of_tuples_come_back(jid in odd_jid("example.com"), id in nasty()) {
        if let Some(resource) = jid.resource() {
            prop_assert_eq!(pidf::device_of(&pidf::tuple_id(resource.as_str())), resource.as_str());
        }
        let device = pidf::device_of(&id);
        let full = jid.to_bare().with_resource_str(&device);
        prop_assert!(full.is_ok(), "{:?}", device);
        prop_assert!(pidf::tuple_id(&device).bytes().all(|octet| octet.is_ascii_graphic()));
    }

    #[test]
    fn no_document_breaks_the_reader(inner in nasty(), name in nasty(), value in nasty()) {
        let value = xml::escape(&value);
        let document = format!(
            "<presence xmlns='urn:ietf:params:xml:ns:pidf'><tuple id=\"{value}\"><status><basic>{}</basic></status>\
             <contact priority=\"{value}\">{value}</contact>{inner}</tuple></presence>",
            xml::escape(&name),
        );
        let read = read(document.as_bytes(), Reading::default());
        if let Ok(Some(state)) = read {
            for stanza in full(&juliet_and_romeo(), &state, None, None) {
                let again = only_stanza(&stanza.write(limits::STANZA).unwrap());
                prop_assert_eq!(again, stanza);
            }
        }
    }
}
