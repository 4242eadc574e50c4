//! SIP syntax, transactions and the connection machine only (RFC 3261, RFC 3428).

/// Replaced by the owner of this module.
#[derive(Debug)]
pub struct Request;
/// Replaced by the owner of this module.
#[derive(Debug)]
pub struct Response;
