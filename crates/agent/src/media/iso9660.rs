//! Files in the root of an ISO 9660 volume (ECMA-119), through the plain tree: names in plain form, `SETTINGS.TOM;1`, and Rock
//! Ridge's `NM`.

use super::{Entry, MediaError, Piece, ReadAt, Start, number};

const SECTOR: u64 = 2048;
/// The root directory is read up to here: such a disk has a few files, and a hostile one must not fill the memory.
const DIRECTORY_LIMIT: u64 = 64 << 10;
/// Flags of a directory record: a directory; another record of the same file follows.
const DIRECTORY: u8 = 1 << 1;
const GOES_ON: u8 = 1 << 7;

/// A volume.
pub struct Volume<'a> {
    disk: &'a dyn ReadAt,
    pub(super) label: Vec<u8>,
    root_at: u64,
    root_length: u64,
}

impl<'a> Volume<'a> {
    /// Reads the primary volume descriptor; `None` when there is none.
    pub fn open(disk: &'a dyn ReadAt) -> Option<Volume<'a>> {
        let mut descriptor = [0u8; SECTOR as usize];
        disk.read_at(16 * SECTOR, &mut descriptor).ok()?;
        let root = &descriptor[156..190];
        (&descriptor[..6] == b"\x01CD001").then(|| Volume {
            disk,
            label: descriptor[40..72].to_vec(),
            root_at: number(&root[2..6]) * SECTOR,
            root_length: number(&root[10..14]),
        })
    }

    /// The files in its root.
    pub fn files(&self) -> Result<Vec<Entry>, MediaError> {
        let mut directory = vec![0; self.root_length.min(DIRECTORY_LIMIT) as usize];
        self.disk.read_at(self.root_at, &mut directory)?;
        let mut files: Vec<Entry> = Vec::new();
        let mut goes_on = false;
        for sector in directory.chunks(SECTOR as usize) {
            let mut rest = sector;
            // Records do not cross sectors; a length of 0 ends one.
            while let Some(record) =
                rest.first().filter(|&&length| length >= 34).and_then(|&length| rest.get(..length.into()))
            {
                rest = &rest[record.len()..];
                if record[25] & DIRECTORY != 0 {
                    continue;
                }
                let piece = Piece { at: number(&record[2..6]) * SECTOR, length: number(&record[10..14]) };
                // A file of more than 4 GiB has several records (section 6.5.1).
                let is_more = std::mem::replace(&mut goes_on, record[25] & GOES_ON != 0);
                match files.last_mut() {
                    Some(Entry { length, start: Start::Pieces(pieces), .. }) if is_more => {
                        *length += piece.length;
                        pieces.push(piece);
                    }
                    _ => files.push(Entry {
                        names: names(record),
                        length: piece.length,
                        start: Start::Pieces(vec![piece]),
                    }),
                }
            }
        }
        Ok(files)
    }
}

fn names(record: &[u8]) -> Vec<String> {
    let name_length = usize::from(record[32]);
    let Some(name) = record.get(33..33 + name_length) else { return Vec::new() };
    let name = String::from_utf8_lossy(name);
    let name = name.split(';').next().unwrap_or_default().to_owned();
    // The system use area follows the name, padded to an even length.
    let system_use = record.get(33 + name_length + (1 - name_length % 2)..).unwrap_or_default();
    [name].into_iter().chain(rock_ridge_name(system_use)).collect()
}

/// The `NM` entry of SUSP: signature, length, version, flags, name.
fn rock_ridge_name(mut area: &[u8]) -> Option<String> {
    while let [first, second, length, ..] = *area {
        let entry = area.get(..usize::from(length)).filter(|entry| entry.len() >= 4)?;
        if [first, second] == *b"NM" {
            return Some(String::from_utf8_lossy(entry.get(5..)?).into_owned());
        }
        area = &area[entry.len()..];
    }
    None
}
