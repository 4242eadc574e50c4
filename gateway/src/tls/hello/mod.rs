//! The first message of a TLS client, read before an engine is chosen for it (RFC 5246 section 7.4.1.2,
//! RFC 8446 section 4.1.2, and the form of SSL 2.0, RFC 5246 appendix E.2).

use rustls::{NamedGroup, SignatureScheme};

use crate::tls::terms::Version;

/// What a client offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hello {
    /// The newest version, as on the wire.
    pub(super) version: u16,
    /// The cipher suites.
    pub(super) suites: Vec<u16>,
    /// The ways to sign that it takes; none where it does not say.
    pub(super) schemes: Option<Vec<SignatureScheme>>,
    /// The groups for key exchange; none where it does not say.
    pub(super) groups: Option<Vec<NamedGroup>>,
    /// Whom it asks for (SNI).
    pub(super) server_name: Option<String>,
}

impl Hello {
    /// The newest version that it offers; none if that is older than TLS 1.0.
    pub(super) fn newest(&self) -> Option<Version> {
        Version::newest_until(self.version)
    }
}

/// What the beginning of a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// The client has not said all yet.
    Unfinished,
    /// A client's first message.
    Hello(Hello),
    /// Something else, or a first message that breaks the rules.
    Foreign,
}

/// Reads the beginning of a connection.
pub(super) fn read(bytes: &[u8]) -> Beginning {
    let first = bytes.first().copied();
    if first.is_some_and(|octet| octet & SSL2_HEADER != 0) {
        return ssl2(bytes);
    }
    match handshake(bytes) {
        Ok(Some(message)) => {
            message_body(&message).map_or(Beginning::Foreign, |body| match tls(body) {
                Some(hello) => Beginning::Hello(hello),
                None => Beginning::Foreign,
            })
        }
        Ok(None) => Beginning::Unfinished,
        Err(Foreign) => Beginning::Foreign,
    }
}

/// The bytes are no handshake of TLS.
struct Foreign;

/// Takes a whole handshake message, with its head, out of the records that carry it; nothing while some are
/// missing.
fn handshake(bytes: &[u8]) -> Result<Option<Vec<u8>>, Foreign> {
    let (mut rest, mut message) = (Bytes(bytes), Vec::new());
    loop {
        let Some(head) = rest.take(5) else {
            let wrong = rest.0.first().is_some_and(|kind| *kind != HANDSHAKE);
            return if wrong { Err(Foreign) } else { Ok(None) };
        };
        let mut head = Bytes(head);
        let (kind, major, _minor) = (head.octet(), head.octet(), head.octet());
        let length = head.number(2).unwrap_or_default();
        let sound = kind == Some(HANDSHAKE.into()) && major == Some(3);
        if !sound || length == 0 || length > LARGEST_RECORD {
            return Err(Foreign);
        }
        let Some(part) = rest.take(length) else {
            // What is here may be enough to see that it will never be what we look for.
            let kind = message.first().or_else(|| rest.0.first());
            let wrong = kind.is_some_and(|kind| *kind != CLIENT_HELLO);
            return if wrong { Err(Foreign) } else { Ok(None) };
        };
        message.extend_from_slice(part);
        if message.first() != Some(&CLIENT_HELLO) {
            return Err(Foreign);
        }
        if message_body(&message).is_some() {
            return Ok(Some(message));
        }
    }
}

/// What a handshake message says, behind its head.
fn message_body(message: &[u8]) -> Option<Bytes<'_>> {
    let mut message = Bytes(message);
    let _kind = message.octet()?;
    let length = message.number(3)?;
    message.take(length).map(Bytes)
}

/// Reads the body of a ClientHello.
fn tls(mut body: Bytes<'_>) -> Option<Hello> {
    let mut hello = Hello {
        version: body.word()?,
        ..Hello::default()
    };
    let _random = body.take(32)?;
    let _session = body.list(1)?;
    hello.suites = body.list(2)?.words();
    let _compression = body.list(1)?;
    if body.0.is_empty() {
        // Clients of before 2003 send no extensions.
        return Some(hello);
    }
    let mut extensions = body.list(2)?;
    while !extensions.0.is_empty() {
        let kind = extensions.word()?;
        let content = extensions.list(2)?;
        extension(&mut hello, kind, content)?;
    }
    Some(hello)
}

