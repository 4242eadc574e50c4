//! A transition table as data, and the rows that the code names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One line: columns row, state, event, condition, sip_out, xmpp_out, next, source.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// States it is about; empty for every one.
    pub(crate) states: Vec<String>,
    pub(crate) event: String,
    /// Words that tell the situation apart.
    pub(crate) conditions: Vec<String>,
    pub(crate) sip: Vec<String>,
    pub(crate) xmpp: Vec<String>,
    pub(crate) next: String,
}

impl Row {
    pub(crate) fn is_about(&self, state: &str) -> bool {
        self.states.is_empty() || self.states.iter().any(|one| one == state)
    }
}

/// Reads a table; its heading is checked.
pub(crate) fn read(text: &str) -> Vec<Row> {
    let mut lines = text.lines();
    let heading = "row\tstate\tevent\tcondition\tsip_out\txmpp_out\tnext\tsource";
    assert_eq!(lines.next(), Some(heading));
    lines.map(row).collect()
}

fn row(line: &str) -> Row {
    let fields: Vec<&str> = line.split('\t').collect();
    assert_eq!(fields.len(), 8, "{line}");
    assert!(!fields[7].is_empty(), "a source is missing: {line}");
    let states = fields[1].split('/').filter(|state| *state != "any");
    Row {
        id: fields[0].to_owned(),
        states: states.map(str::to_owned).collect(),
        event: fields[2].to_owned(),
        conditions: fields[3].split_whitespace().map(str::to_owned).collect(),
        sip: list(fields[4]),
        xmpp: list(fields[5]),
        next: fields[6].to_owned(),
    }
}

fn list(text: &str) -> Vec<String> {
    let items = text.split(", ").filter(|item| *item != "-");
    items.map(str::to_owned).collect()
}

/// The rows that comments of these files, or of all files of these folders, name as
/// `row 9` or `rows 9, 10 and 11a`. Paths are below `src`.
pub(crate) fn named_in(paths: &[&str]) -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named = BTreeSet::new();
    for path in paths {
        let path = source.join(path);
        let files: Vec<_> = if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        } else {
            vec![path]
        };
        for file in files.iter().filter(|file| file.is_file()) {
            let text = fs::read_to_string(file).unwrap();
            let comments = text.lines().filter_map(|line| line.split_once("//"));
            named.extend(comments.flat_map(|(_, comment)| rows_of(comment)));
        }
    }
    named
}

fn rows_of(comment: &str) -> Vec<String> {
    let comment = comment.to_ascii_lowercase();
    let Some((_, rest)) = comment.split_once("row") else {
        return Vec::new();
    };
    let words = rest.trim_start_matches('s').split([' ', ',', ':', '.']);
    let words = words.filter(|word| !word.is_empty() && *word != "and");
    let rows = words.take_while(|word| {
        let letters = word.trim_start_matches(|c: char| c.is_ascii_digit());
        letters.len() < word.len() && letters.len() <= 1
    });
    rows.map(str::to_owned).collect()
}

#[test]
fn comments_name_rows() {
    assert_eq!(rows_of(" row 9"), ["9"]);
    assert_eq!(rows_of(" rows 9, 10 and 11a: why"), ["9", "10", "11a"]);
    assert_eq!(rows_of("/ It has ended: row 29."), ["29"]);
    assert!(rows_of(" a row of trees").is_empty());
}
