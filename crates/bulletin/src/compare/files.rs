//! Changed files: the difference of the two trees, whole, with owners and with pairs of paths that only moved.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tree::diff::{Aspect, Difference, diff};
use tree::{Entry, Node, Origin, TreePath};

use super::detail::{self, Budget};
use super::layers::Layers;
use crate::facts::{Detail, FileChange, FileState, FileSummary, Files, Layer, Nature, Owner, OwnerKind};
use crate::side::{Side, UNKNOWN_ORIGIN};

/// What the difference of two trees is made of, before it is written down.
struct Found<'a> {
    path: &'a TreePath,
    was: Option<&'a TreePath>,
    nature: Nature,
    old: Option<&'a Entry>,
    new: Option<&'a Entry>,
    aspects: Vec<Aspect>,
}

/// Compares all paths.
pub fn files(old: &Side<'_>, new: &Side<'_>, layers: &Layers<'_>) -> Files {
    let mut differences = diff(&old.tree, &new.tree);
    differences.extend(other_names(old, new, &differences));
    let mut summary = FileSummary::default();
    let is_real = |difference: &&Difference| match difference {
        // Where bytes come from is no difference of the images.
        Difference::Changed { aspects, .. } => aspects.iter().any(|aspect| *aspect != Aspect::Origin),
        _ => true,
    };
    summary.origin_only = differences.iter().filter(|difference| !is_real(difference)).count();
    let found = pair(differences.iter().filter(is_real).map(found).collect(), old, new);
    for one in &found {
        match one.nature {
            Nature::Added => summary.added += 1,
            Nature::Removed => summary.removed += 1,
            Nature::Changed => summary.changed += 1,
            Nature::Moved => {
                summary.moved += 1;
                summary.moved_same += usize::from(!one.aspects.contains(&Aspect::Content));
            }
        }
    }
    let touched = summary.removed + summary.changed + summary.moved;
    summary.same = old.tree.entries.len() - touched;
    let (owners, changes) = owned(found, layers, old, new);
    Files { summary, owners, changes }
}

/// Other names of a changed file: their entries are the same, and what they lead to is not.
fn other_names(old: &Side<'_>, new: &Side<'_>, known: &[Difference]) -> Vec<Difference> {
    let known: BTreeSet<&TreePath> = known
        .iter()
        .map(|difference| match difference {
            Difference::Added { path, .. }
            | Difference::Removed { path, .. }
            | Difference::Changed { path, .. } => path,
        })
        .collect();
    let links = old.tree.entries.iter().filter(|(_, entry)| matches!(entry.node, Node::HardLink { .. }));
    links
        .filter(|(path, _)| !known.contains(path) && old.content(path) != new.content(path))
        .filter_map(|(path, before)| {
            let (old, new) = (before.clone(), new.tree.entries.get(path)?.clone());
            Some(Difference::Changed { path: path.clone(), old, new, aspects: vec![Aspect::Content] })
        })
        .collect()
}

fn found(difference: &Difference) -> Found<'_> {
    match difference {
        Difference::Added { path, new } => {
            Found { path, was: None, nature: Nature::Added, old: None, new: Some(new), aspects: Vec::new() }
        }
        Difference::Removed { path, old } => {
            Found { path, was: None, nature: Nature::Removed, old: Some(old), new: None, aspects: Vec::new() }
        }
        Difference::Changed { path, old, new, aspects } => Found {
            path,
            was: None,
            nature: Nature::Changed,
            old: Some(old),
            new: Some(new),
            aspects: aspects.iter().copied().filter(|aspect| *aspect != Aspect::Origin).collect(),
        },
    }
}

/// A path with the kernel's version taken out, which stays the same when the kernel changes.
fn without_kernel(path: &TreePath, kernel: Option<&str>) -> String {
    match kernel {
        Some(kernel) if !kernel.is_empty() => path.as_str().replace(kernel, "\u{1}"),
        _ => path.as_str().to_owned(),
    }
}

/// The same without numbers at the end of names: `libkrb5.so.3.3` and `libkrb5.so.3.4` have one shape.
fn shape(path: &TreePath, kernel: Option<&str>) -> String {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    without_kernel(path, kernel)
        .split('/')
        .map(|part| part.trim_end_matches(is_number))
        .collect::<Vec<_>>()
        .join("/")
}

/// Names a path by what should stay the same in it.
type Key = fn(&TreePath, Option<&str>) -> String;

/// Joins an added and a removed path when exactly one of each has the same key and both are of one kind: first those that
/// differ in the kernel's version alone, then those that differ in any number.
fn pair<'a>(found: Vec<Found<'a>>, old: &Side<'_>, new: &Side<'_>) -> Vec<Found<'a>> {
    let kernels = (kernel_folder(old), kernel_folder(new));
    let keys: [Key; 2] = [without_kernel, shape];
    keys.into_iter().fold(found, |found, key| pair_by(found, key, &kernels))
}

