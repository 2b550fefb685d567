//! The thread: what is done when. Every order that decides what boots is in [`super::flow`].

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use model::control::{Activity, CheckState, Health, LifeStage, Precheck, Restart};
use model::definition::SettingValues;
use model::settings::Setting;
use model::{Definition, Sha256Digest, builtin};
use release::{IndexedRelease, ObjectRef, PatchRef, Statement};
use update::life::{self, Boot, Life, Record, Side};
use update::plan::{Again, Question, Wanted};
use update::precheck::{self, Rollback, Start};
use update::window::Window;

use super::depot::{DOCUMENT_LIMIT, Depot};
use super::disk::{Esp, RealWorld, SystemDisk};
use super::files::{Checked, Files};
use super::flow::{self, World};
use super::{Choices, Job, Updater, apply, slots, stage};
use crate::init::report::chain;
use crate::init::snapshots;
use crate::init::trial::{Mark, boot_id, trial_seconds};
use crate::units;

/// How long every check has to pass without a break before a trial is confirmed: a service that crashes again and again
/// passes in between.
const SETTLED: Duration = Duration::from_secs(15);
/// How long a check may fail, after its grace, before a trial ends.
const FAILING: Duration = Duration::from_secs(15);
/// Between two looks at a trial, and at the clock.
const TRIAL_BEAT: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_secs(30);
/// The first look at the depot after a start, and the others; each with a random part, so that a depot's appliances do not come
/// all at once.
const FIRST_CHECK: Duration = Duration::from_secs(180);
const CHECK_PERIOD: Duration = Duration::from_secs(6 * 3600);
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
    /// Since the kernel started.
    fn uptime(&self) -> Duration;
    /// Seconds since 1970.
    fn now(&self) -> u64;
    /// Tells everybody who listens.
    fn tell(&self);
    /// Restarts the machine in the clean way.
    fn restart(&self) -> Result<(), String>;
}

/// A release that is to be installed, and how.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub release: IndexedRelease,
    pub patch: PatchRef,
    pub statement: Statement,
}

fn explain(error: &dyn std::error::Error) -> String {
    chain(error)
}

/// Asks the depot now.
pub fn check(host: &dyn Host) -> Result<(), String> {
    let outcome = look(host);
    host.updater().lock().check_failed = outcome.as_ref().err().cloned();
    host.tell();
    outcome
}

fn depot(host: &dyn Host) -> Result<(Depot, Choices, String), String> {
    let choices = host.choices();
    let Some(url) = choices.depot.clone() else {
        return Err(format!("this appliance has no depot to look into; set `{}`", builtin::DEPOT));
    };
    let depot = Depot::new(&url, choices.authority.as_deref()).map_err(|error| explain(&error))?;
    Ok((depot, choices, url))
}

fn look(host: &dyn Host) -> Result<(), String> {
    let (depot, choices, url) = depot(host)?;
    let updater = host.updater();
    let files = updater.files()?;
    let appliance = host.definition().appliance.id();
    let (index, bytes) = depot.index(&appliance, &choices.channel).map_err(|error| explain(&error))?;
    let checked = Checked { time: host.now(), depot: url, channel: choices.channel, serial: index.serial };
    if let Some((last, _)) = files.checked()
        && (&last.depot, &last.channel) == (&checked.depot, &checked.channel)
        && last.serial > checked.serial
    {
        return Err(format!(
            "the depot's index is older than the one it had before (number {}, before {})",
            checked.serial, last.serial
        ));
    }
    let known = updater.lock().running_release;
    let same = index.releases.iter().filter(|release| release.version == updater.own.version);
    let running = known.or_else(|| {
        same.rev().take(STATEMENT_TRIES).find_map(|release| {
            let statement = depot.statement(&release.statement).ok()?;
            (statement.image.root_hash == updater.own.root_hash).then(|| release.id())
        })
    });
    files.keep_checked(&checked, &bytes).map_err(|error| format!("the answer can not be kept: {error}"))?;
    let mut state = updater.lock();
    (state.index, state.checked, state.running_release) = (Some(index), Some(checked), running);
    Ok(())
}

