//! What the far side has: XEP-0198 counters without resumption, and the ping barrier.
//!
//! An acknowledgement of XEP-0198 says that a server has a stanza; it decides only what is sent again after a broken
//! link. That a stanza is *delivered*, as far as a sender can know, says the barrier: a ping behind the stanza whose
//! answer comes after any error for what went before (RFC 6120 section 10.1).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::limits;
use crate::model::Mono;

/// Start of the identifiers of barrier pings.
pub const PING_PREFIX: &str = "barrier-";

/// Stanzas that a peer sends us: their numbers, which are settled, and what is told the peer.
#[derive(Debug, Default)]
pub struct Received {
    /// Stanzas so far; also the number of the last one.
    count: u64,
    /// Longest prefix of settled stanzas without a gap.
    prefix: u64,
    /// Settled stanzas behind a gap.
    ahead: BTreeSet<u64>,
    /// Stanzas that came before the peer asked for management, which do not count.
    base: Option<u64>,
    /// Up to where the peer asked in vain for an acknowledgement.
    owed: Option<u64>,
}

impl Received {
    /// Counts a stanza and returns its number.
    pub fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Starts counting for the peer (XEP-0198 section 3). False if that was done before.
    pub fn enable(&mut self) -> bool {
        if self.base.is_some() {
            return false;
        }
        self.base = Some(self.count);
        true
    }

    /// Records that stanza `n` needs nothing more. Returns the count to tell the peer if it waits for one.
    pub fn settle(&mut self, n: u64) -> Option<u32> {
        if n <= self.prefix || n > self.count {
            return None;
        }
        self.ahead.insert(n);
        while self.ahead.remove(&(self.prefix + 1)) {
            self.prefix += 1;
        }
        let owed = self.owed?;
        if self.prefix < owed {
            return None;
        }
        self.owed = None;
        self.handled()
    }

    /// Answers a request of the peer; none if management is not enabled. What is not settled yet is told later.
    pub fn requested(&mut self) -> Option<u32> {
        let handled = self.handled()?;
        self.owed = (self.prefix < self.count).then_some(self.count);
        Some(handled)
    }

    /// Returns the count of settled stanzas for an `<a/>`; none if management is not enabled.
    pub fn handled(&self) -> Option<u32> {
        let base = self.base?;
        Some(wrapped(self.prefix.saturating_sub(base)))
    }
}

/// Stanzas that we send, as the peer acknowledges them.
#[derive(Debug)]
pub struct Sent {
    state: Management,
    /// What is not acknowledged, oldest first: the number of a `Send`, or none for a ping of ours.
    unacked: VecDeque<Option<u64>>,
    /// Stanzas sent since management was asked for.
    count: u64,
    /// Whether a request is unanswered.
    requested: bool,
    /// Stanzas that lay before the last request.
    covered: u64,
}

/// Where the negotiation of management is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Management {
    Off,
    Asked,
    Enabled,
}

/// The peer acknowledged more than was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooHigh {
    /// Count of the peer.
    pub handled: u32,
    /// Stanzas sent.
    pub sent: u32,
}

impl Sent {
    /// Starts without management, or right behind an `<enable/>` of ours.
    pub fn new(asked: bool) -> Self {
        Self {
            state: if asked {
                Management::Asked
            } else {
                Management::Off
            },
            unacked: VecDeque::new(),
            count: 0,
            requested: false,
            covered: 0,
        }
    }

    /// Counts a stanza. True if a request has to be written behind it.
    pub fn written(&mut self, n: Option<u64>) -> bool {
        if self.state == Management::Off {
            return false;
        }
        self.count += 1;
        self.unacked.push_back(n);
        if self.state == Management::Asked && self.unacked.len() > limits::WAITING_PER_PEER {
            self.refuse();
        }
        self.wants_request()
    }

    /// Records `<enabled/>`. True if a request has to be written.
    pub fn enable(&mut self) -> bool {
        if self.state == Management::Asked {
            self.state = Management::Enabled;
        }
        self.wants_request()
    }

    /// Records `<failed/>`: goes on without management.
    pub fn refuse(&mut self) {
        self.state = Management::Off;
        self.unacked.clear();
    }