fn pair_by<'a>(
    found: Vec<Found<'a>>,
    key: Key,
    kernels: &(Option<String>, Option<String>),
) -> Vec<Found<'a>> {
    let mut keys: HashMap<String, (Vec<usize>, Vec<usize>)> = HashMap::new();
    for (index, one) in found.iter().enumerate() {
        match one.nature {
            Nature::Removed => keys.entry(key(one.path, kernels.0.as_deref())).or_default().0.push(index),
            Nature::Added => keys.entry(key(one.path, kernels.1.as_deref())).or_default().1.push(index),
            _ => {}
        }
    }
    let mut partner: BTreeMap<usize, usize> = BTreeMap::new();
    for (gone, came) in keys.values() {
        if let ([gone], [came]) = (gone.as_slice(), came.as_slice())
            && same_kind(found[*gone].old, found[*came].new)
        {
            partner.insert(*came, *gone);
        }
    }
    let taken: BTreeSet<usize> = partner.values().copied().collect();
    let before: Vec<(&TreePath, Option<&Entry>)> = found.iter().map(|one| (one.path, one.old)).collect();
    let mut result = Vec::with_capacity(found.len());
    for (index, one) in found.into_iter().enumerate() {
        if taken.contains(&index) {
            continue;
        }
        match partner.get(&index) {
            None => result.push(one),
            Some(gone) => {
                let (was, old) = before[*gone];
                let both = old.zip(one.new);
                let aspects = both.map(|(old, new)| tree::diff::aspects(old, new)).unwrap_or_default();
                let aspects = aspects.into_iter().filter(|aspect| *aspect != Aspect::Origin).collect();
                result.push(Found { was: Some(was), nature: Nature::Moved, old, aspects, ..one });
            }
        }
    }
    result
}

fn same_kind(old: Option<&Entry>, new: Option<&Entry>) -> bool {
    let kind = |entry: Option<&Entry>| entry.map(|entry| std::mem::discriminant(&entry.node));
    kind(old) == kind(new)
}

/// The folder of the kernel's modules is named after it.
fn kernel_folder(side: &Side<'_>) -> Option<String> {
    if let Some(version) = side.kernel_version.as_deref().filter(|version| !version.is_empty()) {
        return Some(version.to_owned());
    }
    let (path, _) = side.below("usr/lib/modules").next()?;
    path.as_str().split('/').nth(3).map(str::to_owned)
}

fn owned(
    found: Vec<Found<'_>>,
    layers: &Layers<'_>,
    old: &Side<'_>,
    new: &Side<'_>,
) -> (Vec<Owner>, Vec<FileChange>) {
    let key = |one: &Found<'_>| {
        let entry = one.new.or(one.old).expect("a change has a side");
        layers.owner(&entry.origin)
    };
    let mut keyed: Vec<((Layer, OwnerKind, String), Found<'_>)> =
        found.into_iter().map(|one| (key(&one), one)).collect();
    keyed.sort_by(|(one_key, one), (other_key, other)| (one_key, one.path).cmp(&(other_key, other.path)));
    let (mut owners, mut changes): (Vec<Owner>, Vec<FileChange>) = (Vec::new(), Vec::new());
    let mut budget = Budget::default();
    for ((layer, kind, name), one) in keyed {
        if owners.last().is_none_or(|last| (last.layer, last.kind, &last.name) != (layer, kind, &name)) {
            owners.push(Owner { kind, name, layer, changes: 0, same: 0, bytes: 0 });
        }
        let index = owners.len() - 1;
        let owner = &mut owners[index];
        owner.changes += 1;
        let has_bytes =
            one.nature != Nature::Removed && (one.old.is_none() || one.aspects.contains(&Aspect::Content));
        if let (true, Some(Node::File(content))) = (has_bytes, one.new.map(|entry| &entry.node)) {
            owner.bytes += content.size;
        }
        let detail = detail::detail(
            old,
            new,
            (one.was.unwrap_or(one.path), one.path),
            (one.old, one.new),
            kind,
            &mut budget,
        );
        let change = FileChange {
            path: one.path.to_string(),
            was: one.was.map(ToString::to_string),
            nature: one.nature,
            owner: index,
            aspects: one.aspects.iter().map(aspect_text).map(str::to_owned).collect(),
            old: one.old.map(state),
            new: one.new.map(state),
            detail,
        };
        owners[index].same += usize::from(!is_other(&change));
        changes.push(change);
    }
    (owners, changes)
}

fn aspect_text(aspect: &Aspect) -> &'static str {
    match aspect {
        Aspect::Kind => "kind",
        Aspect::Content => "content",
        Aspect::Target => "target",
        Aspect::Permissions => "permissions",
        Aspect::SpecialBits => "setuid bits",
        Aspect::Owner => "owner",
        Aspect::ExtendedAttributes => "attributes",
        Aspect::Capabilities => "capabilities",
        Aspect::Origin => "origin",
    }
}

fn state(entry: &Entry) -> FileState {
    let (kind, size, sha256, target) = match &entry.node {
        Node::Directory => ("directory", None, None, None),
        Node::File(content) => ("file", Some(content.size), Some(content.sha256), None),
        Node::HardLink { target } => ("hard link", None, None, Some(target.to_string())),
        Node::Symlink { target } => ("link", None, None, Some(target.clone())),
        Node::CharacterDevice { major, minor } => ("device", None, None, Some(format!("{major}:{minor}"))),
        Node::Fifo => ("pipe", None, None, None),
    };
    FileState {
        kind: kind.to_owned(),
        mode: format!("{:04o}", entry.metadata.mode),
        owner: format!("{}:{}", entry.metadata.uid, entry.metadata.gid),
        size,
        sha256,
        target,
    }
}

/// Whether what a path holds or may do is different, and not only its build, its date or a version in its name.
pub fn is_other(change: &FileChange) -> bool {
    match (&change.detail, change.nature) {
        (Some(Detail::Elf(elf)), _) => {
            !elf.only_notes || change.aspects.iter().any(|aspect| aspect != "content")
        }
        (_, Nature::Moved) => !change.aspects.is_empty(),
        _ => true,
    }
}

/// Whether nobody says where something comes from.
pub fn is_unknown(origin: &Origin) -> bool {
    matches!(origin, Origin::Generator(name) if name == UNKNOWN_ORIGIN)
}
