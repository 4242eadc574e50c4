//! What outlives a restart.

use serde::{Deserialize, Serialize};

use crate::documents::presence::Format;
use crate::model::Wall;
use crate::policy::Verdict;
use crate::presence::Resources;
use crate::presence::notifier::Notifier;
use crate::presence::notifier::endpoint::{Again, Endpoint, Shown};
use crate::presence::notifier::machine::State;
use crate::presence::notifier::seen::Seen;
use crate::sip::Dialog;
use crate::sip::dialog::RoutePool;

/// The form of a relation in its record.
#[derive(Serialize, Deserialize)]
enum Stored {
    /// Y0 with subscriptions.
    #[serde(rename = "a")]
    Absent(Vec<StoredEndpoint>),
    /// Y1, since when, and whether the request was handed over.
    #[serde(rename = "r")]
    Requested(Vec<StoredEndpoint>, Wall, bool),
    /// Y2 and Y3: granted.
    #[serde(rename = "g")]
    Granted(Vec<StoredEndpoint>),
    /// Y4, with the end of the hold.
    #[serde(rename = "d")]
    Denied(Wall),
}

/// The form of a subscription.
#[derive(Serialize, Deserialize)]
struct StoredEndpoint(Dialog, Format, Wall);

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the record of a watched user cannot be read")]
pub struct Damaged(#[from] serde_json::Error);

impl Notifier {
    /// The record; none where nothing has to be kept.
    pub fn record(&self) -> Option<Vec<u8>> {
        let stored = match &self.state {
            State::Absent { endpoints, .. } if endpoints.is_empty() => return None,
            State::Absent { endpoints, .. } => Stored::Absent(stored(endpoints)),
            State::Requested {
                endpoints,
                asked_at,
                asked,
                seen: _,
            } => Stored::Requested(stored(endpoints), *asked_at, *asked),
            State::Watched { endpoints, .. } => Stored::Granted(stored(endpoints)),
            State::Dormant { .. } => Stored::Granted(Vec::new()),
            State::Denied { until } => Stored::Denied(*until),
        };
        serde_json::to_vec(&stored).ok()
    }

    /// Takes up a relation of an earlier run; `verdict` is what policy says now. Nobody was shown
    /// anything in this run, and nothing is sent before the peers can be reached.
    pub fn restore(record: &[u8], verdict: Verdict, now: Wall) -> Result<Self, Damaged> {
        let state = match serde_json::from_slice(record)? {
            Stored::Absent(endpoints) => {
                let endpoints = restored(endpoints);
                // Where policy does not hold them back, they only looked.
                let looks = endpoints.iter().filter(|_| verdict == Verdict::Allow);
                let looks = looks.map(|one| (one.tag(), now)).collect();
                State::Absent { endpoints, looks }
            }
            Stored::Requested(endpoints, asked_at, asked) if verdict == Verdict::Allow => {
                State::Requested {
                    endpoints: restored(endpoints),
                    asked_at,
                    asked,
                    seen: Seen::default(),
                }
            }
            // row 30c, while nobody looked
            Stored::Requested(endpoints, ..) => State::Absent {
                endpoints: restored(endpoints),
                looks: Vec::new(),
            },
            Stored::Granted(endpoints) if endpoints.is_empty() => State::Dormant {
                granted_at: Wall::default(),
                seen: Seen::default(),
                fetches: Vec::new(),
            },
            Stored::Granted(endpoints) => State::Watched {
                endpoints: restored(endpoints),
                granted_at: Wall::default(),
                seen: Seen::default(),
                lost: false,
            },
            Stored::Denied(until) => State::Denied { until },
        };
        Ok(Self::with(verdict, state))
    }

    /// What is known of the XMPP user, for the record; none where nothing is, or nobody is shown it.
    pub fn seen_record(&self) -> Option<&[u8]> {
        match &self.state {
            State::Watched { seen, .. } | State::Dormant { seen, .. } => seen.record(),
            State::Absent { .. } | State::Denied { .. } | State::Requested { .. } => None,
        }
    }

    /// Takes up what an earlier run knew of the XMPP user. It is shown to whom asks for it until
    /// the probe is answered.
    pub fn restore_seen(&mut self, record: &[u8]) {
        if let State::Watched { seen, .. } | State::Dormant { seen, .. } = &mut self.state
            && !seen.is_known()
        {
            *seen = Seen::restored(Resources::restore(record));
        }
    }

    /// Passes over blocks of numbers in every dialog: the records are older than what was sent.
    pub fn skip_blocks(&mut self, blocks: u32) {
        for endpoint in self.state.endpoints_mut().into_iter().flatten() {
            endpoint.dialog.skip_blocks(blocks);
        }
    }

    /// Keeps the route sets where equal ones are kept.
    pub fn share_routes(&mut self, pool: &mut RoutePool) {
        for endpoint in self.state.endpoints_mut().into_iter().flatten() {
            endpoint.dialog.share_routes(pool);
        }
    }

    /// Keeps what is known of the XMPP user where the relation of another watcher keeps the same;
    /// tells whether it does.
    pub fn share_seen(&mut self, other: &Self) -> bool {
        let theirs = other.seen();
        match (&mut self.state, theirs) {
            (
                State::Watched { seen, .. }
                | State::Dormant { seen, .. }
                | State::Requested { seen, .. },
                Some(theirs),
            ) => seen.share(theirs),
            (State::Absent { .. } | State::Denied { .. }, _)
            | (State::Watched { .. } | State::Dormant { .. } | State::Requested { .. }, None) => {
                false
            }
        }
    }
}

fn stored(endpoints: &[Endpoint]) -> Vec<StoredEndpoint> {
    let endpoints = endpoints.iter();
    let one = |it: &Endpoint| StoredEndpoint(it.dialog.clone(), it.format, it.expires_at);
    endpoints.map(one).collect()
}

fn restored(endpoints: Vec<StoredEndpoint>) -> Vec<Endpoint> {
    let one = |StoredEndpoint(dialog, format, expires_at)| Endpoint {
        dialog,
        format,
        expires_at,
        shown: Shown::NOTHING,
        again: Again::No,
    };
    // Not the vector that was read: that has more room than is needed.
    let mut restored = Vec::with_capacity(endpoints.len());
    restored.extend(endpoints.into_iter().map(one));
    restored
}
