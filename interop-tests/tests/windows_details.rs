//! What old Windows servers are told and shown in a handshake, and what they are not believed.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::authority::{Key, Wish};
use interop_tests::bridge::{SIP_DOMAIN, sip_entry, xmpp_entry, xmpp_identity};
use interop_tests::gateway::{Gateway, Peer, Settings};
use interop_tests::lab::{Host, Lab, S2S, SIPS, run};
use interop_tests::process::output;
use interop_tests::sip_agent::{Place, SipAgent, Transport};
use interop_tests::tls::TlsSettings;
use interop_tests::windows::{Release, Windows};
use interop_tests::xml::Look;
use interop_tests::xmpp_peer::{self, XmppPeer};
use interop_tests::xmpp_server::Reach;
use openssl::hash::MessageDigest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use toml::Table;

const LIMIT: Duration = Duration::from_secs(120);
const LOG_LIMIT: Duration = Duration::from_secs(15);

fn compat(peer: Peer) -> Peer {
    let engine = Table::from_iter([("engine".to_owned(), "compat".into())]);
    peer.set("tls", engine)
}

fn settings(lab: &Lab, peer: Peer) -> Settings {
    let mut settings = Settings::new([xmpp_entry(lab), peer]);
    settings.sip_keys = vec![Key::Rsa];
    settings
}

async fn agent(lab: &Lab, windows: Windows) -> Result<SipAgent> {
    SipAgent::start(Place {
        domain: SIP_DOMAIN.to_owned(),
        local: lab.at(Host::SipAgent, SIPS),
        route: lab.at(Host::Gateway, SIPS),
        route_name: xmpp_peer::DOMAIN.to_owned(),
        transport: Transport::Windows(Box::new(windows)),
    })
    .await
}

/// A connection from the peer's own address.
async fn connected(lab: &Lab) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(lab.ip(Host::SipAgent).into(), 0))?;
    Ok(socket.connect(lab.at(Host::Gateway, SIPS)).await?)
}

/// Short keys and SHA-1 are believed by a pin of the key alone, in both directions.
#[tokio::test]
async fn weak_certificates_by_pin_only() -> Result<()> {
    let kinds = [
        (1_024, MessageDigest::sha256()),
        (2_048, MessageDigest::sha1()),
    ];
    for (bits, digest) in kinds {
        weak(bits, digest, false).await?;
        weak(bits, digest, true).await?;
    }
    Ok(())
}

async fn weak(bits: u32, digest: MessageDigest, pinned: bool) -> Result<()> {
    let body = async |lab: &Lab| weak_certificate(lab, bits, digest, pinned).await;
    run("windows-weak", LIMIT, body).await
}

async fn weak_certificate(lab: &Lab, bits: u32, digest: MessageDigest, pinned: bool) -> Result<()> {
    let edge = lab
        .authority()
        .issue_weak("weak", SIP_DOMAIN, bits, digest)?;
    let mut peer = compat(sip_entry(lab));
    if pinned {
        peer = peer.set("pins", vec![edge.pin()?]);
    }
    let edge = Windows::new(Release::Server2012R2, &edge, lab.authority());
    let edge = agent(lab, edge).await?;
    let tls = TlsSettings::new(&xmpp_identity(lab)?);
    let xmpp = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
    let mut gateway = Gateway::start(lab, &settings(lab, peer)).await?;
    let sent = edge.say("romeo", "juliet@peer.example", "weak in").await;
    xmpp.say("juliet", "romeo@sip.example", "m", "weak out")
        .await?;
    if pinned {
        ensure!(sent? == 200);
        xmpp.expect_text("weak in").await?;
        edge.expect_text("weak out").await?;
    } else {
        ensure!(sent.is_err(), "{bits}: {sent:?}");
        xmpp.expect_error("m").await?;
        let reason = "algorithm that is not accepted";
        gateway.process().logs(LOG_LIMIT, reason).await?;
        ensure!(edge.requests().is_empty(), "something was sent");
    }
    gateway.is_sound()
}

