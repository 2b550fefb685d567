//! Named rules that remove what an appliance does not need, and the report of what each removed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Entry, Node, Origin, Pattern, Tree, TreePath};

/// A named set of paths to remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rule {
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// Why an appliance does without, in one sentence.
    pub why: String,
    /// What is removed.
    pub paths: Vec<Pattern>,
    /// What is kept although `paths` names it.
    #[serde(default)]
    pub except: Vec<Pattern>,
    /// Packages whose files are removed, all of them. Origins are known on a finished tree only, so these count in the
    /// late stage alone.
    #[serde(default)]
    pub packages: Vec<String>,
    /// When it may be applied.
    #[serde(default)]
    pub stage: Stage,
    /// What happens to directories that the rule empties.
    #[serde(default)]
    pub emptied: Emptied,
}

/// When a rule may be applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Already while packages are unpacked: no maintainer script needs the files.
    Early,
    /// On the finished tree.
    #[default]
    Late,
}

/// What happens to a directory whose last entry a rule removes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Emptied {
    /// It stays, unless `paths` names it too.
    #[default]
    Keep,
    /// It goes, and its parents that become empty by that.
    Remove,
    /// It stays even when `paths` names it: the rule is about files, and something needs the directory.
    KeepNamed,
}

/// What a rule removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Removed {
    /// The rule's name.
    pub rule: String,
    /// The rule's reason.
    pub why: String,
    /// Files, links and other entries that are not directories.
    pub files: u64,
    /// Bytes of file contents, each hard-linked content once.
    pub bytes: u64,
}

/// What all rules removed, in the rules' order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// One per rule, also when it removed nothing.
    pub removed: Vec<Removed>,
}

impl Report {
    /// A report in which `rules` removed nothing yet.
    pub fn new(rules: &[Rule]) -> Self {
        let nothing =
            |rule: &Rule| Removed { rule: rule.name.clone(), why: rule.why.clone(), files: 0, bytes: 0 };
        Self { removed: rules.iter().map(nothing).collect() }
    }

    /// Counts one removed entry of the rule with this name; a name that is not in the report is added.
    pub fn count(&mut self, rule: &Rule, bytes: u64) {
        let at = self.removed.iter().position(|removed| removed.rule == rule.name).unwrap_or_else(|| {
            self.removed.extend(Report::new(std::slice::from_ref(rule)).removed);
            self.removed.len() - 1
        });
        self.removed[at].files += 1;
        self.removed[at].bytes += bytes;
    }

    /// Adds the figures of `other`, rule by rule.
    pub fn add(&mut self, other: &Report) {
        for more in &other.removed {
            match self.removed.iter_mut().find(|removed| removed.rule == more.rule) {
                Some(removed) => {
                    removed.files += more.files;
                    removed.bytes += more.bytes;
                }
                None => self.removed.push(more.clone()),
            }
        }
    }

    /// Bytes removed by all rules.
    pub fn bytes(&self) -> u64 {
        self.removed.iter().map(|removed| removed.bytes).sum()
    }
}

impl Rule {
    /// Whether it removes an entry, by its path or by its package.
    pub fn removes_entry(&self, path: &TreePath, entry: &Entry) -> bool {
        let is_of_package = matches!(&entry.origin, Origin::Package(name) if self.packages.iter().any(|package| package == name));
        (is_of_package || self.paths.iter().any(|pattern| pattern.matches(path))) && !self.is_excepted(path)
    }

    fn is_excepted(&self, path: &TreePath) -> bool {
        self.except.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether its patterns remove `path`.
    pub fn removes(&self, path: &TreePath) -> bool {
        self.paths.iter().any(|pattern| pattern.matches(path)) && !self.is_excepted(path)
    }
}

/// The first rule that removes `path`. An exception keeps a path from its own rule only.
pub fn rule_for<'a>(rules: &'a [Rule], path: &TreePath) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.removes(path))
}

/// Removes what `rules` name from `tree`.
///
/// A directory goes only when nothing below it stays. Hard links stay whole: when the first name of a file goes, the
/// next name takes its content.
pub fn trim(tree: &mut Tree, rules: &[Rule]) -> Report {
    let mut report = Report::new(rules);
    let mut doomed: BTreeMap<TreePath, &Rule> = BTreeMap::new();
    let mut directories: Vec<TreePath> = Vec::new();
    let mut emptied_parents: BTreeSet<TreePath> = BTreeSet::new();
    for (path, entry) in &tree.entries {
        if path.as_str().is_empty() {
            continue;
        }
        let Some(rule) = rules.iter().find(|rule| rule.removes_entry(path, entry)) else { continue };
        match entry.node {
            Node::Directory if rule.emptied == Emptied::KeepNamed => {}
            Node::Directory => directories.push(path.clone()),
            _ => {
                let bytes = if let Node::File(content) = &entry.node { content.size } else { 0 };
                report.count(rule, bytes);
                doomed.insert(path.clone(), rule);
            }
        }
        if rule.emptied == Emptied::Remove {
            emptied_parents.extend(path.parent());
        }
    }
    let kept_contents = keep_hard_links(tree, &doomed);
    for (path, bytes) in kept_contents {
        // The content stays under another name, so these bytes were not removed.
        let rule = doomed[&path];
        if let Some(removed) = report.removed.iter_mut().find(|removed| removed.rule == rule.name) {
            removed.bytes -= bytes;
        }
    }
    for path in doomed.keys() {
        tree.entries.remove(path);
    }
    for path in directories.iter().rev() {
        remove_if_empty(tree, path);
    }
    for parent in emptied_parents.into_iter().rev() {
        let mut next = Some(parent);
        while let Some(path) = next.filter(|path| !path.as_str().is_empty() && remove_if_empty(tree, path)) {
            next = path.parent();
        }
    }
    report
}