/// Decides what would be installed, with the depot's newest answer.
pub(crate) fn plan_for(host: &dyn Host, version: Option<&str>, again: Again) -> Result<Planned, String> {
    check(host)?;
    let (depot, _, _) = depot(host)?;
    let updater = host.updater();
    let (release, patch) = {
        let state = updater.lock();
        let index = state.index.as_ref().ok_or("the depot was not asked yet")?;
        let fallen = life::set_aside(&state.history);
        let question = Question {
            wanted: version.map_or(Wanted::Newest, Wanted::Version),
            again,
            ..updater.question(&state, index, &fallen)
        };
        let plan = update::plan::plan(&question).map_err(|why| why.to_string())?;
        (plan.release.clone(), plan.patch.clone())
    };
    let statement = depot.statement(&release.statement).map_err(|error| explain(&error))?;
    let definition = host.definition();
    if statement.identity.id() != definition.appliance.id()
        || statement.identity.version != release.version
        || statement.architecture != definition.base.architecture
    {
        return Err(format!("the statement of {} is of something else", release.version));
    }
    Ok(Planned { release, patch, statement })
}

/// What a patch would need and do.
pub(crate) fn precheck_for(host: &dyn Host, planned: &Planned) -> Result<Precheck, String> {
    let updater = host.updater();
    let files = updater.files()?;
    let settings = settings_of(host, &planned.statement);
    let disk = SystemDisk::find(&updater.own.root_hash).map_err(|error| explain(&error))?;
    let esp_free = if Path::new("/sys/firmware/efi").exists() {
        let esp = disk.node(&disk.esp).and_then(|node| Esp::mount(&node)).map_err(|error| explain(&error))?;
        Some(esp.free(&updater.own.root_hash).map_err(|error| explain(&error))?)
    } else {
        None
    };
    let space = rustix::fs::statvfs(files.data()).map_err(|error| explain(&error))?;
    let object = files.object(&planned.patch.object.sha256);
    let length = |path: &Path| fs::metadata(path).map_or(0, |it| it.len());
    let question = update::plan::Plan { release: &planned.release, patch: &planned.patch };
    let offer = question.offer();
    Ok(precheck::precheck(&precheck::Subject {
        offer: &offer,
        statement: &planned.statement,
        settings: settings.as_deref(),
        running: host.definition(),
        values: &host.values(),
        start: if esp_free.is_some() { Start::Loader } else { Start::Outside },
        restart: Restart::Machine,
        data_free: space.f_bavail * space.f_frsize,
        downloaded: length(&object).max(length(&object.with_extension("partial"))),
        root_room: SystemDisk::bytes(&disk.root),
        verity_room: SystemDisk::bytes(&disk.verity),
        esp_free: esp_free.unwrap_or(u64::MAX),
        memory_free: memory_available(),
        memory_needed: planned.patch.memory,
        rates: files.rates(),
    }))
}

