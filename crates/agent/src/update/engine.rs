//! The thread: what is done when. Every order that decides what boots is in [`super::flow`].

mod asking;
mod install;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use model::control::{Activity, CheckState, Health, LifeStage, Precheck, Restart};
use model::definition::SettingValues;
use model::settings::Setting;
use model::{Definition, Sha256Digest, builtin};
use release::{IndexedRelease, ObjectRef, PatchRef, ReleaseId, Statement};
use update::life::{self, Boot, Life, Record, Side};
use update::plan::{Again, Question, Wanted};
use update::precheck::{self, Rollback, Start};
use update::window::Window;

use super::depot::{DOCUMENT_LIMIT, Depot};
use super::disk::{Esp, RealWorld, SystemDisk};
use super::files::{Checked, Files};
use super::flow::{self, World};
use super::{Choices, Job, Updater, apply, slots, stage, words};
use crate::init::report::chain;
use crate::init::snapshots;
use crate::init::trial::{Mark, RUNTIME_UNITS, TIMER, boot_id, leave_time_limit, trial_seconds};
use crate::media;
use crate::units;

pub(crate) use asking::{Planned, memory_available, plan_for, precheck_for};
pub use asking::{check, rollback_refusal};
use asking::{depot, explain, plan_unasked};

/// How long every check has to pass without a break before a trial is confirmed: a service that crashes again and again
/// passes in between.
const SETTLED: Duration = Duration::from_secs(15);
/// How long a check may fail, after its grace, before a trial ends.
const FAILING: Duration = Duration::from_secs(15);
/// Questions that systemd may leave without an answer before a trial ends; each waits [`units::QUESTION_TIME`].
const UNANSWERED: u32 = 3;
/// Between two looks at a trial, and at the clock.
const TRIAL_BEAT: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_secs(30);
/// The first look at the depot after a start, and the others; each with a random part, so that a depot's appliances do not come
/// all at once.
const FIRST_CHECK: Duration = Duration::from_secs(180);
const CHECK_PERIOD: Duration = Duration::from_secs(6 * 3600);
/// Between two tries to begin a patch again that was cut short, while the depot does not answer.
const RESUME_PAUSE: Duration = Duration::from_secs(300);
/// Events of progress are at least this far apart.
const PROGRESS_PAUSE: Duration = Duration::from_millis(500);
/// Statements asked for to find out which release runs: a depot with a thousand releases of one version is none.
const STATEMENT_TRIES: usize = 4;
const UNIT_TIME: Duration = Duration::from_secs(30);

/// The appliance around the thread.
pub trait Host: Sync {
    /// What is known.
    fn updater(&self) -> &Updater;
    /// The sealed definition.
    fn definition(&self) -> &Definition;
    /// What the settings say.
    fn choices(&self) -> Choices;
    /// Values that somebody gave.
    fn values(&self) -> SettingValues;
    /// Health with all checks.
    fn checks(&self) -> (Health, Vec<CheckState>);
    /// Since this system started: the machine, or user space alone.
    fn uptime(&self) -> Duration;
    /// Seconds since 1970.
    fn now(&self) -> u64;
    /// Tells everybody who listens.
    fn tell(&self);
    /// Restarts in the clean way.
    fn restart(&self, restart: Restart) -> Result<(), String>;
}

