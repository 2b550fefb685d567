//! A bulletin for terminals: the same order as the page, at most what fits a few screens unless all is asked for.

use model::ByteSize;

use super::safe::{harmless, line};
use super::words::{self, counted};
use crate::compare::{files::is_other, is_note};
use crate::facts::{Bulletin, Class, Detail, FileChange, Issue, Item, SourceChange, Status};

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Lists are cut.
    Short,
    /// Everything, with the differences of texts.
    Whole,
}

/// Issues of one source in a short text.
const SHORT_ISSUES: usize = 8;
/// Files in a short text.
const SHORT_FILES: usize = 12;

/// The text.
pub fn text(bulletin: &Bulletin, extent: Extent) -> String {
    let it = &harmless(bulletin);
    let mut text = String::new();
    head(it, &mut text);
    issues(it, extent, &mut text);
    packages(it, &mut text);
    topics(it, &mut text);
    files(it, extent, &mut text);
    tail(it, &mut text);
    text
}

fn head(it: &Bulletin, text: &mut String) {
    let verdict = &it.verdict;
    text.push_str(&format!("{} → {}\n\n{}\n\n", it.old.name(), it.new.name(), verdict.sentence));
    let mut row = |label: &str, value: &str| text.push_str(&format!("{label:<14}{value}\n"));
    row("kind", words::kind(verdict.kind));
    let only = if verdict.security_only.proven { "yes, proven" } else { "not proven" };
    row(
        "security only",
        &format!("{only}: {}", verdict.security_only.reasons.first().map(String::as_str).unwrap_or_default()),
    );
    for reason in verdict.security_only.reasons.iter().skip(1) {
        row("", reason);
    }
    row(
        "urgency",
        &format!(
            "{}: {}",
            words::urgency(verdict.urgency),
            verdict.because.first().map(String::as_str).unwrap_or_default()
        ),
    );
    row("restart", &verdict.restart);
    let download =
        verdict.download.map(|bytes| format!(", download {}", ByteSize(bytes))).unwrap_or_default();
    row(
        "size",
        &format!("{} of {} changed{download}", ByteSize(verdict.changed_bytes), ByteSize(it.new.root_size)),
    );
    row("rollback", &verdict.rollback.text);
}

fn issues(it: &Bulletin, extent: Extent, text: &mut String) {
    let counts = &it.issues.counts;
    let number = |value: Option<usize>| value.map_or("not known".to_owned(), |value| value.to_string());
    text.push_str(&format!(
        "\nissues        {} fixed, {} in the kernel; open: {}; new: {}\n",
        counts.fixed,
        counts.fixed_kernel,
        number(counts.open),
        number(counts.new)
    ));
    for (count, what) in [
        (counts.unclear, "mentioned, and not plainly as fixed"),
        (counts.fixed_elsewhere, "fixed in packages that have no file in the image"),
    ] {
        if count > 0 {
            text.push_str(&format!("              {count} {what}\n"));
        }
    }
    let mut last: Option<(&str, Status)> = None;
    let mut shown = 0;
    for issue in &it.issues.list {
        let group = (issue.source.as_str(), issue.status);
        if last != Some(group) {
            let all =
                it.issues.list.iter().filter(|other| (other.source.as_str(), other.status) == group).count();
            let way = issue.reached.as_deref().map(|way| format!(", {way}")).unwrap_or_default();
            let absent = if issue.in_image { "" } else { ", not in the image" };
            text.push_str(&format!(
                "\n  {} {} in {}{absent}{way}\n",
                all,
                words::status(issue.status),
                issue.source
            ));
            (last, shown) = (Some(group), 0);
        }
        shown += 1;
        if extent == Extent::Whole || shown <= SHORT_ISSUES {
            text.push_str(&issue_line(issue));
        } else if shown == SHORT_ISSUES + 1 {
            text.push_str("    and more: `--all` shows them\n");
        }
    }
}

