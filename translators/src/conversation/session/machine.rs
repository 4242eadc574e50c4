//! The states of session mode and what happens in each.

use crate::conversation::session::first::Repetition;
use crate::conversation::session::{Action, DialogNumber, Embedding, First, Outcome, Scene};
use crate::limits;
use crate::model::Mono;

/// Session mode of one pair.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// There is no dialog.
    #[default]
    Idle,
    /// An INVITE of ours has no final answer.
    Calling {
        dialog: DialogNumber,
        give_up_at: Mono,
        /// Whether the SIP side showed a sign of life.
        rings: bool,
        /// Whether it took the place of one that a broken link lost.
        again: bool,
    },
    /// We answered an INVITE 200, and no ACK came.
    WaitAck {
        dialog: DialogNumber,
        ack_by: Mono,
        first: First,
    },
    /// Messages go both ways.
    Up {
        dialog: DialogNumber,
        used_at: Mono,
        first: First,
        /// The XMPP user left while messages of his were on their way.
        leaving: bool,
    },
    /// Our BYE has no answer.
    Closing { dialog: DialogNumber, until: Mono },
}

/// The name of a state in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// IDLE.
    Idle,
    /// CALLING.
    Calling,
    /// WAIT_ACK.
    WaitAck,
    /// UP.
    Up,
    /// CLOSING.
    Closing,
}

impl Session {
    /// The state.
    pub const fn phase(&self) -> Phase {
        match &self.state {
            State::Idle => Phase::Idle,
            State::Calling { .. } => Phase::Calling,
            State::WaitAck { .. } => Phase::WaitAck,
            State::Up { .. } => Phase::Up,
            State::Closing { .. } => Phase::Closing,
        }
    }

    /// The dialog in which messages go both ways.
    pub const fn established(&self) -> Option<DialogNumber> {
        match &self.state {
            State::Up { dialog, .. } => Some(*dialog),
            State::Idle | State::Calling { .. } | State::WaitAck { .. } | State::Closing { .. } => {
                None
            }
        }
    }

    /// Whether the state is about that dialog.
    pub fn is_about(&self, number: DialogNumber) -> bool {
        match &self.state {
            State::Idle => false,
            State::Calling { dialog, .. }
            | State::WaitAck { dialog, .. }
            | State::Up { dialog, .. }
            | State::Closing { dialog, .. } => *dialog == number,
        }
    }

    /// Whether that INVITE of ours waits for its answer.
    pub fn is_calling(&self, number: DialogNumber) -> bool {
        self.phase() == Phase::Calling && self.is_about(number)
    }

    /// Takes back a dialog that could not be accepted after all, or an INVITE that does not go out.
    pub fn withdraw(&mut self, number: DialogNumber) {
        if self.is_about(number) {
            self.state = State::Idle;
        }
    }

    /// The INVITE of ours that waits for its answer.
    pub const fn calling(&self) -> Option<DialogNumber> {
        match &self.state {
            State::Calling { dialog, .. } => Some(*dialog),
            State::Idle | State::WaitAck { .. } | State::Up { .. } | State::Closing { .. } => None,
        }
    }

    /// Whether an INVITE of ours rings, and somebody showed that he hears it.
    pub const fn rings(&self) -> bool {
        match &self.state {
            State::Calling { rings, .. } => *rings,
            State::Idle | State::WaitAck { .. } | State::Up { .. } | State::Closing { .. } => false,
        }
    }

    /// When [`Session::on_time`] is to be called.
    pub fn due(&self, scene: &Scene) -> Option<Mono> {
        match &self.state {
            State::Idle => None,
            State::Calling { give_up_at, .. } => Some(*give_up_at),
            State::WaitAck { ack_by, .. } => Some(*ack_by),
            State::Up { used_at, first, .. } => {
                let idle = *used_at + scene.idle_after;
                Some(first.due().map_or(idle, |at| at.min(idle)))
            }
            State::Closing { until, .. } => Some(*until),
        }
    }

    /// Takes note that a message waits for the SIP user, or that the next one may go.
    pub fn on_message(&mut self, scene: &Scene) -> Vec<Action> {
        match &mut self.state {
            State::Idle | State::Closing { .. } => self.begin(scene), // rows 1, 1a, 27 and 27a
            State::Calling { .. } => Vec::new(),                      // row 3
            State::WaitAck { .. } => Vec::new(),                      // row 10
            State::Up {
                dialog,
                used_at,
                leaving,
                ..
            } => {
                // row 15
                *used_at = scene.now;
                *leaving = false;
                vec![Action::Send(*dialog)]
            }
        }
    }

