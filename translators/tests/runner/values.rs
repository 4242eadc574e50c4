//! Canonical forms of URIs and header values.

use std::collections::BTreeMap;

use super::sip::split_outside;

/// A From, To, Contact or similar value.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) display: String,
    pub(crate) uri: String,
    pub(crate) params: BTreeMap<String, String>,
}

impl Address {
    pub(crate) fn read(value: &str) -> Self {
        let bracketed = value
            .split_once('<')
            .and_then(|(display, rest)| Some((display, rest.split_once('>')?)));
        let (display, (uri, rest)) = bracketed.unwrap_or_else(|| {
            let end = value.find(';').unwrap_or(value.len());
            ("", value.split_at_checked(end).unwrap_or((value, "")))
        });
        Self {
            display: unquote(display.trim()),
            uri: uri.trim().to_owned(),
            params: params(rest),
        }
    }
}

/// A URI with everything decoded that may be encoded, its parts apart.
pub(crate) fn canonical_uri(uri: &str) -> String {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let (user, rest) = match rest.split_once('@') {
        Some((user, rest)) => (decode(user), rest),
        None => (String::new(), rest),
    };
    let (rest, headers) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = rest.split(';');
    let host = parts.next().unwrap_or_default().to_ascii_lowercase();
    let mut params: Vec<String> = parts.map(canonical_param).collect();
    params.sort_unstable();
    let scheme = scheme.to_ascii_lowercase();
    format!("{scheme}|{user}|{host}|{params:?}|{headers}")
}

/// A value and its parameters, unordered.
pub(crate) fn canonical_value(value: &str) -> String {
    let mut parts = split_outside(value, ';').into_iter();
    let head = parts.next().unwrap_or_default().to_owned();
    let mut params: Vec<String> = parts.map(canonical_param).collect();
    params.sort_unstable();
    format!("{head}|{params:?}")
}

/// A media type; UTF-8 as charset says nothing, any charset if it is to be ignored.
pub(crate) fn canonical_type(value: &str, any_charset: bool) -> String {
    let mut parts = split_outside(value, ';').into_iter();
    let head = parts.next().unwrap_or_default().to_ascii_lowercase();
    let mut params: Vec<String> = parts
        .map(canonical_param)
        .filter(|param| !param.eq_ignore_ascii_case("charset=utf-8"))
        .filter(|param| !(any_charset && param.starts_with("charset=")))
        .collect();
    params.sort_unstable();
    format!("{head}|{params:?}")
}

/// The part of a media type before its parameters, in lower case.
pub(crate) fn media_type(value: &str) -> String {
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

pub(crate) fn decode(text: &str) -> String {
    let (mut decoded, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let hex = behind.get(..2).filter(|_| *first == b'%');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn params(rest: &str) -> BTreeMap<String, String> {
    let parts = split_outside(rest, ';').into_iter().skip(1);
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim().to_ascii_lowercase(), unquote(value.trim()))
        })
        .collect()
}

fn canonical_param(param: &str) -> String {
    match param.split_once('=') {
        Some((name, value)) => {
            let value = decode(&unquote(value.trim()));
            format!("{}={value}", name.trim().to_ascii_lowercase())
        }
        None => param.trim().to_ascii_lowercase(),
    }
}

fn unquote(text: &str) -> String {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    else {
        return text.to_owned();
    };
    let (mut plain, mut escaped) = (String::new(), false);
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    plain
}
