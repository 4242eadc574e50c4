//! The console: one line is one command, and every line is answered.

use std::fmt::Write;

use anyhow::{Context, Result, bail};

use super::conversation::Conversation;
use super::documents::State;
use super::meter::Meter;
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
discovered | enhanced | direct FQDN   how the partner is known
diagnostics on|off             send ms-diagnostics to partners
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
        (_, [name, rest @ ..]) => {
            let user = sim.user(name);
            let user = user.with_context(|| format!("{name} is not signed in; try help"))?;
            of_user(sim, &user, command, rest).await
        }
        (_, []) => bail!("{command:?} is no command, or lacks words; try help"),
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
        _ => bail!("{command} lacks a word; try help"),
    };
    let said = format!("the partner is {federation:?}");
    sim.change(|conduct| conduct.federation = federation);
    Ok(said)
}

/// Commands about one user.
async fn of_user(sim: &Sim, user: &User, command: &str, words: &[&str]) -> Result<String> {
    match (command, words) {
        ("presence", [state, note @ ..]) => {
            let state = State::new(number(state)?, "", &note.join(" "));
            user.publish(state).await;
            Ok("published".to_owned())
        }
        ("add", [contact]) => user.add(contact).await.map(|()| "subscribed".to_owned()),
        ("look", [contact]) => user
            .look_at(contact)
            .await
            .map(|()| "subscribed".to_owned()),
        ("remove", [contact]) => user.remove(contact).await.map(|()| "removed".to_owned()),
        ("sees", [contact]) => Ok(sees(user, contact)),
        ("watchers", _) => {
            let name = user.aor();
            let name = name.split('@').next().unwrap_or_default();
            let lines = sim.watchers(name).into_iter().map(|watched| {
                format!(
                    "{} {:?} {} s",
                    watched.watcher, watched.form, watched.granted
                )
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
            let count: usize = count.first().map_or(Ok(10), |count| count.parse())?;
            let all: Vec<String> = user.news().all().iter().map(words_of).collect();
            let skipped = all.len().saturating_sub(count);
            Ok(list(all.into_iter().skip(skipped).collect(), "no news"))
        }
        ("reply", [how, seconds @ ..]) => reply(user, how, seconds.first().copied()),
        ("refuse", [method, status]) => refuse(user, method, status),
        ("start" | "say" | "type" | "leave", [contact, text @ ..]) => {
            talk(user, command, contact, &text.join(" ")).await
        }
        _ => bail!("{command:?} is no command, or lacks words; try help"),
    }
}

async fn talk(user: &User, command: &str, contact: &str, text: &str) -> Result<String> {
    let open = user.conversation(contact);
    let status = match (command, open) {
        ("start", _) | ("say", None) => {
            let conversation: Conversation = user.start(contact, text).await?;
            return Ok(format!("a conversation with {}", conversation.with()));
        }
        ("say", Some(open)) => open.say(text).await?,
        ("type", Some(open)) => open.types(text != "stop").await?,
        (_, Some(open)) => open.leave().await?,
        (_, None) => bail!("no conversation with {contact}"),
    };
    Ok(format!("answered {status}"))
}

fn reply(user: &User, how: &str, seconds: Option<&str>) -> Result<String> {
    let seconds = seconds.map_or(Ok(0), str::parse)?;
    let after = std::time::Duration::from_secs(seconds);
    let reply = match how {
        "accept" => Reply::Accept {
            after,
            endpoints: 1,
        },
        "ring" => Reply::Ring,
        _ => bail!("{how:?} is neither accept nor ring"),
    };
    let said = format!("invitations: {reply:?}");
    user.replies(reply);
    Ok(said)
}

fn refuse(user: &User, method: &str, status: &str) -> Result<String> {
    let known = ["INVITE", "MESSAGE", "INFO", "SUBSCRIBE", "NOTIFY", "BYE"];
    let found = known.into_iter().find(|known| *known == method);
    let method = found.with_context(|| format!("{method} is none of {known:?}"))?;
    let refusal = match status {
        "none" => None,
        status => Some(Refusal::of(status.parse()?)),
    };
    user.refuses(method, refusal);
    Ok(format!("{method}: {status}"))
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
        other => other.parse().context("no such state; try help")?,
    })
}

fn sees(user: &User, contact: &str) -> String {
    let lines = user.sees(contact).into_iter().map(|seen| match seen {
        Some(seen) => {
            let mut line = format!("{:?}", seen.light);
            for (name, text) in [("note", &seen.note), ("name", &seen.name)] {
                if !text.is_empty() {
                    // Writing into a string does not fail.
                    write!(line, ", {name} \"{text}\"").ok();
                }
            }
            line
        }
        None => "nothing yet".to_owned(),
    });
    list(lines.collect(), "does not watch")
}

fn users(sim: &Sim) -> String {
    let users = crate::inbox::locked(&sim.shared.users);
    let lines = users.iter().map(|(name, account)| {
        format!(
            "{name}@{} at {} endpoints",
            sim.setup().domain,
            account.endpoints.len()
        )
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
        } => format!(
            "[{epid}] {contact} is {:?} \"{}\"",
            rendered.light, rendered.note
        ),
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
