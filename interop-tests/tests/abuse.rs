//! Peers that attack: each case has its named outcome, before and after authentication, and a
//! good peer's traffic goes on with at most twice its usual latency.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::bridge::SIP_DOMAIN;
use interop_tests::lab::run;
use interop_tests::s2s::{Stage, Stream, connect, header};
use interop_tests::siege::{EVIL, Siege};
use interop_tests::xml::{Item, SASL, START_TLS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Limit of each test, with the time that it waits for the others.
const LIMIT: Duration = Duration::from_secs(420);
/// How long the gateway may take to end an abusive connection; its own limits are 10 s.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// Octets of a stanza that trickles in behind authentication, one each second.
const TRICKLE: u32 = 12;

/// Bytes that are sent at some stage of a stream, and the stream errors that may answer them.
struct Case {
    name: &'static str,
    bytes: fn() -> Vec<u8>,
    outcomes: &'static [&'static str],
}

const TOO_MUCH: &[&str] = &["policy-violation"];
const BAD_XML: &[&str] = &[
    "not-well-formed",
    "restricted-xml",
    "bad-format",
    "unsupported-encoding",
];

const CASES: &[Case] = &[
    Case {
        name: "A1 depth",
        bytes: || message("<a>".repeat(100_000)),
        outcomes: TOO_MUCH,
    },
    Case {
        name: "A2 width",
        bytes: || message("<a/>".repeat(130_000)),
        outcomes: TOO_MUCH,
    },
    Case {
        name: "A3 attributes",
        bytes: || many_attributes("a"),
        outcomes: TOO_MUCH,
    },
    Case {
        name: "A4 namespaces",
        bytes: || many_attributes("xmlns:a"),
        outcomes: TOO_MUCH,
    },
    Case {
        name: "A5 DTD",
        bytes: dtd,
        outcomes: BAD_XML,
    },
    Case {
        name: "A5 entity",
        bytes: || message("<body>&lol;</body>".into()),
        outcomes: BAD_XML,
    },
    Case {
        name: "A6 instruction",
        bytes: || message("<?php x?>".into()),
        outcomes: BAD_XML,
    },
    Case {
        name: "A6 comment",
        bytes: || message("<!-- x -->".into()),
        outcomes: BAD_XML,
    },
    Case {
        name: "A8 endless attribute",
        bytes: endless_attribute,
        outcomes: TOO_MUCH,
    },
    Case {
        name: "A9 bad UTF-8",
        bytes: || b"<message to='\xff\xfe'/>".to_vec(),
        outcomes: BAD_XML,
    },
    Case {
        name: "A9 UTF-16",
        bytes: || b"\xff\xfe<\0a\0/\0>\0".to_vec(),
        outcomes: BAD_XML,
    },
    Case {
        name: "A15 dialback",
        bytes: dialback,
        outcomes: &["unsupported-stanza-type", "not-authorized"],
    },
];

fn message(content: String) -> Vec<u8> {
    format!("<message from='a@{EVIL}' to='b@{SIP_DOMAIN}'>{content}").into_bytes()
}

fn many_attributes(name: &str) -> Vec<u8> {
    let attributes: String = (0..50_000)
        .map(|index| format!(" {name}{index}='x'"))
        .collect();
    format!("<message from='a@{EVIL}'{attributes}/>").into_bytes()
}

fn endless_attribute() -> Vec<u8> {
    format!("<message from='a@{EVIL}' id='{}", "x".repeat(2_000_000)).into_bytes()
}

fn dtd() -> Vec<u8> {
    b"<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;\">]>".to_vec()
}

fn dialback() -> Vec<u8> {
    format!(
        "<db:result xmlns:db='jabber:server:dialback' from='{EVIL}' to='{SIP_DOMAIN}'>x</db:result>"
    )
    .into_bytes()
}

/// A1-A6, A8, A9 and A15 after authentication: the stream ends with the condition of the case.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_stanzas_after_authentication() -> Result<()> {
    run("abuse-after", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        let attack = async || {
            let attacks = CASES.iter().map(|case| case.at(Stage::Open, case.outcomes));
            each(&siege, attacks).await
        };
        siege.withstand(attack).await?;
        siege.is_over()
    })
    .await
}

/// The same before it, on the plain stream and on the encrypted one: an early end, by whatever
/// limit of an unknown stream is hit first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_stanzas_before_authentication() -> Result<()> {
    run("abuse-before", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        let attack = async || {
            let greeted = CASES.iter().map(|case| case.at(Stage::Greeted, &[]));
            let secured = CASES.iter().map(|case| case.at(Stage::Secured, &[]));
            each(&siege, greeted.chain(secured)).await
        };
        siege.withstand(attack).await?;
        siege.is_over()
    })
    .await
}

