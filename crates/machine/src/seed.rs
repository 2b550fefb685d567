//! Seed disks: a small FAT file system that brings settings to an appliance on hypervisors without fw_cfg.
//!
//! The same text gives the same bytes: no clock, no random volume id.

use std::io::{Cursor, Write};
use std::path::Path;

use fatfs::{Date, DateTime, FatType, FormatVolumeOptions, FsOptions, Time, TimeProvider};
use sha2::{Digest, Sha256};

use crate::error::{MachineError, io};

/// Volume label: `AMPOULE-SEED` cut to the eleven characters FAT has room for, as every tool cuts it. The agent takes both.
pub const LABEL: &str = "AMPOULE-SEE";
/// The file on it: settings as TOML, `name = value` lines.
pub const FILE: &str = "settings.toml";
/// Longest settings text. Stops a wrong file from being packed as settings; the text of a few certificates fits.
pub const TEXT_LIMIT: usize = 256 << 10;

const IMAGE_SIZE: usize = 1 << 20;

/// The bytes of a seed disk with these settings.
pub fn image(settings: &str) -> Result<Vec<u8>, MachineError> {
    let settings = settings.as_bytes();
    if settings.len() > TEXT_LIMIT {
        let (found, most) = (settings.len() as u64, TEXT_LIMIT as u64);
        return Err(MachineError::Size { what: "a settings text", found, least: 0, most });
    }
    let mut bytes = vec![0; IMAGE_SIZE];
    write_image(&mut bytes, settings).map_err(io("make", Path::new("seed disk")))?;
    Ok(bytes)
}

/// Writes a seed disk to `path`, readable by this user only: settings can hold secrets.
pub fn write(path: &Path, settings: &str) -> Result<(), MachineError> {
    use std::os::unix::fs::OpenOptionsExt;
    let bytes = image(settings)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).and_then(|mut file| file.write_all(&bytes)).map_err(io("write", path))
}

fn write_image(bytes: &mut [u8], settings: &[u8]) -> std::io::Result<()> {
    let mut label = [b' '; 11];
    label[..LABEL.len()].copy_from_slice(LABEL.as_bytes());
    let digest = Sha256::digest(settings);
    let volume_id = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
    let format = FormatVolumeOptions::new().fat_type(FatType::Fat12).volume_label(label).volume_id(volume_id);
    fatfs::format_volume(Cursor::new(&mut *bytes), format)?;
    let system = fatfs::FileSystem::new(Cursor::new(bytes), FsOptions::new().time_provider(&FIXED))?;
    let mut file = system.root_dir().create_file(FILE)?;
    file.truncate()?;
    file.write_all(settings)?;
    file.flush()?;
    drop(file);
    system.unmount()
}

/// FAT's first moment for every time stamp.
#[derive(Debug)]
struct FixedTime;

static FIXED: FixedTime = FixedTime;

impl TimeProvider for FixedTime {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_seed_disk_is_a_sound_fat_with_label_and_text() {
        let bench = tempfile::tempdir().expect("folder");
        let path = bench.path().join("seed.img");
        let text = "site-name = \"Ünser\"\n".repeat(1000);
        write(&path, &text).expect("writes");
        let check = Command::new("fsck.vfat").args(["-n", "-v"]).arg(&path).output().expect("dosfstools");
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        let typed =
            Command::new("mtype").arg("-i").arg(&path).arg("::settings.toml").output().expect("mtools");
        assert_eq!(typed.stdout, text.as_bytes());
        let label = Command::new("mlabel").arg("-s").arg("-i").arg(&path).arg("::").output().expect("mtools");
        assert!(String::from_utf8_lossy(&label.stdout).contains(LABEL));
    }

    #[test]
    fn the_same_settings_give_the_same_disk() {
        assert_eq!(image("a = 1\n").expect("makes"), image("a = 1\n").expect("makes"));
        assert_ne!(image("a = 1\n").expect("makes"), image("a = 2\n").expect("makes"));
        assert!(image(&"x".repeat(TEXT_LIMIT + 1)).is_err());
    }
}
