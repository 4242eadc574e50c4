//! What goes into and comes out of a stream.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::limits;
use crate::model::{Condition, Domain, Mono};
use crate::xmpp::faults::{PeerError, StreamFault};
use crate::xmpp::reader::ReaderLimits;
use crate::xmpp::sasl::SaslFailure;
use crate::xmpp::stanza::{Bounce, Stanza};

/// How we answer a stream that a peer opens.
#[derive(Clone, Debug)]
pub struct IncomingSettings {
    /// The domains we speak for on this side: legal values of a header's `to`.
    pub domains: Arc<BTreeSet<Domain>>,
    /// Whether stream management is offered (XEP-0198).
    pub management: bool,
    /// Makes stream identifiers unique; a fresh random number for each stream.
    pub seed: u64,
}

/// How we set up a stream to a peer.
#[derive(Clone, Debug)]
pub struct OutgoingSettings {
    /// The domain in whose name the stream speaks.
    pub local: Domain,
    /// The domain that is dialled.
    pub remote: Domain,
    /// The peer's domains from which errors may come back on our stream, `remote` among them.
    pub domains: Vec<Domain>,
    /// What was agreed for the peer.
    pub terms: Terms,
    /// Whether we ask for stream management.
    pub acks: Acks,
    /// Whether the initial response names our domain; else it is empty.
    pub authzid: bool,
    /// Time that errors may need to come after a barrier's answer.
    pub settle: Duration,
    /// Makes ping identifiers unique; a fresh random number for each stream.
    pub seed: u64,
}

/// Whether we ask a peer for stream management (XEP-0198).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// When it offers it, and when it states stream limits: Openfire since 4.8 answers without an offer.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Always.
    On,
}

/// Per-peer settings of an established stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Bytes of a stanza that are read.
    pub max_stanza: usize,
    /// Silence of ours after which white space is sent.
    pub keepalive: Duration,
}

impl Terms {
    pub(super) fn reader(&self) -> ReaderLimits {
        ReaderLimits {
            stanza: self.max_stanza,
            fatal: self.max_stanza.max(limits::STANZA_FATAL),
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            max_stanza: limits::STANZA,
            keepalive: limits::XMPP_KEEPALIVE,
        }
    }
}

/// What the shell tells a stream.
#[derive(Clone, Debug)]
pub enum LinkInput<'a> {
    /// The ping of that identifier was answered on a stream of the peer.
    Answered(&'a str),
    /// Bytes of the peer: in clear text before TLS, decrypted behind it.
    Bytes(&'a [u8]),
    /// TCP is up. Not given with direct TLS.
    Connected,
    /// The connection ended, with or without `close_notify`.
    Eof,
    /// Asks for [`StreamEvent::Confirmed`] although nothing was sent: an earlier stream left stanzas behind that the
    /// peer's server acknowledged and no barrier confirmed. Established outgoing streams only.
    Probe,
    /// Sends one complete stanza. Established outgoing streams only, see [`super::Stream::accepts`].
    Send {
        /// The stanza.
        bytes: Bytes,
        /// Whether somebody waits for [`StreamEvent::Confirmed`].
        barrier: bool,
    },
    /// Stanza `n` needs nothing more.
    Settled(u64),
    /// Ends the stream in order.
    Shutdown,
    /// [`LinkEffects::wake_at`] has come.
    Timeout,
    /// The TLS handshake is complete. On an outgoing stream the certificate was verified for the dialled domain.
    Tls(TlsVersion),
    /// Answers [`StreamEvent::JudgeCertificate`].
    Verdict(Verdict),
}

/// Version of TLS on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What the peer's certificate proves (XEP-0178 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// These domains may speak on the stream; the header's `from` has to be one of them.
    Proven {
        /// The domains.
        domains: Vec<Domain>,
        /// What was agreed for the peer.
        terms: Terms,
    },
    /// None, for this reason.
    Unproven(Cause),
}

/// Why a peer is not believed, in the words of the shell: stable identifier and one sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Stable identifier.
    pub id: &'static str,
    /// One sentence.
    pub sentence: String,
}

