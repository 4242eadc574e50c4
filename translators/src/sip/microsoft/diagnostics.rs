//! `ms-diagnostics`: why a Microsoft server refused a request ([MS-OCER] section 2.2.1).
//!
//! `<id>;reason="...";source="..."` and further parameters. A response holds one header for each
//! server that has something to say; to partners they are sent only where that is switched on, so
//! their absence says nothing. What cannot be read is left out: these headers explain, and nothing
//! but a condition hangs on them.

use std::fmt;

use crate::limits;
use crate::sip::cursor::{Cursor, is_space};
use crate::sip::{Defect, Head, HeaderName};
use crate::text::{QuotedText, remark};

/// What one server says about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Number of the reason. The text beside it differs between releases and explains nothing.
    pub id: u32,
    /// The reason in the words of the server, cleaned, at most [`limits::REMARK`] characters.
    pub reason: Option<String>,
    /// The server that says so.
    pub source: Option<String>,
    /// Everything else that it says, such as `ErrorType`, `tls-target`, `PeerServer` and `HRESULT`:
    /// names as written, values cleaned; at most [`limits::DIAGNOSTIC_PARAMETERS`].
    pub parameters: Vec<(String, String)>,
    /// Whether it is the form that a server gives the world outside.
    pub is_public: bool,
}

impl Diagnostic {
    /// Reads what the headers of a response say, in their order, at most [`limits::DIAGNOSTICS`].
    pub fn all_of(head: &Head) -> Vec<Self> {
        let is_meant = |id| {
            matches!(
                id,
                HeaderName::MsDiagnostics | HeaderName::MsDiagnosticsPublic
            )
        };
        let headers = head.headers().filter(|header| is_meant(header.id));
        let found = headers.flat_map(|header| {
            let is_public = header.id == HeaderName::MsDiagnosticsPublic;
            Self::all_in(&header.text(), is_public)
        });
        found.take(limits::DIAGNOSTICS).collect()
    }

    /// Reads the value of one header, on one line.
    pub fn all_in(value: &str, is_public: bool) -> Vec<Self> {
        let mut value = Cursor::new(value, 0, Defect::Header(HeaderName::MsDiagnostics));
        let mut found = Vec::new();
        while found.len() < limits::DIAGNOSTICS
            && let Some(diagnostic) = read(&mut value, is_public)
        {
            found.push(diagnostic);
            if !value.eat(b',') {
                break;
            }
        }
        found
    }

    /// The value of a parameter, in any letter case of its name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut same = self.parameters.iter();
        let (_, value) = same.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// As a server writes it, the reason first.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        let named = [("reason", &self.reason), ("source", &self.source)];
        let named = named
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.as_ref()?)));
        let others = self.parameters.iter();
        let others = others.map(|(name, text)| (name.as_str(), text));
        for (name, text) in named.chain(others) {
            write!(f, ";{name}={}", QuotedText::new(text))?;
        }
        Ok(())
    }
}

/// Reads `id *(SEMI name EQUAL value)`.
fn read(value: &mut Cursor<'_>, is_public: bool) -> Option<Diagnostic> {
    value.skip_space();
    let id = value.take_while(|octet| octet.is_ascii_digit());
    let mut diagnostic = Diagnostic {
        id: id.parse().ok()?,
        reason: None,
        source: None,
        parameters: Vec::new(),
        is_public,
    };
    while value.eat(b';') {
        let name =
            value.take_while(|octet| !matches!(octet, b'=' | b';' | b',') && !is_space(octet));
        let text = if value.eat(b'=') {
            parameter_value(value)
        } else {
            String::new()
        };
        diagnostic.add(name, &text);
    }
    Some(diagnostic)
}

/// Reads a quoted string, which may lack its end, or what comes up to the next separator.
fn parameter_value(value: &mut Cursor<'_>) -> String {
    if value.peek() != Some(b'"') {
        let plain = value.take_while(|octet| !matches!(octet, b';' | b','));
        return plain.trim().to_owned();
    }
    let mut text = String::new();
    let mut is_escaped = false;
    let mut octets = 1;
    for c in value.rest().chars().skip(1) {
        octets += c.len_utf8();
        match c {
            '"' if !is_escaped => break,
            '\\' if !is_escaped => is_escaped = true,
            c => {
                text.push(c);
                is_escaped = false;
            }
        }
    }
    value.seek(value.pos() + octets);
    text
}

