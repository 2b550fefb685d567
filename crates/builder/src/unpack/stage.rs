//! One package's data archive, written as numbered files beside the root.
//!
//! Staging needs no knowledge of the root, so packages are staged in parallel, in any order, while scripts run.
//! Placing ([`super::place`]) then only renames.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use md5::Md5;
use model::Sha256Digest;
use sha2::{Digest, Sha256};
use tree::trim::{Report, Rule};
use tree::{Content, Pattern, TreePath};

use super::archive::{Deb, xz_decoder};
use super::control::Control;
use super::{ControlFiles, canonical};
use crate::base::BaseError;
use crate::base::error::At;

/// Most entries in one package. Stops an archive of endless empty entries.
pub const MAX_ENTRIES: usize = 1_000_000;

/// Most bytes one package may unpack to. Stops a small package that fills the disk.
pub const MAX_UNPACKED: u64 = 16 << 30;

/// Longest path or link text. Stops headers that fill memory.
pub const MAX_PATH: usize = 4096;

/// A package whose files are ready to be placed.
pub struct Staged {
    /// Fields of the control file.
    pub control: Control,
    /// Control files by name.
    pub files: ControlFiles,
    /// Entries in the archive's order.
    pub entries: Vec<StagedEntry>,
    /// dpkg's file list: every path of the archive, placed or not.
    pub list: String,
    /// MD5 of each conffile, by the text in `conffiles`. dpkg's database wants MD5.
    pub conffile_hashes: Vec<(String, String)>,
    /// What early rules left out.
    pub trimmed: Report,
    /// Contents that are wanted beside the image.
    pub documents: Vec<StagedDocument>,
}

/// A file kept for the release's documents.
pub struct StagedDocument {
    /// Where the package has it.
    pub path: TreePath,
    /// Its content.
    pub content: Content,
    /// Where it is now.
    pub file: PathBuf,
}

/// One entry to place.
pub struct StagedEntry {
    /// As the package names it.
    pub path: TreePath,
    /// What it is.
    pub kind: StagedKind,
    /// 0o7777 at most.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
}

/// Owner of an entry: names win over numbers when the root knows them, as dpkg does it.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Name of the owner.
    pub user: String,
    /// Name of the group.
    pub group: String,
}

/// What a staged entry is.
pub enum StagedKind {
    /// Directory.
    Directory,
    /// Regular file.
    File {
        /// What it holds.
        content: Content,
        /// Where it is staged.
        file: PathBuf,
    },
    /// Another name of a file of the same package.
    HardLink {
        /// The first name.
        target: TreePath,
    },
    /// Symbolic link.
    Symlink {
        /// Its text.
        target: String,
    },
    /// Named pipe.
    Fifo,
}

/// What to leave out, and what to keep aside.
pub struct Selection<'a> {
    /// Early rules.
    pub trim: &'a [Rule],
    /// Paths whose contents are kept for documents, placed or not.
    pub documents: &'a [Pattern],
}

/// Stages the package `deb` into the directory `into`, which is created.
pub fn stage(deb: &Path, into: &Path, selection: &Selection<'_>) -> Result<Staged, BaseError> {
    let mut forced = HashSet::new();
    loop {
        std::fs::create_dir_all(into).at("create", into)?;
        match Stager::new(deb, into, selection, &forced)?.run()? {
            Outcome::Staged(staged) => return Ok(*staged),
            // A file was left out that has another name which stays. Rare enough to start again with the knowledge.
            Outcome::Needs(target) => {
                std::fs::remove_dir_all(into).at("remove", into)?;
                forced.insert(target);
            }
        }
    }
}

enum Outcome {
    Staged(Box<Staged>),
    Needs(TreePath),
}

struct Stager<'a> {
    deb: &'a Path,
    into: &'a Path,
    selection: &'a Selection<'a>,
    forced: &'a HashSet<TreePath>,
    archive: Option<Deb>,
    staged: Staged,
    conffiles: HashSet<String>,
    left_out: HashSet<TreePath>,
    /// Left-out files whose content the next surviving hard link takes over.
    orphans: HashMap<TreePath, StagedKind>,
    /// Where those contents went.
    moved: HashMap<TreePath, TreePath>,
    number: usize,
    bytes: u64,
    buffer: Vec<u8>,
}

