//! Conversations of users of either side.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use minidom::Element;

use super::stage::Stage;
use crate::inbox::until;
use crate::lync_sim::message::Message;
use crate::lync_sim::{News, Refusal, Reply};
use crate::xml::Look;

/// Text of every plane, with what XML and SIP would like to eat.
const PLANES: &str = "Gr\u{fc}\u{df}e <b>&amp;</b> \u{4f60}\u{597d} \u{5e9}\u{5dc}\u{5d5}\u{5dd} \
    \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} \u{1D11E} \"quoted\"; a=b, c\\d";

/// E14: a Lync user opens a conversation; its first text arrives exactly once, whether the caller
/// sends it again, waits, or leaves at once.
pub async fn conversation_of_a_lync_user(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("fourteenth", 2);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    let conversation = user.start(alice.jid(), "first words ").await?;
    let first = |stanza: &Element| {
        stanza
            .body()
            .is_some_and(|body| body.trim() == "first words")
    };
    alice
        .expect(mark, &user.aor(), "the first text", first)
        .await?;
    ensure!(conversation.say(PLANES).await? == 200);
    alice.expect_text(mark, &user.aor(), PLANES).await?;
    // The same again is a text of its own.
    ensure!(conversation.say("again").await? == 200);
    ensure!(conversation.say("again").await? == 200);
    ensure!(conversation.say("the end").await? == 200);
    alice.expect_text(mark, &user.aor(), "the end").await?;
    ensure!(conversation.leave().await? == 200);
    let texts: Vec<String> = alice.texts(mark, &user.aor());
    let trimmed: Vec<&str> = texts.iter().map(|text| text.trim()).collect();
    let wanted = ["first words", PLANES, "again", "again", "the end"];
    ensure!(trimmed == wanted, "{trimmed:?}");
    embedded_only(stage).await?;
    stage.shown(&["E14"])
}

/// A caller that never repeats the text of its INVITE and leaves.
async fn embedded_only(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("embedder", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    let words = "said in the invitation";
    let request = user.invitation(0, alice.jid(), words)?;
    let has_text = request.has("ms-text-format");
    let conversation = user.accepted(request, alice.jid()).await?;
    ensure!(conversation.leave().await? == 200);
    if has_text {
        alice.expect_text(mark, &user.aor(), words).await?;
        ensure!(alice.texts(mark, &user.aor()).len() == 1);
    }
    Ok(())
}

/// E15: an XMPP user opens a conversation: a late answer, forked answers, more texts meanwhile,
/// the same dialog for what follows, a dialog that was lost.
pub async fn conversation_of_an_xmpp_user(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("fifteenth", 3);
    let alice = stage.xmpp("alice").await?;
    user.replies(Reply::Accept {
        after: Duration::from_secs(2),
        endpoints: 2,
    });
    for number in 0..5 {
        let text = format!("{number} {PLANES}");
        alice.say(&user.aor(), &format!("m{number}"), &text).await?;
    }
    user.expect_text(&format!("4 {PLANES}")).await?;
    let texts: Vec<String> = texts_of(&user.news().all());
    let wanted: Vec<String> = (0..5).map(|number| format!("{number} {PLANES}")).collect();
    ensure!(texts == wanted, "{texts:?}");
    // The second endpoint is acknowledged and left at once.
    let left = |news: &News| *news == News::Left(alice.jid().to_owned());
    user.news().wait("BYE of the other fork", left).await?;
    let open = user.conversation(alice.jid()).context("a conversation")?;
    let mark = alice.mark();
    ensure!(open.say("an answer").await? == 200);
    alice.expect_text(mark, &user.aor(), "an answer").await?;
    let invited = |news: &News| matches!(news, News::Invited(_));
    ensure!(user.news().count(invited) == 2);

    // A client that has lost its dialog says 481 and gets a new conversation with the text in it.
    user.replies(Reply::Accept {
        after: Duration::ZERO,
        endpoints: 1,
    });
    open.forget();
    alice.say(&user.aor(), "m9", "are you still there?").await?;
    user.expect_text("are you still there?").await?;
    ensure!(user.news().count(invited) == 3);
    drops_its_dialog(stage).await?;
    replaces_its_dialog(stage).await?;
    stage.shown(&["E15"])
}

/// A client that answers a message with 408 or 480 has dropped the dialog: after 480 the text comes
/// once more in another one; after 408 it may have arrived, and nothing is sent again.
async fn drops_its_dialog(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("forgetful", 1);
    let alice = stage.xmpp("alice").await?;
    let sent = |text: &'static str| {
        move |(_, message): &(u64, Message)| message.method() == "MESSAGE" && message.text() == text
    };
    for (status, condition, times) in [
        (480, "recipient-unavailable", 2),
        (408, "remote-server-timeout", 1),
    ] {
        let text = if status == 480 {
            "after 480"
        } else {
            "after 408"
        };
        user.refuses("MESSAGE", Some(Refusal::of(status)));
        alice.say(&user.aor(), text, text).await?;
        let error = alice.expect_error(&user.aor(), text).await?;
        let found = error.condition().unwrap_or_default();
        ensure!(found == condition, "{status} became {found}");
        let count = stage.sim.received().count(sent(text));
        ensure!(count == times, "{text}: sent {count} times");
        user.refuses("MESSAGE", None);
        let next = format!("behind {status}");
        alice.say(&user.aor(), &next, &next).await?;
        user.expect_text(&next).await?;
    }
    Ok(())
}

