//! What is decided on pairs and users one by one.

use jid::BareJid;

use crate::model::{Aor, Pair};
use crate::policy::Verdict;
use crate::policy::shelves::Shelves;

/// Whom a decision of the operator is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// These two users.
    Pair(Pair),
    /// A SIP user, with everybody.
    Sip(Aor),
    /// An XMPP user, with everybody.
    Xmpp(BareJid),
}

impl Subject {
    /// Whether it is about this pair.
    pub fn holds(&self, pair: &Pair) -> bool {
        match self {
            Self::Pair(one) => one == pair,
            Self::Sip(aor) => *aor == pair.aor,
            Self::Xmpp(jid) => *jid == *pair.jid,
        }
    }
}

/// Which pairs a change of policy is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affected {
    /// Any may be.
    All,
    /// This one.
    Pair(Pair),
    /// Those of one user of either side, a SIP user by the JID image of his AOR.
    User(BareJid),
}

impl Affected {
    /// Those that a decision is about.
    pub fn of(subject: &Subject) -> Self {
        match subject {
            Subject::Pair(pair) => Self::Pair(pair.clone()),
            Subject::Sip(aor) => Self::User(aor.image().clone()),
            Subject::Xmpp(jid) => Self::User(jid.clone()),
        }
    }

    /// Whether the verdict on a pair may be another than before.
    pub fn holds(&self, pair: &Pair) -> bool {
        match self {
            Self::All => true,
            Self::Pair(one) => one == pair,
            Self::User(user) => *user == *pair.jid || user == pair.aor.image(),
        }
    }
}

/// The decisions on pairs and users. Copies share what they have in common, so that a change of one
/// entry costs microseconds, however many there are.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    pairs: Shelves<Pair>,
    sip: Shelves<Aor>,
    xmpp: Shelves<BareJid>,
}

impl Acl {
    /// How many decisions there are.
    pub const fn len(&self) -> usize {
        self.pairs.len() + self.sip.len() + self.xmpp.len()
    }

    /// Whether nothing is decided.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is decided on exactly this.
    pub fn find(&self, subject: &Subject) -> Option<Verdict> {
        match subject {
            Subject::Pair(pair) => self.pair(pair),
            Subject::Sip(aor) => self.sip(aor),
            Subject::Xmpp(jid) => self.xmpp(jid),
        }
    }

    /// Decides; tells what was decided before.
    pub fn set(&mut self, subject: Subject, verdict: Verdict) -> Option<Verdict> {
        match subject {
            Subject::Pair(pair) => self.pairs.set(pair, verdict),
            Subject::Sip(aor) => self.sip.set(aor, verdict),
            Subject::Xmpp(jid) => self.xmpp.set(jid, verdict),
        }
    }

    /// Takes a decision back; tells what it was.
    pub fn remove(&mut self, subject: &Subject) -> Option<Verdict> {
        match subject {
            Subject::Pair(pair) => self.pairs.remove(pair),
            Subject::Sip(aor) => self.sip.remove(aor),
            Subject::Xmpp(jid) => self.xmpp.remove(jid),
        }
    }

    /// Every decision, in the order of subjects.
    pub fn rows(&self) -> Vec<(Subject, Verdict)> {
        self.rows_of(|_| true)
    }

    /// The decisions that name a user of either side, in the order of subjects. Looks at all of
    /// them.
    pub fn naming(&self, user: &BareJid) -> Vec<(Subject, Verdict)> {
        self.rows_of(|subject| match subject {
            Subject::Pair(pair) => *pair.jid == *user || pair.aor.image() == user,
            Subject::Sip(aor) => aor.image() == user,
            Subject::Xmpp(jid) => jid == user,
        })
    }

    fn rows_of(&self, wanted: impl Fn(&Subject) -> bool) -> Vec<(Subject, Verdict)> {
        let pairs = self.pairs.iter();
        let pairs = pairs.map(|(pair, verdict)| (Subject::Pair(pair.clone()), verdict));
        let sip = self.sip.iter();
        let sip = sip.map(|(aor, verdict)| (Subject::Sip(aor.clone()), verdict));
        let xmpp = self.xmpp.iter();
        let xmpp = xmpp.map(|(jid, verdict)| (Subject::Xmpp(jid.clone()), verdict));
        let all = pairs.chain(sip).chain(xmpp);
        let mut rows: Vec<_> = all.filter(|(subject, _)| wanted(subject)).collect();
        rows.sort_unstable();
        rows
    }

    /// What is decided on these two.
    pub(super) fn pair(&self, pair: &Pair) -> Option<Verdict> {
        self.pairs.find(pair)
    }

    /// What is decided on a SIP user.
    pub(super) fn sip(&self, aor: &Aor) -> Option<Verdict> {
        self.sip.find(aor)
    }

    /// What is decided on an XMPP user.
    pub(super) fn xmpp(&self, jid: &BareJid) -> Option<Verdict> {
        self.xmpp.find(jid)
    }
}

impl FromIterator<(Subject, Verdict)> for Acl {
    fn from_iter<I: IntoIterator<Item = (Subject, Verdict)>>(rows: I) -> Self {
        let mut acl = Self::default();
        for (subject, verdict) in rows {
            acl.set(subject, verdict);
        }
        acl
    }
}
