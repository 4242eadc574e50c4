//! What waits for one user of the other side: one in flight, the rest in order, bounded.

use std::collections::VecDeque;

use crate::limits;

/// Messages of one pair and direction. RFC 3428 section 8: "a UAC MUST NOT initiate a new
/// out-of-dialog MESSAGE transaction to a given URI if there is a previous one pending".
#[derive(Debug)]
pub struct Queue<T> {
    in_flight: Option<T>,
    waiting: VecDeque<(usize, T)>,
    octets: usize,
}

/// As much waits as may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("as many messages wait for this pair as may wait")]
pub struct Full;

impl<T> Queue<T> {
    /// Creates an empty queue.
    pub const fn new() -> Self {
        Self {
            in_flight: None,
            waiting: VecDeque::new(),
            octets: 0,
        }
    }

    /// Says whether a message of `octets` octets would be taken.
    pub fn has_room(&self, octets: usize) -> Result<(), Full> {
        let fits = self.waiting.len() < limits::WAITING_PER_PAIR
            && self.octets.saturating_add(octets) <= limits::WAITING_OCTETS_PER_PAIR;
        if fits { Ok(()) } else { Err(Full) }
    }

    /// Appends a message of `octets` octets; what was accepted once is never refused here.
    pub fn push(&mut self, message: T, octets: usize) {
        self.octets = self.octets.saturating_add(octets);
        self.waiting.push_back((octets, message));
    }

    /// Puts the first waiting message in flight and returns it, unless one is in flight already.
    pub fn advance(&mut self) -> Option<&mut T> {
        if self.in_flight.is_some() {
            return None;
        }
        let (octets, message) = self.waiting.pop_front()?;
        self.octets = self.octets.saturating_sub(octets);
        if self.waiting.is_empty() {
            // Most conversations have nothing waiting for most of their time.
            self.waiting = VecDeque::new();
        }
        Some(self.in_flight.insert(message))
    }

    /// The message in flight.
    pub const fn in_flight(&self) -> Option<&T> {
        self.in_flight.as_ref()
    }

    /// The message in flight, to be changed.
    pub const fn in_flight_mut(&mut self) -> Option<&mut T> {
        self.in_flight.as_mut()
    }

    /// Ends the flight and returns what was in flight.
    pub const fn land(&mut self) -> Option<T> {
        self.in_flight.take()
    }

    /// Puts what was in flight before everything that waits, `octets` octets of it.
    pub fn put_back(&mut self, octets: usize) {
        if let Some(message) = self.in_flight.take() {
            self.octets = self.octets.saturating_add(octets);
            self.waiting.push_front((octets, message));
        }
    }

    /// Removes and returns, in order, the waiting messages for which `pick` holds.
    pub fn take_waiting(&mut self, mut pick: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for (octets, message) in std::mem::take(&mut self.waiting) {
            if pick(&message) {
                self.octets = self.octets.saturating_sub(octets);
                taken.push(message);
            } else {
                self.waiting.push_back((octets, message));
            }
        }
        taken
    }

    /// The waiting messages, first to last.
    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|(_, message)| message)
    }

    /// The message that came last, if it waits.
    pub fn last_waiting(&self) -> Option<&T> {
        self.waiting.back().map(|(_, message)| message)
    }

    /// Whether nothing waits and nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.in_flight.is_none() && self.waiting.is_empty()
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_in_flight_and_the_order_is_kept() {
        let mut queue = Queue::new();
        queue.push("a", 1);
        queue.push("b", 1);

        assert_eq!(queue.advance().copied(), Some("a"));
        assert_eq!(queue.advance(), None);
        assert_eq!(queue.land(), Some("a"));
        assert_eq!(queue.advance().copied(), Some("b"));
        assert!(!queue.is_empty());
        assert_eq!(queue.land(), Some("b"));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_put_back_goes_first() {
        let mut queue = Queue::new();
        queue.push("a", 1);
        queue.push("b", 1);
        queue.advance();

        queue.put_back(1);

        assert_eq!(queue.in_flight(), None);
        assert_eq!(queue.waiting().copied().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn at_most_50_messages_wait() {
        let mut queue = Queue::new();
        for number in 0..limits::WAITING_PER_PAIR {
            assert_eq!(queue.has_room(1), Ok(()), "{number}");
            queue.push(number, 1);
        }

        assert_eq!(queue.has_room(1), Err(Full));
        queue.advance();
        assert_eq!(queue.has_room(1), Ok(()));
    }

    #[test]
    fn at_most_64_kib_wait() {
        let mut queue = Queue::new();
        queue.push("first", 60 * 1024);

        assert_eq!(queue.has_room(4 * 1024), Ok(()));
        assert_eq!(queue.has_room(4 * 1024 + 1), Err(Full));
        assert_eq!(queue.take_waiting(|_| true), ["first"]);
        assert_eq!(queue.has_room(64 * 1024), Ok(()));
    }

    #[test]
    fn what_is_taken_leaves_the_rest_in_order() {
        let mut queue = Queue::new();
        for number in 1..=5 {
            queue.push(number, 1);
        }

        assert_eq!(queue.take_waiting(|number| number % 2 == 0), [2, 4]);
        assert_eq!(queue.waiting().copied().collect::<Vec<_>>(), [1, 3, 5]);
    }
}
