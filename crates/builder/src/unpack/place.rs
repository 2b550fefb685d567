//! Moves staged packages into the root, one after the other, as dpkg would have unpacked them.
//!
//! Every parent is opened with `RESOLVE_IN_ROOT`, so a link that a package or a script planted leads nowhere outside.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use tree::{Content, TreePath};

use super::stage::{Owner, Staged, StagedEntry, StagedKind};
use crate::base::BaseError;
use crate::base::error::At;

/// What a package left at a path, for telling later what scripts changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Index into [`Placer::packages`].
    pub package: usize,
    /// What was placed.
    pub kind: PlacedKind,
    /// Mode as placed.
    pub mode: u32,
    /// Owner as placed.
    pub uid: u32,
    /// Group as placed.
    pub gid: u32,
}

/// What a package left at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacedKind {
    /// Directory.
    Directory,
    /// Regular file, or a hard link to one.
    File(Content),
    /// Symbolic link with its text.
    Symlink(String),
    /// Named pipe.
    Fifo,
}

/// Places packages into one root.
pub struct Placer {
    root: OwnedFd,
    root_path: PathBuf,
    /// Names of the packages placed so far.
    pub packages: Vec<String>,
    /// By real path.
    pub placed: BTreeMap<TreePath, Placed>,
    replaces: Vec<std::collections::BTreeSet<String>>,
}

/// `dpkg-divert`'s database: from, to, by.
type Diversions = HashMap<String, (String, String)>;

/// An opened parent directory and its real path.
type Parent = (Rc<OwnedFd>, TreePath);

impl Placer {
    /// Prepares the empty directory `root`: links of the merged `/usr`, directories that dpkg needs.
    pub fn new(root: &Path) -> Result<Self, BaseError> {
        for directory in ["usr", "etc", "var/lib/dpkg/info", "var/lib/dpkg/triggers", "var/lib/dpkg/updates"]
        {
            let path = root.join(directory);
            std::fs::create_dir_all(&path).at("create", &path)?;
        }
        for name in super::MERGED {
            let (real, link) = (root.join("usr").join(name), root.join(name));
            std::fs::create_dir_all(&real).at("create", &real)?;
            std::os::unix::fs::symlink(format!("usr/{name}"), &link).at("create", &link)?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty()).at("open", root)?;
        let root_path = root.canonicalize().at("open", root)?;
        Ok(Self { root: fd, root_path, packages: Vec::new(), placed: BTreeMap::new(), replaces: Vec::new() })
    }

    /// Places all entries of `staged`.
    pub fn place(&mut self, staged: &Staged) -> Result<(), BaseError> {
        let index = self.packages.len();
        self.packages.push(staged.control.name.clone());
        self.replaces.push(staged.control.replaces.clone());
        let diversions = self.diversions()?;
        let accounts = Accounts::read(&self.root_path);
        let mut parents = HashMap::new();
        let mut job = Job { placer: self, index, diversions, accounts, parents: &mut parents };
        for entry in &staged.entries {
            job.entry(entry)?;
        }
        Ok(())
    }

    fn diversions(&self) -> Result<Diversions, BaseError> {
        let path = self.root_path.join("var/lib/dpkg/diversions");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Diversions::new()),
            Err(error) => return Err(error).at("read", path),
        };
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines.chunks_exact(3).map(|three| (three[0].into(), (three[1].into(), three[2].into()))).collect())
    }
}

struct Job<'a> {
    placer: &'a mut Placer,
    index: usize,
    diversions: Diversions,
    accounts: Accounts,
    parents: &'a mut HashMap<String, Parent>,
}

