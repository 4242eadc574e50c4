//! Where links hand in what comes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jid::BareJid;
use tokio::sync::watch;
use translators::limits;
use translators::mapping::failure::{self, Own, Refusal};
use translators::mapping::parties;
use translators::mapping::presence::is_room;
use translators::model::{Blame, Condition, Domain, Failure, LinkId, PeerId, Side};
use translators::origin::{self, Origin, Proven};
use translators::shard::{Class, Event, Input, Transmit, TransmitId, shard_of};
use translators::sip::microsoft::Cause;
use translators::sip::{Answer, Branch, Method, NameAddr, Request, Response, Scheme};
use translators::xmpp::answers::{self, Facts};
use translators::xmpp::stanza::Bounce;
use translators::xmpp::{Iq, Message, Presence, PresenceKind, Stanza, StanzaError, ns};

use crate::clock::Clock;
use crate::config::Config;
use crate::ingress::budgets::Budgets;
use crate::peers::{NO_SHARD, Peers};
use crate::shards::Inputs;
use crate::telemetry::events::{MessageEvent, TrafficEvent};

/// Where links hand in what peers send.
#[derive(Clone, Debug)]
pub struct Ingress {
    config: Arc<ArcSwap<Config>>,
    peers: Peers,
    inputs: Inputs,
    clock: Clock,
    /// True once the daemon wants to end: requests are refused then.
    ending: watch::Receiver<bool>,
    budgets: Arc<Budgets>,
}

/// What becomes of a stanza.
#[derive(Debug)]
pub enum StanzaVerdict {
    /// It needs nothing more.
    Done,
    /// It goes to this shard.
    Shard(u16, Input),
    /// The peer may not speak for its sender.
    Spoofed(Domain),
}

/// What becomes of a request.
#[derive(Debug)]
pub enum RequestVerdict {
    /// It is answered where it came from.
    Answer(Box<Request>, Answer),
    /// It goes to this shard.
    Shard(u16, Input),
    /// It is answered where it came from, since the peer may not speak for its sender.
    Spoofed(Box<Request>, Answer, Domain),
}

impl Ingress {
    /// Puts what links hand in before the shards behind `inputs`.
    pub fn new(
        config: Arc<ArcSwap<Config>>,
        peers: Peers,
        inputs: Inputs,
        clock: Clock,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self {
            config,
            peers,
            inputs,
            clock,
            ending,
            budgets: Arc::default(),
        }
    }

    /// The way to the shards.
    pub const fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Decides on stanza `number` of a stream of ours or of the peer, in the name of `local`.
    pub fn stanza(
        &self,
        proven: &Proven,
        local: &Domain,
        number: u64,
        stanza: Stanza,
    ) -> StanzaVerdict {
        let kind = match stanza {
            Stanza::Iq(_) => "iq",
            Stanza::Message(_) => "message",
            Stanza::Presence(_) => "presence",
        };
        TrafficEvent::Stanza { kind }.emit();
        let sender = Domain::parse(stanza.from().domain().as_str());
        let origin = sender
            .as_ref()
            .map(|sender| origin::verify(proven, number, sender));
        let Some(Ok(origin)) = origin else {
            return StanzaVerdict::Spoofed(sender.unwrap_or_else(|| local.clone()));
        };
        match stanza {
            Stanza::Message(message) => {
                let parties = parties::of_stanza(&message, &origin, &self.config.load().directory);
                match parties {
                    Ok(parties) => {
                        let shard = self.shard(&parties.pair.jid);
                        return StanzaVerdict::Shard(shard, Input::Stanza(origin, message.into()));
                    }
                    Err(own) => self.refuse_message(proven.peer(), local, &message, own),
                }
            }
            Stanza::Presence(presence) => return self.presence(origin, local, presence),
            Stanza::Iq(iq) if iq.request().is_none() && iq.from.node().is_some() => {
                let shard = self.shard(&iq.from.to_bare());
                return StanzaVerdict::Shard(shard, Input::Iq(origin, iq.into()));
            }
            Stanza::Iq(iq) => self.answer(proven.peer(), local, &iq),
        }
        StanzaVerdict::Done
    }

    /// Decides on a presence stanza.
    fn presence(&self, origin: Origin, local: &Domain, presence: Presence) -> StanzaVerdict {
        let parties = if is_room(&presence) {
            Err(Own::Nobody)
        } else {
            parties::of_presence(&presence, &self.config.load().directory)
        };
        let parties = parties.and_then(|parties| {
            let (user, now) = (&parties.pair.jid, self.clock.now().mono);
            match presence.kind {
                PresenceKind::Probe => self.budgets.take_of_user(user, now)?,
                PresenceKind::Subscribe => self.budgets.take(origin.peer(), user, now)?,
                PresenceKind::Available
                | PresenceKind::Error
                | PresenceKind::Subscribed
                | PresenceKind::Unavailable
                | PresenceKind::Unsubscribe
                | PresenceKind::Unsubscribed => {}
            }
            Ok(parties)
        });
        match parties {
            Ok(parties) => {
                let shard = self.shard(&parties.pair.jid);
                StanzaVerdict::Shard(shard, Input::Presence(origin, presence.into()))
            }
            Err(own) => {
                self.refuse_presence(origin.peer(), local, &presence, own);
                StanzaVerdict::Done
            }
        }
    }

