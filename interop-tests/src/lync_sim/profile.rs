//! What the releases of Microsoft's servers and clients do differently.

use anyhow::{Result, bail};

/// A release. Its name on the command line is [`Profile::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Office Communications Server 2007 R2.
    Ocs2007R2,
    /// Lync Server 2010.
    Lync2010,
    /// Lync Server 2013.
    Lync2013,
    /// Skype for Business Server 2015.
    S4b2015,
    /// Skype for Business Server 2019.
    S4b2019,
}

/// The system under an Edge, which decides its TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Windows Server 2008 or 2008 R2 as installed: TLS 1.0.
    Server2008,
    /// Windows Server 2012 R2: TLS 1.2 without ECDHE-RSA-GCM.
    Server2012R2,
    /// Windows Server 2016: TLS 1.2 with ECDHE-RSA-GCM.
    Server2016,
}

/// How the first message of a conversation travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstMessage {
    /// As a MESSAGE behind the ACK only.
    Message,
    /// In the INVITE as plain text.
    Plain,
    /// In the INVITE, with RTF beside the plain text.
    Rtf,
    /// In the INVITE, with HTML and RTF beside the plain text.
    Html,
}

impl Profile {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [
        Self::Ocs2007R2,
        Self::Lync2010,
        Self::Lync2013,
        Self::S4b2015,
        Self::S4b2019,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ocs2007R2 => "ocs2007r2",
            Self::Lync2010 => "lync2010",
            Self::Lync2013 => "lync2013",
            Self::S4b2015 => "s4b2015",
            Self::S4b2019 => "s4b2019",
        }
    }

    /// The profile of that name.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == name);
        match found {
            Some(profile) => Ok(profile),
            None => {
                let known = Self::ALL.map(Self::name).join(", ");
                bail!("no profile {name:?}; there are {known}")
            }
        }
    }

    /// The system it usually runs on.
    pub fn windows(self) -> Windows {
        match self {
            Self::Ocs2007R2 | Self::Lync2010 => Windows::Server2008,
            Self::Lync2013 | Self::S4b2015 => Windows::Server2012R2,
            Self::S4b2019 => Windows::Server2016,
        }
    }

    /// What servers write into Server (W 01, 05, 34 and the list of fingerprints).
    pub fn server(self) -> &'static str {
        match self {
            Self::Ocs2007R2 => "RTC/3.5",
            Self::Lync2010 => "RTC/4.0",
            Self::Lync2013 => "RTC/5.0",
            Self::S4b2015 => "RTC/6.0",
            Self::S4b2019 => "RTC/7.0",
        }
    }

    /// What clients write into User-Agent.
    pub fn agent(self) -> &'static str {
        match self {
            Self::Ocs2007R2 => {
                "UCCAPI/3.5.6907.0 OC/3.5.6907.0 (Microsoft Office Communicator 2007 R2)"
            }
            Self::Lync2010 => "UCCAPI/4.0.7577.0 OC/4.0.7577.0 (Microsoft Lync 2010)",
            Self::Lync2013 => "UCCAPI/15.0.4420.1017 OC/15.0.4420.1017 (Microsoft Lync)",
            Self::S4b2015 => "UCCAPI/16.0.4417.1000 OC/16.0.4417.1000 (Skype for Business)",
            Self::S4b2019 => "UCCAPI/16.0.10337.20000 OC/16.0.10337.20000 (Skype for Business)",
        }
    }

    /// Whether its Edge asks for compression before anything else.
    pub fn negotiates(self) -> bool {
        self != Self::Ocs2007R2
    }

    /// Whether its servers write header names in capitals (W 30).
    pub fn shouts(self) -> bool {
        self == Self::Ocs2007R2
    }

    /// How many connections its Edge opens to a partner.
    pub fn connections(self) -> usize {
        match self {
            Self::Ocs2007R2 => 1,
            Self::Lync2010 => 2,
            Self::Lync2013 | Self::S4b2015 => 4,
            Self::S4b2019 => 3,
        }
    }

    /// How the first message of a conversation travels.
    pub fn first_message(self) -> FirstMessage {
        match self {
            Self::Ocs2007R2 => FirstMessage::Message,
            Self::Lync2010 => FirstMessage::Plain,
            Self::Lync2013 => FirstMessage::Rtf,
            Self::S4b2015 | Self::S4b2019 => FirstMessage::Html,
        }
    }

    /// Whether its clients name the categories they want in a body of the SUBSCRIBE.
    pub fn batches(self) -> bool {
        self != Self::Ocs2007R2
    }
}

impl Windows {
    /// Its cipher suites for an Edge, in its order and in OpenSSL's names.
    pub fn ciphers(self) -> String {
        match self {
            Self::Server2008 => OLD.to_owned(),
            Self::Server2012R2 => CBC.to_owned(),
            Self::Server2016 => {
                format!("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:{CBC}")
            }
        }
    }
}

const CBC: &str = "ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256:ECDHE-RSA-AES256-SHA:\
    ECDHE-RSA-AES128-SHA:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA:\
    DHE-RSA-AES128-SHA:AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA256:AES128-SHA256:AES256-SHA:\
    AES128-SHA:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:\
    ECDHE-ECDSA-AES128-SHA";

/// Windows 2008 also has RC4 and 3DES, which no OpenSSL of today can play.
const OLD: &str = "AES128-SHA:AES256-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:\
    ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0";

/// What cannot be read in a trace or a specification and is played all the same; each can be
/// turned off, so that a run shows what rests on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// An Edge goes on without compression after an error answer to NEGOTIATE.
    pub goes_on_after_refused_negotiate: bool,
    /// A 2xx says by `Supported: ms-embedded-first-message` that the text of the INVITE was taken.
    pub embedded_is_announced_by_its_tag: bool,
    /// A changed Route is refused with 481.
    pub changed_route_is_481: bool,
    /// A partner over its cap is answered 503.
    pub throttled_is_503: bool,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            goes_on_after_refused_negotiate: true,
            embedded_is_announced_by_its_tag: true,
            changed_route_is_481: true,
            throttled_is_503: true,
        }
    }
}
