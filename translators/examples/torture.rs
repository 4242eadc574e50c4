//! Prints a verdict on every file of a folder: `FILE accept` or `FILE refuse: reason`.
//!
//! Each file holds the bytes of a stream that ends behind them; its first message is judged.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use translators::sip::judge;

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1);
    let folder = folder.ok_or_else(|| io::Error::other("usage: torture FOLDER"))?;
    for file in files(Path::new(&folder))? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        match judge(&fs::read(&file)?) {
            Ok(()) => println!("{name} accept"),
            Err(malformed) => println!("{name} refuse: {malformed}"),
        }
    }
    Ok(())
}

/// The files of `folder` by name, hidden ones and folders left out.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if path.is_file() && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
