//! IQs answered on behalf of our domains and of the users behind them (RFC 6121 section 8.5).
//!
//! A request is never passed on to the SIP side. Whether a user exists is not known here, so every user is answered
//! alike, which is also what XEP-0030 section 8 asks for.

use std::time::Duration;

use minidom::Element;
use rxml::xml_ncname;

use super::ns;
use super::stanza::{Iq, IqKind, StanzaError};
use crate::model::Condition;

/// What the answers tell about this program and the user asked about.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Name of the software.
    pub software: &'a str,
    /// Version of the software.
    pub version: &'a str,
    /// How long it runs.
    pub uptime: Duration,
    /// Display name of the user, if one is known.
    pub display_name: Option<&'a str>,
    /// Whether receipts are carried to that domain.
    pub receipts: bool,
}

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Domain,
    User,
}

/// Answers a request; none to a result or an error, which are never answered (RFC 6120 section 8.2.3).
pub fn answer(iq: &Iq, facts: &Facts<'_>) -> Option<Iq> {
    let request = iq.request()?;
    let asked = if iq.to.node().is_some() {
        Asked::User
    } else {
        Asked::Domain
    };
    let outcome = match &iq.kind {
        IqKind::Get(_) => get(asked, iq, request, facts),
        IqKind::Set(_) | IqKind::Error(_) | IqKind::Result(_) => Err(Condition::ServiceUnavailable),
    };
    Some(match outcome {
        Ok(payload) => iq.result(payload),
        Err(condition) => iq.failed(StanzaError::new(condition)),
    })
}

fn get(
    asked: Asked,
    iq: &Iq,
    request: &Element,
    facts: &Facts<'_>,
) -> Result<Option<Element>, Condition> {
    if request.is("ping", ns::PING) {
        return Ok(None);
    }
    let payload = if request.is("query", ns::DISCO_INFO) {
        known_node(request)?;
        info(asked, facts)
    } else if request.is("query", ns::DISCO_ITEMS) {
        known_node(request)?;
        Element::bare("query", ns::DISCO_ITEMS)
    } else if request.is("query", ns::VERSION) {
        let mut query = Element::bare("query", ns::VERSION);
        add_text(&mut query, "name", facts.software);
        add_text(&mut query, "version", facts.version);
        query
    } else if request.is("query", ns::LAST) {
        last(asked, facts)?
    } else if request.is("vCard", ns::VCARD) {
        vcard(asked, iq, facts)?
    } else {
        return Err(Condition::ServiceUnavailable);
    };
    Ok(Some(payload))
}

/// We have no nodes (XEP-0030 section 3.2).
fn known_node(request: &Element) -> Result<(), Condition> {
    match request.attr("node") {
        None | Some("") => Ok(()),
        Some(_) => Err(Condition::ItemNotFound),
    }
}

/// Identities and features (XEP-0030 section 3.1).
fn info(asked: Asked, facts: &Facts<'_>) -> Element {
    let identities: &[(&str, &str)] = match asked {
        Asked::Domain => &[("gateway", "sip"), ("server", "im")],
        Asked::User => &[("account", "registered")],
    };
    let mut query = Element::bare("query", ns::DISCO_INFO);
    for (category, kind) in identities {
        let identity = Element::builder("identity", ns::DISCO_INFO)
            .attr(xml_ncname!("category").to_owned(), *category)
            .attr(xml_ncname!("type").to_owned(), *kind);
        query.append_child(identity.build());
    }
    let receipts = facts.receipts.then_some(ns::RECEIPTS);
    let features = [
        ns::CHAT_STATES,
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::JID_ESCAPING,
        ns::LAST,
        ns::VERSION,
        ns::PING,
        ns::VCARD,
    ];
    for feature in features.into_iter().chain(receipts) {
        let element = Element::builder("feature", ns::DISCO_INFO)
            .attr(xml_ncname!("var").to_owned(), feature);
        query.append_child(element.build());
    }
    query
}

/// The domain tells how long it runs (XEP-0012 section 5); of a user nothing is known that the asker may see (section 3).
fn last(asked: Asked, facts: &Facts<'_>) -> Result<Element, Condition> {
    match asked {
        Asked::Domain => Ok(Element::builder("query", ns::LAST)
            .attr(
                xml_ncname!("seconds").to_owned(),
                facts.uptime.as_secs().to_string(),
            )
            .build()),
        Asked::User => Err(Condition::Forbidden),
    }
}

/// A card with the one thing that is known (XEP-0054 section 3.1).
fn vcard(asked: Asked, iq: &Iq, facts: &Facts<'_>) -> Result<Element, Condition> {
    let name = match asked {
        Asked::Domain => Some(iq.to.domain().as_str()),
        Asked::User => facts.display_name,
    };
    let mut card = Element::bare("vCard", ns::VCARD);
    add_text(&mut card, "FN", name.ok_or(Condition::ItemNotFound)?);
    Ok(card)
}

