//! Templates: configuration files rendered from settings.
//!
//! Owns the dialect: Jinja syntax, strict about missing values, no escaping but on demand, no inclusion of other files.
//! Refuses I/O: texts come in and go out.
//!
//! A template sees every setting under its name with underscores (`{{ site_name }}`), the object `appliance` (`vendor`,
//! `name`, `title`, `version`) and `hostname`. An optional setting without value is `none`: it can be tested with `if`,
//! and writing it is an error. Filters besides Jinja's own: `html`, `json` and `shell`, which quote a value for
//! those languages.
//! A line that holds only a `{% %}` block leaves no empty line behind.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use minijinja::value::{Value as Engine, ValueKind};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};

use crate::definition::Identity;
use crate::settings::{Kind, Setting, Value};

/// Longest template text. Stops a definition from filling the appliance's memory.
pub const TEMPLATE_LIMIT: usize = 1 << 20;
/// Engine steps one rendering may take. Stops nested loops from keeping an appliance from booting.
const STEP_LIMIT: u64 = 1_000_000;
/// The engine's name for the only template of an environment.
const NAME: &str = "template";
/// Names that templates can use without declaring a setting; settings can not have them. `hostname` is not among them: a
/// setting of that name takes its place.
pub(crate) const BUILTIN_NAMES: [&str; 5] = ["appliance", "dict", "loop", "namespace", "range"];
/// Words of the template language, which settings can not be named after.
pub(crate) const LANGUAGE_WORDS: [&str; 28] = [
    "and",
    "autoescape",
    "block",
    "call",
    "caller",
    "do",
    "elif",
    "else",
    "endfor",
    "endif",
    "extends",
    "false",
    "filter",
    "for",
    "from",
    "if",
    "import",
    "in",
    "include",
    "is",
    "macro",
    "none",
    "not",
    "or",
    "self",
    "set",
    "true",
    "with",
];

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    variables: BTreeSet<String>,
}

/// What a template is rendered with. Not `Debug`: values may be secrets (law 12).
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// All declared settings. Those without a value are `none`.
    pub settings: &'a [Setting],
    /// Their values by name, as the names are declared.
    pub values: &'a BTreeMap<String, Value>,
    /// The appliance.
    pub appliance: &'a Identity,
    /// Host name of the appliance.
    pub hostname: &'a str,
}

/// A template that can not be parsed or rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong, with the line.
    pub message: String,
    /// Line, counted from 1.
    pub line: Option<usize>,
    /// Bytes of the template's text.
    pub span: Option<Range<usize>>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// When the text is too long or not a template.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > TEMPLATE_LIMIT {
            let message =
                format!("a template has at most {TEMPLATE_LIMIT} bytes; this one has {}", source.len());
            return Err(TemplateError { message, line: None, span: None });
        }
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_keep_trailing_newline(true);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(STEP_LIMIT));
        environment.set_formatter(|out, state, value| {
            if value.is_none() {
                // Otherwise the word `none` would be written into a configuration file.
                let detail = "a setting without value is written here; test it with `if` first";
                return Err(minijinja::Error::new(ErrorKind::InvalidOperation, detail));
            }
            minijinja::escape_formatter(out, state, value)
        });
        add_language(&mut environment);
        environment.add_template_owned(NAME, source.to_owned()).map_err(explain)?;
        let variables = environment
            .get_template(NAME)
            .map_err(explain)?
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| name != "hostname" && !BUILTIN_NAMES.contains(&name.as_str()))
            .collect();
        Ok(Self { environment, variables })
    }

    /// The settings it uses, as they are written in it: with underscores. `hostname` and `appliance` are not among them.
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Renders it.
    ///
    /// # Errors
    /// When it uses something that does not exist or has no value, or does not end.
    pub fn render(&self, context: &Context<'_>) -> Result<String, TemplateError> {
        let appliance = [
            ("vendor", &context.appliance.vendor),
            ("name", &context.appliance.name),
            ("title", &context.appliance.title),
            ("version", &context.appliance.version),
        ];
        let mut variables: BTreeMap<String, Engine> = BTreeMap::new();
        variables.insert("hostname".into(), Engine::from(context.hostname));
        variables.insert(
            "appliance".into(),
            appliance.into_iter().map(|(name, text)| (name, Engine::from(text.as_str()))).collect(),
        );
        for setting in context.settings {
            let value = match context.values.get(&setting.name) {
                Some(value) => engine_value(value),
                // The host's own name stands in for a setting of that name.
                None if setting.name == "hostname" => continue,
                None => Engine::from(()),
            };
            variables.insert(variable(&setting.name), value);
        }
        let template = self.environment.get_template(NAME).map_err(explain)?;
        template.render(Engine::from_serialize(&variables)).map_err(explain).map_err(|mut error| {
            for setting in context.settings.iter().filter(|setting| setting.kind.is_secret()) {
                // The engine quotes values in some messages, and messages reach logs (law 12).
                if let Some(Value::String(secret)) = context.values.get(&setting.name)
                    && !secret.is_empty()
                {
                    error.message = error.message.replace(secret.as_str(), "(hidden)");
                }
            }
            error
        })
    }

    /// Renders with made-up values to find filters, tests and functions that do not exist. Other failures are passed over:
    /// made-up values may well not fit.
    pub(crate) fn check_language(
        &self,
        settings: &[Setting],
        appliance: &Identity,
    ) -> Result<(), TemplateError> {
        let sample =
            |setting: &Setting| setting.default.clone().unwrap_or_else(|| sample_value(&setting.kind));
        let values = settings.iter().map(|setting| (setting.name.clone(), sample(setting))).collect();
        let context = Context { settings, values: &values, appliance, hostname: "host" };
        self.render(&context).map(drop).or_else(|error| {
            let is_language = ["unknown filter", "unknown test", "unknown function"]
                .iter()
                .any(|kind| error.message.starts_with(kind));
            if is_language { Err(error) } else { Ok(()) }
        })
    }
}

