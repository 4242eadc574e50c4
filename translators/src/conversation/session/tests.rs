//! What the table does not say by itself: times, and what is remembered.

use std::time::Duration;

use super::*;
use crate::limits;
use crate::model::Mono;

const ONE: DialogNumber = DialogNumber(1);

fn scene(seconds: u64) -> Scene {
    Scene {
        now: Mono::from_start(Duration::from_secs(seconds)),
        waiting: false,
        in_flight: false,
        starts: true,
        idle_after: limits::IDLE_BYE,
        fresh: ONE,
    }
}

#[test]
fn a_call_rings_for_ninety_seconds() {
    let mut session = Session::default();
    session.on_message(&scene(0));
    session.on_progress(ONE);

    assert!(session.rings());
    assert_eq!(session.on_time(&scene(89)), []);
    assert_eq!(
        session.on_time(&scene(90)),
        [Action::Cancel(ONE), Action::Fail]
    );
    assert_eq!(session.due(&scene(90)), None);
}

#[test]
fn a_text_that_is_not_repeated_is_delivered_after_four_seconds() {
    let mut session = Session::default();
    session.on_invite(ONE, Some("hello \r\n"), Embedding::Wait, &scene(0));
    session.on_ack(ONE, &scene(1));

    assert_eq!(session.due(&scene(1)), Some(scene(5).now));
    assert_eq!(session.on_time(&scene(5)), [Action::Deliver(ONE)]);
    assert_eq!(session.on_text(ONE, "hello", &scene(64)), [Action::Drop]);
    assert_eq!(
        session.on_text(ONE, "hello", &scene(64)),
        [Action::Take],
        "a text of its own"
    );
}

#[test]
fn a_dialog_is_idle_from_its_last_message() {
    let mut session = Session::default();
    session.on_message(&scene(0));
    session.on_answer(ONE, &scene(0));
    session.on_text(ONE, "hello", &scene(600));
    session.on_message(&scene(1_000));

    assert_eq!(session.on_time(&scene(1_000 + 1_199)), []);
    assert_eq!(
        session.on_time(&scene(1_000 + 1_200)),
        [Action::Bye(ONE), Action::Gone]
    );
}

#[test]
fn a_machine_is_small() {
    assert!(size_of::<Session>() <= 64, "{}", size_of::<Session>());
}
