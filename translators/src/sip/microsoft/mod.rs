//! The dialect of Microsoft's servers and clients, as far as it is syntax; read and written only where
//! the profile says so.

mod cause;
mod diagnostics;
pub mod text_format;

pub use cause::Cause;
pub use diagnostics::Diagnostic;
pub use text_format::{FILE_TRANSFER, FirstMessage, RICH_TEXT};
