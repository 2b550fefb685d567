//! Programs and libraries: sections, libraries they are linked with, symbols they offer, protections.

use std::collections::BTreeMap;

use object::elf::{self, FileHeader64};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, Object, ObjectSymbol};

use crate::facts::{ElfChange, ListChange};
use crate::reach::needed;

/// Names of each list that are shown.
const SHOWN: usize = 24;
/// Sections of a file that are compared: real ones have some dozen, modules of the kernel some hundred.
const SECTION_LIMIT: usize = 20_000;

/// Sections that differ from build to build without anything being done differently: build ids, names of compilers, type
/// information for debuggers, and the version a kernel module is for.
const NOTES: [&str; 9] = [
    ".note",
    ".comment",
    ".gnu_debuglink",
    ".modinfo",
    ".BTF",
    ".gnu_debugdata",
    "__versions",
    ".strtab",
    ".shstrtab",
];

/// What differs; `None` when one is not a 64 bit ELF file.
pub fn change(old: &[u8], new: &[u8]) -> Option<ElfChange> {
    if !old.starts_with(&elf::ELFMAG) || !new.starts_with(&elf::ELFMAG) {
        return None;
    }
    let (before, after) = (sections(old)?, sections(new)?);
    let mut changed = Vec::new();
    for (name, one) in &before {
        let other = after.get(name);
        if other != Some(one) {
            changed.push((name.clone(), total(one), other.map_or(0, total)));
        }
    }
    changed.extend(
        after
            .iter()
            .filter(|(name, _)| !before.contains_key(*name))
            .map(|(name, one)| (name.clone(), 0, total(one))),
    );
    let only_notes = changed.iter().all(|(name, ..)| is_note(name));
    let exports = |bytes: &[u8]| exports(bytes);
    Some(ElfChange {
        sections: changed,
        libraries: ListChange::between(&needed(old), &needed(new), SHOWN),
        exports: ListChange::between(&exports(old), &exports(new), SHOWN),
        protections: ListChange::between(&protections(old), &protections(new), SHOWN),
        only_notes,
    })
}

/// Whether a section says something about a build, and not what is done.
pub fn is_note(name: &str) -> bool {
    NOTES.iter().any(|note| name.starts_with(note))
}

fn total(parts: &Vec<&[u8]>) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}

/// Bytes of sections by name: relocatable files have several of one name.
fn sections(bytes: &[u8]) -> Option<BTreeMap<String, Vec<&[u8]>>> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let table = header.sections(endian, bytes).ok()?;
    let mut found: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for section in table.iter().take(SECTION_LIMIT) {
        let Ok(name) = table.section_name(endian, section) else { continue };
        if let Ok(data) = section.data(endian, bytes) {
            found.entry(String::from_utf8_lossy(name).into_owned()).or_default().push(data);
        }
    }
    Some(found)
}

/// Names of symbols that others can use, with `@version` where there is none to tell.
fn exports(bytes: &[u8]) -> Vec<String> {
    let Ok(file) = ElfFile64::<Endianness>::parse(bytes) else { return Vec::new() };
    let endian = file.endian();
    let offered = file.dynamic_symbols().filter(|symbol| {
        let raw = symbol.elf_symbol();
        symbol.is_global()
            && !symbol.is_undefined()
            && raw.st_visibility() == elf::STV_DEFAULT
            && raw.st_value(endian) != 0
    });
    offered.filter_map(|symbol| symbol.name().ok().map(str::to_owned)).collect()
}

/// Protections that a program or library was built with. Nothing for relocatable files, which have none of their own.
pub fn protections(bytes: &[u8]) -> Vec<String> {
    let Ok(file) = ElfFile64::<Endianness>::parse(bytes) else { return Vec::new() };
    let endian = file.endian();
    let header: &FileHeader64<Endianness> = file.elf_header();
    let kind = header.e_type(endian);
    if kind != elf::ET_DYN && kind != elf::ET_EXEC {
        return Vec::new();
    }
    let segments = header.program_headers(endian, bytes).unwrap_or_default();
    let mut found = Vec::new();
    let mut note = |name: &str, is_there: bool| {
        if is_there {
            found.push(name.to_owned());
        }
    };
    note("position independent", kind == elf::ET_DYN);
    let stack = segments.iter().find(|segment| segment.p_type(endian) == elf::PT_GNU_STACK);
    note("stack not executable", stack.is_some_and(|stack| !stack.p_flags(endian).contains(elf::PF_X)));
    note("relocations read-only", segments.iter().any(|segment| segment.p_type(endian) == elf::PT_GNU_RELRO));
    note("all symbols bound at start", binds_now(header, endian, bytes));
    let uses = |name: &dyn Fn(&str) -> bool| {
        file.dynamic_symbols().any(|symbol| symbol.is_undefined() && symbol.name().is_ok_and(name))
    };
    note("stack guards", uses(&|name| name.starts_with("__stack_chk_fail")));
    note("checked string functions", uses(&|name| name.ends_with("_chk") && name.starts_with("__")));
    found
}

fn binds_now(header: &FileHeader64<Endianness>, endian: Endianness, bytes: &[u8]) -> bool {
    let read = || -> object::read::Result<bool> {
        let sections = header.sections(endian, bytes)?;
        let Some((entries, _)) = sections.dynamic(endian, bytes)? else { return Ok(false) };
        Ok(entries.iter().any(|entry| {
            let value = entry.d_val.get(endian);
            match entry.d_tag.get(endian) {
                elf::DT_BIND_NOW => true,
                elf::DT_FLAGS => value & elf::DF_BIND_NOW.0 != 0,
                elf::DT_FLAGS_1 => value & elf::DF_1_NOW.0 != 0,
                _ => false,
            }
        }))
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_has_its_protections_and_does_not_differ_from_itself() {
        let bytes = std::env::current_exe().and_then(std::fs::read).expect("the test can be read");
        let found = protections(&bytes);
        assert!(found.iter().any(|name| name == "position independent"), "{found:?}");
        let change = change(&bytes, &bytes).expect("it is an ELF file");
        assert!(change.sections.is_empty() && change.only_notes);
    }

    #[test]
    fn damaged_programs_are_read_without_harm() {
        let bytes = std::env::current_exe().and_then(std::fs::read).expect("the test can be read");
        for length in [4, 16, 63, 64, 65, 1000, bytes.len() / 2] {
            let _ = (change(&bytes[..length], &bytes), protections(&bytes[..length]));
        }
        let mut wild = bytes[..4096].to_vec();
        wild[32..64].fill(0xff);
        let _ = (change(&wild, &bytes), protections(&wild));
    }
}
