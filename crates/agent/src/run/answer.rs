//! Calls and their answers.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Definition;
use model::control::{Answer, Call, Outcome, Refusal, Reply, Request};
use model::definition::SettingValues;

use super::system::RunningSystem;
use super::{App, Summary, lock};
use crate::patching::{Follow, Patching, Wish};
use crate::settings::change::{Changed, Settings};
use crate::{boot, units};

/// Time for an answer to reach the other side.
const ANSWER_HEAD_START: Duration = Duration::from_millis(200);
const STOP_TIME: Duration = Duration::from_secs(20);

/// Answers one line of a peer.
pub fn line(app: &App, text: &str) -> Reply {
    match serde_json::from_str::<Request>(text) {
        Ok(request) => Reply { id: request.id, outcome: call(app, request.call) },
        Err(error) => {
            // The line itself is not repeated: it may hold a secret.
            let id = serde_json::from_str::<Numbered>(text).map_or(0, |numbered| numbered.id);
            Reply { id, outcome: refused(format!("the request can not be read (column {})", error.column())) }
        }
    }
}

#[derive(serde::Deserialize)]
struct Numbered {
    id: u64,
}

fn call(app: &App, call: Call) -> Outcome {
    match call {
        Call::Status => Outcome::Ok(Answer::Status(app.status())),
        Call::Settings => {
            let settings = lock(&app.settings);
            Outcome::Ok(Answer::Settings { version: settings.version(), settings: settings.states() })
        }
        Call::Set { changes } => change(app, |settings, system| settings.set(&changes, boot::now(), system)),
        Call::Undo => change(app, |settings, system| settings.undo(boot::now(), system)),
        Call::History => match lock(&app.settings).history() {
            Ok(history) => Outcome::Ok(Answer::History(history)),
            Err(error) => refused(format!("the stored settings can not be read: {error}")),
        },
        Call::UndeclaredWrites => Outcome::Ok(Answer::UndeclaredWrites(super::undeclared_writes())),
        Call::Logs { unit, lines } => match units::logs(unit.as_deref(), lines) {
            Ok(lines) => Outcome::Ok(Answer::Logs(lines)),
            Err(why) => refused(why),
        },
        Call::Updates => patching(app, |patching| Ok(Answer::Updates(patching.status()))),
        Call::CheckUpdates => patching(app, |patching| {
            patching.check()?;
            Ok(Answer::Updates(patching.status()))
        }),
        Call::Precheck { version } => patching(app, |patching| {
            patching.precheck(version.as_deref(), &values(app)).map(Answer::Precheck)
        }),
        Call::Stage { version, again } => begin(app, Wish { version, again, restart: None, by: A_PERSON }),
        Call::Apply { version, again, restart } => {
            begin(app, Wish { version, again, restart: Some(restart), by: A_PERSON })
        }
        Call::Rollback => patching(app, |patching| patching.roll_back().map(|()| Answer::Done)),
        Call::Hold { version, reason } => patching(app, |patching| {
            patching.hold(version, reason)?;
            Ok(Answer::Updates(patching.status()))
        }),
        Call::Unhold { version } => patching(app, |patching| {
            patching.unhold(version.as_deref())?;
            Ok(Answer::Updates(patching.status()))
        }),
        Call::UpdateHistory => patching(app, |patching| Ok(Answer::UpdateHistory(patching.history()))),
        Call::PowerOff => stop("poweroff"),
        Call::Reboot => stop("reboot"),
    }
}

/// Who began a patch, in the journal.
const A_PERSON: &str = "a person";

fn patching(app: &App, act: impl FnOnce(&Arc<Patching>) -> Result<Answer, String>) -> Outcome {
    let Some(patching) = &app.patching else {
        return refused("this machine can not be patched: nothing says which image runs".to_owned());
    };
    match act(patching) {
        Ok(answer) => Outcome::Ok(answer),
        Err(why) => refused(why),
    }
}

