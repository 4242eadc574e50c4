//! Kamailio in a lab: registrar, proxy and presence server of a SIP domain, mutual TLS towards the
//! gateway.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpStream;

use crate::authority::Wish;
use crate::inbox::{PATIENCE, until};
use crate::lab::{Host, Lab, SIP, SIPS, write};
use crate::process::{Launch, Process, output};
use crate::sip_agent::{Place, SipAgent, Transport};

/// The domain Kamailio serves.
pub const DOMAIN: &str = "kamailio.example";
/// The users it knows; anyone else is 404, and who of them has not registered is 480.
pub const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// Where Debian keeps the tables of Kamailio's databases.
const TABLES: &str = "/usr/share/kamailio/db_sqlite";
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// What a presentity of Kamailio's wants done with a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Let in.
    Allow,
    /// Kept out, and told so.
    Block,
    /// Told that everything is fine, and never shown anything.
    PoliteBlock,
    /// Left waiting.
    Confirm,
}

impl Rule {
    /// The word of RFC 5025.
    fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
            Self::PoliteBlock => "polite-block",
            Self::Confirm => "confirm",
        }
    }
}

/// For how long Kamailio remembers subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// They are written before they are answered, and survive a restart.
    #[default]
    Lasting,
    /// They stand in its memory and nowhere else.
    UntilItEnds,
}

/// A running Kamailio.
#[derive(Debug)]
pub struct Kamailio {
    process: Process,
    folder: PathBuf,
}

impl Kamailio {
    /// Starts it; what its users send to other domains goes to `gateway`.
    pub async fn start(lab: &Lab, gateway: Host) -> Result<Self> {
        Self::start_with(lab, gateway, Memory::Lasting).await
    }

    /// As `start`, with a memory of a test's own.
    pub async fn start_with(lab: &Lab, gateway: Host, memory: Memory) -> Result<Self> {
        let identity = lab.issue(&Wish::sip(DOMAIN, &[DOMAIN]))?;
        let folder = lab.path("kamailio");
        let (key, certificate) = (identity.key.display(), identity.certificate.display());
        let authority = lab.authority().pem().display();
        let tls: String = ["server", "client"]
            .iter()
            .map(|role| {
                format!(
                    "[{role}:default]\nmethod = TLSv1.2+\nverify_certificate = yes\n\
                     require_certificate = yes\nprivate_key = {key}\ncertificate = {certificate}\n\
                     ca_list = {authority}\n"
                )
            })
            .collect();
        write(&folder.join("tls.cfg"), &tls)?;
        write(
            &folder.join("kamailio.cfg"),
            &configuration(lab, gateway, memory),
        )?;
        make_database(&folder).await?;
        let home = folder.clone();
        let config = folder.join("kamailio.cfg");
        let (config, folder) = (config.to_string_lossy(), folder.to_string_lossy());
        let command = [
            "kamailio", "-DD", "-E", "-f", &config, "-Y", &folder, "-w", &folder,
        ];
        let mut process = Process::start(Launch {
            name: "kamailio".to_owned(),
            command: lab.inside(&command),
            variables: Vec::new(),
            folder: lab.folder().to_owned(),
            log: lab.path("kamailio.log"),
        })?;
        all_listen(&mut process, lab).await?;
        Ok(Self {
            process,
            folder: home,
        })
    }

    /// A user of Kamailio's decides about a watcher (RFC 5025); tells the watchers at once.
    pub async fn decides(&self, user: &str, watcher: &str, rule: Rule) -> Result<()> {
        let document = rules(watcher, rule);
        let uri = format!("sip:{user}@{DOMAIN}");
        let row = format!(
            "INSERT OR REPLACE INTO xcap (username, domain, doc, doc_type, etag, source, doc_uri, port)
             VALUES ('{user}', '{DOMAIN}', '{document}', 2, 'e', 0, '/pres-rules/users/{uri}/index', 0);"
        );
        self.database(&row).await?;
        let socket = format!("unix:{}", self.folder.join("control").display());
        let command = [
            "-s",
            &socket,
            "presence.refreshWatchers",
            &uri,
            "presence",
            "0",
        ];
        output("kamcmd", &command, COMMAND_LIMIT).await?.success()?;
        Ok(())
    }

