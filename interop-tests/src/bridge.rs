//! The usual set-up: one XMPP side, the gateway, one SIP agent as the peer on the other side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::authority::{Identity, Wish};
use crate::gateway::{Gateway, Peer, Settings};
use crate::inbox::until;
use crate::lab::{Host, Lab, S2S, SIPS};
use crate::sip_agent::{Place, SipAgent, Transport};
use crate::tls::{TlsSettings, Trust, Versions};
use crate::xmpp_peer::{self, XmppPeer};
use crate::xmpp_server::{Kind, Options, Reach, XmppServer};

/// The SIP domain of the agent.
pub const SIP_DOMAIN: &str = "sip.example";

/// How long a peer that comes back may take until messages flow again.
pub const RECOVERY: Duration = Duration::from_secs(60);

/// A real XMPP server and a SIP agent with the gateway between them.
#[derive(Debug)]
pub struct Bridge {
    /// The XMPP server.
    pub server: XmppServer,
    /// The SIP peer.
    pub agent: Arc<SipAgent>,
    /// The gateway.
    pub gateway: Gateway,
}

impl Bridge {
    /// Starts all three with the same TLS versions and way of connecting in both directions.
    pub async fn start(lab: &Lab, kind: Kind, versions: Versions, reach: Reach) -> Result<Self> {
        let options = Options {
            versions,
            reach,
            ..Options::default()
        };
        Self::start_with(lab, kind, &options).await
    }

    /// As `start`, with a server of a test's own kind.
    pub async fn start_with(lab: &Lab, kind: Kind, options: &Options) -> Result<Self> {
        let server = XmppServer::start(lab, kind, options).await?;
        let agent = Arc::new(sip_peer(lab, kind.domain()).await?);
        let xmpp = Peer::xmpp(lab, "xmpp", kind.domain())
            .set("connect", options.reach.setting())
            .set("tls", options.versions.setting());
        let mut settings = Settings::new([xmpp, sip_entry(lab)]);
        settings.reach = options.reach;
        let gateway = Gateway::start(lab, &settings).await?;
        Ok(Self {
            server,
            agent,
            gateway,
        })
    }

    /// Waits until a message from the SIP side is taken again.
    pub async fn recovers(&self, to: &str) -> Result<()> {
        takes_again(&self.agent, to).await
    }
}

/// The scripted XMPP peer and a SIP agent with the gateway between them.
#[derive(Debug)]
pub struct ScriptedBridge {
    /// The XMPP peer.
    pub peer: XmppPeer,
    /// The SIP peer.
    pub agent: SipAgent,
    /// The gateway.
    pub gateway: Gateway,
}

impl ScriptedBridge {
    /// Starts all three; `change` adjusts the gateway's entry of the XMPP peer.
    pub async fn start(lab: &Lab, change: impl FnOnce(Peer) -> Peer) -> Result<Self> {
        let identity = xmpp_identity(lab)?;
        Self::start_as(lab, &identity, change).await
    }

    /// As `start`, with settings of a test's own.
    pub async fn start_with(lab: &Lab, change: impl FnOnce(&mut Settings)) -> Result<Self> {
        let tls = TlsSettings::new(&xmpp_identity(lab)?);
        let peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        let agent = sip_peer(lab, xmpp_peer::DOMAIN).await?;
        let mut settings = Settings::new([xmpp_entry(lab), sip_entry(lab)]);
        change(&mut settings);
        let gateway = Gateway::start(lab, &settings).await?;
        Ok(Self {
            peer,
            agent,
            gateway,
        })
    }

    /// As `start`, with a certificate of the XMPP peer's that may be a bad one.
    pub async fn start_as(
        lab: &Lab,
        identity: &Identity,
        change: impl FnOnce(Peer) -> Peer,
    ) -> Result<Self> {
        let tls = TlsSettings::new(identity);
        let peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        let agent = sip_peer(lab, xmpp_peer::DOMAIN).await?;
        let settings = Settings::new([change(xmpp_entry(lab)), sip_entry(lab)]);
        let gateway = Gateway::start(lab, &settings).await?;
        Ok(Self {
            peer,
            agent,
            gateway,
        })
    }
}

/// An ordinary certificate of the scripted XMPP peer.
pub fn xmpp_identity(lab: &Lab) -> Result<Identity> {
    lab.issue(&Wish::xmpp("peer", &[xmpp_peer::DOMAIN]))
}

/// The gateway's entry of the scripted XMPP peer.
pub fn xmpp_entry(lab: &Lab) -> Peer {
    Peer::xmpp(lab, "peer", xmpp_peer::DOMAIN)
}

/// The gateway's entry of the SIP agent.
pub fn sip_entry(lab: &Lab) -> Peer {
    Peer::sip(lab, "sip", SIP_DOMAIN, Host::SipAgent)
}

/// The SIP agent as a peer of the gateway, with an ordinary certificate and full verification.
pub async fn sip_peer(lab: &Lab, xmpp_domain: &str) -> Result<SipAgent> {
    let identity = lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?;
    let mut tls = TlsSettings::new(&identity);
    tls.trust = Trust::in_authority(lab.authority());
    sip_peer_with(lab, xmpp_domain, tls).await
}

/// The SIP agent as a peer of the gateway, with TLS settings of a test's own.
pub async fn sip_peer_with(lab: &Lab, xmpp_domain: &str, tls: TlsSettings) -> Result<SipAgent> {
    sip_peer_at(lab, xmpp_domain, tls, lab.at(Host::SipAgent, SIPS)).await
}

/// The same at an address of a test's own.
pub async fn sip_peer_at(
    lab: &Lab,
    xmpp_domain: &str,
    tls: TlsSettings,
    local: SocketAddr,
) -> Result<SipAgent> {
    SipAgent::start(Place {
        domain: SIP_DOMAIN.to_owned(),
        local,
        route: lab.at(Host::Gateway, SIPS),
        // The gateway speaks for the XMPP domains on this side.
        route_name: xmpp_domain.to_owned(),
        transport: Transport::Tls(Box::new(tls)),
    })
    .await
}

/// Waits until a message from the agent is taken, sending a new one every second.
pub async fn takes_again(agent: &SipAgent, to: &str) -> Result<()> {
    until(RECOVERY, "messages are taken again", || async {
        let answer = agent.say("romeo", to, "are you back?").await;
        matches!(answer, Ok(200 | 202))
    })
    .await
}

/// Asserts that a status is the one expected, and says for what.
pub fn expect_status(what: &str, found: u16, wanted: u16) -> Result<()> {
    ensure!(
        found == wanted,
        "{what} was answered {found} instead of {wanted}"
    );
    Ok(())
}
