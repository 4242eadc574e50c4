//! Links: live TLS connections to peers, each driven by one task.

mod accept;
mod backlog;
mod connect;
mod context;
mod io;
mod lines;
mod locate;
mod reason;
mod sip;
mod terms;
mod xmpp;

pub use accept::{Door, accept, listen};
pub use connect::connect_wanted;
pub use context::{Context, Strangers};
pub use lines::Lines;

use std::time::Duration;

use certs::reason::Role;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::Instant;
use translators::model::{PeerId, Side};

use crate::peers::{Attempt, Begun, NewLink, PathKey};
use crate::telemetry::events::{LinkEvent, On, PeerEvent, Step, Way};
use reason::Reason;

/// How a link ended.
struct Ended {
    /// Whether anything could flow.
    was_up: bool,
    /// Why it ended, or why nothing could.
    reason: Reason,
}

/// The part that the other end of a link played in the handshake.
const fn role_of_peer(way: Way) -> Role {
    match way {
        Way::In => Role::Client,
        Way::Out => Role::Server,
    }
}

/// Small messages leave at once, and a host that vanished is noticed.
fn prepare(connection: &TcpStream, side: Side) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let socket = SockRef::from(connection);
    socket.set_send_buffer_size(match side {
        Side::Sip => SIP_SEND_BUFFER,
        Side::Xmpp => XMPP_SEND_BUFFER,
    })?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Notes that a link came up, or why it did not.
fn record(context: &Context, on: On<'_>, path: Option<PathKey>, failed: Option<&Reason>) {
    if let Some(peer) = on.peer {
        let attempt = Attempt {
            at: context.clock.now().wall,
            way: on.way,
            path,
            address: Some(on.address),
            step: failed.map_or(Step::Probe, |reason| reason.step),
            failure: failed.map(|reason| reason.why.clone()),
        };
        context.peers.record(peer, attempt);
    }
    match (failed, on.way, on.peer) {
        (Some(reason), Way::Out, Some(peer)) => PeerEvent::AttemptFailed {
            side: on.side,
            peer,
            address: Some(on.address),
            step: reason.step,
            cause: &reason.why,
        }
        .emit(),
        (Some(reason), ..) => LinkEvent::Refused {
            on,
            reason: reason.why.what,
            cause: &reason.why,
        }
        .emit_as(context.line_about(on.address, reason.why.what)),
        (None, Way::Out, Some(peer)) => PeerEvent::Connected {
            side: on.side,
            peer,
        }
        .emit(),
        (None, ..) => {}
    }
}

/// Puts a link whose other end is proven to use: from here on it carries what waits for its peer.
/// Says what it meets, or why there is no room for it.
fn join(
    context: &Context,
    on: On<'_>,
    peer: &PeerId,
    link: NewLink,
    cipher: &str,
) -> Result<Begun, Reason> {
    let path = PathKey::new(link.local.clone(), link.remote.clone());
    let tls = link.tls;
    let begun = context
        .peers
        .link_up(peer, link)
        .map_err(|_| Reason::too_many())?;
    LinkEvent::Up {
        on,
        local: Some(&path.local),
        remote: Some(&path.remote),
        tls,
        cipher,
    }
    .emit();
    record(context, on, Some(path), None);
    if begun.recovered {
        let cause = &"a link is up";
        PeerEvent::Reachable {
            side: on.side,
            peer,
            up: true,
            cause,
        }
        .emit();
    }
    Ok(begun)
}

/// What the system holds of a stream. While a barrier's answer is awaited, it should be the peer
/// that has the stanzas: some read 30 kB/s.
const XMPP_SEND_BUFFER: usize = 64 * 1_024;
/// What the system holds of a SIP connection. The time of a request begins when it is written, so
/// it should not lie here for long; enough for 10 MB/s over 50 ms.
const SIP_SEND_BUFFER: usize = 256 * 1_024;
/// Silence after which the system asks whether the other host is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Time between two such questions.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// Data that is not acknowledged for this long ends the connection; longer than the time that a
/// peer has to read, which is for the link to judge.
const UNACKNOWLEDGED: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Octets that a connection takes for a reader that reads nothing and has little room.
    async fn swallowed(side: Side) -> usize {
        let listening = TcpSocket::new_v4().unwrap();
        listening.set_recv_buffer_size(4_096).unwrap();
        listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = listening.listen(1).unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (connection, _deaf) = tokio::join!(connecting, listener.accept());
        let connection = connection.unwrap();
        prepare(&connection, side).unwrap();
        let mut total = 0;
        let full = Duration::from_millis(300);
        while tokio::time::timeout(full, connection.writable())
            .await
            .is_ok()
        {
            match connection.try_write(&[0; 16_384]) {
                Ok(written) => total += written,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
        total
    }

    #[tokio::test]
    async fn what_a_slow_reader_does_not_take_waits_in_our_queue() {
        let (xmpp, sip) = tokio::join!(swallowed(Side::Xmpp), swallowed(Side::Sip));

        assert!(xmpp <= 4 * XMPP_SEND_BUFFER, "{xmpp} octets");
        assert!(sip <= 4 * SIP_SEND_BUFFER, "{sip} octets");
    }
}
