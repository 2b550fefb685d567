//! A bundle on a disk that is attached to the machine: the bundle's bytes themselves, or a file in the root of an ISO 9660 or FAT
//! disk. It is known by how it begins, whatever it is called.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use release::bundle::archive::{BLOCK, Reader};
use release::bundle::{BundleError, CONTENTS, Contents, Member};

use super::DepotError;
use crate::media::{self, Piece, Pieces, Volume};

/// Files in the root of a disk that are looked at: a bundle is not one of thousands.
const FILES_LIMIT: usize = 64;

/// The disk.
pub struct Attached {
    /// The kernel's name of it.
    name: String,
    node: PathBuf,
    pieces: Vec<Piece>,
    places: BTreeMap<String, (u64, Member)>,
}

impl Attached {
    /// The one bundle of this appliance and channel. A bundle that can not be read is told when there is no other.
    pub fn find(disks: &[(String, PathBuf)], appliance: &str, channel: &str) -> Result<Attached, DepotError> {
        let (mut found, mut others, mut broken): (Option<Attached>, Vec<String>, _) =
            (None, Vec::new(), None);
        for (name, node) in disks {
            // A drive without a medium, a disk in use: no bundle.
            let Ok(disk) = File::open(node) else { continue };
            for pieces in places(&disk) {
                let mut reader = Reader::new(Pieces::new(&disk, pieces.clone()), Path::new(name));
                match contents(&mut reader) {
                    Ok(contents)
                        if (contents.appliance.as_str(), contents.channel.as_str())
                            == (appliance, channel) =>
                    {
                        let places = contents.places();
                        let this = Attached { name: name.clone(), node: node.clone(), pieces, places };
                        if let Some(one) = found.replace(this) {
                            return Err(DepotError::TwoDisks { one: one.name, other: name.clone() });
                        }
                    }
                    Ok(contents) => {
                        others
                            .push(format!("{name} has one of {}, {}", contents.appliance, contents.channel));
                    }
                    Err(error) => broken = Some(error),
                }
            }
        }
        match (found, broken) {
            (Some(found), _) => Ok(found),
            (None, Some(broken)) => Err(broken.into()),
            (None, None) => Err(DepotError::NoDisk {
                appliance: appliance.to_owned(),
                channel: channel.to_owned(),
                found: if others.is_empty() { String::new() } else { format!(": {}", others.join(", ")) },
            }),
        }
    }

    /// Where a file is, for people.
    pub fn url_of(&self, path: &str) -> String {
        format!("{path} of the bundle on {}", self.name)
    }

    /// A file from `offset` on.
    pub fn open(&self, path: &str, offset: u64) -> Result<Box<dyn Read>, DepotError> {
        let Some((at, member)) = self.places.get(path) else {
            return Err(DepotError::Absent { url: self.url_of(path) });
        };
        let unreadable =
            |error: io::Error| DepotError::Silent { url: self.url_of(path), why: error.to_string() };
        let disk = File::open(&self.node).map_err(unreadable)?;
        let reader = Reader::new(Pieces::new(disk, self.pieces.clone()), Path::new(&self.name));
        Ok(Box::new(reader.into_member(*at, member, offset)?))
    }
}

fn contents<R: Read + Seek>(reader: &mut Reader<R>) -> Result<Contents, Box<BundleError>> {
    let bytes = reader.contents()?;
    Contents::parse(&bytes).map_err(|kind| reader.refused(kind))
}

/// Where on a disk something begins as a bundle does.
fn places(disk: &File) -> Vec<Vec<Piece>> {
    if let Ok(whole) = media::whole(disk)
        && begins_as_one(disk, &whole)
    {
        return vec![whole];
    }
    let Some(volume) = Volume::open(disk) else { return Vec::new() };
    let files = volume.files().unwrap_or_default();
    let pieces = files.iter().take(FILES_LIMIT).filter_map(|file| volume.pieces(file).ok());
    pieces.filter(|pieces| begins_as_one(disk, pieces)).collect()
}

/// The name in the first header, with the zeros that fill its field.
fn begins_as_one(disk: &File, pieces: &[Piece]) -> bool {
    let mut beginning = [0; BLOCK];
    let is_read = Pieces::new(disk, pieces.to_vec()).read_exact(&mut beginning).is_ok();
    is_read && beginning.starts_with(CONTENTS.as_bytes()) && beginning[CONTENTS.len()] == 0
}

#[cfg(test)]
mod tests;
