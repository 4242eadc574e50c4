//! A Lync Edge with a pool and users, by hand: `lync-sim --profile lync2013 ...` and a console.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use interop_tests::authority::Key;
use interop_tests::lookup::Directory;
use interop_tests::lync_sim::console::{execute, words_of};
use interop_tests::lync_sim::tls::{Certificates, Naming};
use interop_tests::lync_sim::{Profile, Setup, Sim, Windows, rules};
use tokio::sync::mpsc;

const USAGE: &str = "\
lync-sim --rules                     one line per rule: its evidence and its test
lync-sim --report FILE               what a run of the scenarios says about each rule
lync-sim --profile NAME [options]    an Edge with a console
  NAME is ocs2007r2, lync2010, lync2013, s4b2015 or s4b2019

options, with what stands where one is left out:
  --domain lync.example          SIP domain of the users
  --fqdn sip.DOMAIN              name of the Edge, in its certificate
  --listen 127.0.0.1:5061        where the Edge listens
  --partner 127.0.0.2:5061       where the partner listens
  --partner-ca ca.pem            authority of the partner's certificate
  --certificates lync-sim        folder for lync-ca.pem, edge.pem and edge.key, made if absent
  --windows                      2008, 2012r2 or 2016: the suites and versions of TLS
  --naming san                   san, or cn for a certificate without alternative names
  --key rsa                      rsa, or ecdsa for a certificate with a P-256 key
  --record DOMAIN=FQDN           the partner's _sipfederationtls record; may be repeated
  --dns ADDRESS:PORT             a name server to ask for that record instead
  --partner-domain DOMAIN        dial the partner by the records of its domain (with --dns)
Commands come from standard input, one a line; `help` lists them.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do about an error stream that does not take this.
            writeln!(std::io::stderr(), "lync-sim: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--rules"] => say(&rules::lines()),
        ["--report", file] => {
            let log =
                std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
            let report = rules::report(&log);
            say(&report)?;
            anyhow::ensure!(rules::is_complete(&report), "not every rule was shown");
            Ok(())
        }
        [] | ["--help" | "-h"] => say(USAGE),
        words => console(&start(words).await?).await,
    }
}

async fn start(words: &[&str]) -> Result<Sim> {
    let mut options = BTreeMap::new();
    let mut records = Vec::new();
    for pair in words.chunks(2) {
        match pair {
            ["--record", value] => {
                let (domain, fqdn) = value.split_once('=').context("--record DOMAIN=FQDN")?;
                records.push((format!("_sipfederationtls._tcp.{domain}"), fqdn.to_owned()));
            }
            [name, value] if OPTIONS.contains(name) => drop(options.insert(*name, *value)),
            _ => bail!("{pair:?} is no option with a value\n{USAGE}"),
        }
    }
    let option = |name: &str, default: &str| {
        let found = options.get(name).copied();
        found.unwrap_or(default).to_owned()
    };
    let profile = options.get("--profile").copied();
    let profile = Profile::named(profile.context("--profile is missing")?)?;
    let domain = option("--domain", "lync.example");
    let fqdn = option("--fqdn", &format!("sip.{domain}"));
    let windows = match option("--windows", "").as_str() {
        "" => profile.windows(),
        "2008" => Windows::Server2008,
        "2012r2" => Windows::Server2012R2,
        "2016" => Windows::Server2016,
        other => bail!("no Windows {other:?}"),
    };
    let naming = match option("--naming", "san").as_str() {
        "san" => Naming::Alternative,
        "cn" => Naming::CommonName,
        other => bail!("no naming {other:?}"),
    };
    let key = match option("--key", "rsa").as_str() {
        "rsa" => Key::Rsa,
        "ecdsa" => Key::Ecdsa,
        other => bail!("no key {other:?}"),
    };
    let folder = PathBuf::from(option("--certificates", "lync-sim"));
    let certificates = match Certificates::found(&folder) {
        Some(certificates) => certificates,
        None => Certificates::make(&folder, &fqdn, naming, key)?,
    };
    let directory = match options.get("--dns") {
        Some(server) => Some(Directory::Server(server.parse()?)),
        None => (!records.is_empty()).then(|| Directory::of(records)),
    };
    let trusted = PathBuf::from(option("--partner-ca", "ca.pem"));
    let sim = Sim::start(Setup {
        profile,
        windows,
        listen: option("--listen", "127.0.0.1:5061").parse()?,
        partner: option("--partner", "127.0.0.2:5061").parse()?,
        trusted,
        partner_domain: options.get("--partner-domain").map(|one| one.to_string()),
        directory,
        domain,
        fqdn,
        certificates,
    })
    .await?;
    let setup = sim.setup();
    say(&format!(
        "{} for {} listens on {} as {}; its authority is {}. help lists the commands.",
        profile.name(),
        setup.domain,
        setup.listen,
        setup.fqdn,
        setup.certificates.authority.display()
    ))?;
    Ok(sim)
}

/// Options that have a value.
const OPTIONS: [&str; 12] = [
    "--profile",
    "--domain",
    "--fqdn",
    "--listen",
    "--partner",
    "--partner-ca",
    "--certificates",
    "--windows",
    "--naming",
    "--key",
    "--dns",
    "--partner-domain",
];

/// Reads commands until there are none; says what users notice in between.
async fn console(sim: &Sim) -> Result<()> {
    let (typed, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            // The console may have ended.
            typed.send(line).ok();
        }
    });
    let mut told = BTreeMap::new();
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else {
                    return Ok(());
                };
                let line = line.trim();
                if matches!(line, "quit" | "exit") {
                    return say("bye");
                }
                match execute(sim, line).await {
                    Ok(answer) if answer.is_empty() => {}
                    Ok(answer) => say(&answer)?,
                    Err(error) => say(&format!("error: {error:#}"))?,
                }
            }
            () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
        }
        tell(sim, &mut told)?;
    }
}

/// Says what each user has noticed since the last time.
fn tell(sim: &Sim, told: &mut BTreeMap<String, usize>) -> Result<()> {
    for name in sim.names() {
        let Some(user) = sim.user(&name) else {
            continue;
        };
        let known = told.entry(name.clone()).or_default();
        let news = user.news().since(*known);
        *known += news.len();
        for one in news {
            say(&format!("* {name}: {}", words_of(&one)))?;
        }
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use interop_tests::lync_sim::console::HELP;

    #[test]
    fn usage_and_help_name_what_there_is() {
        for option in OPTIONS {
            assert!(USAGE.contains(option), "{option}");
        }
        assert!(HELP.lines().count() > 20);
    }
}
