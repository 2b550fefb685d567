//! `ampoule bundle` and `ampoule import`: releases for places without a network.

use depot::DepotFolder;
use depot::bundle::{Selection, import as import_bundle, pack};
use depot::take::Believing;
use serde_json::json;

use super::ledger::read_policy;
use super::release::{depot_failure, now};
use super::signing::read_root;
use crate::args::{BundleArgs, ImportArgs};
use crate::error::Failure;
use crate::printer::Printer;
use crate::render;

/// Packs.
pub fn bundle(args: &BundleArgs, printer: &Printer) -> Result<(), Failure> {
    let unchanged = || "no bundle was written";
    let failed = |error| depot_failure(error).unchanged(unchanged());
    let depot = DepotFolder::open(&args.depot).map_err(failed)?;
    let selection = Selection {
        appliance: args.appliance.as_deref(),
        channel: &args.channel,
        releases: &args.release,
        from: &args.from,
        full: args.full,
    };
    printer.passing("write the bundle");
    let packed = pack(&depot, &selection, &args.output).map_err(failed)?;
    printer.clear();
    printer.data(
        || render::bundle::packed(&packed, &args.output),
        || {
            json!({
                "bundle": args.output, "size": packed.size, "members": packed.members, "index": packed.index,
                "fresh-until": packed.fresh_until, "notes": packed.words,
            })
        },
    );
    Ok(())
}

/// Checks and takes.
pub fn import(args: &ImportArgs, printer: &Printer) -> Result<(), Failure> {
    let unchanged = || match args.depot.join(depot::folder::MARK).exists() {
        true => format!("the depot `{}` offers what it offered before", args.depot.display()),
        false => "no depot was made".to_owned(),
    };
    let root = args.root.as_deref().map(read_root).transpose().map_err(|it| it.unchanged(unchanged()))?;
    let policy =
        args.policy.as_deref().map(read_policy).transpose().map_err(|it| it.unchanged(unchanged()))?;
    let believing = match &root {
        Some(root) => Believing::Maker { root, policy: policy.as_ref() },
        None => Believing::DangerAnybody,
    };
    let failed = |error| depot_failure(error).unchanged(unchanged());
    depot::bundle::ensure_bundle(&args.bundle).map_err(failed)?;
    let depot = DepotFolder::open_or_create(&args.depot).map_err(failed)?;
    printer.passing("check the bundle");
    let imported = import_bundle(&args.bundle, &depot, believing, now()).map_err(failed)?;
    printer.clear();
    let is_proved = policy.is_some();
    printer.data(
        || render::bundle::imported(&imported, is_proved),
        || {
            let taken = &imported.taken;
            json!({
                "appliance": taken.index.appliance, "channel": taken.index.channel, "serial": taken.index.serial,
                "releases": taken.releases, "new-releases": taken.new_releases, "new-notes": taken.new_words,
                "objects": imported.objects, "bytes": imported.bytes, "fresh-until": taken.fresh_until,
                "signed": taken.fresh_until.is_some(), "logged": is_proved,
            })
        },
    );
    Ok(())
}
