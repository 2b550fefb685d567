//! The comparison of two sides: what changed, what it fixes, and what follows from that. Pure.

use model::Definition;
use release::documents::PackageFacts;
use release::inspect::Verified;
use tree::Node;

use crate::facts::{Bulletin, Claim, FORMAT, Proof, Subject};
use crate::feed::{Feed, Question};
use crate::reach::Reach;
use crate::rebuilds::{self, Rebuild};
use crate::side::Side;
use crate::vex::NotAffected;

mod detail;
pub(crate) mod files;
mod issues;
mod layers;
mod sources;
mod topics;
mod verdict;

pub(crate) use detail::is_note;
pub use layers::{source_of, source_version_of};

/// What is known from outside of the two releases.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Feeds, read for the [`question`] of these two sides.
    pub feeds: Vec<Feed>,
    /// Statements that something does not apply.
    pub vex: Vec<NotAffected>,
    /// What the maker says of the release.
    pub notes: Option<String>,
    /// Bytes of the patch that leads from the old release to the new one.
    pub download: Option<u64>,
    /// Who rebuilt the new release. MUST be about it: see [`Rebuild::is_of`].
    pub rebuilds: Vec<Rebuild>,
}

/// What has to be asked of feeds for these two sides.
pub fn question(old: &Side<'_>, new: &Side<'_>) -> Question {
    let packages = old.packages.iter().chain(&new.packages);
    Question { sources: packages.map(source_of).collect(), suite: suite_of(new).unwrap_or_default() }
}

/// Compares.
pub fn compare(old: &Side<'_>, new: &Side<'_>, evidence: &Evidence) -> Bulletin {
    let layers = layers::Layers::of(old, new);
    let reach = Reach::of(new);
    let files = files::files(old, new, &layers);
    let mut sources = sources::sources((old, new), &files, &layers, &reach);
    let issues = issues::issues(old, new, &sources, evidence, &reach);
    sources::sort(&mut sources, &issues);
    let topics = topics::topics(old, new, &files);
    let verdict = verdict::verdict(&verdict::Basis {
        old,
        new,
        files: &files,
        sources: &sources,
        issues: &issues,
        topics: &topics,
        download: evidence.download,
    });
    Bulletin {
        format: FORMAT,
        old: subject(old),
        new: subject(new),
        verdict,
        unknown: unknown(old, new, &sources, evidence),
        issues,
        sources,
        topics,
        files,
        claims: claims(old, new, evidence),
        proof: proof(old, new, evidence),
    }
}

fn subject(side: &Side<'_>) -> Subject {
    let definition = side.definition.as_ref();
    let os_release =
        side.text("usr/lib/os-release").or_else(|| side.text("etc/os-release")).unwrap_or_default();
    let field = |name: &str| os_field(&os_release, name);
    let verified = match &side.verified {
        Some(Verified::Yes) => "yes".to_owned(),
        Some(Verified::No(why)) => why.clone(),
        None => "there is no root hash to compare with".to_owned(),
    };
    let pretty = || field("PRETTY_NAME").map(|name| format!("{} ({name})", side.label));
    Subject {
        title: definition
            .map(|definition| definition.appliance.title.clone())
            .or_else(pretty)
            .unwrap_or_else(|| side.label.clone()),
        appliance: definition.map(|definition| definition.appliance.id()),
        version: definition.map(|definition| definition.appliance.version.clone()),
        release: side.release,
        root_hash: side.root_hash,
        verified,
        root_size: side.root_size,
        paths: side.tree.entries.len() as u64,
        packages: side.packages.iter().filter(|package| package.files > 0).count() as u64,
        system: field("ID")
            .map(|id| format!("{id} {}", field("VERSION_CODENAME").unwrap_or_default()).trim().to_owned()),
        date: side.lock.as_ref().map(|lock| lock.date().to_string()),
        end_of_support: definition.and_then(|definition| definition.appliance.end_of_support.clone()),
    }
}

fn os_field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// Code name of the Debian suite.
pub fn suite_of(side: &Side<'_>) -> Option<String> {
    let of_definition = side.definition.as_ref().map(|definition| definition.base.suite.clone());
    of_definition.or_else(|| {
        let text = side.text("usr/lib/os-release").or_else(|| side.text("etc/os-release"))?;
        os_field(&text, "VERSION_CODENAME")
    })
}

