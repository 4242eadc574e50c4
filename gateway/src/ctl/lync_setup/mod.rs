//! `lync-setup`: what an administrator of a Microsoft server types so that the two sides federate,
//! with the names of this configuration.

mod carry_out;
mod steps;

pub(super) use carry_out::lync_setup;
