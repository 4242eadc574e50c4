//! What the journal kept comes into the shards.

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use translators::model::Wall;

use crate::shards::group::Group;
use crate::store::{Kept, NoAddress, Piece, Read, StoreError};

/// What a group takes up before it takes turns.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) pieces: mpsc::Receiver<Piece>,
    pub(super) from_backup: Option<Wall>,
    /// Told when there are no more pieces, and what they brought about is permanent.
    pub(super) done: oneshot::Sender<Result<(), NoAddress>>,
}

/// Why the shards cannot take up what the journal kept.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    /// A row makes no sense.
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    /// The journal cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Starts the groups and reads into them what the journal kept, which ends when they have taken up
/// all of it.
pub async fn load(
    kept: Kept,
    shards: u16,
    groups: Vec<Group>,
) -> Result<(Vec<JoinHandle<()>>, Read), LoadFault> {
    let (mut senders, mut tasks, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for group in groups {
        let (sender, pieces) = mpsc::channel(PIECES);
        let (done, end) = oneshot::channel();
        let load = Load {
            pieces,
            from_backup: kept.from_backup,
            done,
        };
        senders.push(sender);
        ends.push(end);
        tasks.push(tokio::spawn(group.run(load)));
    }
    let reading = spawn_blocking(move || {
        kept.read(shards, |piece| {
            // Shards are dealt out to groups in turn.
            let group = senders.get(usize::from(piece.shard) % senders.len().max(1));
            group.is_some_and(|group| group.blocking_send(piece).is_ok())
        })
    });
    let read = reading.await.unwrap_or(Err(StoreError::Closed));
    for end in ends {
        // A group that has broken has told so itself.
        end.await.unwrap_or(Ok(()))?;
    }
    Ok((tasks, read?))
}

/// Pieces that wait for a group: enough to keep it busy while the next are read.
const PIECES: usize = 4;
