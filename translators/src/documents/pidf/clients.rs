//! Documents as clients write them, whose makers read other specifications.

use super::read;
use super::tests::{HEAD, note, open, tuple};
use crate::documents::presence::Reading;
use crate::model::Show;

#[test]
fn words_of_microsofts_clients_are_known_in_both_spellings() {
    for (word, show) in [
        ("berightback", Some(Show::Away)),
        ("be-right-back", Some(Show::Away)),
        ("do-not-disturb", Some(Show::Dnd)),
        ("on-the-phone", Some(Show::Dnd)),
        ("out-of-office", Some(Show::Xa)),
        ("available", None),
    ] {
        let activity = format!("<ep:activities><ep:activity>{word}</ep:activity></ep:activities>");
        assert_eq!(tuple(&open(&activity, "")).show, show, "{word}");
    }
}

#[test]
fn documents_are_read_whatever_their_head_says() {
    let document = format!("{HEAD}{}</presence>", open("", "<note>\u{e9}</note>"));
    let plain = read(document.as_bytes(), Reading::default());
    assert!(plain.as_ref().unwrap().is_some());
    for head in [
        "\u{feff}",
        "<?xml version='1.0' encoding='utf-16'?>",
        "\u{feff}\r\n<?xml version=\"1.0\" encoding=\"us-ascii\" standalone='no'?>\r\n",
        "<!-- <presence> -->",
    ] {
        let headed = format!("{head}{document}");
        assert_eq!(read(headed.as_bytes(), Reading::default()), plain, "{head}");
    }
    let prefixed = "<p:presence xmlns:p='urn:ietf:params:xml:ns:pidf' entity='sip:bob@example.net'>\
        <p:tuple id='0'><p:status><p:basic>open</p:basic><x:activities \
        xmlns:x='urn:ietf:params:xml:ns:pidf:status:rpid-status'><x:activity> Away </x:activity>\
        </x:activities></p:status><p:note>a &lt;b&gt;c&lt;/b&gt;<i xmlns='urn:x'>d</i></p:note></p:tuple></p:presence>";
    let read = read(prefixed.as_bytes(), Reading::default());
    let read = read.unwrap().unwrap();
    let [tuple] = read.tuples() else {
        panic!("{read:?}");
    };
    assert_eq!(tuple.show, Some(Show::Away));
    assert_eq!(*tuple.notes, [note(None, "a <b>c</b>d")]);
}
