//! Reading one value by its description: type, bounds and rule, with the message when it does not fit.

use serde_json::Value as Json;
use toml::de::DeValue;

use crate::describe::{Key, PATTERN, Rule, Type};
use crate::settings::validate::compile_pattern;
use crate::size::ByteSize;
use crate::suggest::nearest;

/// Why a value was not taken.
pub(super) enum Fault {
    /// Not of the type at all.
    Type,
    /// Of the type, and wrong.
    Value {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

pub(super) fn read_scalar(key: &Key, value: &DeValue<'_>) -> Result<Json, Fault> {
    match (key.kind, value) {
        (Type::Text(rule), DeValue::String(text)) => judge(key.name, text, rule),
        (Type::OneOf(words), DeValue::String(text)) => one_of(key.name, text, words),
        (Type::Flag, DeValue::Boolean(flag)) => Ok((*flag).into()),
        (Type::Whole { min, max }, DeValue::Integer(number)) => match whole(number) {
            Some(number) if (min..=max).contains(&number) => Ok(number.into()),
            _ => {
                let bounds = if min == i64::MIN { "64 bits".into() } else { format!("{min} to {max}") };
                Err(fault(format!(
                    "`{}` can not be `{number}`: expected a whole number of {bounds}",
                    key.name
                )))
            }
        },
        (Type::Size { min, max }, DeValue::String(text)) => {
            let size: ByteSize = text.parse().map_err(|error| fault(format!("`{}`: {error}", key.name)))?;
            size_between(key.name, size, min, max)
        }
        (Type::Size { min, max }, DeValue::Integer(number)) => {
            let bytes = whole(number).and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
            size_between(key.name, ByteSize(bytes), min, max)
        }
        (Type::Mode, DeValue::String(text)) => read_mode(key.name, text),
        (Type::Value, DeValue::String(text)) => Ok(text.as_ref().into()),
        (Type::Value, DeValue::Boolean(flag)) => Ok((*flag).into()),
        (Type::Value, DeValue::Integer(number)) => {
            let number = whole(number).ok_or_else(|| {
                fault(format!("`{}` can not be `{number}`: it has more than 64 bits", key.name))
            })?;
            Ok(number.into())
        }
        _ => Err(Fault::Type),
    }
}

fn whole(number: &toml::de::DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn size_between(name: &str, size: ByteSize, min: u64, max: u64) -> Result<Json, Fault> {
    if (min..=max).contains(&size.0) {
        return Ok(size.0.into());
    }
    let (min, max) = (ByteSize(min), ByteSize(max));
    Err(fault(format!("`{name}` can not be `{size}`: expected a size from {min} to {max}")))
}

fn read_mode(name: &str, text: &str) -> Result<Json, Fault> {
    let is_octal = (3..=5).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && mode <= 0o7777 => Ok(mode.into()),
        _ => Err(fault(format!(
            "`{name}` can not be `{}`: expected three or four octal digits such as \"0644\"",
            shorten(text)
        ))),
    }
}

pub(super) fn judge(name: &str, text: &str, rule: &Rule) -> Result<Json, Fault> {
    if (rule.holds)(text) {
        return Ok(text.into());
    }
    // Only here the reason is more than the rule: where in the expression the mistake is.
    let hint = if std::ptr::eq(rule, &PATTERN) { compile_pattern(text).err() } else { None };
    Err(Fault::Value { message: expected(&format!("`{name}`"), text, rule), hint })
}

pub(super) fn one_of(name: &str, text: &str, words: &[&str]) -> Result<Json, Fault> {
    if words.contains(&text) {
        return Ok(text.into());
    }
    let hint = match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("it is one of {}", list(words.iter().copied())),
    };
    Err(Fault::Value { message: format!("`{name}` can not be `{}`", shorten(text)), hint: Some(hint) })
}

fn fault(message: String) -> Fault {
    Fault::Value { message, hint: None }
}

pub(super) fn expected(what: &str, text: &str, rule: &Rule) -> String {
    if text.is_empty() {
        return format!("{what} can not be empty: expected {}", rule.words);
    }
    format!("{what} can not be `{}`: expected {}", shorten(text), rule.words)
}

pub(super) fn type_hint(key: &Key, value: &DeValue<'_>) -> Option<String> {
    match (key.kind, value) {
        (Type::Texts(_) | Type::SomeOf(_), DeValue::String(text)) => {
            Some(format!("write `{} = [\"{}\"]`", key.name, shorten(text)))
        }
        (Type::Mode, DeValue::Integer(_)) => Some("write the octal digits in quotes: \"0644\"".into()),
        (Type::Text(_), DeValue::Datetime(_) | DeValue::Float(_) | DeValue::Integer(_)) => {
            Some("put it in quotes".into())
        }
        (Type::Whole { .. } | Type::Flag, DeValue::String(_)) => Some("write it without quotes".into()),
        _ => None,
    }
}

/// The default of a key as the walk would have read it.
pub(crate) fn default_value(key: &Key, text: &str) -> Option<Json> {
    let value = DeValue::parse(text).ok()?;
    match value.get_ref() {
        DeValue::Array(items) => Some(
            items
                .iter()
                .filter_map(|item| Some(item.get_ref().as_str()?.into()))
                .collect::<Vec<Json>>()
                .into(),
        ),
        scalar => read_scalar(key, scalar).ok(),
    }
}

pub(super) fn type_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

pub(super) fn list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Cut to what fits in a message.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.into(),
    }
}
