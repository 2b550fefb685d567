//! Which value counts: defaults, generated, hypervisor, seed, customer, in rising order.

use std::collections::BTreeMap;

use model::control::{SettingState, Source};
use model::definition::SettingValues;
use model::settings::validate::{Violation, validate_value};
use model::settings::{Setting, Value};

use super::store::Layers;

/// The value of every setting that has one, and where it comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effective {
    values: SettingValues,
    sources: BTreeMap<String, Source>,
}

impl Effective {
    /// Takes the highest layer's value for each setting.
    pub fn resolve(settings: &[Setting], generated: &SettingValues, layers: &Layers) -> Effective {
        let mut effective = Effective::default();
        for setting in settings {
            let name = &setting.name;
            let found = [
                (layers.customer.get(name), Source::Customer),
                (layers.seed.get(name), Source::Seed),
                (layers.hypervisor.get(name), Source::Hypervisor),
                (generated.get(name), Source::Generated),
                (setting.default.as_ref(), Source::Default),
            ];
            if let Some((value, source)) =
                found.into_iter().find_map(|(value, source)| Some((value?, source)))
            {
                effective.values.insert(name.clone(), value.clone());
                effective.sources.insert(name.clone(), source);
            }
        }
        effective
    }

    /// Values by name.
    pub fn values(&self) -> &SettingValues {
        &self.values
    }

    /// One value as text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).map(Value::to_string)
    }

    /// Where a value comes from.
    pub fn source(&self, name: &str) -> Option<Source> {
        self.sources.get(name).copied()
    }

    /// Names whose values differ, in the declared order.
    pub fn changes(&self, other: &Effective, settings: &[Setting]) -> Vec<String> {
        let names = settings.iter().map(|setting| setting.name.clone());
        names.filter(|name| self.values.get(name) != other.values.get(name)).collect()
    }

    /// What is told of the settings: secrets without their values (law 12).
    pub fn states(&self, settings: &[Setting]) -> Vec<SettingState> {
        let state = |setting: &Setting| SettingState {
            name: setting.name.clone(),
            title: setting.title.clone(),
            value: if setting.kind.is_secret() { None } else { self.values.get(&setting.name).cloned() },
            is_set: self.values.contains_key(&setting.name),
            source: self.source(&setting.name).unwrap_or(Source::Default),
        };
        settings.iter().map(state).collect()
    }
}

/// Removes stored values that this image's rules do not allow any more (an older release may have allowed them), and says
/// so. The stored version stays as it is.
pub fn retain_valid(layers: &mut Layers, settings: &[Setting]) -> Vec<String> {
    let mut notices = Vec::new();
    for (values, origin) in [
        (&mut layers.hypervisor, "passed by the hypervisor earlier"),
        (&mut layers.seed, "read from a seed disk earlier"),
        (&mut layers.customer, "set earlier"),
    ] {
        values.retain(|name, value| {
            let Some(setting) = settings.iter().find(|setting| &setting.name == name) else {
                // Of another release: kept in the stored version for a return to it, and nothing to tell anybody.
                return false;
            };
            let judged = validate_value(setting, value);
            if let Err(violation) = &judged {
                notices.push(stale(violation, origin));
            }
            judged.is_ok()
        });
    }
    notices
}

fn stale(violation: &Violation, origin: &str) -> String {
    format!("a value {origin} was ignored: {violation}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{secret, string};

    fn values(pairs: &[(&str, &str)]) -> SettingValues {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::String((*value).to_owned()))).collect()
    }

    #[test]
    fn each_source_beats_the_ones_below_it() {
        let mut setting = string("name", ".*");
        setting.default = Some(Value::String("default".to_owned()));
        let settings = [setting];
        let mut layers = Layers::default();
        let mut generated = SettingValues::new();
        let now = |generated: &SettingValues, layers: &Layers| {
            let effective = Effective::resolve(&settings, generated, layers);
            (effective.text("name").expect("there"), effective.source("name").expect("there"))
        };
        assert_eq!(now(&generated, &layers), ("default".to_owned(), Source::Default));
        generated = values(&[("name", "generated")]);
        assert_eq!(now(&generated, &layers), ("generated".to_owned(), Source::Generated));
        layers.hypervisor = values(&[("name", "hypervisor")]);
        assert_eq!(now(&generated, &layers), ("hypervisor".to_owned(), Source::Hypervisor));
        layers.seed = values(&[("name", "seed")]);
        assert_eq!(now(&generated, &layers), ("seed".to_owned(), Source::Seed));
        layers.customer = values(&[("name", "customer")]);
        assert_eq!(now(&generated, &layers), ("customer".to_owned(), Source::Customer));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let settings = [secret("token")];
        let layers = Layers { customer: values(&[("token", "hunter2hunter2")]), ..Layers::default() };
        let states = Effective::resolve(&settings, &SettingValues::new(), &layers).states(&settings);
        assert!(states[0].is_set && states[0].value.is_none());
        assert!(!serde_json::to_string(&states).expect("plain data").contains("hunter2"));
    }

    #[test]
    fn values_of_an_older_release_that_break_todays_rules_are_ignored_and_told() {
        let settings = [string("name", "^[a-z]+$")];
        let mut layers = Layers { customer: values(&[("name", "OLD"), ("gone", "x")]), ..Layers::default() };
        let notices = retain_valid(&mut layers, &settings);
        assert!(layers.customer.is_empty());
        assert_eq!(notices.len(), 1, "what another release declares is kept in silence: {notices:?}");
        assert!(notices[0].contains("`name`"), "{notices:?}");
    }
}
