//! Every row of `tables/session.tsv` against the machine of session mode, and every row and every
//! event the other way round.

use std::collections::BTreeSet;
use std::time::Duration;

use translators::conversation::session::{
    Action, DialogNumber, Embedding, Outcome, Phase, Scene, Session,
};
use translators::model::Mono;

use crate::table::named_in;

const STATES: [&str; 5] = ["IDLE", "CALLING", "WAIT_ACK", "UP", "CLOSING"];

/// What can happen in every state, to the dialog that it is about or to one that was given up.
const EVENTS: [&str; 14] = [
    "message",
    "invite",
    "text",
    "gone",
    "block",
    "progress",
    "answer",
    "refusal",
    "lost",
    "ack",
    "end",
    "closed",
    "delivered",
    "dangling",
];

/// Those that name a dialog, which need not be the one that the state is about.
const OF_A_DIALOG: [&str; 13] = [
    "text",
    "progress",
    "answer",
    "refusal",
    "lost",
    "ack",
    "end",
    "closed",
    "delivered",
    "refused",
    "lost-message",
    "unknown",
    "silent",
];

const IT: DialogNumber = DialogNumber(1);
const FRESH: DialogNumber = DialogNumber(2);
const NEW: DialogNumber = DialogNumber(3);
const STRAY: DialogNumber = DialogNumber(4);

const IDLE: Duration = Duration::from_secs(1_200);

#[derive(Debug)]
struct Case {
    row: String,
    state: &'static str,
    event: &'static str,
    conditions: Vec<&'static str>,
    actions: Vec<&'static str>,
    next: &'static str,
}

impl Case {
    fn says(&self, word: &str) -> bool {
        self.conditions.contains(&word)
    }
}

fn cases() -> Vec<Case> {
    let table = include_str!("../../tables/session.tsv");
    let mut lines = table.lines();
    let heading = "row\tstate\tevent\tcondition\tactions\tnext\tsource";
    assert_eq!(lines.next(), Some(heading));
    lines.flat_map(read).collect()
}

fn read(line: &'static str) -> Vec<Case> {
    let cells: Vec<_> = line.split('\t').collect();
    let [row, states, event, condition, actions, next, source] = cells[..] else {
        panic!("seven cells: {line}");
    };
    assert!(!source.is_empty(), "{line}");
    let states = match states {
        "any" => STATES.to_vec(),
        states => states.split('/').collect(),
    };
    let words = |cell: &'static str, by: &str| -> Vec<&'static str> {
        cell.split(by).filter(|word| *word != "-").collect()
    };
    let case = |state| Case {
        row: row.to_owned(),
        state,
        event,
        conditions: words(condition, " "),
        actions: words(actions, ", "),
        next: if next == "same" { state } else { next },
    };
    states.into_iter().map(case).collect()
}

/// What the machine does in the situation of a case.
fn drive(case: &Case) -> (Vec<String>, &'static str) {
    let start = Mono::from_start(Duration::from_secs(3_600));
    let mut scene = Scene {
        now: start,
        waiting: case.says("waiting"),
        in_flight: case.says("in-flight"),
        starts: !case.says("generic"),
        idle_after: IDLE,
        fresh: FRESH,
    };
    let mut session = prepared(case, &scene);
    if case.says("delivered") {
        scene.now = scene.now + Duration::from_secs(4);
        let done = session.on_time(&scene);
        assert_eq!(done, [Action::Deliver(IT)]);
    }
    if case.says("leaving") {
        let busy = Scene {
            in_flight: true,
            ..scene
        };
        assert_eq!(session.on_gone(&busy), []);
    }
    if case.says("late") {
        scene.now = scene.now + Duration::from_secs(60);
    }
    let embedded = case.says("embedded");
    let number = if case.says("stray") { STRAY } else { IT };
    let again = !case.says("second");
    let text = if case.says("other") {
        "other"
    } else {
        "\n hello \r\n"
    };
    let outcome = |session: &mut Session, outcome| session.on_outcome(number, outcome, &scene);
    let actions = match case.event {
        "message" => session.on_message(&scene),
        "invite" => {
            let embedding = if case.says("consume") {
                Embedding::Consume
            } else {
                Embedding::Wait
            };
            session.on_invite(NEW, embedded.then_some(text), embedding, &scene)
        }
        "progress" => session.on_progress(number),
        "answer" => session.on_answer(number, &scene),
        "refusal" => session.on_refusal(number),
        "lost" => session.on_lost(number, &scene),
        "ack" => session.on_ack(number, &scene),
        "text" => {
            if case.says("second") {
                assert_eq!(session.on_text(number, text, &scene), [Action::Drop]);
            }
            session.on_text(number, text, &scene)
        }
        "delivered" => outcome(&mut session, Outcome::Delivered),
        "refused" => outcome(&mut session, Outcome::Refused),
        "lost-message" => outcome(&mut session, Outcome::Lost),
        "dangling" => outcome(&mut session, Outcome::Dangling { again }),
        "unknown" => outcome(&mut session, Outcome::Unknown),
        "silent" => outcome(&mut session, Outcome::Silent),
        "end" => session.on_end(number, &scene),
        "gone" => session.on_gone(&scene),
        "block" => session.on_block(&scene),
        "closed" => session.on_closed(number),
        "time" => {
            scene.now = session.due(&scene).unwrap_or(start);
            let early = Scene {
                now: Mono::from_start(scene.now.since(Mono::default()) - Duration::from_millis(1)),
                ..scene
            };
            assert_eq!(session.on_time(&early), [], "nothing is due before");
            session.on_time(&scene)
        }
        other => panic!("no such event: {other}"),
    };
    (
        actions.into_iter().map(named).collect(),
        name_of(session.phase()),
    )
}

