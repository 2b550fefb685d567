//! From the composed tree to the release folder: EROFS, verity, initrd, UKI, ESP, disks and documents.
//!
//! What varies between builds is derived from the tree: salt, UUIDs and the file time come from the digest of the
//! contents document, so equal trees give equal bytes (law 1) and different ones never share an identity.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use image::{ReadAt, Uuid, disk, erofs, esp, gpt, qcow2, uki, verity};
use model::{Definition, Sha256Digest};
use release::{ArtifactName, ImageFacts, Manifest, PartitionFacts, Purpose, ReleaseDraft, names};
use sha2::{Digest, Sha256};
use tree::{Tree, TreePath, listing};

use crate::compose::contents::Contents;
use crate::papers::PapersError;
use crate::progress::{Event, Progress, Step};

pub mod boot_files;
mod error;
mod initrd;
pub mod modules;

use boot_files::BootFiles;
pub use error::SealError;

/// Which disks a release carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disks {
    /// `disk.raw`, sparse.
    pub raw: bool,
    /// `disk.qcow2`, compressed.
    pub qcow2: bool,
}

/// A document of the release.
pub struct Document {
    /// File name.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Everything that is sealed.
pub struct SealRequest<'a> {
    /// The definition.
    pub definition: &'a Definition,
    /// The composed tree.
    pub tree: &'a Tree,
    /// Its contents.
    pub contents: &'a Contents<'a>,
    /// What boots it.
    pub boot: &'a BootFiles,
    /// The static `init`.
    pub init: &'a [u8],
    /// Seconds since 1970 that the lock's indices were made: files seem to be from that day.
    pub lock_time: u64,
    /// Documents besides the contents.
    pub documents: Vec<Document>,
    /// Makes the documents that tell of the image: given the manifest with every file but these and the disks.
    pub papers: &'a MakePapers<'a>,
    /// Which disks.
    pub disks: Disks,
    /// Compressed clusters of earlier builds.
    pub cluster_cache: Option<&'a dyn qcow2::ClusterCache>,
    /// Threads. Changes no byte.
    pub threads: NonZeroUsize,
    /// Where the release goes.
    pub output: PathBuf,
}

/// Makes documents from a manifest.
pub type MakePapers<'a> = dyn Fn(&Manifest) -> Result<Vec<Document>, PapersError> + 'a;

/// What was sealed, for people.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The release as it lies on disk.
    pub folder: release::ReleaseFolder,
}

