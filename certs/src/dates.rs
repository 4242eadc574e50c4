//! Points in time: between seconds, DER and text.

use std::time::Duration;

use rustls_pki_types::UnixTime;
use time::OffsetDateTime;
use time::macros::format_description;

/// Seconds of one day.
pub(crate) const DAY: u64 = 86_400;

/// The point `seconds` after 1970; what lies before 1970 is read as 1970.
pub(crate) fn at(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// The point `days` after `start`.
pub(crate) fn days_after(start: UnixTime, days: u32) -> UnixTime {
    let seconds = start.as_secs().saturating_add(u64::from(days) * DAY);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// The calendar form, if the year has four digits.
pub(crate) fn calendar(time: UnixTime) -> Option<OffsetDateTime> {
    let seconds = i64::try_from(time.as_secs()).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}

/// A point in time for an operator's eyes: `2026-11-23 10:00 UTC`.
pub(crate) fn shown(time: UnixTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    calendar(time)
        .and_then(|date| date.format(&format).ok())
        .unwrap_or_else(|| "a time beyond the year 9999".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_minutes_in_utc() {
        assert_eq!(shown(at(1_795_428_000)), "2026-11-23 10:00 UTC");
        assert_eq!(shown(at(-5)), "1970-01-01 00:00 UTC");
    }

    #[test]
    fn says_so_when_the_calendar_ends() {
        let end = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));

        assert_eq!(shown(end), "a time beyond the year 9999");
    }

    #[test]
    fn adds_days() {
        assert_eq!(days_after(at(10), 2), at(10 + 2 * 86_400));
    }
}
