//! The golden vectors of the project, and that the runner sees what differs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod runner;

use std::fs;
use std::path::{Path, PathBuf};

use runner::{Outcome, Report};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");

/// Vectors that need what is not built, and what that is.
const SKIPPED: [(&str, &str); 1] = [("w01-s2x-winfo-pending", "winfo")];

/// Vector, file, a change of the file, and a word of the difference that has to be seen.
#[rustfmt::skip]
const CHANGES: [(&str, &str, &str, &str, &str); 45] = [
    ("m01-x2s-message", "out.sip", "Max-Forwards: 70", "Max-Forwards: 69", "max-forwards"),
    ("m01-x2s-message", "out.sip", "MESSAGE sip:romeo@", "MESSAGE sip:paris@", "start line"),
    ("m01-x2s-message", "out.sip", "Content-Type: text/plain", "Content-Type: text/html", "content-type"),
    ("m01-x2s-message", "out.sip", "Montague?", "Capulet? ", "body"),
    ("m01-x2s-message", "out.sip", "gr=yn0cl4bnw0yr3vym", "gr=other", "from"),
    ("m01-x2s-message", "out.sip", "To: <sip:romeo@", "To: <sip:paris@", "to:"),
    ("m01-x2s-message", "out.sip", "CSeq: 1 MESSAGE", "CSeq: 1 OPTIONS", "cseq"),
    ("m01-x2s-message", "out.sip", "Call-ID:", "Subject: x\r\nCall-ID:", "subject"),
    ("m03-s2x-message", "out.1.sip", "SIP/2.0 200", "SIP/2.0 202", "start line"),
    ("m03-s2x-message", "out.1.sip", "branch=z9hG4bKeskdgs677", "branch=z9hG4bKother", "via"),
    ("m03-s2x-message", "out.1.sip", "Call-ID: 9E97", "Call-ID: 0000", "call-id"),
    ("m03-s2x-message", "out.1.sip", "CSeq: 1 ", "CSeq: 2 ", "cseq"),
    ("m03-s2x-message", "out.1.sip", "tag=vwxyz", "tag=other", "from"),
    ("m03-s2x-message", "out.2.xml", "<thread>9E97", "<thread>0000", "thread"),
    ("m03-s2x-message", "out.2.xml", "fair saint", "fair  saint", "body"),
    ("m03-s2x-message", "out.2.xml", "/dr4hcr0st3lup4c", "", "attributes"),
    ("m03-s2x-message", "out.2.xml", "</message>", "<nick/></message>", "message"),
    ("e01-s2x-404", "out.xml", "<item-not-found", "<gone", "element"),
    ("e01-s2x-404", "out.xml", "id='m1'", "id='m2'", "id"),
    ("e01-s2x-404", "out.xml", "type='cancel'", "type='wait'", "attributes"),
    ("e01-s2x-404", "in.sip", "branch=z9hG4bK776sgdkse", "branch=z9hG4bKother", "did not come"),
    ("e11-x2s-forbidden-full", "out.sip", "SIP/2.0 403", "SIP/2.0 603", "start line"),
    ("m09-s2x-sips", "out.sip", "Warning: 380", "Warning: 381", "warning"),
    ("i03-x2s-imdn-request", "out.sip", "positive-delivery", "display", "CPIM"),
    ("i03-x2s-imdn-request", "out.sip", "Hello World", "Hello Mars!", "body"),
    ("p01-x2s-subscribe", "out.sip", "Event: presence", "Event: dialog", "event"),
    ("p01-x2s-subscribe", "out.sip", "Expires: 3600", "Expires: 1800", "expires"),
    ("p01-x2s-subscribe", "out.sip", "Accept: application/pidf+xml", "Accept: text/plain", "accept"),
    ("p03-x2s-notify-active", "out.2.xml", "type='subscribed'", "type='unsubscribed'", "attributes"),
    ("p03-x2s-notify-active", "out.3.xml", "<show>away", "<show>dnd", "text"),
    ("p05-x2s-refresh", "out.sip", "SUBSCRIBE sip:romeo@example.net;gr=dr4hcr0st3lup4c", "SUBSCRIBE sip:romeo@example.net", "start line"),
    ("p05-x2s-refresh", "out.sip", "Event: presence", "Event: presence;id=1", "event"),
    ("p06-x2s-refresh-403", "in.sip", "403 Forbidden", "500 Fault", "did not come"),
    ("p14-s2x-subscribe", "out.2.sip", "pending;", "active;", "subscription-state"),
    ("p14-s2x-subscribe", "out.2.sip", "expires=3600", "expires=1800", "subscription-state"),
    ("p17-s2x-terminate", "out.2.sip", "reason=timeout", "reason=rejected", "subscription-state"),
    ("p18-x2s-presence", "out.sip", "ID-yn0cl4bnw0yr3vym", "ID-yn0cl4bnw0yr3vyn", "tuple"),
    ("p21-x2s-table1", "out.sip", "priority='0.007'", "priority='0.008'", "contact"),
    ("p21-x2s-table1", "out.sip", "Content-Language: en", "Content-Language: fr", "content-language"),
    ("s01-x2s-composing", "out.sip", "tag=087js", "tag=other", "to:"),
    ("s01-x2s-composing", "out.sip", "<state>active", "<state>idle", "text"),
    ("s02-x2s-paused", "before.1.out.1.sip", "m=message", "m=audio", "media"),
    ("s05-s2x-iscomposing-active", "out.xml", "<composing", "<paused", "element"),
    ("s05-s2x-iscomposing-active", "out.xml", "/dr4hcr0st3lup4c", "", "attributes"),
    ("p25-s2x-fetch", "out.3.xml", "type='probe'", "type='subscribe'", "attributes"),
];

