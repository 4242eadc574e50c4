//! SIP peers that attack: what is broken or too much is refused, and a good peer's traffic goes on.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::lab::run;
use interop_tests::siege::Siege;
use interop_tests::tls::TlsSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Limit of each test, with the time that it waits for the others.
const LIMIT: Duration = Duration::from_secs(420);
/// How long the gateway may take to end an abusive connection; its own limits are 10 s.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// A17 and A18: SIP that is broken or too much is refused, and the connection ends or goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests() -> Result<()> {
    run("abuse-sip", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        siege.withstand(async || bad_messages(&siege).await).await?;
        siege.is_over()
    })
    .await
}

async fn bad_messages(siege: &Siege) -> Result<()> {
    let head = "MESSAGE sip:b@peer.example SIP/2.0\r\n";
    let many = |line: &str, count: usize| format!("{head}{}\r\n", line.repeat(count));
    let cases = [
        (
            "A17 no length",
            format!("{head}To: <sip:b@peer.example>\r\n\r\n"),
        ),
        (
            "A17 two lengths",
            format!("{head}Content-Length: 1\r\nl: 2\r\n\r\nx"),
        ),
        (
            "A17 negative length",
            format!("{head}Content-Length: -1\r\n\r\n"),
        ),
        ("A17 garbage", "\u{1}\u{2}\u{3}\r\n\r\n".to_owned()),
        (
            "A17 huge body",
            format!("{head}Content-Length: 99999999\r\n\r\n"),
        ),
        ("A18 10,000 headers", many("X: y\r\n", 10_000)),
        (
            "A18 long header",
            format!("{head}X: {}\r\n\r\n", "y".repeat(65_536)),
        ),
        (
            "A18 1,000 Vias",
            many("Via: SIP/2.0/TLS h;branch=z9hG4bK1\r\n", 1000),
        ),
    ];
    for (name, text) in cases {
        refuses(siege.sip, &siege.sip_attacker, name, text).await?;
    }
    Ok(())
}

/// Sends text on a connection of a proven peer: the answer, if any, is a refusal, then comes the end.
async fn refuses(to: SocketAddr, tls: &TlsSettings, name: &str, text: String) -> Result<()> {
    let socket = TcpStream::connect(to).await?;
    let host = rustls::pki_types::ServerName::try_from("peer.example")?;
    let mut stream = tls.connector()?.connect(host, socket).await?;
    // The gateway may close before it has read everything.
    stream.write_all(text.as_bytes()).await.ok();
    let mut answer = Vec::new();
    let ended = timeout(ENDED_WITHIN, stream.read_to_end(&mut answer)).await;
    ensure!(ended.is_ok(), "{name}: the connection stays open");
    let answer = String::from_utf8_lossy(&answer);
    let refusal =
        answer.is_empty() || answer.starts_with("SIP/2.0 400") || answer.starts_with("SIP/2.0 513");
    ensure!(refusal, "{name}: {answer}");
    Ok(())
}

/// A17: every torture message of the project, each on a connection that then ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torture() -> Result<()> {
    run("abuse-torture", LIMIT, async |lab| {
        let siege = Siege::start(lab).await?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../translators/torture");
        let messages = torture_messages(&folder)?;
        ensure!(
            messages.len() > 60,
            "{} torture messages in {folder:?}",
            messages.len()
        );
        siege
            .withstand(async || end_after_each(&siege, &messages).await)
            .await?;
        siege.is_over()
    })
    .await
}

fn torture_messages(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "dat") {
            messages.push(std::fs::read(path)?);
        }
    }
    Ok(messages)
}

async fn end_after_each(siege: &Siege, messages: &[Vec<u8>]) -> Result<()> {
    for message in messages {
        end_after(siege.sip, &siege.sip_attacker, message).await?;
    }
    Ok(())
}

/// Sends bytes on a connection of a proven peer, ends it, and reads what comes back to its end.
async fn end_after(to: SocketAddr, tls: &TlsSettings, bytes: &[u8]) -> Result<()> {
    let socket = TcpStream::connect(to).await?;
    let host = rustls::pki_types::ServerName::try_from("peer.example")?;
    let mut stream = tls.connector()?.connect(host, socket).await?;
    // The gateway may close at the first bad octet.
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
    let mut answer = Vec::new();
    let ended = timeout(ENDED_WITHIN, stream.read_to_end(&mut answer)).await;
    ensure!(
        ended.is_ok(),
        "a connection whose other end has closed stays open"
    );
    Ok(())
}
