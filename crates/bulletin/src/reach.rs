//! What the services of an appliance load: from unit files over their programs to shared libraries, followed in the bits.
//!
//! Static, and says so: libraries come from DT_NEEDED, plugins from the folder that bears the program's name
//! (`/usr/lib/apache2/modules`). What a program opens under a computed name is not seen; that something is not reached is
//! therefore a hint, that it is reached is a fact with its path.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, ElfFile64, FileHeader};
use tree::{Node, Origin, TreePath};

use crate::side::Side;

/// Larger programs are not looked into.
const PROGRAM_LIMIT: u64 = 128 << 20;
/// Symbolic links followed in a row. Stops loops.
const LINK_LIMIT: usize = 16;
/// Folders in which libraries are looked for, in the loader's order.
const LIBRARY_FOLDERS: [&str; 6] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "lib/x86_64-linux-gnu",
    "lib",
];

/// How each file is reached: the service, then the files on the way to it.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    parents: BTreeMap<TreePath, Way>,
}

#[derive(Clone, Debug)]
enum Way {
    Service(String),
    File(TreePath),
}

impl Reach {
    /// From the services that make up the appliance: those the definition adds or enables, and those of packages the maker
    /// asked for by name.
    pub fn of(side: &Side<'_>) -> Self {
        let mut reach = Self::default();
        let mut queue = VecDeque::new();
        for (service, program) in services(side) {
            if let Some(program) = resolve(side, &program)
                && !reach.parents.contains_key(&program)
            {
                reach.parents.insert(program.clone(), Way::Service(service));
                queue.push_back(program);
            }
        }
        let libraries = libraries(side);
        while let Some(path) = queue.pop_front() {
            let needed =
                needed_of(side, &path).into_iter().filter_map(|name| libraries.get(name.as_str()).cloned());
            for found in needed.chain(plugins(side, &path)) {
                if !reach.parents.contains_key(&found) {
                    reach.parents.insert(found.clone(), Way::File(path.clone()));
                    queue.push_back(found);
                }
            }
        }
        reach
    }

    /// The way to a file, service first: `apache2.service → /usr/sbin/apache2 → /usr/lib/…/libssl.so.3`.
    pub fn way(&self, path: &TreePath) -> Option<Vec<String>> {
        let mut steps = vec![path.to_string()];
        let mut at = path;
        loop {
            match self.parents.get(at)? {
                Way::Service(service) => {
                    steps.push(service.clone());
                    steps.reverse();
                    return Some(steps);
                }
                Way::File(parent) => {
                    steps.push(parent.to_string());
                    at = parent;
                }
            }
        }
    }

    /// The shortest way to any of `paths`.
    pub fn way_to_any(&self, paths: &[String]) -> Option<Vec<String>> {
        let ways = paths.iter().filter_map(|path| self.way(&path.parse().ok()?));
        ways.min_by_key(Vec::len)
    }

    /// The shortest way to any file of one of `packages`.
    pub fn way_to_packages(&self, side: &Side<'_>, packages: &BTreeSet<&str>) -> Option<Vec<String>> {
        let is_of = |path: &TreePath| match side.tree.entries.get(path).map(|entry| &entry.origin) {
            Some(Origin::Package(name)) => packages.contains(name.as_str()),
            _ => false,
        };
        let ways = self.parents.keys().filter(|path| is_of(path)).filter_map(|path| self.way(path));
        ways.min_by_key(Vec::len)
    }
}

