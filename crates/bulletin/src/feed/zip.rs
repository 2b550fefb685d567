//! Files of a zip archive: enough of it for feeds, which are deflated or stored and not encrypted.

use std::io::Read;

use super::FeedError;

/// Most files. OSV's archive of Debian has some 60,000.
const FILE_LIMIT: usize = 1_000_000;
/// Largest file, unpacked. Stops a bomb.
const MEMBER_LIMIT: u64 = 16 << 20;
/// Most bytes of all files, unpacked.
const TOTAL_LIMIT: u64 = 4 << 30;

/// Calls `each` with name and bytes of every file (APPNOTE 4.3).
pub fn each_file(
    bytes: &[u8],
    mut each: impl FnMut(&str, &[u8]) -> Result<(), FeedError>,
) -> Result<(), FeedError> {
    let damaged = FeedError::Zip;
    let le16 =
        |at: usize| bytes.get(at..at.checked_add(2)?).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let le32 = |at: usize| {
        bytes.get(at..at.checked_add(4)?).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let tail = bytes.len().saturating_sub(22 + 65_535);
    let end = (tail..bytes.len().saturating_sub(21)).rev().find(|at| bytes[*at..].starts_with(b"PK\x05\x06"));
    let end = end.ok_or(damaged("it has no end"))?;
    let mut at = le32(end + 16).ok_or(damaged("it has no directory"))?;
    let (mut count, mut total) = (0, 0);
    while bytes.get(at..).is_some_and(|rest| rest.starts_with(b"PK\x01\x02")) {
        count += 1;
        if count > FILE_LIMIT {
            return Err(FeedError::Limit("files"));
        }
        let field = |value: Option<usize>| value.ok_or(damaged("its directory is cut off"));
        let (method, packed) = (field(le16(at + 10))?, field(le32(at + 20))?);
        let (name, extra, comment) = (field(le16(at + 28))?, field(le16(at + 30))?, field(le16(at + 32))?);
        let local = field(le32(at + 42))?;
        let name_bytes = bytes.get(at + 46..at + 46 + name).ok_or(damaged("a name is cut off"))?;
        let start = local + 30 + field(le16(local + 26))? + field(le16(local + 28))?;
        let data = start.checked_add(packed).and_then(|stop| bytes.get(start..stop));
        let data = data.ok_or(damaged("a file is cut off"))?;
        let mut plain = Vec::new();
        match method {
            0 => plain.extend_from_slice(data),
            8 => {
                let unpacked =
                    flate2::read::DeflateDecoder::new(data).take(MEMBER_LIMIT + 1).read_to_end(&mut plain);
                unpacked.map_err(|_| damaged("a file can not be unpacked"))?;
            }
            _ => return Err(damaged("a file is packed in an unknown way")),
        }
        total += plain.len() as u64;
        if plain.len() as u64 > MEMBER_LIMIT || total > TOTAL_LIMIT {
            return Err(FeedError::Limit("unpacked files"));
        }
        each(&String::from_utf8_lossy(name_bytes), &plain)?;
        at += 46 + name + extra + comment;
    }
    Ok(())
}
