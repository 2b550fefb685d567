//! Programs that carry the list of what they were built from: Rust's `.dep-v0` (cargo-auditable), Go's `.go.buildinfo`.

use std::io::Read;

use object::{Object, ObjectSection};
use serde::Deserialize;
use tree::{Content, Node, Origin, TreePath};

use super::{Found, Looker};
use crate::bill::{Component, Kind};
use crate::purl::purl;

/// Largest program that is looked into. Stops a program from filling memory.
const PROGRAM_LIMIT: u64 = 512 << 20;
/// Most bytes of an embedded list. Stops a section that unpacks endlessly.
const LIST_LIMIT: u64 = 16 << 20;
/// The word by which cargo-auditable's lists mean the public registry.
const PUBLIC: &str = concat!("crates", ".io");

pub(super) fn find(looker: &Looker<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (path, entry) in &looker.tree.entries {
        // Debian answers for what its own programs were built from.
        if let (Node::File(content), false) = (&entry.node, matches!(entry.origin, Origin::Package(_))) {
            found.extend(of_program(looker, path, content).unwrap_or_default());
        }
    }
    found
}

fn of_program(looker: &Looker<'_>, path: &TreePath, content: &Content) -> Option<Vec<Found>> {
    let mut magic = [0; 4];
    looker.contents.open(content).ok()?.read_exact(&mut magic).ok()?;
    if magic != *b"\x7fELF" {
        return None;
    }
    of_bytes(&looker.bytes(content, PROGRAM_LIMIT)?, Some(path))
}

/// What a program was built from; `path` is where it lies in the image, if it does.
pub fn of_bytes(bytes: &[u8], path: Option<&TreePath>) -> Option<Vec<Found>> {
    let program = object::File::parse(bytes).ok()?;
    let section = |name: &str| program.section_by_name(name)?.data().ok();
    if let Some(list) = section(".dep-v0") {
        return crates(path, list);
    }
    modules(path, section(".go.buildinfo")?)
}

#[derive(Deserialize)]
struct Crates {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    dependencies: Vec<usize>,
    #[serde(default)]
    root: bool,
}

/// The list that cargo-auditable embeds: JSON, zlib.
fn crates(path: Option<&TreePath>, section: &[u8]) -> Option<Vec<Found>> {
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(section).take(LIST_LIMIT).read_to_end(&mut text).ok()?;
    let list: Crates = serde_json::from_slice(&text).ok()?;
    let id = |it: &Crate| format!("cargo:{}@{}", it.name, it.version);
    // What only ran while it was built is not in it.
    let is_inside = |it: &&Crate| it.kind != "build";
    let found = list.packages.iter().filter(is_inside).map(|it| {
        let needs = it.dependencies.iter().filter_map(|index| list.packages.get(*index)).filter(is_inside);
        let component = Component {
            id: id(it),
            kind: Kind::Language,
            name: it.name.clone(),
            version: it.version.clone(),
            // A name that is not from the registry is nobody's there.
            purl: match it.source.as_str() {
                PUBLIC => purl("cargo", "", &it.name, &it.version, &[]),
                _ => String::new(),
            },
            depends: needs.map(id).collect(),
            ..Component::default()
        };
        let files = path.filter(|_| it.root).cloned().into_iter().collect();
        Found { component, folders: Vec::new(), files }
    });
    Some(found.collect())
}

/// Go's build information since Go 1.18: a header of 32 bytes, then the Go version and the list of modules, each with its
/// length before it.
fn modules(path: Option<&TreePath>, section: &[u8]) -> Option<Vec<Found>> {
    const MAGIC: &[u8] = b"\xff Go buildinf:";
    const INLINE: u8 = 2;
    let header = section.get(..32)?;
    if !header.starts_with(MAGIC) || header[15] & INLINE == 0 {
        return None;
    }
    let (go, rest) = counted_text(section.get(32..)?)?;
    let (list, _) = counted_text(rest)?;
    // The list lies between two marks of 16 bytes.
    let list = list.get(16..list.len().checked_sub(16)?)?;
    let (go, list) = (String::from_utf8_lossy(go), String::from_utf8_lossy(list).into_owned());
    let mut found = vec![module("stdlib", go.trim_start_matches("go"))];
    let mut root = None;
    for line in list.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            ["mod", name, version, ..] => root = Some(module(name, version)),
            ["dep", name, version, ..] => found.push(module(name, version)),
            // The module before it was replaced by this one.
            ["=>", name, version, ..] => {
                found.pop();
                found.push(module(name, version));
            }
            _ => {}
        }
    }
    let mut root = root?;
    root.component.depends = found.iter().map(|it| it.component.id.clone()).collect();
    root.files.extend(path.cloned());
    found.push(root);
    Some(found)
}

fn module(name: &str, version: &str) -> Found {
    let (namespace, plain) = name.rsplit_once('/').unwrap_or(("", name));
    let component = Component {
        id: format!("golang:{name}@{version}"),
        kind: Kind::Language,
        name: name.to_owned(),
        version: version.to_owned(),
        purl: purl("golang", namespace, plain, version, &[]),
        ..Component::default()
    };
    Found { component, ..Found::default() }
}

/// A text with its length before it, as a variable-length integer; and what follows.
fn counted_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift) = (0usize, 0);
    for (index, byte) in bytes.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let rest = bytes.get(index + 1..)?;
            return Some((rest.get(..length)?, rest.get(length..)?));
        }
    }
    None
}
