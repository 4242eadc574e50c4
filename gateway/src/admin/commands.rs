//! From a line to its answer.

use std::time::Duration;

use jid::BareJid;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::admin::protocol::{Command, Drained, Found, PeerList, ReloadStatus, Version};
use crate::admin::users::Unclear;
use crate::admin::{Gateway, Order, decisions, migration, partner, status, watchers};
use crate::shards::Unanswered;
use crate::store::{Query, StoreError};
use crate::telemetry::events::ProcessEvent;

/// Relations in one answer.
const MOST_RELATIONS: usize = 10_000;
/// Longest time a drain may take; more is a mistake.
const LONGEST_DRAIN: Duration = Duration::from_secs(3_600);

/// Why a command cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It is none.
    #[error("this is not a command: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Who is meant is not clear.
    #[error(transparent)]
    Unclear(#[from] Unclear),
    /// No verdict has that name.
    #[error("{0} is no verdict: write allow, confirm, polite-block or block")]
    UnknownVerdict(String),
    /// No peer has that name or domain.
    #[error("no peer has the name or domain {0}")]
    UnknownPeer(String),
    /// There are two sides.
    #[error("{0} is no side: write xmpp or sip")]
    UnknownSide(String),
    /// The journal cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing of the pair is held.
    #[error("no request of {0} and {1} waits for a decision: acl set decides on them all the same")]
    NotPending(String, String),
    /// The shards have ended.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The time is out of range.
    #[error("a drain may take an hour at most")]
    TooLong,
    /// Nobody takes orders any more.
    #[error("the daemon is about to end")]
    Ending,
}

/// Answers one line; `user` is the number of the user who asks.
pub(super) async fn answer(gateway: &Gateway, line: &[u8], user: Option<u32>) -> Value {
    match carry_out(gateway, line, user).await {
        Ok(answer) => answer,
        Err(refused) => json!({ "ok": false, "error": refused.to_string() }),
    }
}

async fn carry_out(gateway: &Gateway, line: &[u8], user: Option<u32>) -> Result<Value, Refused> {
    match serde_json::from_slice(line)? {
        Command::Version => {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            ok(&Version { version })
        }
        Command::Status => ok(&status::status(gateway)),
        Command::PeerList => {
            let peers = status::peers(gateway);
            ok(&PeerList { peers })
        }
        Command::PeerStatus { peer } => match partner::report(gateway, &peer) {
            Some(report) => ok(&report),
            None => Err(Refused::UnknownPeer(peer)),
        },
        Command::PeerWhy { peer } => match partner::why(gateway, &peer).await {
            Some(why) => ok(&why),
            None => Err(Refused::UnknownPeer(peer)),
        },
        Command::MessageFind { wanted } => ok(&find(gateway, wanted).await?),
        Command::AclGet { users } => ok(&decisions::list(gateway, &users).await?),
        Command::AclSet { users, verdict } => {
            ok(&decisions::set(gateway, &users, &verdict, user).await?)
        }
        Command::AclRemove { users } => ok(&decisions::remove(gateway, &users, user).await?),
        Command::AclExplain { users } => ok(&decisions::explain(gateway, &users)?),
        Command::PendingList { user } => ok(&decisions::pending(gateway, user.as_deref()).await?),
        Command::PendingDecide { users, verdict } => {
            ok(&decisions::decide(gateway, &users, &verdict, user).await?)
        }
        Command::MigrationLook {
            watcher,
            presentity,
        } => ok(&migration::look(gateway, watcher, presentity).await?),
        Command::MigrationWatch {
            watcher,
            presentity,
        } => ok(&migration::watch(gateway, watcher, presentity).await?),
        Command::MigrationGiveUp { admin, user: whom } => {
            tell("migration-give-up", user);
            ok(&migration::give_up(gateway, admin, whom).await?)
        }
        Command::WatcherList { users, most } => {
            ok(&watchers::list(gateway, &users, most.min(MOST_RELATIONS)).await?)
        }
        Command::WatcherResync { users } => ok(&watchers::resync(gateway, &users, user).await?),
        Command::WatcherDrop { users, side } => {
            ok(&watchers::drop(gateway, &users, side.as_deref(), user).await?)
        }
        Command::UserForget { user: name } => ok(&watchers::forget(gateway, &name, user).await?),
        Command::PeerRelease { peer } => ok(&watchers::release(gateway, &peer, user)?),
        Command::Flush => {
            gateway.store.flush().await?;
            ok(&json!({}))
        }
        Command::Reload => reload(gateway, user).await,
        Command::Drain {
            timeout_seconds,
            for_good,
        } => {
            drain(
                gateway,
                Duration::from_secs(timeout_seconds),
                for_good,
                user,
            )
            .await
        }
    }
}

async fn reload(gateway: &Gateway, user: Option<u32>) -> Result<Value, Refused> {
    tell("reload", user);
    let (reply, outcome) = oneshot::channel();
    give(gateway, Order::Reload(reply)).await?;
    let reloaded = outcome.await.map_err(|_| Refused::Ending)?;
    ok(&ReloadStatus {
        applied: reloaded.applied,
        findings: reloaded.findings.iter().map(Into::into).collect(),
    })
}

async fn drain(
    gateway: &Gateway,
    grace: Duration,
    for_good: bool,
    user: Option<u32>,
) -> Result<Value, Refused> {
    if grace > LONGEST_DRAIN {
        return Err(Refused::TooLong);
    }
    tell(if for_good { "drain-for-good" } else { "drain" }, user);
    let (done, outcome) = oneshot::channel();
    let order = Order::Drain {
        grace,
        for_good,
        done,
    };
    give(gateway, order).await?;
    let clean = outcome.await.map_err(|_| Refused::Ending)?;
    ok(&Drained { clean })
}

/// The answer with its `ok`.
fn ok(answer: &impl Serialize) -> Result<Value, Refused> {
    let mut answer = serde_json::to_value(answer)?;
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("ok".to_owned(), Value::Bool(true));
    }
    Ok(answer)
}

fn tell(command: &str, user: Option<u32>) {
    ProcessEvent::AdminCommand { command, user }.emit();
}

async fn give(gateway: &Gateway, order: Order) -> Result<(), Refused> {
    gateway
        .orders
        .send(order)
        .await
        .map_err(|_| Refused::Ending)
}

/// Looks for a user if it may be one, else or without success for an identifier.
async fn find(gateway: &Gateway, wanted: String) -> Result<Found, Refused> {
    let user = wanted.strip_prefix("sip:").unwrap_or(&wanted);
    let user = BareJid::new(user).ok().filter(|user| user.node().is_some());
    let mut records = Vec::new();
    if let Some(user) = user {
        records = gateway.store.find(Query::User(user.to_string())).await?;
    }
    if records.is_empty() {
        records = gateway.store.find(Query::Id(wanted)).await?;
    }
    let messages = records.iter().map(status::message).collect();
    Ok(Found { messages })
}
