//! The log: one line per event on standard error, written by a thread of its own, so that a slow
//! reader never stops a message.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::{Log, LogFormat};
use crate::telemetry::metrics::Metric;

/// Lines that may wait to be written.
const WAITING: usize = 16_384;

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
struct Lines {
    thread: SyncSender<Line>,
    lost: Arc<AtomicU64>,
}

enum Line {
    /// To be written.
    Text(Vec<u8>),
    /// To be let go when everything before is written.
    Flush(SyncSender<()>),
}

impl Lines {
    fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&receiver, sink, &counter))?;
        Ok(Self {
            thread: sender,
            lost,
        })
    }

    fn flush(&self) {
        let (end, written) = sync_channel::<()>(0);
        if self.thread.send(Line::Flush(end)).is_ok() {
            // Ends when the thread lets go of its end.
            written.iter().for_each(drop);
        }
    }
}

/// Writes lines until nobody can send any more. A sink that fails loses lines, never the process.
fn write_all(lines: &Receiver<Line>, sink: impl Write, lost: &AtomicU64) {
    let mut sink = io::BufWriter::new(sink);
    while let Ok(first) = lines.recv() {
        let mut failed = 0;
        for line in std::iter::once(first).chain(lines.try_iter()) {
            match line {
                Line::Text(text) => failed += u64::from(sink.write_all(&text).is_err()),
                Line::Flush(end) => {
                    failed += u64::from(sink.flush().is_err());
                    drop(end);
                }
            }
        }
        failed += u64::from(sink.flush().is_err());
        let lost = lost.swap(0, Ordering::Relaxed) + failed;
        if lost > 0 {
            Metric::LogLinesLost.add(lost, &[]);
        }
    }
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
        let text = Line::Text(one_line(line).into_owned());
        if self.thread.try_send(text).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
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
    use std::sync::Mutex;

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
