//! A Microsoft peer that asks for more than its cap lets us answer, and users of it who watch more
//! than they may.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::authority::Wish;
use interop_tests::bridge::{SIP_DOMAIN, ScriptedBridge, sip_entry, takes_again, xmpp_entry};
use interop_tests::lab::{Host, Lab, SIPS, run};
use interop_tests::sip::{Frame, Framer, SipMessage, token};
use interop_tests::tls::TlsSettings;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

/// Limit of each test.
const LIMIT: Duration = Duration::from_secs(300);
/// What the peer's system takes of requests that the gateway does not read.
const SEND_BUFFER: u32 = 8 * 1024;
/// How long the peer asks as fast as it can.
const FLOOD: Duration = Duration::from_secs(60);
/// How long a peer waits for an answer (Timer F).
const WAITS: Duration = Duration::from_secs(32);
/// What an answer to a message may take meanwhile: a word of the barrier, and a few turns at the cap.
const MESSAGE_WAITS: Duration = Duration::from_secs(3);

/// The gateway with a peer of the Microsoft profile.
async fn bridge(lab: &Lab, allow_listed: bool) -> Result<ScriptedBridge> {
    ScriptedBridge::start_with(lab, |settings| {
        let sip = sip_entry(lab)
            .set("profile", "microsoft")
            .set("allow_listed", allow_listed);
        settings.peers = vec![xmpp_entry(lab).set("contacts", 10_000), sip];
    })
    .await
}

/// A SUBSCRIBE of an endpoint of a user of the peer.
fn subscribe(user: &str, epid: &str, presentity: &str) -> SipMessage {
    let mut request = SipMessage {
        start: format!("SUBSCRIBE sip:{presentity}@peer.example SIP/2.0"),
        ..SipMessage::default()
    };
    for (name, value) in [
        ("Via", format!("SIP/2.0/TLS edge;branch=z9hG4bK{}", token())),
        ("Max-Forwards", "70".to_owned()),
        (
            "From",
            format!("<sip:{user}@{SIP_DOMAIN}>;tag={};epid={epid}", token()),
        ),
        ("To", format!("<sip:{presentity}@peer.example>")),
        ("Call-ID", token()),
        ("CSeq", "1 SUBSCRIBE".to_owned()),
        (
            "Contact",
            format!("<sip:{user}@{SIP_DOMAIN};opaque=user:epid:{epid};gruu>"),
        ),
        ("Event", "presence".to_owned()),
        ("Expires", "3600".to_owned()),
        ("Accept", "application/pidf+xml".to_owned()),
        ("Supported", "ms-piggyback-first-notify".to_owned()),
    ] {
        request.add(name, value);
    }
    request
}

/// A connection of the peer that only asks.
async fn connect(lab: &Lab) -> Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let tls = TlsSettings::new(&lab.issue(&Wish::sip("agent", &[SIP_DOMAIN]))?);
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    let socket = socket.connect(lab.at(Host::Gateway, SIPS)).await?;
    let host = rustls::pki_types::ServerName::try_from("peer.example")?;
    Ok(tls.connector()?.connect(host, socket).await?)
}

/// The answers that come: Call-ID, status, when.
async fn answers(
    mut reading: impl AsyncRead + Unpin,
    mut each: impl FnMut(Box<SipMessage>) -> bool,
) -> Result<()> {
    let mut framer = Framer::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = reading.read(&mut buffer).await?;
        ensure!(length > 0, "cut off");
        framer.push(buffer.get(..length).unwrap_or_default());
        while let Some(frame) = framer.next_frame()? {
            if let Frame::Message(message) = frame
                && !each(message)
            {
                return Ok(());
            }
        }
    }
}

/// What became of a flood of requests.
#[derive(Debug, Default)]
struct Flood {
    /// Requests without an answer, by Call-ID, and when each was given to the transport.
    open: Mutex<HashMap<String, Instant>>,
    /// How long the others waited.
    waited: Mutex<Vec<Duration>>,
    /// Answers that are no 200.
    odd: Mutex<Vec<String>>,
}

impl Flood {
    /// Asks as fast as it is taken; returns how often.
    async fn ask(&self, mut writing: impl AsyncWrite + Unpin) -> Result<usize> {
        let (started, mut number) = (Instant::now(), 0);
        while started.elapsed() < FLOOD {
            let request = subscribe(&format!("u{number}"), "01", &format!("v{number}"));
            let asked = timeout(WAITS, writing.write_all(&request.to_bytes())).await;
            asked.context("the gateway does not read at all")??;
            writing.flush().await?;
            let id = request.header("Call-ID").unwrap_or_default().to_owned();
            // The time of a transaction begins when the request is given to the transport.
            self.open.lock().unwrap().insert(id, Instant::now());
            number += 1;
        }
        Ok(number)
    }

    fn hear(&self, answer: &SipMessage) {
        let id = answer.header("Call-ID").unwrap_or_default();
        let since = self.open.lock().unwrap().remove(id);
        let waited = since.map(|at| at.elapsed());
        self.waited.lock().unwrap().extend(waited);
        if answer.status() != Some(200) {
            self.odd.lock().unwrap().push(answer.start.clone());
        }
    }

    /// All that was taken was answered, in time, and no slower than the cap lets go.
    fn judge(&self, asked: usize) -> Result<()> {
        let (open, odd) = (self.open.lock().unwrap(), self.odd.lock().unwrap());
        let waited = self.waited.lock().unwrap();
        let slowest = waited.iter().max().copied().unwrap_or_default();
        let count = waited.len();
        let all = format!("{asked} asked, {count} answered, the slowest after {slowest:?}");
        ensure!(odd.is_empty(), "{all}, not all 200: {odd:?}");
        ensure!(open.is_empty(), "{all}, {} not at all", open.len());
        ensure!(slowest <= WAITS, "{all}");
        ensure!(asked < 1_500 && count > 700, "{all}");
        Ok(())
    }
}