/// The release's settings, when the depot gives them.
fn settings_of(host: &dyn Host, statement: &Statement) -> Option<Vec<Setting>> {
    let document = statement.documents.iter().find(|it| it.name.as_str() == release::names::SETTINGS)?;
    let object = ObjectRef { sha256: document.sha256, size: document.size };
    let bytes = depot(host).ok()?.0.document(&object, DOCUMENT_LIMIT).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Bytes of memory that applying may take: what the kernel could give, without what services need for a busy moment; and
/// what every appliance has.
pub(crate) fn memory_available() -> u64 {
    const RESERVE: u64 = 48 << 20;
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    (kibibytes.unwrap_or(0) << 10).saturating_sub(RESERVE).max(super::LEAST_MEMORY)
}

/// Why nobody can return to the release in the other slot; `None` when it is possible.
pub fn rollback_refusal(host: &dyn Host) -> Option<String> {
    let updater = host.updater();
    let life = updater.lock().life.clone();
    let own = &updater.own.root_hash;
    let life = match life {
        Some(life)
            if life.last.to.root_hash == *own
                && matches!(life.stage(), LifeStage::Confirmed | LifeStage::Trial) =>
        {
            life
        }
        _ => return Some("there is no earlier release to return to".to_owned()),
    };
    let (older, newer) = (&life.last.from, &life.last.to);
    if life.stage() == LifeStage::Confirmed
        && precheck::rollback(&older.state_format, &newer.state_format) == Rollback::Refused
    {
        return Some(format!(
            "version {} does not allow a return to {}: its state has format {}, and the earlier release knows {}",
            newer.version, older.version, newer.state_format.current, older.state_format.current
        ));
    }
    match SystemDisk::find(own) {
        Ok(disk) if disk.holds(&older.root_hash) => None,
        Ok(_) => Some(format!("version {} is not on the disk any more", older.version)),
        Err(error) => Some(explain(&error)),
    }
}

/// The thread. Never returns.
pub(crate) fn run(host: &dyn Host, jobs: &Receiver<Job>) {
    let mut engine = Engine {
        host,
        next_check: Instant::now() + with_jitter(FIRST_CHECK),
        healthy_since: None,
        failing_since: None,
        told: Instant::now(),
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
    told: Instant,
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
            // When the journal can not be written either, the next start finds the unfinished life.
            let _told_below = self.keep(LifeStage::Failed, &life.last, Some(why.to_owned()));
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

    /// Looks at what the last boot left.
    fn settle(&mut self) -> Result<(), String> {
        let Some(life) = self.updater().lock().life.clone() else { return Ok(()) };
        let own = *self.own();
        let is_new = life.last.to.root_hash == own;
        match life::boot_of(Some(&life), &own, &boot_id()) {
            Boot::Trial => {
                let data = self.updater().files()?.data().to_owned();
                let mark = Mark { reached: "agent".to_owned(), ..Mark::load(&data) };
                mark.save(&data).map_err(|error| explain(&error))?;
                self.keep(LifeStage::Trial, &life.last, None)
            }
            Boot::Returned => self.come_back(&life),
            _ => match life.stage() {
                LifeStage::Confirmed if is_new => self.with_world(|world| flow::remove_counted(world, &own)),
                LifeStage::RolledBack if is_new => self.leave(),
                LifeStage::Offered | LifeStage::Verified | LifeStage::Approved => self.keep(
                    LifeStage::Failed,
                    &life.last,
                    Some("the machine stopped before it was written; what was downloaded is kept".to_owned()),
                ),
                _ => Ok(()),
            },
        }
    }

    /// The older release runs although the newer one was armed.
    fn come_back(&mut self, life: &Life) -> Result<(), String> {
        let to = life.last.to.root_hash;
        let data = self.updater().files()?.data().to_owned();
        let mark = Mark::load(&data);
        let mark = (mark.root_hash == to.to_string()).then_some(mark);
        let entries = self.with_world(|world| world.entries())?;
        let entry = entries.into_iter().find(|entry| entry.root_hash == Some(to));
        let tries = entry.as_ref().and_then(|entry| flow::tries(&entry.name));
        if life.stage() == LifeStage::Armed && life.verdict.is_none() && mark.is_none() && entry.is_none() {
            return self.keep(
                LifeStage::Staged,
                &life.last,
                Some("the machine stopped before the boot loader knew of it".to_owned()),
            );
        }
        let reason = life.verdict.clone().unwrap_or_else(|| derived_reason(mark.as_ref(), tries));
        if entry.is_some() {
            self.with_world(|world| flow::set_aside(world, &to))?;
        }
        self.keep(LifeStage::FallenBack, &life.last, Some(reason))
    }

    /// One look at the trial of the running release.
    fn watch_trial(&mut self) -> Result<(), String> {
        let Some(life) = self.updater().lock().life.clone() else { return Ok(()) };
        if life.verdict.is_some() {
            // It was judged, and the restart has not come yet.
            return self.leave();
        }
        let (health, checks) = self.host.checks();
        let limit = Duration::from_secs(trial_seconds(self.host.definition()).into());
        self.act("trial", self.host.uptime().as_secs(), limit.as_secs());
        let now = Instant::now();
        match health {
            Health::Healthy => {
                self.failing_since = None;
                if now - *self.healthy_since.get_or_insert(now) >= SETTLED {
                    return self.confirm(&life);
                }
            }
            Health::Unhealthy => {
                self.healthy_since = None;
                if now - *self.failing_since.get_or_insert(now) >= FAILING {
                    return self.give_up(&life, &failing(&checks, "it is not healthy"));
                }
            }
            Health::Starting => (self.healthy_since, self.failing_since) = (None, None),
        }
        if self.host.uptime() > limit + SETTLED {
            let why = format!("it was not healthy within {} seconds", limit.as_secs());
            return self.give_up(&life, &failing(&checks, &why));
        }
        Ok(())
    }

    fn confirm(&mut self, life: &Life) -> Result<(), String> {
        self.act("confirm", 0, 0);
        let own = *self.own();
        let name = format!("{}_{}.efi", self.host.definition().appliance.name, self.updater().own.version);
        let record = self.record(LifeStage::Confirmed, &life.last, None);
        self.with_world(|world| flow::confirm(world, &own, &record, &name))?;
        self.updater().note(&record);
        self.updater().lock().activity = None;
        let files = self.updater().files()?;
        files.remove_objects(None);
        let _absent = fs::remove_file(files.uki());
        if precheck::rollback(&life.last.from.state_format, &life.last.to.state_format)
            == Rollback::KeepsState
        {
            snapshots::remove_kept(files.data()).map_err(|error| explain(&error))?;
        }
        let mut rates = files.rates();
        rates.restart = self.host.uptime().as_secs();
        files.keep_rates(&rates);
        let _no_such_timer = units::systemctl(&["stop", "ampoule-trial.timer"], UNIT_TIME);
        let _absent = fs::remove_file("/run/systemd/system/ampoule-agent.service.d/20-trial.conf");
        let _as_before = units::systemctl(&["daemon-reload"], UNIT_TIME);
        self.show_slots();
        self.host.tell();
        Ok(())
    }

    /// The trial failed: the reason first, durable.
    fn give_up(&mut self, life: &Life, why: &str) -> Result<(), String> {
        self.keep(LifeStage::Trial, &life.last, Some(why.to_owned()))?;
        self.leave()
    }

    /// Takes the running release from the boot loader and restarts into the other.
    fn leave(&mut self) -> Result<(), String> {
        let own = *self.own();
        self.act("set aside", 0, 0);
        self.with_world(|world| match world.entries()?.iter().any(|entry| entry.root_hash == Some(own)) {
            true => flow::set_aside(world, &own),
            // Done before the agent was started again.
            false => Ok(()),
        })?;
        self.act("restart", 0, 0);
        self.host.restart()
    }

    fn roll_back(&mut self) -> Result<(), String> {
        if let Some(why) = rollback_refusal(self.host) {
            return Err(why);
        }
        let Some(life) = self.updater().lock().life.clone() else { return Ok(()) };
        match life.stage() {
            LifeStage::Trial => self.give_up(&life, "somebody asked for a rollback"),
            _ => {
                self.keep(LifeStage::RolledBack, &life.last, Some("somebody asked for it".to_owned()))?;
                self.leave()
            }
        }
    }

    /// The whole way of a patch. What fails before it is armed leaves the running release as it is.
    fn install(&mut self, planned: &Planned, then: Option<Restart>, by: &str) -> Result<(), String> {
        let id = planned.release.id();
        let to = Side {
            version: planned.release.version.clone(),
            root_hash: planned.statement.image.root_hash,
            state_format: planned.statement.state_format,
        };
        let base = Record {
            time: 0,
            stage: LifeStage::Offered,
            to,
            release: id,
            from: self.updater().own.clone(),
            reason: None,
            boot: String::new(),
        };
        if !self.is_staged(&base)? {
            self.act("offered", 0, 0);
            self.keep(LifeStage::Offered, &base, None)?;
            self.stage(planned, &base, by)?;
        }
        if then.is_some() {
            self.arm(planned, &base)?;
        }
        Ok(())
    }

    /// Whether the slot holds this release already, from this one.
    fn is_staged(&self, base: &Record) -> Result<bool, String> {
        let state = self.updater().lock();
        let is_known = state.life.as_ref().is_some_and(|life| {
            life.stage() == LifeStage::Staged
                && life.last.release == base.release
                && life.last.from == base.from
        });
        drop(state);
        let disk = SystemDisk::find(self.own()).map_err(|error| explain(&error))?;
        Ok(is_known && disk.holds(&base.to.root_hash) && self.updater().files()?.uki().exists())
    }

    fn stage(&mut self, planned: &Planned, base: &Record, by: &str) -> Result<(), String> {
        self.act("verify", 0, 0);
        let checked = precheck_for(self.host, planned)?;
        if let Some(problem) = checked.problems.first() {
            return Err(format!("{}: {}", problem.subject, problem.text));
        }
        self.keep(LifeStage::Verified, base, None)?;
        self.keep(LifeStage::Approved, base, Some(by.to_owned()))?;
        let files = self.updater().files()?.clone();
        let mut rates = files.rates();
        let (own, statement) = (*self.own(), &planned.statement);

        let object = files.object(&planned.patch.object.sha256);
        files.remove_objects(Some(&object));
        let (began, size) = (Instant::now(), planned.patch.object.size);
        self.act("download", 0, size);
        if !object.exists() {
            let (depot, _, _) = depot(self.host)?;
            depot
                .download(&planned.patch.object, &object, &mut |done| self.act("download", done, size))
                .map_err(|error| full_or(&error))?;
            rates.download = rate(size, began);
        }

        self.act("invalidate", 0, 0);
        snapshots::remove_kept(files.data()).map_err(|error| explain(&error))?;
        self.with_world(|world| flow::invalidate(world, &own))?;
        let disk = SystemDisk::find(&own).map_err(|error| explain(&error))?;
        let (root, hashes) = (disk.node(&disk.root), disk.node(&disk.verity));
        let (root, hashes) =
            (root.map_err(|error| explain(&error))?, hashes.map_err(|error| explain(&error))?);

        let (began, total) = (Instant::now(), statement.image.root_size + statement.uki.size);
        self.act("write", 0, total);
        let active = disk.node(&disk.active).map_err(|error| explain(&error))?;
        let esp = disk.node(&disk.esp).and_then(|node| Esp::mount(&node)).map_err(|error| explain(&error))?;
        let uki = esp.uki_of(&own).map_err(|error| explain(&error))?;
        let running = apply::Running { root: &active, uki: &uki, root_hash: own };
        let written = apply::apply(
            &object,
            &running,
            statement,
            (&root, &files.uki()),
            memory_available(),
            &mut |done| self.act("write", done, total),
        );
        drop(esp);
        if let Err(error) = written {
            // What can not be applied once can not be applied again: the next attempt downloads it anew.
            files.remove_objects(None);
            return Err(explain(&error));
        }
        let size = statement.image.root_size;
        self.act("read back", 0, size);
        stage::prove(statement, &root, &hashes, &mut |done| self.act("read back", done, size))
            .and_then(|()| stage::prove_uki(statement, &files.uki()))
            .map_err(|error| explain(&error))?;
        rates.write = rate(size, began);
        files.keep_rates(&rates);

        self.act("mark", 0, 0);
        self.with_world(|world| world.mark_slot(Some(&statement.image.root_hash)))?;
        self.keep(LifeStage::Staged, base, None)?;
        files.remove_objects(None);
        self.show_slots();
        Ok(())
    }

    fn arm(&mut self, planned: &Planned, base: &Record) -> Result<(), String> {
        self.act("arm", 0, 0);
        let record = self.record(LifeStage::Armed, base, None);
        let files = self.updater().files()?;
        // The mark of an earlier try would speak for this one.
        Mark::default().save(files.data()).map_err(|error| explain(&error))?;
        self.with_world(|world| flow::arm(world, &record, planned.statement.uki.name.as_str()))
            .inspect(|()| self.updater().note(&record))?;
        self.act("restart", 0, 0);
        self.host.restart()
    }

    /// What the policy does unasked.
    fn automatic(&mut self) {
        let choices = self.host.choices();
        if choices.depot.is_none() {
            return;
        }
        if Instant::now() >= self.next_check {
            self.next_check = Instant::now() + with_jitter(CHECK_PERIOD);
            let _shown_as_check_failed = check(self.host);
            if choices.policy == builtin::AUTOMATIC {
                self.install_unasked(None);
            }
        }
        let life = self.updater().lock().life.clone();
        let is_staged = life.is_some_and(|life| life.stage() == LifeStage::Staged);
        if choices.policy == builtin::AUTOMATIC && is_staged && self.may_restart(&choices) {
            self.install_unasked(Some(Restart::Shortest));
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
        // Nothing newer, or a hold, is no failure.
        let Ok(planned) = plan_for(self.host, None, Again::No) else { return };
        self.updater().lock().busy = Some(format!("version {}", planned.release.version));
        let outcome = self.install(&planned, then, "policy automatic");
        self.done(outcome);
    }
}

fn rate(bytes: u64, began: Instant) -> u64 {
    bytes * 1000 / u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}

fn full_or(error: &super::depot::DepotError) -> String {
    match error {
        super::depot::DepotError::Disk(error) if apply::is_full(error) => {
            "the data disk is full; nothing that was on it is lost".to_owned()
        }
        error => explain(error),
    }
}

fn failing(checks: &[CheckState], otherwise: &str) -> String {
    let not_healthy = checks.iter().filter(|check| check.health != Health::Healthy);
    let told: Vec<String> = not_healthy
        .map(|check| {
            let why = check.why.as_deref().unwrap_or("it never answered");
            format!("{}: {}", check.name, why.chars().take(300).collect::<String>())
        })
        .collect();
    if told.is_empty() { otherwise.to_owned() } else { format!("{otherwise}: {}", told.join("; ")) }
}

/// The reason when the newer release said none, from how far it came.
fn derived_reason(mark: Option<&Mark>, tries: Option<(u32, u32)>) -> String {
    let times = |count: u32| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    match (mark, tries) {
        (Some(mark), _) if mark.reached == "agent" => format!(
            "it was started {} and ended before it was confirmed: its system hung, crashed or lost power",
            times(mark.starts)
        ),
        (Some(mark), _) if mark.reached == "data" => format!(
            "it was started {}, and its system came no further than its first program: it hung, or its agent never answered",
            times(mark.starts)
        ),
        (_, Some((_, done))) if done > 0 => format!(
            "it was started {} and never came as far as its data: its kernel or its first program failed",
            times(done)
        ),
        _ => "the boot loader did not start it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_release_fell_back_is_derived_from_how_far_it_came() {
        let mark = |reached: &str| Mark { root_hash: String::new(), starts: 2, reached: reached.into() };
        assert!(derived_reason(None, Some((0, 2))).contains("2 times and never came as far as its data"));
        assert!(
            derived_reason(Some(&mark("data")), Some((0, 2))).contains("no further than its first program")
        );
        assert!(derived_reason(Some(&mark("agent")), None).contains("before it was confirmed"));
        assert!(derived_reason(Some(&Mark::default()), Some((2, 0))).contains("did not start it"));
    }

    #[test]
    fn failing_checks_are_named_with_why() {
        let check = |name: &str, health, why: Option<&str>| CheckState {
            name: name.into(),
            health,
            why: why.map(str::to_owned),
        };
        let checks = [
            check("web", Health::Unhealthy, Some("refused")),
            check("database", Health::Healthy, None),
            check("mail", Health::Starting, None),
        ];
        assert_eq!(failing(&checks, "late"), "late: web: refused; mail: it never answered");
    }
}
