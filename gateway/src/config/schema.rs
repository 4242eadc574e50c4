//! What the configuration file may say. Doc comments become descriptions in `conf/schema.json` and
//! docs/reference/config.md, so they speak to operators.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

pub use super::microsoft::{
    AskOn, Benotify, BusyAs, Documents, Embedded, Microsoft, Negotiate, Typing, Undecided,
};
pub use super::tls::{Engine, Tls, Versions};

/// The configuration file of isthmusd. Relative paths start at the file's folder.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// The process itself. Changes here take a restart, but for `log_level`.
    pub gateway: Gateway,
    /// Our side towards XMPP servers. It speaks for the domains of the SIP peers.
    pub xmpp: Xmpp,
    /// Our side towards SIP servers. It speaks for the domains of the XMPP peers.
    pub sip: Sip,
    /// How names are resolved.
    pub dns: Dns,
    /// Who may federate at all.
    pub federation: Federation,
    /// What the users of the two sides may exchange, where nothing is decided on a pair or a user
    /// (`isthmusctl acl set`). It holds for messages, and for presence in both directions.
    pub policy: Policy,
    /// The peers. Every domain belongs to exactly one of them.
    #[serde(rename = "peer")]
    pub peers: Vec<Peer>,
}

/// The process itself.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// Folder of the journal.
    pub state_dir: PathBuf,
    /// Socket of `isthmusctl`; who may write to it may command the daemon.
    pub admin_socket: PathBuf,
    /// Address of `/metrics`, `/live` and `/ready`. Loopback only: it has no access control.
    pub http: String,
    /// Threads' worth of state machines that users are spread over.
    #[schemars(range(min = 1, max = 256))]
    pub shards: u16,
    /// Log lines below this level are not written. User names appear from `debug` on.
    pub log_level: LogLevel,
    /// Form of a log line.
    pub log_format: LogFormat,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/isthmus".into(),
            admin_socket: "/run/isthmus/admin.sock".into(),
            http: "127.0.0.1:9464".to_owned(),
            shards: 16,
            log_level: LogLevel::default(),
            log_format: LogFormat::default(),
        }
    }
}

/// Lowest level that is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what is broken.
    Error,
    /// What an operator may want to look at.
    Warn,
    /// Links, peers and the fate of every message.
    #[default]
    Info,
    /// Branches taken, with user names.
    Debug,
    /// Everything; not in release builds.
    Trace,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Time, level and `key=value`.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Our XMPP side.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Xmpp {
    /// Where streams with STARTTLS are accepted.
    pub listen: Vec<String>,
    /// Where streams with direct TLS (XEP-0368) are accepted; may be empty.
    pub listen_direct: Vec<String>,
    /// Our certificates on this side, chosen by name; the first is the default.
    pub identity: Vec<Identity>,
}

impl Default for Xmpp {
    fn default() -> Self {
        Self {
            listen: vec!["0.0.0.0:5269".to_owned()],
            listen_direct: vec!["0.0.0.0:5270".to_owned()],
            identity: Vec::new(),
        }
    }
}

/// Our SIP side.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sip {
    /// Where SIP over TLS is accepted.
    pub listen: Vec<String>,
    /// Host name in our Via and Contact headers, under which peers reach this gateway. Default: the
    /// domain of the user in question.
    pub host: Option<String>,
    /// The same for single domains, such as `hosts = { "a.example" = "gw.a.example" }`. An edge that
    /// finds us by DNS demands for each domain a host that lies exactly in it.
    pub hosts: BTreeMap<String, String>,
    /// Our certificates on this side, chosen by name; the first is the default.
    pub identity: Vec<Identity>,
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            listen: vec!["0.0.0.0:5061".to_owned()],
            host: None,
            hosts: BTreeMap::new(),
            identity: Vec::new(),
        }
    }
}

/// One certificate of ours.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["certificate", "key"]))]
pub struct Identity {
    /// PEM file with the certificate first and its intermediates behind it.
    pub certificate: PathBuf,
    /// PEM file with its private key, readable by nobody but the daemon's user.
    pub key: PathBuf,
}

/// How names are resolved.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Name servers with ports. Default: those of the system.
    pub servers: Vec<String>,
    /// Time for one lookup, from 100 ms to 30 s.
    pub timeout: String,
    /// Static answers that stand before DNS.
    #[serde(rename = "override")]
    pub overrides: Vec<Override>,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: "3s".to_owned(),
            overrides: Vec::new(),
        }
    }
}

/// The static answer for one name.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name"]))]
pub struct Override {
    /// The name, such as `_xmpp-server._tcp.example.net`.
    pub name: String,
    /// SRV records.
    pub srv: Vec<Srv>,
    /// Addresses.
    pub addresses: Vec<String>,
}

/// One SRV record (RFC 2782).
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["target", "port"]))]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// Name of the host; `.` says that the service is not there.
    pub target: String,
    /// Its port.
    pub port: u16,
}

