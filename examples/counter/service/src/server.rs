//! HTTP: what is asked, who may ask it, and what is answered.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::thread;

use tiny_http::{Header, Method, Request, Response, Server};

use crate::configuration::Configuration;
use crate::database::{Database, Visits, explain};
use crate::log::Level;
use crate::page;

/// Both IPv4 and IPv6. The definition opens this port.
const ADDRESS: &str = "[::]:8080";

/// An answer before it is sent.
struct Answer {
    status: u16,
    kind: &'static str,
    text: String,
    location: Option<&'static str>,
}

impl Answer {
    fn text(status: u16, text: impl Into<String>) -> Answer {
        Answer { status, kind: "text/plain; charset=utf-8", text: text.into() + "\n", location: None }
    }
}

/// Answers until the process is ended. Every worker has its own connection to the database.
pub fn serve() -> Result<(), String> {
    let configuration = Arc::new(Configuration::load()?);
    let server = Server::http(ADDRESS).map_err(|error| format!("can not listen on {ADDRESS}: {error}"))?;
    let server = Arc::new(server);
    let workers: Vec<_> = (0..configuration.workers)
        .map(|_| {
            let (server, configuration) = (server.clone(), configuration.clone());
            thread::spawn(move || work(&server, &configuration))
        })
        .collect();
    tell_ready();
    for worker in workers {
        worker.join().map_err(|_| "a worker ended".to_owned())?;
    }
    Err("the listener ended".to_owned())
}

/// Tells systemd that visitors are answered (sd_notify(3)), so that whoever restarts the service knows when it is back.
fn tell_ready() {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    // Nothing else depends on it: without the message systemd ends the start after its timeout and says so.
    let _told = UnixDatagram::unbound().and_then(|datagram| datagram.send_to(b"READY=1", socket));
}

fn work(server: &Server, configuration: &Configuration) {
    let mut database = Database::default();
    while let Ok(request) = server.recv() {
        let who =
            request.remote_addr().map(|address| address.ip().to_canonical().to_string()).unwrap_or_default();
        let line = format!("{who} {} {}", request.method(), request.url());
        let answer = answer(&request, configuration, &mut database);
        let level = match answer.status {
            500.. => Level::Error,
            401 | 403 => Level::Warning,
            303 => Level::Info,
            _ => Level::Debug,
        };
        let why = if answer.status >= 400 { answer.text.trim() } else { "" };
        configuration.log_level.write(level, &format!("{line}: {} {why}", answer.status));
        // A visitor who has gone away does not concern the others.
        let _gone = send(request, answer);
    }
}

fn answer(request: &Request, configuration: &Configuration, database: &mut Database) -> Answer {
    if !may_ask(request, configuration) {
        return Answer::text(403, "This page is not for your network.");
    }
    let path = request.url().split('?').next().unwrap_or_default();
    let done = match (request.method(), path) {
        (Method::Get, "/") => database.visits().map(|visits| page_of(configuration, visits)),
        (Method::Get, "/count") => {
            database.visits().map(|visits| Answer::text(200, visits.total.to_string()))
        }
        (Method::Post, "/count") => database
            .count()
            .map(|visits| Answer { location: Some("/"), ..Answer::text(303, visits.total.to_string()) }),
        (Method::Post, "/reset") if !has_token(request, &configuration.reset_token) => {
            Ok(Answer::text(401, "The reset token is missing or wrong."))
        }
        (Method::Post, "/reset") => database.reset().map(|()| Answer::text(200, "0")),
        (Method::Get, "/health") => database.check_write().map(|()| Answer::text(200, "ok")),
        (_, "/" | "/count" | "/reset" | "/health") => Ok(Answer::text(405, "This can not be done here.")),
        _ => Ok(Answer::text(404, "There is no such page.")),
    };
    done.unwrap_or_else(|error| {
        Answer::text(503, format!("The database does not answer: {}", explain(&error)))
    })
}

/// The appliance itself always may: its health checks come from there.
fn may_ask(request: &Request, configuration: &Configuration) -> bool {
    let Some(network) = configuration.clients else { return true };
    let address = request.remote_addr().map(|address| address.ip().to_canonical());
    address.is_some_and(|address| address.is_loopback() || network.contains(address))
}

/// Looks at every byte whatever the first ones are, so that time tells nothing about the token.
fn has_token(request: &Request, token: &str) -> bool {
    let given = request.headers().iter().find(|header| header.field.equiv("Authorization"));
    let given = given.and_then(|header| header.value.as_str().strip_prefix("Bearer ")).unwrap_or_default();
    let differences = given.bytes().zip(token.bytes()).fold(0, |sum, (one, other)| sum | (one ^ other));
    given.len() == token.len() && differences == 0
}

fn page_of(configuration: &Configuration, visits: Visits) -> Answer {
    let text = page::page(configuration, visits);
    Answer { status: 200, kind: "text/html; charset=utf-8", text, location: None }
}

fn send(request: Request, answer: Answer) -> std::io::Result<()> {
    let mut headers = vec![
        ("Content-Type", answer.kind),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", page::POLICY),
        ("X-Content-Type-Options", "nosniff"),
    ];
    headers.extend(answer.location.map(|location| ("Location", location)));
    let mut response = Response::from_string(answer.text).with_status_code(answer.status);
    // Headers of our own are well formed; `from_bytes` refuses what is not ASCII.
    for header in headers.into_iter().filter_map(|(name, value)| Header::from_bytes(name, value).ok()) {
        response.add_header(header);
    }
    request.respond(response)
}
