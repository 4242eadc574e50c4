//! What [`Trust`] accepts and refuses, and what it says when it is loaded.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use rustls_pki_types::CertificateDer;

use super::{Eku, Source, Trust};
use crate::MAX_NAMES;
use crate::authority::{Authority, Revocation};
use crate::identity::{NamePolicy, Side};
use crate::inspect::{Facts, Pin, Purpose};
use crate::names::Name;
use crate::reason::{Reason, Role, Verdict};
use crate::request::{Issued, Request};
use crate::testing::{
    SOURCE, ca, ca_request, chain, domains, facts, ids, in_days, load, now, request, trusting,
};

const DOMAIN: &str = "xmpp.example";

/// Judges a chain as that of an XMPP client for [`DOMAIN`].
fn judge(trust: &Trust, chain: &[CertificateDer<'_>]) -> Verdict {
    trust.judge(chain, Role::Client, Side::Xmpp, &domains(&[DOMAIN]), now())
}

/// The id of the reason why a chain is refused; empty if it is accepted.
fn refused(trust: &Trust, chain: &[CertificateDer<'_>]) -> &'static str {
    match judge(trust, chain) {
        Verdict::Proven(_) => "",
        Verdict::Unproven(reason) => reason.id(),
    }
}

/// Issues a certificate for [`DOMAIN`] after a change of the wish.
fn issue(ca: &Authority, change: impl FnOnce(&mut Request)) -> Issued {
    let mut wish = request(&[DOMAIN]);
    change(&mut wish);
    ca.issue(&wish).unwrap()
}

#[test]
fn proves_the_domains_that_the_certificate_names() {
    let ca = ca("CA");
    let issued = ca
        .issue(&request(&["a.example", "srv:_xmpp-server.b.example"]))
        .unwrap();

    let asked = domains(&["a.example", "b.example", "c.example"]);
    let verdict = trusting(&ca).judge(&chain(&issued), Role::Client, Side::Xmpp, &asked, now());

    assert_eq!(
        verdict,
        Verdict::Proven(domains(&["a.example", "b.example"]))
    );
}

#[test]
fn names_wanted_and_presented_when_the_name_is_wrong() {
    let ca = ca("CA");
    let issued = ca
        .issue(&request(&["other.example", "sip:sip.example"]))
        .unwrap();

    let reason = judge(&trusting(&ca), &chain(&issued))
        .into_result()
        .unwrap_err();

    assert_eq!(
        reason.to_string(),
        "The certificate is not valid for xmpp.example; it names dns:other.example, sip:sip.example."
    );
}

#[test]
fn purposes_by_role_and_policy() {
    use Purpose::{ClientAuth, EmailProtection, ServerAuth};
    let ca = ca("CA");
    let anchors = ca.certificate_pem();
    let [strict, server_ok] = [Eku::Strict, Eku::ServerOk].map(|eku| {
        load(&Source {
            anchors: anchors.as_bytes(),
            eku,
            ..SOURCE
        })
    });
    // purposes, then: client strict, client server-ok, server
    let cases: [(&[Purpose], [bool; 3]); 5] = [
        (&[], [true, true, true]),
        (&[ServerAuth, ClientAuth], [true, true, true]),
        (&[ServerAuth], [false, true, true]),
        (&[ClientAuth], [true, true, false]),
        (&[EmailProtection], [false, false, false]),
    ];

    for (eku, expected) in cases {
        let issued = chain(&issue(&ca, |wish| wish.eku = eku.to_vec()));
        let accepted = [
            (&strict, Role::Client),
            (&server_ok, Role::Client),
            (&server_ok, Role::Server),
        ]
        .map(|(trust, role)| {
            let verdict = trust.judge(&issued, role, Side::Xmpp, &domains(&[DOMAIN]), now());
            match verdict {
                Verdict::Proven(_) => true,
                Verdict::Unproven(reason) => {
                    assert_eq!(reason.id(), "cert-wrong-purpose");
                    assert!(reason.to_string().contains(&role.to_string()), "{reason}");
                    false
                }
            }
        });
        assert_eq!(accepted, expected, "{eku:?}");
    }
}

#[test]
fn another_ca_is_named_in_the_refusal() {
    let issued = issue(&ca("Stranger CA"), |_| {});

    let reason = judge(&trusting(&ca("Our CA")), &chain(&issued))
        .into_result()
        .unwrap_err();

    assert_eq!(reason.id(), "cert-unknown-issuer");
    assert!(
        reason.to_string().contains("\"CN=Stranger CA\""),
        "{reason}"
    );
}

#[test]
fn a_ca_that_only_has_the_same_name_is_told_apart() {
    let issued = issue(&ca("CA"), |_| {});

    assert_eq!(
        refused(&trusting(&ca("CA")), &chain(&issued)),
        "cert-bad-signature"
    );
}

#[test]
fn validity_is_that_of_the_given_time() {
    let ca = ca("CA");
    let trust = trusting(&ca);
    let past = issue(&ca, |wish| (wish.not_before, wish.days) = (in_days(-10), 9));
    let future = issue(&ca, |wish| wish.not_before = in_days(1));

    let expired = judge(&trust, &chain(&past)).into_result().unwrap_err();

    assert_eq!(expired, Reason::Expired { since: in_days(-1) });
    assert_eq!(
        expired.to_string(),
        "The certificate expired on 2027-01-14 08:00 UTC."
    );
    assert_eq!(refused(&trust, &chain(&future)), "cert-not-yet-valid");
}

#[test]
fn intermediates_must_be_sent_and_valid() {
    let root = ca("Root");
    let trust = trusting(&root);
    let middle = root.subordinate(&ca_request("Middle")).unwrap();
    let mut old = ca_request("Old");
    (old.not_before, old.days) = (in_days(-50), 40);
    let old = root.subordinate(&old).unwrap();

    let whole = chain(&issue(&middle, |_| {}));
    let stale = chain(&issue(&old, |_| {}));

    assert_eq!(whole.len(), 2, "the root is left out");
    assert_eq!(refused(&trust, &whole), "");
    assert_eq!(refused(&trust, &stale), "cert-issuer-out-of-time");
    let missing = judge(&trust, &whole[..1]).into_result().unwrap_err();
    assert!(missing.to_string().contains("CN=Middle"), "{missing}");
}

#[test]
fn depth_counts_intermediates() {
    let root = ca("Root");
    let upper = root.subordinate(&ca_request("Upper")).unwrap();
    let lower = upper.subordinate(&ca_request("Lower")).unwrap();
    let issued = chain(&issue(&lower, |_| {}));
    let anchors = root.certificate_pem();
    let with_depth = |depth| {
        load(&Source {
            anchors: anchors.as_bytes(),
            depth,
            ..SOURCE
        })
    };

    assert_eq!(refused(&with_depth(2), &issued), "");
    assert_eq!(refused(&with_depth(1), &issued), "cert-too-deep");
}

#[test]
fn what_is_too_much_or_too_little_is_refused_before_it_is_verified() {
    let ca = ca("CA");
    let trust = trusting(&ca);
    let leaf = chain(&issue(&ca, |_| {}));
    let names: Vec<String> = (0..3000)
        .map(|n| format!("host-{n}.xmpp.example"))
        .collect();
    let huge = chain(&issue(&ca, |wish| {
        wish.names.extend(names.into_iter().map(Name::Dns));
    }));

    assert_eq!(refused(&trust, &[]), "cert-none");
    assert_eq!(
        refused(&trust, &vec![leaf[0].clone(); 11]),
        "cert-chain-too-long"
    );
    assert_eq!(refused(&trust, &huge), "cert-too-large");
    assert_eq!(
        refused(&trust, &[CertificateDer::from(vec![0x30, 0])]),
        "cert-unreadable"
    );
    assert_eq!(refused(&trust, &vec![leaf[0].clone(); 10]), "");
}

#[test]
fn names_behind_the_limit_are_not_looked_at() {
    let ca = ca("CA");
    let names = |before: usize| {
        let mut names: Vec<Name> = (0..before)
            .map(|n| Name::Dns(format!("{n}.example")))
            .collect();
        names.push(Name::Dns(DOMAIN.to_owned()));
        chain(&issue(&ca, |wish| wish.names = names))
    };

    assert_eq!(refused(&trusting(&ca), &names(MAX_NAMES - 1)), "");
    assert_eq!(
        refused(&trusting(&ca), &names(MAX_NAMES)),
        "cert-wrong-name"
    );
}

#[test]
fn self_signed_only_by_pin() {
    let issued = request(&[DOMAIN]).self_signed().unwrap();
    let leaf = chain(&issued);
    let pin = facts(&issued).pin.to_string();
    let pinning = |pins: &[String]| load(&Source { pins, ..SOURCE });
    let other = Pin::of(b"other").to_string();
    let as_anchor = load(&Source {
        anchors: issued.chain_pem.as_bytes(),
        ..SOURCE
    });

    let refusal = judge(&trusting(&ca("CA")), &leaf)
        .into_result()
        .unwrap_err();

    assert!(
        refusal.to_string().contains(&pin),
        "the operator can copy the pin: {refusal}"
    );
    assert_eq!(refused(&pinning(&[other]), &leaf), "cert-self-signed");
    assert_eq!(refused(&as_anchor, &leaf), "cert-self-signed");
    assert_eq!(refused(&pinning(&[pin]), &leaf), "");
}

#[test]
fn a_pinned_self_signed_certificate_still_has_validity_purpose_and_names() {
    let refusal = |change: fn(&mut Request)| {
        let mut wish = request(&[DOMAIN]);
        change(&mut wish);
        let issued = wish.self_signed().unwrap();
        let pins = [facts(&issued).pin.to_string()];
        refused(
            &load(&Source {
                pins: &pins,
                ..SOURCE
            }),
            &chain(&issued),
        )
    };

    assert_eq!(refusal(|wish| wish.days = 50), "cert-expired");
    assert_eq!(
        refusal(|wish| wish.not_before = in_days(1)),
        "cert-not-yet-valid"
    );
    assert_eq!(
        refusal(|wish| wish.eku = vec![Purpose::EmailProtection]),
        "cert-wrong-purpose"
    );
    assert_eq!(refusal(|wish| wish.names.clear()), "cert-wrong-name");
}

#[test]
fn a_ca_certificate_is_a_leaf_only_by_pin() {
    let root = ca("Root");
    let middle = root.subordinate(&ca_request("Middle")).unwrap();
    let pem = middle.certificate_pem();
    let leaf = crate::inspect::chain_from_pem(pem.as_bytes()).unwrap();
    let pins = [Facts::read(&leaf[0]).unwrap().pin.to_string()];

    assert_eq!(refused(&trusting(&root), &leaf[..1]), "cert-is-ca");
    // Pinned it passes, but this one has no name.
    assert_eq!(
        refused(
            &load(&Source {
                pins: &pins,
                ..SOURCE
            }),
            &leaf[..1]
        ),
        "cert-wrong-name"
    );
}

#[test]
fn one_of_the_pins_must_be_in_the_path() {
    let [first, second] = ["First", "Second"].map(ca);
    let anchors = first.certificate_pem() + &second.certificate_pem();
    let ca_pin = |ca: &Authority| {
        Facts::read_pem(ca.certificate_pem().as_bytes()).unwrap()[0]
            .pin
            .to_string()
    };
    let leaf = issue(&second, |_| {});
    let judged = |pins: &[String]| {
        let trust = load(&Source {
            anchors: anchors.as_bytes(),
            pins,
            ..SOURCE
        });
        refused(&trust, &chain(&leaf))
    };

    assert_eq!(judged(&[ca_pin(&second)]), "");
    assert_eq!(judged(&[ca_pin(&first), facts(&leaf).pin.to_string()]), "");
    assert_eq!(judged(&[ca_pin(&first)]), "cert-pin-mismatch");
}

#[test]
fn an_intermediate_may_be_pinned() {
    let root = ca("Root");
    let middle = root.subordinate(&ca_request("Middle")).unwrap();
    let issued = issue(&middle, |_| {});
    let pins = [Facts::read(&chain(&issued)[1]).unwrap().pin.to_string()];
    let anchors = root.certificate_pem();
    let trust = load(&Source {
        anchors: anchors.as_bytes(),
        pins: &pins,
        ..SOURCE
    });

    assert_eq!(refused(&trust, &chain(&issued)), "");
    assert_eq!(
        refused(&trust, &chain(&issue(&root, |_| {}))),
        "cert-pin-mismatch"
    );
}

#[test]
fn revoked_certificates_are_refused_even_by_a_stale_list() {
    let ca = ca("CA");
    let [good, bad] = [(), ()].map(|()| issue(&ca, |_| {}));
    let revoked = [Revocation {
        serial: facts(&bad).serial,
        since: in_days(-20),
    }];
    let crl = ca.crl(&revoked, 1, in_days(-20), 10).unwrap();
    let anchors = ca.certificate_pem();
    let source = Source {
        anchors: anchors.as_bytes(),
        crls: Some(crl.as_bytes()),
        ..SOURCE
    };

    let (trust, findings) = Trust::load(&source, now());
    let trust = trust.unwrap();

    assert_eq!(ids(&findings), ["crl-stale"]);
    assert_eq!(ids(&trust.review(in_days(-11))), [""; 0]);
    assert_eq!(refused(&trust, &chain(&good)), "");
    assert_eq!(refused(&trust, &chain(&bad)), "cert-revoked");
}

#[test]
fn a_crl_may_be_der() {
    use rustls_pki_types::CertificateRevocationListDer;
    use rustls_pki_types::pem::PemObject as _;
    let ca = ca("CA");
    let issued = issue(&ca, |_| {});
    let revoked = [Revocation {
        serial: facts(&issued).serial,
        since: now(),
    }];
    let pem = ca.crl(&revoked, 1, in_days(-1), 10).unwrap();
    let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
    let anchors = ca.certificate_pem();

    let trust = load(&Source {
        anchors: anchors.as_bytes(),
        crls: Some(&der),
        ..SOURCE
    });

    assert_eq!(refused(&trust, &chain(&issued)), "cert-revoked");
}

#[test]
fn a_crl_of_another_ca_is_told_at_load_and_refuses() {
    let [ours, other] = ["Ours", "Other"].map(ca);
    let crl = other.crl(&[], 1, in_days(-1), 10).unwrap();
    let anchors = ours.certificate_pem();
    let source = Source {
        anchors: anchors.as_bytes(),
        crls: Some(crl.as_bytes()),
        ..SOURCE
    };

    let (trust, findings) = Trust::load(&source, now());

    assert_eq!(ids(&findings), ["crl-missing"]);
    let issued = issue(&ours, |_| {});
    assert_eq!(
        refused(&trust.unwrap(), &chain(&issued)),
        "cert-revocation-unknown"
    );
}

#[test]
fn garbage_and_forged_crls_are_errors() {
    let [ours, namesake] = ["CA", "CA"].map(ca);
    let forged = namesake.crl(&[], 1, in_days(-1), 10).unwrap();
    let broken = forged.replacen("BEGIN X509 CRL-----\n", "BEGIN X509 CRL-----\nAAAA", 1);
    let anchors = ours.certificate_pem();
    let found = |crl: &str| {
        let source = Source {
            anchors: anchors.as_bytes(),
            crls: Some(crl.as_bytes()),
            ..SOURCE
        };
        let (trust, findings) = Trust::load(&source, now());
        assert!(trust.is_none());
        ids(&findings)[0]
    };

    assert_eq!(found("nonsense"), "crl-unreadable");
    assert_eq!(found(""), "crl-unreadable");
    assert_eq!(found(&broken), "crl-unreadable");
    assert_eq!(found("0 is DER's first byte"), "crl-unreadable");
    assert_eq!(found(&forged), "crl-signature");
}

#[test]
fn below_a_constrained_ca_only_dns_names_prove() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Constrained");
    params.not_before = crate::dates::calendar(in_days(-1)).unwrap();
    params.not_after = crate::dates::calendar(in_days(9)).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("good.example".into())],
        excluded_subtrees: Vec::new(),
    });
    let pem = params.self_signed(&key).unwrap().pem();
    let ca = Authority::load(pem.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    let judged = |names: &[&str]| {
        let issued = ca.issue(&request(names)).unwrap();
        let asked = domains(&["good.example", "victim.example"]);
        trusting(&ca).judge(&chain(&issued), Role::Client, Side::Xmpp, &asked, now())
    };

    let honest = judged(&["good.example", "srv:_xmpp-server.victim.example"]);
    let stolen = judged(&["good.example", "victim.example"]);

    assert_eq!(honest, Verdict::Proven(domains(&["good.example"])));
    assert_eq!(stolen, Verdict::Unproven(Reason::NameConstraints));
}

