//! Settings documents: TOML with one line a setting, from the hypervisor or a seed disk.

use model::definition::SettingValues;
use model::settings::Setting;
use model::settings::validate::{read_value, unknown_setting};

/// Longest document. A hypervisor or a seed disk must not fill the memory of a booting machine; 64 KiB per certificate
/// fits several times.
pub const DOCUMENT_LIMIT: usize = 1 << 20;

/// Reads a document. Lines at the top and lines below `[settings]` mean the same. What can not be used is left out, with a
/// notice that names setting, value and rule: a typo must not keep an appliance from booting.
pub fn read_document(text: &str, origin: &str, settings: &[Setting]) -> (SettingValues, Vec<String>) {
    let mut values = SettingValues::new();
    let mut notices = Vec::new();
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: toml::de::Error = error;
            // The message without the quoted line, which may hold a secret.
            notices.push(format!("settings from {origin} were ignored: not TOML: {}", error.message()));
            return (values, notices);
        }
    };
    let nested = match table.get("settings") {
        Some(toml::Value::Table(nested)) => Some(nested.clone()),
        _ => None,
    };
    let top = table.into_iter().filter(|(name, value)| !(name == "settings" && value.is_table()));
    for (name, value) in top.chain(nested.into_iter().flatten()) {
        let text = match &value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(value) => value.to_string(),
            _ => {
                notices.push(format!(
                    "from {origin}: `{name}` was ignored: text, number, true or false is expected"
                ));
                continue;
            }
        };
        let read = match settings.iter().find(|setting| setting.name == name) {
            Some(setting) => read_value(setting, &text),
            None => Err(unknown_setting(settings, &name)),
        };
        match read {
            Ok(value) => drop(values.insert(name, value)),
            Err(violation) => notices.push(format!("from {origin}: {violation}")),
        }
    }
    (values, notices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{secret, string};

    #[test]
    fn good_lines_are_taken_and_bad_ones_told_with_name_value_and_rule() {
        let settings = [string("site-name", "^[A-Z].*$"), string("other", ".*")];
        let text = "site-name = \"lower\"\nother = 7\nunkown = true\n[settings]\nsite-name = \"Upper\"\n";
        let (values, notices) = read_document(text, "the seed disk", &settings);
        assert_eq!(values["other"].to_string(), "7");
        assert_eq!(values["site-name"].to_string(), "Upper");
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(notices[0].contains("site-name") && notices[0].contains("lower"), "{notices:?}");
        assert!(notices[1].contains("unkown"), "{notices:?}");
    }

    #[test]
    fn secrets_are_in_no_notice() {
        let settings = [secret("token")];
        let (_, notices) = read_document("token = \"hunter2\"\n", "fw_cfg", &settings);
        assert_eq!(notices.len(), 1, "eight characters are asked for");
        assert!(!notices[0].contains("hunter2"), "{notices:?}");
        let (_, notices) = read_document("token = \"hunter2", "fw_cfg", &settings);
        assert!(notices[0].contains("not TOML") && !notices[0].contains("hunter2"), "{notices:?}");
    }
}
