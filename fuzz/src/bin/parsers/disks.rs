//! Disks and archives that somebody carries.

use std::io::{Cursor, Read, sink};

use release::bundle::Contents;
use release::bundle::archive::Reader;

/// A bundle from its beginning to its end.
pub fn bundle(bytes: &[u8]) {
    let mut reader = Reader::new(Cursor::new(bytes), "bundle".as_ref());
    let Ok(contents) = reader.contents() else { return };
    let Ok(contents) = Contents::parse(&contents) else { return };
    drop(contents.places());
    let whole = contents.members.iter().try_for_each(|member| reader.whole(member).map(drop));
    drop(whole.and_then(|()| reader.finish()));
}

struct Disk<'a>(&'a [u8]);

impl agent::media::ReadAt for Disk<'_> {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
        image::ReadAt::read_exact_at(self.0, bytes, offset)
    }
}

/// Every file of an ISO 9660 or FAT disk. An input is no disk of megabytes: what is behind its first bytes, where a FAT disk begins, is
/// where an ISO 9660 disk begins, too.
pub fn attached(bytes: &[u8]) {
    let iso = [&[0; 16 * 2048], bytes].concat();
    for bytes in [bytes, &iso] {
        let disk = Disk(bytes);
        drop(agent::seed::read(&disk));
        let Some(volume) = agent::media::Volume::open(&disk) else { continue };
        for file in volume.files().unwrap_or_default() {
            let Ok(pieces) = volume.pieces(&file) else { continue };
            drop(std::io::copy(&mut agent::media::Pieces::new(&disk, pieces).take(1 << 20), &mut sink()));
        }
    }
}

/// Every path and every file of an image.
pub fn erofs(bytes: &[u8]) {
    let Ok(image) = image::erofs::Image::open(bytes) else { return };
    let mut entries = Vec::new();
    drop(image.walk(|entry| entries.push(entry)));
    for entry in entries.iter().take(64) {
        drop(std::io::copy(&mut image.open_file(entry).take(1 << 20), &mut sink()));
    }
}