/// A client that opens another conversation with the same contact: the one before is left, and what
/// follows goes into the new one.
async fn replaces_its_dialog(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("replacer", 2);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    let first = user.start(alice.jid(), "at the desk").await?;
    alice.expect_text(mark, &user.aor(), "at the desk").await?;
    let second = user.start_at(1, alice.jid(), "on the way").await?;
    alice.expect_text(mark, &user.aor(), "on the way").await?;
    until(crate::inbox::PATIENCE, "BYE of the first", || {
        std::future::ready(!first.is_open())
    })
    .await?;
    alice.say(&user.aor(), "follows", "good trip").await?;
    user.expect_text("good trip").await?;
    ensure!(second.is_open() && second.say("thank you").await? == 200);
    alice.expect_text(mark, &user.aor(), "thank you").await?;
    ensure!(texts_of(&user.news().all()) == ["good trip"]);
    Ok(())
}

/// The texts that a user has received.
pub(super) fn texts_of(news: &[News]) -> Vec<String> {
    let texts = news.iter().filter_map(|news| match news {
        News::Text { text, .. } => Some(text.clone()),
        News::Asks { .. }
        | News::Sees { .. }
        | News::Invited(_)
        | News::Types(..)
        | News::Left(_) => None,
    });
    texts.collect()
}