/// Takes one extension to account; none if it is broken.
fn extension(hello: &mut Hello, kind: u16, mut content: Bytes<'_>) -> Option<()> {
    match kind {
        SERVER_NAME => {
            let mut names = content.list(2)?;
            while let Some(kind) = names.octet() {
                let name = names.list(2)?;
                if kind == 0 {
                    hello.server_name = str::from_utf8(name.0).ok().map(str::to_owned);
                }
            }
        }
        SUPPORTED_GROUPS => {
            let groups = content.list(2)?.words();
            hello.groups = Some(groups.into_iter().map(NamedGroup::from).collect());
        }
        SIGNATURE_ALGORITHMS => {
            let schemes = content.list(2)?.words();
            hello.schemes = Some(schemes.into_iter().map(SignatureScheme::from).collect());
        }
        SUPPORTED_VERSIONS => {
            let versions = content.list(1)?.words();
            // Values that no version has keep the servers of the world from choking on new ones (RFC 8701).
            let known = versions.into_iter().filter(|version| version >> 8 == 3);
            hello.version = known.max().unwrap_or_default();
        }
        _ => {}
    }
    Some(())
}

/// Reads a first message in the form of SSL 2.0, in which old Windows offers TLS 1.0.
fn ssl2(bytes: &[u8]) -> Beginning {
    let mut bytes = Bytes(bytes);
    let Some(length) = bytes.word() else {
        return Beginning::Unfinished;
    };
    let length = usize::from(length) & 0x7fff;
    let kind = bytes.0.first();
    if !(9..=LARGEST_RECORD).contains(&length) || kind.is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Beginning::Foreign;
    }
    match bytes.take(length) {
        None => Beginning::Unfinished,
        Some(body) => ssl2_body(Bytes(body)).map_or(Beginning::Foreign, Beginning::Hello),
    }
}

fn ssl2_body(mut body: Bytes<'_>) -> Option<Hello> {
    let _kind = body.octet()?;
    let version = body.word()?;
    let specifications = body.number(2)?;
    let _session = body.word()?;
    let _challenge = body.word()?;
    let mut specifications = Bytes(body.take(specifications)?);
    let mut suites = Vec::new();
    while let Some(specification) = specifications.number(3) {
        // Those of three octets are of SSL 2.0 itself.
        suites.extend(u16::try_from(specification).ok());
    }
    Some(Hello {
        version,
        suites,
        ..Hello::default()
    })
}

/// What is left to be read.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// The next octets, if there are so many.
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next octets as a number, most significant first.
    fn number(&mut self, octets: usize) -> Option<usize> {
        let octets = self.take(octets)?.iter();
        Some(octets.fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }

    fn octet(&mut self) -> Option<usize> {
        self.number(1)
    }

    fn word(&mut self) -> Option<u16> {
        u16::try_from(self.number(2)?).ok()
    }

    /// A list behind its length, which has so many octets.
    fn list(&mut self, length: usize) -> Option<Self> {
        let length = self.number(length)?;
        self.take(length).map(Self)
    }

    /// All that is left as numbers of two octets.
    fn words(mut self) -> Vec<u16> {
        std::iter::from_fn(|| self.word()).collect()
    }
}

/// First octet of a record that carries a handshake.
const HANDSHAKE: u8 = 22;
/// First octet of a ClientHello, in both forms.
const CLIENT_HELLO: u8 = 1;
/// Set in the first octet of a message in the form of SSL 2.0.
const SSL2_HEADER: u8 = 0x80;
/// Octets in a record (RFC 5246 section 6.2.1).
const LARGEST_RECORD: usize = 1 << 14;
/// Extensions (RFC 6066 section 3, RFC 8422 section 5.1, RFC 5246 section 7.4.1.4.1, RFC 8446 section 4.2.1).
const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const SUPPORTED_VERSIONS: u16 = 43;

#[cfg(test)]
mod tests;
