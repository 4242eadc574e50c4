//! Small values of the file: durations, addresses, routes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::config::Route;

/// Reads `250ms`, `3s`, `5m` or `1h`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// Reads an address with its port.
pub(super) fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// Reads `HOST:PORT`; an IPv6 address stands in brackets.
pub(super) fn route(text: &str) -> Option<Route> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        let (host, port) = (address.ip().to_string(), address.port());
        return Some(Route { host, port });
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    host_name(host).map(|host| Route { host, port })
}

/// Reads a host name or address; names come out in lower case.
pub(super) fn host_name(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(fits);
    let fits = name.len() <= 253 && name.split('.').all(label);
    fits.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        for bad in [
            "",
            "5",
            "m",
            "-1s",
            "1d",
            "5 m",
            "99999999999999999999s",
            "1.5s",
        ] {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn routes_are_hosts_with_ports() {
        let route_of = |host: &str, port| {
            Some(Route {
                host: host.to_owned(),
                port,
            })
        };

        assert_eq!(
            route("SIP.example.net.:5061"),
            route_of("sip.example.net", 5061)
        );
        assert_eq!(route("127.0.0.1:5061"), route_of("127.0.0.1", 5061));
        assert_eq!(route("[2001:db8::1]:5061"), route_of("2001:db8::1", 5061));
        for bad in [
            "", "host", "host:", "host:0", "a b:1", ":1", "a..b:1", "h:65536",
        ] {
            assert_eq!(route(bad), None, "{bad:?}");
        }
    }
}
