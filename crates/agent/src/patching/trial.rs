//! The first minutes of a boot: what it is, by the journal, and the trial that a patched appliance has to pass.
//!
//! **Confirming**: (1) the counter comes off the kernel image's name, synced; (2) the journal says so. A crash between them is a
//! trial once more, of a release that the boot loader keeps.
//! **Giving up**: (1) the journal keeps why, synced; (2) the kernel image loses its tries; (3) the machine restarts. A crash
//! anywhere before 2 leaves a counted image: its tries run out.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::control::{CheckState, Health, LifeStage};
use update::life::{self, Boot, Life, Record};

use super::{Patching, with_restart};
use crate::init::trial::{Mark, trial_seconds};
use crate::units;

/// A check that passes once may belong to a service that ends a moment later: all have to pass for so long.
const STEADY: Duration = Duration::from_secs(6);
const BEAT: Duration = Duration::from_millis(500);
/// The timer that ends a trial whose agent is gone.
const TIMER: &str = "ampoule-trial.timer";

impl Patching {
    /// What this boot is, and everything that follows from it. `true`: it is a trial.
    pub fn enter(self: &Arc<Self>) -> bool {
        let life = life::fold(&self.lock().records);
        match life::boot_of(life.as_ref(), &self.own, &self.boot) {
            Boot::Trial => {
                // The agent itself may have restarted within one boot.
                let is_known = life
                    .as_ref()
                    .is_some_and(|life| life.stage() == LifeStage::Trial && life.last.boot == self.boot);
                if !is_known {
                    self.record_last(LifeStage::Trial, None);
                }
                let mut mark = Mark::load(Path::new("/data"));
                mark.reached = "agent".to_owned();
                let _only_a_reason = mark.save(Path::new("/data"));
                true
            }
            Boot::Returned => {
                self.fell_back(life.as_ref());
                false
            }
            Boot::RolledBack => false,
            Boot::Ordinary => {
                self.settle(life.as_ref());
                false
            }
        }
    }

    /// A boot that found work which a restart has cut.
    fn settle(self: &Arc<Self>, life: Option<&Life>) {
        use LifeStage::{Approved, Offered, RolledBack, Verified};
        match life {
            Some(life) if matches!(life.stage(), Offered | Verified | Approved) => {
                let reason = "it was cut by a restart; asked for again, it goes on where it was";
                self.record_last(LifeStage::Failed, Some(reason.to_owned()));
            }
            // A person wanted to return, and the power went before the boot loader knew.
            Some(life) if life.stage() == RolledBack && life.last.to.root_hash == self.own => {
                let returned = self.set_own_aside();
                let act = returned
                    .and_then(|()| units::systemctl(&["--no-block", "reboot"], Duration::from_secs(30)));
                if let Err(why) = act {
                    self.lock().notices.push(format!("the return did not happen: {why}"));
                }
            }
            _ => {}
        }
    }

    /// The older release runs, and the newer one was armed.
    fn fell_back(&self, life: Option<&Life>) {
        let Some(life) = life else { return };
        let to = &life.last.to;
        let stem = super::disk::stem(&self.definition.appliance.name, &to.version);
        let tries = self.system_disk().and_then(|disk| disk.mount_esp()).and_then(|esp| esp.tries(&stem));
        if life.stage() == LifeStage::Armed && matches!(tries, Ok(None)) {
            // It was never placed.
            self.record_last(LifeStage::Staged, None);
            return;
        }
        let reason =
            life.verdict.clone().unwrap_or_else(|| derived_reason(life, &tries.ok().flatten().flatten()));
        self.lock().notices.push(format!("the patch to {} fell back: {reason}", to.version));
        self.record_last(LifeStage::FallenBack, Some(reason));
        let set_aside = || self.system_disk()?.mount_esp()?.set_aside(&stem);
        // The boot loader prefers this release already; a counter that is left must not change that.
        let _already = set_aside();
        self.look_at_slots();
    }

