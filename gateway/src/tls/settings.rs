//! TLS as the configuration wants it, peer by peer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use certs::credentials::Named;
use certs::reason::{Role, Verdict};
use certs::verifier::{self, Inbound, Outbound, TlsVersions};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use translators::model::{Domain, PeerId, Side};
use translators::xmpp::stream::StartTls;

use super::compat::{self, Depth};
use super::connection::Connection;
use super::handshake::{self, Secured, TlsFailure, in_time};
use super::hints;
use super::identity::{Proof, judge, proves_name, side};
use super::sip::Refused;
use super::terms::Negotiated;
use crate::clock::Clock;
use crate::config::{Config, Engine, Peer, TlsChoice};
use crate::telemetry::events::UNLISTED;

/// TLS with the certificates, policies and CRLs of the configuration in use: a reload counts from
/// the next handshake on.
#[derive(Debug)]
pub struct Tls {
    pub(super) config: Arc<ArcSwap<Config>>,
    pub(super) clock: Clock,
    /// Peers that were found not to bear TLS 1.3.
    only_12: Mutex<BTreeSet<PeerId>>,
}

impl Tls {
    /// Follows `config`.
    pub fn new(config: Arc<ArcSwap<Config>>, clock: Clock) -> Self {
        Self {
            config,
            clock,
            only_12: Mutex::default(),
        }
    }

    /// Accepts TLS behind STARTTLS, with the certificate for the domain that the header asked for, in the versions
    /// set for the peer that it says it is from.
    pub async fn accept_starttls(
        &self,
        connection: TcpStream,
        start: &StartTls,
    ) -> Result<Secured, TlsFailure> {
        let settings = self.config.load_full();
        let credentials = Arc::clone(&settings.xmpp.credentials);
        let certificates = Named::new(credentials, start.local.to_ascii());
        let claimed = start.claimed.as_ref();
        let versions = match claimed.and_then(|from| xmpp_peer(&settings, from)) {
            Some(peer) => self.versions(peer, start.only_tls12),
            None if start.only_tls12 => TlsVersions::Only12,
            None => TlsVersions::Both,
        };
        let tls = self.tls().with_versions(versions);
        let config = tls.server_config(anyone(), certificates);
        let connection = Connection::new(connection);
        handshake::accept(connection, config.map_err(unsupported)?, || None).await
    }

    /// Accepts TLS on a port of XEP-0368, with the certificate for the name in SNI.
    pub async fn accept_direct(&self, connection: TcpStream) -> Result<Secured, TlsFailure> {
        let credentials = Arc::clone(&self.config.load().xmpp.credentials);
        let config = self
            .tls()
            .with_alpn(&[ALPN])
            .server_config(anyone(), credentials);
        let connection = Connection::new(connection);
        handshake::accept(connection, config.map_err(unsupported)?, || None).await
    }

    /// Connects to `peer`, which has to prove that it speaks for `remote`, in the name of `local`.
    pub async fn connect(
        &self,
        connection: TcpStream,
        peer: &Peer,
        wish: &Wish<'_>,
    ) -> Result<(Secured, Proof), TlsFailure> {
        let (credentials, shown) = {
            let config = self.config.load();
            match peer.side() {
                Side::Sip => (
                    Arc::clone(&config.sip.credentials),
                    config.sip.certificate_name(wish.local),
                ),
                Side::Xmpp => (Arc::clone(&config.xmpp.credentials), wish.local.to_ascii()),
            }
        };
        let own = Named::new(credentials, shown);
        let connection = Connection::new(connection);
        let secured = match peer.tls.engine {
            Engine::Rustls => self.dial(connection, peer, wish, own).await,
            Engine::Compat => self.dial_compat(connection, peer, wish, &own).await,
        };
        let secured = secured.map_err(|failure| hints::dialled(failure, peer))?;
        let proof = judge(peer, &secured.chain, Role::Server, self.clock.unix_time());
        let proof = proof.map_err(|reason| TlsFailure::from(&reason))?;
        Ok((secured, proof))
    }

    async fn dial(
        &self,
        connection: Connection,
        peer: &Peer,
        wish: &Wish<'_>,
        own: Arc<Named>,
    ) -> Result<Secured, TlsFailure> {
        let mut tls = self.tls().with_versions(self.versions(peer, wish.only_12));
        if wish.alpn {
            tls = tls.with_alpn(&[ALPN]);
        }
        let remote = wish.remote.to_ascii();
        let verifier = Outbound::new(Arc::clone(&peer.trust), side(peer), remote.clone());
        let verifier = Arc::new(verifier);
        let config = tls.client_config(Arc::clone(&verifier), own);
        let config = config.map_err(unsupported)?;
        let name = ServerName::try_from(remote).map_err(|_| {
            TlsFailure::lasting("tls-name", "The peer's domain cannot be asked for by SNI.")
        })?;
        let refusal = || verifier.refusal().cloned();
        handshake::connect(connection, config, name, refusal).await
    }

