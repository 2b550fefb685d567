//! From a patch to the files of an image: what `ampoule patch apply` writes, and what is read of a release that is only in a depot.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use image::{Uuid, verity};
use model::Sha256Digest;
use patch::{ApplyError, ApplyOptions, Header, Old, Resume, Side};
use release::index::ObjectRef;
use release::manifest::{Artifact, ImageFacts};
use release::statement::{STATEMENT_LIMIT, StatementError};
use release::{IndexedRelease, Statement, names};

use crate::error::{self, DepotError};
use crate::folder::DepotFolder;
use crate::ways::{ImageFiles, Loaded, WayError};

/// Longest document that is unpacked.
const DOCUMENT_LIMIT: u64 = 1 << 30;

/// Who unpacks has the memory.
const EVERYTHING: ApplyOptions = ApplyOptions { memory: u64::MAX, resume: Resume::Never };

/// An image can not be unpacked. What was written so far is of no use.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The depot.
    #[error(transparent)]
    Depot(#[from] DepotError),
    /// A statement that can not be read.
    #[error("the statement of {version} can not be used")]
    Statement {
        /// Version in the index.
        version: String,
        /// Why.
        source: StatementError,
    },
    /// There are only patches from other releases.
    #[error("the depot has no full image of {version}")]
    NoFull {
        /// Version in the index.
        version: String,
    },
    /// A patch can not be followed.
    #[error("`{path}` can not be followed")]
    Patch {
        /// The patch.
        path: PathBuf,
        /// Why.
        source: Box<ApplyError>,
    },
    /// The release says nonsense.
    #[error("the verity salt of the release is not hexadecimal")]
    Salt,
    /// The hash tree.
    #[error("the hash tree can not be made")]
    Hashes(#[from] verity::VerityError),
    /// The image that a patch begins with.
    #[error("the image that the patch is made from can not be read")]
    From(#[source] WayError),
    /// Another image.
    #[error("the patch gives the root hash {found}, and the release has {expected}")]
    RootHash {
        /// What came out.
        found: Sha256Digest,
        /// What the release says.
        expected: Sha256Digest,
    },
    /// Another kernel image.
    #[error("the patch gives another kernel image than the release has")]
    Uki,
    /// The disk.
    #[error("can not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What an image has to be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its root.
    pub image: &'a ImageFacts,
    /// Digest of the contents document, which the UUID of the hash tree is derived from.
    pub contents: Sha256Digest,
    /// Digest of its UKI; `None`: whoever follows the patch compares it.
    pub uki: Option<Sha256Digest>,
}

impl<'a> Wanted<'a> {
    /// Of what a manifest or a statement lists.
    pub fn new(image: &'a ImageFacts, uki: Option<Sha256Digest>, documents: &[Artifact]) -> Self {
        let contents = documents.iter().find(|it| it.name.as_str() == names::CONTENTS);
        Self { image, uki, contents: contents.map_or(Sha256Digest([0; 32]), |it| it.sha256) }
    }
}

/// The files that an image is made in; the hash tree grows with the root where it is known what it has to be.
pub struct Unpacking<'a> {
    root: File,
    uki: File,
    wanted: Option<(Wanted<'a>, verity::VerityBuilder)>,
}

impl<'a> Unpacking<'a> {
    /// Opens `root` and `uki`; what is in them goes.
    pub fn create(root: &Path, uki: &Path, wanted: Option<Wanted<'a>>) -> Result<Unpacking<'a>, UnpackError> {
        let create = |path: &Path| {
            let file = File::options().read(true).write(true).create(true).truncate(true).open(path);
            file.map_err(|source| UnpackError::Write { path: path.to_owned(), source })
        };
        let with_hashes = |wanted: Wanted<'a>| {
            let salt = wanted.image.salt().ok_or(UnpackError::Salt)?;
            let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            // As sealing derives it.
            let uuid = Uuid::derived("verity", &wanted.contents.0);
            let hashes = verity::VerityBuilder::new(verity::Options { salt, uuid, threads })?;
            Ok::<_, UnpackError>((wanted, hashes))
        };
        let wanted = wanted.map(with_hashes).transpose()?;
        Ok(Self { root: create(root)?, uki: create(uki)?, wanted })
    }

    /// Makes both files durable and compares them with what they have to be: then there is a hash tree.
    pub fn judge(self, header: &Header) -> Result<Option<verity::HashTree>, UnpackError> {
        for (file, name) in [(&self.root, "the root file system"), (&self.uki, "the UKI")] {
            file.sync_all().map_err(|source| UnpackError::Write { path: name.into(), source })?;
        }
        let Some((wanted, hashes)) = self.wanted else { return Ok(None) };
        let tree = hashes.finish()?;
        let expected = wanted.image.root_hash;
        if tree.root_hash != expected {
            return Err(UnpackError::RootHash { found: tree.root_hash, expected });
        }
        if wanted.uki.is_some_and(|uki| uki != header.new.uki_sha256) {
            return Err(UnpackError::Uki);
        }
        Ok(Some(tree))
    }
}

impl patch::Target for Unpacking<'_> {
    fn write_root(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some((_, hashes)) = &mut self.wanted {
            hashes.update(bytes);
        }
        self.root.write_all_at(bytes, offset)
    }

    fn read_root(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.root.read_exact_at(buffer, offset)
    }

    fn write_uki(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.uki.write_all_at(bytes, offset)
    }
}

/// Follows a way, from an image or from nothing, to the files of another one, which is compared with what it has to be. `called`: the way, in
/// errors. `progress` hears bytes done and all bytes of the image.
pub fn follow(
    called: &Path,
    way: &mut impl Read,
    from: Option<&ImageFiles>,
    wanted: Wanted<'_>,
    to: &ImageFiles,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), UnpackError> {
    let patch = |error| match error {
        // A full disk says nothing of the patch.
        ApplyError::Target { side, source, .. } => {
            let path = if side == Side::Root { &to.root } else { &to.uki };
            UnpackError::Write { path: path.clone(), source }
        }
        source => UnpackError::Patch { path: called.to_owned(), source: Box::new(source) },
    };
    let mut files = Unpacking::create(&to.root, &to.uki, Some(wanted))?;
    let from = from.map(Loaded::open).transpose().map_err(UnpackError::From)?;
    let from = from.as_ref().map(|it| Old { root: &it.root, uki: &it.uki, root_hash: it.root_hash });
    let applied = patch::apply(way, from.as_ref(), &mut files, &EVERYTHING, progress).map_err(patch)?;
    files.judge(&applied.header).map(drop)
}

/// Writes root, hash tree, UKI and documents of a release into an empty folder. Everything is compared with its statement, and the
/// statement with the index; who signed the index is another question. `progress` hears bytes done and all bytes of the image.
pub fn unpack(
    depot: &DepotFolder,
    release: &IndexedRelease,
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Statement, UnpackError> {
    let version = || release.version.clone();
    let bytes = depot.read_object(&release.statement, STATEMENT_LIMIT)?;
    let statement =
        Statement::parse(&bytes).map_err(|source| UnpackError::Statement { version: version(), source })?;
    for document in &statement.documents {
        let object = ObjectRef { sha256: document.sha256, size: document.size };
        let bytes = depot.read_object(&object, DOCUMENT_LIMIT)?;
        let path = folder.join(document.name.as_str());
        fs::write(&path, bytes).map_err(|source| UnpackError::Write { path, source })?;
    }
    // Of two ways to the same image the one that needs less memory is the faster one, too.
    let full = release.patches.iter().filter(|way| way.from.is_none()).min_by_key(|way| way.memory);
    let full = full.ok_or_else(|| UnpackError::NoFull { version: version() })?;
    let path = depot.object(&full.object.sha256);
    let wanted = Wanted::new(&statement.image, Some(statement.uki.sha256), &statement.documents);
    let uki = folder.join(statement.uki.name.as_str());
    let mut files = Unpacking::create(&folder.join(names::ROOT), &uki, Some(wanted))?;
    let file = File::open(&path).map_err(error::io("open", &path))?;
    let applied = patch::apply(&mut BufReader::new(file), None, &mut files, &EVERYTHING, progress)
        .map_err(|source| UnpackError::Patch { path, source: Box::new(source) })?;
    if let Some(tree) = files.judge(&applied.header)? {
        let path = folder.join(names::VERITY);
        fs::write(&path, &tree.bytes).map_err(|source| UnpackError::Write { path, source })?;
    }
    Ok(statement)
}