/// `(unit, program)` of the appliance's own services.
fn services(side: &Side<'_>) -> Vec<(String, String)> {
    let Some(definition) = &side.definition else { return Vec::new() };
    let requested = side.requested();
    let mut units: BTreeSet<String> = definition.units.enable.iter().cloned().collect();
    units.extend(definition.units.add.iter().filter_map(|path| Some(path.rsplit('/').next()?.to_owned())));
    for (path, entry) in &side.tree.entries {
        let is_unit =
            path.as_str().starts_with("usr/lib/systemd/system/") && path.name().ends_with(".service");
        let is_asked = matches!(&entry.origin, Origin::Package(name) if requested.contains(name.as_str()));
        if is_unit && (is_asked || matches!(entry.origin, Origin::Maker(_))) {
            units.insert(path.name().to_owned());
        }
    }
    let mut found = Vec::new();
    for unit in units {
        let text = ["etc/systemd/system", "usr/lib/systemd/system"]
            .iter()
            .find_map(|folder| side.text(&format!("{folder}/{unit}")));
        let Some(text) = text else { continue };
        for line in text.lines() {
            if let Some(command) = line.trim().strip_prefix("ExecStart=") {
                let program = command.trim_start_matches(['-', '@', ':', '+', '!']).split_whitespace().next();
                found.extend(program.map(|program| (unit.clone(), program.to_owned())));
            }
        }
        // A wrapper script starts the program that the service is named after.
        let stem = unit.trim_end_matches(".service");
        found.extend(["/usr/sbin", "/usr/bin"].map(|folder| (unit.clone(), format!("{folder}/{stem}"))));
    }
    found
}

/// A path with its symbolic links followed.
pub fn resolve(side: &Side<'_>, path: &str) -> Option<TreePath> {
    let mut pending: Vec<String> =
        path.split('/').rev().filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let (mut at, mut links) = (TreePath::root(), 0);
    while let Some(part) = pending.pop() {
        match part.as_str() {
            "." => continue,
            ".." => {
                at = at.parent().unwrap_or_default();
                continue;
            }
            _ => {}
        }
        let next = at.join(&part).ok()?;
        match &side.tree.entries.get(&next)?.node {
            Node::Symlink { target } => {
                links += 1;
                if links > LINK_LIMIT {
                    return None;
                }
                if target.starts_with('/') {
                    at = TreePath::root();
                }
                pending.extend(target.split('/').rev().filter(|part| !part.is_empty()).map(str::to_owned));
            }
            _ => at = next,
        }
    }
    Some(at)
}

/// Libraries by the name that programs ask for.
fn libraries(side: &Side<'_>) -> BTreeMap<String, TreePath> {
    let mut found = BTreeMap::new();
    for folder in LIBRARY_FOLDERS {
        for (path, _) in side.below(folder) {
            let is_direct = path.as_str()[folder.len()..].matches('/').count() == 1;
            if is_direct
                && path.name().contains(".so")
                && !found.contains_key(path.name())
                && let Some(file) = resolve(side, path.as_str())
            {
                found.insert(path.name().to_owned(), file);
            }
        }
    }
    found
}

/// Shared objects below the folder of libraries that bears the program's name.
fn plugins(side: &Side<'_>, program: &TreePath) -> Vec<TreePath> {
    let is_program = program.as_str().contains("bin/");
    let folders = LIBRARY_FOLDERS.iter().filter(|_| is_program);
    let mut found = Vec::new();
    for folder in folders {
        let folder = format!("{folder}/{}", program.name());
        let objects = side.below(&folder).filter(|(path, _)| path.name().ends_with(".so"));
        found.extend(objects.map(|(path, _)| path.clone()));
    }
    found
}

fn needed_of(side: &Side<'_>, path: &TreePath) -> Vec<String> {
    side.bytes(path, PROGRAM_LIMIT).map(|bytes| needed(&bytes)).unwrap_or_default()
}

/// DT_NEEDED of a 64 bit program; nothing for what can not be read as one.
pub fn needed(program: &[u8]) -> Vec<String> {
    let read = || -> object::read::Result<Vec<String>> {
        let file = ElfFile64::<Endianness>::parse(program)?;
        let endian = file.endian();
        let header: &FileHeader64<Endianness> = file.elf_header();
        let sections = header.sections(endian, program)?;
        let Some((entries, link)) = sections.dynamic(endian, program)? else { return Ok(Vec::new()) };
        let strings = sections.strings(endian, program, link)?;
        let needed = entries.iter().filter(|entry| entry.d_tag.get(endian) == DT_NEEDED);
        needed.map(|entry| Ok(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned())).collect()
    };
    read().unwrap_or_default()
}
