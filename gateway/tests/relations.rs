//! Subscriptions over starts and ends of the daemon, seen by a SIP watcher.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "each file uses its part")]
mod common;

use std::time::Duration;

use common::{Connection, Daemon, Lab};

/// Bob's dialog with the gateway, by what he knows of it.
struct Dialog {
    call_id: String,
    /// The gateway's tag.
    tag: String,
    /// Where he sends requests in the dialog.
    target: String,
    cseq: u32,
}

/// A planned stop keeps the dialog: the watcher's next refresh is answered as if nothing had been,
/// with numbers that were not used before. The gateway comes back to his server by itself.
#[tokio::test]
async fn a_subscription_goes_on_after_a_planned_stop() {
    let lab = Lab::new().await;
    let daemon = lab.start().await.unwrap();
    let (mut peer, mut dialog) = subscribed(&lab, &daemon).await;
    let before = cseq(&notified(&mut peer).await);
    let clean = daemon.drain(Duration::from_secs(8)).await;
    while peer.message().await.is_some() {}
    assert!(common::in_time(clean).await.unwrap());
    assert!(daemon.ended().await);

    let daemon = again(&lab).await;
    let mut back = lab.accept().await;
    let mut own = lab.connect(&daemon).await;
    own.send(&dialog.refresh(3_600)).await;
    let answer = response(&mut own).await;

    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let after = notified(&mut back).await;
    assert!(
        after.contains(&format!("Call-ID: {}\r\n", dialog.call_id)),
        "{after}"
    );
    assert!(cseq(&after) > before, "{before} was used: {after}");
    end(daemon).await;
}

/// A gateway that does not come back says so, and remembers nothing.
#[tokio::test]
async fn an_end_for_good_ends_every_dialog() {
    let lab = Lab::new().await;
    let daemon = lab.start().await.unwrap();
    let (mut peer, mut dialog) = subscribed(&lab, &daemon).await;
    notified(&mut peer).await;

    let clean = daemon.end(Duration::from_secs(8), true).await;
    let last = notified(&mut peer).await;

    assert!(last.contains("Subscription-State: terminated"), "{last}");
    while peer.message().await.is_some() {}
    assert!(common::in_time(clean).await.unwrap());
    assert!(daemon.ended().await);
    let daemon = again(&lab).await;
    let mut own = lab.connect(&daemon).await;
    own.send(&dialog.refresh(3_600)).await;
    let answer = response(&mut own).await;
    assert!(answer.starts_with("SIP/2.0 481 "), "{answer}");
    end(daemon).await;
}

/// A journal that comes from a backup may know less than was said since: no number is used again.
#[tokio::test]
async fn numbers_jump_after_a_restore() {
    let lab = Lab::new().await;
    let daemon = lab.start().await.unwrap();
    let (mut peer, mut dialog) = subscribed(&lab, &daemon).await;
    let before = cseq(&notified(&mut peer).await);
    let (state, copy) = (
        lab.folder.path().join("state"),
        lab.folder.path().join("copy.db"),
    );
    let made = translators::model::Wall::from_unix_millis(0);
    let made = made + Duration::from_secs(now() - 10 * 24 * 3_600);
    gateway::store::back_up(&state, &copy, made).unwrap();
    let clean = daemon.drain(Duration::from_secs(8)).await;
    while peer.message().await.is_some() {}
    common::in_time(clean).await.unwrap();
    daemon.ended().await;

    gateway::store::put_back(&state, &copy).unwrap();
    let daemon = again(&lab).await;
    let mut back = lab.accept().await;
    let mut own = lab.connect(&daemon).await;
    own.send(&dialog.refresh(3_600)).await;

    assert!(response(&mut own).await.starts_with("SIP/2.0 200 "));
    let after = cseq(&notified(&mut back).await);
    // One notification in five seconds for ten days.
    assert!(after > before + 172_800, "{before}, then {after}");
    end(daemon).await;
    let daemon = again(&lab).await;
    let mut back = lab.accept().await;
    let mut own = lab.connect(&daemon).await;
    own.send(&dialog.refresh(3_600)).await;
    let next = cseq(&notified(&mut back).await);
    assert!(
        next > after && next < after + 1_000,
        "{after}, then {next}: marked once"
    );
    end(daemon).await;
}

/// Bob subscribes to Alice, whose server cannot be reached: his dialog is there all the same.
/// Returns the link of the gateway to his server.
async fn subscribed(lab: &Lab, daemon: &Daemon) -> (Connection, Dialog) {
    let mut own = lab.connect(daemon).await;
    let mut dialog = Dialog {
        call_id: "watch@sip.example".to_owned(),
        tag: String::new(),
        target: "sip:alice@xmpp.example".to_owned(),
        cseq: 0,
    };
    own.send(&dialog.refresh(3_600)).await;
    let answer = response(&mut own).await;
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let to = header(&answer, "To");
    dialog.tag = to.split_once(";tag=").unwrap().1.to_owned();
    let contact = header(&answer, "Contact");
    let contact = contact.trim_start_matches('<');
    dialog.target = contact.split_once('>').unwrap().0.to_owned();
    (lab.accept().await, dialog)
}

impl Dialog {
    fn refresh(&mut self, expires: u32) -> String {
        self.cseq += 1;
        let Self {
            call_id,
            tag,
            target,
            cseq,
        } = self;
        let tag = if tag.is_empty() {
            String::new()
        } else {
            format!(";tag={tag}")
        };
        format!(
            "SUBSCRIBE {target} SIP/2.0\r\n\
             Via: SIP/2.0/TLS peer.sip.example;branch=z9hG4bK{cseq}{expires}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:bob@sip.example>;tag=b\r\n\
             To: <sip:alice@xmpp.example>{tag}\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: {cseq} SUBSCRIBE\r\n\
             Contact: <sip:bob@peer.sip.example;transport=tls>\r\n\
             Event: presence\r\n\
             Accept: application/pidf+xml\r\n\
             Expires: {expires}\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }
}

/// The next NOTIFY, answered.
async fn notified(link: &mut Connection) -> String {
    loop {
        let message = link.message().await.unwrap();
        if message.starts_with("SIP/2.0") {
            continue;
        }
        link.answer(&message, "200 OK").await;
        if message.starts_with("NOTIFY ") {
            return message;
        }
    }
}

/// The next final response.
async fn response(link: &mut Connection) -> String {
    loop {
        let message = link.message().await.unwrap();
        if message.starts_with("SIP/2.0") && !message.starts_with("SIP/2.0 1") {
            return message;
        }
        link.answer(&message, "200 OK").await;
    }
}

fn header(message: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let line = message.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {name} in {message}"))
        .to_owned()
}

fn cseq(message: &str) -> u32 {
    let value = header(message, "CSeq");
    value.split(' ').next().unwrap().parse().unwrap()
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// Starts a daemon where another one has ended. Its admin socket ends with the process only.
async fn again(lab: &Lab) -> Daemon {
    let file = lab.folder.path().join("isthmus.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let fresh = text.replace("admin_socket = \"", "admin_socket = \"next-");
    lab.write("isthmus.toml", &fresh);
    lab.start().await.unwrap()
}

async fn end(daemon: Daemon) {
    daemon.drain(Duration::from_secs(2)).await;
    daemon.ended().await;
}
