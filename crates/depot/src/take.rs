//! Taking releases from another depot, by a bundle or by following it: what a customer's depot believes before anything of it is visible.
//!
//! Nothing is signed again. The maker's documents come as they are, so that appliances check the same signatures as at the maker's. The depot
//! checks them, too: whoever carries a bundle in learns at once what appliances would refuse.
//!
//! Steps: (1) the roles' documents are checked from the root that the operator names, and once more with what the depot remembers, which
//! refuses documents that go back; (2) every release has to be listed by the roles; (3) the index is merged; (4) statements, proofs and objects
//! are compared; (5) all of it goes through an [`Intake`]: objects, notes, the depot's memory, the roles' documents, the index. A crash in (5)
//! leaves the old index, and nothing that was not checked: the same again completes it.

#[cfg(test)]
mod crash_tests;
mod merge;
mod roles;

use std::collections::{BTreeMap, BTreeSet};

use ledger::policy::Policy;
use model::Sha256Digest;
use release::index::{Index, IndexedRelease};
use release::statement::StatementError;
use release::{Artifact, ReleaseId, Statement, trust};

use crate::error::DepotError;
use crate::folder::DepotFolder;
use crate::intake::Intake;
use crate::words;

use roles::Believed;
pub use roles::MEMORY;

/// Whom a depot believes.
#[derive(Clone, Copy)]
pub enum Believing<'a> {
    /// The maker's roles and ledger.
    Maker {
        /// A root that came in a way that is trusted: the one that appliances are sealed with, or an older one.
        root: &'a [u8],
        /// What the ledger's proofs have to fulfil; `None`: they are carried along and not checked.
        policy: Option<&'a Policy>,
    },
    /// Whoever made the bundle.
    DangerAnybody,
}

/// What another depot offers. Nobody vouches for it.
#[derive(Debug)]
pub(crate) struct Offer {
    /// For messages: `bundle.tar`.
    pub(crate) of: String,
    /// Its index.
    pub(crate) index: Index,
    /// The roles' documents by name.
    pub(crate) roles: BTreeMap<String, Vec<u8>>,
    /// Officers' notes.
    pub(crate) words: BTreeMap<ReleaseId, Vec<String>>,
    /// What the depot follows besides; `None`: what it has stays, whatever is offered.
    pub(crate) followed: Option<Followed>,
}

/// The whole index of a maker's depot that is followed, whatever part of it is offered here.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    /// Its serial: an index that goes back takes nothing away.
    pub(crate) serial: u64,
    /// The releases in it. Those that the depot has and that are not among them were withdrawn.
    pub(crate) releases: BTreeSet<ReleaseId>,
}

/// What another depot offers is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The roles' documents.
    #[error(transparent)]
    Roles(Box<tuf::Error>),
    /// The roles or the ledger do not say so.
    #[error("{of} is refused")]
    Trust {
        /// Where it is from.
        of: String,
        /// Why.
        source: trust::TrustError,
    },
    /// The roles do not list a release.
    #[error("{of} is refused: the roles do not list {version}: its maker did not sign it")]
    NotListed {
        /// Where it is from.
        of: String,
        /// Version of the release.
        version: String,
    },
    /// Nobody signed it.
    #[error("{of} is refused: nobody signed what it offers")]
    Unsigned {
        /// Where it is from.
        of: String,
    },
    /// It is signed, and nobody would look.
    #[error("{of} is signed, and would be taken without looking at its signatures")]
    Signed {
        /// Where it is from.
        of: String,
    },
    /// The depot's releases are signed.
    #[error("the releases of the depot are signed, and those of {of} are not")]
    SignedDepot {
        /// Where it is from.
        of: String,
    },
    /// What the depot knows of the roles can not be read.
    #[error("what the depot remembers of the maker's roles, `{path}`, is damaged")]
    Memory {
        /// The file.
        path: std::path::PathBuf,
    },
    /// A statement of something else.
    #[error("{of} is refused: the statement of {version} is of another release")]
    OtherStatement {
        /// Where it is from.
        of: String,
        /// Version in the index.
        version: String,
    },
    /// An index that was followed before was a newer one.
    #[error("{of} is refused: its index has serial {found}, and one with {known} was followed before")]
    OlderIndex {
        /// Where it is from.
        of: String,
        /// The serial of what is offered.
        found: u64,
        /// The serial that the depot remembers.
        known: u64,
    },
    /// No statement.
    #[error("{of} is refused: the statement of {version} can not be read")]
    Statement {
        /// Where it is from.
        of: String,
        /// Version in the index.
        version: String,
        /// Why.
        source: StatementError,
    },
    /// The depot has another release of this version.
    #[error("{of} is refused: the depot has another release {version}")]
    OtherContent {
        /// Where it is from.
        of: String,
        /// The version.
        version: String,
    },
}

/// An offer that the roles signed, and what the depot will say once its objects are there.
#[must_use = "nothing is visible before it is taken"]
pub(crate) struct Plan {
    offer: Offer,
    believed: Option<Believed>,
    words: Vec<(String, Vec<u8>)>,
    /// How many of the notes are new.
    new_words: usize,
    next: Index,
    new_releases: Vec<ReleaseId>,
    withdrawn: Vec<IndexedRelease>,
}

