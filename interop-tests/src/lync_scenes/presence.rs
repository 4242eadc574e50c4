//! Watching and being watched.

use anyhow::{Context, Result, bail, ensure};
use minidom::Element;

use super::stage::Stage;
use crate::inbox::until;
use crate::lync_sim::{Form, Light, News, Rendered, State};
use crate::xml::Look;

/// E9: each endpoint of a user subscribes by itself, with the body that names its categories.
pub async fn watching_from_every_endpoint(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("ninth", 3);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    user.add(alice.jid()).await?;
    let asks = |stanza: &Element| stanza.at("type") == "subscribe";
    alice.expect(mark, &user.aor(), "subscribe", asks).await?;
    alice.approve(&user.aor()).await?;
    alice.shows("", "at home").await?;
    user.expect_sees(alice.jid(), "online", Rendered::is_online)
        .await?;
    ensure!(user.sees(alice.jid()).len() == 3);
    let subscriptions = stage.sim.subscriptions("ninth");
    let mut calls: Vec<&str> = subscriptions
        .iter()
        .map(|one| one.call_id.as_str())
        .collect();
    calls.dedup();
    ensure!(calls.len() == 3, "{subscriptions:?}");
    stage.sim.refresh("ninth").await?;

    // A client asks again before its grant ends: of so short a one at half its time.
    stage.sim.change(|conduct| conduct.asks_for = 2);
    let brief = stage.sim.sign_in("ninthb", 1);
    brief.add(alice.jid()).await?;
    stage.sim.change(|conduct| conduct.asks_for = 28_800);
    until(crate::inbox::PATIENCE, "two refreshes", || {
        let all = stage.sim.subscriptions("ninthb");
        std::future::ready(
            all.iter()
                .any(|one| one.granted == 2 && one.subscribes >= 3),
        )
    })
    .await?;
    brief.remove(alice.jid()).await?;
    stage.shown(&["E9"])
}

/// E10: the simulator as notifier: its choice of the format, grants, and NOTIFYs of every kind.
pub async fn watched_by_a_partner(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("tenth", 1);
    user.publish(State::new(3500, "", "at my desk")).await;
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    alice.subscribe(&user.aor()).await?;
    let there = |stanza: &Element| stanza.name() == "presence" && stanza.is_available();
    alice.expect(mark, &user.aor(), "his state", there).await?;
    let watched = stage.sim.watchers("tenth");
    let [one] = watched.as_slice() else {
        bail!("{watched:?}");
    };
    let asked = stage.sim.received().all().into_iter();
    let mut asked = asked.filter(|(_, request)| {
        request.method() == "SUBSCRIBE" && request.value("Call-ID") == one.call_id
    });
    let (_, asked) = asked.next().context("a SUBSCRIBE")?;
    let lists = |form: Form| asked.names("Accept", form.media());
    let first = [Form::Categories, Form::Msrtc, Form::Pidf];
    let first = first.into_iter().find(|form| lists(*form));
    ensure!(
        Some(one.form) == first && !lists(Form::Categories),
        "{one:?}"
    );
    ensure!((1200..=43_200).contains(&one.granted), "{one:?}");
    let piggybacked = asked.names("Supported", "ms-piggyback-first-notify");
    ensure!(
        one.notified == 1,
        "{} notifications, piggybacked: {piggybacked}",
        one.notified
    );
    let mark = alice.mark();
    user.publish(State::new(15_500, "", "gone fishing")).await;
    let away = |stanza: &Element| stanza.is_available() && stanza.text_of("show") == "away";
    alice.expect(mark, &user.aor(), "away", away).await?;
    stage.sim.change(|conduct| conduct.benotifies = true);
    let mark = alice.mark();
    user.publish(State::new(3500, "", "back")).await;
    let back = |stanza: &Element| stanza.is_available() && stanza.text_of("show").is_empty();
    alice.expect(mark, &user.aor(), "back", back).await?;
    stage.sim.change(|conduct| conduct.benotifies = false);

    // A server that piggybacks nothing notifies right behind its 200.
    stage.sim.change(|conduct| conduct.piggybacks = false);
    let other = stage.sim.sign_in("tenthb", 1);
    let mark = alice.mark();
    alice.subscribe(&other.aor()).await?;
    alice
        .expect(mark, &other.aor(), "by a NOTIFY", there)
        .await?;
    stage.sim.change(|conduct| conduct.piggybacks = true);
    stage.shown(&["E10"])
}