/// The machine in the state of a case; its dialog is `IT`.
fn prepared(case: &Case, scene: &Scene) -> Session {
    let mut session = Session::default();
    let scene = Scene {
        waiting: false,
        in_flight: false,
        starts: true,
        fresh: IT,
        ..*scene
    };
    let embedded = case.says("embedded") || case.says("delivered");
    let text = embedded.then_some(" hello\r\n");
    match case.state {
        "IDLE" => {}
        "CALLING" => {
            assert_eq!(session.on_message(&scene), [Action::Invite(IT)]);
            if case.event == "lost" && case.says("second") {
                // The INVITE that took the place of one that was lost.
                session = Session::default();
                session.on_message(&Scene {
                    fresh: STRAY,
                    ..scene
                });
                assert_eq!(session.on_lost(STRAY, &scene), [Action::Invite(IT)]);
            }
        }
        "WAIT_ACK" => {
            session.on_invite(IT, text, Embedding::Wait, &scene);
        }
        "UP" if embedded => {
            session.on_invite(IT, text, Embedding::Wait, &scene);
            session.on_ack(IT, &scene);
        }
        "UP" | "CLOSING" => {
            session.on_message(&scene);
            session.on_answer(IT, &scene);
        }
        other => panic!("no such state: {other}"),
    }
    if case.state == "CLOSING" {
        assert_eq!(session.on_gone(&scene), [Action::Bye(IT)]);
    }
    assert_eq!(name_of(session.phase()), case.state);
    session
}

fn named(action: Action) -> String {
    let of = |number: DialogNumber| match number {
        IT => "it",
        FRESH => "fresh",
        NEW => "new",
        STRAY => "stray",
        DialogNumber(_) => panic!("{number:?}"),
    };
    match action {
        Action::Accept(number) => format!("200 {}", of(number)),
        Action::Bye(number) => format!("BYE {}", of(number)),
        Action::Cancel(number) => format!("CANCEL {}", of(number)),
        Action::Deliver(number) => format!("deliver {}", of(number)),
        Action::Drop => "drop".to_owned(),
        Action::Fail => "fail".to_owned(),
        Action::Forget(number) => format!("forget {}", of(number)),
        Action::Gone => "gone".to_owned(),
        Action::Invite(number) => format!("INVITE {}", of(number)),
        Action::Page => "page".to_owned(),
        Action::Requeue => "requeue".to_owned(),
        Action::Send(number) => format!("send {}", of(number)),
        Action::Take => "take".to_owned(),
    }
}

const fn name_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "IDLE",
        Phase::Calling => "CALLING",
        Phase::WaitAck => "WAIT_ACK",
        Phase::Up => "UP",
        Phase::Closing => "CLOSING",
    }
}

#[test]
fn every_row_is_what_the_machine_does() {
    let mut wrong = Vec::new();
    for case in cases() {
        let done = drive(&case);
        if done.0 != case.actions || done.1 != case.next {
            wrong.push(format!("{case:?}\n    did: {done:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_event_has_a_row_in_every_state() {
    let cases = cases();
    let mut missing = Vec::new();
    for state in STATES {
        for event in EVENTS {
            if !cases
                .iter()
                .any(|case| case.state == state && case.event == event)
            {
                missing.push(format!("{state} {event}"));
            }
        }
        for event in OF_A_DIALOG {
            let stray =
                |case: &Case| case.state == state && case.event == event && case.says("stray");
            if !cases.iter().any(stray) {
                missing.push(format!("{state} {event} stray"));
            }
        }
    }
    assert!(missing.is_empty(), "no row:\n{}", missing.join("\n"));
}

#[test]
fn table_and_code_name_the_same_rows() {
    let in_table: BTreeSet<String> = cases().into_iter().map(|case| case.row).collect();
    assert_eq!(in_table, named_in(&["conversation/session"]));
}
