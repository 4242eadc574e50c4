use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use translators::model::{Blame, Condition, Failure as Failed};
use translators::shard::{Change, ChangeId, Fate, ImState};

use serde_json::{Value, json};

use super::{ask, text, tool};
use crate::admin::testing::{Daemon, record, socket};
use crate::admin::{Order, Reloaded};
use crate::config::testing::{WORKING, folder, write};
use crate::ctl::Exit;

#[test]
fn a_wrong_command_line_ends_with_1() {
    for words in [
        &[][..],
        &["make", "coffee"],
        &["peer"],
        &["drain", "--timeout", "soon"],
    ] {
        let run = tool(words);
        assert_eq!(run.exit, Exit::Usage, "{words:?}");
        assert_eq!(run.out, "", "{words:?}");
    }
    assert_eq!(tool(&["--help"]).exit, Exit::Fine);
    assert_eq!(tool(&["--version"]).exit, Exit::Fine);
}

#[test]
fn without_a_daemon_the_tool_ends_with_3_and_names_the_socket() {
    for words in [
        &["status"][..],
        &["reload"],
        &["peer", "list"],
        &["message", "find", "x"],
    ] {
        let mut all = vec!["--socket", "/nonexistent/admin.sock"];
        all.extend(words);
        let run = tool(&all);
        assert_eq!(run.exit, Exit::Unreachable, "{words:?}");
        assert!(run.err.contains("/nonexistent/admin.sock"), "{}", run.err);
    }
    let version = tool(&["--socket", "/nonexistent/admin.sock", "version"]);
    assert_eq!(version.exit, Exit::Fine);
    assert!(
        version.out.contains("no isthmusd answers"),
        "{}",
        version.out
    );
}

