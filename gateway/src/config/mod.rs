//! The configuration: what the file may say (`schema`), and what can run ([`Config`]).

mod check;
mod document;
mod fault;
mod files;
mod hosts;
mod load;
mod loader;
mod microsoft;
mod peers;
mod policy;
mod reference;
pub mod schema;
mod tls;
mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use certs::credentials::{Credentials, Identity};
use certs::trust::Trust;
use translators::model::{Directory, Domain, PeerId, Side};
use translators::policy::Policy;
use translators::sip::Hosts;

pub use fault::Fault;
pub use hosts::is_fetchable;
pub use load::{admin_socket, load, load_text, state_folder};
pub use reference::reference_page;
pub use values::duration;

/// A configuration that can run: every file is read, every name is parsed, nothing contradicts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The process itself.
    pub process: Process,
    /// Our XMPP side.
    pub xmpp: XmppSide,
    /// Our SIP side.
    pub sip: SipSide,
    /// How names are resolved.
    pub dns: Dns,
    /// The peers as the core sees them.
    pub directory: Arc<Directory>,
    /// Who may federate with whom.
    pub policy: Arc<Policy>,
    /// The peers as the shell sees them.
    pub peers: BTreeMap<PeerId, Arc<Peer>>,
}

impl Config {
    /// The peers of one side, by name.
    pub fn peers_on(&self, side: Side) -> impl Iterator<Item = &Arc<Peer>> {
        self.peers.values().filter(move |peer| peer.side() == side)
    }
}

/// Settings of the process; those of listeners and shards take a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Where the journal lives.
    pub state_dir: PathBuf,
    /// The socket of `isthmusctl`.
    pub admin_socket: PathBuf,
    /// Where `/metrics`, `/live` and `/ready` are served.
    pub http: SocketAddr,
    /// How many shards.
    pub shards: u16,
    /// What is logged.
    pub log: Log,
}

/// What is logged and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Lines below this level are not written.
    pub level: tracing::Level,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// `key=value` after time and level.
    #[default]
    Text,
}

/// Our XMPP side.
#[derive(Clone, Debug)]
pub struct XmppSide {
    /// Listeners for streams that start with STARTTLS.
    pub listen: Vec<SocketAddr>,
    /// Listeners for streams that start with TLS (XEP-0368).
    pub listen_direct: Vec<SocketAddr>,
    /// Our certificates.
    pub credentials: Arc<Credentials>,
}

/// Our SIP side.
#[derive(Clone, Debug)]
pub struct SipSide {
    /// Listeners for SIP over TLS.
    pub listen: Vec<SocketAddr>,
    /// The names under which our domains are reached.
    pub hosts: Hosts,
    /// Our certificates.
    pub credentials: Arc<Credentials>,
}

impl SipSide {
    /// The name by which the certificate for `local` is chosen: its host, if one names that, else the
    /// domain.
    pub fn certificate_name(&self, local: &Domain) -> String {
        let host = self.hosts.of(local);
        if self.credentials.mentions(host.host()) {
            host.host().to_owned()
        } else {
            local.to_ascii()
        }
    }

    /// The certificates that stand for `local`.
    pub fn certificates(&self, local: &Domain) -> Vec<&Identity> {
        self.credentials
            .all_for(Some(&self.certificate_name(local)))
    }
}

/// How names are resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// The servers to ask; empty for those of the system.
    pub servers: Vec<SocketAddr>,
    /// Time for one name.
    pub timeout: Duration,
    /// Answers that are not asked for, by lower-case name without final dot.
    pub overrides: BTreeMap<String, Override>,
}

/// The static answer for one name; an empty list says that there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// SRV records.
    pub srv: Vec<Srv>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// Name of the host, without final dot; empty for ".", which says that the service is not there.
    pub target: String,
    /// Its port.
    pub port: u16,
}

/// One peer as the shell sees it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name.
    pub id: PeerId,
    /// Its domains: a stream or request may be addressed to each.
    pub domains: Vec<Domain>,
    /// Further names that it may speak for, each below one of its domains.
    pub subdomains: Vec<Domain>,
    /// What its certificate must prove.
    pub trust: Arc<Trust>,
    /// How TLS is spoken with it.
    pub tls: TlsTerms,
    /// Where to connect, in this order, before DNS is asked.
    pub route: Vec<Route>,
    /// Settings that only its side has.
    pub dialect: Dialect,
}

