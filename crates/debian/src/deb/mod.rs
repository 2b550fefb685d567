//! Reading `.deb` files (deb(5)) from a stream, once, front to back.
//!
//! Owns the container, its compression and the order of its parts. Refuses to write files: contents go to the caller
//! as readers. A `.deb` may be forged or damaged: every size and count has a limit, every error names the file and
//! the place in it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::num::NonZeroUsize;

use crate::control::Paragraph;

mod ar;
mod archive;
mod compression;
mod error;
#[cfg(test)]
mod tests;

pub use archive::{DataEntry, DataKind};
pub use error::{DebError, DebProblem};

use ar::ArReader;
use archive::TarReader;
use compression::{Decoder, Finish};

/// Most bytes that the control archive may unpack to. Stops a small `.deb` from filling memory, as control files are
/// kept there; the largest in Debian are a few MiB.
pub const MAX_CONTROL_BYTES: u64 = 32 << 20;
/// Most bytes that the data archive may unpack to. Stops a small `.deb` from filling the disk.
pub const MAX_DATA_BYTES: u64 = 16 << 30;
/// Most entries of one archive. Stops millions of empty files, which cost no bytes.
pub const MAX_ENTRIES: u64 = 500_000;

/// A file of the control archive, such as a maintainer script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// A `.deb` whose control part has been read and whose data part is about to be.
pub struct DebReader<R: Read> {
    package: String,
    control: String,
    control_files: BTreeMap<String, ControlFile>,
    data: TarReader<Decoder<ArReader<R>>>,
    data_name: &'static str,
}

impl<R: Read> DebReader<R> {
    /// Reads up to the data archive. `name` is what errors call the file; `threads` may be used to decompress a large
    /// data archive.
    ///
    /// # Errors
    /// [`DebError`] when the file can not be read, is damaged, or breaks a limit.
    pub fn open(input: R, name: &str, threads: NonZeroUsize) -> Result<Self, DebError> {
        let at = |place: &str, problem: DebProblem| DebError::new(name, place, problem);
        let mut ar = ArReader::open(input).map_err(|problem| at("archive header", problem))?;
        check_format(&mut ar).map_err(|problem| at("debian-binary", problem))?;

        let member = next_member(&mut ar).map_err(|problem| at("control archive", problem))?;
        let decoder = Decoder::of_member(&member, "control.tar", &mut ar, NonZeroUsize::MIN)
            .map_err(|problem| at("control archive", problem))?;
        let control_files = read_control(decoder).map_err(|(place, problem)| at(&place, problem))?;
        let control = control_files
            .get("control")
            .ok_or(DebProblem::Damaged("the control archive has no file `control`"))
            .and_then(|file| {
                String::from_utf8(file.bytes.clone())
                    .map_err(|_| DebProblem::Damaged("`control` is not UTF-8"))
            })
            .map_err(|problem| at("control archive", problem))?;
        Paragraph::parse_only(&control).map_err(|error| at("control", DebProblem::Control(error)))?;

        let member = next_member(&mut ar).map_err(|problem| at("data archive", problem))?;
        let decoder = Decoder::of_member(&member, "data.tar", ar, threads)
            .map_err(|problem| at("data archive", problem))?;
        let data = TarReader::new(decoder, MAX_DATA_BYTES);
        Ok(Self { package: name.to_owned(), control, control_files, data, data_name: "data archive" })
    }

