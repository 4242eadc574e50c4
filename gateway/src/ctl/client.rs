//! One question to the daemon.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::admin::protocol::Command;

/// Time for an answer that needs no work.
pub(super) const PROMPT: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// Nobody listens.
    #[error("no isthmusd answers at {}: {source}", path.display())]
    Unreachable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It answered with an error.
    #[error("{0}")]
    Refused(String),
    /// It went away, or takes too long.
    #[error("the daemon did not answer: {0}")]
    Lost(#[from] io::Error),
}

/// Asks the daemon and waits at most `patience` for its answer.
pub(super) fn ask(path: &Path, command: &Command, patience: Duration) -> Result<Value, Unanswered> {
    let unreachable = |source| Unanswered::Unreachable {
        path: path.to_owned(),
        source,
    };
    let mut stream = UnixStream::connect(path).map_err(unreachable)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(PROMPT))?;
    let question = serde_json::to_string(command).map_err(io::Error::from)?;
    writeln!(stream, "{question}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        let gone = io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection");
        return Err(Unanswered::Lost(gone));
    }
    let answer: Value = serde_json::from_str(&answer).map_err(io::Error::from)?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(Unanswered::Refused(error.to_owned())),
        None => Ok(answer),
    }
}
