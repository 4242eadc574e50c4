//! The numbers and tokens with which Microsoft's documents say how available somebody is, and what
//! XMPP has for them. Numbers are compared with ranges, never for equality: servers move them.

use crate::documents::presence::{Reading, note};
use crate::model::microsoft::BusyAs;
use crate::model::{Note, Show, Tuple, Wall};

/// How available somebody is, in the ranges of the `state` category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// 3000 to 4499.
    Available,
    /// 4500 to 5999: nobody uses the device.
    AvailableIdle,
    /// 15000 to 17999.
    Away,
    /// 12000 to 14999.
    BeRightBack,
    /// 6000 to 7499.
    Busy,
    /// 7500 to 8999.
    BusyIdle,
    /// 9000 to 11999.
    Dnd,
    /// Below 3000, which is nothing or unknown, and 18000 and above.
    Offline,
}

impl Standing {
    /// The range that a number lies in.
    pub(super) const fn of(number: u32) -> Self {
        match number {
            3_000..4_500 => Self::Available,
            4_500..6_000 => Self::AvailableIdle,
            6_000..7_500 => Self::Busy,
            7_500..9_000 => Self::BusyIdle,
            9_000..12_000 => Self::Dnd,
            12_000..15_000 => Self::BeRightBack,
            15_000..18_000 => Self::Away,
            _ => Self::Offline,
        }
    }
}

/// The numbers that stand for their ranges.
pub(super) mod canonical {
    /// Plainly available.
    pub(in crate::documents) const AVAILABLE: u32 = 3_500;
    /// Available, but the device is not used.
    pub(in crate::documents) const AVAILABLE_IDLE: u32 = 5_000;
    /// Busy.
    pub(in crate::documents) const BUSY: u32 = 6_500;
    /// Not to be disturbed.
    pub(in crate::documents) const DND: u32 = 9_500;
    /// Back in a moment.
    pub(in crate::documents) const BE_RIGHT_BACK: u32 = 12_500;
    /// Away.
    pub(in crate::documents) const AWAY: u32 = 15_500;
    /// Not there.
    pub(in crate::documents) const OFFLINE: u32 = 18_500;

    /// The least and the greatest number of the range in which the word for an activity holds.
    pub(in crate::documents) const fn range_of(number: u32) -> (u32, u32) {
        match number {
            9_000..12_000 => (9_000, 11_999),
            15_000..18_000 => (15_000, 17_999),
            other => (other, other),
        }
    }
}

/// Token of somebody who is gone for long: what XMPP calls extended away.
pub(super) const OFF_WORK: &str = "off-work";
/// Token of somebody who does not want to be disturbed.
pub(super) const DO_NOT_DISTURB: &str = "do-not-disturb";

/// What a document says of somebody's availability.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Telling {
    /// A number in the ranges of [`Standing`].
    pub(super) number: u32,
    /// The word for the activity.
    pub(super) token: Option<String>,
    /// The user's own words for it.
    pub(super) custom: Option<Note>,
    /// Since when it is so.
    pub(super) since: Option<Wall>,
    /// Whether the device is a telephone.
    pub(super) mobile: bool,
}

impl Telling {
    /// Of a number and the word for it.
    pub(super) fn of(number: u32, token: Option<&str>) -> Self {
        let token = token.map(|it| it.trim().to_ascii_lowercase());
        Self {
            number,
            token: token.filter(|it| !it.is_empty()),
            ..Self::default()
        }
    }

    /// The numbers of `availability` and `activity` for the whole of somebody's devices ([MS-SIP]
    /// section 2.2.1). Whoever is "maybe" there, from 100 on, counts as there.
    pub(super) fn of_aggregates(availability: u32, activity: u32) -> Self {
        let (number, token) = match activity {
            _ if availability < 100 => (canonical::OFFLINE, ""),
            0..150 => (canonical::AWAY, ""),
            150..200 => (canonical::AWAY, "lunch"),
            200..300 => (canonical::AVAILABLE_IDLE, "idle"),
            300..400 => (canonical::BE_RIGHT_BACK, "be-right-back"),
            400..500 => (canonical::AVAILABLE, ""),
            500..600 => (canonical::BUSY, "on-the-phone"),
            600..700 => (canonical::BUSY, "busy"),
            700..800 => (canonical::AWAY, ""),
            _ => (canonical::AVAILABLE, ""),
        };
        Self::of(number, Some(token))
    }

