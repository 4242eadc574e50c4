//! The file while it is read: findings with their places, and the files it names.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use certs::Finding;
use rustls_pki_types::UnixTime;

use crate::config::document::{Defect, Document, Path};
use crate::config::fault::Fault;
use crate::config::files::{self, Unusable};
use crate::config::values;

/// The file while it is read.
pub(super) struct Loader<'a> {
    file: &'a FilePath,
    folder: &'a FilePath,
    document: &'a Document<'a>,
    now: UnixTime,
    findings: Vec<(usize, Finding)>,
}

impl<'a> Loader<'a> {
    /// Starts with nothing found.
    pub(super) fn new(file: &'a FilePath, document: &'a Document<'a>, now: UnixTime) -> Self {
        Self {
            file,
            folder: file.parent().unwrap_or_else(|| FilePath::new("")),
            document,
            now,
            findings: Vec::new(),
        }
    }

    /// The time by which certificates are judged.
    pub(super) const fn now(&self) -> UnixTime {
        self.now
    }

    /// Everything that was found, in the order of the file.
    pub(super) fn into_findings(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|(line, _)| *line);
        let findings = self.findings.into_iter();
        findings.map(|(_, finding)| finding).collect()
    }

    /// Whether the file says anything at `path`.
    pub(super) fn names(&self, path: &Path) -> bool {
        self.document.names(path)
    }

    /// `FILE:LINE KEY` of a path.
    pub(super) fn place(&self, path: &Path) -> String {
        let line = self.document.line(path);
        format!("{}:{line} {}", self.file.display(), path.dotted())
    }

    /// Takes a defect of the text.
    pub(super) fn take(&mut self, defect: Defect) {
        let Defect {
            fault,
            line,
            key,
            sentence,
            fix,
        } = defect;
        let place = format!("{}:{line} {key}", self.file.display());
        let finding = Finding::error(fault.as_str(), place.trim_end(), sentence, fix);
        self.findings.push((line, finding));
    }

    /// Says that the configuration cannot run like this.
    pub(super) fn error(
        &mut self,
        fault: Fault,
        path: &Path,
        sentence: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let place = self.place(path);
        let finding = Finding::error(fault.as_str(), place, sentence, fix);
        self.findings.push((self.document.line(path), finding));
    }

    /// Says that something will not work.
    pub(super) fn warn(
        &mut self,
        fault: Fault,
        path: &Path,
        sentence: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let place = self.place(path);
        let finding = Finding::warning(fault.as_str(), place, sentence, fix);
        self.findings.push((self.document.line(path), finding));
    }

    /// Takes a finding about the thing at `path`.
    pub(super) fn adopt(&mut self, path: &Path, finding: Finding) {
        let subject = format!("{} {}", self.place(path), finding.subject);
        let finding = Finding { subject, ..finding };
        self.findings.push((self.document.line(path), finding));
    }

    /// A path of the file, which starts at its folder.
    pub(super) fn in_folder(&self, path: &FilePath) -> PathBuf {
        self.folder.join(path)
    }

    /// Reads an address with its port.
    pub(super) fn address(&mut self, path: &Path, text: &str) -> Option<SocketAddr> {
        let address = values::address(text);
        if address.is_none() {
            let sentence = format!("\"{text}\" is not an address with a port.");
            let fix = "Write ADDRESS:PORT, such as 0.0.0.0:5269 or [::]:5269.";
            self.error(Fault::BadAddress, path, sentence, fix);
        }
        address
    }

    /// Reads a host name or an address without port.
    pub(super) fn host(&mut self, path: &Path, text: &str) -> Option<String> {
        let host = values::host_name(text);
        if host.is_none() {
            let sentence = format!("\"{text}\" is not a host name.");
            let fix = "Write letters, digits, hyphens and dots; international names as xn--.";
            self.error(Fault::BadDomain, path, sentence, fix);
        }
        host
    }

    /// Reads a duration between two bounds.
    pub(super) fn duration(
        &mut self,
        path: &Path,
        text: &str,
        bounds: (Duration, Duration),
    ) -> Option<Duration> {
        let (least, most) = bounds;
        let duration = values::duration(text).filter(|time| (least..=most).contains(time));
        if duration.is_none() {
            let sentence = format!("\"{text}\" is not a duration that can be used here.");
            let fix = format!("Write a number and ms, s, m or h, from {least:?} to {most:?}.");
            self.error(Fault::BadDuration, path, sentence, fix);
        }
        duration
    }

    /// Reads a file; an empty path was found missing before.
    pub(super) fn read(&mut self, path: &Path, name: &FilePath) -> Option<Vec<u8>> {
        if name.as_os_str().is_empty() {
            return None;
        }
        let file = self.in_folder(name);
        self.usable(path, &file, files::read(&file))
    }

    /// Reads a file that nobody but its owner may read.
    pub(super) fn read_secret(&mut self, path: &Path, name: &FilePath) -> Option<Vec<u8>> {
        if name.as_os_str().is_empty() {
            return None;
        }
        let file = self.in_folder(name);
        self.usable(path, &file, files::read_secret(&file))
    }

    fn usable(
        &mut self,
        path: &Path,
        file: &FilePath,
        content: Result<Vec<u8>, Unusable>,
    ) -> Option<Vec<u8>> {
        let name = file.display();
        match content {
            Ok(content) => return Some(content),
            Err(cause @ Unusable::Exposed { .. }) => {
                let sentence = format!("The key {name} is not secret: {cause}.");
                let fix =
                    format!("Run chmod 600 {name}, and let it belong to the user of the daemon.");
                self.error(Fault::KeyExposed, path, sentence, fix);
            }
            Err(cause @ (Unusable::Io(_) | Unusable::NotAFile)) => {
                self.unreadable(path, file, &cause);
            }
        }
        None
    }

    fn unreadable(&mut self, path: &Path, file: &FilePath, cause: &dyn Display) {
        let sentence = format!("{} cannot be read: {cause}.", file.display());
        let fix =
            "Correct the path (it starts at the folder of this file), or the rights of the file.";
        self.error(Fault::FileUnreadable, path, sentence, fix);
    }
}
