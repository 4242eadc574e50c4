//! The journal: one thread merges the changes of all shards into one commit.

mod acl;
mod backup;
mod behind;
mod checkpoint;
mod kept;
mod mark;
mod relations;
mod row;
mod sqlite;
mod thread;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use translators::shard::Change;

pub use acl::{AclChange, AclRow};
pub use backup::{BackupFault, Copied, back_up, put_back};
pub use kept::{Kept, NoAddress, Piece, Read};
pub use mark::Mark;
pub use thread::{Store, open};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store thread has ended.
    #[error("the journal is closed")]
    Closed,
    /// The state folder or its lock file cannot be used.
    #[error("{} cannot be opened: {source}", path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another daemon works on it.
    #[error("another isthmusd works on the journal in {}", .0.display())]
    InUse(PathBuf),
    /// It was written by a later version of this program.
    #[error(
        "the journal has schema {found}, this version knows up to {known}: \
         start the version that wrote it, or move isthmus.db away"
    )]
    Newer {
        /// Version of the file.
        found: usize,
        /// Newest version that can be read.
        known: usize,
    },
    /// Nothing can be written for now.
    #[error("the journal takes no changes")]
    ReadOnly,
    /// SQLite reports an error.
    #[error("the journal cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Which messages to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// By the sender's identifier or by the journal's own key.
    Id(String),
    /// By one of the two users, as bare JID or JID image.
    User(String),
}

/// These changes were not made permanent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal takes no changes")]
pub struct NotStored(pub Vec<Change>);
