//! The corpora of the fuzz targets, replayed: each input keeps every promise of its target.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use translators::fuzzing;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");

/// Runs the target on every input of its corpus, and on each of them cut short.
fn replay(target: &str, body: fn(&[u8])) {
    let mut inputs = 0;
    for entry in fs::read_dir(Path::new(CORPUS).join(target)).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        let data = fs::read(path).unwrap();
        body(&data);
        for cut in (0..data.len()).step_by(7) {
            body(data.get(..cut).unwrap());
        }
        inputs += 1;
    }
    assert!(inputs >= 4, "{target} has no corpus");
}

#[test]
fn sip_framing() {
    replay("sip_framing", fuzzing::sip_framing);
}

#[test]
fn sip_message() {
    replay("sip_message", fuzzing::sip_message);
}

#[test]
fn conversation() {
    replay("conversation", fuzzing::conversation);
}

#[test]
fn uri() {
    replay("uri", fuzzing::uri);
}

#[test]
fn xmpp_reader() {
    replay("xmpp_reader", fuzzing::xmpp_reader);
}

#[test]
fn xmpp_stream() {
    replay("xmpp_stream", fuzzing::xmpp_stream);
}

#[test]
fn from_xmpp() {
    replay("from_xmpp", fuzzing::from_xmpp);
}

#[test]
fn from_sip() {
    replay("from_sip", fuzzing::from_sip);
}

#[test]
fn presence_document() {
    replay("presence_document", fuzzing::presence_document);
}

#[test]
fn every_target_has_a_corpus_and_a_body() {
    for entry in fs::read_dir(Path::new(CORPUS).join("../fuzz_targets")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(text.contains(&format!("fuzzing::{name}(data)")), "{name}");
        assert!(text.lines().count() <= 10, "{name}");
        assert!(Path::new(CORPUS).join(&name).is_dir(), "{name}");
    }
}

#[test]
fn microsoft_document() {
    replay("microsoft_document", fuzzing::microsoft_document);
}
