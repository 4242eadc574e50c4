use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// The first message of rustls for `host.example`.
fn rustls_hello() -> Vec<u8> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = "host.example".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// A ClientHello in one record: version, suites, extensions.
fn tls_hello(version: u16, suites: &[u16], extensions: &[u8]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    let suites: Vec<u8> = suites
        .iter()
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    body.extend(u16::try_from(suites.len()).unwrap().to_be_bytes());
    body.extend(suites);
    body.extend([1, 0]);
    if !extensions.is_empty() {
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
    }
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let mut message = vec![1, 0, length[0], length[1]];
    message.extend(body);
    record(&message)
}

fn record(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut record = vec![22, 3, 1, length[0], length[1]];
    record.extend(content);
    record
}

/// A first message in the form of SSL 2.0 with specifications of three octets.
fn ssl2_hello(version: u16, specifications: &[[u8; 3]]) -> Vec<u8> {
    let length = u16::try_from(specifications.len() * 3).unwrap();
    let mut body = vec![1];
    body.extend(version.to_be_bytes());
    body.extend(length.to_be_bytes());
    body.extend([0, 0, 0, 16]);
    body.extend(specifications.iter().flatten());
    body.extend([9; 16]);
    let head = u16::try_from(body.len()).unwrap() | 0x8000;
    let mut message = head.to_be_bytes().to_vec();
    message.extend(body);
    message
}

fn hello(bytes: &[u8]) -> Hello {
    match read(bytes) {
        Beginning::Hello(hello) => hello,
        other @ (Beginning::Unfinished | Beginning::Foreign) => panic!("{other:?}"),
    }
}

#[test]
fn a_modern_client_is_read_whole() {
    let hello = hello(&rustls_hello());

    assert_eq!(hello.newest(), Some(Version::Tls13));
    assert_eq!(hello.server_name.as_deref(), Some("host.example"));
    assert!(hello.suites.contains(&0xc02f));
    assert!(hello.groups.unwrap().contains(&NamedGroup::X25519));
    let schemes = hello.schemes.unwrap();
    assert!(schemes.contains(&SignatureScheme::RSA_PKCS1_SHA256));
}

#[test]
fn every_beginning_of_a_client_is_unfinished() {
    for whole in [
        rustls_hello(),
        tls_hello(0x0301, &[0x002f], &[]),
        ssl2_hello(0x0301, &[[0, 0, 0x2f]]),
    ] {
        for length in 0..whole.len() {
            let beginning = read(&whole[..length]);
            assert_eq!(beginning, Beginning::Unfinished, "{length} octets");
        }
        let mut and_more = whole.clone();
        and_more.extend([23, 3, 3, 0, 1, 0]);
        assert_eq!(read(&and_more), read(&whole));
    }
}

#[test]
fn a_message_may_come_in_many_records() {
    let whole = rustls_hello();
    let pieces: Vec<u8> = whole[5..].chunks(1).flat_map(record).collect();

    assert_eq!(hello(&pieces), hello(&whole));
    for length in 0..pieces.len() {
        assert_eq!(read(&pieces[..length]), Beginning::Unfinished, "{length}");
    }
}

#[test]
fn old_clients_offer_what_their_version_says() {
    for (wire, version) in [
        (0x0300, None),
        (0x0301, Some(Version::Tls10)),
        (0x0302, Some(Version::Tls11)),
        (0x0303, Some(Version::Tls12)),
    ] {
        let hello = hello(&tls_hello(wire, &[0x002f, 0x000a], &[]));
        assert_eq!(hello.newest(), version);
        assert_eq!(hello.suites, [0x002f, 0x000a]);
        assert_eq!((&hello.schemes, &hello.groups), (&None, &None));
    }
}

#[test]
fn the_versions_of_the_extension_count_and_made_up_ones_do_not() {
    let with = |versions: &[u16]| {
        let list: Vec<u8> = versions
            .iter()
            .flat_map(|version| version.to_be_bytes())
            .collect();
        let length = u8::try_from(list.len()).unwrap();
        let mut extension = vec![0, 43, 0, length + 1, length];
        extension.extend(list);
        hello(&tls_hello(0x0303, &[0x1301], &extension)).newest()
    };

    assert_eq!(with(&[0x0304, 0x0303]), Some(Version::Tls13));
    assert_eq!(with(&[0x8a8a, 0x0303]), Some(Version::Tls12));
    assert_eq!(with(&[0x0301]), Some(Version::Tls10));
    assert_eq!(with(&[]), None);
}

#[test]
fn the_form_of_ssl_2_offers_suites_of_tls_among_its_own() {
    let hello = hello(&ssl2_hello(
        0x0301,
        &[[1, 0, 0x80], [0, 0, 0x2f], [0, 0, 0x35]],
    ));

    assert_eq!(hello.newest(), Some(Version::Tls10));
    assert_eq!(hello.suites, [0x002f, 0x0035]);
    assert_eq!(hello.server_name, None);
}

#[test]
fn what_is_no_client_is_told_at_once() {
    let whole = rustls_hello();
    let mut server = whole.clone();
    server[5] = 2;
    let mut unreadable = whole.clone();
    // The session id is longer than the message.
    unreadable[5 + 4 + 34] = 0xff;
    for foreign in [
        &b"OPTIONS sip:a@b SIP/2.0"[..],
        b"\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        &[0x80, 4, 1, 3, 1, 0],
        &[0x80, 0x40, 2],
        &[22, 2, 0, 0, 4],
        &[22, 3, 1, 0, 0],
        &[22, 3, 1, 0xff, 0xff],
        &server,
        &unreadable,
    ] {
        assert_eq!(read(foreign), Beginning::Foreign, "{foreign:?}");
    }
}

#[test]
fn no_octet_of_a_message_makes_it_unreadable_by_accident() {
    let whole = rustls_hello();
    for place in 0..whole.len() {
        for octet in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] = octet;
            // Any answer will do, but there must be one.
            read(&damaged);
        }
    }
}
