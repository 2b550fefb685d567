//! Looking at a bundle without taking it: for whoever wants to know what it is before a depot is there. Nothing is written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use release::index::{Index, index_path};

use release::bundle::archive::place_after;

use super::{BundleErrorKind, CONTENTS, Contents, Member, contained, reader};
use crate::error::DepotError;

/// Bytes at a file's beginning that tell whether it is a bundle.
const BEGINNING: u64 = 512;

/// A bundle whose `bundle.json` was read. What is in the other members follows from it, place by place, because an archive has one form.
#[derive(Clone)]
pub struct Opened {
    path: PathBuf,
    contents: Contents,
    /// Where each member's header is.
    places: BTreeMap<String, (u64, Member)>,
}

/// Whether a file claims to be a bundle: by its first name or by the archive's mark, so that one changed byte makes it a damaged bundle and
/// not something else.
pub fn claims_to_be_one(path: &Path) -> io::Result<bool> {
    let mut beginning = Vec::new();
    File::open(path)?.take(BEGINNING).read_to_end(&mut beginning)?;
    let has_mark = beginning.get(257..262).is_some_and(|mark| mark == b"ustar");
    Ok(has_mark || beginning.starts_with(CONTENTS.as_bytes()))
}

impl Opened {
    /// Reads `bundle.json`.
    pub fn open(path: &Path) -> Result<Self, DepotError> {
        let mut reader = reader(path)?;
        let bytes = reader.contents()?;
        let contents = Contents::parse(&bytes).map_err(|kind| reader.refused(kind))?;
        let places = contents.places();
        Ok(Self { path: path.to_owned(), contents, places })
    }

    /// What `bundle.json` says.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Where its index lies.
    pub fn index_path(&self) -> String {
        index_path(&self.contents.appliance, &self.contents.channel)
    }

    /// Compares every byte of the file, in pieces, and tells what is wrong. A member with other bytes does not hide the ones behind it; where
    /// the form of the archive breaks, what follows is not read: nobody knows where it begins.
    pub fn check(&self) -> Result<Vec<BundleErrorKind>, DepotError> {
        let mut reader = reader(&self.path)?;
        reader.contents()?;
        let mut wrong = Vec::new();
        for member in &self.contents.members {
            match reader.member(member, &mut |_| Ok(())) {
                Ok(()) => {}
                Err(DepotError::Bundle(error)) => {
                    let goes_on = matches!(error.kind, BundleErrorKind::Digest { .. });
                    wrong.push(error.kind);
                    if !goes_on {
                        return Ok(wrong);
                    }
                    let (at, _) = self.places[&member.path];
                    reader.go_to(place_after(at, member.size).1, &member.path)?;
                }
                Err(other) => return Err(other),
            }
        }
        match reader.finish().map_err(DepotError::from) {
            Ok(()) => Ok(wrong),
            Err(DepotError::Bundle(error)) => {
                wrong.push(error.kind);
                Ok(wrong)
            }
            Err(other) => Err(other),
        }
    }

    /// What is wrong between `bundle.json` and an index.
    pub fn compare(&self, index: &Index) -> Option<BundleErrorKind> {
        (contained(index) != self.contents.releases).then_some(BundleErrorKind::OtherReleases)
    }

    /// A member, as it is listed.
    pub fn member(&self, path: &str) -> Option<&Member> {
        self.places.get(path).map(|(_, member)| member)
    }

    /// The first `most` bytes of a member, not compared with its digest: [`Opened::check`] does. `None`: there is none.
    pub fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, DepotError> {
        let Some((at, member)) = self.places.get(path) else { return Ok(None) };
        let mut reader = reader(&self.path)?;
        reader.go_to(place_after(*at, 0).0, path)?;
        Ok(Some(reader.some(member.size.min(most), path)?))
    }

    /// All bytes of a member as a stream, not compared with its digest. `None`: there is none.
    pub fn stream(&self, path: &str) -> Result<Option<impl Read + use<>>, DepotError> {
        let Some((at, member)) = self.places.get(path) else { return Ok(None) };
        Ok(Some(reader(&self.path)?.into_member(*at, member, 0)?))
    }

    /// Objects that no release needs, and needs that no object fulfils. `needed`: digests and what needs them.
    pub fn objects(&self, needed: &BTreeMap<Sha256Digest, String>) -> Vec<BundleErrorKind> {
        let is_object = |member: &&Member| member.path == release::index::object_path(&member.sha256);
        let objects: BTreeMap<Sha256Digest, &Member> =
            self.contents.members.iter().filter(is_object).map(|member| (member.sha256, member)).collect();
        let missing =
            needed.iter().filter(|(object, _)| !objects.contains_key(object)).map(|(object, needed_by)| {
                BundleErrorKind::Missing { object: *object, needed_by: needed_by.clone() }
            });
        let needless = objects
            .iter()
            .filter(|(object, _)| !needed.contains_key(object))
            .map(|(_, member)| BundleErrorKind::Needless { path: member.path.clone() });
        missing.chain(needless).collect()
    }
}
