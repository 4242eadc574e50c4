//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::config;

/// Where the configuration stands unless the command line says otherwise.
const CONFIG: &str = "/etc/isthmus/isthmus.toml";
/// Where the daemon listens if no configuration can be read.
const SOCKET: &str = "/run/isthmus/admin.sock";

/// Looks into a running isthmusd and checks what it needs.
///
/// Exit codes: 0 all is well, 1 wrong usage, 2 a problem was found, 3 no daemon answers.
#[derive(Debug, Parser)]
#[command(name = "isthmusctl", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    /// Configuration of the daemon.
    #[arg(long, global = true, value_name = "FILE", default_value = CONFIG)]
    pub(super) config: PathBuf,
    /// Admin socket of the daemon [default: as the configuration says].
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Answer in JSON, for programs.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(super) task: Task,
}

impl Arguments {
    /// The admin socket: as named, as the configuration says, or where it usually is.
    pub(super) fn socket(&self) -> PathBuf {
        let named = self.socket.clone();
        let configured = || config::admin_socket(&self.config);
        named.or_else(configured).unwrap_or_else(|| SOCKET.into())
    }
}

/// What the tool can do.
#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Print the versions of tool and daemon.
    Version,
    /// Show how daemon, certificates and peers are, and which alarms are raised.
    Status,
    /// Look at peers.
    #[command(subcommand)]
    Peer(Peer),
    /// Look at messages.
    #[command(subcommand)]
    Message(Message),
    /// Decide who may exchange with whom, and see what holds.
    #[command(subcommand)]
    Acl(Acl),
    /// Look at requests that are held until you decide (verdict confirm), and decide.
    #[command(subcommand)]
    Pending(Pending),
    /// Move from an older gateway.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Look at who watches whom, and set it right.
    #[command(subcommand)]
    Watcher(Watcher),
    /// Forget deleted users.
    #[command(subcommand)]
    User(User),
    /// Copy the journal of the daemon, which may run, into a new file.
    Backup {
        /// The new file.
        file: PathBuf,
    },
    /// Put the journal back from a backup; the daemon must not run.
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Read the configuration again; links stay up.
    Reload,
    /// Finish what is under way, then end the daemon.
    Drain {
        /// Time until the rest is cut off; the journal keeps it.
        #[arg(long, default_value = "60s", value_parser = duration)]
        timeout: Duration,
        /// End every subscription before, so that nothing of this gateway is left: it does not come
        /// back.
        #[arg(long)]
        for_good: bool,
    },
    /// Check without a daemon.
    #[command(subcommand)]
    Check(Check),
    /// Make and read certificates, without a daemon.
    #[command(subcommand)]
    Cert(Cert),
    /// Show what a SIP message or stanza becomes on the other side, and why; without a daemon.
    Translate {
        /// File with a SIP message, a stanza, or a fragment of one.
        file: PathBuf,
    },
    /// Print what to type on a Microsoft server so that it federates with this gateway, with the names
    /// of the configuration; without a daemon.
    LyncSetup {
        /// Release of the server.
        #[arg(long = "version", value_enum, value_name = "RELEASE")]
        release: Release,
        /// Name or domain of a peer [default: every peer with profile = "microsoft"].
        #[arg(long)]
        peer: Option<String>,
    },
    /// Print the JSON schema of the configuration.
    #[command(hide = true)]
    Schema {
        /// As the reference page of the documentation.
        #[arg(long)]
        markdown: bool,
    },
}

/// Looking at peers.
#[derive(Debug, Subcommand)]
pub(super) enum Peer {
    /// List peers and their links.
    List,
    /// Show one peer: its links, and what it said when it refused something.
    Status {
        /// Name or domain of the peer.
        peer: String,
    },
    /// Say why a peer cannot be reached or refuses: the last attempts, step by step, and of a Microsoft
    /// peer the usual causes, each with what is found here.
    Why {
        /// Name or domain of the peer.
        peer: String,
    },
    /// Believe a peer again when it refuses what it granted (alarm peer-refuses-grants).
    Release {
        /// Name or domain of the peer.
        peer: String,
    },
}

