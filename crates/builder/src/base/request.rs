//! What a base is made from, and the digest of that.

use std::path::PathBuf;

use model::Sha256Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tree::Pattern;
use tree::trim::{Rule, Stage};

use super::BaseError;

/// Raised whenever the same request gives another base: rules of scrubbing, order of scripts, form of the files.
pub const BASE_FORMAT: u32 = 1;

/// What a base is made from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BaseRequest {
    /// In apt's install order.
    pub packages: Vec<BasePackage>,
    /// Debian suite, such as `trixie`.
    pub suite: String,
    /// Rules; only those of [`Stage::Early`] are applied.
    pub trim: Vec<Rule>,
    /// Files whose contents are kept for the release's documents.
    pub documents: Vec<Pattern>,
    /// Seconds since 1970 that scripts are told.
    pub source_date_epoch: u64,
}

/// One package.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BasePackage {
    /// Binary package name.
    pub name: String,
    /// Version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Whether the system can not be bootstrapped without it (`Essential: yes`).
    pub essential: bool,
    /// The package file. Its bytes are the caller's to check; where it lies does not matter.
    pub deb: PathBuf,
    /// SHA-256 of the package file.
    pub sha256: Sha256Digest,
    /// Size of the package file.
    pub size: u64,
}

impl BaseRequest {
    /// SHA-256 over everything that decides about the base's bytes.
    pub fn digest(&self) -> Sha256Digest {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            // Lengths keep neighbouring texts apart.
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(&format!("ampoule base {BASE_FORMAT}"));
        add(&self.suite);
        add(&self.source_date_epoch.to_string());
        for rule in self.early_rules().iter().chain(&super::scrub_rules()) {
            add(&serde_json::to_string(rule).expect("rules are plain texts and lists"));
        }
        for pattern in &self.documents {
            add(pattern.as_str());
        }
        for package in &self.packages {
            add(&package.name);
            add(&package.version);
            add(&package.architecture);
            add(if package.essential { "essential" } else { "" });
            add(&package.sha256.to_string());
        }
        Sha256Digest(hash.finalize().into())
    }

    /// The rules that are applied.
    pub fn early_rules(&self) -> Vec<Rule> {
        self.trim.iter().filter(|rule| rule.stage == Stage::Early).cloned().collect()
    }

    /// How many packages, from the first, bootstrap the root: up to the last essential one.
    pub fn bootstrap_count(&self) -> usize {
        self.packages.iter().rposition(|package| package.essential).map_or(0, |last| last + 1)
    }

    pub(super) fn check(&self) -> Result<(), BaseError> {
        let reason = |reason: &str| Err(BaseError::Packages { reason: reason.into() });
        let has = |name: &str| self.packages.iter().any(|package| package.name == name);
        if !self.packages.iter().any(|package| package.essential) {
            return reason("none of them is essential");
        }
        if !has("dpkg") || !has("base-files") {
            return reason("dpkg and base-files have to be among them");
        }
        Ok(())
    }
}
