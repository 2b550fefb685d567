//! What is inside an image, found without booting it: from a disk, or from the parts in a release folder.
//!
//! Reads images of strangers: everything goes through the bounded readers of `image`, and texts from inside the image
//! are read up to [`TEXT_LIMIT`].

use std::collections::BTreeMap;
use std::io::{self, Read};

use image::{ReadAt, Section, erofs, esp, gpt, uki, verity};
use model::definition::SEALED_PATH;
use model::{Definition, Sha256Digest};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tree::{Metadata, TreePath, trim};

use crate::documents::{ORIGINS, Origins, PackageFacts, sealed_path};
use crate::names;

mod accounts;
mod privileges;
mod units;

pub use accounts::User;
pub use privileges::{Capability, Privileged, decode as decode_capabilities};
pub use units::{UnitFacts, UnitState};

/// Longest text read from an image. Stops an image whose documents would fill memory.
pub const TEXT_LIMIT: u64 = 64 << 20;

/// Why something can not be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// No partition table.
    #[error("there is no GPT partition table")]
    Table(#[source] gpt::GptError),
    /// No EFI system partition, or an unreadable one.
    #[error("the EFI system partition can not be read")]
    Esp(#[source] esp::EspError),
    /// The disk has no partition of that kind.
    #[error("the disk has no {what}")]
    Missing {
        /// What was looked for.
        what: String,
    },
    /// The UKI is damaged or not one.
    #[error("the unified kernel image can not be read")]
    Uki(#[source] uki::UkiError),
    /// The UKI names no root hash.
    #[error("the unified kernel image names no root hash, so this is not an image Ampoule sealed")]
    NoRootHash,
    /// The root file system is damaged or not EROFS.
    #[error("the root file system can not be read")]
    Root(#[source] erofs::ReadError),
    /// A text of the image can not be read.
    #[error("`{path}` in the image can not be read")]
    Text {
        /// Path in the image.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// The parts of one image.
pub struct Parts<'a> {
    /// EROFS.
    pub root: Box<dyn ReadAt + 'a>,
    /// Hash tree.
    pub verity: Box<dyn ReadAt + 'a>,
    /// UKI.
    pub uki: Vec<u8>,
}

/// Whether the root file system is what its root hash says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum Verified {
    /// Every block was hashed and belongs to the root hash.
    Yes,
    /// It does not.
    No(String),
}

/// What is inside.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// The sealed definition: identity, ports, settings, state, checks. `None` in images Ampoule did not make.
    pub definition: Option<Definition>,
    /// Root hash that the UKI boots.
    pub root_hash: Sha256Digest,
    /// Whether it verifies.
    pub verified: Verified,
    /// Size of the root file system in bytes.
    pub root_size: u64,
    /// `uname -r`.
    pub kernel_version: String,
    /// Kernel command line.
    pub command_line: String,
    /// Debian packages.
    pub packages: Vec<PackageFacts>,
    /// systemd units.
    pub units: Vec<UnitFacts>,
    /// Accounts.
    pub users: Vec<User>,
    /// Setuid and setgid files and file capabilities.
    pub privileged: Vec<Privileged>,
    /// What was trimmed.
    pub trim: trim::Report,
    /// Every path.
    pub files: Vec<FileFacts>,
}

/// One path of the image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileFacts {
    /// Absolute.
    pub path: String,
    /// `file`, `directory`, `symlink`, ...
    pub kind: &'static str,
    /// Permission bits, octal digits.
    pub mode: String,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes, for files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Target of links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `package:NAME`, `maker:PATH`, `generator:NAME`; `None` when the image does not say.
    pub origin: Option<String>,
    /// SHA-256, computed only when one path was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
}

/// Finds the parts of the newest image on a disk.
pub fn parts_of_disk(disk: &dyn ReadAt) -> Result<Parts<'_>, InspectError> {
    let (table, _) = gpt::Table::read(disk).map_err(InspectError::Table)?;
    let section = |partition: &gpt::Partition| {
        Section::new(disk, partition.start, partition.length)
            .ok_or_else(|| InspectError::Missing { what: format!("room for partition `{}`", partition.name) })
    };
    let missing = |what: &str| InspectError::Missing { what: what.to_owned() };
    let esp_partition = table
        .partitions
        .iter()
        .find(|partition| partition.type_uuid == gpt::TYPE_ESP)
        .ok_or_else(|| missing("EFI system partition"))?;
    let esp_section = section(esp_partition)?;
    let is_uki = |path: &TreePath| {
        let path = path.as_str().to_ascii_lowercase();
        path.starts_with("efi/linux/") && path.ends_with(".efi")
    };
    let kernels: Vec<TreePath> =
        esp::list(&esp_section).map_err(InspectError::Esp)?.into_iter().map(|(path, _)| path).collect();
    let newest = kernels.iter().rfind(|path| is_uki(path)).ok_or_else(|| missing("unified kernel image"))?;
    let uki = esp::read(&esp_section, newest).map_err(InspectError::Esp)?;
    let root_hash = root_hash_of(&text_section(&uki, ".cmdline")?)?;
    let (root_uuid, verity_uuid) = image::disk::partition_uuids(&root_hash);
    let root = table
        .with_uuid(root_uuid)
        .ok_or_else(|| missing(&format!("root partition {root_uuid}, which the kernel image boots")))?;
    let verity = table
        .with_uuid(verity_uuid)
        .ok_or_else(|| missing(&format!("verity partition {verity_uuid}, which the kernel image boots")))?;
    Ok(Parts { root: Box::new(section(root)?), verity: Box::new(section(verity)?), uki })
}

