//! Signatures and keys that prove nothing any more: only a pin of the very key stands in for them.
//!
//! No library of ours makes such certificates, so these were made once; they are valid until 2101.

use rustls_pki_types::CertificateDer;

use crate::identity::Side;
use crate::inspect::{Facts, Key, chain_from_pem};
use crate::reason::{Reason, Role, Verdict};
use crate::testing::{SOURCE, domains, load, now};
use crate::trust::Source;

fn certificate(pem: &str) -> CertificateDer<'static> {
    chain_from_pem(pem.as_bytes()).unwrap().remove(0)
}

/// Judges a server's certificate under the CA of them all.
fn judge(pem: &str, pins: &[String]) -> Verdict {
    let trust = load(&Source {
        anchors: CA.as_bytes(),
        pins,
        ..SOURCE
    });
    let asked = domains(&["weak.example"]);
    trust.judge(&[certificate(pem)], Role::Server, Side::Sip, &asked, now())
}

fn pin(pem: &str) -> Vec<String> {
    vec![Facts::read(&certificate(pem)).unwrap().pin.to_string()]
}

#[test]
fn the_certificates_are_as_weak_as_they_say() {
    let [short, sha1] = [SHORT, SHA1].map(|pem| Facts::read(&certificate(pem)).unwrap());

    assert_eq!(short.key, Key::Rsa(1024));
    assert!(!short.has_weak_signature());
    assert!(sha1.has_weak_signature());
    assert!(!sha1.has_weak_key());
}

#[test]
fn a_trusted_ca_does_not_make_up_for_a_short_key_or_for_sha_1() {
    for weak in [SHORT, SHA1] {
        let verdict = judge(weak, &[]);
        assert_eq!(verdict, Verdict::Unproven(Reason::WeakAlgorithm));
    }
}

#[test]
fn a_pin_of_the_ca_does_not_either() {
    for weak in [SHORT, SHA1] {
        let verdict = judge(weak, &pin(CA));
        assert_eq!(verdict, Verdict::Unproven(Reason::WeakAlgorithm));
    }
}

#[test]
fn a_pin_of_the_key_itself_does() {
    for weak in [SHORT, SHA1] {
        let verdict = judge(weak, &pin(weak));
        assert_eq!(verdict, Verdict::Proven(domains(&["weak.example"])));
    }
}

#[test]
fn a_pin_of_another_key_does_not() {
    let verdict = judge(SHORT, &pin(SHA1));

    assert!(matches!(verdict, Verdict::Unproven(_)), "{verdict:?}");
}

