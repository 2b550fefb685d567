//! FAT's two names of a file: the long one as it is, and a short one made for it.

use crate::bytes::{le16, put, take};

use super::{ATTRIBUTE_LONG_NAME, ENTRY_SIZE};

/// UTF-16 units in one long-name entry, and where they are.
const UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const MAXIMUM_UNITS: usize = 255;
const LAST_FLAG: u8 = 0x40;

/// Whether FAT can store it as a long name.
pub(super) fn is_valid(name: &str) -> bool {
    let is_good = |character: char| character >= ' ' && !"\"*/:<>?\\|\x7f".contains(character);
    name.chars().all(is_good)
        && !name.ends_with(['.', ' '])
        && !name.starts_with(' ')
        && (1..=MAXIMUM_UNITS).contains(&name.encode_utf16().count())
}

/// The name as a short one when that loses nothing: upper case, at most 8 and 3 characters.
fn as_short(name: &str) -> Option<[u8; 11]> {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    let is_good =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_-~!#$%&".contains(&byte);
    let fits = (1..=8).contains(&stem.len())
        && extension.len() <= 3
        && stem.bytes().chain(extension.bytes()).all(is_good);
    let mut short = [b' '; 11];
    if fits {
        put(&mut short, 0, stem.as_bytes());
        put(&mut short, 8, extension.as_bytes());
    }
    fits.then_some(short)
}

/// The short name of the entry number `number` of its directory, and whether a long one must stand before it.
///
/// Names that are not short get a number of their own: `NAME~0001.EFI`. It needs only to be unique in its directory.
pub(super) fn short(name: &str, number: usize) -> ([u8; 11], bool) {
    if let Some(short) = as_short(name) {
        return (short, false);
    }
    let clean = |text: &str, length: usize| -> Vec<u8> {
        let kept = text.bytes().filter(u8::is_ascii_alphanumeric).take(length);
        kept.map(|byte| byte.to_ascii_uppercase()).collect()
    };
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let number = format!("~{number:04}");
    let mut short = [b' '; 11];
    let stem = [clean(stem, 8 - number.len()), number.into_bytes()].concat();
    put(&mut short, 0, &stem);
    put(&mut short, 8, &clean(extension, 3));
    (short, true)
}

/// Sum that ties a long name to its short one.
pub(super) fn checksum(short: &[u8; 11]) -> u8 {
    short.iter().fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// Long-name entries in the order they are stored: last part first.
pub(super) fn long_entries(name: &str, short: &[u8; 11]) -> Vec<[u8; ENTRY_SIZE]> {
    let units: Vec<u16> = name.encode_utf16().collect();
    let parts = units.chunks(UNITS.len());
    let count = parts.len();
    let encode = |(index, part): (usize, &[u16])| {
        let mut entry = [0u8; ENTRY_SIZE];
        entry[0] = (index as u8 + 1) | if index + 1 == count { LAST_FLAG } else { 0 };
        entry[11] = ATTRIBUTE_LONG_NAME;
        entry[13] = checksum(short);
        for (position, offset) in UNITS.iter().enumerate() {
            // One NUL ends a name that does not fill its entry, then all ones.
            let unit = match position.cmp(&part.len()) {
                std::cmp::Ordering::Less => part[position],
                std::cmp::Ordering::Equal => 0,
                std::cmp::Ordering::Greater => 0xFFFF,
            };
            put(&mut entry, *offset, &unit.to_le_bytes());
        }
        entry
    };
    let mut entries: Vec<_> = parts.enumerate().map(encode).collect();
    entries.reverse();
    entries
}

/// Gathers long-name entries until their short one comes.
#[derive(Default)]
pub(super) struct LongName {
    units: Vec<u16>,
    next: u8,
    sum: u8,
}

impl LongName {
    /// Takes the next long-name entry; what is out of order starts over.
    pub fn push(&mut self, entry: &[u8]) {
        let number = entry[0] & !LAST_FLAG;
        if entry[0] & LAST_FLAG != 0 {
            *self = Self { units: Vec::new(), next: number, sum: entry[13] };
        }
        // Twenty entries hold 260 units: more is no name.
        if number == 0 || number > 20 || number != self.next || self.sum != entry[13] {
            *self = Self::default();
            return;
        }
        let part = UNITS.iter().map(|offset| le16(entry, *offset)).take_while(|unit| *unit != 0);
        self.units.splice(0..0, part);
        self.next = number - 1;
    }

    /// The name of this short entry: the gathered one when it belongs to it, else the short one itself.
    pub fn finish(&mut self, entry: &[u8]) -> String {
        let gathered = std::mem::take(self);
        let short: [u8; 11] = take(entry, 0);
        if gathered.next == 0 && !gathered.units.is_empty() && gathered.sum == checksum(&short) {
            return String::from_utf16_lossy(&gathered.units);
        }
        // Bits 3 and 4 say that stem and extension are shown in lower case (Windows NT and Linux).
        let part = |bytes: &[u8], is_lower: bool| {
            let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
            if is_lower { text.to_lowercase() } else { text }
        };
        let (stem, extension) =
            (part(&short[..8], entry[12] & 8 != 0), part(&short[8..], entry[12] & 16 != 0));
        if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stay_and_others_get_a_number() {
        assert_eq!(short("BOOTX64.EFI", 3), (*b"BOOTX64 EFI", false));
        assert_eq!(short("EFI", 3), (*b"EFI        ", false));
        assert_eq!(short("loader.conf", 3), (*b"LOA~0003CON", true));
        assert_eq!(short("a.b.efi", 12), (*b"AB~0012 EFI", true));
        assert_eq!(short("lamp_2026.1+3.efi", 12), (*b"LAM~0012EFI", true));
    }

    #[test]
    fn names_that_fat_forbids_are_known() {
        assert!(is_valid("appliance_1.0+3-0.efi"));
        for bad in ["", "a:b", "a.", "a ", "tab\t", &"x".repeat(256)] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