    /// Watches the checks until the trial is over. `checks` asks for their states now, `uptime` for the time since the start.
    pub fn undergo(self: &Arc<Self>, checks: impl Fn() -> Vec<CheckState>, uptime: impl Fn() -> Duration) {
        let limit = Duration::from_secs(trial_seconds(&self.definition).into());
        let mut steady: Option<Instant> = None;
        loop {
            std::thread::sleep(BEAT);
            let states = checks();
            let failed: Vec<String> = states
                .iter()
                .filter(|check| check.health == Health::Unhealthy)
                .map(|check| format!("{}: {}", check.name, check.why.as_deref().unwrap_or("it fails")))
                .collect();
            if !failed.is_empty() {
                return self.give_up(failed.join("; "));
            }
            let all_pass = states.iter().all(|check| check.health == Health::Healthy);
            match (all_pass, steady) {
                (false, _) => steady = None,
                (true, None) => steady = Some(Instant::now()),
                (true, Some(since)) if since.elapsed() >= STEADY => return self.confirm(uptime()),
                (true, Some(_)) => {}
            }
            if uptime() > limit {
                let late: Vec<String> = states
                    .iter()
                    .filter(|check| check.health != Health::Healthy)
                    .map(|check| match &check.why {
                        Some(why) => format!("{}: {why}", check.name),
                        None => format!("{}: no answer", check.name),
                    })
                    .collect();
                return self.give_up(format!(
                    "not healthy {} seconds after the start: {}",
                    limit.as_secs(),
                    late.join("; ")
                ));
            }
        }
    }

    fn confirm(&self, uptime: Duration) {
        let strip = || self.system_disk()?.mount_esp()?.confirm(&self.stem());
        if let Err(error) = strip() {
            return self.give_up(format!("the boot loader can not be told that it is good: {error}"));
        }
        let _stopped = units::systemctl(&["stop", TIMER], Duration::from_secs(15));
        self.record_last(LifeStage::Confirmed, None);
        let _only_an_estimate = self.kept.keep_rates(&with_restart(self.kept.rates(), uptime.as_secs()));
        self.look_at_slots();
        self.tell();
    }

    fn give_up(&self, reason: String) {
        self.record_last(LifeStage::Trial, Some(reason));
        if let Err(why) = self.set_own_aside() {
            self.lock().notices.push(why);
        }
        let restarted = units::systemctl(&["--no-block", "reboot"], Duration::from_secs(30));
        if restarted.is_err() {
            // Whatever keeps systemd from it: the other release has to run.
            let _never_returns = units::systemctl(&["--force", "--force", "reboot"], Duration::from_secs(30));
        }
    }
}

/// Why a trial ended of which nobody wrote anything.
fn derived_reason(life: &Life, tries: &Option<u32>) -> String {
    let Record { to, .. } = &life.last;
    let mark = Mark::load(Path::new("/data"));
    let starts = super::disk::TRIES.saturating_sub(tries.unwrap_or(0)).max(1);
    let times = if starts == 1 { "once".to_owned() } else { format!("{starts} times") };
    if mark.root_hash != to.root_hash.to_string() || mark.starts == 0 {
        return format!(
            "it was started {times} and never came as far as its data: its kernel or its first program failed or hung"
        );
    }
    match mark.reached.as_str() {
        "agent" => format!(
            "it was started {times}, its agent ran, and the machine restarted before its checks had passed"
        ),
        _ => format!(
            "it was started {times} and came as far as its data, but its agent never ran: its system failed or hung"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_derived_from_the_tries_that_are_left() {
        let text = include_str!("testdata/armed.json");
        let record: Record = serde_json::from_str(text).expect("a record");
        let life = Life { last: record, verdict: None };
        assert!(derived_reason(&life, &Some(0)).contains("2 times"));
        assert!(derived_reason(&life, &Some(1)).contains("once"));
        assert!(derived_reason(&life, &Some(0)).contains("kernel"));
    }
}
