//! Damaged configurations: each one is either used or explained, and nothing stops the reader.

use super::load_text;
use super::testing::{NOW, WORKING, folder};

/// What takes the place of one character.
const INSTEAD: [&str; 6] = ["", "\"", "\n", "[", "=", "\u{0}"];

#[test]
fn a_file_with_any_character_changed_is_used_or_explained() {
    let folder = folder();
    let file = folder.path().join("isthmus.toml");

    for (place, _) in WORKING.char_indices() {
        let instead = INSTEAD[place % INSTEAD.len()];
        let damaged = format!("{}{instead}{}", &WORKING[..place], &WORKING[place + 1..]);
        let (config, findings) = load_text(&file, &damaged, NOW);
        assert!(config.is_some() || !findings.is_empty(), "{damaged}");
    }
}

#[test]
fn a_file_cut_short_is_used_or_explained() {
    let folder = folder();
    let file = folder.path().join("isthmus.toml");

    for length in 0..WORKING.len() {
        let (config, findings) = load_text(&file, &WORKING[..length], NOW);
        assert!(config.is_some() || !findings.is_empty(), "{length} octets");
    }
}
