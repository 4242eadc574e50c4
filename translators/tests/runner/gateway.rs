//! The gateway as a vector sees it: two peers around one shard, on virtual time.

use std::sync::Arc;
use std::time::Duration;

use translators::mapping::parties;
use translators::model::{
    Accept, Blame, Condition, Dialect, Directory, Domain, Failure, LinkId, Microsoft, Mono, Now,
    PeerId, Profile, SipProfile, Wall, XmppProfile,
};
use translators::origin::{self, Origin, Proven};
use translators::policy::Policy;
use translators::shard::{Effects, Input, Lapse, Place, Shard, TransmitId};
use translators::sip::hop::{Hop, HopConfig, HopEvent, HopInput};
use translators::sip::{Hosts, Mark, Request, write_response};
use translators::text::{Line, SipToken};
use translators::xmpp::Stanza;
use translators::xmpp::reader::{Frame, Reader, ReaderLimits};

use super::meta::Setup;

/// Something that left the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Sip(Vec<u8>),
    Xmpp(String),
}

pub(crate) struct Gateway {
    shard: Shard,
    hop: Hop,
    directory: Arc<Directory>,
    sip: Proven,
    xmpp: Proven,
    now: Now,
    wake_at: Option<Mono>,
    inputs: u64,
    unconfirmed: Vec<TransmitId>,
    withheld: bool,
    outputs: Vec<Output>,
}

const SIP_PEER: &str = "sip-peer";
const XMPP_PEER: &str = "xmpp-peer";
const HOUR: Duration = Duration::from_secs(3_600);

impl Gateway {
    pub(crate) fn new(setup: &Setup) -> Result<Self, String> {
        let switch = |name: &str| setup.switches.iter().any(|one| one == name);
        let microsoft = switch("microsoft").then(Microsoft::default);
        let sip = SipProfile {
            microsoft,
            cpim: switch("cpim"),
            xhtml_im: switch("xhtml_im"),
            conditional: switch("conditional"),
            ..SipProfile::default()
        };
        let sip_domains = domains(&setup.sip_domains)?;
        let xmpp_domains = domains(&setup.xmpp_domains)?;
        let directory = Arc::new(Directory::new([
            profile(SIP_PEER, sip_domains.clone(), Dialect::Sip(sip)),
            profile(
                XMPP_PEER,
                xmpp_domains.clone(),
                Dialect::Xmpp(XmppProfile::default()),
            ),
        ]));
        let hosts = Hosts::only("gw.example.org", 5061).ok_or("no name for our Via")?;
        let place = Place {
            number: 0,
            mark: Mark(0),
            hosts: hosts.clone(),
        };
        let policy = Arc::new(Policy::default());
        let now = Now {
            mono: Mono::from_start(HOUR),
            wall: Wall::parse_rfc3339("2026-01-15T12:00:00Z").ok_or("no date")?,
        };
        let config = HopConfig {
            mark: Mark(0),
            hosts,
            microsoft,
            accept: Line::fold("text/plain"),
            source: None,
            probe: None,
            keepalive: HOUR * 24,
            probe_after: HOUR * 24,
            idle: None,
        };
        let mut gateway = Self {
            shard: Shard::new(place, 1, Arc::clone(&directory), policy),
            hop: Hop::new(config, now, 1),
            directory,
            sip: Proven::new(LinkId(1), PeerId::new(SIP_PEER), sip_domains),
            xmpp: Proven::new(LinkId(2), PeerId::new(XMPP_PEER), xmpp_domains),
            now,
            wake_at: None,
            inputs: 0,
            unconfirmed: Vec::new(),
            withheld: setup.confirm.as_deref() == Some("withheld"),
            outputs: Vec::new(),
        };
        for peer in [SIP_PEER, XMPP_PEER] {
            gateway.input(Input::PeerUp(PeerId::new(peer)));
        }
        Ok(gateway)
    }

    /// Bytes of the SIP peer.
    pub(crate) fn feed_sip(&mut self, bytes: &[u8]) -> Result<(), String> {
        let effects = self.hop.handle(HopInput::Bytes(bytes), self.now);
        if !effects.write.is_empty() {
            self.outputs.push(Output::Sip(effects.write.to_vec()));
        }
        for event in effects.events {
            match event {
                HopEvent::Request(request) => self.feed_request(*request)?,
                HopEvent::Response(response) => {
                    let peer = self.sip.peer().clone();
                    self.input(Input::Response(peer, response));
                }
                HopEvent::Alive | HopEvent::Answered { .. } | HopEvent::Ignored(_) => {}
            }
        }
        Ok(())
    }

