//! Gates: rules that a change must not break, for pipelines that decide by exit code.

use std::fmt;
use std::str::FromStr;

use crate::facts::{Bulletin, Change, Issue, Severity, Status, Step, TopicId};

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A file got a setuid or setgid bit or a capability.
    NewSetuid,
    /// A port or listening socket was opened.
    NewPort,
    /// A package is there that was not.
    NewPackage,
    /// A user or group is there that was not, or a password was set.
    NewUser,
    /// Something is started that was not.
    NewService,
    /// A program or the kernel lost a protection.
    RemovedHardening,
    /// An issue of at least this severity is open.
    OpenCve(Option<Severity>),
    /// An issue of at least this severity is new.
    NewCve(Option<Severity>),
    /// The change is not proven to be security fixes only.
    NotSecurityOnly,
    /// A changed path does not say where it comes from.
    UnknownOrigin,
}

/// The text is no rule.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is no rule: new-setuid, new-port, new-package, new-user, new-service, removed-hardening, open-cve[=SEVERITY], new-cve[=SEVERITY], not-security-only or unknown-origin is expected"
)]
pub struct RuleSyntax(String);

impl FromStr for Rule {
    type Err = RuleSyntax;

    fn from_str(text: &str) -> Result<Self, RuleSyntax> {
        let syntax = || RuleSyntax(text.chars().take(60).collect());
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(severity(value).ok_or_else(syntax)?)),
            None => (text, None),
        };
        match (name, value) {
            ("open-cve", severity) => Ok(Rule::OpenCve(severity)),
            ("new-cve", severity) => Ok(Rule::NewCve(severity)),
            ("new-setuid", None) => Ok(Rule::NewSetuid),
            ("new-port", None) => Ok(Rule::NewPort),
            ("new-package", None) => Ok(Rule::NewPackage),
            ("new-user", None) => Ok(Rule::NewUser),
            ("new-service", None) => Ok(Rule::NewService),
            ("removed-hardening", None) => Ok(Rule::RemovedHardening),
            ("not-security-only", None) => Ok(Rule::NotSecurityOnly),
            ("unknown-origin", None) => Ok(Rule::UnknownOrigin),
            _ => Err(syntax()),
        }
    }
}

fn severity(text: &str) -> Option<Severity> {
    [Severity::Low, Severity::Medium, Severity::High, Severity::Critical]
        .into_iter()
        .find(|one| one.as_str() == text)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, severity) = match self {
            Rule::NewSetuid => ("new-setuid", None),
            Rule::NewPort => ("new-port", None),
            Rule::NewPackage => ("new-package", None),
            Rule::NewUser => ("new-user", None),
            Rule::NewService => ("new-service", None),
            Rule::RemovedHardening => ("removed-hardening", None),
            Rule::OpenCve(severity) => ("open-cve", *severity),
            Rule::NewCve(severity) => ("new-cve", *severity),
            Rule::NotSecurityOnly => ("not-security-only", None),
            Rule::UnknownOrigin => ("unknown-origin", None),
        };
        match severity {
            Some(severity) => write!(f, "{name}={}", severity.as_str()),
            None => f.write_str(name),
        }
    }
}

/// A rule that is broken, by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// What breaks it.
    pub by: Vec<String>,
}

/// The rules that a bulletin breaks, in the order they were given.
///
/// A rule about issues is broken as well when no feed can tell: a gate that can not see does not open.
pub fn broken(bulletin: &Bulletin, rules: &[Rule]) -> Vec<Broken> {
    let broken = rules.iter().map(|rule| Broken { rule: *rule, by: breaks(bulletin, *rule) });
    broken.filter(|broken| !broken.by.is_empty()).collect()
}

fn breaks(it: &Bulletin, rule: Rule) -> Vec<String> {
    match rule {
        Rule::NewSetuid => widening(it, &[TopicId::Privileges]),
        Rule::NewPort => widening(it, &[TopicId::Network]),
        Rule::NewUser => widening(it, &[TopicId::Accounts]),
        Rule::NewService => widening(it, &[TopicId::Services, TopicId::Timers]),
        Rule::RemovedHardening => widening(it, &[TopicId::Hardening, TopicId::KernelOptions]),
        Rule::NewPackage => {
            let known: std::collections::BTreeSet<String> = it
                .sources
                .iter()
                .flat_map(|source| &source.packages)
                .filter(|package| package.new.is_none())
                .map(|package| without_digits(&package.name))
                .collect();
            let added = it
                .sources
                .iter()
                .flat_map(|source| source.packages.iter().map(move |package| (source, package)));
            added
                .filter(|(source, package)| {
                    // A kernel of another version is another package, and no new thing.
                    let is_successor =
                        source.step != Step::Added && known.contains(&without_digits(&package.name));
                    package.old.is_none() && !is_successor
                })
                .map(|(_, package)| package.name.clone())
                .collect()
        }
        Rule::OpenCve(least) => issues(it, Status::Open, least),
        Rule::NewCve(least) => issues(it, Status::New, least),
        Rule::NotSecurityOnly if it.verdict.security_only.proven => Vec::new(),
        Rule::NotSecurityOnly => it.verdict.security_only.reasons.clone(),
        Rule::UnknownOrigin => {
            let unknown =
                it.files.owners.iter().filter(|owner| owner.kind == crate::facts::OwnerKind::Unknown);
            unknown.map(|owner| format!("{} changed paths", owner.changes)).collect()
        }
    }
}

fn without_digits(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect()
}

fn widening(it: &Bulletin, topics: &[TopicId]) -> Vec<String> {
    let items = it.topics.iter().filter(|topic| topics.contains(&topic.id)).flat_map(|topic| &topic.items);
    items.filter(|item| item.widens && item.change != Change::Removed).map(|item| item.what.clone()).collect()
}

fn issues(it: &Bulletin, status: Status, least: Option<Severity>) -> Vec<String> {
    if it.issues.feeds.is_empty() {
        return vec!["no feed was given that could tell".to_owned()];
    }
    let counts = |issue: &&Issue| {
        let weighs = match (least, issue.severity) {
            (None, severity) => severity != Some(Severity::Unimportant),
            // Without a severity nobody can say that it is lower.
            (Some(_), None) => true,
            (Some(least), Some(severity)) => severity >= least,
        };
        issue.status == status && issue.in_image && issue.vex.is_none() && weighs
    };
    it.issues.list.iter().filter(counts).map(|issue| format!("{} in {}", issue.id, issue.source)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        for text in [
            "new-setuid",
            "open-cve",
            "open-cve=high",
            "new-cve=critical",
            "not-security-only",
            "unknown-origin",
        ] {
            assert_eq!(text.parse::<Rule>().map(|rule| rule.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "open-cve=", "open-cve=urgent", "new-setuid=high", "anything"] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }
}
