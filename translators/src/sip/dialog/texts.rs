//! Several short texts in one allocation.

use crate::limits;

/// `N` texts, one behind the other. The length of each stands in front of all of them as the number of a
/// character: one octet for most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts<const N: usize>(Box<str>);

impl<const N: usize> Texts<N> {
    /// Packs the texts; none may be longer than [`limits::DIALOG_TEXT`].
    pub(super) fn new(parts: [&str; N]) -> Option<Self> {
        const {
            assert!(
                limits::DIALOG_TEXT < 0xd800,
                "not every length is a character"
            )
        };
        let mut all =
            String::with_capacity(2 * N + parts.iter().map(|part| part.len()).sum::<usize>());
        for part in parts {
            let length = u32::try_from(part.len()).ok()?;
            let fits = part.len() <= limits::DIALOG_TEXT;
            all.push(char::from_u32(length).filter(|_| fits)?);
        }
        all.extend(parts);
        Some(Self(all.into()))
    }

    /// The text at this place, counted from 0.
    pub(super) fn part(&self, place: usize) -> &str {
        let mut rest = self.0.chars();
        let mut lengths = [0; N];
        for (length, read) in lengths.iter_mut().zip(&mut rest) {
            *length = read as usize;
        }
        let start: usize = lengths.iter().take(place).sum();
        let length = lengths.get(place).copied().unwrap_or_default();
        rest.as_str().get(start..start + length).unwrap_or_default()
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
