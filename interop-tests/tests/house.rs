//! Holds the source against the plan of the house: who may use whom, how big a file may grow, and
//! that the papers name only what exists.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules of `translators`, lowest row first: a module uses lower rows and itself only.
const TRANSLATORS: &[&[&str]] = &[
    &["model", "text", "limits", "timers"],
    &["policy"],
    &["sip", "xmpp", "documents"],
    &["address", "origin"],
    &["mapping"],
    &["conversation", "presence"],
    &["shard"],
];

/// Modules of `gateway`, lowest row first.
const GATEWAY: &[&[&str]] = &[
    &["names", "clock"],
    &["config"],
    &["telemetry"],
    &["store", "tls", "resolve"],
    &["peers"],
    &["egress"],
    &["shards"],
    &["decisions"],
    &["ingress"],
    &["link", "reach"],
    &["admin"],
    &["ctl"],
    &["app"],
];

/// Rows whose modules may also use each other; everywhere else neighbours are strangers.
const FRIENDS: &[(&str, &str)] = &[("model", "limits"), ("text", "limits"), ("timers", "model")];

/// Longest source file without a reason.
const LINES: usize = 600;

/// Crates that would bring a runtime, a socket or TLS into the pure core.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "rustls",
    "hickory-resolver",
    "openssl",
    "async-std",
    "smol",
];

#[test]
fn translators_modules_use_lower_rows_only() {
    let offences = offences("translators/src", TRANSLATORS);
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn gateway_modules_use_lower_rows_only() {
    let offences = offences("gateway/src", GATEWAY);
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn files_stay_small() {
    let mut long = Vec::new();
    for file in all_sources() {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        if lines > LINES {
            long.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(long.is_empty(), "over {LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn no_unsafe_code() {
    let unsafe_files: Vec<_> = all_sources()
        .into_iter()
        .filter(|file| !file.ends_with("house.rs"))
        .filter(|file| fs::read_to_string(file).unwrap().contains("unsafe {"))
        .collect();
    assert!(unsafe_files.is_empty(), "{unsafe_files:?}");
}

#[test]
fn the_core_has_no_runtime_in_its_tree() {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "-p",
            "translators",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let impure: Vec<_> = tree
        .lines()
        .filter(|line| IMPURE.contains(&line.split(' ').next().unwrap_or_default()))
        .collect();
    assert!(impure.is_empty(), "{}", impure.join("\n"));
}

#[test]
fn papers_name_only_what_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let missing: Vec<_> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains('/') && !name.contains(['*', ' ', ':', '{', '<']))
        .filter(|name| !root().join(name).exists())
        .collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md names what is not there: {missing:?}"
    );
}

fn offences(source: &str, rows: &[&[&str]]) -> Vec<String> {
    let base = root().join(source);
    let mut offences = Vec::new();
    for file in sources(&base) {
        let user = module_of(&base, &file);
        if matches!(
            user.as_str(),
            "lib" | "main" | "bin" | "ctl" | "explain" | "fuzzing"
        ) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        if text.contains("super::super") {
            offences.push(format!("{} climbs with super::super", file.display()));
        }
        for used in text.split("crate::").skip(1) {
            let name = |c: &char| c.is_alphanumeric() || *c == '_';
            let used: String = used.chars().take_while(name).collect();
            if !may_use(rows, &user, &used) {
                offences.push(format!("{} uses crate::{used}", file.display()));
            }
        }
    }
    offences
}

fn may_use(rows: &[&[&str]], user: &str, used: &str) -> bool {
    let row = |module: &str| {
        let found = rows.iter().position(|row| row.contains(&module));
        found.unwrap_or_else(|| panic!("module {module} has no row in the plan of the house"))
    };
    user == used || row(used) < row(user) || FRIENDS.contains(&(user, used))
}

fn module_of(base: &Path, file: &Path) -> String {
    let below = file.strip_prefix(base).unwrap();
    let first = below.components().next().unwrap().as_os_str();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn all_sources() -> Vec<PathBuf> {
    ["translators", "certs", "gateway", "interop-tests"]
        .iter()
        .flat_map(|part| sources(&root().join(part)))
        .collect()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}
