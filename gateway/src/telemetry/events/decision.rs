//! Events of what the operator decides on pairs and users.

use tracing::info;
use translators::policy::{Subject, Verdict};

use crate::telemetry::events::{User, What};
use crate::telemetry::metrics::Metric;

/// The decision on one subject changed.
#[derive(Clone, Copy, Debug)]
pub struct DecisionEvent<'a> {
    /// Whom it is about.
    pub subject: &'a Subject,
    /// What was decided before, if anything was.
    pub before: Option<Verdict>,
    /// What is decided now, if anything is.
    pub after: Option<Verdict>,
    /// The user who asked for it, by number.
    pub by: Option<u32>,
}

impl DecisionEvent<'_> {
    /// Writes the line and counts it.
    pub fn emit(self) {
        let (jid, aor) = match self.subject {
            Subject::Pair(pair) => (Some(User(&*pair.jid)), Some(User(pair.aor.image()))),
            Subject::Sip(aor) => (None, Some(User(aor.image()))),
            Subject::Xmpp(jid) => (Some(User(jid)), None),
        };
        let or_any =
            |user: Option<User<_>>| user.map_or_else(|| "*".to_owned(), |user| user.to_string());
        let (jid, aor, user) = (or_any(jid), or_any(aor), self.by);
        let (before, verdict) = (word(self.before), word(self.after));
        info!(
            what = What::AclChanged.as_str(),
            jid, aor, verdict, before, user
        );
        Metric::AclChanges.count(&[("verdict", verdict)]);
    }

    /// Tells how many decisions there are.
    pub fn count(decisions: usize) {
        let decisions = u32::try_from(decisions).unwrap_or(u32::MAX);
        Metric::AclDecisions.set(f64::from(decisions), &[]);
    }
}

fn word(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("none", Verdict::as_str)
}
