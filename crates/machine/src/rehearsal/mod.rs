//! A patch, rehearsed before customers get it: boot the old release, leave probes in its state, patch it to the new one, roll
//! back, and do it again with the power cut in each step.
//!
//! The depot is somewhere else and already has both releases; here is only what virtual machines do. Refuses judging by
//! itself: what failed is in the [`Report`].

mod act;
mod cuts;
mod probe;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use release::ReleaseFolder;

pub use probe::FileProbes;
pub use report::{Chapter, Outcome, Release, Report, Step};

/// What is rehearsed.
#[derive(Debug)]
pub struct Rehearsal<'a> {
    /// The release that customers run.
    pub old: &'a ReleaseFolder,
    /// The one that is to come.
    pub new: &'a ReleaseFolder,
    /// URL of the depot as the appliance reaches it. It MUST have both releases in the channel the old one follows.
    pub depot: &'a str,
    /// A folder for virtual machines.
    pub folder: &'a Path,
    /// Declared state directories, absolute in the appliance.
    pub state: Vec<String>,
    /// Settings for the first boot besides the depot.
    pub settings: Option<String>,
    /// The maker's program, called with `write` and `check`.
    pub probe: Option<PathBuf>,
    /// Whether the power is cut.
    pub power_cuts: bool,
    /// How long a boot, a patch or a rollback may take.
    pub timeout: Duration,
}

/// Rehearses. `told` hears each step when it is over, with its chapter's name.
pub fn rehearse(what: &Rehearsal<'_>, mut told: impl FnMut(&str, &Step)) -> Report {
    let mut report = Report::new(what.old, what.new);
    let mut seen = Vec::new();
    let prepared = report.chapter("patch and roll back", &mut told, |steps| {
        let prepared = act::prepare(what, steps)?;
        seen = act::patch_and_roll_back(what, &prepared, steps)?;
        Some(prepared)
    });
    match prepared {
        _ if !what.power_cuts => report.note("power cuts were left out"),
        None => report.note("power cuts were left out: without a cut it did not work"),
        Some(prepared) => {
            for moment in cuts::moments(&seen) {
                report.chapter(&moment.to_string(), &mut told, |steps| {
                    cuts::cut_and_complete(what, &prepared, &moment, steps)
                });
            }
        }
    }
    report.finish()
}