#[test]
fn every_vector_passes() {
    let reports = runner::run_all(Path::new(VECTORS)).unwrap();

    assert!(reports.len() >= 74);
    for report in reports {
        let skipped = SKIPPED.iter().find(|(id, _)| *id == report.id);
        let expected = skipped.map_or(Outcome::Passed, |(_, reason)| {
            Outcome::Skipped((*reason).to_owned())
        });
        assert_eq!(report.outcome, expected, "{}", report.id);
        assert_eq!(report.unknown, [""; 0], "{}", report.id);
    }
}

#[test]
fn every_vector_names_its_source() {
    for meta in metas() {
        let field = |name: &str| meta[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(field("source") && field("section"), "{}", meta["id"]);
    }
}

#[test]
fn the_index_names_every_vector() {
    let text = |meta: &toml::Table, name: &str| meta[name].as_str().unwrap().to_owned();
    let list = |meta: &toml::Table, name: &str| -> Vec<String> {
        let list = meta[name].as_array().unwrap().iter();
        list.map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let row = |meta: &toml::Table| {
        let fields = ["id", "source", "section"].map(|name| text(meta, name));
        let kinds = ["direction", "kind", "basis"].map(|name| text(meta, name));
        let examples = list(meta, "examples").join(",");
        let outputs = list(meta, "outputs").join(" ");
        [fields.join("\t"), examples, kinds.join("\t"), outputs].join("\t")
    };
    let mut expected: Vec<_> = metas().iter().map(row).collect();
    expected.sort_unstable();

    let index = fs::read_to_string(Path::new(VECTORS).join("INDEX.tsv")).unwrap();
    let rows: Vec<_> = index
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();

    assert_eq!(rows, expected);
}

#[test]
fn a_difference_in_any_field_is_seen() {
    for (vector, file, from, to, seen) in CHANGES {
        let folder = copy(vector, &format!("{}{seen}", file.replace('.', "")));
        replace(&folder.join(file), from, to);

        let report = run(&folder);

        let Outcome::Failed(differences) = &report.outcome else {
            panic!("{vector} {file} {to:?} passed");
        };
        let text = differences.join("; ");
        assert!(text.contains(seen), "{vector} {file} {to:?}: {text}");
    }
}

#[test]
fn what_does_not_matter_is_no_difference() {
    for (vector, file, from, to) in [
        ("m03-s2x-message", "out.1.sip", "200 OK", "200 Fine"),
        ("m03-s2x-message", "out.1.sip", "tag=gw1", "tag=another"),
        ("m03-s2x-message", "out.2.xml", "<body>", "\n\n  <body>"),
        (
            "m03-s2x-message",
            "out.2.xml",
            "jabber:server",
            "jabber:client",
        ),
        (
            "m03-s2x-message",
            "out.2.xml",
            "<message ",
            "<message type='normal' ",
        ),
        ("m01-x2s-message", "out.sip", "Max-Forwards: 70\r\n", ""),
        (
            "m01-x2s-message",
            "out.sip",
            "branch=z9hG4bK776sgdkse",
            "branch=z9hG4bKother",
        ),
        (
            "m01-x2s-message",
            "out.sip",
            "text/plain",
            "text/plain; charset=UTF-8",
        ),
        (
            "m01-x2s-message",
            "out.sip",
            "sip:romeo@example.net SIP",
            "sip:rom%65o@EXAMPLE.net SIP",
        ),
    ] {
        let folder = copy(
            vector,
            &format!("same{}{}", file.replace('.', ""), to.len()),
        );
        replace(&folder.join(file), from, to);

        assert_eq!(
            run(&folder).outcome,
            Outcome::Passed,
            "{vector} {file} {to:?}"
        );
    }
}

#[test]
fn nothing_but_the_outputs_may_leave() {
    let folder = copy("m03-s2x-message", "less");
    replace(
        &folder.join("meta.toml"),
        "[\"out.1.sip\", \"out.2.xml\"]",
        "[\"out.2.xml\"]",
    );
    assert!(failure(&folder).contains("nothing more expected: SIP/2.0 200"));

    let folder = copy("m02-x2s-message-ok", "more");
    replace(
        &folder.join("meta.toml"),
        "outputs = []",
        "outputs = [\"before.1.in.xml\"]",
    );
    assert!(failure(&folder).contains("did not come"));

    let folder = copy("m03-s2x-message", "withheld");
    replace(
        &folder.join("meta.toml"),
        "[setup]",
        "[setup]\nconfirm = \"withheld\"",
    );
    assert!(failure(&folder).contains("out.1.sip: did not come"));
}

#[test]
fn a_note_can_forbid_a_header() {
    let folder = copy("m01-x2s-message", "note");
    replace(&folder.join("out.sip"), "Max-Forwards: 70\r\n", "");
    replace(
        &folder.join("meta.toml"),
        "no Contact in",
        "no Max-Forwards in",
    );

    assert!(failure(&folder).contains("a note forbids it"));
}

#[test]
fn names_of_the_gateway_stand_for_the_real_ones_from_then_on() {
    let folder = copy("e01-s2x-404", "names");
    for file in ["before.1.out.1.sip", "in.sip"] {
        for (from, to) in [
            ("branch=z9hG4bK776sgdkse", "branch=z9hG4bKanother"),
            ("tag=12345", "tag=67890"),
            ("Call-ID: D9AA95FD", "Call-ID: another"),
        ] {
            replace(&folder.join(file), from, to);
        }
    }

    assert_eq!(run(&folder).outcome, Outcome::Passed);
}

#[test]
fn an_unknown_volatile_name_is_reported_and_ignores_nothing() {
    let folder = copy("m03-s2x-message", "volatile");
    replace(
        &folder.join("meta.toml"),
        "\"message.id\"",
        "\"message.thread\"",
    );
    replace(&folder.join("out.2.xml"), "<thread>9E97", "<thread>0000");

    let report = run(&folder);

    assert_eq!(report.unknown, ["message.thread"]);
    assert!(matches!(report.outcome, Outcome::Failed(_)));
}

#[test]
fn what_is_not_built_is_skipped_with_its_reason() {
    let folder = copy("m03-s2x-message", "needs");
    replace(
        &folder.join("meta.toml"),
        "[setup]",
        "[setup]\nneeds = \"rooms\"",
    );
    assert_eq!(run(&folder).outcome, Outcome::Skipped("rooms".to_owned()));

    let folder = copy("m03-s2x-message", "switch");
    replace(
        &folder.join("meta.toml"),
        "[setup]",
        "[setup]\nswitches = [\"unknown\"]",
    );
    assert_eq!(run(&folder).outcome, Outcome::Skipped("unknown".to_owned()));

    let folder = copy("m03-s2x-message", "publication");
    replace(&folder.join("in.sip"), "MESSAGE", "PUBLISH");
    assert_eq!(
        run(&folder).outcome,
        Outcome::Skipped("publication".to_owned())
    );
}

#[test]
fn a_broken_vector_fails() {
    let folder = copy("m03-s2x-message", "broken");
    fs::remove_file(folder.join("in.sip")).unwrap();
    assert!(failure(&folder).contains("in.sip"));

    fs::remove_file(folder.join("meta.toml")).unwrap();
    let parent = folder.parent().unwrap();
    let reports = runner::run_all(parent).unwrap();
    let broken = reports
        .iter()
        .find(|report| report.id == "m03-s2x-message-broken")
        .unwrap();
    assert!(matches!(broken.outcome, Outcome::Failed(_)));
}

/// What the vectors say of themselves.
fn metas() -> Vec<toml::Table> {
    let entries = fs::read_dir(VECTORS)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let folders = entries.filter(|path| path.is_dir());
    let read = |folder: PathBuf| fs::read_to_string(folder.join("meta.toml")).unwrap();
    folders
        .map(|folder| read(folder).parse().unwrap())
        .collect()
}

fn failure(folder: &Path) -> String {
    match run(folder).outcome {
        Outcome::Failed(differences) => differences.join("; "),
        outcome @ (Outcome::Passed | Outcome::Skipped(_)) => panic!("{outcome:?}"),
    }
}

fn run(folder: &Path) -> Report {
    runner::run_all(folder).unwrap().remove(0)
}

/// A copy of a vector that may be changed.
fn copy(vector: &str, name: &str) -> PathBuf {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{vector}-{name}"));
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(Path::new(VECTORS).join(vector)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    folder
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}
