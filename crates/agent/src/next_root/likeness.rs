//! Whether a start of the machine would give the same kernel the same things.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::update::disk::{find_section, uki_section};

/// What a UKI starts with, by section (UAPI "Unified Kernel Image"), and what people are told when it differs.
const STARTED: [(&str, &str); 3] = [
    (".linux", "it has another kernel"),
    (".initrd", "it has another start program or other drivers for the start"),
    (".ucode", "it has other microcode"),
];
const OTHER_LINE: &str = "its kernel has another command line";
/// Longest command line that is read: the kernel's own limit is 2 KiB on amd64.
const LINE_LIMIT: usize = 64 << 10;
/// What a running kernel has been given, and would not be given again: modules that are loaded, their parameters, sysctls
/// (those that a release no longer sets would stay), firmware that is in devices.
const GIVEN: [&str; 9] = [
    "usr/lib/modules",
    "usr/lib/modprobe.d",
    "usr/lib/modules-load.d",
    "usr/lib/sysctl.d",
    "usr/lib/firmware",
    "etc/modprobe.d",
    "etc/modules-load.d",
    "etc/sysctl.d",
    "etc/sysctl.conf",
];
const PIECE: usize = 64 << 10;
/// Deepest folder that is compared: module folders nest below ten.
const DEPTH_LIMIT: usize = 40;

/// The first part by which two UKIs start differently.
pub fn different_start(one: &Path, other: &Path) -> io::Result<Option<&'static str>> {
    let (one, other) = (File::open(one)?, File::open(other)?);
    for (name, told) in STARTED {
        if !is_same_section(&one, &other, name)? {
            return Ok(Some(told));
        }
    }
    let words = |file: &File| uki_section(file, ".cmdline", LINE_LIMIT).map(|line| words_of(&line));
    Ok((words(&one) != words(&other)).then_some(OTHER_LINE))
}

/// The words of a command line, in order, but for the root.
fn words_of(line: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(line).into_owned();
    let words = text.trim_end_matches('\0').split_ascii_whitespace();
    words.filter(|word| !word.starts_with("roothash=")).map(str::to_owned).collect()
}

fn is_same_section(one: &File, other: &File, name: &str) -> io::Result<bool> {
    match (find_section(one, name), find_section(other, name)) {
        (None, None) => Ok(true),
        (Some((first, length)), Some((second, other_length))) if length == other_length => {
            is_same_content(Part { file: one, at: first, length }, Part { file: other, at: second, length })
        }
        _ => Ok(false),
    }
}

/// A run of bytes of a file.
struct Part<'a> {
    file: &'a File,
    at: u64,
    length: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let wanted = self.length.min(buffer.len() as u64) as usize;
        let count = self.file.read_at(&mut buffer[..wanted], self.at)?;
        (self.at, self.length) = (self.at + count as u64, self.length - count as u64);
        Ok(count)
    }
}

fn is_same_content(mut one: impl Read, mut other: impl Read) -> io::Result<bool> {
    let (mut first, mut second) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    loop {
        (&mut one).take(PIECE as u64).read_to_end(&mut first)?;
        (&mut other).take(PIECE as u64).read_to_end(&mut second)?;
        if first != second || first.is_empty() {
            return Ok(first == second);
        }
        first.clear();
        second.clear();
    }
}

/// Whether two roots give the kernel the same.
pub fn is_same_for_kernel(one: &Path, other: &Path) -> io::Result<bool> {
    for path in GIVEN {
        if !is_same(&one.join(path), &other.join(path), 0)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two paths have the same content: folders, links, and files to their bytes. Two that are not there are the same.
fn is_same(one: &Path, other: &Path, depth: usize) -> io::Result<bool> {
    let (Some(first), Some(second)) = (look(one)?, look(other)?) else {
        return Ok(look(one)?.is_none() && look(other)?.is_none());
    };
    if first.file_type() != second.file_type() || depth > DEPTH_LIMIT {
        return Ok(false);
    }
    if first.is_dir() {
        let names = names_in(one)?;
        if names != names_in(other)? {
            return Ok(false);
        }
        for name in names {
            if !is_same(&one.join(&name), &other.join(&name), depth + 1)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if first.is_symlink() {
        return Ok(fs::read_link(one)? == fs::read_link(other)?);
    }
    Ok(first.len() == second.len() && is_same_content(File::open(one)?, File::open(other)?)?)
}

fn look(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn names_in(folder: &Path) -> io::Result<BTreeSet<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("not the root")).expect("made");
            fs::write(path, text).expect("written");
        }
        folder
    }

    #[test]
    fn what_the_kernel_was_given_has_to_be_the_same_to_the_byte() {
        let module = ("usr/lib/modules/6.12/kernel/fs/erofs.ko", "aaaa");
        let sysctl = ("usr/lib/sysctl.d/50-default.conf", "kernel.sysrq = 0");
        let running = root(&[module, sysctl, ("usr/bin/apache2", "old")]);
        let same = |files: &[(&str, &str)]| {
            is_same_for_kernel(running.path(), root(files).path()).expect("both can be read")
        };
        assert!(same(&[module, sysctl, ("usr/bin/apache2", "new"), ("usr/bin/other", "new")]));
        assert!(!same(&[(module.0, "aaab"), sysctl]), "a module of the same size");
        assert!(!same(&[module]), "a setting that would stay in force");
        assert!(!same(&[module, sysctl, ("etc/sysctl.d/a.conf", "")]));
        assert!(!same(&[module, sysctl, ("usr/lib/modules/6.13/modules.dep", "")]));
    }

    #[test]
    fn content_is_compared_to_its_end() {
        let long = vec![7; PIECE + 3];
        let is_same = |other: &[u8]| is_same_content(&long[..], other).expect("memory can be read");
        assert!(is_same(&long));
        assert!(!is_same(&long[1..]));
        assert!(!is_same(&[&long[1..], &[8]].concat()));
    }

    #[test]
    fn a_command_line_is_compared_without_its_root() {
        assert_eq!(words_of(b"quiet roothash=12 panic=10\0\0"), words_of(b"quiet panic=10 roothash=34"));
        assert_ne!(words_of(b"quiet"), words_of(b"quiet mitigations=off"));
    }
}
