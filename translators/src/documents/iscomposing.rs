//! "Is composing" indications (RFC 3994).

use std::time::Duration;

use minidom::Element;

use crate::documents::{Unreadable, xml};

/// Content type of the document.
pub const CONTENT_TYPE: &str = "application/im-iscomposing+xml";

const NS: &str = "urn:ietf:params:xml:ns:im-iscomposing";

/// Shortest refresh interval that a sender may ask for (section 3.2).
pub const SHORTEST_REFRESH: Duration = Duration::from_secs(60);

/// Whether somebody writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// He writes.
    Active {
        /// Time after which he is idle again without another word.
        refresh: Option<Duration>,
    },
    /// He does not.
    Idle,
}

/// Reads a document; an unknown state counts as idle (section 3.5).
pub fn read(document: &[u8]) -> Result<State, Unreadable> {
    let root = xml::read(document)?;
    if !root.is("isComposing", NS) {
        return Err(Unreadable::Unexpected);
    }
    let state = root.get_child("state", NS).ok_or(Unreadable::Unexpected)?;
    if state.text().trim() != "active" {
        return Ok(State::Idle);
    }
    let seconds = root.get_child("refresh", NS).and_then(seconds);
    Ok(State::Active {
        refresh: seconds.map(Duration::from_secs),
    })
}

/// Reads an interval; zero is none.
fn seconds(element: &Element) -> Option<u64> {
    let seconds = element.text().trim().parse().ok()?;
    (seconds > 0).then_some(seconds)
}

/// Writes a document.
pub fn write(state: State) -> String {
    let (token, refresh) = match state {
        State::Active { refresh: None } => ("active", String::new()),
        State::Active {
            refresh: Some(refresh),
        } => {
            let seconds = refresh.max(SHORTEST_REFRESH).as_secs();
            ("active", format!("  <refresh>{seconds}</refresh>\r\n"))
        }
        State::Idle => ("idle", String::new()),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <isComposing xmlns=\"{NS}\">\r\n  <state>{token}</state>\r\n{refresh}</isComposing>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(seconds: u64) -> State {
        State::Active {
            refresh: Some(Duration::from_secs(seconds)),
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for state in [
            active(60),
            active(90),
            State::Active { refresh: None },
            State::Idle,
        ] {
            assert_eq!(read(write(state).as_bytes()), Ok(state));
        }
        assert_eq!(read(write(active(1)).as_bytes()), Ok(active(60)));
    }

    #[test]
    fn reads_what_others_write() {
        let document = |state: &str| {
            format!(
                "<isComposing xmlns='{NS}'><state>{state}</state><contenttype>text/plain</contenttype></isComposing>"
            )
        };

        assert_eq!(
            read(document(" active ").as_bytes()),
            Ok(State::Active { refresh: None })
        );
        assert_eq!(read(document("idle").as_bytes()), Ok(State::Idle));
        assert_eq!(read(document("thinking").as_bytes()), Ok(State::Idle));
        assert_eq!(read(b"<isComposing/>"), Err(Unreadable::Unexpected));
        assert_eq!(
            read(format!("<isComposing xmlns='{NS}'/>").as_bytes()),
            Err(Unreadable::Unexpected)
        );
    }
}