    async fn dial_compat(
        &self,
        connection: Connection,
        peer: &Peer,
        wish: &Wish<'_>,
        own: &Named,
    ) -> Result<Secured, TlsFailure> {
        let depth = if peer.tls.legacy {
            Depth::Legacy
        } else {
            Depth::Usual
        };
        let remote = wish.remote.to_ascii();
        let identities = own.all();
        let secured = in_time(compat::connect(connection, &identities, depth, &remote)).await?;
        // The name that counts is the domain that is dialled for; rustls' verifier asks the same.
        let names = [remote];
        let verdict = peer.trust.judge(
            &secured.chain,
            Role::Server,
            side(peer),
            &names,
            self.clock.unix_time(),
        );
        match verdict {
            Verdict::Proven(_) => Ok(secured),
            Verdict::Unproven(reason) => Err((&reason).into()),
        }
    }

    /// The XMPP peer that may speak for `from`, if it proves that.
    pub fn xmpp_owner(&self, from: &Domain) -> Result<Arc<Peer>, TlsFailure> {
        let config = self.config.load();
        let owner = xmpp_peer(&config, from).map(Arc::clone);
        owner.ok_or_else(|| {
            let sentence = format!("No XMPP peer of the configuration may speak for {from}.");
            TlsFailure::lasting("peer-unknown", sentence)
        })
    }

    /// The XMPP peer that `from` would be a part of, if its list of sub-domains named it: the chain
    /// proves the name, and it lies below a domain of the peer.
    pub fn unlisted(
        &self,
        from: &Domain,
        chain: &[CertificateDer<'_>],
    ) -> Option<(Arc<Peer>, TlsFailure)> {
        let config = self.config.load();
        let now = self.clock.unix_time();
        let proves = |peer: &&Arc<Peer>| {
            let is_below = |domain: &Domain| from.is_below(domain);
            peer.domains.iter().any(is_below) && proves_name(peer, from, chain, now)
        };
        let peer = config.peers_on(Side::Xmpp).find(proves)?;
        let sentence = format!(
            "{from} proves itself as a part of this peer, and its subdomains do not name it."
        );
        Some((Arc::clone(peer), TlsFailure::lasting(UNLISTED, sentence)))
    }

    /// Judges the certificate of an XMPP client that wants to be taken for `peer`.
    pub fn judge_xmpp_client(
        &self,
        peer: &Peer,
        chain: &[CertificateDer<'_>],
    ) -> Result<Proof, TlsFailure> {
        let proof = judge(peer, chain, Role::Client, self.clock.unix_time());
        proof.map_err(|reason| TlsFailure::from(&reason))
    }

    /// Judges the other end of a link again, by the policy of its peer in use now, and whether it may still have
    /// what was negotiated.
    pub fn still_proves(
        &self,
        peer: &PeerId,
        role: Role,
        chain: &[CertificateDer<'_>],
        negotiated: Negotiated,
    ) -> Result<(), TlsFailure> {
        let config = self.config.load();
        let Some(peer) = config.peers.get(peer) else {
            let sentence = "The peer is no longer part of the configuration.";
            return Err(TlsFailure::lasting("peer-removed", sentence));
        };
        if !negotiated.is_allowed_to(peer) {
            return Err(Refused::not_allowed(peer, negotiated).failure);
        }
        let proof = judge(peer, chain, role, self.clock.unix_time());
        proof
            .map(|_| ())
            .map_err(|reason| TlsFailure::from(&reason))
    }

    /// Remembers that a peer completes handshakes of TLS 1.3 and then falls silent (Openfire
    /// before 4.8). False if TLS 1.2 is used with it already.
    pub fn fall_back_to_12(&self, peer: &Peer) -> bool {
        peer.tls.versions == TlsChoice::Auto && self.only_12().insert(peer.id.clone())
    }

    fn versions(&self, peer: &Peer, only_12: bool) -> TlsVersions {
        match peer.tls.versions {
            TlsChoice::Only12 => TlsVersions::Only12,
            TlsChoice::Only13 => TlsVersions::Only13,
            TlsChoice::Auto if only_12 || self.only_12().contains(&peer.id) => TlsVersions::Only12,
            TlsChoice::Auto => TlsVersions::Both,
        }
    }

    fn only_12(&self) -> MutexGuard<'_, BTreeSet<PeerId>> {
        self.only_12.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tls(&self) -> verifier::Tls {
        verifier::Tls::new(Arc::new(self.clock))
    }
}

/// What a connection of ours is for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Our domain: decides which certificate we show.
    pub local: &'a Domain,
    /// The peer's domain: decides whom we ask for and what has to be proven.
    pub remote: &'a Domain,
    /// Whether the peer gave reason to offer only TLS 1.2.
    pub only_12: bool,
    /// Whether XMPP is asked for by ALPN (XEP-0368).
    pub alpn: bool,
}

/// The XMPP peer that a domain belongs to.
fn xmpp_peer<'a>(config: &'a Config, domain: &Domain) -> Option<&'a Arc<Peer>> {
    let owner = config.directory.owner_on(Side::Xmpp, domain)?;
    config.peers.get(&owner.id)
}

/// XMPP clients pass the handshake whatever they present: they are judged behind it.
fn anyone() -> Arc<Inbound> {
    Arc::new(Inbound::optional(Box::new(|_, _| Ok(()))))
}

pub(super) fn unsupported(error: rustls::Error) -> TlsFailure {
    TlsFailure::lasting("tls-unsupported", format!("TLS cannot be set up: {error}."))
}

const ALPN: &str = "xmpp-server";
