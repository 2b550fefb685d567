//! Components for people.

use std::collections::{BTreeMap, BTreeSet};

use sbom::Kind;
use sbom::cyclonedx::{Document, LicenceChoice, Part};

use super::{counted, harmless, table as rows_of};

/// Longest licence in a row.
const LICENCE_WIDTH: usize = 36;

/// What the release is made of: a sentence for each kind, then a row for each component.
pub fn table(document: &Document) -> String {
    let appliance = &document.metadata.component;
    let mut text = format!(
        "{} {} ({}), packages as of {}\n\n",
        harmless(appliance.property("title").unwrap_or(&appliance.name)),
        harmless(&appliance.version),
        harmless(&format!("{}/{}", appliance.group, appliance.name)),
        &document.metadata.timestamp,
    );
    text.push_str(&summary(document));
    let head = ["component", "version", "kind", "licence", "files", "source"].map(str::to_owned).to_vec();
    let mut present: Vec<&Part> =
        document.components.iter().filter(|part| part.scope != "excluded").collect();
    present.sort_by_key(|part| (rank(kind_of(part)), &part.name, &part.version));
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(present.into_iter().map(row)).collect();
    text.push('\n');
    text.push_str(&rows_of(&rows));
    text
}

fn kind_of(part: &Part) -> Kind {
    part.property("kind").and_then(Kind::from_name).unwrap_or_default()
}

/// The maker's own first: that is what a reader can not look up elsewhere.
fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Application => 0,
        Kind::Claimed => 1,
        Kind::Debian => 2,
        Kind::Language => 3,
        Kind::Generator => 4,
        Kind::Ampoule => 5,
        Kind::OperatingSystem => 6,
    }
}

fn summary(document: &Document) -> String {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let (mut sources, mut excluded, mut unlicensed, mut paths) = (BTreeSet::new(), 0, 0, 0);
    for part in &document.components {
        paths += paths_of(part);
        if part.scope == "excluded" {
            excluded += 1;
            continue;
        }
        *counts.entry(kind_of(part)).or_default() += 1;
        sources.extend(part.property("source"));
        unlicensed += usize::from(kind_of(part) == Kind::Debian && part.licenses.is_empty());
    }
    let count = |kind: Kind| counts.get(&kind).copied().unwrap_or_default();
    let packages = counted(count(Kind::Debian), "Debian package", "Debian packages");
    let mut lines = vec![format!(
        "{packages} of {}; {} of them without a licence that programs can read",
        counted(sources.len(), "source", "sources"),
        unlicensed
    )];
    if excluded > 0 {
        let were = counted(excluded, "more helped", "more helped");
        lines.push(format!("{were} to build the image and left nothing in it (scope `excluded`)"));
    }
    let others = [
        (Kind::Application, "part of the application", "parts of the application"),
        (Kind::Language, "package of a language", "packages of languages"),
        (Kind::Claimed, "known from the maker's documents", "known from the maker's documents"),
        (Kind::Generator, "generator", "generators"),
    ];
    let others = others.into_iter().filter(|(kind, ..)| count(*kind) > 0);
    lines.extend(others.map(|(kind, one, many)| counted(count(kind), one, many)));
    lines.push(format!("{}, each of exactly one component", counted(paths, "path", "paths")));
    lines.into_iter().map(|line| line + "\n").collect()
}

fn row(part: &Part) -> Vec<String> {
    let licence = part.licenses.first().map(LicenceChoice::expression).unwrap_or_default();
    let licence = match licence.chars().count() > LICENCE_WIDTH {
        true => licence.chars().take(LICENCE_WIDTH - 1).chain(['…']).collect(),
        false => licence.to_owned(),
    };
    let source = match (part.property("source"), part.property("source-version"), part.property("claimed-by"))
    {
        (Some(name), Some(version), _) if (name, version) != (&part.name, &part.version) => {
            format!("{name} {version}")
        }
        (_, _, Some(document)) => format!("claimed by {document}"),
        _ => String::new(),
    };
    let kind = part.property("kind").unwrap_or_default();
    let files = part.evidence.as_ref().map_or(0, |evidence| {
        let is_file = |context: &str| context != "directory";
        evidence.occurrences.iter().filter(|it| it.location.starts_with('/') && is_file(&it.context)).count()
    });
    [part.name.as_str(), &part.version, kind, &licence, &files.to_string(), &source].map(harmless).to_vec()
}

fn paths_of(part: &Part) -> usize {
    let occurrences = part.evidence.iter().flat_map(|evidence| &evidence.occurrences);
    occurrences.filter(|it| it.location.starts_with('/')).count()
}
