//! The only place that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use translators::model::{Mono, Now, Wall};

/// The clock of the process: monotonic time counts from the moment it was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts the clock.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// The time now.
    pub fn now(self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since_1970.unwrap_or_default().as_millis();
        Now {
            mono: Mono::from_start(self.origin.elapsed()),
            wall: Wall::from_unix_millis(i64::try_from(millis).unwrap_or(i64::MAX)),
        }
    }

    /// The time now, for the validity of certificates.
    pub fn unix_time(self) -> UnixTime {
        UnixTime::now()
    }

    /// The point at which a task that sleeps until `at` wakes.
    pub fn instant(self, at: Mono) -> tokio::time::Instant {
        (self.origin + at.since_start()).into()
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.unix_time())
    }
}