fn issue_line(issue: &Issue) -> String {
    let sentence = issue.findings.first().map(|finding| line(&finding.text)).unwrap_or_default();
    let sentence: String = sentence.chars().take(96).collect();
    let mark = if issue.class == Class::Unclear { "? " } else { "" };
    let vex = issue.vex.as_deref().map(|vex| format!("  [{}]", line(vex))).unwrap_or_default();
    let severity = words::severity(issue.severity);
    format!("    {:<17} {:<9} {:<18} {mark}{sentence}{vex}\n", issue.id, severity, words::class(issue.class))
}

fn packages(it: &Bulletin, text: &mut String) {
    text.push_str(&format!(
        "\npackages      {}\n",
        counted(it.sources.len(), "changed source", "changed sources")
    ));
    let rows: Vec<[String; 4]> = it.sources.iter().map(package_row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    for row in &rows {
        let [name, versions, kind, rest] = row;
        text.push_str(&format!(
            "  {name:<a$}  {versions:<b$}  {kind:<c$}  {rest}\n",
            a = widths[0],
            b = widths[1],
            c = widths[2]
        ));
    }
}

fn package_row(source: &SourceChange) -> [String; 4] {
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "–".into());
    let binaries = counted(source.packages.len(), "package", "packages");
    let trimmed = if source.files == 0 { ", not in the image" } else { "" };
    [
        source.name.clone(),
        format!("{} → {}", version(&source.old), version(&source.new)),
        words::upload(source.upload, source.step).to_owned(),
        format!("{binaries}, {}{trimmed}", source.layer.as_str()),
    ]
}

fn topics(it: &Bulletin, text: &mut String) {
    text.push('\n');
    for topic in it.topics.iter().filter(|topic| !topic.items.is_empty()) {
        text.push_str(&format!("{}: {}\n", topic.title, counted(topic.items.len(), "change", "changes")));
        for item in &topic.items {
            text.push_str(&item_line(item));
        }
    }
    let quiet: Vec<String> = it
        .topics
        .iter()
        .filter(|topic| topic.items.is_empty())
        .map(|topic| topic.title.to_lowercase())
        .collect();
    if !quiet.is_empty() {
        text.push_str(&format!("unchanged: {}\n", quiet.join("; ")));
    }
}

fn item_line(item: &Item) -> String {
    let values = match (&item.old, &item.new) {
        (Some(old), Some(new)) => format!("  {} → {}", line(old), line(new)),
        (Some(one), None) | (None, Some(one)) => format!("  {}", line(one)),
        (None, None) => String::new(),
    };
    let origin = item.origin.as_deref().map(|origin| format!("  [{origin}]")).unwrap_or_default();
    let mark = if item.widens { "!" } else { " " };
    format!(" {mark}{} {}{values}{origin}\n", words::sign(item.change), line(&item.what))
}

fn files(it: &Bulletin, extent: Extent, text: &mut String) {
    let sum = &it.files.summary;
    text.push_str(&format!(
        "\nfiles         {} added, {} removed, {} changed, {} moved with a version in their name; {} as before\n",
        sum.added, sum.removed, sum.changed, sum.moved, sum.same
    ));
    for (index, owner) in it.files.owners.iter().enumerate() {
        let same = match owner.same {
            0 => String::new(),
            same => {
                format!(", {} of them only built again or under another path", words::grouped(same as u64))
            }
        };
        text.push_str(&format!(
            "  {} ({}): {}{same}, {}\n",
            owner.name,
            owner.layer.as_str(),
            counted(owner.changes, "change", "changes"),
            ByteSize(owner.bytes)
        ));
        let mut of_owner: Vec<&FileChange> =
            it.files.changes.iter().filter(|change| change.owner == index).collect();
        if extent == Extent::Short {
            of_owner.sort_by_key(|change| !is_other(change));
        }
        let limit = if extent == Extent::Whole { usize::MAX } else { SHORT_FILES };
        for change in of_owner.iter().take(limit) {
            text.push_str(&file_lines(change, extent));
        }
        if of_owner.len() > limit {
            text.push_str(&format!("    and {} more: `--all` shows them\n", of_owner.len() - limit));
        }
    }
}

