//! Who an input is from and for: one function per side decides it for everything that follows.

use jid::Jid;

use crate::address::{self, Reject, Spelling};
use crate::mapping::failure::Own;
use crate::mapping::message::invitation;
use crate::model::{Aor, Directory, Domain, Pair, Side, SipProfile};
use crate::origin::Origin;
use crate::sip::{NameAddr, Request};
use crate::xmpp::{Message, Presence};

/// The two users of an input, and the devices that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// The two users.
    pub pair: Pair,
    /// The sender's device.
    pub from_instance: Option<String>,
    /// The device it is for.
    pub to_instance: Option<String>,
    /// The sender's name as the sender's side gives it, not cleaned.
    pub display_name: Option<String>,
}

impl Parties {
    /// Whether both are users and neither is a domain by itself.
    pub fn are_users(&self) -> bool {
        self.pair.jid.node().is_some() && self.pair.aor.image().node().is_some()
    }
}

/// The sender of a request: P-Asserted-Identity of a peer that is trusted with it (RFC 3325), else
/// From. Whether the peer may speak for that user is for [`crate::origin::verify`] to say.
pub fn sender(request: &Request, peer: &SipProfile) -> Result<NameAddr, Own> {
    let from = request.from().map_err(|_| Own::Unreadable)?;
    if !peer.trust_asserted {
        return Ok(from);
    }
    let asserted = request.asserted().map_err(|_| Own::Unreadable)?;
    let user = asserted
        .into_iter()
        .find(|address| address::to_bare_jid(address.uri()).is_ok());
    Ok(user.unwrap_or(from))
}

/// The domain of the sender of a request, to be proven.
pub fn sender_domain(request: &Request, peer: &SipProfile) -> Result<Domain, Own> {
    let sender = sender(request, peer)?;
    let host = sender.uri().host();
    Domain::parse(host).ok_or(Own::Rejected(Reject::Host))
}

/// The parties of a request. The Request-URI says whom it is for; it wins over To, which proxies
/// leave as it was first dialled (RFC 3261 section 8.1.1.2).
pub fn of_request(
    request: &Request,
    peer: &SipProfile,
    directory: &Directory,
) -> Result<Parties, Own> {
    let target = request.uri().map_err(|_| Own::Unreadable)?;
    let to = address::to_jid(&target, target.param("gr"))?;
    let sender = sender(request, peer)?;
    let from = address::to_jid(sender.uri(), sender.gr())?;
    served(directory, Side::Xmpp, &to)?;
    Ok(Parties {
        from_instance: resource(&from),
        to_instance: resource(&to),
        display_name: sender.display().map(str::to_owned),
        pair: Pair::new(to.into_bare(), Aor::from_image(from.into_bare())),
    })
}

/// The parties of a message stanza. A room that passes on an invitation stands back behind the
/// inviter where the link proved the inviter's domain.
pub fn of_stanza(
    message: &Message,
    origin: &Origin,
    directory: &Directory,
) -> Result<Parties, Own> {
    addressed(directory, &message.to)?;
    address::to_sip(&message.to, Spelling::Plain)?;
    let from = invitation::proven_inviter(message, origin).unwrap_or_else(|| message.from.clone());
    address::to_sip(&from, Spelling::Plain)?;
    Ok(Parties {
        from_instance: resource(&from),
        to_instance: resource(&message.to),
        display_name: None,
        pair: Pair::new(from.into_bare(), Aor::from_image(message.to.to_bare())),
    })
}

/// The parties of a presence stanza. The devices it names need no form on the SIP side: a
/// subscription is between users.
pub fn of_presence(presence: &Presence, directory: &Directory) -> Result<Parties, Own> {
    addressed(directory, &presence.to)?;
    presence.from.node().ok_or(Own::Nobody)?;
    let (jid, contact) = (presence.from.to_bare(), presence.to.to_bare());
    for user in [&jid, &contact] {
        address::to_sip(&Jid::from(user.clone()), Spelling::Plain)?;
    }
    Ok(Parties {
        from_instance: resource(&presence.from),
        to_instance: resource(&presence.to),
        display_name: None,
        pair: Pair::new(jid, Aor::from_image(contact)),
    })
}

/// Refuses a recipient of a stanza who is no SIP user: the domain itself is the gateway, which reads
/// neither messages nor presence.
fn addressed(directory: &Directory, recipient: &Jid) -> Result<(), Own> {
    served(directory, Side::Sip, recipient)?;
    recipient.node().map(drop).ok_or(Own::Nobody)
}

/// Refuses a recipient whose domain no peer of `side` serves.
fn served(directory: &Directory, side: Side, recipient: &Jid) -> Result<(), Own> {
    let domain = Domain::parse(recipient.domain().as_str());
    let owner = domain.and_then(|domain| directory.owner_on(side, &domain));
    owner.map(drop).ok_or(Own::NotServed)
}

fn resource(jid: &Jid) -> Option<String> {
    jid.resource().map(|resource| resource.as_str().to_owned())
}