/// Seals a tree into a release folder.
pub fn seal(request: SealRequest<'_>, progress: &dyn Progress) -> Result<Sealed, SealError> {
    progress.report(Event::Started { step: Step::Seal, total: None, unit: "bytes" });
    let identity = &request.definition.appliance;
    let contents_document = listing::to_bytes(request.tree);
    let derived = Derived::from_contents(&contents_document, request.lock_time);
    let mut draft = ReleaseDraft::begin(&request.output)?;

    let root_name: ArtifactName = constant_name(names::ROOT);
    let hash_tree = write_root(&request, &derived, &mut draft, &root_name)?;
    let root_hash = hash_tree.root_hash;
    draft.write(&constant_name(names::VERITY), Purpose::Image, &hash_tree.bytes)?;

    let initrd = initrd::initrd(request.tree, request.contents, &request.boot.kernel_version, request.init)?;
    let os_release = os_release(&request)?;
    let uki_bytes = assemble_uki(&request.boot.clone(), &initrd, &os_release, &command_line(&root_hash))?;
    let uki_name = ArtifactName::uki(identity).map_err(SealError::Name)?;
    draft.write(&uki_name, Purpose::Image, &uki_bytes)?;

    draft.write(&constant_name(names::CONTENTS), Purpose::Document, &contents_document)?;
    for document in &request.documents {
        draft.write(&constant_name(document.name), Purpose::Document, &document.bytes)?;
    }
    progress.report(Event::Finished {
        step: Step::Seal,
        summary: format!(
            "sealed {} paths in {}, kernel {}, root hash {}",
            request.tree.entries.len(),
            model::ByteSize(file_size(&draft, &root_name)?),
            request.boot.kernel_version,
            &root_hash.to_string()[..16],
        ),
    });

    let esp = make_esp(uki_name.as_str(), &uki_bytes, &request.boot.loader, &derived)?;
    let root = DiskFile::open(draft.path_of(&root_name))?;
    let layout = disk::compose(&disk::Contents {
        esp: &esp,
        root: &root,
        verity: &hash_tree.bytes,
        root_hash,
        data_size: request.definition.resources.data.0,
    })
    .map_err(SealError::Disk)?;
    let mut manifest = Manifest {
        format: release::manifest::FORMAT,
        identity: identity.clone(),
        architecture: request.definition.base.architecture.clone(),
        image: ImageFacts {
            root_hash,
            verity_salt: hex(&derived.salt),
            root_size: root.size(),
            verity_size: hash_tree.bytes.len() as u64,
        },
        kernel_version: request.boot.kernel_version.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        artifacts: draft.artifacts().cloned().collect(),
        partitions: layout.table().partitions.iter().map(partition_facts).collect(),
        resources: request.definition.resources.clone(),
        ports: request.definition.ports.clone(),
    };
    for document in (request.papers)(&manifest)? {
        draft.write(&constant_name(document.name), Purpose::Document, &document.bytes)?;
    }
    manifest.artifacts.clear();
    write_disks(&request, &layout, &root_name, &mut draft, progress)?;
    Ok(Sealed { folder: draft.publish(manifest)? })
}

/// The kernel's command line. The root hash makes a UKI boot its own root and no other. A kernel that has an error restarts:
/// a patched one falls back that way, and any other is of no use half dead.
fn command_line(root_hash: &Sha256Digest) -> String {
    format!(
        "roothash={root_hash} console=tty0 console=ttyS0,115200 quiet loglevel=4 panic=10 oops=panic net.ifnames=0 \
         systemd.show_status=no systemd.gpt_auto=no systemd.getty_auto=no"
    )
}

/// Identities and times that follow from the tree alone.
struct Derived {
    digest: Sha256Digest,
    salt: Vec<u8>,
    time: u64,
}

impl Derived {
    fn from_contents(document: &[u8], lock_time: u64) -> Self {
        let digest: [u8; 32] = Sha256::digest(document).into();
        let salt = Sha256::digest([b"ampoule verity salt".as_slice(), &digest].concat()).to_vec();
        // Two images from one lock must not give their files one time: web servers and browsers compare times to find
        // out whether a file changed.
        let within_a_day =
            u64::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])) % 86_400;
        Self { digest: Sha256Digest(digest), salt, time: lock_time + within_a_day }
    }

    fn uuid(&self, label: &str) -> Uuid {
        Uuid::derived(label, &self.digest.0)
    }
}

fn write_root(
    request: &SealRequest<'_>,
    derived: &Derived,
    draft: &mut ReleaseDraft,
    name: &ArtifactName,
) -> Result<verity::HashTree, SealError> {
    let options = erofs::Options {
        uuid: derived.uuid("erofs"),
        volume_name: "ampoule-root".into(),
        time: derived.time,
    };
    let plan = erofs::plan(request.tree, &options).map_err(SealError::Plan)?;
    let options = verity::Options {
        salt: derived.salt.clone(),
        uuid: derived.uuid("verity"),
        threads: request.threads,
    };
    let mut hash_tree = verity::VerityBuilder::new(options).map_err(SealError::Verity)?;
    let mut file = draft.create(name)?;
    let mut out = BufWriter::with_capacity(1 << 20, Tee { file: &mut file, hash_tree: &mut hash_tree });
    plan.write(request.contents, &mut out).map_err(SealError::Root)?;
    out.flush().map_err(|source| SealError::Write { path: draft.path_of(name), source })?;
    drop(out);
    draft.add_written(name, Purpose::Image, file)?;
    hash_tree.finish().map_err(SealError::Verity)
}

