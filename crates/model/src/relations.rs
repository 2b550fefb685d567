//! Rules between the keys of a definition: duplicates, contradictions, references, forbidden places.
//!
//! Refuses the files beside it and the packages: [`mod@crate::check`] and the builder look at those. What the walk has already
//! reported has no place any more and is not judged twice.

mod places;
mod settings;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use crate::definition::Probe;
use crate::parse::{Parsed, Spans};
use crate::problem::Problem;

/// Everything that is wrong between keys.
pub(crate) fn check(parsed: &Parsed) -> Vec<Problem> {
    let mut findings = Findings { spans: &parsed.spans, problems: Vec::new() };
    check_duplicates(parsed, &mut findings);
    check_base(parsed, &mut findings);
    check_units(parsed, &mut findings);
    check_commands(parsed, &mut findings);
    places::check(parsed, &mut findings);
    settings::check(parsed, &mut findings);
    findings.problems
}

/// Collects problems at paths.
struct Findings<'p> {
    spans: &'p Spans,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    /// Reports at a value; silent when the value has no place.
    fn at(&mut self, path: &str, message: String, hint: Option<String>) {
        self.at_span(self.spans.value(path), message, hint);
    }

    /// Reports at the first of some places that exists.
    fn at_span(&mut self, span: Option<Range<usize>>, message: String, hint: Option<String>) {
        if let Some(span) = span {
            self.problems.push(Problem::new(span, message).maybe_hint(hint));
        }
    }

    /// Reports every value that was there before. Takes paths with their values.
    fn unique<K: Ord>(
        &mut self,
        entries: impl IntoIterator<Item = (String, K)>,
        message: impl Fn(&K) -> String,
    ) {
        let mut seen: BTreeMap<K, ()> = BTreeMap::new();
        for (path, key) in entries {
            if self.spans.value(&path).is_none() {
                continue;
            }
            match seen.entry(key) {
                Entry::Occupied(first) => {
                    self.at(&path, message(first.key()), Some("leave one of them out".into()));
                }
                Entry::Vacant(free) => {
                    free.insert(());
                }
            }
        }
    }
}

/// Paths of the items of a list with the items.
fn items<'a>(path: &'a str, list: &'a [String]) -> impl Iterator<Item = (String, &'a str)> {
    list.iter().enumerate().map(move |(index, item)| (format!("{path}[{index}]"), item.as_str()))
}

fn check_duplicates(parsed: &Parsed, findings: &mut Findings<'_>) {
    let definition = &parsed.definition;
    let base = &definition.base;
    let twice = |what: &'static str| move |name: &&str| format!("{what} `{name}` is there twice");
    findings.unique(items("base.packages", &base.packages), twice("the package"));
    findings.unique(items("base.extra-suites", &base.extra_suites), twice("the suite"));
    findings.unique(items("base.components", &base.components), twice("the component"));
    findings.unique(items("trim.keep", &definition.trim.keep), twice("the rule"));
    let users = definition.users.iter().enumerate();
    findings
        .unique(users.map(|(i, user)| (format!("users[{i}].name"), user.name.as_str())), twice("the user"));
    let checks = definition.health.iter().enumerate();
    findings.unique(
        checks.map(|(i, check)| (format!("health[{i}].name"), check.name.as_str())),
        twice("a health check of the name"),
    );
    let rules = definition.trim.rules.iter().enumerate();
    findings.unique(
        rules.map(|(i, rule)| (format!("trim.rules[{i}].name"), rule.name.as_str())),
        twice("a trim rule of the name"),
    );
    let ports = definition.ports.iter().enumerate();
    findings.unique(
        ports.map(|(i, port)| (format!("ports[{i}].port"), (port.port, port.protocol as u8))),
        |(port, _)| format!("the port {port} is declared twice"),
    );
}

fn check_base(parsed: &Parsed, findings: &mut Findings<'_>) {
    let base = &parsed.definition.base;
    for (path, extra) in items("base.extra-suites", &base.extra_suites) {
        let Some(part) = extra.strip_prefix(&base.suite).filter(|_| !base.suite.is_empty()) else { continue };
        let hint = match part.strip_prefix('-') {
            Some(part) => format!("write \"{part}\""),
            None => "leave it out".into(),
        };
        findings.at(
            &path,
            format!("`{extra}` has the code name, which extra suites are written without"),
            Some(hint),
        );
    }
}

fn check_units(parsed: &Parsed, findings: &mut Findings<'_>) {
    let units = &parsed.definition.units;
    let file_names = units
        .add
        .iter()
        .enumerate()
        .map(|(i, path)| (format!("units.add[{i}]"), path.rsplit('/').next().unwrap_or_default()));
    findings.unique(file_names, |name| format!("the unit `{name}` is added twice"));
    let wishes = [("enable", &units.enable), ("disable", &units.disable), ("mask", &units.mask)];
    let all = wishes.into_iter().flat_map(|(wish, list)| {
        items("", list).map(move |(index, unit)| (format!("units.{wish}{index}"), unit)).collect::<Vec<_>>()
    });
    findings.unique(all, |unit| {
        format!("the unit `{unit}` is named twice; it can be either enabled, disabled or masked")
    });
    findings.unique(items("units.unhardened", &units.unhardened), |unit| {
        format!("the unit `{unit}` is named twice")
    });
}

fn check_commands(parsed: &Parsed, findings: &mut Findings<'_>) {
    let mut program = |path: &str, command: &[String]| {
        if command.first().is_none_or(String::is_empty) {
            findings.at(path, "a command begins with a program".into(), None);
        }
    };
    if let Some(check) = &parsed.definition.settings_check {
        program("settings-check.command", &check.command);
    }
    for (index, check) in parsed.definition.health.iter().enumerate() {
        if let Probe::Command { command, .. } = &check.probe {
            program(&format!("health[{index}].command"), command);
        }
    }
    for (index, rule) in parsed.definition.trim.rules.iter().enumerate() {
        if rule.paths.is_empty() {
            findings.at(
                &format!("trim.rules[{index}].paths"),
                "a trim rule names at least one path".into(),
                None,
            );
        }
    }
}
