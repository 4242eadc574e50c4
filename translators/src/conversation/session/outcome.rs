//! What became of a message in a dialog.

/// What became of a message that was sent in a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The peer does not know the dialog any more, or its user has left it (480, 481); the message
    /// may be sent `again` in a new one, since it did not arrive.
    Dangling {
        /// Whether it was not sent a second time yet.
        again: bool,
    },
    /// A 2xx.
    Delivered,
    /// The link broke behind it: it may have arrived.
    Lost,
    /// Any other final answer, which says nothing of the dialog (RFC 5057 section 5.1).
    Refused,
    /// No final answer came (Timer F): it may have arrived, and nobody may be there.
    Silent,
    /// 408: nobody knows whether it arrived, and the peer drops the dialog. Or an answer with which the
    /// dialog is no more (RFC 5057 section 5.1), such as 404 for an end that is gone.
    Unknown,
}

impl Outcome {
    /// Reads the status of a final answer; `again` says whether the message may be sent once more.
    pub const fn of(status: u16, again: bool) -> Self {
        match status {
            ..300 => Self::Delivered,
            404 | 408 | 410 | 416 | 482..=485 | 502 | 604 => Self::Unknown,
            480 | 481 => Self::Dangling { again },
            300.. => Self::Refused,
        }
    }
}
