//! Descriptions of conversations (RFC 4566, RFC 3264, [MS-SDP] section 3.1.5.3).
//!
//! A conversation carries its messages inside the dialog, so nothing of a description matters but
//! which media it names and which types of messages the peer takes. Addresses and ports mean
//! nothing, and whatever else stands there is passed over.

use bytes::Bytes;

use crate::limits;
use crate::sip::SipUri;
use crate::text::Line;

/// Content type of a description.
pub const CONTENT_TYPE: &str = "application/sdp";

/// Types of messages that conversations with the Microsoft profile take. Formatted text, ink,
/// files and receipts are not among them: a peer that is told so sends plain text.
pub const TYPES_MICROSOFT: &str = "text/plain text/html multipart/alternative";

/// Types of messages that other conversations take.
pub const TYPES_GENERIC: &str = "text/plain text/html multipart/alternative message/cpim \
     application/im-iscomposing+xml";

/// What one `m=` line offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Media {
    /// Messages inside the dialog: `message`, `x-ms-message`.
    Message,
    /// Sound.
    Audio,
    /// Pictures that move.
    Video,
    /// A shared screen or program.
    Sharing,
    /// A file.
    File,
    /// Anything else, messages over MSRP among it.
    Other,
}

/// What a description offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer<'a> {
    lines: Vec<MediaLine<'a>>,
    accepts: AcceptTypes,
}

/// One `m=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MediaLine<'a> {
    name: &'a str,
    protocol: &'a str,
    format: &'a str,
    /// Port 0: the stream is not wanted.
    off: bool,
}

impl MediaLine<'_> {
    fn media(&self) -> Media {
        let is = |known: &str| self.name.eq_ignore_ascii_case(known);
        let msrp = self.protocol.to_ascii_uppercase().ends_with("MSRP");
        if (is("message") || is("x-ms-message")) && !msrp {
            Media::Message
        } else if is("audio") {
            Media::Audio
        } else if is("video") || is("panoramic-video") {
            Media::Video
        } else if is("applicationsharing") || is("applicationsharing-video") {
            Media::Sharing
        } else if is("data") || is("x-data") {
            Media::File
        } else {
            Media::Other
        }
    }
}

impl<'a> Offer<'a> {
    /// Reads a body: one description, or several as alternatives of a multipart, of which the first
    /// with messages counts. What cannot be read offers nothing.
    pub fn read(body: &'a [u8]) -> Self {
        let mut all = Self::default();
        let mut one = Self::default();
        for line in lines(body) {
            let begins = line.starts_with("v=");
            if begins && one.has(Media::Message) {
                return one;
            }
            if begins {
                all.lines.append(&mut one.lines);
            }
            one.take(line);
        }
        if one.has(Media::Message) {
            return one;
        }
        all.lines.append(&mut one.lines);
        all.lines.truncate(limits::SDP_MEDIA);
        all
    }

    /// Whether it offers that and does not turn it off.
    pub fn has(&self, media: Media) -> bool {
        let mut same = self.lines.iter().filter(|line| line.media() == media);
        // The port of messages means nothing.
        same.any(|line| media == Media::Message || !line.off)
    }

    /// Whether it offers anything but messages.
    pub fn has_more(&self) -> bool {
        self.lines
            .iter()
            .any(|line| line.media() != Media::Message && !line.off)
    }

    /// Whether no media are named.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Types of messages that the peer takes.
    pub const fn accepts(&self) -> AcceptTypes {
        self.accepts
    }

    fn take(&mut self, line: &'a str) {
        if let Some(text) = line.strip_prefix("m=") {
            if self.lines.len() < limits::SDP_MEDIA {
                self.lines.extend(media_line(text));
            }
        } else if let Some(types) = line.strip_prefix("a=accept-types:") {
            self.accepts = AcceptTypes::read(types);
        }
    }
}

/// Reads `name port protocol format...`; only the name has to be there.
fn media_line(text: &str) -> Option<MediaLine<'_>> {
    let mut words = text.split_ascii_whitespace();
    let name = words.next()?;
    let port = words.next().unwrap_or_default();
    Some(MediaLine {
        name,
        off: port == "0",
        protocol: words.next().unwrap_or_default(),
        format: words.next().unwrap_or_default(),
    })
}

