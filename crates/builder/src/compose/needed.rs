//! Programs that stay while a library they are linked with goes: each is a trim rule that went too far.
//!
//! Only told, never refused: a plugin that nothing loads may lack what it likes. Libraries that are opened by name at run
//! time (`dlopen`) are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, ElfFile64, FileHeader};
use object::{Endianness, elf};
use tree::trim::Rule;
use tree::{ContentSource, Node, Tree, TreePath};

/// Larger programs are not looked into: reading one whole must not decide how long a build takes.
const PROGRAM_LIMIT: u64 = 64 << 20;

/// A program whose library was trimmed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// The program or library that stays.
    pub program: TreePath,
    /// What it is linked with, as DT_NEEDED has it: `libedit.so.2`.
    pub library: String,
    /// The rule that removed it.
    pub rule: String,
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` needs `{}`, which trim rule `{}` removes", self.program, self.library, self.rule)
    }
}

/// Names of libraries that `rules` remove from a tree, and which rule does: to be asked before trimming.
pub fn removed_libraries(tree: &Tree, rules: &[Rule]) -> BTreeMap<String, String> {
    let libraries = tree.entries.iter().filter(|(path, _)| path.name().contains(".so"));
    let removed = libraries.filter_map(|(path, entry)| {
        let rule = rules.iter().find(|rule| rule.removes_entry(path, entry))?;
        Some((path.name().to_owned(), rule.name.clone()))
    });
    removed.collect()
}

/// What in the trimmed `tree` is linked with something in `removed` that is nowhere any more.
pub fn lacks(
    tree: &Tree,
    contents: &dyn ContentSource,
    removed: &BTreeMap<String, String>,
) -> io::Result<Vec<Lack>> {
    let kept: BTreeSet<&str> = tree.entries.keys().map(TreePath::name).collect();
    let gone: BTreeMap<&str, &String> = removed
        .iter()
        .map(|(name, rule)| (name.as_str(), rule))
        .filter(|(name, _)| !kept.contains(name))
        .collect();
    let mut lacks = Vec::new();
    if gone.is_empty() {
        return Ok(lacks);
    }
    for (path, entry) in &tree.entries {
        let Node::File(content) = &entry.node else { continue };
        let may_be_elf = entry.metadata.mode & 0o111 != 0 || path.name().contains(".so");
        if !may_be_elf || content.size > PROGRAM_LIMIT {
            continue;
        }
        let mut reader = contents.open(content)?;
        let mut bytes = vec![0; elf::ELFMAG.len()];
        // A file shorter than the magic is no program.
        if reader.read_exact(&mut bytes).is_err() || bytes != elf::ELFMAG {
            continue;
        }
        reader.read_to_end(&mut bytes)?;
        let missing = needed(&bytes).into_iter().filter_map(|library| {
            let rule = gone.get(library.as_str())?;
            Some(Lack { program: path.clone(), rule: rule.to_string(), library })
        });
        lacks.extend(missing);
    }
    lacks.sort();
    Ok(lacks)
}

/// DT_NEEDED of a 64 bit program; nothing for what can not be read as one.
fn needed(program: &[u8]) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use model::Sha256Digest;
    use sha2::{Digest, Sha256};
    use tree::trim::{Emptied, Stage};
    use tree::{Content, Entry, Metadata, Origin};

    use super::*;

    struct Files(HashMap<Sha256Digest, Vec<u8>>);

    impl ContentSource for Files {
        fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
            Ok(Box::new(self.0[&content.sha256].as_slice()))
        }
    }

    fn add(tree: &mut Tree, files: &mut Files, path: &str, bytes: Vec<u8>) {
        let content =
            Content { sha256: Sha256Digest(Sha256::digest(&bytes).into()), size: bytes.len() as u64 };
        files.0.insert(content.sha256, bytes);
        let entry = Entry {
            metadata: Metadata { mode: 0o755, ..Metadata::default() },
            node: Node::File(content),
            origin: Origin::Package("some".into()),
        };
        tree.entries.insert(path.parse().unwrap(), entry);
    }

    #[test]
    fn a_rule_that_takes_a_library_from_under_a_program_is_named() {
        let (mut tree, mut files) = (Tree::default(), Files(HashMap::new()));
        // A real dynamic program, and no large one.
        let shell = std::fs::read("/bin/sh").unwrap();
        assert!(needed(&shell).iter().any(|library| library == "libc.so.6"), "{:?}", needed(&shell));
        add(&mut tree, &mut files, "/usr/bin/program", shell);
        add(&mut tree, &mut files, "/usr/bin/script", b"#!/bin/sh\n".to_vec());
        add(&mut tree, &mut files, "/usr/lib/libc.so.6", b"library".to_vec());
        let rule = Rule {
            name: "too-far".into(),
            why: String::new(),
            paths: vec!["/usr/lib/libc.so*".parse().unwrap()],
            except: Vec::new(),
            packages: Vec::new(),
            stage: Stage::Late,
            emptied: Emptied::Keep,
        };
        let removed = removed_libraries(&tree, std::slice::from_ref(&rule));
        assert!(lacks(&tree, &files, &removed).unwrap().is_empty(), "it is there still");
        tree::trim::trim(&mut tree, &[rule]);
        let lacks: Vec<String> =
            lacks(&tree, &files, &removed).unwrap().iter().map(Lack::to_string).collect();
        assert_eq!(lacks, ["`/usr/bin/program` needs `libc.so.6`, which trim rule `too-far` removes"]);
    }

    #[test]
    fn what_only_begins_like_a_program_needs_nothing() {
        assert!(needed(b"\x7fELF and no more").is_empty());
    }
}
