//! A real XMPP server of a lab, whichever it is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::authority::{Identity, Wish};
use crate::dns::Srv;
use crate::inbox::until;
use crate::lab::{C2S, Host, Lab, S2S, S2S_DIRECT};
use crate::process::{Launch, Process};
use crate::tls::Versions;
use crate::xmpp_user::XmppUser;
use crate::{ejabberd, openfire, prosody};

/// The accounts that every server has.
pub const USERS: [&str; 2] = ["alice", "bob"];

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Prosody from Debian.
    Prosody,
    /// ejabberd from Debian.
    Ejabberd,
    /// The Openfire distribution that `OPENFIRE_HOME` names.
    Openfire,
}

impl Kind {
    /// The domain the server serves.
    pub fn domain(self) -> &'static str {
        match self {
            Self::Prosody => "prosody.example",
            Self::Ejabberd => "ejabberd.example",
            Self::Openfire => "openfire.example",
        }
    }

    fn host(self) -> Host {
        match self {
            Self::Prosody => Host::Prosody,
            Self::Ejabberd => Host::Ejabberd,
            Self::Openfire => Host::Openfire,
        }
    }
}

/// How other servers are to reach a domain: what its SRV records say (RFC 6120, XEP-0368).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// STARTTLS only.
    StartTls,
    /// Direct TLS only.
    Direct,
    /// Either.
    Both,
}

impl Reach {
    /// The gateway's name of the choice (`connect = "..."` of a peer).
    pub fn setting(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Direct => "direct",
            Self::Both => "auto",
        }
    }
}

/// Publishes an XMPP domain in the lab's name server.
pub fn publish(lab: &Lab, domain: &str, host: Host, reach: Reach) {
    let target = format!("xmpp.{domain}");
    lab.dns().host(&target, &[lab.ip(host)]);
    let ways = [
        ("_xmpp-server._tcp", S2S, reach != Reach::Direct),
        ("_xmpps-server._tcp", S2S_DIRECT, reach != Reach::StartTls),
    ];
    for (service, port, _) in ways.iter().filter(|(.., wanted)| *wanted) {
        let (priority, port, target) = (5, *port, target.clone());
        lab.dns().service(
            &format!("{service}.{domain}"),
            Srv {
                priority,
                port,
                target,
            },
        );
    }
}

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Versions of TLS between servers.
    pub versions: Versions,
    /// How others reach it.
    pub reach: Reach,
    /// Its certificate, if not an ordinary one.
    pub identity: Option<Identity>,
    /// Lines added to the server's configuration.
    pub extra: String,
    /// Accounts beside the usual ones, `user0` and so on; not on Openfire.
    pub more_users: usize,
}

impl Options {
    /// The accounts that are to be made.
    pub(crate) fn accounts(&self) -> Vec<String> {
        let usual = USERS.iter().map(ToString::to_string);
        let more = (0..self.more_users).map(|index| format!("user{index}"));
        usual.chain(more).collect()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            versions: Versions::Any,
            reach: Reach::Both,
            identity: None,
            extra: String::new(),
            more_users: 0,
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct XmppServer {
    kind: Kind,
    clients: SocketAddr,
    servers: SocketAddr,
    process: Process,
}

impl XmppServer {
    /// Starts a server with the accounts of `USERS` and publishes its domain.
    pub async fn start(lab: &Lab, kind: Kind, options: &Options) -> Result<Self> {
        let domain = kind.domain();
        let rooms = format!("conference.{domain}");
        let identity = match &options.identity {
            Some(identity) => identity.clone(),
            None => lab.issue(&Wish::xmpp(domain, &[domain, &rooms]))?,
        };
        publish(lab, domain, kind.host(), options.reach);
        publish(lab, &rooms, kind.host(), options.reach);
        let launch = match kind {
            Kind::Prosody => prosody::prepare(lab, &identity, options)?,
            Kind::Ejabberd => ejabberd::prepare(lab, &identity, options)?,
            Kind::Openfire => openfire::prepare(lab, &identity, options).await?,
        };
        let mut server = Self {
            kind,
            clients: lab.at(kind.host(), C2S),
            servers: lab.at(kind.host(), S2S),
            process: Process::start(launch)?,
        };
        server.ready().await?;
        if kind == Kind::Ejabberd {
            server.process.listens(ejabberd::api(lab)).await?;
            ejabberd::register(lab, &options.accounts()).await?;
        }
        Ok(server)
    }

    async fn ready(&mut self) -> Result<()> {
        self.process.listens(self.servers).await?;
        self.process.listens(self.clients).await
    }

    /// Which server it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The domain it serves.
    pub fn domain(&self) -> &'static str {
        self.kind.domain()
    }

    /// The JID of one of its users.
    pub fn jid(&self, user: &str) -> String {
        format!("{user}@{}", self.domain())
    }

    /// The process, for its log and for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where clients connect.
    pub fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// Where other servers connect.
    pub fn streams(&self) -> SocketAddr {
        self.servers
    }

    /// Logs a user in.
    pub async fn user(&self, name: &str) -> Result<XmppUser> {
        XmppUser::login(self.clients, name, self.domain()).await
    }

    /// Stops the server in an orderly way.
    pub async fn stop(&mut self) -> Result<()> {
        self.process.stop().await?;
        self.gone().await
    }

    /// Kills the server.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await?;
        self.gone().await
    }

    /// Starts the server again after `stop` or `kill`.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process.start_again()?;
        self.ready().await
    }

    async fn gone(&self) -> Result<()> {
        let address = self.servers;
        until(
            Duration::from_secs(10),
            "the server has let go of its port",
            || async move { tokio::net::TcpStream::connect(address).await.is_err() },
        )
        .await
    }
}

/// The launch of a server that finds the lab's name server.
pub(crate) fn launch(lab: &Lab, name: &str, command: &[&str]) -> Launch {
    Launch {
        name: name.to_owned(),
        command: lab.inside(command),
        variables: Vec::new(),
        folder: lab.folder().to_owned(),
        log: lab.path(&format!("{name}.out.log")),
    }
}
