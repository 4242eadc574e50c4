//! How many XMPP users each SIP user of the Microsoft profile watches, over all shards.
//!
//! The shards tell what they granted, also what they took up from the journal; what is on its way to
//! them is counted by the request. So no burst passes the limit, and nothing is asked of a shard.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jid::BareJid;
use translators::limits;
use translators::model::LinkId;
use translators::sip::dialog::EndpointId;

/// The watchers of everybody. Every copy is the same.
#[derive(Clone, Debug, Default)]
pub struct Seats(Arc<Mutex<Table>>);

/// How full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd {
    /// SIP users who watch somebody.
    pub watchers: usize,
    /// Endpoints of theirs that watch as many users as they may.
    pub full: usize,
}

#[derive(Debug, Default)]
struct Table {
    hasher: RandomState,
    /// By the digest of their address: names take ten times the room.
    watchers: HashMap<u64, Watcher>,
    /// Requests that a shard has and has not settled.
    under_way: HashMap<(LinkId, u64), (u64, EndpointId)>,
}

/// What one SIP user watches, and what he asked for.
#[derive(Debug, Default)]
struct Watcher {
    endpoints: Vec<(EndpointId, usize)>,
}

impl Seats {
    /// Takes note of a request of an endpoint to watch one more user. False if it watches as many as
    /// it may; its request is not counted then.
    pub fn take(&self, request: (LinkId, u64), user: &BareJid, endpoint: EndpointId) -> bool {
        let mut table = self.lock();
        let key = table.key(user);
        let watcher = table.watchers.entry(key).or_default();
        if !watcher.has_room(endpoint) {
            return false;
        }
        watcher.add(endpoint, 1);
        table.under_way.insert(request, (key, endpoint));
        true
    }

    /// Takes note of what endpoints watch more, or fewer, and of requests that need nothing more.
    pub(super) fn settle<'a>(
        &self,
        moved: impl Iterator<Item = (&'a BareJid, EndpointId, i64)>,
        settled: &[(LinkId, u64)],
    ) {
        let mut moved = moved.peekable();
        let mut table = self.lock();
        if moved.peek().is_none() && table.under_way.is_empty() {
            return;
        }
        for (user, endpoint, by) in moved {
            let key = table.key(user);
            table.add(key, endpoint, by);
        }
        for request in settled {
            if let Some((key, endpoint)) = table.under_way.remove(request) {
                table.add(key, endpoint, -1);
            }
        }
    }

