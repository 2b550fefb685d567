//! What follows: who should act and how soon, what kind of patch it is, whether it is security fixes only.
//!
//! Every conclusion carries what it follows from, so that a reader can disagree.

use std::collections::BTreeSet;

use update::precheck::{Rollback as StateRollback, rollback, rollback_text};

use crate::facts::{
    Class, Files, Issue, Issues, Kind, Layer, Rollback, SecurityOnly, Severity, SourceChange, Status, Step,
    Topic, TopicId, Upload, Urgency, Verdict,
};
use crate::render::counted;
use crate::side::Side;

mod others;
mod restart;
mod sentence;

use others::others;
use restart::restart;
use sentence::sentence;

/// What is concluded from.
pub struct Basis<'a> {
    /// Before.
    pub old: &'a Side<'a>,
    /// After.
    pub new: &'a Side<'a>,
    /// Changed files.
    pub files: &'a Files,
    /// Changed sources.
    pub sources: &'a [SourceChange],
    /// Issues.
    pub issues: &'a Issues,
    /// Topics.
    pub topics: &'a [Topic],
    /// Bytes of the patch.
    pub download: Option<u64>,
}

/// Concludes.
pub fn verdict(basis: &Basis<'_>) -> Verdict {
    let other = others(basis);
    let (kind, kind_because) = kind(basis, &other);
    let (urgency, because) = urgency(basis, kind);
    Verdict {
        sentence: sentence(basis, urgency, kind),
        urgency,
        because,
        kind,
        kind_because,
        security_only: security_only(basis, kind, other),
        restart: restart(basis, kind).to_owned(),
        changed_bytes: basis.files.owners.iter().map(|owner| owner.bytes).sum(),
        download: basis.download,
        rollback: way_back(basis),
    }
}

/// Fixed issues in code that is in the image, plainly told.
fn fixes<'a>(basis: &'a Basis<'_>) -> impl Iterator<Item = &'a Issue> {
    basis
        .issues
        .list
        .iter()
        .filter(|issue| issue.status == Status::Fixed && issue.in_image && issue.class != Class::Unclear)
}

fn is_same(basis: &Basis<'_>) -> bool {
    basis.files.changes.is_empty() && basis.old.uki == basis.new.uki
}

/// Whether these are two different appliances.
fn are_two(basis: &Basis<'_>) -> bool {
    let id = |side: &Side<'_>| side.definition.as_ref().map(|definition| definition.appliance.id());
    matches!((id(basis.old), id(basis.new)), (Some(old), Some(new)) if old != new)
}

/// Security uploads that name no issue.
fn unnamed<'a>(basis: &'a Basis<'_>) -> impl Iterator<Item = &'a SourceChange> {
    basis.sources.iter().filter(|source| {
        source.upload == Upload::Security
            && source.step == Step::Newer
            && !source.touched.is_empty()
            && source.entries.iter().all(|entry| entry.issues == 0)
    })
}

fn list(names: &[&str]) -> String {
    let shown = names.iter().take(6).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(6) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn kind(basis: &Basis<'_>, other: &[String]) -> (Kind, Vec<String>) {
    if is_same(basis) {
        return (Kind::Nothing, vec!["both releases have the same image".into()]);
    }
    let ids: BTreeSet<&str> = fixes(basis).map(|issue| issue.id.as_str()).collect();
    let named: BTreeSet<&str> = fixes(basis).map(|issue| issue.source.as_str()).collect();
    let unnamed: Vec<&str> = unnamed(basis).map(|source| source.name.as_str()).collect();
    let mut because = Vec::new();
    if !ids.is_empty() {
        let names: Vec<&str> = named.into_iter().collect();
        because.push(format!("{} fixed, in {}", issues_text(ids.len()), list(&names)));
    }
    if !unnamed.is_empty() {
        because.push(format!("security uploads that name no issue: {}", list(&unnamed)));
    }
    let is_security = !ids.is_empty() || !unnamed.is_empty();
    match (is_security, other.len()) {
        (true, 0) => {}
        (true, _) => because
            .push("and more than fixes: see what stands against \u{201c}security only\u{201d}".to_owned()),
        (false, _) => because.extend(other.iter().cloned()),
    }
    let is_feature =
        basis.topics.iter().any(|topic| {
            matches!(topic.id, TopicId::Settings | TopicId::Network)
                && topic.items.iter().any(|item| item.old.is_none())
        }) || basis.sources.iter().any(|source| source.step == Step::Added && source.layer == Layer::Chosen)
            || is_minor_step(basis);
    let kind = match (is_security, other.is_empty()) {
        (true, true) => Kind::Security,
        (true, false) => Kind::Mixed,
        (false, _) if is_feature => Kind::Feature,
        (false, _) => Kind::Bugfix,
    };
    if because.is_empty() {
        because.push("no known issue is fixed".into());
    }
    (kind, because)
}

/// Whether the maker counted up more than the last number of the version.
fn is_minor_step(basis: &Basis<'_>) -> bool {
    let head = |side: &Side<'_>| {
        let version = &side.definition.as_ref()?.appliance.version;
        Some(version.split('.').take(2).collect::<Vec<_>>().join("."))
    };
    matches!((head(basis.old), head(basis.new)), (Some(old), Some(new)) if old != new)
}

