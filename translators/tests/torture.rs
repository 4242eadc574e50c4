//! Every torture case of RFC 4475 and RFC 5118, rebuilt in `torture/` as a message of our own with
//! the same defect, and streams whose framing is in doubt.
//!
//! `tables/torture.tsv` lists them with verdict, answer and reason. Where RFC 4475 lets an element
//! be liberal with what is not legal, this one is not: a guess at what was meant is a second
//! reading of the same octets.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use translators::model::Now;
use translators::sip::{Frame, Framer, Hop, HopConfig, HopInput, Hosts, Mark, Message, judge};
use translators::text::Line;

/// One row of the table.
struct Case {
    /// Name of the file in `torture/`, without its ending.
    file: &'static str,
    /// Section of RFC 4475, or of RFC 5118 for IPv6; `-` for a case of neither.
    section: &'static str,
    /// `accept`, or what is wrong with it.
    verdict: &'static str,
    /// Status codes of the answers; without any, it goes to a shard, waits or is dropped.
    answers: Vec<u16>,
    /// Why.
    why: &'static str,
}

fn cases() -> Vec<Case> {
    let rows = include_str!("../tables/torture.tsv").lines().skip(1);
    rows.map(|row| {
        let [file, section, verdict, answers, why] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let codes = answers.split(", ").filter(|code| *code != "-");
        Case {
            file,
            section,
            verdict,
            answers: codes.map(|code| code.parse().unwrap()).collect(),
            why,
        }
    })
    .collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("torture")
}

fn bytes(case: &Case) -> Vec<u8> {
    fs::read(folder().join(format!("{}.dat", case.file))).unwrap()
}

fn hop() -> Hop {
    let config = HopConfig {
        mark: Mark(1),
        hosts: Hosts::only("gw.example", 5061).unwrap(),
        microsoft: None,
        accept: Line::fold("text/plain"),
        source: None,
        probe: None,
        keepalive: Duration::from_secs(120),
        probe_after: Duration::from_secs(300),
        idle: None,
    };
    Hop::new(config, Now::default(), 1)
}

#[test]
fn every_case_gets_its_verdict() {
    for case in cases() {
        let verdict = match judge(&bytes(&case)) {
            Ok(()) => "accept".to_owned(),
            Err(malformed) => malformed.defect.to_string(),
        };
        assert_eq!(verdict, case.verdict, "{}: {}", case.file, case.why);
    }
}

#[test]
fn every_case_gets_its_answer() {
    for case in cases() {
        let effects = hop().handle(HopInput::Bytes(&bytes(&case)), Now::default());

        let mut framer = Framer::new();
        framer.push(&effects.write);
        let mut answers = Vec::new();
        while let Some(frame) = framer.next_frame().unwrap() {
            let Frame::Message(Message::Response(response)) = frame else {
                panic!("{}: {frame:?}", case.file);
            };
            answers.push(response.status());
        }
        assert_eq!(answers, case.answers, "{}: {}", case.file, case.why);
    }
}

#[test]
fn every_file_has_its_case_and_every_section_its_file() {
    let cases = cases();
    let listed: BTreeSet<_> = cases
        .iter()
        .map(|case| format!("{}.dat", case.file))
        .collect();
    let files: BTreeSet<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(listed, files);

    let sections: BTreeSet<_> = cases.iter().map(|case| case.section).collect();
    let parts = [
        ("3.1.1.", 13),
        ("3.1.2.", 19),
        ("3.2.", 1),
        ("3.3.", 15),
        ("3.4.", 1),
    ];
    for (part, count) in parts {
        for number in 1..=count {
            let section = format!("{part}{number}");
            assert!(sections.contains(section.as_str()), "{section}");
        }
    }
}
