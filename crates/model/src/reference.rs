//! The reference of the definition, for people and for editors, made from the table in [`crate::describe`].

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};

use crate::describe::{Form, Key, Need, Rule, SECTIONS, SETTING_NAME, Section, SectionNeed, Type};
use crate::parse::{default_value, header};
use crate::settings::Kind;
use crate::settings::validate::rule;
use crate::size::ByteSize;

/// `docs/DEFINITION.md`: every section and key, in Markdown.
pub fn definition_reference() -> String {
    let mut out = String::from(
        "# The definition\n\n\
         <!-- Made by `model::reference::definition_reference`. A test compares; `UPDATE_DOCS=1 cargo test -p ampoule-model` writes it anew. -->\n\n\
         A definition is the file `appliance.toml` and the files beside it: all that a maker writes. It is TOML. `ampoule init` \
         writes a small working one, `ampoule check` reports everything that is wrong with one.\n\n\
         Paths of sources are relative to the definition's folder and stay below it. Paths in the appliance are absolute.\n\n\
         | section | what it says |\n|---|---|\n",
    );
    for section in SECTIONS {
        let first = section.about.split_inclusive(['.', ':', ';']).next().unwrap_or_default();
        let first = first.trim_end_matches([':', ';', '.']);
        line(&mut out, &format!("| [{}](#{}) | {first} |", header(section), anchor(section)));
    }
    for section in SECTIONS {
        write_section(&mut out, section);
    }
    out.push_str("\n## Types of settings\n\n| type | what a value has to be |\n|---|---|\n");
    for (name, words) in setting_types() {
        line(&mut out, &format!("| `{name}` | {words} |"));
    }
    out
}

/// `docs/appliance.schema.json`: JSON Schema, draft 2020-12, for editors that complete and check TOML.
///
/// It is never stricter than [`crate::parse()`], and knows less: rules between sections are not in it.
pub fn json_schema() -> Json {
    let mut properties = Map::new();
    for section in SECTIONS.iter().filter(|section| !section.name.contains('.')) {
        properties.insert(section.name.into(), section_schema(section));
    }
    let required: Vec<_> = SECTIONS
        .iter()
        .filter(|section| section.need == SectionNeed::Required)
        .map(|section| section.name)
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ampoule definition",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn write_section(out: &mut String, section: &Section) {
    let how = match (section.form, section.need) {
        (Form::Table, SectionNeed::Required) => "Required.",
        (Form::Table, _) => "Optional.",
        (Form::List, _) => "Any number of times.",
        (Form::Named, _) => "Any number of times, each with its own name.",
    };
    line(out, &format!("\n## {}\n\n{how} {}\n", header(section), section.about));
    if section.form == Form::Named {
        line(out, &format!("`NAME` is {}.\n", SETTING_NAME.words.trim_end_matches(',')));
    }
    line(out, "| key | takes | left out | meaning |\n|---|---|---|---|");
    for key in section.keys {
        let left_out = match key.need {
            Need::Required => "required".to_owned(),
            Need::Optional => String::new(),
            Need::Default(text) => format!("`{text}`"),
        };
        let only: Vec<_> = key.only.iter().map(|word| format!("`{word}`")).collect();
        let only = match section.tag {
            Some(tag) if !only.is_empty() => format!("With `{tag}` {}: ", only.join(", ")),
            _ => String::new(),
        };
        line(out, &format!("| `{}` | {} | {left_out} | {only}{} |", key.name, takes(&key.kind), key.about));
    }
    line(out, &format!("\n```toml\n{}```", section.example));
}

/// What a key takes, in words for a table cell.
fn takes(kind: &Type) -> String {
    let words = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let text = match kind {
        Type::Text(rule) => rule.words.into(),
        Type::Texts(rule) => format!("list; each {}", rule.words),
        Type::OneOf(list) => words(list),
        Type::SomeOf(list) => format!("list of {}", words(list)),
        Type::Whole { min: i64::MIN, .. } => "whole number".into(),
        Type::Whole { min, max } => format!("whole number, {min} to {max}"),
        Type::Size { min, max } => format!("size, {} to {}", ByteSize(*min), ByteSize(*max)),
        Type::Tables(section) => format!("{} tables", header(section)),
        other => other.words().into(),
    };
    text.replace('|', "\\|")
}

/// The anchor that common Markdown renderers give the section's heading.
fn anchor(section: &Section) -> String {
    header(section)
        .to_lowercase()
        .chars()
        .filter(|character| character.is_alphanumeric() || *character == '-')
        .collect()
}

