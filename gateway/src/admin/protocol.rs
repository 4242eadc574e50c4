//! What `isthmusctl` and the daemon say to each other. Each answer also has `ok`; where that is
//! false there is nothing but `error`, one sentence.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Which version runs.
    Version,
    /// How everything is.
    Status,
    /// How the peers are.
    PeerList,
    /// How one peer is, and what it said of late.
    PeerStatus {
        /// Name or domain of the peer.
        peer: String,
    },
    /// Why a peer cannot be reached.
    PeerWhy {
        /// Name or domain of the peer.
        peer: String,
    },
    /// What became of messages.
    MessageFind {
        /// Identifier of the sender or of the journal, or a user.
        wanted: String,
    },
    /// The decisions on pairs and users: all, those that name a user, or the one on two users.
    AclGet {
        /// Users: none, one, or one of each side.
        users: Vec<String>,
    },
    /// Decides on a user or a pair.
    AclSet {
        /// One user, or one of each side.
        users: Vec<String>,
        /// `allow`, `confirm`, `polite-block` or `block`.
        verdict: String,
    },
    /// Takes the decision on a user or a pair back.
    AclRemove {
        /// One user, or one of each side.
        users: Vec<String>,
    },
    /// Says what holds for a pair, and why.
    AclExplain {
        /// One user of each side.
        users: Vec<String>,
    },
    /// Requests that are held until the operator decides.
    PendingList {
        /// Only those of this user.
        user: Option<String>,
    },
    /// Decides on a pair whose request is held.
    PendingDecide {
        /// One user of each side.
        users: Vec<String>,
        /// `allow`, `block` or `polite-block`.
        verdict: String,
    },
    /// How one watcher stands to one presentity, for a migration.
    MigrationLook {
        /// Who watches.
        watcher: String,
        /// Who is watched.
        presentity: String,
    },
    /// Lets an XMPP user watch a SIP user as himself.
    MigrationWatch {
        /// Who watches.
        watcher: String,
        /// Who is watched.
        presentity: String,
    },
    /// Gives an administrative address up towards an XMPP user.
    MigrationGiveUp {
        /// The address.
        admin: String,
        /// The user.
        user: String,
    },
    /// Lists who watches whom: everybody, a user, or a pair.
    WatcherList {
        /// Nobody, one user, or one of each side.
        users: Vec<String>,
        /// At most so many.
        most: usize,
    },
    /// Asks for and tells the current state again.
    WatcherResync {
        /// One user, or one of each side.
        users: Vec<String>,
    },
    /// Ends relations and forgets them.
    WatcherDrop {
        /// One user, or one of each side.
        users: Vec<String>,
        /// Only those whose watcher is on this side: `xmpp` or `sip`.
        #[serde(default)]
        side: Option<String>,
    },
    /// Forgets a deleted user.
    UserForget {
        /// The user.
        user: String,
    },
    /// Believes a peer again when it refuses what it granted.
    PeerRelease {
        /// Name or domain of the peer.
        peer: String,
    },
    /// Writes what waits to be written, before a backup.
    Flush,
    /// Reads the configuration again.
    Reload,
    /// Finishes what is under way and ends.
    Drain {
        /// Time until the rest is cut off.
        timeout_seconds: u64,
        /// Whether every dialog is ended before, because this gateway does not come back.
        #[serde(default)]
        for_good: bool,
    },
}

/// The running version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Of the daemon.
    pub version: String,
}

/// How everything is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// Its configuration file.
    pub config: PathBuf,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
    /// Whether it takes work.
    pub ready: bool,
    /// Whether the journal takes records.
    pub journal_writable: bool,
    /// Alarms that are raised, most urgent first.
    pub alarms: Vec<AlarmStatus>,
    /// Who watches whom, by side and state.
    #[serde(default)]
    pub subscriptions: Vec<SubscriptionCount>,
    /// Endpoints of SIP users of the Microsoft profile that watch as many users as they may.
    #[serde(default)]
    pub endpoints_full: usize,
    /// Our certificates.
    pub certificates: Vec<CertificateStatus>,
    /// The peers.
    pub peers: Vec<PeerStatus>,
}

