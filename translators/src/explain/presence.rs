//! Presence stanzas and documents.

use jid::BareJid;
use minidom::Element;

use super::subscription::{sent_by, show, written};
use super::{Desk, Explanation};
use crate::address::{self, Spelling};
use crate::documents::adrl;
use crate::documents::presence::{Format, Reading, read};
use crate::mapping::failure::Own;
use crate::mapping::parties;
use crate::mapping::presence::{self as mapping, Occasion, from_xmpp, full, is_room};
use crate::model::{Aor, Domain, Pair, PresenceState, Side, SipProfile};
use crate::policy::Policy;
use crate::sip::dialog::{Subscribing, Tag};
use crate::sip::subscription::{PIDF, Wish};
use crate::sip::{Head, HeaderName, NameAddr, SipUri};
use crate::text::Line;
use crate::xmpp::{Presence, PresenceKind, StanzaError, ns};

/// Explains a presence stanza.
pub(super) fn stanza(stanza: &Presence, desk: &Desk<'_>, story: &mut Explanation) {
    let kind = stanza.kind.as_str().unwrap_or("available");
    story.says(format!(
        "A presence stanza ({kind}) from {} to {}.",
        stanza.from, stanza.to
    ));
    let domains = [&stanza.from, &stanza.to].map(|jid| Domain::parse(jid.domain().as_str()));
    let [Some(from), Some(to)] = domains else {
        return story.says("Sender or recipient has no domain name: it is dropped.");
    };
    if is_room(stanza) {
        return refused(stanza, Own::Nobody, story);
    }
    let directory = desk.with_peers(&[(Side::Xmpp, &from), (Side::Sip, &to)], story);
    let pair = match parties::of_presence(stanza, &directory) {
        Ok(parties) => parties.pair,
        Err(own) => return refused(stanza, own, story),
    };
    let owner = directory.owner_on(Side::Sip, &to);
    let peer = owner.and_then(|owner| owner.sip()).cloned();
    let peer = peer.unwrap_or_default();
    match stanza.kind {
        PresenceKind::Subscribe | PresenceKind::Probe | PresenceKind::Unsubscribe => {
            watching(stanza.kind, &pair, &peer, story);
        }
        PresenceKind::Available | PresenceKind::Unavailable => {
            seen(stanza, &pair, &peer, desk, story);
        }
        PresenceKind::Subscribed => story.says("The SIP user may watch the XMPP user: NOTIFY active goes to each dialog of the watcher (RFC 8048 section 5.3.1). Where nobody asked, it changes nothing."),
        PresenceKind::Unsubscribed => story.says("The SIP user may not watch the XMPP user, or no longer: NOTIFY terminated;reason=rejected goes to each dialog of the watcher (RFC 8048 section 5.3.1)."),
        PresenceKind::Error => story.says("It answers a `subscribe` or probe of the gateway. Where it says that the user is gone or refuses, the watcher's subscription ends; everything else is tried again."),
    }
}

/// A presence that is for no user.
fn refused(stanza: &Presence, own: Own, story: &mut Explanation) {
    let enters = stanza.kind == PresenceKind::Available && stanza.payload("x", ns::MUC).is_some();
    if !enters && stanza.kind != PresenceKind::Subscribe {
        return story.says(
            "It is between no two users that can watch each other: it is counted and dropped.",
        );
    }
    let error = StanzaError::new(own.failure().condition);
    story.says("It is refused. Its sender gets:");
    if let Some(reply) = stanza.failed(&error) {
        show(&reply, story);
    }
}

/// The XMPP user watches.
fn watching(kind: PresenceKind, pair: &Pair, peer: &SipProfile, story: &mut Explanation) {
    let spelling = Spelling::of(peer.strict_user);
    let local = address::to_sip(&pair.address(), spelling);
    let remote = address::aor_to_sip(&pair.aor, None, spelling);
    let (Ok(local), Ok(remote), Some(sent_by)) = (local, remote, sent_by()) else {
        return;
    };
    let tag = Tag::new(&pair.jid, 0);
    let local = NameAddr::new(None, local, None);
    let mut subscribing = Subscribing::new(tag, 0, local, remote);
    let expires = if kind == PresenceKind::Unsubscribe {
        0
    } else {
        3_600
    };
    let (draft, _) = subscribing.request(&Wish::new(expires, PIDF), &sent_by);
    match kind {
        PresenceKind::Unsubscribe => {
            story.says("The XMPP user gives up watching: the subscription on SIP ends by this request in its dialog, with To tag, Route and target of that; its 2xx becomes `unsubscribed` (RFC 8048 section 5.2.3). Without a subscription nothing is sent.");
        }
        PresenceKind::Probe => {
            story.says("A server asks for the current state, which proves that its user may watch: it is answered from what is known. Where no subscription stands, one is made:");
        }
        PresenceKind::Available
        | PresenceKind::Error
        | PresenceKind::Subscribe
        | PresenceKind::Subscribed
        | PresenceKind::Unavailable
        | PresenceKind::Unsubscribed => {
            story.says("The XMPP user asks to watch the SIP user (RFC 8048 section 5.2.1). On the SIP side, where policy allows the pair and the gateway chooses Call-ID, tag, branch and Contact:");
        }
    }
    story.shows(&written(&draft));
    if kind == PresenceKind::Subscribe {
        story
            .says("Answers are silent; the first NOTIFY active becomes `subscribed` and presence.");
    }
}