#[test]
fn the_socket_is_where_the_configuration_says() {
    let folder = TempDir::new().unwrap();
    let text_of_file = "[gateway]\nadmin_socket = \"here.sock\"\nnonsense = 1\n";
    write(&folder, "isthmus.toml", text_of_file, 0o644);
    let run = tool(&[
        "--config",
        &text(&folder.path().join("isthmus.toml")),
        "status",
    ]);

    assert_eq!(run.exit, Exit::Unreachable);
    assert!(
        run.err.contains(&text(&folder.path().join("here.sock"))),
        "{}",
        run.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_a_page_for_people_and_json_for_programs() {
    let daemon = Daemon::start();

    let run = ask(&daemon, &["status"]).await;
    // It has never been made ready.
    assert_eq!(run.exit, Exit::Problem);
    for part in [
        "not ready",
        "journal: writable",
        "PEER",
        "prosody",
        "idle",
        "xmpp.pem",
    ] {
        assert!(run.out.contains(part), "{part}: {}", run.out);
    }
    let run = ask(&daemon, &["status", "--json"]).await;
    let value: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(value["peers"][0]["name"], "kamailio");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_listed_and_explained() {
    let daemon = Daemon::start();

    let list = ask(&daemon, &["peer", "list"]).await;
    assert_eq!(list.exit, Exit::Fine);
    assert!(list.out.contains("two.example.net"), "{}", list.out);
    let why = ask(&daemon, &["peer", "why", "two.example.net"]).await;
    assert_eq!(why.exit, Exit::Fine);
    assert!(
        why.out
            .starts_with("kamailio (sip; two.example.net) is idle."),
        "{}",
        why.out
    );
    let nobody = ask(&daemon, &["peer", "why", "nobody"]).await;
    assert_eq!(nobody.exit, Exit::Problem);
    assert!(
        nobody.err.contains("no peer has the name or domain nobody"),
        "{}",
        nobody.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fate_of_a_message_is_one_row() {
    let daemon = Daemon::start();
    let failure = Failed::new(Condition::ItemNotFound, Blame::Peer).with_text("404 Not Found");
    let change = Change {
        id: ChangeId {
            shard: 0,
            number: 1,
        },
        durable: true,
        record: record("m1", ImState::Settled(Fate::Bounced(failure))).into(),
    };
    daemon.store.commit(vec![change]).await.unwrap();

    let found = ask(&daemon, &["message", "find", "m1"]).await;
    assert_eq!(found.exit, Exit::Fine);
    for part in [
        "juliet@one.example.net",
        "m1",
        "bounced",
        "item-not-found 404 Not Found",
    ] {
        assert!(found.out.contains(part), "{part}: {}", found.out);
    }
    let none = ask(&daemon, &["message", "find", "m2"]).await;
    assert_eq!(none.exit, Exit::Problem);
    assert_eq!(none.out, "The journal knows no message m2.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reload_shows_its_findings() {
    let mut daemon = Daemon::start();
    let socket = text(&socket(&daemon.folder));
    let run = tokio::task::spawn_blocking(move || tool(&["--socket", &socket, "reload"]));
    let Some(Order::Reload(reply)) = daemon.orders.recv().await else {
        panic!("no reload was ordered");
    };
    let findings = vec![certs::Finding::error(
        "config-syntax",
        "f:1",
        "It is broken.",
        "Mend it.",
    )];
    reply
        .send(Reloaded {
            applied: false,
            findings,
        })
        .unwrap();

    let run = run.await.unwrap();
    assert_eq!(run.exit, Exit::Problem);
    assert!(
        run.out
            .starts_with("ERROR config-syntax f:1: It is broken. Fix: Mend it.\n")
    );
    assert!(run.out.contains("the old one stays"), "{}", run.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_tells_how_it_ended() {
    let mut daemon = Daemon::start();
    let socket = text(&socket(&daemon.folder));
    let words = ["--socket", &socket, "drain", "--timeout", "2m"].map(str::to_owned);
    let run = tokio::task::spawn_blocking(move || tool(&words.each_ref().map(String::as_str)));
    let Some(Order::Drain { grace, done, .. }) = daemon.orders.recv().await else {
        panic!("no drain was ordered");
    };
    assert_eq!(grace.as_secs(), 120);
    done.send(false).unwrap();

    assert_eq!(run.await.unwrap().exit, Exit::Problem);
}

#[test]
fn a_configuration_is_checked_without_a_daemon() {
    let folder = folder();
    write(&folder, "good.toml", WORKING, 0o644);
    write(
        &folder,
        "bad.toml",
        &WORKING.replace("side = \"sip\"", "side = \"sap\""),
        0o644,
    );
    let path = |name| text(&folder.path().join(name));

    // The certificates of the folder belong to another time.
    let good = tool(&["check", "config", &path("good.toml")]);
    assert_eq!(good.exit, Exit::Problem);
    assert!(good.out.contains("own-cert-not-yet-valid"), "{}", good.out);
    let bad = tool(&["--config", &path("bad.toml"), "check", "config"]);
    assert_eq!(bad.exit, Exit::Problem);
    assert!(bad.out.contains("config-bad-value"), "{}", bad.out);
    let json = tool(&["--json", "check", "config", &path("bad.toml")]);
    let value: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["ok"], false);
    assert!(
        value["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|f| f["id"] == "config-bad-value")
    );
}

#[test]
fn certificates_are_made_read_and_never_overwritten() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| text(&folder.path().join(name));
    let (ca, out) = (path("ca"), path("sip"));

    assert_eq!(tool(&["cert", "init-ca", "--dir", &ca]).exit, Exit::Fine);
    let again = tool(&["cert", "init-ca", "--dir", &ca]);
    assert_eq!(again.exit, Exit::Problem);
    assert!(again.err.contains("is there already"), "{}", again.err);

    let issue = [
        "cert",
        "issue",
        "--dir",
        &ca,
        "--side",
        "sip",
        "--name",
        "X.example",
        "--out",
        &out,
    ];
    assert_eq!(tool(&issue).exit, Exit::Fine);
    assert_eq!(tool(&issue).exit, Exit::Problem);
    let forced: Vec<&str> = issue.iter().copied().chain(["--force"]).collect();
    assert_eq!(tool(&forced).exit, Exit::Fine);
    for key in ["ca/ca.key", "sip.key"] {
        let mode = fs::metadata(path(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }

    let inspected = tool(&["cert", "inspect", &path("sip.pem")]);
    assert_eq!(inspected.exit, Exit::Fine);
    for part in [
        "URI sip:x.example, DNS x.example",
        "days left",
        "pin          sha256/",
    ] {
        assert!(inspected.out.contains(part), "{part}: {}", inspected.out);
    }
    let garbage = tool(&["cert", "inspect", &path("sip.key")]);
    assert_eq!(garbage.exit, Exit::Problem);
}

#[test]
fn names_that_fit_no_certificate_are_refused() {
    let folder = TempDir::new().unwrap();
    let ca = text(&folder.path().join("ca"));
    tool(&["cert", "init-ca", "--dir", &ca]);
    let run = tool(&["cert", "issue", "--dir", &ca, "--name", "a b"]);

    assert_eq!(run.exit, Exit::Problem);
    assert!(run.err.contains("name 1 cannot be used"), "{}", run.err);
}

#[test]
fn translate_explains_sip_and_xml_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| text(&folder.path().join(name));
    let stanza = "<message from='juliet@one.example/b' to='romeo@two.example' id='1' \
                  type='chat'><body>good night</body></message>";
    let cases = [
        (
            "stanza.xml",
            stanza,
            Exit::Fine,
            "MESSAGE sip:romeo@two.example",
        ),
        ("fragment.xml", "<presence/>", Exit::Fine, ""),
        (
            "fragment.sip",
            "SIP/2.0 404 Not Found\r\n",
            Exit::Fine,
            "404",
        ),
        (
            "garbage",
            "neither this nor that",
            Exit::Problem,
            "neither SIP nor XML",
        ),
    ];
    for (name, content, exit, part) in cases {
        write(&folder, name, content, 0o644);
        let run = tool(&["--config", &path("none.toml"), "translate", &path(name)]);
        assert_eq!(run.exit, exit, "{name}: {}{}", run.out, run.err);
        assert!(run.out.contains(part), "{name}: {}", run.out);
    }
    let gone = tool(&["translate", &path("gone")]);
    assert_eq!(gone.exit, Exit::Problem);
    assert!(gone.err.contains("gone cannot be used"), "{}", gone.err);
}

const JULIET: &str = "juliet@one.example.net";
const ROMEO: &str = "sip:romeo@two.example.net";

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_made_listed_explained_and_taken_back() {
    let daemon = Daemon::start();

    let run = ask(&daemon, &["acl", "get"]).await;
    assert_eq!((run.exit, run.err.as_str()), (Exit::Fine, ""));
    assert!(run.out.starts_with("Nothing is decided"), "{}", run.out);
    let run = ask(&daemon, &["acl", "set", JULIET, "confirm"]).await;
    assert_eq!(run.exit, Exit::Fine);
    let told = "juliet@one.example.net with everybody: confirm (before: nothing was decided).\n";
    assert_eq!(run.out, told);
    let run = ask(&daemon, &["acl", "set", ROMEO, JULIET, "polite-block"]).await;
    assert_eq!(run.exit, Exit::Fine);
    let run = ask(
        &daemon,
        &["acl", "set", JULIET, "romeo@two.example.net", "block"],
    )
    .await;
    let both = "juliet@one.example.net with romeo@two.example.net";
    assert_eq!(run.out, format!("{both}: block (before: polite-block).\n"));

    let run = ask(&daemon, &["acl", "get", JULIET]).await;
    let lines: Vec<_> = run.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", run.out);
    assert!(lines[1].starts_with("pair   juliet@one.example.net  romeo@two.example.net  block"));
    assert!(
        lines[2].starts_with("user   juliet@one.example.net  *"),
        "{}",
        run.out
    );
    let run = ask(&daemon, &["--json", "acl", "explain", ROMEO, JULIET]).await;
    let explained: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        explained["holds"],
        json!({ "verdict": "block", "level": "pair" })
    );
    let said = explained["said"].as_array().unwrap();
    let levels: Vec<_> = said
        .iter()
        .map(|said| said["level"].as_str().unwrap())
        .collect();
    assert_eq!(levels, ["federation", "pair", "user", "system"]);

    let run = ask(&daemon, &["acl", "remove", ROMEO, JULIET]).await;
    assert_eq!(run.exit, Exit::Fine);
    let lines: Vec<_> = run.out.lines().collect();
    assert_eq!(
        lines,
        [
            &format!("{both}: nothing is decided any more (before: block)."),
            "What holds is confirm, decided on level user."
        ]
    );
    let run = ask(&daemon, &["acl", "remove", ROMEO, JULIET]).await;
    assert_eq!(run.exit, Exit::Problem);
    assert_eq!(
        run.out.lines().next().unwrap(),
        format!("{both}: nothing was decided.")
    );
    let run = ask(&daemon, &["acl", "explain", JULIET, ROMEO]).await;
    assert!(
        run.out
            .starts_with(&format!("{both}: confirm, decided on level user.\n"))
    );
    let acl = daemon.store.acl().unwrap();
    assert_eq!(acl.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_waits_can_be_decided_as_pending() {
    let daemon = Daemon::start();

    let run = ask(&daemon, &["pending", "list", ROMEO]).await;
    assert_eq!((run.exit, run.err.as_str()), (Exit::Fine, ""));
    assert_eq!(run.out, "No request waits for a decision.\n");
    let run = ask(&daemon, &["pending", "deny", ROMEO, JULIET, "--polite"]).await;
    assert_eq!(run.exit, Exit::Problem);
    assert!(
        run.err
            .contains("no request of juliet@one.example.net and romeo@two.example.net")
    );
    assert!(daemon.store.acl().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_meant_must_be_clear() {
    let daemon = Daemon::start();
    for (users, sentence) in [
        (&["juliet"][..], "juliet is no user"),
        (&["one.example.net"], "one.example.net is no user"),
        (&["sip:two.example.net"], "sip:two.example.net is no user"),
        (
            &["a@three.example.net"],
            "no peer has the domain of a@three.example.net",
        ),
        (&[JULIET, "nurse@one.example.net"], "are of the same side"),
    ] {
        let mut words = vec!["acl", "set"];
        words.extend(users);
        words.push("block");

        let run = ask(&daemon, &words).await;

        assert_eq!(run.exit, Exit::Problem, "{users:?}");
        assert!(run.err.contains(sentence), "{}", run.err);
    }
    let one = ask(
        &daemon,
        &["acl", "explain", JULIET, "nurse@one.example.net"],
    )
    .await;
    assert_eq!(one.exit, Exit::Problem);
    for users in [["xmpp:a@three.example.net", "sip:A%20b@four.example.net"]] {
        let run = ask(&daemon, &["acl", "set", users[0], users[1], "block"]).await;
        assert_eq!(run.exit, Exit::Fine, "{}", run.err);
        assert!(
            run.out
                .contains("a@three.example.net with a\\20b@four.example.net"),
            "{}",
            run.out
        );
    }
    for words in [
        &["acl", "set", JULIET, "deny"][..],
        &["acl", "set", "block"],
        &["acl", "set", JULIET, ROMEO, JULIET, "block"],
        &["acl", "explain", JULIET],
    ] {
        assert_eq!(tool(words).exit, Exit::Usage, "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_is_planned_without_doing_anything() {
    let daemon = Daemon::start();
    let list = "admin-watcher 1\nadmin sip sip:old@one.example.net\n\
        watch juliet@one.example.net sip:romeo@two.example.net\n\
        watch sip:romeo@two.example.net juliet@one.example.net\n\
        watch nurse@one.example.net sip:romeo@two.example.net\n\
        watch nurse@one.example.net peter@one.example.net\nwatched lady@one.example.net\n";
    write(&daemon.folder, "list", list, 0o644);
    let file = text(&daemon.folder.path().join("list"));
    let block = ask(&daemon, &["acl", "set", "nurse@one.example.net", "block"]).await;
    assert_eq!(block.exit, Exit::Fine);

    let run = ask(
        &daemon,
        &["migrate", "admin-watcher", "--input", &file, "--dry-run"],
    )
    .await;

    assert_eq!(run.exit, Exit::Problem, "{}", run.err);
    for line in [
        "4 entries",
        "       1  to be mapped",
        "       1  waiting for the SIP user's own client",
        "       1  denied by policy",
        "       1  unclear",
        "       1  orphaned: watched by nobody who is known",
        "orphaned: lady@one.example.net",
    ] {
        assert!(
            run.out.lines().any(|one| one == line),
            "{line}: {}",
            run.out
        );
    }
    assert!(!daemon.folder.path().join("list.progress").exists());
    for wrong in [
        &["migrate", "admin-watcher", "--input", &file][..],
        &["migrate", "admin-watcher", "--dry-run"],
        &[
            "migrate",
            "admin-watcher",
            "--input",
            &file,
            "--dry-run",
            "--run",
        ],
    ] {
        assert_eq!(tool(wrong).exit, Exit::Usage, "{wrong:?}");
    }
    let missing = [
        "migrate",
        "admin-watcher",
        "--input",
        "/nonexistent/list",
        "--run",
    ];
    let run = ask(&daemon, &missing).await;
    assert_eq!(run.exit, Exit::Problem);
    assert!(
        run.err.contains("/nonexistent/list cannot be read"),
        "{}",
        run.err
    );
}
