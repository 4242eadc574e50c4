//! TLS of SIP clients: one listener serves them all, and who one is shows only behind the handshake.

use std::sync::Arc;

use certs::verifier::Inbound;
use rustls::crypto::aws_lc_rs;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use translators::limits;
use translators::model::PeerId;

use super::compat::{self, Depth};
use super::connection::Connection;
use super::engine::{Choice, choose, speaks_compat};
use super::handshake::{self, Secured, TlsFailure, in_time};
use super::hello::{self, Beginning, Hello};
use super::hints;
use super::identity::{Proof, admit_sip_client, judge_sip_client};
use super::settings::{Tls, unsupported};
use super::terms::{Negotiated, Version};
use crate::config::{Config, Peer};

/// A SIP client whose first message was read, if the choice of the engine depends on it.
#[derive(Debug)]
pub struct Arrival {
    connection: Connection,
    settings: Arc<Config>,
    hello: Option<Hello>,
}

impl Arrival {
    /// The peers that it may be, if it offers nothing newer than TLS 1.1: it is answered only if its address is one
    /// of theirs.
    pub fn suspects(&self) -> Vec<Arc<Peer>> {
        let old = |hello: &Hello| hello.newest().is_some_and(Version::is_legacy);
        if !self.hello.as_ref().is_some_and(old) {
            return Vec::new();
        }
        let peers = self.settings.peers.values();
        peers.filter(|peer| peer.tls.legacy).cloned().collect()
    }
}

/// Why a SIP client was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who it is, if it proved that.
    pub peer: Option<PeerId>,
    /// Why.
    pub failure: TlsFailure,
}

impl Refused {
    /// `peer` proved itself with something that its settings do not give it.
    pub(super) fn not_allowed(peer: &Peer, negotiated: Negotiated) -> Self {
        let sentence = format!(
            "{} was negotiated with {}, whose settings do not allow it.",
            negotiated.words(),
            peer.id
        );
        let failure = TlsFailure::lasting("tls-not-allowed", sentence);
        Self {
            peer: Some(peer.id.clone()),
            failure: failure.with_hint(hints::NOT_ALLOWED),
        }
    }
}

impl From<TlsFailure> for Refused {
    fn from(failure: TlsFailure) -> Self {
        let peer = None;
        Self { peer, failure }
    }
}

impl Tls {
    /// Reads the first message of a SIP client, if some peer gets another engine than rustls.
    pub async fn receive_sip(&self, connection: TcpStream) -> Result<Arrival, TlsFailure> {
        let settings = self.config.load_full();
        let mut connection = Connection::new(connection);
        let hello = if speaks_compat(&settings) {
            in_time(first_message(&mut connection)).await?
        } else {
            None
        };
        Ok(Arrival {
            connection,
            settings,
            hello,
        })
    }

    /// Answers a SIP client, which has to prove itself. `is_known` says that its address is one of those that
    /// [`Arrival::suspects`] has.
    pub async fn accept_sip(
        &self,
        arrival: Arrival,
        is_known: bool,
    ) -> Result<(Secured, Proof), Refused> {
        let settings = Arc::clone(&arrival.settings);
        let secured = self.answer(arrival, is_known).await;
        let compat = speaks_compat(&settings);
        let secured = secured.map_err(|failure| hints::dialling(failure, compat))?;
        let (chain, negotiated) = (&secured.chain, secured.negotiated);
        let proof = admit_sip_client(&settings, chain, negotiated, self.clock.unix_time())?;
        Ok((secured, proof))
    }

    async fn answer(&self, arrival: Arrival, is_known: bool) -> Result<Secured, TlsFailure> {
        let Arrival {
            connection,
            settings,
            hello,
        } = arrival;
        let Some(hello) = hello else {
            return self.answer_by_rustls(connection, settings).await;
        };
        match choose(&hello, &settings, &aws_lc_rs::default_provider(), is_known) {
            Choice::Rustls => self.answer_by_rustls(connection, settings).await,
            Choice::Compat => answer_by_compat(connection, &settings, hello, Depth::Usual).await,
            Choice::Legacy => answer_by_compat(connection, &settings, hello, Depth::Legacy).await,
            Choice::TooOld => {
                // The client learns why, if it still listens; no engine would tell it as clearly.
                in_time(tell(connection, &PROTOCOL_VERSION)).await.ok();
                Err(too_old())
            }
        }
    }

    async fn answer_by_rustls(
        &self,
        connection: Connection,
        settings: Arc<Config>,
    ) -> Result<Secured, TlsFailure> {
        let credentials = Arc::clone(&settings.sip.credentials);
        let verifier = Arc::new(Inbound::required(Box::new(move |chain, now| {
            judge_sip_client(&settings, chain, now)
        })));
        let config = self.tls().server_config(Arc::clone(&verifier), credentials);
        let refusal = || verifier.refusal().cloned();
        handshake::accept(connection, config.map_err(unsupported)?, refusal).await
    }
}

async fn answer_by_compat(
    connection: Connection,
    settings: &Config,
    hello: Hello,
    depth: Depth,
) -> Result<Secured, TlsFailure> {
    let name = hello.server_name;
    let identities = settings.sip.credentials.all_for(name.as_deref());
    in_time(compat::accept(connection, &identities, depth, name.clone())).await
}

/// Reads ahead until the first message of a client is there; nothing if it does not begin with one, which is then for
/// the engine to complain about.
async fn first_message(connection: &mut Connection) -> Result<Option<Hello>, TlsFailure> {
    loop {
        match hello::read(connection.ahead()) {
            Beginning::Hello(hello) => return Ok(Some(hello)),
            Beginning::Foreign => return Ok(None),
            Beginning::Unfinished if connection.ahead().len() >= limits::CLIENT_HELLO => {
                return Ok(None);
            }
            Beginning::Unfinished => {}
        }
        let more = connection.look_ahead().await;
        if !more.map_err(|error| TlsFailure::explain(&error))? {
            return Err(TlsFailure::closed());
        }
    }
}

async fn tell(mut connection: Connection, alert: &[u8]) -> Result<(), TlsFailure> {
    let told = async {
        connection.write_all(alert).await?;
        connection.shutdown().await
    };
    told.await.map_err(|error| TlsFailure::explain(&error))
}

fn too_old() -> TlsFailure {
    let sentence = "The peer offers nothing newer than TLS 1.1, and its address is none of a peer with legacy_tls.";
    TlsFailure::passing("tls-no-common-version", sentence)
}

/// The fatal alert protocol_version in a record of TLS 1.0 (RFC 5246 section 7.2).
const PROTOCOL_VERSION: [u8; 7] = [21, 3, 1, 0, 2, 2, 70];
