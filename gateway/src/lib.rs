//! The IO shell around the pure core.
