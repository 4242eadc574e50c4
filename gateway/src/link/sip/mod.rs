//! Drives one SIP connection: `sip::hop` over TLS.

mod hearing;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use translators::model::{Domain, LinkId, Mono, PeerId, Profile, Side};
use translators::origin::Proven;
use translators::shard::{Event, Input};
use translators::sip::{
    Answer, Hop, HopConfig, HopEffects, HopEvent, HopInput, Ignored, Method, Probe, Request,
    Scheme, SipUri, offer,
};
use translators::text::Line;
use translators::xmpp::stream::CloseReason;

use crate::config;
use crate::ingress::RequestVerdict;
use crate::link::Ended;
use crate::link::accept::nothing_came;
use crate::link::backlog::Backlog;
use crate::link::context::{Context, Stranger};
use crate::link::io::{Did, Io};
use crate::link::locate::is_address_of;
use crate::link::reason::Reason;
use crate::peers::{Mailbox, NewLink, PathKey};
use crate::telemetry::events::{LinkEvent, MessageEvent, On, Step, Way};
use crate::tls::{Negotiated, Proof, Refused, Secured, TlsFailure, Wish, shown_to};

/// One SIP connection and the task that drives it.
struct SipLink {
    context: Context,
    way: Way,
    address: SocketAddr,
    is_microsoft: bool,
    io: Io,
    hop: Hop,
    mailbox: Arc<Mailbox>,
    proven: Proven,
    /// What the other end presented.
    chain: Vec<CertificateDer<'static>>,
    negotiated: Negotiated,
    /// Requests so far.
    number: u64,
    backlog: Backlog,
    /// Whether the hop knows that we read.
    reading: bool,
    /// Since when the operator knows that the peer asks for too much.
    told_held: Option<Mono>,
    wake_at: Option<Mono>,
    end: Option<Reason>,
    /// Whether the registry may have something to write.
    work: bool,
}

/// Where a link comes from and leads to.
struct Ends {
    id: LinkId,
    way: Way,
    address: SocketAddr,
    key: PathKey,
}

enum Happened {
    Io(io::Result<Did>),
    Mail,
    Room,
    Time,
}

/// Drives a connection that a peer opened, to its end.
pub(super) async fn accept(
    context: Context,
    connection: TcpStream,
    address: SocketAddr,
    stranger: Stranger,
) {
    let id = context.peers.new_link();
    if let Some(reason) = nothing_came(&connection).await {
        // A load balancer that looks whether we are there is no fault of anybody.
        if reason != CloseReason::Unused {
            refuse(&context, id, address, &Reason::stream(&reason));
        }
        return;
    }
    let (secured, proof) = match prove(&context, connection, address).await {
        Ok(done) => done,
        Err(Refused { peer, failure }) => {
            let on = on(id, Way::In, address, peer.as_ref());
            return crate::link::record(&context, on, None, Some(&Reason::tls(&failure)));
        }
    };
    drop(stranger);
    let shown = shown_to(&context.config.load(), secured.asked_for.as_deref());
    let (Some(local), Some(remote)) = (shown, proof.domains.first().cloned()) else {
        return;
    };
    let key = PathKey::new(local, remote);
    let ends = Ends {
        id,
        way: Way::In,
        address,
        key,
    };
    run(context, ends, secured, proof).await;
}

/// Has a peer that opened a connection prove who it is.
async fn prove(
    context: &Context,
    connection: TcpStream,
    address: SocketAddr,
) -> Result<(Secured, Proof), Refused> {
    let arrival = context.tls.receive_sip(connection).await?;
    let suspects = arrival.suspects();
    let is_known = is_address_of(context, &suspects, address.ip().to_canonical()).await;
    context.tls.accept_sip(arrival, is_known).await
}

