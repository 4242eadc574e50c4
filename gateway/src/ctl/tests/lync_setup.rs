//! What `lync-setup` prints for each release, against the pages beside this file.

use std::fs;
use std::path::Path;

use super::{text, tool};
use crate::clock::Clock;
use crate::config::testing::{WORKING, folder_at, write};
use crate::ctl::Exit;

/// What the tool prints with a configuration and further words.
fn printed(config: &str, words: &[&str]) -> (Exit, String, String) {
    // The tool reads the clock of the machine.
    let folder = folder_at(Clock::start().unix_time());
    write(&folder, "isthmus.toml", config, 0o644);
    let file = text(&folder.path().join("isthmus.toml"));
    let mut all = vec!["--config", &file, "lync-setup"];
    all.extend(words);
    let run = tool(&all);
    (run.exit, run.out, run.err.replace(&file, "FILE"))
}

/// The working configuration with an edge as SIP peer, as a user of the release would write it.
fn edge(settings: &str) -> String {
    let microsoft = format!("profile = \"microsoft\"\n{settings}");
    let host = "sip.hosts = { \"one.example.net\" = \"sip.one.example.net\" }";
    format!(
        "{host}\n{}",
        WORKING.replace("page_limit = 8000", &microsoft)
    )
}

#[test]
fn each_release_has_its_page() {
    for (release, settings) in [
        ("2007r2", "tls = { engine = \"compat\" }\nlegacy_tls = true"),
        ("2010", ""),
        ("2013", "tls = { engine = \"compat\" }"),
        ("2015", ""),
        ("2019", "route = [\"203.0.113.9:5061\"]"),
    ] {
        let (exit, out, err) = printed(&edge(settings), &["--version", release]);

        assert_eq!((exit, err.as_str()), (Exit::Fine, ""), "{release}");
        let page = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("src/ctl/tests/lync_setup/{release}.txt"));
        let page = fs::read_to_string(page).unwrap();
        assert_eq!(out, page, "{release}");
    }
}

#[test]
fn only_releases_from_2015_on_know_a_verification_level() {
    for (release, known) in [
        ("2010", false),
        ("2013", false),
        ("2015", true),
        ("2019", true),
    ] {
        let (_, out, _) = printed(&edge(""), &["--version", release]);
        let level = out.contains("-VerificationLevel AlwaysVerifiable");
        assert_eq!(level, known, "{release}");
    }
    let (_, out, _) = printed(&edge(""), &["--version", "2007r2"]);
    assert!(!out.contains("-Cs"), "it has no cmdlets: {out}");
}

#[test]
fn what_does_not_fit_together_is_said() {
    let outside = WORKING.replace("page_limit = 8000", "profile = \"microsoft\"");
    let (_, out, _) = printed(&outside, &["--version", "2013"]);
    assert!(
        out.contains("one.example.net does not lie in one.example.net"),
        "{out}"
    );

    let (exit, _, err) = printed(WORKING, &["--version", "2013"]);
    assert_eq!(exit, Exit::Problem);
    assert!(
        err.contains("no peer has profile = \"microsoft\": name one with --peer"),
        "{err}"
    );
    let (exit, out, _) = printed(WORKING, &["--version", "2013", "--peer", "two.example.net"]);
    assert_eq!(exit, Exit::Fine);
    assert!(
        out.contains("MISSING: this peer is not treated as a Microsoft server."),
        "{out}"
    );
    let (_, _, err) = printed(WORKING, &["--version", "2013", "--peer", "nobody"]);
    assert!(
        err.contains("no SIP peer has the name or domain nobody"),
        "{err}"
    );
    let (_, _, err) = printed("[nonsense]", &["--version", "2013"]);
    assert!(err.contains("FILE has "), "{err}");
    let (exit, ..) = printed(WORKING, &["--version", "2016"]);
    assert_eq!(exit, Exit::Usage);
}
