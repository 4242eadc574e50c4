//! Comparing a SIP message with the expected one.

use std::collections::BTreeSet;

use super::compare_body;
use super::names::{Kind, Names};
use super::sip::{Sip, split_outside};
use super::values::{Address, canonical_type, canonical_uri, canonical_value};
use super::volatile::Volatile;

/// What a comparison needs to know of its vector.
pub(crate) struct Context<'a> {
    pub(crate) names: &'a mut Names,
    pub(crate) volatile: &'a Volatile,
    pub(crate) notes: &'a [String],
}

/// Every difference, in words.
pub(crate) fn compare(expected: &Sip, actual: &Sip, context: &mut Context<'_>) -> Vec<String> {
    let mut differences = Vec::new();
    compare_start(expected, actual, context, &mut differences);
    let named: BTreeSet<String> = expected
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    for name in named {
        compare_header(&name, expected, actual, context, &mut differences);
    }
    for (name, _) in &actual.headers {
        if expected.header(name).is_none() && is_forbidden(name, context.notes) {
            differences.push(format!("{name} is there, but a note forbids it"));
        }
    }
    let length = actual
        .header("Content-Length")
        .and_then(|length| length.parse().ok());
    if length != Some(actual.body.len()) {
        differences.push(format!(
            "Content-Length {length:?} of a body of {}",
            actual.body.len()
        ));
    }
    if !context.volatile.is("body") {
        let kind = expected.header("Content-Type").unwrap_or_default();
        differences.extend(compare_body::compare(
            kind,
            &expected.body,
            &actual.body,
            context,
        ));
    }
    differences
}

fn compare_start(
    expected: &Sip,
    actual: &Sip,
    context: &Context<'_>,
    differences: &mut Vec<String>,
) {
    let same = match (expected.status(), actual.status()) {
        (Some(wanted), Some(status)) => {
            let either = context.volatile.statuses();
            wanted == status || (either.contains(&wanted) && either.contains(&status))
        }
        (None, None) => {
            let real = context
                .names
                .real(Kind::Contact, expected.uri())
                .unwrap_or_else(|| expected.uri());
            expected.method() == actual.method()
                && canonical_uri(real) == canonical_uri(actual.uri())
        }
        _ => false,
    };
    if !same {
        differences.push(format!(
            "start line {:?}, expected {:?}",
            actual.start, expected.start
        ));
    }
}

fn compare_header(
    name: &str,
    expected: &Sip,
    actual: &Sip,
    context: &mut Context<'_>,
    differences: &mut Vec<String>,
) {
    let ours = !actual.is_response();
    let same = match name {
        "content-length" => true,
        "via" if ours => true,
        "call-id" => context
            .names
            .same(Kind::CallId, expected.call_id(), actual.call_id()),
        "cseq" => {
            let (wanted, got) = (expected.cseq(), actual.cseq());
            let any_number = ours || context.volatile.part("CSeq", "number");
            wanted.1 == got.1 && (any_number || wanted.0 == got.0)
        }
        "from" | "to" | "contact" => same_addresses(name, expected, actual, context),
        _ => {
            let any_charset = context.volatile.part("Content-Type", "charset");
            let canonical = |value: &str| match name {
                "content-type" => vec![canonical_type(value, any_charset)],
                "warning" => vec![warning(value, context.volatile)],
                "subject" | "date" | "user-agent" | "server" => vec![value.to_owned()],
                "record-route" | "route" | "refer-to" | "referred-by" | "p-asserted-identity" => {
                    split_outside(value, ',')
                        .iter()
                        .map(|one| route(one))
                        .collect()
                }
                _ => split_outside(value, ',')
                    .iter()
                    .map(|one| canonical_value(&without_parts(name, one, context.volatile)))
                    .collect(),
            };
            multiset(expected, name, canonical) == multiset(actual, name, canonical)
        }
    };
    if !same && !context.volatile.is(name) {
        let values = |sip: &Sip| sip.all(name).collect::<Vec<_>>().join(" | ");
        let (wanted, got) = (values(expected), values(actual));
        differences.push(format!("{name}: {got:?}, expected {wanted:?}"));
    }
}

fn multiset(sip: &Sip, name: &str, canonical: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut values: Vec<String> = sip.all(name).flat_map(canonical).collect();
    values.sort_unstable();
    values
}

/// From, To and Contact: display, URI, parameters; tags and Contact URIs may be the gateway's.
fn same_addresses(name: &str, expected: &Sip, actual: &Sip, context: &mut Context<'_>) -> bool {
    let read = |sip: &Sip| -> Vec<Address> {
        let values = sip
            .all(name)
            .flat_map(|value| split_outside(value, ','))
            .map(Address::read);
        values.collect()
    };
    let (wanted, got) = (read(expected), read(actual));
    wanted.len() == got.len()
        && wanted
            .into_iter()
            .zip(got)
            .all(|(wanted, got)| same_address(name, wanted, got, context))
}

fn same_address(
    name: &str,
    mut wanted: Address,
    mut got: Address,
    context: &mut Context<'_>,
) -> bool {
    let tags = match (wanted.params.remove("tag"), got.params.remove("tag")) {
        (Some(wanted), Some(got)) => context.names.same(Kind::Tag, &wanted, &got),
        (None, None) => true,
        _ => false,
    };
    let uris = canonical_uri(&wanted.uri) == canonical_uri(&got.uri)
        || (name == "contact" && context.names.same(Kind::Contact, &wanted.uri, &got.uri));
    let displays = wanted.display == got.display || context.volatile.part(name, "display");
    (tags || context.volatile.part(name, "tag")) && uris && displays && wanted.params == got.params
}

fn route(value: &str) -> String {
    let address = Address::read(value);
    format!(
        "{}|{}|{:?}",
        address.display,
        canonical_uri(&address.uri),
        address.params
    )
}

fn warning(value: &str, volatile: &Volatile) -> String {
    let mut words = value.splitn(3, ' ');
    let (code, agent, text) = (words.next(), words.next(), words.next());
    let agent = agent.filter(|_| !volatile.part("Warning", "agent"));
    format!("{code:?} {agent:?} {text:?}")
}

/// The value without the parameters that are volatile, such as `Subscription-State.expires`.
fn without_parts(name: &str, value: &str, volatile: &Volatile) -> String {
    let keep = |part: &&str| {
        let key = part.split('=').next().unwrap_or_default().trim();
        !volatile.part(name, key)
    };
    split_outside(value, ';')
        .into_iter()
        .filter(keep)
        .collect::<Vec<_>>()
        .join(";")
}

/// Notes of the form "no Contact in MESSAGE" forbid a header that the expected message has not.
fn is_forbidden(name: &str, notes: &[String]) -> bool {
    notes.iter().any(|note| {
        let mut words = note.split_whitespace();
        words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("no"))
            && words
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case(name))
    })
}
