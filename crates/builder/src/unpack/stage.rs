//! One package's data archive, written as numbered files beside the root.
//!
//! Staging needs no knowledge of the root, so packages are staged in parallel, in any order, while scripts run.
//! Placing ([`super::place`]) then only renames.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use debian::deb::{DataEntry, DataKind, DebReader};
use liblzma::stream::{CONCATENATED, Stream};
use md5::Md5;
use model::Sha256Digest;
use sha2::{Digest, Sha256};
use tree::trim::{Report, Rule};
use tree::{Content, Pattern, TreePath};

use super::control::Control;
use super::{ControlFiles, canonical};
use crate::base::BaseError;
use crate::base::error::At;

/// Largest file, also out of a compressed module. Stops a small module that fills the disk; `debian` limits packages.
pub const MAX_FILE: u64 = 16 << 30;

/// Most memory the decoder of one module may take. Stops a module that asks for a dictionary of gigabytes.
pub const MAX_DECODER_MEMORY: u64 = 512 << 20;

/// Latest time a file is given (the year 9999). Stops times that the file system can not hold.
const MAX_TIME: u64 = 253_402_300_799;

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
    archive: Option<DebReader<BufReader<File>>>,
    staged: Staged,
    conffiles: HashSet<String>,
    left_out: HashSet<TreePath>,
    /// Left-out files whose content the next surviving hard link takes over.
    orphans: HashMap<TreePath, StagedKind>,
    /// Where those contents went.
    moved: HashMap<TreePath, TreePath>,
    number: usize,
    buffer: Vec<u8>,
}