/// Neither engine lists CAs when it asks for a certificate, and both show the whole chain.
#[tokio::test]
async fn no_list_of_cas_and_the_whole_chain() -> Result<()> {
    run("windows-list", LIMIT, async |lab| {
        let settings = settings(lab, compat(sip_entry(lab)));
        let mut gateway = Gateway::start(lab, &settings).await?;
        lab.authority()
            .issue_below("gateway-sip", xmpp_peer::DOMAIN)?;
        gateway.control(&["reload"]).await?.success()?;
        let edge = lab.issue(&Wish::sip("edge", &[SIP_DOMAIN]).with_key(Key::Rsa))?;
        let to = lab.at(Host::Gateway, SIPS).to_string();
        let certificate = edge.certificate.to_string_lossy().into_owned();
        let key = edge.key.to_string_lossy().into_owned();
        for (versions, suites, negotiated) in [
            ("-tls1_2", "AES128-SHA", "Cipher    : AES128-SHA"),
            (
                "-tls1_2",
                "ECDHE-RSA-AES128-GCM-SHA256",
                "Cipher    : ECDHE-RSA-AES128-GCM-SHA256",
            ),
            ("-tls1_3", "DEFAULT", "Cipher is TLS_AES"),
        ] {
            let arguments = [
                "s_client",
                "-connect",
                &to,
                "-servername",
                xmpp_peer::DOMAIN,
                versions,
                "-cipher",
                suites,
                "-cert",
                &certificate,
                "-key",
                &key,
            ];
            let said = output("openssl", &arguments, LOG_LIMIT).await?.stdout;
            ensure!(said.contains(negotiated), "{suites}: {said}");
            ensure!(
                said.contains("No client certificate CA names sent"),
                "{suites}: {said}"
            );
            let chain = ["s:CN = gateway-sip", "s:CN = between"];
            ensure!(
                chain.iter().all(|name| said.contains(name)),
                "{suites}: {said}"
            );
        }
        gateway.is_sound()
    })
    .await
}

/// The first message in the form of SSL 2.0, as Windows Server 2003 sends it, begins a handshake of TLS 1.0.
#[tokio::test]
async fn a_first_message_in_the_form_of_ssl_2() -> Result<()> {
    run("windows-ssl2", LIMIT, async |lab| {
        let peer = compat(sip_entry(lab)).set("legacy_tls", true);
        let mut gateway = Gateway::start(lab, &settings(lab, peer)).await?;
        let mut connection = connected(lab).await?;
        // Length, ClientHello, version 3.1, 6 octets of suites, no session, 16 octets of challenge;
        // AES128-SHA and a suite of SSL 2.0.
        let mut hello = vec![0x80, 31, 1, 3, 1, 0, 6, 0, 0, 0, 16, 0, 0, 0x2f, 1, 0, 0x80];
        hello.extend([7; 16]);
        connection.write_all(&hello).await?;
        let mut answer = [0; 6];
        connection.read_exact(&mut answer).await?;
        // A handshake record of TLS 1.0 with a ServerHello.
        ensure!(answer[..3] == [22, 3, 1] && answer[5] == 2, "{answer:?}");
        gateway.is_sound()
    })
    .await
}

/// A first message may come octet by octet; one that does not come to its end is not waited for.
#[tokio::test]
async fn a_first_message_that_takes_its_time() -> Result<()> {
    run("windows-slow", LIMIT, async |lab| {
        let peer = compat(sip_entry(lab)).set("legacy_tls", true);
        let mut gateway = Gateway::start(lab, &settings(lab, peer)).await?;
        // TLS 1.0 with AES128-SHA and nothing else.
        let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1];
        hello.extend([7; 32]);
        hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
        let mut connection = connected(lab).await?;
        connection.set_nodelay(true)?;
        for octet in &hello {
            connection.write_all(&[*octet]).await?;
            tokio::task::yield_now().await;
        }
        let mut answer = [0; 6];
        connection.read_exact(&mut answer).await?;
        ensure!(answer[..3] == [22, 3, 1] && answer[5] == 2, "{answer:?}");

        let mut stalled = connected(lab).await?;
        let begun = Instant::now();
        stalled.write_all(&hello[..20]).await?;
        let mut rest = Vec::new();
        // The end may be a reset.
        timeout(Duration::from_secs(20), stalled.read_to_end(&mut rest))
            .await?
            .ok();
        ensure!(
            begun.elapsed() >= Duration::from_secs(8),
            "{:?}",
            begun.elapsed()
        );
        gateway
            .process()
            .logs(LOG_LIMIT, "more than 10 seconds for the TLS handshake")
            .await?;
        gateway.is_sound()
    })
    .await
}

/// How many large messages go each way.
const MESSAGES: usize = 60;

