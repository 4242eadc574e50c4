//! Federation policy, and what is decided on domains and for everybody.

use translators::model::Domain;
use translators::policy::{Defaults, Federation, Policy, Rule, Ruling, Scope, Verdict};

use crate::config::document::Path;
use crate::config::fault::Fault;
use crate::config::loader::Loader;
use crate::config::schema;

/// Reads both layers; decisions on pairs and users come from elsewhere.
pub(super) fn load(
    loader: &mut Loader<'_>,
    federation: &schema::Federation,
    policy: &schema::Policy,
) -> Policy {
    let federation = self::federation(loader, federation);
    Policy::new(federation, defaults(loader, policy))
}

fn federation(loader: &mut Loader<'_>, section: &schema::Federation) -> Federation {
    let path = Path::default().key("federation").key("rule");
    let mut rules = Vec::new();
    for (place, rule) in section.rules.iter().enumerate() {
        let path = path.item(place);
        let xmpp = scope(loader, &path.key("xmpp"), &rule.xmpp);
        let sip = scope(loader, &path.key("sip"), &rule.sip);
        rules.extend(xmpp.zip(sip).map(|(xmpp, sip)| Rule {
            ruling: ruling(rule.verdict),
            xmpp,
            sip,
        }));
    }
    Federation::new(ruling(section.default), rules)
}

fn scope(loader: &mut Loader<'_>, path: &Path, text: &str) -> Option<Scope> {
    let scope = Scope::parse(text);
    if scope.is_none() {
        let sentence = format!("\"{text}\" is neither *, nor a domain, nor a user.");
        let fix = "Write *, example.net or user@example.net.";
        loader.error(Fault::BadValue, path, sentence, fix);
    }
    scope
}

fn defaults(loader: &mut Loader<'_>, section: &schema::Policy) -> Defaults {
    let path = Path::default().key("policy").key("domain");
    let mut defaults = Defaults::new(verdict(section.verdict));
    let mut seen = Vec::new();
    for (place, decision) in section.domains.iter().enumerate() {
        let path = path.item(place);
        let xmpp = domain(loader, &path.key("xmpp"), &decision.xmpp);
        let sip = domain(loader, &path.key("sip"), &decision.sip);
        let Some((xmpp, sip)) = xmpp.zip(sip) else {
            continue;
        };
        if xmpp.is_none() && sip.is_none() {
            let sentence = "A decision on every domain of both sides is one on everybody.";
            let fix = "Name a domain, or set policy.verdict instead.";
            loader.error(Fault::BadValue, &path, sentence, fix);
        }
        if seen.contains(&(xmpp.clone(), sip.clone())) {
            let sentence = "These two domains are decided on above.";
            let fix = "Keep one of the two decisions.";
            loader.error(Fault::Duplicate, &path, sentence, fix);
        }
        seen.push((xmpp.clone(), sip.clone()));
        defaults = defaults.with_domains(xmpp, sip, verdict(decision.verdict));
    }
    defaults
}

/// Reads a domain, or `*` as any.
fn domain(loader: &mut Loader<'_>, path: &Path, text: &str) -> Option<Option<Domain>> {
    match Scope::parse(text) {
        Some(Scope::Any) => return Some(None),
        Some(Scope::Domain(domain)) => return Some(Some(domain)),
        Some(Scope::User(_)) => {
            let sentence = format!("\"{text}\" is a user, and this is a decision on domains.");
            let fix = format!("Write a domain or *; for a user run isthmusctl acl set {text}.");
            loader.error(Fault::BadValue, path, sentence, fix);
        }
        None => {
            let sentence = format!("\"{text}\" is neither * nor a domain.");
            let fix = "Write * or example.net.";
            loader.error(Fault::BadDomain, path, sentence, fix);
        }
    }
    None
}

const fn ruling(ruling: schema::Ruling) -> Ruling {
    match ruling {
        schema::Ruling::Allow => Ruling::Allow,
        schema::Ruling::Deny => Ruling::Deny,
    }
}

const fn verdict(verdict: schema::Verdict) -> Verdict {
    match verdict {
        schema::Verdict::Allow => Verdict::Allow,
        schema::Verdict::Confirm => Verdict::Confirm,
        schema::Verdict::PoliteBlock => Verdict::PoliteBlock,
        schema::Verdict::Block => Verdict::Block,
    }
}
