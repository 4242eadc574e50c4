//! Users as an operator names them.

use jid::{BareJid, Jid};
use translators::address;
use translators::model::{Aor, Directory, Domain, Pair, Side};
use translators::policy::Subject;
use translators::sip::SipUri;

/// Why it is not clear who is meant.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unclear {
    /// It is no address.
    #[error("{0} is no user: write user@example.net, or sip:user@example.net")]
    NoUser(String),
    /// No peer has the domain, so that it could be of either side.
    #[error(
        "no peer has the domain of {0}: write xmpp: or sip: before it to say which side is meant"
    )]
    NoSide(String),
    /// Two users of one side.
    #[error("{0} and {1} are of the same side: a pair is an XMPP user and a SIP user")]
    SameSide(String, String),
    /// Too few or too many.
    #[error("name one user, or an XMPP user and a SIP user")]
    Count,
    /// An old address that we cannot speak for.
    #[error("{0} is of no SIP peer's domain: towards XMPP the gateway speaks in those only")]
    NotOurs(String),
    /// A pair is needed.
    #[error("name an XMPP user and a SIP user")]
    NoPair,
}

/// Reads one user: a JID, a SIP user in JID form, or a URI. The domain says which side is meant, or
/// `xmpp:` or `sip:` before it.
pub(super) fn user(directory: &Directory, text: &str) -> Result<Subject, Unclear> {
    let no_user = || Unclear::NoUser(text.to_owned());
    let scheme = text
        .split_once(':')
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    if matches!(scheme.as_deref(), Some("sip" | "sips")) {
        let uri = SipUri::parse(text).map_err(|_| no_user())?;
        let image = address::to_jid(&uri, None).map_err(|_| no_user())?;
        return named(&image)
            .map(|image| Subject::Sip(Aor::from_image(image)))
            .ok_or_else(no_user);
    }
    let is_xmpp = scheme.as_deref() == Some("xmpp");
    let plain = if is_xmpp {
        text.get("xmpp:".len()..)
    } else {
        Some(text)
    };
    let jid = plain.and_then(|plain| Jid::new(plain).ok());
    let jid = jid.as_ref().and_then(named).ok_or_else(no_user)?;
    if is_xmpp {
        return Ok(Subject::Xmpp(jid));
    }
    let is_on = |side| {
        let domain = Domain::parse(jid.domain().as_str());
        domain.is_some_and(|domain| directory.owner_on(side, &domain).is_some())
    };
    if is_on(Side::Xmpp) {
        Ok(Subject::Xmpp(jid))
    } else if is_on(Side::Sip) {
        Ok(Subject::Sip(Aor::from_image(jid)))
    } else {
        Err(Unclear::NoSide(text.to_owned()))
    }
}

/// Reads one user, or one of each side in any order as a pair.
pub(super) fn subject(directory: &Directory, users: &[String]) -> Result<Subject, Unclear> {
    match users {
        [one] => user(directory, one),
        [one, other] => match (user(directory, one)?, user(directory, other)?) {
            (Subject::Xmpp(jid), Subject::Sip(aor)) | (Subject::Sip(aor), Subject::Xmpp(jid)) => {
                Ok(Subject::Pair(Pair::new(jid, aor)))
            }
            _ => Err(Unclear::SameSide(one.clone(), other.clone())),
        },
        _ => Err(Unclear::Count),
    }
}

/// Reads one user of each side.
pub(super) fn pair(directory: &Directory, users: &[String]) -> Result<Pair, Unclear> {
    match subject(directory, users)? {
        Subject::Pair(pair) => Ok(pair),
        Subject::Sip(_) | Subject::Xmpp(_) => Err(Unclear::NoPair),
    }
}

/// The names of a subject's users, XMPP side first.
pub(super) fn names(subject: &Subject) -> (Option<String>, Option<String>) {
    match subject {
        Subject::Pair(pair) => (Some(pair.jid.to_string()), Some(pair.aor.to_string())),
        Subject::Sip(aor) => (None, Some(aor.to_string())),
        Subject::Xmpp(jid) => (Some(jid.to_string()), None),
    }
}

/// The user of an address; a server alone is none.
fn named(jid: &Jid) -> Option<BareJid> {
    jid.node().is_some().then(|| jid.to_bare())
}
