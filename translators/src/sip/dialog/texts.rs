//! Several short texts in one allocation.

use crate::limits;

/// `N` texts, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts<const N: usize> {
    all: Box<str>,
    ends: [u16; N],
}

impl<const N: usize> Texts<N> {
    /// Packs the texts; none may be longer than [`limits::DIALOG_TEXT`].
    pub(super) fn new(parts: [&str; N]) -> Option<Self> {
        const {
            assert!(
                N * limits::DIALOG_TEXT <= u16::MAX as usize,
                "ends are too small"
            )
        };
        if parts.iter().any(|part| part.len() > limits::DIALOG_TEXT) {
            return None;
        }
        let mut end = 0;
        let ends = parts.map(|part| {
            end += part.len();
            u16::try_from(end).unwrap_or(u16::MAX)
        });
        let all = parts.concat().into_boxed_str();
        Some(Self { all, ends })
    }

    /// The text at this place, counted from 0.
    pub(super) fn part(&self, place: usize) -> &str {
        let end = |place: usize| self.ends.get(place).copied().map_or(0, usize::from);
        let start = place.checked_sub(1).map_or(0, end);
        self.all.get(start..end(place)).unwrap_or_default()
    }

    /// All texts in order.
    pub(super) fn parts(&self) -> [&str; N] {
        std::array::from_fn(|place| self.part(place))
    }

    /// Puts another text in this place; one that is too long is left out.
    pub(super) fn replace(&mut self, place: usize, text: &str) {
        let mut parts = self.parts();
        if let Some(part) = parts.get_mut(place) {
            *part = text;
        }
        if let Some(changed) = Self::new(parts) {
            *self = changed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in() {
        let mut texts = Texts::new(["", "Jülich", "", "b"]).unwrap();
        assert_eq!(texts.parts(), ["", "Jülich", "", "b"]);

        texts.replace(2, "abc");
        texts.replace(3, "");
        assert_eq!(texts.parts(), ["", "Jülich", "abc", ""]);

        let long = "x".repeat(limits::DIALOG_TEXT + 1);
        assert_eq!(Texts::new([long.as_str()]), None);
        texts.replace(0, &long);
        assert_eq!(texts.part(0), "");
        assert_eq!(texts.part(9), "");
    }
}
