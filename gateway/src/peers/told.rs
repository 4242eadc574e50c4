//! What a Microsoft peer says about what it refuses.

use std::collections::VecDeque;
use std::time::Duration;

use translators::mapping::failure::{Known, explain, explain_bare_504};
use translators::model::{Mono, Now, Wall};
use translators::sip::Response;
use translators::sip::microsoft::Diagnostic;

/// A refusal and what was said about it, as often as it came.
#[derive(Clone, Debug)]
pub struct Told {
    /// Status of the answer.
    pub status: u16,
    /// Method of the request that was refused.
    pub method: String,
    /// The reasons, in the order of the servers that gave them; empty if none was given.
    pub diagnostics: Vec<Diagnostic>,
    /// When it came first.
    pub first: Wall,
    /// When it came last.
    pub last: Wall,
    /// How often it came.
    pub count: u64,
    /// When the log had it last.
    logged: Mono,
}

impl Told {
    /// What an answer that is no success says, if it says something about the servers and not about a
    /// user: it has reasons, or is one that stands for itself.
    pub fn of(response: &Response, now: Now) -> Option<Self> {
        let status = response.status();
        let diagnostics = Diagnostic::all_of(response);
        let speaks = !diagnostics.is_empty() || matches!(status, 403 | 504 | 606);
        (!(200..300).contains(&status) && speaks).then(|| Self {
            status,
            method: response.cseq().map_or("", |cseq| cseq.method).to_owned(),
            diagnostics,
            first: now.wall,
            last: now.wall,
            count: 1,
            logged: now.mono,
        })
    }

    /// What is known of each reason, or of there being none.
    pub fn known(&self) -> Vec<(Option<u32>, Option<Known>)> {
        if self.diagnostics.is_empty() {
            let known = explain_bare_504().filter(|_| self.status == 504);
            return vec![(None, known)];
        }
        let reasons = self.diagnostics.iter();
        reasons.map(|one| (Some(one.id), explain(one.id))).collect()
    }

    fn is_like(&self, other: &Self) -> bool {
        let ids = |told: &Self| -> Vec<(u32, Option<String>)> {
            let reasons = told.diagnostics.iter();
            reasons.map(|one| (one.id, one.source.clone())).collect()
        };
        self.status == other.status && self.method == other.method && ids(self) == ids(other)
    }
}

/// The last refusals of a peer, each kind once, the newest last.
#[derive(Debug, Default)]
pub(super) struct Tales(VecDeque<Told>);

impl Tales {
    /// Takes note of a refusal; true if the log should have it, since it is new or has not been told
    /// for a while.
    pub(super) fn add(&mut self, mut told: Told) -> bool {
        let known = self.0.iter().position(|one| one.is_like(&told));
        let before = known.and_then(|at| self.0.remove(at));
        let mut is_news = true;
        if let Some(before) = before {
            is_news = told.logged.since(before.logged) >= TELL_AGAIN;
            told.first = before.first;
            told.count = before.count.saturating_add(1);
            if !is_news {
                told.logged = before.logged;
            }
        }
        if self.0.len() >= KINDS {
            self.0.pop_front();
        }
        self.0.push_back(told);
        is_news
    }

    /// Them, the newest last.
    pub(super) fn all(&self) -> Vec<Told> {
        self.0.iter().cloned().collect()
    }
}

/// Kinds of refusals remembered per peer: all that have a row of their own, and some more.
const KINDS: usize = 64;
/// Time after which the log tells the same again.
const TELL_AGAIN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use translators::sip::Message;

    use super::*;
    use crate::peers::testing::at;

    fn told(status: &str, headers: &str, seconds: u64) -> Option<Told> {
        let text =
            format!("SIP/2.0 {status}\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n");
        let Ok(Message::Response(response)) = Message::parse(Bytes::from(text)) else {
            panic!("a response");
        };
        let now = Now {
            mono: at(seconds),
            wall: Wall::from_unix_millis(i64::try_from(seconds).unwrap() * 1_000),
        };
        Told::of(&response, now)
    }

    #[test]
    fn what_speaks_of_servers_is_kept_and_what_speaks_of_users_is_not() {
        let reason = "ms-diagnostics: 1009;source=\"edge\"\r\n";
        assert!(told("404 Not Found", reason, 0).is_some());
        assert!(told("504 Server time-out", "", 0).is_some());
        assert!(told("403 Forbidden", "", 0).is_some());
        assert!(told("404 Not Found", "", 0).is_none());
        assert!(told("480 Away", "", 0).is_none());
        assert!(told("200 OK", reason, 0).is_none());
        assert!(told("101 Progress Report", reason, 0).is_some());
        assert!(told("180 Ringing", "", 0).is_none());
    }

    #[test]
    fn the_same_is_counted_and_told_again_after_a_while() {
        let mut tales = Tales::default();
        let bare = |seconds| told("504 Server time-out", "", seconds).unwrap();

        assert!(tales.add(bare(0)));
        assert!(!tales.add(bare(299)));
        assert!(tales.add(told("504 x", "ms-diagnostics: 1010\r\n", 299).unwrap()));
        assert!(tales.add(bare(300)));
        assert!(!tales.add(bare(599)));

        let all = tales.all();
        assert_eq!(all.len(), 2);
        let last = all.last().unwrap();
        assert_eq!((last.count, last.first.unix_millis()), (4, 0));
        assert_eq!(last.last.unix_millis(), 599_000);
        assert_eq!(last.known()[0].1.unwrap().ids, "bare-504");
        assert_eq!(all[0].known()[0].0, Some(1_010));
    }

    #[test]
    fn no_more_than_so_many_kinds_are_kept() {
        let mut tales = Tales::default();
        for id in 0..100 {
            let header = format!("ms-diagnostics: {id}\r\n");
            assert!(tales.add(told("504 x", &header, 0).unwrap()));
        }
        assert_eq!(tales.all().len(), KINDS);
        assert_eq!(tales.all()[0].diagnostics[0].id, 36);
    }
}