/// One alarm that is raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// Its name.
    pub alarm: String,
    /// How urgent it is.
    pub severity: String,
    /// About what.
    pub subject: String,
    /// Why.
    pub cause: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// One certificate of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// On which side it is used.
    pub side: String,
    /// Its file.
    pub file: String,
    /// Its names.
    pub names: Vec<String>,
    /// Days until it expires; negative if it has.
    pub days_left: i64,
}

/// How the peers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerList {
    /// By name.
    pub peers: Vec<PeerStatus>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Its side.
    pub side: String,
    /// Its domains.
    pub domains: Vec<String>,
    /// How it is.
    pub state: PeerState,
    /// Its links.
    pub links: Vec<LinkStatus>,
    /// Messages and answers that wait for it.
    pub waiting: usize,
    /// Messages that were sent and are not confirmed.
    pub unconfirmed: usize,
    /// Why the last attempt to connect failed, if it did.
    pub last_error: Option<String>,
    /// Whether it is not believed when it refuses what it granted.
    #[serde(default)]
    pub refuses_grants: bool,
}

/// How a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerState {
    /// There is a link.
    Up,
    /// There is none, and none is needed.
    Idle,
    /// There is none, and the last attempt failed.
    Down,
    /// There is one, and the peer answers no barrier.
    ReturnPathDown,
}

impl PeerState {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Idle => "idle",
            Self::Down => "down",
            Self::ReturnPathDown => "return path down",
        }
    }
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Its number, as the log shows it.
    pub link: u64,
    /// `in` or `out`.
    pub direction: String,
    /// Our domain on it.
    pub local: String,
    /// The peer's domain on it.
    pub remote: String,
    /// The domains that its certificate proves.
    pub proven: Vec<String>,
    /// The far end.
    pub address: String,
    /// TLS version.
    pub tls: String,
    /// Since when (RFC 3339).
    pub since: String,
}

/// One attempt to set up a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStatus {
    /// When (RFC 3339).
    pub at: String,
    /// `in` or `out`.
    pub direction: String,
    /// From which domain to which, as far as known.
    pub path: Option<String>,
    /// The far end, as far as known.
    pub address: Option<String>,
    /// How far it came.
    pub step: String,
    /// Stable name of the failure; none if it became a link.
    pub what: Option<String>,
    /// Why it failed.
    pub cause: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// What became of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Newest first.
    pub messages: Vec<MessageStatus>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStatus {
    /// Its key in the journal.
    pub id: String,
    /// The identifier its sender gave it.
    pub sender_id: Option<String>,
    /// The peer it came from.
    pub from_peer: String,
    /// `to-sip` or `to-xmpp`.
    pub direction: String,
    /// The XMPP user.
    pub xmpp_user: String,
    /// The SIP user, in JID form.
    pub sip_user: String,
    /// When it was accepted (RFC 3339).
    pub accepted: String,
    /// `waiting`, `sent`, `failing`, or its fate.
    pub state: String,
    /// Why, where it failed or was dropped.
    pub reason: Option<String>,
    /// What the far side said about that.
    pub text: Option<String>,
}

/// Decisions on pairs and users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclList {
    /// By level, then by user.
    pub decisions: Vec<AclStatus>,
    /// How many more there are.
    pub left_off: usize,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclStatus {
    /// `pair` or `user`.
    pub level: String,
    /// The XMPP user; none for any.
    pub xmpp_user: Option<String>,
    /// The SIP user, in JID form; none for any.
    pub sip_user: Option<String>,
    /// What is decided.
    pub verdict: String,
    /// Since when (RFC 3339).
    pub changed: String,
    /// The user who decided, by number, as far as known.
    pub changed_by: Option<u32>,
}

/// A decision was made or taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclChanged {
    /// The XMPP user; none for any.
    pub xmpp_user: Option<String>,
    /// The SIP user, in JID form; none for any.
    pub sip_user: Option<String>,
    /// What was decided before, if anything was.
    pub before: Option<String>,
    /// What is decided now, if anything is.
    pub verdict: Option<String>,
    /// What holds for the pair, where it is one: a higher level may decide otherwise.
    pub holds: Option<Holds>,
}

/// What holds for a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// The verdict.
    pub verdict: String,
    /// The level that gave it.
    pub level: String,
}

