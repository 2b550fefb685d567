//! Reads a configured root back as a tree, tells what packages and what scripts made, and writes the base's files.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata as FileMetadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use sha2::{Digest, Sha256};
use tree::trim::{Report, Rule};
use tree::{Content, Entry, Metadata, Node, Origin, Tree, TreePath};

use super::error::At;
use super::origin::Generators;
use super::{BaseError, Document, file, scrub};
use crate::configure::Configured;
use crate::pack;
use crate::unpack::place::{Placed, PlacedKind, Placer};

/// Deepest directory. Stops a script's runaway nesting from exhausting the stack.
const MAX_DEPTH: usize = 256;

/// Largest extended attribute. The kernel's own limit (`XATTR_SIZE_MAX`).
const MAX_XATTR: usize = 65_536;

/// Collects `root` into `out`. `aside` is a directory for normalised files.
pub fn collect(
    root: &Path,
    configured: Configured,
    rules: &[Rule],
    source_date_epoch: u64,
    (out, aside): (&Path, &Path),
    threads: usize,
) -> Result<(), BaseError> {
    let Configured { placer, trimmed, documents } = configured;
    let status_path = root.join("var/lib/dpkg/status");
    let status = std::fs::read(&status_path).at("read", &status_path)?;

    let mut walk = Walk { tree: Tree::default(), names: HashMap::new() };
    walk.directory(root, &TreePath::root(), 0)?;
    let mut tree = walk.tree;
    let mut report = Report::new(rules);
    report.add(&trimmed);
    // Scripts may have made more of what early rules remove, and directories are only removed here.
    report.add(&tree::trim::trim(&mut tree, rules));
    report.add(&tree::trim::trim(&mut tree, &scrub::scrub_rules()));

    let mut contents = hash(&mut tree, root, aside, source_date_epoch, threads)?;
    attribute(&mut tree, &placer);

    let listed: Vec<Document> = documents
        .iter()
        .map(|(package, document)| Document {
            package: package.clone(),
            path: document.path.clone(),
            content: document.content,
        })
        .collect();
    // A document that stayed in the image was moved there; its content is in the pack already.
    let in_tree: std::collections::HashSet<Sha256Digest> =
        contents.iter().map(|(content, _)| content.sha256).collect();
    contents.extend(
        documents
            .into_iter()
            .filter(|(_, document)| !in_tree.contains(&document.content.sha256) && document.file.exists())
            .map(|(_, document)| (document.content, document.file)),
    );
    pack::write(out, &contents, threads)?;
    let write = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        std::fs::write(&path, bytes).at("write", path)
    };
    write(file::CONTENTS, &tree::listing::to_bytes(&tree))?;
    write(file::REPORT, &serde_json::to_vec_pretty(&report).expect("a report is plain texts and numbers"))?;
    write(file::DOCUMENTS, &serde_json::to_vec(&listed).expect("documents are plain texts and numbers"))?;
    write(file::STATUS, &status)
}

/// Walks the root. Sizes are known after it, digests are not.
struct Walk {
    tree: Tree,
    /// First path of each inode that has several.
    names: HashMap<(u64, u64), TreePath>,
}

impl Walk {
    fn directory(&mut self, full: &Path, path: &TreePath, depth: usize) -> Result<(), BaseError> {
        if depth > MAX_DEPTH {
            return Err(BaseError::Damaged {
                path: full.to_owned(),
                reason: "it is nested too deeply".into(),
            });
        }
        let metadata = full.symlink_metadata().at("look at", full)?;
        self.add(full, path, &metadata, Node::Directory)?;
        let mut names = Vec::new();
        for entry in std::fs::read_dir(full).at("read", full)? {
            names.push(entry.at("read", full)?.file_name());
        }
        // Sorted bytewise, so that the first name of a hard-linked file is always the same one.
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        for name in names {
            let child = full.join(&name);
            let refuse = |reason: &str| BaseError::Damaged { path: child.clone(), reason: reason.into() };
            let text = name.to_str().ok_or_else(|| refuse("its name is not UTF-8"))?;
            let path = path.join(text).map_err(|error| refuse(&error.to_string()))?;
            let metadata = child.symlink_metadata().at("look at", &child)?;
            let kind = metadata.file_type();
            let node = if kind.is_dir() {
                self.directory(&child, &path, depth + 1)?;
                continue;
            } else if kind.is_file() {
                let content = Content { sha256: Sha256Digest([0; 32]), size: metadata.len() };
                self.file_node(&path, &metadata, content)
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&child).at("read", &child)?;
                let target = target.to_str().ok_or_else(|| refuse("its target is not UTF-8"))?.to_owned();
                Node::Symlink { target }
            } else if kind.is_fifo() {
                Node::Fifo
            } else if kind.is_char_device() {
                let device = metadata.rdev();
                let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
                Node::CharacterDevice { major, minor }
            } else {
                // Sockets and block devices are made at boot; none belongs into an image.
                continue;
            };
            self.add(&child, &path, &metadata, node)?;
        }
        Ok(())
    }

    fn file_node(&mut self, path: &TreePath, metadata: &FileMetadata, content: Content) -> Node {
        if metadata.nlink() < 2 {
            return Node::File(content);
        }
        match self.names.entry((metadata.dev(), metadata.ino())) {
            std::collections::hash_map::Entry::Occupied(first) => {
                Node::HardLink { target: first.get().clone() }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(path.clone());
                Node::File(content)
            }
        }
    }

    fn add(
        &mut self,
        full: &Path,
        path: &TreePath,
        metadata: &FileMetadata,
        node: Node,
    ) -> Result<(), BaseError> {
        let is_link = matches!(node, Node::Symlink { .. });
        let metadata = Metadata {
            mode: if is_link { 0o777 } else { metadata.mode() & 0o7777 },
            uid: metadata.uid(),
            gid: metadata.gid(),
            xattrs: if is_link { BTreeMap::new() } else { xattrs(full)? },
        };
        let origin = Origin::Generator(String::new());
        self.tree.entries.insert(path.clone(), Entry { metadata, node, origin });
        Ok(())
    }
}

