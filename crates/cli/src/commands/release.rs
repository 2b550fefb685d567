//! `ampoule release`: adds a release folder to a depot.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use bulletin::compare::{Evidence, compare};
use depot::publish::{Request, Step, publish};
use depot::take::TakeError;
use depot::{DepotError, DepotFolder};
use release::ReleaseId;
use serde_json::json;

use super::prepared;
use super::side::{Opened, Strangers};
use super::signing::Signers;

use crate::args::ReleaseArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Publishes and shows the ways to the release.
pub fn run(args: &ReleaseArgs, printer: &Printer) -> Result<(), Failure> {
    let was_there = args.depot.join(depot::folder::MARK).exists();
    let unchanged = || match (was_there, args.depot.join(depot::folder::MARK).exists()) {
        (true, _) => format!("the depot `{}` offers what it offered before", args.depot.display()),
        (false, true) => format!("nothing was published; the new depot `{}` is empty", args.depot.display()),
        (false, false) => "no depot was made".to_owned(),
    };
    let notes = args.notes.as_deref().map(read_notes).transpose()?;
    // Before a depot is made: a wrong folder must not leave an empty one.
    release::ReleaseFolder::open(&args.release).map_err(|error| {
        depot_failure(error.into()).unchanged(unchanged()).hint("`ampoule build` writes a release folder")
    })?;
    let prepare = args.signing.elsewhere.prepare.as_deref();
    prepare.map(prepared::ensure_new_file).transpose()?;
    let depot = DepotFolder::open_or_create(&args.depot)
        .map_err(|error| depot_failure(error).unchanged("nothing was published"))?;
    let security_only_from = security_only_from(args, printer)?;
    let signers = Signers::open(&args.signing).map_err(|failure| failure.unchanged(unchanged()))?;
    let progress = |step: &Step, part: u64| match part {
        0 => printer.passing(&step.to_string()),
        part => printer.passing(&format!("{step}, {} %", part / 10)),
    };
    let request = Request {
        release: &args.release,
        channel: &args.channel,
        notes,
        patches: args.patches,
        from: &args.from,
        now: now(),
        security_only_from,
        signing: None,
        ledger: None,
    };
    if let Some(file) = prepare {
        let list = signers.with(|asked| {
            depot::publish::prepare(&depot, &Request { signing: asked.signing, ..request.clone() })
        });
        return prepared::write(&list.map_err(prepared::failure)?, file, printer);
    }
    let published = signers.with(|asked| {
        let request = Request { signing: asked.signing, ledger: asked.ledger, ..request.clone() };
        publish(&depot, &request, &depot::ways::Patches::default(), &progress)
    });
    let summary = published.map_err(|error| depot_failure(error).unchanged(unchanged()))?;
    printer.clear();
    let appliance = release_appliance(args)?;
    let index = depot.index(&appliance, &args.channel).map_err(depot_failure)?;
    let index = index.expect("BUG: what was published has an index");
    printer.data(
        || render::depot::published(&summary, &index),
        || {
            json!({
                "appliance": index.appliance, "channel": index.channel, "serial": summary.serial,
                "release": summary.published.id, "published-before": summary.is_old, "entry": summary.entry,
            })
        },
    );
    Ok(())
}

/// Of the earlier releases that are at hand, those from which this one is proven to bring security fixes and nothing else.
fn security_only_from(args: &ReleaseArgs, printer: &Printer) -> Result<Vec<ReleaseId>, Failure> {
    let mut proven = Vec::new();
    if args.from.is_empty() {
        return Ok(proven);
    }
    let new = Opened::open(&args.release, Strangers::Refuse, printer)?;
    for from in &args.from {
        printer.passing(&format!("compare with {}", from.display()));
        let old = Opened::open(from, Strangers::Refuse, printer)?;
        let bulletin = compare(&old.side()?, &new.side()?, &Evidence::default());
        if bulletin.verdict.security_only.proven {
            proven.push(super::ledger::read_statement(from)?.id());
        }
    }
    printer.clear();
    Ok(proven)
}

fn release_appliance(args: &ReleaseArgs) -> Result<String, Failure> {
    let release = release::ReleaseFolder::open(&args.release).map_err(|error| depot_failure(error.into()))?;
    Ok(release.manifest().identity.id())
}

