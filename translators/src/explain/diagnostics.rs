//! The reasons that Microsoft servers give beside a status.

use super::Explanation;
use super::conversation::is_theirs;
use crate::mapping::failure::{Effect, Known, explain, explain_bare_504};
use crate::model::{Microsoft, SipProfile};
use crate::sip::Response;
use crate::sip::microsoft::Diagnostic;
use crate::text::Line;

/// Whether a header holds such reasons.
pub(super) fn is_name(name: &str) -> bool {
    ["ms-diagnostics", "ms-diagnostics-public"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// Explains the reasons of a response; returns the profile of the peer, as far as they show it.
pub(super) fn response(response: &Response, story: &mut Explanation) -> SipProfile {
    let found = Diagnostic::all_of(response);
    for diagnostic in &found {
        one(diagnostic, story);
    }
    let speaks = !found.is_empty();
    if !speaks
        && response.status() == 504
        && let Some(known) = explain_bare_504()
    {
        story.says("It gives no reason. If it comes from a Microsoft server:");
        tell(known, story);
    }
    SipProfile {
        microsoft: (speaks || is_theirs(response)).then(Microsoft::default),
        ..SipProfile::default()
    }
}

/// Explains the value of one header.
pub(super) fn value(value: &str, story: &mut Explanation) {
    let value = Line::fold(value);
    for diagnostic in Diagnostic::all_in(value.as_str(), false) {
        one(&diagnostic, story);
    }
}

fn one(diagnostic: &Diagnostic, story: &mut Explanation) {
    story.says(format!(
        "The peer's own diagnosis (ms-diagnostics): {diagnostic}"
    ));
    match explain(diagnostic.id) {
        Some(known) => tell(known, story),
        None => story.says("Nothing more is known of this number."),
    }
}

fn tell(known: Known, story: &mut Explanation) {
    story.says(format!(
        "It means: {}. What to do: {}.",
        known.meaning, known.remedy
    ));
    match known.effect {
        Effect::Again => story.says("The dialog is given up and made anew."),
        Effect::Condition(condition) => {
            story.says(format!(
                "Its condition on the XMPP side is {}.",
                condition.as_str()
            ));
        }
        Effect::Status => {}
    }
}