/// Who may federate at all.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Federation {
    /// What holds where no rule matches.
    pub default: Ruling,
    /// Rules; one that denies stands above everything.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ruling {
    /// They may exchange.
    #[default]
    Allow,
    /// They may not.
    Deny,
}

/// One rule.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["verdict"]))]
pub struct Rule {
    /// What it decides.
    pub verdict: Ruling,
    /// For which XMPP users: `*`, a domain, or a user.
    pub xmpp: String,
    /// For which SIP users: `*`, a domain, or a user in JID form.
    pub sip: String,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            verdict: Ruling::default(),
            xmpp: "*".to_owned(),
            sip: "*".to_owned(),
        }
    }
}

/// What may be exchanged where nothing is decided on a pair or a user.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What holds for everybody.
    pub verdict: Verdict,
    /// Decisions on pairs of domains; they stand above `policy.verdict`. Where several match a pair
    /// of users the strictest counts.
    #[serde(rename = "domain")]
    pub domains: Vec<Domains>,
}

/// What is decided on a pair of users, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// They exchange.
    #[default]
    Allow,
    /// Requests are held until the operator decides; nothing is exchanged meanwhile.
    Confirm,
    /// Nothing is exchanged; each looks to the other as if he were offline.
    PoliteBlock,
    /// Nothing is exchanged; requests are refused.
    Block,
}

/// A decision on the users of two domains.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["verdict"]))]
pub struct Domains {
    /// What is decided.
    pub verdict: Verdict,
    /// Users of which XMPP domain: `*` or a domain.
    pub xmpp: String,
    /// Users of which SIP domain: `*` or a domain; not both are `*`.
    pub sip: String,
}

impl Default for Domains {
    fn default() -> Self {
        Self {
            verdict: Verdict::default(),
            xmpp: "*".to_owned(),
            sip: "*".to_owned(),
        }
    }
}

/// One peer: a server, or servers that share domains and certificates.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "side", "domains"]))]
pub struct Peer {
    /// Its name in logs, metrics and commands; the journal keeps it, so do not rename a peer.
    pub name: String,
    /// Which protocol it speaks.
    #[schemars(with = "Side")]
    pub side: Option<Side>,
    /// Its domains, main domain first.
    pub domains: Vec<String>,
    /// Further names that it may speak for, such as `conference.example.net`.
    pub subdomains: Vec<String>,
    /// PEM file with the CA certificates that its certificate must lead to. May be left out with `pins`.
    pub ca: Option<PathBuf>,
    /// File with revocation lists; with it, every certificate of the peer needs one that covers it.
    pub crl: Option<PathBuf>,
    /// Exact certificate names that stand for all its domains.
    pub expected_identity: Vec<String>,
    /// Hashes of public keys, one of which must be in its chain: `sha256/BASE64`.
    pub pins: Vec<String>,
    /// Which extended key usage its certificate needs when it dials us.
    pub eku: Eku,
    /// Which names of its certificate count.
    pub name_policy: NamePolicy,
    /// How many intermediate CAs may stand above its certificate.
    #[schemars(range(max = 6))]
    pub verify_depth: u8,
    /// How TLS is spoken with it.
    pub tls: Tls,
    /// SIP only, with `tls.engine = "compat"`: whether it gets TLS 1.0 and 1.1 too, for OCS 2007 R2 and
    /// edges on Windows Server 2008 and 2008 R2. An alarm stands as long as it is set.
    pub legacy_tls: bool,
    /// Where to connect, tried in this order before DNS: `HOST:PORT`.
    pub route: Vec<String>,
    /// XMPP only: how its port expects TLS.
    pub connect: Connect,
    /// XMPP only: when the sender of a message for it gets a 2xx.
    pub accept: Accept,
    /// XMPP only: time to wait for errors behind the answer of a barrier, at most 5 s.
    pub settle: String,
    /// XMPP only: whether messages to it are acknowledged by XEP-0198.
    pub acks: Acks,
    /// XMPP only: silence after which a link gets a sign of life, from 10 s to 14 min.
    pub keepalive: String,
    /// XMPP only: what SASL EXTERNAL sends as authorization identity.
    pub authzid: Authzid,
    /// XMPP only: largest stanza sent to it, in octets.
    #[schemars(range(min = 10_000, max = 524_288))]
    pub max_stanza: u32,
    /// XMPP only: contacts and watchers on the other side that each of its users may have.
    #[schemars(range(min = 1, max = 10_000))]
    pub contacts: u32,
    /// SIP only: which dialect it speaks.
    pub profile: SipDialect,
    /// Switches of `profile = "microsoft"`; each has a line in docs/howto/lync.md.
    pub microsoft: Microsoft,
    /// SIP only, with `profile = "microsoft"`: whether the peer has this gateway on its list of
    /// allowed partners. Until then everything that goes to it is held to 15 messages a second.
    pub allow_listed: bool,
    /// SIP only: largest page-mode MESSAGE in octets. More than 1300 says that the path to the peer
    /// copes with congestion (RFC 3428 section 8), which TLS over TCP does. Default: 1300; with
    /// `profile = "microsoft"` 262144, which is the largest body.
    #[schemars(with = "u32", range(min = 400, max = 262_144))]
    pub page_limit: Option<u32>,
    /// SIP only: how many SUBSCRIBEs and NOTIFYs may go to it in a second, and 0 for as many as it
    /// takes. Messages and answers are not held up. A Microsoft peer that is not `allow_listed` is
    /// held to 15 messages a second besides, answers and everything else counted.
    #[schemars(range(max = 1_000_000))]
    pub pace: u32,
    /// SIP only: how its messages are shown. Default: `normal`; with `profile = "microsoft"` `chat`.
    #[schemars(with = "MessageType")]
    pub message_type: Option<MessageType>,
    /// SIP only: how its Call-IDs become threads.
    pub page_thread: PageThread,
    /// SIP only: status of a delivered MESSAGE.
    #[schemars(extend("enum" = [200, 202]))]
    pub success: u16,
    /// SIP only: whether it takes CPIM and sends and reads IMDN receipts.
    pub cpim: bool,
    /// SIP only: whether its HTML is carried as XHTML-IM.
    pub xhtml_im: bool,
    /// SIP only: whether its users are shown as away when nobody uses their device and the document
    /// says no more (RFC 4480). Default: false; with `profile = "microsoft"` true.
    #[schemars(with = "bool")]
    pub idle_is_away: Option<bool>,
    /// SIP only: whether subscriptions are refreshed without having the same document sent again
    /// (RFC 5839).
    pub conditional: bool,
    /// SIP only: whether `;`, `/` and `?` are percent-encoded in user parts.
    pub strict_user: bool,
    /// SIP only: whether a block ends the subscriptions of its users, instead of showing them an
    /// offline user (RFC 5025 section 3.2.1).
    pub terminate_on_block: bool,
    /// SIP only: whether its P-Asserted-Identity is believed (RFC 3325).
    pub trust_asserted: bool,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            name: String::new(),
            side: None,
            domains: Vec::new(),
            subdomains: Vec::new(),
            ca: None,
            crl: None,
            expected_identity: Vec::new(),
            pins: Vec::new(),
            eku: Eku::default(),
            name_policy: NamePolicy::default(),
            verify_depth: 5,
            tls: Tls::default(),
            legacy_tls: false,
            route: Vec::new(),
            connect: Connect::default(),
            accept: Accept::default(),
            settle: "0s".to_owned(),
            acks: Acks::default(),
            keepalive: "5m".to_owned(),
            authzid: Authzid::default(),
            max_stanza: 65_536,
            contacts: 150,
            profile: SipDialect::default(),
            microsoft: Microsoft::default(),
            allow_listed: false,
            page_limit: None,
            pace: 500,
            message_type: None,
            page_thread: PageThread::default(),
            success: 200,
            cpim: false,
            xhtml_im: false,
            idle_is_away: None,
            conditional: false,
            strict_user: false,
            terminate_on_block: false,
            trust_asserted: false,
        }
    }
}

