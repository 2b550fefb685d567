//! A whole build: fetch, configure the base, compose, seal. The only file that knows the order of the steps.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use debian::lock::{Lock, LockedPackage};
use image::qcow2::ClusterCache;
use model::Definition;
use release::documents::{ORIGINS, Origins, PackageFacts, SEALED_DOCUMENTS, files_by_package};
use release::{ReleaseFolder, names};
use tree::trim::Report;

use crate::base::{self, Base, BaseError, BasePackage, BaseRequest};
use crate::boot_packages;
use crate::clusters::Clusters;
use crate::compose::{self, ComposeError, GuestPrograms, rules};
use crate::fetch::{FetchError, cached_path};
use crate::mirror::{MirrorError, Mirrors};
use crate::package_documents;
use crate::papers::sources::{self, SourcesError};
use crate::papers::{Papers, PapersError, Sealed};
use crate::progress::{Event, Progress, Step};
use crate::seal::boot_files::boot_files;
use crate::seal::{self, Disks, Document, SealError, SealRequest};

/// Everything a build is made from.
pub struct BuildRequest<'a> {
    /// The definition.
    pub definition: &'a Definition,
    /// Its text, which the release carries.
    pub definition_text: &'a str,
    /// The folder it is in.
    pub folder: &'a Path,
    /// The lock.
    pub lock: &'a Lock,
    /// Finds where packages are fetched from; asked only when one is missing in the cache.
    pub find_mirrors: &'a (dyn Fn() -> Result<Mirrors, MirrorError> + Sync),
    /// Packages, indices, configured bases.
    pub cache: &'a Path,
    /// Static programs of the guest.
    pub programs: &'a GuestPrograms,
    /// Whether a cached base may be used.
    pub base_cache: BaseCache,
    /// Which disks.
    pub disks: Disks,
    /// The release folder.
    pub output: &'a Path,
}

/// Whether a cached base may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseCache {
    /// When there is one.
    Use,
    /// The base is configured again, and kept.
    Renew,
}

