//! Presence documents as a Microsoft server writes them, in the order in which it prefers them.

use super::message::Message;

/// A document's form. A server picks the first of these that the watcher lists (MS-PRES 86ba040c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/msrtc-event-categories+xml`.
    Categories,
    /// `text/xml+msrtc.pidf`.
    Msrtc,
    /// `application/pidf+xml`.
    Pidf,
}

/// What a user has published, in the numbers of the state category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// 3500 available, 5000 idle, 6500 busy, 9500 do not disturb, 12500 be right back, 15500 away,
    /// 18500 offline; anything between is like what is below it.
    pub availability: u32,
    /// A token such as `in-a-meeting`.
    pub token: String,
    /// The personal note.
    pub note: String,
}

impl Default for State {
    fn default() -> Self {
        Self::new(3500, "", "")
    }
}

impl State {
    /// Nobody at home.
    pub fn offline() -> Self {
        Self::new(18_500, "", "")
    }

    /// With a token and a note, either of which may be empty.
    pub fn new(availability: u32, token: &str, note: &str) -> Self {
        Self {
            availability,
            token: token.to_owned(),
            note: note.to_owned(),
        }
    }

    /// Availability and activity of msrtc.pidf (MS-SIP 2.2.1).
    fn aggregates(&self) -> (u32, u32) {
        match self.availability {
            3000..4500 => (300, 400),
            4500..6000 => (300, 200),
            6000..12_000 => (300, 600),
            12_000..15_000 => (300, 300),
            15_000..18_000 => (300, 100),
            _ => (0, 0),
        }
    }
}

impl Form {
    /// All, most preferred first.
    const ALL: [Self; 3] = [Self::Categories, Self::Msrtc, Self::Pidf];

    /// The media type.
    pub fn media(self) -> &'static str {
        match self {
            Self::Categories => "application/msrtc-event-categories+xml",
            Self::Msrtc => "text/xml+msrtc.pidf",
            Self::Pidf => "application/pidf+xml",
        }
    }

    /// The first in the fixed order that a SUBSCRIBE lists.
    pub(super) fn wanted(request: &Message) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|form| request.names("Accept", form.media()))
    }

    /// Writes what a user has published.
    pub(super) fn write(self, aor: &str, display: &str, epid: &str, state: &State) -> String {
        match self {
            Self::Categories => categories(aor, display, state),
            Self::Msrtc => msrtc(aor, display, epid, state),
            Self::Pidf => pidf(aor, display, state),
        }
    }
}

fn pidf(aor: &str, display: &str, state: &State) -> String {
    let (basic, activity) = match state.availability {
        3000..6000 => ("open", ""),
        6000..12_000 => ("open", "busy"),
        12_000..18_000 => ("open", "away"),
        _ => ("closed", ""),
    };
    let activities = match activity {
        "" => String::new(),
        word => format!("<ep:activities><ep:activity>{word}</ep:activity></ep:activities>"),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><presence \
         xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:ep=\"urn:ietf:params:xml:ns:pidf:status:rpid-status\" \
         xmlns:ci=\"urn:ietf:params:xml:ns:pidf:cipid\" entity=\"sip:{aor}\">\
         <tuple id=\"0\"><status><basic>{basic}</basic>{activities}</status></tuple>\
         <ci:display-name>{}</ci:display-name></presence>",
        escape(display)
    )
}

fn msrtc(aor: &str, display: &str, epid: &str, state: &State) -> String {
    let (availability, activity) = state.aggregates();
    let is_online = availability > 0;
    let note = match state.note.as_str() {
        "" => String::new(),
        note => format!("<note>{}</note>", escape(note)),
    };
    let is_told = is_online && state.availability != 3500;
    let states = if is_told {
        let OwnState { avail, token } = OwnState::of(state);
        format!(
            "<states><state avail=\"{avail}\" since=\"2026-01-01T00:00:00Z\" \
             validWith=\"any-device\" deviceId=\"{epid}\" set=\"manual\" \
             xsi:type=\"userState\">{token}</state></states>"
        )
    } else {
        String::new()
    };
    let info = if is_online && !(note.is_empty() && states.is_empty()) {
        format!("<userInfo>{note}{states}</userInfo>")
    } else {
        String::new()
    };
    format!(
        "<presentity uri=\"{aor}\" xmlns=\"http://schemas.microsoft.com/2002/09/sip/presence\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" >\
         <availability aggregate=\"{availability}\" description=\"\" />\
         <activity aggregate=\"{activity}\" description=\"\" />\
         <displayName displayName=\"{}\" />{info}</presentity>",
        escape(display)
    )
}

/// The user's own state in msrtc.pidf.
struct OwnState {
    avail: u32,
    token: String,
}

impl OwnState {
    fn of(state: &State) -> Self {
        let token = match state.token.as_str() {
            "" => match state.availability {
                4500..6000 => "idle",
                6000..9000 => "busy",
                9000..12_000 => "do-not-disturb",
                12_000..15_000 => "be-right-back",
                _ => "away",
            },
            token => token,
        };
        Self {
            avail: state.availability,
            token: escape(token),
        }
    }
}

fn categories(aor: &str, display: &str, state: &State) -> String {
    let token = match state.token.as_str() {
        "" => String::new(),
        token => format!("<activity token=\"{}\"/>", escape(token)),
    };
    let time = "publishTime=\"2026-01-01T00:00:00.000\"";
    let (availability, name) = (state.availability, escape(display));
    let note = match state.note.as_str() {
        "" => format!("<category name=\"note\" instance=\"0\" {time}/>"),
        note => format!(
            "<category name=\"note\" instance=\"0\" {time}>\
             <note xmlns=\"http://schemas.microsoft.com/2006/09/sip/note\">\
             <body type=\"personal\" uri=\"\">{}</body></note></category>",
            escape(note)
        ),
    };
    format!(
        "<categories xmlns=\"http://schemas.microsoft.com/2006/09/sip/categories\" \
         uri=\"sip:{aor}\"><category name=\"contactCard\" instance=\"0\" {time}>\
         <contactCard xmlns=\"http://schemas.microsoft.com/2006/09/sip/contactcard\"><identity>\
         <name><displayName>{name}</displayName></name></identity></contactCard></category>\
         <category name=\"state\" instance=\"1\" {time}>\
         <state xmlns=\"http://schemas.microsoft.com/2006/09/sip/state\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"aggregateState\">\
         <availability>{availability}</availability>{token}</state></category>{note}</categories>"
    )
}

/// Text as content of an element or an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(letter),
        }
    }
    out
}
