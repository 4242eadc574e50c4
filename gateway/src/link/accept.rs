//! Listeners: connections of peers.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use translators::limits;
use translators::model::{LinkId, Side};
use translators::xmpp::stream::{CloseReason, Stage};

use super::context::Context;
use super::{prepare, sip, xmpp};
use crate::telemetry::events::{LinkEvent, On, ProcessEvent, Way};

/// What is spoken behind a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// SIP over TLS.
    Sip,
    /// XMPP that starts TLS by STARTTLS.
    XmppStartTls,
    /// XMPP over TLS (XEP-0368).
    XmppDirect,
}

impl Door {
    /// Its side.
    pub const fn side(self) -> Side {
        match self {
            Self::Sip => Side::Sip,
            Self::XmppStartTls | Self::XmppDirect => Side::Xmpp,
        }
    }
}

/// Binds a listener.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Takes connections until the daemon wants to end.
pub async fn accept(mut context: Context, listener: TcpListener, door: Door) {
    if let Ok(address) = listener.local_addr() {
        let direct_tls = door != Door::XmppStartTls;
        ProcessEvent::Listening {
            side: door.side(),
            address,
            direct_tls,
        }
        .emit();
    }
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = context.ending.wait_for(|ending| *ending) => return,
        };
        match accepted {
            Ok((connection, address)) => welcome(&context, connection, address, door),
            // No more files, most likely: links that end make room.
            Err(error) => {
                ProcessEvent::AcceptFailed { cause: &error }.emit();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn welcome(context: &Context, connection: TcpStream, address: SocketAddr, door: Door) {
    let Some(stranger) = context.strangers.let_in(address.ip().to_canonical()) else {
        let on = On {
            side: door.side(),
            link: LinkId(0),
            peer: None,
            way: Way::In,
            address,
        };
        return LinkEvent::LimitHit {
            on,
            limit: PER_ADDRESS,
        }
        .emit_as(context.line_about(address, PER_ADDRESS));
    };
    if prepare(&connection, door.side()).is_err() {
        // It is gone already.
        return;
    }
    let context = context.clone();
    match door {
        Door::Sip => tokio::spawn(sip::accept(context, connection, address, stranger)),
        Door::XmppStartTls | Door::XmppDirect => {
            let direct = door == Door::XmppDirect;
            tokio::spawn(xmpp::accept(context, connection, address, direct, stranger))
        }
    };
}

/// Waits for the first octet of a handshake. COMPAT(openfire): it connects once to try an address
/// and closes without one.
pub(super) async fn nothing_came(connection: &TcpStream) -> Option<CloseReason> {
    let peeked = timeout(limits::FIRST_HEADER_TIME, connection.peek(&mut [0])).await;
    match peeked {
        Ok(Ok(0)) => Some(CloseReason::Unused),
        // What is wrong with the connection, the handshake will say.
        Ok(_) => None,
        Err(_) => Some(CloseReason::Stalled(Stage::Connecting)),
    }
}

/// Names the limit of connections of one address.
const PER_ADDRESS: &str = "connections-per-address";
/// Connections that wait to be taken.
const BACKLOG: i32 = 1_024;
/// Pause after an error of the system.
const PAUSE: Duration = Duration::from_millis(100);
