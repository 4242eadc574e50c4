//! Bytes of one XML stream to bounded frames (RFC 6120 sections 4 and 11).
//!
//! Every limit is checked on the parser's events, before an element exists: a nested, wide or endless stanza costs no
//! more than its allowed bytes. The reader never looks behind the frame it returns, so the bytes that follow can be
//! dropped (STARTTLS), kept, or handed to the reader of the next stream (restart after SASL).

use minidom::Element;
use rxml::error::EndOrError;
use rxml::parser::EventMetrics;
use rxml::{AttrMap, Namespace, NcName, Options, Parse, RawEvent, RawParser, WithOptions};

use super::faults::StreamFault;
use super::ns;
use crate::limits;

/// Byte limits of one stream; the structural ones are the constants of `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderLimits {
    /// Bytes of a stanza that are still built into an element.
    pub stanza: usize,
    /// Bytes of a stanza after which the stream ends.
    pub fatal: usize,
}

impl Default for ReaderLimits {
    fn default() -> Self {
        Self {
            stanza: limits::STANZA,
            fatal: limits::STANZA_FATAL,
        }
    }
}

/// What the peer's initial or response header says (RFC 6120 section 4.7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHeader {
    /// Attribute `from`, as written.
    pub from: Option<String>,
    /// Attribute `to`, as written.
    pub to: Option<String>,
    /// Attribute `id`; Prosody sends an empty one as initiator.
    pub id: Option<String>,
    /// Attribute `version`, as written.
    pub version: Option<String>,
    /// Whether an XML declaration stood before the header (Openfire before 4.8 sends none first).
    pub declaration: bool,
}

impl StreamHeader {
    /// Tells whether the peer speaks XMPP 1.0 or later, and so features (RFC 6120 section 4.7.5).
    pub fn has_features(&self) -> bool {
        let major = self.version.as_deref().and_then(|v| v.split('.').next());
        major
            .and_then(|m| m.parse::<u32>().ok())
            .is_some_and(|m| m >= 1)
    }
}

/// Root of a stanza that was too large to be built, enough to answer it (RFC 6120 section 13.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oversized {
    /// Local name of the root.
    pub name: String,
    /// Whether the root stands in the content namespace and so counts as a stanza.
    pub content: bool,
    /// Attribute `type`.
    pub kind: Option<String>,
    /// Attribute `id`.
    pub id: Option<String>,
    /// Attribute `from`.
    pub from: Option<String>,
    /// Attribute `to`.
    pub to: Option<String>,
}

/// One complete unit of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The stream's opening tag.
    Header(StreamHeader),
    /// A child of the stream: stanza, feature list, nonza or stream error. Content-namespace elements are given in
    /// `jabber:client`, along the contiguous chain from the root only, so that foreign stanzas inside stay apart.
    Stanza(Element),
    /// A child of the stream that was skipped unbuilt.
    Oversize(Oversized),
    /// The stream's closing tag.
    Close,
}

/// Reads one stream from its header to its closing tag.
pub struct Reader {
    parser: RawParser,
    limits: ReaderLimits,
    state: State,
    scopes: Scopes,
    /// Element whose head is being read.
    head: Option<Head>,
    /// Bytes of the header or of the stanza being read.
    size: usize,
    /// Elements of the stanza being read.
    elements: usize,
    declaration: bool,
}

/// Where in the stream the reader is.
enum State {
    /// Nothing but white space was seen.
    Start,
    /// Inside the declaration or the header.
    Header,
    /// Between stanzas or in the head of one.
    Idle,
    /// Inside a stanza that is built, from the root to the innermost open element.
    Building(Vec<Open>),
    /// Inside a stanza that is skipped; the number of its open elements. The root is unknown while its head is open.
    Skipping(usize, Option<Oversized>),
    /// After the closing tag.
    Closed,
}

/// An element that is not closed yet.
struct Open {
    element: Element,
    /// Whether it and all its ancestors stand in the content namespace.
    content: bool,
}

