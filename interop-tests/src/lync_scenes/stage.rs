//! An XMPP side, the gateway, and a simulator as its Microsoft peer.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::sync::Mutex;

use super::person::Person;
use crate::authority::Key;
use crate::bridge::{xmpp_entry, xmpp_identity};
use crate::dns::Srv;
use crate::gateway::{Gateway, Peer, Settings};
use crate::lab::{self, Host, Lab, S2S, SIPS};
use crate::lookup::Directory;
use crate::lync_sim::tls::{Certificates, Naming};
use crate::lync_sim::{Profile, Setup, Sim, Windows, rules};
use crate::openfire;
use crate::tls::TlsSettings;
use crate::xmpp_peer::{self, XmppPeer};
use crate::xmpp_server::{Kind, Options, Reach, XmppServer};
use crate::xmpp_user::XmppUser;

/// The SIP domain of the simulator.
pub const DOMAIN: &str = "lync.example";
/// The name of its Edge.
pub const FQDN: &str = "sip.lync.example";
/// Limit of each test that asks for no other.
const LIMIT: Duration = Duration::from_secs(300);

/// Who plays the XMPP side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    /// The scripted peer.
    Peer,
    /// A real server.
    Server(Kind),
}

impl With {
    fn domain(self) -> &'static str {
        match self {
            Self::Peer => xmpp_peer::DOMAIN,
            Self::Server(kind) => kind.domain(),
        }
    }
}

/// How a stage is set up beside its profile.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The system under the Edge, of the profile if none.
    pub windows: Option<Windows>,
    /// How its certificate names it.
    pub naming: Naming,
    /// The key of its certificate.
    pub key: Key,
    /// The keys of the gateway's certificates on the SIP side.
    pub gateway_keys: Vec<Key>,
    /// The gateway finds the Edge by its records, and not by a route.
    pub by_records: bool,
    /// How long the test may take.
    pub limit: Duration,
    /// Changes the gateway's entry of the simulator.
    pub entry: fn(Peer) -> Peer,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            windows: None,
            naming: Naming::Alternative,
            key: Key::Rsa,
            gateway_keys: vec![Key::Rsa],
            by_records: false,
            limit: LIMIT,
            entry: |peer| peer,
        }
    }
}

/// Everyone.
#[derive(Debug)]
pub struct Stage {
    /// The Microsoft side.
    pub sim: Sim,
    /// The gateway between them.
    pub gateway: Gateway,
    end: End,
    profile: Profile,
    with: With,
    wishes: Wishes,
}

#[derive(Debug)]
enum End {
    Peer(Arc<XmppPeer>),
    /// With those of its users who are logged in: a login for each scene would have the server end
    /// the one before.
    Server(Box<XmppServer>, Mutex<BTreeMap<String, Arc<XmppUser>>>),
}

/// Runs a test on a stage, unless its server is not at hand. What the gateway must not do to an
/// Edge, and an ERROR in its log, fail it as well.
pub async fn run(
    profile: Profile,
    with: With,
    wishes: Wishes,
    body: impl AsyncFnOnce(&Lab, &mut Stage) -> Result<()>,
) -> Result<()> {
    if with == With::Server(Kind::Openfire) && !openfire::is_available() {
        eprintln!("{}", openfire::SKIPPED);
        return Ok(());
    }
    lab::run(profile.name(), wishes.limit, async |lab| {
        let mut stage = Stage::start(lab, profile, with, &wishes).await?;
        body(lab, &mut stage).await?;
        stage.is_clean()?;
        stage.gateway.is_sound()
    })
    .await
}

impl Stage {
    /// Starts everything.
    pub async fn start(lab: &Lab, profile: Profile, with: With, wishes: &Wishes) -> Result<Self> {
        let folder = lab.path("lync");
        let certificates = Certificates::make(&folder, FQDN, wishes.naming, wishes.key)?;
        let (end, xmpp) = match with {
            With::Peer => {
                let tls = TlsSettings::new(&xmpp_identity(lab)?);
                let server = lab.at(Host::Gateway, S2S);
                let peer = XmppPeer::start(lab, tls, Reach::Both, server).await?;
                peer.change(|script| script.answers_probes = true);
                (End::Peer(Arc::new(peer)), xmpp_entry(lab))
            }
            With::Server(kind) => {
                let server = XmppServer::start(lab, kind, &Options::default()).await?;
                let entry = Peer::xmpp(lab, "xmpp", kind.domain());
                (End::Server(Box::new(server), Mutex::default()), entry)
            }
        };
        let windows = wishes.windows.unwrap_or_else(|| profile.windows());
        let edge = if wishes.by_records {
            publish_edge(lab);
            Peer::sip_by_dns(lab, "lync", DOMAIN)
        } else {
            Peer::sip(lab, "lync", DOMAIN, Host::Lync)
        };
        let entry = (wishes.entry)(entry(edge, &certificates, windows));
        let mut settings = Settings::new([xmpp, entry]);
        let host = format!("sip.{}", with.domain());
        publish_federation(lab, with.domain(), &host);
        settings.host = Some(host);
        settings.sip_keys.clone_from(&wishes.gateway_keys);
        let gateway = Gateway::start(lab, &settings).await?;
        let sim = Sim::start(Setup {
            profile,
            windows,
            domain: DOMAIN.to_owned(),
            fqdn: FQDN.to_owned(),
            listen: lab.at(Host::Lync, SIPS),
            partner: lab.at(Host::Gateway, SIPS),
            certificates,
            trusted: lab.authority().pem().to_owned(),
            partner_domain: Some(with.domain().to_owned()),
            directory: Some(Directory::Server(lab.dns().address())),
        })
        .await?;
        Ok(Self {
            sim,
            gateway,
            end,
            profile,
            with,
            wishes: wishes.clone(),
        })
    }

