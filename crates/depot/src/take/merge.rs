//! Two indices become one: nothing that the depot has is dropped, besides what its maker withdrew from a depot that is followed.

use model::Sha256Digest;
use release::ReleaseId;
use release::index::{Index, IndexedRelease, PATCH_LIMIT, RELEASE_LIMIT};
use release::version::Version;

use super::{Believing, Offer, TakeError};
use crate::error::DepotError;

/// The depot's next index, and which releases are new in it. What the depot says of a release that it has stays: when it was published,
/// and its maker's words are not signed.
pub(super) fn merged(
    known: Option<Index>,
    offer: &Offer,
    withdrawn: &[IndexedRelease],
    believing: Believing<'_>,
    now: u64,
) -> Result<(Index, Vec<ReleaseId>), DepotError> {
    let offered = &offer.index;
    let before = known.unwrap_or_else(|| Index::new(offered.appliance.clone(), offered.channel.clone()));
    let mut next = before.clone();
    let is_withdrawn = |id: ReleaseId| withdrawn.iter().any(|entry| entry.id() == id);
    next.releases.retain(|entry| !is_withdrawn(entry.id()));
    for entry in &mut next.releases {
        // As `depot remove` does. A way from it that is offered still comes back below: who runs it has to get away.
        entry.patches.retain(|patch| !patch.from.is_some_and(is_withdrawn));
    }
    let mut new = Vec::new();
    // A proof that is checked takes the place of one that perhaps nobody has looked at; never the other way round.
    let is_proved = matches!(believing, Believing::Maker { policy: Some(_), .. });
    for entry in &offered.releases {
        match next.releases.iter_mut().find(|known| known.version == entry.version) {
            Some(known) if known.id() != entry.id() => {
                let (of, version) = (offer.of.clone(), entry.version.clone());
                return Err(Box::new(TakeError::OtherContent { of, version }).into());
            }
            Some(known) => {
                if known.proof.is_none() || is_proved {
                    known.proof = entry.proof;
                }
                unite(known, entry)?;
            }
            None => {
                new.push(entry.id());
                next.releases.push(entry.clone());
            }
        }
    }
    if next.releases.len() > RELEASE_LIMIT {
        return Err(DepotError::Full { what: "releases", limit: RELEASE_LIMIT });
    }
    // Oldest first, also when an older one comes later.
    next.releases.sort_by_key(|entry| entry.version.parse::<Version>().ok());
    if next != before {
        // Appliances take no index with a smaller number than the last one that they saw here.
        // The number is nobody's word, so that it may be any.
        next.serial = before.serial.saturating_add(1).max(offered.serial);
        next.updated = now;
    }
    Ok((next, new))
}

fn unite(known: &mut IndexedRelease, offered: &IndexedRelease) -> Result<(), DepotError> {
    for patch in &offered.patches {
        let digest = |it: &release::index::PatchRef| -> Sha256Digest { it.object.sha256 };
        if !known.patches.iter().any(|it| digest(it) == digest(patch) && it.from == patch.from) {
            known.patches.push(patch.clone());
        }
    }
    match known.patches.len() > PATCH_LIMIT {
        true => Err(DepotError::Full { what: "patches to one release", limit: PATCH_LIMIT }),
        false => Ok(()),
    }
}
