//! Time as a value.

use std::num::NonZeroU64;
use std::ops::Add;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point of the monotonic clock, counted from an origin that only the shell knows. Millions are
/// kept, so that it is a number of nanoseconds, enough for 584 years, and counted from 1, so that
/// one that may be missing takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(NonZeroU64);

impl Mono {
    /// The point `elapsed` after the origin.
    pub const fn from_start(elapsed: Duration) -> Self {
        let nanos = elapsed.as_nanos();
        let last = u64::MAX as u128 - 1;
        let nanos = if nanos > last { last } else { nanos };
        Self(NonZeroU64::MIN.saturating_add(nanos as u64))
    }

    /// Time since the origin.
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0.get() - 1)
    }

    /// Time from `earlier` to this point; zero if it lies after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Mono {
    fn default() -> Self {
        Self(NonZeroU64::MIN)
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self::from_start(self.since_start().saturating_add(span))
    }
}

/// A point of the wall clock in milliseconds since 1970 UTC: for Date headers, validity and records.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Wall(i64);

impl Wall {
    /// The point `millis` after 1970 UTC.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 UTC.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Time from `earlier` to this point; zero if it lies after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The calendar form in UTC; the epoch where the value cannot be shown.
    pub fn to_date(self) -> OffsetDateTime {
        let nanos = i128::from(self.0) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Reads an RFC 3339 time (XEP-0082, RFC 3862 DateTime).
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let date = OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?;
        i64::try_from(date.unix_timestamp_nanos() / 1_000_000)
            .ok()
            .map(Self)
    }

    /// Writes RFC 3339 in UTC with seconds, as XEP-0082 wants it.
    pub fn to_rfc3339(self) -> String {
        let date = self.to_date();
        let whole = date.replace_nanosecond(0).unwrap_or(date);
        whole.format(&Rfc3339).unwrap_or_default()
    }
}

impl Add<Duration> for Wall {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// The time of one input: timers run on `mono`, dates and validity on `wall`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic clock.
    pub mono: Mono,
    /// Wall clock.
    pub wall: Wall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_reads_and_writes_rfc_3339() {
        let wall = Wall::parse_rfc3339("2008-04-04T12:16:49-05:00").unwrap();

        assert_eq!(wall.to_rfc3339(), "2008-04-04T17:16:49Z");
        assert_eq!(Wall::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn spans_never_go_below_zero() {
        let early = Wall::from_unix_millis(1_000);
        let late = early + Duration::from_secs(3);

        assert_eq!(late.since(early), Duration::from_secs(3));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