fn begin(app: &App, wish: Wish) -> Outcome {
    patching(app, |patching| patching.begin(wish, &values(app)).map(|()| Answer::Done))
}

fn values(app: &App) -> SettingValues {
    lock(&app.summary).values.clone()
}

fn change(
    app: &App,
    act: impl FnOnce(&mut Settings, &mut RunningSystem) -> Result<Changed, Refusal>,
) -> Outcome {
    let mut settings = lock(&app.settings);
    let mut system = RunningSystem { check: app.definition.settings_check.clone() };
    app.change_count.fetch_add(1, Ordering::AcqRel);
    let outcome = act(&mut settings, &mut system);
    app.change_count.fetch_add(1, Ordering::AcqRel);
    *lock(&app.summary) = Summary::of(&settings);
    if let Some(patching) = &app.patching {
        patching.follow(Follow::of(settings.values()));
    }
    drop(settings);
    // What was restarted is looked at now, not in ten seconds.
    let _health_thread_gone = app.nudge.send(());
    match outcome {
        Ok(Changed { version, changed, units }) => Outcome::Ok(Answer::Changed { version, changed, units }),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// Stops or restarts the machine shortly after the answer is out: systemd ends the agent at once, and a cut connection
/// would look like a failure.
fn stop(verb: &'static str) -> Outcome {
    std::thread::spawn(move || {
        std::thread::sleep(ANSWER_HEAD_START);
        if let Err(why) = units::systemctl(&["--no-block", verb], STOP_TIME) {
            // To the journal; when that is gone too, nobody is left to tell.
            let _nobody_listens = writeln!(std::io::stderr(), "the machine does not {verb}: {why}");
        }
    });
    Outcome::Ok(Answer::Done)
}

pub fn refused(message: String) -> Outcome {
    Outcome::Refused(Refusal { message, setting: None, rule: None, output: None })
}

/// Pages a person can open: each declared page at each IPv4 address, or at the IPv6 ones when there is no other.
pub fn urls(definition: &Definition, addresses: &[(IpAddr, u32)]) -> Vec<String> {
    let has_v4 = addresses.iter().any(|(address, _)| address.is_ipv4());
    let hosts =
        addresses.iter().filter(|(address, _)| address.is_ipv4() == has_v4).map(
            |(address, _)| match address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            },
        );
    let hosts: Vec<String> = hosts.collect();
    let pages = definition.ports.iter().filter_map(|port| Some((port.port, port.url_scheme.as_deref()?)));
    pages
        .flat_map(|(port, page)| {
            // `https` alone, or with a path: `https/admin`.
            let (scheme, path) = page.split_at(page.find('/').unwrap_or(page.len()));
            let scheme = scheme.trim_end_matches(':').to_owned();
            let path = if path.trim_matches('/').is_empty() { "/" } else { path }.to_owned();
            let is_default = matches!((scheme.as_str(), port), ("https", 443) | ("http", 80));
            let port = if is_default { String::new() } else { format!(":{port}") };
            hosts.iter().map(move |host| format!("{scheme}://{host}{port}{path}")).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::definition;

    #[test]
    fn pages_are_told_with_the_address_people_have() {
        let definition = definition(json!({"ports": [
            {"port": 443, "protocol": "tcp", "purpose": "web", "url-scheme": "https"},
            {"port": 8443, "protocol": "tcp", "purpose": "admin", "url-scheme": "https/admin"},
            {"port": 514, "protocol": "udp", "purpose": "logs", "url-scheme": null}
        ]}));
        let v4: (IpAddr, u32) = ("10.0.2.15".parse().expect("an address"), 24);
        let v6: (IpAddr, u32) = ("2001:db8::1".parse().expect("an address"), 64);
        assert_eq!(urls(&definition, &[v4, v6]), ["https://10.0.2.15/", "https://10.0.2.15:8443/admin"]);
        assert_eq!(urls(&definition, &[v6])[0], "https://[2001:db8::1]/");
        assert!(urls(&definition, &[]).is_empty());
    }
}
