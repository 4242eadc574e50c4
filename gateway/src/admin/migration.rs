//! Commands of the migration from an administrative watcher.

use translators::model::{Pair, Role};
use translators::policy::Subject;
use translators::shard::{Answered, Command, Filter, Relation};

use crate::admin::Gateway;
use crate::admin::commands::Refused;
use crate::admin::protocol::{MigrationLook, MigrationStands, MigrationStep};
use crate::admin::users::{self, Unclear};

/// Says how one watcher stands to one presentity.
pub(super) async fn look(
    gateway: &Gateway,
    watcher: String,
    presentity: String,
) -> Result<MigrationLook, Refused> {
    let (pair, role) = relation(gateway, watcher, presentity)?;
    let command = Command::List(Filter {
        pair: Some(pair.clone()),
        most: 2,
        ..Filter::default()
    });
    let mut found = None;
    for answered in gateway.inputs.ask(&command).await? {
        if let Answered::Relations(relations) = answered {
            found = relations.into_iter().find(|one| one.role == role).or(found);
        }
    }
    let decision = gateway.decisions.policy().decide(&pair);
    Ok(MigrationLook {
        xmpp_user: pair.jid.to_string(),
        sip_user: pair.aor.to_string(),
        xmpp_watches: role == Role::Subscriber,
        stands: stands(found.as_ref()),
        verdict: decision.verdict.to_string(),
        level: decision.level.to_string(),
    })
}

fn stands(relation: Option<&Relation>) -> MigrationStands {
    match relation {
        None => MigrationStands::Absent,
        Some(relation) if shows(relation) => MigrationStands::Works,
        Some(_) => MigrationStands::Asked,
    }
}

/// Whether the watcher is shown presence: its first notification came, or went out.
fn shows(relation: &Relation) -> bool {
    let notified = match relation.role {
        Role::Notifier => !relation.dialogs.is_empty(),
        Role::Subscriber => relation.state == "Active",
    };
    relation.granted && notified
}

/// Lets an XMPP user watch a SIP user as himself.
pub(super) async fn watch(
    gateway: &Gateway,
    watcher: String,
    presentity: String,
) -> Result<MigrationStep, Refused> {
    match relation(gateway, watcher, presentity)? {
        (pair, Role::Subscriber) => step(gateway, Command::Watch(pair)).await,
        // A SIP user's own client subscribes.
        (_, Role::Notifier) => Ok(MigrationStep { done: false }),
    }
}

/// Gives the old address up towards an XMPP user: it watches him no longer, and is watched by him
/// no longer.
pub(super) async fn give_up(
    gateway: &Gateway,
    admin: String,
    user: String,
) -> Result<MigrationStep, Refused> {
    let pair = users::pair(&gateway.config.load().directory, &[admin.clone(), user])?;
    if !matches!(
        users::user(&gateway.config.load().directory, &admin)?,
        Subject::Sip(_)
    ) {
        return Err(Refused::Unclear(Unclear::NotOurs(admin)));
    }
    step(gateway, Command::GiveUp(pair)).await
}

async fn step(gateway: &Gateway, command: Command) -> Result<MigrationStep, Refused> {
    let answers = gateway.inputs.ask(&command).await?;
    let done = answers
        .iter()
        .any(|answered| matches!(answered, Answered::Changed(1..)));
    Ok(MigrationStep { done })
}

fn relation(
    gateway: &Gateway,
    watcher: String,
    presentity: String,
) -> Result<(Pair, Role), Refused> {
    let config = gateway.config.load();
    let role = match users::user(&config.directory, &watcher)? {
        Subject::Sip(_) => Role::Notifier,
        Subject::Pair(_) | Subject::Xmpp(_) => Role::Subscriber,
    };
    let pair = users::pair(&config.directory, &[watcher, presentity])?;
    Ok((pair, role))
}