    /// What it makes of the user's one tuple. `words` are the note that he wrote, `device` the
    /// resource that it becomes.
    pub(super) fn tuple(&self, device: &str, words: Option<Note>, how: Reading<'_>) -> Tuple {
        let standing = Standing::of(self.number);
        if standing == Standing::Offline {
            return Tuple {
                notes: words.into_iter().collect(),
                ..Tuple::closed(device)
            };
        }
        let idle = matches!(standing, Standing::AvailableIdle | Standing::BusyIdle);
        Tuple {
            show: self.show(standing, how),
            notes: self.words(standing, words, how).into_iter().collect(),
            idle_since: self.since.filter(|_| idle),
            ..Tuple::available(device)
        }
    }

    fn show(&self, standing: Standing, how: Reading<'_>) -> Option<Show> {
        match standing {
            Standing::Available | Standing::Offline => None,
            Standing::AvailableIdle => how.idle_is_away.then_some(Show::Away),
            Standing::Busy | Standing::BusyIdle => match how.busy_as {
                BusyAs::Dnd => Some(Show::Dnd),
                BusyAs::Available => None,
            },
            Standing::Dnd => Some(Show::Dnd),
            Standing::BeRightBack => Some(Show::Away),
            Standing::Away => match self.token.as_deref() {
                Some("out-of-office" | "out-to-lunch" | OFF_WORK) => Some(Show::Xa),
                Some(_) | None => Some(Show::Away),
            },
        }
    }

    /// The words that are shown: his note, else those for the activity. Where "busy" shows as
    /// available nothing else tells it, so both are needed.
    fn words(&self, standing: Standing, words: Option<Note>, how: Reading<'_>) -> Option<Note> {
        let known = self.token.as_deref().and_then(token_words);
        let activity = self.custom.clone();
        let activity = activity.or_else(|| note(None, known?));
        let busy = matches!(standing, Standing::Busy | Standing::BusyIdle);
        match (words, activity) {
            (Some(words), Some(activity)) if busy && how.busy_as == BusyAs::Available => {
                let both = format!("{}{BETWEEN}{}", activity.text, words.text);
                note(words.lang.as_deref(), &both)
            }
            (Some(words), _) => Some(words),
            (None, None) if self.mobile => note(None, "Mobile"),
            (None, activity) => activity,
        }
    }
}

/// What a token says in words beyond what the show says; nothing for an unknown one.
fn token_words(token: &str) -> Option<&'static str> {
    let mut all = TOKEN_WORDS.iter();
    all.find_map(|(known, words)| (*known == token).then_some(*words))
}

/// Tokens that say more than a show.
const TOKEN_WORDS: &[(&str, &str)] = &[
    ("be-right-back", "Be right back"),
    ("busy", "Busy"),
    ("busyidle", "Busy"),
    ("in-a-conference", "In a conference"),
    ("in-a-meeting", "In a meeting"),
    ("in-presentation", "Presenting"),
    ("lunch", "Out to lunch"),
    (OFF_WORK, "Off work"),
    ("on-the-phone", "On the phone"),
    ("out-of-office", "Out of office"),
    ("out-to-lunch", "Out to lunch"),
    ("urgent-interruptions-only", "Urgent interruptions only"),
];

/// What stands between the words of an activity and a note.
const BETWEEN: &str = " - ";

/// If a note begins with the words for an activity: what stands behind them, nothing in most cases.
pub(super) fn words_for_activity(note: &Note) -> Option<&str> {
    let mut all = TOKEN_WORDS.iter().map(|(_, words)| *words);
    all.find_map(|words| {
        let rest = note.text.strip_prefix(words)?;
        rest.strip_prefix(BETWEEN)
            .or_else(|| rest.is_empty().then_some(rest))
    })
}

