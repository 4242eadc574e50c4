//! What tells received requests apart.

use std::sync::Arc;

use crate::model::PeerId;
use crate::sip::branch::COOKIE;
use crate::sip::{HeaderName, Malformed, Method, Request};

/// Names a received request (RFC 3261 section 17.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerKey(Arc<str>);

impl ServerKey {
    pub(super) fn of(peer: &PeerId, request: &Request) -> Result<Self, Malformed> {
        let key = transaction_key(peer, request, request.method_name())?;
        Ok(Self(key.into()))
    }

    /// The INVITE that an ACK or CANCEL is about: "the method of the request matches the one that
    /// created the transaction, except for ACK" and CANCEL (RFC 3261 sections 9.2 and 17.2.3).
    pub(super) fn of_invite(peer: &PeerId, request: &Request) -> Result<Self, Malformed> {
        let key = transaction_key(peer, request, Method::Invite.as_str())?;
        Ok(Self(key.into()))
    }
}

/// What two copies of one request have in common: the branch, who sent it and the method; where
/// the branch is not of RFC 3261, everything that RFC 2543 compared. Inner clients of Lync send no
/// branch at all. `method` is the request's own, or INVITE for what is about one.
fn transaction_key(peer: &PeerId, request: &Request, method: &str) -> Result<String, Malformed> {
    let via = request.top_via()?;
    let branch = via.branch.filter(|branch| is_unique(branch));
    if let Some(branch) = branch {
        let host = via.host.to_ascii_lowercase();
        let port = via.port.unwrap_or(0);
        return Ok(format!("{peer}\n{branch}\n{host}:{port}\n{method}"));
    }
    let (from, to) = (request.from()?, request.to()?);
    Ok(format!(
        "{peer}\n{}\n{:?}\n{:?}\n{}\n{} {method}\n{}",
        request.raw_uri(),
        from.tag(),
        to.tag(),
        request.call_id()?,
        request.cseq()?.number,
        request.required(HeaderName::Via)?.raw,
    ))
}

/// Whether a branch has the cookie and anything behind it (RFC 4475 section 3.2.1 has one that
/// has not).
fn is_unique(branch: &str) -> bool {
    branch
        .strip_prefix(COOKIE)
        .is_some_and(|rest| !rest.is_empty())
}

/// What merged copies of one request have in common; none for a request in a dialog, or without
/// a From tag as in RFC 2543.
pub(super) fn merge_key(peer: &PeerId, request: &Request) -> Result<Option<String>, Malformed> {
    let (from, to) = (request.from()?, request.to()?);
    let Some(tag) = from.tag().filter(|_| to.tag().is_none()) else {
        return Ok(None);
    };
    let (call_id, cseq, tag) = (request.call_id()?, request.cseq()?, tag.as_str());
    let (number, method) = (cseq.number, cseq.method);
    Ok(Some(format!("{peer}\n{call_id}\n{number} {method}\n{tag}")))
}