#[test]
fn an_expected_identity_proves_all_domains_of_the_peer() {
    let ca = ca("CA");
    let issued = ca.issue(&request(&["edge.example"])).unwrap();
    let anchors = ca.certificate_pem();
    let asked = domains(&["a.example", "b.example"]);
    let judged = |expected: &str| {
        let trust = load(&Source {
            anchors: anchors.as_bytes(),
            expected: &domains(&[expected]),
            ..SOURCE
        });
        trust.judge(&chain(&issued), Role::Server, Side::Sip, &asked, now())
    };

    assert_eq!(judged("Edge.Example"), Verdict::Proven(asked.clone()));
    assert!(matches!(judged("dge.example"), Verdict::Unproven(_)));
}

#[test]
fn the_common_name_counts_only_by_policy() {
    let ca = ca("CA");
    let issued = issue(&ca, |wish| {
        wish.common_name = DOMAIN.to_owned();
        wish.names.clear();
    });
    let anchors = ca.certificate_pem();
    let by_policy = load(&Source {
        anchors: anchors.as_bytes(),
        names: NamePolicy::CnIfNoSan,
        ..SOURCE
    });

    assert_eq!(refused(&by_policy, &chain(&issued)), "");
    let refusal = judge(&trusting(&ca), &chain(&issued))
        .into_result()
        .unwrap_err();
    assert!(
        refusal.to_string().ends_with("it names cn:xmpp.example."),
        "{refusal}"
    );
}

