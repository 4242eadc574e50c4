//! `meta.toml` of a vector and what this gateway cannot run yet.

use std::fs;
use std::path::Path;

use serde::Deserialize;

/// What `meta.toml` says, as far as the runner needs it.
#[derive(Debug, Deserialize)]
pub(crate) struct Meta {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) inputs: Vec<String>,
    #[serde(default)]
    pub(crate) outputs: Vec<String>,
    #[serde(default)]
    pub(crate) volatile: Vec<String>,
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    pub(crate) setup: Option<Setup>,
}

/// The `[setup]` table: absent for address vectors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    pub(crate) needs: Option<String>,
    #[serde(default)]
    pub(crate) xmpp_domains: Vec<String>,
    #[serde(default)]
    pub(crate) sip_domains: Vec<String>,
    #[serde(default)]
    pub(crate) switches: Vec<String>,
    #[serde(default)]
    pub(crate) before: Vec<Step>,
    #[serde(default)]
    pub(crate) wait: u64,
    pub(crate) advance: Option<u64>,
    pub(crate) confirm: Option<String>,
    #[serde(default)]
    pub(crate) omits: Vec<String>,
}

/// One step before the vector's own inputs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) input: Option<String>,
    #[serde(default)]
    pub(crate) wait: u64,
    pub(crate) advance: Option<u64>,
    #[serde(default)]
    pub(crate) outputs: Vec<String>,
}

impl Meta {
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(folder.join("meta.toml"))
            .map_err(|error| format!("meta.toml: {error}"))?;
        toml::from_str(&text).map_err(|error| format!("meta.toml: {}", error.message()))
    }

    /// Why the vector cannot run: a capability that is not built, else nothing.
    pub(crate) fn skip_reason(&self, folder: &Path) -> Option<String> {
        if let Some(word) = self.setup.as_ref().and_then(|setup| setup.needs.as_ref()) {
            return Some(word.clone());
        }
        if let Some(setup) = &self.setup {
            let known = ["conditional", "cpim", "xhtml_im"];
            let unknown = |switch: &&String| !known.contains(&switch.as_str());
            if let Some(switch) = setup.switches.iter().find(unknown) {
                return Some(switch.clone());
            }
        }
        let files = self.files();
        files.iter().find_map(|file| missing(folder, file))
    }

    fn files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = self
            .inputs
            .iter()
            .chain(&self.outputs)
            .map(String::as_str)
            .collect();
        for step in self.setup.iter().flat_map(|setup| &setup.before) {
            files.extend(step.input.iter().chain(&step.outputs).map(String::as_str));
        }
        files
    }
}

/// The capability that a file of the vector shows to be needed and that is not built.
fn missing(folder: &Path, file: &str) -> Option<String> {
    if file.ends_with(".msrp") {
        return Some("msrp".to_owned());
    }
    let text = fs::read_to_string(folder.join(file)).ok()?;
    if file.ends_with(".xml") {
        return None;
    }
    let method = text
        .lines()
        .find_map(|line| line.strip_prefix("CSeq:"))
        .and_then(|cseq| cseq.split_whitespace().nth(1))?;
    match method {
        "PUBLISH" => Some("publication".to_owned()),
        "REFER" => Some("rooms".to_owned()),
        _ => None,
    }
}
