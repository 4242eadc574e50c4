//! Comparing XML canonically.

use std::collections::{BTreeMap, BTreeSet};

use minidom::{Element, Node};

use super::compare_sip::Context;
use super::names::Kind;
use super::volatile::Volatile;

const CLIENT: &str = "jabber:client";
const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
const DELAY: &str = "urn:xmpp:delay";
const NICK: &str = "http://jabber.org/protocol/nick";
const ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// Reads a stanza as it stands in a stream; `jabber:server` counts as `jabber:client`.
pub(crate) fn read(text: &str) -> Result<Element, String> {
    let text = text.trim().replace("jabber:server", CLIENT);
    let stream = format!("<stream xmlns='{CLIENT}'>{text}</stream>");
    let stream: Element = stream.parse().map_err(|error| format!("{error}: {text}"))?;
    stream
        .children()
        .next()
        .cloned()
        .ok_or_else(|| format!("no stanza: {text}"))
}

/// Every difference between two stanzas.
pub(crate) fn stanzas(expected: &str, actual: &str, context: &mut Context<'_>) -> Vec<String> {
    let (mut wanted, mut got) = match (read(expected), read(actual)) {
        (Ok(wanted), Ok(got)) => (Tree::new(&wanted), Tree::new(&got)),
        (Err(error), _) | (_, Err(error)) => return vec![error],
    };
    let mut differences = Vec::new();
    ids(&mut wanted, &mut got, context, &mut differences);
    for stanza in [&mut wanted, &mut got] {
        ignore_parts(stanza, context.volatile);
    }
    ignore_text(&mut wanted, &mut got, context.volatile);
    thread(&mut wanted, context);
    let whitespace = context.volatile.whitespace();
    differences.extend(difference(wanted.tidy(whitespace), got.tidy(whitespace)));
    differences
}

/// Every difference between two XML documents in a body.
pub(crate) fn documents(expected: &[u8], actual: &[u8], volatile: &Volatile) -> Vec<String> {
    let read = |bytes: &[u8]| -> Result<Tree, String> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let element: Element = text
            .trim()
            .parse()
            .map_err(|error| format!("{error}: {text}"))?;
        Ok(Tree::new(&element))
    };
    let (mut wanted, mut got) = match (read(expected), read(actual)) {
        (Ok(wanted), Ok(got)) => (wanted, got),
        (Err(error), _) | (_, Err(error)) => return vec![error],
    };
    if wanted.ns == PIDF {
        let mut used = BTreeSet::new();
        wanted.namespaces(&mut used);
        got.remove(&|element| !used.contains(&element.ns));
    }
    for document in [&mut wanted, &mut got] {
        document.remove(&|element| {
            volatile.part("body", &element.name)
                || (element.name == "contact" && volatile.part("tuple", "contact"))
        });
        document.ignore_tuples(volatile);
    }
    difference(
        wanted.tidy(volatile.whitespace()),
        got.tidy(volatile.whitespace()),
    )
    .into_iter()
    .collect()
}

/// Compares identifiers, which may be the gateway's, and takes them out.
fn ids(
    wanted: &mut Tree,
    got: &mut Tree,
    context: &mut Context<'_>,
    differences: &mut Vec<String>,
) {
    let pair = (wanted.attributes.remove("id"), got.attributes.remove("id"));
    let same = match &pair {
        (Some(wanted), Some(got)) => context.names.same(Kind::StanzaId, wanted, got),
        (Some(wanted), None) => !context.names.is_given(Kind::StanzaId, wanted),
        (None, _) => true,
    };
    if !same && !context.volatile.part(&wanted.name, "id") {
        differences.push(format!("id {:?}, expected {:?}", pair.1, pair.0));
    }
    for child in wanted.elements_mut() {
        if let Some(id) = child.attributes.get_mut("id")
            && let Some(real) = context.names.real(Kind::StanzaId, id)
        {
            real.clone_into(id);
        }
    }
}

/// Takes out what `volatile` names: `message.type`, `presence.status` and so on.
fn ignore_parts(stanza: &mut Tree, volatile: &Volatile) {
    let kind = stanza.name.clone();
    if volatile.part(&kind, "type")
        || stanza
            .attributes
            .get("type")
            .is_some_and(|kind| kind == "normal")
    {
        stanza.attributes.remove("type");
    }
    if volatile.part(&kind, "from.resource")
        && let Some(from) = stanza.attributes.get_mut("from")
    {
        *from = from.split('/').next().unwrap_or_default().to_owned();
    }
    stanza.remove(&|child| {
        (child.ns == NICK && volatile.part(&kind, "nick"))
            || (child.ns == DELAY && volatile.part(&kind, "delay"))
            || (child.name == "status" && child.ns == CLIENT && volatile.part(&kind, "status"))
    });
}

/// The text of an error is for people: it counts only where the expected error has one.
fn ignore_text(wanted: &mut Tree, got: &mut Tree, volatile: &Volatile) {
    let is_text = |element: &Tree| element.name == "text" && element.ns == ERRORS;
    let has_text = wanted.elements().any(|error| error.elements().any(is_text));
    if volatile.part("error", "text") || !has_text {
        wanted.remove(&is_text);
        got.remove(&is_text);
    }
}

