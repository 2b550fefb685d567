//! Where a path, a package or an issue comes from, since when, and why it is there. Pure.
//!
//! "Why" is followed in the bits, which program links which library, and in the packages' dependencies, where the release's
//! documents tell them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use debian::Version;
use release::documents::{PackageFacts, origin_text};
use serde::Serialize;
use tree::{Node, Origin, TreePath};

use crate::changelog;
use crate::compare::{source_of, source_version_of};
use crate::feed::Feed;
use crate::papers::changelogs;
use crate::reach::{Reach, needed};
use crate::side::Side;

/// Larger programs are not looked into.
const PROGRAM_LIMIT: u64 = 128 << 20;
/// Names listed of those that use something.
const SHOWN: usize = 12;

/// An answer: what was asked about, and lines of label and text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// `path`, `package` or `issue`.
    pub kind: &'static str,
    /// What was asked.
    pub what: String,
    /// Label and text, in order.
    pub lines: Vec<(String, String)>,
}

impl Explanation {
    fn new(kind: &'static str, what: &str) -> Self {
        Self { kind, what: what.to_owned(), lines: Vec::new() }
    }

    fn say(&mut self, label: &str, text: impl Into<String>) {
        self.lines.push((label.to_owned(), text.into()));
    }
}

/// Explains; `None` when `side` has nothing of that name. `before` are earlier releases, the oldest first.
pub fn explain(what: &str, side: &Side<'_>, before: &[Side<'_>], feeds: &[Feed]) -> Option<Explanation> {
    if what.starts_with('/') {
        return path(what, side, before);
    }
    if changelog::issue_ids(what).first().is_some_and(|id| id == what) || what.starts_with("DSA-") {
        return issue(what, side, before, feeds);
    }
    package(what, side, before).or_else(|| path(what, side, before))
}

fn path(what: &str, side: &Side<'_>, before: &[Side<'_>]) -> Option<Explanation> {
    let path: TreePath = what.parse().ok()?;
    let entry = side.tree.entries.get(&path)?;
    let mut answer = Explanation::new("path", &path.to_string());
    answer.say(
        "from",
        match &entry.origin {
            Origin::Package(name) => match side.packages.iter().find(|package| package.name == *name) {
                Some(package) => package_text(package),
                None => format!("package {name}"),
            },
            other => origin_text(other).replacen(':', " ", 1),
        },
    );
    if let Some(content) = side.content(&path) {
        answer.say("sha256", content.sha256.to_string());
    }
    let reach = Reach::of(side);
    // A link is there for what it leads to.
    let target = match &entry.node {
        Node::Symlink { .. } => crate::reach::resolve(side, what),
        _ => Some(path.clone()),
    };
    if let Some(target) = &target
        && *target != path
    {
        answer.say("leads to", target.to_string());
    }
    match target.as_ref().and_then(|target| reach.way(target)) {
        Some(way) => answer.say("runs in", way.join(" → ")),
        None if is_program(side, &path) => {
            answer
                .say("runs in", "no service of the appliance links it (what is opened by name is not seen)");
        }
        None => {}
    }
    if let Origin::Package(name) = &entry.origin {
        why(name, side, &mut answer);
    }
    since(&mut answer, side, before, &|side| {
        let entry = side.tree.entries.get(&path)?;
        let now = side.content(&path).map(|content| content.sha256);
        let version = match &entry.origin {
            Origin::Package(name) => side.packages.iter().find(|package| package.name == *name),
            _ => None,
        };
        let digest = now.map(|digest| digest.to_string()[..16].to_owned());
        let of = version.map(|package| format!(", {} {}", package.name, package.version)).unwrap_or_default();
        Some(format!("{}{of}", digest.unwrap_or_else(|| "no content of its own".into())))
    });
    Some(answer)
}

fn is_program(side: &Side<'_>, path: &TreePath) -> bool {
    side.bytes(path, PROGRAM_LIMIT).is_some_and(|bytes| bytes.starts_with(&object::elf::ELFMAG))
}

fn package_text(package: &PackageFacts) -> String {
    let suite = if package.suite.is_empty() { String::new() } else { format!(", from {}", package.suite) };
    format!(
        "package {} {}, source {} {}{suite}",
        package.name,
        package.version,
        source_of(package),
        source_version_of(package)
    )
}

