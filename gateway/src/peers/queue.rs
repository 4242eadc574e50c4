//! What waits for one path: by class, in order within a pair, never for longer than allowed.

use std::collections::{BTreeMap, HashMap};

use translators::model::{Mono, Pair};
use translators::shard::{Class, Key, Kind, Lane, Transmit};

use super::load::Load;

/// A place in a queue: class first, then arrival. It stays with a transmit that comes back from a
/// broken link, so that it goes out again before anything that came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    class: Class,
    arrival: u64,
}

impl Place {
    /// The number of its arrival.
    pub(super) const fn arrival(self) -> u64 {
        self.arrival
    }

    /// The first place of a class.
    const fn first(class: Class) -> Self {
        Self { class, arrival: 0 }
    }

    /// The place behind everything of a class.
    const fn last(class: Class) -> Self {
        Self {
            class,
            arrival: u64::MAX,
        }
    }
}

/// Waiting transmits of one path.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Place, Transmit>,
    /// Places of what waits in a lane, in order.
    lanes: HashMap<Lane, Vec<Place>>,
    load: Load,
    arrivals: u64,
    /// Nothing that waits has to be given back before this time.
    expires: Option<Mono>,
}

impl Queue {
    /// Puts `transmit` behind what waits; returns the one whose place it takes.
    pub(super) fn push(&mut self, transmit: Transmit) -> Option<Transmit> {
        let (place, replaced) = self.make_room_for(&transmit).unzip();
        // Presence keeps the place in the line that it had, else the state of a restless user would
        // never go out while others wait.
        let kept = place.filter(|place: &Place| {
            place.class == transmit.class && transmit.class == Class::Presence
        });
        self.arrivals += 1;
        let place = kept.unwrap_or(Place {
            class: transmit.class,
            arrival: self.arrivals,
        });
        self.put(place, transmit);
        replaced
    }

    /// Puts a transmit that was sent in vain back to the place it had. Presence of which there is a
    /// newer state by now is returned instead.
    pub(super) fn put_back(&mut self, place: Place, transmit: Transmit) -> Option<Transmit> {
        let Some(key) = &transmit.key else {
            self.put(place, transmit);
            return None;
        };
        let pair = key.lane.pair.clone();
        match key.lane.kind {
            Kind::Im | Kind::Typing => self.put(place, transmit),
            Kind::Presence(_) if self.waits(key) => return Some(transmit),
            // It stays in front of what makes or ends its subscription.
            Kind::Presence(role) => {
                let kind = Kind::Subscription(role);
                let behind = self.lanes.get(&Lane { pair, kind });
                let behind = behind.and_then(|places| places.last());
                let class = match behind {
                    Some(behind) if behind.arrival > place.arrival => behind.class,
                    _ => place.class,
                };
                self.put(Place { class, ..place }, transmit);
            }
            Kind::Subscription(role) => {
                self.put(place, transmit);
                self.move_up(&pair, Kind::Presence(role), place);
            }
        }
        None
    }

    /// Takes what has to go out next; without `presence` nothing of subscriptions and presence.
    pub(super) fn pop(&mut self, presence: bool) -> Option<(Place, Transmit)> {
        let place = if presence {
            *self.waiting.first_key_value()?.0
        } else {
            self.first_but_presence()?
        };
        let transmit = self.waiting.remove(&place)?;
        self.forget(&transmit, place);
        Some((place, transmit))
    }

    /// How many wait that go before answers of subscriptions, as those of conversations do.
    pub(super) fn urgent(&self) -> usize {
        self.waiting.range(..Place::first(Class::Control)).count()
    }

