//! What makes a lock valid. A lock may come from a stranger: its paths become URLs and its names file names.

use std::collections::HashSet;

use super::{Lock, LockedPackage, Role};

/// Most packages of a lock. Stops a forged lock from making a build fetch and unpack without end.
pub const MAX_PACKAGES: usize = 20_000;
/// Most suites of a lock; see [`MAX_PACKAGES`].
pub const MAX_SUITES: usize = 32;
/// Largest `.deb`. Stops a forged lock from filling the cache's disk; Debian's largest is below 2 GiB.
pub const MAX_DEB_SIZE: u64 = 8 << 30;
/// Longest name, path or other word of a lock. Stops file names and URLs that nothing else takes.
pub const MAX_WORD_LENGTH: usize = 512;

/// A rule of the lock that a value breaks.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{subject}: {rule}")]
pub struct BrokenRule {
    /// The package or suite, or `lock`.
    pub subject: String,
    /// The rule.
    pub rule: String,
}

fn broken<T>(subject: &str, rule: impl Into<String>) -> Result<T, BrokenRule> {
    Err(BrokenRule { subject: subject.chars().take(80).collect(), rule: rule.into() })
}

pub(super) fn check(lock: &Lock) -> Result<(), BrokenRule> {
    if lock.packages.len() > MAX_PACKAGES || lock.suites.len() > MAX_SUITES {
        return broken("lock", format!("at most {MAX_PACKAGES} packages and {MAX_SUITES} suites are read"));
    }
    check_word("lock", "architecture", &lock.architecture, b"-")?;
    for suite in &lock.suites {
        check_word(&suite.name, "suite", &suite.name, b".-/")?;
    }
    if let Some(pair) = lock.suites.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return broken(&pair[1].name, "suites must be sorted by name, each of them once");
    }
    if let Some(pair) = lock.packages.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        return broken(&pair[1].name, "packages must be sorted by name, each of them once");
    }
    lock.packages.iter().try_for_each(|package| check_package(lock, package))?;
    check_order(lock)
}

fn check_package(lock: &Lock, package: &LockedPackage) -> Result<(), BrokenRule> {
    let name = &package.name;
    // Policy 5.6.1; capitals do not occur.
    check_word(name, "name", name, b"+-.")?;
    check_word(name, "source", &package.source, b"+-.")?;
    check_word(name, "architecture", &package.architecture, b"-")?;
    check_word(name, "component", &package.component, b"-/")?;
    if !package.section.is_empty() {
        check_word(name, "section", &package.section, b"-/")?;
    }
    if package.architecture != "all" && package.architecture != lock.architecture {
        return broken(name, format!("architecture must be `all` or `{}`", lock.architecture));
    }
    if !lock.suites.iter().any(|suite| suite.name == package.suite) {
        return broken(name, format!("suite `{}` is not one of the lock's suites", package.suite));
    }
    if package.size == 0 || package.size > MAX_DEB_SIZE {
        return broken(name, format!("size must be between 1 and {MAX_DEB_SIZE} bytes"));
    }
    check_path(name, &package.path)
}

/// The path is appended to a mirror's URL: nothing in it may leave the mirror or start a query.
fn check_path(name: &str, path: &str) -> Result<(), BrokenRule> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._~:%/".contains(&byte);
    let goes_nowhere = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if path.len() > MAX_WORD_LENGTH || !path.bytes().all(is_plain) || !goes_nowhere || !path.ends_with(".deb")
    {
        return broken(name, "path must be a plain relative path of a .deb file");
    }
    Ok(())
}

fn check_word(subject: &str, what: &str, word: &str, marks: &[u8]) -> Result<(), BrokenRule> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || marks.contains(&byte);
    let begins_well = word.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    if !begins_well || word.len() > MAX_WORD_LENGTH || !word.bytes().all(is_plain) || word.contains("..") {
        return broken(subject, format!("{what} `{}` has characters it may not have", word.escape_debug()));
    }
    Ok(())
}

fn check_order(lock: &Lock) -> Result<(), BrokenRule> {
    let mut seen = HashSet::new();
    for name in &lock.order {
        match lock.package(name) {
            None => return broken(name, "order names a package that is not in the lock"),
            Some(package) if package.role != Role::Installed => {
                return broken(name, "order names a package that is not installed");
            }
            Some(_) if !seen.insert(name) => return broken(name, "order names it twice"),
            Some(_) => {}
        }
    }
    let is_missing =
        |package: &&LockedPackage| package.role == Role::Installed && !seen.contains(&package.name);
    match lock.packages.iter().find(is_missing) {
        Some(package) => broken(&package.name, "order does not name it"),
        None => Ok(()),
    }
}
