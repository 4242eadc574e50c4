//! How the real servers write: quotes, order of attributes, declarations, identifiers, features.

use super::{OURS, PEER};

/// How one server writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Ejabberd,
    Openfire47,
    Openfire49,
    Openfire51,
    Prosody,
}

/// All of them.
pub(crate) const SERVERS: [Server; 5] = [
    Server::Ejabberd,
    Server::Openfire47,
    Server::Openfire49,
    Server::Openfire51,
    Server::Prosody,
];

const STREAMS: &str = "http://etherx.jabber.org/streams";
/// Stream limits as Openfire states them.
pub(crate) const LIMITS: &str = "<limits xmlns=\"urn:xmpp:stream-limits:0\"><max-bytes>1048576</max-bytes>\
    <idle-seconds>1800</idle-seconds></limits>";

impl Server {
    pub(crate) fn is_openfire(self) -> bool {
        matches!(self, Self::Openfire47 | Self::Openfire49 | Self::Openfire51)
    }

    /// Header `number` (1 to 3) as initiator.
    pub(crate) fn initial(self, number: u8) -> String {
        match self {
            Self::Prosody => format!(
                "<?xml version='1.0'?><stream:stream xml:lang='en' xmlns:stream='{STREAMS}' id='' xmlns='jabber:server' \
                 from='{PEER}' to='{OURS}' version='1.0'>"
            ),
            Self::Ejabberd => {
                let lang = if number == 1 { " xml:lang='en'" } else { "" };
                format!(
                    "<?xml version='1.0'?><stream:stream version='1.0'{lang} xmlns:db='jabber:server:dialback' \
                     xmlns:stream='{STREAMS}' to='{OURS}' from='{PEER}' xmlns='jabber:server'>"
                )
            }
            Self::Openfire47 => format!(
                "<stream:stream xmlns:db=\"jabber:server:dialback\" xmlns:stream=\"{STREAMS}\" xmlns=\"jabber:server\" \
                 from=\"{PEER}\" to=\"{OURS}\" version=\"1.0\">"
            ),
            Self::Openfire49 | Self::Openfire51 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<stream:stream xmlns:stream=\"{STREAMS}\" \
                 xmlns=\"jabber:server\" from=\"{PEER}\" to=\"{OURS}\" version=\"1.0\">"
            ),
        }
    }

    /// Header `number` (1 to 3) as receiver.
    pub(crate) fn response(self, number: u8) -> String {
        match self {
            Self::Prosody => format!(
                "<?xml version='1.0'?><stream:stream xml:lang='en' id='9f05-{number}' to='{OURS}' xmlns='jabber:server' \
                 version='1.0' from='{PEER}' xmlns:stream='{STREAMS}'>"
            ),
            Self::Ejabberd => format!(
                "<?xml version='1.0'?><stream:stream id='1268670659544711818{number}' version='1.0' xml:lang='en' \
                 xmlns:db='jabber:server:dialback' xmlns:stream='{STREAMS}' to='{OURS}' from='{PEER}' xmlns='jabber:server'>"
            ),
            Self::Openfire47 if number == 1 => format!(
                "<stream:stream xmlns:db=\"jabber:server:dialback\" xmlns:stream=\"{STREAMS}\" xmlns=\"jabber:server\" \
                 from=\"{PEER}\" to=\"{OURS}\" id=\"8i3uuly731\" version=\"1.0\">"
            ),
            Self::Openfire47 => format!(
                "<?xml version='1.0' encoding='UTF-8'?><stream:stream xmlns:stream=\"{STREAMS}\" xmlns=\"jabber:server\" \
                 xmlns:db=\"jabber:server:dialback\" from=\"{PEER}\" id=\"8i3uuly731\" xml:lang=\"en\" version=\"1.0\">"
            ),
            Self::Openfire49 | Self::Openfire51 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<stream:stream xmlns:stream=\"{STREAMS}\" \
                 xmlns=\"jabber:server\" from=\"{PEER}\" to=\"{OURS}\" id=\"27g6wabla{number}\" xml:lang=\"en\" version=\"1.0\">"
            ),
        }
    }

    /// Features `number` (1 to 3) as receiver.
    pub(crate) fn features(self, number: u8) -> String {
        let limits = match self {
            Self::Openfire49 | Self::Openfire51 => LIMITS,
            Self::Ejabberd | Self::Openfire47 | Self::Prosody => "",
        };
        let content = match (self, number) {
            (Self::Ejabberd | Self::Prosody, 1) => {
                "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
            }
            (_, 1) => {
                "<starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"><required/></starttls>\
                 <mechanisms xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\"/>"
            }
            (_, 2) => {
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
            }
            (Self::Prosody, _) => {
                "<sm xmlns='urn:xmpp:sm:2'><optional/></sm><sm xmlns='urn:xmpp:sm:3'><optional/></sm>\
                 <c ver='0rbZ' xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://prosody.example'/>"
            }
            (Self::Ejabberd, _) => {
                "<c ver='9XaY' node='http://www.ejabberd.example/' hash='sha-1' xmlns='http://jabber.org/protocol/caps'/>"
            }
            (_, _) => "",
        };
        format!("<stream:features>{content}{limits}</stream:features>")
    }

    /// Names its domain, as all of them do.
    pub(crate) fn auth(self) -> &'static str {
        match self {
            Self::Ejabberd => {
                "<auth mechanism='EXTERNAL' xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>eG1wcC5leGFtcGxl</auth>"
            }
            Self::Prosody => {
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>eG1wcC5leGFtcGxl</auth>"
            }
            Self::Openfire47 | Self::Openfire49 | Self::Openfire51 => {
                "<auth xmlns=\"urn:ietf:params:xml:ns:xmpp-sasl\" mechanism=\"EXTERNAL\">eG1wcC5leGFtcGxl</auth>"
            }
        }
    }

    /// First stanzas on a stream of its own.
    pub(crate) fn stanzas(self) -> String {
        match self {
            Self::Prosody => format!(
                "<message type='chat' id='p2' from='alice@{PEER}/r' to='bob@{OURS}' xml:lang='en'><body>hi</body></message>"
            ),
            Self::Ejabberd => format!(
                "<message xml:lang='en' to='bob@{OURS}' from='alice@{PEER}/r' type='chat' id='p2'><body>hi</body></message>"
            ),
            Self::Openfire47 | Self::Openfire49 | Self::Openfire51 => format!(
                "<iq type=\"get\" id=\"198-5\" to=\"{OURS}\" from=\"{PEER}\"><query xmlns=\"jabber:iq:version\"/></iq>\
                 <message to=\"bob@{OURS}\" type=\"chat\" id=\"p2\" from=\"alice@{PEER}/r1\"><body>hi</body></message>"
            ),
        }
    }
}