    /// Whether one of these goes next.
    pub(super) fn is_urgent(&self) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|(place, _)| place.class < Class::Control)
    }

    fn first_but_presence(&self) -> Option<Place> {
        let presence = Place::first(Class::Subscription);
        let urgent = self.waiting.range(..presence).next();
        let typing = || self.waiting.range(Place::first(Class::Typing)..).next();
        urgent.or_else(typing).map(|(place, _)| *place)
    }

    /// Whether there is something that [`Self::pop`] would take.
    pub(super) fn has_some(&self, presence: bool) -> bool {
        !self.is_empty() && (presence || self.first_but_presence().is_some())
    }

    /// Takes the typing that has waited for the longest time.
    pub(super) fn drop_typing(&mut self) -> Option<Transmit> {
        let mut typing = self.waiting.range(Place::first(Class::Typing)..);
        let place = *typing.next()?.0;
        let transmit = self.waiting.remove(&place)?;
        self.forget(&transmit, place);
        Some(transmit)
    }

    /// Takes everything that waits in `lane`.
    pub(super) fn recall(&mut self, lane: &Lane) -> Vec<Transmit> {
        let places = self.lanes.remove(lane).unwrap_or_default();
        let recalled = places.iter().filter_map(|place| self.waiting.remove(place));
        let recalled: Vec<Transmit> = recalled.collect();
        for transmit in &recalled {
            self.load.remove(transmit.class);
        }
        recalled
    }

    /// Takes what has waited for too long.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<Transmit> {
        if self.expires.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let expired = self.take_if(|transmit| transmit.give_up_at <= now);
        self.expires = self
            .waiting
            .values()
            .map(|transmit| transmit.give_up_at)
            .min();
        expired
    }

    /// Takes everything for which `chosen` holds, in order.
    pub(super) fn take_if(&mut self, chosen: impl Fn(&Transmit) -> bool) -> Vec<Transmit> {
        let places = self.waiting.iter().filter(|(_, transmit)| chosen(transmit));
        let places: Vec<Place> = places.map(|(place, _)| *place).collect();
        let mut taken = Vec::with_capacity(places.len());
        for place in places {
            if let Some(transmit) = self.waiting.remove(&place) {
                self.forget(&transmit, place);
                taken.push(transmit);
            }
        }
        taken
    }

    /// The number of the last arrival.
    pub(super) const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many of which kind wait.
    pub(super) const fn load(&self) -> Load {
        self.load
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A newer typing notice or presence replaces a waiting one of the same key. A message does not
    /// overtake a typing notice of its pair, nor what makes or ends a subscription the presence of
    /// its pair: that moves up to their class. Returns what is replaced, and where it was.
    fn make_room_for(&mut self, transmit: &Transmit) -> Option<(Place, Transmit)> {
        let key = transmit.key.as_ref()?;
        match key.lane.kind {
            Kind::Presence(_) | Kind::Typing => self.take_waiting(key),
            Kind::Im => {
                self.move_up(&key.lane.pair, Kind::Typing, Place::last(Class::Im));
                None
            }
            Kind::Subscription(role) => {
                let last = Place::last(transmit.class);
                self.move_up(&key.lane.pair, Kind::Presence(role), last);
                None
            }
        }
    }

    /// Whether something waits under exactly this key.
    fn waits(&self, key: &Key) -> bool {
        self.place_of(key).is_some()
    }

    fn place_of(&self, key: &Key) -> Option<Place> {
        let same = |place: &&Place| {
            let waiting = self.waiting.get(place);
            waiting.is_some_and(|transmit| transmit.key.as_ref() == Some(key))
        };
        self.lanes.get(&key.lane)?.iter().find(same).copied()
    }

    /// Takes what waits under exactly this key.
    pub(super) fn take(&mut self, key: &Key) -> Option<Transmit> {
        self.take_waiting(key).map(|(_, transmit)| transmit)
    }

    /// As `take`, with the place where it was.
    fn take_waiting(&mut self, key: &Key) -> Option<(Place, Transmit)> {
        let place = self.place_of(key)?;
        let transmit = self.waiting.remove(&place)?;
        self.forget(&transmit, place);
        Some((place, transmit))
    }

    /// Puts what waits in a lane, and came before `behind`, into its class, in order.
    fn move_up(&mut self, pair: &Pair, kind: Kind, behind: Place) {
        let pair = pair.clone();
        let places = self.lanes.get(&Lane { pair, kind }).cloned();
        let earlier = |place: &Place| place.arrival < behind.arrival && place.class > behind.class;
        for place in places.unwrap_or_default().into_iter().filter(earlier) {
            if let Some(transmit) = self.waiting.remove(&place) {
                self.forget(&transmit, place);
                let class = behind.class;
                self.put(Place { class, ..place }, transmit);
            }
        }
    }

    fn put(&mut self, place: Place, transmit: Transmit) {
        if let Some(key) = &transmit.key {
            let places = self.lanes.entry(key.lane.clone()).or_default();
            let index = places.partition_point(|other| *other < place);
            places.insert(index, place);
        }
        let sooner = self.expires.is_none_or(|at| transmit.give_up_at < at);
        if sooner {
            self.expires = Some(transmit.give_up_at);
        }
        self.load.add(transmit.class);
        self.waiting.insert(place, transmit);
    }

    /// Takes a place that is no longer waited at out of the index.
    fn forget(&mut self, transmit: &Transmit, place: Place) {
        self.load.remove(transmit.class);
        let Some(key) = &transmit.key else { return };
        let Some(places) = self.lanes.get_mut(&key.lane) else {
            return;
        };
        places.retain(|other| *other != place);
        if places.is_empty() {
            self.lanes.remove(&key.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use translators::model::Role;

    use super::*;
    use crate::peers::testing::{at, im, key, transmit, typing};

    fn order(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop(true))
            .map(|(_, transmit)| transmit.id.number)
            .collect()
    }

    #[test]
    fn classes_order_what_is_of_different_pairs() {
        let mut queue = Queue::default();
        queue.push(typing(1, "alice"));
        queue.push(im(2, "carol"));
        queue.push(transmit(3, Class::Control));
        queue.push(im(4, "carol"));

        assert_eq!(order(&mut queue), [3, 2, 4, 1]);
        assert!(queue.is_empty() && queue.lanes.is_empty());
    }

    #[test]
    fn a_message_does_not_overtake_the_typing_of_its_pair() {
        let mut queue = Queue::default();
        queue.push(typing(1, "alice"));
        queue.push(im(2, "alice"));
        queue.push(typing(3, "carol"));
        queue.push(im(4, "carol"));
        queue.push(typing(5, "alice"));

        assert_eq!(order(&mut queue), [2, 3, 4, 5], "5 replaced 1");
    }

    #[test]
    fn newer_typing_replaces_what_waits() {
        let mut queue = Queue::default();
        assert_eq!(queue.push(typing(1, "alice")), None);
        assert_eq!(queue.push(typing(2, "carol")), None);

        let replaced = queue.push(typing(3, "alice"));

        assert_eq!(replaced.map(|transmit| transmit.id.number), Some(1));
        assert_eq!(order(&mut queue), [2, 3]);
    }

    #[test]
    fn the_end_of_a_subscription_does_not_overtake_its_presence() {
        let kind = Kind::Presence(Role::Subscriber);
        let presence = |number, item| Transmit {
            key: Some(Key {
                item,
                ..key("alice", kind)
            }),
            ..transmit(number, Class::Presence)
        };
        let mut queue = Queue::default();
        queue.push(presence(1, 1));
        queue.push(presence(2, 2));
        let replaced = queue.push(presence(3, 1));
        queue.push(Transmit {
            key: Some(key("alice", Kind::Subscription(Role::Subscriber))),
            ..transmit(4, Class::Subscription)
        });
        queue.push(presence(5, 1));

        assert_eq!(replaced.map(|transmit| transmit.id.number), Some(1));
        assert_eq!(order(&mut queue), [2, 4, 5], "5 replaced 3");
    }

    #[test]
    fn a_recall_takes_what_waits_under_the_key_and_nothing_else() {
        let mut queue = Queue::default();
        for number in 1..=3 {
            queue.push(im(number, "alice"));
            queue.push(im(number + 10, "carol"));
        }

        let recalled = queue.recall(&key("alice", Kind::Im).lane);

        let numbers: Vec<_> = recalled.iter().map(|transmit| transmit.id.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(order(&mut queue), [11, 12, 13]);
    }

    #[test]
    fn what_comes_back_goes_out_first_and_in_order() {
        let mut queue = Queue::default();
        for number in 1..=4 {
            queue.push(im(number, "alice"));
        }
        let first = queue.pop(true).unwrap();
        let second = queue.pop(true).unwrap();
        queue.push(im(5, "alice"));

        assert_eq!(queue.put_back(second.0, second.1), None);
        assert_eq!(queue.put_back(first.0, first.1), None);

        assert_eq!(order(&mut queue), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn nothing_waits_longer_than_it_may() {
        let mut queue = Queue::default();
        let short = Transmit {
            give_up_at: at(5),
            ..im(1, "alice")
        };
        let long = Transmit {
            give_up_at: at(9),
            ..im(2, "alice")
        };
        queue.push(long.clone());
        queue.push(short.clone());

        assert_eq!(queue.expire(at(4)), []);
        assert_eq!(queue.expire(at(5)), [short]);
        assert_eq!(queue.expire(at(8)), []);
        assert_eq!(queue.expire(at(9)), [long]);
        assert_eq!(queue.len(), 0);
    }
}
