//! Which endpoint of a SIP user a dialog is with.

use crate::sip::{Malformed, Request};

/// Names an endpoint among those of its user: made of its `epid` ([MS-SIP] appendix A), and one and
/// the same for all endpoints that give none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(u64);

impl EndpointId {
    /// Of From or To as it is written, without a name.
    pub(super) fn of(address: &str) -> Self {
        // Parameters inside the brackets are the URI's.
        let params = address
            .rsplit_once('>')
            .map_or(address, |(_, params)| params);
        let named = params.split(';').find_map(|param| {
            let (name, value) = param.split_once('=')?;
            let is_epid = name.trim().eq_ignore_ascii_case("epid");
            is_epid.then(|| value.trim())
        });
        let mut hash = FNV_BASIS;
        for octet in named.unwrap_or_default().bytes() {
            hash = (hash ^ u64::from(octet.to_ascii_lowercase())).wrapping_mul(FNV_PRIME);
        }
        Self(hash)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl Request {
    /// The endpoint that sent it.
    pub fn endpoint(&self) -> Result<EndpointId, Malformed> {
        let from = self.from()?.nameless().to_string();
        Ok(EndpointId::of(&from))
    }
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_its_epid_whatever_else_stands_there() {
        let one = EndpointId::of("<sip:bob@sip.example>;epid=4c4D6E");
        for same in [
            "<sip:bob@sip.example>;tag=1;epid=4c4d6e",
            "<sip:carol@other.example;x=y>;EPID = 4C4D6E;tag=2",
            "sip:bob@sip.example;epid=4c4d6e",
        ] {
            assert_eq!(EndpointId::of(same), one, "{same}");
        }
        let none = EndpointId::of("<sip:bob@sip.example>;tag=1");
        assert_ne!(one, none);
        assert_eq!(EndpointId::of("<sip:bob@sip.example;epid=4c4d6e>"), none);
        assert_ne!(EndpointId::of("<sip:bob@sip.example>;epid=4c4d6f"), one);
    }
}
