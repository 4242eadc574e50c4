//! The console: one line is one command, and every line is answered.

use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};

use super::conversation::Conversation;
use super::documents::State;
use super::meter::Meter;
use super::render::{Light, Rendered};
use super::sim::{Federation, Sim};
use super::user::{News, Refusal, Reply, User};

/// What `help` says.
pub const HELP: &str = "\
signin USER [ENDPOINTS]        sign a user in at 1 to 3 endpoints
users                          who is signed in
presence USER STATE [NOTE]     available, idle, busy, dnd, brb, away or offline, with a note
add USER CONTACT               put a contact on the list and watch it
look USER CONTACT              open a contact's card: watch without the list
remove USER CONTACT            take a contact off the list
sees USER CONTACT              what each endpoint shows of a contact
watchers USER                  who watches the user
prompts USER                   who waits for a decision
block USER WATCHER             look offline to somebody
allow USER WATCHER             let somebody see the user
start USER CONTACT TEXT        open a conversation
say USER CONTACT TEXT          write in the open conversation, or open one
type USER CONTACT [stop]       begin or stop typing
leave USER CONTACT             end the conversation
reply USER accept|ring [SECONDS]   how invitations are taken
refuse USER METHOD STATUS|none refuse requests of a method
news USER [COUNT]              what the user has noticed last
probe                          OPTIONS to the partner
connect                        open all connections to the partner
hangup                         close all connections
discovered                     the partner is found by its records, checked by them and counted
enhanced                       the partner is on the list, checked by its records, not counted
direct FQDN                    the partner is on the list with this ProxyFqdn
diagnostics on|off             send ms-diagnostics to partners
habit NAME on|off              rtf, links, closed or benotify: rich text alone, a link filter, no
                               conversations started from outside, BENOTIFY demanded
faults                         what the partner did wrong
log                            what the Edge has refused
rate                           messages of the partner: most in a second, and all
rules                          what is played, and on what evidence
help                           this text
quit                           end";

/// Carries out one line and says what came of it.
pub async fn execute(sim: &Sim, line: &str) -> Result<String> {
    let mut words = line.split_whitespace();
    let command = words.next().unwrap_or_default();
    let rest: Vec<&str> = words.collect();
    match (command, rest.as_slice()) {
        ("", _) => Ok(String::new()),
        ("help", _) => Ok(HELP.to_owned()),
        ("rules", _) => Ok(super::rules::lines()),
        ("users", _) => Ok(users(sim)),
        ("signin", [name, rest @ ..]) => {
            let endpoints = rest.first().map_or(Ok(1), |count| count.parse())?;
            let user = sim.sign_in(name, endpoints);
            let epids: Vec<String> = user.endpoints().into_iter().map(|one| one.epid).collect();
            Ok(format!(
                "{} is signed in at {}",
                user.aor(),
                epids.join(", ")
            ))
        }
        ("probe", _) => Ok(sim.probe().await?.start),
        ("connect", _) => {
            sim.connect().await?;
            let settled = sim.handshakes().last().context("no connection")?;
            Ok(format!("{} {}", settled.version, settled.suite))
        }
        ("hangup", _) => {
            sim.hang_up().await;
            Ok("all connections are closed".to_owned())
        }
        ("faults", _) => Ok(list(sim.faults().all(), "the partner did nothing wrong")),
        ("log", _) => Ok(list(sim.diary().all(), "nothing was refused")),
        ("rate", _) => Ok(rate(sim.meter())),
        ("discovered" | "enhanced" | "direct" | "diagnostics", _) => edge(sim, command, &rest),
        ("habit", [name, switch @ ("on" | "off")]) => habit(sim, name, *switch == "on"),
        (_, [name, rest @ ..]) if usage(command).is_some_and(|line| line.contains(" USER")) => {
            ensure!(!name.contains('@'), misused(command));
            let user = sim.user(name);
            let user = user.with_context(|| {
                format!("nobody called {name} is signed in: signin {name}, or users")
            })?;
            of_user(sim, &user, command, rest).await
        }
        (_, _) => bail!(misused(command)),
    }
}

/// How a command is written, if there is such a one.
fn usage(command: &str) -> Option<&'static str> {
    let mut lines = HELP.lines();
    let line = lines.find(|line| line.split(' ').next() == Some(command))?;
    // What it does stands behind two blanks.
    line.split("  ").next()
}

fn misused(command: &str) -> String {
    match usage(command) {
        Some(usage) => format!("it is written: {usage}"),
        None => format!("there is no command {command:?}; help lists them"),
    }
}