/// Something to send at a stage of a stream, and the stream errors that may answer it; none
/// given means that any end will do.
struct Attack {
    name: &'static str,
    stage: Stage,
    bytes: Vec<u8>,
    outcomes: &'static [&'static str],
}

impl Case {
    fn at(&self, stage: Stage, outcomes: &'static [&'static str]) -> Attack {
        Attack {
            name: self.name,
            stage,
            bytes: (self.bytes)(),
            outcomes,
        }
    }
}

async fn each(siege: &Siege, attacks: impl Iterator<Item = Attack>) -> Result<()> {
    for attack in attacks {
        let stream = siege.dial().reach(attack.stage).await?;
        expect_end(stream, attack).await?;
    }
    Ok(())
}

/// Sends bytes and expects the stream to end, with one of the conditions if there are any.
async fn expect_end(mut stream: Stream, attack: Attack) -> Result<()> {
    let Attack {
        name,
        bytes,
        outcomes,
        ..
    } = attack;
    // The gateway may end the stream before it has read all of it.
    let sent = timeout(ENDED_WITHIN, stream.write_bytes(&bytes)).await;
    ensure!(sent.is_ok(), "{name}: the gateway neither reads nor closes");
    let mut condition = None;
    loop {
        let Ok(item) = timeout(ENDED_WITHIN, stream.read()).await else {
            anyhow::bail!("{name}: the stream stays open");
        };
        match item {
            Ok(Some(Item::Stanza(element))) if element.name() == "error" => {
                condition = element
                    .children()
                    .next()
                    .map(|child| child.name().to_owned());
            }
            Ok(Some(Item::Stanza(_) | Item::Header(_) | Item::Close)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    let condition = condition.unwrap_or_default();
    let expected = outcomes.is_empty() || outcomes.contains(&condition.as_str());
    ensure!(expected, "{name}: ended with \"{condition}\"");
    Ok(())
}

/// A7: a stanza that never ends is cut off before authentication, and harmless after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trickling_bytes() -> Result<()> {
    run("abuse-trickle", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        let attack = async || {
            let greeted = Box::pin(siege.dial().reach(Stage::Greeted)).await?;
            let open = Box::pin(siege.dial().reach(Stage::Open)).await?;
            let (before, behind) = (
                Box::pin(trickle(greeted)),
                Box::pin(trickle_to_an_end(open)),
            );
            tokio::try_join!(before, behind).map(|_| ())
        };
        siege.withstand(attack).await?;
        siege.is_over()
    })
    .await
}

async fn trickle(mut stream: Stream) -> Result<()> {
    stream.write("<starttls xmlns='").await?;
    let ended = timeout(ENDED_WITHIN, async {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = second.tick() => stream.write("x").await?,
                item = stream.read() => return anyhow::Ok(item?),
            }
        }
    });
    ensure!(ended.await.is_ok(), "A7: a stream that trickles stays open");
    Ok(())
}

async fn trickle_to_an_end(mut stream: Stream) -> Result<()> {
    let start = format!("<message type='error' from='a@{EVIL}' to='b@{SIP_DOMAIN}'><body>");
    stream.write(&start).await?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..TRICKLE {
        second.tick().await;
        stream.write("x").await?;
    }
    stream.write("</body></message></stream:stream>").await?;
    let ended = timeout(ENDED_WITHIN, stream.read()).await??;
    ensure!(
        matches!(ended, Some(Item::Close)),
        "A7: behind a stanza that trickled in, the stream does not end in order: {ended:?}"
    );
    Ok(())
}

/// A10 and A13: what comes before its time is not believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_turn() -> Result<()> {
    run("abuse-turn", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        siege
            .withstand(async || each(&siege, untimely()).await)
            .await?;
        siege.is_over()
    })
    .await
}