/// What the shell has to do, in the order of the fields.
#[derive(Debug, Default)]
pub struct LinkEffects {
    /// Bytes to write.
    pub write: Bytes,
    /// Start TLS once that is written.
    pub start_tls: Option<StartTls>,
    /// What happened.
    pub events: Vec<StreamEvent>,
    /// When to call again if nothing happens before.
    pub wake_at: Option<Mono>,
    /// Close the connection once everything is written.
    pub close: Option<CloseReason>,
}

/// How to start TLS behind STARTTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartTls {
    /// Our domain, for the choice of our certificate: the first header's `to` on an incoming stream.
    pub local: Domain,
    /// The peer's domain, for SNI and verification; known on outgoing streams only.
    pub remote: Option<Domain>,
    /// Whom the first header of an incoming stream says it is from: not proven, good for a choice of TLS only.
    pub claimed: Option<Domain>,
    /// Whether only TLS 1.2 works: no XML declaration in the first header means Openfire before 4.8.
    pub only_tls12: bool,
}

/// What happened on a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamEvent {
    /// The peer has received every [`LinkInput::Send`] up to this number, counted from 1 (XEP-0198).
    Acked(u64),
    /// Every [`LinkInput::Send`] up to this number lies before a barrier that the peer answered.
    Confirmed(u64),
    /// The peer tries server dialback, so it failed EXTERNAL; it was refused (XEP-0220).
    Dialback,
    /// Stanzas may flow.
    Established {
        /// Our domain.
        local: Domain,
        /// The peer's domain.
        remote: Domain,
    },
    /// Asks what the peer's certificate proves; answered by [`LinkInput::Verdict`].
    JudgeCertificate {
        /// The domain the peer wants to speak for.
        from: Domain,
        /// Our domain.
        to: Domain,
    },
    /// A ping of ours, sent on the stream from `local` to `remote`, was answered on this one.
    PingAnswered {
        /// Our domain.
        local: Domain,
        /// The peer's domain.
        remote: Domain,
        /// The ping's identifier.
        id: String,
    },
    /// A stanza was refused; it needs no [`LinkInput::Settled`].
    Refused {
        /// What its sender is told.
        condition: Condition,
        /// The error stanza, for our stream to the peer.
        reply: Option<Bounce>,
    },
    /// Two barriers in a row were not answered: the peer hears us and does not reach us.
    ReturnPathDown,
    /// A ping was answered again.
    ReturnPathUp,
    /// A SASL attempt of the peer was refused.
    SaslRefused(SaslFailure),
    /// A stanza from a domain that may speak here. On an outgoing stream always an error.
    Stanza {
        /// Its number, counted from 1, for [`LinkInput::Settled`].
        n: u64,
        /// The stanza.
        stanza: Box<Stanza>,
    },
    /// EXTERNAL is not offered to the peer.
    Unproven {
        /// The domain it wants to speak for.
        from: Domain,
        /// Why not.
        cause: Cause,
    },
}

/// Where a stream is, for log and diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before any header.
    Connecting,
    /// Header and features in clear text.
    Plain,
    /// `<starttls/>` answered or sent, TLS handshake.
    Handshake,
    /// Header and features behind TLS, certificate, SASL.
    Authentication,
    /// Header and features behind SASL.
    Restart,
    /// Stanzas flow.
    Established,
    /// Waiting for the peer's closing tag.
    Closing,
}

/// Why a connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer refused our SASL attempt.
    AuthenticationRefused(SaslFailure),
    /// It ended in order, asked for by us.
    Completed,
    /// The connection ended without a closing tag, at this stage.
    Eof(Stage),
    /// The peer offers no EXTERNAL: it does not accept our certificate.
    ExternalNotOffered,
    /// We ended it with this stream error.
    Fault(StreamFault),
    /// The peer ended the stream in order, at this stage.
    PeerClosed(Stage),
    /// The peer ended the stream with an error.
    PeerError(PeerError, Stage),
    /// The peer failed EXTERNAL and fell back to dialback, or gave up.
    PeerNotAuthenticated,
    /// No header within the time behind a TLS 1.3 handshake: TLS 1.2 has to be tried (Openfire before 4.8).
    SilentAfterTls13,
    /// The peer did not answer in time, at this stage.
    Stalled(Stage),
    /// The peer does not start TLS.
    StartTlsRefused,
    /// Closed without a byte: Openfire tries an address before it uses it.
    Unused,
}
