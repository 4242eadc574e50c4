//! A reload while links are up: those that the new configuration still proves stay, no other does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::authority::Wish;
use interop_tests::bridge::{
    SIP_DOMAIN, sip_entry, sip_peer, takes_again, xmpp_entry, xmpp_identity,
};
use interop_tests::gateway::{Gateway, Settings};
use interop_tests::inbox::until;
use interop_tests::lab::{Host, Lab, S2S, run};
use interop_tests::s2s::Stage;
use interop_tests::sip_agent::SipAgent;
use interop_tests::tls::TlsSettings;
use interop_tests::xml::Look;
use interop_tests::xmpp_peer::{self, XmppPeer};
use interop_tests::xmpp_server::Reach;

const LIMIT: Duration = Duration::from_secs(120);
const LOG_LIMIT: Duration = Duration::from_secs(15);
const JULIET: &str = "juliet@peer.example";
const ROMEO: &str = "romeo@sip.example";

/// Both peers linked both ways; each peer's authority lies in a file of its own.
struct Linked {
    peer: XmppPeer,
    agent: SipAgent,
    gateway: Gateway,
}

impl Linked {
    async fn start(lab: &Lab) -> Result<Self> {
        let tls = TlsSettings::new(&xmpp_identity(lab)?);
        let peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        let agent = sip_peer(lab, xmpp_peer::DOMAIN).await?;
        for name in ["xmpp-ca.pem", "sip-ca.pem"] {
            std::fs::copy(lab.authority().pem(), lab.path(name))?;
        }
        let settings = Settings::new([
            xmpp_entry(lab).set("ca", "xmpp-ca.pem"),
            sip_entry(lab).set("ca", "sip-ca.pem"),
        ]);
        let gateway = Gateway::start(lab, &settings).await?;
        let linked = Self {
            peer,
            agent,
            gateway,
        };
        ensure!(linked.agent.say("romeo", JULIET, "in").await? == 200);
        linked.peer.say("juliet", ROMEO, "out", "out").await?;
        linked.agent.expect_text("out").await?;
        Ok(linked)
    }

    /// Has the gateway trust `authority` for one peer.
    async fn trust(&self, lab: &Lab, file: &str, authority: &Path) -> Result<()> {
        std::fs::copy(authority, lab.path(file))?;
        self.gateway.control(&["reload"]).await?.success()?;
        Ok(())
    }

    /// Waits until both links of a peer have ended.
    async fn lose_links(&mut self) -> Result<()> {
        until(LOG_LIMIT, "two links have ended", || {
            std::future::ready(self.ended().len() >= 2)
        })
        .await
    }

    /// The ways of the links that have ended since they came up, with the name of their peer.
    fn ended(&mut self) -> Vec<(String, String)> {
        let log = self.gateway.process().log();
        let field = |line: &str, name: &str| {
            let rest = line
                .split_once(&format!(" {name}="))
                .map_or("", |(_, rest)| rest);
            rest.split(' ').next().unwrap_or_default().replace('"', "")
        };
        let ends = log.lines().filter(|line| line.contains("link_down"));
        let mut ends: Vec<_> = ends
            .map(|line| (field(line, "peer"), field(line, "way")))
            .collect();
        ends.sort();
        ends
    }
}

#[tokio::test]
async fn links_of_a_peer_that_is_no_longer_trusted_end_and_no_others() -> Result<()> {
    run("reload-sip", LIMIT, async |lab| {
        let mut linked = Linked::start(lab).await?;
        let streams = linked.peer.streams_accepted();

        linked
            .trust(lab, "sip-ca.pem", lab.stranger().pem())
            .await?;

        linked.lose_links().await?;
        let both = [("sip", "in"), ("sip", "out")].map(|(peer, way)| (peer.into(), way.into()));
        ensure!(linked.ended() == both, "{:?}", linked.ended());
        ensure!(linked.agent.say("romeo", JULIET, "refused").await.is_err());
        linked.peer.say("juliet", ROMEO, "m2", "refused").await?;
        let error = linked.peer.expect_error("m2").await?;
        ensure!(error.at("type") == "error", "{error:?}");
        let texts = |agent: &SipAgent| {
            agent
                .requests()
                .count(|request| request.text() == "refused")
        };
        ensure!(texts(&linked.agent) == 0);

        linked
            .trust(lab, "sip-ca.pem", lab.authority().pem())
            .await?;

        takes_again(&linked.agent, JULIET).await?;
        ensure!(
            linked.peer.streams_accepted() == streams,
            "the stream was dropped"
        );
        linked.gateway.is_sound()
    })
    .await
}

