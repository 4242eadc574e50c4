//! Every reason of a Microsoft server: what the XMPP user is told, and what the operator is shown.

use anyhow::{Result, ensure};
use interop_tests::lync_scenes::{self as scenes, Stage, Wishes, With};
use interop_tests::lync_sim::{Profile, Refusal};
use interop_tests::xml::Look;

/// Number, status, condition for the XMPP user, and words of the explanation.
const REASONS: [(u32, u16, &str, &str); 20] = [
    (1000, 504, "remote-server-timeout", "TLS handshake"),
    (1001, 403, "forbidden", "public provider"),
    (1002, 403, "forbidden", "federated partners"),
    (1003, 404, "item-not-found", "does not exist"),
    (1005, 504, "remote-server-not-found", "No way to the domain"),
    (1007, 504, "remote-server-timeout", "for the moment"),
    (1008, 504, "remote-server-not-found", "SRV record cannot"),
    (1009, 504, "remote-server-not-found", "No SRV record"),
    (1010, 504, "remote-server-timeout", "certificate"),
    (1011, 504, "remote-server-timeout", "gave no reason"),
    (1012, 403, "forbidden", "outside the enterprise"),
    (1013, 504, "internal-server-error", "clocks"),
    (1014, 504, "remote-server-not-found", "address of the host"),
    (1017, 403, "not-allowed", "domains that may not"),
    (1027, 405, "feature-not-implemented", "does not pass"),
    (1034, 504, "remote-server-timeout", "gave no reason"),
    (2165, 488, "not-acceptable", "kept in Exchange"),
    (4268, 403, "forbidden", "delegate"),
    (10_003, 480, "recipient-unavailable", "A proxy returned"),
    (16_001, 403, "forbidden", "IM filter"),
];

#[tokio::test]
async fn every_reason_is_told_and_explained() -> Result<()> {
    let profile = Profile::Lync2013;
    scenes::run(profile, With::Peer, Wishes::default(), async |_, stage| {
        reasons(stage).await
    })
    .await
}

async fn reasons(stage: &Stage) -> Result<()> {
    let alice = stage.xmpp("alice").await?;
    let refused = async |user: &str, refusal: Refusal| {
        let user = stage.sim.sign_in(user, 1);
        user.refuses("INVITE", Some(refusal));
        alice.say(&user.aor(), &user.aor(), "knock knock").await?;
        let error = alice.expect_error(&user.aor(), &user.aor()).await?;
        anyhow::Ok(error.condition().unwrap_or_default())
    };
    for (id, status, wanted, _) in REASONS {
        // The words are of another release: the number explains.
        let line = format!("{id};reason=\"Something else\";source=\"sip.lync.example\"");
        let refusal = Refusal::of(status).line("ms-diagnostics", &line);
        let found = refused(&format!("user{id}"), refusal).await?;
        ensure!(found == wanted, "{id}: {found} instead of {wanted}");
    }
    let bare = refused("bare", Refusal::of(504)).await?;
    ensure!(bare == "remote-server-timeout", "a bare 504: {bare}");
    for command in ["status", "why"] {
        let told = stage.told(command).await?;
        for (id, status, _, words) in REASONS {
            let shown = told.lines().any(|line| {
                let parts = [&format!(" {status} "), &format!(" {id} "), words];
                parts.iter().all(|part| line.contains(*part))
            });
            ensure!(shown, "{id} is not explained by {command}:\n{told}");
        }
        ensure!(told.contains("gave up and sent no reason"), "{told}");
    }
    // Each cause of the bare one, with what is found here.
    let told = stage.told("why").await?;
    for cause in [
        "record",
        "record-host",
        "record-port",
        "address",
        "certificate-name",
        "certificate",
        "certificate-crl",
        "certificate-issuer",
        "clock",
        "one-side",
        "allowed",
    ] {
        let shown = told.lines().any(|line| {
            let mut words = line.split_whitespace();
            let outcome = words.next().unwrap_or_default();
            ["ok", "WRONG", "unknown"].contains(&outcome) && words.next() == Some(cause)
        });
        ensure!(shown, "{cause} is not looked at:\n{told}");
    }
    Ok(())
}
