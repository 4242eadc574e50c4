//! What a Microsoft peer is told beside the status of a refusal.

use super::lab::{Lab, message, text_of};
use crate::model::{Accept, Microsoft, SipProfile};

/// The header of a refusal of a shard whose peer has this profile.
fn refused(sip: SipProfile, ask: impl FnOnce(&mut Lab)) -> Option<String> {
    let mut lab = Lab::with(Accept::Barrier, sip);
    ask(&mut lab);
    let answer = text_of(&lab.next());
    assert!(answer.starts_with("SIP/2.0 4"), "{answer}");
    let mut lines = answer.lines();
    let line = lines.find(|line| line.starts_with("ms-diagnostics"));
    line.map(ToOwned::to_owned)
}

fn microsoft() -> SipProfile {
    SipProfile {
        microsoft: Some(Microsoft::default()),
        ..SipProfile::default()
    }
}

#[test]
fn every_refusal_of_a_shard_has_its_reason() {
    let odd = |lab: &mut Lab| {
        let text = message("1", "alice@xmpp.example", "image/png", "x");
        lab.request(&text);
    };
    let told = refused(microsoft(), odd);
    let wanted = "ms-diagnostics: 65008;reason=\"Content of this type cannot be delivered\";source=\"gw.example\"";
    assert_eq!(told.as_deref(), Some(wanted));
    assert_eq!(refused(SipProfile::default(), odd), None);
}

#[test]
fn who_is_denied_is_told_so_and_nothing_else() {
    let told = refused(microsoft(), |lab| {
        lab.denies("bob@sip.example");
        lab.bob_writes("1", "Hello");
    });
    assert!(told.unwrap().starts_with("ms-diagnostics: 65016;"));
}

#[test]
fn a_success_has_no_reason() {
    let mut lab = Lab::with(Accept::Barrier, microsoft());
    lab.bob_writes("1", "Hello");
    let stanza = lab.next();
    lab.hand_over(&stanza);

    let answer = lab.next_sip("SIP/2.0 200 OK\r\n");
    assert!(!text_of(&answer).contains("ms-diagnostics"));
}