fn untimely() -> impl Iterator<Item = Attack> {
    let early = [
        message("<body>lie</body>".to_owned()),
        b"</message>".to_vec(),
    ]
    .concat();
    let tls = format!("<starttls xmlns='{START_TLS}'/>").into_bytes();
    let auth = format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>").into_bytes();
    // Plaintext behind STARTTLS must not be taken for what came through TLS.
    let hidden = header(EVIL, SIP_DOMAIN).into_bytes();
    let injection = [tls.clone(), hidden, early.clone()].concat();
    let attacks = [
        ("A10 stanza before TLS", Stage::Greeted, early.clone()),
        ("A10 stanza before SASL", Stage::Secured, early),
        ("A13 EXTERNAL before TLS", Stage::Greeted, auth),
        ("A13 STARTTLS twice", Stage::Secured, tls),
        ("A13 injection", Stage::Greeted, injection),
    ];
    attacks.into_iter().map(|(name, stage, bytes)| Attack {
        name,
        stage,
        bytes,
        outcomes: &[],
    })
}

/// A14: odd forms of EXTERNAL fail, and after a few the stream ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_authentication() -> Result<()> {
    run("abuse-sasl", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        siege
            .withstand(async || odd_externals(&siege).await)
            .await?;
        siege.is_over()
    })
    .await
}

async fn odd_externals(siege: &Siege) -> Result<()> {
    let long = "QUFB".repeat(2000);
    for authzid in ["b3RoZXIuZXhhbXBsZQ==", "!!!", &long, "c2lwLmV4YW1wbGU="] {
        let mut dial = siege.dial();
        dial.authzid = Some(authzid);
        ensure!(
            dial.reach(Stage::Open).await.is_err(),
            "A14: {authzid} was accepted"
        );
    }
    let stream = siege.dial().reach(Stage::Secured).await?;
    let wrong = format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>!!!</auth>");
    let attack = Attack {
        name: "A14 many attempts",
        stage: Stage::Secured,
        bytes: wrong.repeat(20).into_bytes(),
        outcomes: &["policy-violation", "not-authorized"],
    };
    expect_end(stream, attack).await
}

/// A11, A12 and A27: storms of streams and of connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storms() -> Result<()> {
    let times = connections()?;
    run(
        "abuse-storms",
        LIMIT + STORM_PAUSE * times * 8,
        async |lab| {
            let siege = Siege::start(lab).await?;
            let (xmpp, sip, source) = (siege.xmpp, siege.sip, siege.source);
            let open = format!("{}</stream:stream>", header(EVIL, SIP_DOMAIN));
            let attack = async || {
                storm(xmpp, source, 10_000, open.as_bytes()).await?;
                storm(xmpp, source, times, &[]).await?;
                storm(sip, source, times, &[]).await
            };
            siege.withstand(attack).await?;
            siege.is_over()
        },
    )
    .await
}

/// How many connections A27 makes to each listener: a million in all take nine minutes.
fn connections() -> Result<u32> {
    match std::env::var("ISTHMUS_STORM") {
        Ok(times) => Ok(times.parse()?),
        Err(_) => Ok(20_000),
    }
}

/// Time between two connections of a storm: more of them would measure the attacker, who shares
/// the processor here.
const STORM_PAUSE: Duration = Duration::from_micros(500);

/// Connects, sends, closes, over and over.
async fn storm(to: SocketAddr, source: SocketAddr, times: u32, bytes: &[u8]) -> Result<()> {
    let mut pace = tokio::time::interval(STORM_PAUSE);
    for _ in 0..times {
        pace.tick().await;
        let Ok(mut socket) = connect(to, Some(source)).await else {
            continue;
        };
        // The gateway refuses most of them at once, which is what is wanted.
        socket.write_all(bytes).await.ok();
        socket.set_zero_linger()?;
    }
    Ok(())
}

/// A24: handshakes that never end do not keep good ones out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_handshakes() -> Result<()> {
    run("abuse-handshakes", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        let (to, source) = (siege.sip, siege.source);
        siege
            .withstand(async || half_handshakes(to, source, 1000).await)
            .await
    })
    .await
}

/// Opens connections with the first bytes of a handshake, holds them, and sees them all closed.
async fn half_handshakes(to: SocketAddr, source: SocketAddr, times: usize) -> Result<()> {
    let mut held = Vec::new();
    for _ in 0..times {
        if let Ok(mut socket) = connect(to, Some(source)).await {
            // The head of a ClientHello record that announces 512 bytes.
            socket.write_all(&[22, 3, 1, 2, 0, 1]).await.ok();
            held.push(socket);
        }
    }
    let ended = timeout(ENDED_WITHIN, async {
        for socket in &mut held {
            let mut byte = [0];
            // An orderly end and a reset are both an end.
            while socket.read(&mut byte).await.is_ok_and(|count| count > 0) {}
        }
    });
    ensure!(ended.await.is_ok(), "A24: a half handshake stays open");
    Ok(())
}
