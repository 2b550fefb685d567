//! What each part of the new image is made from, decided before anything is compared: a list of tasks in order.
//!
//! File by file: what is the same is copied, what changed is compared with the file it was, across renames and version
//! numbers in paths. Neighbours share an operation, so that small files share their streams.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;

use image::ReadAt;
use image::erofs::Image;
use sha2::{Digest, Sha256};

use crate::format::{OUTPUT_LIMIT, REFERENCE_LIMIT, Reference, Space};

/// Unchanged bytes between changed ones that are compared with the rest: shorter ones cost more as an operation of their own.
const SHORT_GAP: u64 = 256 << 10;
/// How far beyond its own place a piece of a large file is looked for in the old one.
const SLIDE: u64 = (REFERENCE_LIMIT - OUTPUT_LIMIT) / 2;

/// The next `length` bytes of the new image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// How many.
    pub length: u64,
    /// From what.
    pub from: From,
}

/// What a task is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The same bytes at another place.
    Same(Space, u64),
    /// Comparison with these.
    Like(Vec<Reference>),
    /// Nothing.
    Nothing,
    /// The kernel's compressed payload.
    Kernel,
}

/// The content of one file, or the metadata in front of all files.
#[derive(Clone, Debug)]
struct Region {
    path: String,
    range: Range<u64>,
    digest: [u8; 32],
}

/// Where the parts of a root file system lie.
pub struct Layout {
    regions: Vec<Region>,
    files: BTreeMap<String, File>,
}

#[derive(Clone, Debug)]
struct File {
    blocks: Range<u64>,
    inline: Range<u64>,
    size: u64,
}

impl Layout {
    /// Reads where everything lies, and the digest of every part. What is no EROFS image is one part.
    pub fn of(root: &dyn ReadAt) -> io::Result<Self> {
        let mut starts = BTreeMap::from([(0, String::new())]);
        let mut files = BTreeMap::new();
        if let Ok(image) = Image::open(root) {
            let listed = image.walk(|entry| {
                let path = entry.path.as_str().to_owned();
                let (blocks, inline) = (entry.blocks(), entry.inline());
                if !blocks.is_empty() {
                    starts.insert(blocks.start, path.clone());
                }
                if let image::erofs::NodeKind::File { size } = entry.kind {
                    files.insert(path, File { blocks, inline, size });
                }
            });
            // A damaged image is still a row of bytes.
            if listed.is_err() {
                starts.split_off(&1);
            }
        }
        let ends = starts.keys().skip(1).copied().chain([root.size()]);
        let mut regions = Vec::new();
        for ((start, path), end) in starts.iter().zip(ends) {
            if *start < end {
                let digest = digest(root, *start..end)?;
                regions.push(Region { path: path.clone(), range: *start..end, digest });
            }
        }
        Ok(Self { regions, files })
    }

    /// Where the content of a file lies, when it is this content: what the initrd shares with the root.
    fn holding(&self, root: &dyn ReadAt, content: &[u8]) -> Option<Vec<Range<u64>>> {
        let same = |file: &&File| {
            let mut bytes = vec![0; content.len()];
            let (blocks, inline) = bytes.split_at_mut((file.size - length(&file.inline)) as usize);
            root.read_exact_at(blocks, file.blocks.start).is_ok()
                && root.read_exact_at(inline, file.inline.start).is_ok()
                && bytes == content
        };
        let file = self.files.values().filter(|file| file.size == content.len() as u64).find(same)?;
        Some(vec![file.blocks.clone(), file.inline.clone()])
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

fn digest(source: &dyn ReadAt, range: Range<u64>) -> io::Result<[u8; 32]> {
    let (mut hasher, mut at, mut buffer) = (Sha256::new(), range.start, vec![0; 1 << 20]);
    while at < range.end {
        let piece = (range.end - at).min(buffer.len() as u64) as usize;
        source.read_exact_at(&mut buffer[..piece], at)?;
        hasher.update(&buffer[..piece]);
        at += piece as u64;
    }
    Ok(hasher.finalize().into())
}

/// Tasks that make the new root.
pub fn root(old: &Layout, new: &Layout) -> Vec<Task> {
    let relatives = Relatives::of(old, new);
    let same: HashMap<([u8; 32], u64), u64> = old
        .regions
        .iter()
        .map(|region| ((region.digest, length(&region.range)), region.range.start))
        .collect();
    let mut tasks = Tasks::default();
    for region in &new.regions {
        let size = length(&region.range);
        match same.get(&(region.digest, size)) {
            Some(offset) => tasks.same(Space::OldRoot, *offset, size),
            None => {
                tasks.changed(size, relatives.find(region).map(|old| (Space::OldRoot, old.range.clone())))
            }
        }
    }
    tasks.finish()
}

/// Which old file a new one was.
struct Relatives<'a> {
    by_path: HashMap<&'a str, &'a Region>,
    by_shape: HashMap<String, Vec<&'a Region>>,
    by_name: HashMap<String, Vec<&'a Region>>,
    /// Old files that are at no path of the new image.
    gone: Vec<&'a Region>,
}

impl<'a> Relatives<'a> {
    fn of(old: &'a Layout, new: &Layout) -> Self {
        let (mut by_shape, mut by_name): (HashMap<_, Vec<_>>, HashMap<_, Vec<_>>) = Default::default();
        for region in &old.regions {
            by_shape.entry(shape(&region.path)).or_default().push(region);
            by_name.entry(shape(name(&region.path))).or_default().push(region);
        }
        let by_path = old.regions.iter().map(|region| (region.path.as_str(), region)).collect();
        let gone = old.regions.iter().filter(|region| !new.files.contains_key(&region.path)).collect();
        Self { by_path, by_shape, by_name, gone }
    }

