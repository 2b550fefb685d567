//! Finding, reading and checking a definition: shared by every command that starts from one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::check::{Surroundings, check};
use model::parse::{Parsed, parse};
use model::problem::{Problem, render_problems};

use crate::error::{Failure, Fault};

/// A definition that passed every check that needs no packages.
pub struct Checked {
    /// What it says, and where.
    pub parsed: Parsed,
    /// The folder it is in.
    pub folder: PathBuf,
    file: PathBuf,
    text: String,
}

impl Checked {
    /// The text as the maker wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Problems that were found later, at their places.
    pub fn problems_failure(&self, problems: &[Problem]) -> Failure {
        problems_failure(problems, &self.file, &self.text)
    }
}

/// Reads and checks the definition at a folder or file.
pub fn read_definition(place: &Path) -> Result<Checked, Failure> {
    let file = if place.is_dir() { place.join("appliance.toml") } else { place.to_owned() };
    let text = fs::read_to_string(&file).map_err(|error| {
        let message = format!("can not read the definition `{}`", file.display());
        let failure = Failure { causes: vec![error.to_string()], ..Failure::new(Fault::User, message) };
        failure.hint("`ampoule init NAME` writes a small one to start from")
    })?;
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let parsed = parse(&text).map_err(|problems| problems_failure(&problems, &file, &text))?;
    let problems = check(&parsed, &Beside { folder: &folder });
    if problems.is_empty() {
        Ok(Checked { parsed, folder, file, text })
    } else {
        Err(problems_failure(&problems, &file, &text))
    }
}

fn problems_failure(problems: &[Problem], file: &Path, text: &str) -> Failure {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    let path = file.display().to_string();
    Failure::new(Fault::Definition, format!("`{path}` has {count}"))
        .detail(render_problems(problems, &path, text))
        .unchanged("nothing was written")
}

/// The files beside a definition.
struct Beside<'a> {
    folder: &'a Path,
}

impl Beside<'_> {
    /// The path with all links followed, when it stays inside the folder.
    fn inside(&self, path: &str) -> io::Result<PathBuf> {
        let folder = fs::canonicalize(self.folder)?;
        let resolved = fs::canonicalize(folder.join(path))?;
        match resolved.starts_with(&folder) {
            true => Ok(resolved),
            false => Err(io::Error::other("it is a link that leads out of the definition's folder")),
        }
    }
}

impl Surroundings for Beside<'_> {
    fn kind(&self, path: &str) -> Option<model::check::Kind> {
        let metadata = fs::metadata(self.inside(path).ok()?).ok()?;
        Some(if metadata.is_dir() { model::check::Kind::Directory } else { model::check::Kind::File })
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.inside(path)?)
    }
}
