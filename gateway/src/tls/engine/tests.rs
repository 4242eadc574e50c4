use certs::authority::Authority;
use certs::names::Name;
use certs::request::{BOTH, KeyKind, Request};
use rustls::NamedGroup;
use rustls::crypto::aws_lc_rs;
use tempfile::TempDir;

use super::*;
use crate::config::load_text;
use crate::config::testing::{NOW, WORKING, folder, write};

/// What Windows Server 2012 R2 offers in TLS 1.2, without SNI.
const WINDOWS_2012: [u16; 12] = [
    0xc028, 0xc027, 0xc014, 0xc013, 0x009f, 0x009e, 0x009d, 0x009c, 0x002f, 0xc02c, 0xc02b, 0x000a,
];

/// Which keys our SIP side has.
#[derive(Clone, Copy)]
enum Keys {
    Ecdsa,
    Rsa,
    Both,
}

fn configured(of_sip: &str, keys: Keys) -> (TempDir, Config) {
    let folder = folder();
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    let ca = Authority::load(&read("ca.pem"), &read("ca.key")).unwrap();
    let rsa = ca.issue(&Request {
        common_name: "one.example.net".to_owned(),
        names: vec![Name::Dns("one.example.net".to_owned())],
        eku: BOTH.to_vec(),
        key_kind: KeyKind::Rsa2048,
        not_before: NOW,
        days: 300,
    });
    let rsa = rsa.unwrap();
    write(&folder, "rsa.pem", &rsa.chain_pem, 0o644);
    write(&folder, "rsa.key", &rsa.key_pem, 0o600);
    let only_rsa = WORKING
        .replace("sip.pem", "rsa.pem")
        .replace("sip.key", "rsa.key");
    let text = match keys {
        Keys::Ecdsa => WORKING.to_owned(),
        Keys::Rsa => only_rsa,
        Keys::Both => {
            format!("{only_rsa}\n[[sip.identity]]\ncertificate = \"sip.pem\"\nkey = \"sip.key\"\n")
        }
    };
    let text = text.replace("page_limit = 8000", of_sip);
    let (config, findings) = load_text(&folder.path().join("isthmus.toml"), &text, NOW);
    let config = config.unwrap_or_else(|| panic!("{findings:?}"));
    (folder, config)
}

/// A client of TLS 1.2 or older.
fn client(version: u16, suites: &[u16]) -> Hello {
    Hello {
        version,
        suites: suites.to_vec(),
        schemes: Some(vec![
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ]),
        groups: Some(vec![NamedGroup::secp256r1, NamedGroup::secp384r1]),
        server_name: None,
    }
}

fn chosen(of_sip: &str, keys: Keys, hello: &Hello, may_be_old: bool) -> Choice {
    let (_folder, config) = configured(of_sip, keys);
    choose(hello, &config, &aws_lc_rs::default_provider(), may_be_old)
}

#[test]
fn without_a_peer_that_wants_another_engine_there_is_none() {
    for keys in [Keys::Ecdsa, Keys::Rsa, Keys::Both] {
        for version in [0x0300, 0x0301, 0x0303] {
            let choice = chosen("", keys, &client(version, &WINDOWS_2012), true);
            assert_eq!(choice, Choice::Rustls);
        }
    }
}

#[cfg(feature = "compat-tls")]
mod with_compat {
    use super::*;

    const COMPAT: &str = "tls = { engine = \"compat\" }";
    const LEGACY: &str = "tls = { engine = \"compat\" }\nlegacy_tls = true";

    #[test]
    fn old_windows_gets_rustls_where_we_have_an_ecdsa_key() {
        let hello = client(0x0303, &WINDOWS_2012);

        assert_eq!(chosen(COMPAT, Keys::Rsa, &hello, false), Choice::Compat);
        assert_eq!(chosen(COMPAT, Keys::Both, &hello, false), Choice::Rustls);
        assert_eq!(chosen(COMPAT, Keys::Ecdsa, &hello, false), Choice::Rustls);
    }

    #[test]
    fn newer_windows_gets_rustls_with_either_key() {
        let hello = client(0x0303, &[0xc030, 0xc02f, 0xc02c, 0xc028]);

        for keys in [Keys::Rsa, Keys::Ecdsa, Keys::Both] {
            assert_eq!(chosen(COMPAT, keys, &hello, false), Choice::Rustls);
        }
    }

    #[test]
    fn a_common_suite_is_not_enough_for_rustls() {
        let hello = client(0x0303, &[0xc02f, 0xc02c]);
        let no_groups = Hello {
            groups: None,
            ..hello.clone()
        };
        let no_signature = Hello {
            schemes: Some(vec![SignatureScheme::RSA_PKCS1_SHA1]),
            ..hello.clone()
        };
        let other_group = Hello {
            groups: Some(vec![NamedGroup::secp521r1]),
            ..hello
        };

        for hello in [no_groups, no_signature, other_group] {
            assert_eq!(chosen(COMPAT, Keys::Both, &hello, false), Choice::Compat);
        }
    }

    #[test]
    fn below_1_2_it_takes_the_setting_and_the_address() {
        for version in [0x0301, 0x0302] {
            let hello = client(version, &WINDOWS_2012);
            assert_eq!(chosen(LEGACY, Keys::Both, &hello, true), Choice::Legacy);
            assert_eq!(chosen(LEGACY, Keys::Both, &hello, false), Choice::TooOld);
        }
        let ssl3 = client(0x0300, &WINDOWS_2012);
        assert_eq!(chosen(LEGACY, Keys::Both, &ssl3, true), Choice::TooOld);
    }

    #[test]
    fn a_legacy_peer_that_can_do_better_gets_better() {
        let hello = client(0x0303, &WINDOWS_2012);

        assert_eq!(chosen(LEGACY, Keys::Rsa, &hello, true), Choice::Compat);
    }
}
