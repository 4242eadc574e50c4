//! What a failure answer to a SUBSCRIBE means (RFC 6665 section 4.1.2.2, RFC 8048 section 5.2.2).

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::limits;

/// What a failure answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The time asked for was too short; ask for a longer one once.
    Brief,
    /// The presentity's side says no for good.
    Denied,
    /// There is no dialog; try again after a pause.
    Ended,
    /// There is no dialog any more; ask for another at once.
    Forgotten,
    /// A dialog stands until it expires; try again after a pause.
    Kept,
    /// Ask for the other URI scheme once, else as [`Failure::Ended`].
    OtherScheme,
    /// There is no such user yet; try again after a long pause.
    Slow,
}

/// Judges a failure answer to the first SUBSCRIBE of a subscription or to a refresh. Every status
/// that the table does not name leaves a dialog valid until its known end.
pub const fn judge(status: u16, refresh: bool) -> Failure {
    match status {
        403 | 405 | 410 | 489 | 501 | 603 | 604 => Failure::Denied,
        406 if !refresh => Failure::Denied,
        404 if !refresh => Failure::Slow,
        404 | 481 if refresh => Failure::Forgotten,
        416 if !refresh => Failure::OtherScheme,
        423 => Failure::Brief,
        416 | 480..=485 => Failure::Ended,
        _ if refresh => Failure::Kept,
        _ => Failure::Ended,
    }
}

/// Whether a failure is a fault of configuration that somebody has to look at.
pub const fn is_fault(status: u16) -> bool {
    matches!(status, 401 | 407 | 482..=485)
}

/// Whether a peer of the Microsoft profile refuses a first request for good with this.
pub(super) const fn refuses_at_first(status: u16) -> bool {
    matches!(status, 403 | 489 | 603)
}

/// How long to wait before the next attempt, after so many failures in a row. Moved by up to 20 %,
/// so that what failed together does not come back together.
pub(super) fn pause(failures: u8, rng: &mut StdRng) -> Duration {
    let steps = &limits::SUBSCRIBE_PAUSES;
    let last = steps.last().copied().unwrap_or(limits::RETRY_AFTER);
    let step = steps.get(usize::from(failures)).copied().unwrap_or(last);
    around(step, rng)
}

/// About so long.
pub(super) fn around(span: Duration, rng: &mut StdRng) -> Duration {
    span.mul_f64(rng.random_range(0.8..1.2))
}

/// Not before `span`, and at most a fifth later.
pub(super) fn after(span: Duration, rng: &mut StdRng) -> Duration {
    span.min(limits::SUBSCRIBE_WAIT)
        .mul_f64(rng.random_range(1.0..1.2))
}
