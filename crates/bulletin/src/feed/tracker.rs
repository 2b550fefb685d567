//! Debian's security tracker as JSON: source package, issue, releases by code name.

use std::collections::BTreeMap;
use std::fmt;

use debian::Version;
use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use super::{Affected, FeedError, Question, RECORD_LIMIT, Record};
use crate::facts::Severity;

#[derive(Deserialize)]
struct Issue {
    #[serde(default)]
    description: String,
    releases: BTreeMap<String, Release>,
}

#[derive(Deserialize)]
struct Release {
    status: String,
    fixed_version: Option<String>,
    urgency: Option<String>,
    nodsa: Option<String>,
}

/// Only the sources that are asked for are kept: the rest is skipped while it is read.
pub fn read(bytes: &[u8], question: &Question) -> Result<Vec<Record>, FeedError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let records = Sources(question).deserialize(&mut reader).map_err(FeedError::Json)?;
    reader.end().map_err(FeedError::Json)?;
    if records.len() > RECORD_LIMIT {
        return Err(FeedError::Limit("records"));
    }
    Ok(records)
}

struct Sources<'a>(&'a Question);

impl<'de> DeserializeSeed<'de> for Sources<'_> {
    type Value = Vec<Record>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Sources<'_> {
    type Value = Vec<Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("source packages with their issues")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::new();
        while let Some(source) = map.next_key::<String>()? {
            if !self.0.sources.contains(&source) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            for (id, issue) in map.next_value::<BTreeMap<String, Issue>>()? {
                if let Some(release) = issue.releases.get(&self.0.suite) {
                    records.extend(record(&source, id, &issue.description, release));
                }
            }
        }
        Ok(records)
    }
}

fn record(source: &str, id: String, description: &str, release: &Release) -> Option<Record> {
    let affected = match (release.status.as_str(), release.fixed_version.as_deref()) {
        ("open", _) => Affected::All,
        // Version 0 stands for "never affected".
        ("resolved", Some("0")) => Affected::Never,
        ("resolved", Some(version)) => Affected::Ranges(vec![(None, Some(version.parse::<Version>().ok()?))]),
        // `undetermined`, and what newer trackers may say.
        _ => return None,
    };
    let urgency = release.urgency.as_deref().unwrap_or_default().trim_end_matches('*');
    let severity = match urgency {
        "unimportant" => Some(Severity::Unimportant),
        "low" => Some(Severity::Low),
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        _ => None,
    };
    let mut text = description.to_owned();
    if let Some(reason) = release.nodsa.as_deref().filter(|reason| !reason.is_empty()) {
        text.push_str(&format!(" (no advisory of its own: {reason})"));
    }
    if urgency == "end-of-life" {
        text.push_str(" (Debian ended the support of this package)");
    }
    Some(Record { id, source: source.to_owned(), affected, severity, text })
}