/// How long the slowest message of the peer's took to its answer meanwhile.
async fn talk(bridge: &ScriptedBridge) -> Result<Duration> {
    let (started, mut worst) = (Instant::now(), Duration::ZERO);
    while started.elapsed() < FLOOD {
        sleep(Duration::from_secs(2)).await;
        let before = Instant::now();
        let status = bridge
            .agent
            .say("romeo", "juliet@peer.example", "hi")
            .await?;
        ensure!(status == 200, "a message is answered {status}");
        worst = worst.max(before.elapsed());
    }
    Ok(worst)
}

/// Whoever asks faster than he may be answered is read as fast as he may be answered: all that was
/// taken from him is answered in time, messages as fast as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_may_be_answered() -> Result<()> {
    run("bounds-answers", LIMIT, async |lab| {
        let mut bridge = bridge(lab, false).await?;
        takes_again(&bridge.agent, "juliet@peer.example").await?;
        let (reading, writing) = tokio::io::split(connect(lab).await?);
        let flood = Flood::default();
        let receiving = answers(reading, |answer| {
            flood.hear(&answer);
            true
        });
        let asking = async { tokio::join!(flood.ask(writing), talk(&bridge)) };
        let receiving = timeout(FLOOD + WAITS, receiving);
        let ((asked, worst), received) = tokio::join!(asking, receiving);
        ensure!(received.is_err(), "the connection ended: {received:?}");
        let worst = worst?;
        flood.judge(asked?)?;
        ensure!(worst < MESSAGE_WAITS, "a message took {worst:?}");
        let process = bridge.gateway.process();
        process.logs(Duration::from_secs(5), "answers-owed").await?;
        bridge.gateway.is_sound()
    })
    .await
}

/// Asks for all of these over one connection; the statuses by presentity's number.
async fn ask_all(lab: &Lab, requests: &[SipMessage]) -> Result<Vec<(u16, SipMessage)>> {
    let (reading, mut writing) = tokio::io::split(connect(lab).await?);
    let order: HashMap<String, usize> = requests
        .iter()
        .enumerate()
        .map(|(index, request)| {
            (
                request.header("Call-ID").unwrap_or_default().to_owned(),
                index,
            )
        })
        .collect();
    let sending = async {
        for request in requests {
            writing.write_all(&request.to_bytes()).await?;
        }
        anyhow::Ok(writing.flush().await?)
    };
    let mut found = Vec::new();
    let collecting = answers(reading, |answer| {
        let status = answer.status().filter(|status| *status >= 200);
        let index = order.get(answer.header("Call-ID").unwrap_or_default());
        if let Some((status, index)) = status.zip(index) {
            found.push((*index, status, *answer));
        }
        found.len() < requests.len()
    });
    let (sent, collected) = tokio::join!(sending, timeout(WAITS, collecting));
    sent?;
    collected.context("not all are answered")??;
    found.sort_by_key(|(index, ..)| *index);
    Ok(found
        .into_iter()
        .map(|(_, status, answer)| (status, answer))
        .collect())
}

/// An endpoint of a Lync user may watch 200 users, whichever shards they live in and however fast it
/// asks; it is told so, and a restart forgets nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_contacts_than_an_endpoint_may_watch() -> Result<()> {
    run("bounds-watchers", LIMIT, async |lab| {
        let mut bridge = bridge(lab, true).await?;
        takes_again(&bridge.agent, "juliet@peer.example").await?;
        let wishes = |epid: &str, numbers: std::ops::Range<usize>| -> Vec<SipMessage> {
            let each = numbers.map(|number| subscribe("bob", epid, &format!("v{number}")));
            each.collect()
        };
        let count = |answers: &[(u16, SipMessage)], wanted: u16| {
            answers
                .iter()
                .filter(|(status, _)| *status == wanted)
                .count()
        };

        let answers = ask_all(lab, &wishes("01", 0..260)).await?;
        let (taken, refused) = (count(&answers, 200), count(&answers, 403));
        ensure!(
            (taken, refused) == (200, 60),
            "{taken} taken, {refused} refused"
        );
        let why = answers.iter().find(|(status, _)| *status == 403);
        let why = why.and_then(|(_, answer)| answer.header("ms-diagnostics"));
        ensure!(why.is_some_and(|why| why.starts_with("65029;")), "{why:?}");
        // Another endpoint of his has its own, and what this one has it may ask for anew.
        let answers = ask_all(lab, &wishes("02", 0..3)).await?;
        ensure!(count(&answers, 200) == 3, "another endpoint is refused");
        let answers = ask_all(lab, &wishes("01", 0..260)).await?;
        ensure!(count(&answers, 200) == 200, "what it has is refused");
        let status = bridge.gateway.ask(&["status"]).await?;
        ensure!(status["endpoints_full"] == 1, "{status}");
        let line = "subscriptions-per-endpoint";
        let process = bridge.gateway.process();
        process.logs(Duration::from_secs(5), line).await?;

        bridge.gateway.kill().await?;
        // The dialogs are none of the agent's own, who would answer each NOTIFY that they are gone.
        bridge.agent.goes_down().await;
        bridge.gateway.start_again().await?;
        bridge.gateway.ready().await?;
        let answers = ask_all(lab, &wishes("01", 1_000..1_003)).await?;
        ensure!(count(&answers, 403) == 3, "the journal forgot who watches");
        bridge.gateway.is_sound()
    })
    .await
}