impl Reader {
    /// Starts a reader for a new stream.
    pub fn new(limits: ReaderLimits) -> Self {
        let options = Options {
            max_token_length: limits::XML_TOKEN,
            ..Options::default()
        };
        Self {
            parser: RawParser::with_options(options),
            limits,
            state: State::Start,
            scopes: Scopes::default(),
            head: None,
            size: 0,
            elements: 0,
            declaration: false,
        }
    }

    /// Consumes bytes until a frame is complete or the input is empty. Bytes behind the frame are left in `input`.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, StreamFault> {
        if matches!(self.state, State::Start) && !self.skip_leading_space(input)? {
            return Ok(None);
        }
        while !matches!(self.state, State::Closed) {
            let before = input.len();
            let outcome = self.parser.parse(input, false);
            self.size += before - input.len();
            self.check_size()?;
            let event = match outcome {
                Ok(Some(event)) => event,
                Ok(None) | Err(EndOrError::NeedMoreData) => return Ok(None),
                Err(EndOrError::Error(error)) => return Err(StreamFault::from(error)),
            };
            if let Some(frame) = self.take(event)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Skips white space before the header, which is legal behind the end of an earlier stream, and looks at the
    /// first byte: UTF-16 and UTF-32 cannot be read (RFC 6120 section 11.6). False while there is nothing else.
    fn skip_leading_space(&mut self, input: &mut &[u8]) -> Result<bool, StreamFault> {
        *input = input.trim_ascii_start();
        match input.first() {
            None => Ok(false),
            Some(b'<') => {
                self.state = State::Header;
                Ok(true)
            }
            Some(0x00 | 0xFE | 0xFF) => Err(StreamFault::UnsupportedEncoding),
            Some(_) => Err(StreamFault::NotWellFormed),
        }
    }

    /// White space between stanzas is free: the parser hands it over in pieces that are dropped.
    fn check_size(&mut self) -> Result<(), StreamFault> {
        let in_stanza = match &self.state {
            State::Header if self.size > limits::BEFORE_AUTHENTICATION => {
                return Err(StreamFault::HeaderTooLarge);
            }
            State::Start | State::Header | State::Closed => false,
            State::Idle => self.head.is_some(),
            State::Building(_) | State::Skipping(..) => true,
        };
        if !in_stanza || self.size <= self.limits.stanza {
            return Ok(());
        }
        if self.size > self.limits.fatal {
            return Err(StreamFault::StanzaTooLarge);
        }
        if !matches!(self.state, State::Skipping(..)) {
            self.skip();
        }
        Ok(())
    }

    /// Gives up building the current stanza and goes on without it.
    fn skip(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Idle) {
            State::Building(stack) => {
                let root = stack
                    .first()
                    .map(|open| Oversized::of(&open.element, open.content));
                State::Skipping(stack.len(), root)
            }
            State::Start | State::Header | State::Idle | State::Skipping(..) | State::Closed => {
                State::Skipping(0, None)
            }
        };
    }

    fn take(&mut self, event: RawEvent) -> Result<Option<Frame>, StreamFault> {
        match event {
            RawEvent::XmlDeclaration(..) => {
                self.declaration = true;
                Ok(None)
            }
            RawEvent::ElementHeadOpen(_, (prefix, name)) => self.open(prefix, name),
            RawEvent::Attribute(_, (prefix, name), value) => self.attribute(prefix, name, value),
            RawEvent::ElementHeadClose(_) => self.head_complete(),
            RawEvent::ElementFoot(_) => Ok(self.close()),
            RawEvent::Text(metrics, text) => self.text(metrics, &text),
        }
    }

