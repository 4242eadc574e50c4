//! Why a pair has the verdict that it has.

use std::fmt;

use jid::BareJid;

use crate::model::{Domain, Pair};
use crate::policy::{Decision, Level, Policy, Ruling, Verdict};

/// What one decision or rule says about a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Where it stands.
    pub level: Level,
    /// Which one it is, in the words of its source.
    pub rule: String,
    /// What it says; `allow` of federation policy lets the levels below decide.
    pub verdict: Verdict,
    /// Whether the verdict on the pair comes from it; true of several that agree.
    pub decides: bool,
}

/// All that is said about a pair, highest level first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What holds.
    pub decision: Decision,
    /// Everything that speaks of the pair, whether it counts or not.
    pub said: Vec<Said>,
}

impl Policy {
    /// Explains the verdict on a pair.
    pub fn explain(&self, pair: &Pair) -> Explanation {
        let decision = self.decide(pair);
        let mut said = self.federation_says(pair);
        let mut say = |level, rule: String, verdict| {
            said.push(Said {
                level,
                rule,
                verdict,
                decides: false,
            });
        };
        if let Some(verdict) = self.acl().pair(pair) {
            let rule = format!("{} with {}", pair.jid, pair.aor);
            say(Level::Pair, rule, verdict);
        }
        let user = |side: &str, user: &BareJid| format!("{side} user {user}");
        if let Some(verdict) = self.acl().xmpp(&pair.jid) {
            say(Level::User, user("XMPP", &pair.jid), verdict);
        }
        if let Some(verdict) = self.acl().sip(&pair.aor) {
            say(Level::User, user("SIP", pair.aor.image()), verdict);
        }
        for (xmpp, sip, verdict) in self.defaults().about(pair) {
            let rule = format!("xmpp = \"{}\", sip = \"{}\"", or_any(xmpp), or_any(sip));
            say(Level::DomainPair, rule, verdict);
        }
        let system = self.defaults().system();
        say(Level::System, "policy.verdict".to_owned(), system);
        for one in &mut said {
            one.decides = one.level == decision.level && one.verdict == decision.verdict;
        }
        Explanation { decision, said }
    }

    fn federation_says(&self, pair: &Pair) -> Vec<Said> {
        let federation = self.federation();
        let say = |rule, ruling| Said {
            level: Level::Federation,
            rule,
            verdict: match ruling {
                Ruling::Allow => Verdict::Allow,
                Ruling::Deny => Verdict::Block,
            },
            decides: false,
        };
        let rules = federation.about(pair).map(|rule| {
            let (xmpp, sip) = (rule.xmpp.as_str(), rule.sip.as_str());
            say(format!("xmpp = \"{xmpp}\", sip = \"{sip}\""), rule.ruling)
        });
        let mut said: Vec<Said> = rules.collect();
        if said.is_empty() {
            let default = federation.default_ruling();
            said.push(say("federation.default".to_owned(), default));
        }
        said
    }
}

fn or_any(domain: &Option<Domain>) -> &str {
    domain.as_ref().map_or("*", Domain::as_str)
}

impl fmt::Display for Explanation {
    /// One line for each thing said; the one that decides is marked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decision { verdict, level } = self.decision;
        write!(f, "{verdict}, decided on level {level}")?;
        for said in &self.said {
            let mark = if said.decides { '*' } else { ' ' };
            let Said {
                level,
                rule,
                verdict,
                ..
            } = said;
            write!(f, "\n{mark} {level:<12}{verdict:<14}{rule}")?;
        }
        Ok(())
    }
}
