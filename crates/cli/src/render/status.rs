//! The state of a running appliance.

use machine::StopMethod;
use model::control::{CheckState, Health, Status};

/// `ampoule status`, and what `ampoule run` shows at the end.
pub fn status(status: &Status) -> String {
    let mut text = format!("{} {}: {}\n", status.title, status.version, health(status.health));
    for check in &status.checks {
        text.push_str(&format!("  {}: {}\n", check.name, check_state(check)));
    }
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<13}{value}\n"));
    line("appliance", &status.appliance);
    line("host name", &status.hostname);
    // The network may come up after the checks pass.
    if !status.addresses.is_empty() {
        line("addresses", &status.addresses.join(", "));
    }
    if !status.urls.is_empty() {
        line("pages", &status.urls.join(", "));
    }
    text.push_str(&super::patching::summary(&status.update));
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<13}{value}\n"));
    line("root hash", &status.root_hash);
    line("settings", &format!("version {}", status.settings_version));
    line("up for", &duration(status.uptime));
    for notice in &status.notices {
        text.push_str(&format!("notice: {notice}\n"));
    }
    text
}

/// One word.
pub fn health(health: Health) -> &'static str {
    match health {
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

/// One check in a line.
pub fn check_state(check: &CheckState) -> String {
    match &check.why {
        Some(why) => format!("{}: {why}", health(check.health)),
        None => health(check.health).to_owned(),
    }
}

/// How an appliance was stopped.
pub fn stop_method(method: StopMethod) -> &'static str {
    match method {
        StopMethod::Already => "by itself, or from elsewhere",
        StopMethod::Agent => "cleanly",
        StopMethod::PowerButton => "by the power button",
        StopMethod::Quit => "by ending QEMU: a power cut for the appliance",
        StopMethod::Kill => "by killing QEMU: a power cut for the appliance",
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}
