//! TLS of a stream, and what the certificate behind it proves.

use translators::model::Domain;
use translators::xmpp::stream::{Cause, LinkInput, StartTls, Terms, Verdict};

use super::{TlsFacts, XmppLink};
use crate::link::accept::nothing_came;
use crate::link::reason::Reason;
use crate::link::terms::{Outgoing, terms};
use crate::tls::{Secured, TlsFailure, Wish};

impl XmppLink {
    /// Puts TLS between the connection and the stream, behind STARTTLS.
    pub(super) async fn upgrade(&mut self, start: &StartTls) {
        if let Err(error) = self.io.flush().await {
            return self.broke(&error);
        }
        let Some(remote) = &start.remote else {
            return self.accept_starttls(start).await;
        };
        self.connect_tls(&Wish {
            local: &start.local,
            remote,
            only_12: start.only_tls12,
            alpn: false,
        })
        .await;
    }

    async fn accept_starttls(&mut self, start: &StartTls) {
        let Some(connection) = self.io.start_tls() else {
            return;
        };
        let accepted = self.context.tls.accept_starttls(connection, start).await;
        self.handshake_done(accepted.map(|secured| (secured, Vec::new())));
    }

    pub(super) async fn accept_direct(&mut self) {
        let Some(connection) = self.io.start_tls() else {
            return;
        };
        if let Some(reason) = nothing_came(&connection).await {
            self.end = Some(Reason::stream(&reason));
            self.closed = Some(reason);
            return;
        }
        let accepted = self.context.tls.accept_direct(connection).await;
        self.handshake_done(accepted.map(|secured| (secured, Vec::new())));
    }

    pub(super) async fn connect_direct(&mut self, wanted: &Outgoing<'_>) {
        self.connect_tls(&Wish {
            local: &wanted.key.local,
            remote: &wanted.key.remote,
            only_12: false,
            alpn: true,
        })
        .await;
    }

    async fn connect_tls(&mut self, wish: &Wish<'_>) {
        let (Some(connection), Some(peer)) = (self.io.start_tls(), &self.peer) else {
            return;
        };
        let connected = self.context.tls.connect(connection, peer, wish).await;
        self.handshake_done(connected.map(|(secured, proof)| (secured, proof.domains)));
    }

    fn handshake_done(&mut self, secured: Result<(Secured, Vec<Domain>), TlsFailure>) {
        match secured {
            Ok((secured, domains)) => self.secured(secured, domains),
            Err(failure) => self.end = Some(Reason::tls(&failure)),
        }
    }

    /// Goes on behind the handshake; `domains` are those that a server proved.
    fn secured(&mut self, secured: Secured, domains: Vec<Domain>) {
        self.tls = Some(TlsFacts {
            negotiated: secured.negotiated,
            cipher: secured.cipher,
            chain: secured.chain,
            domains,
        });
        self.io.secured(secured.stream);
        self.feed(LinkInput::Tls(secured.negotiated.version.of_streams()));
    }

    pub(super) fn judge(&mut self, from: Domain) {
        let verdict = match self.proof_of(&from) {
            Ok((domains, terms)) => Verdict::Proven { domains, terms },
            Err(failure) => Verdict::Unproven(Cause {
                id: failure.id,
                sentence: failure.sentence,
            }),
        };
        self.claimed = Some(from);
        self.feed(LinkInput::Verdict(verdict));
    }

    /// What the peer's certificate proves. Whose domain it claims is noted even if it proves
    /// nothing, so that the operator finds the attempt with that peer.
    fn proof_of(&mut self, from: &Domain) -> Result<(Vec<Domain>, Terms), TlsFailure> {
        let chain = self.tls.as_ref().map(|tls| tls.chain.as_slice());
        let chain = chain.unwrap_or_default();
        let owner = self.context.tls.xmpp_owner(from).map_err(|unknown| {
            let Some((peer, unlisted)) = self.context.tls.unlisted(from, chain) else {
                return unknown;
            };
            self.peer = Some(peer);
            unlisted
        })?;
        let peer = self.peer.insert(owner);
        let proof = self.context.tls.judge_xmpp_client(peer, chain)?;
        let terms = terms(&self.context.config.load(), peer);
        if let Some(tls) = &mut self.tls {
            tls.domains.clone_from(&proof.domains);
        }
        Ok((proof.domains, terms))
    }
}
