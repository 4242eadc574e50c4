//! The equipment for Microsoft peers itself: two simulators federate with each other without the
//! gateway.

use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::authority::Key;
use interop_tests::inbox::until;
use interop_tests::lab::{Host, Lab, SIPS, run};
use interop_tests::lync_sim::message::Message;
use interop_tests::lync_sim::tls::{Certificates, Naming};
use interop_tests::lync_sim::{
    Federation, Light, News, OnNegotiate, Profile, Refusal, Reply, Setup, Sim, State, User,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Two Edges that know each other by name.
async fn two(lab: &Lab, profile: Profile) -> Result<[Sim; 2]> {
    two_with(lab, profile, [Key::Rsa; 2]).await
}

/// The same with keys of these kinds.
async fn two_with(lab: &Lab, profile: Profile, keys: [Key; 2]) -> Result<[Sim; 2]> {
    let places = [
        ("lync", Host::Lync, Host::SecondLync),
        ("other", Host::SecondLync, Host::Lync),
    ];
    let mut made = Vec::new();
    for ((name, ..), key) in places.into_iter().zip(keys) {
        let folder = lab.path(name);
        let fqdn = format!("sip.{name}.example");
        made.push(Certificates::make(
            &folder,
            &fqdn,
            Naming::Alternative,
            key,
        )?);
    }
    made.reverse();
    let authorities: Vec<_> = made.iter().map(|made| made.authority.clone()).collect();
    let mut sims = Vec::new();
    for ((name, own, partner), trusted) in places.into_iter().zip(authorities) {
        let certificates = made.pop().ok_or_else(|| anyhow::anyhow!("two were made"))?;
        let sim = Sim::start(Setup {
            profile,
            windows: profile.windows(),
            domain: format!("{name}.example"),
            fqdn: format!("sip.{name}.example"),
            listen: lab.at(own, SIPS),
            partner: lab.at(partner, SIPS),
            certificates,
            trusted,
            partner_domain: None,
            directory: None,
        });
        sims.push(sim.await?);
    }
    let [lync, other] = sims.try_into().map_err(|_| anyhow::anyhow!("two"))?;
    // Two Microsoft servers do speak page mode, NEGOTIATE and BENOTIFY with each other.
    for sim in [&lync, &other] {
        sim.change(|conduct| conduct.negotiates = false);
    }
    Ok([lync, other])
}

/// Presence and conversations between the users of two simulators, for every release.
#[tokio::test]
async fn two_simulators_understand_each_other() -> Result<()> {
    for profile in Profile::ALL {
        run(profile.name(), LIMIT, async |lab| {
            let [lync, other] = two(lab, profile).await?;
            let (bob, ann) = (lync.sign_in("bob", 2), other.sign_in("ann", 1));
            ann.publish(State::new(9500, "", "hush")).await;
            bob.add(&ann.aor()).await?;
            let quiet = |light| move |seen: &interop_tests::lync_sim::Rendered| seen.light == light;
            bob.expect_sees(&ann.aor(), "do not disturb", quiet(Light::DoNotDisturb))
                .await?;
            ann.block(&bob.aor());
            bob.expect_sees(&ann.aor(), "offline", quiet(Light::Offline))
                .await?;
            ann.allow(&bob.aor());
            bob.expect_sees(&ann.aor(), "again", quiet(Light::DoNotDisturb))
                .await?;
            lync.refresh("bob").await?;
            bob.remove(&ann.aor()).await?;
            ensure!(other.watchers("ann").is_empty());

            let there = bob.start(&ann.aor(), "hello").await?;
            ann.expect_text("hello").await?;
            let texts = ann.news().count(|news| matches!(news, News::Text { .. }));
            ensure!(texts == 1, "{texts} texts");
            let back = ann.conversation(&bob.aor());
            let back = back.ok_or_else(|| anyhow::anyhow!("a conversation"))?;
            ensure!(back.say("hi \u{1F600}").await? == 200);
            bob.expect_text("hi \u{1F600}").await?;
            ensure!(there.types(true).await? == 200);
            ann.news()
                .wait("typing", |news| *news == News::Types(bob.aor(), true))
                .await?;
            ensure!(there.offer_again("UPDATE").await?.status() == Some(200));
            ensure!(there.offer_again("INVITE").await?.status() == Some(200));
            ensure!(back.leave().await? == 200);
            ensure!(!there.is_open());

            ann.refuses("INVITE", Some(Refusal::of(486)));
            ensure!(bob.start(&ann.aor(), "busy?").await.is_err());
            ann.refuses("INVITE", None);
            ann.replies(Reply::Ring);
            let ringing = bob.invitation(0, &ann.aor(), "nobody")?;
            let mut ringing = lync.invite(ringing).await?;
            ensure!(ringing.cancel().await?.status() == Some(200));
            ensure!(ringing.outcome().await?.status() == Some(487));
            let faults = lync.faults().all().into_iter().chain(other.faults().all());
            let faults: Vec<String> = faults.collect();
            ensure!(faults.is_empty(), "{profile:?}: {faults:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// An Edge that checks names takes whom it knows by name, and tells others why not where it may.
#[tokio::test]
async fn a_wrong_name_is_a_bare_504() -> Result<()> {
    run("edge-names", LIMIT, async |lab| {
        let [lync, other] = two(lab, Profile::S4b2015).await?;
        let (bob, ann) = (lync.sign_in("bob", 1), other.sign_in("ann", 1));
        let proxy = Federation::Direct("sip.other.example".to_owned());
        lync.change(|conduct| conduct.federation = proxy);
        ann.start(&bob.aor(), "hello").await?;
        lync.change(|conduct| {
            conduct.federation = Federation::Direct("gw.other.example".to_owned());
        });
        let request = ann.invitation(0, &bob.aor(), "")?;
        let answer = other.invite(request).await?.outcome().await?;
        ensure!(answer.status() == Some(504) && !answer.has("ms-diagnostics"));
        lync.change(|conduct| conduct.diagnoses = true);
        let request = ann.invitation(0, &bob.aor(), "")?;
        let answer = other.invite(request).await?.outcome().await?;
        ensure!(answer.value("ms-diagnostics").starts_with("1010;"));
        Ok(())
    })
    .await
}

/// A sender of the Edge's own domain who comes from outside is refused (E22).
#[tokio::test]
async fn a_sender_of_its_own_domain_is_refused() -> Result<()> {
    run("edge-own-domain", LIMIT, async |lab| {
        let [lync, other] = two(lab, Profile::Lync2013).await?;
        lync.change(|conduct| conduct.diagnoses = true);
        let (bob, ann) = (lync.sign_in("bob", 1), other.sign_in("ann", 1));
        let mut request = ann.invitation(0, &bob.aor(), "")?;
        let forged = request
            .value("From")
            .replace("other.example", "lync.example");
        request.set("From", forged);
        let answer = other.invite(request).await?.outcome().await?;
        ensure!(answer.status() == Some(403), "{}", answer.start);
        ensure!(answer.value("ms-diagnostics").starts_with("1017;"));
        Ok(())
    })
    .await
}

/// What a discovered partner sends beyond its cap is refused, and what an allowed one sends is
/// not (E19).
#[tokio::test]
async fn a_discovered_partner_has_a_cap() -> Result<()> {
    run("edge-cap", LIMIT, async |lab| {
        let [lync, other] = two(lab, Profile::S4b2019).await?;
        let (bob, ann) = (lync.sign_in("bob", 1), other.sign_in("ann", 1));
        let (federation, cap) = (Federation::Discovered, 20);
        lync.change(|conduct| (conduct.federation, conduct.cap) = (federation, cap));
        ensure!(flood(&other, &ann, &bob.aor()).await? == FLOOD - cap);
        lync.change(|conduct| conduct.federation = Federation::Enhanced);
        ensure!(flood(&other, &ann, &bob.aor()).await? == 0);
        ensure!(lync.meter().most() >= FLOOD && !lync.faults().is_empty());
        Ok(())
    })
    .await
}

/// How many requests go out at once.
const FLOOD: usize = 40;

/// Sends requests in one piece; tells how many were refused for their number.
async fn flood(sim: &Sim, user: &User, to: &str) -> Result<usize> {
    let mut bytes = Vec::new();
    for number in 0..FLOOD {
        let mut request = user.request(0, "INFO", to)?;
        let branch = format!("SIP/2.0/TLS flood;branch=z9hG4bK{number}");
        request.put("Via", branch);
        bytes.extend(request.bytes());
    }
    let known = sim.received().len();
    sim.send_bytes(&bytes).await?;
    until(LIMIT, "all are answered", || {
        std::future::ready(sim.received().len() >= known + FLOOD)
    })
    .await?;
    let answers = sim.received().since(known);
    let refused = |(_, answer): &&(u64, Message)| answer.status() == Some(503);
    Ok(answers.iter().filter(refused).count())
}

/// A partner whose requests fail too often may send one message a second, and one who asks for too
/// many users is refused the next (E19).
#[tokio::test]
async fn a_discovered_partner_is_watched() -> Result<()> {
    run("edge-watch", LIMIT, async |lab| {
        let [lync, other] = two(lab, Profile::S4b2015).await?;
        lync.change(|conduct| {
            conduct.federation = Federation::Discovered;
            conduct.judged_from = 10;
        });
        let ann = other.sign_in("ann", 1);
        let bob = lync.sign_in("bob", 1);
        let ask = async |to: &str| {
            let request = ann.invitation(0, to, "")?;
            let answer = other.invite(request).await?.outcome().await?;
            answer
                .status()
                .ok_or_else(|| anyhow::anyhow!("{}", answer.start))
        };
        let quietly = async || tokio::time::sleep(Duration::from_millis(1100)).await;
        for number in 0..10 {
            // Below the rate, so that only the failures count.
            tokio::time::sleep(Duration::from_millis(110)).await;
            ensure!(ask(&format!("nobody{number}@lync.example")).await? == 404);
        }
        let ratio = lync.meter().ratio();
        ensure!((ratio.answered, ratio.failed) == (10, 10), "{ratio:?}");
        quietly().await;
        ensure!(lync.faults().is_empty(), "{:?}", lync.faults().all());
        // The INVITE is the one message of this second; its ACK and what follows are too many.
        ensure!(ask(&bob.aor()).await? == 200);
        ensure!(ask(&bob.aor()).await? == 503);
        let faults = lync.faults().all().join("\n");
        ensure!(faults.contains("fails in 10 of "), "{faults}");

        lync.meter().clear();
        lync.change(|conduct| conduct.most_users = 11);
        quietly().await;
        ensure!(ask("nobody9@lync.example").await? == 404);
        ensure!(ask("one-more@lync.example").await? == 403);
        Ok(())
    })
    .await
}

/// Of a watcher with a context the user is asked, once, and of one without he is not; nobody holds
/// more than 200 subscriptions (E11).
#[tokio::test]
async fn questions_and_subscriptions_are_counted() -> Result<()> {
    run("edge-counts", LIMIT, async |lab| {
        let [lync, other] = two(lab, Profile::Lync2013).await?;
        let (bob, ann) = (lync.sign_in("bob", 2), other.sign_in("ann", 1));
        bob.look_at(&ann.aor()).await?;
        ensure!(ann.prompts().is_empty(), "{:?}", ann.prompts());
        bob.add(&ann.aor()).await?;
        ensure!(ann.prompts() == [bob.aor()], "{:?}", ann.prompts());
        let asks = |news: &News| matches!(news, News::Asks { .. });
        ensure!(ann.news().count(asks) == 1);
        ann.allow(&bob.aor());
        ensure!(ann.prompts().is_empty());

        let eager = lync.sign_in("eager", 1);
        for number in 0..200 {
            let contact = other.sign_in(&format!("contact{number}"), 1);
            eager.look_at(&contact.aor()).await?;
        }
        let last = other.sign_in("contact200", 1);
        ensure!(eager.look_at(&last.aor()).await.is_err());
        ensure!(lync.subscriptions("eager").len() == 200);
        Ok(())
    })
    .await
}

/// What a partner may answer to NEGOTIATE: an error is fine, silence ends the connection after five
/// seconds, and an agreement is a fault (E4).
#[tokio::test]
async fn negotiate_wants_an_answer_and_no_compression() -> Result<()> {
    run("edge-negotiate", LIMIT, async |lab| {
        let [lync, other] = two(lab, Profile::S4b2019).await?;
        lync.change(|conduct| {
            conduct.negotiates = true;
            conduct.connections = 1;
        });
        lync.connect().await?;
        ensure!(lync.faults().is_empty(), "{:?}", lync.faults().all());
        let asked = |(_, message): &(u64, Message)| message.method() == "NEGOTIATE";
        ensure!(other.received().count(asked) == 1);

        lync.hang_up().await;
        other.change(|conduct| conduct.on_negotiate = OnNegotiate::Compresses);
        lync.connect().await?;
        let compressed = lync.faults().all().join("\n");
        ensure!(compressed.contains("compression"), "{compressed}");

        lync.hang_up().await;
        other.change(|conduct| conduct.on_negotiate = OnNegotiate::SaysNothing);
        let begun = std::time::Instant::now();
        ensure!(lync.connect().await.is_err());
        ensure!((5..8).contains(&begun.elapsed().as_secs()));
        until(LIMIT, "the connection is closed", || {
            std::future::ready(other.links() == 0)
        })
        .await
    })
    .await
}

/// Two Edges with keys of both kinds, on every Windows (E1).
#[tokio::test]
async fn rsa_and_ecdsa_understand_each_other() -> Result<()> {
    let [rsa, ecdsa] = [Key::Rsa, Key::Ecdsa];
    let pairs = Profile::ALL.map(|one| [(one, [rsa, ecdsa]), (one, [ecdsa, ecdsa])]);
    for (profile, keys) in pairs.into_iter().flatten() {
        run("edge-keys", LIMIT, async |lab| {
            shake(lab, profile, keys).await
        })
        .await?;
    }
    Ok(())
}

/// Each dials the other and finds the key that he has.
async fn shake(lab: &Lab, profile: Profile, keys: [Key; 2]) -> Result<()> {
    let [lync, other] = two_with(lab, profile, keys).await?;
    ensure!(lync.probe().await?.status() == Some(200));
    ensure!(other.probe().await?.status() == Some(200));
    let both = lync.handshakes().all().into_iter();
    let seen: Vec<(bool, Option<Key>)> = both.map(|one| (one.dialled, one.key)).collect();
    let [_, theirs] = keys;
    let wanted = [(true, Some(theirs)), (false, Some(theirs))];
    ensure!(wanted.iter().all(|one| seen.contains(one)), "{seen:?}");
    Ok(())
}