#[test]
fn names_from_outside_cannot_break_the_log_line() {
    let ca = ca("CA\r\nlevel=ERROR");
    let issued = issue(&ca, |wish| {
        wish.common_name = "a\nlevel=ERROR \u{1b}[31m".to_owned();
        wish.names.clear();
    });

    for trust in [trusting(&ca), trusting(&self::ca("Other"))] {
        let refusal = judge(&trust, &chain(&issued))
            .into_result()
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("level=ERROR"), "{refusal}");
        assert!(!refusal.contains(char::is_control), "{refusal}");
    }
}

#[test]
fn loading_finds_every_defect() {
    let ca = ca("CA");
    let good = ca.certificate_pem();
    let leaf = issue(&ca, |_| {}).chain_pem;
    let found = |source: Source<'_>| ids(&Trust::load(&source, now()).1);
    let with_anchors = |anchors: &str| {
        found(Source {
            anchors: anchors.as_bytes(),
            ..SOURCE
        })
    };

    assert_eq!(with_anchors(&good), [""; 0]);
    assert_eq!(with_anchors(""), ["trust-empty"]);
    assert_eq!(with_anchors("nothing"), ["trust-anchor-unreadable"]);
    assert_eq!(with_anchors(&leaf), ["trust-anchor-not-ca"]);
    let several = found(Source {
        anchors: good.as_bytes(),
        pins: &domains(&["sha256/short", "md5/AAAA"]),
        depth: 7,
        ..SOURCE
    });
    assert_eq!(
        several,
        [
            "trust-pin-unreadable",
            "trust-pin-unreadable",
            "trust-depth"
        ]
    );
}

#[test]
fn an_expired_anchor_is_a_finding_and_stays_in_use() {
    let mut old = ca_request("Old");
    old.days = 99;
    let ca = Authority::init(&old).unwrap();
    let anchors = ca.certificate_pem();
    let source = Source {
        anchors: anchors.as_bytes(),
        ..SOURCE
    };

    let (trust, findings) = Trust::load(&source, now());

    assert_eq!(ids(&findings), ["trust-anchor-expired"]);
    assert_eq!(refused(&trust.unwrap(), &chain(&issue(&ca, |_| {}))), "");
}
