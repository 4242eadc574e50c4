use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use certs::{Finding, Level};
use jid::BareJid;
use tempfile::TempDir;
use translators::model::{Aor, Pair, PeerId, Side};
use translators::policy::{self, Verdict};

use super::testing::{NOW, WORKING, folder};
use super::*;

fn load_in(folder: &TempDir, text: &str) -> (Option<Config>, Vec<Finding>) {
    load_text(&folder.path().join("isthmus.toml"), text, NOW)
}

/// Id and line of each finding.
fn places(findings: &[Finding]) -> Vec<(&str, usize)> {
    let place = |finding: &Finding| {
        let (_, rest) = finding.subject.rsplit_once("isthmus.toml:").unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    findings
        .iter()
        .map(|finding| (finding.id, place(finding)))
        .collect()
}

#[test]
fn a_sound_file_gives_a_configuration_without_findings() {
    let folder = folder();
    let (config, findings) = load_in(&folder, WORKING);

    assert_eq!(findings, []);
    let config = config.unwrap();
    assert_eq!(config.process.state_dir, folder.path().join("state"));
    assert_eq!(config.process.shards, 16);
    let host = |domain| config.sip.hosts.of(&Domain::parse(domain).unwrap());
    assert_eq!(host("one.example.net").host(), "one.example.net");
    assert_eq!(config.xmpp.listen, ["0.0.0.0:5269".parse().unwrap()]);
    let prosody = &config.peers[&PeerId::new("prosody")];
    assert_eq!(prosody.xmpp().unwrap().settle, Duration::from_millis(250));
    assert_eq!(prosody.route[0].port, 5269);
    let ours: Vec<_> = config
        .directory
        .local_domains(Side::Sip)
        .map(Domain::as_str)
        .collect();
    assert_eq!(ours, ["conference.one.example.net", "one.example.net"]);
    let kamailio = config.directory.peer(&PeerId::new("kamailio")).unwrap();
    assert_eq!(kamailio.sip().unwrap().page_limit, 8_000);
}

#[test]
fn everything_wrong_is_found_in_one_go_with_its_line() {
    let folder = folder();
    let text = r#"[gateway]
shard = 4
shards = 0
log_level = "loud"
http = 9464
[xmpp]
listen = ["0.0.0.0:5269", "nowhere"]
[[xmpp.identity]]
certificate = "missing.pem"
key = "xmpp.key"
[sip]
identity = [{ certificate = "sip.pem" }]
[dns]
timeout = "soon"
[[peer]]
name = "a"
side = "xmpp"
domains = ["one.example.net", "bad domain"]
ca = "ca.pem"
page_limit = 2000
colour = "red"
[[peer]]
name = "a"
side = "sip"
domains = ["ONE.example.net."]
ca = "ca.pem"
success = 204
[[peer]]
side = "smtp"
"#;
    let (config, findings) = load_in(&folder, text);

    assert!(config.is_none());
    let mut found = places(&findings);
    assert!(found.is_sorted_by_key(|(_, line)| *line));
    found.sort_by_key(|(id, line)| (*line, *id));
    assert_eq!(
        found,
        [
            ("config-unknown-key", 2),
            ("config-bad-value", 3),
            ("config-bad-value", 4),
            ("config-wrong-type", 5),
            ("config-bad-address", 7),
            ("config-file-unreadable", 9),
            ("config-missing-key", 12),
            ("config-bad-duration", 14),
            ("config-bad-domain", 18),
            ("config-wrong-side", 20),
            ("config-unknown-key", 21),
            ("config-duplicate", 23),
            ("config-capitals", 25),
            ("config-domain-on-both-sides", 25),
            ("config-bad-value", 27),
            ("config-missing-key", 28),
            ("config-missing-key", 28),
            ("config-bad-value", 29),
        ],
        "{findings:#?}"
    );
}

#[test]
fn findings_say_what_to_do() {
    let folder = folder();
    let (_, findings) = load_in(&folder, &WORKING.replace("settle", "setle"));

    let line = findings[0].to_string();
    assert!(line.starts_with("ERROR config-unknown-key "), "{line}");
    assert!(line.contains("isthmus.toml:20 peer.setle: "), "{line}");
    assert!(line.ends_with("Fix: Write settle, or remove it."), "{line}");
}

#[test]
fn broken_toml_does_not_hide_other_findings() {
    let folder = folder();
    let text = format!("{WORKING}\nkey_of_nobody = 1\nthis is no toml\n");
    let (config, findings) = load_in(&folder, &text);

    assert!(config.is_none());
    let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
    assert!(ids.contains(&"config-syntax"), "{ids:?}");
    assert!(ids.contains(&"config-unknown-key"), "{ids:?}");
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = folder();
    for mode in [0o640, 0o604, 0o644] {
        let path = folder.path().join("sip.key");
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let (config, findings) = load_in(&folder, WORKING);

        assert!(config.is_none());
        assert_eq!(places(&findings), [("config-key-exposed", 11)]);
    }
}

#[test]
fn a_named_file_that_is_missing_never_passes_for_none() {
    let folder = folder();
    let text = WORKING.replace("settle", "crl = \"gone.pem\"\nsettle");
    let (config, findings) = load_in(&folder, &text);

    assert!(config.is_none());
    assert_eq!(places(&findings), [("config-file-unreadable", 20)]);
}

#[test]
fn a_file_without_peers_cannot_run() {
    let folder = folder();
    let (head, _) = WORKING.split_once("[[peer]]").unwrap();
    let (config, findings) = load_in(&folder, head);

    assert!(config.is_none());
    let errors: Vec<_> = findings
        .iter()
        .filter(|f| f.is_error())
        .map(|f| f.id)
        .collect();
    assert_eq!(errors, ["config-no-peers"]);
}

#[test]
fn an_empty_file_says_what_it_needs() {
    let folder = folder();
    let (config, findings) = load_in(&folder, "");

    assert!(config.is_none());
    let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
    assert_eq!(
        ids,
        [
            "config-no-identity",
            "config-no-identity",
            "config-no-peers"
        ]
    );
}

/// Ids of the warnings of a file that can run.
fn warnings(text: &str) -> Vec<&'static str> {
    let folder = folder();
    let (config, findings) = load_in(&folder, text);
    assert!(config.is_some(), "{findings:#?}");
    assert!(
        findings
            .iter()
            .all(|finding| finding.level == Level::Warning)
    );
    findings.iter().map(|finding| finding.id).collect()
}

