//! Levels, verdicts and proofs.

use std::collections::BTreeMap;

use jid::BareJid;
use proptest::prelude::*;

use super::*;
use crate::model::{Aor, Domain, Pair};

fn pair(jid: &str, aor: &str) -> Pair {
    Pair::new(BareJid::new(jid).unwrap(), sip_user(aor))
}

fn sip_user(aor: &str) -> Aor {
    Aor::from_image(BareJid::new(aor).unwrap())
}

fn xmpp(jid: &str) -> Subject {
    Subject::Xmpp(BareJid::new(jid).unwrap())
}

fn sip(aor: &str) -> Subject {
    Subject::Sip(sip_user(aor))
}

fn domain(name: &str) -> Option<Domain> {
    Some(Domain::parse(name).unwrap())
}

fn rule(ruling: Ruling, xmpp: &str, sip: &str) -> Rule {
    let (xmpp, sip) = (Scope::parse(xmpp).unwrap(), Scope::parse(sip).unwrap());
    Rule { ruling, xmpp, sip }
}

const fn decision(verdict: Verdict, level: Level) -> Decision {
    Decision { verdict, level }
}

#[test]
fn a_denial_of_federation_stands_above_everything() {
    let federation = Federation::new(
        Ruling::Allow,
        vec![
            rule(Ruling::Deny, "*", "bob@sip.example"),
            rule(Ruling::Allow, "alice@xmpp.example", "bob@sip.example"),
        ],
    );
    let denied = pair("alice@xmpp.example", "bob@sip.example");
    let policy = Policy::new(federation, Defaults::default())
        .with(Subject::Pair(denied.clone()), Verdict::Allow);

    let blocked = decision(Verdict::Block, Level::Federation);
    assert_eq!(policy.admit(denied.clone(), ()), Err(Denied(blocked)));
    assert_eq!(policy.may_see(&denied).unwrap_err(), blocked);
    let other = pair("alice@xmpp.example", "eve@sip.example");
    assert!(policy.admit(other.clone(), ()).is_ok());
    assert_eq!(policy.may_see(&other).unwrap().pair(), &other);
}

#[test]
fn without_a_rule_the_default_of_federation_decides() {
    let allowed = vec![rule(Ruling::Allow, "xmpp.example", "*")];
    let policy = Policy::new(Federation::new(Ruling::Deny, allowed), Defaults::default());

    let decide = |jid| policy.decide(&pair(jid, "bob@sip.example"));
    assert!(decide("alice@xmpp.example").allows());
    assert_eq!(decide("alice@other.example").level, Level::Federation);
}

#[test]
fn the_first_level_with_a_decision_decides() {
    let both = pair("alice@xmpp.example", "bob@sip.example");
    let defaults = Defaults::new(Verdict::Block);
    let policy = Policy::new(Federation::default(), defaults.clone());
    let system = decision(Verdict::Block, Level::System);
    assert_eq!(policy.decide(&both), system);

    let defaults = defaults.with_domains(domain("xmpp.example"), None, Verdict::Confirm);
    let policy = Policy::new(Federation::default(), defaults);
    let by_domain = decision(Verdict::Confirm, Level::DomainPair);
    assert_eq!(policy.decide(&both), by_domain);

    let policy = policy.with(xmpp("alice@xmpp.example"), Verdict::PoliteBlock);
    let by_user = decision(Verdict::PoliteBlock, Level::User);
    assert_eq!(policy.decide(&both), by_user);

    let policy = policy.with(Subject::Pair(both.clone()), Verdict::Allow);
    assert_eq!(policy.decide(&both), decision(Verdict::Allow, Level::Pair));
    let with_another = pair("alice@xmpp.example", "eve@sip.example");
    assert_eq!(policy.decide(&with_another), by_user);
}

#[test]
fn within_a_level_the_strictest_counts() {
    let both = pair("alice@xmpp.example", "bob@sip.example");
    for one in Verdict::ALL {
        for other in Verdict::ALL {
            let users = Policy::default()
                .with(xmpp("alice@xmpp.example"), one)
                .with(sip("bob@sip.example"), other);
            let defaults = Defaults::default()
                .with_domains(domain("xmpp.example"), domain("sip.example"), one)
                .with_domains(None, domain("sip.example"), other);
            let domains = Policy::new(Federation::default(), defaults);

            let strictest = match (one, other) {
                (Verdict::Block, _) | (_, Verdict::Block) => Verdict::Block,
                (Verdict::PoliteBlock, _) | (_, Verdict::PoliteBlock) => Verdict::PoliteBlock,
                (Verdict::Confirm, _) | (_, Verdict::Confirm) => Verdict::Confirm,
                (Verdict::Allow, Verdict::Allow) => Verdict::Allow,
            };
            assert_eq!(users.decide(&both), decision(strictest, Level::User));
            assert_eq!(
                domains.decide(&both),
                decision(strictest, Level::DomainPair)
            );
        }
    }
}

