//! What follows: who should act and how soon, what kind of patch it is, whether it is security fixes only.
//!
//! Every conclusion carries what it follows from, so that a reader can disagree.

use std::collections::BTreeSet;

use update::precheck::{Rollback as StateRollback, rollback, rollback_text};

use super::topics_of;
use crate::facts::{
    Class, Files, Issue, Issues, Kind, Layer, OwnerKind, Rollback, SecurityOnly, Severity, SourceChange,
    Status, Step, Topic, TopicId, Upload, Urgency, Verdict,
};
use crate::render::{counted, grouped};
use crate::side::Side;

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

/// What a running kernel was given and would not be given again without a start of the machine.
const GIVEN: [&str; 9] = [
    "/usr/lib/modules/",
    "/usr/lib/modprobe.d/",
    "/usr/lib/modules-load.d/",
    "/usr/lib/sysctl.d/",
    "/usr/lib/firmware/",
    "/etc/modprobe.d/",
    "/etc/modules-load.d/",
    "/etc/sysctl.d/",
    "/etc/sysctl.conf",
];

/// What has to restart: user space alone where kernel, initrd, command line and what the kernel was given are the same, by the
/// agent's own rule.
fn restart(basis: &Basis<'_>, kind: Kind) -> &'static str {
    let (old, new) = (basis.old, basis.new);
    if kind == Kind::Nothing {
        return "nothing";
    }
    let is_same = [".linux", ".initrd", ".ucode"].iter().all(|name| old.uki.get(*name) == new.uki.get(*name));
    let given = |path: &str| GIVEN.iter().any(|prefix| path.starts_with(prefix));
    let has_given = basis
        .files
        .changes
        .iter()
        .any(|change| given(&change.path) || change.was.as_deref().is_some_and(given));
    match is_same && !new.uki.is_empty() && words(old) == words(new) && !has_given {
        true => "user space alone",
        false => "the machine, once",
    }
}

/// Words of the command line but for the root.
fn words<'a>(side: &'a Side<'_>) -> Vec<&'a str> {
    let line = side.command_line.as_deref().unwrap_or_default();
    line.split_whitespace().filter(|word| !word.starts_with("roothash=")).collect()
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

/// What the patch brings besides security fixes.
fn others(basis: &Basis<'_>) -> Vec<String> {
    let mut others = Vec::new();
    let application: usize = basis
        .files
        .owners
        .iter()
        .filter(|owner| owner.kind == OwnerKind::Maker)
        .map(|owner| owner.changes)
        .sum();
    if application > 0 {
        let files = if application == 1 { "1 file".to_owned() } else { format!("{application} files") };
        others.push(format!("the maker's own: {files} of the application changed"));
    }
    // The definition and its documents name the version and so differ in every release.
    let is_documents = |path: &str| {
        path.starts_with("/usr/lib/ampoule/documents/") || path == "/usr/lib/ampoule/definition.json"
    };
    let own = basis.files.changes.iter().filter(|file| {
        let owner = &basis.files.owners[file.owner];
        owner.kind == OwnerKind::Generator && owner.name == "ampoule" && !is_documents(&file.path)
    });
    let own: Vec<&str> = own.map(|file| file.path.as_str()).collect();
    if !own.is_empty() {
        others.push(format!("Ampoule's own parts changed: {}", list(&own)));
    }
    let unknown: usize = basis
        .files
        .owners
        .iter()
        .filter(|owner| owner.kind == OwnerKind::Unknown)
        .map(|owner| owner.changes)
        .sum();
    if unknown > 0 {
        others.push(format!("{unknown} changed paths do not say where they come from"));
    }
    let of = |test: &dyn Fn(&&SourceChange) -> bool| -> Vec<&str> {
        // An update of which nothing in the image changed changes nothing here.
        let present = basis.sources.iter().filter(|source| match source.step {
            Step::Newer => !source.touched.is_empty(),
            _ => source.files > 0,
        });
        present.filter(test).map(|source| source.name.as_str()).collect()
    };
    let mut say = |names: Vec<&str>, text: &str| {
        if !names.is_empty() {
            others.push(format!("{text}: {}", list(&names)));
        }
    };
    say(of(&|source| source.step == Step::Added), "packages that were not there before");
    say(of(&|source| source.step == Step::Removed), "packages that are no longer there");
    say(of(&|source| source.step == Step::Older), "packages that go back to an older version");
    say(
        of(&|source| source.step == Step::Newer && source.upload == Upload::Other),
        "updates that are no security updates",
    );
    say(
        of(&|source| source.step == Step::Newer && source.upload == Upload::Partly),
        "updates that hold more than security updates",
    );
    say(
        of(&|source| source.step == Step::Newer && source.upload == Upload::Unknown),
        "updates whose changelog says nothing",
    );
    for id in [TopicId::Settings, TopicId::State, TopicId::Health, TopicId::Resources] {
        if let Some(topic) = topics_of(basis.topics, id).filter(|topic| !topic.items.is_empty()) {
            others.push(format!("{} changed: {}", topic.title.to_lowercase(), topic.items.len()));
        }
    }
    for topic in basis.topics {
        let is_wider = matches!(
            topic.id,
            TopicId::Privileges | TopicId::Accounts | TopicId::Network | TopicId::Services | TopicId::Timers
        );
        let wider: Vec<&str> =
            topic.items.iter().filter(|item| item.widens).map(|item| item.what.as_str()).collect();
        if is_wider && !wider.is_empty() {
            others.push(format!("more than before in {}: {}", topic.title.to_lowercase(), list(&wider)));
        }
    }
    others
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

fn sentence(basis: &Basis<'_>, urgency: Urgency, kind: Kind) -> String {
    let name = |side: &Side<'_>| match &side.definition {
        Some(definition) => format!("{} {}", definition.appliance.title, definition.appliance.version),
        None => side.label.clone(),
    };
    let (old, new) = (name(basis.old), name(basis.new));
    if let (Some(one), Some(other)) = (&basis.old.definition, &basis.new.definition) {
        if one.appliance.id() != other.appliance.id() {
            return format!(
                "These are two appliances, {old} and {new}: no patch leads from one to the other."
            );
        }
        if is_older(&other.appliance.version, &one.appliance.version) {
            let back = basis.issues.counts.new.unwrap_or_default();
            return match back {
                0 => format!("{new} is older than {old}: this is a way back."),
                _ => format!("{new} is older than {old}: going back brings {} with it.", issues_text(back)),
            };
        }
    }
    if kind == Kind::Nothing {
        return format!("Nobody has to act: {old} and {new} have the same image.");
    }
    let new = match (&basis.old.definition, &basis.new.definition) {
        (Some(_), Some(definition)) => definition.appliance.version.clone(),
        _ => new,
    };
    let counts = &basis.issues.counts;
    let served = served(basis);
    let known = |count: usize| match count {
        1 => "a known security issue".to_owned(),
        _ => format!("{} known security issues", grouped(count as u64)),
    };
    let programs = match served.first() {
        Some((source, service, fixed)) if counts.fixed > *fixed => {
            format!("{}, {fixed} of them in {source}, which {service} runs", known(counts.fixed))
        }
        Some((source, service, _)) => format!("{} in {source}, which {service} runs", known(counts.fixed)),
        None => known(counts.fixed),
    };
    let kernel = grouped(counts.fixed_kernel as u64);
    let what = match (counts.fixed, counts.fixed_kernel) {
        (0, 0) if kind == Kind::Security => "it holds security updates that name no issue".to_owned(),
        (0, 0) => "it fixes no known security issue".to_owned(),
        (_, 0) => format!("it fixes {programs}"),
        (0, _) => format!("it fixes {} in the kernel", known(counts.fixed_kernel)),
        (..) => format!("it fixes {programs}, and {kernel} more in the kernel"),
    };
    if basis.old.definition.is_none() || basis.new.definition.is_none() {
        let sources = counted(basis.sources.len(), "source package", "source packages");
        let files = counted(basis.files.changes.len(), "path", "paths");
        return format!("{new} differs from {old} in {sources} and {files}: {what}.");
    }
    match urgency {
        Urgency::High => format!("Everyone who runs {old} should install {new} within days: {what}."),
        Urgency::Soon => {
            format!("Everyone who runs {old} should install {new} in the next maintenance window: {what}.")
        }
        Urgency::Routine | Urgency::None => {
            format!("Whoever runs {old} can install {new} when it suits: {what}.")
        }
    }
}

/// Sources with fixes that a service of the appliance runs: what the maker chose first, then what is nearest to the service.
fn served<'a>(basis: &Basis<'a>) -> Vec<(&'a str, &'a str, usize)> {
    let mut served = Vec::new();
    for source in
        basis.sources.iter().filter(|source| source.layer != Layer::Kernel && !source.touched.is_empty())
    {
        let ids = fixes(basis).filter(|issue| issue.source == source.name).count();
        let steps: Vec<&str> = source.reached.as_deref().unwrap_or_default().split(" → ").collect();
        if let (1.., [service, _, ..]) = (ids, steps.as_slice()) {
            served.push(((source.layer, steps.len()), (source.name.as_str(), *service, ids)));
        }
    }
    served.sort_by_key(|(key, (_, _, ids))| (*key, std::cmp::Reverse(*ids)));
    served.into_iter().map(|(_, it)| it).collect()
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
    SecurityOnly { proven: true, reasons }
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

/// Whether `one` is an older version than `other`; texts that are no versions have no order.
fn is_older(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<release::version::Version>().ok();
    parse(one).zip(parse(other)).is_some_and(|(one, other)| one < other)
}
