//! Who is found by which record, and what is said of one that does not fit.

use anyhow::{Result, ensure};

use super::stage::{DEAD_HOST, DOMAIN, EDGE_SERVICE, FQDN, Stage, publish_federation};
use crate::inbox::{PATIENCE, until};
use crate::lab::{Host, Lab};
use crate::lync_sim::Federation;
use crate::xml::Look;

/// E3: a record outside the sender's domain or a certificate without the name is a bare 504; with
/// diagnostics it is explained. The operator is told first what is wrong on his own side.
pub async fn names_of_the_partner(lab: &Lab, stage: &Stage) -> Result<()> {
    let user = stage.sim.sign_in("third", 1);
    let alice = stage.xmpp("alice").await?;
    alice.say(&user.aor(), "n0", "before").await?;
    user.expect_text("before").await?;
    let domain = stage.domain();
    let service = format!("_sipfederationtls._tcp.{domain}");
    for good in ["record-host", "certificate-name"] {
        finds(stage, good, "ok").await?;
    }
    let leads_to = |host: Option<&str>| {
        lab.dns().forget_service(&service);
        if let Some(host) = host {
            publish_federation(lab, domain, host);
        }
        stage.sim.forget_records();
    };
    let refused = async |id: &str, wanted: &str| {
        let contact = stage.sim.sign_in(&format!("third{id}"), 1);
        alice.say(&contact.aor(), id, "hello?").await?;
        let error = alice.expect_error(&contact.aor(), id).await?;
        let condition = error.condition().unwrap_or_default();
        ensure!(condition == wanted, "{id}: {condition} instead of {wanted}");
        anyhow::Ok(())
    };
    leads_to(Some(&format!("sip.sub.{domain}")));
    refused("n1", "remote-server-timeout").await?;
    let why = stage.told("why").await?;
    ensure!(
        why.contains("504"),
        "peer why does not speak of the 504: {why}"
    );
    finds(stage, "record-host", "WRONG").await?;
    stage.sim.change(|conduct| conduct.diagnoses = true);
    refused("n2", "remote-server-not-found").await?;
    leads_to(None);
    refused("n3", "remote-server-not-found").await?;
    finds(stage, "record", "WRONG").await?;
    leads_to(Some(&format!("gw.{domain}")));
    refused("n4", "remote-server-timeout").await?;
    finds(stage, "record-host", "WRONG").await?;
    let status = stage.told("status").await?;
    for id in ["1009", "1010", "none"] {
        ensure!(status.contains(&format!(" 504 {id} ")), "{id} in {status}");
    }
    let proxy = Federation::Direct(format!("sip.{domain}"));
    stage.sim.change(|conduct| conduct.federation = proxy);
    let contact = stage.sim.sign_in("thirdn5", 1);
    alice.say(&contact.aor(), "n5", "by its ProxyFqdn").await?;
    contact.expect_text("by its ProxyFqdn").await?;
    stage.shown(&["E3"])
}

/// Waits until a check of our own records and certificate ends so, as `peer why` tells it: records
/// are believed for as long as they say.
async fn finds(stage: &Stage, check: &str, wanted: &str) -> Result<()> {
    let what = format!("{wanted} {check} in peer why");
    until(PATIENCE, &what, || async {
        let why = stage.told("why").await.unwrap_or_default();
        let mut lines = why.lines().map(|line| line.split_whitespace());
        lines.any(|mut words| words.next() == Some(wanted) && words.next() == Some(check))
    })
    .await
}

/// E3: both are found by `_sipfederationtls._tcp`; an address where nobody listens is passed over,
/// among several records and among several addresses of one host.
pub async fn found_by_records(lab: &Lab, stage: &mut Stage) -> Result<()> {
    let user = stage.sim.sign_in("located", 1);
    let alice = stage.xmpp("alice").await?;
    alice
        .say(&user.aor(), "s1", "over the second record")
        .await?;
    user.expect_text("over the second record").await?;
    let mark = alice.mark();
    user.start(alice.jid(), "and back").await?;
    alice.expect_text(mark, &user.aor(), "and back").await?;
    let partner = format!("_sipfederationtls._tcp.{}", stage.domain());
    let asked = lab.dns().asked();
    for name in [EDGE_SERVICE, DEAD_HOST, FQDN, &partner] {
        ensure!(asked.iter().any(|one| one == name), "{name} in {asked:?}");
    }
    let nobody = format!("address={}:5061", lab.ip(Host::Nobody));
    stage.gateway.process().logs(PATIENCE, &nobody).await?;

    // Both records lead to hosts with several addresses; the first one is dead.
    for host in [DEAD_HOST, FQDN] {
        let addresses = [Host::Nobody, Host::Lync].map(|host| lab.ip(host));
        lab.dns().host(host, &addresses);
    }
    let known = stage.sim.handshakes().len();
    stage.sim.hang_up().await;
    alice
        .say(&user.aor(), "s2", "over the second address")
        .await?;
    user.expect_text("over the second address").await?;
    let anew = |one: &crate::lync_sim::tls::Settled| !one.dialled;
    let wanted = "a new connection of the gateway";
    stage
        .sim
        .handshakes()
        .wait_behind(known, PATIENCE, wanted, anew)
        .await?;

    // Nobody is found any more: the records are blamed, by name.
    lab.dns().forget_service(EDGE_SERVICE);
    for host in [DEAD_HOST, FQDN, DOMAIN] {
        lab.dns().host(host, &[]);
    }
    stage.sim.hang_up().await;
    let gone = stage.sim.sign_in("gone", 1);
    alice.say(&gone.aor(), "s3", "nowhere").await?;
    let error = alice.expect_error(&gone.aor(), "s3").await?;
    let condition = error.condition().unwrap_or_default();
    ensure!(condition == "remote-server-not-found", "{condition}");
    let why = stage.told("why").await?;
    ensure!(why.contains("at step dns"), "{why}");
    stage.shown(&["E3"])
}