/// E11: a block by the Lync user shows him as gone and nothing else; a block of ours shows the
/// Lync user an offline contact at once.
pub async fn blocked_and_allowed(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("eleventh", 2);
    let alice = stage.xmpp("alice").await?;
    user.publish(State::new(3500, "", "")).await;
    let mark = alice.mark();
    alice.subscribe(&user.aor()).await?;
    let there = |stanza: &Element| stanza.name() == "presence" && stanza.is_available();
    alice.expect(mark, &user.aor(), "his state", there).await?;
    let mark = alice.mark();
    user.block(alice.jid());
    let gone = |stanza: &Element| stanza.at("type") == "unavailable";
    alice.expect(mark, &user.aor(), "unavailable", gone).await?;
    user.allow(alice.jid());
    let mark = alice.mark();
    user.publish(State::new(6500, "", "")).await;
    alice
        .expect(mark, &user.aor(), "his state again", there)
        .await?;
    let refused = alice.stanzas(0, &user.aor());
    let refused = refused
        .iter()
        .any(|stanza| stanza.at("type") == "unsubscribed");
    ensure!(!refused, "a block is no refusal");
    // The first SUBSCRIBE says that he was added; he was asked once, with a name.
    let questions = user.news().all().into_iter().filter_map(|news| match news {
        News::Asks { watcher, name } => Some((watcher, name)),
        News::Sees { .. }
        | News::Invited(_)
        | News::Text { .. }
        | News::Types(..)
        | News::Left(_) => None,
    });
    let questions: Vec<(String, String)> = questions.collect();
    let [(watcher, name)] = questions.as_slice() else {
        bail!("{questions:?}");
    };
    ensure!(watcher == alice.jid() && !name.is_empty(), "{questions:?}");
    ensure!(stage.sim.watchers("eleventh").len() == 1);

    let mark = alice.mark();
    user.add(alice.jid()).await?;
    let asks = |stanza: &Element| stanza.at("type") == "subscribe";
    alice.expect(mark, &user.aor(), "subscribe", asks).await?;
    alice.approve(&user.aor()).await?;
    alice.shows("", "here").await?;
    user.expect_sees(alice.jid(), "online", Rendered::is_online)
        .await?;
    stage.rules(alice.jid(), &user.aor(), "block").await?;
    user.expect_sees(alice.jid(), "offline", |seen| seen.light == Light::Offline)
        .await?;
    ensure!(stage.sim.subscriptions("eleventh").len() == 2);
    stage.rules(alice.jid(), &user.aor(), "allow").await?;
    user.expect_sees(alice.jid(), "online again", Rendered::is_online)
        .await?;
    stage.shown(&["E11"])
}

/// E13: nobody subscribes again after a restart of the gateway; it goes on in the old dialogs.
pub async fn dialogs_survive_a_restart(stage: &mut Stage) -> Result<()> {
    let user = stage.sim.sign_in("thirteenth", 2);
    let alice = stage.xmpp("alice").await?;
    user.publish(State::new(3500, "", "")).await;
    let mark = alice.mark();
    alice.subscribe(&user.aor()).await?;
    let there = |stanza: &Element| stanza.name() == "presence" && stanza.is_available();
    alice.expect(mark, &user.aor(), "his state", there).await?;
    user.add(alice.jid()).await?;
    let asks = |stanza: &Element| stanza.at("type") == "subscribe";
    alice.expect(mark, &user.aor(), "subscribe", asks).await?;
    alice.approve(&user.aor()).await?;
    alice.shows("", "before").await?;
    user.expect_sees(alice.jid(), "online", Rendered::is_online)
        .await?;
    let before = stage.sim.subscriptions("thirteenth");

    stage.gateway.kill().await?;
    // What changes meanwhile is seen afterwards.
    user.publish(State::new(15_500, "", "")).await;
    let mark = alice.mark();
    alice.shows("dnd", "meanwhile").await.ok();
    stage.gateway.start_again().await?;
    let limit = std::time::Duration::from_secs(60);
    let told = || {
        let now = stage.sim.subscriptions("thirteenth");
        now.iter()
            .zip(&before)
            .all(|(now, before)| now.documents > before.documents)
    };
    until(limit, "every watcher has a fresh document", || {
        std::future::ready(told())
    })
    .await?;
    let away = |stanza: &Element| stanza.is_available() && stanza.text_of("show") == "away";
    alice
        .expect_within(limit, mark, &user.aor(), "away", away)
        .await?;
    let after = stage.sim.subscriptions("thirteenth");
    let calls = |list: &[crate::lync_sim::Subscription]| {
        let calls = list.iter().map(|one| (one.call_id.clone(), one.subscribes));
        calls.collect::<Vec<_>>()
    };
    ensure!(calls(&before) == calls(&after), "{before:?} {after:?}");
    // Numbers of NOTIFYs that do not grow are a fault.
    stage.shown(&["E13"])
}

