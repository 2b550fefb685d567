//! `ampoule bulletin` and `ampoule diff`: what changes from one release to another.

use std::fs;
use std::path::{Path, PathBuf};

use bulletin::compare::{Evidence, compare, question};
use bulletin::feed::{self, FEED_LIMIT, Question};
use bulletin::gates::{Broken, broken};
use bulletin::render::text::Extent;
use bulletin::{Bulletin, render, vex};
use serde_json::json;

use super::rebuilt::rebuilds;
use super::side::{Opened, Strangers};
use crate::args::{BulletinArgs, DiffArgs, EvidenceArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Makes the bulletin and shows it.
pub fn bulletin(args: &BulletinArgs, printer: &Printer) -> Result<(), Failure> {
    let bulletin = make(args, printer)?;
    show(args, &bulletin, printer)
}

/// The same, with gates.
pub fn diff(args: &DiffArgs, printer: &Printer) -> Result<(), Failure> {
    let bulletin = make(&args.bulletin, printer)?;
    show(&args.bulletin, &bulletin, printer)?;
    let broken = broken(&bulletin, &args.fail_on);
    if broken.is_empty() {
        return Ok(());
    }
    let line = |broken: &Broken| {
        let shown = broken
            .by
            .iter()
            .take(10)
            .map(|by| format!("\n    {}", render::safe::shown(by)))
            .collect::<String>();
        let more = broken.by.len().saturating_sub(10);
        let more = if more > 0 { format!("\n    and {more} more") } else { String::new() };
        format!("  {}:{shown}{more}\n", broken.rule)
    };
    let count = render::counted(broken.len(), "rule", "rules");
    Err(Failure::new(Fault::Gate, format!("the change breaks {count}"))
        .detail(broken.iter().map(line).collect::<String>()))
}

fn make(args: &BulletinArgs, printer: &Printer) -> Result<Bulletin, Failure> {
    let opened = [
        Opened::open(&args.old, strangers(args.mount), printer)?,
        Opened::open(&args.new, strangers(args.mount), printer)?,
    ];
    printer.passing("reading both images");
    let (old, new) = (opened[0].side()?, opened[1].side()?);
    printer.passing("comparing");
    let mut evidence = evidence(&args.evidence, &question(&old, &new))?;
    for (path, rebuild) in rebuilds(&args.evidence)? {
        if !rebuild.is_of(&new) {
            let of = &rebuild.attestation;
            let message = format!(
                "`{}` is about another release than `{}`: {} {}, {}",
                path.display(),
                args.new.display(),
                render::safe::shown(&of.appliance),
                render::safe::shown(&of.version),
                of.release
            );
            return Err(Failure::new(Fault::Trust, message));
        }
        evidence.rebuilds.push(rebuild);
    }
    let bulletin = compare(&old, &new, &evidence);
    printer.clear();
    Ok(bulletin)
}

/// What `--mount` allows.
pub fn strangers(mount: bool) -> Strangers {
    if mount { Strangers::Mount } else { Strangers::Refuse }
}

fn evidence(args: &EvidenceArgs, question: &Question) -> Result<Evidence, Failure> {
    let mut evidence = Evidence { notes: args.notes.clone(), ..Evidence::default() };
    evidence.feeds = args.feed.iter().map(|path| read_feed(path, question)).collect::<Result<_, _>>()?;
    for path in &args.vex {
        let bytes = read_limited(path, vex::VEX_LIMIT)?;
        evidence.vex.extend(vex::read(&bytes).map_err(|error| bad(path, &error))?);
    }
    if let Some(path) = &args.patch {
        evidence.download = Some(fs::metadata(path).map_err(|error| unreadable(path, &error))?.len());
    }
    Ok(evidence)
}

/// A feed with the day of its file, for formats that carry none.
pub fn read_feed(path: &Path, question: &Question) -> Result<feed::Feed, Failure> {
    let bytes = read_limited(path, FEED_LIMIT)?;
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let seconds = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let date = seconds.map(|seconds| debian::date::Timestamp(seconds.as_secs()).to_string());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    feed::read(&name, &bytes, date, question).map_err(|error| {
        bad(path, &error)
            .hint("fetch it again: half a feed would tell half the truth, so nothing of it is used")
    })
}

fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let length = fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if length > limit {
        return Err(Failure::new(
            Fault::User,
            format!("`{}` has {length} bytes, and at most {limit} are read", path.display()),
        ));
    }
    fs::read(path).map_err(|error| unreadable(path, &error))
}

fn bad(path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    let inner = Failure::from_error(Fault::User, error);
    Failure {
        causes: std::iter::once(inner.message).chain(inner.causes).collect(),
        ..Failure::new(Fault::User, format!("`{}` can not be used", path.display()))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
    }
}

fn show(args: &BulletinArgs, bulletin: &Bulletin, printer: &Printer) -> Result<(), Failure> {
    let write = |path: &Option<PathBuf>, text: &dyn Fn() -> Result<String, Failure>| -> Result<(), Failure> {
        let Some(path) = path else { return Ok(()) };
        fs::write(path, text()?).map_err(|error| Failure {
            causes: vec![error.to_string()],
            ..Failure::new(Fault::Environment, format!("can not write `{}`", path.display()))
        })?;
        printer.note(&format!("wrote {}", path.display()));
        Ok(())
    };
    let no_appliance = || {
        Failure::new(Fault::User, "an advisory is of an appliance, and the new side is none")
            .hint("compare two releases, or two disks that Ampoule built")
    };
    let csaf =
        || render::advisory::csaf(bulletin).map(|value| format!("{value:#}\n")).ok_or_else(no_appliance);
    let atom = || render::advisory::atom(bulletin).ok_or_else(no_appliance);
    write(&args.html, &|| Ok(render::html(bulletin)))?;
    write(&args.csaf, &csaf)?;
    write(&args.atom, &atom)?;
    let extent = if args.all { Extent::Whole } else { Extent::Short };
    printer.data(|| render::text(bulletin, extent), || json!(bulletin));
    Ok(())
}
