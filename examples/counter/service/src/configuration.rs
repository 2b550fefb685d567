//! What the appliance's settings say: `/etc/counter/counter.conf`, lines of `name = value`, and the reset token in a file
//! that only the service can read.
//!
//! The appliance has checked each value by its type before this program sees it. What is checked here is what no type
//! knows: placeholders of the greeting, and that a network is one.

use std::fs;

use crate::log::Level;
use crate::network::Network;

const FILE: &str = "/etc/counter/counter.conf";
const TOKEN_FILE: &str = "/etc/counter/reset-token";
/// What stands for the number of visits in the greeting.
pub const COUNT: &str = "{count}";

/// A configuration that can be served.
#[derive(Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Name of the site.
    pub title: String,
    /// Sentence below it, with `{count}`.
    pub greeting: String,
    /// Where the page links to.
    pub more_url: Option<String>,
    /// Who may use the page; everybody when there is none.
    pub clients: Option<Network>,
    /// Requests that are answered at the same time.
    pub workers: u16,
    /// What is logged.
    pub log_level: Level,
    /// Lets an administrator begin again at zero.
    pub reset_token: String,
}

impl Configuration {
    /// Reads the files that the appliance has rendered.
    pub fn load() -> Result<Configuration, String> {
        let read =
            |path: &str| fs::read_to_string(path).map_err(|error| format!("can not read {path}: {error}"));
        Configuration::parse(&read(FILE)?, &read(TOKEN_FILE)?)
    }

    /// All that is wrong is said at once, a line each.
    fn parse(text: &str, token: &str) -> Result<Configuration, String> {
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(" = "));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
        };
        let mut problems = Vec::new();
        let mut required = |name: &str| {
            value(name).unwrap_or_else(|| {
                problems.push(format!("{name}: no value"));
                ""
            })
        };
        let (title, greeting) = (required("title").to_owned(), required("greeting").to_owned());
        let (workers, level) = (required("workers"), required("log-level"));
        if let Some(unknown) = unknown_placeholder(&greeting) {
            problems.push(format!("greeting: there is no `{unknown}`, only `{COUNT}`"));
        }
        let clients = value("allowed-clients").map(Network::parse).transpose();
        let clients = clients.map_err(|why| problems.push(format!("allowed-clients: {why}")));
        let log_level = Level::parse(level);
        if log_level.is_none() {
            problems.push(format!("log-level: `{level}` is not a level"));
        }
        let workers = workers.parse().ok().filter(|number| *number > 0);
        if workers.is_none() {
            problems.push("workers: expected a number from 1".to_owned());
        }
        // An empty token would let anybody in.
        if token.trim().is_empty() {
            problems.push("reset-token: is empty".to_owned());
        }
        match (clients, log_level, workers, problems.is_empty()) {
            (Ok(clients), Some(log_level), Some(workers), true) => Ok(Configuration {
                title,
                greeting,
                more_url: value("more-url").map(str::to_owned),
                clients,
                workers,
                log_level,
                reset_token: token.trim().to_owned(),
            }),
            _ => Err(problems.join("\n")),
        }
    }
}

/// The first `{...}` that is not the count.
fn unknown_placeholder(greeting: &str) -> Option<&str> {
    let mut rest = greeting;
    while let Some(start) = rest.find('{') {
        let end = rest[start..].find('}').map_or(rest.len(), |end| start + end + 1);
        if &rest[start..end] != COUNT {
            return Some(&rest[start..end]);
        }
        rest = &rest[end..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "title = Visits\ngreeting = You are {count}.\nworkers = 4\nlog-level = info\n";

    #[test]
    fn what_is_rendered_is_read() {
        let read =
            Configuration::parse(&format!("{GOOD}allowed-clients = 10.0.0.0/8\n"), "secret\n").unwrap();
        assert_eq!((read.workers, read.reset_token.as_str(), read.more_url), (4, "secret", None));
        assert!(read.clients.is_some());
    }

    #[test]
    fn all_problems_are_said_at_once() {
        let text = GOOD.replace("{count}", "{visits}") + "allowed-clients = 10.1.0.0/8\n";
        let said = Configuration::parse(&text, "\n").unwrap_err();
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(said.contains("`{visits}`") && said.contains("10.0.0.0/8") && said.contains("reset-token"));
    }
}
