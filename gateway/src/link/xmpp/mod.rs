//! Drives one stream: `xmpp::stream` over TCP and TLS.

mod proof;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use translators::model::{Condition, Domain, LinkId, Mono, Side};
use translators::origin::Proven;
use translators::xmpp::Stanza;
use translators::xmpp::stanza::Bounce;
use translators::xmpp::stream::{
    Cause, CloseReason, IncomingSettings, LinkEffects, LinkInput, StartTls, Stream, StreamEvent,
};

use crate::config;
use crate::ingress::StanzaVerdict;
use crate::link::Ended;
use crate::link::backlog::Backlog;
use crate::link::context::{Context, Stranger};
use crate::link::io::{Did, Io};
use crate::link::reason::Reason;
use crate::link::terms::{Outgoing, outgoing_settings};
use crate::peers::{Mailbox, NewLink, PathKey};
use crate::telemetry::events::{Ending, LinkEvent, On, PeerEvent, Way};
use crate::tls::{Negotiated, TlsFailure};

/// One stream and the task that drives it.
pub(super) struct XmppLink {
    context: Context,
    id: LinkId,
    way: Way,
    address: SocketAddr,
    io: Io,
    stream: Stream,
    mailbox: Arc<Mailbox>,
    /// What the other end proved itself with.
    tls: Option<TlsFacts>,
    /// The peer that we dialled, or that the other end wants to be taken for.
    peer: Option<Arc<config::Peer>>,
    proven: Option<Proven>,
    /// Our domain, once the stream is established.
    local: Option<Domain>,
    /// The domain that the peer wants to speak for.
    claimed: Option<Domain>,
    /// Until the peer is proven.
    stranger: Option<Stranger>,
    backlog: Backlog,
    wake_at: Option<Mono>,
    start_tls: Option<StartTls>,
    /// Why the peer is not proven.
    refusal: Option<Cause>,
    end: Option<Reason>,
    closed: Option<CloseReason>,
    /// Whether the registry may have something to write.
    work: bool,
}

struct TlsFacts {
    chain: Vec<CertificateDer<'static>>,
    negotiated: Negotiated,
    cipher: &'static str,
    domains: Vec<Domain>,
}

/// What the task waits for.
enum Happened {
    Io(io::Result<Did>),
    Mail,
    Room,
    Time,
}

/// Drives a stream that a peer opened, to its end.
pub(super) async fn accept(
    context: Context,
    connection: TcpStream,
    address: SocketAddr,
    direct: bool,
    stranger: Stranger,
) {
    let domains = context
        .config
        .load()
        .directory
        .local_domains(Side::Xmpp)
        .cloned()
        .collect();
    let stream = Stream::incoming(IncomingSettings {
        domains: Arc::new(domains),
        management: true,
        seed: rand::random(),
    });
    let mut link = XmppLink::new(context, Way::In, address, connection, stream);
    link.stranger = Some(stranger);
    if direct {
        link.accept_direct().await;
    } else {
        link.feed(LinkInput::Connected);
    }
    link.run().await;
}

/// Drives a stream of ours over a fresh connection, to its end.
pub(super) async fn connect(
    context: Context,
    connection: TcpStream,
    address: SocketAddr,
    wanted: &Outgoing<'_>,
) -> Ended {
    let stream = Stream::outgoing(outgoing_settings(&context.config.load(), wanted));
    let mut link = XmppLink::new(context, Way::Out, address, connection, stream);
    link.peer = Some(Arc::clone(wanted.peer));
    if wanted.direct {
        link.connect_direct(wanted).await;
    } else {
        link.feed(LinkInput::Connected);
    }
    link.run().await
}

impl XmppLink {
    fn new(
        context: Context,
        way: Way,
        address: SocketAddr,
        connection: TcpStream,
        stream: Stream,
    ) -> Self {
        Self {
            id: context.peers.new_link(),
            io: Io::new(connection, context.clock),
            backlog: Backlog::new(&context.ingress, &context.peers),
            context,
            way,
            address,
            stream,
            mailbox: Arc::new(Mailbox::default()),
            tls: None,
            peer: None,
            proven: None,
            local: None,
            claimed: None,
            stranger: None,
            wake_at: None,
            start_tls: None,
            refusal: None,
            end: None,
            closed: None,
            work: false,
        }
    }