/// A CA that signs with RSA 2048.
const CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIC9jCCAd6gAwIBAgIUWaq+ehj8krGt+wZgkbj+XhSBJW0wDQYJKoZIhvcNAQEL
BQAwEjEQMA4GA1UEAwwHV2VhayBDQTAgFw0yNjExMjgyMjMyMjVaGA8yMTAxMTEx
MDIyMzIyNVowEjEQMA4GA1UEAwwHV2VhayBDQTCCASIwDQYJKoZIhvcNAQEBBQAD
ggEPADCCAQoCggEBAIjCm49pQYduKQtHJ/uq933e0uokuAB5QQ3lho7q0kbHPoWQ
kbFp6ZjSf3FJVijCoNkAUjwNpaAm8rlAHo1HLxSRUHKxY7ZJ0RQwSvI8qpUMohVT
n+fhiir8tM0Dv5a0zU3WTfbrTWNGt+Yc4x3PpsCmrVmzcWoS71UkRX5zGMR3QdK3
KwvvqtXXKqXtSGOC2QWQi+6MffFLEVmq9oSHUPD6Jls/WMKq4MwM4s2E1YCneRsE
tVgf0UX3tF4yC+6tAc/SSgeeBEqhLMuugc93DLl1LaTDPtIWF5CKo36xB5A+asLm
M+ix93zlDLLYgo71HQ6cTKiNBNG4nnuVgc3ELoECAwEAAaNCMEAwDwYDVR0TAQH/
BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwHQYDVR0OBBYEFKOEG+E/CbgHiMr+innK
pOZNCzaIMA0GCSqGSIb3DQEBCwUAA4IBAQATA01qfs6pDDY7KLzGmd799BF4lpHr
psCPiGFFp2bzyRceEVS774VEBbkKlMUplwGcSLB8T1tyYQMLEkttgz3JqT3PIH+b
hoEeXfyQ9/zYA0JhbaL1pwKV2WTbgkixtDFGK7gz/Q3cLjZdxkvmHQyZr6J8UXpy
xqzh62UWJC/xrxuLjA2nvin9MtTyhwcLhtM8HOH0US3zFhytFGEKBxv6pd0XXdhM
lKv0DcnH68OQF+IDaUEG4rmfvcGP1PgmFIj665cHmM2s0VfgcGildwOvPhf5LRnj
zDT8cpCcf8IXfgKbpNjuQlxWNODjRYFpCbvh+Wt3BPAGS+osLVQ4JLex
-----END CERTIFICATE-----
";
/// RSA 1024, signed with SHA-256.
const SHORT: &str = "\
-----BEGIN CERTIFICATE-----
MIICpTCCAY2gAwIBAgIUD3D9yqd+VWv/WVOLBz+RmiARn0QwDQYJKoZIhvcNAQEL
BQAwEjEQMA4GA1UEAwwHV2VhayBDQTAgFw0yNjExMjgyMjMyMjVaGA8yMTAxMDgy
NzIyMzIyNVowFzEVMBMGA1UEAwwMd2Vhay5leGFtcGxlMIGfMA0GCSqGSIb3DQEB
AQUAA4GNADCBiQKBgQC1dHaFRY3NAiSptudZ8LReLIP8NQrAPcEYUc2ZRHAyXjDe
YTHyu8a/0tx5sjTyLT45YPbj5Sxp83oSZacHwlAHzO7gn0QNDYPRoUcwclaIRYhr
jKT5hwjLn0FUyhEE0emYCa7vFMGsw4QAfAU0w3KRPdJhbe3jIJAn7iqOZpc5XQID
AQABo3AwbjAXBgNVHREEEDAOggx3ZWFrLmV4YW1wbGUwEwYDVR0lBAwwCgYIKwYB
BQUHAwEwHQYDVR0OBBYEFHkzU+/6DNomC0jvWsAq/hRVKcm5MB8GA1UdIwQYMBaA
FKOEG+E/CbgHiMr+innKpOZNCzaIMA0GCSqGSIb3DQEBCwUAA4IBAQBnYJDMVY6t
yCShkzJck/ekQ4wZsMgegJJwVTrXTmQQEZWf9NX5UZPT//QIPpTsMXGVLOMOcLFq
RSRyMVttMo0gSRiL31IzF+dbepY21SOuYlKnEm9mtJLDgMgHPxQoXShwntms6h+I
5Ah4UGXv5DnAgcX5wO/OzK+xYLXHT2XFm7T8Qbkr8sZfc0n84hattNLWqaUeWi3f
n5O/BFopLecHqiMsQlTbaBnPKuIj7AjTSzUHiCNIrdlW87qSCyifRMYIi51E1p9d
vK0iMF68hBhvumOOAlc6unt236w80kCM7uVG30EtGXFag4LCV1i/utCs8O1ApJlV
3BRlxu0S6sRH
-----END CERTIFICATE-----
";
/// RSA 2048, signed with SHA-1.
const SHA1: &str = "\
-----BEGIN CERTIFICATE-----
MIIDKTCCAhGgAwIBAgIUD3D9yqd+VWv/WVOLBz+RmiARn0UwDQYJKoZIhvcNAQEF
BQAwEjEQMA4GA1UEAwwHV2VhayBDQTAgFw0yNjExMjgyMjMyMjZaGA8yMTAxMDgy
NzIyMzIyNlowFzEVMBMGA1UEAwwMd2Vhay5leGFtcGxlMIIBIjANBgkqhkiG9w0B
AQEFAAOCAQ8AMIIBCgKCAQEAlxk2BzSZTBIfMfJlLCM4wq3mxCyXsIohOhWVRdeD
+GXx2YGzkE2sbaLpwchZ2629VviOO7tvuEm3TcfSEcJQUUPE/qJlWZbqp9w7O13V
65zGRUv4cKSoFmQSG8vMVMm0uCH4wlNGRpmWNJ/25jTvnDL/QA4ndi92cTxpHz8q
fg/8c4cQ2STP5yx3oAwTsiDIqQeIk8ULDbn3i9FCI2V6dJovJqABCohyooaE+8Zq
aKTGMQ0IqM8Yyqk6s/QaOMOs6EImgiWg2ot3suPy2VfMXugrRZPdQrhn9D7ZlIRE
6WDqbTuFy4VGxkAh1EMNYhTnEONkR1aRA8G/Y3m1/+dk4QIDAQABo3AwbjAXBgNV
HREEEDAOggx3ZWFrLmV4YW1wbGUwEwYDVR0lBAwwCgYIKwYBBQUHAwEwHQYDVR0O
BBYEFFhLNGpluMSBKIcqmo9eoqRUOEQ/MB8GA1UdIwQYMBaAFKOEG+E/CbgHiMr+
innKpOZNCzaIMA0GCSqGSIb3DQEBBQUAA4IBAQAkaEAoLX0fN+QY/t4KSAQyznQJ
KyUq07PWbucbNViIhq4fNEsFbe+GWBhhpR7yw99OF2q6mbq3sgMRmLXFa6/Ghe9Y
EhJmrU1lXeE7xOlHkarKNTmEiMCja3SapJgf03/gqWvyV8x80pre8UI3/AFEGScN
SJOyFDqW5Sigagpv54ITUCUpTd1ykPLYr1/QnKVbcuV6ZumomIBhPSmiCN/UM7kU
bRVutPT4AXMab+WNnj87vHyEFwUAa3987siPQfbkViOIFvcwvzuUG8+dQoFFzYO0
JbXJR/C8WBFntfIelweT+OJJZnozbhot8LhbKD2eTK7nIJxVRtXmVxeVwUHd
-----END CERTIFICATE-----
";
