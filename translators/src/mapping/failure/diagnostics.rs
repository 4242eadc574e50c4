//! What the reasons of Microsoft servers mean, by their numbers and never by their texts, which
//! differ between releases: `tables/diagnostics.tsv`.

use std::ops::RangeInclusive;

use crate::model::Condition;
use crate::sip::microsoft::Diagnostic;
use crate::sip::{HeaderName, Response};

/// The table; [`rows`] reads it.
const TABLE: &str = include_str!("../../../tables/diagnostics.tsv");
/// The row of a 504 without a reason.
const BARE: &str = "bare-504";
/// Warning of a content filter on a 606.
const FILTER: u16 = 309;
/// What a user is told whose text a content filter stopped.
const FILTERED: &str = "Blocked by a content filter";

/// What is known of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The number, the range that it belongs to, or `bare-504`: as many as the table has rows.
    pub ids: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What an operator should look at.
    pub remedy: &'static str,
    /// What the XMPP user is told; nothing where the status says it all.
    pub words: Option<&'static str>,
    /// What it changes.
    pub effect: Effect,
}

/// What a reason changes about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The dialog is lost, and a new one helps.
    Again,
    /// It has this condition, whatever its status.
    Condition(Condition),
    /// Nothing: the status decides.
    Status,
}

/// What the number of a reason means; `None` where nothing is known but the number.
pub fn explain(id: u32) -> Option<Known> {
    let meant = rows().filter_map(|known| Some((span(known.ids)?, known)));
    let fitting = meant.filter(|(span, _)| span.contains(&id));
    let narrowest = fitting.min_by_key(|(span, _)| span.end() - span.start());
    narrowest.map(|(_, known)| known)
}

/// What a 504 without a reason means.
pub fn explain_bare_504() -> Option<Known> {
    rows().find(|known| known.ids == BARE)
}

/// Whether a final error says that the route set of its dialog is not valid any more, so that the
/// dialog is lost and a new one helps.
pub fn loses_dialog(response: &Response) -> bool {
    response.status() >= 300 && known_of(response).any(|known| known.effect == Effect::Again)
}

/// What a Microsoft peer's reasons make of a failure: its condition, if not that of the status, and
/// the words for the user. The first server that has a reason of its own decides.
pub(super) fn judge(response: &Response) -> (Option<Condition>, Option<&'static str>) {
    let mut deciding = known_of(response).filter_map(|known| match known.effect {
        Effect::Again => Some((None, known.words)),
        Effect::Condition(condition) => Some((Some(condition), known.words)),
        Effect::Status => None,
    });
    if let Some(decided) = deciding.next() {
        return decided;
    }
    if response.status() == 606 && warns(response, FILTER) {
        return (Some(Condition::NotAcceptable), Some(FILTERED));
    }
    let words = known_of(response).find_map(|known| known.words);
    let bare = || explain_bare_504().filter(|_| response.status() == 504);
    (None, words.or_else(|| bare()?.words))
}

fn known_of(response: &Response) -> impl Iterator<Item = Known> {
    let diagnostics = Diagnostic::all_of(response).into_iter();
    diagnostics.filter_map(|diagnostic| explain(diagnostic.id))
}

fn warns(response: &Response, code: u16) -> bool {
    let mut warnings = response.values(HeaderName::Warning);
    warnings.any(|warning| {
        let first = warning.split_ascii_whitespace().next();
        first.and_then(|word| word.parse().ok()) == Some(code)
    })
}

/// Everything that is known, in the order of the numbers; a row that does not read is left out, and a
/// test finds it.
pub fn rows() -> impl Iterator<Item = Known> {
    TABLE.lines().skip(1).filter_map(|line| {
        let mut columns = line.split('\t');
        let (ids, effect) = (columns.next()?, columns.next()?);
        let (meaning, remedy) = (columns.next()?, columns.next()?);
        let words = columns.next().filter(|words| !words.is_empty());
        let effect = match effect {
            "-" => Effect::Status,
            "again" => Effect::Again,
            condition => Effect::Condition(Condition::parse(condition)?),
        };
        Some(Known {
            ids,
            meaning,
            remedy,
            words,
            effect,
        })
    })
}

fn span(ids: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = ids.split_once('-').unwrap_or((ids, ids));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_reads_and_the_rows_are_in_order() {
        let lines: Vec<&str> = TABLE.lines().skip(1).collect();
        assert_eq!(rows().count(), lines.len());
        assert!(lines.iter().all(|line| line.split('\t').count() == 6));
        assert!(rows().all(|known| !known.meaning.is_empty() && !known.remedy.is_empty()));
        let spans: Vec<_> = rows().filter_map(|known| span(known.ids)).collect();
        assert_eq!(spans.len() + 1, lines.len(), "all but the bare 504");
        assert!(spans.is_sorted_by_key(|span| *span.start()));
        assert!(spans.iter().all(|span| span.start() <= span.end()));
    }

    #[test]
    fn a_number_has_its_own_row_or_that_of_its_range() {
        let meaning = |id| explain(id).map(|known| known.meaning);

        assert_eq!(meaning(1_003), Some("The user does not exist (404)"));
        assert_eq!(meaning(1_000).unwrap().split(' ').next(), Some("The"));
        assert_eq!(meaning(1_006), Some("SIP stack of a server"));
        assert_eq!(meaning(16_004), Some("The IM filter of the other side"));
        assert_eq!(meaning(65_000), None);
        assert_eq!(meaning(u32::MAX), None);
        assert!(explain_bare_504().is_some());
    }
}
