//! `ampoule explain`: where something comes from, since when, and why it is there.

use bulletin::compare::question;
use bulletin::{Side, explain};
use serde_json::json;

use super::bulletin::{read_feed, strangers};
use super::side::Opened;
use crate::args::ExplainArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Explains.
pub fn run(args: &ExplainArgs, printer: &Printer) -> Result<(), Failure> {
    let release = Opened::open(&args.release, strangers(args.mount), printer)?;
    let earlier = args
        .before
        .iter()
        .map(|path| Opened::open(path, strangers(args.mount), printer))
        .collect::<Result<Vec<_>, _>>()?;
    printer.passing("reading");
    let side = release.side()?;
    let before = earlier.iter().map(Opened::side).collect::<Result<Vec<Side<'_>>, _>>()?;
    let question = question(&side, &side);
    let feeds = args.feed.iter().map(|path| read_feed(path, &question)).collect::<Result<Vec<_>, _>>()?;
    printer.clear();
    let answer = explain::explain(&args.what, &side, &before, &feeds).ok_or_else(|| {
        Failure::new(Fault::User, format!("`{}` has no `{}`", args.release.display(), bulletin::render::safe::shown(&args.what)))
            .hint("a path begins with `/`; `ampoule inspect` lists packages with `--section packages`, and what was trimmed with `--section trim`")
    })?;
    printer.data(|| explain::text(&answer), || json!(answer));
    Ok(())
}
