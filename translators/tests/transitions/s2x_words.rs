//! Actions in the words of the table.

use translators::model::Side;
use translators::presence::notifier::{Action, Asking, Body, Reply, Show};

/// What an action is, and on which side.
pub(crate) fn words(action: &Action) -> (Side, String) {
    match action {
        Action::Answer(reply) => (Side::Sip, answer(*reply).to_owned()),
        Action::Ask(asking) => {
            let asking = match asking {
                Asking::Probe => "probe",
                Asking::Subscribe => "subscribe",
                Asking::Unavailable => "unavailable",
                Asking::Unsubscribe => "unsubscribe",
            };
            (Side::Xmpp, asking.to_owned())
        }
        Action::End(ended) => {
            let retry = ended
                .retry_after
                .map(|after| format!(";retry-after={after}"));
            let body = match ended.body {
                Body::Closed => "closed",
                Body::Current => "current",
                Body::Empty => "empty",
            };
            let (reason, retry) = (ended.reason.as_str(), retry.unwrap_or_default());
            let words = format!("NOTIFY terminated;reason={reason}{retry} {body}");
            (Side::Sip, words)
        }
        Action::Notify(_, shown) => (Side::Sip, format!("NOTIFY {}", show(*shown))),
        Action::Recall => (Side::Sip, "recall".to_owned()),
    }
}

const fn answer(reply: Reply) -> &'static str {
    match reply {
        Reply::Forbidden => "403",
        Reply::Granted(..) => "200",
        Reply::Showing(_, _, Show::Closed) => "200 closed",
        Reply::Showing(_, _, Show::Current) => "200 current",
        Reply::Showing(_, _, Show::Pending) => "200 pending",
        Reply::Unchanged(..) => "204",
        Reply::Unknown => "481",
    }
}

const fn show(shown: Show) -> &'static str {
    match shown {
        Show::Closed => "closed",
        Show::Current => "current",
        Show::Pending => "pending",
    }
}
