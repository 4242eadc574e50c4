//! The tests' own reader of XML streams: cuts the bytes into headers, stanzas and the closing tag.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use minidom::Element;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::inbox::PATIENCE;

/// Namespace of stream headers, features and stream errors.
pub const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Namespace of SASL elements.
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Namespace of STARTTLS elements.
pub const START_TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// Namespace of stanza error conditions.
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// Namespace of XMPP pings (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Namespace of dialback (XEP-0220), which peers may declare and use.
const DIALBACK: &str = "jabber:server:dialback";

/// What an XML stream is made of.
#[derive(Clone, Debug)]
pub enum Item {
    /// The opening tag with its attributes.
    Header(Box<Element>),
    /// One child of the stream.
    Stanza(Box<Element>),
    /// The closing tag.
    Close,
}

/// The same, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// The opening tag.
    Header(String),
    /// One child of the stream.
    Stanza(String),
    /// The closing tag.
    Close,
}

/// Cuts a byte stream into items. Trusts its input to be small and well-formed: it reads what
/// servers under test send, and fails the test on anything odd.
#[derive(Debug)]
pub struct Cutter {
    namespace: &'static str,
    pending: Vec<u8>,
    /// How far `pending` has been looked at.
    seen: usize,
    /// Where the current stanza begins.
    start: usize,
    depth: usize,
}

impl Cutter {
    /// A reader of streams with this content namespace, `jabber:client` or `jabber:server`.
    pub fn new(namespace: &'static str) -> Self {
        Self {
            namespace,
            pending: Vec::new(),
            seen: 0,
            start: 0,
            depth: 0,
        }
    }

    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
    }

    /// The next complete item.
    pub fn next_item(&mut self) -> Result<Option<Item>> {
        let Some(text) = self.next_text()? else {
            return Ok(None);
        };
        let item = match text {
            Text::Header(header) => {
                let empty = format!("{}/>", header.trim_end_matches('>'));
                Item::Header(Box::new(self.parse(&empty)?))
            }
            Text::Stanza(stanza) => Item::Stanza(Box::new(self.parse(&stanza)?)),
            Text::Close => Item::Close,
        };
        Ok(Some(item))
    }

    /// The next complete item as it stands on the wire.
    pub fn next_text(&mut self) -> Result<Option<Text>> {
        while let Some((from, to)) = self.next_tag()? {
            let tag = self.pending.get(from..to).unwrap_or_default();
            let is_end = tag.starts_with(b"</");
            let is_whole = tag.ends_with(b"/>");
            if tag.starts_with(b"<?") {
                self.seen = to;
                continue;
            }
            match (self.depth, is_end) {
                (0, _) => {
                    self.depth = 1;
                    return Ok(Some(Text::Header(self.take(from, to)?)));
                }
                (1, true) => {
                    self.depth = 0;
                    self.take(from, to)?;
                    return Ok(Some(Text::Close));
                }
                (1, false) => self.start = from,
                (_, true) => self.depth -= 1,
                (..) => {}
            }
            self.seen = to;
            self.depth += usize::from(!is_end && !is_whole);
            if self.depth == 1 {
                return Ok(Some(Text::Stanza(self.take(self.start, to)?)));
            }
        }
        Ok(None)
    }

    /// Takes text out, and everything before it.
    fn take(&mut self, from: usize, to: usize) -> Result<String> {
        let text = str::from_utf8(self.pending.get(from..to).unwrap_or_default())?.to_owned();
        self.pending.drain(..to);
        self.seen = 0;
        self.start = 0;
        Ok(text)
    }

    /// The extent of the next complete tag after what has been seen.
    fn next_tag(&self) -> Result<Option<(usize, usize)>> {
        let rest = self.pending.get(self.seen..).unwrap_or_default();
        let Some(open) = rest.iter().position(|&byte| byte == b'<') else {
            return Ok(None);
        };
        if rest.get(open..).is_some_and(|tag| tag.starts_with(b"<!")) {
            bail!("comment, CDATA or DTD in an XMPP stream");
        }
        let mut quote = None;
        for (at, &byte) in rest.iter().enumerate().skip(open) {
            match (quote, byte) {
                (None, b'"' | b'\'') => quote = Some(byte),
                (Some(opening), _) if opening == byte => quote = None,
                (None, b'>') => return Ok(Some((self.seen + open, self.seen + at + 1))),
                _ => {}
            }
        }
        Ok(None)
    }

    fn parse(&self, text: &str) -> Result<Element> {
        let prefixes = BTreeMap::from([
            (None, self.namespace.to_owned()),
            (Some("stream".to_owned()), STREAMS.to_owned()),
            (Some("db".to_owned()), DIALBACK.to_owned()),
        ]);
        Element::from_reader_with_prefixes(text.as_bytes(), prefixes)
            .with_context(|| format!("not well-formed: {text}"))
    }
}

