//! The table itself.

mod behaviour;
mod content;

use self::behaviour::{
    HEALTH, PORTS, RESOURCES, SETTINGS, SETTINGS_CHECK, STATE, STATE_FORMAT, TRIM, TRIM_RULES, TRUST, UPDATES,
};
use self::content::{APPLIANCE, BASE, COMPONENTS, FILES, SBOM, TEMPLATES, UNITS, USERS};
use super::{Key, Need, Section, Type};

const fn key(name: &'static str, kind: Type, need: Need, about: &'static str) -> Key {
    Key { name, kind, need, about, only: &[] }
}

const fn key_for(
    only: &'static [&'static str],
    name: &'static str,
    kind: Type,
    need: Need,
    about: &'static str,
) -> Key {
    Key { name, kind, need, about, only }
}

/// The section of this name.
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().copied().find(|section| section.name == name)
}

/// All sections, in the order people should write them.
pub static SECTIONS: &[&Section] = &[
    &APPLIANCE,
    &BASE,
    &FILES,
    &USERS,
    &UNITS,
    &TEMPLATES,
    &SETTINGS,
    &SETTINGS_CHECK,
    &PORTS,
    &STATE,
    &STATE_FORMAT,
    &UPDATES,
    &TRUST,
    &HEALTH,
    &TRIM,
    &TRIM_RULES,
    &COMPONENTS,
    &SBOM,
    &RESOURCES,
];
