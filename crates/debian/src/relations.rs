//! Relations between packages: `Depends: a, b (>= 1) | c [amd64]`, and who satisfies them in a given set.
//!
//! Owns the names. Refuses versions: a set that apt or dpkg has accepted satisfies them already.

use std::collections::{BTreeMap, BTreeSet};

use crate::control::Paragraph;

/// Most alternatives read from one field. Stops a forged field from making resolution slow.
pub const MAX_RELATIONS: usize = 10_000;

/// The groups of a relation field; one package of each group is needed. Names are without architecture, version and profile.
pub fn groups(field: &str) -> Vec<Vec<&str>> {
    let name = |alternative: &str| -> Option<usize> {
        let end = alternative.find(|c: char| c.is_whitespace() || "([<:".contains(c));
        Some(end.unwrap_or(alternative.len())).filter(|end| *end > 0)
    };
    let mut count = 0;
    let mut groups = Vec::new();
    for group in field.split(',') {
        let mut names = Vec::new();
        for alternative in group.split('|').map(str::trim) {
            count += 1;
            if count > MAX_RELATIONS {
                return groups;
            }
            names.extend(name(alternative).map(|end| &alternative[..end]));
        }
        if !names.is_empty() {
            groups.push(names);
        }
    }
    groups
}

/// A set of packages that can be asked which of them satisfies a relation.
#[derive(Clone, Debug, Default)]
pub struct PackageSet {
    names: BTreeSet<String>,
    provided: BTreeMap<String, BTreeSet<String>>,
}

impl PackageSet {
    /// Adds a package with its control paragraph.
    pub fn add(&mut self, name: &str, paragraph: &Paragraph<'_>) {
        self.names.insert(name.to_owned());
        for provided in groups(paragraph.field("Provides").unwrap_or_default()).into_iter().flatten() {
            self.provided.entry(provided.to_owned()).or_default().insert(name.to_owned());
        }
    }

    /// The packages of the set that this one needs (Pre-Depends and Depends), sorted. Of alternatives it is the first that
    /// is there, of a virtual package all that provide it; a group that nobody satisfies is left out.
    pub fn needs(&self, name: &str, paragraph: &Paragraph<'_>) -> Vec<String> {
        let mut needed = BTreeSet::new();
        for field in ["Pre-Depends", "Depends"] {
            for group in groups(paragraph.field(field).unwrap_or_default()) {
                let real = group.iter().find(|alternative| self.names.contains(**alternative));
                match real {
                    Some(found) => {
                        needed.insert((*found).to_owned());
                    }
                    None => needed.extend(
                        group.iter().find_map(|it| self.provided.get(*it)).into_iter().flatten().cloned(),
                    ),
                }
            }
        }
        needed.remove(name);
        needed.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_without_versions_architectures_and_profiles() {
        let field = "libc6 (>= 2.38), perl:any | perl-base <!nocheck>,\n awk [amd64],, mta(>=1)";
        assert_eq!(groups(field), [vec!["libc6"], vec!["perl", "perl-base"], vec!["awk"], vec!["mta"]]);
        assert!(groups("").is_empty());
        assert!(groups(&"a|".repeat(MAX_RELATIONS * 2)).len() <= 1);
    }

    #[test]
    fn the_first_alternative_that_is_there_counts_and_virtual_packages_are_their_providers() {
        let mut set = PackageSet::default();
        let texts = [
            ("mawk", "Package: mawk\nProvides: awk\n"),
            ("gawk", "Package: gawk\nProvides: awk (= 1)\n"),
            ("libc6", "Package: libc6\n"),
            ("base", "Package: base\nPre-Depends: awk\nDepends: absent | libc6, nowhere, base\n"),
        ];
        let paragraphs = texts.map(|(name, text)| (name, Paragraph::parse_only(text).unwrap()));
        paragraphs.iter().for_each(|(name, paragraph)| set.add(name, paragraph));
        assert_eq!(set.needs("base", &paragraphs[3].1), ["gawk", "libc6", "mawk"]);
        assert!(set.needs("mawk", &paragraphs[0].1).is_empty());
    }
}
