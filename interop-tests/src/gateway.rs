//! The binaries under test: finds them, configures them, starts and stops them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use toml::Table;

use crate::authority::{Key, Wish};
use crate::http;
use crate::inbox::until;
use crate::lab::{HTTP, Host, Lab, S2S, S2S_DIRECT, SIPS, folder_from_environment, write};
use crate::process::{Launch, Output, Process, output};
use crate::xmpp_server::{Reach, publish};

const READY_LIMIT: Duration = Duration::from_secs(30);
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// The name under which SIP peers reach the gateway.
const NAME: &str = "gw.example";

/// The path of one of the project's binaries.
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = match folder_from_environment("ISTHMUS_BIN_DIR") {
        Some(folder) => folder,
        None => target_folder()?,
    };
    let path = folder.join(name);
    ensure!(
        path.is_file(),
        "{} does not exist: build the workspace first (cargo build --workspace), or set \
         ISTHMUS_BIN_DIR to the folder with isthmusd and isthmusctl",
        path.display()
    );
    Ok(path)
}

/// The folder that cargo builds binaries into: where we are, or above it for a test executable.
fn target_folder() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("an executable lies in a folder")?;
    if folder.ends_with("deps") {
        return Ok(folder.parent().unwrap_or(folder).to_owned());
    }
    Ok(folder.to_owned())
}

/// One `[[peer]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Peer {
    table: Table,
}

impl Peer {
    /// An XMPP peer with certificates of the lab's authority.
    pub fn xmpp(lab: &Lab, name: &str, domain: &str) -> Self {
        Self::new(lab, "xmpp", name, domain)
    }

    /// A SIP peer that is found at `host`.
    pub fn sip(lab: &Lab, name: &str, domain: &str, host: Host) -> Self {
        let route = lab.at(host, SIPS).to_string();
        Self::new(lab, "sip", name, domain).set("route", vec![route])
    }

    /// A SIP peer that is found by DNS.
    pub fn sip_by_dns(lab: &Lab, name: &str, domain: &str) -> Self {
        Self::new(lab, "sip", name, domain)
    }

    fn new(lab: &Lab, side: &str, name: &str, domain: &str) -> Self {
        let authority = lab.authority().pem().to_string_lossy().into_owned();
        Self {
            table: Table::new(),
        }
        .set("name", name)
        .set("side", side)
        .set("domains", vec![domain])
        .set("ca", authority)
    }

    /// Sets a key.
    pub fn set(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.table.insert(key.to_owned(), value.into());
        self
    }

    fn is_on(&self, side: &str) -> bool {
        self.table.get("side").and_then(toml::Value::as_str) == Some(side)
    }

    fn domains(&self) -> Vec<String> {
        ["domains", "subdomains"]
            .iter()
            .filter_map(|key| self.table.get(*key)?.as_array())
            .flatten()
            .filter_map(|domain| domain.as_str().map(str::to_owned))
            .collect()
    }
}

/// What the gateway is to be configured with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its peers.
    pub peers: Vec<Peer>,
    /// How XMPP servers reach it.
    pub reach: Reach,
    /// The name under which SIP peers reach it, in its certificate as well; an ordinary one if none.
    pub host: Option<String>,
    /// The names of domains of the XMPP side that are not reached under that one, each with a
    /// certificate of its own that names nothing else.
    pub hosts: Vec<(&'static str, &'static str)>,
    /// The keys of its certificates on the SIP side, each with one of its own.
    pub sip_keys: Vec<Key>,
    /// What it logs.
    pub log_level: &'static str,
    /// The journal lies on a file system of its own with so much room.
    pub state_size: Option<&'static str>,
    /// TOML text that is put behind the peers.
    pub extra: String,
}

impl Settings {
    /// An ordinary configuration with these peers.
    pub fn new(peers: impl Into<Vec<Peer>>) -> Self {
        Self {
            peers: peers.into(),
            reach: Reach::Both,
            host: None,
            hosts: Vec::new(),
            sip_keys: vec![Key::Ecdsa],
            log_level: "debug",
            state_size: None,
            extra: String::new(),
        }
    }