impl<'a> Stager<'a> {
    fn new(
        deb: &'a Path,
        into: &'a Path,
        selection: &'a Selection<'a>,
        forced: &'a HashSet<TreePath>,
    ) -> Result<Self, BaseError> {
        let archive = Deb::open(deb)?;
        let files = archive.control.clone();
        let text = |name: &str| {
            files.get(name).map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default()
        };
        let control = Control::parse(&text("control"));
        if control.name.is_empty() {
            return Err(BaseError::Archive { deb: deb.to_owned(), reason: "it has no control file".into() });
        }
        // `remove-on-upgrade /path` marks files that the package no longer has.
        let conffiles = text("conffiles")
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with('/'))
            .map(str::to_owned)
            .collect();
        let staged = Staged {
            control,
            files,
            entries: Vec::new(),
            list: String::new(),
            conffile_hashes: Vec::new(),
            trimmed: Report::default(),
            documents: Vec::new(),
        };
        Ok(Self {
            deb,
            into,
            selection,
            forced,
            archive: Some(archive),
            staged,
            conffiles,
            left_out: HashSet::new(),
            orphans: HashMap::new(),
            moved: HashMap::new(),
            number: 0,
            bytes: 0,
            buffer: vec![0; 1 << 16],
        })
    }

    fn bad(&self, reason: impl Into<String>) -> BaseError {
        BaseError::Archive { deb: self.deb.to_owned(), reason: reason.into() }
    }

    fn run(mut self) -> Result<Outcome, BaseError> {
        let mut archive = self.archive.take().expect("new fills it and only run takes it").into_data();
        let read = |source| BaseError::ArchiveRead { deb: self.deb.to_owned(), source };
        for (count, entry) in archive.entries().map_err(read)?.enumerate() {
            let mut entry = entry.map_err(read)?;
            if count >= MAX_ENTRIES {
                return Err(self.bad("it has too many entries"));
            }
            if let Some(needed) = self.entry(&mut entry)? {
                return Ok(Outcome::Needs(needed));
            }
        }
        Ok(Outcome::Staged(Box::new(self.staged)))
    }

    /// Stages one entry. Returns a left-out path whose content is needed after all.
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> Result<Option<TreePath>, BaseError> {
        let path = self.path(&entry.path_bytes())?;
        let listed = if path.as_str().is_empty() { "/.".to_owned() } else { path.to_string() };
        self.staged.list.push_str(&listed);
        self.staged.list.push('\n');
        let kind = entry.header().entry_type();
        let plain = plain_module_path(&path).unwrap_or_else(|| path.clone());
        let rule = tree::trim::rule_for(self.selection.trim, &canonical(&plain));
        let is_document = self.selection.documents.iter().any(|pattern| pattern.matches(&canonical(&plain)));
        let header = entry.header();
        let number = |value: io::Result<u64>| {
            value
                .ok()
                .and_then(|value| u32::try_from(value).ok())
                .ok_or_else(|| self.bad("an owner is malformed"))
        };
        let name = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let owner = Owner {
            uid: number(header.uid())?,
            gid: number(header.gid())?,
            user: name(header.username_bytes()),
            group: name(header.groupname_bytes()),
        };
        let mode = header.mode().map_err(|_| self.bad("a mode is malformed"))? & 0o7777;
        let staged_kind = match kind {
            tar::EntryType::Directory => StagedKind::Directory,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let size = entry.size();
                self.bytes = self.bytes.saturating_add(size);
                if self.bytes > MAX_UNPACKED {
                    return Err(self.bad("it unpacks to too much"));
                }
                if rule.is_some() && !is_document && !self.forced.contains(&path) {
                    self.left_out.insert(path);
                    let rule = rule.expect("checked just above");
                    self.staged.trimmed.count(rule, size);
                    return Ok(None);
                }
                self.file(entry, &path, mode, is_document)?
            }
            tar::EntryType::Link => {
                let target = entry.link_name_bytes().ok_or_else(|| self.bad("a hard link has no target"))?;
                let target = self.path(&target)?;
                if let (true, None) = (self.left_out.contains(&target), rule) {
                    return Ok(Some(target));
                }
                match self.orphans.remove(&target) {
                    Some(content) if rule.is_none() => {
                        self.moved.insert(target, path.clone());
                        content
                    }
                    orphan => {
                        self.orphans.extend(orphan.map(|content| (target.clone(), content)));
                        let target = self.moved.get(&target).cloned().unwrap_or(target);
                        StagedKind::HardLink { target: plain_module_path(&target).unwrap_or(target) }
                    }
                }
            }
            tar::EntryType::Symlink => {
                let target =
                    entry.link_name_bytes().ok_or_else(|| self.bad("a symbolic link has no target"))?;
                let target = String::from_utf8(target.into_owned())
                    .map_err(|_| self.bad(format!("the target of {path} is not UTF-8")))?;
                if target.is_empty() || target.len() > MAX_PATH || target.contains('\0') {
                    return Err(self.bad(format!("the target of {path} is malformed")));
                }
                StagedKind::Symlink { target }
            }
            tar::EntryType::Fifo => StagedKind::Fifo,
            _ => return Err(self.bad(format!("{path} is of a kind that packages do not have"))),
        };
        if let (Some(rule), false) = (rule, matches!(staged_kind, StagedKind::Directory)) {
            match &staged_kind {
                StagedKind::File { content, file } if is_document => {
                    self.staged.trimmed.count(rule, content.size);
                    self.document(&path, *content, file.clone());
                    self.left_out.insert(path);
                }
                StagedKind::File { .. } => {
                    self.staged.trimmed.count(rule, 0);
                    self.orphans.insert(path, staged_kind);
                }
                _ => self.staged.trimmed.count(rule, 0),
            }
            return Ok(None);
        }
        if let (true, StagedKind::File { content, file }) = (is_document, &staged_kind) {
            self.document(&path, *content, file.clone());
        }
        let path = if matches!(staged_kind, StagedKind::File { .. }) { plain } else { path };
        self.staged.entries.push(StagedEntry { path, kind: staged_kind, mode, owner });
        Ok(None)
    }

    fn path(&self, bytes: &[u8]) -> Result<TreePath, BaseError> {
        let text = std::str::from_utf8(bytes).map_err(|_| self.bad("a path is not UTF-8"))?;
        if text.len() > MAX_PATH || text.contains('\n') {
            return Err(self.bad("a path is malformed"));
        }
        text.parse().map_err(|error: tree::PathSyntax| self.bad(error.to_string()))
    }

    fn document(&mut self, path: &TreePath, content: Content, file: PathBuf) {
        self.staged.documents.push(StagedDocument { path: path.clone(), content, file });
    }

    /// Writes the content of a file, hashing it on the way; kernel modules are stored plain, because patches are
    /// made against them.
    fn file<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        path: &TreePath,
        mode: u32,
        is_document: bool,
    ) -> Result<StagedKind, BaseError> {
        let file = self.into.join(self.number.to_string());
        self.number += 1;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(entry.header().mtime().unwrap_or(0));
        let mut out =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).at("create", &file)?;
        let is_conffile = self.conffiles.contains(&path.to_string());
        let (content, md5) = match module_compression(path) {
            _ if is_document => self.copy(entry, &mut out, &file, is_conffile)?,
            Some(ModuleCompression::Xz) => {
                let mut reader = xz_decoder(BufReader::new(entry)).at("decode", &file)?;
                self.copy(&mut reader, &mut out, &file, false)?
            }
            Some(ModuleCompression::Zstandard) => {
                let mut reader = zstd::stream::read::Decoder::new(entry).at("decode", &file)?;
                self.copy(&mut reader, &mut out, &file, false)?
            }
            Some(ModuleCompression::Gzip) => {
                let mut reader = flate2::read::MultiGzDecoder::new(entry);
                self.copy(&mut reader, &mut out, &file, false)?
            }
            None => self.copy(entry, &mut out, &file, is_conffile)?,
        };
        if let Some(md5) = md5 {
            self.staged.conffile_hashes.push((path.to_string(), md5));
        }
        // Scripts may compare times (`make`-like tools, fontconfig), so files have the package's.
        out.set_modified(modified).at("set the time of", &file)?;
        rustix::fs::fchmod(&out, rustix::fs::Mode::from_raw_mode(mode)).at("set the mode of", &file)?;
        Ok(StagedKind::File { content, file })
    }

    fn copy(
        &mut self,
        reader: &mut dyn Read,
        out: &mut File,
        name: &Path,
        with_md5: bool,
    ) -> Result<(Content, Option<String>), BaseError> {
        let (mut sha256, mut md5) = (Sha256::new(), with_md5.then(Md5::new));
        let mut size = 0;
        loop {
            let length = match reader.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(BaseError::ArchiveRead { deb: self.deb.to_owned(), source }),
            };
            let bytes = &self.buffer[..length];
            sha256.update(bytes);
            if let Some(md5) = &mut md5 {
                md5.update(bytes);
            }
            out.write_all(bytes).at("write", name)?;
            size += length as u64;
            if size > MAX_UNPACKED {
                return Err(self.bad("it unpacks to too much"));
            }
        }
        let content = Content { sha256: Sha256Digest(sha256.finalize().into()), size };
        Ok((content, md5.map(|md5| md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect())))
    }
}

enum ModuleCompression {
    Xz,
    Zstandard,
    Gzip,
}

fn module_compression(path: &TreePath) -> Option<ModuleCompression> {
    if !path.as_str().contains("lib/modules/") {
        return None;
    }
    match path.name().rsplit_once(".ko.")?.1 {
        "xz" => Some(ModuleCompression::Xz),
        "zst" => Some(ModuleCompression::Zstandard),
        "gz" => Some(ModuleCompression::Gzip),
        _ => None,
    }
}

/// `x.ko` for the compressed module `x.ko.xz`.
fn plain_module_path(path: &TreePath) -> Option<TreePath> {
    module_compression(path)?;
    path.as_str().rsplit_once('.')?.0.parse().ok()
}
