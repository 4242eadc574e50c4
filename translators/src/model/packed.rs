//! Presence in as few octets as it needs: most users have one device and say nothing, and there are
//! millions of them in memory and in the store.
//!
//! The form is a version, the name, the number of tuples, and of each a head that tells what follows.
//! Numbers are little-endian base 128 ("varint"), texts have their length in front, and a text that
//! may be missing its length plus one, or zero.

use crate::model::{Note, PresenceState, Show, Tuple, Wall};

/// First octet of the form; another one is read as nothing.
const VERSION: u8 = 1;

const OPEN: u8 = 1;
const PRIORITY: u8 = 1 << 1;
const IDLE: u8 = 1 << 2;
const SINCE: u8 = 1 << 3;
const NOTES: u8 = 1 << 4;
/// The show is a number in the upper three bits, zero for none.
const SHOW: u32 = 5;

const SHOWS: [Show; 4] = [Show::Away, Show::Chat, Show::Dnd, Show::Xa];

impl PresenceState {
    /// The packed form.
    pub fn pack(&self) -> Box<[u8]> {
        pack(self.tuples(), self.name())
    }

    /// Reads a packed form; `None` for octets that are none.
    pub fn unpack(packed: &[u8]) -> Option<Self> {
        let (tuples, name) = unpack(packed)?;
        Some(Self::new(tuples).with_name(name))
    }
}

/// Packs tuples in their order, with the user's name.
pub fn pack(tuples: &[Tuple], name: Option<&str>) -> Box<[u8]> {
    let mut out = vec![VERSION];
    put_optional(name, &mut out);
    put_number(tuples.len(), &mut out);
    for tuple in tuples {
        put_tuple(tuple, &mut out);
    }
    out.into_boxed_slice()
}

/// Reads what [`pack`] wrote; `None` for octets that are none.
pub fn unpack(packed: &[u8]) -> Option<(Vec<Tuple>, Option<Box<str>>)> {
    let mut rest = Rest(packed);
    if rest.octet()? != VERSION {
        return None;
    }
    let name = rest.optional()?;
    let count = rest.number()?;
    let tuples: Option<Vec<Tuple>> = (0..count).map(|_| rest.tuple()).collect();
    Some((tuples?, name)).filter(|_| rest.0.is_empty())
}

fn put_tuple(tuple: &Tuple, out: &mut Vec<u8>) {
    let flag = |bit: u8, set: bool| if set { bit } else { 0 };
    let show = tuple
        .show
        .and_then(|show| SHOWS.iter().position(|one| *one == show));
    let show = show.map_or(0, |at| u8::try_from(at + 1).unwrap_or(0));
    out.push(
        flag(OPEN, tuple.open)
            | flag(PRIORITY, tuple.priority.is_some())
            | flag(IDLE, tuple.idle_since.is_some())
            | flag(SINCE, tuple.since.is_some())
            | flag(NOTES, !tuple.notes.is_empty())
            | (show << SHOW),
    );
    put_text(&tuple.device, out);
    out.extend(tuple.priority.iter().flat_map(|it| it.to_le_bytes()));
    for time in [tuple.idle_since, tuple.since].into_iter().flatten() {
        out.extend(time.unix_millis().to_le_bytes());
    }
    if !tuple.notes.is_empty() {
        put_number(tuple.notes.len(), out);
    }
    for note in &tuple.notes {
        put_optional(note.lang.as_deref(), out);
        put_text(&note.text, out);
    }
}

fn put_number(mut number: usize, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_number(text.len(), out);
    out.extend(text.bytes());
}

fn put_optional(text: Option<&str>, out: &mut Vec<u8>) {
    put_number(text.map_or(0, |text| text.len() + 1), out);
    out.extend(text.unwrap_or_default().bytes());
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn tuple(&mut self) -> Option<Tuple> {
        let head = self.octet()?;
        let has = |bit: u8| head & bit != 0;
        let show = match head >> SHOW {
            0 => None,
            number => Some(*SHOWS.get(usize::from(number) - 1)?),
        };
        Some(Tuple {
            open: has(OPEN),
            show,
            device: self.text()?,
            priority: self.if_there(has(PRIORITY), |it| it.fixed().map(i8::from_le_bytes))?,
            idle_since: self.if_there(has(IDLE), Self::time)?,
            since: self.if_there(has(SINCE), Self::time)?,
            notes: self.if_there(has(NOTES), Self::notes)?.unwrap_or_default(),
        })
    }

    /// Reads something that may be missing; `None` if it is cut.
    fn if_there<T>(
        &mut self,
        there: bool,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if there {
            read(self).map(Some)
        } else {
            Some(None)
        }
    }

    fn notes(&mut self) -> Option<Box<[Note]>> {
        let count = self.number()?;
        let notes = (0..count).map(|_| {
            Some(Note {
                lang: self.optional()?,
                text: self.text()?,
            })
        });
        notes.collect()
    }

    fn time(&mut self) -> Option<Wall> {
        self.fixed()
            .map(i64::from_le_bytes)
            .map(Wall::from_unix_millis)
    }

    fn octet(&mut self) -> Option<u8> {
        self.fixed().map(|[octet]| octet)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*octets)
    }

    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..usize::BITS - 7).step_by(7) {
            let octet = self.octet()?;
            number |= usize::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn text(&mut self) -> Option<Box<str>> {
        let length = self.number()?;
        self.text_of(length)
    }

    fn optional(&mut self) -> Option<Option<Box<str>>> {
        match self.number()? {
            0 => Some(None),
            length => self.text_of(length - 1).map(Some),
        }
    }

    fn text_of(&mut self, length: usize) -> Option<Box<str>> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok().map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> PresenceState {
        let note = |lang: Option<&str>, text: &str| Note {
            lang: lang.map(Into::into),
            text: text.into(),
        };
        let shows = SHOWS.iter().map(|show| Tuple {
            show: Some(*show),
            ..Tuple::available(show.as_str())
        });
        let all = Tuple {
            show: Some(Show::Xa),
            notes: [note(None, ""), note(Some("de"), &"\u{e4}".repeat(200))].into(),
            priority: Some(-128),
            idle_since: Some(Wall::from_unix_millis(i64::MIN)),
            since: Some(Wall::from_unix_millis(1)),
            ..Tuple::available("all")
        };
        PresenceState::new(shows.chain([all, Tuple::closed("")]))
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for state in [
            PresenceState::default(),
            PresenceState::default().with_name(Some("".into())),
            full(),
            full().with_name(Some("Alice".into())),
        ] {
            assert_eq!(PresenceState::unpack(&state.pack()), Some(state));
        }
    }

    #[test]
    fn what_is_cut_or_foreign_is_nothing() {
        let packed = full().pack();
        for end in 0..packed.len() {
            assert_eq!(PresenceState::unpack(&packed[..end]), None, "{end}");
        }
        for odd in [
            &[2, 0, 0][..],
            &[1, 0, 0, 0],
            &[1, 0xff, 0xff, 0xff, 0xff, 0xff],
            b"{}",
        ] {
            assert_eq!(PresenceState::unpack(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_usual_state_takes_a_few_octets() {
        let tuple = Tuple {
            show: Some(Show::Away),
            priority: Some(5),
            ..Tuple::available("yn0cl4bnw0yr3vym")
        };
        assert_eq!(PresenceState::new([tuple]).pack().len(), 22);
    }
}
