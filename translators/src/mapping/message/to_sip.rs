//! Instant message to MESSAGE request (RFC 7572 section 4, RFC 3428).

use bytes::Bytes;

use crate::address::{self, Reject, Spelling};
use crate::documents::{cpim, imdn, iscomposing};
use crate::limits;
use crate::mapping::chat_state;
use crate::mapping::failure::Own;
use crate::mapping::message::{Unmapped, invitation};
use crate::model::{InstantMessage, Payload, Reason, ReceiptKind, SipProfile, Wall};
use crate::policy::Admitted;
use crate::sip::{
    Branch, CallId, Draft, HeaderName, Method, NameAddr, SentBy, SipUri, Tag, write_date,
    write_request,
};
use crate::text::{Line, SipToken, language};

/// Content type of plain text.
const TEXT: &str = "text/plain;charset=UTF-8";

/// What makes a request unique, and when it is made.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Call-ID.
    pub call_id: CallId,
    /// Tag of From.
    pub from_tag: SipToken,
    /// Number of CSeq.
    pub cseq: u32,
    /// imdn.Message-ID, for peers that take CPIM.
    pub message_id: String,
    /// The time.
    pub now: Wall,
}

/// Makes the MESSAGE for an admitted message. The instance that it is for must be one that the
/// peer named; the caller leaves out any other.
pub fn to_sip(
    admitted: &Admitted<InstantMessage>,
    peer: &SipProfile,
    envelope: Envelope,
) -> Result<Draft, Unmapped> {
    let message = admitted.thing();
    let uris = Uris::of(admitted, peer)?;
    let (content_type, body) = content(message, peer, &uris, &envelope)?;
    let mut headers = Vec::new();
    if let Payload::Text {
        subject: Some(subject),
        ..
    } = &message.payload
    {
        headers.push((HeaderName::Subject, Line::fold(subject)));
    }
    if let Some(lang) = message.lang.as_deref().and_then(language) {
        headers.push((HeaderName::ContentLanguage, Line::fold(&lang)));
    }
    if let (Payload::Text { .. } | Payload::Invitation(_), Some(sent_at)) =
        (&message.payload, message.sent_at)
    {
        headers.push((HeaderName::Date, write_date(sent_at)));
    }
    let name = message.display_name.as_deref();
    let from = NameAddr::new(name, uris.from_device, Some(envelope.from_tag));
    Ok(Draft {
        method: Method::Message,
        uri: uris.target,
        from: match peer.microsoft {
            Some(_) => from.with_epid(Tag::new(&admitted.pair().jid, 0).epid()),
            None => from,
        },
        to: NameAddr::new(None, uris.to, None),
        call_id: envelope.call_id,
        cseq: envelope.cseq,
        max_forwards: limits::MAX_FORWARDS,
        headers,
        content_type: Some(Line::fold(&content_type)),
        body: Bytes::from(body),
    })
}

/// Writes a page-mode request, whose size counts whole (RFC 3428 section 8).
pub fn write_page(
    draft: &Draft,
    peer: &SipProfile,
    sent_by: &SentBy,
    branch: Branch,
) -> Result<Bytes, Own> {
    let bytes = write_request(draft, sent_by, branch);
    if bytes.len() > peer.page_limit {
        let limit = peer.page_limit;
        let setting = "page_limit";
        return Err(Own::TooLarge { limit, setting });
    }
    Ok(bytes)
}

/// The addresses of a request.
struct Uris {
    from: SipUri,
    from_device: SipUri,
    to: SipUri,
    target: SipUri,
}

impl Uris {
    fn of(admitted: &Admitted<InstantMessage>, peer: &SipProfile) -> Result<Self, Reject> {
        let spelling = Spelling::of(peer.strict_user);
        let (pair, message) = (admitted.pair(), admitted.thing());
        let instance = message.from_instance.as_deref();
        let device = address::with_instance(&pair.jid, instance)?;
        let to_instance = message.to_instance.as_deref();
        Ok(Self {
            from: address::to_sip(&pair.jid, spelling)?,
            from_device: address::to_sip(&device, spelling)?,
            to: address::aor_to_sip(&pair.aor, None, spelling)?,
            target: address::aor_to_sip(&pair.aor, to_instance, spelling)?,
        })
    }
}

/// Content type and body.
fn content(
    message: &InstantMessage,
    peer: &SipProfile,
    uris: &Uris,
    envelope: &Envelope,
) -> Result<(String, String), Unmapped> {
    match &message.payload {
        Payload::Invitation(invitation) => Ok((TEXT.to_owned(), invitation::text(invitation))),
        Payload::Text { text, receipts, .. } if peer.cpim && !receipts.is_empty() => {
            let wrapper = Wrapper {
                content_type: "text/plain; charset=utf-8",
                receipts,
                sent_at: message.sent_at.unwrap_or(envelope.now),
            };
            Ok(wrapper.wrap(uris, envelope, text))
        }
        Payload::Text { text, .. } => Ok((TEXT.to_owned(), text.clone())),
        Payload::Receipt(receipt) if peer.cpim => {
            let subject = imdn::Subject {
                message_id: &receipt.of,
                sent_at: message.sent_at.unwrap_or(envelope.now),
                recipient: uris.from.as_str(),
            };
            let wrapper = Wrapper {
                content_type: imdn::CONTENT_TYPE,
                receipts: &[],
                sent_at: envelope.now,
            };
            Ok(wrapper.wrap(uris, envelope, &imdn::write(&subject, receipt.kind)))
        }
        Payload::Receipt(_) => Err(Reason::Empty.into()),
        Payload::Typing(state) => match chat_state::to_sip(*state) {
            Some(state) => Ok((
                iscomposing::CONTENT_TYPE.to_owned(),
                iscomposing::write(state),
            )),
            None => Err(Reason::Empty.into()),
        },
    }
}

/// How a content is wrapped in CPIM (RFC 5438 section 7.1.1).
struct Wrapper<'a> {
    content_type: &'a str,
    receipts: &'a [ReceiptKind],
    sent_at: Wall,
}

impl Wrapper<'_> {
    fn wrap(&self, uris: &Uris, envelope: &Envelope, content: &str) -> (String, String) {
        let body = cpim::write(&cpim::Draft {
            from: uris.from.as_str(),
            to: uris.to.as_str(),
            message_id: &envelope.message_id,
            sent_at: self.sent_at,
            receipts: self.receipts,
            content_type: self.content_type,
            notification: self.content_type == imdn::CONTENT_TYPE,
            content,
        });
        (cpim::CONTENT_TYPE.to_owned(), body)
    }
}