/// What is written for one tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The `aggregate` of `availability` ([MS-SIP] section 2.2.1).
    pub(super) availability: u32,
    /// The `aggregate` of `activity`.
    pub(super) activity: u32,
    /// The number of the `state` category.
    pub(super) state: u32,
    /// The token that says more than the number.
    pub(super) token: Option<&'static str>,
}

impl Numbers {
    /// What is written of a user's most available device; `None` where none is there.
    pub(super) const fn of(tuple: Option<&Tuple>) -> Self {
        let Some(tuple) = tuple else {
            return Self::new((0, 0), canonical::OFFLINE, None);
        };
        match tuple.show {
            None | Some(Show::Chat) => Self::new((300, 400), canonical::AVAILABLE, None),
            Some(Show::Away) => Self::new((300, 100), canonical::AWAY, None),
            Some(Show::Dnd) => Self::new((300, 600), canonical::DND, Some(DO_NOT_DISTURB)),
            Some(Show::Xa) => Self::new((300, 100), canonical::AWAY, Some(OFF_WORK)),
        }
    }

    const fn new(
        (availability, activity): (u32, u32),
        state: u32,
        token: Option<&'static str>,
    ) -> Self {
        Self {
            availability,
            activity,
            state,
            token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(telling: &Telling, how: Reading<'_>) -> (bool, Option<Show>, Option<String>) {
        let tuple = telling.tuple("sip", None, how);
        let words = tuple.notes.first().map(|note| note.text.to_string());
        (tuple.open, tuple.show, words)
    }

    /// Every boundary of the ranges, and one number inside each.
    #[test]
    fn numbers_are_ranges() {
        let dnd = Some(Show::Dnd);
        for (number, open, show) in [
            (0, false, None),
            (2_999, false, None),
            (3_000, true, None),
            (3_499, true, None),
            (4_499, true, None),
            (4_500, true, None),
            (5_999, true, None),
            (6_000, true, dnd),
            (8_999, true, dnd),
            (9_000, true, dnd),
            (11_999, true, dnd),
            (12_000, true, Some(Show::Away)),
            (14_999, true, Some(Show::Away)),
            (15_000, true, Some(Show::Away)),
            (17_999, true, Some(Show::Away)),
            (18_000, false, None),
            (u32::MAX, false, None),
        ] {
            let told = shown(&Telling::of(number, None), Reading::default());
            assert_eq!(told, (open, show, None), "{number}");
        }
    }

    #[test]
    fn aggregates_are_ranges_too() {
        let away = Some(Show::Away);
        for (availability, activity, open, show, words) in [
            (0, 400, false, None, None),
            (99, 800, false, None, None),
            (100, 400, true, None, None),
            (199, 499, true, None, None),
            (300, 0, true, away, None),
            (300, 99, true, away, None),
            (300, 100, true, away, None),
            (300, 149, true, away, None),
            (300, 150, true, away, Some("Out to lunch")),
            (300, 199, true, away, Some("Out to lunch")),
            (300, 200, true, None, None),
            (300, 299, true, None, None),
            (300, 300, true, away, Some("Be right back")),
            (300, 399, true, away, Some("Be right back")),
            (300, 500, true, Some(Show::Dnd), Some("On the phone")),
            (300, 600, true, Some(Show::Dnd), Some("Busy")),
            (300, 699, true, Some(Show::Dnd), Some("Busy")),
            (300, 700, true, away, None),
            (300, 799, true, away, None),
            (300, 800, true, None, None),
            (399, 999, true, None, None),
        ] {
            let told = shown(
                &Telling::of_aggregates(availability, activity),
                Reading::default(),
            );
            let expected = (open, show, words.map(str::to_owned));
            assert_eq!(told, expected, "{availability} x {activity}");
        }
    }

    #[test]
    fn tokens_say_more_than_numbers() {
        let of = |number, token| shown(&Telling::of(number, Some(token)), Reading::default());
        let xa = |words: &str| (true, Some(Show::Xa), Some(words.to_owned()));
        assert_eq!(of(15_500, " Off-Work "), xa("Off work"));
        assert_eq!(of(15_500, "out-of-office"), xa("Out of office"));
        assert_eq!(of(17_999, "out-to-lunch"), xa("Out to lunch"));
        assert_eq!(of(15_500, "away"), (true, Some(Show::Away), None));
        assert_eq!(of(15_500, "unheard-of"), (true, Some(Show::Away), None));
        assert_eq!(
            of(12_500, "be-right-back"),
            (true, Some(Show::Away), Some("Be right back".to_owned()))
        );
        assert_eq!(of(9_500, DO_NOT_DISTURB), (true, Some(Show::Dnd), None));
        assert_eq!(
            of(9_500, "urgent-interruptions-only").2.as_deref(),
            Some("Urgent interruptions only")
        );
    }

    #[test]
    fn busy_is_what_the_operator_says() {
        let how = Reading {
            busy_as: BusyAs::Available,
            ..Reading::default()
        };
        let busy = Telling::of(6_500, Some("in-a-meeting"));
        let words = |text: &str| Some(text.to_owned());
        assert_eq!(shown(&busy, how), (true, None, words("In a meeting")));
        assert_eq!(
            shown(&busy, Reading::default()),
            (true, Some(Show::Dnd), words("In a meeting"))
        );
        let told = |how| busy.tuple("sip", note(None, "at desk"), how).notes;
        assert_eq!(
            told(how).first().unwrap().text.as_ref(),
            "In a meeting - at desk"
        );
        assert_eq!(
            told(Reading::default()).first().unwrap().text.as_ref(),
            "at desk"
        );
        let dnd = Telling::of(9_500, None);
        assert_eq!(shown(&dnd, how), (true, Some(Show::Dnd), None));
    }

    #[test]
    fn idle_devices_are_away_where_the_operator_says_so() {
        let idle = Telling {
            since: Some(Wall::from_unix_millis(1_000)),
            ..Telling::of(5_000, None)
        };
        let how = Reading {
            idle_is_away: true,
            ..Reading::default()
        };
        for (how, show) in [(how, Some(Show::Away)), (Reading::default(), None)] {
            let tuple = idle.tuple("sip", None, how);
            assert_eq!((tuple.show, tuple.idle_since), (show, idle.since));
        }
        let used = Telling {
            number: canonical::AVAILABLE,
            ..idle
        };
        assert_eq!(used.tuple("sip", None, how).idle_since, None);
    }

    #[test]
    fn own_words_stand_before_those_of_a_token() {
        let telling = Telling {
            custom: note(Some("de"), "Im Labor"),
            ..Telling::of(6_500, Some("busy"))
        };
        let tuple = telling.tuple("sip", None, Reading::default());
        assert_eq!(*tuple.notes, [note(Some("de"), "Im Labor").unwrap()]);

        let mobile = |number| Telling {
            mobile: true,
            ..Telling::of(number, None)
        };
        let words = |telling: &Telling| shown(telling, Reading::default()).2;
        assert_eq!(words(&mobile(3_500)).as_deref(), Some("Mobile"));
        assert_eq!(words(&mobile(18_500)), None);
    }

    /// What is written for each show is read as the same one; chat is plainly available.
    #[test]
    fn what_is_written_is_read() {
        for show in [None, Some(Show::Away), Some(Show::Dnd), Some(Show::Xa)] {
            let tuple = Tuple {
                show,
                ..Tuple::available("a")
            };
            let numbers = Numbers::of(Some(&tuple));
            let read = Telling::of(numbers.state, numbers.token);
            assert_eq!(shown(&read, Reading::default()).1, show);
        }
        let gone = Numbers::of(None);
        assert!(!shown(&Telling::of(gone.state, None), Reading::default()).0);
        let legacy = Telling::of_aggregates(gone.availability, gone.activity);
        assert!(!shown(&legacy, Reading::default()).0);
    }
}
