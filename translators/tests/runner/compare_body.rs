//! Comparing bodies by their media type.

use super::compare_sip::Context;
use super::compare_xml;
use super::names::Kind;
use super::sip::{Sip, split};
use super::values::{canonical_type, media_type};

/// Every difference between two bodies of the media type that is expected.
pub(crate) fn compare(
    kind: &str,
    expected: &[u8],
    actual: &[u8],
    context: &mut Context<'_>,
) -> Vec<String> {
    match media_type(kind).as_str() {
        "message/cpim" => compare_cpim(expected, actual, context),
        "application/sdp" => sdp(expected, actual),
        kind if kind.ends_with("+xml") => {
            compare_xml::documents(expected, actual, context.volatile)
        }
        _ if context.volatile.is("body text") && !expected.is_empty() && !actual.is_empty() => {
            Vec::new()
        }
        _ if expected == actual => Vec::new(),
        _ => vec![format!(
            "body {:?}, expected {:?}",
            lossy(actual),
            lossy(expected)
        )],
    }
}

fn compare_cpim(expected: &[u8], actual: &[u8], context: &mut Context<'_>) -> Vec<String> {
    let (Some(wanted), Some(got)) = (cpim(expected), cpim(actual)) else {
        return vec![format!("body is no CPIM message: {:?}", lossy(actual))];
    };
    let mut differences = Vec::new();
    for (name, value) in &wanted.0.headers {
        let found: Vec<&str> = got.0.all(name).collect();
        let same = match name.as_str() {
            "DateTime" => !found.is_empty(),
            "imdn.Message-ID" => {
                matches!(found.as_slice(), [one] if context.names.same(Kind::MessageId, value, one))
            }
            _ => found.contains(&value.as_str()),
        };
        if !same && !context.volatile.part("CPIM", name) {
            differences.push(format!("CPIM {name}: {found:?}, expected {value:?}"));
        }
    }
    let any_charset = context.volatile.part("Content-Type", "charset");
    let kind = |sip: &Sip| sip.header("Content-Type").unwrap_or_default().to_owned();
    let (wanted_kind, got_kind) = (kind(&wanted.1), kind(&got.1));
    if canonical_type(&wanted_kind, any_charset) != canonical_type(&got_kind, any_charset) {
        differences.push(format!(
            "inner Content-Type {got_kind:?}, expected {wanted_kind:?}"
        ));
    }
    let length = got.1.header("Content-Length");
    if let Some(length) = length.filter(|length| length.parse() != Ok(got.1.body.len())) {
        differences.push(format!("inner Content-Length {length} is wrong"));
    }
    differences.extend(compare(&wanted_kind, &wanted.1.body, &got.1.body, context));
    differences
}

/// The CPIM headers and the MIME part behind them (RFC 3862 section 2).
fn cpim(bytes: &[u8]) -> Option<(Sip, Sip)> {
    let (headers, content) = split(bytes, b"\r\n\r\n")?;
    let part = |parts: &[&[u8]]| Sip::read(&parts.concat()).ok();
    let headers = part(&[b"-\r\n", headers, b"\r\n\r\n"])?;
    Some((headers, part(&[b"-\r\n", content])?))
}

/// Session descriptions are compared by their media names only.
fn sdp(expected: &[u8], actual: &[u8]) -> Vec<String> {
    let media = |bytes: &[u8]| -> Vec<String> {
        let text = lossy(bytes);
        let lines = text.lines().filter_map(|line| line.strip_prefix("m="));
        lines
            .filter_map(|line| line.split(' ').next())
            .map(str::to_owned)
            .collect()
    };
    let (wanted, got) = (media(expected), media(actual));
    if wanted == got {
        Vec::new()
    } else {
        vec![format!("media {got:?}, expected {wanted:?}")]
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
