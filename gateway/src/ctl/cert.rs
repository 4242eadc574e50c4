//! Certificates for a lab, or for two partners who know each other.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use certs::authority::{Authority, CaRequest};
use certs::inspect::{Facts, Unreadable};
use certs::names::Name;
use certs::request::{BOTH, KeyKind, Refused, Request};
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};
use translators::model::Wall;

use crate::ctl::args::{CertSide, InitCa, Issue};
use crate::ctl::check::FileFault;
use crate::ctl::{Console, Exit, Failure};
use crate::telemetry::logs::printable;

/// Validity starts this long ago: clocks of peers may be behind.
const BACKDATED: Duration = Duration::from_secs(3_600);
/// Rights of certificates and of keys.
const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// Why a certificate cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertFault {
    /// It would replace another.
    #[error("{} is there already; {hint}", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// A name or key cannot be used.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The file holds no certificate.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: Unreadable,
    },
}

/// `cert init-ca`.
pub(super) fn init_ca(console: &mut Console<'_>, wish: &InitCa) -> Result<Exit, Failure> {
    let mut folder = DirBuilder::new();
    let made = folder.recursive(true).mode(0o755).create(&wish.dir);
    made.map_err(|source| FileFault::new(&wish.dir, source))?;
    let (certificate, key) = (wish.dir.join("ca.pem"), wish.dir.join("ca.key"));
    for path in [&key, &certificate] {
        if path.exists() {
            let (path, hint) = (path.clone(), "move the old CA away first");
            return Err(CertFault::Exists { path, hint }.into());
        }
    }
    let ca = Authority::init(&CaRequest {
        common_name: wish.name.clone(),
        key_kind: KeyKind::P256,
        not_before: backdated(console),
        days: wish.days,
    });
    let ca = ca.map_err(CertFault::from)?;
    write(&key, &ca.key_pem(), SECRET)?;
    write(&certificate, &ca.certificate_pem(), PUBLIC)?;
    made_files(console, "CA", &certificate, &key)?;
    Ok(Exit::Fine)
}

/// `cert issue`.
pub(super) fn issue(console: &mut Console<'_>, wish: &Issue) -> Result<Exit, Failure> {
    let ca = Authority::load(
        &read(&wish.dir.join("ca.pem"))?,
        &read(&wish.dir.join("ca.key"))?,
    );
    let ca = ca.map_err(CertFault::from)?;
    let first = wish.name.first().cloned().unwrap_or_default();
    let prefix = wish.out.clone().unwrap_or_else(|| PathBuf::from(&first));
    let (certificate, key) = (with_ending(&prefix, ".pem"), with_ending(&prefix, ".key"));
    for path in [&key, &certificate] {
        if path.exists() && !wish.force {
            let (path, hint) = (path.clone(), "give --force to replace it");
            return Err(CertFault::Exists { path, hint }.into());
        }
    }
    let issued = ca.issue(&Request {
        common_name: first,
        names: wish
            .name
            .iter()
            .flat_map(|name| names(wish.side, name))
            .collect(),
        eku: BOTH.to_vec(),
        key_kind: if wish.rsa {
            KeyKind::Rsa2048
        } else {
            KeyKind::P256
        },
        not_before: backdated(console),
        days: wish.days,
    });
    let issued = issued.map_err(CertFault::from)?;
    write(&key, &issued.key_pem, SECRET)?;
    write(&certificate, &issued.chain_pem, PUBLIC)?;
    made_files(console, "certificate", &certificate, &key)?;
    Ok(Exit::Fine)
}

/// The names for one domain. No xmppAddr: ejabberd 23 cannot read such a certificate.
fn names(side: CertSide, domain: &str) -> Vec<Name> {
    let dns = Name::Dns(domain.to_ascii_lowercase());
    match side {
        CertSide::Xmpp => vec![dns],
        CertSide::Sip => vec![
            Name::SipUri(format!("sip:{}", domain.to_ascii_lowercase())),
            dns,
        ],
    }
}

/// `cert inspect`.
pub(super) fn inspect(console: &mut Console<'_>, file: &Path) -> Result<Exit, Failure> {
    let chain = Facts::read_pem(&read(file)?).map_err(|source| CertFault::Unreadable {
        path: file.to_owned(),
        source,
    })?;
    let now = console.clock.unix_time();
    if console.json {
        let chain: Vec<Value> = chain.iter().map(|facts| value(facts, now)).collect();
        console.value(&json!({ "ok": true, "certificates": chain }))?;
    } else {
        for (place, facts) in chain.iter().enumerate() {
            console.line(&format!("certificate {} of {}", place + 1, chain.len()))?;
            for (name, text) in facts_for_people(facts, now) {
                console.line(&format!("  {name:<12} {}", printable(&text)))?;
            }
        }
    }
    let valid = |facts: &Facts| facts.not_before <= now && now <= facts.not_after;
    Ok(if chain.iter().all(valid) {
        Exit::Fine
    } else {
        Exit::Problem
    })
}

