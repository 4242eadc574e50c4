//! The list of who was watched through an administrative address, and by whom.

use std::collections::BTreeSet;

/// First line of a list.
const HEAD: [&str; 2] = ["admin-watcher", "1"];

/// What a list says, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// The address under which XMPP users were watched.
    pub(super) xmpp_admin: Option<String>,
    /// The address under which SIP users were watched.
    pub(super) sip_admin: Option<String>,
    /// Who watched whom.
    pub(super) entries: Vec<Entry>,
    /// Users who were watched, by nobody who is known.
    pub(super) orphans: Vec<String>,
}

/// One watcher and one whom he watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Who watched.
    pub(super) watcher: String,
    /// Who was watched.
    pub(super) presentity: String,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {sentence}")]
pub(in crate::ctl) struct Fault {
    line: usize,
    sentence: &'static str,
}

impl List {
    /// Reads a list, or says everything that is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, Vec<Fault>> {
        let mut list = Self::default();
        let lines = (1..).zip(text.lines().map(words));
        let mut lines = lines.filter(|(_, words)| !words.is_empty());
        let head = lines.next();
        let begins = head.as_ref().is_some_and(|(_, words)| *words == HEAD);
        let line = head.map_or(1, |(line, _)| line);
        let sentence = "a list begins with: admin-watcher 1";
        let mut faults: Vec<Fault> = (!begins)
            .then_some(Fault { line, sentence })
            .into_iter()
            .collect();
        for (line, words) in lines {
            let fault = list.take(&words).err();
            faults.extend(fault.map(|sentence| Fault { line, sentence }));
        }
        list.tidy();
        if faults.is_empty() {
            Ok(list)
        } else {
            Err(faults)
        }
    }

    fn take(&mut self, words: &[&str]) -> Result<(), &'static str> {
        match words {
            ["admin", "xmpp", address] => only(&mut self.xmpp_admin, address),
            ["admin", "sip", address] => only(&mut self.sip_admin, address),
            ["watch", watcher, presentity] => {
                self.entries.push(Entry {
                    watcher: (*watcher).to_owned(),
                    presentity: (*presentity).to_owned(),
                });
                Ok(())
            }
            ["watched", presentity] => {
                self.orphans.push((*presentity).to_owned());
                Ok(())
            }
            _ => Err(
                "write: admin xmpp|sip ADDRESS, watch WATCHER PRESENTITY, or watched PRESENTITY",
            ),
        }
    }

    /// Leaves out what is said twice; whoever has a watcher is no orphan.
    fn tidy(&mut self) {
        let mut seen = BTreeSet::new();
        self.entries.retain(|entry| seen.insert(entry.clone()));
        let watched: BTreeSet<String> = seen.into_iter().map(|entry| entry.presentity).collect();
        self.orphans.retain(|user| !watched.contains(user));
        self.orphans.sort_unstable();
        self.orphans.dedup();
    }
}

/// The words of a line without its comment.
fn words(line: &str) -> Vec<&str> {
    let said = line.split('#').next().unwrap_or_default();
    said.split_whitespace().collect()
}

fn only(place: &mut Option<String>, address: &str) -> Result<(), &'static str> {
    match place.replace(address.to_owned()) {
        None => Ok(()),
        Some(_) => Err("there is one such address only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_addresses_entries_and_orphans() {
        let list = List::read(
            "# exported on Friday\nadmin-watcher 1\n\nadmin xmpp presence@sip.example\n\
             admin sip sip:presence@xmpp.example # of the old server\n\
             watch\tjuliet@xmpp.example\tsip:romeo@sip.example\n\
             watch juliet@xmpp.example sip:romeo@sip.example\n\
             watched sip:romeo@sip.example\nwatched nurse@xmpp.example\nwatched nurse@xmpp.example\n",
        );

        let list = list.unwrap();
        assert_eq!(list.xmpp_admin.as_deref(), Some("presence@sip.example"));
        assert_eq!(list.sip_admin.as_deref(), Some("sip:presence@xmpp.example"));
        let entry = Entry {
            watcher: "juliet@xmpp.example".to_owned(),
            presentity: "sip:romeo@sip.example".to_owned(),
        };
        assert_eq!(list.entries, [entry]);
        assert_eq!(list.orphans, ["nurse@xmpp.example"]);
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let faults =
            List::read("watch a@x.example b@y.example\nadmin xmpp a\nadmin xmpp b\nwatch c\n");

        let lines: Vec<_> = faults.unwrap_err().iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 3, 4]);
        assert_eq!(List::read("\n# nothing\n").unwrap_err().len(), 1);
        assert!(List::read("admin-watcher 2\n").is_err());
    }
}
