//! From the configuration to the printed steps.

use std::path::Path;

use serde_json::json;
use translators::model::{Domain, Side};

use crate::config::{self, Config, Peer, SIPS};
use crate::ctl::args::Release;
use crate::ctl::lync_setup::steps::{Facts, Line, Step, steps};
use crate::ctl::{Console, Exit, Failure};
use crate::telemetry::logs::printable;

/// Prints the steps for each Microsoft peer of the configuration, or for the one called `wanted`.
pub(crate) fn lync_setup(
    console: &mut Console<'_>,
    file: &Path,
    release: Release,
    wanted: Option<&str>,
) -> Result<Exit, Failure> {
    let (config, findings) = config::load(file, console.clock.unix_time());
    let Some(config) = config else {
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        return Err(Failure::Unusable(file.to_owned(), errors));
    };
    let peers: Vec<_> = config
        .peers_on(Side::Sip)
        .filter(|peer| is_wanted(&config, peer, wanted))
        .collect();
    if peers.is_empty() {
        return Err(Failure::NoEdge(wanted.map(ToOwned::to_owned)));
    }
    let all: Vec<(&str, Vec<Step>)> = peers
        .into_iter()
        .map(|peer| (peer.id.as_str(), steps(release, &facts(&config, peer))))
        .collect();
    if console.json {
        let peers: Vec<_> = all
            .iter()
            .map(|(peer, steps)| json!({ "peer": peer, "steps": steps }))
            .collect();
        console.value(&json!({ "ok": true, "release": release.name(), "peers": peers }))?;
        return Ok(Exit::Fine);
    }
    for (place, (peer, steps)) in all.iter().enumerate() {
        if place > 0 {
            console.line("")?;
        }
        console.line(&format!("{} with peer {peer}", release.name()))?;
        print(console, steps)?;
    }
    Ok(Exit::Fine)
}

fn print(console: &mut Console<'_>, steps: &[Step]) -> Result<(), Failure> {
    for (place, step) in steps.iter().enumerate() {
        console.line("")?;
        console.line(&format!("{}. {}", place + 1, step.title))?;
        for line in &step.lines {
            let line = match line {
                Line::Text(text) => format!("   {text}"),
                Line::Command(command) => format!("      {command}"),
            };
            console.line(&printable(&line))?;
        }
    }
    Ok(())
}

/// Whether steps for a peer are asked for: by name or domain, or because it is an edge.
fn is_wanted(config: &Config, peer: &Peer, wanted: Option<&str>) -> bool {
    match wanted {
        Some(name) => {
            let domain = Domain::parse(name);
            let has = domain.is_some_and(|domain| peer.domains.contains(&domain));
            has || peer.id.as_str() == name
        }
        None => {
            let profile = config.directory.peer(&peer.id);
            profile.is_some_and(|profile| profile.sip().is_some_and(|sip| sip.microsoft.is_some()))
        }
    }
}

fn facts(config: &Config, peer: &Peer) -> Facts {
    let ours = config.peers_on(Side::Xmpp).flat_map(|peer| &peer.domains);
    let hosts = ours.map(|domain| {
        let host = config.sip.hosts.of(domain).host().to_owned();
        (domain.to_ascii(), host)
    });
    let port = config.sip.listen.first().map_or(SIPS, |at| at.port());
    let profile = config.directory.peer(&peer.id);
    Facts {
        theirs: peer.domains.iter().map(Domain::to_ascii).collect(),
        ours: hosts.collect(),
        port: if port == 0 { SIPS } else { port },
        tls: peer.tls,
        has_route: !peer.route.is_empty(),
        is_microsoft: profile
            .is_some_and(|profile| profile.sip().is_some_and(|sip| sip.microsoft.is_some())),
    }
}
