//! The status card: what a person sees on the appliance's screen and serial port. A pure function of the state.

use model::Definition;
use model::control::{Health, Status};

/// Characters a line has: 80 of the smallest terminal, and a margin on both sides.
const WIDTH: usize = 76;
/// Notices that are shown; all of them are in the status.
const NOTICE_LIMIT: usize = 4;

/// The card as lines without control characters.
pub fn render(definition: &Definition, status: &Status) -> String {
    let mut rows: Vec<(&str, String)> = vec![("State", state(status))];
    for check in status.checks.iter().filter(|check| check.health == Health::Unhealthy) {
        rows.push((
            "",
            format!("{}: {}", check.name, first_line(check.why.as_deref().unwrap_or("it fails"))),
        ));
    }
    let addresses =
        if status.addresses.is_empty() { "none yet".to_owned() } else { status.addresses.join("  ") };
    rows.push(("Address", addresses));
    for (index, url) in status.urls.iter().enumerate() {
        rows.push((if index == 0 { "Open" } else { "" }, url.clone()));
    }
    let contact = [&definition.appliance.contact, &definition.appliance.url].into_iter().flatten();
    let contact: Vec<&str> = contact.map(String::as_str).collect();
    if !contact.is_empty() {
        rows.push(("Support", contact.join("  ")));
    }
    rows.push(("System", format!("{} ...", status.root_hash.chars().take(16).collect::<String>())));
    for (index, notice) in status.notices.iter().take(NOTICE_LIMIT).enumerate() {
        rows.push((if index == 0 { "Notice" } else { "" }, first_line(notice)));
    }
    if status.notices.len() > NOTICE_LIMIT {
        rows.push(("", format!("and {} more", status.notices.len() - NOTICE_LIMIT)));
    }
    let mut text = format!("\n  {}\n\n", shown(&format!("{} {}", status.title, status.version)));
    for (title, value) in rows {
        text.push_str(shown(&format!("  {title:<9} {value}")).trim_end());
        text.push('\n');
    }
    text.push('\n');
    text
}

fn state(status: &Status) -> String {
    match status.health {
        Health::Healthy => "healthy".to_owned(),
        Health::Starting => "starting".to_owned(),
        Health::Unhealthy => "unhealthy".to_owned(),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Cut to the width, without anything a terminal would obey: addresses and notices come from outside.
fn shown(text: &str) -> String {
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if text.chars().count() <= WIDTH {
        return text;
    }
    // Three dots: the kernel's console font has no ellipsis.
    text.chars().take(WIDTH - 3).chain(['.'; 3]).collect()
}

#[cfg(test)]
mod tests {
    use model::control::CheckState;
    use serde_json::json;

    use super::*;
    use crate::testing::definition;

    fn status(health: Health) -> Status {
        Status {
            appliance: "example/shop".to_owned(),
            title: "Example Shop".to_owned(),
            version: "1.4.0".to_owned(),
            root_hash: "0123456789abcdef".repeat(4),
            health,
            checks: Vec::new(),
            hostname: "shop".to_owned(),
            addresses: vec!["10.0.2.15/24".to_owned()],
            urls: vec!["https://10.0.2.15/".to_owned()],
            uptime: 5,
            settings_version: 1,
            update: model::control::UpdateStatus::unknown(),
            notices: Vec::new(),
        }
    }

    #[test]
    fn a_healthy_card_says_where_to_go() {
        let card = render(&definition(json!({})), &status(Health::Healthy));
        let expected = "
  Example Shop 1.4.0

  State     healthy
  Address   10.0.2.15/24
  Open      https://10.0.2.15/
  Support   help@example.org
  System    0123456789abcdef ...

";
        assert_eq!(card, expected);
    }

    #[test]
    fn an_unhealthy_card_says_why_in_25_lines_of_80() {
        let mut status = status(Health::Unhealthy);
        let why = Some("\x1b[2J".to_owned() + &"long ".repeat(40) + "\nsecond line");
        status.checks = vec![CheckState { name: "web".to_owned(), health: Health::Unhealthy, why }];
        status.notices = (1..=6).map(|number| format!("notice {number}")).collect();
        let card = render(&definition(json!({})), &status);
        assert!(card.lines().count() <= 25);
        assert!(card.lines().all(|line| line.chars().count() <= 80));
        assert!(card.contains("            web:  [2Jlong long"), "{card}");
        assert!(!card.contains('\x1b') && !card.contains("second line"));
        assert!(
            card.contains("  Notice    notice 1\n") && card.contains("            and 2 more\n"),
            "{card}"
        );
    }
}