    fn find(&self, new: &Region) -> Option<&'a Region> {
        let nearest = |list: &Vec<&'a Region>| {
            let size = length(&new.range);
            list.iter().copied().min_by_key(|old| (length(&old.range).abs_diff(size), old.range.start))
        };
        self.by_path
            .get(new.path.as_str())
            .copied()
            .or_else(|| self.by_shape.get(&shape(&new.path)).and_then(nearest))
            .or_else(|| self.by_name.get(&shape(name(&new.path))).and_then(nearest))
            .or_else(|| self.renamed(new))
    }

    /// The file that is gone and has the most alike name in the same folder, if it is at least half alike.
    fn renamed(&self, new: &Region) -> Option<&'a Region> {
        let (folder, own) = (folder(&new.path), name(&new.path).as_bytes());
        let alike = |old: &str| {
            let same = |pair: &(&u8, &u8)| pair.0 == pair.1;
            let old = old.as_bytes();
            let front = own.iter().zip(old).take_while(same).count();
            let room = own.len().min(old.len()) - front;
            front + own.iter().rev().zip(old.iter().rev()).take(room).take_while(same).count()
        };
        let near = self.gone.iter().filter(|old| self::folder(&old.path) == folder);
        let best = near.max_by_key(|old| (alike(name(&old.path)), std::cmp::Reverse(old.range.start)))?;
        (alike(name(&best.path)) * 2 >= own.len()).then_some(best)
    }
}