/// Looking at watchers.
#[derive(Debug, Subcommand)]
pub(super) enum Watcher {
    /// List who watches whom: everybody, or one user and his contacts and watchers.
    List {
        /// A user of either side: JID or sip: URI.
        user: Option<String>,
        /// Show at most so many.
        #[arg(long, default_value_t = 1_000)]
        most: usize,
    },
    /// Show all about the relations of a user, or of two users with each other.
    Show {
        /// One user, or one of each side.
        #[arg(num_args = 1..=2, required = true, value_name = "USER")]
        users: Vec<String>,
    },
    /// Ask for the current state again, and tell it again.
    Resync {
        /// One user, or one of each side.
        #[arg(num_args = 1..=2, required = true, value_name = "USER")]
        users: Vec<String>,
    },
    /// End relations and forget them; a contact that is dropped has to be added again.
    Drop {
        /// One user, or one of each side.
        #[arg(num_args = 1..=2, required = true, value_name = "USER")]
        users: Vec<String>,
        /// Only those whose watcher is on this side.
        #[arg(long, value_enum, value_name = "SIDE")]
        watcher: Option<CertSide>,
    },
}

/// Deleted users.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Forget a deleted user: his relations, the decisions about him, his messages. Who gets the
    /// name later inherits nothing.
    Forget {
        /// JID or sip: URI.
        user: String,
    },
}

/// Looking at messages.
#[derive(Debug, Subcommand)]
pub(super) enum Message {
    /// Say what became of messages.
    Find {
        /// Identifier of a message, or a user.
        #[arg(value_name = "ID|USER")]
        wanted: String,
    },
}

/// Decisions on pairs and users. A user is a JID, a SIP user in JID form, or a sip: URI.
#[derive(Debug, Subcommand)]
pub(super) enum Acl {
    /// List decisions: all, those that name a user, or the one on two users.
    Get {
        /// None, one, or an XMPP user and a SIP user.
        #[arg(value_name = "USER", num_args = 0..=2)]
        users: Vec<String>,
    },
    /// Decide on a user, with everybody, or on an XMPP user and a SIP user with each other.
    Set {
        /// One user, or an XMPP user and a SIP user.
        #[arg(value_name = "USER", num_args = 1..=2, required = true)]
        users: Vec<String>,
        /// What is decided.
        #[arg(value_enum)]
        verdict: Verdict,
    },
    /// Take a decision back, as if there had never been one.
    Remove {
        /// One user, or an XMPP user and a SIP user.
        #[arg(value_name = "USER", num_args = 1..=2, required = true)]
        users: Vec<String>,
    },
    /// Say what holds for two users, which level decides, and what the others say.
    Explain {
        /// An XMPP user and a SIP user, in any order.
        #[arg(value_name = "USER", num_args = 2, required = true)]
        users: Vec<String>,
    },
}

/// Requests that are held.
#[derive(Debug, Subcommand)]
pub(super) enum Pending {
    /// List them.
    List {
        /// Only those of this user.
        user: Option<String>,
    },
    /// Let two users exchange: the same as acl set USER USER allow.
    Allow {
        /// An XMPP user and a SIP user, in any order.
        #[arg(value_name = "USER", num_args = 2, required = true)]
        users: Vec<String>,
    },
    /// Keep two users apart: the same as acl set USER USER block.
    Deny {
        /// An XMPP user and a SIP user, in any order.
        #[arg(value_name = "USER", num_args = 2, required = true)]
        users: Vec<String>,
        /// So that it looks as if the other were offline: polite-block.
        #[arg(long)]
        polite: bool,
    },
}

/// Moving from an older gateway.
#[derive(Debug, Subcommand)]
pub(super) enum Migrate {
    /// Let everybody who was shown presence through one administrative watcher watch as himself.
    AdminWatcher(AdminWatcher),
}

