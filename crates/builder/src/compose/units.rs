//! Units of the image: added, enabled, disabled, masked, hardened.

use std::collections::BTreeSet;
use std::path::Path;

use model::definition::Units;
use tree::{Entry, Node, Origin, TreePath};

use super::draft::{Attributes, Draft, ROOT};
use super::install_section::InstallSection;
use super::{ComposeError, generated};

/// Where systemd looks for units in an image, in order of precedence.
const UNIT_FOLDERS: [&str; 2] = ["/etc/systemd/system", "/usr/lib/systemd/system"];

/// Units chained by `Also=`. Stops two units that name each other.
const ALSO_LIMIT: usize = 64;

/// Hardening that a service keeps working with unless it administers the machine itself. Everything here is also
/// visible to the maker as a drop-in, and can be switched off by unit (`units.unhardened`).
const HARDENING: &str = "\
# Added by Ampoule to every enabled service; see `unhardened` in the definition.
[Service]
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
";

/// Applies the definition's `[units]`.
pub fn apply_units(draft: &mut Draft<'_>, folder: &Path, units: &Units) -> Result<(), ComposeError> {
    for source in &units.add {
        let path = folder.join(source);
        let content = draft
            .contents
            .add_file(&path)
            .map_err(|source| ComposeError::Read { path: path.display().to_string(), source })?;
        let name = source.rsplit('/').next().unwrap_or(source);
        let attributes = Attributes { owner: ROOT, mode: 0o644 };
        let target = format!("/usr/lib/systemd/system/{name}");
        draft.put(&target, Node::File(content), attributes, &Origin::Maker(source.clone()))?;
    }
    let origin = generated("units");
    for unit in &units.enable {
        enable(draft, unit, &origin)?;
    }
    for unit in &units.disable {
        disable(draft, unit)?;
    }
    for unit in &units.mask {
        mask(draft, unit, &origin)?;
    }
    harden(draft, units)
}

/// Names of all unit files in the tree, for checks of references.
pub fn known_units(draft: &Draft<'_>) -> BTreeSet<String> {
    let is_unit_folder = |path: &TreePath| {
        path.parent().is_some_and(|parent| UNIT_FOLDERS.contains(&parent.to_string().as_str()))
    };
    draft
        .tree
        .entries
        .iter()
        .filter(|(path, entry)| is_unit_folder(path) && !matches!(entry.node, Node::Directory))
        .map(|(path, _)| path.name().to_owned())
        .collect()
}

/// Makes the links that the unit's `[Install]` section, and those it names, ask for.
pub fn enable(draft: &mut Draft<'_>, unit: &str, origin: &Origin) -> Result<(), ComposeError> {
    let mut pending = vec![unit.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(unit) = pending.pop() {
        if !seen.insert(unit.clone()) || seen.len() > ALSO_LIMIT {
            continue;
        }
        let (path, text) = unit_text(draft, &unit)?.ok_or_else(|| ComposeError::UnknownUnit {
            unit: unit.clone(),
            near: nearest(&unit, &known_units(draft)),
        })?;
        let section = InstallSection::parse(&text);
        if section.is_empty() && seen.len() == 1 {
            return Err(ComposeError::NotInstallable { unit });
        }
        for link in section.links(&unit) {
            draft.put_link(&format!("/etc/systemd/system/{link}"), &path, origin)?;
        }
        pending.extend(section.also);
    }
    Ok(())
}

/// Removes every link that starts the unit at boot. Links in packages' own folders are overridden by a mask only, so
/// a unit that is wired in below /usr is masked instead.
fn disable(draft: &mut Draft<'_>, unit: &str) -> Result<(), ComposeError> {
    let is_link_to = |path: &TreePath, entry: &Entry| match &entry.node {
        Node::Symlink { target } => {
            path.to_string().starts_with("/etc/systemd/system/")
                && (path.name() == unit || target.rsplit('/').next() == Some(unit))
        }
        _ => false,
    };
    draft.tree.entries.retain(|path, entry| !is_link_to(path, entry));
    let is_wired = draft.tree.entries.keys().any(|path| {
        let text = path.to_string();
        text.starts_with("/usr/lib/systemd/system/") && text.ends_with(&format!(".wants/{unit}"))
    });
    if is_wired {
        mask(draft, unit, &generated("units"))?;
    }
    Ok(())
}

/// Makes it impossible to start a unit.
pub fn mask(draft: &mut Draft<'_>, unit: &str, origin: &Origin) -> Result<(), ComposeError> {
    let path = format!("/etc/systemd/system/{unit}");
    if let Ok(resolved) = draft.resolve(&path) {
        draft.remove(&resolved);
    }
    draft.put_link(&path, "/dev/null", origin)
}

fn harden(draft: &mut Draft<'_>, units: &Units) -> Result<(), ComposeError> {
    let origin = generated("hardening");
    for unit in units.enable.iter().filter(|unit| unit.ends_with(".service")) {
        if !units.unhardened.contains(unit) {
            let path = format!("/usr/lib/systemd/system/{unit}.d/10-ampoule.conf");
            draft.put_bytes(&path, HARDENING, Attributes { owner: ROOT, mode: 0o644 }, &origin)?;
        }
    }
    Ok(())
}

/// The path and text of a unit; a template serves its instances.
fn unit_text(draft: &Draft<'_>, unit: &str) -> Result<Option<(String, String)>, ComposeError> {
    let template = unit
        .split_once('@')
        .and_then(|(prefix, rest)| rest.rsplit_once('.').map(|(_, suffix)| format!("{prefix}@.{suffix}")));
    for name in [Some(unit.to_owned()), template].into_iter().flatten() {
        for folder in UNIT_FOLDERS {
            let path = format!("{folder}/{name}");
            if let Some(text) = draft.read_text(&path)? {
                return Ok(Some((path, text)));
            }
        }
    }
    Ok(None)
}

fn nearest(unit: &str, known: &BTreeSet<String>) -> Option<String> {
    let stem = unit.split('.').next().unwrap_or(unit);
    known.iter().filter(|name| name.contains(stem)).min_by_key(|name| name.len()).cloned()
}
