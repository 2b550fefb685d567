//! Known issues, from changelogs and feeds, in classes of evidence.

use std::collections::{BTreeMap, BTreeSet};

use debian::Version;

use super::Evidence;
use super::layers::source_of;
use super::sources::{highest, is_in_image};
use crate::changelog;
use crate::facts::{Class, Finding, Issue, IssueCounts, Issues, Layer, Severity, SourceChange, Status, Step};
use crate::reach::Reach;
use crate::side::Side;

/// What is collected of one id in one source.
#[derive(Default)]
struct Heard {
    plain: bool,
    mentioned: bool,
    backwards: bool,
    /// Every sentence that names it is about other processors.
    elsewhere: bool,
    /// `(in old, in new)` as feeds say; the later feed does not overrule the earlier one: either is believed.
    feed: Option<(bool, bool)>,
    severity: Option<Severity>,
    findings: Vec<Finding>,
}

/// All issues that change or stay open.
pub fn issues(
    old: &Side<'_>,
    new: &Side<'_>,
    sources: &[SourceChange],
    evidence: &Evidence,
    reach: &Reach,
) -> Issues {
    let mut heard: BTreeMap<(String, String), Heard> = BTreeMap::new();
    for source in sources {
        listen_to_changelog(source, &mut heard);
    }
    let versions = [versions(old), versions(new)];
    for feed in &evidence.feeds {
        for record in &feed.records {
            let has = |versions: &BTreeMap<String, Version>| {
                versions.get(&record.source).is_some_and(|version| record.affected.has(version))
            };
            let (before, after) = (has(&versions[0]), has(&versions[1]));
            let key = (record.source.clone(), record.id.clone());
            // What was settled before the old release and is named nowhere is no news.
            if !before && !after && !heard.contains_key(&key) {
                continue;
            }
            let it = heard.entry(key).or_default();
            let (known_before, known_after) = it.feed.unwrap_or_default();
            it.feed = Some((before || known_before, after || known_after));
            it.severity = it.severity.max(record.severity);
            it.findings.push(Finding { at: feed.facts.name.clone(), text: record.text.clone() });
        }
    }
    let appliance = new.definition.as_ref().map(|definition| definition.appliance.id());
    let mut list: Vec<Issue> = heard
        .into_iter()
        .filter_map(|((source, id), it)| {
            let (status, class) = judge(&it)?;
            let side = if status == Status::Fixed { old } else { new };
            let vex = evidence.vex.iter().find(|it| it.is_about(&id, &source, appliance.as_deref()));
            let version =
                |index: usize| versions[index].get(&source).map(|version| version.as_str().to_owned());
            let known = sources.iter().find(|change| change.name == source);
            Some(Issue {
                status,
                class,
                old: version(0),
                new: version(1),
                findings: it.findings,
                severity: it.severity,
                in_image: match known {
                    _ if it.elsewhere => false,
                    Some(change) if status == Status::Fixed && change.new.is_some() => {
                        !change.touched.is_empty()
                    }
                    _ => is_in_image(side, &source),
                },
                reached: match known {
                    Some(change) => change.reached.clone(),
                    None => way(new, reach, &source),
                },
                vex: vex.map(|it| it.text.clone()),
                id,
                source,
            })
        })
        .collect();
    let kernels: BTreeSet<&str> = sources
        .iter()
        .filter(|source| source.layer == Layer::Kernel)
        .map(|source| source.name.as_str())
        .collect();
    list.sort_by(|one, other| {
        let key = |issue: &Issue| {
            (
                issue.status,
                !issue.in_image,
                issue.class == Class::Unclear,
                kernels.contains(issue.source.as_str()),
            )
        };
        key(one)
            .cmp(&key(other))
            .then_with(|| other.severity.cmp(&one.severity))
            .then_with(|| one.reached.is_none().cmp(&other.reached.is_none()))
            .then_with(|| one.source.cmp(&other.source))
            .then_with(|| natural(&one.id).cmp(&natural(&other.id)))
    });
    let counts = count(&list, &kernels, !evidence.feeds.is_empty());
    Issues { counts, list, feeds: evidence.feeds.iter().map(|feed| feed.facts.clone()).collect() }
}

