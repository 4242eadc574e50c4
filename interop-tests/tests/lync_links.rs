//! Connections with a Microsoft peer: how many, to which address, under which of our names.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::authority::{Key, Wish};
use interop_tests::bridge::xmpp_entry;
use interop_tests::dns::Srv;
use interop_tests::gateway::{Gateway, Peer, Settings};
use interop_tests::inbox::until;
use interop_tests::lab::{Host, Lab, S2S, SIPS, run};
use interop_tests::lookup::Directory;
use interop_tests::lync_sim::tls::{Certificates, Naming, Schannel};
use interop_tests::lync_sim::{Profile, Setup, Sim, Windows};
use interop_tests::tls::TlsSettings;
use interop_tests::xml::Look;
use interop_tests::xmpp_peer::{self, XmppPeer};
use interop_tests::xmpp_server::Reach;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, timeout};

const LIMIT: Duration = Duration::from_secs(240);
const LYNC: &str = "lync.example";
const EDGE: &str = "sip.lync.example";
/// A second domain of the XMPP side.
const CHAT: &str = "chat.peer.example";
const HOSTS: [(&str, &str); 2] = [
    (xmpp_peer::DOMAIN, "sip.peer.example"),
    (CHAT, "gw.chat.peer.example"),
];
/// What one peer may have in one direction.
const MOST: usize = 64;

struct Place {
    peer: XmppPeer,
    gateway: Gateway,
    certificates: Certificates,
}

impl Place {
    /// An XMPP side with two domains, each of which has a host of its own for the SIP side.
    async fn start(lab: &Lab, edge: Peer) -> Result<Self> {
        let certificates =
            Certificates::make(&lab.path("lync"), EDGE, Naming::Alternative, Key::Rsa)?;
        let both = lab.issue(&Wish::xmpp("peer", &[xmpp_peer::DOMAIN, CHAT]))?;
        let tls = TlsSettings::new(&both);
        let peer = XmppPeer::start(lab, tls, Reach::Both, lab.at(Host::Gateway, S2S)).await?;
        for (domain, host) in HOSTS {
            locate(lab, domain, host);
        }
        let ca = certificates.authority.to_string_lossy().into_owned();
        let edge = edge
            .set("profile", "microsoft")
            .set("allow_listed", true)
            .set("ca", ca)
            .set("expected_identity", vec![EDGE]);
        let xmpp = xmpp_entry(lab).set("subdomains", vec![CHAT]);
        let mut settings = Settings::new([xmpp, edge]);
        settings.hosts = HOSTS.to_vec();
        let gateway = Gateway::start(lab, &settings).await?;
        Ok(Self {
            peer,
            gateway,
            certificates,
        })
    }

    /// An Edge that holds everybody to his records.
    async fn edge(&self, lab: &Lab, host: Host) -> Result<Sim> {
        Sim::start(Setup {
            profile: Profile::S4b2019,
            windows: Windows::Server2016,
            domain: LYNC.to_owned(),
            fqdn: EDGE.to_owned(),
            listen: lab.at(host, SIPS),
            partner: lab.at(Host::Gateway, SIPS),
            partner_domain: None,
            certificates: self.certificates.clone(),
            trusted: lab.authority().pem().to_owned(),
            directory: Some(Directory::Server(lab.dns().address())),
        })
        .await
    }
}

fn locate(lab: &Lab, domain: &str, host: &str) {
    let srv = Srv {
        priority: 0,
        port: SIPS,
        target: host.to_owned(),
    };
    lab.dns()
        .service(&format!("_sipfederationtls._tcp.{domain}"), srv);
}

fn is_clean(sim: &Sim) -> Result<()> {
    let faults = sim.faults().all();
    ensure!(faults.is_empty(), "{faults:#?}");
    Ok(())
}

/// Each domain of the XMPP side has its own record, host and certificate, in Via and Contact too.
#[tokio::test]
async fn each_domain_under_its_own_name() -> Result<()> {
    run("lync-names", LIMIT, names).await
}

