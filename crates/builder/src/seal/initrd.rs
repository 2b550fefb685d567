//! The initrd: `init` and the modules it needs, as an uncompressed cpio archive.

use image::cpio;
use tree::{Node, Tree, TreePath};

use super::SealError;
use super::modules::{Selection, select_modules};
use crate::compose::contents::Contents;

/// Builds the initrd for the kernel in the tree.
pub fn initrd(
    tree: &Tree,
    contents: &Contents<'_>,
    kernel_version: &str,
    init: &[u8],
) -> Result<Vec<u8>, SealError> {
    let folder = format!("usr/lib/modules/{kernel_version}");
    let read = |name: &str| -> Result<Vec<u8>, SealError> {
        let path: TreePath = format!("{folder}/{name}")
            .parse()
            .map_err(|_| SealError::NoModules { folder: folder.clone() })?;
        match tree.entries.get(&path).map(|entry| &entry.node) {
            Some(Node::File(content)) => {
                contents.read(content).map_err(|source| SealError::Content { path: path.to_string(), source })
            }
            _ => Err(SealError::NoModules { folder: folder.clone() }),
        }
    };
    let text = |name: &str| read(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let selection: Selection = select_modules(
        kernel_version,
        &text("modules.dep")?,
        &text("modules.alias")?,
        &text("modules.builtin")?,
    )
    .map_err(SealError::MissingModule)?;

    let mut modules: Vec<(String, Vec<u8>)> = Vec::new();
    for path in &selection.files {
        let name = path.rsplit('/').next().unwrap_or(path);
        modules.push((format!("modules/{name}"), read(path)?));
    }
    modules.push(("modules/modules.dep".into(), selection.dependencies.into_bytes()));
    modules.push(("modules/modules.alias".into(), selection.aliases.into_bytes()));
    modules.push(("modules/load".into(), selection.load.into_bytes()));

    let mut entries = vec![
        // The kernel opens /dev/console for init before anything is mounted.
        entry("dev/console", 0o600, cpio::Kind::CharacterDevice { major: 5, minor: 1 }),
        entry("init", 0o755, cpio::Kind::File(init)),
    ];
    for folder in ["dev", "proc", "sys", "run", "sysroot"] {
        entries.push(entry(folder, 0o755, cpio::Kind::Directory));
    }
    entries.extend(modules.iter().map(|(path, bytes)| entry(path, 0o644, cpio::Kind::File(bytes))));
    let mut archive = Vec::new();
    cpio::write(&entries, &mut archive).map_err(SealError::Initrd)?;
    Ok(archive)
}

fn entry<'a>(path: &str, mode: u32, kind: cpio::Kind<'a>) -> cpio::Entry<'a> {
    cpio::Entry { path: path.parse().expect("module names are plain"), mode, kind }
}