    fn open(&mut self, prefix: Option<NcName>, name: NcName) -> Result<Option<Frame>, StreamFault> {
        if self.scopes.depth() > limits::STANZA_DEPTH {
            return Err(StreamFault::TooDeep);
        }
        self.elements += 1;
        if self.elements > limits::STANZA_CHILDREN && !matches!(self.state, State::Skipping(..)) {
            return Err(StreamFault::TooManyChildren);
        }
        self.scopes.enter();
        self.head = Some(Head {
            prefix,
            name,
            attributes: Vec::new(),
        });
        Ok(None)
    }

    fn attribute(
        &mut self,
        prefix: Option<NcName>,
        name: NcName,
        value: String,
    ) -> Result<Option<Frame>, StreamFault> {
        let declared = match &prefix {
            None if name == "xmlns" => Some(None),
            Some(prefix) if prefix == "xmlns" => Some(Some(name.clone())),
            Some(_) | None => None,
        };
        if let Some(declared) = declared {
            self.scopes.declare(declared, value)?;
        } else if let Some(head) = &mut self.head {
            if head.attributes.len() == limits::STANZA_ATTRIBUTES {
                return Err(StreamFault::TooManyAttributes);
            }
            head.attributes.push(Attribute {
                prefix,
                name,
                value,
            });
        }
        Ok(None)
    }

    fn head_complete(&mut self) -> Result<Option<Frame>, StreamFault> {
        let Some(head) = self.head.take() else {
            return Ok(None);
        };
        let namespace = self.scopes.resolve(head.prefix.as_ref())?;
        let attributes = self.scopes.attributes(head.attributes)?;
        if matches!(self.state, State::Header) {
            self.size = 0;
            self.elements = 0;
            self.state = State::Idle;
            return self.header(&namespace, &head.name, &attributes).map(Some);
        }
        self.push(namespace, head.name, attributes);
        Ok(None)
    }

    fn header(
        &self,
        namespace: &Namespace<'static>,
        name: &NcName,
        attributes: &AttrMap,
    ) -> Result<Frame, StreamFault> {
        if name != "stream" {
            return Err(StreamFault::BadFormat);
        }
        if *namespace != ns::STREAMS || self.scopes.resolve(None)? != ns::SERVER {
            return Err(StreamFault::InvalidNamespace);
        }
        let value = |name: &str| attributes.get(&Namespace::NONE, name).cloned();
        Ok(Frame::Header(StreamHeader {
            from: value("from"),
            to: value("to"),
            id: value("id"),
            version: value("version"),
            declaration: self.declaration,
        }))
    }

    /// Puts an element whose head is complete on the stack.
    fn push(&mut self, namespace: Namespace<'static>, name: NcName, attributes: AttrMap) {
        let parent_is_content = match &self.state {
            State::Building(stack) => stack.last().is_some_and(|open| open.content),
            State::Start | State::Header | State::Idle | State::Skipping(..) | State::Closed => {
                true
            }
        };
        let content = parent_is_content && namespace == ns::SERVER;
        let namespace = if content {
            ns::CLIENT.to_owned()
        } else {
            String::from(namespace)
        };
        let mut element = Element::bare(name.as_str(), namespace);
        *element.attrs_mut() = attributes;
        let open = Open { element, content };
        match &mut self.state {
            State::Building(stack) => stack.push(open),
            State::Skipping(depth, root) => {
                if *depth == 0 {
                    *root = Some(Oversized::of(&open.element, open.content));
                }
                *depth += 1;
            }
            State::Idle => self.state = State::Building(vec![open]),
            State::Start | State::Header | State::Closed => {}
        }
    }

    fn close(&mut self) -> Option<Frame> {
        self.scopes.leave();
        let frame = match &mut self.state {
            State::Building(stack) => {
                let closed = stack.pop()?.element;
                match stack.last_mut() {
                    Some(parent) => {
                        parent.element.append_child(closed);
                        return None;
                    }
                    None => Frame::Stanza(closed),
                }
            }
            State::Skipping(depth, root) => {
                *depth -= 1;
                if *depth > 0 {
                    return None;
                }
                Frame::Oversize(root.take()?)
            }
            State::Start | State::Header | State::Idle | State::Closed => {
                self.state = State::Closed;
                return Some(Frame::Close);
            }
        };
        self.state = State::Idle;
        self.size = 0;
        self.elements = 0;
        Some(frame)
    }