/// Large messages in both directions at once keep their order and their content on either version.
#[tokio::test]
async fn much_in_both_directions_at_once() -> Result<()> {
    for release in [Release::Server2012R2, Release::Server2008] {
        let body = async |lab: &Lab| much_both_ways(lab, release).await;
        run("windows-much", LIMIT, body).await?;
    }
    Ok(())
}

async fn much_both_ways(lab: &Lab, release: Release) -> Result<()> {
    let edge = lab.issue(&Wish::sip("edge", &[SIP_DOMAIN]).with_key(Key::Rsa))?;
    let edge = agent(lab, Windows::new(release, &edge, lab.authority())).await?;
    let tls = TlsSettings::new(&xmpp_identity(lab)?);
    let xmpp = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
    let peer = compat(sip_entry(lab)).set("page_limit", 200_000);
    let peer = peer.set("legacy_tls", release == Release::Server2008);
    let mut gateway = Gateway::start(lab, &settings(lab, peer)).await?;
    let text = |number: usize| format!("{number} {}", "0123456789".repeat(4_000));
    let texts: Vec<String> = (0..MESSAGES).map(text).collect();
    let to_xmpp = async {
        for text in &texts {
            let said = edge.say("romeo", "juliet@peer.example", text).await?;
            ensure!(said == 200, "{said}");
        }
        Ok(())
    };
    let to_sip = async {
        for text in &texts {
            xmpp.say("juliet", "romeo@sip.example", "m", text).await?;
            edge.expect_text(text).await?;
        }
        Ok(())
    };
    tokio::try_join!(to_xmpp, to_sip)?;
    let heard = edge.requests().all();
    let heard = heard.iter().filter(|request| request.method() == "MESSAGE");
    let heard: Vec<String> = heard.map(|request| request.text()).collect();
    ensure!(heard == texts, "{} to SIP arrived as sent", heard.len());
    let heard = xmpp.received().all();
    let heard: Vec<String> = heard.iter().filter_map(|stanza| stanza.body()).collect();
    ensure!(heard == texts, "{} to XMPP arrived as sent", heard.len());
    gateway.is_sound()
}

/// Nobody negotiates a second time: who a link is for was proven in its handshake.
#[tokio::test]
async fn a_second_negotiation_is_refused() -> Result<()> {
    run("windows-again", LIMIT, async |lab| {
        let mut gateway = Gateway::start(lab, &settings(lab, compat(sip_entry(lab)))).await?;
        let edge = lab.issue(&Wish::sip("edge", &[SIP_DOMAIN]).with_key(Key::Rsa))?;
        let mut client = Command::new("openssl")
            .args(["s_client", "-tls1_2", "-cipher", "AES128-SHA", "-connect"])
            .arg(lab.at(Host::Gateway, SIPS).to_string())
            .args(["-cert".as_ref(), edge.certificate.as_os_str()])
            .args(["-key".as_ref(), edge.key.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = client.stdin.take().context("a pipe")?;
        gateway
            .process()
            .logs(LOG_LIMIT, "side=sip way=\"in\" peer=\"sip\"")
            .await?;
        input.write_all(b"R\n").await?;
        let said = timeout(LOG_LIMIT, client.wait_with_output()).await??;
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        ensure!(said.contains("no renegotiation"), "{said}");
        drop(input);
        gateway.is_sound()
    })
    .await
}

/// What is no first message of TLS is refused as ever, and does no harm.
#[tokio::test]
async fn a_first_message_that_is_none() -> Result<()> {
    run("windows-junk", LIMIT, async |lab| {
        let mut gateway = Gateway::start(lab, &settings(lab, compat(sip_entry(lab)))).await?;
        let mut huge = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
        huge.resize(5 + 0x4000, 0);
        huge.extend_from_within(..);
        for junk in [
            &b"OPTIONS sip:peer.example SIP/2.0\r\n\r\n"[..],
            b"\x16\x03\x01\x00\x00",
            b"\x80\x09\x01\x00\x02\x00\x00\x00\x00\x00\x00",
            b"\x80\x80\x02",
            &huge,
        ] {
            let mut connection = connected(lab).await?;
            // It may be closed before all is written.
            connection.write_all(junk).await.ok();
            connection.shutdown().await.ok();
            let mut rest = Vec::new();
            timeout(LOG_LIMIT, connection.read_to_end(&mut rest))
                .await?
                .ok();
            ensure!(rest.len() < 64, "{rest:?}");
        }
        gateway.process().logs(LOG_LIMIT, "is not TLS").await?;
        gateway.is_sound()
    })
    .await
}
