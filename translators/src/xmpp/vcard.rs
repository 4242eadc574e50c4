//! The name on a user's vCard (XEP-0054).

use jid::{BareJid, Jid};
use minidom::Element;

use super::ns;
use super::stanza::{Iq, IqKind};
use crate::text::display_name;

/// What the identifiers of these requests begin with.
const PREFIX: &str = "vcard-";

/// Asks for the vCard of a user, which his server answers (XEP-0054 section 3.3).
pub fn request(from: Jid, user: &BareJid, number: u64) -> Iq {
    Iq {
        from,
        to: user.clone().into(),
        id: format!("{PREFIX}{number:016x}"),
        kind: IqKind::Get(Element::bare("vCard", ns::VCARD)),
    }
}

/// The number of the request that an IQ answers, if it answers one.
pub fn answered(iq: &Iq) -> Option<u64> {
    match &iq.kind {
        IqKind::Error(_) | IqKind::Result(_) => {}
        IqKind::Get(_) | IqKind::Set(_) => return None,
    }
    let digits = iq.id.strip_prefix(PREFIX).filter(|it| it.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The full name on the vCard that an IQ brings.
pub fn full_name(iq: &Iq) -> Option<String> {
    let IqKind::Result(Some(card)) = &iq.kind else {
        return None;
    };
    if !card.is("vCard", ns::VCARD) {
        return None;
    }
    display_name(&card.get_child("FN", ns::VCARD)?.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Condition;
    use crate::xmpp::StanzaError;

    fn asked() -> Iq {
        let user = BareJid::new("juliet@example.com").unwrap();
        request(Jid::new("example.net").unwrap(), &user, 0xab)
    }

    #[test]
    fn a_request_is_written() {
        let written = asked().write(1_000).unwrap();
        assert_eq!(
            String::from_utf8(written.to_vec()).unwrap(),
            "<iq from=\"example.net\" to=\"juliet@example.com\" type=\"get\" id=\"vcard-00000000000000ab\">\
             <vCard xmlns=\"vcard-temp\"/></iq>"
        );
        assert_eq!(answered(&asked()), None);
    }

    #[test]
    fn an_answer_names_its_request_and_the_user() {
        let answer = |card: &str| {
            let card: Element = card.parse().unwrap();
            asked().result(Some(card))
        };
        let named =
            answer("<vCard xmlns='vcard-temp'><N/><FN> Juliet\u{202e} Capulet</FN></vCard>");
        assert_eq!(answered(&named), Some(0xab));
        assert_eq!(full_name(&named).as_deref(), Some("Juliet Capulet"));
        for card in [
            "<vCard xmlns='vcard-temp'/>",
            "<vCard xmlns='vcard-temp'><FN/></vCard>",
            "<vCard xmlns='vcard-temp'><FN>juliet@example.org</FN></vCard>",
            "<vCard xmlns='urn:x'><FN>Juliet</FN></vCard>",
        ] {
            assert_eq!(full_name(&answer(card)), None, "{card}");
        }
        assert_eq!(full_name(&asked().result(None)), None);
        let failed = asked().failed(StanzaError::new(Condition::ItemNotFound));
        assert_eq!((answered(&failed), full_name(&failed)), (Some(0xab), None));
        for id in [
            "vcard-",
            "vcard-ab",
            "ping-00000000000000ab",
            "vcard-00000000000000xy",
        ] {
            let other = Iq {
                id: id.to_owned(),
                ..named.clone()
            };
            assert_eq!(answered(&other), None, "{id}");
        }
    }
}