impl<'a> Stager<'a> {
    fn new(
        deb: &'a Path,
        into: &'a Path,
        selection: &'a Selection<'a>,
        forced: &'a HashSet<TreePath>,
    ) -> Result<Self, BaseError> {
        let file = File::open(deb).at("open", deb)?;
        // Packages are staged in parallel; more threads for one of them would only compete.
        let archive = DebReader::open(
            BufReader::with_capacity(1 << 18, file),
            &deb.to_string_lossy(),
            NonZeroUsize::MIN,
        )
        .map_err(|source| BaseError::Deb { deb: deb.to_owned(), source: Box::new(source) })?;
        let files = archive.control_files().clone();
        let text = |name: &str| {
            files.get(name).map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default()
        };
        let control = Control::read(&archive.control(), &text("control"));
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
            buffer: vec![0; 1 << 16],
        })
    }

    fn bad(&self, reason: impl Into<String>) -> BaseError {
        BaseError::Archive { deb: self.deb.to_owned(), reason: reason.into() }
    }

    fn unreadable(&self, source: io::Error) -> BaseError {
        BaseError::ArchiveRead { deb: self.deb.to_owned(), source }
    }

    fn run(mut self) -> Result<Outcome, BaseError> {
        let mut archive = self.archive.take().expect("new fills it and only run takes it");
        let failed = |source| BaseError::Deb { deb: self.deb.to_owned(), source: Box::new(source) };
        while let Some((entry, mut content)) = archive.next_entry().map_err(failed)? {
            if let Some(needed) = self.entry(&entry, &mut content)? {
                return Ok(Outcome::Needs(needed));
            }
        }
        Ok(Outcome::Staged(Box::new(self.staged)))
    }

    /// Stages one entry. Returns a left-out path whose content is needed after all.
    fn entry(&mut self, entry: &DataEntry, reader: &mut dyn Read) -> Result<Option<TreePath>, BaseError> {
        let path = self.path(&entry.path)?;
        let listed = if path.as_str().is_empty() { "/.".to_owned() } else { path.to_string() };
        self.staged.list.push_str(&listed);
        self.staged.list.push('\n');
        let plain = plain_module_path(&path).unwrap_or_else(|| path.clone());
        let rule = tree::trim::rule_for(self.selection.trim, &canonical(&plain));
        let is_document = self.selection.documents.iter().any(|pattern| pattern.matches(&canonical(&plain)));
        let kind = match &entry.kind {
            DataKind::Directory => StagedKind::Directory,
            DataKind::File { size } => {
                if let Some(rule) = rule
                    && !is_document
                    && !self.forced.contains(&path)
                {
                    self.staged.trimmed.count(rule, *size);
                    self.left_out.insert(path);
                    return Ok(None);
                }
                self.file(entry, reader, &path, is_document)?
            }
            DataKind::HardLink { target } => {
                let target = self.path(target)?;
                if self.left_out.contains(&target) && rule.is_none() {
                    return Ok(Some(target));
                }
                self.hard_link(&path, target, rule.is_some())
            }
            DataKind::Symlink { target } => StagedKind::Symlink { target: target.clone() },
            DataKind::Fifo => StagedKind::Fifo,
            _ => return Err(self.bad(format!("{path} is a device, which packages do not have"))),
        };
        match rule.filter(|_| !matches!(kind, StagedKind::Directory)) {
            Some(rule) => self.leave_out(rule, path, kind, is_document),
            None => {
                if let (true, StagedKind::File { content, file }) = (is_document, &kind) {
                    self.document(&path, *content, file.clone());
                }
                let path = if matches!(kind, StagedKind::File { .. }) { plain } else { path };
                let owner = Owner {
                    uid: entry.uid,
                    gid: entry.gid,
                    user: entry.user.clone(),
                    group: entry.group.clone(),
                };
                self.staged.entries.push(StagedEntry { path, kind, mode: entry.mode, owner });
            }
        }
        Ok(None)
    }

    /// A link that stays takes over the content of a first name that was left out.
    fn hard_link(&mut self, path: &TreePath, target: TreePath, is_left_out: bool) -> StagedKind {
        match self.orphans.remove(&target) {
            Some(content) if !is_left_out => {
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

    /// Counts a path that is not placed, and keeps its content where somebody still wants it.
    fn leave_out(&mut self, rule: &Rule, path: TreePath, kind: StagedKind, is_document: bool) {
        match kind {
            StagedKind::File { content, file } if is_document => {
                self.staged.trimmed.count(rule, content.size);
                self.document(&path, content, file);
                self.left_out.insert(path);
            }
            StagedKind::File { .. } => {
                self.staged.trimmed.count(rule, 0);
                self.orphans.insert(path, kind);
            }
            _ => self.staged.trimmed.count(rule, 0),
        }
    }

    fn path(&self, text: &str) -> Result<TreePath, BaseError> {
        if text.contains('\n') {
            // dpkg's file lists have one path a line.
            return Err(self.bad("a path has a line feed"));
        }
        text.parse().map_err(|error: tree::PathSyntax| self.bad(error.to_string()))
    }

    fn document(&mut self, path: &TreePath, content: Content, file: PathBuf) {
        self.staged.documents.push(StagedDocument { path: path.clone(), content, file });
    }

    /// Writes the content of a file, hashing it on the way; kernel modules are stored plain, because patches are
    /// made against them.
    fn file(
        &mut self,
        entry: &DataEntry,
        reader: &mut dyn Read,
        path: &TreePath,
        is_document: bool,
    ) -> Result<StagedKind, BaseError> {
        let file = self.into.join(self.number.to_string());
        self.number += 1;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(entry.mtime.min(MAX_TIME));
        let mut out =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).at("create", &file)?;
        let is_conffile = self.conffiles.contains(&path.to_string());
        let compression = module_compression(path).filter(|_| !is_document);
        let (content, md5) = match compression {
            Some(ModuleCompression::Xz) => {
                let stream = Stream::new_stream_decoder(MAX_DECODER_MEMORY, CONCATENATED)
                    .map_err(|source| self.unreadable(source.into()))?;
                let mut reader = liblzma::read::XzDecoder::new_stream(reader, stream);
                self.copy(&mut reader, &mut out, &file, false)?
            }
            Some(ModuleCompression::Zstandard) => {
                let mut reader =
                    zstd::stream::read::Decoder::new(reader).map_err(|source| self.unreadable(source))?;
                self.copy(&mut reader, &mut out, &file, false)?
            }
            Some(ModuleCompression::Gzip) => {
                let mut reader = flate2::read::MultiGzDecoder::new(reader);
                self.copy(&mut reader, &mut out, &file, false)?
            }
            None => self.copy(reader, &mut out, &file, is_conffile)?,
        };
        if let Some(md5) = md5 {
            self.staged.conffile_hashes.push((path.to_string(), md5));
        }
        // Scripts may compare times (`make`-like tools, fontconfig), so files have the package's.
        out.set_modified(modified).at("set the time of", &file)?;
        rustix::fs::fchmod(&out, rustix::fs::Mode::from_raw_mode(entry.mode)).at("set the mode of", &file)?;
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
                Err(source) => return Err(self.unreadable(source)),
            };
            let bytes = &self.buffer[..length];
            sha256.update(bytes);
            if let Some(md5) = &mut md5 {
                md5.update(bytes);
            }
            out.write_all(bytes).at("write", name)?;
            size += length as u64;
            if size > MAX_FILE {
                return Err(self.bad(format!("one of its files unpacks to more than {MAX_FILE} bytes")));
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
