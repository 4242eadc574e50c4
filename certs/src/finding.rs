//! What is wrong, where, and what to do about it.

use std::fmt;

/// How much a [`Finding`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Good to know; nothing fails because of it.
    Note,
    /// Some peer will refuse, or something will fail later.
    Warning,
    /// It cannot work like this.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "NOTE",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        })
    }
}

/// One defect or doubt, written for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the kind of defect, key of its page in the documentation.
    pub id: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The file, peer or setting it is about.
    pub subject: String,
    /// What is wrong, in one sentence with its full stop.
    pub sentence: String,
    /// What to do, in one sentence with its full stop.
    pub fix: String,
}

impl Finding {
    /// Something that cannot work.
    pub fn error(
        id: &'static str,
        subject: impl Into<String>,
        sentence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            id,
            level: Level::Error,
            subject: subject.into(),
            sentence: sentence.into(),
            fix: fix.into(),
        }
    }

    /// Something that will fail with some peers or at some time.
    pub fn warning(
        id: &'static str,
        subject: impl Into<String>,
        sentence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(id, subject, sentence, fix)
        }
    }

    /// Something good to know.
    pub fn note(
        id: &'static str,
        subject: impl Into<String>,
        sentence: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Note,
            ..Self::error(id, subject, sentence, fix)
        }
    }

    /// Whether this finding forbids the use of what it is about.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            level,
            subject,
            sentence,
            fix,
        } = self;
        write!(f, "{level} {id} {subject}: {sentence} Fix: {fix}")
    }
}

/// What loading gives: the thing, unless a finding is an error, and all findings.
pub type Loaded<T> = (Option<T>, Vec<Finding>);

/// Gives `value` only if no finding is an error.
pub(crate) fn unless_error<T>(value: T, findings: Vec<Finding>) -> Loaded<T> {
    let usable = !findings.iter().any(Finding::is_error);
    (usable.then_some(value), findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_one_line_with_its_fix() {
        let finding = Finding::warning("cert-sha1", "a.pem", "Too old.", "Renew it.");

        assert_eq!(
            finding.to_string(),
            "WARNING cert-sha1 a.pem: Too old. Fix: Renew it."
        );
    }

    #[test]
    fn only_an_error_withholds_the_value() {
        let note = Finding::note("a", "b", "c", "d");
        let error = Finding::error("a", "b", "c", "d");

        assert_eq!(unless_error(1, vec![note.clone()]).0, Some(1));
        assert_eq!(unless_error(1, vec![note, error]).0, None);
    }
}
