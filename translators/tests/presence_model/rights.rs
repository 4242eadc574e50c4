//! The model: who may see what, as far as the gateway was told. It is a few maps and no state
//! machine.

use std::collections::BTreeMap;

use crate::transition::{CONTACTS, USERS};
use crate::wire::Devices;

/// What the gateway was told about a pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The SIP user lets the XMPP user see him: his last NOTIFY was active.
    pub(crate) contact_consents: bool,
    /// What he last said.
    pub(crate) contact_devices: Option<Devices>,
    /// The XMPP user removed the contact, or his request could not be kept.
    pub(crate) removed: bool,
    /// The SIP user or his server refused for good, and has not accepted since.
    pub(crate) refused: bool,
    /// The XMPP user let the SIP user see him.
    pub(crate) user_consents: bool,
    /// Devices whose presence came since.
    pub(crate) user_devices: Devices,
    /// The XMPP user refused, so that subscriptions may end as rejected.
    pub(crate) may_reject: bool,
    /// What the gateway knows may be older than what it was told: it was killed since.
    pub(crate) stale: bool,
    /// A stanza about the authorization was lost on a broken link: the two sides may disagree.
    pub(crate) lost: bool,
}

#[derive(Debug)]
pub(crate) struct Rights {
    told: BTreeMap<(usize, usize), Told>,
}

impl Rights {
    pub(crate) fn new() -> Self {
        let pairs = (0..USERS.len()).flat_map(|user| (0..CONTACTS.len()).map(move |c| (user, c)));
        Self {
            told: pairs.map(|pair| (pair, Told::default())).collect(),
        }
    }

    pub(crate) fn of(&mut self, pair: (usize, usize)) -> &mut Told {
        self.told.get_mut(&pair).unwrap()
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Told> {
        self.told.values_mut()
    }
}
