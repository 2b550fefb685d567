//! What of a maker's index is brought. Pure.

use release::index::{Index, IndexedRelease};
use release::version::Version;

use crate::error::DepotError;

/// What is wanted of a maker's depot.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Versions; none: all that the roles list.
    pub releases: &'a [String],
    /// At most so many of them, the newest; `None`: all.
    pub newest: Option<usize>,
    /// Versions that patches have to lead from; none: all patches.
    pub from: &'a [String],
    /// Whether full images come, too.
    pub full: bool,
}

/// A release that is not brought, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its version.
    pub version: String,
    /// Why.
    pub why: Why,
}

/// Why a release is not brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Appliances would not see it.
    NotListed,
    /// Appliances that ask for a proof would refuse it.
    NoProof,
    /// Nothing that is wanted leads to it.
    NoWay,
}

/// The index with what was asked for, and what of it is left out. `why_not` says what speaks against a release.
pub(super) fn select(
    index: &Index,
    wanted: &Wanted<'_>,
    mut why_not: impl FnMut(&IndexedRelease) -> Result<Option<Why>, DepotError>,
) -> Result<(Index, Vec<Skipped>), DepotError> {
    let find = |version: &String| {
        let found = index.releases.iter().find(|entry| entry.version == *version);
        found.ok_or_else(|| DepotError::NoVersion {
            appliance: index.appliance.clone(),
            channel: index.channel.clone(),
            version: version.clone(),
        })
    };
    wanted.releases.iter().try_for_each(|version| find(version).map(drop))?;
    let from = wanted.from.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let is_named =
        |entry: &IndexedRelease| wanted.releases.is_empty() || wanted.releases.contains(&entry.version);
    let (mut releases, mut skipped) = (Vec::new(), Vec::new());
    for entry in index.releases.iter().filter(|entry| is_named(entry)) {
        let mut entry = entry.clone();
        entry.patches.retain(|patch| match patch.from {
            None => wanted.full,
            Some(id) => from.is_empty() || from.iter().any(|from| from.id() == id),
        });
        let why = match why_not(&entry)? {
            None if entry.patches.is_empty() => Some(Why::NoWay),
            why => why,
        };
        match why {
            Some(why) => skipped.push(Skipped { version: entry.version, why }),
            None => releases.push(entry),
        }
    }
    releases.sort_by_key(|entry| entry.version.parse::<Version>().ok());
    let older = releases.len().saturating_sub(wanted.newest.unwrap_or(usize::MAX));
    releases.drain(..older);
    Ok((Index { releases, ..index.clone() }, skipped))
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotListed => "its maker's roles do not list it",
            Self::NoProof => "it has no proof that it is in the ledger",
            Self::NoWay => "no full image and no wanted patch leads to it",
        })
    }
}
