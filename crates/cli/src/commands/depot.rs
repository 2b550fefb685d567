//! `ampoule depot`: looks after a depot and serves it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use depot::roles::has_roles;
use depot::serve::{Access, Limits, Server};
use depot::{DepotFolder, care};
use serde_json::json;

use super::prepared;
use super::release::{depot_failure, now};
use crate::args::{DepotAction, DepotArgs, RemoveArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Does one of them.
pub fn run(args: &DepotArgs, printer: &Arc<Printer>) -> Result<(), Failure> {
    match &args.action {
        DepotAction::List { folder } => {
            let indices = open(folder)?.indices().map_err(depot_failure)?;
            printer.data(|| render::depot::list(&indices), || json!(indices));
            Ok(())
        }
        DepotAction::Check { folder } => check(folder, printer),
        DepotAction::Serve { folder, listen } => {
            let log = Arc::clone(printer);
            let server =
                Server::start(folder, *listen, Limits::default(), move |access| log.note(&line(&access)))
                    .map_err(depot_failure)?;
            printer.data(|| format!("{}\n", server.url()), || json!({"url": server.url()}));
            printer.note("Ctrl-C stops it");
            let stop = super::stop_on_signals()?;
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        }
        DepotAction::Mirror(args) => super::mirror::run(args, printer),
        DepotAction::Remove(args) => remove(args, printer),
        DepotAction::Refresh(roles) => super::signing::refresh(roles, printer),
        DepotAction::Follow(args) => super::signing::follow(args, printer),
        DepotAction::Clean { folder } => {
            let removed = care::clean(&open(folder)?)
                .map_err(|error| depot_failure(error).unchanged("nothing was removed"))?;
            let bytes = removed.iter().map(|object| object.size).sum();
            let count = render::counted(removed.len(), "object", "objects");
            printer.data(
                || format!("removed {count} of {}\n", model::ByteSize(bytes)),
                || json!({"removed": removed}),
            );
            Ok(())
        }
    }
}

fn remove(args: &RemoveArgs, printer: &Printer) -> Result<(), Failure> {
    let RemoveArgs { folder, appliance, version, channel, root, key, elsewhere, passphrase } = args;
    let depot = open(folder)?;
    elsewhere.prepare.as_deref().map(prepared::ensure_new_file).transpose()?;
    let keys = super::signing::Keys::open(root.as_deref(), key, elsewhere, passphrase)?;
    if let Some(file) = &elsewhere.prepare {
        let list = keys.with(|signing| {
            let signing = signing.expect("BUG: `--prepare` takes a root");
            care::prepare_removal(&depot, appliance, channel, version, signing)
        });
        return prepared::write(&list.map_err(prepared::failure)?, file, printer);
    }
    keys.with(|signing| care::remove(&depot, appliance, channel, version, now(), signing))
        .map_err(|error| depot_failure(error).unchanged("the depot offers what it offered before"))?;
    if has_roles(&depot) && root.is_none() {
        printer.note("your roles still list it: `--root` and `--key` take it out of their list, too");
    }
    printer.data(
        || format!("{appliance} {version} is no longer in `{channel}`; `ampoule depot clean` frees its space\n"),
        || json!({"appliance": appliance, "version": version, "channel": channel, "withdrawn": root.is_some()}),
    );
    Ok(())
}

fn open(folder: &Path) -> Result<DepotFolder, Failure> {
    DepotFolder::open(folder).map_err(depot_failure)
}

fn check(folder: &Path, printer: &Printer) -> Result<(), Failure> {
    let report = care::check(&open(folder)?).map_err(depot_failure)?;
    printer.data(|| render::depot::report(&report), || json!(report));
    match report.problems.len() {
        0 => Ok(()),
        number => {
            let count = render::counted(number, "problem", "problems");
            Err(Failure::new(Fault::Trust, format!("the depot `{}` has {count}", folder.display()))
                .unchanged("nothing was changed; appliances refuse what does not fit its digest")
                .hint("restore the objects from a copy, or publish the releases in a new depot"))
        }
    }
}

fn line(Access { peer, method, path, status }: &Access) -> String {
    // What a client sends must not drive a terminal.
    let path: String = path.chars().flat_map(char::escape_default).collect();
    format!("{peer} {method} {path} {status}")
}
