//! From the file to a [`Config`]: everything that is wrong is found in one go.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use certs::credentials::{Credentials, Source};
use certs::{Finding, Loaded};
use rustls_pki_types::UnixTime;
use translators::model::Side;

use crate::config::document::{Document, Path};
use crate::config::fault::Fault;
use crate::config::loader::Loader;
use crate::config::peers;
use crate::config::{
    Config, Dns, Log, LogFormat, Override, Process, SipSide, Srv, XmppSide, policy,
};
use crate::config::{check, files, hosts, schema};

/// Shortest and longest time for one name.
const LOOKUP_TIME: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Reads the configuration in `file`; with an error among the findings there is none.
pub fn load(file: &FilePath, now: UnixTime) -> Loaded<Config> {
    match files::read(file).map(String::from_utf8) {
        Ok(Ok(text)) => load_text(file, &text, now),
        Ok(Err(_)) => unreadable(file, &"it is not UTF-8"),
        Err(cause) => unreadable(file, &cause),
    }
}

/// Where the daemon of the configuration in `file` listens, whatever else is wrong with it.
pub fn admin_socket(file: &FilePath) -> Option<PathBuf> {
    let settings = settings(file)?.gateway;
    Some(file.parent()?.join(settings.admin_socket))
}

/// The folder of the journal that `file` names, whatever else is wrong with it.
pub fn state_folder(file: &FilePath) -> Option<PathBuf> {
    let settings = settings(file)?.gateway;
    Some(file.parent()?.join(settings.state_dir))
}

fn settings(file: &FilePath) -> Option<schema::File> {
    let text = String::from_utf8(files::read(file).ok()?).ok()?;
    let (fitting, _) = Document::parse(&text).0.fit(&schema::json_schema());
    serde_json::from_value(fitting).ok()
}

fn unreadable(file: &FilePath, cause: &dyn Display) -> Loaded<Config> {
    let finding = Finding::error(
        Fault::FileUnreadable.as_str(),
        file.display().to_string(),
        format!("The configuration cannot be read: {cause}."),
        "Give the path of the configuration with --config.",
    );
    (None, vec![finding])
}

/// Reads the configuration `text` that stands in `file`.
pub fn load_text(file: &FilePath, text: &str, now: UnixTime) -> Loaded<Config> {
    let (document, defects) = Document::parse(text);
    let (fitting, misfits) = document.fit(&schema::json_schema());
    let mut loader = Loader::new(file, &document, now);
    for defect in defects.into_iter().chain(misfits) {
        loader.take(defect);
    }
    let config = match serde_json::from_value(fitting) {
        Ok(file) => config(&mut loader, &file),
        Err(cause) => {
            let sentence = format!("The file fits its schema and cannot be read: {cause}.");
            let fix = "Report this as a defect of isthmus.";
            loader.error(Fault::BadValue, &Path::default(), sentence, fix);
            None
        }
    };
    let findings = loader.into_findings();
    let usable = !findings.iter().any(Finding::is_error);
    (config.filter(|_| usable), findings)
}

fn config(loader: &mut Loader<'_>, file: &schema::File) -> Option<Config> {
    let root = Path::default();
    let process = process(loader, &file.gateway);
    let (xmpp, sip) = (root.key("xmpp"), root.key("sip"));
    let listen = listeners(loader, &xmpp.key("listen"), &file.xmpp.listen);
    let listen_direct = listeners(loader, &xmpp.key("listen_direct"), &file.xmpp.listen_direct);
    let sip_listen = listeners(loader, &sip.key("listen"), &file.sip.listen);
    all_differ(loader, [&listen, &listen_direct, &sip_listen]);
    let xmpp_credentials = credentials(loader, &xmpp, &file.xmpp.identity);
    let sip_credentials = credentials(loader, &sip, &file.sip.identity);
    let dns = dns(loader, &file.dns);
    let policy = policy::load(loader, &file.federation, &file.policy);
    let peers = peers::load(loader, &file.peers);
    let hosts = hosts::load(loader, &file.sip, &peers);
    check::file(loader, file, &peers, &dns);
    if let Some(hosts) = &hosts {
        let credentials = sip_credentials.as_deref();
        hosts::check(
            loader,
            file,
            (hosts, &peers),
            (&sip_listen, &dns),
            credentials,
        );
    }
    for (side, credentials) in [
        (Side::Xmpp, &xmpp_credentials),
        (Side::Sip, &sip_credentials),
    ] {
        check::credentials(loader, side, credentials.as_deref(), &peers);
    }
    let (directory, peers) = peers.finish();
    Some(Config {
        process: process?,
        xmpp: XmppSide {
            listen,
            listen_direct,
            credentials: xmpp_credentials?,
        },
        sip: SipSide {
            listen: sip_listen,
            hosts: hosts?,
            credentials: sip_credentials?,
        },
        dns,
        directory: Arc::new(directory),
        policy: Arc::new(policy),
        peers,
    })
}

