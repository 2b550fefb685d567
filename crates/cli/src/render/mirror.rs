//! What a depot takes of its maker's.

use depot::mirror::Summary;
use depot::take::Taken;
use model::ByteSize;

use super::{bundle, counted, time};

/// `ampoule depot mirror --dry-run`
pub fn coming(summary: &Summary, is_proved: bool) -> String {
    let mut text = amount("would bring", summary);
    if summary.here > 0 {
        text.push_str(&format!("  {} of it are here from a run that broke off\n", ByteSize(summary.here)));
    }
    text.push_str(&releases(summary, "would be taken out"));
    text.push_str(signed(is_proved));
    text.push_str(&format!("{} are free there\n", ByteSize(summary.free)));
    text
}

/// `ampoule depot mirror`
pub fn taken(summary: &Summary, taken: &Taken, is_proved: bool) -> String {
    let mut text = amount("took", summary);
    text.push_str(&releases(summary, "taken out"));
    if taken.new_words > 0 {
        let count = counted(taken.new_words, "new note of officers", "new notes of officers");
        text.push_str(&format!("  {count}\n"));
    }
    if !taken.withdrawn.is_empty() {
        text.push_str("`ampoule depot clean` frees the space of what was taken out\n");
    }
    text.push_str(signed(is_proved));
    if let Some(until) = taken.fresh_until {
        text.push_str(&format!("appliances take it until {}; run this again before\n", time(until)));
    }
    text
}

fn amount(verb: &str, summary: &Summary) -> String {
    let (index, count) = (&summary.index, counted(summary.objects, "object", "objects"));
    match summary.objects == 0 && summary.new_releases.is_empty() {
        true => format!("nothing new of {} {}\n", index.appliance, index.channel),
        false => {
            format!("{verb} {count}, {}, of {} {}\n", ByteSize(summary.bytes), index.appliance, index.channel)
        }
    }
}

fn signed(is_proved: bool) -> &'static str {
    match is_proved {
        true => "signed by its maker's roles, and in the ledger\n",
        false => "signed by its maker's roles; the ledger was not looked at: no `--policy`\n",
    }
}

/// New ones each, and the others as a number: there may be hundreds.
fn releases(summary: &Summary, gone: &str) -> String {
    let mut text = String::new();
    let is_new = |id| summary.new_releases.contains(&id);
    for entry in summary.index.releases.iter().filter(|entry| is_new(entry.id())) {
        text.push_str(&format!("  {}\n", bundle::release(entry, false)));
    }
    match summary.index.releases.len() - summary.new_releases.len() {
        0 => {}
        1 => text.push_str("  1 release was there already\n"),
        old => text.push_str(&format!("  {old} releases were there already\n")),
    }
    for skipped in &summary.skipped {
        text.push_str(&format!("  not taken: {}: {}\n", printable(&skipped.version), skipped.why));
    }
    for entry in &summary.withdrawn {
        text.push_str(&format!("  {gone}: {}: its maker offers it no longer\n", printable(&entry.version)));
    }
    text
}

/// What nobody signed must not drive a terminal.
fn printable(version: &str) -> String {
    version.chars().take(64).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use depot::mirror::{Skipped, Why};
    use model::Sha256Digest;
    use release::index::{IndexedRelease, ObjectRef};
    use release::{Index, ReleaseId};

    use super::*;

    #[test]
    fn what_would_come_is_told_with_what_does_not() {
        let entry = |version: &str, byte| IndexedRelease {
            version: version.into(),
            statement: ObjectRef { sha256: Sha256Digest([byte; 32]), size: 1 },
            published: 0,
            proof: None,
            security_only_from: Vec::new(),
            notes: None,
            patches: Vec::new(),
        };
        let mut index = Index::new("acme/shop".into(), "stable".into());
        index.releases = vec![entry("1.0.0", 1), entry("1.0.1", 2)];
        let summary = Summary {
            index,
            new_releases: vec![ReleaseId(Sha256Digest([2; 32]))],
            skipped: vec![Skipped { version: "9\u{1b}[2J".into(), why: Why::NotListed }],
            withdrawn: vec![entry("0.9.0", 3)],
            objects: 3,
            bytes: 7 << 20,
            here: 1 << 20,
            free: 9 << 30,
        };
        let id = ReleaseId(Sha256Digest([2; 32]));
        assert_eq!(
            coming(&summary, false),
            format!(
                "would bring 3 objects, 7 MiB, of acme/shop stable
  1 MiB of it are here from a run that broke off
  1.0.1 {id}: 0 patches
  1 release was there already
  not taken: 9\\u{{1b}}[2J: its maker's roles do not list it
  would be taken out: 0.9.0: its maker offers it no longer
signed by its maker's roles; the ledger was not looked at: no `--policy`
9 GiB are free there
"
            )
        );
    }
}
