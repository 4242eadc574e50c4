//! Field tables between one side's syntax and the model: no state, no time.
//!
//! [`parties`] finds the two users of an input, [`message`] translates instant messages each way,
//! [`presence`] presence, [`chat_state`] typing, and [`failure`] is the only place that turns a failure into a status
//! code or an error element.

pub mod chat_state;
pub mod delay;
pub mod failure;
pub mod message;
pub mod parties;
pub mod presence;