    async fn run(mut self) -> Ended {
        let reason = loop {
            if let Some(start) = self.start_tls.take() {
                self.upgrade(&start).await;
            }
            if let Some(reason) = self.end.take() {
                break reason;
            }
            self.serve();
            match self.wait().await {
                Happened::Io(Ok(Did::Read(length))) => {
                    let now = self.context.clock.now();
                    let bytes = self.io.input(length);
                    let effects = self.stream.handle(LinkInput::Bytes(bytes), now);
                    self.apply(effects);
                }
                Happened::Io(Ok(Did::End)) => self.feed(LinkInput::Eof),
                Happened::Io(Ok(Did::Wrote)) | Happened::Room => {}
                Happened::Io(Err(error)) => self.broke(&error),
                Happened::Mail => self.read_mail(),
                Happened::Time => self.on_time(),
            }
        };
        self.finish(reason).await
    }

    async fn wait(&mut self) -> Happened {
        let waits = !self.backlog.is_empty();
        let reading = !waits && self.io.has_room();
        let wake_at = self.wake_at.into_iter().chain(self.io.stalls_at()).min();
        let wake_at = wake_at.map(|at| self.context.clock.instant(at));
        tokio::select! {
            did = self.io.turn(reading) => Happened::Io(did),
            () = self.mailbox.changed() => Happened::Mail,
            () = crate::link::sleep_until(wake_at) => Happened::Time,
            () = self.backlog.hand_in(), if waits => Happened::Room,
        }
    }

    fn feed(&mut self, input: LinkInput<'_>) {
        let effects = self.stream.handle(input, self.context.clock.now());
        self.apply(effects);
    }

    fn apply(&mut self, effects: LinkEffects) {
        self.io.write(&effects.write);
        self.wake_at = effects.wake_at;
        if effects.start_tls.is_some() {
            self.start_tls = effects.start_tls;
        }
        for event in effects.events {
            self.on_event(event);
        }
        if let Some(close) = effects.close {
            self.end.get_or_insert_with(|| Reason::stream(&close));
            self.closed = Some(close);
        }
    }

    /// Writes what waits for the stream, one batch at a time.
    fn serve(&mut self) {
        if !self.work || !self.io.is_flushed() || !self.stream.accepts() {
            return;
        }
        let batch = self.context.peers.take(self.id, BATCH);
        self.work = !batch.is_empty();
        let last = batch.iter().rposition(|outgoing| outgoing.confirm);
        for (place, outgoing) in batch.into_iter().enumerate() {
            let bytes = outgoing.bytes;
            let barrier = Some(place) == last;
            self.feed(LinkInput::Send { bytes, barrier });
        }
    }

    fn read_mail(&mut self) {
        let mail = self.mailbox.take();
        for number in mail.settled {
            self.feed(LinkInput::Settled(number));
        }
        for ping in &mail.answered {
            self.feed(LinkInput::Answered(ping));
        }
        self.work |= mail.work;
        if mail.review {
            self.review();
        }
        if mail.close {
            self.feed(LinkInput::Shutdown);
        }
    }

    /// Ends the link if what its other end presented no longer proves it.
    fn review(&mut self) {
        let (Some(proven), Some(tls)) = (&self.proven, &self.tls) else {
            return;
        };
        let role = crate::link::role_of_peer(self.way);
        let verdict =
            self.context
                .tls
                .still_proves(proven.peer(), role, &tls.chain, tls.negotiated);
        if let Err(failure) = verdict {
            self.end = Some(Reason::tls(&failure));
            self.feed(LinkInput::Shutdown);
        }
    }

    fn on_time(&mut self) {
        let now = self.context.clock.now().mono;
        if self.io.stalls_at().is_some_and(|at| at <= now) {
            self.end = Some(Reason::not_reading());
        } else if self.wake_at.is_some_and(|at| at <= now) {
            self.feed(LinkInput::Timeout);
        }
    }

    /// The connection broke. A peer that speaks TLS 1.3 tells only now that it does not like our
    /// certificate.
    fn broke(&mut self, error: &io::Error) {
        self.end = Some(if self.is_up() {
            Reason::broken(error, self.way)
        } else {
            Reason::tls(&TlsFailure::explain(error))
        });
        self.feed(LinkInput::Eof);
    }

