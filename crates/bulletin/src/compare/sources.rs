//! Changed source packages with what their changelogs say between the two versions.

use std::collections::{BTreeMap, BTreeSet};

use debian::Version;
use release::documents::PackageFacts;

use super::files::is_other;
use super::is_present;
use super::layers::{Layers, source_of, source_version_of};
use crate::changelog::{self, advisory_name};
use crate::facts::{
    Class, Entry, FileChange, Files, Issues, Layer, OwnerKind, PackageChange, SourceChange, Status, Step,
    Upload,
};
use crate::papers::changelogs;
use crate::reach::Reach;
use crate::side::Side;

/// Longest text of one entry, in bytes. The kernel's are some 60 KB.
const ENTRY_TEXT_LIMIT: usize = 128 << 10;

/// Packages by source.
fn by_source<'a>(side: &'a Side<'_>) -> BTreeMap<String, Vec<&'a PackageFacts>> {
    let mut sources: BTreeMap<String, Vec<&PackageFacts>> = BTreeMap::new();
    for package in &side.packages {
        sources.entry(source_of(package)).or_default().push(package);
    }
    sources
}

/// All changed sources, by name.
pub fn sources(
    (old, new): (&Side<'_>, &Side<'_>),
    files: &Files,
    layers: &Layers<'_>,
    reach: &Reach,
) -> Vec<SourceChange> {
    let touched = |name: &str| -> Vec<String> {
        let owners = &files.owners;
        let of_source = files.changes.iter().filter(|change| {
            let owner = &owners[change.owner];
            owner.kind == OwnerKind::Source && owner.name == name && is_other(change)
        });
        of_source.filter(|change| is_file(change)).map(|change| change.path.clone()).collect()
    };
    let (before, after) = (by_source(old), by_source(new));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let none = Vec::new();
    names
        .into_iter()
        .filter_map(|name| {
            let (gone, came) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
            source(name, (old, gone), (new, came), touched(name), (layers, reach))
        })
        .collect()
}

