//! The first message of a conversation inside its INVITE: `ms-text-format` and `ms-im-format`.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::sip::{HeaderName, Request};

/// Offers a file instead of bringing a text.
pub const FILE_TRANSFER: &str = "text/x-msmsgsinvite";

/// Rich text, which is not read.
pub const RICH_TEXT: &str = "text/rtf";

/// Clients pad as they like.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A message inside an INVITE. Formatted variants of the same text stand beside it; only where there
/// is no plain text the HTML one counts, and rich text where there is nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstMessage {
    essence: String,
    text: String,
}

impl FirstMessage {
    /// Reads what an INVITE brings; what cannot be read is as if it were not there, since the peer
    /// sends it again.
    pub fn of(invite: &Request) -> Option<Self> {
        let plain = ["ms-text-format", "ms-im-format"];
        let all = plain.iter().flat_map(|name| {
            invite
                .all(HeaderName::Other)
                .filter(|header| header.name.eq_ignore_ascii_case(name))
        });
        let mut read: Vec<_> = all
            .filter_map(|header| Self::read(&header.text()))
            .collect();
        let place = |essence: &str| read.iter().position(|one| one.essence == essence);
        let chosen = place(FILE_TRANSFER).or_else(|| place("text/plain"));
        let chosen = chosen.or_else(|| place("text/html"));
        let chosen = chosen.or_else(|| place(RICH_TEXT))?;
        Some(read.swap_remove(chosen))
    }

    /// Media type in lower case: `text/plain`, `text/html`, [`RICH_TEXT`] or [`FILE_TRANSFER`].
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The text as it was typed, often with blanks and line ends behind it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it can be read: rich text cannot, and its caller has to learn that.
    pub fn is_readable(&self) -> bool {
        self.essence != RICH_TEXT
    }

    /// Whether it offers a file.
    pub fn is_file(&self) -> bool {
        self.essence == FILE_TRANSFER
    }

    /// Reads `type/subtype; charset=UTF-8; msgr=...; ms-body=<base64>`. The style in `msgr` is not
    /// carried.
    fn read(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let mut body = None;
        for part in parts {
            let (name, text) = part.split_once('=')?;
            let (name, text) = (name.trim_end(), text.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("ms-body") {
                body = Some(text);
            } else if name.eq_ignore_ascii_case("charset")
                && !["utf-8", "us-ascii"].contains(&text.to_ascii_lowercase().as_str())
            {
                return None;
            }
        }
        // A fold inside leaves a blank.
        let body: String = body?.split_ascii_whitespace().collect();
        let text = String::from_utf8(BASE64.decode(body).ok()?).ok()?;
        (!text.trim().is_empty()).then_some(Self { essence, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::tests::request;

    fn of(headers: &str) -> Option<FirstMessage> {
        FirstMessage::of(&request(&format!(
            "INVITE sip:alice@xmpp.example SIP/2.0\n\
             Via: SIP/2.0/TLS edge.sip.example;branch=z9hG4bK1\n\
             From: <sip:bob@sip.example>;tag=1\nTo: <sip:alice@xmpp.example>\n\
             Call-ID: 1\nCSeq: 1 INVITE\n{headers}Content-Length: 0\n\n"
        )))
    }

    fn read(value: &str) -> Option<FirstMessage> {
        FirstMessage::read(value)
    }

    #[test]
    fn plain_text_counts_among_its_variants() {
        let first = of("MS-Text-Format: text/plain; charset=UTF-8; ms-body=cXdl\n\
             ms-im-format: text/rtf; charset=UTF-8; ms-body=e1xydGYx\n\
             ms-im-format: text/html; charset=UTF-8; ms-body=PGI+cXdlPC9iPg==\n");
        let first = first.unwrap();
        assert_eq!((first.essence(), first.text()), ("text/plain", "qwe"));
        assert!(!first.is_file());
    }

    #[test]
    fn html_counts_where_it_stands_alone() {
        let first = of("ms-im-format: text/html;charset=utf-8;ms-body=PGI+cXdlPC9iPg==\n");
        assert_eq!(first.unwrap().text(), "<b>qwe</b>");
        assert_eq!(of(""), None);
    }

    #[test]
    fn rich_text_counts_where_nothing_else_stands_and_is_not_read() {
        let first = of("ms-im-format: text/rtf; ms-body=e1xydGYx\n").unwrap();
        assert_eq!((first.essence(), first.is_readable()), (RICH_TEXT, false));
        let html = of("ms-im-format: text/rtf; ms-body=e1xydGYx\n\
             ms-im-format: text/html; ms-body=cXdl\n");
        assert!(html.unwrap().is_readable());
    }

    #[test]
    fn files_are_recognised() {
        let first = of(
            "ms-text-format: text/x-msmsgsinvite; charset=UTF-8; ms-body=SW52aXRhdGlvbi1Db21tYW5kOiBJTlZJVEU=\n",
        );
        assert!(first.unwrap().is_file());
    }

    #[test]
    fn style_folds_and_missing_padding_do_not_matter() {
        for value in [
            "text/plain; charset=UTF-8;msgr=WAAtAE0ATQBTAC0ASQBNAA==; ms-body=SGFsbG8=",
            "TEXT/PLAIN;ms-body=SGFsbG8",
            "text/plain ; charset = \"utf-8\" ; ms-body = SGFs bG8= ",
        ] {
            assert_eq!(
                read(value).map(|one| one.text),
                Some("Hallo".to_owned()),
                "{value}"
            );
        }
        assert_eq!(
            read("text/plain; ms-body=8J+YgCDDvA==").map(|one| one.text),
            Some("😀 ü".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_there() {
        for value in [
            "",
            "text/plain",
            "text/plain; ms-body=%%%",
            "text/plain; ms-body=IA0K",
            "text/plain; ms-body=/////w==",
            "text/plain; charset=utf-16; ms-body=cXdl",
            "text/plain; charset; ms-body=cXdl",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
