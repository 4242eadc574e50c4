//! What the operator decides on pairs and users while the daemon runs.
//!
//! A decision is on the disk before it acts, and it acts on everything that lives: the shards get
//! the new policy and decide anew on whom it is about.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jid::BareJid;
use tokio::sync::Mutex;
use translators::model::Directory;
use translators::policy::{Acl, Affected, Policy, Subject, Verdict};

use crate::clock::Clock;
use crate::shards::Inputs;
use crate::store::{AclChange, AclRow, Store, StoreError};
use crate::telemetry::events::DecisionEvent;

/// The policy in use, and the only way to change it. Every copy is the same.
#[derive(Clone, Debug)]
pub struct Decisions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    policy: ArcSwap<Policy>,
    /// Held while the policy changes, so that disk, memory and shards see the changes in one order.
    changing: Mutex<()>,
    store: Store,
    inputs: Inputs,
    clock: Clock,
}

/// What a change found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// What was decided on the subject before.
    pub before: Option<Verdict>,
}

impl Decisions {
    /// Starts with the policy that the shards were started with.
    pub fn new(policy: Arc<Policy>, store: Store, inputs: Inputs, clock: Clock) -> Self {
        DecisionEvent::count(policy.acl().len());
        Self(Arc::new(Inner {
            policy: ArcSwap::new(policy),
            changing: Mutex::new(()),
            store,
            inputs,
            clock,
        }))
    }

    /// The policy in use.
    pub fn policy(&self) -> Arc<Policy> {
        self.0.policy.load_full()
    }

    /// Takes the peers and the policy of a new configuration; decisions on pairs and users stay.
    pub async fn configure(&self, directory: &Arc<Directory>, configured: &Policy) {
        let _changing = self.0.changing.lock().await;
        let acl = self.policy().acl().clone();
        let policy = Arc::new(configured.with_acl(acl));
        self.0.policy.store(Arc::clone(&policy));
        self.0.inputs.configure(directory, &policy).await;
    }

    /// Decides on a pair or a user; `by` is the number of the user who asks for it.
    pub async fn set(
        &self,
        subject: Subject,
        verdict: Verdict,
        by: Option<u32>,
    ) -> Result<Changed, StoreError> {
        self.change(subject, Some(verdict), by).await
    }

    /// Takes a decision back, as if there had never been one.
    pub async fn remove(&self, subject: Subject, by: Option<u32>) -> Result<Changed, StoreError> {
        self.change(subject, None, by).await
    }

    /// Takes every decision back that names a user of either side; returns how many there were. For
    /// a user who was deleted: one who is made anew under his name inherits nothing.
    pub async fn forget(&self, user: &BareJid, by: Option<u32>) -> Result<usize, StoreError> {
        let _changing = self.0.changing.lock().await;
        let mut acl = self.policy().acl().clone();
        let rows = acl.naming(user);
        if rows.is_empty() {
            return Ok(0);
        }
        let gone = rows.iter().map(|(subject, _)| subject.clone());
        let changes = gone.map(AclChange::Remove).collect();
        self.0.store.decide(changes).await?;
        for (subject, before) in &rows {
            acl.remove(subject);
            DecisionEvent {
                subject,
                before: Some(*before),
                after: None,
                by,
            }
            .emit();
        }
        self.publish(acl, &Affected::User(user.clone())).await;
        Ok(rows.len())
    }

    async fn change(
        &self,
        subject: Subject,
        after: Option<Verdict>,
        by: Option<u32>,
    ) -> Result<Changed, StoreError> {
        let _changing = self.0.changing.lock().await;
        let mut acl = self.policy().acl().clone();
        let before = acl.find(&subject);
        if before == after {
            return Ok(Changed { before });
        }
        let change = match after {
            Some(verdict) => AclChange::Set(AclRow {
                subject: subject.clone(),
                verdict,
                changed_at: self.0.clock.now().wall,
                changed_by: by,
            }),
            None => AclChange::Remove(subject.clone()),
        };
        self.0.store.decide(vec![change]).await?;
        match after {
            Some(verdict) => acl.set(subject.clone(), verdict),
            None => acl.remove(&subject),
        };
        DecisionEvent {
            subject: &subject,
            before,
            after,
            by,
        }
        .emit();
        self.publish(acl, &Affected::of(&subject)).await;
        Ok(Changed { before })
    }

    async fn publish(&self, acl: Acl, affected: &Affected) {
        DecisionEvent::count(acl.len());
        let policy = Arc::new(self.policy().with_acl(acl));
        self.0.policy.store(Arc::clone(&policy));
        self.0.inputs.decide(&policy, affected).await;
    }
}