fn source(
    name: &str,
    (old, gone): (&Side<'_>, &Vec<&PackageFacts>),
    (new, came): (&Side<'_>, &Vec<&PackageFacts>),
    touched: Vec<String>,
    (layers, reach): (&Layers<'_>, &Reach),
) -> Option<SourceChange> {
    let packages = package_changes(gone, came);
    if packages.is_empty() {
        return None;
    }
    let (before, after) = (highest(gone), highest(came));
    let step = match (&before, &after) {
        (None, _) => Step::Added,
        (_, None) => Step::Removed,
        (Some(before), Some(after)) if before == after => Step::Rebuilt,
        (Some(before), Some(after)) if before < after => Step::Newer,
        _ => Step::Older,
    };
    let entries = match (step, &before, &after) {
        (Step::Newer, Some(before), Some(after)) => entries(name, [(new, came), (old, gone)], before, after),
        // Backwards: what the old release had and the new one has no more.
        (Step::Older, Some(before), Some(after)) => entries(name, [(old, gone), (new, came)], after, before),
        _ => Vec::new(),
    };
    let asks = matches!(step, Step::Newer | Step::Older);
    let without_entries = (asks && entries.is_empty()).then(|| {
        let papers = if step == Step::Newer { &new.papers } else { &old.papers };
        match papers.is_empty() {
            true => "the release carries no changelogs".to_owned(),
            false => "its changelog says nothing between the two versions".to_owned(),
        }
    });
    let names: BTreeSet<&str> = came.iter().map(|package| package.name.as_str()).collect();
    let present = if came.is_empty() { gone } else { came };
    let upstream = |version: &Option<Version>| {
        version.as_ref().map(|version| (version.epoch(), version.upstream().to_owned()))
    };
    Some(SourceChange {
        name: name.to_owned(),
        old: before.as_ref().map(|version| version.as_str().to_owned()),
        new: after.as_ref().map(|version| version.as_str().to_owned()),
        step,
        layer: layers.of_source(name),
        upload: upload(&entries),
        new_upstream: before.is_some() && after.is_some() && upstream(&before) != upstream(&after),
        suite: present.first().map(|package| package.suite.clone()).filter(|suite| !suite.is_empty()),
        files: present.iter().map(|package| package.files).sum(),
        reached: match touched.is_empty() {
            true => reach.way_to_packages(new, &names),
            false => reach.way_to_any(&touched),
        }
        .map(|way| way.join(" → ")),
        touched,
        packages,
        entries,
        without_entries,
        fixed: 0,
    })
}

fn is_file(change: &FileChange) -> bool {
    change.new.as_ref().or(change.old.as_ref()).is_some_and(|state| state.kind == "file")
}

fn package_changes(gone: &[&PackageFacts], came: &[&PackageFacts]) -> Vec<PackageChange> {
    let of = |list: &[&PackageFacts]| -> BTreeMap<String, (String, u64)> {
        list.iter().map(|package| (package.name.clone(), (package.version.clone(), package.files))).collect()
    };
    let (mut before, mut after) = (of(gone), of(came));
    before.retain(|name, (version, _)| match after.get(name) {
        Some((other, _)) if other == version => {
            after.remove(name);
            false
        }
        _ => true,
    });
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .map(|name| PackageChange {
            name: name.clone(),
            old: before.get(name).map(|(version, _)| version.clone()),
            new: after.get(name).map(|(version, _)| version.clone()),
            files: after.get(name).or_else(|| before.get(name)).map(|(_, files)| *files).unwrap_or_default(),
        })
        .collect()
}

/// The highest source version of packages: binaries of one source may be of several versions for a while.
pub fn highest(packages: &[&PackageFacts]) -> Option<Version> {
    packages.iter().filter_map(|package| source_version_of(package).parse::<Version>().ok()).max()
}

/// Entries above `low`, up to `high`, from the changelogs of both sides: the one that is read first wins.
fn entries(
    source: &str,
    sides: [(&Side<'_>, &Vec<&PackageFacts>); 2],
    low: &Version,
    high: &Version,
) -> Vec<Entry> {
    let mut found: Vec<(Version, Entry)> = Vec::new();
    for (side, packages) in sides {
        for text in changelogs(&side.papers, packages.iter().map(|package| package.name.as_str())) {
            for entry in changelog::entries(text) {
                let (name, version) = advisory_name(entry.source, entry.version);
                let Ok(version) = version.parse::<Version>() else { continue };
                let is_known = found.iter().any(|(known, _)| *known == version);
                if name == source && !entry.is_rebuild && !is_known && entry.is_between(low, high) {
                    found.push((version, facts(&entry)));
                }
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    found.into_iter().map(|(_, entry)| entry).collect()
}

fn facts(entry: &changelog::Entry<'_>) -> Entry {
    let mut end = entry.text.len().min(ENTRY_TEXT_LIMIT);
    while !entry.text.is_char_boundary(end) {
        end -= 1;
    }
    Entry {
        version: advisory_name(entry.source, entry.version).1,
        distribution: entry.distribution.to_owned(),
        urgency: entry.urgency.to_owned(),
        trailer: entry.trailer.to_owned(),
        text: entry.text[..end].to_owned(),
        issues: changelog::issue_ids(entry.text).len(),
    }
}

/// A stable update of Debian goes by another suite and names what it fixes; both count.
fn upload(entries: &[Entry]) -> Upload {
    let is_security = |entry: &&Entry| {
        entry.issues > 0 || entry.distribution.split_whitespace().any(|suite| suite.ends_with("-security"))
    };
    match entries.iter().filter(is_security).count() {
        _ if entries.is_empty() => Upload::Unknown,
        0 => Upload::Other,
        count if count == entries.len() => Upload::Security,
        _ => Upload::Partly,
    }
}

/// Counts issues and sorts: fixes first, and what the appliance is made for before what is below it.
pub fn sort(sources: &mut [SourceChange], issues: &Issues) {
    for source in sources.iter_mut() {
        let fixed = issues.list.iter().filter(|issue| {
            issue.source == source.name
                && issue.status == Status::Fixed
                && issue.class != Class::Unclear
                && issue.in_image
        });
        source.fixed = fixed.count();
    }
    sources.sort_by_key(|source| {
        let is_kernel = source.layer == Layer::Kernel;
        (
            source.files == 0,
            source.fixed == 0,
            is_kernel,
            source.reached.is_none(),
            source.layer,
            source.name.clone(),
        )
    });
}

/// Whether any package of a source is in the image.
pub fn is_in_image(side: &Side<'_>, source: &str) -> bool {
    side.packages.iter().any(|package| is_present(package) && source_of(package) == source)
}
