//! What was negotiated, and who may have it.

use translators::xmpp::stream::TlsVersion;

use crate::config::{Engine, Peer, TlsChoice};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.0 (RFC 2246).
    Tls10,
    /// 1.1 (RFC 4346).
    Tls11,
    /// 1.2 (RFC 5246).
    Tls12,
    /// 1.3 (RFC 8446).
    Tls13,
}

impl Version {
    /// In figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls10 => "1.0",
            Self::Tls11 => "1.1",
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    /// Whether it takes `legacy_tls`.
    pub fn is_legacy(self) -> bool {
        self < Self::Tls12
    }

    /// In the words of the stream machine, whose peers get nothing below 1.2.
    pub const fn of_streams(self) -> TlsVersion {
        match self {
            Self::Tls10 | Self::Tls11 | Self::Tls12 => TlsVersion::Tls12,
            Self::Tls13 => TlsVersion::Tls13,
        }
    }

    /// The newest version that is not newer than the number of the wire; none below TLS 1.0.
    pub(super) const fn newest_until(wire: u16) -> Option<Self> {
        match wire {
            ..=0x0300 => None,
            0x0301 => Some(Self::Tls10),
            0x0302 => Some(Self::Tls11),
            0x0303 => Some(Self::Tls12),
            0x0304.. => Some(Self::Tls13),
        }
    }
}

/// What a handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// In which version.
    pub version: Version,
    /// By which implementation on our side.
    pub engine: Engine,
}

impl Negotiated {
    /// Whether that may be spoken with `peer`. More than its settings ask for is not less: a peer whose TLS
    /// 1.3 is avoided when we dial may use it when it dials.
    pub fn is_allowed_to(self, peer: &Peer) -> bool {
        let engine = match self.engine {
            Engine::Rustls => true,
            Engine::Compat => peer.tls.engine == Engine::Compat,
        };
        let version = match self.version {
            Version::Tls10 | Version::Tls11 => peer.tls.legacy,
            Version::Tls12 => peer.tls.versions != TlsChoice::Only13,
            Version::Tls13 => true,
        };
        engine && version
    }

    /// In the words of an operator.
    pub(super) fn words(self) -> String {
        let engine = match self.engine {
            Engine::Rustls => "rustls",
            Engine::Compat => "compat",
        };
        format!("TLS {} by the engine {engine}", self.version.name())
    }
}
