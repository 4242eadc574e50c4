//! What a message of a SIP peer says beside its purpose.

use std::time::Duration;

use translators::address::to_bare_jid;
use translators::mapping::failure::from_sip;
use translators::model::{Aor, Pair, Profile};
use translators::sip::{Head, NameAddr, Request, Response};

use super::SipLink;
use crate::peers::{Refusal, Skew, Told};
use crate::telemetry::events::PeerEvent;

impl SipLink {
    /// Takes note of what a message of the peer says beside its purpose: the time, and of a Microsoft
    /// peer the reason of a refusal.
    pub(super) fn hears(&self, response: &Response) {
        let (peers, peer, now) = (
            &self.context.peers,
            self.proven.peer(),
            self.context.clock.now(),
        );
        self.reads_clock(response);
        self.hears_of(response);
        let told = Told::of(response, now).filter(|_| self.is_microsoft);
        if let Some(told) = told {
            let event = told.clone();
            let is_news = peers.told(peer, told);
            PeerEvent::Diagnosed {
                peer,
                method: &event.method,
                status: event.status,
                diagnostics: &event.diagnostics,
                is_news,
            }
            .emit();
        }
    }

    /// Takes note of whom a Microsoft peer refuses: it counts how much of what it is asked for fails.
    fn hears_of(&self, response: &Response) {
        if !self.is_microsoft || !matches!(response.status(), 403 | 404 | 604) {
            return;
        }
        let jid = |address: NameAddr| to_bare_jid(address.uri()).ok();
        let (from, to) = (response.from().ok(), response.to().ok());
        if let Some((jid, aor)) = from.and_then(jid).zip(to.and_then(jid)) {
            let peer = self.proven.peer();
            let config = self.context.config.load();
            let profile = config.directory.peer(peer).and_then(Profile::sip);
            if let Some(profile) = profile {
                let failure = from_sip(response, profile);
                let pair = Pair::new(jid, Aor::from_image(aor));
                let said = Refusal {
                    method: response.cseq().map_or("", |cseq| cseq.method),
                    status: response.status(),
                };
                self.context.peers.refuses(peer, said, &pair, failure);
            }
        }
    }

    /// A user who writes is there, whatever was said of him.
    pub(super) fn hears_from(&self, request: &Request) {
        let from = request.from().ok().filter(|_| self.is_microsoft);
        if let Some(jid) = from.and_then(|from| to_bare_jid(from.uri()).ok()) {
            let aor = Aor::from_image(jid);
            self.context.peers.heard(self.proven.peer(), &aor);
        }
    }

    /// Notes the time that a message of the peer itself shows.
    pub(super) fn reads_clock(&self, head: &Head) {
        let now = self.context.clock.now().wall;
        if let Ok(Some(date)) = head.date() {
            let seconds = (date.unix_millis() - now.unix_millis()) / 1_000;
            let skew = Skew { seconds, at: now };
            self.context.peers.shows_time(self.proven.peer(), skew);
        }
    }

    /// Passes this address over for what the shards send elsewhere.
    pub(super) fn on_out_of_service(&self, response: &Response) {
        let after = response.retry_after();
        let after = after.map(|seconds| Duration::from_secs(seconds.into()));
        if let Some((address, span)) = self.context.peers.refused(self.id(), after) {
            let peer = self.proven.peer();
            PeerEvent::Refusing {
                peer,
                address,
                span,
            }
            .emit();
        }
    }
}
