//! Reading the lock's text. Unknown keys are errors: a lock is written by programs, and what is not understood can
//! change what is built.

use std::ops::Range;

use model::Sha256Digest;
use serde::Deserialize;
use toml::Spanned;

use super::rules::BrokenRule;
use super::{LOCK_FORMAT, Lock, LockedPackage, LockedSuite, Role};
use crate::date::Timestamp;
use crate::version::Version;

/// Largest text of a lock. Stops a forged lock from filling memory; 20 000 packages need less.
pub const MAX_LOCK_BYTES: usize = 16 << 20;

/// The text is not a lock.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LockError {
    /// The text is larger than a lock can be.
    #[error("the lock is larger than {MAX_LOCK_BYTES} bytes")]
    TooLarge,
    /// A newer Ampoule wrote it.
    #[error("line {line}: the lock has format {found}, this version of ampoule reads format {LOCK_FORMAT}")]
    Format {
        /// Line, from 1.
        line: usize,
        /// The format it says.
        found: i64,
    },
    /// Not TOML, or not a lock's keys and types.
    #[error("line {line}: {message}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
        /// Byte range of the text.
        span: Range<usize>,
    },
    /// A rule of the lock is broken.
    #[error("line {line}: {rule}")]
    Rule {
        /// Line of the package or suite, from 1.
        line: usize,
        /// The rule.
        #[source]
        rule: BrokenRule,
    },
}

#[derive(Deserialize)]
struct OnlyFormat {
    format: Spanned<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    #[serde(rename = "format")]
    _format: i64,
    architecture: String,
    request: Sha256Digest,
    order: Vec<String>,
    #[serde(default, rename = "suite")]
    suites: Vec<Spanned<RawSuite>>,
    #[serde(default, rename = "package")]
    packages: Vec<Spanned<RawPackage>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawSuite {
    name: String,
    date: Timestamp,
    release_sha256: Sha256Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawPackage {
    name: String,
    version: Version,
    source: String,
    source_version: Option<Version>,
    architecture: String,
    suite: String,
    component: String,
    #[serde(default)]
    section: String,
    #[serde(default)]
    role: RawRole,
    #[serde(default)]
    essential: bool,
    #[serde(default)]
    requested: bool,
    size: u64,
    sha256: Sha256Digest,
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawRole {
    #[default]
    Installed,
    Boot,
}

pub(super) fn parse(text: &str) -> Result<Lock, LockError> {
    if text.len() > MAX_LOCK_BYTES {
        return Err(LockError::TooLarge);
    }
    let syntax = |error: toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        LockError::Syntax { line: line_of(text, span.start), message: error.message().to_owned(), span }
    };
    // First the format alone: a newer lock may have keys that would be called unknown.
    let format = toml::from_str::<OnlyFormat>(text).map_err(syntax)?.format;
    if *format.get_ref() != LOCK_FORMAT {
        return Err(LockError::Format { line: line_of(text, format.span().start), found: *format.get_ref() });
    }
    let raw: RawLock = toml::from_str(text).map_err(syntax)?;
    let places: Vec<(String, usize)> = {
        let suites = raw.suites.iter().map(|suite| (suite.get_ref().name.clone(), suite.span().start));
        let packages =
            raw.packages.iter().map(|package| (package.get_ref().name.clone(), package.span().start));
        packages.chain(suites).collect()
    };
    let lock = Lock {
        architecture: raw.architecture,
        request: raw.request,
        suites: raw.suites.into_iter().map(|suite| suite.into_inner().into()).collect(),
        packages: raw.packages.into_iter().map(|package| package.into_inner().into()).collect(),
        order: raw.order,
    };
    // Checked as written, not sorted first: the text is canonical.
    super::rules::check(&lock).map_err(|rule| {
        let place = places.iter().find(|(name, _)| *name == rule.subject).map_or(0, |(_, place)| *place);
        LockError::Rule { line: line_of(text, place), rule }
    })?;
    Ok(lock)
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

impl From<RawSuite> for LockedSuite {
    fn from(raw: RawSuite) -> Self {
        Self { name: raw.name, date: raw.date, release_sha256: raw.release_sha256 }
    }
}

impl From<RawPackage> for LockedPackage {
    fn from(raw: RawPackage) -> Self {
        Self {
            source_version: raw.source_version.unwrap_or_else(|| raw.version.clone()),
            name: raw.name,
            version: raw.version,
            source: raw.source,
            architecture: raw.architecture,
            suite: raw.suite,
            component: raw.component,
            section: raw.section,
            size: raw.size,
            sha256: raw.sha256,
            path: raw.path,
            role: match raw.role {
                RawRole::Installed => Role::Installed,
                RawRole::Boot => Role::Boot,
            },
            essential: raw.essential,
            requested: raw.requested,
        }
    }
}
