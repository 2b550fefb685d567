//! dm-verity: from the hash partition's superblock to the device-mapper table.
//!
//! The superblock is not signed and not trusted: sizes and salt only select *which* tree is checked, and a tree that
//! does not end in the root hash of the command line fails at the first read. Format: kernel documentation
//! `admin-guide/device-mapper/verity.rst`, cryptsetup `lib/verity/verity.c` for the superblock.

use model::Sha256Digest;

/// Bytes of the superblock.
pub const SUPERBLOCK_LENGTH: usize = 512;
/// Longest salt of the format.
const SALT_LIMIT: usize = 256;
/// The only block size that images are built with, for data and hashes.
const BLOCK: u32 = 4096;

/// What the superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Data blocks of 4096 bytes.
    pub data_blocks: u64,
    /// Salt of every hash.
    pub salt: Vec<u8>,
    /// UUID, for the name of the mapping only.
    pub uuid: [u8; 16],
}

/// The superblock is not one this image can have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SuperblockError {
    /// Not there at all.
    #[error("the hash partition has no verity superblock")]
    Absent,
    /// Another version, hash, block size or an absurd salt.
    #[error("the verity superblock has an unknown {field}")]
    Unknown {
        /// Which field.
        field: &'static str,
    },
    /// The data partition is shorter than the superblock claims.
    #[error("the verity superblock covers {claimed} blocks, the root partition has {present}")]
    TooLong {
        /// From the superblock.
        claimed: u64,
        /// From the partition.
        present: u64,
    },
}

impl Superblock {
    /// Reads the first [`SUPERBLOCK_LENGTH`] bytes of the hash partition; `present` is the root partition's size in
    /// blocks.
    pub fn parse(bytes: &[u8; SUPERBLOCK_LENGTH], present: u64) -> Result<Superblock, SuperblockError> {
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let unknown = |field| Err(SuperblockError::Unknown { field });
        if &bytes[..8] != b"verity\0\0" {
            return Err(SuperblockError::Absent);
        }
        if number(8) != 1 || number(12) != 1 {
            return unknown("version");
        }
        if &bytes[32..39] != b"sha256\0" {
            return unknown("hash");
        }
        if number(64) != BLOCK || number(68) != BLOCK {
            return unknown("block size");
        }
        let salt_length = usize::from(u16::from_le_bytes([bytes[80], bytes[81]]));
        if salt_length > SALT_LIMIT {
            return unknown("salt");
        }
        let data_blocks = u64::from_le_bytes(bytes[72..80].try_into().expect("eight bytes"));
        if data_blocks == 0 || data_blocks > present {
            return Err(SuperblockError::TooLong { claimed: data_blocks, present });
        }
        Ok(Superblock {
            data_blocks,
            salt: bytes[88..88 + salt_length].to_vec(),
            uuid: bytes[16..32].try_into().expect("sixteen bytes"),
        })
    }

    /// Sectors of the mapping.
    pub fn sectors(&self) -> u64 {
        self.data_blocks * u64::from(BLOCK / 512)
    }

    /// Parameters of the `verity` target. The tree begins in the block after the superblock's.
    pub fn table(&self, data_device: &str, hash_device: &str, root_hash: &Sha256Digest) -> String {
        let salt = if self.salt.is_empty() { "-".to_owned() } else { hexadecimal(&self.salt) };
        let blocks = self.data_blocks;
        format!("1 {data_device} {hash_device} {BLOCK} {BLOCK} {blocks} 1 sha256 {root_hash} {salt}")
    }

    /// The UUID `veritysetup` would give the mapping, so that `veritysetup status` knows it.
    pub fn mapping_uuid(&self, name: &str) -> String {
        format!("CRYPT-VERITY-{}-{name}", hexadecimal(&self.uuid))
    }
}

/// What a kernel message says about corruption: `data block 17` or `metadata block 3`.
///
/// The message is `device-mapper: verity: 254:0: data block 17 is corrupted` (`drivers/md/dm-verity-target.c`).
pub fn corrupted_block(message: &str) -> Option<&str> {
    let (before, _) = message.split_once(" is corrupted")?;
    let (_, block) = before.split_once("verity: ")?.1.rsplit_once(": ").unwrap_or(("", before));
    block.contains("block ").then_some(block)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_superblock_of_veritysetup_gives_the_table_veritysetup_gives() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (data, hash) = (folder.path().join("data"), folder.path().join("hash"));
        std::fs::write(&data, vec![7u8; 4096 * 300]).expect("written");
        std::fs::write(&hash, b"").expect("written");
        let made = Command::new("veritysetup")
            .args(["format", "--salt", "00ff10", "--uuid", "11111111-2222-3333-4444-555555555555"])
            .args([&data, &hash])
            .output()
            .expect("veritysetup is needed for this test: install cryptsetup-bin");
        assert!(made.status.success());
        let text = String::from_utf8_lossy(&made.stdout).into_owned();
        let root =
            text.lines().find_map(|line| line.strip_prefix("Root hash:")).expect("it prints it").trim();
        let bytes: [u8; SUPERBLOCK_LENGTH] =
            std::fs::read(&hash).expect("read")[..SUPERBLOCK_LENGTH].try_into().expect("long enough");
        let superblock = Superblock::parse(&bytes, 300).expect("veritysetup made it");
        assert_eq!(superblock.sectors(), 2400);
        assert_eq!(
            superblock.table("253:2", "253:3", &root.parse().expect("a digest")),
            format!("1 253:2 253:3 4096 4096 300 1 sha256 {root} 00ff10")
        );
        assert_eq!(superblock.mapping_uuid("x"), "CRYPT-VERITY-11111111222233334444555555555555-x");
        assert_eq!(
            Superblock::parse(&bytes, 299),
            Err(SuperblockError::TooLong { claimed: 300, present: 299 })
        );
    }

    #[test]
    fn something_else_than_a_superblock_is_refused() {
        assert_eq!(Superblock::parse(&[0; SUPERBLOCK_LENGTH], 1), Err(SuperblockError::Absent));
        let mut bytes = [0; SUPERBLOCK_LENGTH];
        bytes[..8].copy_from_slice(b"verity\0\0");
        assert_eq!(Superblock::parse(&bytes, 1), Err(SuperblockError::Unknown { field: "version" }));
    }

    #[test]
    fn kernel_messages_name_the_corrupted_block() {
        let line = "3,712,2210,-;device-mapper: verity: 254:0: data block 17 is corrupted";
        assert_eq!(corrupted_block(line), Some("data block 17"));
        assert_eq!(
            corrupted_block("device-mapper: verity: 254:0: metadata block 3 is corrupted"),
            Some("metadata block 3")
        );
        assert_eq!(corrupted_block("EXT4-fs: block 17 is corrupted"), None);
    }
}