/// Opens a connection to `peer` for `key` and drives it to its end.
pub(super) async fn connect(
    context: Context,
    connection: TcpStream,
    address: SocketAddr,
    peer: &config::Peer,
    key: &PathKey,
) -> Ended {
    let id = context.peers.new_link();
    let wish = Wish {
        local: &key.local,
        remote: &key.remote,
        only_12: false,
        alpn: false,
    };
    match context.tls.connect(connection, peer, &wish).await {
        Ok((secured, proof)) => {
            let ends = Ends {
                id,
                way: Way::Out,
                address,
                key: key.clone(),
            };
            run(context, ends, secured, proof).await
        }
        Err(failure) => {
            let reason = Reason::tls(&failure);
            let on = on(id, Way::Out, address, Some(&peer.id));
            crate::link::record(&context, on, Some(key.clone()), Some(&reason));
            Ended {
                was_up: false,
                reason,
            }
        }
    }
}

/// Drives a connection behind its handshake.
async fn run(context: Context, ends: Ends, secured: Secured, proof: Proof) -> Ended {
    let Ends {
        id,
        way,
        address,
        key,
    } = ends;
    let domains: Arc<[Domain]> = proof.domains.into();
    let mailbox = Arc::new(Mailbox::default());
    let link = NewLink {
        id,
        way,
        local: key.local.clone(),
        remote: key.remote.clone(),
        domains: Arc::clone(&domains),
        address,
        tls: secured.negotiated.version.name(),
        mailbox: Arc::clone(&mailbox),
    };
    let on = on(id, way, address, Some(&proof.peer));
    if let Err(reason) = crate::link::join(&context, on, &proof.peer, link, secured.cipher) {
        crate::link::record(&context, on, Some(key), Some(&reason));
        let was_up = false;
        return Ended { was_up, reason };
    }
    let config = hop_config(&context, &proof.peer, address, &key);
    let is_microsoft = config.microsoft.is_some();
    let cap = |peer: &Arc<config::Peer>| peer.cap().is_some();
    let capped = context
        .config
        .load()
        .peers
        .get(&proof.peer)
        .is_some_and(cap);
    if capped && way == Way::In {
        // A system that cannot do it lets the peer wait a little longer.
        secured.stream.receives_at_most(RECEIVED).ok();
    }
    let hop = Hop::new(config, context.clock.now(), rand::random());
    let backlog = Backlog::new(&context.ingress, &context.peers);
    let link = SipLink {
        io: Io::secure(secured.stream, context.clock),
        context,
        way,
        address,
        is_microsoft,
        hop,
        mailbox,
        proven: Proven::new(id, proof.peer, domains),
        chain: secured.chain,
        negotiated: secured.negotiated,
        number: 0,
        backlog,
        reading: true,
        told_held: None,
        wake_at: None,
        end: None,
        work: true,
    };
    link.run().await
}

impl SipLink {
    async fn run(mut self) -> Ended {
        let reason = loop {
            if let Some(reason) = self.end.take() {
                break reason;
            }
            self.serve();
            match self.wait().await {
                Happened::Io(Ok(Did::Read(length))) => {
                    let now = self.context.clock.now();
                    let input = HopInput::Bytes(self.io.input(length));
                    let effects = self.hop.handle(input, now);
                    self.apply(effects);
                }
                Happened::Io(Ok(Did::End)) => self.feed(HopInput::Ended),
                Happened::Io(Ok(Did::Wrote)) => self.context.peers.written(self.id()),
                Happened::Io(Err(error)) => {
                    let failure = TlsFailure::explain(&error);
                    self.end = Some(Reason::passing(Step::Probe, failure.id, failure.sentence));
                }
                Happened::Mail => self.read_mail(),
                Happened::Room => {}
                Happened::Time => self.on_time(),
            }
        };
        self.finish(reason).await
    }

    async fn wait(&mut self) -> Happened {
        let waits = !self.backlog.is_empty();
        let held = self.is_held();
        let reading = !waits && !held && self.io.has_room();
        if reading != self.reading {
            self.reading = reading;
            self.feed(HopInput::Reading(reading));
        }
        let look_at = held.then(|| self.context.clock.now().mono + HELD_LOOK);
        let wake_at = [self.wake_at, self.io.stalls_at(), look_at];
        let wake_at = wake_at.into_iter().flatten().min();
        let wake_at = wake_at.map(|at| self.context.clock.instant(at));
        tokio::select! {
            did = self.io.turn(reading) => Happened::Io(did),
            () = self.mailbox.changed() => Happened::Mail,
            () = crate::link::sleep_until(wake_at) => Happened::Time,
            () = self.backlog.hand_in(), if waits => Happened::Room,
        }
    }