    /// The domains of the peers of one side.
    fn domains(&self, side: &str) -> Vec<String> {
        self.peers
            .iter()
            .filter(|peer| peer.is_on(side))
            .flat_map(Peer::domains)
            .collect()
    }
}

/// A running daemon.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
    config: PathBuf,
    health: std::net::SocketAddr,
}

impl Gateway {
    /// Makes its certificates, writes its configuration, publishes the SIP domains for XMPP
    /// servers, starts it and waits until it is ready.
    pub async fn start(lab: &Lab, settings: &Settings) -> Result<Self> {
        for domain in settings.domains("sip") {
            publish(lab, &domain, Host::Gateway, settings.reach);
        }
        let host = settings.host.as_deref().unwrap_or(NAME);
        let own = settings.hosts.iter().map(|(_, host)| *host);
        for name in own.chain([host]) {
            lab.dns().host(name, &[lab.ip(Host::Gateway)]);
        }
        let config = configure(lab, settings)?;
        let path = config.to_string_lossy().into_owned();
        let daemon = binary("isthmusd")?.to_string_lossy().into_owned();
        let command = match settings.state_size {
            None => vec![daemon, "--config".to_owned(), path],
            Some(size) => in_small_room(lab, size, &daemon, &path)?,
        };
        let process = Process::start(Launch {
            name: "isthmusd".to_owned(),
            command,
            variables: Vec::new(),
            folder: lab.folder().to_owned(),
            log: lab.path("isthmusd.log"),
        })?;
        let mut gateway = Self {
            process,
            config,
            health: lab.at(Host::Gateway, HTTP),
        };
        gateway.ready().await?;
        Ok(gateway)
    }

    /// Waits until the readiness endpoint says so.
    pub async fn ready(&mut self) -> Result<()> {
        self.process.listens(self.health).await?;
        let health = self.health;
        until(READY_LIMIT, "isthmusd is ready", || async move {
            http::get(health, "/ready")
                .await
                .is_ok_and(|answer| answer.status == 200)
        })
        .await
    }

    /// The process, for its log and for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Processor time of the daemon so far.
    pub fn processor_time(&self) -> Result<Duration> {
        self.process.processor_time()
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The folder of the journal as the daemon sees it.
    pub fn state_folder(&self) -> PathBuf {
        let folder = self.config.with_file_name("state");
        let inside = folder.strip_prefix("/").unwrap_or(&folder);
        Path::new(&format!("/proc/{}/root", self.process.id())).join(inside)
    }

    /// `kill -9`.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Starts the daemon again after `kill` or a stop, with the same state.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process.start_again()?;
        self.ready().await
    }

    /// Runs `isthmusctl` against this daemon.
    pub async fn control(&self, arguments: &[&str]) -> Result<Output> {
        let config = self.config.to_string_lossy();
        let mut all = vec!["--config", &*config];
        all.extend(arguments);
        control(&all).await
    }

    /// The command line for a terminal that runs `isthmusctl` against this daemon.
    pub fn control_line(&self, arguments: &str) -> Result<String> {
        let (tool, config) = (binary("isthmusctl")?, self.config.display());
        Ok(format!("{} --config {config} {arguments}", tool.display()))
    }

    /// Runs `isthmusctl --json` and reads the answer.
    pub async fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let text = self.control(&all).await?.success()?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// All metrics as text.
    pub async fn metrics(&self) -> Result<String> {
        let answer = http::get(self.health, "/metrics").await?;
        ensure!(answer.status == 200, "metrics: {answer:?}");
        Ok(answer.body)
    }

