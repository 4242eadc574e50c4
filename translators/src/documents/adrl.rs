//! The body of a SUBSCRIBE of Microsoft's software (`application/msrtc-adrl-categorylist+xml`,
//! [MS-PRES] section 2.2.2.4.1): whom it is about, which categories are wanted, and in what context.
//!
//! A context says that the resource is on the watcher's contact list. Without it the watcher only
//! looks, as a client does for a card or a chat window.

use bytes::Bytes;
use minidom::Element;

use crate::documents::mime::ContentType;
use crate::documents::presence::address_of;
use crate::documents::xml;
use crate::limits;

/// Content type of the body.
pub const CONTENT_TYPE: &str = "application/msrtc-adrl-categorylist+xml";

/// What a SUBSCRIBE is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The presentity is, or becomes, a contact of the watcher.
    Contact,
    /// The watcher looks at the presentity.
    Look,
}

/// Tells what a SUBSCRIBE for `presentity`, a URI, is for by its body. Whatever the body is, there is
/// an answer: none at all is what software sends that knows contacts only, and one that cannot be read
/// gives no context.
pub fn purpose(content_type: Option<&str>, body: &[u8], presentity: &str) -> Purpose {
    if body.trim_ascii().is_empty() {
        return Purpose::Contact;
    }
    let kind = content_type.and_then(ContentType::parse);
    if kind.is_none_or(|kind| kind.essence != CONTENT_TYPE) {
        return Purpose::Look;
    }
    let resources = read(body);
    let named = resources.iter().filter(|it| it.is(presentity));
    let mut named = named.peekable();
    let has_context = match (named.peek(), &*resources) {
        // A spelling that is not understood, but nobody else can be meant.
        (None, [only]) => only.context,
        _ => named.any(|resource| resource.context),
    };
    if has_context {
        Purpose::Contact
    } else {
        Purpose::Look
    }
}

/// Somebody who is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// His URI as it was written.
    pub uri: Box<str>,
    /// Whether a context or a contact list was named with him.
    pub context: bool,
}

impl Resource {
    /// Whether it is the user of this URI; scheme, parameters and case do not matter.
    fn is(&self, uri: &str) -> bool {
        let bare = |uri: &str| {
            let address = address_of(uri.trim());
            let end = address.find([';', '?']).unwrap_or(address.len());
            address.get(..end).map(str::to_ascii_lowercase)
        };
        bare(&self.uri) == bare(uri)
    }
}

/// The resources that a body subscribes to, at most [`limits::BATCH_RESOURCES`]; none, if it is no such
/// body.
pub fn read(body: &[u8]) -> Vec<Resource> {
    let Ok(root) = xml::read_loose(body) else {
        return Vec::new();
    };
    if root.name() != "batchSub" {
        return Vec::new();
    }
    let actions = xml::children(&root, "action").filter(|action| {
        let name = action.attr("name").unwrap_or("subscribe").trim();
        name.eq_ignore_ascii_case("subscribe")
    });
    actions
        .flat_map(resources)
        .take(limits::BATCH_RESOURCES)
        .collect()
}

fn resources(action: &Element) -> impl Iterator<Item = Resource> + '_ {
    let all_contacts = xml::child(action, "contactList").is_some();
    let lists = xml::children(action, "adhocList");
    lists.flat_map(move |list| {
        let all_contacts = all_contacts || xml::child(list, "contactList").is_some();
        xml::children(list, "resource").filter_map(move |resource| {
            let own = ["context", "contactList"];
            Some(Resource {
                uri: resource.attr("uri")?.into(),
                context: all_contacts || own.iter().any(|it| xml::child(resource, it).is_some()),
            })
        })
    })
}

