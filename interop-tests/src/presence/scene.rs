//! One XMPP server with real clients, the gateway, and a scripted SIP peer.

use std::time::Duration;

use anyhow::{Result, ensure};
use minidom::Element;

use crate::bridge::{Bridge, SIP_DOMAIN};
use crate::inbox::until;
use crate::lab::{self, Lab};
use crate::openfire;
use crate::pidf::{Document, Tuple};
use crate::sip_agent::{Presentity, Watch};
use crate::tls::Versions;
use crate::xml::Look;
use crate::xmpp_clients::{Client, Mood, XmppClients};
use crate::xmpp_server::{Kind, Reach};

/// Limit of each test.
const LIMIT: Duration = Duration::from_secs(300);

/// The SIP user of most tests.
pub const ROMEO: &str = "romeo@sip.example";

/// Everyone.
#[derive(Debug)]
pub struct Scene {
    /// The server, the SIP peer, and the gateway between them.
    pub bridge: Bridge,
    /// The clients of the server's users.
    pub clients: XmppClients,
}

/// Runs one test on a scene, unless the server is not at hand. What a peer must not do in a dialog,
/// and an ERROR in the gateway's log, fail it as well.
pub(super) async fn run(
    kind: Kind,
    body: impl AsyncFnOnce(&Lab, &mut Scene) -> Result<()>,
) -> Result<()> {
    if kind == Kind::Openfire && !openfire::is_available() {
        eprintln!("{}", openfire::SKIPPED);
        return Ok(());
    }
    lab::run(kind.domain(), LIMIT, async |lab| {
        let mut scene = Scene::start(lab, kind).await?;
        body(lab, &mut scene).await?;
        let faults = scene.bridge.agent.faults();
        ensure!(
            faults.is_empty(),
            "the gateway in its dialogs: {:?}",
            faults.all()
        );
        scene.bridge.gateway.is_sound()
    })
    .await
}

/// What Romeo publishes: one device that is open.
pub fn romeo_is(show: &str, note: &str) -> Document {
    Document::of(&format!("pres:{ROMEO}"), Tuple::open("phone", show, note))
}

impl Scene {
    /// Starts everything.
    pub async fn start(lab: &Lab, kind: Kind) -> Result<Self> {
        let bridge = Bridge::start(lab, kind, Versions::Any, Reach::Both).await?;
        let clients = XmppClients::start(lab).await?;
        Ok(Self { bridge, clients })
    }

    /// Logs a user in, without a presence yet.
    pub async fn login(&self, name: &str, resource: &str) -> Result<Client> {
        let server = &self.bridge.server;
        let jid = format!("{}/{resource}", server.jid(name));
        self.clients.login(server.clients(), &jid).await
    }

    /// Logs a user in and makes it available.
    pub async fn user(&self, name: &str, resource: &str) -> Result<Client> {
        let client = self.login(name, resource).await?;
        client.shows(Mood::default()).await?;
        Ok(client)
    }

    /// One of the SIP users.
    pub fn sip_user(&self, user: &str) -> Presentity {
        self.bridge.agent.presentity(user)
    }

    /// Romeo.
    pub fn romeo(&self) -> Presentity {
        self.sip_user("romeo")
    }

    /// Makes the client's user and Romeo see each other; Romeo has published something before.
    pub async fn befriend(&self, client: &Client) -> Result<Watch> {
        client.subscribe(ROMEO).await?;
        client.expect(ROMEO, "subscribed", is("subscribed")).await?;
        client
            .expect(ROMEO, "his state", Look::is_available)
            .await?;
        self.let_in(client).await
    }

    /// Romeo watches the client's user, who lets him in.
    pub async fn let_in(&self, client: &Client) -> Result<Watch> {
        let mark = client.mark();
        let watch = self.bridge.agent.watch("romeo", client.jid()).await?;
        client
            .expect_behind(mark, ROMEO, "subscribe", is("subscribe"))
            .await?;
        client.approve(ROMEO).await?;
        watch.expect("her state", |n| n.is_open()).await?;
        Ok(watch)
    }

    /// Waits until so many dialogs watch Romeo.
    pub async fn romeo_has_watchers(&self, count: usize) -> Result<()> {
        let romeo = self.romeo();
        let what = format!("{count} dialogs watch {ROMEO}");
        until(Duration::from_secs(20), &what, || {
            std::future::ready(romeo.watchers().len() == count)
        })
        .await
    }

    /// Waits until the roster on the server says so about Romeo.
    pub async fn roster_says(&self, client: &Client, wanted: &str) -> Result<()> {
        let what = format!("the roster says {wanted} about {ROMEO}");
        until(Duration::from_secs(10), &what, || async {
            client
                .roster(ROMEO)
                .await
                .is_ok_and(|found| found == wanted)
        })
        .await
    }

    /// The SIP URI of an XMPP user.
    pub fn uri(&self, name: &str) -> String {
        format!("sip:{}", self.bridge.server.jid(name))
    }

    /// Sets or takes back what the gateway's policy says about a user and Romeo.
    pub async fn rules(&self, name: &str, verdict: &str) -> Result<()> {
        let jid = self.bridge.server.jid(name);
        let uri = format!("sip:romeo@{SIP_DOMAIN}");
        let arguments = ["acl", "set", &jid, &uri, verdict];
        self.bridge.gateway.control(&arguments).await?.success()?;
        Ok(())
    }
}

/// Whether a presence has that type.
pub fn is(kind: &str) -> impl Fn(&Element) -> bool {
    let kind = kind.to_owned();
    move |presence| presence.at("type") == kind
}

/// Whether a presence is available with that status.
pub fn says(status: &str) -> impl Fn(&Element) -> bool {
    let status = status.to_owned();
    move |presence| presence.is_available() && presence.text_of("status") == status
}

/// Whether a presence comes from that device.
pub(super) fn is_from_device(presence: &Element, device: &str) -> bool {
    let from = presence.at("from");
    from.split_once('/')
        .is_some_and(|(_, found)| found == device)
}