/// The thread. Never returns.
pub(crate) fn run(host: &dyn Host, jobs: &Receiver<Job>) {
    let mut engine = Engine {
        host,
        next_check: Instant::now() + with_jitter(FIRST_CHECK),
        healthy_since: None,
        failing_since: None,
        unanswered: 0,
        told: Instant::now(),
        attached: media::attached(),
    };
    if let Some((checked, bytes)) = host.updater().files.as_ref().and_then(Files::checked) {
        let index = release::Index::parse(&bytes, &host.definition().appliance.id(), &checked.channel);
        let mut state = host.updater().lock();
        state.index = index.ok();
        state.checked = Some(checked);
    }
    engine.guard("the last patch could not be looked at", Engine::settle);
    engine.show_slots();
    host.tell();
    loop {
        let beat = if host.updater().is_on_trial() { TRIAL_BEAT } else { BEAT };
        match jobs.recv_timeout(beat) {
            Ok(job) => {
                let outcome = match job {
                    Job::Install { planned, then, by } => engine.install(&planned, then, by),
                    Job::Rollback => engine.roll_back(),
                };
                engine.done(outcome);
            }
            Err(RecvTimeoutError::Timeout) if host.updater().is_on_trial() => {
                engine.guard("the trial could not be ended", Engine::watch_trial);
            }
            Err(RecvTimeoutError::Timeout) => engine.automatic(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Whether patches may be installed that nobody asked for.
fn is_unasked(choices: &Choices) -> bool {
    [builtin::AUTOMATIC, builtin::SECURITY].contains(&choices.policy.as_str())
}

fn with_jitter(period: Duration) -> Duration {
    let mut byte = [0u8; 1];
    let _predictable_is_fine = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::empty());
    period + period * u32::from(byte[0]) / 1024
}

struct Engine<'a> {
    host: &'a dyn Host,
    next_check: Instant,
    healthy_since: Option<Instant>,
    failing_since: Option<Instant>,
    /// Questions in a row that systemd left without an answer.
    unanswered: u32,
    told: Instant,
    /// Disks at the last look, where a disk is the depot.
    attached: Vec<(String, String)>,
}

impl Engine<'_> {
    fn updater(&self) -> &Updater {
        self.host.updater()
    }

    fn own(&self) -> &Sha256Digest {
        &self.updater().own.root_hash
    }

    /// Runs a step whose failure a person should know of.
    fn guard(&mut self, what: &str, step: impl FnOnce(&mut Self) -> Result<(), String>) {
        if let Err(why) = step(self) {
            let notice = format!("{what}: {why}");
            let mut state = self.updater().lock();
            if !state.notices.contains(&notice) {
                state.notices.push(notice);
            }
        }
    }

    fn done(&mut self, outcome: Result<(), String>) {
        if let Err(why) = outcome {
            self.fail(&why);
        }
        let mut state = self.updater().lock();
        (state.busy, state.activity) = (None, None);
        drop(state);
        self.show_slots();
        self.host.tell();
    }

    fn record(&self, stage: LifeStage, of: &Record, reason: Option<String>) -> Record {
        Record { time: self.host.now(), stage, reason, boot: boot_id(), ..of.clone() }
    }

    fn keep(&mut self, stage: LifeStage, of: &Record, reason: Option<String>) -> Result<(), String> {
        let record = self.record(stage, of, reason);
        self.updater().keep(&record).map_err(|error| format!("the journal can not be written: {error}"))?;
        self.host.tell();
        Ok(())
    }

    /// A patch that ended before it was armed.
    fn fail(&mut self, why: &str) {
        let life = self.updater().lock().life.clone();
        if let Some(life) = life.filter(|life| life::may_follow(Some(life.stage()), LifeStage::Failed)) {
            let record = self.record(LifeStage::Failed, &life.last, Some(why.to_owned()));
            // When the journal can not be written either, the next start finds the unfinished life. Who waits is told now.
            if self.updater().keep(&record).is_err() {
                self.updater().note(&record);
            }
            self.host.tell();
        } else {
            self.updater().lock().notices.push(why.to_owned());
        }
    }

    fn act(&mut self, step: &str, done: u64, total: u64) {
        let is_new = {
            let mut state = self.updater().lock();
            let is_new = state.activity.as_ref().is_none_or(|activity| activity.step != step);
            state.activity = Some(Activity { step: step.to_owned(), done, total });
            is_new
        };
        if is_new || self.told.elapsed() > PROGRESS_PAUSE {
            self.told = Instant::now();
            self.host.tell();
        }
    }

    fn show_slots(&self) {
        let Ok(disk) = SystemDisk::find(self.own()) else { return };
        let mut state = self.updater().lock();
        let shown = slots(disk.running, &self.updater().own, state.life.as_ref(), |hash| disk.holds(hash));
        state.slots = shown;
    }

    /// Opens disk and ESP for as long as `act` takes.
    fn with_world<T>(&self, act: impl FnOnce(&mut RealWorld<'_>) -> std::io::Result<T>) -> Result<T, String> {
        let files = self.updater().files()?;
        let run = || {
            let disk = SystemDisk::find(self.own())?;
            let esp = Esp::mount(&disk.node(&disk.esp)?)?;
            act(&mut RealWorld { disk: &disk, esp: &esp, files })
        };
        run().map_err(|error| explain(&error))
    }

    /// What the policy does unasked.
    fn automatic(&mut self) {
        let choices = self.host.choices();
        if choices.depot.is_none() {
            return;
        }
        if choices.depot.as_deref() == Some(builtin::ATTACHED) {
            // Who attaches a disk does not wait for hours.
            let attached = media::attached();
            if std::mem::replace(&mut self.attached, attached.clone()) != attached {
                self.next_check = self.next_check.min(Instant::now());
            }
        }
        if Instant::now() >= self.next_check {
            self.next_check = Instant::now() + with_jitter(CHECK_PERIOD);
            let _shown_as_check_failed = check(self.host);
            if is_unasked(&choices) {
                self.install_unasked(None);
            } else {
                self.resume();
            }
        }
        let life = self.updater().lock().life.clone();
        let is_staged = life.is_some_and(|life| life.stage() == LifeStage::Staged);
        if is_unasked(&choices) && is_staged && self.may_restart(&choices) {
            self.install_unasked(Some(Restart::Shortest));
        }
    }

    /// Begins a patch again that was approved and that a stop of the machine cut short; as far as was asked for.
    fn resume(&mut self) {
        let cut = life::cut_short(&self.updater().lock().history).cloned();
        let Some(cut) = cut else { return };
        // A hold of meanwhile counts.
        match plan_for(self.host, Some(&cut.to.version), Again::Yes) {
            Ok(planned) if planned.release.id() == cut.release => {
                self.install_now(
                    &planned,
                    cut.restart,
                    "begun again: the machine had stopped while it was written",
                );
            }
            Err(_) if self.updater().lock().check_failed.is_some() => {
                self.next_check = Instant::now() + with_jitter(RESUME_PAUSE);
            }
            _ => {}
        }
    }

    fn may_restart(&mut self, choices: &Choices) -> bool {
        match choices.window.as_deref().map(str::parse::<Window>) {
            None => true,
            Some(Ok(window)) => window.is_open(self.host.now()),
            Some(Err(why)) => {
                self.guard("the maintenance window can not be read", |_| Err(why.to_string()));
                false
            }
        }
    }

    fn install_unasked(&mut self, then: Option<Restart>) {
        // Nothing newer, a hold, or officers who did not say yes yet, is no failure: there is nothing to begin.
        let Some(planned) = plan_unasked(self.host) else { return };
        self.install_now(&planned, then, &format!("policy {}", self.host.choices().policy));
    }

    fn install_now(&mut self, planned: &Planned, then: Option<Restart>, by: &str) {
        {
            let mut state = self.updater().lock();
            if state.busy.is_some() {
                // Somebody asked for something meanwhile, and that waits in the queue.
                return;
            }
            state.busy = Some(format!("version {}", planned.release.version));
        }
        let outcome = self.install(planned, then, by);
        self.done(outcome);
    }
}
