//! Writing a release into the inactive slot.
//!
//! Steps, and what a crash after each leaves. Until the last one nothing on the disk leads to what was written, and the running
//! slot is never touched (law 3):
//! 1. the inactive slot's kernel images leave the EFI system partition, and its partitions get UUIDs that no kernel looks for:
//!    only the running release boots;
//! 2. the patch is applied into the root partition, synced; the UKI becomes a file on data: the same, and the next attempt
//!    writes only what is not there yet;
//! 3. the root is read back from the disk, its hash tree computed, and the root hash compared with the statement's, never with
//!    what the patch says of itself: the same;
//! 4. the hash tree is written, synced, and read back: the same;
//! 5. the partitions get the UUIDs of the root hash: the slot holds a whole image, which no kernel image leads to yet.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use image::{ReadAt, Section, Uuid, verity};
use model::Sha256Digest;
use patch::{ApplyError, ApplyOptions, Old, Resume, Target};
use release::Statement;

use super::disk::{self, Device, FileAt, SystemDisk};

/// Bytes read back at once.
const PIECE: u64 = 1 << 20;
/// The new UKI, relative to the folder of patches.
const UKI: &str = "uki.efi";

/// Why a release can not be written. What runs was not touched.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The disk.
    #[error("{action}: {source}")]
    Disk {
        /// What was being done.
        action: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The patch.
    #[error("{}", chain(.0))]
    Patch(#[source] ApplyError),
    /// Other bytes than the maker's.
    #[error("what was written has the root hash {found}, and the release states {stated}")]
    RootHash {
        /// Computed from the disk.
        found: Sha256Digest,
        /// From the statement.
        stated: Sha256Digest,
    },
    /// Another kernel image than the maker's.
    #[error("the kernel image that was made is not the one that the release states")]
    Uki,
    /// The statement contradicts itself.
    #[error("the release's statement is not usable: {why}")]
    Statement {
        /// Why.
        why: &'static str,
    },
    /// The slot is too small.
    #[error("the release is larger than the slot: {needed} bytes for {room}")]
    Room {
        /// Bytes of the image.
        needed: u64,
        /// Bytes of the slot.
        room: u64,
    },
}

fn chain(error: &ApplyError) -> String {
    crate::init::report::chain(error)
}

fn on(action: &'static str) -> impl Fn(io::Error) -> StageError {
    move |source| StageError::Disk { action, source }
}

/// What is written where.
pub struct Stage<'a> {
    /// Root hash of the running release.
    pub running: &'a Sha256Digest,
    /// Its UKI's name without counter.
    pub running_stem: &'a str,
    /// The new release.
    pub statement: &'a Statement,
    /// The patch or full image, on data.
    pub patch: &'a Path,
    /// The folder of patches on data.
    pub folder: &'a Path,
    /// Bytes of memory that applying may take.
    pub memory: u64,
}

/// Where the new UKI waits until it is armed.
pub fn uki_path(folder: &Path) -> PathBuf {
    folder.join(UKI)
}

