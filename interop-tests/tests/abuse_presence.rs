//! Peers that flood the gateway with presence: what is too much is refused, nobody's memory grows
//! without end, and a good peer's traffic goes on.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use interop_tests::bridge::SIP_DOMAIN;
use interop_tests::lab::run;
use interop_tests::s2s::{Stage, Stream};
use interop_tests::siege::{EVIL, EVIL_SIP, Siege};
use interop_tests::sip::{Frame, Framer, SipMessage, token};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Limit of each test, with the time that it waits for the others.
const LIMIT: Duration = Duration::from_secs(420);
/// Requests or stanzas of one flood.
const FLOOD: usize = 1_000;
/// Watchers that ask for the same user; 150 contacts and watchers are allowed.
const WATCHERS: usize = 300;
/// A shard takes 256 inputs in a row: so many new subscriptions cost a debug build a quarter of a
/// second, and a release build, which needs 160 us for each, 40 ms.
const FULL_CHANNEL: Duration = Duration::from_millis(250);
/// How long an answer may take in the middle of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every watcher of a flood asks for a user of its own, and a crowd asks for the same one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_subscribe() -> Result<()> {
    run("abuse-subscribe", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        siege
            .withstand_within(FULL_CHANNEL, async || many_subscribe(&siege).await)
            .await?;
        let crowd: Vec<_> = (0..WATCHERS)
            .map(|index| subscribe(index, "juliet"))
            .collect();
        let answers = answers(&siege, &crowd).await?;
        let taken = answers.iter().filter(|status| **status == 200).count();
        let refused = answers.iter().filter(|status| **status == 403).count();
        ensure!(
            taken == 150 && refused == WATCHERS - 150,
            "{taken} watchers of one user were taken, {refused} refused"
        );
        siege.is_over()
    })
    .await
}

async fn many_subscribe(siege: &Siege) -> Result<()> {
    let requests: Vec<_> = (0..FLOOD)
        .map(|index| subscribe(index, &format!("victim{}-{}", index, token())))
        .collect();
    let answers = answers(siege, &requests).await?;
    let odd: Vec<_> = answers
        .iter()
        .filter(|status| ![200, 403, 503].contains(*status))
        .collect();
    ensure!(odd.is_empty(), "answered {odd:?}");
    Ok(())
}

fn subscribe(index: usize, presentity: &str) -> SipMessage {
    let mut request = SipMessage {
        start: format!("SUBSCRIBE sip:{presentity}@peer.example SIP/2.0"),
        ..SipMessage::default()
    };
    let from = format!("<sip:evil{index}@{EVIL_SIP}>;tag={}", token());
    for (name, value) in [
        (
            "Via",
            format!("SIP/2.0/TLS evil:5061;branch=z9hG4bK{}", token()),
        ),
        ("Max-Forwards", "70".to_owned()),
        ("From", from),
        ("To", format!("<sip:{presentity}@peer.example>")),
        ("Call-ID", token()),
        ("CSeq", "1 SUBSCRIBE".to_owned()),
        (
            "Contact",
            format!("<sip:evil{index}@127.0.0.1:9;transport=tls>"),
        ),
        ("Event", "presence".to_owned()),
        ("Expires", "3600".to_owned()),
        ("Accept", "application/pidf+xml".to_owned()),
    ] {
        request.add(name, value);
    }
    request
}

/// Sends requests as fast as they are taken, and collects the final answers. NOTIFYs that come
/// back on the same connection are not answered: the attacker does not care.
async fn answers(siege: &Siege, requests: &[SipMessage]) -> Result<Vec<u16>> {
    let socket = TcpStream::connect(siege.sip).await?;
    let host = rustls::pki_types::ServerName::try_from("peer.example")?;
    let stream = siege
        .sip_attacker
        .connector()?
        .connect(host, socket)
        .await?;
    let (reading, mut writing) = tokio::io::split(stream);
    let sending = async {
        for request in requests {
            writing.write_all(&request.to_bytes()).await?;
        }
        anyhow::Ok(writing.flush().await?)
    };
    let (count, mut found) = (requests.len(), Vec::new());
    let collecting = timeout(PATIENCE, finals(reading, count, &mut found));
    let (sent, collected) = tokio::join!(sending, collecting);
    sent?;
    let Ok(collected) = collected else {
        bail!("{} of {count} are answered after {PATIENCE:?}", found.len());
    };
    collected.map(|()| found)
}

/// Collects so many final answers.
async fn finals(
    mut reading: impl AsyncRead + Unpin,
    count: usize,
    found: &mut Vec<u16>,
) -> Result<()> {
    let mut framer = Framer::default();
    let mut buffer = vec![0; 64 * 1024];
    while found.len() < count {
        let length = reading.read(&mut buffer).await?;
        ensure!(length > 0, "cut off after {} answers", found.len());
        framer.push(buffer.get(..length).unwrap_or_default());
        while let Some(frame) = framer.next_frame()? {
            if let Frame::Message(message) = frame {
                found.extend(message.status().filter(|status| *status >= 200));
            }
        }
    }
    Ok(())
}

/// One XMPP peer's users subscribe to everybody, change their state all the time, and probe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_presence() -> Result<()> {
    run("abuse-presence", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        siege
            .withstand(async || many_presences(&siege).await)
            .await?;
        siege.is_over()
    })
    .await
}

async fn many_presences(siege: &Siege) -> Result<()> {
    let mut stream = siege.dial().reach(Stage::Open).await?;
    let run = token();
    for index in 0..FLOOD {
        let to = format!("victim{run}-{index}@{SIP_DOMAIN}");
        let from = format!("evil{}@{EVIL}", index % 10);
        flood(&mut stream, &from, &to).await?;
    }
    stream.write("</stream:stream>").await
}

async fn flood(stream: &mut Stream, from: &str, to: &str) -> Result<()> {
    stream
        .write(&format!(
            "<presence type='subscribe' from='{from}' to='{to}'/>\
             <presence from='{from}/a' to='{to}'><status>{to}</status></presence>\
             <presence type='probe' from='{from}/a' to='{to}'/>"
        ))
        .await
}
