//! Checks that need the files beside a definition, and the one that needs the packages.
//!
//! Owns what to look for. Refuses I/O: files come through [`Surroundings`], which callers implement, and packages as the
//! names of their units.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::definition::{self, Definition, Probe};
use crate::parse::Parsed;
use crate::problem::{File, Problem};
use crate::settings::Setting;
use crate::suggest::nearest;
use crate::template::{TEMPLATE_LIMIT, Template, locate, variable};

/// Longest file of what an appliance trusts: it is in every image, and read before anything is believed.
const TRUST_LIMIT: usize = 16 << 10;

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
}

/// The folder a definition lies in.
///
/// Implementers MUST resolve paths below that folder only and follow no symbolic link out of it. Callers of the trait
/// pass relative paths without `..`.
pub trait Surroundings {
    /// What lies at a path; `None` when nothing does, or something else than a file or a folder.
    fn kind(&self, path: &str) -> Option<Kind>;

    /// The bytes of a file.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

/// Checks what a definition says against the files beside it.
pub fn check(parsed: &Parsed, surroundings: &dyn Surroundings) -> Vec<Problem> {
    let definition = &parsed.definition;
    let mut check = Check { parsed, surroundings, problems: Vec::new() };
    for index in 0..definition.files.len() {
        let source = &definition.files[index].source;
        check.source(&format!("files[{index}].source"), source, &[Kind::File, Kind::Directory]);
    }
    for (index, unit) in definition.units.add.iter().enumerate() {
        check.source(&format!("units.add[{index}]"), unit, &[Kind::File]);
    }
    for (index, template) in definition.templates.iter().enumerate() {
        let path = format!("templates[{index}].source");
        if check.source(&path, &template.source, &[Kind::File]) {
            check.template(&path, template);
        }
    }
    for (index, document) in definition.sbom.merge.iter().enumerate() {
        check.source(&format!("sbom.merge[{index}]"), document, &[Kind::File]);
    }
    for (key, source) in
        definition.trust.iter().flat_map(|it| [("root", Some(&it.root)), ("ledger", it.ledger.as_ref())])
    {
        if let Some(source) = source {
            check.trusted(&format!("trust.{key}"), source);
        }
    }
    check.problems
}

/// Units that a definition names and that neither it nor any package brings. `known` are the file names of all units in
/// the image, such as `apache2.service` and `getty@.service`.
pub fn unknown_units(parsed: &Parsed, known: &BTreeSet<String>) -> Vec<Problem> {
    let definition = &parsed.definition;
    let added = added_units(definition);
    missing_units(definition, known)
        .into_iter()
        .filter_map(|(path, unit)| {
            let near = nearest(unit, added.iter().copied().chain(known.iter().map(String::as_str)));
            let hint = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    "add it below `[units] add`, or the package that has it below `[base] packages`".into()
                }
            };
            let message = format!("no package and no file of yours brings the unit `{unit}`");
            Some(Problem::new(parsed.spans.value(&path)?, message).hint(hint))
        })
        .collect()
}

/// The same without places: where the definition names each unit that is missing, and the unit.
pub fn missing_units<'d>(definition: &'d Definition, known: &BTreeSet<String>) -> Vec<(String, &'d str)> {
    let added = added_units(definition);
    let is_known = |unit: &str| {
        let has = |name: &str| known.contains(name) || added.contains(name);
        has(unit) || instance_template(unit).is_some_and(|template| has(&template))
    };
    named_units(definition).into_iter().filter(|(_, unit)| !is_known(unit)).collect()
}

/// Names of the unit files beside the definition.
fn added_units(definition: &Definition) -> BTreeSet<&str> {
    definition.units.add.iter().map(|path| path.rsplit('/').next().unwrap_or_default()).collect()
}