    fn on_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Acked(number) => self.context.peers.acked(self.id, number),
            StreamEvent::Confirmed(number) => self.context.peers.confirmed(self.id, number),
            StreamEvent::Dialback => {
                let claimed = self.claimed.as_ref().map_or("", Domain::as_str);
                LinkEvent::DialbackRefused {
                    on: self.on(),
                    claimed,
                }
                .emit();
            }
            StreamEvent::Established { local, remote } => self.establish(local, remote),
            StreamEvent::JudgeCertificate { from, to: _ } => self.judge(from),
            StreamEvent::PingAnswered { local, remote, id } => {
                if let Some(peer) = &self.peer {
                    let key = PathKey::new(local, remote);
                    self.backlog.answer(&peer.id, key, id);
                }
            }
            StreamEvent::Refused { condition, reply } => self.refused(condition, reply),
            StreamEvent::ReturnPathDown => self.return_path(false),
            StreamEvent::ReturnPathUp => self.return_path(true),
            StreamEvent::SaslRefused(refusal) => self.unproven("sasl-refused", &refusal),
            StreamEvent::Stanza { n, stanza } => self.on_stanza(n, *stanza),
            StreamEvent::Unproven { from: _, cause } => {
                self.unproven(cause.id, &cause.sentence);
                self.refusal = Some(cause);
            }
        }
    }

    fn establish(&mut self, local: Domain, remote: Domain) {
        let (Some(peer), Some(tls)) = (self.peer.clone(), &self.tls) else {
            return;
        };
        let domains: Arc<[Domain]> = tls.domains.as_slice().into();
        let link = NewLink {
            id: self.id,
            way: self.way,
            local: local.clone(),
            remote,
            domains: Arc::clone(&domains),
            address: self.address,
            tls: tls.negotiated.version.name(),
            mailbox: Arc::clone(&self.mailbox),
        };
        let begun = match crate::link::join(&self.context, self.on(), &peer.id, link, tls.cipher) {
            Ok(begun) => begun,
            Err(reason) => {
                self.end = Some(reason);
                return self.feed(LinkInput::Shutdown);
            }
        };
        self.proven = Some(Proven::new(self.id, peer.id.clone(), domains));
        self.stranger = None;
        self.work = true;
        self.local = Some(local);
        if begun.leftovers {
            self.feed(LinkInput::Probe);
        }
    }

    fn on_stanza(&mut self, number: u64, stanza: Stanza) {
        let (Some(proven), Some(local)) = (&self.proven, &self.local) else {
            return;
        };
        match self.context.ingress.stanza(proven, local, number, stanza) {
            StanzaVerdict::Done => {}
            StanzaVerdict::Shard(shard, input) => {
                return self.backlog.input(shard, input);
            }
            StanzaVerdict::Spoofed(claimed) => {
                let claimed = claimed.as_str();
                LinkEvent::Spoofed {
                    on: self.on(),
                    claimed,
                }
                .emit();
            }
        }
        self.feed(LinkInput::Settled(number));
    }

    fn refused(&self, condition: Condition, reply: Option<Bounce>) {
        let Some(peer) = &self.peer else { return };
        self.context.ingress.refused(&peer.id, condition);
        if let Some(bounce) = reply {
            self.context.ingress.bounce(&peer.id, bounce);
        }
    }

    fn return_path(&self, up: bool) {
        self.context.peers.return_path(self.id, !up);
        if let Some(peer) = &self.peer {
            PeerEvent::ReturnPath { peer: &peer.id, up }.emit();
        }
    }

    fn unproven(&self, reason: &'static str, cause: &dyn std::fmt::Display) {
        let claimed = self.claimed.as_ref().map_or("", Domain::as_str);
        let on = self.on();
        LinkEvent::AuthFailed {
            on,
            claimed,
            reason,
            cause,
        }
        .emit_as(match self.way {
            Way::In => self.context.line_about(self.address, reason),
            Way::Out => Some(0),
        });
    }

    fn is_up(&self) -> bool {
        self.proven.is_some()
    }

    fn on(&self) -> On<'_> {
        On {
            side: Side::Xmpp,
            link: self.id,
            peer: self.peer.as_ref().map(|peer| &peer.id),
            way: self.way,
            address: self.address,
        }
    }

    /// Hands in what was read, takes the link out of the registry and ends the connection.
    async fn finish(mut self, reason: Reason) -> Ended {
        self.backlog.empty().await;
        if let Some(CloseReason::Fault(fault)) = &self.closed {
            let condition = fault.condition().name();
            LinkEvent::StreamError {
                on: self.on(),
                ours: true,
                condition,
            }
            .emit();
        }
        if let Some(CloseReason::PeerError(error, _)) = &self.closed {
            let condition = error.condition.name();
            LinkEvent::StreamError {
                on: self.on(),
                ours: false,
                condition,
            }
            .emit();
        }
        let was_up = self.is_up();
        if was_up {
            self.context.peers.link_down(self.id);
            let (on, ending) = (self.on(), reason.ending);
            LinkEvent::Down {
                on,
                ending,
                cause: &reason.why.cause,
            }
            .emit();
            if self.way == Way::In && ending == Ending::Broken {
                self.context.ingress.stream_broke(self.id).await;
            }
        } else if self.closed != Some(CloseReason::Unused) {
            let reason = match self.refusal.take() {
                Some(cause) => Reason::unproven(cause),
                None => reason.clone(),
            };
            crate::link::record(&self.context, self.on(), None, Some(&reason));
        }
        self.io.close().await;
        Ended { was_up, reason }
    }
}

/// Written at once.
const BATCH: usize = 64 * 1_024;
