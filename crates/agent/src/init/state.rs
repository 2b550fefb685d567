//! Declared state and the other directories that live on data.
//!
//! **First use of a state directory**, and what a power cut after each step leaves:
//! 1. the image's directory is copied to [`STAGING`]: the next boot throws the staging away;
//! 2. the file system is synced: the same;
//! 3. the copy is renamed to its place below `state/`: it is complete, and never copied again.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use model::definition::StateDirectory;

use crate::accounts::{Accounts, Owner, UnknownAccount};

/// Where a directory is copied to, relative to data: in the state's own subvolume, which a rename can not leave.
pub const STAGING: &str = "state/.ampoule-staging";
/// Deepest directory that is copied or given another owner: a state directory nests a few levels; the stack must not
/// be exhausted by what an application has written.
const DEPTH_LIMIT: usize = 128;
/// Mode of a state directory that neither the definition nor the image gives one.
const DEFAULT_MODE: u32 = 0o750;

/// A state directory can not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The owner's name is not in the image.
    #[error("state directory {path}")]
    Owner {
        /// Path of the state directory.
        path: String,
        /// The name.
        #[source]
        source: UnknownAccount,
    },
    /// The file system refused.
    #[error("state directory {path}")]
    Files {
        /// Path of the state directory.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Makes the directory below `data` that stands behind a state directory, and returns it. `image` is where the image's
/// own directory is seen before anything is mounted over it.
pub fn ensure_state(
    data: &Path,
    image: &Path,
    directory: &StateDirectory,
    accounts: &Accounts,
) -> Result<PathBuf, StateError> {
    let path = || directory.path.clone();
    let owner = match &directory.owner {
        Some(text) => {
            Some(accounts.owner(text).map_err(|source| StateError::Owner { path: path(), source })?)
        }
        None => None,
    };
    place_state(data, image, directory, owner).map_err(|source| StateError::Files { path: path(), source })
}

fn place_state(
    data: &Path,
    image: &Path,
    directory: &StateDirectory,
    owner: Option<Owner>,
) -> io::Result<PathBuf> {
    let relative = directory.path.trim_matches('/');
    let place = data.join("state").join(relative);
    if !place.is_dir() {
        let staging = data.join(STAGING);
        if staging.exists() {
            fs::remove_dir_all(&staging)?;
        }
        // Step 1.
        if image.join(relative).is_dir() {
            copy_tree(&image.join(relative), &staging, 0)?;
        } else {
            make_directories(&staging)?;
            fs::set_permissions(&staging, fs::Permissions::from_mode(DEFAULT_MODE))?;
        }
        apply_metadata(&staging, directory, owner)?;
        // Step 2.
        sync_file_system(data)?;
        // Step 3.
        make_directories(place.parent().unwrap_or(data))?;
        fs::rename(&staging, &place)?;
        sync_file_system(data)?;
    }
    apply_metadata(&place, directory, owner)?;
    Ok(place)
}

/// Gives a directory the declared owner and mode. User numbers belong to an image, not to data: when a newer image gave
/// the owner's name another number, everything of the old number follows.
fn apply_metadata(place: &Path, directory: &StateDirectory, owner: Option<Owner>) -> io::Result<()> {
    let found = fs::metadata(place)?;
    if let Some(owner) = owner {
        let old = Owner { user: found.uid(), group: found.gid() };
        if old != owner {
            change_owner(place, old, owner, 0)?;
        }
    }
    match directory.mode {
        Some(mode) if found.mode() & 0o7777 != mode => {
            fs::set_permissions(place, fs::Permissions::from_mode(mode))
        }
        _ => Ok(()),
    }
}

fn change_owner(path: &Path, old: Owner, new: Owner, depth: usize) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if depth > DEPTH_LIMIT {
        return Err(io::Error::other("directories are nested too deep"));
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            change_owner(&entry?.path(), old, new, depth + 1)?;
        }
    }
    // The top comes last: a cut before it is seen at the next boot, and the walk repeated.
    let user = (metadata.uid() == old.user).then_some(new.user);
    let group = (metadata.gid() == old.group).then_some(new.group);
    if user.is_some() || group.is_some() {
        lchown(path, user, group)?;
        if !metadata.is_symlink() {
            // Changing the owner clears setuid and setgid.
            fs::set_permissions(path, metadata.permissions())?;
        }
    }
    Ok(())
}

