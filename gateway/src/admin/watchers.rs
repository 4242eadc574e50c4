//! Who watches whom, and what an operator does about it.

use jid::BareJid;
use translators::model::{Pair, Role, Side, Wall};
use translators::policy::Subject;
use translators::shard::{Answered, Command, Filter, Relation};

use crate::admin::Gateway;
use crate::admin::commands::Refused;
use crate::admin::protocol::{
    DialogStatus, Forgotten, RelationStatus, Released, WatcherList, WatchersChanged,
};
use crate::admin::users;
use crate::telemetry::events::ProcessEvent;

/// `watcher list` and `watcher show`: relations of everybody, of a user or of a pair, at most so
/// many, in the order of their pairs.
pub(super) async fn list(
    gateway: &Gateway,
    names: &[String],
    most: usize,
) -> Result<WatcherList, Refused> {
    let subject = match names {
        [] => None,
        names => Some(users::subject(&gateway.config.load().directory, names)?),
    };
    let mut relations = relations(gateway, subject.as_ref(), most.saturating_add(1)).await?;
    relations.sort_by(|one, other| (&one.pair, one.role).cmp(&(&other.pair, other.role)));
    let more = relations.len() > most;
    relations.truncate(most);
    Ok(WatcherList {
        relations: relations.iter().map(relation).collect(),
        more,
    })
}

/// `watcher resync`: the current state is asked for and told again.
pub(super) async fn resync(
    gateway: &Gateway,
    names: &[String],
    by: Option<u32>,
) -> Result<WatchersChanged, Refused> {
    each(gateway, names, "watcher-resync", by, Command::Resync).await
}

/// `watcher drop`: ends relations and forgets them, all or those whose watcher is on one side.
pub(super) async fn drop(
    gateway: &Gateway,
    names: &[String],
    side: Option<&str>,
    by: Option<u32>,
) -> Result<WatchersChanged, Refused> {
    let role = match side {
        None => None,
        Some("xmpp") => Some(Role::Subscriber),
        Some("sip") => Some(Role::Notifier),
        Some(other) => return Err(Refused::UnknownSide(other.to_owned())),
    };
    let command = |pair| Command::Drop(pair, role);
    each(gateway, names, "watcher-drop", by, command).await
}

/// `user forget`: nothing of a deleted user is left, neither relations nor decisions nor history.
pub(super) async fn forget(
    gateway: &Gateway,
    name: &str,
    by: Option<u32>,
) -> Result<Forgotten, Refused> {
    let user = bare(&users::user(&gateway.config.load().directory, name)?);
    tell("user-forget", by);
    let answers = gateway.inputs.ask(&Command::Forget(user.clone())).await?;
    let decisions = gateway.decisions.forget(&user, by).await?;
    let rows = gateway.store.forget(user).await?;
    Ok(Forgotten {
        relations: changed(&answers),
        decisions,
        rows,
    })
}

/// `peer release`: the peer is believed again when it refuses what it granted.
pub(super) fn release(gateway: &Gateway, name: &str, by: Option<u32>) -> Result<Released, Refused> {
    let peer = super::status::peer_called(gateway, name);
    let peer = peer.ok_or_else(|| Refused::UnknownPeer(name.to_owned()))?;
    tell("peer-release", by);
    Ok(Released {
        released: gateway.egress.believe(&peer),
        peer: peer.to_string(),
    })
}

/// Gives a command for the pair that is named, or for each pair of the user.
async fn each(
    gateway: &Gateway,
    names: &[String],
    what: &str,
    by: Option<u32>,
    command: impl Fn(Pair) -> Command,
) -> Result<WatchersChanged, Refused> {
    let subject = users::subject(&gateway.config.load().directory, names)?;
    tell(what, by);
    let pairs = match subject {
        Subject::Pair(pair) => vec![pair],
        Subject::Sip(_) | Subject::Xmpp(_) => {
            let of_user = relations(gateway, Some(&subject), usize::MAX).await?;
            let mut pairs: Vec<_> = of_user.into_iter().map(|relation| relation.pair).collect();
            pairs.sort();
            pairs.dedup();
            pairs
        }
    };
    let mut relations = 0;
    for pair in pairs {
        relations += changed(&gateway.inputs.ask(&command(pair)).await?);
    }
    Ok(WatchersChanged { relations })
}

async fn relations(
    gateway: &Gateway,
    subject: Option<&Subject>,
    most: usize,
) -> Result<Vec<Relation>, Refused> {
    let filter = match subject {
        None => Filter::default(),
        Some(Subject::Pair(pair)) => Filter {
            pair: Some(pair.clone()),
            ..Filter::default()
        },
        Some(user) => Filter {
            user: Some(bare(user)),
            ..Filter::default()
        },
    };
    let command = Command::List(Filter { most, ..filter });
    let answers = gateway.inputs.ask(&command).await?;
    let relations = answers.into_iter().map(|answer| match answer {
        Answered::Changed(_) => Vec::new(),
        Answered::Relations(relations) => relations,
    });
    Ok(relations.flatten().collect())
}

/// A user's address in JID form; of a pair that of the XMPP user.
fn bare(subject: &Subject) -> BareJid {
    match subject {
        Subject::Pair(pair) => BareJid::clone(&pair.jid),
        Subject::Sip(aor) => aor.image().clone(),
        Subject::Xmpp(jid) => jid.clone(),
    }
}

fn changed(answers: &[Answered]) -> usize {
    let count = |answer: &Answered| match answer {
        Answered::Changed(count) => *count,
        Answered::Relations(_) => 0,
    };
    answers.iter().map(count).sum()
}

fn relation(relation: &Relation) -> RelationStatus {
    let dialog = |(call_id, ends): &(String, Wall)| DialogStatus {
        call_id: call_id.clone(),
        ends: ends.to_rfc3339(),
    };
    let (jid, aor) = (relation.pair.jid.to_string(), relation.pair.aor.to_string());
    let (watcher, presentity, side) = match relation.role {
        Role::Subscriber => (jid, aor, Side::Xmpp),
        Role::Notifier => (aor, jid, Side::Sip),
    };
    RelationStatus {
        watcher,
        presentity,
        side: side.to_string(),
        state: relation.state.to_owned(),
        verdict: relation.verdict.to_string(),
        granted: relation.granted,
        held: relation.held,
        dialogs: relation.dialogs.iter().map(dialog).collect(),
        looks: relation.looks,
        available: relation.available,
        fresh: relation.fresh_at.map(|at| at.to_rfc3339()),
        retry: relation.retry_at.map(|at| at.to_rfc3339()),
    }
}

fn tell(command: &str, user: Option<u32>) {
    ProcessEvent::AdminCommand { command, user }.emit();
}
