//! How many relations there are between users of which domains: the paths of those are kept up.

use std::collections::BTreeMap;

use translators::model::{Directory, Domain, PeerId, Role, Side};
use translators::shard::Standing;

/// Relations by the domains of their users.
#[derive(Debug, Default)]
pub(super) struct Census {
    domains: BTreeMap<(Domain, Domain), Counts>,
    states: BTreeMap<(Role, &'static str), i64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    all: i64,
    /// Granted ones in which we are the subscriber.
    granted: i64,
}

/// A path that is to be kept up, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) peer: PeerId,
    pub(super) local: Domain,
    pub(super) remote: Domain,
    pub(super) held: bool,
}

impl Census {
    /// Takes note of relations that came to a standing, or left it. Returns what changes with the
    /// first and the last one between two domains.
    pub(super) fn moved(
        &mut self,
        xmpp: &Domain,
        sip: &Domain,
        standing: Standing,
        by: i64,
        directory: &Directory,
    ) -> Vec<Hold> {
        *self
            .states
            .entry((standing.role, standing.state))
            .or_default() += by;
        let key = (xmpp.clone(), sip.clone());
        let counts = self.domains.entry(key).or_default();
        let before = counts.all > 0;
        counts.all += by;
        if standing.granted && standing.role == Role::Subscriber {
            counts.granted += by;
        }
        let after = counts.all > 0;
        if before == after {
            return Vec::new();
        }
        both_ways(xmpp, sip, after, directory)
    }

    /// The paths that are to be kept up under another configuration.
    pub(super) fn holds(&self, directory: &Directory) -> Vec<Hold> {
        let used = self.domains.iter().filter(|(_, counts)| counts.all > 0);
        used.flat_map(|((xmpp, sip), _)| both_ways(xmpp, sip, true, directory))
            .collect()
    }

    /// How many relations are in which state.
    pub(super) fn standings(&self) -> Vec<(Role, &'static str, usize)> {
        let states = self.states.iter();
        states
            .filter_map(|((role, state), count)| {
                let count = usize::try_from(*count).ok()?;
                (count > 0).then_some((*role, *state, count))
            })
            .collect()
    }

    /// Subscriptions that a SIP peer granted.
    pub(super) fn granted(&self, peer: &PeerId, directory: &Directory) -> usize {
        let of_peer = |sip: &Domain| directory.owner(sip).is_some_and(|owner| owner.id == *peer);
        let counts = self.domains.iter().filter(|((_, sip), _)| of_peer(sip));
        let granted: i64 = counts.map(|(_, counts)| counts.granted).sum();
        usize::try_from(granted).unwrap_or(0)
    }
}

/// Requests go one way and stanzas the other.
fn both_ways(xmpp: &Domain, sip: &Domain, held: bool, directory: &Directory) -> Vec<Hold> {
    let ways = [(Side::Sip, xmpp, sip), (Side::Xmpp, sip, xmpp)];
    let hold = |(side, local, remote): (Side, &Domain, &Domain)| {
        let peer = directory.owner_on(side, remote)?.id.clone();
        Some(Hold {
            peer,
            local: local.clone(),
            remote: remote.clone(),
            held,
        })
    };
    ways.into_iter().filter_map(hold).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use translators::model::{Accept, Dialect, Profile, SipProfile, XmppProfile};

    use super::*;

    pub(in crate::egress) fn directory() -> Directory {
        let profile = |name: &str, domain: &str, dialect| Profile {
            id: PeerId::new(name),
            domains: vec![Domain::parse(domain).unwrap()],
            accept: Accept::Barrier,
            dialect,
        };
        let sip = || Dialect::Sip(SipProfile::default());
        Directory::new([
            profile("kamailio", "sip.example", sip()),
            profile("lync", "lync.example", sip()),
            profile(
                "prosody",
                "xmpp.example",
                Dialect::Xmpp(XmppProfile::default()),
            ),
        ])
    }

    pub(in crate::egress) fn granted() -> Standing {
        Standing {
            role: Role::Subscriber,
            state: "active",
            granted: true,
        }
    }

    #[test]
    fn the_first_relation_needs_both_paths_and_the_last_one_lets_them_go() {
        let directory = directory();
        let mut census = Census::default();
        let domain = |name| Domain::parse(name).unwrap();
        let (xmpp, sip) = (domain("xmpp.example"), domain("sip.example"));
        let watched = Standing {
            role: Role::Notifier,
            ..granted()
        };
        let mut moved = |standing, by| census.moved(&xmpp, &sip, standing, by, &directory);

        let holds = moved(granted(), 3);
        assert_eq!(moved(watched, 1), []);
        assert_eq!(moved(granted(), -3), []);
        let lets_go = moved(watched, -1);

        let names = |holds: &[Hold]| -> Vec<String> {
            let name = |hold: &Hold| format!("{} {} {}", hold.peer, hold.local, hold.remote);
            holds.iter().map(name).collect()
        };
        let both = [
            "kamailio xmpp.example sip.example",
            "prosody sip.example xmpp.example",
        ];
        assert_eq!(names(&holds), both);
        assert!(holds.iter().all(|hold| hold.held));
        assert_eq!(names(&lets_go), both);
        assert!(lets_go.iter().all(|hold| !hold.held));
        assert_eq!(census.holds(&directory), []);
    }

    #[test]
    fn what_a_peer_granted_is_counted_over_its_domains() {
        let directory = directory();
        let mut census = Census::default();
        let domain = |name| Domain::parse(name).unwrap();
        let xmpp = domain("xmpp.example");
        let asked = Standing {
            granted: false,
            ..granted()
        };
        for (standing, sip, by) in [
            (granted(), "sip.example", 7),
            (granted(), "lync.example", 2),
            (asked, "sip.example", 5),
        ] {
            census.moved(&xmpp, &domain(sip), standing, by, &directory);
        }

        let peer = |name| PeerId::new(name);
        assert_eq!(census.granted(&peer("kamailio"), &directory), 7);
        assert_eq!(census.granted(&peer("lync"), &directory), 2);
        assert_eq!(census.granted(&peer("prosody"), &directory), 0);
        assert_eq!(census.holds(&directory).len(), 4);
    }
}