fn read_notes(notes: &str) -> Result<String, Failure> {
    /// Longest notes: they are part of an index that every appliance downloads.
    const NOTES_LIMIT: usize = 4096;
    let text = match notes.strip_prefix('@') {
        None => notes.to_owned(),
        Some(path) => fs::read_to_string(path).map_err(|error| Failure {
            causes: vec![error.to_string()],
            ..Failure::new(Fault::User, format!("can not read `{path}`"))
        })?,
    };
    if text.len() > NOTES_LIMIT {
        let message = format!("the notes have {} bytes, and {NOTES_LIMIT} is the most", text.len());
        return Err(Failure::new(Fault::User, message).unchanged("nothing was published"));
    }
    Ok(text.trim().to_owned())
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

/// What goes wrong with a depot.
pub fn depot_failure(error: DepotError) -> Failure {
    let fault = match &error {
        DepotError::Digest { .. }
        | DepotError::Release(release::ReleaseError::Digest { .. } | release::ReleaseError::Size { .. }) => {
            Fault::Trust
        }
        DepotError::Mirror(error) if error.kind.is_refusal() => Fault::Trust,
        DepotError::Mirror(error) if error.kind.is_a_mistake() => Fault::User,
        DepotError::Take(error) if is_out_of_reach(error) => Fault::Environment,
        DepotError::Roles(error) => prepared::fault(error),
        DepotError::Bundle(_) | DepotError::Take(_) => Fault::Trust,
        DepotError::Mirror(_)
        | DepotError::NoSpace { .. }
        | DepotError::Io { .. }
        | DepotError::Ledger(_)
        | DepotError::Listen { .. }
        | DepotError::Patch { .. }
        | DepotError::Busy { .. } => Fault::Environment,
        _ => Fault::User,
    };
    let failure = Failure::from_error(fault, &error);
    match &error {
        _ if error.is_full_disk() => failure.hint("free some space there, and run the same again"),
        DepotError::NotADepot { .. } => failure.hint("`ampoule release RELEASE --depot FOLDER` makes one"),
        DepotError::OtherContent { .. } => {
            failure.hint("give the release a new version in its definition, and build it again")
        }
        DepotError::NotNewer { .. } => {
            failure.hint("give the release a newer version, or publish it in another `--channel`")
        }
        DepotError::NoWay { .. } => failure.hint("`--full` packs the full image, which leads there from anything"),
        DepotError::WhichAppliance { .. } => failure.hint("name one with `--appliance VENDOR/NAME`"),
        DepotError::Bundle(_) => failure.hint("carry it again, or ask whoever made it for another one"),
        DepotError::Mirror(error) => failure.hint(error.kind.hint()),
        DepotError::NoSpace { .. } => {
            failure.hint("free some space there, or bring less: `--newest N`, `--from VERSION`, `--no-full`")
        }
        DepotError::Take(error) => failure.hint(take_hint(error)),
        DepotError::Unsigned { .. } => {
            failure.hint("`--root ROOT --key FILE ...`, and `--ledger FOLDER --policy FILE --ledger-key FILE`: see docs/KEYS.md")
        }
        DepotError::Roles(error) => {
            prepared::hints(error).into_iter().fold(failure, |failure, hint| failure.hint(hint))
        }
        DepotError::Ledger(_) => failure.hint("run the same command again once its cause is gone: nothing is entered twice"),
        DepotError::NoVersion { .. } => failure.hint("`ampoule depot list` lists them"),
        DepotError::FromUnknown { .. } => failure.hint("publish that release first"),
        DepotError::Busy { .. } => failure.hint("try again when it is done"),
        DepotError::Listen { .. } => failure.hint("name another place with `--listen ADDRESS:PORT`"),
        _ => failure,
    }
}

/// Whether the other depot did not give the roles' documents, rather than that they are refused.
fn is_out_of_reach(error: &TakeError) -> bool {
    matches!(error, TakeError::Roles(error) if !error.is_refusal())
}

/// What to do about an offer that is refused. Never to check less.
fn take_hint(error: &TakeError) -> &'static str {
    match error {
        TakeError::Roles(error) => error.hint(),
        TakeError::Unsigned { .. } => {
            "ask its maker for a signed one; `--unsigned` is for makers who sign nothing at all, and believes whoever made the bundle"
        }
        TakeError::Signed { .. } => "name the maker's root with `--root ROOT`",
        TakeError::SignedDepot { .. } => "keep what nobody signed in a depot of its own",
        TakeError::OlderIndex { .. } => {
            "somebody shows an old copy of the depot, or it was set back: ask another copy, or its maker"
        }
        TakeError::Memory { .. } => {
            "bring it back from a copy; without it, remove it: the depot then knows only what it serves"
        }
        _ => "do not use it until its maker has explained it",
    }
}