impl Job<'_> {
    fn refuse(&self, path: &TreePath, reason: impl Into<String>) -> BaseError {
        let package = self.placer.packages[self.index].clone();
        BaseError::Place { package, path: path.to_string(), reason: reason.into() }
    }

    /// Where dpkg's diversions send a path of this package.
    fn diverted(&self, path: &TreePath) -> Result<TreePath, BaseError> {
        match self.diversions.get(&path.to_string()) {
            Some((to, by)) if *by != self.placer.packages[self.index] => {
                to.parse().map_err(|_| self.refuse(path, "its diversion is malformed"))
            }
            _ => Ok(path.clone()),
        }
    }

    fn entry(&mut self, entry: &StagedEntry) -> Result<(), BaseError> {
        let path = &self.diverted(&entry.path)?;
        if path.as_str().is_empty() {
            return self.root_entry(entry);
        }
        let (directory, parent) = self.parent(path)?;
        let name = path.name();
        let real = parent.join(name).map_err(|_| self.refuse(path, "its real path is malformed"))?;
        let full = self.placer.root_path.join(real.as_str());
        let existing = match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
            Err(rustix::io::Errno::NOENT) => None,
            Err(error) => return Err(error).at("look at", full),
        };
        if let (StagedKind::Directory, Some(found)) = (&entry.kind, existing) {
            return self.existing_directory(entry, path, &directory, name, found, real);
        }
        if existing == Some(FileType::Directory) {
            // dpkg keeps a directory where a package has a link.
            return match entry.kind {
                StagedKind::Symlink { .. } => Ok(()),
                _ => Err(self.refuse(path, "there is a directory")),
            };
        }
        if existing.is_some() && !self.may_replace(&real)? {
            return Ok(());
        }
        let (uid, gid) = self.accounts.owner(&entry.owner);
        let kind = match &entry.kind {
            StagedKind::Directory => {
                let mode = Mode::from_raw_mode(entry.mode);
                rustix::fs::mkdirat(&directory, name, mode).at("create", &full)?;
                rustix::fs::chmodat(&directory, name, mode, AtFlags::empty()).at("set the mode of", &full)?;
                PlacedKind::Directory
            }
            StagedKind::File { content, file } => {
                rustix::fs::renameat(rustix::fs::CWD, file, &directory, name).at("place", &full)?;
                PlacedKind::File(*content)
            }
            StagedKind::HardLink { target } => return self.hard_link(path, target, &directory, real),
            StagedKind::Symlink { target } => {
                self.make_way(&directory, name, existing, &full)?;
                rustix::fs::symlinkat(target, &directory, name).at("create", &full)?;
                PlacedKind::Symlink(target.clone())
            }
            StagedKind::Fifo => {
                self.make_way(&directory, name, existing, &full)?;
                let mode = Mode::from_raw_mode(entry.mode);
                rustix::fs::mknodat(&directory, name, FileType::Fifo, mode, 0).at("create", &full)?;
                PlacedKind::Fifo
            }
        };
        self.own(&directory, name, &kind, entry.mode, (uid, gid), &full)?;
        let mode = if matches!(kind, PlacedKind::Symlink(_)) { 0o777 } else { entry.mode };
        self.record(real, Placed { package: self.index, kind, mode, uid, gid });
        Ok(())
    }

    fn record(&mut self, real: TreePath, placed: Placed) {
        self.placer.placed.insert(real, placed);
    }

    /// The archive's `./`: the root keeps the owner of its maker and gets the usual mode.
    fn root_entry(&mut self, entry: &StagedEntry) -> Result<(), BaseError> {
        let placed =
            Placed { package: self.index, kind: PlacedKind::Directory, mode: entry.mode, uid: 0, gid: 0 };
        self.placer.placed.entry(TreePath::root()).or_insert(placed);
        Ok(())
    }

    /// A directory that is there keeps its owner and mode, and a link to a directory stays a link (dpkg's rules);
    /// only directories that nobody described yet take the package's metadata.
    fn existing_directory(
        &mut self,
        entry: &StagedEntry,
        path: &TreePath,
        directory: &OwnedFd,
        name: &str,
        found: FileType,
        real: TreePath,
    ) -> Result<(), BaseError> {
        match found {
            FileType::Directory if !self.placer.placed.contains_key(&real) => {
                let full = self.placer.root_path.join(real.as_str());
                let owner = self.accounts.owner(&entry.owner);
                self.own(directory, name, &PlacedKind::Directory, entry.mode, owner, &full)?;
                let mode = Mode::from_raw_mode(entry.mode);
                rustix::fs::chmodat(directory, name, mode, AtFlags::empty()).at("set the mode of", &full)?;
                let (uid, gid) = owner;
                let kind = PlacedKind::Directory;
                self.record(real, Placed { package: self.index, kind, mode: entry.mode, uid, gid });
                Ok(())
            }
            FileType::Directory => Ok(()),
            FileType::Symlink if self.open_directory(path.as_str()).is_ok() => Ok(()),
            _ => Err(self.refuse(path, "there is something that is not a directory")),
        }
    }

    /// Whether this package takes over what is at `real`. False: the other package keeps it.
    fn may_replace(&self, real: &TreePath) -> Result<bool, BaseError> {
        let Some(before) = self.placer.placed.get(real) else { return Ok(true) };
        let (first, second) = (&self.placer.packages[before.package], &self.placer.packages[self.index]);
        if before.package == self.index || self.placer.replaces[self.index].contains(first) {
            return Ok(true);
        }
        if self.placer.replaces[before.package].contains(second) {
            return Ok(false);
        }
        Err(BaseError::Conflict { path: real.clone(), first: first.clone(), second: second.clone() })
    }

    fn make_way(
        &self,
        directory: &OwnedFd,
        name: &str,
        existing: Option<FileType>,
        full: &Path,
    ) -> Result<(), BaseError> {
        match existing {
            Some(_) => rustix::fs::unlinkat(directory, name, AtFlags::empty()).at("replace", full),
            None => Ok(()),
        }
    }

    /// Owner first, then mode: a change of owner takes setuid bits away.
    fn own(
        &self,
        directory: &OwnedFd,
        name: &str,
        kind: &PlacedKind,
        mode: u32,
        (uid, gid): (u32, u32),
        full: &Path,
    ) -> Result<(), BaseError> {
        if (uid, gid) == (0, 0) {
            return Ok(());
        }
        let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(directory, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)
            .at("set the owner of", full)?;
        if !matches!(kind, PlacedKind::Symlink(_)) {
            let mode = Mode::from_raw_mode(mode);
            rustix::fs::chmodat(directory, name, mode, AtFlags::empty()).at("set the mode of", full)?;
        }
        Ok(())
    }

    fn hard_link(
        &mut self,
        path: &TreePath,
        target: &TreePath,
        directory: &OwnedFd,
        real: TreePath,
    ) -> Result<(), BaseError> {
        let target = self.diverted(target)?;
        let (target_directory, target_parent) = self.parent(&target)?;
        let target_real =
            target_parent.join(target.name()).map_err(|_| self.refuse(path, "its target is malformed"))?;
        let placed = self.placer.placed.get(&target_real).cloned();
        let Some(placed) = placed.filter(|placed| placed.package == self.index) else {
            return Err(
                self.refuse(path, format!("it is a link to {target}, which the package does not have"))
            );
        };
        let full = self.placer.root_path.join(real.as_str());
        let name = path.name();
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error).at("replace", full),
        }
        rustix::fs::linkat(&target_directory, target.name(), directory, name, AtFlags::empty())
            .at("link", &full)?;
        self.record(real, placed);
        Ok(())
    }

    /// Opens the parent of `path` inside the root, making what is missing.
    fn parent(&mut self, path: &TreePath) -> Result<Parent, BaseError> {
        let parent = path.parent().unwrap_or_default();
        if let Some(known) = self.parents.get(parent.as_str()) {
            return Ok(known.clone());
        }
        let fd = match self.open_directory(parent.as_str()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT) if !parent.as_str().is_empty() => {
                let (grandparent, real) = self.parent(&parent)?;
                let full = self.placer.root_path.join(real.as_str()).join(parent.name());
                rustix::fs::mkdirat(&grandparent, parent.name(), Mode::from_raw_mode(0o755))
                    .at("create", &full)?;
                self.open_directory(parent.as_str()).at("open", &full)?
            }
            Err(rustix::io::Errno::NOTDIR) => return Err(self.refuse(path, "its parent is not a directory")),
            Err(error) => return Err(error).at("open", self.placer.root_path.join(parent.as_str())),
        };
        let real = self.real_path(&fd, path)?;
        let opened = (Rc::new(fd), real);
        self.parents.insert(parent.as_str().to_owned(), opened.clone());
        Ok(opened)
    }

    fn open_directory(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.placer.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    fn real_path(&self, fd: &OwnedFd, path: &TreePath) -> Result<TreePath, BaseError> {
        use std::os::fd::AsRawFd;
        let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
        let real = std::fs::read_link(&link).at("read", &link)?;
        let inside = real
            .strip_prefix(&self.placer.root_path)
            .map_err(|_| self.refuse(path, "its parent lies outside of the root"))?;
        let text = inside.to_str().ok_or_else(|| self.refuse(path, "its parent's name is not UTF-8"))?;
        text.parse().map_err(|_| self.refuse(path, "its parent's name is malformed"))
    }
}

/// The root's own users and groups.
#[derive(Default)]
struct Accounts {
    users: HashMap<String, u32>,
    groups: HashMap<String, u32>,
}

impl Accounts {
    fn read(root: &Path) -> Self {
        let read = |file: &str| {
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            text.lines()
                .filter_map(|line| {
                    let mut fields = line.split(':');
                    Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
                })
                .collect()
        };
        Self { users: read("etc/passwd"), groups: read("etc/group") }
    }

    fn owner(&self, owner: &Owner) -> (u32, u32) {
        let uid = self.users.get(&owner.user).copied().unwrap_or(owner.uid);
        let gid = self.groups.get(&owner.group).copied().unwrap_or(owner.gid);
        (uid, gid)
    }
}
