//! The topics: each answers one question from both sides. A topic without items says that nothing changed, and what was compared.

use std::collections::BTreeMap;

use crate::facts::{Files, Item, Topic, TopicId};
use crate::side::Side;

mod declared;
mod kernel;
mod privileges;
mod services;

/// All topics, in the order in which they are shown.
pub fn topics(old: &Side<'_>, new: &Side<'_>, files: &Files) -> Vec<Topic> {
    let mut topics = vec![
        privileges::privileges(old, new),
        privileges::accounts(old, new),
        privileges::rules(files, new),
        privileges::trust(files, new),
        services::network(old, new, files),
        services::services(old, new),
        services::timers(old, new),
        privileges::hardening(files),
        kernel::kernel(old, new, files),
        kernel::options(old, new),
        kernel::boot(old, new),
    ];
    topics.extend(declared::topics(old, new));
    topics
}

fn topic(id: TopicId, title: &str, compared: impl Into<String>, items: Vec<Item>) -> Topic {
    Topic { id, title: title.to_owned(), compared: compared.into(), items }
}

/// Items for what differs between two maps of texts.
fn between(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Item> {
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| Item::between(name, old.get(name).cloned(), new.get(name).cloned()))
        .collect()
}

/// A number with its noun.
fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// How many there are on both sides, in words: `4 users`, or `4 users before, 5 after`.
fn compared(old: usize, new: usize, one: &str, many: &str) -> String {
    match old == new {
        true => counted(new, one, many),
        false => format!("{} before, {new} after", counted(old, one, many)),
    }
}
