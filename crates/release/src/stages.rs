//! The stages of a release as types: `Draft -> Signed -> Logged -> Published`. A later stage can only be made from the one
//! before it, so that nothing is published that was not logged, and nothing is logged that was not signed (law 7).
//!
//! Signatures and the ledger are optional until a maker has keys: [`Signatures::none`] and [`Entry::none`] say so in the
//! code and in the depot, instead of hiding it.

use crate::statement::{ReleaseId, Statement};

/// A statement nobody answers for yet.
#[derive(Debug)]
#[must_use = "sign or discard"]
pub struct Drafted(Statement);

/// What the maker's roles signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures(());

impl Signatures {
    /// The maker has no keys.
    pub fn none() -> Self {
        Self(())
    }
}

/// Where the ledger has a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry(());

impl Entry {
    /// The maker has no ledger.
    pub fn none() -> Self {
        Self(())
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