#[tokio::test]
async fn streams_of_a_peer_that_is_no_longer_trusted_end_and_come_back() -> Result<()> {
    run("reload-xmpp", LIMIT, async |lab| {
        let mut linked = Linked::start(lab).await?;

        linked
            .trust(lab, "xmpp-ca.pem", lab.stranger().pem())
            .await?;

        linked.lose_links().await?;
        let both = [("peer", "in"), ("peer", "out")].map(|(peer, way)| (peer.into(), way.into()));
        ensure!(linked.ended() == both, "{:?}", linked.ended());
        ensure!(linked.agent.say("romeo", JULIET, "refused").await? == 504);

        linked
            .trust(lab, "xmpp-ca.pem", lab.authority().pem())
            .await?;

        takes_again(&linked.agent, JULIET).await?;
        linked.peer.say("juliet", ROMEO, "m3", "again").await?;
        linked.agent.expect_text("again").await?;
        linked.gateway.is_sound()
    })
    .await
}

/// Openfire opens a stream for each of its components. One that is not listed is refused, and an
/// alarm says so until it is.
#[tokio::test]
async fn a_sub_domain_that_is_not_listed() -> Result<()> {
    const ROOMS: &str = "conference.peer.example";
    run("unlisted", LIMIT, async |lab| {
        let linked = Linked::start(lab).await?;
        let identity = lab.issue(&Wish::xmpp("rooms", &[ROOMS]))?;
        let other = lab.stranger().issue(&Wish::xmpp("strange", &[ROOMS]))?;
        let (tls, strange) = (TlsSettings::new(&identity), TlsSettings::new(&other));
        let mut dial = linked.peer.dial(SIP_DOMAIN);
        dial.from = ROOMS;

        dial.tls = &strange;
        ensure!(dial.reach(Stage::Open).await.is_err());
        ensure!(
            alarms(&linked.gateway).await?.is_empty(),
            "anybody can raise it"
        );

        dial.tls = &tls;
        ensure!(dial.reach(Stage::Open).await.is_err());
        let raised = alarms(&linked.gateway).await?;
        ensure!(raised == ["subdomain-refused"], "{raised:?}");
        let why = linked
            .gateway
            .control(&["peer", "why", "peer"])
            .await?
            .success()?;
        ensure!(why.contains(ROOMS), "{why}");

        let config = lab.path("isthmus.toml");
        let text = std::fs::read_to_string(&config)?;
        let listed = format!("name = \"peer\"\nsubdomains = [\"{ROOMS}\"]");
        std::fs::write(&config, text.replace("name = \"peer\"", &listed))?;
        lab.issue(&Wish::sip("gateway-sip", &[xmpp_peer::DOMAIN, ROOMS]))?;
        linked.gateway.control(&["reload"]).await?.success()?;
        ensure!(alarms(&linked.gateway).await?.is_empty(), "still raised");
        dial.reach(Stage::Open).await?;
        Ok(())
    })
    .await
}

async fn alarms(gateway: &Gateway) -> Result<Vec<String>> {
    // With an alarm the status is no success.
    let output = gateway.control(&["--json", "status"]).await?;
    let status: serde_json::Value = serde_json::from_str(&output.stdout)?;
    let alarms = status.get("alarms").and_then(|alarms| alarms.as_array());
    let names = alarms
        .into_iter()
        .flatten()
        .filter_map(|one| one.get("alarm")?.as_str());
    Ok(names.map(str::to_owned).collect())
}
