//! Names of users in the log.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use tracing::level_filters::LevelFilter;

/// A user's address: written as it is only while the log shows DEBUG, else as a short hash that is
/// the same for the same user.
pub struct User<T>(pub T);

/// Octets of the hash that are shown.
const SHOWN: usize = 6;

impl<T: fmt::Display> fmt::Display for User<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if LevelFilter::current() >= LevelFilter::DEBUG {
            return self.0.fmt(f);
        }
        let hash = digest(&SHA256, self.0.to_string().as_bytes());
        let shown = hash.as_ref().iter().take(SHOWN);
        let number = shown.fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
        write!(f, "user:{number:012x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_hash_unless_the_log_shows_debug() {
        let shown = User("alice@xmpp.example").to_string();

        assert!(shown.starts_with("user:"), "{shown}");
        assert!(!shown.contains("alice"));
        assert_eq!(shown, User("alice@xmpp.example").to_string());
        assert_ne!(shown, User("bob@sip.example").to_string());
    }
}