/// What was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The depot's index now.
    pub index: Index,
    /// The releases that were offered.
    pub releases: Vec<IndexedRelease>,
    /// Those of them that the depot did not have.
    pub new_releases: Vec<ReleaseId>,
    /// Releases that the depot had and that their maker withdrew; a bundle withdraws none.
    pub withdrawn: Vec<IndexedRelease>,
    /// Officers' notes that the depot did not have.
    pub new_words: usize,
    /// When the maker's documents expire, seconds since 1970; `None`: nobody signed.
    pub fresh_until: Option<u64>,
}

impl Plan {
    /// Steps 1 to 3. The caller MUST hold the depot's lock until the plan is done.
    pub(crate) fn make(
        depot: &DepotFolder,
        believing: Believing<'_>,
        offer: Offer,
        now: u64,
    ) -> Result<Self, DepotError> {
        let of = || offer.of.clone();
        let is_signed = offer.roles.contains_key(tuf::client::TIMESTAMP);
        let known = depot.index(&offer.index.appliance, &offer.index.channel)?;
        let believed = match believing {
            Believing::Maker { .. } if !is_signed => {
                return Err(Box::new(TakeError::Unsigned { of: of() }).into());
            }
            Believing::Maker { root, .. } => Some(roles::believe(depot, root, &offer, known.as_ref(), now)?),
            Believing::DangerAnybody if is_signed => {
                return Err(Box::new(TakeError::Signed { of: of() }).into());
            }
            Believing::DangerAnybody if crate::roles::has_roles(depot) => {
                return Err(Box::new(TakeError::SignedDepot { of: of() }).into());
            }
            Believing::DangerAnybody => None,
        };
        let is_withdrawn = |entry: &&IndexedRelease| {
            let is_offered = |followed: &Followed| followed.releases.contains(&entry.id());
            let is_unlisted = believed.as_ref().is_some_and(|it| it.unlisted.contains(&entry.id()));
            is_unlisted || !offer.followed.as_ref().is_none_or(is_offered)
        };
        let entries = known.iter().flat_map(|index| &index.releases);
        let withdrawn: Vec<IndexedRelease> = entries.filter(is_withdrawn).cloned().collect();
        let (next, new_releases) = merge::merged(known, &offer, &withdrawn, believing, now)?;
        let (mut words, mut new_words) = (Vec::new(), 0);
        for (release, notes) in &offer.words {
            let known = words::read(depot, &offer.index.appliance, *release)?;
            let united = words::united(&known, notes);
            new_words += united.len() - known.len();
            let place = release::index::words_path(&offer.index.appliance, *release);
            words.extend(words::with_others(&known, &united)?.map(|bytes| (place, bytes)));
        }
        Ok(Self { offer, believed, words, new_words, next, new_releases, withdrawn })
    }

    /// The releases that are taken.
    pub(crate) fn releases(&self) -> &[IndexedRelease] {
        &self.offer.index.releases
    }

    /// The index that is offered.
    pub(crate) fn offered(&self) -> &Index {
        &self.offer.index
    }

    /// Those that the depot has and that their maker withdrew.
    pub(crate) fn withdrawn(&self) -> &[IndexedRelease] {
        &self.withdrawn
    }

    /// Those that the depot does not have.
    pub(crate) fn new_releases(&self) -> &[ReleaseId] {
        &self.new_releases
    }

    /// The offer again, to be planned once more when its objects are there.
    pub(crate) fn into_offer(self) -> Offer {
        self.offer
    }

    /// Step 4 for one release. `read` gives the bytes of its statement and of its proof. Returns the documents that its statement needs.
    pub(crate) fn check_release(
        &self,
        entry: &IndexedRelease,
        believing: Believing<'_>,
        read: &dyn Fn(&Sha256Digest) -> Option<Vec<u8>>,
    ) -> Result<Vec<Artifact>, DepotError> {
        let (of, version) = (|| self.offer.of.clone(), || entry.version.clone());
        let bytes = read(&entry.statement.sha256).unwrap_or_default();
        let statement = Statement::parse(&bytes)
            .map_err(|source| Box::new(TakeError::Statement { of: of(), version: version(), source }))?;
        let is_it = statement.identity.version == entry.version
            && statement.identity.id() == self.offer.index.appliance
            && statement.id() == entry.id()
            && entry.statement.size == bytes.len() as u64;
        if !is_it {
            return Err(Box::new(TakeError::OtherStatement { of: of(), version: version() }).into());
        }
        if let Believing::Maker { policy: Some(policy), .. } = believing {
            let proof = entry.proof.as_ref().and_then(|proof| read(&proof.sha256));
            trust::proved(&statement, proof.as_deref(), policy)
                .map_err(|source| Box::new(TakeError::Trust { of: of(), source }))?;
        }
        Ok(statement.documents)
    }

    /// Step 5. The intake holds every object that the offer needs and the depot does not have.
    pub(crate) fn take(self, mut intake: Intake<'_>) -> Result<Taken, DepotError> {
        for (place, bytes) in self.words {
            intake.replace(place.into(), bytes);
        }
        let fresh_until = self.believed.as_ref().map(|believed| believed.fresh_until);
        if let Some(believed) = self.believed {
            believed.add_to(&mut intake);
        }
        intake.commit(&self.next, || Ok(()))?;
        Ok(Taken {
            index: self.next,
            releases: self.offer.index.releases,
            new_releases: self.new_releases,
            withdrawn: self.withdrawn,
            new_words: self.new_words,
            fresh_until,
        })
    }
}
