//! How TLS is spoken with a peer. Doc comments speak to operators, as in [`super::schema`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use translators::model::Side;

use crate::config::document::Path;
use crate::config::fault::Fault;
use crate::config::loader::Loader;
use crate::config::schema::Peer;
use crate::config::{Engine as CoreEngine, TlsChoice, TlsTerms};

/// How TLS is spoken with a peer.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// TLS versions spoken with it.
    pub versions: Versions,
    /// Which implementation speaks it.
    pub engine: Engine,
}

/// TLS versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Versions {
    /// 1.2 and 1.3; 1.2 with peers whose 1.3 is known to break.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// 1.2 only.
    #[serde(rename = "1.2")]
    Only12,
    /// 1.3 only.
    #[serde(rename = "1.3")]
    Only13,
}

/// Implementations of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The usual one: forward secrecy and authenticated encryption only.
    #[default]
    Rustls,
    /// SIP only: OpenSSL with the older cipher suites of TLS 1.2 that Windows Server 2012 R2 and
    /// older are limited to.
    Compat,
}

/// The terms of TLS with a peer; what contradicts itself is found and left at its default.
pub(super) fn load(loader: &mut Loader<'_>, path: &Path, peer: &Peer, side: Side) -> TlsTerms {
    let versions = match peer.tls.versions {
        Versions::Auto => TlsChoice::Auto,
        Versions::Only12 => TlsChoice::Only12,
        Versions::Only13 => TlsChoice::Only13,
    };
    let engine = engine(loader, path, peer, side);
    let legacy = legacy(loader, path, peer, side);
    TlsTerms {
        versions,
        engine,
        legacy: legacy && engine == CoreEngine::Compat,
    }
}

fn engine(loader: &mut Loader<'_>, path: &Path, peer: &Peer, side: Side) -> CoreEngine {
    if peer.tls.engine == Engine::Rustls {
        return CoreEngine::Rustls;
    }
    let path = path.key("tls").key("engine");
    if side == Side::Xmpp {
        let sentence = "engine = \"compat\" means nothing for a peer on side xmpp.";
        loader.error(Fault::WrongSide, &path, sentence, "Remove it.");
        return CoreEngine::Rustls;
    }
    if !cfg!(feature = "compat-tls") {
        let sentence = "This program was built without the engine \"compat\".";
        let fix = "Use a build with the cargo feature compat-tls, which the packages have.";
        loader.error(Fault::EngineMissing, &path, sentence, fix);
        return CoreEngine::Rustls;
    }
    if peer.tls.versions == Versions::Only13 {
        let sentence = "The engine \"compat\" speaks no TLS 1.3, and versions allows nothing else.";
        let fix = "Leave versions at \"auto\", or the engine at \"rustls\".";
        loader.error(Fault::TlsContradiction, &path, sentence, fix);
    }
    CoreEngine::Compat
}

fn legacy(loader: &mut Loader<'_>, path: &Path, peer: &Peer, side: Side) -> bool {
    let path = path.key("legacy_tls");
    if !peer.legacy_tls || side == Side::Xmpp {
        return false;
    }
    if peer.tls.engine == Engine::Rustls {
        let sentence = "legacy_tls needs the engine \"compat\": no other speaks TLS 1.0 and 1.1.";
        let fix = "Write tls = { engine = \"compat\" } beside it, or remove it.";
        loader.error(Fault::TlsContradiction, &path, sentence, fix);
        return false;
    }
    let sentence =
        "TLS 1.0 and 1.1 are spoken with this peer; whoever stands between can weaken them.";
    let fix =
        "Have TLS 1.2 switched on there, and remove legacy_tls (docs/runbooks/legacy-tls.md).";
    loader.warn(Fault::LegacyTls, &path, sentence, fix);
    true
}

#[cfg(test)]
mod tests {
    use translators::model::PeerId;

    use crate::config::load_text;
    use crate::config::testing::{NOW, WORKING, folder};
    use crate::config::{TlsChoice, TlsTerms};

    /// The terms of the SIP peer, if the file can run, and the ids of all findings.
    fn terms(of_sip: &str, of_xmpp: &str) -> (Option<TlsTerms>, Vec<&'static str>) {
        let folder = folder();
        let text = WORKING
            .replace("page_limit = 8000", of_sip)
            .replace("settle = \"250ms\"", of_xmpp);
        let (config, findings) = load_text(&folder.path().join("isthmus.toml"), &text, NOW);
        let terms = config.map(|config| config.peers[&PeerId::new("kamailio")].tls);
        let ids = findings.iter().map(|finding| finding.id).collect();
        (terms, ids)
    }

    #[test]
    fn without_a_word_rustls_speaks_what_it_can() {
        let versions = terms("tls = { versions = \"1.2\" }", "").0.unwrap();

        assert_eq!(terms("", ""), (Some(TlsTerms::default()), Vec::new()));
        assert_eq!(versions.versions, TlsChoice::Only12);
    }

    #[test]
    fn a_text_where_the_table_should_be_is_found() {
        assert_eq!(
            terms("tls = \"1.2\"", ""),
            (None, vec!["config-wrong-type"])
        );
    }

    #[test]
    fn legacy_needs_the_engine_that_can_speak_it() {
        let (none, findings) = terms("legacy_tls = true", "");

        assert_eq!((none, findings), (None, vec!["config-tls-contradiction"]));
    }

    #[test]
    fn the_xmpp_side_has_one_engine() {
        let compat = "tls = { engine = \"compat\" }";

        assert_eq!(terms("", compat).1, ["config-wrong-side"]);
        assert_eq!(terms("", "legacy_tls = true").1, ["config-wrong-side"]);
    }

    #[cfg(feature = "compat-tls")]
    #[test]
    fn compat_is_an_engine_of_tls_1_2_and_with_legacy_of_less() {
        let compat = terms("tls = { engine = \"compat\" }", "");
        let only_13 = "tls = { engine = \"compat\", versions = \"1.3\" }";
        let legacy = terms("tls = { engine = \"compat\" }\nlegacy_tls = true", "");

        assert_eq!(compat.1, [""; 0]);
        assert!(!compat.0.unwrap().legacy);
        assert_eq!(terms(only_13, "").1, ["config-tls-contradiction"]);
        assert_eq!(legacy.1, ["config-legacy-tls"]);
        assert!(legacy.0.unwrap().legacy);
    }

    #[cfg(not(feature = "compat-tls"))]
    #[test]
    fn an_engine_that_was_left_out_is_found() {
        let compat = terms("tls = { engine = \"compat\" }", "");

        assert_eq!(compat, (None, vec!["config-engine-missing"]));
    }
}
