//! The power is cut in a step of a patch; old or new has to come up healthy, with its state, and the patch has to be
//! completed.

use std::fmt;
use std::time::{Duration, Instant};

use model::control::LifeStage;

use super::Rehearsal;
use super::act::{self, Prepared, Seen};
use super::report::Steps;
use crate::run::Running;

/// Silent for so long, it restarts.
const SILENCE: Duration = Duration::from_millis(1500);

/// When the power is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// As soon as this is seen.
    At(Seen),
    /// So long after the agent fell silent: the old release stops, firmware, boot loader or kernel run, the new one starts.
    Restarting(Duration),
}

/// The moments for a patch whose steps were seen once. The last one is its end, where nothing is left to cut.
pub(super) fn moments(seen: &[Seen]) -> Vec<Moment> {
    let steps = seen.iter().filter(|(stage, activity)| {
        *stage < LifeStage::Confirmed || (*stage == LifeStage::Confirmed && activity.is_some())
    });
    let mut moments: Vec<Moment> = steps.cloned().map(Moment::At).collect();
    moments.extend([2, 8, 16].map(|seconds| Moment::Restarting(Duration::from_secs(seconds))));
    moments
}

pub(super) fn cut_and_complete(
    what: &Rehearsal<'_>,
    prepared: &Prepared,
    moment: &Moment,
    steps: &mut Steps<'_>,
) -> Option<()> {
    let (old, new) = (&what.old.manifest().identity.version, &what.new.manifest().identity.version);
    let folder = prepared.copy(what, "cut", steps)?;
    let running = steps.step(&format!("{old} boots"), || act::boot(what, &folder, false))?;
    let was_cut = steps.step("the power is cut", || {
        act::begin(&running, new, false)?;
        let was_there = reach(what, &running, moment)?;
        running.kill_power().map_err(act::chain)?;
        Ok(was_there)
    })?;
    drop(running);
    if !was_cut {
        steps.skip("the moment was met", "the patch was over before: the cut came at its end");
    }
    let running = steps.step("old or new is healthy, with its state", || {
        let running = act::boot(what, &folder, false)?;
        let version = running.last_status().map(|status| status.version).unwrap_or_default();
        if version != *old && version != *new {
            return Err(format!("`{version}` runs"));
        }
        act::check(what, &running, &version).map(|()| running)
    })?;
    steps.step(&format!("the patch is completed: {new} proves itself"), || complete(what, &running))?;
    steps.step(&format!("{new} is healthy, with the state of {old}"), || {
        act::wait_healthy(what, &running)?;
        act::check(what, &running, new)
    })?;
    act::end(prepared, &folder, running, steps)
}

/// Waits for the moment. `false`: the patch was over before.
fn reach(what: &Rehearsal<'_>, running: &Running, moment: &Moment) -> Result<bool, String> {
    match moment {
        Moment::At(wanted) => act::wait_for(what, running, |seen| {
            // A step can be over between two looks: the next one is close enough, and told by its name.
            seen.is_some_and(|seen| seen == wanted || seen.0 > wanted.0)
        }),
        Moment::Restarting(delay) => {
            let mut silent = None;
            let mut is_armed = false;
            let was_there = act::wait_for(what, running, |seen| match seen {
                Some((stage, _)) => {
                    is_armed |= *stage >= LifeStage::Armed;
                    silent = None;
                    // The new release speaks already.
                    is_armed && *stage >= LifeStage::Trial
                }
                None => silent.get_or_insert_with(Instant::now).elapsed() > SILENCE.max(*delay) && is_armed,
            })?;
            Ok(was_there)
        }
    }
}

/// Follows a patch that goes on by itself, or begins it once more.
fn complete(what: &Rehearsal<'_>, running: &Running) -> Result<(), String> {
    use LifeStage::{Armed, Confirmed, FallenBack, Trial};
    let new = &what.new.manifest().identity.version;
    let is_settled = |seen: Option<&Seen>| {
        seen.is_none_or(|(stage, activity)| activity.is_none() && !matches!(stage, Armed | Trial))
    };
    // A trial that was cut is tried again or given up by the appliance itself.
    act::wait_for(what, running, |seen| {
        seen.is_some() && is_settled(seen) || seen.is_none() && idle(running)
    })?;
    act::wait_healthy(what, running)?;
    let status = act::ask(running)?;
    let patch = status.patch.filter(|patch| patch.version == *new);
    let stage = patch.as_ref().map(|patch| patch.stage);
    if stage == Some(Confirmed) {
        return Ok(());
    }
    act::expect_reached(&act::patch(what, running, stage == Some(FallenBack), |_| ())?)
}

/// The agent answers, and knows of no patch.
fn idle(running: &Running) -> bool {
    act::ask(running).is_ok_and(|status| status.patch.is_none())
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At((stage, Some(step))) => write!(f, "power cut during `{step}`, after `{}`", word(*stage)),
            Self::At((stage, None)) => write!(f, "power cut after `{}`", word(*stage)),
            Self::Restarting(delay) => write!(f, "power cut {} s into the restart", delay.as_secs()),
        }
    }
}

/// The stage as the protocol spells it.
fn word(stage: LifeStage) -> String {
    let value = serde_json::to_value(stage).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_is_cut_in_every_step_that_was_seen_and_in_the_restart() {
        let seen = [
            (LifeStage::Approved, Some("download".to_owned())),
            (LifeStage::Armed, None),
            (LifeStage::Confirmed, None),
        ];
        let names: Vec<String> = moments(&seen).iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "power cut during `download`, after `approved`",
                "power cut after `armed`",
                "power cut 2 s into the restart",
                "power cut 8 s into the restart",
                "power cut 16 s into the restart",
            ]
        );
    }
}
