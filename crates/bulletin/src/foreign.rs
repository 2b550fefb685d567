//! Trees that Ampoule did not make: what Debian's package database in them says of packages and of every path.

use std::collections::{BTreeMap, HashMap};

use debian::control::paragraphs;
use release::documents::{PackageDocuments, PackageFacts};
use tree::{Node, Origin, TreePath};

use crate::reach::resolve;
use crate::side::Side;

/// Largest document of a package that is kept, and largest file of the database that is read.
const DOCUMENT_LIMIT: u64 = 32 << 20;
/// Bytes of all changelogs together.
const PAPERS_LIMIT: usize = 512 << 20;

impl Side<'_> {
    /// Fills in packages, origins and changelogs from dpkg's database, where there is one.
    pub fn read_dpkg(&mut self) {
        let Some(status) = self.text("var/lib/dpkg/status") else { return };
        let mut packages = packages(&status);
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (path, package) in self.listed_paths() {
            let Some(entry) = self.tree.entries.get_mut(&path) else { continue };
            if entry.node != Node::Directory {
                *counts.entry(package.clone()).or_default() += 1;
            }
            entry.origin = Origin::Package(package);
        }
        for package in &mut packages {
            package.files = counts.get(&package.name).copied().unwrap_or_default();
        }
        self.packages = packages;
        self.papers = self.shipped_papers();
        if self.kernel_version.is_none() {
            let module = self.below("usr/lib/modules").next().map(|(path, _)| path.to_string());
            self.kernel_version = module.and_then(|path| path.split('/').nth(4).map(str::to_owned));
        }
    }

    /// Paths of all `*.list`, resolved: packages name `/lib/x` where the tree has `/usr/lib/x`.
    fn listed_paths(&self) -> Vec<(TreePath, String)> {
        let mut found = Vec::new();
        let mut folders: HashMap<String, Option<TreePath>> = HashMap::new();
        for (list, _) in self.below("var/lib/dpkg/info") {
            let Some(name) = list.name().strip_suffix(".list") else { continue };
            let package = name.split(':').next().unwrap_or(name).to_owned();
            let Some(text) = self.bytes(list, DOCUMENT_LIMIT) else { continue };
            for line in String::from_utf8_lossy(&text).lines() {
                let (folder, last) = line.rsplit_once('/').unwrap_or(("", line));
                let folder = folders.entry(folder.to_owned()).or_insert_with(|| resolve(self, folder));
                if let Some(path) = folder.as_ref().and_then(|folder| folder.join(last).ok()) {
                    found.push((path, package.clone()));
                }
            }
        }
        found
    }

    /// Changelogs as they lie in the tree.
    fn shipped_papers(&self) -> PackageDocuments {
        let (mut documents, mut total) = (BTreeMap::new(), 0);
        for (path, _) in self.below("usr/share/doc") {
            let name = path.name();
            let package = path.parent().map(|parent| parent.name().to_owned()).unwrap_or_default();
            if name.starts_with("changelog")
                && total < PAPERS_LIMIT
                && let Some(bytes) = self.bytes(path, DOCUMENT_LIMIT)
            {
                total += bytes.len();
                documents.insert((package, name.to_owned()), bytes);
            }
        }
        // What breaks a limit is as good as missing: the bulletin says then that there are no changelogs.
        PackageDocuments::of(documents).unwrap_or_default()
    }
}

/// Installed packages of a status file. `Source` names another source, and its version where that differs.
fn packages(status: &str) -> Vec<PackageFacts> {
    let package = |paragraph: debian::control::Paragraph<'_>| {
        if !paragraph.field("Status")?.ends_with(" installed") {
            return None;
        }
        let (name, version) = (paragraph.field("Package")?, paragraph.field("Version")?);
        let (source, source_version) = match paragraph.field("Source") {
            None => (name, version),
            Some(text) => match text.split_once(" (") {
                Some((source, version)) => (source, version.trim_end_matches(')')),
                None => (text, version),
            },
        };
        Some(PackageFacts {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: paragraph.field("Architecture").unwrap_or_default().to_owned(),
            source: source.to_owned(),
            source_version: source_version.to_owned(),
            suite: String::new(),
            files: 0,
        })
    };
    paragraphs(status).filter_map(Result::ok).filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_are_read_with_their_sources() {
        let text = "Package: a\nStatus: install ok installed\nVersion: 1:2-3+b1\nSource: aa (1:2-3)\nArchitecture: amd64\n\n\
                    Package: b\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: c\nStatus: install ok installed\nVersion: 4\nSource: cc\n";
        let found: Vec<String> = packages(text)
            .iter()
            .map(|it| format!("{} {} {} {}", it.name, it.version, it.source, it.source_version))
            .collect();
        assert_eq!(found, ["a 1:2-3+b1 aa 1:2-3", "c 4 cc 4"]);
    }
}
