//! Files on the page: by owner, real changes before those that are only built again. Every changed path is in it.
//!
//! What has a difference of texts is a row of its own. Long lists are plain text: 40,000 lines of it are nothing to a browser,
//! and 40,000 rows are.

use model::ByteSize;

use super::super::text::words_of;
use super::super::words::{self, counted, grouped};
use crate::compare::files::is_other;
use crate::facts::{Bulletin, Detail, FileChange, Layer};

/// Rows of one owner; more become lines of a list.
const ROWS: usize = 60;
/// Rows with a difference of texts on the whole page; more become lines of a list, and the JSON has their differences.
const DIFFERENCES: usize = 400;
/// Lines of differences that are open from the start, of the application's files.
const OPEN_LINES: usize = 40;

pub struct Owner<'a> {
    pub name: &'a str,
    pub layer: &'static str,
    pub note: String,
    pub open: bool,
    pub rows: Vec<Row<'a>>,
    pub lists: Vec<List>,
}

pub struct Row<'a> {
    pub sign: char,
    pub path: &'a str,
    pub words: String,
    pub open: bool,
    pub diff: Option<Vec<Line<'a>>>,
    pub left_out: usize,
}

pub struct Line<'a> {
    pub tone: &'static str,
    pub text: &'a str,
}

pub struct List {
    pub title: String,
    pub text: String,
    pub open: bool,
}

pub fn note(it: &Bulletin) -> String {
    let sum = &it.files.summary;
    let mut parts = Vec::new();
    for (count, word) in [(sum.added, "added"), (sum.removed, "removed"), (sum.changed, "changed")] {
        parts.push(format!("{} {word}", grouped(count as u64)));
    }
    if sum.moved > 0 {
        parts.push(format!("{} under a new version in their path", grouped(sum.moved as u64)));
    }
    format!(
        "{}; {} as before. This list is the whole difference of the two images: nothing that changed is left out. + added, - removed, ~ changed, > moved.",
        parts.join(", "),
        grouped(sum.same as u64)
    )
}

pub fn owners(it: &Bulletin) -> Vec<Owner<'_>> {
    let (mut start, mut differences) = (0, DIFFERENCES);
    let mut owners = Vec::new();
    for (index, owner) in it.files.owners.iter().enumerate() {
        // Changes are sorted by owner.
        let end = start + it.files.changes[start..].iter().take_while(|change| change.owner == index).count();
        let changes = &it.files.changes[start..end];
        start = end;
        let (real, same): (Vec<_>, Vec<_>) = changes.iter().partition(|change| is_other(change));
        let (with_diff, plain): (Vec<_>, Vec<_>) = real.into_iter().partition(|change| {
            let is_text = matches!(change.detail, Some(Detail::Text { .. })) && differences > 0;
            differences -= usize::from(is_text);
            is_text
        });
        let is_application = owner.layer == Layer::Application;
        let mut rows: Vec<Row<'_>> =
            with_diff.into_iter().map(|change| row(change, is_application)).collect();
        let mut lists = Vec::new();
        if plain.len() <= ROWS {
            rows.extend(plain.into_iter().map(|change| row(change, false)));
        } else {
            lists.push(list(&plain, counted(plain.len(), "other change", "other changes"), rows.is_empty()));
        }
        if !same.is_empty() {
            let what = counted(same.len(), "path holds", "paths hold");
            lists.push(list(
                &same,
                format!("{what} the same, only built again or under another path"),
                false,
            ));
        }
        owners.push(Owner {
            name: &owner.name,
            layer: owner.layer.as_str(),
            note: format!("{} · {}", counted(owner.changes, "change", "changes"), ByteSize(owner.bytes)),
            open: is_application,
            rows,
            lists,
        });
    }
    owners
}

fn row(change: &FileChange, is_application: bool) -> Row<'_> {
    let (diff, left_out) = match &change.detail {
        Some(Detail::Text { diff, left_out }) => {
            (Some(diff.lines().map(line).collect::<Vec<_>>()), *left_out)
        }
        _ => (None, 0),
    };
    let open = is_application && diff.as_ref().is_some_and(|diff| diff.len() <= OPEN_LINES);
    Row {
        sign: words::nature(change.nature),
        path: &change.path,
        words: words_of(change),
        open,
        diff,
        left_out,
    }
}

fn line(text: &str) -> Line<'_> {
    let tone = match text.as_bytes().first() {
        Some(b'+') => "a",
        Some(b'-') => "r",
        Some(b'@') => "h",
        _ => "s",
    };
    Line { tone, text }
}

fn list(changes: &[&FileChange], title: String, open: bool) -> List {
    let mut text = String::new();
    for change in changes {
        text.push_str(&format!(
            "{} {}{}\n",
            words::nature(change.nature),
            one_line(&change.path),
            words_of(change)
        ));
    }
    List { title, text, open }
}

/// A path may hold a line feed, and would then be two.
fn one_line(path: &str) -> String {
    path.replace('\n', "⏎")
}