    fn text(&mut self, metrics: EventMetrics, text: &str) -> Result<Option<Frame>, StreamFault> {
        match &mut self.state {
            State::Building(stack) => {
                if let Some(open) = stack.last_mut() {
                    open.element.append_text(text);
                }
            }
            State::Idle => {
                if !text.bytes().all(|b| b.is_ascii_whitespace()) {
                    return Err(StreamFault::BadFormat);
                }
                self.size = self.size.saturating_sub(metrics.len());
            }
            State::Skipping(..) | State::Start | State::Header | State::Closed => {}
        }
        Ok(None)
    }
}

impl Oversized {
    fn of(root: &Element, content: bool) -> Self {
        let value = |name: &str| root.attr(name).map(str::to_owned);
        Self {
            name: root.name().to_owned(),
            content,
            kind: value("type"),
            id: value("id"),
            from: value("from"),
            to: value("to"),
        }
    }
}

/// Head of an element as far as it was read.
struct Head {
    prefix: Option<NcName>,
    name: NcName,
    attributes: Vec<Attribute>,
}

/// An attribute whose prefix is not resolved yet.
struct Attribute {
    prefix: Option<NcName>,
    name: NcName,
    value: String,
}

/// Namespace declarations in force (Namespaces in XML 1.0).
#[derive(Default)]
struct Scopes {
    bindings: Vec<(Option<NcName>, Namespace<'static>)>,
    /// Number of bindings before each open element.
    marks: Vec<usize>,
}

impl Scopes {
    /// Open elements, the stream's root counted.
    fn depth(&self) -> usize {
        self.marks.len()
    }

    fn enter(&mut self) {
        self.marks.push(self.bindings.len());
    }

    fn leave(&mut self) {
        if let Some(mark) = self.marks.pop() {
            self.bindings.truncate(mark);
        }
    }

    fn declare(&mut self, prefix: Option<NcName>, uri: String) -> Result<(), StreamFault> {
        let mark = self.marks.last().copied().unwrap_or(0);
        let own = self.bindings.get(mark..).unwrap_or_default();
        if own.iter().any(|(other, _)| *other == prefix) {
            return Err(StreamFault::NotWellFormed);
        }
        // The header's own declarations stand below those of a stanza.
        let header = self.marks.get(1).copied().unwrap_or(0);
        if self.bindings.len() - header == limits::STANZA_NAMESPACES {
            return Err(StreamFault::TooManyNamespaces);
        }
        self.bindings.push((prefix, Namespace::from(uri)));
        Ok(())
    }

    fn resolve(&self, prefix: Option<&NcName>) -> Result<Namespace<'static>, StreamFault> {
        if prefix.is_some_and(|prefix| prefix == "xml") {
            return Ok(Namespace::xml().clone());
        }
        let found = self
            .bindings
            .iter()
            .rev()
            .find(|(other, _)| other.as_ref() == prefix);
        match (found, prefix) {
            (Some((_, namespace)), _) => Ok(namespace.clone()),
            (None, None) => Ok(Namespace::NONE),
            (None, Some(_)) => Err(StreamFault::NotWellFormed),
        }
    }

    fn attributes(&self, raw: Vec<Attribute>) -> Result<AttrMap, StreamFault> {
        let mut attributes = AttrMap::new();
        for Attribute {
            prefix,
            name,
            value,
        } in raw
        {
            let namespace = match &prefix {
                Some(_) => self.resolve(prefix.as_ref())?,
                None => Namespace::NONE,
            };
            if attributes.insert(namespace, name, value).is_some() {
                return Err(StreamFault::NotWellFormed);
            }
        }
        Ok(attributes)
    }
}
