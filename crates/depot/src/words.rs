//! What officers say of releases, kept in a depot for appliances to find. The depot checks nothing: whose word counts is known to each
//! appliance alone.

use std::io::ErrorKind;

use release::ReleaseId;
use release::index::{WORDS_LIMIT, words_path};

use crate::error::DepotError;
use crate::folder::{DepotFolder, read_limited};
use crate::intake::replace;

/// Notes on a release.
pub fn read(depot: &DepotFolder, appliance: &str, release: ReleaseId) -> Result<Vec<String>, DepotError> {
    let path = depot.path().join(words_path(appliance, release));
    match read_limited(&path, WORDS_LIMIT) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| DepotError::Document { path, source }),
        Err(DepotError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Adds a note; one that is there already changes nothing.
pub fn add(depot: &DepotFolder, appliance: &str, release: ReleaseId, note: &str) -> Result<(), DepotError> {
    let _lock = depot.lock()?;
    let mut words = read(depot, appliance, release)?;
    if words.iter().any(|known| known == note) {
        return Ok(());
    }
    words.push(note.to_owned());
    replace(depot, words_path(appliance, release).as_ref(), &within_limit(&words)?)
}

/// The notes that a depot has, and those of another one that it does not have yet: none is ever dropped, a hold least of all.
pub(crate) fn united(known: &[String], others: &[String]) -> Vec<String> {
    let mut united = known.to_vec();
    for note in others {
        if !united.contains(note) {
            united.push(note.clone());
        }
    }
    united
}

/// The bytes of the file, which may not be too long.
fn within_limit(words: &[String]) -> Result<Vec<u8>, DepotError> {
    let bytes = to_bytes(words);
    match bytes.len() as u64 > WORDS_LIMIT {
        true => Err(DepotError::Full { what: "bytes of notes on one release", limit: WORDS_LIMIT as usize }),
        false => Ok(bytes),
    }
}

/// Most bytes that notes of another depot may make of a file. What remains is for the officers here, who could not say no otherwise: nobody
/// has checked who wrote those notes, and none is ever dropped.
const OTHERS_LIMIT: u64 = WORDS_LIMIT / 2;

/// The bytes of the file with the notes of another depot; `None`: it has none that are new.
pub(crate) fn with_others(known: &[String], united: &[String]) -> Result<Option<Vec<u8>>, DepotError> {
    if known.len() == united.len() {
        return Ok(None);
    }
    let bytes = to_bytes(united);
    match bytes.len() as u64 > OTHERS_LIMIT {
        true => Err(DepotError::Full {
            what: "bytes of notes on one release, with those of another depot",
            limit: OTHERS_LIMIT as usize,
        }),
        false => Ok(Some(bytes)),
    }
}

/// The bytes of the file.
pub(crate) fn to_bytes(words: &[String]) -> Vec<u8> {
    serde_json::to_vec_pretty(words).expect("texts are JSON")
}

/// The appliance that a release in the depot is of, by its digest.
pub fn appliance_of(depot: &DepotFolder, release: ReleaseId) -> Result<Option<String>, DepotError> {
    let indices = depot.indices()?;
    let has = |index: &&release::Index| index.releases.iter().any(|entry| entry.id() == release);
    Ok(indices.iter().find(has).map(|index| index.appliance.clone()))
}

#[cfg(test)]
mod tests {
    use model::Sha256Digest;

    use super::*;

    #[test]
    fn words_are_added_once_and_read_in_their_order() {
        let folder = tempfile::tempdir().expect("folder");
        let depot = DepotFolder::open_or_create(&folder.path().join("depot")).expect("a depot");
        let release = ReleaseId(Sha256Digest([1; 32]));
        assert_eq!(read(&depot, "acme/shop", release).expect("none"), Vec::<String>::new());
        for note in ["a\n", "b\n", "a\n"] {
            add(&depot, "acme/shop", release, note).expect("added");
        }
        assert_eq!(read(&depot, "acme/shop", release).expect("both"), ["a\n", "b\n"]);
        let long = "x".repeat(WORDS_LIMIT as usize);
        assert!(matches!(add(&depot, "acme/shop", release, &long), Err(DepotError::Full { .. })));
        assert_eq!(depot.indices().expect("a folder of words is no channel"), vec![]);
    }
}
