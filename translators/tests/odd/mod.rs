//! Text and addresses as odd as they may be.
#![allow(dead_code, reason = "not every test needs all of it")]

use jid::Jid;
use proptest::collection::vec;
use proptest::prelude::*;
use translators::address::{self, Spelling};
use translators::text::clean;

/// Text that tries to end what it stands in.
pub(crate) fn nasty() -> impl Strategy<Value = String> {
    let hooks = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "\0",
        "\u{b}",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{fffe}",
        "\u{202e}",
        "\t",
        " ",
        "\"",
        "'",
        "\\",
        "<",
        ">",
        "&",
        ";",
        ",",
        "@",
        ":",
        "=",
        "%",
        "?",
        "/",
        "\\5c",
        "\\20",
        "%0d%0a",
        "&lt;",
        "&#10;",
        "]]>",
        "<![CDATA[",
        "<!--",
        "</body>",
        "</message>",
        "<message to='x'>",
        "</stream:stream>",
        "<script>",
        "javascript:x",
        "Via: x",
        "\r\n\r\n",
        "Content-Length: 0\r\n\r\nMESSAGE sip:a@b SIP/2.0\r\n",
        "--b\r\n",
        "a",
        "B",
        "\u{fc}",
        "\u{1f600}",
    ]);
    vec(
        prop_oneof![hooks.prop_map(str::to_owned), any::<String>()],
        0..6,
    )
    .prop_map(|pieces| pieces.concat())
}

pub(crate) fn legal() -> impl Strategy<Value = String> {
    nasty().prop_map(|text| clean(&text).into_owned())
}

/// A JID at `domain` whose parts are as odd as JIDs may be.
pub(crate) fn odd_jid(domain: &'static str) -> impl Strategy<Value = Jid> {
    let parts = (nasty(), prop::option::of(nasty()));
    parts.prop_filter_map("no JID", move |(local, resource)| {
        let local: String = local.chars().map(local_char).collect();
        let text = match resource {
            Some(resource) => {
                let resource: String = resource.chars().filter(resource_char).collect();
                format!("a{local}@{domain}/{resource}r")
            }
            None => format!("a{local}@{domain}"),
        };
        let jid = Jid::new(&text).ok()?;
        let mapped = address::to_sip(&jid, Spelling::Plain);
        mapped.is_ok().then_some(jid)
    })
}

/// A character as a local part may hold it, if it may at all.
fn local_char(c: char) -> String {
    let escaped = match c {
        ' ' | '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@' => format!("\\{:02x}", u32::from(c)),
        c => c.to_string(),
    };
    let fits = Jid::new(&format!("a{escaped}a@example.com")).is_ok();
    if fits { escaped } else { String::new() }
}

fn resource_char(c: &char) -> bool {
    Jid::new(&format!("example.com/a{c}a")).is_ok()
}
