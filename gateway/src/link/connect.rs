//! Opens links for the paths that need one.

use std::net::SocketAddr;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::net::TcpStream;
use tokio::time::timeout;
use translators::limits;
use translators::model::{Blame, Condition, Failure, LinkId, PeerId, Side};

use super::context::Context;
use super::locate::{Nowhere, Target, locate};
use super::reason::Reason;
use super::{Ended, prepare, sip, terms, xmpp};
use crate::config;
use crate::peers::{Attempt, DialFailure, Standing, Wanted};
use crate::telemetry::events::{On, PeerEvent, Step, Way};

/// Opens links as they are wanted, for ever.
pub async fn connect_wanted(context: Context) {
    loop {
        let wanted = context.peers.wanted().await;
        tokio::spawn(dial(context.clone(), wanted));
    }
}

/// Tries the addresses of a peer in their order until one becomes a link, and drives that.
async fn dial(context: Context, wanted: Wanted) {
    let peer = context.config.load().peers.get(&wanted.peer).cloned();
    let Some(peer) = peer else { return };
    let mut rng = StdRng::from_rng(&mut rand::rng());
    let resolver = context.resolver.load_full();
    let located = locate(&*resolver, &peer, &wanted.key.remote, &mut rng).await;
    let failed = match located {
        Ok(targets) => {
            let targets = choose(&context, &wanted, targets);
            try_all(&context, &peer, &wanted, targets).await
        }
        Err(Nowhere::NotFound(reason)) => {
            note_unlocated(&context, &peer, &wanted, &reason);
            Some((Condition::RemoteServerNotFound, reason))
        }
        Err(Nowhere::Unknown(reason)) => {
            note_unlocated(&context, &peer, &wanted, &reason);
            Some((Condition::RemoteServerTimeout, reason))
        }
    };
    if let Some((condition, reason)) = failed {
        // What may go elsewhere does not wait for it.
        let lasting = reason.lasting || wanted.key.elsewhere;
        let failure = Failure::new(condition, Blame::Peer).with_text(UNREACHABLE);
        let first = context
            .peers
            .dial_failed(&wanted, DialFailure { failure, lasting });
        if first && !wanted.key.elsewhere {
            let (side, cause) = (peer.side(), &reason.why);
            PeerEvent::Reachable {
                side,
                peer: &peer.id,
                up: false,
                cause,
            }
            .emit();
        }
    }
}

/// Puts what wants to rest last; elsewhere is where nothing was refused.
fn choose(context: &Context, wanted: &Wanted, mut targets: Vec<Target>) -> Vec<Target> {
    let standing = |target: &Target| context.peers.standing(&wanted.peer, target.address);
    if wanted.key.elsewhere {
        targets.retain(|target| standing(target) == Standing::Serving);
    } else {
        targets.sort_by_key(|target| standing(target) == Standing::Resting);
    }
    targets
}

/// Returns why none of the addresses became a link; nothing if one did.
async fn try_all(
    context: &Context,
    peer: &Arc<config::Peer>,
    wanted: &Wanted,
    targets: Vec<Target>,
) -> Option<(Condition, Reason)> {
    let mut failure: Option<Reason> = None;
    for target in targets {
        let ended = try_one(context, peer, wanted, target).await;
        if ended.was_up {
            return None;
        }
        // What takes somebody to mend it tells more than what may pass.
        if !failure.as_ref().is_some_and(|failure| failure.lasting) {
            failure = Some(ended.reason);
        }
        if *context.ending.borrow() {
            break;
        }
    }
    let failure =
        failure.unwrap_or_else(|| Reason::passing(Step::Dns, NO_OTHER, "No other address."));
    Some((Condition::RemoteServerTimeout, failure))
}

async fn try_one(
    context: &Context,
    peer: &Arc<config::Peer>,
    wanted: &Wanted,
    target: Target,
) -> Ended {
    let ended = try_once(context, peer, wanted, target).await;
    let silent = ended.reason.why.what == Reason::SILENT_AFTER_TLS13;
    if silent && context.tls.fall_back_to_12(peer) {
        return try_once(context, peer, wanted, target).await;
    }
    ended
}

async fn try_once(
    context: &Context,
    peer: &Arc<config::Peer>,
    wanted: &Wanted,
    target: Target,
) -> Ended {
    let Target { address, direct } = target;
    let connection = match open(address, peer.side()).await {
        Ok(connection) => connection,
        Err(reason) => {
            let on = On {
                side: peer.side(),
                link: LinkId(0),
                peer: Some(&peer.id),
                way: Way::Out,
                address,
            };
            super::record(context, on, Some(wanted.key.clone()), Some(&reason));
            return Ended {
                was_up: false,
                reason,
            };
        }
    };
    let (context, key) = (context.clone(), &wanted.key);
    match peer.xmpp() {
        None => sip::connect(context, connection, address, peer, key).await,
        Some(dialect) => {
            let wanted = terms::Outgoing {
                peer,
                dialect,
                key,
                direct,
            };
            xmpp::connect(context, connection, address, &wanted).await
        }
    }
}

async fn open(address: SocketAddr, side: Side) -> Result<TcpStream, Reason> {
    let opened = timeout(limits::CONNECT_TIME, TcpStream::connect(address)).await;
    let broken = |error: std::io::Error| {
        let cause = format!("{address} cannot be reached: {error}.");
        Reason::passing(Step::Tcp, "tcp-failed", cause)
    };
    let connection = match opened {
        Ok(opened) => opened.map_err(broken)?,
        Err(_) => {
            let seconds = limits::CONNECT_TIME.as_secs();
            let cause = format!("{address} did not answer within {seconds} seconds.");
            return Err(Reason::passing(Step::Tcp, "tcp-timeout", cause));
        }
    };
    prepare(&connection, side).map_err(broken)?;
    Ok(connection)
}

fn note_unlocated(context: &Context, peer: &config::Peer, wanted: &Wanted, reason: &Reason) {
    let attempt = Attempt {
        at: context.clock.now().wall,
        way: Way::Out,
        path: Some(wanted.key.clone()),
        address: None,
        step: reason.step,
        failure: Some(reason.why.clone()),
    };
    context.peers.record(&peer.id, attempt);
    let (side, step, cause) = (peer.side(), reason.step, &reason.why);
    let peer: &PeerId = &peer.id;
    PeerEvent::AttemptFailed {
        side,
        peer,
        address: None,
        step,
        cause,
    }
    .emit();
}

/// Identifies that a peer has one address only, or that all of its addresses refuse.
const NO_OTHER: &str = "no-other-address";
/// What senders are told.
const UNREACHABLE: &str = "The other server cannot be reached";
