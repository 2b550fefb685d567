//! Calls and their answers.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Definition;
use model::control::{Answer, Call, Hold, Outcome, Refusal, Reply, Request, Restart};
use update::plan::Again;

use super::system::RunningSystem;
use super::{App, Summary, lock};
use crate::settings::change::{Changed, Settings};
use crate::update as patching;
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
        Call::Updates => updates(app),
        Call::CheckUpdates => match patching::check(app) {
            Ok(()) => updates(app),
            Err(why) => refused(why),
        },
        Call::Precheck { version } => {
            // Somebody who asks what it would do may ask about one that fell back, too.
            let checked = patching::plan_for(app, version.as_deref(), Again::Yes)
                .and_then(|planned| patching::precheck_for(app, &planned));
            match checked {
                Ok(precheck) => Outcome::Ok(Answer::Precheck(precheck)),
                Err(why) => refused(why),
            }
        }
        Call::Stage { version, again } => install(app, version.as_deref(), again, None),
        Call::Apply { version, again, restart } => install(app, version.as_deref(), again, Some(restart)),
        Call::Rollback => match patching::rollback_refusal(app) {
            Some(why) => refused(why),
            None => begun(app.updates.begin(patching::Job::Rollback)),
        },
        Call::Hold { version, reason } => {
            held(app, app.updates.hold(Hold { version, reason, since: boot::now() }))
        }
        Call::Unhold { version } => held(app, app.updates.unhold(version.as_deref())),
        Call::Word { note } => {
            let choices = lock(&app.summary).choices.clone();
            held(app, patching::words::hear(&app.updates, &choices, &note).map(drop))
        }
        Call::Words => {
            let choices = lock(&app.summary).choices.clone();
            Outcome::Ok(Answer::Words(patching::words::all(&app.updates, &choices)))
        }
        Call::UpdateHistory => Outcome::Ok(Answer::UpdateHistory(app.updates.history())),
        Call::PowerOff => stop("poweroff"),
        Call::Reboot => stop("reboot"),
    }
}

fn updates(app: &App) -> Outcome {
    let choices = lock(&app.summary).choices.clone();
    Outcome::Ok(Answer::Updates(app.updates.status(&choices, boot::now())))
}

fn held(app: &App, outcome: Result<(), String>) -> Outcome {
    match outcome {
        Ok(()) => updates(app),
        Err(why) => refused(why),
    }
}

/// Everything that can be refused is refused here, before the answer; the thread does the rest.
fn install(app: &App, version: Option<&str>, again: bool, then: Option<Restart>) -> Outcome {
    let again = if again { Again::Yes } else { Again::No };
    let begin = || {
        app.updates.is_free()?;
        let planned = patching::plan_for(app, version, again)?;
        let checked = patching::precheck_for(app, &planned)?;
        if let Some(problem) = checked.problems.first() {
            let next = problem.resolution.as_ref().map(|next| format!("; {next}")).unwrap_or_default();
            return Err(format!("{}: {}{next}", problem.subject, problem.text));
        }
        app.updates.begin(patching::Job::Install { planned: Box::new(planned), then, by: "asked for" })
    };
    begun(begin())
}

fn begun(outcome: Result<(), String>) -> Outcome {
    match outcome {
        Ok(()) => Outcome::Ok(Answer::Done),
        Err(why) => refused(why),
    }
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
