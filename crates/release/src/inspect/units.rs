//! systemd units of an image and what becomes of them at boot.

use std::collections::BTreeMap;

use image::{ReadAt, erofs};
use serde::Serialize;
use tree::TreePath;

use super::{InspectError, Texts};

/// One unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnitFacts {
    /// Name.
    pub name: String,
    /// What becomes of it at boot.
    pub state: UnitState,
}

/// What becomes of a unit at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// A link starts it.
    Enabled,
    /// Another package's link below /usr starts it.
    Wired,
    /// It is there; something else may start it.
    Available,
    /// It can not be started.
    Masked,
}

const FOLDERS: [&str; 2] = ["usr/lib/systemd/system", "etc/systemd/system"];

pub(super) fn units<R: ReadAt>(texts: &Texts<'_, R>) -> Result<Vec<UnitFacts>, InspectError> {
    let mut states: BTreeMap<String, UnitState> = BTreeMap::new();
    for (path, entry) in texts.entries {
        let Some(folder) = FOLDERS.iter().find(|folder| path.is_within(&parse(folder))) else { continue };
        let depth = path.as_str()[folder.len()..].matches('/').count();
        let is_masked = matches!(&entry.kind, erofs::NodeKind::Symlink { target } if target == "/dev/null");
        let name = path.name().to_owned();
        if depth == 1 && !matches!(entry.kind, erofs::NodeKind::Directory) {
            let state = if is_masked { UnitState::Masked } else { UnitState::Available };
            raise(&mut states, name, state);
        } else if depth == 2 && path.parent().is_some_and(|parent| parent.name().ends_with(".wants")) {
            let state = if folder.starts_with("etc") { UnitState::Enabled } else { UnitState::Wired };
            raise(&mut states, name, state);
        }
    }
    Ok(states.into_iter().map(|(name, state)| UnitFacts { name, state }).collect())
}

/// A mask beats everything, and a link beats a mere file.
fn raise(states: &mut BTreeMap<String, UnitState>, name: String, state: UnitState) {
    let rank = |state: UnitState| match state {
        UnitState::Available => 0,
        UnitState::Wired => 1,
        UnitState::Enabled => 2,
        UnitState::Masked => 3,
    };
    let current = states.entry(name).or_insert(state);
    if rank(state) > rank(*current) {
        *current = state;
    }
}

fn parse(folder: &str) -> TreePath {
    folder.parse().expect("unit folders are constant and plain")
}