/// Why a pair has its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclExplained {
    /// The XMPP user.
    pub xmpp_user: String,
    /// The SIP user, in JID form.
    pub sip_user: String,
    /// What holds.
    pub holds: Holds,
    /// Everything that speaks of the pair, highest level first.
    pub said: Vec<SaidStatus>,
}

/// What one decision or rule says about a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidStatus {
    /// Where it stands.
    pub level: String,
    /// Which one it is.
    pub rule: String,
    /// What it says.
    pub verdict: String,
    /// Whether it decides.
    pub decides: bool,
}

/// Requests that are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingList {
    /// By pair.
    pub pending: Vec<PendingStatus>,
}

/// One request that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingStatus {
    /// Who wants to see.
    pub watcher: String,
    /// Whom he wants to see.
    pub presentity: String,
    /// The side of the watcher: `xmpp` or `sip`.
    pub side: String,
    /// The level that says confirm.
    pub level: String,
}

/// How one watcher stands to one presentity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationLook {
    /// The XMPP user.
    pub xmpp_user: String,
    /// The SIP user, in JID form.
    pub sip_user: String,
    /// Whether the XMPP user is the watcher.
    pub xmpp_watches: bool,
    /// How it stands.
    pub stands: MigrationStands,
    /// What policy says of the two.
    pub verdict: String,
    /// The level that says so.
    pub level: String,
}

/// How a watcher stands to a presentity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationStands {
    /// He does not watch him as himself.
    Absent,
    /// He asked, or lost it for now.
    Asked,
    /// He is shown his presence.
    Works,
}

/// The outcome of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationStep {
    /// Whether it was done.
    pub done: bool,
}

/// Who watches whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatcherList {
    /// By pair.
    pub relations: Vec<RelationStatus>,
    /// Whether there are more.
    pub more: bool,
}

/// One watcher of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationStatus {
    /// Who sees.
    pub watcher: String,
    /// Whom he sees.
    pub presentity: String,
    /// The side of the watcher: `xmpp` or `sip`.
    pub side: String,
    /// The state's name in the tables, in words.
    pub state: String,
    /// What policy says.
    pub verdict: String,
    /// Whether the authorization is granted.
    pub granted: bool,
    /// Whether the request waits for an operator.
    pub held: bool,
    /// Dialogs on SIP.
    pub dialogs: Vec<DialogStatus>,
    /// How many of them only look, so that the presentity was not asked on their behalf.
    #[serde(default)]
    pub looks: usize,
    /// Devices that are known to be available.
    pub available: usize,
    /// When the last presence came (RFC 3339).
    pub fresh: Option<String>,
    /// When the next attempt is made, after failures (RFC 3339).
    pub retry: Option<String>,
}

/// One dialog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogStatus {
    /// Its Call-ID.
    pub call_id: String,
    /// When it ends unless it is refreshed (RFC 3339).
    pub ends: String,
}

/// What was done to relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchersChanged {
    /// How many.
    pub relations: usize,
}

/// What a forgotten user leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Relations that were ended.
    pub relations: usize,
    /// Decisions that were removed.
    pub decisions: usize,
    /// Rows of the journal that were left.
    pub rows: usize,
}

/// A peer that is believed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Its name.
    pub peer: String,
    /// False if it was believed all the time.
    pub released: bool,
}

/// Subscriptions in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionCount {
    /// The side of the watchers: `xmpp` or `sip`.
    pub side: String,
    /// The state's name in the tables, in words.
    pub state: String,
    /// How many.
    pub count: usize,
}

/// The outcome of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadStatus {
    /// Whether the new configuration is in use.
    pub applied: bool,
    /// Everything that was found.
    pub findings: Vec<FindingStatus>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingStatus {
    /// `ERROR`, `WARNING` or `NOTE`.
    pub level: String,
    /// Stable name.
    pub id: String,
    /// Where.
    pub subject: String,
    /// What is wrong.
    pub sentence: String,
    /// What to do.
    pub fix: String,
}

impl From<&certs::Finding> for FindingStatus {
    fn from(finding: &certs::Finding) -> Self {
        Self {
            level: finding.level.to_string(),
            id: finding.id.to_owned(),
            subject: finding.subject.clone(),
            sentence: finding.sentence.clone(),
            fix: finding.fix.clone(),
        }
    }
}

/// The end of a drain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Whether everything was finished in time.
    pub clean: bool,
}
