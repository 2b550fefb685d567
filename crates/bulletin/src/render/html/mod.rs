//! The page: one file that loads nothing, readable without its program, printable, for keyboard and search.
//!
//! Its style and its program are named by digest in the page's own policy: whatever a stranger's text managed to put into
//! the page, a browser would not run it.

use askama::Template;
use model::ByteSize;
use sha2::{Digest, Sha256};

use super::safe::harmless;
use super::words::{self, counted, grouped};
use crate::facts::{Bulletin, Issue, Layer, SourceChange, Status, Topic, Urgency};

mod files;
mod issues;
mod packages;
mod system;

const CSS: &str = include_str!("../../../templates/bulletin.css");
const JS: &str = include_str!("../../../templates/bulletin.js");

#[derive(Template)]
#[template(path = "bulletin.html")]
struct Page<'a> {
    it: &'a Bulletin,
    css: &'static str,
    js: &'static str,
    policy: String,
    old_name: String,
    new_name: String,
    old_version: String,
    new_version: String,
    kind: &'static str,
    urgency: &'static str,
    urgency_class: &'static str,
    changed: String,
    whole: String,
    download: Option<String>,
    fixed: String,
    fixed_note: String,
    open: String,
    open_count: usize,
    open_note: String,
    new: String,
    new_count: usize,
    new_note: String,
    glance: Vec<Glance>,
    groups: Vec<issues::Group<'a>>,
    sources: Vec<packages::Source<'a>>,
    packages_note: String,
    topics: Vec<system::Changed<'a>>,
    quiet: Vec<system::Quiet<'a>>,
    files_note: String,
    owners: Vec<files::Owner<'a>>,
}

/// Sources that are named beside the number of fixes.
const NAMED_SOURCES: usize = 4;

/// One line of what changes, on the first screen.
struct Glance {
    name: String,
    value: String,
    link: String,
    quiet: bool,
    wider: bool,
}

/// The page.
pub fn html(bulletin: &Bulletin) -> String {
    let it = &harmless(bulletin);
    let counts = &it.issues.counts;
    let number = |value: Option<usize>| value.map_or("?".to_owned(), |value| grouped(value as u64));
    let page = Page {
        it,
        css: CSS,
        js: JS,
        policy: policy(),
        old_name: it.old.name(),
        new_name: it.new.name(),
        old_version: it.old.version.clone().unwrap_or_else(|| it.old.title.clone()),
        new_version: it.new.version.clone().unwrap_or_else(|| it.new.title.clone()),
        kind: words::kind(it.verdict.kind),
        urgency: words::urgency(it.verdict.urgency),
        urgency_class: match it.verdict.urgency {
            Urgency::None => "none",
            Urgency::Routine => "routine",
            Urgency::Soon => "soon",
            Urgency::High => "high",
        },
        changed: ByteSize(it.verdict.changed_bytes).to_string(),
        whole: ByteSize(it.new.root_size).to_string(),
        download: it.verdict.download.map(|bytes| ByteSize(bytes).to_string()),
        fixed: grouped((counts.fixed + counts.fixed_kernel) as u64),
        fixed_note: fixed_note(it),
        open: number(counts.open),
        open_count: counts.open.unwrap_or_default(),
        open_note: feed_note(it, counts.open.is_some(), Status::Open),
        new: number(counts.new),
        new_count: counts.new.unwrap_or_default(),
        new_note: feed_note(it, counts.new.is_some(), Status::New),
        glance: glance(it),
        groups: issues::groups(it),
        sources: packages::sources(it),
        packages_note: packages::note(it),
        topics: system::changed(it),
        quiet: system::quiet(it),
        files_note: files::note(it),
        owners: files::owners(it),
    };
    page.render().expect("writing to memory does not fail")
}

/// Nothing may be loaded or run but this page's own style and program.
fn policy() -> String {
    let digest = |text: &str| base64(&Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        digest(CSS),
        digest(JS)
    )
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let part = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let number = part(0) << 16 | part(1) << 8 | part(2);
        for digit in 0..4 {
            let value = DIGITS[(number >> (18 - 6 * digit) & 63) as usize];
            text.push(if digit > group.len() { '=' } else { value as char });
        }
    }
    text
}

fn fixed_note(it: &Bulletin) -> String {
    let counts = &it.issues.counts;
    let fixes = it.sources.iter().filter(|source| source.fixed > 0 && !source.touched.is_empty());
    // The kernel comes last in the list and must not be the one that is left out.
    let (kernel, programs): (Vec<&SourceChange>, Vec<_>) =
        fixes.partition(|source| source.layer == Layer::Kernel);
    let shown = programs.iter().take(NAMED_SOURCES).chain(&kernel);
    let mut by_source: Vec<String> =
        shown.map(|source| format!("{} {}", source.name, grouped(source.fixed as u64))).collect();
    if programs.len() > NAMED_SOURCES {
        by_source.insert(NAMED_SOURCES, format!("{} others", programs.len() - NAMED_SOURCES));
    }
    let mut note = by_source.join(", ");
    for (count, what) in
        [(counts.unclear, "unclear"), (counts.fixed_elsewhere, "in parts that this image does not have")]
    {
        if count > 0 {
            note.push_str(&format!("; {count} more {what}"));
        }
    }
    if note.is_empty() { "no known issue".to_owned() } else { note }
}

fn feed_note(it: &Bulletin, is_known: bool, status: Status) -> String {
    if !is_known {
        return "not known: no feed was given".to_owned();
    }
    let aside = |issue: &&Issue| {
        issue.status == status
            && (issue.vex.is_some() || issue.severity == Some(crate::facts::Severity::Unimportant))
    };
    let aside = it.issues.list.iter().filter(aside).count();
    let date = it.issues.feeds.first().and_then(|feed| feed.date.as_deref()).and_then(|date| date.get(..10));
    let mut note = match date {
        Some(date) => format!("as known on {date}"),
        None => "as the feed knows".to_owned(),
    };
    if aside > 0 {
        note.push_str(&format!("; {aside} more do not matter here"));
    }
    note
}

fn glance(it: &Bulletin) -> Vec<Glance> {
    let line = |name: &str, count: usize, link: &str, wider: bool| Glance {
        name: name.to_owned(),
        value: if count == 0 { "–".to_owned() } else { grouped(count as u64) },
        link: format!("#{link}"),
        quiet: count == 0,
        wider,
    };
    let sum = &it.files.summary;
    let application: usize = it
        .files
        .owners
        .iter()
        .filter(|owner| owner.layer == Layer::Application)
        .map(|owner| owner.changes)
        .sum();
    let mut lines = vec![
        line("Source packages", it.sources.len(), "packages", false),
        line("Files", sum.added + sum.removed + sum.changed + sum.moved, "files", false),
        line("Files of the application", application, "files", false),
    ];
    let of_topic = |topic: &Topic| {
        let wider = topic.items.iter().any(|item| item.widens);
        line(&topic.title, topic.items.len(), &system::anchor(topic.id), wider)
    };
    lines.extend(it.topics.iter().map(of_topic));
    lines
}

/// `18 issues`
fn issues_text(count: usize) -> String {
    counted(count, "issue", "issues")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_everybody_writes() {
        let all = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn the_page_loads_nothing() {
        for text in [CSS, JS] {
            assert!(
                !text.contains("http:") && !text.contains("https:") && !text.contains("url("),
                "a page is offline"
            );
            assert!(!text.contains("</s"), "it would end its own element");
        }
        assert!(!JS.contains("innerHTML"), "texts stay texts");
    }
}