#[test]
fn domains_inside_each_other_are_doubtful() {
    let contains = WORKING.replace("two.example.net", "sip.one.example.net");
    let ends = WORKING.replace("two.example.net", "example.net");

    assert!(warnings(&contains).contains(&"config-domain-inside"));
    assert!(warnings(&ends).contains(&"config-domain-inside"));
}

#[test]
fn a_domain_without_certificate_is_doubtful() {
    let text = WORKING.replace(
        "[\"two.example.net\"]",
        "[\"two.example.net\", \"three.example.net\"]",
    );

    assert_eq!(warnings(&text), ["own-cert-domain-uncovered"]);
}

#[test]
fn policy_that_reaches_nobody_is_doubtful() {
    let deny = format!("{WORKING}\n[federation]\ndefault = \"deny\"\n");
    let stranger =
        format!("{WORKING}\n[[federation.rule]]\nverdict = \"deny\"\nxmpp = \"a@three.example\"\n");

    assert_eq!(warnings(&deny), ["config-nobody-allowed"]);
    assert_eq!(warnings(&stranger), ["config-rule-without-peer"]);
}

#[test]
fn verdicts_on_domains_and_on_everybody_are_read() {
    let folder = folder();
    let text = format!(
        "{WORKING}
[policy]
verdict = \"confirm\"
[[policy.domain]]
verdict = \"allow\"
xmpp = \"ONE.example.net\"
sip = \"two.example.net\"
[[policy.domain]]
verdict = \"polite-block\"
xmpp = \"one.example.net\"
sip = \"other.example.net\"
"
    );
    let (config, findings) = load_in(&folder, &text);

    let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
    assert_eq!(ids, ["config-rule-without-peer"]);
    let decided = config.unwrap().policy;
    let decide = |sip: &str| {
        let sip = Aor::from_image(BareJid::new(sip).unwrap());
        let decision = decided.decide(&Pair::new(BareJid::new("a@one.example.net").unwrap(), sip));
        (decision.verdict, decision.level)
    };
    assert_eq!(
        decide("b@two.example.net"),
        (Verdict::Allow, policy::Level::DomainPair)
    );
    assert_eq!(
        decide("b@other.example.net"),
        (Verdict::PoliteBlock, policy::Level::DomainPair)
    );
    assert_eq!(
        decide("b@third.example.net"),
        (Verdict::Confirm, policy::Level::System)
    );
}