/// A thread that is the image of a Call-ID of the gateway's.
fn thread(wanted: &mut Tree, context: &Context<'_>) {
    for child in wanted.elements_mut().filter(|child| child.name == "thread") {
        for part in &mut child.children {
            if let Part::Text(text) = part
                && let Some(real) = context.names.real(Kind::CallId, text)
            {
                real.clone_into(text);
            }
        }
    }
}

/// An element with its attributes in order.
#[derive(Clone, Debug, PartialEq)]
struct Tree {
    name: String,
    ns: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Element(Tree),
    Text(String),
}

impl Tree {
    fn new(element: &Element) -> Self {
        let attributes = element
            .attrs()
            .iter()
            .map(|((ns, name), value)| (format!("{}{name}", prefix(ns.as_str())), value.clone()));
        let children = element.nodes().map(|node| match node {
            Node::Element(child) => Part::Element(Self::new(child)),
            Node::Text(text) => Part::Text(text.clone()),
        });
        Self {
            name: element.name().to_owned(),
            ns: element.ns(),
            attributes: attributes.collect(),
            children: children.collect(),
        }
    }

    fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|part| match part {
            Part::Element(element) => Some(element),
            Part::Text(_) => None,
        })
    }

    fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter_map(|part| match part {
            Part::Element(element) => Some(element),
            Part::Text(_) => None,
        })
    }

    fn remove(&mut self, pick: &dyn Fn(&Self) -> bool) {
        self.children.retain(|part| match part {
            Part::Element(element) => !pick(element),
            Part::Text(_) => true,
        });
        for child in self.elements_mut() {
            child.remove(pick);
        }
    }

    fn namespaces(&self, into: &mut BTreeSet<String>) {
        into.insert(self.ns.clone());
        for child in self.elements() {
            child.namespaces(into);
        }
    }

    fn ignore_tuples(&mut self, volatile: &Volatile) {
        for tuple in self.elements_mut().filter(|child| child.name == "tuple") {
            if volatile.part("tuple", "id") {
                tuple.attributes.remove("id");
            }
        }
        for kind in ["tuple", "user"] {
            if volatile.is(&format!("{kind} order")) {
                self.children.sort_by_key(|part| match part {
                    Part::Element(element) if element.name == kind => format!("{element:?}"),
                    Part::Element(_) | Part::Text(_) => String::new(),
                });
            }
        }
    }

    /// Joins texts and drops those of white space only, outside the body of a message.
    fn tidy(mut self, everywhere: bool) -> Self {
        let keep = self.name == "body" && self.ns == CLIENT;
        let mut children: Vec<Part> = Vec::new();
        for part in std::mem::take(&mut self.children) {
            match (part, children.last_mut()) {
                (Part::Text(text), Some(Part::Text(before))) => before.push_str(&text),
                (Part::Text(text), _) => children.push(Part::Text(text)),
                (Part::Element(element), _) => {
                    children.push(Part::Element(element.tidy(everywhere)))
                }
            }
        }
        let blank = |text: &String| text.chars().all(char::is_whitespace);
        children.retain(|part| keep || !matches!(part, Part::Text(text) if blank(text)));
        let trim = |part: Part| match &part {
            Part::Text(text) if everywhere && !keep => Part::Text(text.trim().to_owned()),
            Part::Element(_) | Part::Text(_) => part,
        };
        self.children = children.into_iter().map(trim).collect();
        self
    }
}

fn prefix(ns: &str) -> String {
    if ns.is_empty() {
        String::new()
    } else {
        format!("{{{ns}}}")
    }
}

fn difference(wanted: Tree, got: Tree) -> Option<String> {
    if wanted.name != got.name || wanted.ns != got.ns {
        return Some(format!(
            "element {} of {}, expected {} of {}",
            got.name, got.ns, wanted.name, wanted.ns
        ));
    }
    if wanted.attributes != got.attributes {
        let (name, got, wanted) = (wanted.name, got.attributes, wanted.attributes);
        return Some(format!(
            "attributes of {name}: {got:?}, expected {wanted:?}"
        ));
    }
    let name = wanted.name;
    let mut got_children = got.children.into_iter();
    for part in wanted.children {
        match (part, got_children.next()) {
            (Part::Element(wanted), Some(Part::Element(got))) => {
                let found = difference(wanted, got);
                if found.is_some() {
                    return found;
                }
            }
            (Part::Text(wanted), Some(Part::Text(got))) if wanted == got => {}
            (wanted, got) => {
                return Some(format!(
                    "in {name}: {}, expected {}",
                    show(got),
                    show(Some(wanted))
                ));
            }
        }
    }
    got_children
        .next()
        .map(|part| format!("in {name}: {}, expected nothing more", show(Some(part))))
}

fn show(part: Option<Part>) -> String {
    match part {
        Some(Part::Element(element)) => format!("element {} of {}", element.name, element.ns),
        Some(Part::Text(text)) => format!("text {text:?}"),
        None => "nothing".to_owned(),
    }
}