    /// The package's own control paragraph.
    pub fn control(&self) -> Paragraph<'_> {
        Paragraph::parse_only(&self.control).expect("it was parsed when the file was opened")
    }

    /// All files of the control archive by name, `control` included.
    pub fn control_files(&self) -> &BTreeMap<String, ControlFile> {
        &self.control_files
    }

    /// The next entry of the data archive, and a reader of its content (empty for what is no regular file). What is not
    /// read of a content is skipped. `None` means that the whole file was read and its checks hold.
    ///
    /// # Errors
    /// [`DebError`]; reading further after an error gives unspecified entries or errors, and never panics.
    pub fn next_entry(&mut self) -> Result<Option<(DataEntry, DataContent<'_, R>)>, DebError> {
        let at = |place: &str, problem| DebError::new(&self.package, place, problem);
        match self.data.next_entry() {
            Err(problem) => Err(at(&place_in(self.data_name, self.data.last_path()), problem)),
            Ok(Some(entry)) => {
                let content =
                    DataContent { package: &self.package, data_name: self.data_name, data: &mut self.data };
                Ok(Some((entry, content)))
            }
            Ok(None) => {
                let end = self.data.finish().and_then(|()| self.data.source_mut().finish());
                end.map_err(|problem| at(self.data_name, problem)).map(|()| None)
            }
        }
    }
}

/// Reads one entry's content.
pub struct DataContent<'a, R: Read> {
    package: &'a str,
    data_name: &'static str,
    data: &'a mut TarReader<Decoder<ArReader<R>>>,
}

impl<R: Read> Read for DataContent<'_, R> {
    /// # Errors
    /// The inner error is a [`DebError`] that names the package and the entry.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.data.read_content(buffer).map_err(|problem| {
            let place = place_in(self.data_name, self.data.last_path());
            let kind = problem.io_kind();
            io::Error::new(kind, DebError::new(self.package, &place, problem))
        })
    }
}

fn place_in(archive: &str, path: &str) -> String {
    if path.is_empty() { archive.to_owned() } else { format!("{archive}, at or after `{path}`") }
}

/// deb(5): the first member is `debian-binary` and holds the format's version, `2.0`.
fn check_format<R: Read>(ar: &mut ArReader<R>) -> Result<(), DebProblem> {
    let member = ar.next_member()?.ok_or(DebProblem::Truncated)?;
    if member.name != "debian-binary" || member.size > 64 {
        return Err(DebProblem::Damaged("the first member is not `debian-binary`"));
    }
    let mut version = Vec::new();
    ar.read_to_end(&mut version)?;
    // Minor versions may have further lines and stay compatible.
    if version.starts_with(b"2.") { Ok(()) } else { Err(DebProblem::Unsupported("a format other than 2.x")) }
}

/// deb(5): readers skip members whose name begins with an underscore.
fn next_member<R: Read>(ar: &mut ArReader<R>) -> Result<ar::Member, DebProblem> {
    loop {
        match ar.next_member()? {
            None => return Err(DebProblem::Truncated),
            Some(member) if member.name.starts_with('_') => {}
            Some(member) => return Ok(member),
        }
    }
}

type Placed<T> = Result<T, (String, DebProblem)>;

fn read_control<R: Read>(decoder: Decoder<R>) -> Placed<BTreeMap<String, ControlFile>>
where
    Decoder<R>: Finish,
{
    let mut archive = TarReader::new(decoder, MAX_CONTROL_BYTES);
    let mut files = BTreeMap::new();
    loop {
        let entry = match archive.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(problem) => return Err((place_in("control archive", archive.last_path()), problem)),
        };
        let mut bytes = Vec::new();
        archive
            .read_to_end(&mut bytes)
            .map_err(|problem| (place_in("control archive", &entry.path), problem))?;
        match entry.kind {
            DataKind::Directory if entry.path.is_empty() => {}
            // Names become file names of dpkg's database.
            DataKind::File { .. } if !entry.path.contains('/') => {
                files.insert(entry.path, ControlFile { bytes, mode: entry.mode });
            }
            _ => {
                let problem =
                    DebProblem::Damaged("the control archive holds something else than plain files");
                return Err((place_in("control archive", &entry.path), problem));
            }
        }
    }
    let end = archive.finish().and_then(|()| archive.source_mut().finish());
    end.map_err(|problem| ("control archive".to_owned(), problem))?;
    Ok(files)
}