    /// Waits until a watcher's request waits for a user's decision.
    pub async fn holds_request(&self, user: &str, watcher: &str) -> Result<()> {
        let uri = format!("sip:{user}@{DOMAIN}");
        let (name, domain) = watcher.split_once('@').unwrap_or((watcher, ""));
        let question = format!(
            "SELECT count(*) FROM watchers WHERE presentity_uri = '{uri}' \
             AND watcher_username = '{name}' AND watcher_domain = '{domain}';"
        );
        let what = format!("{watcher} waits for {user}");
        until(PATIENCE, &what, || async {
            let found = self.database(&question).await;
            found.is_ok_and(|count| count.trim() == "1")
        })
        .await
    }

    async fn database(&self, statement: &str) -> Result<String> {
        let file = self.folder.join("kamailio.db");
        let file = file.to_string_lossy();
        let arguments = ["-cmd", ".timeout 5000", &*file, statement];
        output("sqlite3", &arguments, COMMAND_LIMIT)
            .await?
            .success()
    }

    /// A user agent of Kamailio's own users, connected over TCP; registers those named.
    pub async fn agent(&self, lab: &Lab, users: &[&str]) -> Result<SipAgent> {
        let place = Place {
            domain: DOMAIN.to_owned(),
            local: lab.at(Host::SecondAgent, SIP),
            route: lab.at(Host::Kamailio, SIP),
            route_name: DOMAIN.to_owned(),
            transport: Transport::Tcp,
        };
        let agent = SipAgent::start(place).await?;
        for user in users {
            agent.register(user).await?;
        }
        Ok(agent)
    }

    /// The process, for its log and for signals.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it, with the workers that outlive their parent for a moment; registrations are lost.
    pub async fn kill(&mut self, lab: &Lab) -> Result<()> {
        self.process.kill().await?;
        for port in [SIP, SIPS] {
            let address = lab.at(Host::Kamailio, port);
            until(PATIENCE, &format!("{address} is free"), || async {
                TcpStream::connect(address).await.is_err()
            })
            .await?;
        }
        Ok(())
    }

    /// Starts it again.
    pub async fn start_again(&mut self, lab: &Lab) -> Result<()> {
        self.process.start_again()?;
        all_listen(&mut self.process, lab).await
    }
}

/// Waits until its users and its peers can connect.
async fn all_listen(process: &mut Process, lab: &Lab) -> Result<()> {
    process.listens(lab.at(Host::Kamailio, SIP)).await?;
    process.listens(lab.at(Host::Kamailio, SIPS)).await
}

/// Makes the tables that presence needs. With a write-ahead log a writer keeps no reader out, who
/// would answer 500.
async fn make_database(folder: &std::path::Path) -> Result<()> {
    let file = folder.join("kamailio.db");
    let file = file.to_string_lossy();
    let mode = [&*file, "PRAGMA journal_mode = WAL;"];
    output("sqlite3", &mode, COMMAND_LIMIT).await?.success()?;
    for tables in ["standard", "presence"] {
        let script = format!(".read {TABLES}/{tables}-create.sql");
        output("sqlite3", &[&file, &script], COMMAND_LIMIT)
            .await?
            .success()?;
    }
    Ok(())
}

/// A document of rules for one watcher.
fn rules(watcher: &str, rule: Rule) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <cp:ruleset xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\" \
         xmlns:cp=\"urn:ietf:params:xml:ns:common-policy\"><cp:rule id=\"one\"><cp:conditions>\
         <cp:identity><cp:one id=\"sip:{watcher}\"/></cp:identity></cp:conditions><cp:actions>\
         <pr:sub-handling>{}</pr:sub-handling></cp:actions><cp:transformations/></cp:rule>\
         </cp:ruleset>",
        rule.word()
    )
}

fn configuration(lab: &Lab, gateway: Host, memory: Memory) -> String {
    let mode = match memory {
        Memory::Lasting => "1",
        Memory::UntilItEnds => "0",
    };
    include_str!("kamailio.cfg")
        .replace("@IP@", &lab.ip(Host::Kamailio).to_string())
        .replace("@GATEWAY@", &lab.at(gateway, SIPS).to_string())
        .replace("@MODE@", mode)
        .replace("@FOLDER@", &lab.path("kamailio").to_string_lossy())
        .replace("@DOMAIN@", DOMAIN)
        .replace("@USERS@", &USERS.join("|"))
}
