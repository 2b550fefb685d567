//! `ampoule test`: a patch rehearsed in virtual machines, for a maker's CI.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use depot::DepotFolder;
use depot::publish::{Request, publish};
use depot::serve::{Limits, Server};
use machine::rehearsal::{Outcome, Rehearsal, Report, rehearse};
use model::definition::Definition;
use release::{ReleaseFolder, names};
use serde_json::json;

use super::release::{depot_failure, now};
use super::signing::Signers;
use crate::args::{SigningArgs, TestArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// The host, as QEMU's user network shows it to the appliance.
pub const HOST_IN_GUEST: &str = "10.0.2.2";
/// Longest definition that is read.
const DEFINITION_LIMIT: u64 = 4 << 20;

/// Publishes both, rehearses, reports.
pub fn run(args: &TestArgs, printer: &Arc<Printer>) -> Result<(), Failure> {
    let open = |path: &Path| {
        ReleaseFolder::open(path).map_err(|error| {
            Failure::from_error(Fault::User, &error).hint("`ampoule build` writes a release folder")
        })
    };
    let (old, new) = (open(&args.old)?, open(&args.new)?);
    let definition = definition(&old)?;
    let settings = args.settings.as_deref().map(super::run::read_settings).transpose()?;
    let probe = match &args.probe {
        Some(path) => Some(fs::canonicalize(path).map_err(|error| unusable(path, &error))?),
        None => None,
    };
    let temporary;
    let folder = match &args.keep {
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
            folder.as_path()
        }
        None => {
            temporary = tempfile::tempdir().map_err(|error| unusable(&std::env::temp_dir(), &error))?;
            temporary.path()
        }
    };
    let server = serve_both(
        &folder.join("depot"),
        [&args.old, &args.new],
        &definition.updates.channel,
        &args.signing,
        printer,
    )?;
    let rehearsal = Rehearsal {
        old: &old,
        new: &new,
        depot: &format!("http://{HOST_IN_GUEST}:{}", server.address().port()),
        folder: &folder.join("machines"),
        state: definition.state.iter().map(|state| state.path.clone()).collect(),
        settings,
        probe,
        power_cuts: !args.no_power_cuts,
        timeout: Duration::from_secs(args.timeout),
    };
    let mut chapter = String::new();
    let report = rehearse(&rehearsal, |name, step| {
        if chapter != name {
            chapter = name.to_owned();
            printer.note(name);
        }
        printer.note(&render::rehearsal::step(step));
    });
    if args.keep.is_none() {
        let _ = fs::remove_dir_all(folder);
    }
    show(&report, args, printer)
}

fn show(report: &Report, args: &TestArgs, printer: &Printer) -> Result<(), Failure> {
    if let Some(path) = &args.report {
        let mut text = serde_json::to_string_pretty(report).expect("a report has only string keys");
        text.push('\n');
        fs::write(path, text).map_err(|error| unusable(path, &error))?;
    }
    printer.data(|| render::rehearsal::report(report), || json!(report));
    if report.passed {
        return Ok(());
    }
    let failed = report.chapters.iter().filter(|chapter| chapter.outcome == Outcome::Failed).count();
    let count = render::counted(failed, "chapter", "chapters");
    let message = format!("{} to {}: {count} failed", report.old.version, report.new.version);
    Err(Failure::new(Fault::Appliance, message)
        .unchanged("nothing was published")
        .hint("`--keep FOLDER` keeps the machines with their serial consoles"))
}

/// A depot with both releases, on 127.0.0.1.
fn serve_both(
    folder: &Path,
    releases: [&Path; 2],
    channel: &str,
    signing: &SigningArgs,
    printer: &Printer,
) -> Result<Server, Failure> {
    let depot = DepotFolder::open_or_create(folder).map_err(depot_failure)?;
    let signers = Signers::open(signing)?;
    for release in releases {
        printer.passing(&format!("publish {}", release.display()));
        let published = signers.with(|asked| {
            let request = Request {
                release,
                channel,
                notes: None,
                patches: 1,
                from: &[],
                now: now(),
                security_only_from: Vec::new(),
                signing: asked.signing,
                ledger: asked.ledger,
            };
            publish(&depot, &request, &depot::ways::Patches::default(), &|_, _| ())
        });
        published.map_err(|error| depot_failure(error).unchanged("nothing was tested"))?;
    }
    printer.clear();
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Server::start(folder, listen, Limits::default(), |_| ()).map_err(depot_failure)
}

fn definition(release: &ReleaseFolder) -> Result<Definition, Failure> {
    let text = release
        .read_document(names::DEFINITION, DEFINITION_LIMIT)
        .map_err(|error| Failure::from_error(Fault::User, &error))?;
    serde_json::from_slice(&text).map_err(|error| Failure {
        message: format!("the definition in `{}` can not be read", release.path().display()),
        ..Failure::from_error(Fault::User, &error)
    })
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::Environment, format!("can not use `{}`", path.display()))
    }
}