async fn names(lab: &Lab) -> Result<()> {
    let mut place = Place::start(lab, Peer::sip(lab, "lync", LYNC, Host::Lync)).await?;
    let sim = place.edge(lab, Host::Lync).await?;
    let romeo = sim.sign_in("romeo", 1);
    for (domain, host) in HOSTS {
        let known = sim.received().len();
        let text = format!("from {domain}");
        let stanza = format!(
            "<message type='chat' from='juliet@{domain}/lab' to='{}' id='{host}'>\
             <body>{text}</body></message>",
            romeo.aor()
        );
        place.peer.send(LYNC, &stanza).await?;
        romeo.expect_text(&text).await?;
        let invite = sim
            .received()
            .since(known)
            .into_iter()
            .map(|(_, message)| message)
            .find(|message| message.method() == "INVITE");
        let Some(invite) = invite else {
            anyhow::bail!("no INVITE from {domain}");
        };
        for name in ["Via", "Contact"] {
            let value = invite.value(name);
            ensure!(value.contains(&format!("{host}:{SIPS}")), "{name}: {value}");
        }
        // What answers a Lync user is under the name of the domain he wrote to.
        let answered = sim.received().len();
        let talk = romeo.start(&format!("paris@{domain}"), "hello").await?;
        ensure!(talk.say("again").await? == 200);
        let answers = sim.received().since(answered);
        let contacts = answers
            .iter()
            .filter(|(_, answer)| answer.status() == Some(200) && answer.has("Contact"));
        for (_, answer) in contacts {
            let contact = answer.value("Contact");
            ensure!(contact.contains(host), "Contact: {contact}");
        }
    }
    // A link for each name, with a certificate that names nothing else.
    for (_, host) in HOSTS {
        let shown = sim.handshakes().all();
        ensure!(
            shown.iter().any(|one| one.names == [host.to_owned()]),
            "{host}: {shown:?}"
        );
    }
    // What an Edge cannot look up under the domain of From is refused, so the test can fail.
    lab.dns()
        .forget_service(&format!("_sipfederationtls._tcp.{CHAT}"));
    locate(lab, CHAT, HOSTS[0].1);
    sim.forget_records();
    let stanza = format!(
        "<message type='chat' from='nurse@{CHAT}/lab' to='{}' id='late'>\
         <body>late</body></message>",
        romeo.aor()
    );
    place.peer.send(LYNC, &stanza).await?;
    let error = place.peer.expect_error("late").await?;
    ensure!(error.is_error("late", "remote-server-timeout"), "{error:?}");
    is_clean(&sim)?;
    place.gateway.is_sound()
}

/// As many links as a peer may have, the requests of one dialog on all of them; one more is turned
/// away, and nothing else is.
#[tokio::test]
async fn one_dialog_over_as_many_links_as_there_may_be() -> Result<()> {
    run("lync-most-links", LIMIT, most_links).await
}

async fn most_links(lab: &Lab) -> Result<()> {
    let mut place = Place::start(lab, Peer::sip(lab, "lync", LYNC, Host::Lync)).await?;
    let sim = place.edge(lab, Host::Lync).await?;
    let romeo = sim.sign_in("romeo", 1);
    sim.change(|conduct| conduct.connections = MOST);
    sim.connect().await?;
    ensure!(sim.links() == MOST, "{} links", sim.links());

    let juliet = format!("juliet@{}", xmpp_peer::DOMAIN);
    let talk = romeo.start(&juliet, "text 0").await?;
    let known = sim.sent().len();
    for number in 1..=MOST {
        let status = talk.say(&format!("text {number}")).await?;
        ensure!(status == 200, "text {number}: {status}");
    }
    let sent = sim.sent().since(known);
    let texts = sent
        .iter()
        .filter(|(_, message)| message.method() == "MESSAGE");
    let links: std::collections::BTreeSet<u64> = texts.map(|(link, _)| *link).collect();
    ensure!(links.len() == MOST, "over {} links", links.len());
    for number in 0..=MOST {
        let text = format!("text {number}");
        place.peer.expect_text(&text).await?;
        let count = place
            .peer
            .received()
            .count(|stanza| stanza.body().as_deref() == Some(&text));
        ensure!(count == 1, "{text}: {count} times");
    }

    // One that is turned away is answered nothing, so it asks for nothing.
    sim.change(|conduct| {
        conduct.connections = MOST + 1;
        conduct.negotiates = false;
    });
    sim.connect().await?;
    until(Duration::from_secs(10), "one link too many ends", || {
        std::future::ready(sim.links() == MOST)
    })
    .await?;
    sim.change(|conduct| conduct.connections = MOST);
    ensure!(talk.say("after that").await? == 200);
    // Our own direction is counted by itself.
    place
        .peer
        .say("nurse", &romeo.aor(), "own", "the other way")
        .await?;
    romeo.expect_text("the other way").await?;
    is_clean(&sim)?;
    place.gateway.is_sound()
}

/// Two Edges of one name.
struct Twins([Option<Sim>; 2]);

impl Twins {
    const HOSTS: [Host; 2] = [Host::Lync, Host::SecondLync];

    /// Starts those that do not run, except that one.
    async fn start(&mut self, lab: &Lab, place: &Place, except: Option<usize>) -> Result<()> {
        for (number, (sim, host)) in self.0.iter_mut().zip(Self::HOSTS).enumerate() {
            if sim.is_none() && except != Some(number) {
                *sim = Some(place.edge(lab, host).await?);
            }
        }
        Ok(())
    }

    fn sign_in(&self, user: &str) {
        for sim in self.0.iter().flatten() {
            sim.sign_in(user, 1);
        }
    }