/// The lines of a body, whatever ends them; what is not UTF-8 is passed over.
fn lines(body: &[u8]) -> impl Iterator<Item = &str> {
    body.split(|octet| matches!(octet, b'\r' | b'\n'))
        .filter_map(|line| str::from_utf8(line).ok())
        .map(str::trim)
        .filter(|line| !line.is_empty())
}

/// Types of messages that a peer takes in a conversation, as far as they are of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptTypes(u8);

/// The types that are told apart, by bit.
const KNOWN_TYPES: [&str; 5] = [
    "text/plain",
    "text/html",
    "multipart/alternative",
    "message/cpim",
    "application/im-iscomposing+xml",
];

impl Default for AcceptTypes {
    /// Plain text, which everybody takes.
    fn default() -> Self {
        Self(1)
    }
}

impl AcceptTypes {
    /// Reads the value of `accept-types`.
    fn read(types: &str) -> Self {
        let types = types.to_ascii_lowercase();
        let bits = types.split_ascii_whitespace().map(|one| {
            let known = KNOWN_TYPES.iter().enumerate().filter(|(_, known)| {
                one == "*"
                    || one == **known
                    || one
                        .strip_suffix('*')
                        .is_some_and(|start| start.ends_with('/') && known.starts_with(start))
            });
            known.fold(0, |bits, (place, _)| bits | 1 << place)
        });
        Self(bits.fold(Self::default().0, |all, one| all | one))
    }

    /// Whether messages of this type are taken.
    pub fn takes(self, essence: &str) -> bool {
        let place = KNOWN_TYPES.iter().position(|known| *known == essence);
        place.is_some_and(|place| self.0 & 1 << place != 0)
    }
}

/// Writes the offer of a conversation that takes messages of these types.
pub fn write_offer(types: &str) -> (Line, Bytes) {
    description("m=message 5060 sip null\r\n", types)
}

/// Writes the answer of `own`, who takes messages of these types. Every stream of the offer has its
/// line (RFC 3264 section 6); those other than messages are turned off.
pub fn write_answer(offer: &Offer<'_>, own: &SipUri, types: &str) -> (Line, Bytes) {
    let mut media = String::new();
    let mut answered = false;
    for line in &offer.lines {
        let name = line.name;
        match line.media() {
            Media::Message if !answered => {
                answered = true;
                let user = own
                    .userinfo()
                    .map_or(String::new(), |user| format!("{user}@"));
                media.push_str(&format!("m={name} 5060 sip sip:{user}{}\r\n", own.host()));
                media.push_str(&format!("a=accept-types:{types}\r\n"));
            }
            Media::Message
            | Media::Audio
            | Media::Video
            | Media::Sharing
            | Media::File
            | Media::Other => {
                let [protocol, format] = [line.protocol, line.format]
                    .map(|word| if word.is_empty() { "-" } else { word });
                media.push_str(&format!("m={name} 0 {protocol} {format}\r\n"));
            }
        }
    }
    match answered {
        true => content(&media),
        false => write_offer(types),
    }
}

fn description(media: &str, types: &str) -> (Line, Bytes) {
    content(&format!("{media}a=accept-types:{types}\r\n"))
}

