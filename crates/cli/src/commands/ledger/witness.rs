//! `ledger witness`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ledger::folder::Writer;
use ledger::note::{Cosigner, VerifierKey};
use ledger::witness::serve::{Limits, Server};
use ledger::witness::{Answer, KnownLog, Witness};
use serde_json::json;

use crate::args::KeyArgs;
use crate::commands::keys::note_signer;
use crate::commands::release::now;
use crate::commands::stop_on_signals;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Who the witness is and whom it follows.
pub struct Identity<'a> {
    pub name: &'a str,
    pub ledgers: &'a [String],
    pub enroll: bool,
    pub key: &'a KeyArgs,
}

/// Serves until it is stopped.
pub fn serve(
    folder: &Path,
    identity: &Identity<'_>,
    listen: SocketAddr,
    printer: &Arc<Printer>,
) -> Result<(), Failure> {
    let user = |error: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::User, error);
    let secret = note_signer(&identity.key.key, &identity.key.passphrase)?;
    let name: ledger::note::KeyName =
        identity.name.parse().map_err(|error: ledger::note::KeyError| user(&error))?;
    let key = Cosigner::new(name.clone(), secret.as_ref()).key().clone();
    let mut logs = Vec::new();
    for text in identity.ledgers {
        let key: VerifierKey = text.parse().map_err(|error: ledger::note::KeyError| user(&error))?;
        logs.push(KnownLog::of(key).map_err(|error| user(&error))?);
    }
    let store = Writer::open(folder).map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    let witness = Witness::new(store, key.clone(), logs.clone());
    if identity.enroll {
        for log in &logs {
            witness.enroll(&log.origin).map_err(|error| Failure::from_error(Fault::Environment, &error))?;
        }
    }
    let log = Arc::clone(printer);
    let server = Server::start(listen, Limits::default(), move |call| {
        let cosigner = Cosigner::new(name.clone(), secret.as_ref());
        let answered = witness.answer(&call.method, &call.path, &call.body, &cosigner, now());
        let (answer, problem) = match answered {
            Ok(answer) => (answer, String::new()),
            // The log learns nothing of it; whoever runs the witness does.
            Err(error) => {
                let answer =
                    Answer { status: 500, content_type: "text/plain".into(), body: b"failed\n".to_vec() };
                (answer, format!(": {}", render::ledger::chain(&error)))
            }
        };
        // What a client sends must not drive a terminal.
        let path: String = call.path.chars().flat_map(char::escape_default).collect();
        log.note(&format!("{} {} /{path} {}{problem}", call.peer, call.method, answer.status));
        answer
    });
    let server = server.map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::Environment, format!("can not listen on {listen}"))
    })?;
    let url = format!("http://{}", server.address());
    printer.data(
        || render::ledger::witness(&url, &key.to_string()),
        || json!({"url": url, "key": key.to_string(), "policy-line": format!("witness NAME {key} {url}")}),
    );
    printer.note("Ctrl-C stops it");
    let stop = stop_on_signals()?;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