impl Stage<'_> {
    /// Does all steps. `progress` gets what is being done and bytes of all bytes.
    pub fn carry_out(
        &self,
        system: &mut SystemDisk,
        progress: &mut dyn FnMut(&'static str, u64, u64),
    ) -> Result<(), StageError> {
        let statement = self.statement;
        progress("clear the slot", 0, 0);
        let slot = system.inactive(self.running).map_err(on("finding the inactive slot"))?;
        let (root_room, verity_room) = system.room(slot);
        for (needed, room) in
            [(statement.image.root_size, root_room), (statement.image.verity_size, verity_room)]
        {
            if needed > room {
                return Err(StageError::Room { needed, room });
            }
        }
        let esp = system.mount_esp().map_err(on("mounting the EFI system partition"))?;
        esp.keep_only(self.running_stem).map_err(on("clearing the EFI system partition"))?;
        system.name_inactive(self.running, None).map_err(on("taking the inactive slot out of use"))?;
        let old_uki = esp.find(self.running_stem).map_err(on("reading the EFI system partition"))?;
        let old_uki = old_uki.ok_or(StageError::Statement { why: "the running kernel image is gone" })?;
        self.apply(
            system,
            &FileAt::open(&old_uki).map_err(on("opening the running kernel image"))?,
            progress,
        )?;
        drop(esp);
        self.prove(system, progress)?;
        system
            .name_inactive(self.running, Some(&statement.image.root_hash))
            .map_err(on("putting the slot in use"))
    }

    fn apply(
        &self,
        system: &SystemDisk,
        old_uki: &FileAt,
        progress: &mut dyn FnMut(&'static str, u64, u64),
    ) -> Result<(), StageError> {
        let running = system
            .slot_of(self.running)
            .ok_or(StageError::Statement { why: "the running slot is unknown" })?;
        let old_root = system.open_root(running).map_err(on("opening the running slot"))?;
        let (root, _) = system.open_inactive(self.running).map_err(on("opening the inactive slot"))?;
        let working = self.folder.join("uki.efi.part");
        let uki = File::create(&working).map_err(on("writing the kernel image to data"))?;
        let mut target = Slot { root: &root, uki, limit: self.statement.image.root_size };
        let old = Old { root: &old_root, uki: old_uki, root_hash: *self.running };
        let mut input =
            BufReader::with_capacity(1 << 18, File::open(self.patch).map_err(on("opening the patch"))?);
        let options = ApplyOptions { memory: self.memory, resume: Resume::Check };
        patch::apply(&mut input, Some(&old), &mut target, &options, &mut |done, total| {
            progress("write", done, total)
        })
        .map_err(StageError::Patch)?;
        progress("sync", 0, 0);
        root.sync_and_forget().map_err(on("syncing the inactive slot"))?;
        target.uki.sync_all().map_err(on("syncing the kernel image"))?;
        drop(target);
        let found = disk::digest(&mut File::open(&working).map_err(on("reading the kernel image back"))?);
        if found.map_err(on("reading the kernel image back"))? != self.statement.uki.sha256 {
            return Err(StageError::Uki);
        }
        fs::rename(&working, uki_path(self.folder))
            .and_then(|()| File::open(self.folder)?.sync_all())
            .map_err(on("keeping the kernel image"))
    }

    /// Steps 3 and 4.
    fn prove(
        &self,
        system: &SystemDisk,
        progress: &mut dyn FnMut(&'static str, u64, u64),
    ) -> Result<(), StageError> {
        let image = &self.statement.image;
        let (root, verity_device) =
            system.open_inactive(self.running).map_err(on("opening the inactive slot"))?;
        let salt = salt(&image.verity_salt)
            .ok_or(StageError::Statement { why: "its verity salt is not hexadecimal" })?;
        let uuid = Uuid::derived("verity", &image.root_hash.0);
        let options = verity::Options { salt, uuid, threads: NonZeroUsize::MIN };
        let broken = |_| StageError::Statement { why: "its image can not have a hash tree" };
        let mut builder = verity::VerityBuilder::new(options).map_err(broken)?;
        let (mut at, mut piece) = (0, vec![0; PIECE as usize]);
        while at < image.root_size {
            let length = (image.root_size - at).min(PIECE) as usize;
            root.read_exact_at(&mut piece[..length], at).map_err(on("reading the inactive slot back"))?;
            builder.update(&piece[..length]);
            at += length as u64;
            progress("read back", at, image.root_size);
        }
        let tree = builder.finish().map_err(broken)?;
        if tree.root_hash != image.root_hash {
            return Err(StageError::RootHash { found: tree.root_hash, stated: image.root_hash });
        }
        if tree.bytes.len() as u64 > verity_device.size() {
            return Err(StageError::Room { needed: tree.bytes.len() as u64, room: verity_device.size() });
        }
        verity_device.write_at(&tree.bytes, 0).map_err(on("writing the hash tree"))?;
        verity_device.sync_and_forget().map_err(on("syncing the hash tree"))?;
        let mut back = vec![0; tree.bytes.len()];
        let section = Section::new(&verity_device, 0, back.len() as u64);
        let section =
            section.ok_or(StageError::Statement { why: "its hash tree is larger than the slot" })?;
        section.read_exact_at(&mut back, 0).map_err(on("reading the hash tree back"))?;
        match back == tree.bytes {
            true => Ok(()),
            false => Err(StageError::Disk {
                action: "reading the hash tree back",
                source: io::Error::other("the disk gives other bytes than were written"),
            }),
        }
    }
}

/// Lower-case hexadecimal digits as bytes.
fn salt(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    text.as_bytes().chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// The inactive slot as a patch writes it.
struct Slot<'a> {
    root: &'a Device,
    uki: File,
    /// Bytes of the stated root: a patch that says more is not written further.
    limit: u64,
}

impl Target for Slot<'_> {
    fn write_root(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset + bytes.len() as u64 > self.limit {
            return Err(io::Error::other("the patch makes more than the release states"));
        }
        self.root.write_at(bytes, offset)
    }

    fn read_root(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.root.read_exact_at(buffer, offset)
    }

    fn write_uki(&mut self, _offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.uki.write_all(bytes)
    }
}
