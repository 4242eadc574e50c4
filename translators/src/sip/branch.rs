//! The branches of our Vias.

use std::fmt;

use rand::{Rng, RngExt as _};

/// Marks the branches of one run of the gateway, so that a request that comes back to it is known
/// as its own and one of another gateway is not. To be drawn at random at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(pub u32);

/// A transaction of ours: `z9hG4bK`, the mark of this run, the shard that waits for the answer and
/// 64 random bits, in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch {
    mark: Mark,
    shard: u16,
    random: u64,
}

/// Begins every branch of RFC 3261 (section 8.1.1.7).
pub(super) const COOKIE: &str = "z9hG4bK";

impl Branch {
    /// Draws a new branch.
    pub fn draw(mark: Mark, shard: u16, rng: &mut impl Rng) -> Self {
        Self {
            mark,
            shard,
            random: rng.random(),
        }
    }

    /// Reads a branch in our form, of whatever run.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(COOKIE)?;
        let plain = |octet: u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 28 || !digits.bytes().all(plain) {
            return None;
        }
        Some(Self {
            mark: Mark(u32::from_str_radix(digits.get(..8)?, 16).ok()?),
            shard: u16::from_str_radix(digits.get(8..12)?, 16).ok()?,
            random: u64::from_str_radix(digits.get(12..)?, 16).ok()?,
        })
    }

    /// The run of the gateway that made it.
    pub const fn mark(self) -> Mark {
        self.mark
    }

    /// The shard that waits for the answer.
    pub const fn shard(self) -> u16 {
        self.shard
    }

    pub(super) fn write(self, out: &mut String) {
        out.push_str(COOKIE);
        push_hex(out, u64::from(self.mark.0), 8);
        push_hex(out, u64::from(self.shard), 4);
        push_hex(out, self.random, 16);
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

/// Writes the low `digits` hexadecimal digits of `number`.
fn push_hex(out: &mut String, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) & 0xf;
        let digit = u32::try_from(digit).unwrap_or(0);
        out.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_branch_reads_back() {
        let mut rng = StdRng::seed_from_u64(1);
        let branch = Branch::draw(Mark(0xab), 7, &mut rng);

        let text = branch.to_string();

        assert!(text.starts_with("z9hG4bK000000ab0007"), "{text}");
        assert_eq!(Branch::parse(&text), Some(branch));
        assert_ne!(Branch::draw(Mark(0xab), 7, &mut rng), branch);
    }

    #[test]
    fn branches_of_others_are_not_ours() {
        for text in [
            "",
            "z9hG4bK",
            "z9hG4bKC62D82DB.F5BED7F75178DA15",
            "z9hG4bK000000ab00070000000000000000f",
            "z9hG4bK000000AB00070000000000000000",
            "z9hG4bK+00000ab00070000000000000000",
            "000000ab000700000000000000000000000",
        ] {
            assert_eq!(Branch::parse(text), None, "{text}");
        }
    }
}
