//! The operator's tool, as a script or a person would use it: output and exit codes.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::bridge::{SIP_DOMAIN, ScriptedBridge, sip_entry, xmpp_entry};
use interop_tests::gateway::{Settings, configure, control};
use interop_tests::lab::{Lab, run, write};
use interop_tests::process::Output;

const LIMIT: Duration = Duration::from_secs(120);
const ROMEO: &str = "romeo@sip.example";
/// Exit codes.
const OK: i32 = 0;
const USAGE: i32 = 1;
const PROBLEM: i32 = 2;
const UNREACHABLE: i32 = 3;

/// Fails unless the output ended with the code and says all of the words somewhere.
fn expect(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let all = format!("{}{}", output.stdout, output.stderr);
    ensure!(
        output.status.code() == Some(code),
        "{} instead of {code}: {all}",
        output.status
    );
    for word in words {
        ensure!(all.contains(word), "\"{word}\" is not said: {all}");
    }
    Ok(())
}

#[tokio::test]
async fn version_and_usage() -> Result<()> {
    expect(&control(&["version"]).await?, OK, &["isthmus", "0."])?;
    expect(
        &control(&["--json", "version"]).await?,
        OK,
        &["{", "\"version\""],
    )?;
    expect(&control(&["make", "coffee"]).await?, USAGE, &["make"])?;
    expect(&control(&[]).await?, USAGE, &[])
}

#[tokio::test]
async fn check_config() -> Result<()> {
    run("check", LIMIT, async |lab| {
        let good = configure(lab, &Settings::new([xmpp_entry(lab), sip_entry(lab)]))?;
        let good = good.to_string_lossy().into_owned();
        expect(&control(&["check", "config", &good]).await?, OK, &[])?;
        let text = std::fs::read_to_string(&good)?;
        let two = text.replace("gateway-sip.key", "nowhere.key");
        let two = format!("{two}\n[federation]\ndefault = \"maybe\"\n");
        let cases: [(&str, String, &[&str]); 6] = [
            (
                "unknown key",
                text.replace("[gateway]", "[gateway]\ncolour = 1"),
                &["colour"],
            ),
            ("no TOML", format!("{text}\n[["), &[]),
            (
                "missing file",
                text.replace("gateway-sip.key", "nowhere.key"),
                &["nowhere.key"],
            ),
            (
                "key of another",
                text.replace("gateway-sip.key", "gateway-xmpp.key"),
                &["key"],
            ),
            (
                "domain on both sides",
                text.replace("peer.example", SIP_DOMAIN),
                &[SIP_DOMAIN],
            ),
            ("two defects at once", two, &["nowhere.key", "maybe"]),
        ];
        let bad = lab.path("bad.toml");
        for (name, text, words) in cases {
            write(&bad, &text)?;
            let output = control(&["check", "config", &bad.to_string_lossy()]).await?;
            expect(&output, PROBLEM, words).map_err(|error| error.context(name))?;
        }
        expect(
            &control(&["check", "config", "/nonexistent.toml"]).await?,
            PROBLEM,
            &[],
        )
    })
    .await
}

