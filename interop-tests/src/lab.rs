//! One lab per test: a folder, a block of loopback addresses, two authorities and a name server.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::authority::{Authority, Identity, Wish};
use crate::dns::Dns;
use crate::process::tail;

/// Port of STARTTLS streams between servers.
pub const S2S: u16 = 5269;
/// Port of direct TLS streams between servers.
pub const S2S_DIRECT: u16 = 5270;
/// Port of XMPP clients.
pub const C2S: u16 = 5222;
/// Port of SIP over TLS.
pub const SIPS: u16 = 5061;
/// Port of SIP over TCP, between Kamailio and its own users only.
pub const SIP: u16 = 5060;
/// Port of the gateway's metrics and health checks.
pub const HTTP: u16 = 9464;

/// Who lives at which address of the lab's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Holds the block for this lab.
    Lock = 1,
    /// Prosody.
    Prosody = 21,
    /// ejabberd.
    Ejabberd = 22,
    /// The gateway under test.
    Gateway = 23,
    /// Openfire.
    Openfire = 24,
    /// The scripted XMPP peer.
    XmppPeer = 25,
    /// Kamailio.
    Kamailio = 31,
    /// The SIP agent, as a peer of the gateway.
    SipAgent = 32,
    /// A second SIP agent, or a user of Kamailio.
    SecondAgent = 33,
    /// The Edge of a Microsoft SIP domain.
    Lync = 34,
    /// Another one.
    SecondLync = 35,
    /// A fault proxy in front of a server.
    Proxy = 41,
    /// The name server.
    Dns = 53,
    /// Nobody: connections are refused.
    Nobody = 99,
}

/// The surroundings of one test.
#[derive(Debug)]
pub struct Lab {
    folder: TempDir,
    block: [u8; 2],
    /// Bound for as long as the lab lives, so that no other lab takes the block.
    _lock: TcpListener,
    authority: Authority,
    stranger: Authority,
    dns: Dns,
}

/// Runs a test body in a lab of its own, within a time limit; shows all logs if it fails.
pub async fn run(
    name: &str,
    limit: Duration,
    body: impl AsyncFnOnce(&Lab) -> Result<()>,
) -> Result<()> {
    let lab = Lab::start(name).await?;
    let outcome = match timeout(limit, body(&lab)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(anyhow::anyhow!("{name} did not end within {limit:?}")),
    };
    if outcome.is_err() {
        lab.show_logs();
    }
    outcome
}

impl Lab {
    /// Sets up an empty lab; its folder stays behind where `ISTHMUS_KEEP_LAB` is set.
    pub async fn start(name: &str) -> Result<Self> {
        let mut folder = tempfile::Builder::new()
            .prefix(&format!("isthmus-{name}-"))
            .tempdir()?;
        folder.disable_cleanup(std::env::var_os("ISTHMUS_KEEP_LAB").is_some());
        let (block, lock) = take_block()?;
        let dns = Dns::start(address(block, Host::Dns, 53)).await?;
        let authority = Authority::create(folder.path(), "ca")?;
        let stranger = Authority::create(folder.path(), "stranger-ca")?;
        let resolver = format!("nameserver {}\n", address(block, Host::Dns, 53).ip());
        std::fs::write(folder.path().join("resolv.conf"), resolver)?;
        std::fs::write(folder.path().join("hosts"), "127.0.0.1 localhost\n")?;
        Ok(Self {
            folder,
            block,
            _lock: lock,
            authority,
            stranger,
            dns,
        })
    }

    /// The address of a member of the lab.
    pub fn ip(&self, host: Host) -> Ipv4Addr {
        let [high, low] = self.block;
        Ipv4Addr::new(127, high, low, host as u8)
    }

    /// The socket address of a member of the lab.
    pub fn at(&self, host: Host, port: u16) -> SocketAddr {
        address(self.block, host, port)
    }

    /// The lab's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the lab's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The authority that everyone in the lab trusts.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// An authority that nobody trusts.
    pub fn stranger(&self) -> &Authority {
        &self.stranger
    }

    /// Issues a certificate of the trusted authority.
    pub fn issue(&self, wish: &Wish) -> Result<Identity> {
        self.authority.issue(wish)
    }

    /// The name server.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// The command line that runs a program which finds the lab's name server, and no other.
    pub fn inside(&self, program: &[&str]) -> Vec<String> {
        const SCRIPT: &str = "mount --bind \"$0/resolv.conf\" /etc/resolv.conf && \
                              mount --bind \"$0/hosts\" /etc/hosts && exec \"$@\"";
        let folder = self.folder.path().to_string_lossy();
        let wrapper = [
            "unshare",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            SCRIPT,
            &folder,
        ];
        wrapper
            .iter()
            .chain(program)
            .map(ToString::to_string)
            .collect()
    }

    /// Prints the end of every log of the lab, for a test that has failed.
    pub fn show_logs(&self) {
        let mut logs = Vec::new();
        collect_logs(self.folder.path(), &mut logs);
        for path in logs {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            eprintln!("--- {} ---\n{}", path.display(), tail(&text, 60));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}

fn address(block: [u8; 2], host: Host, port: u16) -> SocketAddr {
    let [high, low] = block;
    SocketAddr::from(([127, high, low, host as u8], port))
}

/// Finds a block 127.x.y.0/24 that no other lab on this machine uses, by binding a port in it.
fn take_block() -> Result<([u8; 2], TcpListener)> {
    for _ in 0..200 {
        let block = [rand::random_range(10..250), rand::random_range(0..=255)];
        if let Ok(lock) = TcpListener::bind(address(block, Host::Lock, 5)) {
            return Ok((block, lock));
        }
    }
    bail!("no free block of loopback addresses (binding port 5 needs root)")
}

fn collect_logs(folder: &Path, logs: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_logs(&path, logs);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            logs.push(path);
        }
    }
}

/// Reads an environment variable that names a folder.
pub fn folder_from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Writes a file of the lab.
pub fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
