//! Every row of `tables/availability.tsv`: the numbers of Microsoft's documents each way, at the ends of
//! each range and inside it, under either switch.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use jid::BareJid;
use translators::documents::presence::{self, Draft, Format, Reading};
use translators::model::microsoft::BusyAs;
use translators::model::{Aor, Pair, PresenceState, Show, Tuple, Wall};
use translators::policy::Policy;

/// The rows in one direction, as columns.
fn rows(direction: &str) -> Vec<Vec<&'static str>> {
    let table = include_str!("../tables/availability.tsv");
    let rows = table.lines().skip(1).map(|line| line.split('\t').collect());
    rows.filter(|row: &Vec<&str>| row[0] == direction).collect()
}

/// The ends of a range and something between them.
fn inside(range: &str) -> [u32; 3] {
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (u32, u32) = (first.parse().unwrap(), last.parse().unwrap());
    [first, first.midpoint(last), last]
}

/// The documents that a row is about.
fn documents(row: &[&str]) -> (Format, Vec<String>) {
    let (numbers, token) = (row[2], row[3]);
    let aggregates = |availability: u32, activity: u32| {
        format!(
            "<availability aggregate='{availability}' description=''/>\
             <activity aggregate='{activity}' description=''/>"
        )
    };
    let presentity =
        |content: &str| format!("<presentity uri='bob@sip.example'>{content}</presentity>");
    match row[1] {
        "msrtc" => {
            let (availability, activity) = numbers.split_once(" x ").unwrap();
            let pairs = inside(availability)
                .into_iter()
                .flat_map(|availability| inside(activity).map(|it| (availability, it)));
            let pairs = pairs.map(|(availability, it)| presentity(&aggregates(availability, it)));
            (Format::Msrtc, pairs.collect())
        }
        "state" => {
            let over = aggregates(300, 400);
            let documents = inside(numbers).map(|number| {
                presentity(&format!(
                    "{over}<userInfo><states><state avail='{number}'>{token}</state></states></userInfo>"
                ))
            });
            (Format::Msrtc, documents.to_vec())
        }
        "categories" => {
            let activity = match token {
                "" => String::new(),
                token => format!("<activity token='{token}'/>"),
            };
            let documents = inside(numbers).map(|number| {
                format!(
                    "<categories uri='sip:bob@sip.example'><category name='state'><state type='aggregateState'>\
                     <availability>{number}</availability>{activity}</state></category></categories>"
                )
            });
            (Format::Categories, documents.to_vec())
        }
        other => panic!("no format: {other}"),
    }
}

fn name(state: &PresenceState) -> &'static str {
    match state.tuples() {
        [tuple] if tuple.open => tuple.show.map_or("available", Show::as_str),
        [_] => "unavailable",
        many => panic!("{many:?}"),
    }
}

#[test]
fn numbers_become_shows() {
    let rows = rows("from");
    assert_eq!(rows.len(), 38);
    for row in rows {
        let (format, documents) = documents(&row);
        for (column, idle_is_away, busy_as) in [
            (4, false, BusyAs::Dnd),
            (5, true, BusyAs::Dnd),
            (6, false, BusyAs::Available),
        ] {
            let how = Reading {
                content_type: Some(format.content_type()),
                idle_is_away,
                busy_as,
                ..Reading::default()
            };
            for document in &documents {
                let state = presence::read(document.as_bytes(), how).unwrap().unwrap();
                assert_eq!(name(&state), row[column], "{document} {how:?}");
            }
        }
    }
}

#[test]
fn shows_become_numbers() {
    let pair = Pair::new(
        BareJid::new("alice@xmpp.example").unwrap(),
        Aor::from_image(BareJid::new("bob@sip.example").unwrap()),
    );
    let disclosure = Policy::default().may_see(&pair).unwrap();
    let rows = rows("to");
    assert_eq!(rows.len(), 24);
    for row in rows {
        let [show, numbers, token] = [row[4], row[2], row[3]];
        let state = PresenceState::new([Tuple {
            open: show != "unavailable",
            show: Show::parse(show),
            ..Tuple::closed("desk")
        }]);
        let draft = Draft {
            entity: "sip:alice@xmpp.example",
            contact: "sip:alice@xmpp.example",
            state: &state,
            now: Wall::default(),
            last_sent: None,
            epid: Some("0123456789"),
        };
        let (format, needed, kept) = match row[1] {
            "msrtc" => {
                let (availability, activity) = numbers.split_once(" x ").unwrap();
                let state = token.split_once(' ');
                let state = state.map_or(String::new(), |(number, token)| {
                    format!("<state avail=\"{number}\"|\">{token}</state>")
                });
                let needed = format!(
                    "<availability aggregate=\"{availability}\"|<activity aggregate=\"{activity}\"|{state}"
                );
                (Format::Msrtc, needed, ("<state ", !token.is_empty()))
            }
            "categories" => {
                let needed =
                    format!("<availability>{numbers}</availability>|<activity token=\"{token}\"");
                let needed = needed.trim_end_matches("<activity token=\"\"").to_owned();
                (
                    Format::Categories,
                    needed,
                    ("<activity ", !token.is_empty()),
                )
            }
            "pidf" => {
                let needed = format!("<basic>{numbers}</basic>|<ep:activity>{token}</ep:activity>");
                let needed = needed
                    .trim_end_matches("<ep:activity></ep:activity>")
                    .to_owned();
                (Format::Pidf, needed, ("<ep:activity>", !token.is_empty()))
            }
            "xpidf" => {
                let needed = format!("<status status=\"{numbers}\"/>|substatus=\"{token}\"");
                (Format::Xpidf, needed, ("<msnsubstatus ", true))
            }
            other => panic!("no format: {other}"),
        };
        let written = presence::write(&disclosure, format, &draft);
        let text = String::from_utf8(written.to_vec()).unwrap();
        for piece in needed.split('|') {
            assert!(text.contains(piece), "{piece} in {text}");
        }
        assert_eq!(text.contains(kept.0), kept.1, "{text}");
    }
}