/// Every type of setting with the words that a refused value gets.
fn setting_types() -> Vec<(&'static str, String)> {
    let kinds = [
        ("string", Kind::String { pattern: None, min_length: None, max_length: None }),
        ("text", Kind::Text { max_length: None }),
        ("integer", Kind::Integer { min: None, max: None }),
        ("boolean", Kind::Boolean),
        ("email", Kind::Email),
        ("hostname", Kind::Hostname),
        ("ip-address", Kind::IpAddress),
        ("cidr", Kind::Cidr),
        ("port", Kind::Port),
        ("url", Kind::Url { schemes: Vec::new() }),
        ("certificate", Kind::Certificate { key: None }),
        ("private-key", Kind::PrivateKey),
        ("secret", Kind::Secret { min_length: None, max_length: None }),
        ("timezone", Kind::Timezone),
    ];
    let mut types: Vec<_> = kinds
        .into_iter()
        .map(|(name, kind)| {
            let words = rule(&kind).replace(" is expected", "");
            (name, if kind.is_secret() { format!("{words}; never shown again") } else { words })
        })
        .collect();
    types.insert(4, ("enum", "one of `choices`".into()));
    types
}

fn section_schema(section: &Section) -> Json {
    let table = table_schema(section);
    let mut schema = match section.form {
        Form::Table => table,
        Form::List => json!({ "type": "array", "items": table, "maxItems": crate::parse::ENTRY_LIMIT }),
        Form::Named => json!({
            "type": "object",
            "propertyNames": { "pattern": SETTING_NAME.pattern },
            "additionalProperties": table,
        }),
    };
    schema["description"] = section.about.into();
    schema
}

fn table_schema(section: &Section) -> Json {
    let properties: Map<String, Json> =
        section.keys.iter().map(|key| (key.name.to_owned(), key_schema(key))).collect();
    let required = |only: bool| {
        section
            .keys
            .iter()
            .filter(move |key| key.need == Need::Required && key.only.is_empty() != only)
            .collect::<Vec<_>>()
    };
    let names: Vec<_> = required(false).iter().map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !names.is_empty() {
        schema["required"] = names.into();
    }
    if let Some(tag) = section.tag {
        let goes_with = |key: &Key| json!({ "properties": { tag: { "enum": key.only } }, "required": [tag] });
        let mut rules: Vec<Json> = section
            .keys
            .iter()
            .filter(|key| !key.only.is_empty())
            .map(|key| json!({ "if": { "required": [key.name] }, "then": goes_with(key) }))
            .collect();
        rules.extend(
            required(true)
                .iter()
                .map(|key| json!({ "if": goes_with(key), "then": { "required": [key.name] } })),
        );
        schema["allOf"] = rules.into();
    }
    schema
}

fn key_schema(key: &Key) -> Json {
    let text = |rule: &Rule| match rule.pattern {
        Some(pattern) => json!({ "type": "string", "pattern": pattern }),
        None => json!({ "type": "string" }),
    };
    let list =
        |items: Json| json!({ "type": "array", "items": items, "maxItems": crate::parse::ENTRY_LIMIT });
    let mut schema = match key.kind {
        Type::Text(rule) => text(rule),
        Type::Texts(rule) => list(text(rule)),
        Type::OneOf(words) => json!({ "enum": words }),
        Type::SomeOf(words) => list(json!({ "enum": words })),
        Type::Flag => json!({ "type": "boolean" }),
        Type::Whole { min: i64::MIN, .. } => json!({ "type": "integer" }),
        Type::Whole { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Type::Size { min, max } => json!({ "anyOf": [
            { "type": "string", "pattern": "^\\s*[0-9]+\\s*([KMGT]iB)?\\s*$" },
            { "type": "integer", "minimum": min, "maximum": max },
        ] }),
        Type::Mode => json!({ "type": "string", "pattern": "^[0-7]{3,5}$" }),
        Type::Value => json!({ "type": ["string", "integer", "boolean"] }),
        Type::Tables(section) => section_schema(section),
    };
    schema["description"] = key.about.into();
    if let Need::Default(default) = key.need {
        // Sizes and modes are shown as they are written, not as they are stored.
        let written = match key.kind {
            Type::Size { .. } | Type::Mode => Some(default.trim_matches('"').into()),
            _ => default_value(key, default),
        };
        schema["default"] = written.unwrap_or_default();
    }
    schema
}

fn line(out: &mut String, text: &str) {
    // Writing to a string can not fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed_file_equals(name: &str, made: &str) {
        let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, made).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(
            committed == made,
            "docs/{name} is out of date; run UPDATE_DOCS=1 cargo test -p ampoule-model"
        );
    }

    #[test]
    fn the_committed_reference_is_what_the_table_says() {
        committed_file_equals("DEFINITION.md", &definition_reference());
    }

    #[test]
    fn the_committed_schema_is_what_the_table_says() {
        let schema = serde_json::to_string_pretty(&json_schema()).expect("JSON can be written");
        committed_file_equals("appliance.schema.json", &(schema + "\n"));
    }

    #[test]
    fn every_type_of_setting_is_in_the_reference() {
        let section = crate::describe::section("settings").expect("it exists");
        let Type::OneOf(words) = section.keys[0].kind else { panic!("`type` is one of some words") };
        assert_eq!(setting_types().iter().map(|(name, _)| *name).collect::<Vec<_>>(), words);
    }
}