    /// Takes an INVITE that policy and its media let pass, with the text inside it. It takes the
    /// place of any other dialog: one of ours that rings, and one whose other end may have forgotten
    /// it.
    pub fn on_invite(
        &mut self,
        dialog: DialogNumber,
        text: Option<&str>,
        embedding: Embedding,
        scene: &Scene,
    ) -> Vec<Action> {
        let mut actions = vec![Action::Accept(dialog)];
        match &mut self.state {
            State::Idle | State::Closing { .. } => {} // rows 2 and 28
            State::Calling { dialog, .. } => actions.push(Action::Cancel(*dialog)), // row 8
            State::WaitAck { dialog, first, .. } => {
                // row 13: no BYE before its ACK (RFC 3261 section 15); row 31 sees to it.
                let repeated = text.is_some_and(|text| first.keeps(text));
                match (first.on_end(), repeated) {
                    (true, true) => actions.push(Action::Forget(*dialog)), // row 13a
                    (true, false) => actions.push(Action::Deliver(*dialog)), // row 13b
                    (false, _) => {}
                }
            }
            State::Up { dialog, first, .. } => {
                // row 20
                if first.on_end() {
                    actions.push(Action::Deliver(*dialog)); // row 20a
                }
                actions.push(Action::Bye(*dialog));
            }
        }
        let first = First::of(text, embedding, scene.now);
        if text.is_some() && embedding == Embedding::Consume {
            actions.push(Action::Deliver(dialog)); // row 2a
        }
        self.state = State::WaitAck {
            dialog,
            ack_by: scene.now + limits::TIMER_F,
            first,
        };
        actions
    }

    /// Takes a provisional answer to an INVITE of ours.
    pub fn on_progress(&mut self, number: DialogNumber) -> Vec<Action> {
        match &mut self.state {
            State::Calling { dialog, rings, .. } if *dialog == number => *rings = true, // row 4
            State::Calling { .. }
            | State::Idle
            | State::WaitAck { .. }
            | State::Up { .. }
            | State::Closing { .. } => {} // row 30
        }
        Vec::new()
    }

    /// Takes a 2xx to an INVITE of ours, which is acknowledged.
    pub fn on_answer(&mut self, number: DialogNumber, scene: &Scene) -> Vec<Action> {
        match &self.state {
            State::Calling { dialog, .. } if *dialog == number => {
                // row 5
                self.up(number, First::None, scene);
                vec![Action::Send(number)]
            }
            State::Calling { .. }
            | State::Idle
            | State::WaitAck { .. }
            | State::Up { .. }
            | State::Closing { .. } => vec![Action::Bye(number)], // row 31
        }
    }

    /// Takes a failure of an INVITE of ours: a refusal, or that nobody answered the gateway at all.
    pub fn on_refusal(&mut self, number: DialogNumber) -> Vec<Action> {
        match &self.state {
            State::Calling { dialog, .. } if *dialog == number => {
                // row 6
                self.state = State::Idle;
                vec![Action::Fail]
            }
            State::Calling { .. }
            | State::Idle
            | State::WaitAck { .. }
            | State::Up { .. }
            | State::Closing { .. } => Vec::new(), // row 30
        }
    }

    /// Takes note that the link broke behind an INVITE of ours. It carried no message, so it is sent
    /// again, once: whatever comes of the first ends it.
    pub fn on_lost(&mut self, number: DialogNumber, scene: &Scene) -> Vec<Action> {
        match &mut self.state {
            State::Calling { dialog, again, .. } if *dialog == number => {
                if *again {
                    self.state = State::Idle;
                    return vec![Action::Fail]; // row 9a
                }
                *dialog = scene.fresh;
                *again = true;
                vec![Action::Invite(scene.fresh)] // row 9
            }
            State::Calling { .. }
            | State::Idle
            | State::WaitAck { .. }
            | State::Up { .. }
            | State::Closing { .. } => Vec::new(), // row 30
        }
    }

    /// Takes the ACK of our 200.
    pub fn on_ack(&mut self, number: DialogNumber, scene: &Scene) -> Vec<Action> {
        match &mut self.state {
            State::WaitAck { dialog, first, .. } if *dialog == number => {
                // row 11
                let mut first = std::mem::take(first);
                first.on_ack(scene.now);
                self.up(number, first, scene);
                vec![Action::Send(number)]
            }
            State::Up { dialog, .. } if *dialog == number => Vec::new(), // row 32: it came twice
            State::WaitAck { .. }
            | State::Idle
            | State::Calling { .. }
            | State::Up { .. }
            | State::Closing { .. } => vec![Action::Bye(number)], // row 31
        }
    }

