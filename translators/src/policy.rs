//! Who may federate with whom.

use jid::BareJid;

use crate::model::{Domain, Pair};

/// What a rule decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The two may exchange.
    #[default]
    Allow,
    /// They may not.
    Deny,
}

/// Users of one side that a rule speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody.
    Any,
    /// Every user of a domain.
    Domain(Domain),
    /// One user, by JID or by the JID image of an AOR.
    User(BareJid),
}

impl Scope {
    /// Reads `*`, a domain, or a user in JID form.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if !text.contains('@') {
            return Domain::parse(text).map(Self::Domain);
        }
        BareJid::new(text).ok().map(Self::User)
    }

    fn holds(&self, user: &BareJid) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(domain) => Domain::parse(user.domain().as_str()).as_ref() == Some(domain),
            Self::User(one) => one == user,
        }
    }
}

/// Whose relations a change of policy may concern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affected {
    /// Everybody's.
    All,
    /// Those of one pair.
    Pair(Pair),
    /// Those of one user of either side, a SIP user by the JID image of his AOR.
    User(BareJid),
}

/// One rule of federation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it decides.
    pub verdict: Verdict,
    /// For which XMPP users.
    pub xmpp: Scope,
    /// For which SIP users.
    pub sip: Scope,
}

/// Federation policy: a rule that denies stands above everything; without one, a rule that allows
/// decides; without any, the default does.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    default: Verdict,
    rules: Vec<Rule>,
}

/// The pair may not federate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("federation policy does not let this pair exchange")]
pub struct Denied;

impl Policy {
    /// Creates a policy.
    pub const fn new(default: Verdict, rules: Vec<Rule>) -> Self {
        Self { default, rules }
    }

    /// Lets `thing` of `pair` through, or says that the pair may not federate.
    pub fn admit<T>(&self, pair: Pair, thing: T) -> Result<Admitted<T>, Denied> {
        match self.verdict(&pair) {
            Verdict::Allow => Ok(Admitted { pair, thing }),
            Verdict::Deny => Err(Denied),
        }
    }

    /// Says whether the two of a pair may see each other now, or that they may not.
    pub fn may_see(&self, pair: &Pair) -> Result<Disclosure, Denied> {
        match self.verdict(pair) {
            Verdict::Allow => Ok(Disclosure { pair: pair.clone() }),
            Verdict::Deny => Err(Denied),
        }
    }

    /// Decides on a pair.
    pub fn verdict(&self, pair: &Pair) -> Verdict {
        if self.rules.is_empty() {
            return self.default;
        }
        let sip_user = pair.aor.image();
        let mut verdict = None;
        for rule in &self.rules {
            if !rule.xmpp.holds(&pair.jid) || !rule.sip.holds(sip_user) {
                continue;
            }
            match rule.verdict {
                Verdict::Allow => verdict = Some(Verdict::Allow),
                Verdict::Deny => return Verdict::Deny,
            }
        }
        verdict.unwrap_or(self.default)
    }
}

/// A thing that policy let through; only [`Policy::admit`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted<T> {
    pair: Pair,
    thing: T,
}

impl<T> Admitted<T> {
    /// The pair it was admitted for.
    pub const fn pair(&self) -> &Pair {
        &self.pair
    }

    /// What was admitted.
    pub const fn thing(&self) -> &T {
        &self.thing
    }

    /// Changes what is told of it; the pair stays the one that was admitted.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut T)) -> Self {
        change(&mut self.thing);
        self
    }
}

/// Proof that the two of a pair may see each other now; only [`Policy::may_see`] makes one. Not
/// Clone: ask again for the next document.
#[derive(Debug)]
pub struct Disclosure {
    pair: Pair,
}

impl Disclosure {
    /// The pair it was given for.
    pub const fn pair(&self) -> &Pair {
        &self.pair
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Aor;

    fn pair(jid: &str, aor: &str) -> Pair {
        Pair::new(
            BareJid::new(jid).unwrap(),
            Aor::from_image(BareJid::new(aor).unwrap()),
        )
    }

    fn rule(verdict: Verdict, xmpp: &str, sip: &str) -> Rule {
        let (xmpp, sip) = (Scope::parse(xmpp).unwrap(), Scope::parse(sip).unwrap());
        Rule { verdict, xmpp, sip }
    }

    #[test]
    fn a_denial_stands_above_everything() {
        let policy = Policy::new(
            Verdict::Allow,
            vec![
                rule(Verdict::Deny, "*", "bob@sip.example"),
                rule(Verdict::Allow, "alice@xmpp.example", "bob@sip.example"),
            ],
        );

        let denied = pair("alice@xmpp.example", "bob@sip.example");
        assert_eq!(policy.admit(denied, ()), Err(Denied));
        assert!(
            policy
                .admit(pair("alice@xmpp.example", "eve@sip.example"), ())
                .is_ok()
        );
    }

    #[test]
    fn without_a_rule_the_default_decides() {
        let policy = Policy::new(
            Verdict::Deny,
            vec![rule(Verdict::Allow, "xmpp.example", "*")],
        );

        assert!(
            policy
                .admit(pair("alice@xmpp.example", "bob@sip.example"), ())
                .is_ok()
        );
        assert!(
            policy
                .admit(pair("alice@other.example", "bob@sip.example"), ())
                .is_err()
        );
    }
}
