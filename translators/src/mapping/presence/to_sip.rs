//! State of an XMPP user to the body of a NOTIFY (RFC 8048 section 6.2).

use bytes::Bytes;
use jid::BareJid;

use crate::address::{self, Reject, Spelling};
use crate::documents::presence::{self, Draft, Format};
use crate::model::{Pair, PresenceState, SipProfile, Wall, microsoft, spread};
use crate::policy::Disclosure;
use crate::text::Line;

/// A document with the headers that describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Value of Content-Type.
    pub content_type: Line,
    /// Value of Content-Language, where all its words are in one language.
    pub language: Option<Line>,
    /// The body.
    pub body: Bytes,
}

/// When a document is written, and when the one before it went to that watcher.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    /// The time.
    pub now: Wall,
    /// The time of the last document; none of an earlier run of the gateway needs to be known if
    /// this is the time of its start.
    pub last_sent: Option<Wall>,
}

/// The document that shows the XMPP user of a pair to its SIP user.
pub fn document(
    disclosure: &Disclosure,
    format: Format,
    peer: &SipProfile,
    state: &PresenceState,
    occasion: Occasion,
) -> Result<Document, Reject> {
    let pair = disclosure.pair();
    let user = &pair.jid;
    let contact = address::to_sip(&pair.address(), Spelling::of(peer.strict_user))?;
    let entity = entity(user, peer)?;
    let epid = peer.microsoft.map(|_| microsoft::epid(spread(user)));
    let draft = Draft {
        entity: &entity,
        contact: contact.as_str(),
        state,
        now: occasion.now,
        last_sent: occasion.last_sent,
        epid: epid.as_deref(),
    };
    Ok(Document {
        content_type: Line::fold(format.content_type()),
        language: presence::language(state).map(Line::fold),
        body: presence::write(disclosure, format, &draft),
    })
}

/// The document that says of the XMPP user of a pair no more than that he is offline.
pub fn offline_document(
    pair: &Pair,
    format: Format,
    peer: &SipProfile,
    now: Wall,
) -> Result<Document, Reject> {
    let entity = entity(&pair.jid, peer)?;
    Ok(Document {
        content_type: Line::fold(format.content_type()),
        language: None,
        body: presence::write_offline(format, &entity, now),
    })
}

/// Whom a document is about. Microsoft's software knows no `pres` URI.
fn entity(user: &BareJid, peer: &SipProfile) -> Result<String, Reject> {
    if peer.microsoft.is_none() {
        return address::to_pres(user);
    }
    let uri = address::to_sip(&user.clone().into(), Spelling::of(peer.strict_user))?;
    Ok(uri.as_str().to_owned())
}