    /// Decides on request `number` of a link.
    pub fn request(&self, proven: &Proven, number: u64, request: Box<Request>) -> RequestVerdict {
        let method = request.method();
        TrafficEvent::Request { method }.emit();
        let config = self.config.load();
        let profile = config
            .directory
            .peer(proven.peer())
            .and_then(|profile| profile.sip());
        if *self.ending.borrow() {
            return self.refuse_request(proven.peer(), request, Own::Overloaded);
        }
        let Some(profile) = profile else {
            // The peer was removed from the configuration; its links are about to be closed.
            return RequestVerdict::Answer(request, Answer::new(403));
        };
        let sender = match parties::sender_domain(&request, profile) {
            Ok(sender) => sender,
            Err(own) => return self.refuse_request(proven.peer(), request, own),
        };
        let Ok(origin) = origin::verify(proven, number, &sender) else {
            return RequestVerdict::Spoofed(request, not_proven(), sender);
        };
        if let Some(claimed) = falsely_asserted(&request, proven) {
            return RequestVerdict::Spoofed(request, not_proven(), claimed);
        }
        if let Some(tag) = request.our_tag() {
            // Its Request-URI is our Contact, or what a proxy made of it: only the tag counts.
            let shard = tag.shard(self.inputs.shards());
            return RequestVerdict::Shard(shard, Input::Request(origin, request));
        }
        let parties = parties::of_request(&request, profile, &config.directory);
        let parties = parties.and_then(|parties| match method {
            Some(Method::Subscribe) if !parties.are_users() => Err(Own::Nobody),
            Some(Method::Subscribe) => {
                let (user, now) = (parties.pair.aor.image(), self.clock.now().mono);
                self.budgets.take(proven.peer(), user, now)?;
                Ok(parties)
            }
            _ => Ok(parties),
        });
        match parties {
            Ok(parties) => {
                let shard = self.shard(&parties.pair.jid);
                let subscribes = method == Some(Method::Subscribe) && profile.microsoft.is_some();
                if subscribes && !self.has_seat(&origin, parties.pair.aor.image(), &request) {
                    return RequestVerdict::Shard(shard, Input::RequestOfMany(origin, request));
                }
                RequestVerdict::Shard(shard, Input::Request(origin, request))
            }
            Err(own) => match self.refuse_request(proven.peer(), request, own) {
                RequestVerdict::Answer(request, answer) if method == Some(Method::Subscribe) => {
                    let answer = failure::to_subscribe(answer, profile, false);
                    RequestVerdict::Answer(request, answer)
                }
                verdict @ (RequestVerdict::Answer(..)
                | RequestVerdict::Shard(..)
                | RequestVerdict::Spoofed(..)) => verdict,
            },
        }
    }

    /// Whether a user may watch one more, as far as is known before his shard says whether it is one.
    fn has_seat(&self, origin: &Origin, user: &BareJid, request: &Request) -> bool {
        let ticket = (origin.link(), origin.number());
        let endpoint = request.endpoint();
        endpoint.is_ok_and(|endpoint| self.inputs.seats().take(ticket, user, endpoint))
    }

    /// The shard that waits for a response, and what it is told.
    pub fn response(&self, peer: &PeerId, response: Box<Response>) -> Option<(u16, Input)> {
        let status = response.status();
        TrafficEvent::Response { status }.emit();
        let shard = response
            .vias()
            .ok()
            .and_then(|vias| Branch::parse(vias.first()?.branch?))
            .map(Branch::shard)
            .filter(|shard| *shard < self.inputs.shards());
        if shard.is_none() {
            MessageEvent(&Event::StrayResponse(peer.clone())).emit();
        }
        Some((shard?, Input::Response(peer.clone(), response)))
    }

    /// Counts a stanza that a stream refused by itself.
    pub fn refused(&self, peer: &PeerId, condition: Condition) {
        refused(Side::Xmpp, peer, Failure::new(condition, Blame::Peer));
    }

    /// Sends a reply that a stream made by itself.
    pub fn bounce(&self, peer: &PeerId, bounce: Bounce) {
        self.send(peer, bounce.local, bounce.remote, bounce.bytes);
    }

    /// Tells a stream's shards that it broke: what it brought may come again.
    pub async fn stream_broke(&self, link: LinkId) {
        self.inputs.stream_broke(link).await;
    }

    fn shard(&self, jid: &BareJid) -> u16 {
        shard_of(jid, self.inputs.shards())
    }