/// Gives the content of each doomed file that has surviving links to the first of them. Returns the doomed paths whose
/// content stays, with its size.
fn keep_hard_links(tree: &mut Tree, doomed: &BTreeMap<TreePath, &Rule>) -> Vec<(TreePath, u64)> {
    let mut survivors: BTreeMap<TreePath, Vec<TreePath>> = BTreeMap::new();
    for (path, entry) in &tree.entries {
        if let Node::HardLink { target } = &entry.node
            && doomed.contains_key(target)
            && !doomed.contains_key(path)
        {
            survivors.entry(target.clone()).or_default().push(path.clone());
        }
    }
    let mut kept = Vec::new();
    for (target, names) in survivors {
        let Some(Node::File(content)) = tree.entries.get(&target).map(|entry| entry.node.clone()) else {
            continue;
        };
        let first = names[0].clone();
        for name in names {
            let node =
                if name == first { Node::File(content) } else { Node::HardLink { target: first.clone() } };
            if let Some(entry) = tree.entries.get_mut(&name) {
                entry.node = node;
            }
        }
        kept.push((target, content.size));
    }
    kept
}

/// Removes the directory `path` when nothing is below it. Returns whether it is gone.
fn remove_if_empty(tree: &mut Tree, path: &TreePath) -> bool {
    let is_directory = tree.entries.get(path).is_some_and(|entry| entry.node == Node::Directory);
    if !is_directory || tree.has_below(path) {
        return false;
    }
    tree.entries.remove(path);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{directory, file, hard_link, path, tree};

    fn rule(name: &str, paths: &[&str], except: &[&str], emptied: Emptied) -> Rule {
        let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Rule {
            name: name.into(),
            why: "a test".into(),
            paths: patterns(paths),
            except: patterns(except),
            packages: Vec::new(),
            stage: Stage::Late,
            emptied,
        }
    }

    #[test]
    fn a_rule_removes_what_it_names_except_its_exceptions_and_reports_it() {
        let mut tree = tree([
            ("usr/share/doc", directory()),
            ("usr/share/doc/a", directory()),
            ("usr/share/doc/a/changelog.gz", file(1, 100)),
            ("usr/share/doc/a/copyright", file(2, 50)),
            ("usr/share/doc/b", directory()),
            ("usr/share/doc/b/readme", file(3, 7)),
        ]);
        let report = trim(
            &mut tree,
            &[rule("documentation", &["/usr/share/doc/**"], &["/usr/share/doc/*/copyright"], Emptied::Keep)],
        );
        let left: Vec<&str> = tree.entries.keys().map(TreePath::as_str).collect();
        assert_eq!(left, ["usr/share/doc", "usr/share/doc/a", "usr/share/doc/a/copyright"]);
        assert_eq!((report.removed[0].files, report.removed[0].bytes), (2, 107));
    }

    #[test]
    fn a_rule_that_names_a_package_removes_its_files_and_no_others() {
        let mut other = file(2, 50);
        other.origin = Origin::Package("kept".into());
        let mut gone = file(1, 100);
        gone.origin = Origin::Package("gone".into());
        let mut tree = tree([("usr/bin/gone", gone), ("usr/bin/kept", other)]);
        let rule = Rule { packages: vec!["gone".into()], ..rule("by-package", &[], &[], Emptied::Keep) };
        let report = trim(&mut tree, &[rule]);
        assert_eq!((report.removed[0].files, report.removed[0].bytes), (1, 100));
        assert_eq!(tree.entries.len(), 1);
    }

    #[test]
    fn an_exception_of_one_rule_does_not_protect_from_another() {
        let rules = [
            rule("first", &["/a/*"], &["/a/x"], Emptied::Keep),
            rule("second", &["/a/x"], &[], Emptied::Keep),
        ];
        assert_eq!(rule_for(&rules, &path("a/x")).unwrap().name, "second");
    }

    #[test]
    fn emptied_directories_go_only_when_the_rule_says_so() {
        let start = tree([("a", directory()), ("a/b", directory()), ("a/b/f", file(1, 1))]);
        let mut kept = start.clone();
        trim(&mut kept, &[rule("r", &["/a/b/f"], &[], Emptied::Keep)]);
        assert_eq!(kept.entries.len(), 2);
        let mut gone = start;
        trim(&mut gone, &[rule("r", &["/a/b/f"], &[], Emptied::Remove)]);
        assert!(gone.entries.is_empty());
    }

    #[test]
    fn a_rule_about_files_leaves_the_directories_it_names() {
        let mut tree = tree([("log", directory()), ("log/x", file(1, 1)), ("log/service", directory())]);
        trim(&mut tree, &[rule("logs", &["/log/*"], &[], Emptied::KeepNamed)]);
        let left: Vec<&str> = tree.entries.keys().map(TreePath::as_str).collect();
        assert_eq!(left, ["log", "log/service"]);
    }

    #[test]
    fn a_content_survives_under_its_next_name_when_its_first_name_is_trimmed() {
        let mut tree = tree([
            ("bin/perl", file(9, 4000)),
            ("bin/perl5", hard_link("bin/perl")),
            ("bin/perl5.40", hard_link("bin/perl")),
        ]);
        let report = trim(&mut tree, &[rule("r", &["/bin/perl"], &[], Emptied::Keep)]);
        assert_eq!(tree.entries[&path("bin/perl5")].node, file(9, 4000).node);
        assert_eq!(tree.entries[&path("bin/perl5.40")].node, hard_link("bin/perl5").node);
        assert_eq!((report.removed[0].files, report.removed[0].bytes), (1, 0));
    }
}
