//! The maker's files: folders and files beside the definition, placed in the image.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use model::definition::{PlacedFiles, SEALED_TRUST, Trust};
use tree::{Node, Origin};

use super::accounts::Accounts;
use super::draft::{Attributes, Draft, ROOT};
use super::{ComposeError, generated};

/// Deepest folder below a placed one. Stops a folder that contains itself through a mount.
const DEPTH_LIMIT: usize = 64;

/// Places everything one `[[files]]` entry names.
pub fn place_files(
    draft: &mut Draft<'_>,
    folder: &Path,
    files: &PlacedFiles,
    accounts: &Accounts,
) -> Result<(), ComposeError> {
    let owner = accounts
        .owner(&files.owner)
        .map_err(|source| ComposeError::Account { place: format!("files `{}`", files.source), source })?;
    let placement = Placement { owner: Attributes { owner, mode: 0 }, mode: files.mode };
    place_one(draft, folder, &files.source, &files.target, &placement, 0)
}

struct Placement {
    owner: Attributes,
    mode: Option<u32>,
}

fn place_one(
    draft: &mut Draft<'_>,
    folder: &Path,
    source: &str,
    target: &str,
    placement: &Placement,
    depth: usize,
) -> Result<(), ComposeError> {
    let path = folder.join(source);
    let error = |source_error| ComposeError::Read { path: path.display().to_string(), source: source_error };
    if depth > DEPTH_LIMIT {
        return Err(ComposeError::Path { path: path.display().to_string(), why: "is nested too deeply" });
    }
    let metadata = fs::symlink_metadata(&path).map_err(error)?;
    let origin = Origin::Maker(source.to_owned());
    if metadata.is_dir() {
        // A folder that a package owns keeps its owner and mode: placing files in /etc must not change /etc.
        if draft.entry(target).is_none() {
            let attributes = Attributes { mode: 0o755, ..placement.owner };
            draft.put_directory(target, attributes, &origin)?;
        }
        let mut names: Vec<String> = Vec::new();
        for entry in fs::read_dir(&path).map_err(error)? {
            let name = entry.map_err(error)?.file_name();
            names.push(name.into_string().map_err(|name| ComposeError::Path {
                path: path.join(name).display().to_string(),
                why: "has a name that is not UTF-8",
            })?);
        }
        names.sort();
        for name in names {
            let (source, target) =
                (format!("{source}/{name}"), format!("{}/{name}", target.trim_end_matches('/')));
            place_one(draft, folder, &source, &target, placement, depth + 1)?;
        }
        Ok(())
    } else if metadata.is_symlink() {
        let link = fs::read_link(&path).map_err(error)?;
        draft.put_link(target, &link.to_string_lossy(), &origin)
    } else if metadata.is_file() {
        let content = draft.contents.add_file(&path).map_err(error)?;
        // Only the execute bit counts: the rest of the mode comes from the umask of whoever checked the files out.
        let by_execute_bit = if metadata.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 };
        let attributes = Attributes { mode: placement.mode.unwrap_or(by_execute_bit), ..placement.owner };
        draft.put(target, Node::File(content), attributes, &origin)
    } else {
        Err(ComposeError::Path {
            path: path.display().to_string(),
            why: "is neither a file, a folder nor a link",
        })
    }
}

/// Template texts, in the order of the definition, where the agent finds them.
pub fn place_templates(
    draft: &mut Draft<'_>,
    folder: &Path,
    templates: &[model::definition::Template],
) -> Result<(), ComposeError> {
    draft.ensure_directory(&format!("/{}", model::definition::SEALED_TEMPLATES), &generated("templates"))?;
    for (index, template) in templates.iter().enumerate() {
        let target = format!("/{}/{index:04}", model::definition::SEALED_TEMPLATES);
        place_sealed(draft, folder, &template.source, &target)?;
    }
    Ok(())
}

/// What the appliance trusts, where the agent finds it.
pub fn place_trust(draft: &mut Draft<'_>, folder: &Path, trust: Option<&Trust>) -> Result<(), ComposeError> {
    let Some(trust) = trust else { return Ok(()) };
    draft.ensure_directory(&format!("/{SEALED_TRUST}"), &generated("trust"))?;
    for (source, name) in trust.files() {
        place_sealed(draft, folder, source, &format!("/{SEALED_TRUST}/{name}"))?;
    }
    Ok(())
}

/// A maker's file under a name of ours.
fn place_sealed(
    draft: &mut Draft<'_>,
    folder: &Path,
    source: &str,
    target: &str,
) -> Result<(), ComposeError> {
    let path = folder.join(source);
    let content = draft
        .contents
        .add_file(&path)
        .map_err(|source| ComposeError::Read { path: path.display().to_string(), source })?;
    let attributes = Attributes { owner: ROOT, mode: 0o644 };
    draft.put(target, Node::File(content), attributes, &Origin::Maker(source.to_owned()))
}
