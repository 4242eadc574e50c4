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
        while let Some(tag) = self.next_tag()? {
            let (from, to) = tag;
            let text = str::from_utf8(self.pending.get(from..to).unwrap_or_default())?;
            let is_end = text.starts_with("</");
            let is_whole = text.ends_with("/>");
            if text.starts_with("<?") {
                self.seen = to;
            } else if self.depth == 0 {
                let header = text.trim_end_matches('>').to_owned();
                self.depth = 1;
                self.forget(to);
                return Ok(Some(Item::Header(Box::new(
                    self.parse(&format!("{header}/>"))?,
                ))));
            } else if is_end && self.depth == 1 {
                self.depth = 0;
                self.forget(to);
                return Ok(Some(Item::Close));
            } else if let Some(stanza) = self.step(from, to, is_end, is_whole)? {
                return Ok(Some(stanza));
            }
        }
        Ok(None)
    }

    /// Takes one tag inside the stream into account; it may complete a stanza.
    fn step(&mut self, from: usize, to: usize, is_end: bool, whole: bool) -> Result<Option<Item>> {
        if self.depth == 1 {
            self.start = from;
        }
        self.seen = to;
        if is_end {
            self.depth -= 1;
        } else if !whole {
            self.depth += 1;
        }
        if self.depth > 1 {
            return Ok(None);
        }
        let bytes = self.pending.get(self.start..to).unwrap_or_default();
        let stanza = self.parse(str::from_utf8(bytes)?)?;
        self.forget(to);
        Ok(Some(Item::Stanza(Box::new(stanza))))
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

    fn forget(&mut self, to: usize) {
        self.pending.drain(..to);
        self.seen = 0;
        self.start = 0;
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