/// Which protocol a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// SIP/SIMPLE over TLS.
    Sip,
    /// XMPP server-to-server.
    Xmpp,
}

/// Dialect of a SIP peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SipDialect {
    /// What the standards say.
    #[default]
    Generic,
    /// Lync, OCS and Skype for Business.
    Microsoft,
}

/// Which extended key usage a certificate needs in the client role.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Eku {
    /// clientAuth, or no limit.
    Strict,
    /// Also serverAuth: public CAs give nothing else any more.
    #[default]
    ServerOk,
}

/// Which names of a certificate count.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamePolicy {
    /// Subject alternative names.
    #[default]
    San,
    /// Also the common name, if there is no subject alternative name at all.
    CnIfNoSan,
}

/// How a port expects TLS.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Connect {
    /// As its SRV records say; STARTTLS on a static route.
    #[default]
    Auto,
    /// STARTTLS.
    Starttls,
    /// TLS from the first octet.
    Direct,
}

/// When a message counts as delivered.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Accept {
    /// When the peer has taken it.
    #[default]
    Barrier,
    /// When it is in the journal; it is then sent until it is taken.
    Immediate,
}

/// Use of XEP-0198.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Acks {
    /// Where the peer offers it or is known to take it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Authorization identity of SASL EXTERNAL.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Authzid {
    /// Our domain (XEP-0178).
    #[default]
    Domain,
    /// Nothing.
    None,
}

/// How messages of a SIP peer are shown.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    /// As single messages (RFC 7572 section 5).
    #[default]
    Normal,
    /// As part of a chat.
    Chat,
}

/// How Call-IDs become threads.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PageThread {
    /// No threads.
    Off,
    /// Each Call-ID is a thread.
    Map,
    /// One thread per pair until it is idle for ten minutes.
    #[default]
    Sticky,
}

/// The JSON schema of the file.
pub fn json_schema() -> Schema {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<File>()
}
