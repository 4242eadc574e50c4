//! Presence between real peers: a scene with everyone in it, and what every XMPP server is tested
//! for on it; `presence_suite!` makes the tests.

mod pair;
mod policy;
mod restarts;
mod scene;
mod together;
mod watched;
mod watching;

pub use pair::{JULIET, ScriptedPair};
pub use policy::{blocked_by_its_user, blocked_by_policy, held_until_confirmed};
pub use restarts::restarts_in_turn;
pub use scene::{ROMEO, Scene, is, romeo_is, says};
pub use together::{offline_and_back, removed_and_added_again};
pub use watched::{a_sip_user_is_refused, a_sip_user_watches};
pub use watching::{an_xmpp_user_is_refused, an_xmpp_user_watches};

/// Makes the tests of one server; `rounds` is how often each of ten
/// contacts is removed and added again.
#[macro_export]
macro_rules! presence_suite {
    ($kind:expr, $rounds:expr) => {
        $crate::presence_suite! { @ $kind;
            an_xmpp_user_watches: an_xmpp_user_watches();
            an_xmpp_user_is_refused: an_xmpp_user_is_refused();
            a_sip_user_watches: a_sip_user_watches();
            a_sip_user_is_refused: a_sip_user_is_refused();
            blocked_by_policy: blocked_by_policy();
            blocked_by_its_user: blocked_by_its_user();
            held_until_confirmed: held_until_confirmed();
            offline_and_back: offline_and_back();
            removed_and_added_again: removed_and_added_again($rounds);
            restarts_in_turn: restarts_in_turn();
        }
    };
    (@ $kind:expr; $($name:ident: $check:ident($($argument:expr),*);)+) => {
        $(#[tokio::test]
        async fn $name() -> anyhow::Result<()> {
            $crate::presence::$check($kind, $($argument),*).await
        })+
    };
}