fn listen_to_changelog(source: &SourceChange, heard: &mut BTreeMap<(String, String), Heard>) {
    for entry in &source.entries {
        let read = changelog::Entry {
            source: &source.name,
            version: &entry.version,
            distribution: &entry.distribution,
            urgency: &entry.urgency,
            is_rebuild: false,
            text: &entry.text,
            trailer: &entry.trailer,
        };
        for mention in read.mentions() {
            let it = heard.entry((source.name.clone(), mention.id)).or_default();
            it.elsewhere = mention.is_elsewhere && (it.elsewhere || !it.mentioned);
            it.mentioned = true;
            it.plain |= mention.is_plain;
            it.backwards |= source.step == Step::Older;
            let at = format!("changelog of {} {}", source.name, entry.version);
            it.findings.push(Finding { at, text: mention.sentence });
        }
    }
}

/// What becomes of an issue, and how well that is known; `None` when nothing does.
fn judge(it: &Heard) -> Option<(Status, Class)> {
    match (it.mentioned, it.feed) {
        // A step back brings back what the way forward fixed.
        (true, None) if it.backwards => {
            Some((Status::New, if it.plain { Class::Changelog } else { Class::Unclear }))
        }
        (true, None) => Some((Status::Fixed, if it.plain { Class::Changelog } else { Class::Unclear })),
        (true, Some((true, false))) => {
            Some((Status::Fixed, if it.plain { Class::Both } else { Class::Feed }))
        }
        (false, Some((true, false))) => Some((Status::Fixed, Class::Feed)),
        // The changelog says fixed, the feed says that the old version did not have it: both are shown.
        (true, Some((false, false))) => {
            Some((Status::Fixed, if it.plain { Class::Changelog } else { Class::Unclear }))
        }
        // The feed says that it is still there: nobody should believe in a fix.
        (true, Some((true, true))) => Some((Status::Open, Class::Unclear)),
        (false, Some((true, true))) => Some((Status::Open, Class::Feed)),
        (_, Some((false, true))) => Some((Status::New, Class::Feed)),
        (false, Some((false, false)) | None) => None,
    }
}

fn versions(side: &Side<'_>) -> BTreeMap<String, Version> {
    let mut packages: BTreeMap<String, Vec<&release::documents::PackageFacts>> = BTreeMap::new();
    for package in &side.packages {
        packages.entry(source_of(package)).or_default().push(package);
    }
    packages.into_iter().filter_map(|(source, list)| Some((source, highest(&list)?))).collect()
}

fn way(side: &Side<'_>, reach: &Reach, source: &str) -> Option<String> {
    let packages: BTreeSet<&str> = side
        .packages
        .iter()
        .filter(|package| source_of(package) == source)
        .map(|package| package.name.as_str())
        .collect();
    reach.way_to_packages(side, &packages).map(|way| way.join(" → "))
}

/// `CVE-2026-99` before `CVE-2026-100`.
fn natural(id: &str) -> (String, u64) {
    let (head, number) = id.rsplit_once('-').unwrap_or((id, ""));
    (head.to_owned(), number.parse().unwrap_or(u64::MAX))
}

fn count(list: &[Issue], kernels: &BTreeSet<&str>, has_feed: bool) -> IssueCounts {
    let ids = |keep: &dyn Fn(&&Issue) -> bool| {
        list.iter().filter(keep).map(|issue| issue.id.as_str()).collect::<BTreeSet<&str>>().len()
    };
    let is_kernel = |issue: &Issue| kernels.contains(issue.source.as_str());
    let is_fix = |issue: &Issue| issue.status == Status::Fixed && issue.in_image;
    // What Debian calls unimportant, and what somebody says does not apply, stays listed and is not counted.
    let counts = |issue: &Issue| {
        issue.in_image && issue.severity != Some(Severity::Unimportant) && issue.vex.is_none()
    };
    let of_feed = |status: Status| ids(&|issue| issue.status == status && counts(issue));
    let backwards = list.iter().any(|issue| issue.status == Status::New);
    IssueCounts {
        fixed: ids(&|issue| is_fix(issue) && issue.class != Class::Unclear && !is_kernel(issue)),
        fixed_kernel: ids(&|issue| is_fix(issue) && issue.class != Class::Unclear && is_kernel(issue)),
        unclear: ids(&|issue| is_fix(issue) && issue.class == Class::Unclear),
        fixed_elsewhere: ids(&|issue| issue.status == Status::Fixed && !issue.in_image),
        open: has_feed.then(|| of_feed(Status::Open)),
        new: (has_feed || backwards).then(|| of_feed(Status::New)),
    }
}