/// Reads everything. `path` restricts `files` to one path, with its digest.
pub fn inspect(parts: &Parts<'_>, path: Option<&TreePath>) -> Result<Inspection, InspectError> {
    let command_line = text_section(&parts.uki, ".cmdline")?;
    let root_hash = root_hash_of(&command_line)?;
    let verified = match verity::verify(&parts.root, &parts.verity, &root_hash) {
        Ok(()) => Verified::Yes,
        Err(error) => Verified::No(error.to_string()),
    };
    let image = erofs::Image::open(&parts.root).map_err(InspectError::Root)?;
    let mut entries = BTreeMap::new();
    image
        .walk(|entry| {
            entries.insert(entry.path.clone(), entry);
        })
        .map_err(InspectError::Root)?;
    let reader = Texts { image: &image, entries: &entries };
    let origins: Origins = reader.json(&sealed_path(ORIGINS))?.unwrap_or_default();
    let by_path = origins.by_path();
    let files = entries
        .values()
        .filter(|entry| path.is_none_or(|path| entry.path == *path))
        .map(|entry| {
            let sha256 = path.map(|_| digest_of(&image, entry)).transpose()?.flatten();
            Ok(FileFacts { sha256, ..facts(entry, &by_path) })
        })
        .collect::<Result<Vec<_>, InspectError>>()?;
    Ok(Inspection {
        definition: reader.json(&SEALED_PATH.parse().expect("the path is constant and plain"))?,
        root_hash,
        verified,
        root_size: image.superblock().size,
        kernel_version: text_section(&parts.uki, ".uname").unwrap_or_default(),
        command_line,
        packages: reader.json(&sealed_path(names::PACKAGES))?.unwrap_or_default(),
        units: units::units(&reader)?,
        users: accounts::users(&reader)?,
        privileged: privileges::privileged(entries.values(), &by_path),
        trim: reader.json(&sealed_path(names::TRIM))?.unwrap_or_default(),
        files,
    })
}

/// Texts of an image.
struct Texts<'a, R> {
    image: &'a erofs::Image<R>,
    entries: &'a BTreeMap<TreePath, erofs::Entry>,
}

impl<R: ReadAt> Texts<'_, R> {
    fn bytes(&self, path: &TreePath) -> Result<Option<Vec<u8>>, InspectError> {
        let Some(entry) = self.entries.get(path) else { return Ok(None) };
        let error = |source| InspectError::Text { path: path.to_string(), source };
        let mut bytes = Vec::new();
        let count =
            self.image.open_file(entry).take(TEXT_LIMIT + 1).read_to_end(&mut bytes).map_err(error)?;
        if count as u64 > TEXT_LIMIT {
            return Err(error(io::Error::other(format!("it is longer than {TEXT_LIMIT} bytes"))));
        }
        Ok(Some(bytes))
    }

    fn text(&self, path: &str) -> Result<Option<String>, InspectError> {
        let path = path.parse().expect("paths of texts are constant and plain");
        Ok(self.bytes(&path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, path: &TreePath) -> Result<Option<T>, InspectError> {
        let Some(bytes) = self.bytes(path)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| InspectError::Text { path: path.to_string(), source: io::Error::other(error) })
    }
}

fn digest_of<R: ReadAt>(
    image: &erofs::Image<R>,
    entry: &erofs::Entry,
) -> Result<Option<Sha256Digest>, InspectError> {
    if !matches!(entry.kind, erofs::NodeKind::File { .. } | erofs::NodeKind::HardLink { .. }) {
        return Ok(None);
    }
    let (mut reader, mut hasher, mut buffer) = (image.open_file(entry), Sha256::new(), vec![0; 1 << 16]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Some(Sha256Digest(hasher.finalize().into()))),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(source) => return Err(InspectError::Text { path: entry.path.to_string(), source }),
        }
    }
}

fn facts(entry: &erofs::Entry, origins: &BTreeMap<&str, &str>) -> FileFacts {
    let (kind, size, target) = match &entry.kind {
        erofs::NodeKind::Directory => ("directory", None, None),
        erofs::NodeKind::File { size } => ("file", Some(*size), None),
        erofs::NodeKind::HardLink { target } => ("hard-link", None, Some(target.to_string())),
        erofs::NodeKind::Symlink { target } => ("symlink", None, Some(target.clone())),
        erofs::NodeKind::CharacterDevice { .. } => ("character-device", None, None),
        erofs::NodeKind::Fifo => ("fifo", None, None),
    };
    let Metadata { mode, uid, gid, .. } = entry.metadata;
    FileFacts {
        path: entry.path.to_string(),
        kind,
        mode: format!("{mode:04o}"),
        uid,
        gid,
        size,
        target,
        origin: origins.get(entry.path.as_str()).map(|origin| origin.to_string()),
        sha256: None,
    }
}

fn text_section(uki: &[u8], name: &str) -> Result<String, InspectError> {
    let sections = uki::sections(uki).map_err(InspectError::Uki)?;
    let found = sections.iter().find(|section| section.name == name);
    let text =
        found.map(|section| String::from_utf8_lossy(section.data).trim_end_matches('\0').trim().to_owned());
    text.ok_or_else(|| InspectError::Missing { what: format!("section {name} in its unified kernel image") })
}

fn root_hash_of(command_line: &str) -> Result<Sha256Digest, InspectError> {
    command_line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("roothash=")?.parse().ok())
        .ok_or(InspectError::NoRootHash)
}
