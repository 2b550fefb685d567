//! A release without content and a QEMU that runs nothing.
#![allow(dead_code, reason = "every test file uses a part")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image::Uuid;
use image::disk::partition_uuids;
use image::gpt::{ALIGNMENT, Partition, TYPE_ROOT, Table};
use image::uki::NewSection;
use machine::{Boot, MachineError, Note, RunOptions, Running, StopTimeouts};
use model::Sha256Digest;
use model::definition::{Identity, Port, Protocol, Resources};
use release::manifest::FORMAT;
use release::{ArtifactName, ImageFacts, Manifest, Purpose, ReleaseDraft, ReleaseFolder, names};
use tempfile::TempDir;

/// A folder with a release and a fake QEMU in it.
pub struct Bench {
    pub folder: TempDir,
    pub release: ReleaseFolder,
    pub notes: Arc<Mutex<Vec<Note>>>,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let release = publish(&folder.path().join("release"), "1.0.0");
        fs::write(folder.path().join("kvm"), "").expect("writes");
        Self { folder, release, notes: Arc::default() }
    }

    pub fn vm(&self) -> PathBuf {
        self.folder.path().join("vm")
    }

    /// Options for a fake QEMU that behaves as `words` say; see `fake-qemu.py`.
    pub fn options(&self, words: &str) -> RunOptions {
        let script = self.folder.path().join(format!("qemu-{}", words.replace(' ', "_")));
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fake-qemu.py");
        // The system's Python: shims in PATH are slow.
        let text = format!("#!/bin/sh\nexec /usr/bin/python3 '{}' '{words}' \"$@\"\n", fake.display());
        if !script.exists() {
            fs::write(&script, text).expect("writes");
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("makes executable");
        }
        let mut options = RunOptions::of(self.release.manifest());
        options.qemu = script;
        options.boot = Boot::Direct;
        options.kvm_device = self.folder.path().join("kvm");
        options.forwards.clear();
        options
    }

    pub fn run(&self, options: RunOptions) -> Result<Running, MachineError> {
        let notes = Arc::clone(&self.notes);
        machine::run(&self.release, &self.vm(), options, move |note| notes.lock().expect("notes").push(note))
    }

    pub fn notes(&self) -> Vec<Note> {
        self.notes.lock().expect("notes").clone()
    }
}

/// Long enough for a loaded machine, short where the next step has to come.
pub fn timeouts() -> StopTimeouts {
    let short = Duration::from_millis(300);
    StopTimeouts { answer: short, agent: Duration::from_secs(20), power_button: short, quit: short }
}

pub fn manifest(version: &str) -> Manifest {
    Manifest {
        format: FORMAT,
        identity: Identity {
            vendor: "example".into(),
            name: "lamp".into(),
            title: "LAMP".into(),
            version: version.into(),
            summary: "A web server.".into(),
            contact: None,
            url: None,
            end_of_support: None,
        },
        architecture: "amd64".into(),
        image: ImageFacts {
            root_hash: root_hash(version),
            verity_salt: "00".into(),
            root_size: 4096,
            verity_size: 4096,
        },
        kernel_version: "6.12.1".into(),
        tool_version: "0.1.0".into(),
        artifacts: vec![],
        partitions: vec![],
        resources: Resources::default(),
        ports: vec![Port {
            port: 443,
            protocol: Protocol::Tcp,
            purpose: "web".into(),
            url_scheme: Some("https".into()),
        }],
    }
}

pub fn publish(place: &Path, version: &str) -> ReleaseFolder {
    publish_with(place, version, b"kernel", b"initrd", b"console=ttyS0\0")
}

pub fn publish_with(
    place: &Path,
    version: &str,
    kernel: &[u8],
    initrd: &[u8],
    command_line: &[u8],
) -> ReleaseFolder {
    let mut draft = ReleaseDraft::begin(place).expect("begins");
    let disk: ArtifactName = names::DISK_RAW.parse().expect("a name");
    let manifest = manifest(version);
    let (root, _) = partition_uuids(&manifest.image.root_hash);
    let empty = Uuid::derived("root-b", &manifest.image.root_hash.0);
    draft.write(&disk, Purpose::Disk, &disk_with(root, empty)).expect("writes");
    let uki = ArtifactName::uki(&manifest.identity).expect("a name");
    let bytes = sample_uki(&[(".linux", kernel), (".initrd", initrd), (".cmdline", command_line)]);
    draft.write(&uki, Purpose::Image, &bytes).expect("writes");
    draft.publish(manifest).expect("publishes")
}

/// Every version has an image of its own.
pub fn root_hash(version: &str) -> Sha256Digest {
    Sha256Digest([version.bytes().last().expect("a version"); 32])
}

/// A disk with two slots of these ids and nothing in them.
pub fn disk_with(a: Uuid, b: Uuid) -> Vec<u8> {
    let partition = |number: u32, name: &str, uuid| Partition {
        number,
        name: name.to_owned(),
        type_uuid: TYPE_ROOT,
        uuid,
        start: u64::from(number) * ALIGNMENT,
        length: ALIGNMENT,
        attributes: 0,
    };
    let partitions = vec![partition(1, "root-a", a), partition(2, "root-b", b)];
    let disk_size = 4 * ALIGNMENT;
    let table = Table { disk_uuid: Uuid::from_u128(7), disk_size, partitions }.encode().expect("encodes");
    let mut disk = table.primary;
    disk.resize(table.backup_offset as usize, 0);
    disk.extend(table.backup);
    disk
}

/// A UKI on a stub without code: the smallest 64-bit PE file.
fn sample_uki(sections: &[(&str, &[u8])]) -> Vec<u8> {
    const HEADERS: usize = 0x400;
    let mut stub = vec![0u8; HEADERS + 0x200];
    let mut put = |offset: usize, bytes: &[u8]| stub[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0\x64\x86");
    // Size of the optional header, its magic, both alignments, size of the headers, number of directories.
    put(0x40 + 20, &240u16.to_le_bytes());
    let optional = 0x40 + 24;
    put(optional, &0x20bu16.to_le_bytes());
    put(optional + 32, &0x1000u32.to_le_bytes());
    put(optional + 36, &0x200u32.to_le_bytes());
    put(optional + 56, &0x1000u32.to_le_bytes());
    put(optional + 60, &(HEADERS as u32).to_le_bytes());
    put(optional + 108, &16u32.to_le_bytes());
    // One section, of nothing.
    put(0x40 + 6, &1u16.to_le_bytes());
    let section = optional + 240;
    put(section, b".text");
    put(section + 8, &0x200u32.to_le_bytes());
    put(section + 12, &0x1000u32.to_le_bytes());
    put(section + 16, &0x200u32.to_le_bytes());
    put(section + 20, &(HEADERS as u32).to_le_bytes());
    let sections: Vec<_> = sections.iter().map(|(name, data)| NewSection { name, data }).collect();
    image::uki::assemble(&stub, &sections).expect("assembles")
}