fn habit(sim: &Sim, name: &str, on: bool) -> Result<String> {
    let mut known = true;
    sim.change(|conduct| match name {
        "rtf" => conduct.writes_rtf = on,
        "links" => conduct.rewrites_links = on,
        "closed" => conduct.blocks_new_conversations = on,
        "benotify" => conduct.demands_benotify = on,
        _ => known = false,
    });
    match known {
        true => Ok(format!("{name}: {}", if on { "on" } else { "off" })),
        false => bail!("{name:?} is none of rtf, links, closed, benotify"),
    }
}

/// Commands about the Edge.
fn edge(sim: &Sim, command: &str, words: &[&str]) -> Result<String> {
    let federation = match (command, words) {
        ("discovered", _) => Federation::Discovered,
        ("enhanced", _) => Federation::Enhanced,
        ("direct", [fqdn]) => Federation::Direct(fqdn.to_string()),
        ("diagnostics", [switch @ ("on" | "off")]) => {
            sim.change(|conduct| conduct.diagnoses = *switch == "on");
            return Ok(format!("ms-diagnostics to partners: {switch}"));
        }
        _ => bail!(misused(command)),
    };
    let said = match &federation {
        Federation::Discovered => "the partner is found by its records, and counted".to_owned(),
        Federation::Enhanced => "the partner is on the list, and found by its records".to_owned(),
        Federation::Direct(fqdn) => format!("the partner is on the list as {fqdn}"),
    };
    sim.change(|conduct| conduct.federation = federation);
    Ok(said)
}

/// Commands about one user.
async fn of_user(sim: &Sim, user: &User, command: &str, words: &[&str]) -> Result<String> {
    match (command, words) {
        ("presence", [state, note @ ..]) => {
            let state = State::new(number(state)?, "", &note.join(" "));
            user.publish(state).await;
            Ok(match sim.watchers(user.name()).len() {
                0 => "published; nobody watches".to_owned(),
                1 => "published; one watcher is told".to_owned(),
                watchers => format!("published; {watchers} watchers are told"),
            })
        }
        ("add", [contact]) => {
            user.add(contact).await?;
            Ok(format!("{contact} is on the list and watched"))
        }
        ("look", [contact]) => {
            user.look_at(contact).await?;
            Ok(format!("{contact} is watched, and not on the list"))
        }
        ("remove", [contact]) => {
            ensure!(!user.sees(contact).is_empty(), "{contact} is not watched");
            user.remove(contact).await?;
            Ok(format!("{contact} is off the list"))
        }
        ("sees", [contact]) => Ok(sees(user, contact)),
        ("watchers", _) => {
            let lines = sim.watchers(user.name()).into_iter().map(|watched| {
                let (who, media) = (watched.watcher, watched.form.media());
                format!("{who} by {media}, {} s granted", watched.granted)
            });
            Ok(list(lines.collect(), "nobody watches"))
        }
        ("prompts", _) => Ok(list(user.prompts(), "nobody waits")),
        ("block", [watcher]) => {
            user.block(watcher);
            Ok(format!("{watcher} sees an offline user"))
        }
        ("allow", [watcher]) => {
            user.allow(watcher);
            Ok(format!("{watcher} may see the user"))
        }
        ("news", count) => {
            let count = count.first().map_or(Ok(10), |count| count.parse());
            let count: usize = count.context(misused(command))?;
            let all: Vec<String> = user.news().all().iter().map(words_of).collect();
            let skipped = all.len().saturating_sub(count);
            Ok(list(all.into_iter().skip(skipped).collect(), "no news"))
        }
        ("reply", [how, seconds @ ..]) => reply(user, how, seconds.first().copied()),
        ("refuse", [method, status]) => refuse(user, method, status),
        ("start" | "say" | "type" | "leave", [contact, text @ ..]) => {
            talk(user, command, contact, &text.join(" ")).await
        }
        _ => bail!(misused(command)),
    }
}

async fn talk(user: &User, command: &str, contact: &str, text: &str) -> Result<String> {
    if matches!(command, "start" | "say") && text.is_empty() {
        bail!(misused(command));
    }
    let open = user.conversation(contact);
    match (command, open) {
        ("start", _) | ("say", None) => {
            let conversation: Conversation = user.start(contact, text).await?;
            let with = conversation.with();
            Ok(format!(
                "a conversation with {with} is open, and has the text"
            ))
        }
        ("say", Some(open)) => {
            let answer = open.write(text).await?;
            match answer.status() {
                Some(200) => Ok(format!("{contact} has it")),
                _ => bail!("{contact} does not have it: {}", answer.verdict()),
            }
        }
        ("type", Some(open)) => {
            let status = open.types(text != "stop").await?;
            Ok(format!("told {contact}, who answered {status}"))
        }
        (_, Some(open)) => {
            let status = open.leave().await?;
            Ok(format!("left; {contact} answered {status}"))
        }
        (_, None) => bail!("there is no open conversation with {contact}"),
    }
}

