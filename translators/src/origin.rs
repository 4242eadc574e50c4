//! Proof that a peer may speak for a sender.

use std::sync::Arc;

use crate::model::{Domain, LinkId, PeerId};

/// What a link proved about its peer: the shell makes it from the verdict on the certificate, and
/// it lives as long as the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    link: LinkId,
    peer: PeerId,
    domains: Arc<[Domain]>,
}

impl Proven {
    /// Records that the certificate on `link` proved that `peer` speaks for `domains`.
    pub fn new(link: LinkId, peer: PeerId, domains: impl Into<Arc<[Domain]>>) -> Self {
        Self {
            link,
            peer,
            domains: domains.into(),
        }
    }

    /// The link.
    pub const fn link(&self) -> LinkId {
        self.link
    }

    /// The peer.
    pub const fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// The domains it may speak for.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Whether it may speak for `domain`: exactly, never by suffix.
    pub fn covers(&self, domain: &Domain) -> bool {
        self.domains.contains(domain)
    }
}

/// The sender's domain is not one that the link proved (RFC 6120 section 8.1.2.2, RFC 5922).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer has not proven that it may speak for this domain")]
pub struct Spoofed;

/// Proof that one input came from a peer that may speak for its sender; only [`verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    proven: Proven,
    number: u64,
    domain: Domain,
}

impl Origin {
    /// The link it came over.
    pub const fn link(&self) -> LinkId {
        self.proven.link
    }

    /// Its number on that link, counted from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The peer that sent it.
    pub const fn peer(&self) -> &PeerId {
        &self.proven.peer
    }

    /// Whether that peer may also speak for `other`, another domain named in the input.
    pub fn covers(&self, other: &Domain) -> bool {
        self.proven.covers(other)
    }

    /// The sender's domain.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }
}

/// Proves that input `number` of a link comes from a peer that may speak for `sender`.
pub fn verify(proven: &Proven, number: u64, sender: &Domain) -> Result<Origin, Spoofed> {
    if !proven.covers(sender) {
        return Err(Spoofed);
    }
    Ok(Origin {
        proven: proven.clone(),
        number,
        domain: sender.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proven_domain_is_an_origin() {
        let domain = |name| Domain::parse(name).unwrap();
        let proven = Proven::new(LinkId(1), PeerId::new("peer"), [domain("xmpp.example")]);

        assert!(verify(&proven, 1, &domain("XMPP.example.")).is_ok());
        for other in [
            "sub.xmpp.example",
            "example",
            "notxmpp.example",
            "xn--xmpp.example",
        ] {
            let spoofed = Domain::parse(other).map(|sender| verify(&proven, 1, &sender));
            assert!(
                spoofed.is_none_or(|verdict| verdict == Err(Spoofed)),
                "{other}"
            );
        }
    }
}