    /// Whether the peer asks for more than may be answered in time, so that it has to wait.
    fn is_held(&mut self) -> bool {
        let asks = self.is_microsoft && self.way == Way::In;
        let held = asks && self.context.peers.is_held(self.id());
        let now = self.context.clock.now().mono;
        let news = |told: Mono| now.since(told) >= HELD_TOLD;
        if held && self.told_held.is_none_or(news) {
            self.told_held = Some(now);
            LinkEvent::LimitHit {
                on: self.on(),
                limit: "answers-owed",
            }
            .emit();
        }
        held
    }

    fn feed(&mut self, input: HopInput<'_>) {
        let effects = self.hop.handle(input, self.context.clock.now());
        self.apply(effects);
    }

    fn apply(&mut self, effects: HopEffects) {
        self.io.write(&effects.write);
        self.context.peers.spent(self.id(), effects.own);
        self.wake_at = effects.wake_at;
        for event in effects.events {
            self.on_event(event);
        }
        if let Some(close) = effects.close {
            self.end.get_or_insert_with(|| Reason::hop(&close));
        }
    }

    /// Writes what waits for the peer, one batch at a time.
    fn serve(&mut self) {
        if !self.work || !self.io.is_flushed() {
            return;
        }
        let batch = self.context.peers.take(self.id(), BATCH);
        self.work = !batch.is_empty();
        for outgoing in batch {
            self.feed(HopInput::Send(outgoing.bytes));
        }
    }

    fn read_mail(&mut self) {
        let mail = self.mailbox.take();
        self.work |= mail.work;
        if mail.review {
            self.review();
        }
        if mail.close {
            self.end = Some(Reason::closed_by_us());
        }
    }

    /// Ends the link if what its other end presented no longer proves it.
    fn review(&mut self) {
        let role = crate::link::role_of_peer(self.way);
        let (tls, peer) = (&self.context.tls, self.proven.peer());
        if let Err(failure) = tls.still_proves(peer, role, &self.chain, self.negotiated) {
            self.end = Some(Reason::tls(&failure));
        }
    }

    fn on_time(&mut self) {
        let now = self.context.clock.now().mono;
        if self.io.stalls_at().is_some_and(|at| at <= now) {
            self.end = Some(Reason::not_reading());
        } else if self.wake_at.is_some_and(|at| at <= now) {
            self.feed(HopInput::Timeout);
        }
    }

    fn on_event(&mut self, event: HopEvent) {
        match event {
            HopEvent::Request(request) => self.on_request(request),
            HopEvent::Response(response) => {
                self.hears(&response);
                if response.status() == 503 {
                    self.on_out_of_service(&response);
                }
                let waiting = self.context.ingress.response(self.proven.peer(), response);
                if let Some((shard, input)) = waiting {
                    self.backlog.input(shard, input);
                }
            }
            HopEvent::Answered { why: Some(why), .. }
            | HopEvent::Ignored(Ignored::Unreadable(why)) => {
                LinkEvent::Malformed {
                    on: self.on(),
                    cause: &why,
                }
                .emit();
            }
            HopEvent::Ignored(Ignored::NotOurs) => {
                MessageEvent(&Event::StrayResponse(self.proven.peer().clone())).emit();
            }
            HopEvent::Alive
            | HopEvent::Answered { why: None, .. }
            | HopEvent::Ignored(Ignored::Ack | Ignored::Benotify) => {}
        }
    }

    fn on_request(&mut self, request: Box<Request>) {
        self.number += 1;
        self.hears_from(&request);
        if self.number == 1 && self.way == Way::In && wants_reuse(&request) {
            self.context.peers.reuse(self.id());
        }
        match self
            .context
            .ingress
            .request(&self.proven, self.number, request)
        {
            RequestVerdict::Answer(request, answer) => self.answer(&request, answer),
            RequestVerdict::Shard(shard, input) => {
                if self.is_microsoft && is_answered(&input) {
                    let now = self.context.clock.now().mono;
                    self.mailbox.opens(self.number, now);
                }
                self.backlog.input(shard, input);
            }
            RequestVerdict::Spoofed(request, answer, claimed) => {
                let claimed = claimed.as_str();
                LinkEvent::Spoofed {
                    on: self.on(),
                    claimed,
                }
                .emit();
                self.answer(&request, answer);
            }
        }
    }

