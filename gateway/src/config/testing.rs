//! A folder with a configuration that works, for tests.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use certs::authority::{Authority, CaRequest};
use certs::names::Name;
use certs::request::{BOTH, KeyKind, Request};
use rustls_pki_types::UnixTime;
use tempfile::TempDir;

/// A time at which the certificates are valid.
pub(crate) const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

/// A configuration without findings, if it stands in [`folder`].
pub(crate) const WORKING: &str = r#"
[gateway]
state_dir = "state"

[[xmpp.identity]]
certificate = "xmpp.pem"
key = "xmpp.key"

[[sip.identity]]
certificate = "sip.pem"
key = "sip.key"

[[peer]]
name = "prosody"
side = "xmpp"
domains = ["one.example.net"]
subdomains = ["conference.one.example.net"]
ca = "ca.pem"
route = ["127.0.0.1:5269"]
settle = "250ms"

[[peer]]
name = "kamailio"
side = "sip"
domains = ["two.example.net"]
ca = "ca.pem"
page_limit = 8000
"#;

/// A folder with a CA and a certificate for each side.
pub(crate) fn folder() -> TempDir {
    folder_at(NOW)
}

/// The same with certificates that are valid from another time on.
pub(crate) fn folder_at(now: UnixTime) -> TempDir {
    let folder = TempDir::new().unwrap();
    let ca = Authority::init(&CaRequest {
        common_name: "test CA".to_owned(),
        key_kind: KeyKind::P256,
        not_before: now,
        days: 400,
    })
    .unwrap();
    write(&folder, "ca.pem", &ca.certificate_pem(), 0o644);
    write(&folder, "ca.key", &ca.key_pem(), 0o600);
    for (side, domain) in [("xmpp", "two.example.net"), ("sip", "one.example.net")] {
        let issued = ca
            .issue(&Request {
                common_name: domain.to_owned(),
                names: vec![
                    Name::Dns(domain.to_owned()),
                    Name::Dns(format!("conference.{domain}")),
                ],
                eku: BOTH.to_vec(),
                key_kind: KeyKind::P256,
                not_before: now,
                days: 300,
            })
            .unwrap();
        write(&folder, &format!("{side}.pem"), &issued.chain_pem, 0o644);
        write(&folder, &format!("{side}.key"), &issued.key_pem, 0o600);
    }
    folder
}

pub(crate) fn write(folder: &TempDir, name: &str, content: &str, mode: u32) {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}