/// A path without what version numbers change in it.
fn shape(path: &str) -> String {
    let mut shape = String::with_capacity(path.len());
    for character in path.chars() {
        match character.is_ascii_digit() {
            true if shape.ends_with('0') => {}
            true => shape.push('0'),
            false => shape.push(character),
        }
    }
    shape
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Collects tasks; neighbours that are compared share one.
#[derive(Default)]
struct Tasks {
    done: Vec<Task>,
    length: u64,
    references: Vec<Reference>,
    reference_length: u64,
}

impl Tasks {
    fn same(&mut self, space: Space, offset: u64, length: u64) {
        let fits = self.length + length <= OUTPUT_LIMIT && self.reference_length + length <= REFERENCE_LIMIT;
        if self.length > 0 && length < SHORT_GAP && fits {
            return self.like(length, vec![Reference { space, offset, length }]);
        }
        self.flush();
        if let Some(Task { length: before, from: From::Same(last, start) }) = self.done.last_mut()
            && *last == space
            && *start + *before == offset
        {
            *before += length;
        } else {
            self.done.push(Task { length, from: From::Same(space, offset) });
        }
    }

    fn changed(&mut self, length: u64, old: Option<(Space, Range<u64>)>) {
        if length <= OUTPUT_LIMIT
            && old.as_ref().is_none_or(|(_, range)| self::length(range) <= REFERENCE_LIMIT)
        {
            let whole = |(space, range): (Space, Range<u64>)| reference(space, range);
            return self.like(length, old.map(whole).into_iter().collect());
        }
        // Larger than one operation: each piece is compared with where it was, and a good way around.
        let mut at = 0;
        while at < length {
            let piece = (length - at).min(OUTPUT_LIMIT);
            let near = old.clone().map(|(space, range)| {
                let start = (range.start + at.saturating_sub(SLIDE)).min(range.end);
                reference(space, start..(start + piece + 2 * SLIDE).min(range.end))
            });
            self.flush();
            self.like(piece, near.into_iter().collect());
            at += piece;
        }
        self.flush();
    }

    fn like(&mut self, length: u64, references: Vec<Reference>) {
        let more: u64 = references.iter().map(|reference| reference.length).sum();
        if self.length + length > OUTPUT_LIMIT || self.reference_length + more > REFERENCE_LIMIT {
            self.flush();
        }
        self.length += length;
        self.reference_length += more;
        for reference in references {
            match self.references.last_mut() {
                Some(last)
                    if last.space == reference.space && last.offset + last.length == reference.offset =>
                {
                    last.length += reference.length;
                }
                _ => self.references.push(reference),
            }
        }
    }

    fn flush(&mut self) {
        if self.length > 0 {
            let references = std::mem::take(&mut self.references);
            let from = if references.is_empty() { From::Nothing } else { From::Like(references) };
            self.done.push(Task { length: self.length, from });
        }
        (self.length, self.reference_length) = (0, 0);
    }

    fn finish(mut self) -> Vec<Task> {
        self.flush();
        self.done
    }
}

fn reference(space: Space, range: Range<u64>) -> Reference {
    Reference { space, offset: range.start, length: length(&range) }
}

/// Tasks that make something without an old image.
pub fn from_nothing(mut length: u64) -> Vec<Task> {
    let mut tasks = Vec::new();
    while length > 0 {
        let piece = length.min(OUTPUT_LIMIT);
        tasks.push(Task { length: piece, from: From::Nothing });
        length -= piece;
    }
    tasks
}

/// Tasks that make the new UKI. `root` is the new root, which holds most of the initrd.
pub fn uki(old: &[u8], new: &[u8], layout: &Layout, root: &dyn ReadAt) -> Vec<Task> {
    let old_parts: HashMap<String, Range<u64>> = parts(old).into_iter().collect();
    let mut tasks = Tasks::default();
    for (name, range) in parts(new) {
        let bytes = &new[range.start as usize..range.end as usize];
        let before = old_parts.get(&name).cloned();
        let old_bytes =
            before.as_ref().map_or(&[][..], |range| &old[range.start as usize..range.end as usize]);
        match (name.as_str(), before) {
            (_, Some(before)) if bytes == old_bytes => {
                tasks.flush();
                tasks.same(Space::OldUki, before.start, length(&range));
            }
            (".initrd", before) => initrd(&mut tasks, bytes, old_bytes, before, layout, root),
            (".linux", before) => linux(&mut tasks, bytes, old_bytes, before.map_or(0, |range| range.start)),
            (_, before) => tasks.changed(length(&range), before.map(|range| (Space::OldUki, range))),
        }
    }
    tasks.finish()
}

/// The parts of a UKI by the name of the section they begin with, without holes.
fn parts(uki: &[u8]) -> Vec<(String, Range<u64>)> {
    let base = uki.as_ptr() as usize;
    let mut starts = BTreeMap::from([(0, String::new())]);
    for section in image::uki::sections(uki).unwrap_or_default() {
        starts.insert((section.data.as_ptr() as usize - base) as u64, section.name);
    }
    let ends: Vec<u64> = starts.keys().skip(1).copied().chain([uki.len() as u64]).collect();
    starts.into_iter().zip(ends).map(|((start, name), end)| (name, start..end)).collect()
}

/// The initrd is compared with the root's modules that are in it, and with the old initrd.
fn initrd(
    tasks: &mut Tasks,
    new: &[u8],
    old: &[u8],
    before: Option<Range<u64>>,
    layout: &Layout,
    root: &dyn ReadAt,
) {
    if new.len() as u64 > OUTPUT_LIMIT {
        return tasks.changed(new.len() as u64, before.map(|range| (Space::OldUki, range)));
    }
    let start = before.as_ref().map_or(0, |range| range.start);
    let old_files: HashMap<String, Range<u64>> =
        archive(old).into_iter().map(|(name, range)| (shape(&name), range)).collect();
    let mut references = Vec::new();
    let mut add = |reference: Reference| {
        let total: u64 = references.iter().map(|reference: &Reference| reference.length).sum();
        if reference.length > 0 && total + reference.length <= REFERENCE_LIMIT {
            references.push(reference);
        }
    };
    // Heads of members: names and sizes, a few kilobytes.
    let mut end = 0;
    for (_, range) in archive(old) {
        if range.start - end < 4096 {
            add(reference(Space::OldUki, start + end..start + range.start));
        }
        end = range.end;
    }
    for (name, range) in archive(new) {
        let content = &new[range.start as usize..range.end as usize];
        let old_one = old_files.get(&shape(&name));
        let is_same = old_one.is_some_and(|range| &old[range.start as usize..range.end as usize] == content);
        match layout.holding(root, content).filter(|_| !is_same && content.len() > 1024) {
            Some(ranges) => ranges.into_iter().for_each(|range| add(reference(Space::NewRoot, range))),
            None => {
                old_one.into_iter().for_each(|range| {
                    add(reference(Space::OldUki, start + range.start..start + range.end));
                });
            }
        }
    }
    tasks.flush();
    tasks.like(new.len() as u64, references);
    tasks.flush();
}

/// Files of a cpio archive ("newc") with the places of their contents; as far as it can be read.
fn archive(bytes: &[u8]) -> Vec<(String, Range<u64>)> {
    let (mut files, mut at) = (Vec::new(), 0usize);
    while bytes.get(at..at + 6) == Some(b"070701") {
        let field = |index: usize| {
            let text = bytes.get(at + 6 + index * 8..at + 14 + index * 8)?;
            usize::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
        };
        let (Some(size), Some(name_size)) = (field(6), field(11)) else { break };
        let name = bytes.get(at + 110..(at + 110 + name_size).saturating_sub(1)).unwrap_or_default();
        let start = (at + 110 + name_size).next_multiple_of(4);
        if start + size > bytes.len() {
            break;
        }
        files.push((String::from_utf8_lossy(name).into_owned(), start as u64..(start + size) as u64));
        at = (start + size).next_multiple_of(4);
    }
    files
}

/// The kernel: what is around its compressed payload is compared, the payload is a task of its own.
fn linux(tasks: &mut Tasks, new: &[u8], old: &[u8], start: u64) {
    let (Some(payload), Some(old_payload)) = (crate::kernel::payload(new), crate::kernel::payload(old))
    else {
        let before = (!old.is_empty()).then(|| (Space::OldUki, start..start + old.len() as u64));
        return tasks.changed(new.len() as u64, before);
    };
    let at = |position: usize| start + position as u64;
    tasks.changed(payload.start as u64, Some((Space::OldUki, start..at(old_payload.start))));
    tasks.flush();
    tasks.done.push(Task { length: payload.len() as u64, from: From::Kernel });
    let rest = new.len() - payload.end;
    tasks.changed(rest as u64, Some((Space::OldUki, at(old_payload.end)..at(old.len()))));
    tasks.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_in_paths_do_not_hide_a_relative() {
        assert_eq!(
            shape("usr/lib/modules/6.12.117+deb13-amd64/kernel/fs/xfs.ko"),
            shape("usr/lib/modules/6.12.99+deb13-amd64/kernel/fs/xfs.ko")
        );
        assert_ne!(shape("usr/lib/libssl.so.3"), shape("usr/lib/libcrypto.so.3"));
    }

    #[test]
    fn copies_that_continue_each_other_are_one_and_short_ones_join_their_neighbours() {
        let mut tasks = Tasks::default();
        tasks.same(Space::OldRoot, 0, 1 << 20);
        tasks.same(Space::OldRoot, 1 << 20, 4096);
        tasks.changed(4096, Some((Space::OldRoot, 1 << 21..(1 << 21) + 4096)));
        tasks.same(Space::OldRoot, 1 << 22, 4096);
        tasks.changed(4096, None);
        let tasks = tasks.finish();
        assert_eq!(tasks.len(), 2, "{tasks:?}");
        assert_eq!(tasks[0], Task { length: (1 << 20) + 4096, from: From::Same(Space::OldRoot, 0) });
        assert_eq!(tasks[1].length, 3 * 4096);
    }

    #[test]
    fn a_large_file_is_compared_piece_by_piece_within_the_limits() {
        let mut tasks = Tasks::default();
        tasks.changed(100 << 20, Some((Space::OldRoot, 0..90 << 20)));
        let tasks = tasks.finish();
        assert_eq!(tasks.iter().map(|task| task.length).sum::<u64>(), 100 << 20);
        for task in tasks {
            let From::Like(references) = task.from else { panic!("{task:?}") };
            let total: u64 = references.iter().map(|reference| reference.length).sum();
            assert!(task.length <= OUTPUT_LIMIT && total <= REFERENCE_LIMIT);
        }
    }
}