fn facts_for_people(facts: &Facts, now: UnixTime) -> Vec<(&'static str, String)> {
    let names = facts
        .names
        .iter()
        .map(|name| format!("{} {}", kind(name), name.text()));
    let uses = facts.purposes.iter().map(ToString::to_string);
    let uses = if facts.purposes.is_empty() {
        "any".to_owned()
    } else {
        join(uses)
    };
    let mut rows = vec![
        ("subject", facts.subject.clone()),
        ("issuer", facts.issuer.clone()),
        ("names", join(names)),
        ("valid", validity(facts, now)),
        ("use", uses),
        ("key", facts.key.to_string()),
        ("signature", facts.signature.to_string()),
        ("serial", facts.serial.clone()),
        ("fingerprint", fingerprint(facts)),
        ("pin", facts.pin.to_string()),
    ];
    if facts.is_ca {
        rows.push(("CA", "yes".to_owned()));
    }
    rows
}

fn value(facts: &Facts, now: UnixTime) -> Value {
    let names = facts.names.iter();
    json!({
        "subject": facts.subject,
        "issuer": facts.issuer,
        "names": names.map(|name| json!({ "kind": kind(name), "name": name.text() })).collect::<Vec<_>>(),
        "not_before": date(facts.not_before),
        "not_after": date(facts.not_after),
        "valid_now": facts.not_before <= now && now <= facts.not_after,
        "use": facts.purposes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "key": facts.key.to_string(),
        "signature": facts.signature.to_string(),
        "serial": facts.serial,
        "fingerprint": fingerprint(facts),
        "pin": facts.pin.to_string(),
        "ca": facts.is_ca,
    })
}

const fn kind(name: &Name) -> &'static str {
    match name {
        Name::Dns(_) => "DNS",
        Name::Ip(_) => "IP",
        Name::SipUri(_) => "URI",
        Name::Srv(_) => "SRVName",
        Name::XmppAddr(_) => "xmppAddr",
    }
}

fn validity(facts: &Facts, now: UnixTime) -> String {
    const DAY: u64 = 86_400;
    let (from, to) = (date(facts.not_before), date(facts.not_after));
    let remark = if now > facts.not_after {
        "EXPIRED".to_owned()
    } else if now < facts.not_before {
        "NOT YET VALID".to_owned()
    } else {
        let days = facts.not_after.as_secs().saturating_sub(now.as_secs()) / DAY;
        format!("{days} days left")
    };
    format!("{from} to {to} ({remark})")
}

fn date(time: UnixTime) -> String {
    let millis = i64::try_from(time.as_secs().saturating_mul(1_000)).unwrap_or(i64::MAX);
    Wall::from_unix_millis(millis).to_rfc3339()
}

fn fingerprint(facts: &Facts) -> String {
    let octets = facts.fingerprint.iter().map(|octet| format!("{octet:02X}"));
    format!("SHA-256 {}", octets.collect::<Vec<_>>().join(":"))
}

fn join(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}

fn backdated(console: &Console<'_>) -> UnixTime {
    let now = Duration::from_secs(console.clock.unix_time().as_secs());
    UnixTime::since_unix_epoch(now.saturating_sub(BACKDATED))
}

fn with_ending(prefix: &Path, ending: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn read(path: &Path) -> Result<Vec<u8>, FileFault> {
    fs::read(path).map_err(|source| FileFault::new(path, source))
}

/// Writes a file that has its rights from the first moment, also where an older one is replaced.
fn write(path: &Path, content: &str, mode: u32) -> Result<(), FileFault> {
    let replace = || -> io::Result<()> {
        match fs::remove_file(path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(content.as_bytes())
    };
    replace().map_err(|source| FileFault::new(path, source))
}

fn made_files(
    console: &mut Console<'_>,
    what: &str,
    certificate: &Path,
    key: &Path,
) -> io::Result<()> {
    if console.json {
        return console.value(&json!({ "ok": true, "certificate": certificate, "key": key }));
    }
    console.line(&format!("{what}: {}", certificate.display()))?;
    console.line(&format!("its key, to be kept secret: {}", key.display()))
}
