//! Packages on the page, by source, with what their changelogs say.

use super::super::words::{self, counted};
use super::issues_text;
use crate::facts::{Bulletin, PackageChange, SourceChange, Step, Upload};

/// Longest text of one entry on the page, in bytes: the kernel's entries have some 60 KB each, and a page has at most 2 MB. The
/// JSON has them whole.
const ENTRY_BYTES: usize = 60 << 10;
/// Bytes of all entries on the page.
const ALL_ENTRIES_BYTES: usize = 600 << 10;

pub struct Source<'a> {
    pub name: &'a str,
    pub versions: String,
    pub upload: &'static str,
    pub tone: &'static str,
    pub note: String,
    pub detail: String,
    pub packages: Vec<String>,
    pub touched_note: String,
    pub touched: String,
    pub entries: Vec<Entry>,
    pub without: Option<&'a str>,
}

pub struct Entry {
    pub head: String,
    pub text: String,
    pub trailer: String,
    pub open: bool,
}

pub fn note(it: &Bulletin) -> String {
    let count = |test: fn(&SourceChange) -> bool| it.sources.iter().filter(|source| test(source)).count();
    let (added, removed) =
        (count(|source| source.step == Step::Added), count(|source| source.step == Step::Removed));
    let mut note = format!("{} changed", counted(it.sources.len(), "source", "sources"));
    if added > 0 {
        note.push_str(&format!(", {added} of them new"));
    }
    if removed > 0 {
        note.push_str(&format!(", {removed} gone"));
    }
    format!(
        "{note}; {} have files in the new image.",
        counted(it.new.packages as usize, "package", "packages")
    )
}

pub fn sources(it: &Bulletin) -> Vec<Source<'_>> {
    let mut budget = ALL_ENTRIES_BYTES;
    it.sources.iter().map(|source| view(source, &mut budget)).collect()
}

fn view<'a>(source: &'a SourceChange, budget: &mut usize) -> Source<'a> {
    let version = |version: &'a Option<String>| version.as_deref().unwrap_or("–");
    let mut note = vec![source.layer.as_str().to_owned()];
    if source.fixed > 0 {
        note.push(format!("{} fixed", issues_text(source.fixed)));
    }
    note.push(match (source.files, source.touched.len()) {
        (0, _) => "no file of it in the image".to_owned(),
        (_, 0) => "nothing of it in the image changed but its build".to_owned(),
        (files, touched) => format!("{touched} of {files} files changed"),
    });
    let mut detail = Vec::new();
    if let Some(way) = &source.reached {
        detail.push(format!("Runs in {way}."));
    }
    if let Some(suite) = &source.suite {
        detail.push(format!("From {suite}."));
    }
    if source.new_upstream {
        detail.push("A new upstream version, which may hold more than fixes.".to_owned());
    }
    Source {
        name: &source.name,
        versions: format!("{} → {}", version(&source.old), version(&source.new)),
        upload: words::upload(source.upload, source.step),
        tone: match (source.step, source.upload) {
            (Step::Newer, Upload::Security) => "good",
            (Step::Older, _) | (Step::Added, _) => "warn",
            _ => "",
        },
        note: note.join(" · "),
        detail: detail.join(" "),
        packages: source.packages.iter().map(package).collect(),
        touched_note: counted(source.touched.len(), "file that really changed", "files that really changed"),
        touched: source.touched.join("\n"),
        entries: source
            .entries
            .iter()
            .enumerate()
            .map(|(index, one)| entry(one, index == 0, budget))
            .collect(),
        without: source.without_entries.as_deref(),
    }
}

fn package(package: &PackageChange) -> String {
    match (&package.old, &package.new) {
        (Some(old), Some(new)) => format!("{} {old} → {new}", package.name),
        (None, Some(new)) => format!("+ {} {new}", package.name),
        (Some(old), None) => format!("- {} {old}", package.name),
        (None, None) => package.name.clone(),
    }
}

fn entry(entry: &crate::facts::Entry, is_first: bool, budget: &mut usize) -> Entry {
    let mut end = entry.text.len().min(ENTRY_BYTES).min(*budget);
    while !entry.text.is_char_boundary(end) {
        end -= 1;
    }
    *budget -= end;
    let mut text = entry.text[..end].to_owned();
    if end < entry.text.len() {
        text.push_str(&format!("\n… {} more bytes: `--json` has them", entry.text.len() - end));
    }
    let issues =
        if entry.issues > 0 { format!(", names {}", issues_text(entry.issues)) } else { String::new() };
    Entry {
        head: format!("{} for {}, urgency {}{issues}", entry.version, entry.distribution, entry.urgency),
        open: is_first && entry.text.lines().count() <= 24,
        text,
        trailer: entry.trailer.clone(),
    }
}
