//! Commands about decisions on pairs and users.

use std::collections::BTreeMap;

use translators::model::{Role, Side};
use translators::policy::{Decision, Explanation, Said, Subject, Verdict};

use translators::shard::{Answered, Command, Filter, Relation};

use crate::admin::Gateway;
use crate::admin::commands::Refused;
use crate::admin::protocol::{
    AclChanged, AclExplained, AclList, AclStatus, Holds, PendingList, PendingStatus, SaidStatus,
};
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

/// Lists the requests that are held until the operator decides.
pub(super) async fn pending(gateway: &Gateway, user: Option<&str>) -> Result<PendingList, Refused> {
    let user = match user {
        None => None,
        Some(user) => match users::user(&gateway.config.load().directory, user)? {
            Subject::Pair(_) => None,
            Subject::Sip(aor) => Some(aor.image().clone()),
            Subject::Xmpp(jid) => Some(jid),
        },
    };
    let filter = Filter {
        user,
        ..Filter::default()
    };
    let held = held(gateway, filter).await?;
    let policy = gateway.decisions.policy();
    let pending = held.iter().map(|relation| {
        let Relation { pair, role, .. } = relation;
        let (jid, aor) = (pair.jid.to_string(), pair.aor.to_string());
        let (watcher, presentity, side) = match role {
            Role::Subscriber => (jid, aor, Side::Xmpp),
            Role::Notifier => (aor, jid, Side::Sip),
        };
        PendingStatus {
            watcher,
            presentity,
            side: side.to_string(),
            level: policy.decide(pair).level.to_string(),
        }
    });
    Ok(PendingList {
        pending: pending.collect(),
    })
}

/// Decides on a pair of which a request is held.
pub(super) async fn decide(
    gateway: &Gateway,
    users: &[String],
    verdict: &str,
    by: Option<u32>,
) -> Result<AclChanged, Refused> {
    let pair = users::pair(&gateway.config.load().directory, users)?;
    let filter = Filter {
        pair: Some(pair.clone()),
        ..Filter::default()
    };
    if held(gateway, filter).await?.is_empty() {
        let (jid, aor) = (pair.jid.to_string(), pair.aor.to_string());
        return Err(Refused::NotPending(jid, aor));
    }
    set(gateway, users, verdict, by).await
}

async fn held(gateway: &Gateway, filter: Filter) -> Result<Vec<Relation>, Refused> {
    let command = Command::List(Filter {
        held: true,
        most: LISTED,
        ..filter
    });
    let mut held = Vec::new();
    for answered in gateway.inputs.ask(&command).await? {
        match answered {
            Answered::Relations(relations) => held.extend(relations),
            Answered::Changed(_) => {}
        }
    }
    held.sort_by(|one, other| (&one.pair, one.role).cmp(&(&other.pair, other.role)));
    held.truncate(LISTED);
    Ok(held)
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