/// An XML stream over a socket.
#[derive(Debug)]
pub struct XmlStream<S> {
    socket: S,
    cutter: Cutter,
}

impl<S: AsyncRead + AsyncWrite + Unpin> XmlStream<S> {
    /// Wraps a socket on which nothing has been read yet.
    pub fn new(socket: S, namespace: &'static str) -> Self {
        Self {
            socket,
            cutter: Cutter::new(namespace),
        }
    }

    /// Expects a new stream header, after TLS or SASL.
    pub fn restart(&mut self) {
        self.cutter = Cutter::new(self.cutter.namespace);
    }

    /// Gives the socket back, for a TLS handshake.
    pub fn into_inner(self) -> S {
        self.socket
    }

    /// The socket and the reader of its stream, with what was received and not taken yet.
    pub fn into_parts(self) -> (S, Cutter) {
        (self.socket, self.cutter)
    }

    /// Sends text as it is.
    pub async fn write(&mut self, text: &str) -> Result<()> {
        self.write_bytes(text.as_bytes()).await
    }

    /// Sends bytes as they are.
    pub async fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.socket.write_all(bytes).await?;
        self.socket.flush().await?;
        Ok(())
    }

    /// The next item, or `None` when the other end has closed the connection.
    pub async fn read(&mut self) -> Result<Option<Item>> {
        loop {
            if let Some(item) = self.cutter.next_item()? {
                return Ok(Some(item));
            }
            let mut buffer = [0; 16 * 1024];
            let count = self.socket.read(&mut buffer).await?;
            if count == 0 {
                return Ok(None);
            }
            self.cutter.push(buffer.get(..count).unwrap_or_default());
        }
    }

    /// The next item, which must come in time.
    pub async fn expect(&mut self) -> Result<Item> {
        let item = timeout(PATIENCE, self.read())
            .await
            .context("the stream is silent")??;
        item.context("the stream has ended")
    }

    /// The next child of the stream, which must come in time; skips headers.
    pub async fn expect_stanza(&mut self) -> Result<Element> {
        loop {
            match self.expect().await? {
                Item::Header(_) => {}
                Item::Stanza(stanza) => return Ok(*stanza),
                Item::Close => bail!("the stream was closed"),
            }
        }
    }
}

/// Escapes text for use inside an element or an attribute.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Questions that tests ask about a stanza.
pub trait Look {
    /// An attribute, empty where there is none.
    fn at<'a>(&'a self, attribute: &'a str) -> &'a str;
    /// The text of the body of a message.
    fn body(&self) -> Option<String>;
    /// The text of a child in the stanza's own namespace, empty where there is none.
    fn text_of(&self, child: &str) -> String;
    /// Whether it is an available presence.
    fn is_available(&self) -> bool;
    /// The condition of an error stanza.
    fn condition(&self) -> Option<String>;
    /// Whether it is an error with that condition and id.
    fn is_error(&self, id: &str, condition: &str) -> bool;
}

impl Look for Element {
    fn at<'a>(&'a self, attribute: &'a str) -> &'a str {
        self.attr(attribute).unwrap_or_default()
    }

    fn body(&self) -> Option<String> {
        let mut bodies = self.children().filter(|child| child.name() == "body");
        bodies.next().map(Self::text)
    }

    fn text_of(&self, name: &str) -> String {
        let mut children = self.children().filter(|child| child.name() == name);
        children.next().map(Self::text).unwrap_or_default()
    }

    fn is_available(&self) -> bool {
        self.name() == "presence" && self.attr("type").is_none()
    }

    fn condition(&self) -> Option<String> {
        let error = self.children().find(|child| child.name() == "error")?;
        let mut conditions = error
            .children()
            .filter(|child| child.ns() == STANZA_ERRORS && child.name() != "text");
        conditions
            .next()
            .map(|condition| condition.name().to_owned())
    }

    fn is_error(&self, id: &str, condition: &str) -> bool {
        self.at("type") == "error"
            && self.at("id") == id
            && self.condition().is_some_and(|found| found == condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_wherever_the_bytes_break() {
        let text = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
                    xmlns:stream='http://etherx.jabber.org/streams' id='x>y'><stream:features/> \
                    <message to='a'><body>1 &lt; 2</body></message></stream:stream>";
        for step in [1, 7, text.len()] {
            let mut cutter = Cutter::new("jabber:server");
            let mut items = Vec::new();
            for chunk in text.as_bytes().chunks(step) {
                cutter.push(chunk);
                items.extend(std::iter::from_fn(|| cutter.next_item().unwrap()));
            }
            let [
                Item::Header(header),
                Item::Stanza(features),
                Item::Stanza(message),
                Item::Close,
            ] = items.as_slice()
            else {
                panic!("cut into {items:?}");
            };
            assert_eq!(header.at("id"), "x>y");
            assert!(features.is("features", STREAMS));
            assert_eq!(message.body().as_deref(), Some("1 < 2"));
        }
    }
}
