//! Damaged configurations: each one is either used or explained, and nothing stops the reader.

use super::load_text;
use super::testing::{NOW, WORKING, folder};

/// What takes the place of one character.
const INSTEAD: [&str; 6] = ["", "\"", "\n", "[", "=", "\u{0}"];

#[test]
fn a_file_with_any_character_changed_is_used_or_explained() {
    let folder = folder();
    let file = folder.path().join("isthmus.toml");

    for place in 0..WORKING.len() {
        let instead = INSTEAD[place % INSTEAD.len()];
        let mut damaged = WORKING.to_owned();
        damaged.replace_range(place..=place, instead);
        let (config, findings) = load_text(&file, &damaged, NOW);
        assert!(config.is_some() || !findings.is_empty(), "{damaged}");
    }
}

#[test]
fn a_file_cut_short_is_used_or_explained() {
    let folder = folder();
    let file = folder.path().join("isthmus.toml");

    for length in 0..WORKING.len() {
        let mut text = WORKING.to_owned();
        text.truncate(length);
        let (config, findings) = load_text(&file, &text, NOW);
        assert!(config.is_some() || !findings.is_empty(), "{length} octets");
    }
}
