//! Logs in which SIP messages or XML stand.

use super::{Desk, Explanation, sip, xmpp};

/// Messages of one log that are explained; the rest is counted.
const MOST: usize = 100;

/// Explains what stands in a log; `false` if neither SIP nor XMPP is in it.
pub(super) fn explain(input: &[u8], desk: &Desk<'_>, story: &mut Explanation) -> bool {
    let text = String::from_utf8_lossy(input);
    let found: Vec<Found<'_>> = text.lines().filter_map(find).collect();
    if found.is_empty() {
        let recorded = is_recording(&text);
        if recorded {
            story.says("A recording of XMPP streams in which no stanza stands.");
        }
        return recorded;
    }
    story.says(format!(
        "A log in which {} messages or parts of them stand.",
        found.len()
    ));
    for one in found.iter().take(MOST) {
        match one {
            Found::Xml(piece) => {
                story.says(format!("- {}", shortened(piece)));
                xmpp::explain(piece.as_bytes(), desk, story);
            }
            Found::StartLine(line) => {
                story.says(format!("- {}", shortened(line)));
                sip::explain(line.as_bytes(), desk, story);
            }
        }
    }
    if found.len() > MOST {
        story.says(format!("{} more are not explained.", found.len() - MOST));
    }
    true
}

/// What stands in a line of a log.
enum Found<'a> {
    StartLine(&'a str),
    Xml(&'a str),
}

fn find(line: &str) -> Option<Found<'_>> {
    let mut tags = line.match_indices('<').filter_map(|(at, _)| line.get(at..));
    if let Some(piece) = tags.find(|piece| xmpp::starts_stream_part(piece)) {
        return Some(Found::Xml(piece));
    }
    let words = line.split_inclusive(' ').map(str::len);
    let mut starts = words.scan(0, |at, len| Some(std::mem::replace(at, *at + len)));
    starts.find_map(|start| {
        let rest = line.get(start..)?.trim_end();
        sip::is_start_line(rest).then_some(Found::StartLine(rest))
    })
}

/// Whether the lines begin with times, as recordings of streams do, below a heading that says so.
fn is_recording(text: &str) -> bool {
    let heading = |line: &str| line.starts_with('#') && line.contains("stream");
    let timed = |line: &str| {
        let time = line.split_whitespace().next();
        time.is_some_and(|time| time.contains('.') && time.parse::<f64>().is_ok())
    };
    text.lines().any(heading) && text.lines().any(timed)
}

/// The beginning of a line.
fn shortened(line: &str) -> String {
    const SHOWN: usize = 120;
    let mut shown: String = line.chars().take(SHOWN).collect();
    if line.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}
