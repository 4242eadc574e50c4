//! The log: one line per event on standard error, written by a thread of its own, so that a slow
//! reader never stops a message.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, LockResult, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Log, LogFormat};
use crate::telemetry::metrics::Metric;

/// Octets that may wait to be written.
const WAITING: usize = 4 * 1_024 * 1_024;
/// After it has written, the thread lets lines gather for this long: to be woken for each would cost
/// more than the line.
const PAUSE: Duration = Duration::from_millis(10);

/// The running log; every copy is the same log.
#[derive(Clone)]
pub struct Logging {
    level: reload::Handle<Targets, Registry>,
    lines: Lines,
}

/// Why the log cannot be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    /// The process logs already.
    #[error("the process logs already")]
    Started(#[from] tracing::subscriber::SetGlobalDefaultError),
    /// No thread could be started to write it.
    #[error("no thread can be started to write the log")]
    Thread(#[from] io::Error),
}

/// Starts the log of the process.
pub fn start(log: &Log) -> Result<Logging, LogFault> {
    let lines = Lines::start(io::stderr())?;
    let (filter, level) = reload::Layer::new(targets(log.level));
    let layer = layer().with_ansi(false).with_target(false);
    let layer = layer.with_writer(lines.clone());
    let layer = match log.format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer.boxed(),
    };
    tracing::subscriber::set_global_default(Registry::default().with(filter).with(layer))?;
    Ok(Logging { level, lines })
}

/// Our own lines from `level` on; of the libraries only what is at least a warning.
fn targets(level: Level) -> Targets {
    Targets::new()
        .with_default(level.min(Level::WARN))
        .with_target("gateway", level)
}

impl Logging {
    /// Shows lines from `level` on.
    pub fn show(&self, level: Level) -> Result<(), reload::Error> {
        self.level.reload(targets(level))
    }

    /// Waits until everything said so far is written.
    pub fn flush(&self) {
        self.lines.flush();
    }
}

/// The way of lines to the thread that writes them.
#[derive(Clone)]
struct Lines(Arc<Shared>);

struct Shared {
    pending: Mutex<Pending>,
    /// Something waits to be written.
    filled: Condvar,
    /// What was taken is written.
    written: Condvar,
}

/// What waits to be written.
#[derive(Default)]
struct Pending {
    text: Vec<u8>,
    lost: u64,
    /// How often the thread took what waited.
    taken: u64,
    /// How often it has written that.
    written: u64,
}

impl Lines {
    fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let lines = Self(Arc::new(Shared {
            pending: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        }));
        let writer = lines.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_all(sink))?;
        Ok(lines)
    }

    /// Adds a line, or loses it if too much waits already.
    fn add(&self, line: &[u8]) {
        let mut pending = self.lock();
        if pending.text.len() + line.len() > WAITING {
            pending.lost += 1;
            return;
        }
        let first = pending.text.is_empty();
        pending.text.extend_from_slice(line);
        drop(pending);
        if first {
            self.0.filled.notify_one();
        }
    }

    /// Waits until everything that waits now is written.
    fn flush(&self) {
        let pending = self.lock();
        let last = pending.taken + u64::from(!pending.text.is_empty());
        let unwritten = |pending: &mut Pending| pending.written < last;
        drop(open(self.0.written.wait_while(pending, unwritten)));
    }

    /// Writes what comes, for ever. A sink that fails loses lines, never the process.
    fn write_all(&self, mut sink: impl Write) {
        let mut text = Vec::new();
        loop {
            let idle = |pending: &mut Pending| pending.text.is_empty();
            let mut pending = open(self.0.filled.wait_while(self.lock(), idle));
            std::mem::swap(&mut pending.text, &mut text);
            pending.taken += 1;
            let mut lost = std::mem::take(&mut pending.lost);
            drop(pending);
            if sink.write_all(&text).and_then(|()| sink.flush()).is_err() {
                lost += text
                    .iter()
                    .map(|octet| u64::from(*octet == b'\n'))
                    .sum::<u64>();
            }
            text.clear();
            self.lock().written += 1;
            self.0.written.notify_all();
            if lost > 0 {
                Metric::LogLinesLost.add(lost, &[]);
            }
            thread::sleep(PAUSE);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        open(self.0.pending.lock())
    }
}

/// A text that a panic left behind is still one of whole lines.
fn open<T>(locked: LockResult<T>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// Takes one whole line.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(&one_line(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line without anything that could end it early, move the cursor or turn the text around:
/// parts of it come from peers.
fn one_line(line: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(line);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    match printable(text) {
        Cow::Borrowed(_) => Cow::Borrowed(line),
        Cow::Owned(safe) => Cow::Owned((safe + "\n").into_bytes()),
    }
}

/// The text with everything escaped that could disturb a log or a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_dangerous(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Control characters, line separators and bidirectional controls.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn what_a_peer_sends_cannot_make_a_second_line() {
        let line = one_line("cause=a\r\n2026 INFO fake\u{1b}[31m\u{202e}\n".as_bytes());

        let text = std::str::from_utf8(&line).unwrap();
        assert_eq!(
            text,
            "cause=a\\u{d}\\u{a}2026 INFO fake\\u{1b}[31m\\u{202e}\n"
        );
        assert!(matches!(one_line(b"plain\n"), Cow::Borrowed(b"plain\n")));
    }

    #[test]
    fn a_flush_returns_when_everything_before_is_written() {
        let sink = Sink::default();
        let lines = Lines::start(sink.clone()).unwrap();

        for number in 0..100 {
            writeln!(&lines, "line {number}").unwrap();
        }
        lines.flush();

        assert!(sink.text().ends_with("line 99\n"));
    }

    /// A sink that waits to be let go before it takes anything.
    struct Slow(std::sync::mpsc::Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_loses_lines_and_stops_nobody() {
        let (release, held) = std::sync::mpsc::channel();
        let lines = Lines::start(Slow(held)).unwrap();
        let line = [b'x'; 1_024];

        for _ in 0..3 * WAITING / line.len() {
            lines.add(&line);
        }

        let pending = lines.lock();
        assert!(pending.text.len() <= WAITING);
        assert!(pending.lost >= (WAITING / line.len()) as u64);
        drop(pending);
        drop(release);
        lines.flush();
    }

    #[test]
    fn events_become_lines_with_their_fields() {
        let sink = Sink::default();
        let lines = Lines::start(sink.clone()).unwrap();
        let layer = layer()
            .with_ansi(false)
            .with_target(false)
            .with_writer(lines.clone());
        let subscriber = Registry::default().with(targets(Level::INFO)).with(layer);

        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(what = "link_up", peer = %"a\nb");
            tracing::debug!(what = "not_shown");
        });
        lines.flush();

        let text = sink.text();
        assert!(
            text.contains(" INFO what=\"link_up\" peer=a\\u{a}b\n"),
            "{text}"
        );
        assert!(!text.contains("not_shown"));
    }
}
