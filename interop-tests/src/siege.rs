//! A gateway under attack: a good peer's traffic is measured while an attacker is at work.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::sync::{Mutex, MutexGuard};

use crate::authority::Wish;
use crate::bridge::{SIP_DOMAIN, sip_entry, xmpp_entry, xmpp_identity};
use crate::gateway::{Gateway, Peer, Settings};
use crate::lab::{Host, Lab, S2S, SIPS};
use crate::load::{Direction, Load};
use crate::s2s::Dial;
use crate::tls::TlsSettings;

/// The attacker's XMPP domain: a peer with a good certificate and bad manners.
pub const EVIL: &str = "evil.example";
/// The attacker's SIP domain.
pub const EVIL_SIP: &str = "evil-sip.example";
/// Latency below which doubling is noise of the machine.
const NOISE: Duration = Duration::from_millis(50);
/// Messages per second of the good peer.
const GOOD_RATE: u32 = 100;
/// How often an attack is tried before its effect is believed.
const ATTEMPTS: usize = 3;
/// Length of one measurement.
const SPAN: Duration = Duration::from_secs(2);
/// The most memory that the daemon may ever have used, in KiB.
const MEMORY: u64 = 512 * 1024;

/// Latencies mean something only while no other siege uses the processor.
static TURN: Mutex<()> = Mutex::const_new(());

/// The gateway, a good peer's load and what an attacker needs.
#[derive(Debug)]
pub struct Siege {
    load: Load,
    gateway: Gateway,
    _turn: MutexGuard<'static, ()>,
    /// How the attacker does TLS as an XMPP peer.
    xmpp_attacker: TlsSettings,
    /// How the attacker does TLS as a SIP peer.
    pub sip_attacker: TlsSettings,
    /// The gateway's XMPP listener.
    pub xmpp: SocketAddr,
    /// The gateway's SIP listener.
    pub sip: SocketAddr,
    /// The attacker's own address.
    pub source: SocketAddr,
}

impl Siege {
    /// Starts the gateway and the good peer.
    pub async fn start(lab: &Lab) -> Result<Self> {
        let turn = TURN.lock().await;
        let evil = Peer::xmpp(lab, "evil", EVIL);
        let evil_sip = Peer::sip(lab, "evil-sip", EVIL_SIP, Host::Nobody);
        let peers = [xmpp_entry(lab), evil, sip_entry(lab), evil_sip];
        let gateway = Gateway::start(lab, &Settings::new(peers)).await?;
        let xmpp = TlsSettings::new(&xmpp_identity(lab)?);
        let sip = TlsSettings::new(&lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?);
        let load = Load::start(lab, xmpp, sip).await?;
        Ok(Self {
            load,
            gateway,
            _turn: turn,
            xmpp_attacker: TlsSettings::new(&lab.issue(&Wish::xmpp("evil", &[EVIL]))?),
            sip_attacker: TlsSettings::new(&lab.issue(&Wish::sip("evil-sip", &[EVIL_SIP]))?),
            xmpp: lab.at(Host::Gateway, S2S),
            sip: lab.at(Host::Gateway, SIPS),
            source: lab.at(Host::Nobody, 0),
        })
    }

    /// How the attacker dials as an XMPP peer.
    pub fn dial(&self) -> Dial<'_> {
        Dial {
            address: self.xmpp,
            source: Some(self.source),
            direct: false,
            from: EVIL,
            to: SIP_DOMAIN,
            tls: &self.xmpp_attacker,
            authzid: None,
        }
    }

    /// Runs an attack while good traffic flows: its latency at most doubles. What the rest of the
    /// machine does shows in it as well, so only what shows every time counts.
    pub async fn withstand(&self, attack: impl AsyncFn() -> Result<()>) -> Result<()> {
        self.withstand_within(NOISE, attack).await
    }

    /// The same where a latency of twice `noise` is no effect of the attack.
    pub async fn withstand_within(
        &self,
        noise: Duration,
        attack: impl AsyncFn() -> Result<()>,
    ) -> Result<()> {
        // The first round brings links up.
        self.latency(|elapsed| elapsed < SPAN).await?;
        let mut usual = Duration::ZERO;
        let mut measured = Vec::new();
        for _ in 0..ATTEMPTS {
            let before = self.latency(|elapsed| elapsed < SPAN).await?;
            let meanwhile = self.latency_during(attack()).await?;
            usual = before.max(self.latency(|elapsed| elapsed < SPAN).await?);
            measured.push(meanwhile);
            if meanwhile <= usual.max(noise) * 2 {
                return Ok(());
            }
        }
        bail!("p99 of good traffic {measured:?}, without the attack {usual:?}")
    }

    async fn latency_during(&self, attack: impl Future<Output = Result<()>>) -> Result<Duration> {
        let rages = AtomicBool::new(true);
        let attacking = async {
            let outcome = attack.await;
            rages.store(false, Ordering::Relaxed);
            outcome
        };
        let meanwhile = self.latency(|elapsed| elapsed < SPAN || rages.load(Ordering::Relaxed));
        let (attacked, meanwhile) = tokio::join!(attacking, meanwhile);
        attacked?;
        meanwhile
    }

    /// What must hold after any attack: the daemon is alive, sound and of ordinary size.
    pub fn is_over(mut self) -> Result<()> {
        self.gateway.is_sound()?;
        let peak = self.gateway.process().memory("VmHWM")?;
        ensure!(peak <= MEMORY, "the daemon has used {peak} KiB");
        Ok(())
    }

    /// The p99 latency of the good peer's messages.
    async fn latency(&self, goes_on: impl Fn(Duration) -> bool) -> Result<Duration> {
        let outcome = self
            .load
            .run_while(Direction::ToSip, Some(GOOD_RATE), goes_on)
            .await?;
        Ok(outcome.p99)
    }
}