/// A SIP domain that contains a peer's domain makes Openfire drop presence: a warning says so.
#[tokio::test]
async fn check_config_warns() -> Result<()> {
    run("warn", LIMIT, async |lab| {
        let config = configure(lab, &Settings::new([xmpp_entry(lab), sip_entry(lab)]))?;
        let text = std::fs::read_to_string(&config)?;
        std::fs::write(&config, text.replace(SIP_DOMAIN, "sip.peer.example"))?;
        let output = control(&["check", "config", &config.to_string_lossy()]).await?;
        let said = format!("{}{}", output.stdout, output.stderr);
        ensure!(
            said.contains("WARNING") && said.contains("sip.peer.example"),
            "{said}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn no_daemon() -> Result<()> {
    run("no-daemon", LIMIT, async |lab| {
        let socket = lab.path("admin.sock");
        let socket = socket.to_string_lossy();
        for command in ["status", "reload", "drain"] {
            let output = control(&["--socket", &socket, command]).await?;
            expect(&output, UNREACHABLE, &["admin.sock"])?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn status_peers_and_messages() -> Result<()> {
    run("status", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge
            .peer
            .say("juliet", ROMEO, "cli-1", "good night")
            .await?;
        bridge.agent.expect_text("good night").await?;
        bridge
            .agent
            .answer("nobody", interop_tests::sip_agent::Answer::Status(404));
        bridge
            .peer
            .say("juliet", "nobody@sip.example", "cli-2", "good night")
            .await?;
        bridge.peer.expect_error("cli-2").await?;

        let gateway = &bridge.gateway;
        expect(&gateway.control(&["status"]).await?, OK, &["peer", "sip"])?;
        expect(
            &gateway.control(&["peer", "list"]).await?,
            OK,
            &["peer", "sip", "TLS"],
        )?;
        for arguments in [&["status"][..], &["peer", "list"]] {
            let answer = gateway.ask(arguments).await?;
            ensure!(answer.is_object() || answer.is_array(), "{answer}");
        }
        let found = gateway.control(&["message", "find", "cli-1"]).await?;
        expect(&found, OK, &["cli-1", "delivered"])?;
        let found = gateway
            .control(&["message", "find", "juliet@peer.example"])
            .await?;
        expect(&found, OK, &["cli-1", "cli-2", "item-not-found"])?;
        expect(
            &gateway.control(&["message", "find", "cli-0"]).await?,
            PROBLEM,
            &[],
        )?;
        bridge.gateway.is_sound()
    })
    .await
}

/// A bad configuration is refused whole; a good one applies without dropping a link.
#[tokio::test]
async fn reload() -> Result<()> {
    run("reload", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge.peer.say("juliet", ROMEO, "m1", "before").await?;
        bridge.agent.expect_text("before").await?;
        let good = std::fs::read_to_string(bridge.gateway.config())?;

        std::fs::write(bridge.gateway.config(), format!("{good}\n[nonsense]\n"))?;
        expect(&bridge.gateway.control(&["reload"]).await?, PROBLEM, &["nonsense"])?;
        bridge.peer.say("juliet", ROMEO, "m2", "still there").await?;
        bridge.agent.expect_text("still there").await?;

        let denying = "[[federation.rule]]\nverdict = \"deny\"\nxmpp = \"juliet@peer.example\"\nsip = \"*\"\n";
        std::fs::write(bridge.gateway.config(), format!("{good}\n{denying}"))?;
        expect(&bridge.gateway.control(&["reload"]).await?, OK, &[])?;
        bridge.peer.say("juliet", ROMEO, "m3", "forbidden").await?;
        bridge.peer.expect_error("m3").await?;
        bridge.peer.say("nurse", ROMEO, "m4", "allowed").await?;
        bridge.agent.expect_text("allowed").await?;
        // The stream that the peer opened first has carried all of it.
        ensure!(bridge.peer.streams_opened() == 1, "a link was dropped");
        bridge.gateway.is_sound()
    })
    .await
}

/// A decision on a pair acts at once, both ways, stays over a reload and a crash, and can be taken
/// back.
#[tokio::test]
async fn acl() -> Result<()> {
    run("acl", LIMIT, async |lab| {
        let juliet = "juliet@peer.example";
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge.peer.say("juliet", ROMEO, "m1", "before").await?;
        bridge.agent.expect_text("before").await?;

        let block = ["acl", "set", juliet, "sip:romeo@sip.example", "block"];
        expect(
            &bridge.gateway.control(&block).await?,
            OK,
            &[juliet, ROMEO, "block"],
        )?;
        bridge.peer.say("juliet", ROMEO, "m2", "blocked").await?;
        let error = bridge.peer.expect_error("m2").await?;
        let xml = String::from(&error);
        ensure!(xml.contains("<forbidden"), "{xml}");
        bridge
            .peer
            .say("nurse", ROMEO, "m3", "another pair")
            .await?;
        bridge.agent.expect_text("another pair").await?;

        expect(&bridge.gateway.control(&["reload"]).await?, OK, &[])?;
        bridge.gateway.kill().await?;
        bridge.gateway.start_again().await?;
        bridge.peer.hang_up().await;
        let explain = ["acl", "explain", ROMEO, juliet];
        expect(
            &bridge.gateway.control(&explain).await?,
            OK,
            &["block", "level pair", "system"],
        )?;
        let listed = bridge.gateway.ask(&["acl", "get", juliet]).await?;
        ensure!(listed["decisions"][0]["verdict"] == "block", "{listed}");
        ensure!(listed["decisions"][0]["changed_by"].is_u64(), "{listed}");
        bridge
            .peer
            .say("juliet", ROMEO, "m4", "still blocked")
            .await?;
        bridge.peer.expect_error("m4").await?;

        let remove = ["acl", "remove", juliet, ROMEO];
        expect(
            &bridge.gateway.control(&remove).await?,
            OK,
            &["before: block"],
        )?;
        bridge.peer.say("juliet", ROMEO, "m5", "after").await?;
        bridge.agent.expect_text("after").await?;
        expect(
            &bridge.gateway.control(&remove).await?,
            PROBLEM,
            &["nothing was decided"],
        )?;
        bridge.gateway.is_sound()
    })
    .await
}

#[tokio::test]
async fn drain() -> Result<()> {
    run("drain", LIMIT, async |lab| {
        let mut bridge = ScriptedBridge::start(lab, |peer| peer).await?;
        bridge.peer.say("juliet", ROMEO, "m1", "before").await?;
        bridge.agent.expect_text("before").await?;
        expect(&bridge.gateway.control(&["drain"]).await?, OK, &[])?;
        let status = bridge
            .gateway
            .process()
            .end(Duration::from_secs(60))
            .await?;
        ensure!(status.success(), "ended with {status}");
        Ok(())
    })
    .await
}

/// The certificates of the quick start can be made, looked at, and used.
#[tokio::test]
async fn certificates() -> Result<()> {
    run("cert", LIMIT, async |lab| {
        let path = |name: &str| lab.path(name).to_string_lossy().into_owned();
        let (folder, xmpp) = (path("own-ca"), path("own-xmpp"));
        expect(
            &control(&["cert", "init-ca", "--dir", &folder]).await?,
            OK,
            &[],
        )?;
        ensure!(lab.path("own-ca/ca.pem").is_file(), "no ca.pem");
        let issue = [
            "cert",
            "issue",
            "--dir",
            &folder,
            "--side",
            "xmpp",
            "--name",
            "sip.example",
            "--out",
            &xmpp,
        ];
        expect(&control(&issue).await?, OK, &[])?;
        let certificate = path("own-xmpp.pem");
        let output = control(&["cert", "inspect", &certificate]).await?;
        expect(&output, OK, &["sip.example"])?;
        let verify = ["verify", "-CAfile", &path("own-ca/ca.pem"), &certificate];
        let openssl = interop_tests::process::output("openssl", &verify, LIMIT).await?;
        expect(&openssl, OK, &["OK"])?;
        expect(
            &control(&["cert", "inspect", &path("hosts")]).await?,
            PROBLEM,
            &[],
        )
    })
    .await
}

/// `translate` shows what a message becomes, and why not.
#[tokio::test]
async fn translate() -> Result<()> {
    run("translate", LIMIT, async |lab| {
        let message = "MESSAGE sip:juliet@xmpp.example SIP/2.0\r\n\
            Via: SIP/2.0/TLS h.sip.example;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
            From: <sip:romeo@sip.example>;tag=1\r\nTo: <sip:juliet@xmpp.example>\r\n\
            Call-ID: 1@sip.example\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\
            Content-Length: 5\r\n\r\nhello";
        let stanza = "<message from='juliet@xmpp.example/b' to='romeo@sip.example' id='1' \
                      type='chat'><body>hello</body></message>";
        let cases: [(&str, &str, i32, &[&str]); 4] = [
            ("message.sip", message, OK, &["<message", "hello"]),
            (
                "stanza.xml",
                stanza,
                OK,
                &["MESSAGE sip:romeo@sip.example", "hello"],
            ),
            ("fragment.xml", "<presence/>", OK, &[]),
            ("garbage", "neither this nor that", PROBLEM, &[]),
        ];
        for (name, text, code, words) in cases {
            write(&lab.path(name), text)?;
            let output = translate_file(lab, name).await?;
            expect(&output, code, words).map_err(|error| error.context(name))?;
        }
        Ok(())
    })
    .await
}

async fn translate_file(lab: &Lab, name: &str) -> Result<Output> {
    control(&["translate", &lab.path(name).to_string_lossy()]).await
}
