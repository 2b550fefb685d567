//! What a definition can say, as one table of values.
//!
//! Owns every section, key, type, bound, default and its sentence of documentation. Reading ([`mod@crate::parse`]), the
//! reference and the JSON Schema ([`crate::reference`]) all walk it, so that none of them can differ from the others.
//! Refuses rules between keys: those are in `relations`.

mod rules;
mod sections;

pub use rules::{PATTERN, Rule, SETTING_NAME};
pub use sections::{SECTIONS, section};

/// A section of the definition.
#[derive(Debug)]
pub struct Section {
    /// Its name in TOML: `appliance`, `trim.rules`.
    pub name: &'static str,
    /// How it is written.
    pub form: Form,
    /// Whether a definition has to have it.
    pub need: SectionNeed,
    /// What it is for.
    pub about: &'static str,
    /// Its keys, in the order people should write them.
    pub keys: &'static [Key],
    /// The key whose value decides which other keys make sense.
    pub tag: Option<&'static str>,
    /// A short example as TOML.
    pub example: &'static str,
}

/// How a section is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `[name]`, once.
    Table,
    /// `[[name]]`, any number of times.
    List,
    /// `[name.KEY]`, any number of times; the key is the entry's `name`.
    Named,
}

/// Whether a section has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionNeed {
    /// It is an error to leave it out.
    Required,
    /// Left out, all its keys have their defaults.
    Optional,
    /// Left out, it is absent: its keys are required only where it is written.
    Absent,
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// Its name in TOML.
    pub name: &'static str,
    /// What it takes.
    pub kind: Type,
    /// Whether it has to be there.
    pub need: Need,
    /// What it means, in one or two sentences.
    pub about: &'static str,
    /// The values of the section's tag with which it makes sense; all of them when empty.
    pub only: &'static [&'static str],
}

impl Key {
    /// Whether it makes sense with this value of the section's tag.
    pub fn goes_with(&self, tag: Option<&str>) -> bool {
        self.only.is_empty() || tag.is_some_and(|tag| self.only.contains(&tag))
    }
}

/// Whether a key has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It is an error to leave it out.
    Required,
    /// It may be left out, and then says nothing.
    Optional,
    /// Left out, it has this value, written as TOML.
    Default(&'static str),
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// One text.
    Text(&'static Rule),
    /// A list of texts.
    Texts(&'static Rule),
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Whole {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
    },
    /// A number of bytes, as `"512 MiB"` or a plain number.
    Size {
        /// Least, in bytes.
        min: u64,
        /// Greatest, in bytes.
        max: u64,
    },
    /// Permission bits, written as octal digits in a text: `"0644"`.
    Mode,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// A list of some words.
    SomeOf(&'static [&'static str]),
    /// A text, a whole number, `true` or `false`: whatever the setting's type asks for.
    Value,
    /// A list of tables, which is a section of its own.
    Tables(&'static Section),
}

impl Type {
    /// In words, for the reference and for messages: `a text`, `a list of texts`.
    pub fn words(&self) -> &'static str {
        match self {
            Type::Text(_) | Type::OneOf(_) => "a text",
            Type::Texts(_) | Type::SomeOf(_) => "a list of texts",
            Type::Flag => "`true` or `false`",
            Type::Whole { .. } => "a whole number",
            Type::Size { .. } => "a size such as \"512 MiB\"",
            Type::Mode => "a mode such as \"0644\"",
            Type::Value => "a text, a whole number, `true` or `false`",
            Type::Tables(_) => "a list of tables",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_word_of_the_table_is_documented() {
        for (index, section) in SECTIONS.iter().enumerate() {
            assert!(SECTIONS[..index].iter().all(|other| other.name != section.name), "{}", section.name);
            assert!(section.about.ends_with('.') && !section.example.is_empty(), "{}", section.name);
            for (index, key) in section.keys.iter().enumerate() {
                assert!(section.keys[..index].iter().all(|other| other.name != key.name), "{}", key.name);
                assert!(key.about.ends_with('.'), "{}.{}", section.name, key.name);
            }
        }
    }

    #[test]
    fn keys_that_depend_on_a_tag_name_values_it_has() {
        for section in SECTIONS {
            let words = section.tag.map_or(&[][..], |tag| {
                let key =
                    section.keys.iter().find(|key| key.name == tag).expect("the tag is a key of its section");
                let Type::OneOf(words) = key.kind else { panic!("{tag} is not one of some words") };
                words
            });
            for key in section.keys {
                assert!(key.only.iter().all(|word| words.contains(word)), "{}.{}", section.name, key.name);
            }
        }
    }
}
