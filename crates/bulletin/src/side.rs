//! One of the two things that are compared: a tree with its contents, and what is known of it.
//!
//! From an image of Ampoule everything but changelogs comes from the image itself, so that a bare disk is as good as a release
//! folder. From a foreign tree comes what its package database says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use debian::Lock;
use image::{ReadAt, erofs, uki, verity};
use model::definition::SEALED_PATH;
use model::{Definition, Sha256Digest};
use release::documents::{ORIGINS, Origins, PackageDocuments, PackageFacts, sealed_path};
use release::inspect::{InspectError, Parts, Verified};
use release::names;
use sha2::{Digest, Sha256};
use tree::{Content, ContentSource, Node, Origin, Tree, TreePath};

/// Longest text that is read from an image. Stops documents that would fill memory.
pub const TEXT_LIMIT: u64 = 64 << 20;

/// Why something can not be compared.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// It is not an image of Ampoule, or damaged.
    #[error("the image can not be read")]
    Image(#[source] InspectError),
    /// The root file system is damaged.
    #[error("the root file system can not be read")]
    Root(#[source] erofs::ReadError),
    /// The UKI is damaged.
    #[error("the unified kernel image can not be read")]
    Uki(#[source] uki::UkiError),
    /// Bytes of a file can not be read.
    #[error("`{path}` in the image can not be read")]
    File {
        /// Path in the image.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// One of the two.
pub struct Side<'a> {
    /// What to call it when it does not say itself.
    pub label: String,
    /// The sealed definition.
    pub definition: Option<Definition>,
    /// dm-verity root hash.
    pub root_hash: Option<Sha256Digest>,
    /// Whether its blocks were compared with it.
    pub verified: Option<Verified>,
    /// Bytes of the root file system.
    pub root_size: u64,
    /// Every path, with digests computed from the bytes.
    pub tree: Tree,
    /// The bytes.
    pub contents: Box<dyn ContentSource + 'a>,
    /// Debian packages.
    pub packages: Vec<PackageFacts>,
    /// `uname -r`.
    pub kernel_version: Option<String>,
    /// Kernel command line.
    pub command_line: Option<String>,
    /// Sections of the UKI: size and digest.
    pub uki: BTreeMap<String, (u64, Sha256Digest)>,
    /// Digest of the statement: identity of the release.
    pub release: Option<Sha256Digest>,
    /// The lock it was built from.
    pub lock: Option<Lock>,
    /// Changelogs and kernel options.
    pub papers: PackageDocuments,
}

impl<'a> Side<'a> {
    /// Reads an image whole: every file is hashed, every block compared with the root hash.
    pub fn of_image(label: &str, parts: Parts<'a>, threads: NonZeroUsize) -> Result<Self, SideError> {
        let sections = uki::sections(&parts.uki).map_err(SideError::Uki)?;
        let text = |name: &str| {
            let section = sections.iter().find(|section| section.name == name)?;
            Some(String::from_utf8_lossy(section.data).trim_end_matches('\0').trim().to_owned())
        };
        let command_line = text(".cmdline");
        let root_hash = command_line.as_deref().and_then(root_hash_of);
        let verified = root_hash.map(|hash| match verity::verify(&parts.root, &parts.verity, &hash) {
            Ok(()) => Verified::Yes,
            Err(error) => Verified::No(error.to_string()),
        });
        let uki_sections = sections.iter().map(|section| {
            let digest = Sha256Digest(Sha256::digest(section.data).into());
            (section.name.clone(), (section.data.len() as u64, digest))
        });
        let (uki, kernel_version) = (uki_sections.collect(), text(".uname"));
        let image = erofs::Image::open(parts.root).map_err(SideError::Root)?;
        let root_size = image.superblock().size;
        let (tree, contents) = read_tree(image, threads)?;
        let mut side = Self {
            command_line,
            root_hash,
            verified,
            uki,
            kernel_version,
            root_size,
            ..Self::of_tree(label, tree, Box::new(contents))
        };
        side.definition = side.json(&SEALED_PATH.parse().expect("the path is constant and plain"));
        side.packages = side.json(&sealed_path(names::PACKAGES)).unwrap_or_default();
        side.set_origins();
        Ok(side)
    }

    /// A tree of which nothing else is known.
    pub fn of_tree(label: &str, tree: Tree, contents: Box<dyn ContentSource + 'a>) -> Self {
        Self {
            label: label.to_owned(),
            definition: None,
            root_hash: None,
            verified: None,
            root_size: 0,
            tree,
            contents,
            packages: Vec::new(),
            kernel_version: None,
            command_line: None,
            uki: BTreeMap::new(),
            release: None,
            lock: None,
            papers: PackageDocuments::default(),
        }
    }

    /// The bytes of a file, following hard links but no symbolic ones; `None` for what is no file or longer than `limit`.
    pub fn bytes(&self, path: &TreePath, limit: u64) -> Option<Vec<u8>> {
        let content = self.content(path).filter(|content| content.size <= limit)?;
        let mut bytes = Vec::with_capacity(content.size as usize);
        self.contents.open(&content).ok()?.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The content of a file.
    pub fn content(&self, path: &TreePath) -> Option<Content> {
        match &self.tree.entries.get(path)?.node {
            Node::File(content) => Some(*content),
            Node::HardLink { target } => match &self.tree.entries.get(target)?.node {
                Node::File(content) => Some(*content),
                _ => None,
            },
            _ => None,
        }
    }

    /// A text by its path.
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = self.bytes(&path.parse().ok()?, TEXT_LIMIT)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Everything below a folder, in order.
    pub fn below<'t>(
        &'t self,
        folder: &str,
    ) -> impl Iterator<Item = (&'t TreePath, &'t tree::Entry)> + use<'t, 'a> {
        let prefix = format!("{folder}/");
        let from: TreePath = folder.parse().unwrap_or_default();
        // Not a plain range: `usr/lib-x` lies between `usr/lib` and `usr/lib/x`.
        self.tree
            .entries
            .range(from..)
            .skip_while({
                let prefix = prefix.clone();
                move |(path, _)| !path.as_str().starts_with(&prefix)
            })
            .take_while(move |(path, _)| path.as_str().starts_with(&prefix))
    }

    /// Names of packages the maker asked for.
    pub fn requested(&self) -> BTreeSet<&str> {
        let of_lock = self.lock.iter().flat_map(|lock| &lock.packages).filter(|package| package.requested);
        let of_definition = self.definition.iter().flat_map(|definition| &definition.base.packages);
        of_lock.map(|package| package.name.as_str()).chain(of_definition.map(String::as_str)).collect()
    }

    fn json<T: serde::de::DeserializeOwned>(&self, path: &TreePath) -> Option<T> {
        serde_json::from_slice(&self.bytes(path, TEXT_LIMIT)?).ok()
    }

    /// Origins as the sealed document says; it names every path of the image.
    fn set_origins(&mut self) {
        let Some(origins) = self.json::<Origins>(&sealed_path(ORIGINS)) else { return };
        let parsed: HashMap<&str, Origin> =
            origins.0.keys().filter_map(|text| Some((text.as_str(), parse_origin(text)?))).collect();
        let by_path = origins.by_path();
        for (path, entry) in &mut self.tree.entries {
            if let Some(origin) = by_path.get(path.as_str()).and_then(|text| parsed.get(text)) {
                entry.origin = origin.clone();
            }
        }
    }
}

/// Name of the generator that stands for "nobody says".
pub const UNKNOWN_ORIGIN: &str = "unknown";

fn parse_origin(text: &str) -> Option<Origin> {
    let (kind, name) = text.split_once(':')?;
    match kind {
        "package" => Some(Origin::Package(name.to_owned())),
        "maker" => Some(Origin::Maker(name.to_owned())),
        "generator" => Some(Origin::Generator(name.to_owned())),
        _ => None,
    }
}

fn root_hash_of(command_line: &str) -> Option<Sha256Digest> {
    command_line.split_whitespace().find_map(|word| word.strip_prefix("roothash=")?.parse().ok())
}

/// Contents of an EROFS image by digest.
struct ImageContents<R> {
    image: erofs::Image<R>,
    places: HashMap<Sha256Digest, erofs::Entry>,
}

impl<R: ReadAt> ContentSource for ImageContents<R> {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        let entry = self.places.get(&content.sha256).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(self.image.open_file(entry)))
    }
}

/// The tree of an image: structure from its inodes, digests from its bytes.
fn read_tree<R: ReadAt>(
    image: erofs::Image<R>,
    threads: NonZeroUsize,
) -> Result<(Tree, ImageContents<R>), SideError> {
    let mut entries = Vec::new();
    image.walk(|entry| entries.push(entry)).map_err(SideError::Root)?;
    let files: Vec<&erofs::Entry> =
        entries.iter().filter(|entry| matches!(entry.kind, erofs::NodeKind::File { .. })).collect();
    let digests = hash_all(&image, &files, threads)?;
    let mut digests = digests.into_iter();
    let (mut tree, mut places) = (Tree::default(), HashMap::new());
    for entry in entries {
        let node = match &entry.kind {
            erofs::NodeKind::Directory => Node::Directory,
            erofs::NodeKind::File { size } => {
                let sha256 = digests.next().expect("each file was hashed");
                places.entry(sha256).or_insert_with(|| entry.clone());
                Node::File(Content { sha256, size: *size })
            }
            erofs::NodeKind::HardLink { target } => Node::HardLink { target: target.clone() },
            erofs::NodeKind::Symlink { target } => Node::Symlink { target: target.clone() },
            erofs::NodeKind::CharacterDevice { major, minor } => {
                Node::CharacterDevice { major: *major, minor: *minor }
            }
            erofs::NodeKind::Fifo => Node::Fifo,
        };
        let origin = Origin::Generator(UNKNOWN_ORIGIN.into());
        tree.entries.insert(entry.path, tree::Entry { metadata: entry.metadata, node, origin });
    }
    Ok((tree, ImageContents { image, places }))
}

/// Digests of files, in their order.
fn hash_all<R: ReadAt>(
    image: &erofs::Image<R>,
    files: &[&erofs::Entry],
    threads: NonZeroUsize,
) -> Result<Vec<Sha256Digest>, SideError> {
    let next = AtomicUsize::new(0);
    let run = || -> Result<Vec<(usize, Sha256Digest)>, SideError> {
        let (mut done, mut buffer) = (Vec::new(), vec![0; 1 << 18]);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = files.get(index) else { return Ok(done) };
            let (mut reader, mut hasher) = (image.open_file(entry), Sha256::new());
            loop {
                match reader.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => hasher.update(&buffer[..count]),
                    Err(source) => {
                        return Err(SideError::File { path: entry.path.to_string(), source });
                    }
                }
            }
            done.push((index, Sha256Digest(hasher.finalize().into())));
        }
    };
    let mut all = Vec::with_capacity(files.len());
    std::thread::scope(|scope| -> Result<(), SideError> {
        let threads: Vec<_> = (0..threads.get()).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(())
    })?;
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, digest)| digest).collect())
}