/// A migration from an administrative watcher.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("how").required(true).args(["dry_run", "run"])))]
pub(super) struct AdminWatcher {
    /// List of who watched whom; docs/howto/migrate-admin-watcher.md describes it.
    #[arg(long, value_name = "FILE")]
    pub(super) input: PathBuf,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Do it; may be stopped and run again.
    #[arg(long)]
    pub(super) run: bool,
    /// Where it is kept what was done for good [default: the list, with .progress behind it].
    #[arg(long, value_name = "FILE")]
    pub(super) progress: Option<PathBuf>,
    /// Time to wait for notifications; what waits then is reported, and taken up by the next run.
    #[arg(long, default_value = "10m", value_parser = duration)]
    pub(super) wait: Duration,
}

/// What can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Verdict {
    /// They exchange.
    Allow,
    /// Requests are held until you decide.
    Confirm,
    /// Nothing is exchanged; each looks offline to the other.
    PoliteBlock,
    /// Nothing is exchanged; requests are refused.
    Block,
}

impl From<Verdict> for translators::policy::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allow => Self::Allow,
            Verdict::Confirm => Self::Confirm,
            Verdict::PoliteBlock => Self::PoliteBlock,
            Verdict::Block => Self::Block,
        }
    }
}

/// Checks.
#[derive(Debug, Subcommand)]
pub(super) enum Check {
    /// Check a configuration and the files that it names.
    Config {
        /// The configuration [default: that of --config].
        file: Option<PathBuf>,
    },
}

/// Certificates.
#[derive(Debug, Subcommand)]
pub(super) enum Cert {
    /// Make a CA of your own: DIR/ca.pem and DIR/ca.key.
    InitCa(InitCa),
    /// Issue a certificate with that CA.
    Issue(Issue),
    /// Show what the certificates of a file say.
    Inspect {
        /// PEM file.
        file: PathBuf,
    },
}

/// A new CA.
#[derive(Debug, Args)]
pub(super) struct InitCa {
    /// Folder of the CA; made if it is not there.
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Name of the CA.
    #[arg(long, default_value = "isthmus lab CA")]
    pub(super) name: String,
    /// Days of validity.
    #[arg(long, default_value_t = 3_650)]
    pub(super) days: u32,
}

/// A new certificate.
#[derive(Debug, Args)]
pub(super) struct Issue {
    /// Folder of the CA.
    #[arg(long)]
    pub(super) dir: PathBuf,
    /// Domain that the certificate is for; several are possible.
    #[arg(long, value_name = "DOMAIN", required = true)]
    pub(super) name: Vec<String>,
    /// Side on which it is used: on the SIP side it also carries sip:DOMAIN.
    #[arg(long, value_enum, default_value_t = CertSide::Xmpp)]
    pub(super) side: CertSide,
    /// Beginning of the file names: .pem and .key are added [default: the first name].
    #[arg(long, value_name = "PREFIX")]
    pub(super) out: Option<PathBuf>,
    /// Days of validity.
    #[arg(long, default_value_t = 397)]
    pub(super) days: u32,
    /// Make an RSA key with 2048 bits, for old peers, instead of an ECDSA key.
    #[arg(long)]
    pub(super) rsa: bool,
    /// Replace files that are there already.
    #[arg(long)]
    pub(super) force: bool,
}

/// On which side a certificate is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CertSide {
    /// Towards XMPP servers.
    Xmpp,
    /// Towards SIP servers.
    Sip,
}

/// A release of Microsoft's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Release {
    /// Office Communications Server 2007 R2.
    #[value(name = "2007r2")]
    Ocs2007R2,
    /// Lync Server 2010.
    #[value(name = "2010")]
    Lync2010,
    /// Lync Server 2013.
    #[value(name = "2013")]
    Lync2013,
    /// Skype for Business Server 2015.
    #[value(name = "2015")]
    SfB2015,
    /// Skype for Business Server 2019.
    #[value(name = "2019")]
    SfB2019,
}

impl Release {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ocs2007R2 => "Office Communications Server 2007 R2",
            Self::Lync2010 => "Lync Server 2010",
            Self::Lync2013 => "Lync Server 2013",
            Self::SfB2015 => "Skype for Business Server 2015",
            Self::SfB2019 => "Skype for Business Server 2019",
        }
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    config::duration(text).ok_or("write a number and ms, s, m or h, such as 60s")
}
