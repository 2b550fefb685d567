//! The walk over the TOML tree along the table of descriptions.
//!
//! What is missing or broken is reported and replaced by a stand-in without a place, so that everything else is still
//! read and judged. Stand-ins are never seen: a definition with problems is not handed out.

use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::scalar::{
    Fault, default_value, expected, judge, list, one_of, read_scalar, shorten, type_hint, type_words,
};
use super::{ENTRY_LIMIT, PROBLEM_LIMIT, Spans, header};
use crate::describe::{Form, Key, Need, SECTIONS, SETTING_NAME, Section, SectionNeed, Type, section};
use crate::problem::Problem;
use crate::suggest::nearest;

/// One walk: what it reads, and what it finds on the way.
pub(super) struct Walk<'t> {
    pub(super) text: &'t str,
    pub(super) problems: Vec<Problem>,
    pub(super) spans: Spans,
}

/// A table that a section can be read from.
struct Place<'s> {
    section: &'static Section,
    /// Path for spans.
    path: String,
    /// Where the table begins, for what is missing in it.
    header: Range<usize>,
    /// How messages call it: `[settings.max-upload]`.
    title: &'s str,
}

impl Walk<'_> {
    pub(super) fn document(&mut self, root: &DeTable<'_>) -> Json {
        let mut json = Map::new();
        let mut misspelt = Vec::new();
        for (key, _) in in_order(root) {
            let name = key.get_ref().as_ref();
            if section(name).is_none() {
                let near = nearest(name, SECTIONS.iter().map(|section| section.name));
                misspelt.extend(near);
                let owner = SECTIONS.iter().find(|section| section.keys.iter().any(|key| key.name == name));
                let hint = match (owner, near) {
                    (Some(section), _) => format!("`{name}` belongs below {}", header(section)),
                    (None, Some(near)) => format!("did you mean `{near}`?"),
                    (None, None) => {
                        format!("the sections are {}", list(SECTIONS.iter().map(|section| section.name)))
                    }
                };
                let message = format!("a definition has no section `{}`", shorten(name));
                self.report(Problem::new(key.span(), message).hint(hint));
            }
        }
        // Sections of sections are read by the key that holds them.
        for section in SECTIONS.iter().copied().filter(|section| !section.name.contains('.')) {
            let found = root.get_key_value(section.name);
            if let Some(value) = self.section(section, found, &misspelt) {
                json.insert(section.name.into(), value);
            }
        }
        Json::Object(json)
    }

    fn section(
        &mut self,
        section: &'static Section,
        found: Option<(&Spanned<toml::de::DeString<'_>>, &Spanned<DeValue<'_>>)>,
        misspelt: &[&str],
    ) -> Option<Json> {
        let Some((key, value)) = found else {
            // A misspelt one is reported where it is.
            if section.need == SectionNeed::Required && !misspelt.contains(&section.name) {
                let end = self.text.trim_end().len();
                self.report(
                    Problem::new(end..end, format!("the section {} is missing", header(section)))
                        .hint(format!("it needs at least {}", list(required_keys(section)))),
                );
            }
            return match (section.form, section.need) {
                (_, SectionNeed::Absent) => None,
                (Form::Table, _) => Some(Json::Object(self.absent(section))),
                (Form::List | Form::Named, _) => Some(Json::Array(Vec::new())),
            };
        };
        let title = header(section);
        match (section.form, value.get_ref()) {
            (Form::Table, DeValue::Table(table)) => {
                let place = Place { section, path: section.name.into(), header: key.span(), title: &title };
                Some(Json::Object(self.table(&place, table)))
            }
            (Form::List, DeValue::Array(entries)) => {
                Some(self.list(section, section.name, entries, key.span()))
            }
            (Form::Named, DeValue::Table(entries)) => Some(self.named(section, entries, key.span())),
            (form, other) => {
                let written = match form {
                    Form::Table => format!("`[{}]`", section.name),
                    Form::List => format!("`[[{}]]`", section.name),
                    Form::Named => format!("`[{}.NAME]`", section.name),
                };
                let message =
                    format!("`{}` is {}, but is written as {written}", section.name, type_words(other));
                self.report(Problem::new(key.span(), message));
                (form != Form::Table).then(|| Json::Array(Vec::new()))
            }
        }
    }

    fn list(
        &mut self,
        section: &'static Section,
        path: &str,
        entries: &[Spanned<DeValue<'_>>],
        key: Range<usize>,
    ) -> Json {
        self.limit(entries.len(), &format!("`{}`", section.name), key);
        let title = header(section);
        let mut list = Vec::new();
        for (index, entry) in entries.iter().take(ENTRY_LIMIT).enumerate() {
            let DeValue::Table(table) = entry.get_ref() else {
                self.report(Problem::new(
                    entry.span(),
                    format!("{title} takes tables, not {}", type_words(entry.get_ref())),
                ));
                continue;
            };
            let place = Place {
                section,
                path: format!("{path}[{index}]"),
                header: first_line(self.text, entry.span()),
                title: &title,
            };
            list.push(Json::Object(self.table(&place, table)));
        }
        Json::Array(list)
    }

    fn named(&mut self, section: &'static Section, entries: &DeTable<'_>, key: Range<usize>) -> Json {
        self.limit(entries.len(), &format!("`{}`", section.name), key);
        let mut list = Vec::new();
        for (key, entry) in in_order(entries).into_iter().take(ENTRY_LIMIT) {
            let name = key.get_ref().as_ref();
            let DeValue::Table(table) = entry.get_ref() else {
                let message = format!(
                    "`{}` is {}, but each entry of `{}` is a table",
                    shorten(name),
                    type_words(entry.get_ref()),
                    section.name
                );
                self.report(Problem::new(key.span(), message).hint(format!(
                    "write `[{}.{}]`",
                    section.name,
                    shorten(name)
                )));
                continue;
            };
            if !(SETTING_NAME.holds)(name) {
                self.report(Problem::new(key.span(), expected("a setting's name", name, &SETTING_NAME)));
            }
            let title = format!("`[{}.{}]`", section.name, shorten(name));
            let path = format!("{}[{}]", section.name, list.len());
            let place = Place { section, path, header: key.span(), title: &title };
            let mut json = self.table(&place, table);
            json.insert("name".into(), name.into());
            list.push(Json::Object(json));
        }
        Json::Array(list)
    }

    /// Reads one table of a section. What is missing or broken is reported and replaced, so that reading goes on.
    fn table(&mut self, place: &Place<'_>, table: &DeTable<'_>) -> Map<String, Json> {
        let section = place.section;
        self.spans.headers.insert(place.path.clone(), place.header.clone());
        let tag = section.tag.map(|tag| {
            let written = table.get(tag).and_then(|value| value.get_ref().as_str()).unwrap_or_default();
            known_word(section, tag, written)
        });
        let mut json = Map::new();
        let mut misspelt = Vec::new();
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            let Some(described) = section.keys.iter().find(|key| key.name == name) else {
                misspelt.extend(self.unknown_key(place, key, tag));
                continue;
            };
            match tag {
                // The tag itself is wrong, which is reported at its own line.
                Some(None) if !described.only.is_empty() => continue,
                Some(Some(tag)) if !described.goes_with(Some(tag)) => {
                    self.misplaced_key(place, described, tag, key.span());
                    continue;
                }
                _ => {}
            }
            let path = format!("{}.{name}", place.path);
            if let Some(value) = self.value(described, value, &path, place.title) {
                json.insert(name.into(), value);
            }
        }
        let tag = tag.flatten();
        for key in section.keys.iter().filter(|key| key.goes_with(tag)) {
            if json.contains_key(key.name) {
                continue;
            }
            let is_written = table.contains_key(key.name) || misspelt.contains(&key.name);
            if !is_written && key.need == Need::Required {
                self.report(
                    Problem::new(place.header.clone(), format!("{} lacks `{}`", place.title, key.name))
                        .hint(format!("`{}` is {}: {}", key.name, key.kind.words(), key.about)),
                );
            }
            let left_out = self.left_out(key);
            json.extend(left_out.map(|value| (key.name.into(), value)));
        }
        json
    }

    /// Reports a key that does not exist; returns the one that was probably meant.
    fn unknown_key(
        &mut self,
        place: &Place<'_>,
        key: &Spanned<toml::de::DeString<'_>>,
        tag: Option<Option<&str>>,
    ) -> Option<&'static str> {
        let name = key.get_ref().as_ref();
        let section = place.section;
        let fitting = || section.keys.iter().filter(|key| key.goes_with(tag.flatten())).map(|key| key.name);
        let all = || section.keys.iter().map(|key| key.name);
        let elsewhere = SECTIONS.iter().find(|other| other.keys.iter().any(|key| key.name == name));
        let near = nearest(name, fitting()).or_else(|| nearest(name, all()));
        let hint = match (near, elsewhere) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(other)) if other.form == Form::Table => {
                format!("`{name}` belongs below {}", header(other))
            }
            (None, _) => format!("the keys are {}", list(fitting())),
        };
        self.report(
            Problem::new(key.span(), format!("{} has no key `{}`", place.title, shorten(name))).hint(hint),
        );
        near
    }

    fn misplaced_key(&mut self, place: &Place<'_>, key: &Key, tag: &str, span: Range<usize>) {
        let tag_name = place.section.tag.unwrap_or_default();
        let message = format!("`{}` does not go with `{tag_name} = \"{tag}\"` in {}", key.name, place.title);
        let own: Vec<_> =
            place.section.keys.iter().filter(|key| key.only.contains(&tag)).map(|key| key.name).collect();
        let own = if own.is_empty() { String::new() } else { format!("; \"{tag}\" takes {}", list(own)) };
        let only = key.only.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        self.report(Problem::new(span, message).hint(format!("it goes with {only}{own}")));
    }

    /// Reads one value, or reports why not. The place of a good value is kept.
    fn value(&mut self, key: &Key, value: &Spanned<DeValue<'_>>, path: &str, title: &str) -> Option<Json> {
        let span = value.span();
        let result = match (key.kind, value.get_ref()) {
            (Type::Texts(_) | Type::SomeOf(_), DeValue::Array(items)) => {
                self.spans.values.insert(path.into(), span);
                return Some(self.texts(key, items, path, value.span()));
            }
            (Type::Tables(section), DeValue::Array(entries)) => {
                self.spans.values.insert(path.into(), span.clone());
                return Some(self.list(section, path, entries, span));
            }
            (_, other) => read_scalar(key, other).map_err(|fault| match fault {
                Fault::Type => {
                    let message = format!(
                        "`{}` in {title} has to be {}, not {}",
                        key.name,
                        key.kind.words(),
                        type_words(other)
                    );
                    Problem::new(span.clone(), message).maybe_hint(type_hint(key, other))
                }
                Fault::Value { message, hint } => Problem::new(span.clone(), message).maybe_hint(hint),
            }),
        };
        match result {
            Ok(json) => {
                self.spans.values.insert(path.into(), span);
                Some(json)
            }
            Err(problem) => {
                self.report(problem);
                None
            }
        }
    }

    fn texts(&mut self, key: &Key, items: &[Spanned<DeValue<'_>>], path: &str, span: Range<usize>) -> Json {
        self.limit(items.len(), &format!("`{}`", key.name), span);
        let mut texts = Vec::new();
        for item in items.iter().take(ENTRY_LIMIT) {
            let judged = match (item.get_ref(), key.kind) {
                (DeValue::String(text), Type::Texts(rule)) => judge(key.name, text, rule),
                (DeValue::String(text), Type::SomeOf(words)) => one_of(key.name, text, words),
                (other, _) => Err(Fault::Value {
                    message: format!("`{}` is a list of texts, and this is {}", key.name, type_words(other)),
                    hint: None,
                }),
            };
            match judged {
                Ok(text) => {
                    self.spans.values.insert(format!("{path}[{}]", texts.len()), item.span());
                    texts.push(text);
                }
                Err(Fault::Value { message, hint }) => {
                    self.report(Problem::new(item.span(), message).maybe_hint(hint));
                }
                Err(Fault::Type) => {}
            }
        }
        Json::Array(texts)
    }

    /// The value of a key that is not written, or that was reported as broken: its default, or a stand-in that is never seen
    /// because a definition with problems is not handed out.
    fn left_out(&mut self, key: &Key) -> Option<Json> {
        match key.need {
            Need::Optional => None,
            Need::Default(text) => default_value(key, text),
            Need::Required => Some(match key.kind {
                Type::Text(_) => "".into(),
                Type::Texts(_) | Type::SomeOf(_) | Type::Tables(_) => Json::Array(Vec::new()),
                Type::Flag => false.into(),
                Type::Whole { min, max } => 1.clamp(min, max).into(),
                Type::Size { min, .. } => min.into(),
                Type::Mode => 0.into(),
                Type::OneOf(words) => words.first().copied().unwrap_or_default().into(),
                Type::Value => return None,
            }),
        }
    }

    fn absent(&mut self, section: &'static Section) -> Map<String, Json> {
        section.keys.iter().filter_map(|key| Some((key.name.to_owned(), self.left_out(key)?))).collect()
    }

    fn limit(&mut self, count: usize, what: &str, span: Range<usize>) {
        if count > ENTRY_LIMIT {
            let message = format!("{what} has {count} entries; at most {ENTRY_LIMIT} are allowed");
            self.report(Problem::new(span, message));
        }
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The problems in the order of the text, none twice.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
        self.problems.dedup();
        self.problems.truncate(PROBLEM_LIMIT);
        self.problems
    }
}

fn required_keys(section: &'static Section) -> impl Iterator<Item = &'static str> {
    section.keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name)
}

/// The word as the table knows it.
fn known_word(section: &Section, tag: &str, written: &str) -> Option<&'static str> {
    let key = section.keys.iter().find(|key| key.name == tag)?;
    let Type::OneOf(words) = key.kind else { return None };
    words.iter().copied().find(|word| *word == written)
}

/// The entries of a table in the order they are written: the parser's own order is that of the alphabet.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<toml::de::DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let end = text.get(span.clone()).and_then(|text| text.find('\n')).map_or(span.end, |at| span.start + at);
    span.start..end
}