    /// Takes an `<a/>`: the number of the last `Send` that it covers, if it covers a new one.
    pub fn acknowledged(&mut self, handled: u32) -> Result<Option<u64>, TooHigh> {
        self.requested = false;
        let unacked = self.unacked.len() as u64;
        let fresh = handled.wrapping_sub(wrapped(self.count - unacked));
        if u64::from(fresh) > unacked {
            let sent = wrapped(self.count);
            return Err(TooHigh { handled, sent });
        }
        let covered = self.unacked.drain(..fresh as usize);
        Ok(covered.flatten().last())
    }

    /// True if a request has to be written now; it then counts as written. What an answer left open is not asked for
    /// again: a peer that counts only what is settled would be asked without end.
    pub fn wants_request(&mut self) -> bool {
        let wanted =
            self.state == Management::Enabled && !self.requested && self.count > self.covered;
        if wanted {
            self.requested = true;
            self.covered = self.count;
        }
        wanted
    }
}

/// Counters of XEP-0198 wrap at 2^32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the counter of the protocol wraps"
)]
fn wrapped(count: u64) -> u32 {
    count as u32
}

/// The ping barrier of one outgoing stream: cumulative, one ping outstanding at a time.
#[derive(Debug)]
pub struct Barrier {
    seed: u64,
    settle: Duration,
    /// Last `Send` that was written.
    written: u64,
    /// Last `Send` that somebody waits for; zero stands for what earlier streams left behind.
    wanted: Option<u64>,
    /// Pings so far.
    pings: u64,
    /// The ping whose answer is awaited.
    outstanding: Option<Ping>,
    /// The pings before it whose answers did not come in time: they may still come, a slow reader is not a dead one.
    late: VecDeque<Ping>,
    /// Answered, but errors may still come.
    settling: VecDeque<(Mono, u64)>,
    /// Highest number covered by an answered ping.
    covered: Option<u64>,
    /// Unanswered pings in a row.
    missed: u8,
}

/// One ping.
#[derive(Clone, Debug)]
struct Ping {
    number: u64,
    /// Last `Send` before it.
    covers: u64,
    deadline: Mono,
}

/// What a barrier reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarrierEvent {
    /// Everything up to this number is confirmed.
    Confirmed(u64),
    /// Two pings in a row were not answered in time.
    Down,
    /// The first answer after that.
    Up,
}

/// Unanswered pings in a row that mean that the return path is down.
const MISSED: u8 = 2;
/// Pings without an answer in time that are remembered: a peer that reads slowly may be a few minutes behind.
const LATE_PINGS: usize = 32;

impl Barrier {
    /// Starts a barrier whose ping identifiers contain `seed`; answers count after `settle`.
    pub fn new(seed: u64, settle: Duration) -> Self {
        Self {
            seed,
            settle,
            written: 0,
            wanted: None,
            pings: 0,
            outstanding: None,
            late: VecDeque::new(),
            settling: VecDeque::new(),
            covered: None,
            missed: 0,
        }
    }

    /// Records that `Send` number `n` was written.
    pub fn written(&mut self, n: u64, wanted: bool) {
        self.written = n;
        if wanted {
            self.wanted = Some(n);
        }
    }

    /// Records that somebody waits for a confirmation of everything so far, be it nothing of this stream.
    pub fn want(&mut self) {
        self.wanted = Some(self.written);
    }

    /// Returns the identifier of a ping that has to be written now. `forced`: also if nobody waits.
    pub fn next_ping(&mut self, forced: bool, now: Mono) -> Option<String> {
        let waiting = self.wanted > self.covered || self.missed > 0;
        if self.outstanding.is_some() || !(waiting || forced) {
            return None;
        }
        self.pings += 1;
        self.outstanding = Some(Ping {
            number: self.pings,
            covers: self.written,
            deadline: now + limits::BARRIER_TIME,
        });
        Some(self.id(self.pings))
    }

    /// Takes the answer to a ping. Identifiers of other streams, or of pings long gone, do nothing.
    pub fn answered(&mut self, id: &str, now: Mono) -> Option<BarrierEvent> {
        let seed = self.seed;
        let is = |ping: &Ping| id == ping_id(seed, ping.number);
        let ping = if self.outstanding.as_ref().is_some_and(is) {
            self.late.clear();
            self.outstanding.take()?
        } else {
            let place = self.late.iter().position(is)?;
            self.late.drain(..=place).next_back()?
        };
        if self.wanted.is_some() && Some(ping.covers) > self.covered {
            self.covered = Some(ping.covers);
            self.settling.push_back((now + self.settle, ping.covers));
        }
        let was_down = self.missed >= MISSED;
        self.missed = 0;
        was_down.then_some(BarrierEvent::Up)
    }

