//! Addresses of a SIP peer that answered 503 of late.

use std::net::SocketAddr;
use std::time::Duration;

use translators::limits;
use translators::model::Mono;

/// How an address answered of late, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It takes requests.
    Serving,
    /// It refused a request with 503: that one goes elsewhere (RFC 3263 section 4.3).
    Refusing,
    /// It said for how long: nothing goes there if there is another address. RFC 3261 section
    /// 21.5.4: the client "SHOULD NOT forward any other requests to that server for the duration
    /// specified in the Retry-After header field".
    Resting,
}

/// The addresses that refused a request and are not forgiven yet.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<Refusal>);

#[derive(Debug)]
struct Refusal {
    at: SocketAddr,
    until: Mono,
    standing: Standing,
}

impl Refusals {
    /// Takes note of a 503 from `address`; returns for how long, if that is news.
    pub(super) fn add(
        &mut self,
        address: SocketAddr,
        retry_after: Option<Duration>,
        now: Mono,
    ) -> Option<Duration> {
        self.forget(now);
        let asked = retry_after.unwrap_or_default();
        let standing = if asked.is_zero() {
            Standing::Refusing
        } else {
            Standing::Resting
        };
        let span = asked.clamp(limits::REFUSING_ADDRESS, limits::RESTING_ADDRESS);
        let is_news = self.standing(address) < standing;
        if let Some(known) = self.0.iter_mut().find(|known| known.at == address) {
            known.until = known.until.max(now + span);
            known.standing = known.standing.max(standing);
        } else if self.0.len() < limits::CONNECTIONS_PER_PEER {
            self.0.push(Refusal {
                at: address,
                until: now + span,
                standing,
            });
        }
        is_news.then_some(span)
    }

    /// Forgives what is over.
    pub(super) fn forget(&mut self, now: Mono) {
        self.0.retain(|refusal| refusal.until > now);
    }

    /// How an address answered of late; port 0 stands for every port of a host.
    pub(super) fn standing(&self, address: SocketAddr) -> Standing {
        let known = self.0.iter().filter(|known| is_same(known.at, address));
        let worst = known.map(|known| known.standing).max();
        worst.unwrap_or(Standing::Serving)
    }
}

fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    let any_port = one.port() == 0 || other.port() == 0;
    one.ip() == other.ip() && (any_port || one.port() == other.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::testing::at;

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn an_address_that_refused_is_passed_over_for_a_short_time() {
        let mut refusals = Refusals::default();

        let span = refusals.add(address(5061), None, at(0));

        assert_eq!(span, Some(limits::REFUSING_ADDRESS));
        assert_eq!(refusals.standing(address(5061)), Standing::Refusing);
        assert_eq!(refusals.standing(address(5062)), Standing::Serving);
        assert_eq!(refusals.add(address(5061), None, at(1)), None, "known");
        refusals.forget(at(10));
        assert_eq!(refusals.standing(address(5061)), Standing::Refusing);
        refusals.forget(at(11));
        assert_eq!(refusals.standing(address(5061)), Standing::Serving);
    }

    #[test]
    fn an_address_that_says_when_to_come_again_rests_for_so_long_within_bounds() {
        for (asked, granted) in [(1, 10), (30, 30), (1_000_000, 300)] {
            let mut refusals = Refusals::default();
            let asked = Duration::from_secs(asked);

            let span = refusals.add(address(5061), Some(asked), at(0));

            assert_eq!(span, Some(Duration::from_secs(granted)));
            assert_eq!(refusals.standing(address(5061)), Standing::Resting);
            refusals.forget(at(granted));
            assert_eq!(refusals.standing(address(5061)), Standing::Serving);
        }
    }

    #[test]
    fn a_zero_says_nothing_and_a_shorter_time_takes_nothing_back() {
        let mut refusals = Refusals::default();
        refusals.add(address(5061), Some(Duration::ZERO), at(0));
        assert_eq!(refusals.standing(address(5061)), Standing::Refusing);

        let longer = Some(Duration::from_secs(60));
        assert_eq!(refusals.add(address(5061), longer, at(1)), longer, "worse");
        assert_eq!(refusals.add(address(5061), None, at(2)), None);

        refusals.forget(at(60));
        assert_eq!(refusals.standing(address(5061)), Standing::Resting);
    }

    #[test]
    fn a_host_without_port_stands_for_all_its_ports() {
        let mut refusals = Refusals::default();

        refusals.add(address(0), None, at(0));

        assert_eq!(refusals.standing(address(5061)), Standing::Refusing);
        assert_eq!(
            refusals.standing(([192, 0, 2, 2], 5061).into()),
            Standing::Serving
        );
    }

    #[test]
    fn so_many_addresses_are_remembered() {
        let mut refusals = Refusals::default();
        for port in 1..=1_000 {
            refusals.add(address(port), None, at(0));
        }
        assert_eq!(refusals.0.len(), limits::CONNECTIONS_PER_PEER);
    }
}
