//! The agent of an appliance: `render` before systemd, `run` as a service, and calls to the one that runs.

use std::io::Write;
use std::process::ExitCode;

use model::control::Outcome;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let verb = words.first().map(String::as_str).unwrap_or_default();
    let outcome = match verb {
        "render" => agent::boot::render().map(|()| ExitCode::SUCCESS),
        "run" => agent::run::main().map(|()| ExitCode::SUCCESS),
        // The trial's own end: systemd restarts the machine after it, see `agent::init::trial`.
        "trial-over" => Ok(ExitCode::SUCCESS),
        // Between two releases, when user space restarts alone.
        "next-root" => {
            let root_hash = words.get(1).map(String::as_str).unwrap_or_default();
            agent::next_root::enter(root_hash).map(|()| ExitCode::SUCCESS)
        }
        "check-staged" => Err(agent::staged::main()),
        _ => return ask(&words),
    };
    outcome.unwrap_or_else(|error| {
        agent::staged::tell(&error);
        ExitCode::FAILURE
    })
}

fn ask(words: &[String]) -> ExitCode {
    let call = match agent::client::parse(words) {
        Ok(call) => call,
        Err(message) => {
            let usage =
                "usage: agent status | settings | set NAME=VALUE... | undo | history | undeclared-writes";
            agent::staged::tell(&std::io::Error::other(format!("{message}\n{usage}")));
            return ExitCode::from(2);
        }
    };
    match agent::client::ask(call) {
        Ok(reply) => {
            let text = serde_json::to_string_pretty(&reply.outcome).unwrap_or_default();
            let _closed = writeln!(std::io::stdout(), "{text}");
            if matches!(reply.outcome, Outcome::Ok(_)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            agent::staged::tell(&std::io::Error::other(format!("the agent does not answer: {error}")));
            ExitCode::FAILURE
        }
    }
}
