//! Everything isthmus can decide without I/O: parsers, stream and transaction state machines,
//! address and field mapping, conversations, policy.
//!
//! Two kinds of machine live here and have the same form: they take one input and the time, and
//! return effects as plain values. Link machines ([`xmpp::stream`], [`sip::hop`]) turn the bytes of
//! one connection into typed events; the shard machine ([`shard::Shard`]) turns events into
//! records, transmits and telemetry. Nothing here reads a clock, opens a socket or logs.
//!
//! A module uses modules of lower rows only:
//!
//! | row | modules |
//! |---|---|
//! | 7 | `fuzzing`, for the fuzz targets only |
//! | 6 | [`shard`] |
//! | 5 | [`conversation`], [`explain`] |
//! | 4 | [`mapping`] |
//! | 3 | [`address`], [`origin`] |
//! | 2 | [`sip`], [`xmpp`], [`documents`] |
//! | 1 | [`policy`] |
//! | 0 | [`model`], [`text`], [`limits`], [`timers`] |
#![deny(missing_docs)]

pub mod address;
pub mod conversation;
pub mod documents;
pub mod explain;
#[doc(hidden)]
pub mod fuzzing;
pub mod limits;
pub mod mapping;
pub mod model;
pub mod origin;
pub mod policy;
pub mod presence;
pub mod shard;
pub mod sip;
pub mod text;
pub mod timers;
pub mod xmpp;
