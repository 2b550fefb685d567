//! Lists that are signed elsewhere, by one person after another: prepared here, carried to each of them, and published here once enough have
//! signed.
//!
//! What comes back is not believed to be what went away. It is published only if it is the next list, over the root and the list that are here,
//! and differs from what is here in just what the command asks for: everything that the signers were to see is computed once more.

use std::path::Path;

use tuf::metadata::{Root, Targets, TopRole};
use tuf::repository::{
    Complete, Partial, Repository, SigningError, Stage, TargetsChange, Unsigned, targets_changes,
};
use tuf::{RoleName, Time};

use super::change::ListChange;
use super::{RolesError, Signing, TARGETS_DAYS};
use crate::error::DepotError;
use crate::folder::read_limited;

/// Days by which the clocks of who prepares and who publishes may differ.
const CLOCK_DAYS: u64 = 1;

/// A list to be carried to its signers. Nothing of it is published.
#[derive(Debug)]
#[must_use = "carry it to its signers, or discard it"]
pub struct Prepared {
    /// What is carried, signed by those whose keys were at hand.
    pub stage: Stage<Targets>,
    /// The list before it.
    pub before: Option<Complete<Targets>>,
    /// The root that names its signers.
    pub root: Complete<Root>,
}

/// A list that was signed elsewhere can not be published.
#[derive(Debug, thiserror::Error)]
pub enum CarriedError {
    /// It is for something else, was changed on its way, or more people have to sign it.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// It is not the next one.
    #[error("it has version {found}, and {expected} comes next")]
    NotNext {
        /// Its version.
        found: u64,
        /// The next one.
        expected: u64,
    },
    /// It says something that this command did not ask for, or not what it asked for.
    #[error("it is not what this command asks for: {}", told(differences))]
    Other {
        /// Where it differs from what was asked for; never empty.
        differences: Vec<TargetsChange>,
    },
    /// It took too long.
    #[error("it expired at {expires}, and it is {now}")]
    Expired {
        /// When.
        expires: Time,
        /// Now.
        now: Time,
    },
    /// It would be good for longer than any list.
    #[error("it would be good until {expires}, and a list is good for {TARGETS_DAYS} days at most")]
    TooLong {
        /// Until when.
        expires: Time,
    },
}

impl CarriedError {
    /// Whether it is a sign that somebody changed something on its way, rather than that it came too late, too early, or to another place.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Signing(error) => {
                matches!(error, SigningError::StraySignature { .. } | SigningError::Document(_))
            }
            Self::Other { .. } | Self::TooLong { .. } => true,
            Self::NotNext { .. } | Self::Expired { .. } => false,
        }
    }
}

fn told(differences: &[TargetsChange]) -> String {
    const MOST: usize = 3;
    let mut told: Vec<String> = differences.iter().take(MOST).map(ToString::to_string).collect();
    if differences.len() > MOST {
        told.push(format!("and {} more", differences.len() - MOST));
    }
    told.join(", ")
}

impl Signing<'_> {
    /// The next list, for its signers. Those of the keys that have a say sign it.
    pub(crate) fn prepare(
        &self,
        repository: &Repository,
        root: &Complete<Root>,
        change: &ListChange,
    ) -> Result<Prepared, DepotError> {
        let before = repository.signed_targets(&RoleName::targets());
        if !change.takes_signing(before.map(Complete::body))? {
            return Err(RolesError::NothingToSign.into());
        }
        let next = change.next(repository, Time(self.now).plus_days(TARGETS_DAYS))?;
        let mut stage = Stage::Partial(Unsigned::carried(root, before, next).into_partial());
        for signer in self.of(root.body(), TopRole::Targets) {
            stage = stage.sign(signer).map_err(RolesError::Signing)?;
        }
        Ok(Prepared { stage, before: before.cloned(), root: root.clone() })
    }
}

/// The list in a file, once it is clear that it may be published. `None`: it is the one that is there, left by a run that broke off, or that
/// did not.
pub(super) fn read(
    path: &Path,
    repository: &Repository,
    root: &Complete<Root>,
    change: &ListChange,
    now: Time,
) -> Result<Option<Complete<Targets>>, DepotError> {
    let bytes = read_limited(path, tuf::Limits::DEFAULT.targets)?;
    let refused = |source: CarriedError| RolesError::Carried { path: path.to_owned(), source };
    let signing = |error: SigningError| refused(error.into());
    let (stage, basis) = Partial::read_carried(&bytes, root).map_err(signing)?;
    let before = repository.signed_targets(&RoleName::targets());
    let there = before.map(Complete::body);
    if there == Some(stage.body()) && change.is_in(there)? {
        return Ok(None);
    }
    basis.check_before(before).map_err(signing)?;
    let expected = basis.put_into(change.next(repository, stage.body().expires)?);
    check(stage.body(), there.map_or(0, |there| there.version), expected, now).map_err(refused)?;
    Ok(Some(stage.complete().map_err(signing)?))
}

/// Whether a list is the expected one, of a version above `before`.
fn check(found: &Targets, before: u64, expected: Targets, now: Time) -> Result<(), CarriedError> {
    // Below the expected one are only those whose files a run left that broke off: such a file is never replaced.
    if found.version <= before || found.version > expected.version {
        return Err(CarriedError::NotNext { found: found.version, expected: expected.version });
    }
    let expected = Targets { version: found.version, ..expected };
    if *found != expected {
        let mut differences = targets_changes(Some(&expected), found);
        if differences.is_empty() {
            let is_same = found.spec_version == expected.spec_version;
            let name = if is_same { "basis" } else { "spec_version" };
            differences.push(TargetsChange::Member { name: name.to_owned() });
        }
        return Err(CarriedError::Other { differences });
    }
    let expires = found.expires;
    if expires <= now {
        return Err(CarriedError::Expired { expires, now });
    }
    if expires > now.plus_days(TARGETS_DAYS + CLOCK_DAYS) {
        return Err(CarriedError::TooLong { expires });
    }
    Ok(())
}