/// The name of a setting as templates write it.
pub fn variable(setting: &str) -> String {
    setting.replace('-', "_")
}

/// Where a template uses a variable for the first time, outside of comments, strings and attribute names.
pub(crate) fn locate(source: &str, name: &str) -> Option<Range<usize>> {
    let mut at = 0;
    while let Some(open) = source[at..].find('{').map(|found| at + found) {
        let close = match source.as_bytes().get(open + 1) {
            Some(b'#') => {
                at = source[open..].find("#}").map(|found| open + found + 2)?;
                continue;
            }
            Some(b'{') => "}}",
            Some(b'%') => "%}",
            _ => {
                at = open + 1;
                continue;
            }
        };
        let (found, end) = locate_in_code(source, open + 2, close, name);
        if found.is_some() {
            return found;
        }
        at = end;
    }
    None
}

/// Looks through one block of code; returns the place and where the block ends.
fn locate_in_code(source: &str, start: usize, close: &str, name: &str) -> (Option<Range<usize>>, usize) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = start;
    let mut before = ' ';
    while let Some(character) = source[at..].chars().next() {
        if source[at..].starts_with(close) {
            return (None, at + close.len());
        }
        let length = match character {
            '"' | '\'' => string_length(&source[at..], character),
            character if is_word(character) => {
                let rest = &source[at..];
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                if &rest[..length] == name && before != '.' && before != '|' {
                    return (Some(at..at + length), at + length);
                }
                length
            }
            _ => character.len_utf8(),
        };
        if !character.is_whitespace() {
            before = character;
        }
        at += length;
    }
    (None, source.len())
}

/// Bytes of the string literal that `text` begins with, its quotes included.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Jinja's own filters and tests that make sense for configuration files, and ours.
fn add_language(environment: &mut Environment<'static>) {
    use minijinja::{filters, functions, tests};
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("indent", filters::indent);
    environment.add_filter("int", filters::int);
    environment.add_filter("join", filters::join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lines", filters::lines);
    environment.add_filter("list", filters::list);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("sort", filters::sort);
    environment.add_filter("split", filters::split);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_filter("html", html);
    environment.add_filter("json", json);
    environment.add_filter("shell", shell);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("none", tests::is_none);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_test("in", tests::is_in);
    environment.add_test("eq", tests::is_eq);
    environment.add_function("range", functions::range);
    environment.add_function("dict", functions::dict);
    environment.add_function("namespace", functions::namespace);
}

/// A value as text of HTML or XML, also between double quotes of an attribute.
fn html(value: &Engine) -> Result<String, minijinja::Error> {
    if value.is_none() || value.is_undefined() {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "`html` takes a value that is set"));
    }
    let mut out = String::new();
    for character in value.to_string().chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// A value as JSON; JSON strings are good TOML, YAML and JavaScript strings too.
fn json(value: &Engine) -> Result<String, minijinja::Error> {
    serde_json::to_string(value).map_err(|error| {
        minijinja::Error::new(ErrorKind::InvalidOperation, "not expressible as JSON").with_source(error)
    })
}

/// A value as one word of a POSIX shell, always in single quotes. systemd's environment files take it too.
fn shell(value: &Engine) -> Result<String, minijinja::Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Number | ValueKind::Bool => {
            Ok(format!("'{}'", value.to_string().replace('\'', r"'\''")))
        }
        _ => Err(minijinja::Error::new(
            ErrorKind::InvalidOperation,
            "`shell` takes a text, a number or a boolean",
        )),
    }
}

fn engine_value(value: &Value) -> Engine {
    match value {
        Value::Boolean(value) => Engine::from(*value),
        Value::Integer(value) => Engine::from(*value),
        Value::String(value) => Engine::from(value.as_str()),
    }
}

fn sample_value(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean => Value::Boolean(true),
        Kind::Integer { min, .. } => Value::Integer(min.unwrap_or(1)),
        Kind::Port => Value::Integer(1),
        Kind::Enum { choices } => Value::String(choices.first().cloned().unwrap_or_default()),
        _ => Value::String("sample".into()),
    }
}

/// The engine's error in our words: kind, detail and line, without values.
fn explain(error: minijinja::Error) -> TemplateError {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "the template does not end: it takes more than a million steps".into(),
        ErrorKind::TemplateNotFound => "a template can not include or extend others".into(),
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    let message = match error.line() {
        Some(line) => format!("{what} (line {line})"),
        None => what,
    };
    TemplateError { message, line: error.line(), span: error.range() }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
