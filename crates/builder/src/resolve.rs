//! From a definition to a lock: which exact packages, asked of apt's own solver.
//!
//! Owns the isolated apt root and the translation of what apt says. Reads and changes nothing of the machine's apt
//! state, and needs no root. Nothing but the Debian keyring vouches for an index: no option of this module, the
//! definition or the machine's configuration switches that off.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use debian::Lock;
use debian::lock::{BrokenRule, Role, request_digest};
use model::definition::Base;

use crate::mirror::Mirrors;
use crate::progress::{Event, Progress, Step};

mod apt_root;
mod base_set;
mod explain;
mod origin;
mod suggest;
#[cfg(test)]
mod tests;

pub use base_set::{base_packages, boot_packages};
pub use explain::UnknownPackage;

use apt_root::{AptRoot, PrintedUri};
use origin::Indices;

/// The keys of the Debian archive, from the package `debian-archive-keyring`.
pub const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Which suites are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The suite and all extra suites of the definition.
    Current,
    /// The suite alone, as its last point release left it: how yesterday's release is made again.
    PointRelease,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// apt is not installed.
    #[error("`{program}` can not be run: Ampoule resolves packages with apt's own solver")]
    AptMissing {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The Debian keyring is not installed.
    #[error("the Debian keyring {} is missing: the package `debian-archive-keyring` brings it", path.display())]
    KeyringMissing {
        /// Where it is looked for.
        path: PathBuf,
    },
    /// A word of the definition can not be passed to apt.
    #[error("`{word}` can not be {what}")]
    Word {
        /// The word.
        word: String,
        /// What it should be: `a package`, `a suite`.
        what: &'static str,
    },
    /// The mirror has no such suite.
    #[error("the mirror {mirror} has no suite `{suite}`")]
    SuiteUnknown {
        /// The suite's full name.
        suite: String,
        /// The mirror.
        mirror: String,
        /// Suites with a similar name.
        near: Vec<String>,
    },
    /// The mirror can not be reached or does not answer well.
    #[error("the mirror can not be read: {url}: {why}")]
    MirrorDown {
        /// What was fetched.
        url: String,
        /// What apt says.
        why: String,
    },
    /// An index is not signed by the Debian keyring.
    #[error("{url} is not signed by a key of the Debian keyring: {why}")]
    Untrusted {
        /// The index.
        url: String,
        /// What apt says.
        why: String,
    },
    /// An index is too old, or from the future.
    #[error("{url} is not valid at this time: {why}")]
    Expired {
        /// The index.
        url: String,
        /// What apt says.
        why: String,
    },
    /// Packages that are in none of the suites.
    #[error("{}", explain::unknown_packages(packages))]
    UnknownPackages {
        /// All of them, with similar names.
        packages: Vec<UnknownPackage>,
    },
    /// The packages can not be installed together.
    #[error("these packages can not be installed together: {}", reasons.join("; "))]
    Unsatisfiable {
        /// One sentence each.
        reasons: Vec<String>,
        /// What apt says, word for word.
        detail: String,
    },
    /// apt failed in a way that is not known here.
    #[error("`{command}` failed: {detail}")]
    Apt {
        /// The command.
        command: String,
        /// What it says.
        detail: String,
    },
    /// A file of the apt root can not be written or read.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An index does not hold what it should.
    #[error("the index {} can not be used", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// Why.
        #[source]
        source: debian::index::IndexError,
    },
    /// apt chose a package that no index lists.
    #[error("apt chose {url}, which none of the indices lists")]
    NotListed {
        /// What apt chose.
        url: String,
    },
    /// What was resolved breaks a rule of the lock.
    #[error("what the mirror offers does not make a valid lock")]
    Lock(#[from] BrokenRule),
}

