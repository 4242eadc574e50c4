//! HTML of SIP messages, reduced to plain text or to the safe subset of XHTML-IM (XEP-0071).
//!
//! Nothing of the input is ever copied as markup: it is cut into tokens, and what is allowed is
//! built anew, so that no script, style, event attribute or unknown URL scheme can come through.

mod entities;
mod plain;
mod tokens;
mod xhtml;

pub use plain::{text_of_element, to_text};
pub use xhtml::{NS, sanitize};

/// Elements whose content is never shown. Of a head that is its title, style and scripts, since its
/// own end may be left out.
const HIDDEN: [&str; 12] = [
    "applet", "audio", "canvas", "iframe", "math", "noscript", "object", "script", "style", "svg",
    "template", "title",
];

/// Elements that never have content.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];

/// URL schemes that a link may have.
const SCHEMES: [&str; 9] = [
    "http", "https", "ftp", "mailto", "xmpp", "sip", "sips", "im", "tel",
];

/// Whether `url` may be shown as a link: a known scheme, and no character that could end it.
fn is_link(url: &str) -> bool {
    let known = |(scheme, _): (&str, &str)| SCHEMES.contains(&scheme.to_ascii_lowercase().as_str());
    url.split_once(':').is_some_and(known)
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}
