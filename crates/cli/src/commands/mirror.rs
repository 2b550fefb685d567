//! `ampoule depot mirror`: a customer's depot follows its maker's.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use builder::progress::{Event, Progress as _, Step};
use depot::DepotFolder;
use depot::mirror::{MirrorError, Patience, Place, Progress, Request, Summary, Wanted, look};
use model::ByteSize;
use serde_json::json;

use super::ledger::{read, read_policy};
use super::release::{depot_failure, now};
use super::signing::read_root;
use crate::args::MirrorArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Longest file with certificates. Stops another file from filling memory.
const AUTHORITIES_LIMIT: usize = 1 << 20;
/// How often a bar moves.
const BEAT: Duration = Duration::from_millis(200);

/// Looks, and brings.
pub fn run(args: &MirrorArgs, printer: &Printer) -> Result<(), Failure> {
    let mark = args.into.join(depot::folder::MARK);
    let was_there = mark.exists();
    let unchanged = || match (was_there, mark.exists()) {
        (true, _) => format!("the depot `{}` offers what it offered before", args.into.display()),
        (false, true) => format!("the new depot `{}` offers nothing", args.into.display()),
        (false, false) => "no depot was made".to_owned(),
    };
    let root = read_root(&args.root).map_err(|it| it.unchanged(unchanged()))?;
    let policy = args.policy.as_deref().map(read_policy).transpose();
    let policy = policy.map_err(|it| it.unchanged(unchanged()))?;
    let authorities = args.ca.as_deref().map(|path| read(path, AUTHORITIES_LIMIT)).transpose();
    let authorities = authorities.map_err(|it| it.unchanged(unchanged()))?;
    let failed = |error| depot_failure(error).unchanged(unchanged());
    let mirrored = |error: MirrorError| failed(Box::new(error).into());

    let place = Place::new(&args.place, authorities.as_deref(), Patience::default()).map_err(mirrored)?;
    printer.passing("ask the depot what it offers");
    if !was_there {
        // Before a depot is made: a wrong address must not leave an empty one.
        place.ensure_depot().map_err(mirrored)?;
    }
    // To look, a depot is needed that knows nothing; none is left behind.
    let (into, _temporary) = match was_there || !args.dry_run {
        true => (args.into.clone(), None),
        false => {
            let folder = tempfile::tempdir().map_err(|it| Failure::from_error(Fault::Environment, &it))?;
            (folder.path().to_owned(), Some(folder))
        }
    };
    let depot = DepotFolder::open_or_create(&into).map_err(failed)?;
    let request = Request {
        appliance: args.appliance.as_deref(),
        channel: &args.channel,
        wanted: Wanted {
            releases: &args.release,
            newest: args.newest.map(usize::from),
            from: &args.from,
            full: !args.no_full,
        },
        root: &root,
        policy: policy.as_ref(),
        now: now(),
    };
    let coming = look(&place, &depot, request).map_err(failed)?;
    printer.clear();
    let (summary, is_proved) = (coming.summary.clone(), policy.is_some());
    if args.dry_run {
        printer.data(|| render::mirror::coming(&summary, is_proved), || told(&summary, is_proved, None));
        return Ok(());
    }
    let meter = Meter::start(printer, summary.bytes);
    let taken = coming.bring(&|progress| meter.tell(progress)).map_err(failed)?;
    meter.finish(&summary);
    printer.data(
        || render::mirror::taken(&summary, &taken, is_proved),
        || told(&summary, is_proved, Some(&taken)),
    );
    Ok(())
}

fn told(summary: &Summary, is_proved: bool, taken: Option<&depot::take::Taken>) -> serde_json::Value {
    let skipped = summary.skipped.iter().map(|it| json!({"version": it.version, "why": it.why.to_string()}));
    json!({
        "appliance": summary.index.appliance, "channel": summary.index.channel,
        "serial": taken.map(|taken| taken.index.serial),
        "releases": summary.index.releases, "new-releases": summary.new_releases,
        "skipped": skipped.collect::<Vec<_>>(),
        "withdrawn": summary.withdrawn.iter().map(|entry| &entry.version).collect::<Vec<_>>(),
        "objects": summary.objects, "bytes": summary.bytes, "here": summary.here, "free": summary.free,
        "new-notes": taken.map(|taken| taken.new_words), "fresh-until": taken.and_then(|taken| taken.fresh_until),
        "logged": is_proved, "brought": taken.is_some(),
    })
}

/// How far it is: a bar where there is one, and a line for each tenth where there is none.
struct Meter<'a> {
    printer: &'a Printer,
    total: u64,
    beat: Cell<Option<Instant>>,
    tenth: Cell<u64>,
    last: RefCell<String>,
}

impl<'a> Meter<'a> {
    fn start(printer: &'a Printer, total: u64) -> Self {
        if total > 0 {
            printer.report(Event::Started { step: Step::Fetch, total: Some(total), unit: "bytes" });
        }
        Self { printer, total, beat: Cell::new(None), tenth: Cell::new(0), last: RefCell::default() }
    }

    fn tell(&self, progress: Progress<'_>) {
        match progress {
            Progress::Bytes { done, of } => {
                let is_another = *self.last.borrow() != of;
                if is_another || self.beat.get().is_none_or(|last| last.elapsed() >= BEAT) {
                    self.beat.set(Some(Instant::now()));
                    of.clone_into(&mut self.last.borrow_mut());
                    let item = Some(of.to_owned());
                    self.printer.report(Event::Advanced { step: Step::Fetch, done, item });
                }
                let tenth = done.saturating_mul(10) / self.total.max(1);
                if tenth > self.tenth.get() {
                    self.tenth.set(tenth);
                    let (done, total) = (ByteSize(done), ByteSize(self.total));
                    self.printer.waypoint(&format!("{:>10} {done} of {total}: {of}", "Fetch"));
                }
            }
            Progress::Again { of, why } => {
                self.printer.note(&format!("{of}: the depot {why}; it is asked again"));
            }
            Progress::Commit => self.printer.passing("check and take it"),
        }
    }

    fn finish(&self, summary: &Summary) {
        self.printer.clear();
        if self.total > 0 {
            let count = render::counted(summary.objects, "object", "objects");
            let summary = format!("brought {count}, {}", ByteSize(summary.bytes));
            self.printer.report(Event::Finished { step: Step::Fetch, summary });
        }
    }
}