impl Diagnostic {
    fn add(&mut self, name: &str, text: &str) {
        let (Some(name), Some(text)) = (remark(name), remark(text)) else {
            return;
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("reason") {
            self.reason.get_or_insert(text);
        } else if is("source") {
            self.source.get_or_insert(text);
        } else if self.parameters.len() < limits::DIAGNOSTIC_PARAMETERS {
            self.parameters.push((name, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::sip::Message;

    fn diagnostics(headers: &str) -> Vec<Diagnostic> {
        let text = format!("SIP/2.0 504 Server time-out\r\n{headers}Content-Length: 0\r\n\r\n");
        match Message::parse(Bytes::from(text)).unwrap() {
            Message::Response(response) => Diagnostic::all_of(&response),
            Message::Request(_) => unreachable!("a status line"),
        }
    }

    #[test]
    fn reason_source_and_parameters_are_read() {
        let found = diagnostics(
            "ms-diagnostics: 1010;reason=\"Certificate trust with another server could not be \
             established\";ErrorType=\"The peer certificate does not contain a matching FQDN\";\
             tls-target=\"gw.example.net\";PeerServer=\"gw.example.net\";HRESULT=\"0x80090322(SEC)\";\
             source=\"sip.lync.example\"\r\n",
        );

        let [found] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((found.id, found.is_public), (1010, false));
        assert_eq!(found.source.as_deref(), Some("sip.lync.example"));
        assert_eq!(found.parameter("TLS-Target"), Some("gw.example.net"));
        assert_eq!(found.parameter("hresult"), Some("0x80090322(SEC)"));
        assert_eq!(found.parameters.len(), 4);
        assert!(found.reason.as_deref().unwrap().starts_with("Certificate"));
    }

    #[test]
    fn every_server_on_the_way_has_its_word() {
        let found = diagnostics(
            "MS-DIAGNOSTICS-PUBLIC: 1034;Reason=\"Previous hop\";AppUri=\"http://x/y;z,a\"\r\n\
             Ms-Diagnostics: 10003;source=\"a\";reason=\"x \\\"y\\\"\" , 99999;k=v\r\n",
        );

        let ids: Vec<_> = found.iter().map(|one| (one.id, one.is_public)).collect();
        assert_eq!(ids, [(1034, true), (10003, false), (99_999, false)]);
        assert_eq!(found[0].parameter("appuri"), Some("http://x/y;z,a"));
        assert_eq!(found[1].reason.as_deref(), Some("x \"y\""));
        let shown = found[1].to_string();
        assert_eq!(shown, "10003;reason=\"x \\\"y\\\"\";source=\"a\"");
        assert_eq!(found[2].parameters, [("k".to_owned(), "v".to_owned())]);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(diagnostics(""), []);
        assert_eq!(diagnostics("ms-diagnostics: none\r\n"), []);
        assert_eq!(diagnostics("ms-diagnostics: 99999999999\r\n"), []);
        let cut = diagnostics("ms-diagnostics: 1003 ; reason=\"no end\r\n");
        assert_eq!(cut[0].reason.as_deref(), Some("no end"));
    }

    #[test]
    fn a_flood_is_cut_off() {
        let parameters = ";k=v".repeat(40);
        let found = diagnostics(&format!("ms-diagnostics: 1{parameters}\r\n").repeat(100));

        assert_eq!(found.len(), limits::DIAGNOSTICS);
        assert_eq!(found[0].parameters.len(), limits::DIAGNOSTIC_PARAMETERS);
        let long = format!("ms-diagnostics: 1;reason=\"{}\"\r\n", "a".repeat(5_000));
        let reason = diagnostics(&long)[0].reason.clone().unwrap();
        assert_eq!(reason.len(), limits::REMARK);
    }

    proptest! {
        #[test]
        fn any_value_is_survived(value in "[0-9a-z;,=\"\\\\ é]{0,60}") {
            let found = diagnostics(&format!("ms-diagnostics: {value}\r\n"));
            prop_assert!(found.len() <= limits::DIAGNOSTICS);
        }
    }
}
