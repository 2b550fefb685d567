//! Reading and judging the values of settings.
//!
//! Owns every rule that a value can be held to without looking at the world. Refuses defaults, sources and precedence:
//! callers merge values first and have the whole judged then. Values of secrets never enter a message (law 12).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Generate, Kind, Setting, Value, pem};
use crate::suggest::nearest;
use crate::syntax;

/// Longest line in characters when the definition names no bound. Stops one value from flooding forms and logs.
pub const STRING_LIMIT: u32 = 1024;
/// Longest text in bytes when the definition names no bound. Stops one value from filling the appliance's memory.
pub const TEXT_LIMIT: u32 = 64 * 1024;
/// Most bytes a pattern may take when compiled. Stops a definition with `(a{1000}){1000}` from taking all memory.
const PATTERN_LIMIT: usize = 256 * 1024;
/// Characters of a refused value that are shown. Stops a pasted file from flooding a log line.
const SHOWN_LIMIT: usize = 60;

/// A value or a whole configuration that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The value breaks the setting's rule.
    #[error("`{setting}` can not be {}: {rule}", shown(.value))]
    Refused {
        /// Name of the setting.
        setting: String,
        /// What was given; absent for secrets.
        value: Option<String>,
        /// What is expected, as a sentence.
        rule: String,
    },
    /// No setting has this name.
    #[error("`{}` is not a setting of this appliance{}", .setting.escape_debug(), did_you_mean(.suggestion))]
    Unknown {
        /// The name as given, cut to a length that can be shown.
        setting: String,
        /// A declared name that is near.
        suggestion: Option<String>,
    },
    /// A setting without default has no value.
    #[error("`{setting}` has no value: it has no default, so that it has to be given")]
    Missing {
        /// Name of the setting.
        setting: String,
    },
}

impl Violation {
    /// Name of the setting concerned, as it was given.
    pub fn setting(&self) -> &str {
        match self {
            Self::Refused { setting, .. } | Self::Unknown { setting, .. } | Self::Missing { setting } => {
                setting
            }
        }
    }

    /// The rule that is broken, as a sentence.
    pub fn rule(&self) -> String {
        match self {
            Self::Refused { rule, .. } => rule.clone(),
            Self::Unknown { suggestion, .. } => {
                format!("the name of a declared setting is expected{}", did_you_mean(suggestion))
            }
            Self::Missing { .. } => "a value is expected".into(),
        }
    }
}

/// Reads a text as the setting's type and judges it.
///
/// # Errors
/// [`Violation::Refused`] when the text is not of the type or outside of its bounds.
pub fn read_value(setting: &Setting, text: &str) -> Result<Value, Violation> {
    let refused = || refuse(setting, text, rule(&setting.kind));
    let value = match &setting.kind {
        Kind::Integer { .. } | Kind::Port => {
            let text = text.trim();
            let digits = text.strip_prefix('-').unwrap_or(text);
            // Rust's parser would take a leading `+`.
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(refused());
            }
            Value::Integer(text.parse().map_err(|_| refused())?)
        }
        Kind::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Value::Boolean(true),
            "false" | "no" | "off" => Value::Boolean(false),
            _ => return Err(refused()),
        },
        _ => Value::String(text.into()),
    };
    validate_value(setting, &value)?;
    Ok(value)
}

/// Judges a value by the setting's type and bounds.
///
/// # Errors
/// [`Violation::Refused`] with the rule that the value breaks.
pub fn validate_value(setting: &Setting, value: &Value) -> Result<(), Violation> {
    let refused = |rule: String| Err(refuse(setting, &value.to_string(), rule));
    match (&setting.kind, value) {
        (Kind::Integer { min, max }, Value::Integer(number)) => {
            let inside = min.is_none_or(|min| *number >= min) && max.is_none_or(|max| *number <= max);
            if inside { Ok(()) } else { refused(rule(&setting.kind)) }
        }
        (Kind::Port, Value::Integer(1..=65535)) | (Kind::Boolean, Value::Boolean(_)) => Ok(()),
        (Kind::Integer { .. } | Kind::Port | Kind::Boolean, _) => refused(rule(&setting.kind)),
        (_, Value::String(text)) => check_text(&setting.kind, text).or_else(refused),
        (_, Value::Integer(_) | Value::Boolean(_)) => refused(rule(&setting.kind)),
    }
}