struct Tee<'a> {
    file: &'a mut release::draft::ArtifactWriter,
    hash_tree: &'a mut verity::VerityBuilder,
}

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash_tree.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn os_release(request: &SealRequest<'_>) -> Result<Vec<u8>, SealError> {
    let path: TreePath = "usr/lib/os-release".parse().expect("the path is constant and plain");
    match request.tree.entries.get(&path).map(|entry| &entry.node) {
        Some(tree::Node::File(content)) => request
            .contents
            .read(content)
            .map_err(|source| SealError::Content { path: path.to_string(), source }),
        _ => Ok(Vec::new()),
    }
}

fn assemble_uki(
    boot: &BootFiles,
    initrd: &[u8],
    os_release: &[u8],
    command_line: &str,
) -> Result<Vec<u8>, SealError> {
    let sections = [
        uki::NewSection { name: ".osrel", data: os_release },
        uki::NewSection { name: ".cmdline", data: command_line.as_bytes() },
        uki::NewSection { name: ".uname", data: boot.kernel_version.as_bytes() },
        uki::NewSection { name: ".initrd", data: initrd },
        uki::NewSection { name: ".linux", data: &boot.kernel },
    ];
    uki::assemble(&boot.stub, &sections).map_err(SealError::Uki)
}

fn make_esp(uki_name: &str, uki: &[u8], loader: &[u8], derived: &Derived) -> Result<Vec<u8>, SealError> {
    // No menu, no editor: what boots is what is signed and counted.
    let configuration = b"timeout 0\neditor no\nauto-entries no\nauto-firmware no\n";
    let path = |text: &str| -> Result<TreePath, SealError> {
        text.parse().map_err(|_| SealError::NoBootFile { path: text.to_owned() })
    };
    let files: Vec<(TreePath, &[u8])> = vec![
        (path("EFI/BOOT/BOOTX64.EFI")?, loader),
        (path("EFI/systemd/systemd-bootx64.efi")?, loader),
        (path(&format!("EFI/Linux/{uki_name}"))?, uki),
        (path("loader/loader.conf")?, configuration),
        (path("loader/entries.srel")?, b"type1\n"),
    ];
    let id = derived.uuid("esp").0;
    let volume_id = u32::from_be_bytes([id[0], id[1], id[2], id[3]]);
    esp::write(&files, &esp::Options { volume_id, size: esp::size_for(&files) }).map_err(SealError::Esp)
}