struct Check<'c> {
    parsed: &'c Parsed,
    surroundings: &'c dyn Surroundings,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Reports at a value of the definition.
    fn report(&mut self, path: &str, message: String, hint: Option<String>) {
        let span = self.parsed.spans.value(path).unwrap_or(0..0);
        self.problems.push(Problem::new(span, message).maybe_hint(hint));
    }

    /// Whether a source exists and is of the right kind.
    fn source(&mut self, path: &str, source: &str, kinds: &[Kind]) -> bool {
        match self.surroundings.kind(source) {
            Some(kind) if kinds.contains(&kind) => return true,
            Some(Kind::Directory) => {
                self.report(path, format!("`{source}` is a folder, and a file is expected"), None);
            }
            Some(Kind::File) => {
                self.report(path, format!("`{source}` is a file, and a folder is expected"), None);
            }
            None => {
                let hint = "paths are relative to the definition's folder".to_owned();
                self.report(path, format!("`{source}` does not exist beside the definition"), Some(hint));
            }
        }
        false
    }

    /// A file of what the appliance trusts: all of it is sealed into each image.
    fn trusted(&mut self, path: &str, source: &str) {
        if !self.source(path, source, &[Kind::File]) {
            return;
        }
        match self.surroundings.read(source) {
            Ok(bytes) if bytes.len() <= TRUST_LIMIT => {}
            Ok(_) => {
                self.report(path, format!("`{source}` is longer than {TRUST_LIMIT} bytes"), None);
            }
            Err(error) => self.report(path, format!("`{source}` can not be read: {error}"), None),
        }
    }

    fn template(&mut self, path: &str, template: &definition::Template) {
        let source = &template.source;
        let bytes = match self.surroundings.read(source) {
            Ok(bytes) if bytes.len() <= TEMPLATE_LIMIT => bytes,
            Ok(_) => {
                return self.report(
                    path,
                    format!("`{source}` is longer than a template can be: 1 MiB"),
                    None,
                );
            }
            Err(error) => return self.report(path, format!("`{source}` can not be read: {error}"), None),
        };
        let Ok(text) = String::from_utf8(bytes) else {
            return self.report(path, format!("`{source}` is not text in UTF-8"), None);
        };
        let text: Arc<str> = text.into();
        let beside = |span, message, hint| Problem {
            message,
            span,
            hint,
            file: File::Beside { path: source.clone(), text: text.clone() },
        };
        let definition = &self.parsed.definition;
        let parsed = match Template::parse(&text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let span = error.span.clone().unwrap_or_else(|| line_span(&text, error.line));
                let message = format!("the template can not be read: {error}");
                return self.problems.push(beside(span, message, None));
            }
        };
        let undeclared: Vec<_> =
            parsed.variables().iter().filter(|name| find(&definition.settings, name).is_none()).collect();
        for name in &undeclared {
            let span = locate(&text, name).unwrap_or(0..0);
            let message = format!("the template uses the setting `{name}`, which is not declared");
            self.problems.push(beside(span, message, Some(undeclared_hint(&definition.settings, name))));
        }
        if undeclared.is_empty()
            && let Err(error) = parsed.check_language(&definition.settings, &definition.appliance)
        {
            let span = error.span.clone().unwrap_or_else(|| line_span(&text, error.line));
            self.problems.push(beside(span, format!("the template can not be rendered: {error}"), None));
        }
    }
}

fn find<'s>(settings: &'s [Setting], name: &str) -> Option<&'s Setting> {
    settings.iter().find(|setting| variable(&setting.name) == *name)
}

fn undeclared_hint(settings: &[Setting], name: &str) -> String {
    let variables: Vec<_> = settings.iter().map(|setting| variable(&setting.name)).collect();
    let built_in = ["appliance", "hostname"];
    match nearest(name, variables.iter().map(String::as_str).chain(built_in)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("declare it in the definition as `[settings.{}]`", name.replace('_', "-")),
    }
}

/// Every place that names a unit, with the unit.
fn named_units(definition: &definition::Definition) -> Vec<(String, &str)> {
    let units = &definition.units;
    let mut lists: Vec<(String, &[String])> = vec![
        ("units.enable".into(), &units.enable),
        ("units.disable".into(), &units.disable),
        ("units.mask".into(), &units.mask),
        ("units.unhardened".into(), &units.unhardened),
    ];
    for (index, setting) in definition.settings.iter().enumerate() {
        lists.push((format!("settings[{index}].restarts"), &setting.restarts));
        lists.push((format!("settings[{index}].reloads"), &setting.reloads));
    }
    let mut named: Vec<(String, &str)> = lists
        .into_iter()
        .flat_map(|(path, list)| {
            list.iter().enumerate().map(move |(index, unit)| (format!("{path}[{index}]"), unit.as_str()))
        })
        .collect();
    for (index, check) in definition.health.iter().enumerate() {
        if let Probe::Unit { unit } = &check.probe {
            named.push((format!("health[{index}].unit"), unit));
        }
    }
    named
}

/// `getty@.service` for `getty@tty1.service`.
fn instance_template(unit: &str) -> Option<String> {
    let (name, kind) = unit.rsplit_once('.')?;
    let (name, _) = name.split_once('@')?;
    Some(format!("{name}@.{kind}"))
}

/// Bytes of a line, counted from 1; of the first one when it is not known.
fn line_span(text: &str, line: Option<usize>) -> std::ops::Range<usize> {
    let wanted = line.unwrap_or(1).saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(wanted).map(str::len).sum();
    let length = text[start..].lines().next().map_or(0, str::len);
    start..start + length
}

#[cfg(test)]
#[path = "check_tests.rs"]
pub(crate) mod tests;