    fn answer(&mut self, request: &Request, answer: Answer) {
        self.feed(HopInput::Answer(request, answer));
    }

    fn id(&self) -> LinkId {
        self.proven.link()
    }

    fn on(&self) -> On<'_> {
        on(self.id(), self.way, self.address, Some(self.proven.peer()))
    }

    /// Hands in what was read, takes the link out of the registry and ends the connection.
    async fn finish(mut self, reason: Reason) -> Ended {
        self.backlog.empty().await;
        self.context.peers.link_down(self.id());
        let (ending, cause) = (reason.ending, &reason.why.cause);
        LinkEvent::Down {
            on: self.on(),
            ending,
            cause,
        }
        .emit();
        self.io.close().await;
        Ended {
            was_up: true,
            reason,
        }
    }
}

/// Whether a request is of a kind that is answered.
fn is_answered(input: &Input) -> bool {
    let (Input::Request(_, request) | Input::RequestOfMany(_, request)) = input else {
        return false;
    };
    !matches!(request.method(), Some(Method::Ack | Method::Benotify))
}

/// Whether the sender of a request takes requests on the same connection.
fn wants_reuse(request: &Request) -> bool {
    request
        .vias()
        .is_ok_and(|vias| vias.first().is_some_and(|via| via.alias))
}

/// Says why a connection of a peer did not become a link.
fn refuse(context: &Context, id: LinkId, address: SocketAddr, reason: &Reason) {
    crate::link::record(context, on(id, Way::In, address, None), None, Some(reason));
}

const fn on(link: LinkId, way: Way, address: SocketAddr, peer: Option<&PeerId>) -> On<'_> {
    On {
        side: Side::Sip,
        link,
        peer,
        way,
        address,
    }
}

fn hop_config(context: &Context, peer: &PeerId, address: SocketAddr, key: &PathKey) -> HopConfig {
    let uri = |domain: &Domain| SipUri::new(Scheme::Sip, None, &domain.to_ascii(), &[]).ok();
    let probe = uri(&key.local).zip(uri(&key.remote));
    let sent_by = context.hosts.of(&key.local);
    let config = context.config.load();
    let profile = config.directory.peer(peer).and_then(Profile::sip);
    let microsoft = profile.and_then(|profile| profile.microsoft);
    let (keepalive, probe_after) = match microsoft {
        Some(_) => (KEEPALIVE_MICROSOFT, PROBE_AFTER_MICROSOFT),
        None => (KEEPALIVE, PROBE_AFTER),
    };
    HopConfig {
        mark: context.mark,
        microsoft,
        hosts: context.hosts.clone(),
        accept: Line::fold(offer::ACCEPT),
        source: Some(address),
        probe: probe.map(|(from, to)| Probe { from, to, sent_by }),
        keepalive,
        probe_after,
        idle: None,
    }
}

/// How often a link that is held is looked at: as often as the registry looks.
const HELD_LOOK: Duration = Duration::from_millis(100);
/// Least time between two words about it.
const HELD_TOLD: Duration = Duration::from_secs(60);
/// What the system takes of requests of a peer that counts before they are read, in octets: a hundred
/// or so, which have to be answered in time as well. With a quarter of it connections on one host
/// come to stand still for seconds, since that is less than one segment.
const RECEIVED: usize = 32 * 1_024;
/// Written at once.
const BATCH: usize = 64 * 1_024;
/// Silence of ours after which CRLFCRLF is sent (RFC 5626 section 4.4.1).
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Silence of the peer after which it is asked with OPTIONS.
const PROBE_AFTER: Duration = Duration::from_secs(60);
/// The same for a Microsoft server, which counts messages, and itself keeps silent for up to five
/// minutes ([MS-CONMGMT] section 3.4.5).
const KEEPALIVE_MICROSOFT: Duration = Duration::from_secs(120);
const PROBE_AFTER_MICROSOFT: Duration = Duration::from_secs(330);