    /// Takes a text of the SIP user.
    pub fn on_text(&mut self, number: DialogNumber, text: &str, scene: &Scene) -> Vec<Action> {
        let first = match &mut self.state {
            State::WaitAck { dialog, first, .. } if *dialog == number => first,
            State::Up {
                dialog,
                first,
                used_at,
                leaving,
            } if *dialog == number => {
                *used_at = scene.now;
                *leaving = false;
                first
            }
            State::Idle
            | State::Calling { .. }
            | State::WaitAck { .. }
            | State::Up { .. }
            | State::Closing { .. } => return vec![Action::Take], // row 33
        };
        match first.on_text(text, scene.now) {
            Repetition::No => vec![Action::Take], // row 16
            Repetition::Replaces => vec![Action::Forget(number), Action::Take], // row 16a
            Repetition::Behind => vec![Action::Deliver(number), Action::Take], // row 16b
            Repetition::Same => vec![Action::Drop], // row 16c
        }
    }

    /// Takes what became of the message in flight, which was sent in that dialog.
    pub fn on_outcome(
        &mut self,
        number: DialogNumber,
        outcome: Outcome,
        scene: &Scene,
    ) -> Vec<Action> {
        let current = match &mut self.state {
            State::Up {
                dialog, used_at, ..
            } if *dialog == number => {
                *used_at = scene.now;
                true
            }
            State::Idle
            | State::Calling { .. }
            | State::WaitAck { .. }
            | State::Up { .. }
            | State::Closing { .. } => false,
        };
        match outcome {
            // rows 17, 17a, 34
            Outcome::Delivered | Outcome::Lost | Outcome::Refused => self.proceed(scene),
            Outcome::Dangling { again } => {
                let requeue = again.then_some(Action::Requeue);
                let waiting = scene.waiting || again;
                let scene = Scene { waiting, ..*scene };
                if current {
                    // rows 18, 18a, 18b
                    return self.abandon(requeue, &scene);
                }
                let actions = requeue.into_iter().chain(self.proceed(&scene));
                actions.collect() // row 35
            }
            Outcome::Unknown if current => self.abandon(None, scene), // row 19
            Outcome::Unknown => self.proceed(scene),                  // row 34
            Outcome::Silent => {
                let scene = Scene {
                    waiting: false,
                    ..*scene
                };
                let rest = if current {
                    self.abandon(None, &scene) // row 19a
                } else {
                    Vec::new() // row 36
                };
                [Action::Fail].into_iter().chain(rest).collect()
            }
        }
    }

    /// Takes the BYE of the SIP user.
    pub fn on_end(&mut self, number: DialogNumber, scene: &Scene) -> Vec<Action> {
        let mut actions = match &mut self.state {
            State::WaitAck { dialog, first, .. } | State::Up { dialog, first, .. }
                if *dialog == number =>
            {
                // rows 14 and 21
                let text = first.on_end().then_some(Action::Deliver(number)); // rows 14a and 21a
                text.into_iter().chain([Action::Gone]).collect::<Vec<_>>()
            }
            State::Closing { dialog, .. } if *dialog == number => Vec::new(), // row 26
            State::Idle
            | State::Calling { .. }
            | State::WaitAck { .. }
            | State::Up { .. }
            | State::Closing { .. } => return Vec::new(), // row 30
        };
        self.state = State::Idle;
        actions.extend(self.proceed(scene)); // rows 21b, 21c, 14b and 14c
        actions
    }

    /// Takes note that the XMPP user left the conversation.
    pub fn on_gone(&mut self, scene: &Scene) -> Vec<Action> {
        match &mut self.state {
            State::Up { leaving, first, .. }
                if scene.waiting || scene.in_flight || !first.is_over() =>
            {
                // row 22a: a message that repeats the text inside its INVITE is not to meet 481.
                *leaving = true;
                Vec::new()
            }
            State::Up { .. } => self.leave(scene), // row 22
            State::Idle | State::Calling { .. } | State::WaitAck { .. } | State::Closing { .. } => {
                Vec::new()
            } // row 37
        }
    }