/// Why a build failed. The release that was there before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Packages can not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The base can not be configured.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// The maker's part does not fit.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The image or the release can not be written.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A package that only brings boot files can not be read.
    #[error("can not read the boot files of package `{package}`")]
    BootPackage {
        /// The package.
        package: String,
        /// Cause.
        #[source]
        source: debian::deb::DebError,
    },
    /// The packages' own documents can not be put together.
    #[error("can not archive the documents of the packages")]
    PackageDocuments {
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The list of components can not be made.
    #[error(transparent)]
    Papers(#[from] PapersError),
    /// The definition can not be archived.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// A file can not be opened.
    #[error("can not open `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// Builds a release folder.
pub fn build(request: &BuildRequest<'_>, progress: &dyn Progress) -> Result<ReleaseFolder, BuildError> {
    // From here on the definition has the settings that every appliance has: image and documents agree.
    let definition = &model::builtin::complete(request.definition);
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let papers = Papers::prepare(definition, request.folder)?;
    let base = configured_base(request, threads, progress)?;
    let boot_packages: Vec<&LockedPackage> = request.lock.boot().collect();
    let boot_debs = fetch(request, &boot_packages, threads, progress)?;

    progress.report(Event::Started { step: Step::Compose, total: None, unit: "bytes" });
    let base_contents = compose::contents::Contents::over(&base.contents);
    let boot_packages = boot_packages::read(&boot_packages, &boot_debs, threads)?;
    let boot = boot_files(&base.tree, &base_contents, &boot_packages.files)?;
    let mut composed =
        compose::compose(definition, request.folder, base.tree.clone(), &base.contents, request.programs)?;
    for lack in &composed.lacks {
        progress.report(Event::Note(lack.to_string()));
    }
    for name in Papers::without_files(definition, composed.tree())? {
        let text =
            format!("component {name}: none of its `paths` is the path of a file of yours in the image");
        progress.report(Event::Note(text));
    }
    let mut trimmed = base.trim_report.clone();
    trimmed.add(&composed.removed);
    let packages = package_facts(request.lock, composed.tree());
    let documents = Documents::new(&packages, &trimmed);
    documents.seal_in(&mut composed)?;
    progress.report(Event::Finished {
        step: Step::Compose,
        summary: format!(
            "composed {} paths, trimmed {}",
            composed.tree().entries.len(),
            model::ByteSize(trimmed.bytes())
        ),
    });

    let records = package_documents::records(request.lock, &base.dpkg_status, &boot_packages.controls);
    let package_documents = package_documents::archive(&package_documents::Sources {
        lock: request.lock,
        records: &records,
        documents: &base.documents,
        contents: &base.contents,
        loose: &boot_packages.documents,
    })
    .map_err(|source| BuildError::PackageDocuments { source })?;
    let sources = sources::archive(request.definition, request.definition_text, request.folder)?;
    let sealed = Sealed {
        definition,
        lock: request.lock,
        tree: composed.tree(),
        contents: composed.contents(),
        package_documents: &package_documents,
        boot: &boot,
        programs: request.programs,
    };
    // Without a cache of clusters a build is slower and its bytes are the same.
    let clusters = Clusters::open(&request.cache.join("clusters")).ok();
    let seal_request = SealRequest {
        definition,
        tree: composed.tree(),
        contents: composed.contents(),
        boot: &boot,
        init: &request.programs.init,
        lock_time: lock_time(request.lock),
        documents: documents.for_release(request, definition, package_documents.clone(), sources),
        papers: &|manifest| papers.documents(&sealed, manifest),
        disks: request.disks,
        cluster_cache: clusters.as_ref().map(|clusters| clusters as &dyn ClusterCache),
        threads,
        output: request.output.to_owned(),
    };
    Ok(seal::seal(seal_request, progress)?.folder)
}

/// The base from the cache, or made now from fetched packages.
fn configured_base(
    request: &BuildRequest<'_>,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Base, BuildError> {
    let installed: Vec<&LockedPackage> = request.lock.installed().collect();
    let mut base_request = BaseRequest {
        packages: installed.iter().map(|package| base_package(package, PathBuf::new())).collect(),
        suite: request.definition.base.suite.clone(),
        trim: rules::unpack_rules(&request.definition.trim)?,
        documents: base::document_patterns(),
        source_date_epoch: lock_time(request.lock),
    };
    if request.base_cache == BaseCache::Use
        && let Some(base) = base::cached_base(&base_request, request.cache)?
    {
        progress.report(Event::Note("the configured base is in the cache".to_owned()));
        return Ok(base);
    }
    let debs = fetch(request, &installed, threads, progress)?;
    for (package, deb) in base_request.packages.iter_mut().zip(debs) {
        package.deb = deb;
    }
    if request.base_cache == BaseCache::Renew {
        base::forget(&base_request, request.cache)?;
    }
    Ok(base::configured_base(&base_request, request.cache, &request.cache.join("work"), progress)?)
}

/// Brings packages into the cache; their files in the packages' order.
fn fetch(
    request: &BuildRequest<'_>,
    packages: &[&LockedPackage],
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>, BuildError> {
    crate::fetch::fetch(packages, request.cache, request.find_mirrors, threads, progress)?;
    Ok(packages.iter().map(|package| cached_path(request.cache, &package.sha256)).collect())
}

fn base_package(package: &LockedPackage, deb: PathBuf) -> BasePackage {
    BasePackage {
        name: package.name.clone(),
        version: package.version.as_str().to_owned(),
        architecture: package.architecture.clone(),
        essential: package.essential,
        deb,
        sha256: package.sha256,
        size: package.size,
    }
}

fn package_facts(lock: &Lock, tree: &tree::Tree) -> Vec<PackageFacts> {
    let counts = files_by_package(tree);
    let mut facts: Vec<PackageFacts> = lock
        .installed()
        .map(|package| PackageFacts {
            name: package.name.clone(),
            version: package.version.as_str().to_owned(),
            architecture: package.architecture.clone(),
            source: package.source.clone(),
            source_version: package.source_version.as_str().to_owned(),
            suite: package.suite.clone(),
            files: counts.get(package.name.as_str()).copied().unwrap_or_default(),
        })
        .collect();
    facts.sort_by(|one, other| one.name.cmp(&other.name));
    facts
}

/// Documents that are both in the image and beside it.
struct Documents {
    packages: Vec<u8>,
    trim: Vec<u8>,
}

impl Documents {
    fn new(packages: &[PackageFacts], trimmed: &Report) -> Self {
        Self { packages: json(packages), trim: json(trimmed) }
    }

    /// Puts them into the image. The origins come last and name themselves.
    fn seal_in(&self, composed: &mut compose::Composed<'_>) -> Result<(), ComposeError> {
        let folder = format!("/{SEALED_DOCUMENTS}");
        composed.add_document(&format!("{folder}/{}", names::PACKAGES), self.packages.clone())?;
        composed.add_document(&format!("{folder}/{}", names::TRIM), self.trim.clone())?;
        let origins = format!("{folder}/{ORIGINS}");
        composed.add_document(&origins, Vec::new())?;
        let document = json(&Origins::of(composed.tree()));
        composed.add_document(&origins, document)
    }

    fn for_release(
        self,
        request: &BuildRequest<'_>,
        definition: &Definition,
        package_documents: Vec<u8>,
        sources: Vec<u8>,
    ) -> Vec<Document> {
        let settings = json(&definition.settings);
        vec![
            Document { name: names::LOCK, bytes: request.lock.to_text().into_bytes() },
            Document { name: names::DEFINITION, bytes: json(definition) },
            Document { name: names::SETTINGS, bytes: settings },
            Document { name: names::TRIM, bytes: self.trim },
            Document { name: names::PACKAGES, bytes: self.packages },
            Document { name: names::PACKAGE_DOCUMENTS, bytes: package_documents },
            Document { name: names::SOURCES, bytes: sources },
        ]
    }
}

/// Seconds since 1970 of the newest index: the day the release's packages are from.
fn lock_time(lock: &Lock) -> u64 {
    lock.date().0
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("documents are plain data");
    bytes.push(b'\n');
    bytes
}
