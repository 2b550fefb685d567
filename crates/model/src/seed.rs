//! The settings document: what a seed disk or the hypervisor hands to an appliance.
//!
//! A flat TOML table, one setting a line: `site-name = "My Shop"`, `max-upload = 32`. Owns its syntax and limits. Refuses
//! judgement: texts are read by each setting's type in [`crate::settings::validate`]. Errors carry lines and names,
//! never values: a document may hold secrets (law 12).

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use crate::problem::position;

/// Longest document in bytes. Stops a hypervisor or a disk from filling the appliance's memory at boot.
pub const DOCUMENT_LIMIT: usize = 1 << 20;
/// Most settings of a document. Stops a document from growing every later answer and log.
pub const ENTRY_LIMIT: usize = 1000;
/// Characters of a name that are shown.
const SHOWN_LIMIT: usize = 60;

/// A settings document that can not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// Longer than [`DOCUMENT_LIMIT`].
    #[error("a settings document has at most {DOCUMENT_LIMIT} bytes; this one has {size}")]
    TooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// More than [`ENTRY_LIMIT`] settings.
    #[error("a settings document has at most {ENTRY_LIMIT} settings; this one has {count}")]
    TooMany {
        /// How many it has.
        count: usize,
    },
    /// Not TOML.
    #[error("line {line} of the settings document is not `name = value`: {message}")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// What the parser says; without values.
        message: String,
    },
    /// A value that is neither text, nor whole number, nor `true` or `false`.
    #[error(
        "line {line} of the settings document: `{name}` is {found}; write a text, a whole number, `true` or `false`"
    )]
    Type {
        /// Line, counted from 1.
        line: usize,
        /// Name of the setting.
        name: String,
        /// What it is.
        found: &'static str,
    },
}

/// Reads a settings document into texts by name, to be read by each setting's type.
///
/// # Errors
/// The first thing that is wrong with it: a document is taken whole or not at all.
pub fn parse_settings_document(text: &str) -> Result<BTreeMap<String, String>, SeedError> {
    if text.len() > DOCUMENT_LIMIT {
        return Err(SeedError::TooLong { size: text.len() });
    }
    // Windows editors begin UTF-8 files with a mark, and firmware strings end with zeros.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_end_matches('\0');
    let table = DeTable::parse(text).map_err(|error| SeedError::Syntax {
        line: position(text, error.span().map_or(0, |span| span.start)).0,
        message: error.message().to_owned(),
    })?;
    let table = table.get_ref();
    if table.len() > ENTRY_LIMIT {
        return Err(SeedError::TooMany { count: table.len() });
    }
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
        .into_iter()
        .map(|(key, value)| {
            let name = key.get_ref().to_string();
            let wrong = |found| SeedError::Type {
                line: position(text, key.span().start).0,
                name: name.chars().take(SHOWN_LIMIT).flat_map(char::escape_debug).collect(),
                found,
            };
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Boolean(flag) => flag.to_string(),
                DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                    .map_err(|_| wrong("a number of more than 64 bits"))?
                    .to_string(),
                DeValue::Float(_) => return Err(wrong("a number with a fraction")),
                DeValue::Datetime(_) => return Err(wrong("a date or time")),
                DeValue::Array(_) => return Err(wrong("a list")),
                DeValue::Table(_) => return Err(wrong("a table")),
            };
            Ok((name, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_document_is_read_as_texts() {
        let text = "\u{feff}# made by hand\nsite-name = \"A \\\"B\\\"\"\nmax-upload = 0x20\nredirect = true\nkey = '''\na\nb'''\n\0\0";
        let read = parse_settings_document(text).expect("it is right");
        let expected =
            [("key", "a\nb"), ("max-upload", "32"), ("redirect", "true"), ("site-name", "A \"B\"")];
        assert_eq!(read, expected.map(|(name, text)| (name.into(), text.into())).into());
        assert_eq!(parse_settings_document(""), Ok(BTreeMap::new()));
    }

    #[test]
    fn what_is_not_flat_is_refused_with_its_line() {
        for (text, line) in [
            ("a = 1\nb = [1]", 2),
            ("\n[a]\nb = 1", 2),
            ("a.b = 1", 1),
            ("a = 1.5", 1),
            ("a = 2020-01-01", 1),
            ("a = 99999999999999999999", 1),
            ("a = 1\na = 2", 2),
            ("a", 1),
            ("a = \"x", 1),
        ] {
            let error = parse_settings_document(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("line {line} of the settings document")), "{text:?}: {error}");
        }
    }

    #[test]
    fn limits_hold() {
        assert!(matches!(
            parse_settings_document(&"#".repeat(DOCUMENT_LIMIT + 1)),
            Err(SeedError::TooLong { .. })
        ));
        let many: String = (0..=ENTRY_LIMIT).map(|index| format!("k{index} = 1\n")).collect();
        assert!(matches!(parse_settings_document(&many), Err(SeedError::TooMany { .. })));
    }

    #[test]
    fn no_value_enters_an_error() {
        for text in [
            "password = hunter2",
            "password = \"hunter2",
            "password = [\"hunter2\"]",
            "password = \"hunter2\" x",
        ] {
            let error = parse_settings_document(text).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