/// Resolves `base` to a lock. Indices are kept below `cache` (`apt/`), so that the next time is quicker; two processes
/// may use one cache, the second waits.
///
/// # Errors
/// [`ResolveError`]. Nothing but the cache is written.
pub fn resolve(
    base: &Base,
    scope: Scope,
    mirrors: &Mirrors,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<Lock, ResolveError> {
    resolve_with_keys(base, scope, mirrors, cache, Path::new(DEBIAN_KEYRING), progress)
}

/// As [`resolve`], with another keyring. Only tests have one.
fn resolve_with_keys(
    base: &Base,
    scope: Scope,
    mirrors: &Mirrors,
    cache: &Path,
    keyring: &Path,
    progress: &dyn Progress,
) -> Result<Lock, ResolveError> {
    progress.report(Event::Started { step: Step::Resolve, total: None, unit: "packages" });
    let suites = suite_names(base, scope);
    let arguments = package_arguments(base)?;
    let root = ready_root(base, &suites, mirrors, cache, keyring)?;
    // Three questions that do not wait for each other, each of them some hundred milliseconds.
    let (indices, chosen, boot) = std::thread::scope(|scope| {
        let indices = scope.spawn(|| Indices::find(&root));
        let boot = scope.spawn(|| root.download_uris(boot_packages(&base.suite)));
        let chosen = root.install_uris(&arguments);
        let joined = "BUG: a thread that asks apt does not panic";
        (indices.join().expect(joined), chosen, boot.join().expect(joined))
    });
    let indices = indices?;
    let explained = |failure| explain::install(failure, &indices, &suites);
    let (chosen, mut boot) = (chosen.map_err(explained)?, boot.map_err(explained)?);
    boot.retain(|uri| !chosen.contains(uri));

    let requested: BTreeSet<&str> =
        base.packages.iter().chain([&base.kernel]).map(|argument| bare_name(argument)).collect();
    let all: Vec<PrintedUri> = chosen.iter().chain(&boot).cloned().collect();
    let mut packages = indices.locate(&all)?;
    let order: Vec<String> = packages[..chosen.len()].iter().map(|package| package.name.clone()).collect();
    for package in &mut packages[chosen.len()..] {
        package.role = Role::Boot;
    }
    for package in &mut packages {
        package.requested = requested.contains(package.name.as_str());
    }
    let lock = Lock {
        architecture: base.architecture.clone(),
        request: request_digest(base),
        suites: indices.suites()?,
        packages,
        order,
    }
    .ensure_valid()?;
    let summary = format!("resolved {} packages from {}", lock.packages.len(), suites.join(", "));
    progress.report(Event::Finished { step: Step::Resolve, summary });
    Ok(lock)
}

/// An apt root with fresh indices, from the first mirror that answers.
fn ready_root(
    base: &Base,
    suites: &[String],
    mirrors: &Mirrors,
    cache: &Path,
    keyring: &Path,
) -> Result<AptRoot, ResolveError> {
    let attempts = mirrors.archive.len().max(mirrors.security.len()).max(1);
    let mut attempt = 0;
    loop {
        let root = AptRoot::prepare(base, suites, mirrors, attempt, cache, keyring)?;
        match root.update().map_err(|failure| explain::update(failure, suites)) {
            Ok(()) => return Ok(root),
            // Only a mirror that is away is replaced by the next one: a bad signature is told, not worked around.
            Err(ResolveError::MirrorDown { .. }) if attempt + 1 < attempts => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Full names: `trixie`, `trixie-updates`, ...
fn suite_names(base: &Base, scope: Scope) -> Vec<String> {
    let mut names = vec![base.suite.clone()];
    if scope == Scope::Current {
        names.extend(base.extra_suites.iter().map(|extra| format!("{}-{extra}", base.suite)));
    }
    names
}

/// What apt is asked to install: everything essential, the base set, the definition's packages, the kernel.
fn package_arguments(base: &Base) -> Result<Vec<String>, ResolveError> {
    let mut arguments = vec!["?essential".to_owned()];
    arguments.extend(base_packages(&base.suite).iter().map(|name| (*name).to_owned()));
    for package in base.packages.iter().chain([&base.kernel]) {
        check_package_argument(package)?;
        arguments.push(package.clone());
    }
    Ok(arguments)
}

/// A package name, with `/SUITE` or `=VERSION` behind it when one is wanted from there. Anything else could be an option,
/// a pattern, or apt's `-` for "remove".
fn check_package_argument(argument: &str) -> Result<(), ResolveError> {
    let name = bare_name(argument);
    let rest = &argument[name.len()..];
    let is_name = name.len() >= 2
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
        && !name.ends_with('-');
    let is_rest = rest.len() != 1
        && rest.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric() || b"+-.:~".contains(&byte));
    if is_name && is_rest {
        return Ok(());
    }
    Err(ResolveError::Word { word: argument.chars().take(80).collect(), what: "a package" })
}

fn bare_name(argument: &str) -> &str {
    argument.split(['/', '=']).next().unwrap_or(argument)
}
