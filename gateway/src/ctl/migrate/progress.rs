//! What a migration has done for good, in a file beside its list: one user a line.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The file, held by one run.
#[derive(Debug)]
pub(super) struct Progress {
    file: File,
    /// Towards whom the old address was given up.
    given_up: BTreeSet<String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::ctl) enum Unusable {
    /// Another run works on it.
    #[error("another migration works with {}", .0.display())]
    InUse(PathBuf),
    /// The system says no.
    #[error("{} cannot be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Progress {
    /// Opens the file of an earlier run, or a new one.
    pub(super) fn open(path: &Path) -> Result<Self, Unusable> {
        let unusable = |source| Unusable::Io {
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).read(true).open(path);
        let mut file = file.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Unusable::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(unusable)?;
        // A line without its end was not finished, and its user is told again, which does no harm.
        let whole = text.rfind('\n').map_or(0, |end| end.saturating_add(1));
        file.set_len(whole as u64).map_err(unusable)?;
        let lines = text
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'));
        Ok(Self {
            given_up: lines.map(str::to_owned).collect(),
            file,
        })
    }

    /// Whether the old address was given up towards a user.
    pub(super) fn is_given_up(&self, user: &str) -> bool {
        self.given_up.contains(user)
    }

    /// Towards how many users it was given up, in this run and before.
    pub(super) fn given_up(&self) -> usize {
        self.given_up.len()
    }

    /// Takes note that it was given up towards a user.
    pub(super) fn give_up(&mut self, user: &str) -> io::Result<()> {
        writeln!(self.file, "{user}")?;
        self.file.sync_data()?;
        self.given_up.insert(user.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_known_to_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.progress");
        let mut progress = Progress::open(&path).unwrap();
        progress.give_up("juliet@xmpp.example").unwrap();
        assert!(matches!(Progress::open(&path), Err(Unusable::InUse(_))));
        drop(progress);
        std::fs::write(&path, "juliet@xmpp.example\nnurse@xmpp.exa").unwrap();

        let mut progress = Progress::open(&path).unwrap();

        assert!(progress.is_given_up("juliet@xmpp.example"));
        assert!(!progress.is_given_up("nurse@xmpp.exa"));
        progress.give_up("nurse@xmpp.example").unwrap();
        drop(progress);
        let progress = Progress::open(&path).unwrap();
        assert!(progress.is_given_up("nurse@xmpp.example"));
        assert_eq!(progress.given_up(), 2);
    }
}