    /// A stanza of the XMPP peer.
    pub(crate) fn feed_xmpp(&mut self, text: &str) -> Result<(), String> {
        let header = "<stream:stream xmlns='jabber:server' version='1.0' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";
        let text = format!("{header}{text}");
        let mut reader = Reader::new(ReaderLimits::default());
        let mut bytes = text.as_bytes();
        while let Some(frame) = reader
            .next(&mut bytes)
            .map_err(|fault| format!("{fault:?}"))?
        {
            let Frame::Stanza(element) = frame else {
                continue;
            };
            let read = Stanza::read(element, self.xmpp.domains());
            let stanza = read.map_err(|refused| format!("{refused:?}"))?;
            let sender = Domain::parse(stanza.from().domain().as_str());
            let origin = self.origin(false, sender)?;
            match stanza {
                Stanza::Message(message) => self.input(Input::Stanza(origin, message.into())),
                Stanza::Presence(presence) => {
                    self.input(Input::Presence(origin, presence.into()));
                }
                Stanza::Iq(_) => return Err("nothing for a shard".to_owned()),
            }
        }
        Ok(())
    }

    /// Reports what was handed over as accepted by the far side.
    pub(crate) fn confirm(&mut self) {
        while !self.withheld && !self.unconfirmed.is_empty() {
            let id = self.unconfirmed.remove(0);
            self.input(Input::HandedOver(id));
        }
    }

    /// Lets time pass until `done` or for `span`; what is handed over meanwhile is confirmed.
    pub(crate) fn run(&mut self, span: Duration, done: impl Fn(&[Output]) -> bool) {
        let end = self.now.mono + span;
        loop {
            self.confirm();
            if done(&self.outputs) {
                return;
            }
            let next = self.wake_at.filter(|at| *at <= end);
            let step = next.unwrap_or(end).since(self.now.mono);
            self.now = Now {
                mono: self.now.mono + step,
                wall: self.now.wall + step,
            };
            if next.is_none() {
                return;
            }
            self.input(Input::Timeout);
        }
    }

    /// What has left since the last call.
    pub(crate) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    fn feed_request(&mut self, request: Request) -> Result<(), String> {
        let profile = self.directory.peer(self.sip.peer()).and_then(Profile::sip);
        let profile = profile.ok_or("the SIP peer has no profile")?;
        let in_dialog = request.our_tag().is_some();
        let judged = parties::sender_domain(&request, profile).and_then(|sender| {
            if in_dialog {
                return Ok(sender);
            }
            parties::of_request(&request, profile, &self.directory).map(|_| sender)
        });
        match judged {
            Ok(sender) => {
                let origin = self.origin(true, Some(sender))?;
                self.input(Input::Request(origin, Box::new(request)));
            }
            Err(own) => {
                let answer = own.refusal().answer.to_tag(SipToken::from_number(1));
                let bytes = write_response(&request, &answer);
                self.outputs.push(Output::Sip(bytes.to_vec()));
            }
        }
        Ok(())
    }

    fn origin(&mut self, sip: bool, sender: Option<Domain>) -> Result<Origin, String> {
        let sender = sender.ok_or("the sender has no domain")?;
        self.inputs += 1;
        let proven = if sip { &self.sip } else { &self.xmpp };
        origin::verify(proven, self.inputs, &sender)
            .map_err(|spoofed| format!("{spoofed}: {sender}"))
    }

    fn input(&mut self, input: Input) {
        let effects = self.shard.handle(input, self.now);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Effects) {
        self.wake_at = effects.wake_at;
        let (mut written, mut unreachable) = (Vec::new(), Vec::new());
        for transmit in effects.transmits {
            if transmit.elsewhere {
                // The peers of the vectors have one address.
                unreachable.push(transmit);
            } else if transmit.peer == *self.sip.peer() {
                self.outputs.push(Output::Sip(transmit.bytes.to_vec()));
                written.push(transmit.id);
            } else {
                let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
                self.outputs.push(Output::Xmpp(text));
                self.unconfirmed.push(transmit.id);
            }
        }
        for id in written {
            self.input(Input::HandedOver(id));
        }
        for transmit in unreachable {
            let failure = Failure::new(Condition::RemoteServerTimeout, Blame::Peer);
            let lapse = Lapse::Unreachable(failure);
            self.input(Input::Undelivered(Box::new(transmit), lapse));
        }
    }
}

fn domains(names: &[String]) -> Result<Vec<Domain>, String> {
    let parse = |name: &String| Domain::parse(name).ok_or_else(|| format!("{name} is no domain"));
    names.iter().map(parse).collect()
}

fn profile(name: &str, domains: Vec<Domain>, dialect: Dialect) -> Profile {
    Profile {
        id: PeerId::new(name),
        domains,
        accept: Accept::Barrier,
        dialect,
    }
}