#[test]
fn nothing_but_allow_lets_anything_pass() {
    let both = pair("alice@xmpp.example", "bob@sip.example");
    for verdict in Verdict::ALL {
        let policy = Policy::default().with(Subject::Pair(both.clone()), verdict);

        let passes = verdict == Verdict::Allow;
        assert_eq!(policy.admit(both.clone(), ()).is_ok(), passes);
        assert_eq!(policy.may_see(&both).is_ok(), passes);
        assert_eq!(Verdict::parse(verdict.as_str()), Some(verdict));
    }
}

#[test]
fn a_copy_does_not_see_later_decisions() {
    let both = pair("alice@xmpp.example", "bob@sip.example");
    let mut acl = Acl::default();
    acl.set(Subject::Pair(both.clone()), Verdict::Block);
    let before = acl.clone();

    assert_eq!(
        acl.remove(&Subject::Pair(both.clone())),
        Some(Verdict::Block)
    );
    assert_eq!(acl.remove(&Subject::Pair(both.clone())), None);

    assert!(acl.is_empty());
    assert_eq!(before.rows(), [(Subject::Pair(both), Verdict::Block)]);
}

#[test]
fn a_user_is_named_by_his_own_and_by_pair_decisions() {
    let rows = [
        Subject::Pair(pair("alice@xmpp.example", "bob@sip.example")),
        Subject::Pair(pair("alice@xmpp.example", "eve@sip.example")),
        Subject::Pair(pair("romeo@xmpp.example", "bob@sip.example")),
        sip("bob@sip.example"),
        xmpp("romeo@xmpp.example"),
    ];
    let acl: Acl = rows
        .iter()
        .map(|one| (one.clone(), Verdict::Block))
        .collect();

    let named = |user| {
        let named = acl.naming(&BareJid::new(user).unwrap());
        let subjects: Vec<_> = named.into_iter().map(|(subject, _)| subject).collect();
        subjects
    };
    assert_eq!(named("alice@xmpp.example"), rows[..2]);
    assert_eq!(
        named("bob@sip.example"),
        [rows[0].clone(), rows[2].clone(), rows[3].clone()]
    );
    assert_eq!(
        named("romeo@xmpp.example"),
        [rows[2].clone(), rows[4].clone()]
    );
    assert_eq!(named("nobody@xmpp.example"), []);
    assert_eq!(acl.len(), 5);
}

#[test]
fn a_change_is_about_those_it_names() {
    let both = pair("alice@xmpp.example", "bob@sip.example");
    let other = pair("alice@xmpp.example", "eve@sip.example");
    let one = Affected::of(&Subject::Pair(both.clone()));
    let bob = Affected::of(&sip("bob@sip.example"));
    let alice = Affected::of(&xmpp("alice@xmpp.example"));

    assert!(one.holds(&both) && !one.holds(&other));
    assert!(bob.holds(&both) && !bob.holds(&other));
    assert!(alice.holds(&both) && alice.holds(&other));
    assert!(Affected::All.holds(&other));
}

#[test]
fn an_explanation_names_the_decision_and_what_else_is_said() {
    let both = pair("alice@xmpp.example", "bob@sip.example");
    let federation = Federation::new(Ruling::Deny, vec![rule(Ruling::Allow, "xmpp.example", "*")]);
    let defaults = Defaults::new(Verdict::Confirm).with_domains(
        None,
        domain("sip.example"),
        Verdict::PoliteBlock,
    );
    let policy = Policy::new(federation, defaults)
        .with(xmpp("alice@xmpp.example"), Verdict::Allow)
        .with(sip("bob@sip.example"), Verdict::Block);

    assert_eq!(
        policy.explain(&both).to_string(),
        "block, decided on level user\n  \
           federation  allow         xmpp = \"xmpp.example\", sip = \"*\"\n  \
           user        allow         XMPP user alice@xmpp.example\n\
         * user        block         SIP user bob@sip.example\n  \
           domain-pair polite-block  xmpp = \"*\", sip = \"sip.example\"\n  \
           system      confirm       policy.verdict"
    );
    let denied = policy.explain(&pair("alice@other.example", "bob@sip.example"));
    assert_eq!(denied.decision, decision(Verdict::Block, Level::Federation));
    assert_eq!(denied.said[0].rule, "federation.default");
    assert!(denied.said[0].decides);
    assert_eq!(denied.said.iter().filter(|one| one.decides).count(), 1);
}

/// What is decided, as plain lists that are looked through from the top.
#[derive(Clone, Debug, Default)]
struct Model {
    denials: Vec<(usize, usize)>,
    rows: BTreeMap<Subject, Verdict>,
    domains: Vec<(Option<usize>, Option<usize>, Verdict)>,
    system: Verdict,
}