fn reply(user: &User, how: &str, seconds: Option<&str>) -> Result<String> {
    let seconds = seconds.map_or(Ok(0), str::parse);
    let seconds = seconds.context(misused("reply"))?;
    let after = std::time::Duration::from_secs(seconds);
    let reply = match how {
        "accept" => Reply::Accept {
            after,
            endpoints: 1,
        },
        "ring" => Reply::Ring,
        _ => bail!("{how:?} is neither accept nor ring"),
    };
    let said = match &reply {
        Reply::Accept { after, .. } => format!("invitations are taken after {} s", after.as_secs()),
        Reply::Ring => "invitations ring, and nobody takes them".to_owned(),
    };
    user.replies(reply);
    Ok(said)
}

fn refuse(user: &User, method: &str, status: &str) -> Result<String> {
    let known = ["INVITE", "MESSAGE", "INFO", "SUBSCRIBE", "NOTIFY", "BYE"];
    let found = known.into_iter().find(|known| *known == method);
    let method = found.with_context(|| format!("{method} is none of {}", known.join(", ")))?;
    let refusal: Option<u16> = match status {
        "none" => None,
        status => Some(status.parse().context(misused("refuse"))?),
    };
    let is_status = |status: u16| (300..700).contains(&status);
    ensure!(
        refusal.is_none_or(is_status),
        "a refusal is from 300 to 699"
    );
    user.refuses(method, refusal.map(Refusal::of));
    Ok(match refusal {
        None => format!("{method} is taken"),
        Some(status) => format!("{method} is refused with {status}"),
    })
}

fn number(state: &str) -> Result<u32> {
    Ok(match state {
        "available" => 3500,
        "idle" => 5000,
        "busy" => 6500,
        "dnd" => 9500,
        "brb" => 12_500,
        "away" => 15_500,
        "offline" => 18_500,
        other => match other.parse() {
            Ok(number) => number,
            Err(_) => bail!(
                "{other:?} is none of available, idle, busy, dnd, brb, away, offline, and no number"
            ),
        },
    })
}

fn sees(user: &User, contact: &str) -> String {
    let lines = user.sees(contact).into_iter().map(|seen| match seen {
        Some(seen) => looks(&seen),
        None => "nothing yet".to_owned(),
    });
    list(lines.collect(), "is not watched; add or look")
}

/// How a contact looks.
fn looks(seen: &Rendered) -> String {
    let mut line = match seen.light {
        Light::Available => "available",
        Light::Idle => "idle",
        Light::BeRightBack => "be right back",
        Light::Busy => "busy",
        Light::DoNotDisturb => "do not disturb",
        Light::Away => "away",
        Light::Offline => "offline",
    }
    .to_owned();
    for (name, text) in [("note", &seen.note), ("name", &seen.name)] {
        if !text.is_empty() {
            // Writing into a string does not fail.
            write!(line, ", {name} \"{text}\"").ok();
        }
    }
    line
}

fn users(sim: &Sim) -> String {
    let users = crate::inbox::locked(&sim.shared.users);
    let lines = users.iter().map(|(name, account)| {
        let (domain, count) = (&sim.setup().domain, account.endpoints.len());
        let looks = account.state.availability;
        format!("{name}@{domain} at {count} endpoints, state {looks}")
    });
    list(lines.collect(), "nobody is signed in")
}

/// News for people.
pub fn words_of(news: &News) -> String {
    match news {
        News::Asks { watcher, name } => format!("\"{name}\" <{watcher}> added you"),
        News::Sees {
            epid,
            contact,
            rendered,
        } => format!("[{epid}] {contact} is {}", looks(rendered)),
        News::Invited(from) => format!("{from} opens a conversation"),
        News::Text { from, text, .. } => format!("{from}: {text}"),
        News::Types(from, true) => format!("{from} is typing"),
        News::Types(from, false) => format!("{from} has stopped typing"),
        News::Left(from) => format!("{from} has left"),
    }
}

fn rate(meter: &Meter) -> String {
    format!(
        "most in a second {}, in all {}",
        meter.most(),
        meter.total()
    )
}

fn list(lines: Vec<String>, none: &str) -> String {
    match lines.is_empty() {
        true => none.to_owned(),
        false => lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_says_how_it_is_written() {
        for (command, wanted) in [
            ("add", "it is written: add USER CONTACT"),
            ("presence", "it is written: presence USER STATE [NOTE]"),
            ("reply", "it is written: reply USER accept|ring [SECONDS]"),
            ("direct", "it is written: direct FQDN"),
            ("dance", "there is no command \"dance\"; help lists them"),
        ] {
            assert_eq!(misused(command), wanted);
        }
    }
}
