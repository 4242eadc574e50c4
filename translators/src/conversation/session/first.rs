//! The first message inside an INVITE arrives exactly once, whichever way its caller behaves.
//!
//! A caller sends the text again as the dialog's first MESSAGE unless the 200 says that it was taken,
//! and which word says so is not certain. So the text is kept: the MESSAGE that repeats it takes its
//! place; without one it is delivered by itself, and a repetition that comes yet is dropped. Real
//! embedded texts end in blanks and CRLF, and a client may repeat in HTML what it wrote
//! plain, so texts are compared by their words. A filter of the peer may put a mark before each link,
//! and a notice before a text with links, in the one and not in the other.

use std::borrow::Cow;

use crate::limits;
use crate::model::Mono;

/// What is done with the text inside an INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embedding {
    /// The answer says that it was taken; it is delivered at once.
    Consume,
    /// It waits for the MESSAGE that may repeat it.
    Wait,
}

/// The text inside the INVITE of a dialog.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum First {
    /// There was none, or nothing more can come of it.
    #[default]
    None,
    /// It waits for the ACK.
    Kept(Box<str>),
    /// It waits for the MESSAGE that may repeat it, until then.
    Awaited(Box<str>, Mono),
    /// It was delivered; the first MESSAGE may repeat it, until then.
    Delivered(Box<str>, Mono),
}

/// What a message of the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repetition {
    /// Another text: the one inside the INVITE goes before it.
    Behind,
    /// A text of its own.
    No,
    /// The text inside the INVITE, which was not delivered.
    Replaces,
    /// The text inside the INVITE, which was delivered.
    Same,
}

impl First {
    /// The text inside an INVITE, which is delivered at once where it is consumed.
    pub(super) fn of(text: Option<&str>, embedding: Embedding, now: Mono) -> Self {
        match (text.map(words), embedding) {
            (None, _) => Self::None,
            (Some(text), Embedding::Consume) => {
                Self::Delivered(text, now + limits::EMBEDDED_REPEATS)
            }
            (Some(text), Embedding::Wait) => Self::Kept(text),
        }
    }

    /// Whether it is this text and was not delivered: its caller may have sent the INVITE again.
    pub(super) fn keeps(&self, text: &str) -> bool {
        match self {
            Self::Kept(first) | Self::Awaited(first, _) => *first == words(text),
            Self::Delivered(..) | Self::None => false,
        }
    }

    /// Whether nothing more can come of it.
    pub(super) const fn is_over(&self) -> bool {
        match self {
            Self::None => true,
            Self::Kept(_) | Self::Awaited(..) | Self::Delivered(..) => false,
        }
    }

    /// Takes the ACK, from which the caller may repeat it.
    pub(super) fn on_ack(&mut self, now: Mono) {
        *self = match std::mem::take(self) {
            Self::Kept(text) => Self::Awaited(text, now + limits::EMBEDDED_WAITS),
            other @ (Self::None | Self::Awaited(..) | Self::Delivered(..)) => other,
        };
    }

    /// Takes a message of the caller.
    pub(super) fn on_text(&mut self, text: &str, now: Mono) -> Repetition {
        let same = |first: &str| repeats(first, &words(text));
        match std::mem::take(self) {
            Self::Kept(first) | Self::Awaited(first, _) if same(&first) => Repetition::Replaces,
            Self::Kept(_) | Self::Awaited(..) => Repetition::Behind,
            Self::Delivered(first, until) if now < until && same(&first) => Repetition::Same,
            Self::Delivered(..) | Self::None => Repetition::No,
        }
    }

    /// Takes the end of the dialog; returns whether the text is to be delivered.
    pub(super) fn on_end(&mut self) -> bool {
        match std::mem::take(self) {
            Self::Kept(_) | Self::Awaited(..) => true,
            Self::Delivered(..) | Self::None => false,
        }
    }

    /// Delivers it when no MESSAGE repeated it in time, and forgets it when none can any more;
    /// returns whether it is to be delivered.
    pub(super) fn on_time(&mut self, now: Mono) -> bool {
        if self.due().is_none_or(|at| now < at) {
            return false;
        }
        match std::mem::take(self) {
            Self::Awaited(text, _) => {
                *self = Self::Delivered(text, now + limits::EMBEDDED_REPEATS);
                true
            }
            Self::Delivered(..) | Self::Kept(_) | Self::None => false,
        }
    }

    /// When [`First::on_time`] is to be called.
    pub(super) const fn due(&self) -> Option<Mono> {
        match self {
            Self::Awaited(_, at) | Self::Delivered(_, at) => Some(*at),
            Self::Kept(_) | Self::None => None,
        }
    }
}

/// What is compared of a text: its words, whatever stands between and around them, without the marks
/// in links.
fn words(text: &str) -> Box<str> {
    let words = text.split_whitespace().map(|word| match is_link(word) {
        true => Cow::Owned(word.replace('_', "")),
        false => Cow::Borrowed(word),
    });
    let words: Vec<Cow<'_, str>> = words.collect();
    words.join(" ").into()
}

/// Whether these words are those of the first text, alone or behind the notice of a filter.
fn repeats(first: &str, words: &str) -> bool {
    let behind = || {
        words
            .strip_suffix(first)
            .is_some_and(|it| it.ends_with(' '))
    };
    words == first || (first.split(' ').any(is_link) && behind())
}

/// Whether a word is a link, with or without a mark or a bracket before it.
fn is_link(word: &str) -> bool {
    let start = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let starts = |known: &str| {
        let head = start.get(..known.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(known))
    };
    LINKS.iter().any(|known| starts(known))
}

/// How links begin that filters look for.
const LINKS: [&str; 14] = [
    "callto:", "file:", "ftp.", "ftp:", "http:", "https:", "im:", "ldap:", "mailto:", "news:",
    "sip:", "sips:", "tel:", "www",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_by_their_words_and_links_without_marks() {
        let same = |first: &str, text: &str| repeats(&words(first), &words(text));
        for (first, text) in [
            ("hi \r\n", "hi"),
            ("a  b", "a\nb"),
            ("see http://x.example/a_b", "see _http://x.example/a_b"),
            ("(https://x.example)", "(_https://x.example)"),
            ("WWW.x.example now", "_WWW.x.example now"),
            (
                "see http://x.example",
                "Beware of links! see http://x.example",
            ),
        ] {
            assert!(same(first, text), "{first} {text}");
        }
        for (first, text) in [
            ("hi", "_hi"),
            ("snake_case", "snakecase"),
            ("hi", "oh hi"),
            ("note: hi", "a note: hi"),
            ("see http://x.example", "see http://y.example"),
            ("see http://x.example", "http://x.example"),
        ] {
            assert!(!same(first, text), "{first} {text}");
        }
    }
}
