//! File systems of strangers, mounted read-only and read into a tree.
//!
//! The kernel's drivers read them, which is for disks whose makers are trusted as far as that: whoever calls this says so.
//! Nothing in them is run, and nothing is written: the loop device itself is read-only.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use model::Sha256Digest;
use tree::{Content, ContentSource, Entry, Metadata, Node, Origin, Tree, TreePath};

use crate::base::collect::xattrs;
use crate::pack;

/// Deepest folder. Stops nesting from exhausting the stack.
const MAX_DEPTH: usize = 256;
/// Most paths.
const MAX_ENTRIES: usize = 4_000_000;

/// Why a foreign file system can not be read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// Nothing can be mounted.
    #[error("`{what}` can not be mounted: {why}")]
    Mount {
        /// File.
        what: PathBuf,
        /// What `mount` said.
        why: String,
    },
    /// Reading failed.
    #[error("`{path}` can not be read")]
    Read {
        /// Where.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Beyond a limit.
    #[error("it has more than {0} paths or nests too deeply")]
    Limit(usize),
}

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    point: PathBuf,
}

/// Options in the order in which they are tried: a journal is never replayed.
const OPTIONS: [&str; 3] = ["ro,noload", "ro,norecovery", "ro"];

impl Mounted {
    /// Mounts `length` bytes of `file` from `start` on, at the empty folder `point`.
    pub fn mount(file: &Path, start: u64, length: u64, point: &Path) -> Result<Self, ForeignError> {
        let mut why = String::new();
        for options in OPTIONS {
            let options = format!("{options},nodev,nosuid,noexec,loop,offset={start},sizelimit={length}");
            let output = Command::new("mount")
                .args(["-o", &options])
                .args([file, point])
                .output()
                .map_err(|error| ForeignError::Mount { what: file.to_owned(), why: error.to_string() })?;
            if output.status.success() {
                return Ok(Self { point: point.to_owned() });
            }
            why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
        }
        Err(ForeignError::Mount { what: file.to_owned(), why })
    }

    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A mount that can not be taken away stays visible to whoever looks; there is nobody to tell here.
        let _ = Command::new("umount").arg(&self.point).status();
    }
}

/// The tree below a folder, with digests computed, and its contents. Sockets and block devices are left out: images have none.
pub fn read_tree(root: &Path, threads: usize) -> Result<(Tree, FolderContents), ForeignError> {
    let mut walk = Walk { root, tree: Tree::default(), files: Vec::new(), first_names: HashMap::new() };
    walk.folder(&TreePath::root(), 0)?;
    let Walk { mut tree, files, .. } = walk;
    let paths: Vec<PathBuf> = files.iter().map(|path| root.join(path.as_str())).collect();
    let contents = pack::hash_files(&paths, threads)
        .map_err(|error| ForeignError::Read { path: root.to_owned(), source: io::Error::other(error) })?;
    let mut places = HashMap::new();
    for ((path, full), content) in files.iter().zip(paths).zip(contents) {
        if let Some(entry) = tree.entries.get_mut(path) {
            entry.node = Node::File(content);
        }
        places.insert(content.sha256, full);
    }
    Ok((tree, FolderContents { places }))
}

/// Contents of files below a folder.
#[derive(Debug)]
pub struct FolderContents {
    places: HashMap<Sha256Digest, PathBuf>,
}

impl ContentSource for FolderContents {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        let path = self.places.get(&content.sha256).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(File::open(path)?))
    }
}

struct Walk<'a> {
    root: &'a Path,
    tree: Tree,
    files: Vec<TreePath>,
    /// First names of files with several, by inode.
    first_names: HashMap<(u64, u64), TreePath>,
}

impl Walk<'_> {
    fn folder(&mut self, path: &TreePath, depth: usize) -> Result<(), ForeignError> {
        if depth > MAX_DEPTH || self.tree.entries.len() > MAX_ENTRIES {
            return Err(ForeignError::Limit(MAX_ENTRIES));
        }
        let full = self.root.join(path.as_str());
        self.entry(path, &full)?;
        let error = |source| ForeignError::Read { path: full.clone(), source };
        let mut names: Vec<String> = Vec::new();
        for entry in fs::read_dir(&full).map_err(error)? {
            // A name that is not UTF-8 is shown with replacements, and then can not be opened: it is left out.
            names.extend(entry.map_err(error)?.file_name().into_string());
        }
        names.sort();
        for name in names {
            let Ok(child) = path.join(&name) else { continue };
            let full = self.root.join(child.as_str());
            let kind = fs::symlink_metadata(&full)
                .map_err(|source| ForeignError::Read { path: full.clone(), source })?;
            match kind.is_dir() {
                true => self.folder(&child, depth + 1)?,
                false => self.entry(&child, &full)?,
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &TreePath, full: &Path) -> Result<(), ForeignError> {
        let error = |source| ForeignError::Read { path: full.to_owned(), source };
        let found = fs::symlink_metadata(full).map_err(error)?;
        let kind = found.file_type();
        let node = if kind.is_dir() {
            Node::Directory
        } else if kind.is_symlink() {
            let target = fs::read_link(full).map_err(error)?;
            Node::Symlink { target: target.to_string_lossy().into_owned() }
        } else if kind.is_file() {
            match self.first_names.get(&(found.dev(), found.ino())) {
                Some(target) if found.nlink() > 1 => Node::HardLink { target: target.clone() },
                _ => {
                    self.first_names.insert((found.dev(), found.ino()), path.clone());
                    self.files.push(path.clone());
                    Node::File(Content { sha256: Sha256Digest([0; 32]), size: found.len() })
                }
            }
        } else if kind.is_char_device() {
            // glibc's makedev: 12 bits of the major number above 8 of the minor, the rest above.
            let device = found.rdev();
            let major = (device >> 8 & 0xfff | device >> 32 & !0xfff) as u32;
            let minor = (device & 0xff | device >> 12 & !0xff) as u32;
            Node::CharacterDevice { major, minor }
        } else if kind.is_fifo() {
            Node::Fifo
        } else {
            return Ok(());
        };
        let xattrs = match kind.is_symlink() {
            true => BTreeMap::new(),
            false => xattrs(full).map_err(|source| error(io::Error::other(source)))?,
        };
        let metadata = Metadata { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid(), xattrs };
        // Nobody says where it comes from.
        let origin = Origin::Generator("unknown".into());
        self.tree.entries.insert(path.clone(), Entry { metadata, node, origin });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        fs::create_dir(root.join("a")).expect("a folder");
        fs::write(root.join("a/x"), "hello").expect("a file");
        fs::hard_link(root.join("a/x"), root.join("a/y")).expect("a link");
        std::os::unix::fs::symlink("x", root.join("a/z")).expect("a link");
        let (tree, contents) = read_tree(root, 2).expect("reads");
        let names: Vec<&str> = tree.entries.keys().map(TreePath::as_str).collect();
        assert_eq!(names, ["", "a", "a/x", "a/y", "a/z"]);
        let entry = &tree.entries[&"a/x".parse::<TreePath>().expect("a path")];
        let Node::File(content) = &entry.node else { panic!("a file is expected") };
        let mut text = String::new();
        contents.open(content).and_then(|mut reader| reader.read_to_string(&mut text)).expect("reads");
        assert_eq!(text, "hello");
        assert!(matches!(
            &tree.entries[&"a/y".parse::<TreePath>().expect("a path")].node,
            Node::HardLink { .. }
        ));
    }
}