/// Copies directories, files and symbolic links with owner and mode. Sockets, devices and extended attributes are not
/// copied: an image's state directory has none.
fn copy_tree(source: &Path, target: &Path, depth: usize) -> io::Result<()> {
    let metadata = fs::symlink_metadata(source)?;
    if depth > DEPTH_LIMIT {
        return Err(io::Error::other("directories are nested too deep"));
    }
    if metadata.is_symlink() {
        std::os::unix::fs::symlink(fs::read_link(source)?, target)?;
    } else if metadata.is_dir() {
        make_directories(target)?;
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            copy_tree(&entry.path(), &target.join(entry.file_name()), depth + 1)?;
        }
    } else if metadata.is_file() {
        fs::copy(source, target)?;
    } else {
        return Ok(());
    }
    lchown(target, Some(metadata.uid()), Some(metadata.gid()))?;
    if !metadata.is_symlink() {
        fs::set_permissions(target, metadata.permissions())?;
    }
    Ok(())
}

/// Makes a directory and those above it with mode 0755 whatever the umask: data is read by services.
pub fn make_directories(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Makes everything written to the file system of `path` durable.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str, mode: Option<u32>) -> StateDirectory {
        StateDirectory { path: path.to_owned(), owner: None, mode, purpose: String::new() }
    }

    fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (data, image) = (folder.path().join("data"), folder.path().join("image"));
        make_directories(&data.join("ampoule")).expect("made");
        make_directories(&image.join("var/lib/shop/sub")).expect("made");
        fs::write(image.join("var/lib/shop/sub/file"), "from the image").expect("written");
        std::os::unix::fs::symlink("sub/file", image.join("var/lib/shop/link")).expect("linked");
        (folder, data, image)
    }

    #[test]
    fn first_use_copies_the_image_and_later_uses_keep_the_state() {
        let (_folder, data, image) = folders();
        let declared = directory("/var/lib/shop", Some(0o711));
        let place =
            ensure_state(&data, &image, &declared, &Accounts::default()).expect("the file system works");
        assert_eq!(place, data.join("state/var/lib/shop"));
        assert_eq!(fs::read_to_string(place.join("link")).expect("copied"), "from the image");
        assert_eq!(fs::metadata(&place).expect("there").mode() & 0o7777, 0o711);
        fs::write(place.join("sub/file"), "from the customer").expect("written");
        ensure_state(&data, &image, &declared, &Accounts::default()).expect("the file system works");
        assert_eq!(fs::read_to_string(place.join("link")).expect("kept"), "from the customer");
    }

    #[test]
    fn a_half_made_copy_of_a_cut_boot_is_thrown_away() {
        let (_folder, data, image) = folders();
        make_directories(&data.join(STAGING).join("half")).expect("made");
        let place = ensure_state(&data, &image, &directory("/var/lib/shop", None), &Accounts::default())
            .expect("works");
        assert!(!place.join("half").exists());
        assert!(place.join("sub/file").exists());
    }

    #[test]
    fn a_directory_the_image_does_not_have_is_private() {
        let (_folder, data, image) = folders();
        let place =
            ensure_state(&data, &image, &directory("/srv/new", None), &Accounts::default()).expect("works");
        assert_eq!(fs::metadata(place).expect("there").mode() & 0o7777, 0o750);
    }

    #[test]
    fn an_unknown_owner_is_named() {
        let (_folder, data, image) = folders();
        let declared = StateDirectory { owner: Some("ghost".to_owned()), ..directory("/srv/new", None) };
        let error = ensure_state(&data, &image, &declared, &Accounts::default()).expect_err("no such user");
        assert_eq!(
            crate::init::report::chain(&error),
            "state directory /srv/new: the image has no user `ghost`"
        );
    }
}