/// E16: media types of every kind, typing both ways, other INFOs, offers within the conversation,
/// an INVITE that is taken back.
pub async fn contents_of_a_conversation(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("sixteenth", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    let open = user.start(alice.jid(), "hello").await?;
    let html = "<SPAN style=\"color:#000000\">in <B>bold</B> &amp; blue</SPAN>";
    ensure!(open.say_as("text/html; charset=UTF-8", html).await? == 200);
    alice
        .expect_text(mark, &user.aor(), "in bold & blue")
        .await?;
    let parts = "--b1\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\nboth plain\r\n\
        --b1\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n<b>both html</b>\r\n--b1--\r\n";
    let media = "multipart/alternative; boundary=b1";
    ensure!(open.say_as(media, parts).await? == 200);
    alice.expect_text(mark, &user.aor(), "both plain").await?;
    // As long as a stanza may be, both ways.
    let long = "lang \u{1F600} ".repeat(6_000);
    ensure!(open.say(&long).await? == 200);
    alice.expect_text(mark, &user.aor(), &long).await?;
    alice.say(&user.aor(), "long", &long).await?;
    user.expect_text(&long).await?;
    let ink = open.say_as("application/x-ms-ink", "base64:AAAA").await?;
    ensure!(ink == 415, "ink is answered {ink}");

    // Typing is shown to clients that show theirs.
    alice.types(&user.aor(), "composing").await?;
    let typing = News::Types(alice.jid().to_owned(), true);
    user.news().wait("typing", |news| *news == typing).await?;
    ensure!(open.types(true).await? == 200);
    let composing =
        |stanza: &Element| stanza.has_child("composing", "http://jabber.org/protocol/chatstates");
    alice.expect(mark, &user.aor(), "typing", composing).await?;
    // Some write their typing in the standard form.
    let mark = alice.mark();
    ensure!(open.types(false).await? == 200);
    let active = "<?xml version=\"1.0\"?><isComposing \
        xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>active</state></isComposing>";
    ensure!(
        open.say_as("application/im-iscomposing+xml", active)
            .await?
            == 200
    );
    alice.expect(mark, &user.aor(), "typing", composing).await?;
    let subject = "<?xml version=\"1.0\"?><conversationinfo/>";
    let answer = open
        .send("INFO", Some(("application/xml+conversationinfo", subject)))
        .await?;
    ensure!(answer.status() == Some(200), "{}", answer.start);
    let answer = open
        .send("INFO", Some(("application/xml", "<odd/>")))
        .await?;
    ensure!(answer.status() == Some(200), "{}", answer.start);
    for method in ["UPDATE", "INVITE"] {
        let answer = open.offer_again(method).await?;
        ensure!(answer.status() == Some(200), "{method}: {}", answer.start);
    }
    ensure!(open.is_open());
    ensure!(open.leave().await? == 200);
    let answer = open.send("BYE", None).await?;
    ensure!(
        matches!(answer.status(), Some(200 | 481)),
        "{}",
        answer.start
    );
    other_media(stage).await?;
    stage.shown(&["E16"])
}

/// Invitations to what is no conversation.
async fn other_media(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("caller", 1);
    let contact = format!("alice@{}", stage.domain());
    let audio = "v=0\r\no=- 0 0 IN IP4 10.0.0.1\r\ns=session\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
        m=audio 50000 RTP/SAVP 114 9 0\r\na=rtpmap:0 PCMU/8000\r\n";
    let mut request = user.invitation(0, &contact, "")?;
    request.carry("application/sdp", audio);
    let answer = stage.sim.invite(request).await?.outcome().await?;
    ensure!(answer.status() == Some(488), "audio: {}", answer.start);
    ensure!(
        answer.has("ms-diagnostics"),
        "no reason: {:?}",
        answer.headers
    );

    let mut request = user.invitation(0, &contact, "")?;
    let two = format!(
        "--x\r\nContent-Type: application/sdp\r\nContent-Disposition: session; handling=optional; \
         ms-proxy-2007fallback\r\n\r\n{audio}\r\n--x\r\nContent-Type: application/sdp\r\n\r\n{audio}\r\n--x--\r\n"
    );
    request.carry("multipart/alternative; boundary=x", two);
    let answer = stage.sim.invite(request).await?.outcome().await?;
    ensure!(answer.status() == Some(488), "two offers: {}", answer.start);

    let mut request = user.invitation(0, &contact, "")?;
    request.put(
        "ms-text-format",
        "text/x-msmsgsinvite; charset=UTF-8; ms-body=QXBw",
    );
    let answer = stage.sim.invite(request).await?.outcome().await?;
    ensure!(
        matches!(answer.status(), Some(415 | 488)),
        "a file: {}",
        answer.start
    );

    let request = user.invitation(0, &contact, "")?;
    let mut attempt = stage.sim.invite(request).await?;
    let answer = attempt.cancel().await?;
    ensure!(
        matches!(answer.status(), Some(200 | 481)),
        "{}",
        answer.start
    );
    let outcome = attempt.outcome().await?;
    ensure!(
        matches!(outcome.status(), Some(200 | 487)),
        "{}",
        outcome.start
    );
    Ok(())
}

/// E18: an escalation to a meeting and old multiparty are refused, and the conversation goes on.
pub async fn meetings_are_refused(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("eighteenth", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    let open = user.start(alice.jid(), "before").await?;
    let mut request = user.invitation(0, alice.jid(), "")?;
    let body = format!(
        "<Conferencing version=\"2.0\"><focus-uri>sip:{}@lync.example;gruu;\
         opaque=app:conf:focus:id:0123456789ABCDEF</focus-uri><subject>plans</subject>\
         <im available=\"true\"><first-im/></im></Conferencing>",
        "eighteenth"
    );
    request.carry("application/ms-conf-invite+xml", body);
    let answer = stage.sim.invite(request).await?.outcome().await?;
    ensure!(answer.status() == Some(488), "meeting: {}", answer.start);
    ensure!(
        answer.has("ms-diagnostics"),
        "no reason: {:?}",
        answer.headers
    );
    let told = |stanza: &Element| {
        let body = stanza.body().unwrap_or_default();
        body.to_lowercase().contains("meeting")
    };
    alice
        .expect(mark, &user.aor(), "a line about the meeting", told)
        .await?;

    let mut request = user.invitation(0, alice.jid(), "")?;
    request.put("Require", "com.microsoft.rtc-multiparty");
    let answer = stage.sim.invite(request).await?.outcome().await?;
    ensure!(answer.status() == Some(420), "multiparty: {}", answer.start);
    ensure!(answer.names("Unsupported", "com.microsoft.rtc-multiparty"));
    let mut request = user.invitation(0, alice.jid(), "")?;
    let three = format!(
        "<sip:{}>, <sip:{}>, <sip:third@lync.example>",
        user.aor(),
        alice.jid()
    );
    request.set("EndPoints", three);
    let answer = stage.sim.invite(request).await?.outcome().await?;
    ensure!(answer.status() == Some(420), "three: {}", answer.start);
    ensure!(open.is_open() && open.say("after").await? == 200);
    alice.expect_text(mark, &user.aor(), "after").await?;
    stage.shown(&["E18"])
}

/// Both write at the same moment; both texts arrive, each once.
pub async fn glare(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("glarer", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    user.replies(Reply::Accept {
        after: Duration::from_secs(3),
        endpoints: 1,
    });
    alice.say(&user.aor(), "g1", "from the XMPP side").await?;
    let known = 0;
    let ringing = |(_, message): &(u64, Message)| message.method() == "INVITE";
    let limit = crate::inbox::PATIENCE;
    let received = stage.sim.received();
    received
        .wait_behind(known, limit, "INVITE", |one| {
            ringing(one) && one.1.uri().contains("glarer@")
        })
        .await?;
    user.start(alice.jid(), "from the Lync side").await?;
    alice
        .expect_text(mark, &user.aor(), "from the Lync side")
        .await?;
    user.expect_text("from the XMPP side").await?;
    until(limit, "each text once", || {
        let mine = texts_of(&user.news().all()).len();
        std::future::ready(mine == 1 && alice.texts(mark, &user.aor()).len() == 1)
    })
    .await?;
    stage.shown(&["E15"])
}

/// E15: an answer after 35 s, with texts that wait for it.
pub async fn a_very_late_answer(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("late", 1);
    let alice = stage.xmpp("alice").await?;
    user.replies(Reply::Accept {
        after: Duration::from_secs(35),
        endpoints: 1,
    });
    alice.say(&user.aor(), "l1", "one").await?;
    alice.say(&user.aor(), "l2", "two").await?;
    let limit = Duration::from_secs(60);
    let two = |news: &News| matches!(news, News::Text { text, .. } if text == "two");
    user.news().wait_within(limit, "both texts", two).await?;
    ensure!(texts_of(&user.news().all()) == ["one", "two"]);
    stage.shown(&["E15"])
}
