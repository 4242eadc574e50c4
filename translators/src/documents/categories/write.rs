//! Writing: every category that XMPP knows, so that nothing of an earlier document stays.

use bytes::Bytes;

use crate::documents::availability::{Numbers, canonical};
use crate::documents::presence::{Draft, address_of, words_of};
use crate::documents::xml;
use crate::model::Wall;

/// Common part of the namespaces.
const BASE: &str = "http://schemas.microsoft.com/2006/09/sip";

/// Writes a state: that of the most available device.
pub(in crate::documents) fn write(draft: &Draft<'_>) -> Bytes {
    let best = draft.state.most_available();
    let name = draft.state.name().filter(|_| best.is_some());
    let numbers = Numbers::of(best);
    let words = words_of(draft.state);
    document(draft.entity, numbers, (words, name), draft.now)
}

/// Writes that somebody is offline, and nothing else.
pub(in crate::documents) fn write_offline(entity: &str, now: Wall) -> Bytes {
    document(entity, Numbers::of(None), (None, None), now)
}

fn document(
    entity: &str,
    numbers: Numbers,
    (words, name): (Option<&str>, Option<&str>),
    now: Wall,
) -> Bytes {
    let address = xml::escape(address_of(entity));
    let time = publish_time(now);
    let mut out = format!("<categories xmlns=\"{BASE}/categories\" uri=\"sip:{address}\">");
    let mut add = |name: &str, content: &str| {
        out.push_str(&format!(
            "<category name=\"{name}\" instance=\"0\" publishTime=\"{time}\">{content}</category>"
        ));
    };
    let number = numbers.state;
    let activity = numbers.token.map(|token| {
        let (least, most) = canonical::range_of(number);
        format!(
            "<activity token=\"{token}\" minAvailability=\"{least}\" maxAvailability=\"{most}\"/>"
        )
    });
    add(
        "state",
        &format!(
            "<state xmlns=\"{BASE}/state\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:type=\"aggregateState\"><availability>{number}</availability>{}</state>",
            activity.unwrap_or_default()
        ),
    );
    let words = words.map(|words| format!("<body type=\"personal\">{}</body>", xml::escape(words)));
    let words = words.unwrap_or_default();
    add(
        "note",
        &format!("<note xmlns=\"{BASE}/note\">{words}</note>"),
    );
    if let Some(name) = name {
        let name = xml::escape(name);
        let card = format!(
            "<contactCard xmlns=\"{BASE}/contactcard\"><identity><name><displayName>{name}</displayName></name>\
             </identity></contactCard>"
        );
        add("contactCard", &card);
    }
    out.push_str("</categories>");
    Bytes::from(out)
}

/// A time as these documents have it: UTC with three places and no zone.
fn publish_time(now: Wall) -> String {
    let seconds = now.to_rfc3339();
    let seconds = seconds.strip_suffix('Z').unwrap_or(&seconds);
    let millis = now.unix_millis().rem_euclid(1_000);
    format!("{seconds}.{millis:03}")
}
