//! Reading the files that the configuration names.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Largest file that is read: lists of public CAs and revocation lists stay below.
const LARGEST: u64 = 16 * 1024 * 1024;
/// Rights of group and others.
const OTHERS: u32 = 0o077;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// The system says no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no file, or a huge one.
    #[error("it is larger than 16 MiB, or not a file")]
    NotAFile,
    /// Others may read it.
    #[error("group or others may read it (mode {mode:o})")]
    Exposed {
        /// Its rights.
        mode: u32,
    },
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Unusable> {
    let file = File::open(path)?;
    take(file)
}

/// Reads a file that nobody but its owner may read.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, Unusable> {
    let file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(Unusable::Exposed { mode });
    }
    take(file)
}

fn take(file: File) -> Result<Vec<u8>, Unusable> {
    let facts = file.metadata()?;
    if !facts.is_file() || facts.len() > LARGEST {
        return Err(Unusable::NotAFile);
    }
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content)?;
    Ok(content)
}
