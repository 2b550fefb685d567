//! The seed disk: a small ISO 9660 or FAT disk with the label `AMPOULESEED` and the file `settings.toml`.

use std::fs::File;
use std::io::Read;

use crate::media::{self, Entry, MediaError, Pieces, ReadAt, Volume};
use crate::settings::document::DOCUMENT_LIMIT;

/// The label, in any case.
pub const LABEL: &str = "AMPOULESEED";
/// How it is written on ISO 9660 too, whose labels are longer.
const HYPHENATED: &str = "AMPOULE-SEED";
/// The file.
pub const FILE_NAME: &str = "settings.toml";
/// The same in a form without long names.
const SHORT_NAME: &str = "SETTINGS.TOM";

/// A seed disk that can not be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// No such file on it.
    #[error("it has no file `{FILE_NAME}` in its root")]
    NoFile,
    /// Larger than any settings document.
    #[error("its `{FILE_NAME}` is larger than 1 MiB")]
    TooLong,
    /// Not text.
    #[error("its `{FILE_NAME}` is not UTF-8 text")]
    NotText,
    /// The disk, or its file system.
    #[error(transparent)]
    Media(#[from] MediaError),
}

/// Looks on all block devices; the first one with the label counts.
pub fn find() -> Option<Result<String, SeedError>> {
    media::devices().into_iter().filter_map(|(_, node)| File::open(node).ok()).find_map(|disk| read(&disk))
}

/// Reads the settings document of a disk; `None` when it is no seed disk.
pub fn read(disk: &dyn ReadAt) -> Option<Result<String, SeedError>> {
    let volume = Volume::open(disk)?;
    let has_label = [LABEL, HYPHENATED].iter().any(|label| volume.has_label(label));
    has_label.then(|| read_volume(disk, &volume))
}

fn read_volume(disk: &dyn ReadAt, volume: &Volume<'_>) -> Result<String, SeedError> {
    let files = volume.files()?;
    let file = files.iter().find(|file| is_the_file(file)).ok_or(SeedError::NoFile)?;
    if file.length > DOCUMENT_LIMIT as u64 {
        return Err(SeedError::TooLong);
    }
    let mut bytes = Vec::new();
    Pieces::new(disk, volume.pieces(file)?).read_to_end(&mut bytes).map_err(MediaError::Device)?;
    String::from_utf8(bytes).map_err(|_| SeedError::NotText)
}

fn is_the_file(file: &Entry) -> bool {
    let is_it = |name: &String| name.eq_ignore_ascii_case(FILE_NAME) || name.eq_ignore_ascii_case(SHORT_NAME);
    file.names.iter().any(is_it)
}

#[cfg(test)]
mod tests;
