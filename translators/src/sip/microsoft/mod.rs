//! Headers of Microsoft's servers and clients, read only where the profile says so.

pub mod text_format;

pub use text_format::FirstMessage;