/// The XMPP user is seen.
fn seen(
    stanza: &Presence,
    pair: &Pair,
    peer: &SipProfile,
    desk: &Desk<'_>,
    story: &mut Explanation,
) {
    let report = from_xmpp(stanza, desk.now);
    let Ok(disclosure) = Policy::default().may_see(pair) else {
        return;
    };
    let Some(report) = report else {
        return;
    };
    if report.is_for_all() {
        story.says(
            "No device of the XMPP user is left: all tuples are closed (RFC 6121 section 4.5.4).",
        );
    }
    let state = PresenceState::new([report.tuple]).with_name(report.name);
    let occasion = Occasion {
        now: desk.now,
        last_sent: None,
    };
    let formats = Format::preferred(peer.microsoft.as_ref());
    let format = formats.first().copied().unwrap_or(Format::Pidf);
    if formats.len() > 1 {
        story.says("The watcher's software chooses the format by what it accepts; this is the one that is preferred.");
    }
    match mapping::document(&disclosure, format, peer, &state, occasion) {
        Ok(document) => {
            story.says("Each dialog of the SIP user gets a NOTIFY with all that is known of the XMPP user; of this stanza alone (RFC 8048 section 6.2):");
            if let Some(language) = document.language {
                story.shows(format!("Content-Language: {language}").as_bytes());
            }
            story.shows(format!("Content-Type: {}", document.content_type).as_bytes());
            story.shows(b"");
            story.shows(&document.body);
            story
                .says("Without a dialog it is kept, and dropped where the SIP user may not watch.");
        }
        Err(reject) => story.says(format!("An address has no image: {reject}.")),
    }
}

/// Shows the stanzas of the document in a NOTIFY, or in a 200 that carries one.
pub(super) fn document_of(head: &Head, pair: &Pair, peer: &SipProfile, story: &mut Explanation) {
    let text = |name| head.header(name).map(|header| header.text());
    let (kind, lang) = (
        text(HeaderName::ContentType),
        text(HeaderName::ContentLanguage),
    );
    let how = Reading {
        content_type: kind.as_deref(),
        lang: lang.as_deref(),
        ..Reading::of_peer(peer)
    };
    document(head.body(), how, pair, story);
}

/// Shows the stanzas of a presence document.
fn document(body: &[u8], how: Reading<'_>, pair: &Pair, story: &mut Explanation) {
    let state = match read(body, how) {
        Ok(Some(state)) => state,
        Ok(None) => {
            return story.says("It carries no state: what is known stays as it is (RFC 3856 section 6.8); a first one without state becomes `unavailable`.");
        }
        Err(unreadable) => {
            let kind = Line::fold(how.content_type.unwrap_or("none"));
            return story.says(format!(
                "Its body ({kind}) is {unreadable}: what is known stays as it is."
            ));
        }
    };
    let Ok(disclosure) = Policy::default().may_see(pair) else {
        return;
    };
    story.says(
        "Its document becomes (RFC 8048 section 6.3), as far as the watcher does not know it:",
    );
    for stanza in full(&disclosure, &state, None, None) {
        show(&stanza, story);
    }
}

/// The format of a presence document and the user whom it is about; none if it is in no format that
/// is read, or about nobody.
pub(super) fn about(root: &Element) -> Option<(Format, BareJid)> {
    let format = Format::of_root(root)?;
    let uri = match format {
        Format::Pidf => root.attr("entity"),
        Format::Categories | Format::Msrtc => root.attr("uri"),
        Format::Xpidf => {
            let mut children = root.children();
            let user = children.find(|child| child.name() == "presentity");
            user.and_then(|user| user.attr("uri"))
        }
    };
    let uri = uri?.trim();
    let uri = SipUri::parse(uri).or_else(|_| SipUri::parse(&format!("sip:{uri}")));
    Some((format, address::to_bare_jid(&uri.ok()?).ok()?))
}

/// Explains a presence document that stands by itself.
pub(super) fn alone(input: &[u8], (format, user): (Format, &BareJid), story: &mut Explanation) {
    let kind = format.content_type();
    story.says(format!("It is a presence document ({kind}) about {user}."));
    if let Ok(watcher) = BareJid::new("watcher@xmpp.invalid") {
        let pair = Pair::new(watcher, Aor::from_image(user.clone()));
        let how = Reading {
            content_type: Some(kind),
            ..Reading::default()
        };
        document(input, how, &pair, story);
    }
}

/// Explains the body of a SUBSCRIBE of Microsoft's software.
pub(super) fn batch(input: &[u8], story: &mut Explanation) {
    story.says(
        "It is the body of a SUBSCRIBE of Microsoft's software ([MS-PRES] section 2.2.2.4.1).",
    );
    for resource in adrl::read(input) {
        let uri = Line::fold(&resource.uri);
        story.says(if resource.context {
            format!("{uri} is on the watcher's contact list: its user is asked at once.")
        } else {
            format!("{uri} is looked at, as for a card or a chat window: its user is asked only if that lasts.")
        });
    }
}
