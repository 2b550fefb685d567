//! Settings and their versions.

use model::control::{HistoryEntry, SettingState, Source};

use super::table;

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
            render_time(entry.time),
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

/// UTC, from seconds since 1970, by the civil calendar.
fn render_time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to date after Howard Hinnant's `civil_from_days`.
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", rest / 3600, rest / 60 % 60, rest % 60)
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

    #[test]
    fn times_are_read_by_people() {
        assert_eq!(render_time(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(render_time(1_709_209_845), "2024-02-29 12:30:45 UTC");
    }
}
