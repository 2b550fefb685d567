//! OSV records, ecosystem Debian: `affected[].package.name` is the source package, events are versions.

use std::collections::BTreeMap;

use debian::Version;
use serde::Deserialize;

use super::{Affected, FeedError, Question, RECORD_LIMIT, Record};
use crate::facts::Severity;

#[derive(Deserialize)]
struct OsvRecord {
    id: String,
    #[serde(default)]
    modified: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    details: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    upstream: Vec<String>,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(default)]
    severity: Vec<Score>,
    #[serde(default)]
    affected: Vec<AffectedPackage>,
}

#[derive(Deserialize)]
struct Score {
    #[serde(default)]
    score: String,
}

#[derive(Deserialize)]
struct AffectedPackage {
    package: Option<Package>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    ecosystem_specific: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    events: Vec<BTreeMap<String, String>>,
}

/// Debian's releases by code name; OSV writes numbers.
const RELEASES: [(&str, &str); 6] = [
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
];

/// Whether a JSON object looks like one record.
pub fn is_record(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Shape {
        #[allow(dead_code, reason = "only its presence is asked")]
        id: String,
        #[allow(dead_code, reason = "as above")]
        affected: Vec<serde::de::IgnoredAny>,
    }
    // The tracker's objects are large, and have neither key: reading stops at the first value of another shape only at its
    // end, so that a cheap look comes first.
    let head = &bytes[..bytes.len().min(1 << 20)];
    let has = |key: &[u8]| head.windows(key.len()).any(|window| window == key);
    has(b"\"affected\"") && serde_json::from_slice::<Shape>(bytes).is_ok()
}

/// Collects records.
pub struct Reader<'a> {
    question: &'a Question,
    ecosystem: Option<String>,
    records: Vec<Record>,
    newest: Option<String>,
}

impl<'a> Reader<'a> {
    /// For one question.
    pub fn new(question: &'a Question) -> Self {
        let number = RELEASES.iter().find(|(name, _)| *name == question.suite).map(|(_, number)| *number);
        Self {
            question,
            ecosystem: number.map(|number| format!("Debian:{number}")),
            records: Vec::new(),
            newest: None,
        }
    }

    /// One record.
    pub fn record(&mut self, bytes: &[u8]) -> Result<(), FeedError> {
        let record = serde_json::from_slice(bytes).map_err(FeedError::Json)?;
        self.add(record)
    }

    /// An array of records.
    pub fn list(&mut self, bytes: &[u8]) -> Result<(), FeedError> {
        let records: Vec<OsvRecord> = serde_json::from_slice(bytes).map_err(FeedError::Json)?;
        records.into_iter().try_for_each(|record| self.add(record))
    }

    /// Records and the newest time in them.
    pub fn end(self) -> (Vec<Record>, Option<String>) {
        (self.records, self.newest)
    }

    fn add(&mut self, osv: OsvRecord) -> Result<(), FeedError> {
        if self.newest.as_ref().is_none_or(|newest| *newest < osv.modified) && !osv.modified.is_empty() {
            self.newest = Some(osv.modified.clone());
        }
        if osv.withdrawn.is_some() {
            return Ok(());
        }
        // An advisory such as DSA-1-1 stands for several ids; each is an issue.
        let mut ids: Vec<String> =
            osv.aliases.iter().chain(&osv.upstream).filter(|id| id.starts_with("CVE-")).cloned().collect();
        if let Some(id) = osv.id.strip_prefix("DEBIAN-") {
            ids.push(id.to_owned());
        }
        if ids.is_empty() {
            ids.push(osv.id.clone());
        }
        ids.sort();
        ids.dedup();
        for affected in &osv.affected {
            let Some(package) = &affected.package else { continue };
            let is_ours = self.ecosystem.as_deref() == Some(package.ecosystem.as_str());
            if !is_ours || !self.question.sources.contains(&package.name) {
                continue;
            }
            let ranges = affected.ranges.iter().flat_map(|range| ranges_of(&range.events)).collect();
            let text = if osv.summary.is_empty() { &osv.details } else { &osv.summary };
            for id in &ids {
                if self.records.len() >= RECORD_LIMIT {
                    return Err(FeedError::Limit("records"));
                }
                self.records.push(Record {
                    id: id.clone(),
                    source: package.name.clone(),
                    affected: Affected::Ranges(Vec::clone(&ranges)),
                    severity: urgency(affected)
                        .or_else(|| osv.severity.iter().find_map(|score| severity(&score.score))),
                    text: text.lines().next().unwrap_or_default().to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn ranges_of(events: &[BTreeMap<String, String>]) -> Vec<(Option<Version>, Option<Version>)> {
    let (mut ranges, mut from) = (Vec::new(), None);
    for event in events {
        if let Some(version) = event.get("introduced") {
            from = Some(if version == "0" { None } else { version.parse::<Version>().ok() });
        }
        if let Some(version) = event.get("fixed")
            && let (Some(start), Ok(end)) = (from.take(), version.parse::<Version>())
        {
            ranges.push((start, Some(end)));
        }
    }
    if let Some(start) = from {
        ranges.push((start, None));
    }
    ranges
}

fn urgency(affected: &AffectedPackage) -> Option<Severity> {
    match affected.ecosystem_specific.as_ref()?.get("urgency")?.as_str()? {
        "unimportant" => Some(Severity::Unimportant),
        "low" => Some(Severity::Low),
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        _ => None,
    }
}

/// The word for a CVSS 3 vector, from its base metrics as FIRST's specification computes them; version 4 is not computed.
pub fn severity(vector: &str) -> Option<Severity> {
    let rest = vector.strip_prefix("CVSS:3.1/").or_else(|| vector.strip_prefix("CVSS:3.0/"))?;
    let metrics: BTreeMap<&str, &str> = rest.split('/').filter_map(|part| part.split_once(':')).collect();
    let value = |name: &str, table: &[(&str, f64)]| {
        let found = metrics.get(name)?;
        table.iter().find(|(key, _)| key == found).map(|(_, value)| *value)
    };
    let changed = *metrics.get("S")? == "C";
    let impact = [("H", 0.56), ("L", 0.22), ("N", 0.0)];
    let (c, i, a) = (value("C", &impact)?, value("I", &impact)?, value("A", &impact)?);
    let base = 1.0 - (1.0 - c) * (1.0 - i) * (1.0 - a);
    let impact =
        if changed { 7.52 * (base - 0.029) - 3.25 * (base - 0.02_f64).powi(15) } else { 6.42 * base };
    let privileges = if changed {
        [("N", 0.85), ("L", 0.68), ("H", 0.5)]
    } else {
        [("N", 0.85), ("L", 0.62), ("H", 0.27)]
    };
    let exploitability = 8.22
        * value("AV", &[("N", 0.85), ("A", 0.62), ("L", 0.55), ("P", 0.2)])?
        * value("AC", &[("L", 0.77), ("H", 0.44)])?
        * value("PR", &privileges)?
        * value("UI", &[("N", 0.85), ("R", 0.62)])?;
    let score = if impact <= 0.0 {
        0.0
    } else {
        let sum = impact + exploitability;
        ((if changed { 1.08 * sum } else { sum }).min(10.0) * 10.0).ceil() / 10.0
    };
    Some(match score {
        score if score >= 9.0 => Severity::Critical,
        score if score >= 7.0 => Severity::High,
        score if score >= 4.0 => Severity::Medium,
        _ => Severity::Low,
    })
}
