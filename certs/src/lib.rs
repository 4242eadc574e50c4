//! Certificates without a network.
#![deny(missing_docs)]
