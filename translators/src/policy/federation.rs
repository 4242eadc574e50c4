//! Federation policy: who may federate at all.

use jid::BareJid;

use crate::model::{Domain, Pair};

/// What a rule of federation policy says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ruling {
    /// The two may federate; the levels below decide.
    #[default]
    Allow,
    /// They may not.
    Deny,
}

impl Ruling {
    /// Its word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
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

    /// What [`Scope::parse`] reads as this.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Domain(domain) => domain.as_str(),
            Self::User(user) => user.as_str(),
        }
    }

    fn holds(&self, user: &BareJid) -> bool {
        match self {
            Self::Any => true,
            Self::Domain(domain) => Domain::parse(user.domain().as_str()).as_ref() == Some(domain),
            Self::User(one) => one == user,
        }
    }
}

/// One rule of federation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it says.
    pub ruling: Ruling,
    /// For which XMPP users.
    pub xmpp: Scope,
    /// For which SIP users.
    pub sip: Scope,
}

impl Rule {
    /// Whether it speaks of this pair.
    pub(super) fn holds(&self, pair: &Pair) -> bool {
        self.xmpp.holds(&pair.jid) && self.sip.holds(pair.aor.image())
    }
}

/// Which domains and users may federate: a rule that denies stands above everything; without one, a
/// rule that allows decides; without any, the default does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Federation {
    default: Ruling,
    rules: Vec<Rule>,
}

impl Federation {
    /// Federation policy with these rules.
    pub const fn new(default: Ruling, rules: Vec<Rule>) -> Self {
        Self { default, rules }
    }

    /// What holds where no rule speaks of a pair.
    pub const fn default_ruling(&self) -> Ruling {
        self.default
    }

    /// Says whether the two may federate.
    pub fn ruling(&self, pair: &Pair) -> Ruling {
        let mut allowed = false;
        for rule in self.about(pair) {
            match rule.ruling {
                Ruling::Allow => allowed = true,
                Ruling::Deny => return Ruling::Deny,
            }
        }
        if allowed { Ruling::Allow } else { self.default }
    }

    /// The rules that speak of a pair, in the order of the configuration.
    pub(super) fn about(&self, pair: &Pair) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.holds(pair))
    }
}