    /// The simulator, the gateway, and the real server if there is one.
    pub fn into_parts(self) -> (Sim, Gateway, Option<XmppServer>) {
        let server = match self.end {
            End::Peer(_) => None,
            End::Server(server, _) => Some(*server),
        };
        (self.sim, self.gateway, server)
    }

    /// An XMPP user; real servers have `alice` and `bob`.
    pub async fn xmpp(&self, user: &str) -> Result<Person> {
        match &self.end {
            End::Peer(peer) => Ok(Person::scripted(Arc::clone(peer), user)),
            End::Server(server, users) => {
                let mut users = users.lock().await;
                if let Some(known) = users.get(user) {
                    return Ok(Person::account(Arc::clone(known)));
                }
                let new = Arc::new(server.user(user).await?);
                users.insert(user.to_owned(), Arc::clone(&new));
                Ok(Person::account(new))
            }
        }
    }

    /// The scripted peer, where it plays the XMPP side.
    pub fn peer(&self) -> Option<&XmppPeer> {
        match &self.end {
            End::Peer(peer) => Some(peer),
            End::Server(..) => None,
        }
    }

    /// The same, to keep.
    pub fn shared_peer(&self) -> Option<Arc<XmppPeer>> {
        match &self.end {
            End::Peer(peer) => Some(Arc::clone(peer)),
            End::Server(..) => None,
        }
    }

    /// Whether a real server plays the XMPP side.
    pub fn is_real(&self) -> bool {
        self.peer().is_none()
    }

    /// The domain of the XMPP users.
    pub fn domain(&self) -> &'static str {
        self.with.domain()
    }

    /// How it was set up.
    pub fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// The release that is played.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Sets or takes back what the gateway's policy says about a pair.
    pub async fn rules(&self, jid: &str, aor: &str, verdict: &str) -> Result<()> {
        let uri = format!("sip:{aor}");
        let arguments = ["acl", "set", jid, &uri, verdict];
        self.gateway.control(&arguments).await?.success()?;
        Ok(())
    }

    /// What the operator is told of the Edge by a command of `peer`, one blank between words: how
    /// wide a column is depends on what stands in it.
    pub async fn told(&self, command: &str) -> Result<String> {
        let arguments = ["peer", command, "lync.example"];
        let told = self.gateway.control(&arguments).await?.stdout;
        let lines = told.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.join(" ")
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// What the gateway must never do to an Edge.
    pub fn is_clean(&self) -> Result<()> {
        let faults = self.sim.faults().all();
        ensure!(
            faults.is_empty(),
            "the gateway towards an Edge: {faults:#?}"
        );
        Ok(())
    }

    /// Says that rules were shown, for the report, after a look at the faults.
    pub fn shown(&self, ids: &[&str]) -> Result<()> {
        self.is_clean()?;
        for id in ids {
            let line = rules::shown(id, self.profile.name(), self.with.domain());
            writeln!(std::io::stdout(), "{line}")?;
        }
        Ok(())
    }
}

/// The gateway's entry of the simulator.
fn entry(edge: Peer, certificates: &Certificates, windows: Windows) -> Peer {
    let ca = certificates.authority.to_string_lossy().into_owned();
    let entry = edge
        .set("profile", "microsoft")
        .set("allow_listed", true)
        .set("ca", ca)
        .set("expected_identity", vec![FQDN]);
    let engine = |entry: Peer| {
        let mut tls = toml::Table::new();
        tls.insert("engine".to_owned(), "compat".into());
        entry.set("tls", tls)
    };
    match windows {
        Windows::Server2016 => entry,
        Windows::Server2012R2 => engine(entry),
        Windows::Server2008 => engine(entry).set("legacy_tls", true),
    }
}

/// The service by which the Edge is found.
pub(super) const EDGE_SERVICE: &str = "_sipfederationtls._tcp.lync.example";
/// The host that is named first there, and where nobody listens.
pub(super) const DEAD_HOST: &str = "sip1.lync.example";

/// Publishes two hosts of the Edge: nobody listens at the one that is to be asked first.
fn publish_edge(lab: &Lab) {
    for (priority, target, host) in [(10, DEAD_HOST, Host::Nobody), (20, FQDN, Host::Lync)] {
        lab.dns().host(target, &[lab.ip(host)]);
        let srv = Srv {
            priority,
            port: SIPS,
            target: target.to_owned(),
        };
        lab.dns().service(EDGE_SERVICE, srv);
    }
}

/// Publishes the record by which an Edge finds the gateway.
pub(super) fn publish_federation(lab: &Lab, domain: &str, host: &str) {
    let srv = Srv {
        priority: 0,
        port: SIPS,
        target: host.to_owned(),
    };
    let service = format!("_sipfederationtls._tcp.{domain}");
    lab.dns().service(&service, srv);
}
