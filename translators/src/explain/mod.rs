//! Explains to an operator what a message of one side becomes on the other, and why.
//!
//! It uses the same functions as the gateway itself. Where the configuration does not know a
//! domain, a peer of that side with default settings is assumed and the assumption is told.

mod conversation;
mod diagnostics;
mod log;
mod presence;
mod sip;
mod subscription;
#[cfg(test)]
mod tests;
mod xmpp;

use std::fmt;

use crate::model::{
    Accept, Dialect, Directory, Domain, PeerId, Profile, Reason, Side, SipProfile, Wall,
    XmppProfile,
};

/// What was found out, line by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    lines: Vec<String>,
}

impl Explanation {
    /// The lines: sentences, and messages indented below the sentence that they belong to.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Adds a sentence.
    fn says(&mut self, sentence: impl Into<String>) {
        self.lines.push(sentence.into());
    }

    /// Adds a message, indented.
    fn shows(&mut self, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        let lines = text.lines().map(|line| format!("    {line}"));
        self.lines.extend(lines);
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Explains a SIP message, a stanza, an XML document, a fragment of one of these, or a log in
/// which they stand. `None` for what is neither SIP nor XML.
pub fn explain(input: &[u8], directory: &Directory, now: Wall) -> Option<Explanation> {
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let input = input.trim_ascii_start();
    let desk = Desk { directory, now };
    let mut story = Explanation::default();
    let known = if input.starts_with(b"<") {
        xmpp::explain(input, &desk, &mut story)
    } else {
        sip::explain(input, &desk, &mut story) || log::explain(input, &desk, &mut story)
    };
    known.then_some(story)
}

/// What an explanation starts from.
struct Desk<'a> {
    directory: &'a Directory,
    now: Wall,
}

impl Desk<'_> {
    /// The directory, with a peer of default settings for each domain that it lacks on its side.
    fn with_peers(&self, sides: &[(Side, &Domain)], story: &mut Explanation) -> Directory {
        let mut profiles: Vec<Profile> = self.directory.peers().cloned().collect();
        for (side, domain) in sides {
            if self.directory.owner_on(*side, domain).is_some() {
                continue;
            }
            if self.directory.peers().next().is_some() {
                let name = side_name(*side);
                story.says(format!(
                    "No {name} peer of the configuration has the domain {domain}: the gateway would refuse this. \
                     What follows assumes such a peer with default settings."
                ));
            }
            // In front, so that it has the domain even if a peer of the other side claims it.
            profiles.insert(0, assumed(*side, domain));
        }
        Directory::new(profiles)
    }

    /// Whether the configuration puts `domain` on `side`.
    fn is_on(&self, side: Side, domain: &Domain) -> bool {
        self.directory.owner_on(side, domain).is_some()
    }
}

/// A peer with default settings.
fn assumed(side: Side, domain: &Domain) -> Profile {
    Profile {
        id: PeerId::new(&format!("assumed {side} peer for {domain}")),
        domains: vec![domain.clone()],
        accept: Accept::default(),
        dialect: match side {
            Side::Sip => Dialect::Sip(SipProfile::default()),
            Side::Xmpp => Dialect::Xmpp(XmppProfile::default()),
        },
    }
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Sip => "SIP",
        Side::Xmpp => "XMPP",
    }
}

/// Why something is dropped, as a sentence.
const fn dropped(reason: Reason) -> &'static str {
    match reason {
        Reason::Carbon => "It is a copy for another device (XEP-0280) and is dropped.",
        Reason::Denied => "Policy does not let the two exchange, so it is dropped.",
        Reason::Duplicate => "It is a repetition and is dropped.",
        Reason::Empty => "It carries nothing that the other side has a form for and is dropped.",
        Reason::Expired => "Its Expires has passed (RFC 3428 section 7), so it is dropped.",
        Reason::Room => "It is traffic of a room that nobody here is in and is dropped.",
        Reason::Superseded => "A newer state takes its place, so it is dropped.",
        Reason::Unmatched => "It belongs to no message that is known and is dropped.",
    }
}