fn file_lines(change: &FileChange, extent: Extent) -> String {
    let mut text =
        format!("    {} {}{}\n", words::nature(change.nature), line(&change.path), words_of(change));
    if let (Extent::Whole, Some(Detail::Text { diff, left_out })) = (extent, &change.detail) {
        text.push_str(&diff.lines().map(|line| format!("        {line}\n")).collect::<String>());
        if *left_out > 0 {
            text.push_str(&format!("        {left_out} more lines are not shown\n"));
        }
    }
    text
}

/// What is different about a file, in a few words.
pub(crate) fn words_of(change: &FileChange) -> String {
    let mut words = Vec::new();
    let size = |state: &Option<crate::facts::FileState>| state.as_ref().and_then(|state| state.size);
    let is_elf = matches!(change.detail, Some(Detail::Elf(_)));
    match (size(&change.old), size(&change.new)) {
        (Some(old), Some(new)) if old != new && !is_elf => {
            let (old, new) = (ByteSize(old).to_string(), ByteSize(new).to_string());
            if old != new {
                words.push(format!("{old} → {new}"));
            }
        }
        (None, Some(new)) => words.push(ByteSize(new).to_string()),
        _ => {}
    }
    words.extend(change.aspects.iter().filter(|aspect| *aspect != "content").cloned());
    match &change.detail {
        Some(Detail::Elf(elf)) => {
            if elf.only_notes {
                words.push("same code, other build".into());
            } else {
                words.extend(sections(elf));
            }
            for (name, list) in
                [("libraries", &elf.libraries), ("symbols", &elf.exports), ("protections", &elf.protections)]
            {
                let added = list.added.iter().map(|name| format!("+{name}"));
                let removed = list.removed.iter().map(|name| format!("-{name}"));
                let all: Vec<String> = removed.chain(added).collect();
                if !all.is_empty() {
                    let more = if list.more > 0 { format!(" and {} more", list.more) } else { String::new() };
                    words.push(format!("{name} {}{more}", all.join(" ")));
                }
            }
        }
        Some(Detail::Archive(list)) => {
            words.push(format!("{} new and {} gone in it", list.added.len(), list.removed.len()))
        }
        Some(Detail::Opaque { why }) => words.push(why.clone()),
        Some(Detail::Text { .. }) | None => {}
    }
    match words.is_empty() {
        true => String::new(),
        false => format!("  {}", line(&words.join(", "))),
    }
}

/// Sections that differ, the largest difference first: `.text +656`, `.data other content`.
fn sections(elf: &crate::facts::ElfChange) -> Option<String> {
    let mut all: Vec<(i64, &str)> =
        elf.sections.iter().map(|(name, old, new)| (*new as i64 - *old as i64, name.as_str())).collect();
    if all.iter().any(|(_, name)| !is_note(name)) {
        all.retain(|(_, name)| !is_note(name));
    }
    all.sort_by_key(|(delta, name)| (is_note(name), std::cmp::Reverse(delta.abs()), *name != ".text"));
    let word = |(delta, name): &(i64, &str)| match delta {
        0 => format!("{name} other content"),
        _ => format!("{name} {delta:+}"),
    };
    let more = all.len().saturating_sub(2);
    let more = if more > 0 {
        format!(" and {}", counted(more, "more section", "more sections"))
    } else {
        String::new()
    };
    (!all.is_empty())
        .then(|| format!("{}{more}", all.iter().take(2).map(word).collect::<Vec<_>>().join(", ")))
}

fn tail(it: &Bulletin, text: &mut String) {
    if !it.claims.is_empty() {
        text.push_str("\nclaims: people say this, nothing of it was checked\n");
        for claim in &it.claims {
            text.push_str(&format!("  {}, about {}: {}\n", claim.by, claim.about, line(&claim.text)));
        }
    }
    if !it.unknown.is_empty() {
        text.push_str("\nnot known\n");
        it.unknown.iter().for_each(|unknown| text.push_str(&format!("  {}\n", line(unknown))));
    }
    text.push_str("\nproof\n");
    for proof in &it.proof {
        text.push_str(&format!("  {:<32} {}\n", proof.what, proof.value));
    }
    for feed in &it.issues.feeds {
        let date = feed.date.as_deref().unwrap_or("without a date");
        text.push_str(&format!("  feed {:<27} {} ({}, {date})\n", feed.name, feed.sha256, feed.format));
    }
}
