//! Values that the tests of this module share.

use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;
use translators::model::{Aor, Domain, Mono, Pair, PeerId};
use translators::shard::{Class, Key, Kind, Transmit, TransmitId};

pub(super) fn at(seconds: u64) -> Mono {
    Mono::from_start(Duration::from_secs(seconds))
}

pub(super) fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

pub(super) fn key(user: &str, kind: Kind) -> Key {
    let jid = BareJid::new(&format!("{user}@xmpp.example")).unwrap();
    let aor = Aor::from_image(BareJid::new("bob@sip.example").unwrap());
    let pair = Pair::new(jid, aor);
    Key::of(pair, kind)
}

pub(super) fn transmit(number: u64, class: Class) -> Transmit {
    Transmit {
        id: TransmitId { shard: 1, number },
        peer: PeerId::new("peer"),
        local: domain("sip.example"),
        remote: domain("xmpp.example"),
        link: None,
        elsewhere: false,
        class,
        key: None,
        bytes: Bytes::from_static(b"<message/>"),
        give_up_at: at(100),
    }
}

pub(super) fn im(number: u64, user: &str) -> Transmit {
    Transmit {
        key: Some(key(user, Kind::Im)),
        ..transmit(number, Class::Im)
    }
}

pub(super) fn typing(number: u64, user: &str) -> Transmit {
    Transmit {
        key: Some(key(user, Kind::Typing)),
        ..transmit(number, Class::Typing)
    }
}