fn process(loader: &mut Loader<'_>, section: &schema::Gateway) -> Option<Process> {
    let path = Path::default().key("gateway").key("http");
    let http = loader.address(&path, &section.http);
    if http.is_some_and(|http| !http.ip().is_loopback()) {
        let http = &section.http;
        let sentence = format!("{http} is reachable from other machines, and nothing protects it.");
        let fix =
            "Use a loopback address such as 127.0.0.1:9464, and a proxy where others read it.";
        loader.error(Fault::HttpNotLoopback, &path, sentence, fix);
    }
    Some(Process {
        state_dir: loader.in_folder(&section.state_dir),
        admin_socket: loader.in_folder(&section.admin_socket),
        http: http?,
        shards: section.shards,
        log: log(section),
    })
}

const fn log(section: &schema::Gateway) -> Log {
    Log {
        level: match section.log_level {
            schema::LogLevel::Error => tracing::Level::ERROR,
            schema::LogLevel::Warn => tracing::Level::WARN,
            schema::LogLevel::Info => tracing::Level::INFO,
            schema::LogLevel::Debug => tracing::Level::DEBUG,
            schema::LogLevel::Trace => tracing::Level::TRACE,
        },
        format: match section.log_format {
            schema::LogFormat::Json => LogFormat::Json,
            schema::LogFormat::Text => LogFormat::Text,
        },
    }
}

fn listeners(loader: &mut Loader<'_>, path: &Path, texts: &[String]) -> Vec<SocketAddr> {
    let items = texts.iter().enumerate();
    items
        .filter_map(|(place, text)| loader.address(&path.item(place), text))
        .collect()
}

/// Says which listener stands twice; port 0 is another port each time.
fn all_differ(loader: &mut Loader<'_>, lists: [&Vec<SocketAddr>; 3]) {
    let mut seen = Vec::new();
    for address in lists
        .into_iter()
        .flatten()
        .filter(|address| address.port() != 0)
    {
        if seen.contains(&address) {
            let sentence = format!("Two listeners want {address}.");
            let fix = "Give each listener an address or port of its own.";
            loader.error(
                Fault::Duplicate,
                &Path::default().key("xmpp"),
                sentence,
                fix,
            );
        }
        seen.push(address);
    }
}

fn credentials(
    loader: &mut Loader<'_>,
    side: &Path,
    identities: &[schema::Identity],
) -> Option<Arc<Credentials>> {
    let path = side.key("identity");
    if identities.is_empty() {
        let sentence = "There is no certificate for this side, and every link needs one.";
        let fix = format!("Add [[{}]] with certificate and key.", path.dotted());
        loader.error(Fault::NoIdentity, &path, sentence, fix);
        return None;
    }
    let mut read = Vec::new();
    for (place, identity) in identities.iter().enumerate() {
        let path = path.item(place);
        let chain = loader.read(&path.key("certificate"), &identity.certificate);
        let key = loader.read_secret(&path.key("key"), &identity.key);
        let subject = identity.certificate.display().to_string();
        read.extend(
            chain
                .zip(key)
                .map(|(chain, key)| (path, subject, chain, key)),
        );
    }
    let sources = read.iter().map(|(_, subject, chain, key)| Source {
        subject,
        chain,
        key,
    });
    let sources: Vec<Source<'_>> = sources.collect();
    if sources.len() < identities.len() {
        return None;
    }
    let (credentials, findings) = Credentials::load(&sources, loader.now());
    for finding in findings {
        let place = read
            .iter()
            .find(|(_, subject, ..)| *subject == finding.subject);
        let path = place.map_or(&path, |(path, ..)| path);
        loader.adopt(path, finding);
    }
    credentials.map(Arc::new)
}

fn dns(loader: &mut Loader<'_>, section: &schema::Dns) -> Dns {
    let path = Path::default().key("dns");
    let servers = listeners(loader, &path.key("servers"), &section.servers);
    let timeout = loader.duration(&path.key("timeout"), &section.timeout, LOOKUP_TIME);
    let mut overrides = BTreeMap::new();
    for (place, section) in section.overrides.iter().enumerate() {
        let path = path.key("override").item(place);
        let Some(name) = loader.host(&path.key("name"), &section.name) else {
            continue;
        };
        let answer = answer(loader, &path, section);
        if overrides.insert(name.clone(), answer).is_some() {
            let sentence = format!("{name} has two static answers.");
            let fix = "Put all records of a name into one [[dns.override]].";
            loader.error(Fault::Duplicate, &path.key("name"), sentence, fix);
        }
    }
    Dns {
        servers,
        timeout: timeout.unwrap_or_default(),
        overrides,
    }
}

fn answer(loader: &mut Loader<'_>, path: &Path, section: &schema::Override) -> Override {
    let mut answer = Override::default();
    for (place, record) in section.srv.iter().enumerate() {
        let path = path.key("srv").item(place).key("target");
        let absent = record.target == ".";
        let target = if absent {
            Some(String::new())
        } else {
            loader.host(&path, &record.target)
        };
        answer.srv.extend(target.map(|target| Srv {
            priority: record.priority,
            weight: record.weight,
            target,
            port: record.port,
        }));
    }
    for (place, text) in section.addresses.iter().enumerate() {
        match text.parse() {
            Ok(address) => answer.addresses.push(address),
            Err(_) => {
                let path = path.key("addresses").item(place);
                let sentence = format!("\"{text}\" is not an IP address.");
                let fix = "Write it without a port, such as 192.0.2.1 or 2001:db8::1.";
                loader.error(Fault::BadAddress, &path, sentence, fix);
            }
        }
    }
    answer
}