/// Judges a whole configuration: names, values, and settings that have to be given. Returns all violations, in the
/// order of names.
///
/// Values that the appliance makes itself are not missing before they are made. Whether a key belongs to its certificate
/// is not judged here.
pub fn validate_document(settings: &[Setting], values: &BTreeMap<String, Value>) -> Vec<Violation> {
    let declared: BTreeMap<&str, &Setting> =
        settings.iter().map(|setting| (setting.name.as_str(), setting)).collect();
    let given = values.iter().filter_map(|(name, value)| match declared.get(name.as_str()) {
        Some(setting) => validate_value(setting, value).err(),
        None => Some(unknown_setting(settings, name)),
    });
    let missing = settings
        .iter()
        .filter(|setting| is_required(setting, settings) && !values.contains_key(&setting.name))
        .map(|setting| Violation::Missing { setting: setting.name.clone() });
    let mut violations: Vec<_> = given.chain(missing).collect();
    violations.sort_by(|a, b| a.setting().cmp(b.setting()));
    violations
}

/// The violation for a name that no setting has.
pub fn unknown_setting(settings: &[Setting], name: &str) -> Violation {
    let suggestion = nearest(name, settings.iter().map(|setting| setting.name.as_str())).map(Into::into);
    Violation::Unknown { setting: name.chars().take(SHOWN_LIMIT).collect(), suggestion }
}

/// Whether somebody has to give a value: there is no default, nothing makes it, and it is not optional.
pub fn is_required(setting: &Setting, settings: &[Setting]) -> bool {
    let made_with_certificate = || {
        settings.iter().any(|other| {
            let Kind::Certificate { key: Some(key) } = &other.kind else { return false };
            *key == setting.name && other.generate == Some(Generate::SelfSigned)
        })
    };
    setting.default.is_none() && setting.generate.is_none() && !setting.optional && !made_with_certificate()
}

/// Compiles a setting's pattern so that it has to match a whole value.
///
/// # Errors
/// What is wrong with the pattern.
pub fn compile_pattern(pattern: &str) -> Result<regex_lite::Regex, String> {
    let build = |pattern: &str| regex_lite::RegexBuilder::new(pattern).size_limit(PATTERN_LIMIT).build();
    // Alone first: `a)|(b` would become valid by the group around it.
    build(pattern).and_then(|_| build(&format!("^(?:{pattern})$"))).map_err(|error| error.to_string())
}

/// What a type and its bounds expect, as a sentence.
pub fn rule(kind: &Kind) -> String {
    let characters = |least: &Option<u32>, greatest: &Option<u32>| {
        let greatest = greatest.unwrap_or(STRING_LIMIT);
        match least {
            Some(least) if *least == greatest => format!("one line of {least} characters"),
            Some(least) => format!("one line of {least} to {greatest} characters"),
            None => format!("one line of at most {greatest} characters"),
        }
    };
    match kind {
        Kind::String { pattern: Some(pattern), min_length, max_length } => {
            format!("{} that matches `{pattern}` is expected", characters(min_length, max_length))
        }
        Kind::String { pattern: None, min_length, max_length } | Kind::Secret { min_length, max_length } => {
            format!("{} is expected", characters(min_length, max_length))
        }
        Kind::Text { max_length } => {
            format!("text of at most {} bytes is expected", max_length.unwrap_or(TEXT_LIMIT))
        }
        Kind::Integer { min: Some(min), max: Some(max) } => {
            format!("an integer from {min} to {max} is expected")
        }
        Kind::Integer { min: Some(min), max: None } => format!("an integer of at least {min} is expected"),
        Kind::Integer { min: None, max: Some(max) } => format!("an integer of at most {max} is expected"),
        Kind::Integer { min: None, max: None } => "an integer is expected".into(),
        Kind::Boolean => "`true` or `false` is expected".into(),
        Kind::Enum { choices } => {
            let choices: Vec<_> = choices.iter().map(|choice| format!("`{choice}`")).collect();
            format!("one of {} is expected", choices.join(", "))
        }
        Kind::Email => "an e-mail address such as `name@example.org` is expected".into(),
        Kind::Hostname => {
            "a host name such as `www.example.org` is expected: letters, digits, hyphens and dots".into()
        }
        Kind::IpAddress => "an IPv4 or IPv6 address such as `192.0.2.7` is expected".into(),
        Kind::Cidr => "an address with a prefix length such as `192.0.2.0/24` is expected".into(),
        Kind::Port => "a port from 1 to 65535 is expected".into(),
        Kind::Url { schemes } => {
            let schemes: Vec<_> =
                schemes_or_web(schemes).iter().map(|scheme| format!("`{scheme}://`")).collect();
            format!(
                "an absolute URL with {} and without user name or password is expected",
                schemes.join(" or ")
            )
        }
        Kind::Certificate { .. } => "a PEM certificate is expected".into(),
        Kind::PrivateKey => "a PEM private key is expected".into(),
        Kind::Timezone => "a time zone such as `Europe/Vienna` or `UTC` is expected".into(),
    }
}