/// Writes the disks side by side: hashing the raw one and compressing the other use a core each. Files are synced as
/// soon as they are written, while the processors work on the next; publishing then has little left to wait for.
fn write_disks(
    request: &SealRequest<'_>,
    layout: &disk::Disk<'_>,
    root: &ArtifactName,
    draft: &mut ReleaseDraft,
    progress: &dyn Progress,
) -> Result<(), SealError> {
    if request.disks == (Disks { raw: false, qcow2: false }) {
        return Ok(());
    }
    progress.report(Event::Started { step: Step::Disk, total: None, unit: "bytes" });
    let (raw_name, qcow2_name) = (constant_name(names::DISK_RAW), constant_name(names::DISK_QCOW2));
    let (root_path, raw_path) = (draft.path_of(root), draft.path_of(&raw_name));
    let mut sizes = Vec::new();
    let raw = std::thread::scope(|scope| -> Result<_, SealError> {
        let raw = request.disks.raw.then(|| scope.spawn(|| write_raw(layout, raw_path)));
        let synced_root = scope.spawn(|| sync(root_path));
        if request.disks.qcow2 {
            write_qcow2(request, layout, draft.path_of(&qcow2_name))?;
            draft.add(&qcow2_name, Purpose::Disk)?;
            sizes.push(format!("qcow2 {}", model::ByteSize(file_size(draft, &qcow2_name)?)));
        }
        joined(synced_root)?;
        raw.map(joined).transpose()
    })?;
    if let Some((digest, size)) = raw {
        draft.add_with_digest(&raw_name, Purpose::Disk, digest, size)?;
        sizes.insert(0, format!("raw {}", model::ByteSize(size)));
    }
    progress
        .report(Event::Finished { step: Step::Disk, summary: format!("wrote disks: {}", sizes.join(", ")) });
    Ok(())
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn sync(path: PathBuf) -> Result<(), SealError> {
    File::open(&path)
        .and_then(|file| file.sync_all())
        .map_err(|source| SealError::Write { path: path.clone(), source })
}

/// Writes the sparse raw disk and computes its digest from the layout, without reading the file back.
fn write_raw(layout: &disk::Disk<'_>, path: PathBuf) -> Result<(Sha256Digest, u64), SealError> {
    let error = |source| SealError::Write { path: path.clone(), source };
    let mut file = File::create_new(&path).map_err(error)?;
    layout.write(&mut file).map_err(error)?;
    let digest = std::thread::scope(|scope| {
        let synced = scope.spawn(|| file.sync_all());
        let digest = digest_of(layout)?;
        joined(synced)?;
        Ok(digest)
    });
    Ok((digest.map_err(error)?, layout.size()))
}

fn digest_of(layout: &disk::Disk<'_>) -> io::Result<Sha256Digest> {
    // Small enough to stay in the processor's cache between being filled and being hashed.
    let (mut hasher, mut offset, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 18]);
    while offset < layout.size() {
        let count = (layout.size() - offset).min(buffer.len() as u64) as usize;
        layout.read_exact_at(&mut buffer[..count], offset)?;
        hasher.update(&buffer[..count]);
        offset += count as u64;
    }
    Ok(Sha256Digest(hasher.finalize().into()))
}

fn write_qcow2(request: &SealRequest<'_>, layout: &disk::Disk<'_>, path: PathBuf) -> Result<(), SealError> {
    let mut file =
        File::create_new(&path).map_err(|source| SealError::Write { path: path.clone(), source })?;
    let options = qcow2::Options { level: COMPRESSION_LEVEL, threads: request.threads };
    qcow2::write(layout, &layout.data_ranges(), &options, request.cluster_cache, &mut file)
        .map_err(SealError::Qcow2)
}

/// zstd level of the qcow2 disk: where a higher one costs more time than it saves bytes. Root of `examples/lamp` in blocks
/// of 64 KiB (`zstd -b5e9 -B64K`), MB and MB/s on a busy core: level 5 64.1 at 103, 6 62.7 at 74, 7 62.4 at 63, 8 62.2
/// at 53, 9 62.1 at 36.
const COMPRESSION_LEVEL: i32 = 6;

fn partition_facts(partition: &gpt::Partition) -> PartitionFacts {
    PartitionFacts {
        number: partition.number,
        name: partition.name.clone(),
        type_id: partition.type_uuid.to_string(),
        id: partition.uuid.to_string(),
        start: partition.start,
        size: partition.length,
    }
}

fn file_size(draft: &ReleaseDraft, name: &ArtifactName) -> Result<u64, SealError> {
    let path = draft.path_of(name);
    std::fs::metadata(&path)
        .map(|metadata| metadata.len())
        .map_err(|source| SealError::Write { path, source })
}

fn constant_name(name: &'static str) -> ArtifactName {
    name.parse().expect("names of artifacts are constant and plain")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file of the release that is read while the disks are written.
struct DiskFile {
    file: File,
    size: u64,
}

impl DiskFile {
    fn open(path: PathBuf) -> Result<Self, SealError> {
        let open = || {
            let file = File::open(&path)?;
            let size = file.metadata()?.len();
            Ok(Self { file, size })
        };
        open().map_err(|source| SealError::Write { path: path.clone(), source })
    }
}

impl ReadAt for DiskFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}
