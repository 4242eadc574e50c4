//! Log lines about strangers: who knocks all day must not fill the log.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use translators::model::Mono;

/// How many lines were written of late about which address, for each reason. Every copy counts the
/// same.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Shares>>);

#[derive(Debug, Default)]
struct Shares {
    known: HashMap<(IpAddr, &'static str), Share>,
    /// What all others have together, if there are too many to know.
    others: Share,
}

#[derive(Debug, Default)]
struct Share {
    began: Mono,
    written: u32,
    left_out: u64,
}

impl Lines {
    /// Asks for a line about `address`, which stands there for `reason`. The answer is how many were
    /// left out since the last one; without an answer it is left out too.
    pub(super) fn ask(&self, address: IpAddr, reason: &'static str, now: Mono) -> Option<u64> {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shares.of((network(address), reason), now).ask(now)
    }
}

impl Shares {
    fn of(&mut self, key: (IpAddr, &'static str), now: Mono) -> &mut Share {
        if self.known.len() >= SHARES && !self.known.contains_key(&key) {
            self.known.retain(|_, share| !share.is_over(now));
            if self.known.len() >= SHARES {
                return &mut self.others;
            }
        }
        self.known.entry(key).or_insert_with(|| Share {
            began: now,
            ..Share::default()
        })
    }
}

impl Share {
    fn is_over(&self, now: Mono) -> bool {
        now.since(self.began) >= SPAN
    }

    fn ask(&mut self, now: Mono) -> Option<u64> {
        if self.is_over(now) {
            self.began = now;
            self.written = 0;
        }
        if self.written >= LINES {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// Whoever has one address of IPv6 has its whole network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = u128::MAX << 64;
            Ipv6Addr::from_bits(address.to_bits() & prefix).into()
        }
    }
}

/// Lines about one address and reason within [`SPAN`].
const LINES: u32 = 5;
/// After this time there are new ones.
const SPAN: Duration = Duration::from_secs(60);
/// Addresses and reasons that are told apart.
const SHARES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn an_address_has_some_lines_and_the_next_tells_how_many_were_left_out() {
        let lines = Lines::default();
        let ask = |seconds| lines.ask(address(1), "tls", at(seconds));

        let answers: Vec<_> = (0..20).map(ask).collect();

        assert_eq!(answers, [[Some(0); 5].as_slice(), &[None; 15]].concat());
        assert_eq!(lines.ask(address(2), "tls", at(20)), Some(0), "another one");
        assert_eq!(
            lines.ask(address(1), "sasl", at(20)),
            Some(0),
            "another reason"
        );
        assert_eq!(ask(60), Some(15));
        assert_eq!(ask(61), Some(0));
    }

    #[test]
    fn neighbours_of_ipv6_are_one_and_mapped_addresses_are_themselves() {
        let lines = Lines::default();
        let ask = |text: &str| lines.ask(text.parse().unwrap(), "tls", at(0)).is_some();

        for last in 1..=5 {
            assert!(ask(&format!("2001:db8::{last}")));
        }

        assert!(!ask("2001:db8::6"));
        assert!(ask("2001:db8:0:1::6"));
        for last in 1..=6 {
            assert!(ask(&format!("::ffff:192.0.2.{last}")));
        }
    }

    #[test]
    fn too_many_addresses_have_one_share_until_others_are_forgotten() {
        let lines = Lines::default();
        let ask = |number, seconds| lines.ask(address(number), "tls", at(seconds)).is_some();
        let many = u32::try_from(SHARES).unwrap();
        assert!((0..many).all(|number| ask(number, 0)));

        let more = (many..many + 100).filter(|number| ask(*number, 1));

        assert_eq!(more.count(), 5);
        assert!(ask(1, 2), "known");
        assert!(ask(many + 200, 61));
        assert!(lines.0.lock().unwrap().known.len() <= SHARES);
    }
}
