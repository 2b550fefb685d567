//! What is in a depot.

use depot::care::Report;
use depot::publish::Summary;
use model::ByteSize;
use release::Index;
use release::index::{IndexedRelease, PatchRef};

use super::{counted, table, time};

/// `ampoule depot list`
pub fn list(indices: &[Index]) -> String {
    if indices.is_empty() {
        return "no releases yet\n".to_owned();
    }
    let head = ["version", "published", "full image", "patches", "notes"].map(str::to_owned).to_vec();
    let mut text = String::new();
    for index in indices {
        text.push_str(&format!("{} {}\n", index.appliance, index.channel));
        let mut rows = vec![head.clone()];
        rows.extend(index.releases.iter().rev().flat_map(|release| lines(release, index)));
        text.extend(table(&rows).lines().map(|line| format!("  {line}\n")));
    }
    text
}

/// One line for the release, and one more for each further patch.
fn lines(release: &IndexedRelease, index: &Index) -> Vec<Vec<String>> {
    let full = release.patches.iter().find(|patch| patch.from.is_none());
    let full = full.map_or("none".to_owned(), |patch| ByteSize(patch.object.size).to_string());
    let notes = release.notes.as_deref().and_then(|notes| notes.lines().next()).unwrap_or_default();
    let mut patches =
        release.patches.iter().filter(|patch| patch.from.is_some()).map(|patch| way(patch, index));
    let first = patches.next().unwrap_or_default();
    let mut lines =
        vec![vec![release.version.clone(), time(release.published), full, first, notes.to_owned()]];
    lines.extend(patches.map(|patch| vec![String::new(), String::new(), String::new(), patch]));
    lines
}

/// `from 1.0.0 6.9 MiB`, with what it needs when that is much.
fn way(patch: &PatchRef, index: &Index) -> String {
    let from = index.releases.iter().find(|release| Some(release.id()) == patch.from);
    let from = from.map_or("a removed release", |release| &release.version);
    let memory = match patch.memory {
        memory if memory > 64 << 20 => format!(" (needs {} of memory)", ByteSize(memory)),
        _ => String::new(),
    };
    format!("from {from} {}{memory}", ByteSize(patch.object.size))
}

/// `ampoule release`
pub fn published(summary: &Summary, index: &Index) -> String {
    let entry = &summary.entry;
    let what = format!("{} {}", index.appliance, entry.version);
    if summary.is_old {
        return format!(
            "{what} is in `{}` already, with the same content: nothing was done\n",
            index.channel
        );
    }
    let mut text = format!("published {what} in `{}` as {}\n", index.channel, summary.published.id);
    for patch in &entry.patches {
        let name = match patch.from {
            None => format!("full image {}", ByteSize(patch.object.size)),
            Some(_) => format!("patch {}", way(patch, index)),
        };
        text.push_str(&format!("  {name}\n"));
    }
    text
}

/// `ampoule depot check`
pub fn report(report: &Report) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&format!("problem: {problem}\n"));
    }
    let needless: u64 = report.unreferenced.iter().map(|object| object.size).sum();
    text.push_str(&format!(
        "{}, {} of {} whole\n",
        counted(report.releases, "release", "releases"),
        counted(report.objects, "object", "objects"),
        ByteSize(report.bytes),
    ));
    if !report.unreferenced.is_empty() {
        let count = counted(report.unreferenced.len(), "object", "objects");
        text.push_str(&format!("{count} of {} needed by no release\n", ByteSize(needless)));
    }
    text
}

#[cfg(test)]
mod tests {
    use model::Sha256Digest;
    use release::{ObjectRef, ReleaseId};

    use super::*;

    #[test]
    fn releases_are_listed_newest_first_with_the_ways_to_them() {
        let object = |byte, size| ObjectRef { sha256: Sha256Digest([byte; 32]), size };
        let old = ReleaseId(Sha256Digest([1; 32]));
        let release = |version: &str, byte, patches, notes: Option<&str>| IndexedRelease {
            version: version.into(),
            statement: object(byte, 1),
            published: 0,
            proof: None,
            security_only_from: Vec::new(),
            notes: notes.map(str::to_owned),
            patches,
        };
        let patch = |from, byte, size, memory| PatchRef { from, object: object(byte, size), memory };
        let mut index = Index::new("acme/shop".into(), "stable".into());
        index.releases = vec![
            release("1.0.0", 1, vec![patch(None, 3, 100 << 20, 1)], None),
            release(
                "1.0.1",
                2,
                vec![
                    patch(None, 4, 100 << 20, 1),
                    patch(Some(old), 5, 7 << 20, 1 << 30),
                    patch(Some(old), 6, 15 << 20, 60 << 20),
                ],
                Some("Fixes\nmany"),
            ),
        ];
        assert_eq!(
            list(&[index]),
            "acme/shop stable
  version  published                full image  patches                                   notes
  1.0.1    1970-01-01 00:00:00 UTC  100 MiB     from 1.0.0 7 MiB (needs 1 GiB of memory)  Fixes
                                                from 1.0.0 15 MiB
  1.0.0    1970-01-01 00:00:00 UTC  100 MiB
"
        );
        assert_eq!(list(&[]), "no releases yet\n");
    }
}
