//! What the maker declares: settings, state, health checks, resources. Read from the definitions sealed in the images.

use std::collections::BTreeMap;

use model::Definition;
use model::definition::Probe;
use model::settings::Setting;
use model::settings::validate::rule;

use super::{compared, topic};
use crate::facts::{Change, Item, Topic, TopicId};
use crate::side::Side;

/// One topic for each; none for what is no appliance.
pub fn topics(old: &Side<'_>, new: &Side<'_>) -> Vec<Topic> {
    let (Some(before), Some(after)) = (&old.definition, &new.definition) else { return Vec::new() };
    vec![settings(before, after), state(before, after), health(before, after), resources(before, after)]
}

fn settings(old: &Definition, new: &Definition) -> Topic {
    let of = |definition: &Definition| -> BTreeMap<String, String> {
        definition.settings.iter().map(|setting| (setting.name.clone(), setting_text(setting))).collect()
    };
    let (mut before, after) = (of(old), of(new));
    let mut items = Vec::new();
    // A setting under a new name keeps its value.
    for setting in &new.settings {
        for was in &setting.was {
            if !before.contains_key(&setting.name)
                && !after.contains_key(was)
                && let Some(text) = before.remove(was)
            {
                before.insert(setting.name.clone(), text.clone());
                items.push(Item {
                    what: setting.name.clone(),
                    change: Change::Changed,
                    old: Some(format!("called {was}")),
                    new: Some(format!("called {}", setting.name)),
                    origin: None,
                    widens: false,
                });
            }
        }
    }
    items.extend(super::between(&before, &after));
    topic(
        TopicId::Settings,
        "Settings",
        compared(old.settings.len(), new.settings.len(), "setting", "settings"),
        items,
    )
}

fn setting_text(setting: &Setting) -> String {
    let rule = rule(&setting.kind);
    let default = match (&setting.default, &setting.generate) {
        (Some(value), _) => format!(", default {value}"),
        (None, Some(_)) => ", generated".to_owned(),
        (None, None) => String::new(),
    };
    format!("{}: {}{default}", setting.title, rule.trim_end_matches(" is expected"))
}

fn state(old: &Definition, new: &Definition) -> Topic {
    let of = |definition: &Definition| -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = definition
            .state
            .iter()
            .map(|state| {
                let owner = state.owner.as_deref().unwrap_or("root");
                (state.path.clone(), format!("{}, owner {owner}", state.purpose))
            })
            .collect();
        let form = definition.state_format;
        all.insert(
            "form of the state".to_owned(),
            format!(
                "{}, reads from {}, rollback from {}",
                form.current, form.reads_from, form.rollback_floor
            ),
        );
        all
    };
    topic(
        TopicId::State,
        "Data that survives",
        compared(old.state.len(), new.state.len(), "directory and its form", "directories and their form"),
        super::between(&of(old), &of(new)),
    )
}

fn health(old: &Definition, new: &Definition) -> Topic {
    let of = |definition: &Definition| -> BTreeMap<String, String> {
        definition
            .health
            .iter()
            .map(|check| {
                let probe = match &check.probe {
                    Probe::Http { url, status, .. } => format!("{url} answers {status}"),
                    Probe::Tcp { port } => format!("port {port} answers"),
                    Probe::Unit { unit } => format!("{unit} runs"),
                    Probe::Command { command, .. } => format!("`{}` succeeds", command.join(" ")),
                };
                (check.name.clone(), format!("{probe} within {} s", check.grace))
            })
            .collect()
    };
    topic(
        TopicId::Health,
        "Health checks",
        compared(old.health.len(), new.health.len(), "check", "checks"),
        super::between(&of(old), &of(new)),
    )
}

fn resources(old: &Definition, new: &Definition) -> Topic {
    let of = |definition: &Definition| {
        let resources = &definition.resources;
        BTreeMap::from([
            ("memory".to_owned(), resources.memory.to_string()),
            ("processors".to_owned(), resources.cpus.to_string()),
            ("data".to_owned(), resources.data.to_string()),
        ])
    };
    topic(TopicId::Resources, "Resources", "memory, processors, data", super::between(&of(old), &of(new)))
}