/// Writes the body of our SUBSCRIBE to a peer that knows categories only: those that XMPP has words
/// for. With a context, which belongs into the first one, the peer asks its user whether he wants
/// the watcher as a contact too. Both URIs are written as they are.
pub fn write(watcher: &str, presentity: &str, context: bool) -> Bytes {
    let (watcher, presentity) = (xml::escape(watcher), xml::escape(presentity));
    let context = if context { "<context/>" } else { "" };
    Bytes::from(format!(
        "<batchSub xmlns=\"http://schemas.microsoft.com/2006/01/sip/batch-subscribe\" uri=\"{watcher}\" name=\"\">\
         <action name=\"subscribe\" id=\"1\"><adhocList><resource uri=\"{presentity}\">{context}</resource></adhocList>\
         <categoryList xmlns=\"http://schemas.microsoft.com/2006/09/sip/categorylist\"><category name=\"contactCard\"/>\
         <category name=\"note\"/><category name=\"state\"/></categoryList></action></batchSub>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JULIET: &str = "sip:juliet@example.com";

    fn batch(resources: &str) -> String {
        format!(
            "<batchSub xmlns=\"http://schemas.microsoft.com/2006/01/sip/batch-subscribe\" \
             uri=\"sip:romeo@example.net\" name=\"\">\r\n<action name=\"subscribe\" id=\"63792024\">\r\n\
             <adhocList>{resources}</adhocList>\r\n<categoryList \
             xmlns=\"http://schemas.microsoft.com/2006/09/sip/categorylist\"><category name=\"calendarData\"/>\
             <category name=\"state\"/></categoryList></action></batchSub>"
        )
    }

    fn of(body: &str) -> Purpose {
        purpose(Some(CONTENT_TYPE), body.as_bytes(), JULIET)
    }

    #[test]
    fn a_context_means_a_contact() {
        let resource =
            |content: &str| batch(&format!("<resource uri=\"{JULIET}\">{content}</resource>"));
        let long = "<context>\n<subscriptionContext \
            xmlns=\"http://schemas.microsoft.com/2008/09/sip/SubscriptionContext\" majorVersion=\"1\" \
            minorVersion=\"0\"><watcher><contactList /></watcher></subscriptionContext>\n</context>";
        for content in ["<context/>", "<contactList/>", long] {
            assert_eq!(of(&resource(content)), Purpose::Contact, "{content}");
        }
        for content in ["", "<other/>", "context"] {
            assert_eq!(of(&resource(content)), Purpose::Look, "{content}");
        }
        let whole = resource("").replace("</adhocList>", "</adhocList><contactList/>");
        assert_eq!(of(&whole), Purpose::Contact);
    }

    #[test]
    fn of_several_resources_the_one_asked_for_counts() {
        let with = |one: &str, other: &str| {
            batch(&format!(
                "<resource uri=\"SIP:Juliet@Example.com;transport=tls\">{one}</resource>\
                 <resource uri=\"sip:nurse@example.com\">{other}</resource>"
            ))
        };
        assert_eq!(of(&with("<context/>", "")), Purpose::Contact);
        assert_eq!(of(&with("", "<context/>")), Purpose::Look);
        let foreign = with("<context/>", "<context/>").replace("Juliet", "maid");
        assert_eq!(of(&foreign), Purpose::Look);
        let only = batch("<resource uri=\"tel:+1\"><context/></resource>");
        assert_eq!(of(&only), Purpose::Contact);
    }

    #[test]
    fn no_body_means_a_contact_and_a_strange_one_a_look() {
        assert_eq!(purpose(None, b"", JULIET), Purpose::Contact);
        assert_eq!(
            purpose(Some(CONTENT_TYPE), b"\r\n", JULIET),
            Purpose::Contact
        );
        let good = batch(&format!("<resource uri=\"{JULIET}\"><context/></resource>"));
        assert_eq!(
            purpose(
                Some("Application/msrtc-adrl-categorylist+XML;charset=utf-8"),
                good.as_bytes(),
                JULIET
            ),
            Purpose::Contact
        );
        for kind in [None, Some("application/adrl+xml"), Some("odd")] {
            assert_eq!(purpose(kind, good.as_bytes(), JULIET), Purpose::Look);
        }
        for body in ["x", "<batchSub>", "<adhoclist/>", "<batchSub/>", "\u{0}"] {
            assert_eq!(of(body), Purpose::Look, "{body}");
        }
        assert_eq!(
            of(&good.replace("subscribe\" id", "unsubscribe\" id")),
            Purpose::Look
        );
    }

    #[test]
    fn resources_are_bounded() {
        let many = "<resource uri=\"sip:a@example.com\"/>".repeat(limits::BATCH_RESOURCES + 5);
        assert_eq!(read(batch(&many).as_bytes()).len(), limits::BATCH_RESOURCES);
        let too_large = batch(&many.repeat(100));
        assert!(too_large.len() > limits::DOCUMENT);
        assert_eq!(read(too_large.as_bytes()), []);
    }

    #[test]
    fn what_is_written_names_context_and_categories() {
        for context in [true, false] {
            let body = write(
                "sip:romeo@example.net",
                "sip:juliet&amp@example.com",
                context,
            );
            let expected = Resource {
                uri: "sip:juliet&amp@example.com".into(),
                context,
            };
            assert_eq!(read(&body), [expected]);
        }
        let text = String::from_utf8(write("sip:a@b", "sip:c@d", true).to_vec()).unwrap();
        assert_eq!(
            text,
            "<batchSub xmlns=\"http://schemas.microsoft.com/2006/01/sip/batch-subscribe\" uri=\"sip:a@b\" name=\"\">\
             <action name=\"subscribe\" id=\"1\"><adhocList><resource uri=\"sip:c@d\"><context/></resource></adhocList>\
             <categoryList xmlns=\"http://schemas.microsoft.com/2006/09/sip/categorylist\">\
             <category name=\"contactCard\"/><category name=\"note\"/><category name=\"state\"/></categoryList>\
             </action></batchSub>"
        );
    }
}