/// Extended attributes of a path, links not followed.
pub(crate) fn xattrs(path: &Path) -> Result<BTreeMap<String, Vec<u8>>, BaseError> {
    let mut list = [0; 1024];
    let length = match rustix::fs::llistxattr(path, &mut list[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => return Err(error).at("read the attributes of", path),
    };
    let mut xattrs = BTreeMap::new();
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let mut value = vec![0; MAX_XATTR];
        let length =
            rustix::fs::lgetxattr(path, name.as_str(), &mut value[..]).at("read the attributes of", path)?;
        value.truncate(length);
        xattrs.insert(name, value);
    }
    Ok(xattrs)
}

/// Fills in digests. Returns where each content is, in the order of paths.
fn hash(
    tree: &mut Tree,
    root: &Path,
    aside: &Path,
    source_date_epoch: u64,
    threads: usize,
) -> Result<Vec<(Content, PathBuf)>, BaseError> {
    let mut paths = Vec::new();
    let mut sources = Vec::new();
    for (path, entry) in &tree.entries {
        if let Node::File(_) = entry.node {
            paths.push(path.clone());
            sources.push(normalised(path, root, aside, source_date_epoch)?);
        }
    }
    let contents = pack::hash_files(&sources, threads)?;
    for (path, content) in paths.iter().zip(&contents) {
        tree.entries.entry(path.clone()).and_modify(|entry| entry.node = Node::File(*content));
    }
    Ok(contents.into_iter().zip(sources).collect())
}

/// The file itself, or its normalised copy.
fn normalised(path: &TreePath, root: &Path, aside: &Path, epoch: u64) -> Result<PathBuf, BaseError> {
    let full = root.join(path.as_str());
    if path.as_str() != "etc/shadow" {
        return Ok(full);
    }
    let bytes = std::fs::read(&full).at("read", &full)?;
    let Some(changed) = scrub::normalise(path, &bytes, epoch) else { return Ok(full) };
    let digest: String =
        Sha256::digest(path.as_str()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let copy = aside.join(format!("normalised-{digest}"));
    std::fs::write(&copy, changed).at("write", &copy)?;
    Ok(copy)
}

/// Says for every entry where it came from: a package when it is exactly what the package placed.
fn attribute(tree: &mut Tree, placer: &Placer) {
    let generators = Generators::new();
    let contents: BTreeMap<TreePath, Node> = tree
        .entries
        .iter()
        .filter(|(_, entry)| matches!(entry.node, Node::File(_)))
        .map(|(path, entry)| (path.clone(), entry.node.clone()))
        .collect();
    for (path, entry) in &mut tree.entries {
        let node = match &entry.node {
            Node::HardLink { target } => contents.get(target).cloned().unwrap_or(entry.node.clone()),
            node => node.clone(),
        };
        entry.origin = match placer.placed.get(path) {
            Some(placed) if is_as_placed(placed, &node, &entry.metadata) => {
                Origin::Package(placer.packages[placed.package].clone())
            }
            _ if path.as_str().is_empty() || crate::unpack::MERGED.contains(&path.as_str()) => {
                Origin::Generator("merged-usr".into())
            }
            _ => generators.of(path, &entry.node),
        };
    }
}

fn is_as_placed(placed: &Placed, node: &Node, metadata: &Metadata) -> bool {
    let is_same_node = match (&placed.kind, node) {
        (PlacedKind::Directory, Node::Directory) | (PlacedKind::Fifo, Node::Fifo) => true,
        (PlacedKind::File(placed), Node::File(found)) => placed == found,
        (PlacedKind::Symlink(placed), Node::Symlink { target }) => placed == target,
        _ => false,
    };
    is_same_node
        && (placed.mode, placed.uid, placed.gid) == (metadata.mode, metadata.uid, metadata.gid)
        && metadata.xattrs.is_empty()
}
