//! What changed from one lock to the next, and how people read it.

use std::cmp::Ordering;
use std::fmt::Write;

use super::{Lock, LockedPackage, LockedSuite};

/// The difference of two locks. Empty when nothing that is built differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockChange {
    /// Packages only the new lock has, by name.
    pub added: Vec<LockedPackage>,
    /// Packages only the old lock has, by name.
    pub removed: Vec<LockedPackage>,
    /// Packages both have, and not the same, by name.
    pub changed: Vec<PackageChange>,
    /// Suites that differ, by name. A suite may change without any package of the lock changing.
    pub suites: Vec<SuiteChange>,
}

/// One package before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageChange {
    /// Before.
    pub old: LockedPackage,
    /// After.
    pub new: LockedPackage,
}

/// One suite before and after; `None` where it was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteChange {
    /// Before.
    pub old: Option<LockedSuite>,
    /// After.
    pub new: Option<LockedSuite>,
}

impl PackageChange {
    /// `Less` when the new version is older, `Equal` when the same version has other bytes or another part.
    pub fn direction(&self) -> Ordering {
        self.new.version.cmp(&self.old.version)
    }
}

impl LockChange {
    /// What changed from `old` to `new`.
    pub fn between(old: &Lock, new: &Lock) -> Self {
        let mut change = Self::default();
        for package in &new.packages {
            match old.package(&package.name) {
                None => change.added.push(package.clone()),
                Some(before) if before != package => {
                    change.changed.push(PackageChange { old: before.clone(), new: package.clone() });
                }
                Some(_) => {}
            }
        }
        let is_gone = |package: &&LockedPackage| new.package(&package.name).is_none();
        change.removed = old.packages.iter().filter(is_gone).cloned().collect();
        change.suites = suite_changes(&old.suites, &new.suites);
        change
    }

    /// Whether nothing differs, suites included.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.suites.is_empty()
    }

    /// Whether no package differs.
    pub fn keeps_packages(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// A table of the packages that changed, by name, and a line that counts them. Ends with a line feed.
    pub fn to_table(&self) -> String {
        if self.keeps_packages() {
            return "no package changes\n".to_owned();
        }
        let mut rows: Vec<[&str; 5]> = Vec::new();
        rows.extend(self.added.iter().map(|new| row(new, "-", new.version.as_str())));
        rows.extend(self.removed.iter().map(|old| row(old, old.version.as_str(), "-")));
        rows.extend(self.changed.iter().map(|change| {
            let new = match change.direction() {
                Ordering::Equal if change.new.sha256 == change.old.sha256 => "(same file)",
                Ordering::Equal => "(same version, other file)",
                _ => change.new.version.as_str(),
            };
            row(&change.new, change.old.version.as_str(), new)
        }));
        rows.sort();
        rows.insert(0, ["package", "old", "new", "source", "suite"]);
        let mut text = render(&rows);
        writeln!(text, "{}", self.summary()).expect("writing to a string does not fail");
        text
    }

    /// One line: `2 added, 1 removed, 3 upgraded, 1 downgraded`.
    pub fn summary(&self) -> String {
        let count = |order| self.changed.iter().filter(|change| change.direction() == order).count();
        let counts = [
            (self.added.len(), "added"),
            (self.removed.len(), "removed"),
            (count(Ordering::Greater), "upgraded"),
            (count(Ordering::Less), "downgraded"),
            (count(Ordering::Equal), "changed in place"),
        ];
        let parts: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if parts.is_empty() { "no package changes".to_owned() } else { parts.join(", ") }
    }
}

fn row<'a>(package: &'a LockedPackage, old: &'a str, new: &'a str) -> [&'a str; 5] {
    [&package.name, old, new, &package.source, &package.suite]
}

/// Columns two spaces apart, nothing behind the last one.
fn render(rows: &[[&str; 5]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 4] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(widths) {
            write!(text, "{cell:width$}  ").expect("writing to a string does not fail");
        }
        text.push_str(row[4]);
        text.push('\n');
    }
    text
}

fn suite_changes(old: &[LockedSuite], new: &[LockedSuite]) -> Vec<SuiteChange> {
    let find = |suites: &[LockedSuite], name: &str| suites.iter().find(|suite| suite.name == name).cloned();
    let mut names: Vec<&str> = old.iter().chain(new).map(|suite| suite.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let changes = names.iter().map(|name| SuiteChange { old: find(old, name), new: find(new, name) });
    changes.filter(|change| change.old != change.new).collect()
}