    /// Takes note that policy holds the pair apart from now on.
    pub fn on_block(&mut self, scene: &Scene) -> Vec<Action> {
        match &mut self.state {
            State::Calling { dialog, .. } => {
                // row 7a
                let number = *dialog;
                self.state = State::Idle;
                vec![Action::Cancel(number)]
            }
            State::WaitAck { dialog, first, .. } => {
                // row 12c: its ACK ends it.
                let text = first.on_end().then_some(Action::Deliver(*dialog));
                self.state = State::Idle;
                text.into_iter().collect()
            }
            State::Up { .. } => self.leave(scene), // row 23
            State::Idle | State::Closing { .. } => Vec::new(), // row 37
        }
    }

    /// Takes the answer to our BYE, or that there is none.
    pub fn on_closed(&mut self, number: DialogNumber) -> Vec<Action> {
        match &self.state {
            State::Closing { dialog, .. } if *dialog == number => self.state = State::Idle, // row 25
            State::Idle
            | State::Calling { .. }
            | State::WaitAck { .. }
            | State::Up { .. }
            | State::Closing { .. } => {} // row 30
        }
        Vec::new()
    }

    /// Does what is due.
    pub fn on_time(&mut self, scene: &Scene) -> Vec<Action> {
        if self.due(scene).is_none_or(|at| scene.now < at) {
            return Vec::new();
        }
        match &mut self.state {
            State::Idle => Vec::new(), // row 38
            State::Calling { dialog, .. } => {
                // row 7
                let number = *dialog;
                self.state = State::Idle;
                vec![Action::Cancel(number), Action::Fail]
            }
            State::WaitAck { .. } => self.abandon(None, scene), // rows 12, 12a and 12b
            State::Up {
                dialog,
                first,
                used_at,
                leaving,
            } => {
                let number = *dialog;
                if first.on_time(scene.now) {
                    return vec![Action::Deliver(number)]; // row 24a
                }
                if *leaving && first.is_over() && !scene.waiting && !scene.in_flight {
                    return self.leave(scene); // row 22b
                }
                if scene.now < *used_at + scene.idle_after {
                    return Vec::new(); // row 24b
                }
                if scene.waiting || scene.in_flight {
                    *used_at = scene.now; // row 24c
                    return Vec::new();
                }
                // row 24
                let mut actions = self.leave(scene);
                actions.push(Action::Gone);
                actions
            }
            State::Closing { .. } => {
                self.state = State::Idle; // row 25a
                Vec::new()
            }
        }
    }

    /// Goes on with what waits, after something that was in its way.
    fn proceed(&mut self, scene: &Scene) -> Vec<Action> {
        match &self.state {
            State::Idle | State::Closing { .. } if scene.waiting => self.begin(scene),
            State::Idle | State::Closing { .. } => Vec::new(),
            State::Calling { .. } | State::WaitAck { .. } => Vec::new(),
            State::Up {
                leaving: true,
                first,
                ..
            } if !scene.waiting && first.is_over() => self.leave(scene), // row 22b
            State::Up { dialog, .. } => vec![Action::Send(*dialog)],
        }
    }

    /// Finds a way for what waits, where there is no dialog.
    fn begin(&mut self, scene: &Scene) -> Vec<Action> {
        if !scene.starts {
            return vec![Action::Page];
        }
        self.state = State::Calling {
            dialog: scene.fresh,
            give_up_at: scene.now + limits::RING_TIME,
            rings: false,
            again: false,
        };
        vec![Action::Invite(scene.fresh)]
    }

    /// Ends a dialog that is of no use any more; what waits finds another way.
    fn abandon(&mut self, before: Option<Action>, scene: &Scene) -> Vec<Action> {
        let mut actions = self.leave(scene);
        actions.extend(before);
        actions.extend(self.proceed(scene));
        actions
    }

    /// Ends the dialog; the text inside its INVITE is not lost with it.
    fn leave(&mut self, scene: &Scene) -> Vec<Action> {
        let (number, text) = match &mut self.state {
            State::WaitAck { dialog, first, .. } | State::Up { dialog, first, .. } => {
                (*dialog, first.on_end())
            }
            State::Idle | State::Calling { .. } | State::Closing { .. } => return Vec::new(),
        };
        let until = scene.now + limits::TIMER_F;
        self.state = State::Closing {
            dialog: number,
            until,
        };
        let text = text.then_some(Action::Deliver(number));
        text.into_iter().chain([Action::Bye(number)]).collect()
    }

    fn up(&mut self, dialog: DialogNumber, first: First, scene: &Scene) {
        self.state = State::Up {
            dialog,
            used_at: scene.now,
            first,
            leaving: false,
        };
    }
}