/// E21: removed and added again, with a full document each time.
pub async fn removed_and_added_again(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("twentyfirst", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    user.add(alice.jid()).await?;
    let asks = |stanza: &Element| stanza.at("type") == "subscribe";
    alice.expect(mark, &user.aor(), "subscribe", asks).await?;
    alice.approve(&user.aor()).await?;
    alice.shows("", "here").await?;
    for _ in 0..3 {
        user.expect_sees(alice.jid(), "online", Rendered::is_online)
            .await?;
        user.remove(alice.jid()).await?;
        until(crate::inbox::PATIENCE, "no subscription is left", || {
            std::future::ready(stage.sim.subscriptions("twentyfirst").is_empty())
        })
        .await?;
        user.add(alice.jid()).await?;
    }
    user.expect_sees(alice.jid(), "online", Rendered::is_online)
        .await?;
    stage.shown(&["E21"])
}

/// E12: every state of either side is shown on the other, with its note, in every format that a
/// client lists.
pub async fn every_state_is_shown(stage: &Stage) -> Result<()> {
    xmpp_user_sees(stage).await?;
    lync_users_see(stage).await?;
    stage.shown(&["E12"])
}

/// What clients list in Accept: what OCS 2007 listed, each format alone.
const ACCEPTS: [&[&str]; 5] = [
    &[],
    &["text/xml+msrtc.pidf"],
    &["application/msrtc-event-categories+xml"],
    &["application/pidf+xml"],
    &["application/xpidf+xml"],
];

/// A user for each format sees the same XMPP user.
async fn lync_users_see(stage: &Stage) -> Result<()> {
    let alice = stage.xmpp("alice").await?;
    let mut users = Vec::new();
    for (number, accepts) in ACCEPTS.iter().enumerate() {
        let accepts = accepts.iter().map(ToString::to_string).collect();
        stage.sim.change(|conduct| conduct.accepts = accepts);
        let user = stage.sim.sign_in(&format!("twelfth{number}"), 1);
        let mark = alice.mark();
        user.add(alice.jid()).await?;
        let asks = |stanza: &Element| stanza.at("type") == "subscribe";
        alice.expect(mark, &user.aor(), "subscribe", asks).await?;
        alice.approve(&user.aor()).await?;
        users.push(user);
    }
    stage.sim.change(|conduct| conduct.accepts = Vec::new());
    let states = [
        ("dnd", Light::DoNotDisturb),
        ("away", Light::Away),
        ("", Light::Available),
    ];
    for (show, light) in states {
        let note = format!("note <{show}> & more");
        alice.shows(show, &note).await?;
        for (format, user) in users.iter().enumerate() {
            let wanted = |seen: &Rendered| match (format, light) {
                // XPIDF knows no reason, PIDF no note and no more than busy and away.
                (4, _) => seen.is_online(),
                (3, Light::DoNotDisturb) => seen.light == Light::Busy,
                (3, _) => seen.light == light,
                _ => seen.light == light && seen.note == note,
            };
            let what = format!("{show:?} in format {format}");
            user.expect_sees(alice.jid(), &what, wanted).await?;
        }
    }
    alice.hides().await?;
    for user in &users {
        let off = |seen: &Rendered| !seen.is_online();
        user.expect_sees(alice.jid(), "offline", off).await?;
        user.remove(alice.jid()).await?;
    }
    alice.shows("", "").await
}

async fn xmpp_user_sees(stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("twelfth", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    user.publish(State::new(3500, "", "first")).await;
    alice.subscribe(&user.aor()).await?;
    alice.sees(mark, &user.aor(), "first").await?;
    for (number, show) in [
        (6500, "dnd"),
        (9500, "dnd"),
        (12_500, "away"),
        (15_500, "away"),
        (3500, ""),
    ] {
        let note = format!("note {number} <&>");
        let mark = alice.mark();
        user.publish(State::new(number, "", &note)).await;
        let seen = alice.sees(mark, &user.aor(), &note).await?;
        let found = seen.text_of("show");
        ensure!(found == show, "{number} is shown as {found:?}");
    }
    let mark = alice.mark();
    user.publish(State::offline()).await;
    let gone = |stanza: &Element| stanza.at("type") == "unavailable";
    alice.expect(mark, &user.aor(), "unavailable", gone).await?;
    Ok(())
}

/// E9: a client that demands BENOTIFY is served all the same, or asks again without.
pub async fn demanding_watchers(stage: &Stage) -> Result<()> {
    stage.sim.change(|conduct| {
        conduct.demands_benotify = true;
        conduct.offers_piggyback = false;
    });
    let user = stage.sim.sign_in("demanding", 1);
    let alice = stage.xmpp("alice").await?;
    let mark = alice.mark();
    user.add(alice.jid()).await?;
    let asks = |stanza: &Element| stanza.at("type") == "subscribe";
    alice.expect(mark, &user.aor(), "subscribe", asks).await?;
    // Nobody has decided: an offline contact, by a NOTIFY of its own.
    user.expect_sees(alice.jid(), "offline", |seen| !seen.is_online())
        .await?;
    alice.approve(&user.aor()).await?;
    alice.shows("", "").await?;
    user.expect_sees(alice.jid(), "online", Rendered::is_online)
        .await?;
    stage.sim.change(|conduct| {
        conduct.demands_benotify = false;
        conduct.offers_piggyback = true;
    });
    stage.shown(&["E9"])
}
