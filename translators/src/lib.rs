//! Everything isthmus can decide without I/O.
#![deny(missing_docs)]