const DOMAINS: usize = 2;
const USERS: usize = 3;

fn name(side: &str, user: usize) -> String {
    format!("user{user}@{side}{}.example", user % DOMAINS)
}

impl Model {
    fn policy(&self) -> Policy {
        let rules = self
            .denials
            .iter()
            .map(|(xmpp, sip)| rule(Ruling::Deny, &name("x", *xmpp), &name("s", *sip)));
        let named = |side, number: Option<usize>| {
            number.and_then(|number| domain(&format!("{side}{number}.example")))
        };
        let mut defaults = Defaults::new(self.system);
        for (xmpp, sip, verdict) in &self.domains {
            defaults = defaults.with_domains(named("x", *xmpp), named("s", *sip), *verdict);
        }
        Policy::new(Federation::new(Ruling::Allow, rules.collect()), defaults)
    }

    fn decide(&self, xmpp_user: usize, sip_user: usize) -> Decision {
        let both = pair(&name("x", xmpp_user), &name("s", sip_user));
        if self.denials.contains(&(xmpp_user, sip_user)) {
            return decision(Verdict::Block, Level::Federation);
        }
        let mut levels = vec![(Level::Pair, vec![]), (Level::User, vec![])];
        for (subject, verdict) in &self.rows {
            if subject.holds(&both) {
                let level = usize::from(!matches!(subject, Subject::Pair(_)));
                levels[level].1.push(*verdict);
            }
        }
        let mut seen = Vec::new();
        let mut by_domain = Vec::new();
        for (xmpp, sip, verdict) in &self.domains {
            // The first decision on a pair of domains stays.
            let fresh = !seen.contains(&(xmpp, sip));
            seen.push((xmpp, sip));
            let matches = xmpp.is_none_or(|one| one == xmpp_user % DOMAINS)
                && sip.is_none_or(|one| one == sip_user % DOMAINS)
                && (xmpp.is_some() || sip.is_some());
            if fresh && matches {
                by_domain.push(*verdict);
            }
        }
        levels.push((Level::DomainPair, by_domain));
        levels.push((Level::System, vec![self.system]));
        let (level, said) = levels
            .into_iter()
            .find(|(_, said)| !said.is_empty())
            .unwrap();
        let order = |verdict: &Verdict| match verdict {
            Verdict::Allow => 0,
            Verdict::Confirm => 1,
            Verdict::PoliteBlock => 2,
            Verdict::Block => 3,
        };
        decision(said.into_iter().max_by_key(order).unwrap(), level)
    }
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(&Verdict::ALL[..])
}

fn any_subject() -> impl Strategy<Value = Subject> {
    (0..USERS, 0..USERS, 0..3_u8).prop_map(|(one, other, kind)| match kind {
        0 => Subject::Pair(pair(&name("x", one), &name("s", other))),
        1 => xmpp(&name("x", one)),
        _ => sip(&name("s", other)),
    })
}

fn any_domains() -> impl Strategy<Value = (Option<usize>, Option<usize>, Verdict)> {
    let number = || prop::option::of(0..DOMAINS);
    (number(), number(), any_verdict())
}

proptest! {
    #[test]
    fn levels_decide_as_a_list_read_from_the_top(
        denials in prop::collection::vec((0..USERS, 0..USERS), 0..2),
        domains in prop::collection::vec(any_domains(), 0..4),
        system in any_verdict(),
        changes in prop::collection::vec((any_subject(), prop::option::of(any_verdict())), 0..24),
    ) {
        let mut model = Model { denials, domains, system, ..Model::default() };
        let mut policy = model.policy();
        for (subject, verdict) in changes {
            let mut acl = policy.acl().clone();
            let before = match verdict {
                Some(verdict) => {
                    let before = acl.set(subject.clone(), verdict);
                    prop_assert_eq!(before, model.rows.insert(subject, verdict));
                    before
                }
                None => {
                    let before = acl.remove(&subject);
                    prop_assert_eq!(before, model.rows.remove(&subject));
                    before
                }
            };
            prop_assert_eq!(acl.len(), policy.acl().len() + usize::from(before.is_none())
                * usize::from(verdict.is_some()) - usize::from(before.is_some())
                * usize::from(verdict.is_none()));
            policy = policy.with_acl(acl);
            for xmpp in 0..USERS {
                for sip in 0..USERS {
                    let both = pair(&name("x", xmpp), &name("s", sip));
                    let decided = policy.decide(&both);
                    prop_assert_eq!(decided, model.decide(xmpp, sip));
                    let explained = policy.explain(&both);
                    prop_assert_eq!(explained.decision, decided);
                    prop_assert!(explained.said.iter().any(|one| one.decides));
                }
            }
        }
        let rows: Vec<_> = model.rows.into_iter().collect();
        prop_assert_eq!(policy.acl().rows(), rows);
    }
}
