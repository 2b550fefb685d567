//! The definition and every file beside it that it names, as one archive: what a stranger rebuilds a release from.
//!
//! A tar file, zstd. Nothing in it varies: paths in order, owner and time 0, the mode by the execute bit alone, as
//! [`crate::compose`] sees it. Unpacking a stranger's archive can not write outside of its folder: names are plain, links are made
//! last, and nothing is written through one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use model::Definition;
use tree::TreePath;

/// Name of the definition in the archive.
pub const DEFINITION: &str = "appliance.toml";
/// Deepest folder. Stops a folder that contains itself through a mount.
const DEPTH_LIMIT: usize = 64;
/// Most entries that are unpacked. Stops millions of empty files.
const ENTRY_LIMIT: usize = 500_000;
/// Most bytes that are unpacked. Stops a small archive from filling the disk.
const UNPACKED_LIMIT: u64 = 16 << 30;
/// zstd level: a maker's files are large and are archived at every build.
const LEVEL: i32 = 6;

/// Why sources can not be archived or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// A file can not be read or written.
    #[error("can not {action} `{path}`")]
    File {
        /// A verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The archive is damaged, or does what a definition's archive does not do.
    #[error("the archive of sources is damaged: {why}")]
    Damaged {
        /// In one sentence.
        why: String,
    },
}

enum Item {
    Folder,
    File(PathBuf),
    Link(PathBuf),
}

/// Archives a definition. `text` is its own text, whatever its file is called.
pub fn archive(definition: &Definition, text: &str, folder: &Path) -> Result<Vec<u8>, SourcesError> {
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for files in &definition.files {
        collect(folder, &files.source, &mut items, 0)?;
    }
    let single = definition.units.add.iter().chain(definition.templates.iter().map(|it| &it.source));
    let trusted = definition.trust.iter().flat_map(|trust| trust.files().map(|(source, _)| source));
    for source in single.chain(&definition.sbom.merge).chain(trusted) {
        // Read as a file wherever a link leads; the archive has the file.
        items.insert(source.clone(), Item::File(folder.join(source)));
    }
    let in_memory = |source| SourcesError::File { action: "archive", path: folder.to_owned(), source };
    let encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(in_memory)?;
    let mut archive = tar::Builder::new(encoder);
    let mut header = plain_header(0o644, text.len() as u64);
    archive.append_data(&mut header, DEFINITION, text.as_bytes()).map_err(in_memory)?;
    // The definition is there already, also when a folder of files contains it.
    for (name, item) in items.iter().filter(|(name, _)| *name != DEFINITION) {
        append(&mut archive, name, item)?;
    }
    archive.into_inner().and_then(|encoder| encoder.finish()).map_err(in_memory)
}

fn collect(
    folder: &Path,
    source: &str,
    items: &mut BTreeMap<String, Item>,
    depth: usize,
) -> Result<(), SourcesError> {
    let path = folder.join(source);
    let error = |action| {
        let path = path.clone();
        move |source| SourcesError::File { action, path, source }
    };
    if depth > DEPTH_LIMIT {
        return Err(error("archive")(io::Error::other("it is nested too deeply")));
    }
    let metadata = fs::symlink_metadata(&path).map_err(error("look at"))?;
    if metadata.is_dir() {
        items.insert(source.to_owned(), Item::Folder);
        for entry in fs::read_dir(&path).map_err(error("list"))? {
            let name = entry.map_err(error("list"))?.file_name();
            let name =
                name.to_str().ok_or_else(|| error("archive")(io::Error::other("a name is not UTF-8")))?;
            collect(folder, &format!("{source}/{name}"), items, depth + 1)?;
        }
    } else if metadata.is_symlink() {
        items.insert(source.to_owned(), Item::Link(fs::read_link(&path).map_err(error("read"))?));
    } else {
        items.insert(source.to_owned(), Item::File(path));
    }
    Ok(())
}

fn append<W: Write>(archive: &mut tar::Builder<W>, name: &str, item: &Item) -> Result<(), SourcesError> {
    let error = |path: &Path| {
        let path = path.to_owned();
        move |source| SourcesError::File { action: "archive", path, source }
    };
    match item {
        Item::Folder => {
            let mut header = plain_header(0o755, 0);
            header.set_entry_type(tar::EntryType::Directory);
            archive.append_data(&mut header, format!("{name}/"), io::empty()).map_err(error(Path::new(name)))
        }
        Item::Link(target) => {
            let mut header = plain_header(0o777, 0);
            header.set_entry_type(tar::EntryType::Symlink);
            archive.append_link(&mut header, name, target).map_err(error(Path::new(name)))
        }
        Item::File(path) => {
            let file = File::open(path).map_err(error(path))?;
            let metadata = file.metadata().map_err(error(path))?;
            let mode = if metadata.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 };
            let mut header = plain_header(mode, metadata.len());
            // A file that grows or shrinks meanwhile must not shift what follows it.
            let content = file.take(metadata.len()).chain(io::repeat(0)).take(metadata.len());
            archive.append_data(&mut header, name, content).map_err(error(path))
        }
    }
}

fn plain_header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header
}

/// Unpacks an archive into an empty folder.
pub fn unpack(archive: impl Read, folder: &Path) -> Result<(), SourcesError> {
    let damaged = |why: &str| SourcesError::Damaged { why: why.to_owned() };
    let broken = |source: io::Error| SourcesError::Damaged { why: source.to_string() };
    let decoder = zstd::Decoder::new(archive).map_err(broken)?;
    let mut archive = tar::Archive::new(decoder.take(UNPACKED_LIMIT));
    let mut links: BTreeMap<TreePath, PathBuf> = BTreeMap::new();
    for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        if count >= ENTRY_LIMIT {
            return Err(damaged("it has too many entries"));
        }
        let name =
            String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| damaged("a name is not UTF-8"))?;
        let path: TreePath =
            name.trim_end_matches('/').parse().map_err(|_| damaged("a name leads out of its folder"))?;
        if path.as_str().is_empty() {
            return Err(damaged("a name is empty"));
        }
        let place = folder.join(path.as_str());
        let error = |action| {
            let path = place.clone();
            move |source| SourcesError::File { action, path, source }
        };
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            fs::create_dir_all(&place).map_err(error("create"))?;
        } else if kind.is_symlink() {
            let target = entry.link_name().map_err(broken)?.ok_or_else(|| damaged("a link leads nowhere"))?;
            links.insert(path, target.into_owned());
        } else if kind.is_file() {
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent).map_err(error("create"))?;
            }
            let mode = if entry.header().mode().map_err(broken)? & 0o100 != 0 { 0o755 } else { 0o644 };
            let mut options = File::options();
            let mut file =
                options.write(true).create_new(true).mode(mode).open(&place).map_err(error("create"))?;
            io::copy(&mut entry, &mut file).map_err(error("write"))?;
        } else {
            return Err(damaged("it holds something else than files, folders and links"));
        }
    }
    // Links come last: nothing was written through one.
    for (path, target) in links {
        let place = folder.join(path.as_str());
        let error = |source| SourcesError::File { action: "create", path: place.clone(), source };
        let parent = place.parent().unwrap_or(folder);
        // Its folder has to be a folder of ours and not a link made just before.
        if fs::symlink_metadata(parent).map(|it| it.is_symlink()).unwrap_or(false) {
            return Err(damaged("a link lies below a link"));
        }
        fs::create_dir_all(parent).map_err(error)?;
        symlink(&target, &place).map_err(error)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