    /// Which of them a text has come to.
    fn with(&self, text: &str) -> Option<usize> {
        let has = |sim: &Sim| {
            let texts = sim.received();
            texts.count(|(_, message)| message.text().contains(text)) > 0
        };
        self.0.iter().position(|sim| sim.as_ref().is_some_and(has))
    }

    fn lose(&mut self, number: usize) {
        if let Some(sim) = self.0.get_mut(number) {
            *sim = None;
        }
    }
}

/// Every address of the peer's name is tried until one takes us, whenever another is lost.
#[tokio::test]
async fn every_address_of_the_peer() -> Result<()> {
    run("lync-addresses", LIMIT, addresses).await
}

async fn addresses(lab: &Lab) -> Result<()> {
    let addresses = [Host::Nobody, Host::SecondLync, Host::Lync].map(|host| lab.ip(host));
    lab.dns().host(EDGE, &addresses);
    locate(lab, LYNC, EDGE);
    let mut place = Place::start(lab, Peer::sip_by_dns(lab, "lync", LYNC)).await?;
    let mut edges = Twins([None, None]);
    edges.start(lab, &place, None).await?;
    let mut takers = Vec::new();
    for round in 0..4 {
        let user = format!("romeo{round}");
        edges.sign_in(&user);
        let text = format!("round {round}");
        let to = format!("{user}@{LYNC}");
        place.peer.say("juliet", &to, &text, &text).await?;
        until(Duration::from_secs(60), &text, || {
            std::future::ready(edges.with(&text).is_some())
        })
        .await?;
        // The one that took it is lost, and the other one comes back.
        let taken = edges.with(&text).unwrap_or_default();
        edges.lose(taken);
        edges.start(lab, &place, Some(taken)).await?;
        takers.push(taken);
    }
    takers.sort_unstable();
    ensure!(takers == [0, 0, 1, 1], "{takers:?}");
    place.gateway.is_sound()
}

/// CRLF in both directions keeps a link, NEGOTIATE and OPTIONS without a branch are answered on it.
#[tokio::test]
async fn a_silent_link_is_kept() -> Result<()> {
    run("lync-keep-alive", LIMIT, silence).await
}

async fn silence(lab: &Lab) -> Result<()> {
    let mut place = Place::start(lab, Peer::sip(lab, "lync", LYNC, Host::Lync)).await?;
    let schannel = Schannel::new(
        Windows::Server2016,
        &place.certificates,
        lab.authority().pem(),
    )?;
    let socket = TcpSocket::new_v4()?;
    socket.bind((lab.ip(Host::Lync), 0).into())?;
    let socket = socket.connect(lab.at(Host::Gateway, SIPS)).await?;
    let mut stream = schannel.connect(socket).await?;
    let negotiate = "NEGOTIATE sip:127.0.0.1:5061 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:3021\r\n\
        CSeq: 1 NEGOTIATE\r\nCall-ID: n1\r\nFrom: <sip:127.0.0.1>;tag=0f\r\nTo: <sip:127.0.0.2>\r\n\
        Compression: LZ77-8K\r\nMax-Forwards: 0\r\nms-keep-alive: UAC;hop-hop=yes\r\n\
        Content-Length: 0\r\n\r\n";
    let options = negotiate
        .replace("NEGOTIATE", "OPTIONS")
        .replace("n1", "o1");
    for (asked, answer) in [
        ("\r\n\r\n", "\r\n"),
        (negotiate, "SIP/2.0 405 "),
        ("\r\n\r\n\r\n\r\n", "\r\n\r\n"),
        (options.as_str(), "SIP/2.0 200 "),
    ] {
        stream.write_all(asked.as_bytes()).await?;
        let mut buffer = vec![0; 4_096];
        let limit = Duration::from_secs(5);
        let count = timeout(limit, stream.read(&mut buffer)).await??;
        let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
        ensure!(text.starts_with(answer), "{text:?} instead of {answer:?}");
        ensure!(!text.contains("ms-keep-alive"), "{text}");
    }
    let silent = Instant::now();
    let mut ping = [0; 4];
    timeout(Duration::from_secs(200), stream.read_exact(&mut ping)).await??;
    ensure!(&ping == b"\r\n\r\n", "{ping:?}");
    let seconds = silent.elapsed().as_secs();
    ensure!((110..=130).contains(&seconds), "after {seconds} s");
    stream.write_all(b"\r\n").await?;
    stream
        .write_all(options.replace("o1", "o2").as_bytes())
        .await?;
    let mut buffer = vec![0; 4_096];
    let count = timeout(Duration::from_secs(5), stream.read(&mut buffer)).await??;
    let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
    ensure!(text.starts_with("SIP/2.0 200 "), "{text:?}");
    place.gateway.is_sound()
}