/// The lines before the media. The address stands for nobody: messages go inside the dialog.
fn content(media: &str) -> (Line, Bytes) {
    let body = format!(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=session\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{media}"
    );
    (Line::fold(CONTENT_TYPE), body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> SipUri {
        SipUri::parse("sip:alice@xmpp.example").unwrap()
    }

    fn text(content: (Line, Bytes)) -> String {
        String::from_utf8(content.1.to_vec()).unwrap()
    }

    #[test]
    fn reads_offers_of_every_release() {
        let lync = b"v=0\r\no=- 0 0 IN IP4 192.0.2.7\r\ns=session\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
            m=message 5060 sip null\r\na=accept-types:text/plain multipart/alternative text/html \r\n";
        let offer = Offer::read(lync);
        assert!(offer.has(Media::Message) && !offer.has_more());
        assert!(offer.accepts().takes("text/html"));
        assert!(!offer.accepts().takes("application/im-iscomposing+xml"));

        for line in [
            "m=x-ms-message 5060 sip null",
            "m=message 5060 sip sip:bob@sip.example",
            "m=MESSAGE 0 sip null",
            "m=message",
        ] {
            let body = format!("v=0\n{line}");
            assert!(Offer::read(body.as_bytes()).has(Media::Message), "{line}");
        }
    }

    #[test]
    fn other_media_are_told_apart() {
        for (line, media) in [
            ("m=audio 3456 RTP/AVP 0", Media::Audio),
            ("m=video 3456 RTP/AVP 34", Media::Video),
            ("m=applicationsharing 1 TCP/RTP/SAVP 127", Media::Sharing),
            ("m=data 6891 TCP/TLS/RTP 1", Media::File),
            ("m=message 7394 TCP/MSRP *", Media::Other),
            ("m=message 7394 TCP/TLS/MSRP *", Media::Other),
        ] {
            let body = format!("v=0\r\n{line}\r\n");
            let offer = Offer::read(body.as_bytes());
            assert!(offer.has(media) && offer.has_more(), "{line}");
            assert!(!offer.has(Media::Message), "{line}");
        }
        for body in [&b""[..], b"\xff\xfe", b"m=", b"m= ", b"hello"] {
            assert!(Offer::read(body).is_empty(), "{body:?}");
        }
        assert!(!Offer::read(b"v=0\r\nm=audio 0 RTP/AVP 0").has(Media::Audio));
    }

    #[test]
    fn alternatives_are_looked_through() {
        let calls = b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=audio 1 RTP/AVP 0\r\n\
            --x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nm=audio 1 RTP/SAVP 0\r\nm=video 2 RTP/SAVP 1\r\n--x--";
        let offer = Offer::read(calls);
        assert!(offer.has(Media::Audio) && offer.has(Media::Video));

        let mixed = b"--x\r\n\r\nv=0\r\nm=audio 1 RTP/AVP 0\r\n--x\r\n\r\nv=0\r\nm=message 5060 sip null\r\n--x--";
        let offer = Offer::read(mixed);
        assert!(offer.has(Media::Message) && !offer.has_more());
    }

    #[test]
    fn an_answer_has_a_line_for_every_stream() {
        let offer =
            b"v=0\r\nm=audio 9 RTP/AVP 0 8\r\nm=x-ms-message 5060 sip null\r\nm=message\r\n";
        let answer = text(write_answer(&Offer::read(offer), &own(), TYPES_MICROSOFT));

        let media: Vec<_> = answer
            .lines()
            .filter(|line| line.starts_with("m="))
            .collect();
        assert_eq!(
            media,
            [
                "m=audio 0 RTP/AVP 0",
                "m=x-ms-message 5060 sip sip:alice@xmpp.example",
                "m=message 0 - -"
            ]
        );
        assert!(answer.contains("a=accept-types:text/plain text/html multipart/alternative\r\n"));
    }

    #[test]
    fn an_offer_reads_back() {
        let offer = text(write_offer(TYPES_GENERIC));

        let read = Offer::read(offer.as_bytes());
        assert!(read.has(Media::Message) && !read.has_more());
        for essence in KNOWN_TYPES {
            assert!(read.accepts().takes(essence), "{essence}");
        }
        assert_eq!(
            text(write_answer(&Offer::default(), &own(), TYPES_GENERIC)),
            offer
        );
    }

    #[test]
    fn wildcards_stand_for_types() {
        let accepts = |types: &str| AcceptTypes::read(types);
        assert!(accepts("*").takes("message/cpim"));
        assert!(accepts("text/*").takes("text/html"));
        assert!(!accepts("text/*").takes("message/cpim"));
        assert!(accepts("").takes("text/plain"));
        assert!(!accepts("image/gif").takes("image/gif"));
    }

    #[test]
    fn many_lines_are_bounded() {
        let body = "m=audio 1 RTP/AVP 0\r\n".repeat(10_000);
        assert_eq!(Offer::read(body.as_bytes()).lines.len(), limits::SDP_MEDIA);
        let body = "v=0\r\nm=audio 1 RTP/AVP 0\r\n".repeat(10_000);
        assert_eq!(Offer::read(body.as_bytes()).lines.len(), limits::SDP_MEDIA);
    }
}