    /// Returns what became due, one at a time.
    pub fn due(&mut self, now: Mono) -> Option<BarrierEvent> {
        if let Some((_, covers)) = self.settling.pop_front_if(|(at, _)| *at <= now) {
            return Some(BarrierEvent::Confirmed(covers));
        }
        let lost = self.outstanding.take_if(|ping| ping.deadline <= now)?;
        if self.late.len() == LATE_PINGS {
            self.late.pop_front();
        }
        self.late.push_back(lost);
        self.missed = self.missed.saturating_add(1);
        (self.missed == MISSED).then_some(BarrierEvent::Down)
    }

    /// Returns when [`Barrier::due`] has something to say.
    pub fn wake_at(&self) -> Option<Mono> {
        let settling = self.settling.front().map(|(at, _)| *at);
        let deadline = self.outstanding.as_ref().map(|ping| ping.deadline);
        settling.into_iter().chain(deadline).min()
    }

    fn id(&self, number: u64) -> String {
        ping_id(self.seed, number)
    }
}

fn ping_id(seed: u64, number: u64) -> String {
    format!("{PING_PREFIX}{seed:016x}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn the_count_told_is_the_prefix_without_gap() {
        let mut received = Received::default();
        received.count();
        assert_eq!(received.requested(), None, "not enabled");
        assert!(received.enable());
        assert!(!received.enable());
        for _ in 0..3 {
            received.count();
        }

        assert_eq!(received.settle(3), None);
        assert_eq!(received.requested(), Some(0));
        assert_eq!(received.settle(1), None, "what came before does not count");
        assert_eq!(received.settle(2), None);
        assert_eq!(received.handled(), Some(2));
        assert_eq!(received.settle(9), None, "never came");
        assert_eq!(received.settle(4), Some(3), "the peer asked for it");
        assert_eq!(received.settle(4), None);
    }

    #[test]
    fn acknowledgements_name_the_last_send() {
        let mut sent = Sent::new(true);
        assert!(!sent.written(Some(1)), "not enabled yet");
        assert!(sent.enable());
        assert!(!sent.written(None), "one request at a time");
        assert!(!sent.written(Some(2)));

        assert_eq!(sent.acknowledged(2), Ok(Some(1)));
        assert!(sent.wants_request(), "a stanza lies behind the request");
        assert_eq!(sent.acknowledged(2), Ok(None));
        assert!(!sent.wants_request(), "asked for that already");
        assert_eq!(sent.acknowledged(3), Ok(Some(2)));
        assert_eq!(
            sent.acknowledged(4),
            Err(TooHigh {
                handled: 4,
                sent: 3
            })
        );
    }

    #[test]
    fn acknowledgements_wrap() {
        let mut sent = Sent::new(true);
        sent.enable();
        sent.count = u64::from(u32::MAX);
        sent.written(Some(1));
        sent.written(Some(2));

        assert_eq!(sent.acknowledged(0), Ok(Some(1)));
        assert_eq!(sent.acknowledged(1), Ok(Some(2)));
    }

    #[test]
    fn without_management_nothing_is_kept() {
        let mut sent = Sent::new(true);
        sent.written(Some(1));
        sent.refuse();
        assert!(!sent.written(Some(2)));
        assert!(!sent.enable());
        assert_eq!(sent.unacked.len(), 0);

        let mut silent = Sent::new(true);
        for n in 0..=limits::WAITING_PER_PEER as u64 {
            silent.written(Some(n));
        }
        assert_eq!(silent.unacked.len(), 0, "a peer that never answers");
    }

    #[test]
    fn one_answer_confirms_everything_before_its_ping() {
        let mut barrier = Barrier::new(7, Duration::ZERO);
        barrier.written(1, true);
        let first = barrier.next_ping(false, at(0)).unwrap();
        barrier.written(2, true);
        barrier.written(3, false);
        assert_eq!(barrier.next_ping(false, at(1)), None, "one at a time");

        assert_eq!(barrier.answered(&first, at(2)), None);
        assert_eq!(barrier.due(at(2)), Some(BarrierEvent::Confirmed(1)));
        let second = barrier.next_ping(false, at(2)).unwrap();
        assert_ne!(first, second);
        assert_eq!(barrier.answered(&first, at(3)), None, "answered before");
        assert_eq!(
            barrier.answered("barrier-0000000000000008-2", at(3)),
            None,
            "another stream's"
        );
        barrier.answered(&second, at(3));
        assert_eq!(barrier.due(at(3)), Some(BarrierEvent::Confirmed(3)));
        assert_eq!(barrier.due(at(3)), None);
        assert_eq!(barrier.next_ping(false, at(4)), None, "nobody waits");
    }

    #[test]
    fn what_an_earlier_stream_left_is_confirmed_without_a_send() {
        let mut barrier = Barrier::new(7, Duration::ZERO);
        assert_eq!(barrier.next_ping(false, at(0)), None);
        barrier.want();
        let ping = barrier.next_ping(false, at(0)).unwrap();

        barrier.answered(&ping, at(1));

        assert_eq!(barrier.due(at(1)), Some(BarrierEvent::Confirmed(0)));
        assert_eq!(barrier.next_ping(false, at(1)), None);
    }

    #[test]
    fn an_answer_counts_after_the_settle_time() {
        let mut barrier = Barrier::new(7, Duration::from_millis(300));
        barrier.written(1, true);
        let ping = barrier.next_ping(false, at(0)).unwrap();
        barrier.answered(&ping, at(10));

        assert_eq!(barrier.due(at(309)), None);
        assert_eq!(barrier.wake_at(), Some(at(310)));
        assert_eq!(barrier.due(at(310)), Some(BarrierEvent::Confirmed(1)));
    }

    #[test]
    fn two_missing_answers_mean_no_return_path() {
        let mut barrier = Barrier::new(7, Duration::ZERO);
        barrier.written(1, true);
        let first = barrier.next_ping(false, at(0)).unwrap();
        assert_eq!(barrier.wake_at(), Some(at(8_000)));
        assert_eq!(barrier.due(at(8_000)), None, "one may be lost");
        let second = barrier.next_ping(false, at(8_000)).unwrap();
        assert_eq!(barrier.due(at(16_000)), Some(BarrierEvent::Down));
        let third = barrier.next_ping(false, at(16_000)).unwrap();
        assert_eq!(barrier.due(at(24_000)), None, "said once");

        assert_eq!(barrier.answered(&third, at(24_001)), Some(BarrierEvent::Up));
        assert_eq!(barrier.due(at(24_001)), Some(BarrierEvent::Confirmed(1)));
        assert_eq!(barrier.answered(&first, at(24_001)), None, "covered since");
        assert_eq!(barrier.answered(&second, at(24_001)), None, "covered since");
        assert_eq!(barrier.next_ping(false, at(24_002)), None);
    }

    #[test]
    fn a_slow_reader_is_not_a_dead_one() {
        let mut barrier = Barrier::new(7, Duration::ZERO);
        let mut unanswered = VecDeque::new();
        let mut events = Vec::new();
        for second in (0..400).step_by(8) {
            let now = at(second * 1_000);
            events.extend(std::iter::from_fn(|| barrier.due(now)));
            barrier.written(second + 1, true);
            let ping = barrier.next_ping(false, now);
            unanswered.extend(ping.map(|id| (second, id)));
            let answer = unanswered.pop_front_if(|(written, _)| *written + 40 <= second);
            events.extend(answer.and_then(|(_, id)| barrier.answered(&id, now)));
        }

        let expected = (0..44).map(|round| BarrierEvent::Confirmed(round * 8 + 1));
        let (alarm, confirmed) = events.split_at(2);
        assert_eq!(alarm, [BarrierEvent::Down, BarrierEvent::Up]);
        assert!(confirmed.iter().copied().eq(expected), "{confirmed:?}");
    }

    #[test]
    fn one_missing_answer_between_two_is_no_alarm() {
        let mut barrier = Barrier::new(7, Duration::ZERO);
        for round in 0..4 {
            let start = round * 20_000;
            barrier.next_ping(true, at(start)).unwrap();
            assert_eq!(barrier.due(at(start + 8_000)), None);
            let ping = barrier.next_ping(true, at(start + 8_000)).unwrap();
            assert_eq!(barrier.answered(&ping, at(start + 8_001)), None);
        }
    }
}
