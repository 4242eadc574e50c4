//! The papers against the program: what is generated is current, and every stable name has its row.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::config::schema::json_schema;
use gateway::config::{Fault, load_text, reference_page};
use gateway::telemetry::alarms::Alarm;
use gateway::telemetry::events::What;
use gateway::telemetry::metrics::Metric;
use rustls_pki_types::UnixTime;
use translators::mapping::failure::{Effect, known_reasons};
use translators::sip::microsoft::Cause;

fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// The cells of every row of every table of a page.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    let text = read(page);
    let rows = text.lines().filter(|line| line.starts_with('|'));
    rows.map(cells).collect()
}

/// The texts in code style of the first cell of every row.
fn first_names(page: &str) -> Vec<String> {
    let code = |cell: &String| {
        let parts = cell.split('`').skip(1).step_by(2);
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    rows(page)
        .iter()
        .flat_map(|cells| code(&cells[1]))
        .collect()
}

/// Compares names of the program with those in the first cells of a page that `count`.
fn same_names(page: &str, names: impl Iterator<Item = &'static str>, count: fn(&str) -> bool) {
    let mut written = first_names(page);
    written.retain(|name| count(name));
    written.sort();
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    assert_eq!(written, names, "{page} (left) and the program (right)");
}

#[test]
fn the_schema_is_current() {
    let schema = serde_json::to_string_pretty(&json_schema()).unwrap();

    assert_eq!(read("conf/schema.json"), schema + "\n", "run `make schema`");
}

#[test]
fn the_page_of_the_configuration_is_current() {
    let page = reference_page(&json_schema());

    assert_eq!(read("docs/reference/config.md"), page, "run `make schema`");
}

#[test]
fn every_metric_has_its_row() {
    let names = Metric::ALL.iter().map(|metric| metric.as_str());

    same_names("docs/reference/metrics.md", names, |_| true);
}

#[test]
fn every_event_has_its_row() {
    let names = What::ALL.iter().map(|what| what.as_str());

    same_names("docs/reference/events.md", names, |_| true);
}

#[test]
fn every_alarm_has_its_row_and_its_runbook() {
    let names = Alarm::ALL.iter().map(|alarm| alarm.as_str());
    same_names("docs/reference/alarms.md", names, |_| true);
    let rows = rows("docs/reference/alarms.md");
    for alarm in Alarm::ALL {
        let name = alarm.as_str();
        let runbook = read(&format!("docs/runbooks/{name}.md"));
        assert!(runbook.starts_with(&format!("# {name}\n")), "{name}");
        let row = rows.iter().find(|cells| cells[1] == format!("`{name}`"));
        assert_eq!(row.unwrap()[2], alarm.severity().as_str(), "{name}");
    }
    let runbooks = fs::read_dir(root().join("docs/runbooks")).unwrap();
    assert_eq!(runbooks.count(), Alarm::ALL.len());
}

#[test]
fn every_reason_of_microsoft_servers_has_its_row_and_so_has_every_one_of_ours() {
    let page = read("docs/reference/errors.md");
    let mut told = 0;
    for known in known_reasons() {
        let effect = match known.effect {
            Effect::Again => "none: a new dialog is begun",
            Effect::Condition(condition) => condition.as_str(),
            Effect::Status => "as the status",
        };
        let (ids, meaning, remedy) = (known.ids, known.meaning, known.remedy);
        let row = format!("| `{ids}` | {meaning} | {effect} | {remedy} |\n");
        assert!(page.contains(&row), "{row}");
        told += 1;
    }
    for cause in Cause::ALL {
        let row = format!("| `{}` | {} | ", cause.id(), cause.reason());
        assert!(page.contains(&row), "{row}");
        told += 1;
    }
    let numbers = |name: &String| name.starts_with(|c: char| c.is_ascii_digit());
    let written = first_names("docs/reference/errors.md");
    // The row of the 504 without a reason has no number.
    assert_eq!(
        written.iter().filter(|name| numbers(name)).count() + 1,
        told
    );
}

#[test]
fn every_finding_about_the_configuration_has_its_row() {
    let names = Fault::ALL.iter().map(|fault| fault.as_str());
    let ours = |name: &str| name.starts_with("config-");

    same_names("docs/reference/errors.md", names, ours);
}

/// Ids of findings and reasons stand as literals where they are made.
#[test]
fn every_finding_and_reason_about_certificates_has_its_row() {
    let written = first_names("docs/reference/errors.md");
    let mut seen = 0;
    for file in sources("certs/src")
        .into_iter()
        .chain(sources("gateway/src/link"))
    {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let literals = code.split('"').skip(1).step_by(2);
        for id in literals.filter(|literal| is_id(literal)) {
            let row = written.iter().any(|name| name == id);
            assert!(row, "{id} of {} has no row", file.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} ids were found");
}

fn is_id(text: &str) -> bool {
    const BEGINNINGS: [&str; 7] = [
        "own-cert-",
        "own-key-",
        "trust-",
        "crl-",
        "cert-",
        "tls-",
        "peer-",
    ];
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = |beginning: &&str| text.starts_with(beginning) && text.len() > beginning.len();
    text.chars().all(letters) && BEGINNINGS.iter().any(begins)
}

/// The source files below a folder that are not only tests.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Samples have no certificates beside them; nothing else may be wrong with them.
#[test]
fn the_samples_have_no_mistakes() {
    // An edge demands a host inside each XMPP domain.
    let hosts = r#"sip.hosts = { "other.example.com" = "sip.other.example.com" }"#;
    let head = r#"
[[xmpp.identity]]
certificate = "a"
key = "a"
[[sip.identity]]
certificate = "a"
key = "a"
[[peer]]
name = "other"
side = "OTHER"
domains = ["other.example.com"]
ca = "a"
"#;
    let mut samples = Vec::new();
    for path in ["conf/isthmus.example.toml", "conf/lab.toml"] {
        samples.push((path.to_owned(), read(path)));
    }
    for name in ["openfire", "prosody", "ejabberd", "kamailio", "lync"] {
        let path = format!("conf/peers/{name}.toml");
        let peer = read(&path);
        let sip = peer.contains("side = \"sip\"");
        let other = if sip { "xmpp" } else { "sip" };
        let hosts = if peer.contains("profile") { hosts } else { "" };
        let head = hosts.to_owned() + &head.replace("OTHER", other);
        samples.push((path, head + &peer));
    }
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    for (name, text) in samples {
        let (_, findings) = load_text(Path::new("/nonexistent/isthmus.toml"), &text, now);
        let mut mistakes: Vec<String> = Vec::new();
        for finding in findings {
            if finding.id != "config-file-unreadable" {
                mistakes.push(finding.to_string());
            }
        }
        assert!(mistakes.is_empty(), "{name}: {mistakes:#?}");
    }
}

/// The page about Microsoft's servers has a line for each switch, and the sample shows its default.
#[test]
fn every_switch_of_the_microsoft_profile_has_its_line_and_its_default() {
    let schema = serde_json::to_value(json_schema()).unwrap();
    let switches = schema["properties"]["peer"]["items"]["properties"]["microsoft"]["properties"]
        .as_object()
        .unwrap();
    let names = first_names("docs/howto/lync.md");
    let sample = read("conf/peers/lync.toml");
    for (switch, definition) in switches {
        assert!(names.contains(switch), "{switch} has no line");
        let line = format!("# {switch} = {}\n", definition["default"]);
        assert!(sample.contains(&line), "{line}");
    }
    assert_eq!(switches.len(), 12);
}

/// What `peer why` looks at has a line in the same page.
#[test]
fn every_cause_that_is_looked_at_has_its_line() {
    let names = first_names("docs/howto/lync.md");
    let code = read("gateway/src/reach.rs");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let mut seen = 0;
    for maker in ["Check::good(", "Check::bad(", "Check::unknown("] {
        for after in code.split(maker).skip(1) {
            let id = after.split('"').nth(1).unwrap();
            assert!(names.iter().any(|name| name == id), "{id} has no line");
            seen += 1;
        }
    }
    assert!(seen > 15, "only {seen} were found");
}

/// What the sample shows as commented-out defaults are the defaults.
#[test]
fn the_sample_shows_the_defaults() {
    let schema = serde_json::to_value(json_schema()).unwrap();
    let text = read("conf/isthmus.example.toml");
    for (section, setting) in [
        ("gateway", "state_dir"),
        ("gateway", "admin_socket"),
        ("gateway", "http"),
        ("gateway", "log_level"),
        ("gateway", "log_format"),
        ("xmpp", "listen"),
        ("xmpp", "listen_direct"),
        ("sip", "listen"),
        ("dns", "timeout"),
        ("federation", "default"),
    ] {
        let default = &schema["properties"][section]["properties"][setting]["default"];
        let line = format!("# {setting} = {default}");
        assert!(text.contains(&line), "{line} is not in the sample");
    }
}
