//! What one command asks of the list that the maker's roles sign: exactly one change.

use release::Listing;
use tuf::metadata::Targets;
use tuf::repository::Repository;
use tuf::{RoleName, TargetPath, Time};

use super::RolesError;

/// One change of the list.
#[derive(Clone, Debug)]
pub(crate) enum ListChange {
    /// One release more.
    Add(Listing),
    /// One release less.
    Withdraw(TargetPath),
    /// None: the same is signed once more, for the keys of another root.
    Again,
}

impl ListChange {
    /// Whether it takes signatures to come from this list to the one that is asked for. A run that broke off after its documents were written
    /// left what was asked for.
    pub(crate) fn takes_signing(&self, list: Option<&Targets>) -> Result<bool, RolesError> {
        Ok(matches!(self, Self::Again) || !self.is_in(list)?)
    }

    /// Whether a list is as asked for.
    pub(crate) fn is_in(&self, list: Option<&Targets>) -> Result<bool, RolesError> {
        Ok(match self {
            Self::Add(listing) => match list.and_then(|list| list.targets.get(path_of(listing)?.as_str())) {
                Some(known) => {
                    let file = listing.file();
                    if (known.length, &known.hashes) != (file.length, &file.hashes) {
                        return Err(RolesError::OtherStatement { version: listing.version.clone() });
                    }
                    true
                }
                None => false,
            },
            Self::Withdraw(path) => list.is_none_or(|list| !list.targets.contains_key(path.as_str())),
            Self::Again => true,
        })
    }

    /// The next list. It differs from the one that is there by this change, its version and its expiry.
    pub(crate) fn next(&self, repository: &Repository, expires: Time) -> Result<Targets, RolesError> {
        let role = RoleName::targets();
        let before = repository.targets(&role);
        let next = before.map_or_else(|| Targets::new(expires), |list| list.next(expires));
        let next = Targets { version: repository.next_version(&role), ..next };
        Ok(match self {
            Self::Add(listing) => {
                let path = listing.path().map_err(|error| RolesError::Name(Box::new(error)))?;
                next.with_target(&path, listing.file())
            }
            Self::Withdraw(path) => next.without_target(path),
            Self::Again => next,
        })
    }
}

/// A name that can not be listed is told when the list is made.
fn path_of(listing: &Listing) -> Option<TargetPath> {
    listing.path().ok()
}
