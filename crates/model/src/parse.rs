//! Reading `appliance.toml`: text in, a definition with places out, or everything that is wrong with it.
//!
//! Owns the walk over the TOML tree along the table in [`crate::describe`]: unknown keys, missing keys, wrong types,
//! texts that break their rule. Rules between keys follow in `relations`. Refuses the files beside the definition:
//! [`mod@crate::check`] looks at them.
//!
//! The walk makes JSON of the shape that [`Definition`] reads, so that a key is described once and nowhere copied by hand.

mod scalar;
mod walk;

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

pub(crate) use self::scalar::default_value;
use self::walk::Walk;
use crate::definition::Definition;
use crate::describe::{Form, Section};
use crate::problem::Problem;
use crate::relations;

/// Longest definition in bytes. Stops a file given by mistake from taking all memory and time.
pub const TEXT_LIMIT: usize = 1 << 20;
/// Most entries of one list or section. Stops a generated definition from making the checks between entries slow.
pub const ENTRY_LIMIT: usize = 1000;
/// Most problems reported. Stops a file that is no definition at all from filling the screen and the memory.
pub const PROBLEM_LIMIT: usize = 500;

/// A definition and where each part of it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub definition: Definition,
    /// Where it says so.
    pub spans: Spans,
}

/// Places in the definition's text by path: `appliance.vendor`, `files[1].target`, `base.packages[3]`, `settings[0].default`.
/// Entries of `[settings.NAME]` are counted like the others, from 0 in the order they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spans {
    values: BTreeMap<String, Range<usize>>,
    headers: BTreeMap<String, Range<usize>>,
}

impl Spans {
    /// Bytes of a value. `None` when it was not written, or not readable.
    pub fn value(&self, path: &str) -> Option<Range<usize>> {
        self.values.get(path).cloned()
    }

    /// Bytes of a table's header or key: `appliance`, `files[1]`, `settings[0]`.
    pub fn header(&self, path: &str) -> Option<Range<usize>> {
        self.headers.get(path).cloned()
    }
}

/// Reads a definition.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    if text.len() > TEXT_LIMIT {
        let message = format!("a definition has at most {TEXT_LIMIT} bytes; this one has {}", text.len());
        return Err(vec![Problem::new(0..0, message)]);
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let mut walk = Walk { text, problems: Vec::new(), spans: Spans::default() };
    if !errors.is_empty() {
        // What the parser made of broken text would only add problems that are none.
        walk.problems = errors.iter().map(syntax_problem).collect();
        return Err(walk.finish());
    }
    let json = walk.document(tree.get_ref());
    let definition: Definition = match serde_json::from_value(json) {
        Ok(definition) => definition,
        Err(error) => {
            // Reached only where the walk left a hole for something it has reported, or where the table and the
            // structs differ, which a test excludes.
            if walk.problems.is_empty() {
                walk.report(Problem::new(0..0, format!("the definition can not be represented: {error}")));
            }
            return Err(walk.finish());
        }
    };
    let parsed = Parsed { definition, spans: walk.spans.clone() };
    walk.problems.extend(relations::check(&parsed));
    if walk.problems.is_empty() { Ok(parsed) } else { Err(walk.finish()) }
}

fn syntax_problem(error: &toml::de::Error) -> Problem {
    Problem::new(error.span().unwrap_or(0..0), format!("this is not TOML: {}", error.message()))
}

/// A section as it is written in TOML, in backticks.
pub(crate) fn header(section: &Section) -> String {
    match section.form {
        Form::Table => format!("`[{}]`", section.name),
        Form::List => format!("`[[{}]]`", section.name),
        Form::Named => format!("`[{}.NAME]`", section.name),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
