//! Kernel, initrd and command line out of a UKI, for direct boot.
//!
//! A stop-gap until `image::uki` is here. Reads only the section table of the PE file ("PE Format", Microsoft).

use std::collections::BTreeMap;
use std::ops::Range;

/// Most sections. The PE format's own limit is 96 for images; more is not a UKI.
const SECTION_LIMIT: usize = 96;

/// Where the sections lie in `file`, by name. The length is the true one, without the padding of the file.
pub(crate) fn sections(file: &[u8]) -> Result<BTreeMap<String, Range<usize>>, String> {
    let short = || "it ends in its headers".to_owned();
    let bytes =
        |at: usize, count: usize| at.checked_add(count).and_then(|end| file.get(at..end)).ok_or_else(short);
    let u16_at = |at| bytes(at, 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let u32_at = |at| bytes(at, 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);

    if bytes(0, 2)? != b"MZ" {
        return Err("it is not a PE file".to_owned());
    }
    let pe = u32_at(0x3c)?;
    if bytes(pe, 4)? != b"PE\0\0" {
        return Err("it is not a PE file".to_owned());
    }
    let count = u16_at(pe + 6)?;
    if count > SECTION_LIMIT {
        return Err(format!("it has {count} sections"));
    }
    let table = pe + 24 + u16_at(pe + 20)?;
    let mut found = BTreeMap::new();
    for index in 0..count {
        let header = table + index * 40;
        let name = bytes(header, 8)?;
        let name: Vec<u8> = name.iter().copied().take_while(|&byte| byte != 0).collect();
        let virtual_size = u32_at(header + 8)?;
        let raw_size = u32_at(header + 16)?;
        let start = u32_at(header + 20)?;
        let size = virtual_size.min(raw_size);
        let name = String::from_utf8_lossy(&name).into_owned();
        if start.checked_add(size).is_none_or(|end| end > file.len()) {
            return Err(format!("its section `{name}` reaches beyond its end"));
        }
        if found.insert(name.clone(), start..start + size).is_some() {
            return Err(format!("it has two sections `{name}`"));
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The smallest file that looks like a UKI.
    pub(crate) fn sample(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = vec![0u8; 0x40];
        file[..2].copy_from_slice(b"MZ");
        file[0x3c] = 0x40;
        file.extend(b"PE\0\0");
        file.extend([0x64, 0x86, sections.len() as u8, 0]);
        file.extend([0; 16]);
        let mut offset = file.len() + sections.len() * 40;
        for (name, content) in sections {
            let mut header = [0u8; 40];
            header[..name.len()].copy_from_slice(name.as_bytes());
            header[8..12].copy_from_slice(&(content.len() as u32).to_le_bytes());
            header[16..20].copy_from_slice(&(content.len() as u32).to_le_bytes());
            header[20..24].copy_from_slice(&(offset as u32).to_le_bytes());
            file.extend(header);
            offset += content.len();
        }
        sections.iter().for_each(|(_, content)| file.extend(*content));
        file
    }

    #[test]
    fn sections_are_found_with_their_true_length() {
        let file = sample(&[(".linux", b"kernel"), (".initrd", b""), (".cmdline", b"quiet")]);
        let found = sections(&file).expect("reads");
        assert_eq!(&file[found[".linux"].clone()], b"kernel");
        assert_eq!(&file[found[".cmdline"].clone()], b"quiet");
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_and_never_panics() {
        let file = sample(&[(".linux", b"kernel"), (".cmdline", b"quiet")]);
        for length in 0..file.len() {
            assert!(sections(&file[..length]).is_err(), "{length}");
        }
        for at in 0..file.len() {
            let mut spoiled = file.clone();
            spoiled[at] ^= 0xff;
            let _ = sections(&spoiled);
        }
    }
}
