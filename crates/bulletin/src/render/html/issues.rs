//! Issues on the page, grouped by what becomes of them and by source.

use super::super::words::{self, grouped};
use crate::facts::{Bulletin, Class, Issue, Layer, Status};

/// Groups of at most this many rows are open from the start, as long as few are.
const OPEN_ROWS: usize = 14;
/// Groups that are open from the start.
const OPEN_GROUPS: usize = 3;

pub struct Group<'a> {
    pub anchor: Option<&'static str>,
    pub source: &'a str,
    pub count: String,
    pub word: String,
    pub tone: &'static str,
    pub versions: String,
    pub way: Option<&'a str>,
    pub open: bool,
    pub rows: Vec<Row<'a>>,
}

pub struct Row<'a> {
    pub id: &'a str,
    pub class: &'static str,
    pub severity: &'static str,
    pub text: &'a str,
    pub vex: Option<&'a str>,
    pub more: Vec<String>,
}

/// What is shown together.
type Key<'a> = (Status, bool, bool, &'a str);

pub fn groups(it: &Bulletin) -> Vec<Group<'_>> {
    let key = |issue: &'_ Issue| -> (Status, bool, bool) {
        (issue.status, !issue.in_image, issue.class == Class::Unclear)
    };
    let mut groups: Vec<(Key<'_>, Vec<&Issue>)> = Vec::new();
    for issue in &it.issues.list {
        let (status, absent, unclear) = key(issue);
        let wanted = (status, absent, unclear, issue.source.as_str());
        match groups.iter_mut().find(|(key, _)| *key == wanted) {
            Some((_, list)) => list.push(issue),
            None => groups.push((wanted, vec![issue])),
        }
    }
    // The order of the packages, within each status.
    let place =
        |source: &str| it.sources.iter().position(|change| change.name == source).unwrap_or(usize::MAX);
    groups.sort_by_key(|((status, absent, unclear, source), _)| (*status, *absent, *unclear, place(source)));
    let (mut open, mut anchors) = (0, Vec::new());
    groups
        .into_iter()
        .map(|((status, absent, unclear, source), list)| {
            let is_kernel =
                it.sources.iter().any(|change| change.name == source && change.layer == Layer::Kernel);
            let is_open = list.len() <= OPEN_ROWS && open < OPEN_GROUPS && !absent && !is_kernel;
            open += usize::from(is_open);
            let anchor = match status {
                Status::Fixed => None,
                Status::Open => Some("open"),
                Status::New => Some("new"),
            };
            let anchor = anchor.filter(|anchor| !anchors.contains(anchor));
            anchors.extend(anchor);
            let first = list[0];
            Group {
                anchor,
                source,
                count: grouped(list.len() as u64),
                word: word(status, absent, unclear),
                tone: match (status, absent || unclear) {
                    (_, true) => "",
                    (Status::Fixed, _) => "good",
                    _ => "warn",
                },
                versions: versions(first),
                way: first.reached.as_deref(),
                open: is_open,
                rows: list.into_iter().map(row).collect(),
            }
        })
        .collect()
}

fn word(status: Status, absent: bool, unclear: bool) -> String {
    let status = match (status, unclear) {
        (Status::Fixed, true) => "mentioned, and not plainly as fixed",
        (Status::Fixed, false) => "fixed",
        (Status::Open, _) => "still open",
        (Status::New, _) => "newly there",
    };
    match absent {
        true => format!("{status}, in parts that are not in the image"),
        false => status.to_owned(),
    }
}

fn versions(issue: &Issue) -> String {
    match (&issue.old, &issue.new) {
        (Some(old), Some(new)) if old == new => new.clone(),
        (Some(old), Some(new)) => format!("{old} → {new}"),
        (Some(old), None) => format!("{old}, removed"),
        (None, Some(new)) => format!("{new}, added"),
        (None, None) => String::new(),
    }
}

fn row(issue: &Issue) -> Row<'_> {
    let mut findings = issue.findings.iter();
    let text = findings.next().map(|finding| finding.text.as_str()).unwrap_or_default();
    let text = without_id(text, &issue.id);
    let text = if text.is_empty() { "without a description" } else { text };
    Row {
        id: &issue.id,
        class: words::class(issue.class),
        severity: words::severity(issue.severity),
        text,
        vex: issue.vex.as_deref(),
        more: findings.map(|finding| format!("{}: {}", finding.at, finding.text)).collect(),
    }
}

/// A sentence without the id it begins with, which stands beside it.
fn without_id<'a>(text: &'a str, id: &str) -> &'a str {
    let rest = text.strip_prefix('[').unwrap_or(text);
    match rest.strip_prefix(id) {
        Some(rest) => rest.trim_start_matches([']', ':', ' ', ',', '-', ')']),
        None => text,
    }
}