fn package(what: &str, side: &Side<'_>, before: &[Side<'_>]) -> Option<Explanation> {
    let found: Vec<&PackageFacts> =
        side.packages.iter().filter(|package| package.name == what || source_of(package) == what).collect();
    let exact: Vec<&PackageFacts> = found.iter().copied().filter(|package| package.name == what).collect();
    let found = if exact.is_empty() { found } else { exact };
    let first = found.first()?;
    let mut answer = Explanation::new("package", what);
    for package in found.iter().take(SHOWN) {
        let files = match package.files {
            0 => "no file of it in the image: it took part in the build only".to_owned(),
            files => format!("{files} files in the image"),
        };
        answer.say("is", format!("{}; {files}", package_text(package)));
    }
    why(&first.name, side, &mut answer);
    let names: BTreeSet<&str> = found.iter().map(|package| package.name.as_str()).collect();
    match Reach::of(side).way_to_packages(side, &names) {
        Some(way) => answer.say("runs in", way.join(" → ")),
        None => {
            answer.say("runs in", "no service of the appliance links it (what is opened by name is not seen)")
        }
    }
    since(&mut answer, side, before, &|side| {
        let package = side.packages.iter().find(|package| package.name == first.name)?;
        Some(package.version.clone())
    });
    Some(answer)
}

/// Why a package is there: asked for, essential, or linked by something that is.
fn why(name: &str, side: &Side<'_>, answer: &mut Explanation) {
    let locked = side.lock.as_ref().and_then(|lock| lock.package(name));
    if side.requested().contains(name) {
        answer.say("because", "the definition names it");
    }
    if locked.is_some_and(|package| package.essential) {
        answer.say("because", "Debian calls it essential: nothing is configured without it");
    }
    let needs = side.packages.iter().map(|package| {
        let record = side.papers.package(&package.name);
        let needed = record.map(|record| record.depends.iter().cloned().collect()).unwrap_or_default();
        (package.name.clone(), needed)
    });
    if let Some(way) = way(name, side, &needs.collect()) {
        answer.say("because", format!("needed: {}", way.join(" → ")));
    }
    let links = links(side);
    if let Some(way) = way(name, side, &links) {
        answer.say("because", format!("linked: {}", way.join(" → ")));
    }
    let users: Vec<&str> = links
        .iter()
        .filter(|(user, used)| user.as_str() != name && used.contains(name))
        .map(|(user, _)| user.as_str())
        .collect();
    if !users.is_empty() {
        let more = users.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        answer.say(
            "linked by",
            format!("{}{more}", users.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ")),
        );
    }
}

/// Which package links libraries of which others.
fn links(side: &Side<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let package_of = |path: &TreePath| match side.tree.entries.get(path).map(|entry| &entry.origin) {
        Some(Origin::Package(name)) => Some(name.as_str()),
        _ => None,
    };
    for path in side.tree.entries.keys().filter(|path| path.name().contains(".so")) {
        let target = crate::reach::resolve(side, path.as_str());
        if let Some(package) = target.as_ref().and_then(&package_of).or_else(|| package_of(path)) {
            owners.entry(path.name()).or_insert(package);
        }
    }
    let mut links: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, entry) in &side.tree.entries {
        let (Node::File(_), Origin::Package(package)) = (&entry.node, &entry.origin) else { continue };
        if entry.metadata.mode & 0o111 == 0 && !path.name().contains(".so") {
            continue;
        }
        let names = side.bytes(path, PROGRAM_LIMIT).map(|bytes| needed(&bytes)).unwrap_or_default();
        let used = names.iter().filter_map(|name| owners.get(name.as_str())).map(|owner| (*owner).to_owned());
        links.entry(package.clone()).or_default().extend(used);
    }
    links
}

/// The shortest chain from a package that the definition names; packages of one source count together.
fn way(name: &str, side: &Side<'_>, links: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let requested = side.requested();
    let sources: BTreeSet<String> = side
        .packages
        .iter()
        .filter(|package| requested.contains(package.name.as_str()))
        .map(source_of)
        .collect();
    let starts = side.packages.iter().filter(|package| sources.contains(&source_of(package)));
    let mut parents: BTreeMap<String, Option<String>> =
        starts.map(|package| (package.name.clone(), None)).collect();
    if parents.contains_key(name) {
        return None;
    }
    let mut queue: VecDeque<String> = parents.keys().cloned().collect();
    while let Some(at) = queue.pop_front() {
        for next in links.get(&at).into_iter().flatten() {
            if !parents.contains_key(next) {
                parents.insert(next.clone(), Some(at.clone()));
                queue.push_back(next.clone());
            }
        }
    }
    parents.get(name)?;
    let mut steps = vec![name.to_owned()];
    while let Some(Some(parent)) = parents.get(steps.last().map(String::as_str).unwrap_or_default()) {
        steps.push(parent.clone());
    }
    steps.reverse();
    Some(steps)
}