/// Judges the text of every kind that is stored as text. The error is the rule.
fn check_text(kind: &Kind, text: &str) -> Result<(), String> {
    let fits = match kind {
        Kind::String { pattern, min_length, max_length } => {
            check_line(text)?;
            has_length(text, *min_length, *max_length)
                && match pattern {
                    Some(pattern) => compile_pattern(pattern)
                        .map_err(|error| {
                            format!("the definition's pattern `{pattern}` is not valid: {error}")
                        })?
                        .is_match(text),
                    None => true,
                }
        }
        Kind::Secret { min_length, max_length } => {
            check_line(text)?;
            has_length(text, *min_length, *max_length)
        }
        Kind::Text { max_length } => {
            if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
                return Err("text without control characters is expected".into());
            }
            text.len() <= max_length.unwrap_or(TEXT_LIMIT) as usize
        }
        Kind::Enum { choices } => choices.iter().any(|choice| choice == text),
        Kind::Email => syntax::is_email(text),
        Kind::Hostname => syntax::is_hostname(text),
        Kind::IpAddress => text.parse::<IpAddr>().is_ok(),
        Kind::Cidr => syntax::is_cidr(text),
        Kind::Url { schemes } => syntax::url_host(text, &schemes_or_web(schemes)).is_some(),
        Kind::Certificate { .. } => return pem::check_certificates(text).map_err(Into::into),
        Kind::PrivateKey => return pem::check_private_key(text).map_err(Into::into),
        Kind::Timezone => syntax::is_timezone(text),
        // Not stored as text: `validate_value` judged them.
        Kind::Integer { .. } | Kind::Boolean | Kind::Port => false,
    };
    if fits { Ok(()) } else { Err(rule(kind)) }
}

fn check_line(text: &str) -> Result<(), String> {
    // A line break would let a value end its line in a configuration file and begin another directive.
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err("one line without control characters is expected".into());
    }
    Ok(())
}

fn has_length(text: &str, least: Option<u32>, greatest: Option<u32>) -> bool {
    let length = text.chars().count();
    length >= least.unwrap_or(0) as usize && length <= greatest.unwrap_or(STRING_LIMIT) as usize
}

fn schemes_or_web(schemes: &[String]) -> Vec<&str> {
    if schemes.is_empty() { vec!["http", "https"] } else { schemes.iter().map(String::as_str).collect() }
}

fn refuse(setting: &Setting, value: &str, rule: String) -> Violation {
    let value = (!setting.kind.is_secret()).then(|| {
        let mut shown: String = value.chars().take(SHOWN_LIMIT).flat_map(char::escape_debug).collect();
        if value.chars().nth(SHOWN_LIMIT).is_some() {
            shown.push_str("...");
        }
        shown
    });
    Violation::Refused { setting: setting.name.clone(), value, rule }
}

fn shown(value: &Option<String>) -> String {
    match value {
        Some(value) if value.is_empty() => "empty".into(),
        Some(value) => format!("`{value}`"),
        None => "the given value".into(),
    }
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or(String::new(), |name| format!(": did you mean `{name}`?"))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