    /// How full it is.
    pub fn crowd(&self) -> Crowd {
        let table = self.lock();
        let full = table.watchers.values().map(Watcher::full).sum();
        Crowd {
            watchers: table.watchers.len(),
            full,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn key(&self, user: &BareJid) -> u64 {
        self.hasher.hash_one(user.as_str())
    }

    fn add(&mut self, key: u64, endpoint: EndpointId, by: i64) {
        let watcher = self.watchers.entry(key).or_default();
        watcher.add(endpoint, by);
        if watcher.endpoints.is_empty() {
            self.watchers.remove(&key);
        }
    }
}

impl Watcher {
    /// Whether an endpoint may watch one more: all of them together have a bound as well, else who
    /// names himself anew each time would have none.
    fn has_room(&self, endpoint: EndpointId) -> bool {
        let mut counts = self.endpoints.iter();
        let of_it = counts.find(|(one, _)| *one == endpoint);
        let of_it = of_it.map_or(0, |(_, count)| *count);
        let all: usize = self.endpoints.iter().map(|(_, count)| count).sum();
        of_it < limits::SUBSCRIPTIONS_PER_ENDPOINT && all < ALL_ENDPOINTS
    }

    fn add(&mut self, endpoint: EndpointId, by: i64) {
        let index = self.endpoints.iter().position(|(one, _)| *one == endpoint);
        let known = index.and_then(|index| self.endpoints.get_mut(index));
        let magnitude = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
        match known {
            Some((_, count)) if by < 0 => *count = count.saturating_sub(magnitude),
            Some((_, count)) => *count = count.saturating_add(magnitude),
            None if by > 0 => {
                self.endpoints.reserve_exact(1);
                self.endpoints.push((endpoint, magnitude));
            }
            None => {}
        }
        self.endpoints.retain(|(_, count)| *count > 0);
    }

    fn full(&self) -> usize {
        let full = |(_, count): &&(EndpointId, usize)| *count >= limits::SUBSCRIPTIONS_PER_ENDPOINT;
        self.endpoints.iter().filter(full).count()
    }
}

/// Subscriptions of all endpoints of one user together.
const ALL_ENDPOINTS: usize = limits::SUBSCRIPTIONS_PER_ENDPOINT * limits::ENDPOINTS_PER_WATCHER;

#[cfg(test)]
mod tests {
    use translators::sip::Message;

    use super::*;

    const MOST: u64 = limits::SUBSCRIPTIONS_PER_ENDPOINT as u64;

    fn user(name: &str) -> BareJid {
        BareJid::new(&format!("{name}@lync.example")).unwrap()
    }

    fn endpoint(number: u64) -> EndpointId {
        let text = format!(
            "SUBSCRIBE sip:a@b.example SIP/2.0\r\nFrom: <sip:x@y.example>;epid={number:x};tag=1\r\n\r\n"
        );
        let Ok(Message::Request(request)) = Message::parse_fragment(text.as_bytes()) else {
            panic!("no request: {text}");
        };
        request.endpoint().unwrap()
    }

    fn ticket(number: u64) -> (LinkId, u64) {
        (LinkId(1), number)
    }

    /// An endpoint watches so many more, or fewer.
    fn moved(seats: &Seats, name: &str, number: u64, by: i64) {
        seats.settle([(&user(name), endpoint(number), by)].into_iter(), &[]);
    }

    #[test]
    fn a_burst_does_not_pass_the_limit() {
        let seats = Seats::default();
        let taken =
            (0..500).filter(|number| seats.take(ticket(*number), &user("bob"), endpoint(1)));
        assert_eq!(taken.count(), limits::SUBSCRIPTIONS_PER_ENDPOINT);

        // What was granted takes the place of what was asked for; what was refused leaves it.
        let granted = (&user("bob"), endpoint(1), 150);
        let settled: Vec<_> = (0..500).map(ticket).collect();
        seats.settle([granted].into_iter(), &settled);

        let taken =
            (600..900).filter(|number| seats.take(ticket(*number), &user("bob"), endpoint(1)));
        assert_eq!(taken.count(), 50);
        assert!(seats.take(ticket(1_000), &user("carol"), endpoint(1)));
        assert!(
            seats.take(ticket(1_001), &user("bob"), endpoint(2)),
            "another endpoint"
        );
    }

    #[test]
    fn what_ends_makes_room() {
        let seats = Seats::default();
        moved(&seats, "bob", 1, MOST.cast_signed());
        assert!(!seats.take(ticket(1), &user("bob"), endpoint(1)));
        assert_eq!(
            seats.crowd(),
            Crowd {
                watchers: 1,
                full: 1
            }
        );

        moved(&seats, "bob", 1, -1);
        assert!(seats.take(ticket(2), &user("bob"), endpoint(1)));
        seats.settle(std::iter::empty(), &[ticket(2), ticket(2)]);
        moved(&seats, "bob", 1, -MOST.cast_signed());

        assert_eq!(seats.crowd(), Crowd::default());
        assert!(seats.lock().under_way.is_empty());
    }

    #[test]
    fn who_names_himself_anew_each_time_has_a_bound_as_well() {
        let seats = Seats::default();
        let most = u64::try_from(ALL_ENDPOINTS).unwrap();
        let taken = (0..most + 100)
            .filter(|number| seats.take(ticket(*number), &user("bob"), endpoint(*number)));
        assert_eq!(taken.count(), ALL_ENDPOINTS);
    }
}
