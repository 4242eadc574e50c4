//! Commands about decisions on pairs and users.

use std::collections::BTreeMap;

use translators::policy::{Decision, Explanation, Said, Subject, Verdict};

use crate::admin::Gateway;
use crate::admin::commands::Refused;
use crate::admin::protocol::{AclChanged, AclExplained, AclList, AclStatus, Holds, SaidStatus};
use crate::admin::users;

/// Most decisions that one answer lists.
const LISTED: usize = 1_000;

/// Lists decisions: all, those that name a user, or the one on two users.
pub(super) async fn list(gateway: &Gateway, users: &[String]) -> Result<AclList, Refused> {
    let policy = gateway.decisions.policy();
    let acl = policy.acl();
    let mut rows = match users {
        [] => acl.rows(),
        _ => match users::subject(&gateway.config.load().directory, users)? {
            pair @ Subject::Pair(_) => {
                let verdict = acl.find(&pair);
                verdict.map(|verdict| (pair, verdict)).into_iter().collect()
            }
            Subject::Sip(aor) => acl.naming(aor.image()),
            Subject::Xmpp(jid) => acl.naming(&jid),
        },
    };
    let left_off = rows.len().saturating_sub(LISTED);
    rows.truncate(LISTED);
    let subjects = rows.iter().map(|(subject, _)| subject.clone()).collect();
    let found = gateway.store.decisions(subjects).await?;
    let found: BTreeMap<_, _> = found
        .into_iter()
        .map(|row| (row.subject.clone(), row))
        .collect();
    let decisions = rows.into_iter().map(|(subject, verdict)| {
        let row = found.get(&subject);
        let (xmpp_user, sip_user) = users::names(&subject);
        AclStatus {
            level: level(&subject).to_owned(),
            xmpp_user,
            sip_user,
            verdict: verdict.to_string(),
            changed: row
                .map(|row| row.changed_at.to_rfc3339())
                .unwrap_or_default(),
            changed_by: row.and_then(|row| row.changed_by),
        }
    });
    Ok(AclList {
        decisions: decisions.collect(),
        left_off,
    })
}

/// Decides on a user or a pair.
pub(super) async fn set(
    gateway: &Gateway,
    users: &[String],
    verdict: &str,
    by: Option<u32>,
) -> Result<AclChanged, Refused> {
    let unknown = || Refused::UnknownVerdict(verdict.to_owned());
    let verdict = Verdict::parse(verdict).ok_or_else(unknown)?;
    let subject = users::subject(&gateway.config.load().directory, users)?;
    let changed = gateway.decisions.set(subject.clone(), verdict, by).await?;
    Ok(told(gateway, &subject, changed.before))
}

/// Takes the decision on a user or a pair back.
pub(super) async fn remove(
    gateway: &Gateway,
    users: &[String],
    by: Option<u32>,
) -> Result<AclChanged, Refused> {
    let subject = users::subject(&gateway.config.load().directory, users)?;
    let changed = gateway.decisions.remove(subject.clone(), by).await?;
    Ok(told(gateway, &subject, changed.before))
}

/// Says what holds for a pair, and why.
pub(super) fn explain(gateway: &Gateway, users: &[String]) -> Result<AclExplained, Refused> {
    let pair = users::pair(&gateway.config.load().directory, users)?;
    let Explanation { decision, said } = gateway.decisions.policy().explain(&pair);
    let said = said.into_iter().map(
        |Said {
             level,
             rule,
             verdict,
             decides,
         }| SaidStatus {
            level: level.to_string(),
            rule,
            verdict: verdict.to_string(),
            decides,
        },
    );
    Ok(AclExplained {
        xmpp_user: pair.jid.to_string(),
        sip_user: pair.aor.to_string(),
        holds: holds(decision),
        said: said.collect(),
    })
}

/// What became of a subject.
pub(super) fn told(gateway: &Gateway, subject: &Subject, before: Option<Verdict>) -> AclChanged {
    let policy = gateway.decisions.policy();
    let (xmpp_user, sip_user) = users::names(subject);
    let decision = match subject {
        Subject::Pair(pair) => Some(policy.decide(pair)),
        Subject::Sip(_) | Subject::Xmpp(_) => None,
    };
    AclChanged {
        xmpp_user,
        sip_user,
        before: before.map(|verdict| verdict.to_string()),
        verdict: policy
            .acl()
            .find(subject)
            .map(|verdict| verdict.to_string()),
        holds: decision.map(holds),
    }
}

fn holds(decision: Decision) -> Holds {
    Holds {
        verdict: decision.verdict.to_string(),
        level: decision.level.to_string(),
    }
}

const fn level(subject: &Subject) -> &'static str {
    match subject {
        Subject::Pair(_) => "pair",
        Subject::Sip(_) | Subject::Xmpp(_) => "user",
    }
}
