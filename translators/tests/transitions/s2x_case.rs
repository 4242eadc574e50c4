//! Rows of the table.

/// One row for one state.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) row: String,
    pub(crate) state: &'static str,
    pub(crate) event: &'static str,
    pub(crate) condition: &'static str,
    sip_out: &'static str,
    xmpp_out: &'static str,
    next: &'static str,
}

/// What a machine did, or is to do: on SIP, on XMPP, and the state after it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) sip: Vec<String>,
    pub(crate) xmpp: Vec<String>,
    pub(crate) next: String,
}

/// Reads a line: one case for each of its states.
pub(crate) fn read(line: &'static str) -> Vec<Case> {
    let cells: Vec<_> = line.split('\t').collect();
    let [
        row,
        states,
        event,
        condition,
        sip_out,
        xmpp_out,
        next,
        source,
    ] = cells[..]
    else {
        panic!("eight cells: {line}");
    };
    assert!(!source.is_empty(), "{line}");
    let case = |state| Case {
        row: row.to_owned(),
        state,
        event,
        condition: if condition == "-" { "" } else { condition },
        sip_out,
        xmpp_out,
        next,
    };
    states.split(' ').map(case).collect()
}

impl Case {
    pub(crate) fn expected(&self) -> Done {
        let next = if self.next == "same" {
            self.state
        } else {
            self.next
        };
        Done {
            sip: outputs(self.sip_out),
            xmpp: outputs(self.xmpp_out),
            next: next.to_owned(),
        }
    }

    /// The same case with a watcher of the Microsoft profile, and what is expected of it: whatever
    /// withholds or ends presence carries a closed document, and answers carry documents.
    pub(crate) fn of_microsoft(&self) -> (Self, Done) {
        let separator = if self.condition.is_empty() { "" } else { ", " };
        let condition = format!("{}{separator}microsoft, piggyback", self.condition);
        let mut done = self.expected();
        for one in &mut done.sip {
            *one = one.replace("NOTIFY pending", "NOTIFY closed");
            if one.starts_with("NOTIFY terminated") {
                *one = one.replace(" empty", " closed");
            }
        }
        // What an answer carries needs no NOTIFY.
        if let [granted, shown, ..] = &mut done.sip[..]
            && granted == "200"
            && let Some(what) = shown.strip_prefix("NOTIFY ")
            && !what.starts_with("terminated")
        {
            *granted = format!("200 {what}");
            done.sip.remove(1);
        }
        let case = Self {
            condition: condition.leak(),
            ..self.clone()
        };
        (case, done)
    }

    /// Whether the condition is this one with words of the Microsoft profile.
    pub(crate) fn is_also(&self, condition: &str) -> bool {
        let dialect = ["microsoft", "piggyback"];
        let words = self.condition.split(", ");
        let words: Vec<_> = words.filter(|word| !dialect.contains(word)).collect();
        words.join(", ") == condition
    }

    /// Whether the condition names this among others.
    pub(crate) fn says(&self, word: &str) -> bool {
        self.condition.split(", ").any(|part| part == word)
    }
}

/// Reads outputs: `probe x3; NOTIFY current`.
fn outputs(cell: &str) -> Vec<String> {
    let one = |text: &str| match text.split_once(" x") {
        Some((text, times)) => vec![text.to_owned(); times.parse().unwrap()],
        None => vec![text.to_owned()],
    };
    cell.split("; ")
        .filter(|text| *text != "-")
        .flat_map(one)
        .collect()
}