impl Peer {
    /// Its side.
    pub const fn side(&self) -> Side {
        match self.dialect {
            Dialect::Sip(_) => Side::Sip,
            Dialect::Xmpp(_) => Side::Xmpp,
        }
    }

    /// Its XMPP settings, if it is an XMPP peer.
    pub const fn xmpp(&self) -> Option<&XmppPeer> {
        match &self.dialect {
            Dialect::Sip(_) => None,
            Dialect::Xmpp(xmpp) => Some(xmpp),
        }
    }

    /// Whether it is a SIP peer that speaks Microsoft's dialect.
    pub const fn is_microsoft(&self) -> bool {
        match &self.dialect {
            Dialect::Sip(sip) => sip.microsoft,
            Dialect::Xmpp(_) => false,
        }
    }

    /// How many SUBSCRIBEs and NOTIFYs may go to it in a second, if that is limited.
    pub fn pace(&self) -> Option<u32> {
        match &self.dialect {
            Dialect::Sip(sip) => sip.pace,
            Dialect::Xmpp(_) => None,
        }
    }

    /// How many messages of any kind may go to it in a second, if that is limited.
    pub fn cap(&self) -> Option<u32> {
        match &self.dialect {
            Dialect::Sip(sip) => sip.cap,
            Dialect::Xmpp(_) => None,
        }
    }
}

/// Settings of a peer that only its side has.
#[derive(Clone, Debug)]
pub enum Dialect {
    /// A SIP peer: what it has more is in the core's profile.
    Sip(SipPeer),
    /// An XMPP peer.
    Xmpp(XmppPeer),
}

/// Settings of a SIP peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipPeer {
    /// How many SUBSCRIBEs and NOTIFYs may go to it in a second; no limit without it.
    pub pace: Option<u32>,
    /// How many messages of any kind may go to it in a second, answers among them; no limit without
    /// it.
    pub cap: Option<u32>,
    /// Whether it speaks Microsoft's dialect.
    pub microsoft: bool,
}

/// Settings of an XMPP peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmppPeer {
    /// How its port expects TLS.
    pub connect: Connect,
    /// Time to wait for errors behind the barrier's answer.
    pub settle: Duration,
    /// Whether XEP-0198 is used towards it.
    pub acks: Acks,
    /// After how much silence a link gets a sign of life.
    pub keepalive: Duration,
    /// What SASL EXTERNAL sends as authorization identity.
    pub authzid: Authzid,
}

/// A static place to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// A name or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How TLS is spoken with a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsTerms {
    /// In which versions.
    pub versions: TlsChoice,
    /// By which implementation.
    pub engine: Engine,
    /// Whether TLS 1.0 and 1.1 are spoken too; only ever with [`Engine::Compat`].
    pub legacy: bool,
}

/// An implementation of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// rustls.
    #[default]
    Rustls,
    /// OpenSSL, for what old Schannel cannot do without.
    Compat,
}

/// TLS versions spoken with a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsChoice {
    /// 1.3 where the peer is known to keep it up, else 1.2.
    #[default]
    Auto,
    /// Nothing but TLS 1.2.
    Only12,
    /// Nothing but TLS 1.3.
    Only13,
}

/// How the port of an XMPP peer expects TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connect {
    /// As DNS says; STARTTLS on a static route.
    #[default]
    Auto,
    /// TLS from the first octet (XEP-0368).
    Direct,
    /// STARTTLS.
    Starttls,
}

/// Whether XEP-0198 is used towards a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// Where the peer offers it or is known to take it.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Always.
    On,
}

/// What SASL EXTERNAL sends as authorization identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authzid {
    /// Our domain (XEP-0178).
    #[default]
    Domain,
    /// Nothing: `=`.
    None,
}

/// Port of SIP over TLS.
pub const SIPS: u16 = 5061;

#[cfg(test)]
mod damage;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