    fn refuse_message(&self, peer: &PeerId, local: &Domain, message: &Message, own: Own) {
        let failure = own.failure();
        let error = StanzaError {
            text: failure.text.clone(),
            ..StanzaError::new(failure.condition)
        };
        refused(Side::Xmpp, peer, failure);
        let (Some(mut reply), Ok(ours)) = (message.failed(&error), BareJid::new(local.as_str()))
        else {
            return;
        };
        if own == Own::NotServed {
            // A foreign sender would cost the whole stream.
            reply.from = ours.into();
        }
        self.reply(peer, Stanza::Message(reply));
    }

    /// Drops presence that is for no user, and tells whoever asks for something or enters a room
    /// where none is; others wait for no answer.
    fn refuse_presence(&self, peer: &PeerId, local: &Domain, presence: &Presence, own: Own) {
        let enters =
            presence.kind == PresenceKind::Available && presence.payload("x", ns::MUC).is_some();
        if !enters && presence.kind != PresenceKind::Subscribe {
            return MessageEvent(&Event::PresenceDropped(peer.clone())).emit();
        }
        let failure = own.failure();
        let error = StanzaError {
            text: failure.text.clone(),
            ..StanzaError::new(failure.condition)
        };
        refused(Side::Xmpp, peer, failure);
        let (Some(mut reply), Ok(ours)) = (presence.failed(&error), BareJid::new(local.as_str()))
        else {
            return;
        };
        if own == Own::NotServed {
            // A foreign sender would cost the whole stream.
            reply.from = ours.into();
        }
        self.reply(peer, Stanza::Presence(reply));
    }

    fn refuse_request(&self, peer: &PeerId, request: Box<Request>, own: Own) -> RequestVerdict {
        let config = self.config.load();
        let profile = config.directory.peer(peer).and_then(|peer| peer.sip());
        let microsoft = profile.is_some_and(|profile| profile.microsoft.is_some());
        let Refusal { failure, answer } = own.refusal_to(microsoft);
        refused(Side::Sip, peer, failure);
        RequestVerdict::Answer(request, answer)
    }

    /// Answers an IQ on behalf of our domain or one of its users.
    fn answer(&self, peer: &PeerId, local: &Domain, iq: &Iq) {
        let config = self.config.load();
        let asked = Domain::parse(iq.to.domain().as_str());
        let owner = asked.and_then(|asked| config.directory.owner_on(Side::Sip, &asked));
        let facts = Facts {
            software: "isthmus",
            version: env!("CARGO_PKG_VERSION"),
            uptime: self.clock.now().mono.since_start(),
            display_name: None,
            receipts: owner
                .and_then(|owner| owner.sip())
                .is_some_and(|sip| sip.cpim),
        };
        if owner.is_none() {
            let failure = Own::NotServed.failure();
            let refusal = iq
                .request()
                .map(|_| iq.failed(StanzaError::new(failure.condition)));
            let ours = BareJid::new(local.as_str());
            if let (Some(mut refusal), Ok(ours)) = (refusal, ours) {
                refusal.from = ours.into();
                self.reply(peer, Stanza::Iq(refusal));
            }
            return;
        }
        if let Some(answer) = answers::answer(iq, &facts) {
            self.reply(peer, Stanza::Iq(answer));
        }
    }

    fn reply(&self, peer: &PeerId, stanza: Stanza) {
        let local = Domain::parse(stanza.from().domain().as_str());
        let remote = Domain::parse(stanza.to().domain().as_str());
        let (Some(local), Some(remote)) = (local, remote) else {
            return;
        };
        let written = match &stanza {
            Stanza::Iq(iq) => iq.write(limits::STANZA),
            Stanza::Message(message) => message.write(limits::STANZA),
            Stanza::Presence(presence) => presence.write(limits::STANZA),
        };
        // What is too large to be sent is an answer to something larger than the peer may send.
        if let Ok(bytes) = written {
            self.send(peer, local, remote, bytes);
        }
    }

    fn send(&self, peer: &PeerId, local: Domain, remote: Domain, bytes: Bytes) {
        self.peers.submit([Transmit {
            id: TransmitId {
                shard: NO_SHARD,
                number: 0,
            },
            peer: peer.clone(),
            local,
            remote,
            link: None,
            elsewhere: false,
            class: Class::Control,
            key: None,
            bytes,
            give_up_at: self.clock.now().mono + limits::ANSWER_TIME,
        }]);
    }
}

/// The answer to a sender whom the link does not prove.
const fn not_proven() -> Answer {
    Answer::new(403).because(Cause::SenderNotProven)
}

/// A domain in P-Asserted-Identity for which the peer may not speak. Whether the header is believed
/// or not, whoever sends that lies.
fn falsely_asserted(request: &Request, proven: &Proven) -> Option<Domain> {
    let asserted = request.asserted().unwrap_or_default();
    let users = asserted
        .iter()
        .map(NameAddr::uri)
        .filter(|uri| uri.scheme() != Scheme::Other);
    users
        .filter_map(|uri| Domain::parse(uri.host()))
        .find(|domain| !proven.covers(domain))
}

fn refused(side: Side, peer: &PeerId, failure: Failure) {
    let peer = peer.clone();
    MessageEvent(&Event::Refused {
        side,
        peer,
        failure,
    })
    .emit();
}
