//! Probing: one attempt at what a check looks at.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use model::definition::{HealthCheck, Probe};

use super::{Subject, http};
use crate::accounts::Accounts;
use crate::firewall::TABLE;
use crate::sys::nftables;
use crate::{process, units};

/// Makes one attempt at each check; results in the same order. Units are asked for in one question: a process costs more
/// than anything else here.
pub fn round(subjects: &[Subject], accounts: &Accounts) -> Vec<Result<(), String>> {
    let names: Vec<&str> = subjects
        .iter()
        .filter_map(|subject| match subject {
            Subject::Declared(HealthCheck { probe: Probe::Unit { unit }, .. }) => Some(unit.as_str()),
            _ => None,
        })
        .collect();
    let states = units::states(&names);
    let one = |subject: &Subject| match subject {
        Subject::Declared(check) => attempt(check, &states, accounts),
        Subject::Firewall => firewall(),
    };
    subjects.iter().map(one).collect()
}

/// Asks the kernel, which knows better than the service that loaded the rules.
fn firewall() -> Result<(), String> {
    match nftables::has_table(TABLE) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the firewall is not loaded".to_owned()),
        Err(error) => Err(format!("the kernel does not tell whether the firewall is loaded: {error}")),
    }
}

fn attempt(check: &HealthCheck, units: &BTreeMap<String, String>, accounts: &Accounts) -> Result<(), String> {
    let time = Duration::from_secs(check.timeout.max(1).into());
    match &check.probe {
        Probe::Http { url, status, contains } => http::check(url, *status, contains.as_deref(), time),
        Probe::Tcp { port } => TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, *port).into(), time)
            .map(drop)
            .map_err(|error| format!("port {port} does not answer: {}", http::words(&error))),
        Probe::Unit { unit } => match units.get(unit).map(String::as_str) {
            Some("active") => Ok(()),
            Some(state) => Err(format!("{unit} is {state}")),
            None => Err(format!("systemd does not answer about {unit}")),
        },
        Probe::Command { command, user } => run(command, user.as_deref(), time, accounts),
    }
}

fn run(command: &[String], user: Option<&str>, time: Duration, accounts: &Accounts) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("the check command is empty")?;
    let mut prepared = Command::new(program);
    prepared.args(arguments).current_dir("/");
    if let Some(user) = user {
        let owner = accounts.owner(user).map_err(|error| error.to_string())?;
        prepared.uid(owner.user).gid(owner.group);
    }
    match process::run(prepared, None, time) {
        Ok(finished) if finished.is_success() => Ok(()),
        Ok(finished) => Err(format!("{program}: {}", finished.explain())),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(probe: Probe) -> Subject {
        Subject::Declared(HealthCheck { name: "check".to_owned(), probe, timeout: 5, grace: 0 })
    }

    #[test]
    fn commands_are_judged_by_their_end() {
        let shell = |script: &str| {
            let command = ["sh", "-c", script].map(str::to_owned).to_vec();
            let check = check(Probe::Command { command, user: None });
            round(std::slice::from_ref(&check), &Accounts::default()).remove(0)
        };
        assert_eq!(shell("exit 0"), Ok(()));
        assert_eq!(
            shell("echo no rows; exit 1"),
            Err("sh: no rows\n(it ended with exit status: 1)".to_owned())
        );
    }

    #[test]
    fn ports_are_judged_by_a_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("bound").port();
        let check = check(Probe::Tcp { port });
        assert_eq!(round(std::slice::from_ref(&check), &Accounts::default()), [Ok(())]);
        let (port, _held) = crate::testing::silent_port();
        let check = self::check(Probe::Tcp { port });
        let refused = Err(format!("port {port} does not answer: connection refused"));
        assert_eq!(round(std::slice::from_ref(&check), &Accounts::default()), [refused]);
    }
}