#[test]
fn verdicts_on_what_is_no_pair_of_domains_are_refused() {
    let folder = folder();
    let start = WORKING.lines().count();
    let text = format!(
        "{WORKING}
[[policy.domain]]
verdict = \"block\"
[[policy.domain]]
verdict = \"block\"
xmpp = \"a@one.example.net\"
[[policy.domain]]
verdict = \"allow\"
sip = \"two.example.net\"
[[policy.domain]]
verdict = \"allow\"
sip = \"Two.example.net\"
[[policy.domain]]
verdict = \"allow\"
sip = \"no domain\"
"
    );
    let (config, findings) = load_in(&folder, &text);

    assert!(config.is_none());
    assert_eq!(
        places(&findings),
        [
            ("config-bad-value", start + 2),
            ("config-bad-value", start + 6),
            ("config-duplicate", start + 10),
            ("config-bad-domain", start + 15),
        ]
    );
}

#[test]
fn a_name_that_dns_cannot_know_needs_a_route() {
    let text = WORKING.replace("two.example.net", "two.example");

    assert_eq!(
        warnings(&text),
        ["own-cert-domain-uncovered", "config-no-route"]
    );
    let routed = text.replace("page_limit", "route = [\"127.0.0.1:5061\"]\npage_limit");
    assert_eq!(warnings(&routed), ["own-cert-domain-uncovered"]);
}

#[test]
fn only_one_side_is_doubtful() {
    let one = WORKING
        .replace("side = \"sip\"", "side = \"xmpp\"")
        .replace("page_limit = 8000", "");

    assert!(warnings(&one).contains(&"config-side-without-peers"));
}

#[test]
fn the_metrics_port_stays_on_loopback() {
    let folder = folder();
    let text = WORKING.replace("[gateway]", "[gateway]\nhttp = \"0.0.0.0:9464\"");
    let (config, findings) = load_in(&folder, &text);

    assert!(config.is_none());
    assert_eq!(places(&findings), [("config-http-not-loopback", 3)]);
}

#[test]
fn static_answers_are_read() {
    let folder = folder();
    let text = format!(
        "{WORKING}
[[dns.override]]
name = \"_SIPS._tcp.two.example.net.\"
srv = [{{ target = \".\", port = 0 }}]
[[dns.override]]
name = \"host.example.net\"
addresses = [\"192.0.2.1\", \"2001:db8::1\"]
"
    );
    let (config, findings) = load_in(&folder, &text);

    assert_eq!(findings, []);
    let overrides = config.unwrap().dns.overrides;
    assert_eq!(overrides["_sips._tcp.two.example.net"].srv[0].target, "");
    assert_eq!(overrides["host.example.net"].addresses.len(), 2);
}

#[test]
fn no_file_is_a_finding() {
    let (config, findings) = load(Path::new("/nonexistent/isthmus.toml"), NOW);

    assert!(config.is_none());
    assert_eq!(findings[0].id, "config-file-unreadable");
}
