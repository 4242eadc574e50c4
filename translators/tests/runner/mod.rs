//! Runs golden vectors against the core.
//!
//! A vector is a folder with `meta.toml` and the messages it names. The runner feeds the inputs to
//! a shard with two peers, on virtual time, and compares everything that leaves with the outputs.
//! It reads messages with parsers of its own, so that nothing is judged by what is under test.

mod compare_body;
mod compare_sip;
mod compare_xml;
pub(crate) mod gateway;
pub(crate) mod meta;
mod names;
mod sip;
mod steps;
mod substitute;
mod values;
mod volatile;

use std::fs;
use std::path::{Path, PathBuf};

use translators::address::{self, Spelling};
use translators::sip::SipUri;

use meta::Meta;
use volatile::Volatile;

/// What became of one vector.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) id: String,
    pub(crate) outcome: Outcome,
    /// Names in `volatile` that the runner does not know.
    pub(crate) unknown: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed(Vec<String>),
    Skipped(String),
}

/// Runs every vector of `folder`, by name; or that one, if it is a vector itself.
pub(crate) fn run_all(folder: &Path) -> Result<Vec<Report>, String> {
    if folder.join("meta.toml").is_file() {
        return Ok(vec![run(folder)]);
    }
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir() && !name(path).starts_with('.'))
        .collect();
    folders.sort();
    Ok(folders.iter().map(|folder| run(folder)).collect())
}

fn run(folder: &Path) -> Report {
    let meta = match Meta::read(folder) {
        Ok(meta) => meta,
        Err(error) => {
            let outcome = Outcome::Failed(vec![error]);
            return Report {
                id: name(folder),
                outcome,
                unknown: Vec::new(),
            };
        }
    };
    let volatile = Volatile::new(&meta.volatile);
    let outcome = judge(folder, &meta, &volatile);
    Report {
        id: meta.id,
        outcome,
        unknown: volatile.unknown,
    }
}

fn judge(folder: &Path, meta: &Meta, volatile: &Volatile) -> Outcome {
    if let Some(reason) = meta.skip_reason(folder) {
        return Outcome::Skipped(reason);
    }
    let result = match &meta.setup {
        Some(setup) => steps::run(folder, meta, setup, volatile),
        None => address(folder, meta).map_err(|difference| vec![difference]),
    };
    match result {
        Ok(()) => Outcome::Passed,
        Err(differences) => Outcome::Failed(differences),
    }
}

/// An address vector: one address in, its image out.
fn address(folder: &Path, meta: &Meta) -> Result<(), String> {
    let read = |file: &String| {
        let text =
            fs::read_to_string(folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
        Ok::<_, String>(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let ([input], [output]) = (meta.inputs.as_slice(), meta.outputs.as_slice()) else {
        return Err("an address vector has one input and one output".to_owned());
    };
    let (address, expected) = (read(input)?, read(output)?);
    let image = if input.ends_with(".uri") {
        to_jid(&address)?
    } else {
        to_uri(&address)?
    };
    if image == expected {
        Ok(())
    } else {
        Err(format!("{image}, expected {expected}"))
    }
}

fn to_jid(text: &str) -> Result<String, String> {
    let uri = SipUri::parse(text).map_err(|malformed| malformed.to_string())?;
    let jid = address::to_jid(&uri, uri.param("gr")).map_err(|reject| reject.to_string())?;
    Ok(jid.to_string())
}

fn to_uri(text: &str) -> Result<String, String> {
    let jid = jid::Jid::new(text).map_err(|error| error.to_string())?;
    let uri = address::to_sip(&jid, Spelling::Plain).map_err(|reject| reject.to_string())?;
    Ok(uri.as_str().to_owned())
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
