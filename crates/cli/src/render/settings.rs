//! Settings and their versions.

use model::control::{HistoryEntry, SettingState, Source};

use super::{table, time};

/// `ampoule settings show`
pub fn settings(version: u64, settings: &[SettingState]) -> String {
    let mut rows =
        vec![vec!["setting".to_owned(), "value".to_owned(), "from".to_owned(), "title".to_owned()]];
    for setting in settings {
        let value = match (&setting.value, setting.is_set) {
            (Some(value), _) => first_line(&value.to_string()),
            (None, true) => "(set, not shown)".to_owned(),
            (None, false) => "(not set)".to_owned(),
        };
        rows.push(vec![
            setting.name.clone(),
            value,
            source(setting.source).to_owned(),
            setting.title.clone(),
        ]);
    }
    format!("{}version {version}\n", table(&rows))
}

/// `ampoule settings set` and `undo`
pub fn changed(version: u64, changed: &[String], units: &[String]) -> String {
    if changed.is_empty() {
        return format!("nothing changed: version {version} has these values already\n");
    }
    let units = match units.is_empty() {
        true => String::new(),
        false => format!("; restarted or reloaded {}", units.join(", ")),
    };
    format!("version {version}: changed {}{units}\n", changed.join(", "))
}

/// `ampoule settings history`
pub fn history(entries: &[HistoryEntry]) -> String {
    let mut rows = vec![["version", "time", "by", "changed"].map(str::to_owned).to_vec()];
    for entry in entries {
        let mark = if entry.current { "*" } else { "" };
        rows.push(vec![
            format!("{}{mark}", entry.version),
            time(entry.time),
            entry.by.clone(),
            entry.changed.join(", "),
        ]);
    }
    format!("{}* in use\n", table(&rows))
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Default => "default",
        Source::Generated => "generated",
        Source::Hypervisor => "hypervisor",
        Source::Seed => "seed disk",
        Source::Customer => "customer",
    }
}

fn first_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    if lines.next().is_some() { format!("{first} ...") } else { first }
}

#[cfg(test)]
mod tests {
    use model::settings::Value;

    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let secret = SettingState {
            name: "token".into(),
            title: "Token".into(),
            value: None,
            is_set: true,
            source: Source::Customer,
        };
        let long = SettingState {
            name: "certificate".into(),
            title: "Certificate".into(),
            value: Some(Value::String("-----BEGIN\nabc".into())),
            is_set: true,
            source: Source::Generated,
        };
        assert_eq!(
            settings(3, &[secret, long]),
            "setting      value             from       title\n\
             token        (set, not shown)  customer   Token\n\
             certificate  -----BEGIN ...    generated  Certificate\n\
             version 3\n"
        );
    }
}