fn claims(old: &Side<'_>, new: &Side<'_>, evidence: &Evidence) -> Vec<Claim> {
    let maker = |definition: &Definition| format!("the maker, {}", definition.appliance.vendor);
    let mut claims = Vec::new();
    if let Some(definition) = &new.definition {
        let appliance = &definition.appliance;
        let mut say = |about: &str, text: &str| {
            claims.push(Claim { by: maker(definition), about: about.to_owned(), text: text.to_owned() });
        };
        if let Some(notes) = &evidence.notes {
            say("this release", notes);
        }
        say("what it is", &appliance.summary);
        if let Some(end) = &appliance.end_of_support {
            say("last day of support", end);
        }
        if let Some(contact) = &appliance.contact {
            say("support", contact);
        }
    }
    if let (Some(before), Some(after)) = (&old.definition, &new.definition)
        && before.appliance.end_of_support != after.appliance.end_of_support
    {
        let text = before.appliance.end_of_support.clone().unwrap_or_else(|| "none".into());
        claims.push(Claim { by: maker(before), about: "last day of support, before".into(), text });
    }
    claims.extend(rebuilds::claims(&evidence.rebuilds));
    claims
}

fn proof(old: &Side<'_>, new: &Side<'_>, evidence: &Evidence) -> Vec<Proof> {
    let mut proof = Vec::new();
    for (name, side) in [("old", old), ("new", new)] {
        let subject = subject(side);
        if let Some(hash) = side.root_hash {
            let command = Some(format!("ampoule inspect {}", side.label));
            proof.push(Proof {
                what: format!("root hash of the {name} release"),
                value: hash.to_string(),
                command,
            });
            let value = match subject.verified.as_str() {
                "yes" => "every block was read and belongs to the root hash".to_owned(),
                why => format!("NOT as its root hash says: {why}"),
            };
            proof.push(Proof { what: format!("image of the {name} release"), value, command: None });
        }
        if let Some(release) = side.release {
            proof.push(Proof {
                what: format!("identity of the {name} release"),
                value: release.to_string(),
                command: None,
            });
        }
        proof.push(Proof {
            what: format!("tree of the {name} release"),
            value: tree::listing::digest(&without_origins(side)).to_string(),
            command: None,
        });
    }
    proof.extend(rebuilds::proofs(&evidence.rebuilds));
    proof.push(Proof {
        what: "this bulletin, made again".to_owned(),
        value: "the same two releases and feeds give the same bytes".to_owned(),
        command: Some(format!("ampoule bulletin {} {}", old.label, new.label)),
    });
    proof
}

/// The digest of a tree speaks of bytes; where they came from is told elsewhere.
fn without_origins(side: &Side<'_>) -> tree::Tree {
    let mut tree = side.tree.clone();
    for entry in tree.entries.values_mut() {
        entry.origin = tree::Origin::Generator(crate::side::UNKNOWN_ORIGIN.into());
    }
    tree
}

fn unknown(
    old: &Side<'_>,
    new: &Side<'_>,
    sources: &[crate::facts::SourceChange],
    evidence: &Evidence,
) -> Vec<String> {
    let mut unknown = Vec::new();
    if evidence.feeds.is_empty() {
        unknown.push(
            "No feed of known issues was given, so what is still open is not known: add `--feed FILE` with Debian's security tracker or OSV"
                .to_owned(),
        );
    }
    let day = |side: &Side<'_>| side.lock.as_ref().map(|lock| lock.date().to_string()[..10].to_owned());
    for feed in &evidence.feeds {
        if let (Some(date), Some(day)) = (&feed.facts.date, day(new))
            && date.get(..10).is_some_and(|date| date < day.as_str())
        {
            unknown.push(format!(
                "The feed `{}` is from {date}, before the packages of the new release ({day}): it can not know everything about them",
                feed.facts.name
            ));
        }
    }
    let without: Vec<&str> = sources
        .iter()
        .filter(|source| source.without_entries.is_some())
        .map(|source| source.name.as_str())
        .collect();
    if !without.is_empty() {
        let names = without.iter().take(8).copied().collect::<Vec<_>>().join(", ");
        let more = without.len().saturating_sub(8);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        unknown.push(format!("No changelog tells what changed in {names}{more}"));
    }
    for side in [old, new] {
        if side.packages.is_empty() {
            unknown.push(format!(
                "`{}` has no list of Debian packages, so only its files are compared",
                side.label
            ));
        }
        let nobody = side
            .tree
            .entries
            .values()
            .filter(|entry| files::is_unknown(&entry.origin) && entry.node != Node::Directory)
            .count();
        if side.definition.is_some() && nobody > 0 {
            unknown.push(format!("{nobody} files of `{}` do not say where they come from", side.label));
        }
        if matches!(side.verified, Some(Verified::No(_))) {
            unknown.push(format!(
                "The image of `{}` is not what its root hash says: it was changed or damaged",
                side.label
            ));
        }
    }
    unknown
}

/// The topic of one question.
pub(crate) fn topics_of(
    topics: &[crate::facts::Topic],
    id: crate::facts::TopicId,
) -> Option<&crate::facts::Topic> {
    topics.iter().find(|topic| topic.id == id)
}

/// Whether a package has a part in the running system.
pub(crate) fn is_present(package: &PackageFacts) -> bool {
    package.files > 0
}
