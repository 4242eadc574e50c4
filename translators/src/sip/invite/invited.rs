//! What an INVITE of a peer is for.

use crate::sip::dialog::Dialog;
use crate::sip::invite::session::{Session, Terms};
use crate::sip::microsoft::{Cause, FirstMessage};
use crate::sip::name_addr::RawAddr;
use crate::sip::sdp::{self, Media, Offer};
use crate::sip::{Answer, Head, HeaderName, Malformed, Request, Tag};
use crate::text::Line;

/// Option tag of conversations of more than two as LCS 2005 makes them.
pub const MULTIPARTY: &str = "com.microsoft.rtc-multiparty";
/// Invites to a meeting of OCS 2007 or later.
const CONFERENCE: &str = "application/ms-conf-invite+xml";

/// What somebody is invited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// A conversation: the one thing that is taken.
    Conversation,
    /// A call.
    Audio,
    /// A call with pictures.
    Video,
    /// A shared screen or program.
    Sharing,
    /// A file.
    File,
    /// A meeting on a server (`application/ms-conf-invite+xml`, or a Contact with `isfocus`).
    Meeting,
    /// A conversation of more than two without a server (LCS 2005).
    Multiparty,
    /// Nothing that can be told: no description, or one of other media.
    Unknown,
}

/// An INVITE outside a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    purpose: Purpose,
    subject: Option<String>,
    first: Option<FirstMessage>,
}

impl Invited {
    /// Looks at an INVITE; what cannot be read counts as not there.
    pub fn read(invite: &Request) -> Self {
        let first = FirstMessage::of(invite);
        let subject = invite.header(HeaderName::Subject);
        Self {
            purpose: purpose(invite, first.as_ref()),
            subject: subject
                .map(|header| header.text())
                .filter(|text| !text.is_empty()),
            first: first.filter(|first| !first.is_file()),
        }
    }

    /// What it is for.
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Subject on one line; not cleaned for people.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The first message, if the INVITE brings one.
    pub const fn first_message(&self) -> Option<&FirstMessage> {
        self.first.as_ref()
    }

    /// The answer to an INVITE that is not for a conversation; `None` for one that is.
    pub fn refusal(&self) -> Option<Answer> {
        refusal(self.purpose)
    }

    /// Accepts an INVITE for a conversation: the dialog with `tag` as ours, and the 200 with our
    /// description. Record-Route goes back as it came (RFC 3261 section 12.1.1).
    pub fn accept(
        invite: &Request,
        tag: Tag,
        terms: &Terms<'_>,
    ) -> Result<(Session, Answer), Malformed> {
        let dialog = Dialog::invited(invite, tag, terms.epid.then(|| tag.epid()))?;
        let session = Session::of_invite(dialog, invite)?;
        let answer = session.success(invite, terms);
        Ok((session, answer))
    }
}

/// What a request inside a dialog wants beside the messages that there are; `None` for nothing.
pub fn wants_more(request: &Request) -> Option<Purpose> {
    if is_multiparty(request) {
        return Some(Purpose::Multiparty);
    }
    if is_meeting(request) {
        return Some(Purpose::Meeting);
    }
    let offer = description(request).unwrap_or_default();
    let more = offer.has_more() || (!offer.is_empty() && !offer.has(Media::Message));
    more.then(|| kind(&offer))
}

/// The answer to what is not taken; `None` for a conversation.
pub(super) fn refusal(purpose: Purpose) -> Option<Answer> {
    match purpose {
        Purpose::Conversation => None,
        Purpose::Multiparty => {
            let tag = Line::fold(MULTIPARTY);
            let answer = Answer::new(420).header(HeaderName::Unsupported, tag);
            Some(answer.because(Cause::Multiparty))
        }
        Purpose::Audio | Purpose::Video | Purpose::Sharing | Purpose::Unknown => {
            Some(not_acceptable().because(Cause::NoText))
        }
        Purpose::File => Some(not_acceptable().because(Cause::File)),
        Purpose::Meeting => Some(not_acceptable().because(Cause::Meeting)),
    }
}

/// 488 with what would have been taken (RFC 3261 section 21.4.26).
fn not_acceptable() -> Answer {
    Answer::new(488)
        .header(HeaderName::Accept, Line::fold(sdp::CONTENT_TYPE))
        .header(
            HeaderName::Warning,
            Line::fold("304 isthmus \"Media type not available\""),
        )
}

/// The description inside a request, whatever its type says beside `sdp` and `multipart`.
pub(super) fn description(head: &Head) -> Option<Offer<'_>> {
    let media_type = head.content_type().ok().flatten()?;
    let essence = media_type.essence();
    let readable = essence == sdp::CONTENT_TYPE || essence.starts_with("multipart/");
    (readable && !head.body().is_empty()).then(|| Offer::read(head.body()))
}

fn purpose(invite: &Request, first: Option<&FirstMessage>) -> Purpose {
    if is_multiparty(invite) {
        return Purpose::Multiparty;
    }
    if is_meeting(invite) {
        return Purpose::Meeting;
    }
    if first.is_some_and(FirstMessage::is_file) {
        return Purpose::File;
    }
    let Some(offer) = description(invite) else {
        return Purpose::Unknown;
    };
    if offer.has(Media::Message) {
        return Purpose::Conversation;
    }
    kind(&offer)
}

/// What media other than messages are for, the more telling ones first.
const OTHERS: [(Media, Purpose); 4] = [
    (Media::Sharing, Purpose::Sharing),
    (Media::Video, Purpose::Video),
    (Media::Audio, Purpose::Audio),
    (Media::File, Purpose::File),
];

fn kind(offer: &Offer<'_>) -> Purpose {
    let found = OTHERS.iter().find(|(media, _)| offer.has(*media));
    found.map_or(Purpose::Unknown, |(_, purpose)| *purpose)
}

/// "EndPoints of exactly two" are the two who talk.
fn is_multiparty(invite: &Request) -> bool {
    let required = invite.values(HeaderName::Require);
    let mut required = required.filter(|tag| tag.eq_ignore_ascii_case(MULTIPARTY));
    let triggered = invite.extension("TriggeredInvite");
    required.next().is_some()
        || endpoints(invite) > 2
        || triggered.is_some_and(|header| header.raw.eq_ignore_ascii_case("TRUE"))
}

/// How many users EndPoints names. Their names may hold commas, as in `"Montague, Romeo"`.
fn endpoints(invite: &Request) -> usize {
    let headers = invite.headers();
    let named = headers.filter(|header| header.name.eq_ignore_ascii_case("EndPoints"));
    let counted = named.map(|header| {
        let mut value = header.cursor();
        let mut users = 0;
        while RawAddr::read(&mut value).is_ok() {
            users += 1;
            if !value.eat(b',') {
                break;
            }
        }
        users
    });
    counted.sum()
}

fn is_meeting(invite: &Request) -> bool {
    let media_type = invite.content_type().ok().flatten();
    let contact = invite.contact().ok().flatten();
    media_type.is_some_and(|media_type| media_type.essence() == CONFERENCE)
        || contact.is_some_and(|contact| contact.has_param("isfocus"))
}