fn add_text(parent: &mut Element, name: &str, text: &str) {
    let mut child = Element::bare(name, parent.ns());
    child.append_text(text);
    parent.append_child(child);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'_> = Facts {
        software: "isthmus",
        version: "1.2.3",
        uptime: Duration::from_secs(90),
        display_name: None,
        receipts: false,
    };

    fn iq(to: &str, kind: IqKind) -> Iq {
        Iq {
            from: "alice@xmpp.example/r".parse().unwrap(),
            to: to.parse().unwrap(),
            id: "i1".to_owned(),
            kind,
        }
    }

    fn ask(to: &str, request: &str, facts: &Facts<'_>) -> String {
        let request = request.parse().unwrap();
        let answer = answer(&iq(to, IqKind::Get(request)), facts).unwrap();
        String::from_utf8(answer.write(65_536).unwrap().to_vec()).unwrap()
    }

    fn result(from: &str, payload: &str) -> String {
        let head = format!(r#"<iq from="{from}" to="alice@xmpp.example/r" type="result" id="i1""#);
        if payload.is_empty() {
            format!("{head}/>")
        } else {
            format!("{head}>{payload}</iq>")
        }
    }

    fn error(from: &str, kind: &str, condition: &str) -> String {
        format!(
            r#"<iq from="{from}" to="alice@xmpp.example/r" type="error" id="i1"><error type="{kind}"><{condition} xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>"#
        )
    }

    #[test]
    fn the_domain_answers_for_itself() {
        let domain = "sip.example";
        let ask = |request| ask(domain, request, &FACTS);

        assert_eq!(ask("<ping xmlns='urn:xmpp:ping'/>"), result(domain, ""));
        assert_eq!(
            ask("<query xmlns='jabber:iq:version'/>"),
            result(
                domain,
                r#"<query xmlns="jabber:iq:version"><name>isthmus</name><version>1.2.3</version></query>"#
            )
        );
        assert_eq!(
            ask("<query xmlns='jabber:iq:last'/>"),
            result(domain, r#"<query xmlns="jabber:iq:last" seconds="90"/>"#)
        );
        assert_eq!(
            ask("<vCard xmlns='vcard-temp'/>"),
            result(
                domain,
                r#"<vCard xmlns="vcard-temp"><FN>sip.example</FN></vCard>"#
            )
        );
        assert_eq!(
            ask("<query xmlns='http://jabber.org/protocol/disco#items'/>"),
            result(
                domain,
                r#"<query xmlns="http://jabber.org/protocol/disco#items"/>"#
            )
        );
        let info = ask("<query xmlns='http://jabber.org/protocol/disco#info'/>");
        for part in [
            r#"<identity category="gateway" type="sip"/>"#,
            r#"<identity category="server" type="im"/>"#,
            r#"<feature var="jid\20escaping"/>"#,
            r#"<feature var="urn:xmpp:ping"/>"#,
        ] {
            assert!(info.contains(part), "{part} in {info}");
        }
        assert!(!info.contains("receipts"), "{info}");
    }

    #[test]
    fn users_are_answered_for() {
        let user = "bob@sip.example";
        let named = Facts {
            display_name: Some("Bob <B>"),
            receipts: true,
            ..FACTS
        };

        assert_eq!(
            ask("bob@sip.example/x", "<ping xmlns='urn:xmpp:ping'/>", &FACTS),
            result("bob@sip.example/x", "")
        );
        assert_eq!(
            ask(user, "<vCard xmlns='vcard-temp'/>", &named),
            result(
                user,
                r#"<vCard xmlns="vcard-temp"><FN>Bob &lt;B&gt;</FN></vCard>"#
            )
        );
        assert_eq!(
            ask(user, "<vCard xmlns='vcard-temp'/>", &FACTS),
            error(user, "cancel", "item-not-found")
        );
        assert_eq!(
            ask(user, "<query xmlns='jabber:iq:last'/>", &FACTS),
            error(user, "auth", "forbidden")
        );
        let info = ask(
            user,
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            &named,
        );
        assert!(
            info.contains(r#"<identity category="account" type="registered"/>"#),
            "{info}"
        );
        assert!(
            info.contains(r#"<feature var="urn:xmpp:receipts"/>"#),
            "{info}"
        );
        assert!(!info.contains("gateway"), "{info}");
    }

    #[test]
    fn everything_else_is_refused() {
        let domain = "sip.example";

        assert_eq!(
            ask(domain, "<q xmlns='odd'/>", &FACTS),
            error(domain, "cancel", "service-unavailable")
        );
        assert_eq!(
            ask(
                domain,
                "<query xmlns='http://jabber.org/protocol/disco#info' node='x#y'/>",
                &FACTS
            ),
            error(domain, "cancel", "item-not-found")
        );
        let set = iq(
            domain,
            IqKind::Set("<vCard xmlns='vcard-temp'/>".parse().unwrap()),
        );
        let refused = answer(&set, &FACTS).unwrap();
        assert_eq!(
            refused.kind,
            IqKind::Error(StanzaError::new(Condition::ServiceUnavailable))
        );
    }

    #[test]
    fn answers_are_not_answered() {
        let failed = IqKind::Error(StanzaError::new(Condition::ItemNotFound));
        for kind in [IqKind::Result(None), failed] {
            assert_eq!(answer(&iq("sip.example", kind), &FACTS), None);
        }
    }
}
