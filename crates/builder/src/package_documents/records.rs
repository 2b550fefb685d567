//! One record a package: the lock says where it came from, its control paragraph what it needs and who keeps it.

use std::collections::BTreeMap;

use debian::control::{Paragraph, paragraphs};
use debian::lock::{Lock, Role};
use debian::relations::PackageSet;
use release::documents::{PackageRecord, PackageRole};

/// Records of all locked packages by name. `status` is dpkg's status file of the base; `boot` are control paragraphs of
/// packages that are not in it.
pub fn records(lock: &Lock, status: &str, boot: &[String]) -> Vec<PackageRecord> {
    let mut by_name: BTreeMap<&str, Paragraph<'_>> = BTreeMap::new();
    let mut installed = PackageSet::default();
    for paragraph in paragraphs(status).map_while(Result::ok) {
        if let Some(name) = paragraph.field("Package") {
            installed.add(name, &paragraph);
            by_name.insert(name, paragraph);
        }
    }
    for text in boot {
        if let Ok(paragraph) = Paragraph::parse_only(text)
            && let Some(name) = paragraph.field("Package")
        {
            by_name.insert(name, paragraph);
        }
    }
    let record = |package: &debian::lock::LockedPackage| {
        let paragraph = by_name.get(package.name.as_str());
        let field = |name: &str| paragraph.and_then(|it| it.field(name)).unwrap_or_default().to_owned();
        PackageRecord {
            name: package.name.clone(),
            version: package.version.as_str().to_owned(),
            architecture: package.architecture.clone(),
            source: package.source.clone(),
            source_version: package.source_version.as_str().to_owned(),
            suite: package.suite.clone(),
            component: package.component.clone(),
            section: package.section.clone(),
            path: package.path.clone(),
            size: package.size,
            sha256: package.sha256,
            role: match package.role {
                Role::Installed => PackageRole::Installed,
                Role::Boot => PackageRole::Boot,
            },
            requested: package.requested,
            maintainer: field("Maintainer"),
            homepage: field("Homepage"),
            summary: field("Description").lines().next().unwrap_or_default().to_owned(),
            depends: paragraph.map(|it| installed.needs(&package.name, it)).unwrap_or_default(),
        }
    };
    lock.packages.iter().map(record).collect()
}
