//! Instant messages between one pair of users.
