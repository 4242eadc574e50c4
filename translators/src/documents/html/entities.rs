//! Character references (HTML Living Standard section 13.5, the ones that messages contain).

/// Names and what they stand for.
const NAMED: [(&str, char); 40] = [
    ("amp", '&'),
    ("apos", '\''),
    ("gt", '>'),
    ("lt", '<'),
    ("quot", '"'),
    ("nbsp", '\u{a0}'),
    ("Auml", '\u{c4}'),
    ("Ouml", '\u{d6}'),
    ("Uuml", '\u{dc}'),
    ("aacute", '\u{e1}'),
    ("agrave", '\u{e0}'),
    ("aring", '\u{e5}'),
    ("atilde", '\u{e3}'),
    ("auml", '\u{e4}'),
    ("bull", '\u{2022}'),
    ("ccedil", '\u{e7}'),
    ("copy", '\u{a9}'),
    ("deg", '\u{b0}'),
    ("eacute", '\u{e9}'),
    ("ecirc", '\u{ea}'),
    ("egrave", '\u{e8}'),
    ("euro", '\u{20ac}'),
    ("hellip", '\u{2026}'),
    ("iacute", '\u{ed}'),
    ("laquo", '\u{ab}'),
    ("ldquo", '\u{201c}'),
    ("lsquo", '\u{2018}'),
    ("mdash", '\u{2014}'),
    ("middot", '\u{b7}'),
    ("ndash", '\u{2013}'),
    ("ntilde", '\u{f1}'),
    ("oacute", '\u{f3}'),
    ("ouml", '\u{f6}'),
    ("raquo", '\u{bb}'),
    ("rdquo", '\u{201d}'),
    ("reg", '\u{ae}'),
    ("rsquo", '\u{2019}'),
    ("szlig", '\u{df}'),
    ("trade", '\u{2122}'),
    ("uuml", '\u{fc}'),
];

/// Longest reference looked for, from `&` to `;`.
const LONGEST: usize = 12;

/// Replaces the references in `text`; what is none stays as it is.
pub(super) fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(LONGEST).position(|octet| octet == b';');
        let reference =
            end.and_then(|end| Some((lookup(after.get(..end)?)?, after.get(end + 1..)?)));
        let (c, behind) = reference.unwrap_or(('&', after));
        out.push(c);
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The character that a reference names.
fn lookup(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    let named = NAMED.iter().find(|(known, _)| *known == name);
    named.map(|(_, c)| *c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_once() {
        assert_eq!(decode("a &amp;lt; b&#65;&#x42;&uuml;"), "a &lt; bAB\u{fc}");
        assert_eq!(decode("&unknown; & &; &#xd800;"), "&unknown; & &; \u{fffd}");
        assert_eq!(decode("AT&T"), "AT&T");
    }
}