    /// Asserts that the daemon lives and never logged an error: a test run fails on ERROR.
    pub fn is_sound(&mut self) -> Result<()> {
        if let Some(status) = self.process.ended()? {
            bail!("isthmusd has ended with {status}");
        }
        let log = self.process.log();
        let trouble = log
            .lines()
            .find(|line| line.contains("Z ERROR ") || line.contains("panicked"));
        ensure!(trouble.is_none(), "isthmusd logs {trouble:?}");
        Ok(())
    }
}

/// The command line of a daemon whose journal lies on a file system of that size.
fn in_small_room(lab: &Lab, size: &str, daemon: &str, config: &str) -> Result<Vec<String>> {
    const SCRIPT: &str =
        "mount -t tmpfs -o size=\"$0\" tmpfs \"$1\" && exec \"$2\" --config \"$3\"";
    let state = lab.path("state");
    std::fs::create_dir_all(&state)?;
    let state = state.to_string_lossy();
    let shell = [
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        SCRIPT,
    ];
    let arguments = [size, &state, daemon, config];
    Ok(shell
        .iter()
        .copied()
        .chain(arguments)
        .map(str::to_owned)
        .collect())
}

/// Runs `isthmusctl`.
pub async fn control(arguments: &[&str]) -> Result<Output> {
    let tool = binary("isthmusctl")?;
    output(&tool.to_string_lossy(), arguments, COMMAND_LIMIT).await
}

/// Writes the configuration and issues the certificates it names.
pub fn configure(lab: &Lab, settings: &Settings) -> Result<PathBuf> {
    let (for_xmpp, for_sip) = (settings.domains("sip"), settings.domains("xmpp"));
    let xmpp: Vec<&str> = for_xmpp.iter().map(String::as_str).collect();
    let sip: Vec<&str> = for_sip.iter().map(String::as_str).collect();
    lab.issue(&Wish::xmpp("gateway-xmpp", &xmpp))?;
    let host = settings.host.as_deref().unwrap_or(NAME);
    let sip: Vec<&str> = sip.into_iter().chain(settings.host.as_deref()).collect();
    let mut identities = String::new();
    for (number, key) in settings.sip_keys.iter().enumerate() {
        let file = match number {
            0 => "gateway-sip".to_owned(),
            _ => format!("gateway-sip-{number}"),
        };
        lab.issue(&Wish::sip(&file, &sip).with_key(*key))?;
        identities +=
            &format!("[[sip.identity]]\ncertificate = \"{file}.crt\"\nkey = \"{file}.key\"\n");
    }
    let mut hosts = Table::new();
    for (number, (domain, name)) in settings.hosts.iter().enumerate() {
        let file = format!("gateway-host-{number}");
        lab.issue(&Wish::sip(&file, &[*name]))?;
        identities +=
            &format!("[[sip.identity]]\ncertificate = \"{file}.crt\"\nkey = \"{file}.key\"\n");
        hosts.insert((*domain).to_owned(), (*name).into());
    }
    let hosts = toml::Value::Table(hosts);
    let entries = settings.peers.iter().map(|peer| peer.table.clone().into());
    let mut peers = Table::new();
    peers.insert("peer".to_owned(), toml::Value::Array(entries.collect()));
    let text = format!(
        r#"[gateway]
state_dir = "state"
admin_socket = "admin.sock"
http = "{http}"
log_level = "{level}"

[xmpp]
listen = ["{starttls}"]
listen_direct = ["{direct}"]
[[xmpp.identity]]
certificate = "gateway-xmpp.crt"
key = "gateway-xmpp.key"

[sip]
listen = ["{sips}"]
host = "{host}"
hosts = {hosts}
{identities}
[dns]
servers = ["{dns}"]

{peers}
{extra}
"#,
        http = lab.at(Host::Gateway, HTTP),
        starttls = lab.at(Host::Gateway, S2S),
        direct = lab.at(Host::Gateway, S2S_DIRECT),
        sips = lab.at(Host::Gateway, SIPS),
        dns = lab.dns().address(),
        level = settings.log_level,
        extra = settings.extra,
    );
    let path = lab.path("isthmus.toml");
    write(&path, &text)?;
    Ok(path)
}