/// What a release says of something.
type Found<'a> = dyn Fn(&Side<'_>) -> Option<String> + 'a;

/// One line for each release in which it became what it is.
fn since(answer: &mut Explanation, side: &Side<'_>, before: &[Side<'_>], found: &Found<'_>) {
    if before.is_empty() {
        answer.say("since", "not known: name earlier releases with `--before`");
        return;
    }
    let mut last: Option<Option<String>> = None;
    for one in before.iter().chain([side]) {
        let now = found(one);
        if last.as_ref() != Some(&now) {
            let text = now.clone().unwrap_or_else(|| "not there".into());
            // The earliest release that was named need not be the first that has it.
            let or_earlier = if last.is_none() && now.is_some() { " or earlier" } else { "" };
            answer.say("since", format!("{}{or_earlier}: {text}", name_of(one)));
            last = Some(now);
        }
    }
}

fn name_of(side: &Side<'_>) -> String {
    match &side.definition {
        Some(definition) => definition.appliance.version.clone(),
        None => side.label.clone(),
    }
}

fn issue(id: &str, side: &Side<'_>, before: &[Side<'_>], feeds: &[Feed]) -> Option<Explanation> {
    let mut answer = Explanation::new("issue", id);
    let mut sources: BTreeMap<String, (Version, Vec<&PackageFacts>)> = BTreeMap::new();
    for package in &side.packages {
        let Ok(version) = source_version_of(package).parse::<Version>() else { continue };
        sources.entry(source_of(package)).or_insert_with(|| (version, Vec::new())).1.push(package);
    }
    for (source, (version, packages)) in &sources {
        let mut seen = BTreeSet::new();
        for text in changelogs(&side.papers, packages.iter().map(|package| package.name.as_str())) {
            for entry in changelog::entries(text) {
                let mention = entry.mentions().into_iter().find(|mention| mention.id == id);
                let (name, at) = changelog::advisory_name(entry.source, entry.version);
                if let Some(mention) = mention
                    && name == *source
                    && seen.insert(at.clone())
                {
                    let verb = if mention.is_plain { "fixed in" } else { "mentioned in" };
                    answer.say(verb, format!("{source} {at}: {}", mention.sentence));
                    tell_releases(&mut answer, source, &at, side, before);
                    let present = packages.iter().map(|package| package.files).sum::<u64>();
                    if present == 0 {
                        answer.say("here", format!("no file of {source} is in the image"));
                    }
                }
            }
        }
        for feed in feeds {
            for record in feed.records.iter().filter(|record| record.id == id && record.source == *source) {
                let word = if record.affected.has(version) { "has it" } else { "does not have it" };
                let severity =
                    record.severity.map(|severity| format!(", {}", severity.as_str())).unwrap_or_default();
                answer.say(
                    "feed",
                    format!(
                        "{}: {source} {version} {word}{severity}: {}",
                        feed.facts.name,
                        record.text,
                        version = version.as_str()
                    ),
                );
            }
        }
    }
    (!answer.lines.is_empty()).then_some(answer)
}

fn tell_releases(answer: &mut Explanation, source: &str, fixed: &str, side: &Side<'_>, before: &[Side<'_>]) {
    let Ok(fixed) = fixed.parse::<Version>() else { return };
    for one in before.iter().chain([side]) {
        let version = one
            .packages
            .iter()
            .filter(|package| source_of(package) == source)
            .filter_map(|package| source_version_of(package).parse::<Version>().ok())
            .max();
        let text = match version {
            None => "does not have the package".to_owned(),
            Some(version) if version < fixed => format!("{}: older than the fix", version.as_str()),
            Some(version) => format!("{}: has the fix", version.as_str()),
        };
        answer.say("release", format!("{} {text}", name_of(one)));
    }
}

/// The answer for terminals.
pub fn text(answer: &Explanation) -> String {
    let mut text = format!("{} {}\n", answer.kind, crate::render::safe::shown(&answer.what));
    let mut last = "";
    for (label, line) in &answer.lines {
        let shown = if label == last { "" } else { label };
        let line = crate::render::safe::line(&crate::render::safe::shown(line));
        text.push_str(&format!("  {shown:<12}{line}\n"));
        last = label;
    }
    text
}
