//! What one turn of the loop brought about.

use std::collections::BTreeMap;

use translators::shard::{Answered, Change, CommandId, Effects};

/// The effects of one turn, in order.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) steps: Vec<Step>,
}

/// What one input brought about.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) shard: u16,
    pub(super) effects: Effects,
    /// Whether it has to wait for the journal.
    pub(super) depends: bool,
}

impl Turn {
    /// Takes all changes out: those of steps that have to wait for the journal, and the others.
    pub(super) fn take_changes(&mut self) -> (Vec<Change>, Vec<Change>) {
        let (mut durable, mut lazy) = (Vec::new(), Vec::new());
        for step in &mut self.steps {
            let changes = std::mem::take(&mut step.effects.changes);
            let kind = if step.depends {
                &mut durable
            } else {
                &mut lazy
            };
            kind.extend(changes);
        }
        (durable, lazy)
    }

    /// Takes the answers for the operator out.
    pub(super) fn take_answers(&mut self) -> Vec<(CommandId, Answered)> {
        let steps = self.steps.iter_mut();
        steps
            .flat_map(|step| std::mem::take(&mut step.effects.answers))
            .collect()
    }

    /// Takes the steps out that waited for `changes` in vain, merged by shard.
    pub(super) fn take_back(&mut self, changes: Vec<Change>) -> BTreeMap<u16, Effects> {
        let mut refused: BTreeMap<u16, Effects> = BTreeMap::new();
        for change in changes {
            let effects = refused.entry(change.id.shard).or_default();
            effects.changes.push(change);
        }
        for step in self.steps.extract_if(.., |step| step.depends) {
            let effects = refused.entry(step.shard).or_default();
            effects.settled.extend(step.effects.settled);
            effects.recalls.extend(step.effects.recalls);
            effects.transmits.extend(step.effects.transmits);
            effects.events.extend(step.effects.events);
            effects.answers.extend(step.effects.answers);
        }
        refused
    }
}
