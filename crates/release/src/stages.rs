//! The stages of a release as types: `Draft -> Signed -> Logged -> Published`. A later stage can only be made from the one
//! before it, so that nothing is published that was not logged, and nothing is logged that was not signed (law 7).
//!
//! A maker without keys or without a ledger says so: [`Signatures::none`] and [`Entry::none`]. An appliance that is sealed with a root of
//! its maker's roles takes nothing of such a maker.

use ledger::policy::Policy;

use crate::statement::{ReleaseId, Statement};
use crate::trust::{self, TrustError};

/// A statement nobody answers for yet.
#[derive(Debug)]
#[must_use = "sign or discard"]
pub struct Drafted(Statement);

/// What the maker's roles signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signatures(bool);

impl Signatures {
    /// The maker has no keys.
    pub fn none() -> Self {
        Self(false)
    }

    /// The roles list the statement, in a document that is complete.
    pub fn listed(_: &tuf::repository::Complete<tuf::metadata::Targets>) -> Self {
        Self(true)
    }

    /// The roles listed it before.
    pub fn listed_before() -> Self {
        Self(true)
    }
}

/// Where the ledger has a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry(Option<Vec<u8>>);

impl Entry {
    /// The maker has no ledger.
    pub fn none() -> Self {
        Self(None)
    }

    /// A proof that an appliance with this policy accepts.
    pub fn proved(statement: &Statement, proof: Vec<u8>, policy: &Policy) -> Result<Self, TrustError> {
        trust::proved(statement, Some(&proof), policy)?;
        Ok(Self(Some(proof)))
    }

    /// The proof (c2sp.org/tlog-proof).
    pub fn proof(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

/// A statement with its signatures.
#[derive(Debug)]
#[must_use = "log or discard"]
pub struct Signed {
    statement: Statement,
    signatures: Signatures,
}

/// A signed statement that the ledger has.
#[derive(Debug)]
#[must_use = "publish or discard"]
pub struct Logged {
    statement: Statement,
    signatures: Signatures,
    entry: Entry,
}

/// A release that a depot offers. Only a depot makes one, from [`Logged`].
#[derive(Debug)]
pub struct Published {
    /// Which release.
    pub id: ReleaseId,
}

impl Drafted {
    /// The first stage.
    pub fn new(statement: Statement) -> Self {
        Self(statement)
    }

    /// The second stage.
    pub fn sign(self, signatures: Signatures) -> Signed {
        Signed { statement: self.0, signatures }
    }
}

impl Signed {
    /// The third stage.
    pub fn log(self, entry: Entry) -> Logged {
        Logged { statement: self.statement, signatures: self.signatures, entry }
    }
}

impl Logged {
    /// What is published.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Who answers for it.
    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// Where it is logged.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The last stage. The caller MUST have made the release visible in its depot.
    pub fn published(self) -> Published {
        Published { id: self.statement.id() }
    }
}
