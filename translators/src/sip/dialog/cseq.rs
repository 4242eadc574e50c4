//! Sequence numbers of both ends (RFC 3261 section 12.2).

use std::num::NonZeroU32;

use crate::limits::CSEQ_BLOCK;

/// Largest sequence number: "less than 2**31" (RFC 3261 section 8.1.1.5). A subscription that sends
/// once a second reaches it after 68 years.
const LAST: u32 = (1 << 31) - 1;

/// Whether a number could be used without a new record.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// The last record covers it.
    Reserved,
    /// The record of the dialog has to be durable before the request goes out, else a crash could
    /// use the number again.
    New,
}

/// What the number of an arriving request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Higher than all before.
    Fresh,
    /// A later one came before it: to be answered 500 (RFC 3261 section 12.2.2).
    Old,
    /// The same as the last one.
    Repeated,
}

/// Numbers of our requests in a dialog. Only the end of the reserved block is recorded; after a
/// restart counting goes on there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sip) struct Counter {
    last: u32,
    reserved: u32,
}

impl Counter {
    /// Starts without a number.
    pub(in crate::sip) const fn new() -> Self {
        Self::restored(0)
    }

    /// Goes on where the reserved block ended.
    pub(super) const fn restored(reserved: u32) -> Self {
        Self {
            last: reserved,
            reserved,
        }
    }

    /// What the record keeps.
    pub(super) const fn reserved(self) -> u32 {
        self.reserved
    }

    /// Takes the next number.
    pub(in crate::sip) const fn advance(&mut self) -> (u32, Block) {
        if self.last < LAST {
            self.last += 1;
        }
        if self.last <= self.reserved {
            return (self.last, Block::Reserved);
        }
        self.reserved = self.last.saturating_add(CSEQ_BLOCK - 1);
        (self.last, Block::New)
    }

    /// Passes over so many blocks.
    pub(super) fn skip(&mut self, blocks: u32) {
        let end = self
            .reserved
            .saturating_add(blocks.saturating_mul(CSEQ_BLOCK));
        *self = Self::restored(end.min(LAST - CSEQ_BLOCK));
    }
}

/// The last number of the peer, if there was one: counted from 1, so that it takes no more room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Last(Option<NonZeroU32>);

impl Last {
    /// Takes up a number.
    pub(super) fn new(number: Option<u32>) -> Self {
        Self(number.map(|number| NonZeroU32::MIN.saturating_add(number)))
    }

    /// The number.
    pub(super) const fn number(self) -> Option<u32> {
        match self.0 {
            Some(next) => Some(next.get() - 1),
            None => None,
        }
    }

    /// Compares it with that of a request, which is the last one from then on if it is higher.
    pub(super) fn take(&mut self, number: u32) -> Sequence {
        match self.number() {
            Some(seen) if number < seen => Sequence::Old,
            Some(seen) if number == seen => Sequence::Repeated,
            Some(_) | None => {
                *self = Self::new(Some(number));
                Sequence::Fresh
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_announced_once() {
        let mut counter = Counter::new();
        let numbers: Vec<_> = (0..250).map(|_| counter.advance()).collect();

        let blocks: Vec<_> = numbers
            .iter()
            .filter(|(_, block)| *block == Block::New)
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(blocks, [1, 101, 201]);
        assert!(numbers.iter().map(|(number, _)| *number).eq(1..=250));
    }

    #[test]
    fn no_number_comes_again_after_a_restart() {
        let mut counter = Counter::new();
        let mut used = 0;
        for uses in [1, 100, 101, 7] {
            for _ in 0..uses {
                let (number, _) = counter.advance();
                assert!(number > used);
                used = number;
            }
            counter = Counter::restored(counter.reserved());
        }
        counter.skip(1_000);
        assert!(counter.advance().0 > used + 99_900);
        assert_eq!(
            Counter::restored(counter.reserved()).advance().1,
            Block::New
        );
    }

    #[test]
    fn numbers_end_below_the_limit() {
        let mut counter = Counter::new();
        counter.skip(u32::MAX);
        for _ in 0..500 {
            assert!(counter.advance().0 <= LAST);
        }
    }

    #[test]
    fn an_overtaken_request_is_old() {
        let mut last = Last::default();
        assert_eq!(last.number(), None);
        let seen = [0, 0, 3, 2, 3, 9].map(|number| last.take(number));

        use Sequence::{Fresh, Old, Repeated};
        assert_eq!(seen, [Fresh, Repeated, Fresh, Old, Repeated, Fresh]);
    }
}