fn urgency(basis: &Basis<'_>, kind: Kind) -> (Urgency, Vec<String>) {
    if kind == Kind::Nothing {
        return (Urgency::None, vec!["both releases have the same image".into()]);
    }
    if are_two(basis) {
        return (Urgency::None, vec!["no patch leads from one appliance to another".into()]);
    }
    let (mut high, mut soon) = (Vec::new(), Vec::new());
    let heavy: Vec<&Issue> = fixes(basis).filter(|issue| issue.severity >= Some(Severity::High)).collect();
    if let Some(first) = heavy.first() {
        let severity = first.severity.map(Severity::as_str).unwrap_or_default();
        let more = heavy.len() - 1;
        let more = if more > 0 { format!(", and {more} more like it") } else { String::new() };
        high.push(format!("a feed calls {} in {} {severity}{more}", first.id, first.source));
    }
    for source in
        basis.sources.iter().filter(|source| !source.touched.is_empty() && source.step == Step::Newer)
    {
        let is_pressing = |urgency: &str| matches!(urgency, "high" | "emergency" | "critical");
        let pressing = source.entries.iter().find(|entry| {
            is_pressing(&entry.urgency)
                && entry.distribution.split_whitespace().any(|suite| suite.ends_with("-security"))
        });
        match (pressing, &source.reached) {
            // Debian calls every security upload of the kernel urgent, so that the word alone says nothing there.
            (Some(entry), Some(way)) if source.layer != Layer::Kernel => high.push(format!(
                "Debian uploaded {} {} to {} with urgency {}, and the appliance's service loads it: {way}",
                source.name, entry.version, entry.distribution, entry.urgency
            )),
            _ if source.fixed > 0 => {
                soon.push(format!("{} fixes {}", source.name, issues_text(source.fixed)))
            }
            (Some(entry), _) => soon.push(format!("{} {} is a security upload", source.name, entry.version)),
            _ => {}
        }
    }
    match (high.is_empty(), soon.is_empty()) {
        (false, _) => (Urgency::High, high.into_iter().chain(soon).collect()),
        (true, false) => (Urgency::Soon, soon),
        (true, true) => (Urgency::Routine, vec!["no known security issue is fixed".into()]),
    }
}

fn issues_text(count: usize) -> String {
    counted(count, "known issue", "known issues")
}

fn security_only(basis: &Basis<'_>, kind: Kind, others: Vec<String>) -> SecurityOnly {
    if kind != Kind::Security {
        let none = match kind {
            Kind::Nothing => vec!["nothing changed".to_owned()],
            Kind::Security | Kind::Mixed => Vec::new(),
            Kind::Bugfix | Kind::Feature => vec!["no known security issue is fixed".to_owned()],
        };
        return SecurityOnly { proven: false, reasons: none.into_iter().chain(others).collect() };
    }
    let mut reasons = vec!["every changed package came as a security upload or names the issues it fixes, and nothing else changed".to_owned()];
    let upstream: Vec<&str> = basis
        .sources
        .iter()
        .filter(|source| source.new_upstream && source.files > 0)
        .map(|source| source.name.as_str())
        .collect();
    if !upstream.is_empty() {
        reasons.push(format!(
            "as new upstream versions, which may hold more than these fixes: {}",
            list(&upstream)
        ));
    }
    // What a new upstream version brings besides is nowhere told: a security suite takes it whole.
    SecurityOnly { proven: upstream.is_empty(), reasons }
}

fn way_back(basis: &Basis<'_>) -> Rollback {
    if are_two(basis) {
        return Rollback { possible: false, text: "no patch leads from one appliance to another".into() };
    }
    match (&basis.old.definition, &basis.new.definition) {
        (Some(old), Some(new)) => Rollback {
            possible: rollback(&old.state_format, &new.state_format) != StateRollback::Refused,
            text: rollback_text(&old.state_format, &new.state_format),
        },
        _ => {
            Rollback { possible: false, text: "not known: these are not two releases of an appliance".into() }
        }
    }
}
