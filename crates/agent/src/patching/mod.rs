//! Patches: asking the depot, writing the inactive slot, restarting into it, and the trial. `docs/LIFE-OF-A-PATCH.md` has
//! every step and what a crash after it leaves.
//!
//! Owns the acting. Every choice is the crate `update`'s: which release, by which way, whether a step may follow another,
//! what a boot is. One patch at a time; whoever comes second is told so.

pub mod depot;
pub mod disk;
pub mod kept;
pub mod stage;
pub mod trial;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::Definition;
use model::Sha256Digest;
use model::builtin;
use model::control::{
    Activity, Hold, LifeEntry, LifeStage, PatchLife, Precheck, Restart, Slot, SlotRole, UpdateStatus,
};
use model::definition::SettingValues;
use model::settings::Setting;
use release::{IndexedRelease, ReleaseId, Statement, names};
use update::freshness;
use update::life::{self, Life, Record, Side};
use update::plan::{self, Again, Plan, Question, Wanted};
use update::precheck::{self, Rates, Rollback, Start, Subject};
use update::window::Window;

use self::depot::{Depot, DepotError};
use self::disk::SystemDisk;
use self::kept::{Kept, Looked};
use self::stage::Stage;
use crate::units;

/// Memory that stays free for the services while a patch is applied.
const MEMORY_RESERVE: u64 = 48 << 20;
/// Memory that every appliance has for a patch, whatever the kernel says is available just now.
const LEAST_MEMORY: u64 = 64 << 20;
/// Longest settings schema of a release that is read.
const SCHEMA_LIMIT: u64 = 4 << 20;
/// A look at the depot is good enough for a plan for this long.
const LOOK_AGAIN: u64 = 60;
/// How often news of work under way are told.
const NEWS: Duration = Duration::from_millis(500);
/// Time for an answer to reach the other side before the machine restarts.
const HEAD_START: Duration = Duration::from_millis(500);
const RESTART_WAIT: Duration = Duration::from_secs(30);

/// What the settings say about patches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Follow {
    depot: Option<String>,
    authority: Option<String>,
    channel: String,
    policy: String,
    window: Option<String>,
}

impl Follow {
    /// Of the settings' values.
    pub fn of(values: &SettingValues) -> Follow {
        let text = |name: &str| values.get(name).map(ToString::to_string).filter(|text| !text.is_empty());
        Follow {
            depot: text(builtin::DEPOT),
            authority: text(builtin::DEPOT_CERTIFICATE),
            channel: text(builtin::CHANNEL).unwrap_or_else(|| "stable".to_owned()),
            policy: text(builtin::POLICY).unwrap_or_else(|| builtin::MANUAL.to_owned()),
            window: text(builtin::WINDOW),
        }
    }
}

/// Who is told when something happened.
pub type News = Box<dyn Fn(UpdateStatus) + Send + Sync>;

/// Patches of this appliance.
pub struct Patching {
    definition: Definition,
    own: Sha256Digest,
    boot: String,
    disk: String,
    kept: Kept,
    inner: Mutex<Inner>,
    news: News,
}

struct Inner {
    records: Vec<Record>,
    holds: Vec<Hold>,
    looked: Looked,
    check_failed: Option<String>,
    activity: Option<Activity>,
    is_busy: bool,
    slots: Vec<Slot>,
    follow: Follow,
    notices: Vec<String>,
}

/// What is asked of a patch.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The newest release when absent.
    pub version: Option<String>,
    /// Whether a release that was set aside is tried once more.
    pub again: bool,
    /// Restart into it, and how.
    pub restart: Option<Restart>,
    /// Who wishes: `a person`, `the policy`.
    pub by: &'static str,
}

impl Patching {
    /// Reads what is kept.
    pub fn load(
        definition: Definition,
        facts: &crate::facts::Facts,
        follow: Follow,
        news: News,
    ) -> std::io::Result<Patching> {
        let kept = Kept::on(Path::new("/data"))?;
        let own = facts.root_hash.parse().map_err(std::io::Error::other)?;
        let patching = Patching {
            definition,
            own,
            boot: crate::init::trial::boot_id(),
            disk: facts.system_disk.clone(),
            inner: Mutex::new(Inner {
                records: kept.records(),
                holds: kept.holds(),
                looked: kept.looked(),
                check_failed: None,
                activity: None,
                is_busy: false,
                slots: Vec::new(),
                follow,
                notices: Vec::new(),
            }),
            kept,
            news,
        };
        patching.look_at_slots();
        Ok(patching)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes changed settings over.
    pub fn follow(&self, follow: Follow) {
        let mut inner = self.lock();
        if inner.follow.depot != follow.depot || inner.follow.channel != follow.channel {
            // What another depot said is nothing this one says.
            inner.looked = Looked::default();
            inner.check_failed = None;
        }
        inner.follow = follow;
    }

    /// Things a person should know.
    pub fn notices(&self) -> Vec<String> {
        self.lock().notices.clone()
    }

    /// What happened, newest first.
    pub fn history(&self) -> Vec<LifeEntry> {
        life::history(&self.lock().records)
    }

    /// Everything that is known.
    pub fn status(&self) -> UpdateStatus {
        let inner = self.lock();
        let set_aside = life::set_aside(&inner.records);
        let index = inner.looked.index.clone();
        let (newer, available) = match &index {
            None => (freshness::Newer::None, None),
            Some(index) => {
                let question = self.question(&inner, index, &set_aside, Wanted::Newest, Again::Yes);
                (plan::newer_state(&question), plan::plan(&question).ok().map(|plan| plan.offer()))
            }
        };
        UpdateStatus {
            state: freshness::state(newer, inner.looked.checked, crate::boot::now()),
            checked: inner.looked.checked,
            check_failed: inner.check_failed.clone(),
            depot: inner.follow.depot.clone(),
            channel: inner.follow.channel.clone(),
            available,
            slots: inner.slots.clone(),
            patch: life::fold(&inner.records).map(|life| patch_life(&life, inner.activity.clone())),
            holds: inner.holds.clone(),
            policy: inner.follow.policy.clone(),
            window: inner.follow.window.clone(),
        }
    }

    fn question<'a>(
        &'a self,
        inner: &'a Inner,
        index: &'a release::Index,
        set_aside: &'a BTreeSet<ReleaseId>,
        wanted: Wanted<'a>,
        again: Again,
    ) -> Question<'a> {
        let running = inner.looked.running.as_ref();
        Question {
            running: &self.definition.appliance.version,
            running_release: running.filter(|(hash, _)| *hash == self.own.to_string()).map(|(_, id)| *id),
            index,
            holds: &inner.holds,
            set_aside,
            wanted,
            again,
            memory: available_memory(),
        }
    }

    /// Asks the depot.
    pub fn check(&self) -> Result<(), String> {
        let follow = self.lock().follow.clone();
        let outcome = self.ask_depot(&follow);
        let mut inner = self.lock();
        match outcome {
            Ok(looked) => {
                inner.check_failed = None;
                inner.looked = looked;
                // What is lost of it is asked again after the next start.
                let _only_a_copy = self.kept.keep_looked(&inner.looked);
                Ok(())
            }
            Err(error) => {
                let why = crate::init::report::chain(&error);
                inner.check_failed = Some(why.clone());
                Err(why)
            }
        }
    }

    fn ask_depot(&self, follow: &Follow) -> Result<Looked, DepotError> {
        let depot = connect(follow)?;
        let index = depot.index(&self.definition.appliance.id(), &follow.channel)?;
        let own_version = &self.definition.appliance.version;
        let mut running = None;
        for release in index.releases.iter().filter(|release| release.version == *own_version) {
            if depot.statement(&release.statement)?.image.root_hash == self.own {
                running = Some((self.own.to_string(), release.id()));
            }
        }
        Ok(Looked { checked: Some(crate::boot::now()), index: Some(index), running })
    }

    fn look_lately(&self) -> Result<(), String> {
        let (checked, has_index) = {
            let inner = self.lock();
            (inner.looked.checked, inner.looked.index.is_some())
        };
        let now = crate::boot::now();
        let is_late = checked.is_none_or(|checked| now.abs_diff(checked) > LOOK_AGAIN);
        if is_late || !has_index { self.check() } else { Ok(()) }
    }

    /// The plan for a wish, with the release's statement.
    fn plan(
        &self,
        version: Option<&str>,
        again: Again,
    ) -> Result<(IndexedRelease, release::PatchRef, Statement), String> {
        self.look_lately()?;
        let (release, patch, follow) = {
            let inner = self.lock();
            let index = inner.looked.index.as_ref().ok_or("nothing is known of the depot")?;
            let set_aside = life::set_aside(&inner.records);
            let wanted = version.map_or(Wanted::Newest, Wanted::Version);
            let question = self.question(&inner, index, &set_aside, wanted, again);
            let Plan { release, patch } = plan::plan(&question).map_err(|why| why.to_string())?;
            (release.clone(), patch.clone(), inner.follow.clone())
        };
        let statement = connect(&follow).and_then(|depot| depot.statement(&release.statement));
        let statement = statement.map_err(|error| crate::init::report::chain(&error))?;
        if statement.identity.id() != self.definition.appliance.id()
            || statement.identity.version != release.version
        {
            return Err(format!(
                "the depot offers {} {} as {} {}",
                statement.identity.id(),
                statement.identity.version,
                self.definition.appliance.id(),
                release.version
            ));
        }
        Ok((release, patch, statement))
    }

    /// What a patch would need and do.
    pub fn precheck(&self, version: Option<&str>, values: &SettingValues) -> Result<Precheck, String> {
        let (release, patch, statement) = self.plan(version, Again::Yes)?;
        self.judge(&release, &patch, &statement, values)
    }

    fn judge(
        &self,
        release: &IndexedRelease,
        patch: &release::PatchRef,
        statement: &Statement,
        values: &SettingValues,
    ) -> Result<Precheck, String> {
        let follow = self.lock().follow.clone();
        let settings = statement.documents.iter().find(|document| document.name.as_str() == names::SETTINGS);
        let settings: Option<Vec<Setting>> = settings.and_then(|document| {
            let object = release::ObjectRef { sha256: document.sha256, size: document.size };
            let bytes = connect(&follow).and_then(|depot| depot.small_object(&object, SCHEMA_LIMIT)).ok()?;
            serde_json::from_slice(&bytes).ok()
        });
        let disk = self.system_disk();
        let start = match (&disk, Path::new("/sys/firmware/efi").exists()) {
            (Ok(_), true) => Start::Loader,
            _ => Start::Outside,
        };
        let (root_room, verity_room, esp_free) = disk.as_ref().map_or((0, 0, 0), |disk| {
            let (root, verity) = disk.inactive(&self.own).map_or((0, 0), |slot| disk.room(slot));
            let esp = disk.mount_esp();
            let stem = self.stem();
            let free = esp.and_then(|esp| Ok(esp.free()? + esp.others(&stem)?)).unwrap_or(0);
            (root, verity, free)
        });
        let offer = Plan { release, patch }.offer();
        Ok(precheck::precheck(&Subject {
            offer: &offer,
            statement,
            settings: settings.as_deref(),
            running: &self.definition,
            values,
            start,
            restart: Restart::Machine,
            data_free: free_bytes(&self.kept.folder()),
            downloaded: depot::kept_bytes(&self.kept.folder(), &patch.object),
            root_room,
            verity_room,
            esp_free,
            memory_free: available_memory(),
            memory_needed: patch.memory,
            rates: self.kept.rates(),
        }))
    }

    /// Begins a patch; it goes on in a thread of its own. Refuses what can not be done, in one sentence.
    pub fn begin(self: &Arc<Self>, wish: Wish, values: &SettingValues) -> Result<(), String> {
        self.take_turn()?;
        let begun = self.prepare(&wish, values);
        let (release, patch, statement) = match begun {
            Ok(prepared) => prepared,
            Err(why) => {
                self.lock().is_busy = false;
                return Err(why);
            }
        };
        let patching = self.clone();
        let started =
            std::thread::Builder::new().name("patch".to_owned()).stack_size(1 << 20).spawn(move || {
                let outcome = patching.carry_out(&release, &patch, &statement, &wish);
                if let Err(why) = outcome {
                    patching.record_last(LifeStage::Failed, Some(why));
                }
                let mut inner = patching.lock();
                (inner.is_busy, inner.activity) = (false, None);
                drop(inner);
                patching.look_at_slots();
                patching.tell();
            });
        started.map(drop).map_err(|error| {
            self.lock().is_busy = false;
            format!("the work can not be begun: {error}")
        })
    }

    fn take_turn(&self) -> Result<(), String> {
        let mut inner = self.lock();
        let life = life::fold(&inner.records);
        if let Some(life) = life.filter(|life| inner.is_busy || life.is_under_way()) {
            let version = &life.last.to.version;
            return Err(format!("a patch to {version} is under way; it has to end first"));
        }
        if inner.is_busy {
            return Err("another patch is just being begun".to_owned());
        }
        inner.is_busy = true;
        Ok(())
    }

    fn prepare(
        &self,
        wish: &Wish,
        values: &SettingValues,
    ) -> Result<(IndexedRelease, release::PatchRef, Statement), String> {
        let again = if wish.again { Again::Yes } else { Again::No };
        let (release, patch, statement) = self.plan(wish.version.as_deref(), again)?;
        let judged = self.judge(&release, &patch, &statement, values)?;
        if let Some(problem) = judged.problems.first() {
            let resolution = problem.resolution.as_ref().map_or(String::new(), |text| format!("; {text}"));
            return Err(format!("{}{resolution}", problem.text));
        }
        Ok((release, patch, statement))
    }

    /// From offered to armed. The error is the reason that people read.
    fn carry_out(
        self: &Arc<Self>,
        release: &IndexedRelease,
        patch: &release::PatchRef,
        statement: &Statement,
        wish: &Wish,
    ) -> Result<(), String> {
        let is_staged = {
            let inner = self.lock();
            life::fold(&inner.records).is_some_and(|life| {
                life.stage() == LifeStage::Staged && life.last.to.root_hash == statement.image.root_hash
            })
        };
        let base = self.record_of(release, statement);
        if !is_staged {
            self.record(&base, LifeStage::Offered, None)?;
            self.record(&base, LifeStage::Verified, None)?;
            self.record(&base, LifeStage::Approved, Some(wish.by.to_owned()))?;
            self.stage(patch, statement)?;
            self.record(&base, LifeStage::Staged, None)?;
            self.look_at_slots();
        }
        let Some(restart) = wish.restart else { return Ok(()) };
        self.arm(&base, statement)?;
        self.restart(restart);
        Ok(())
    }

    fn stage(&self, patch: &release::PatchRef, statement: &Statement) -> Result<(), String> {
        let folder = self.kept.folder();
        let follow = self.lock().follow.clone();
        let depot = connect(&follow).map_err(|error| error.to_string())?;
        let mut rates = self.kept.rates();
        let mut meter = Meter::new(self);
        let (began, kept) = (Instant::now(), depot::kept_bytes(&folder, &patch.object));
        meter.say("download", kept, patch.object.size);
        let path = depot
            .download(&patch.object, &folder, &mut |done| meter.say("download", done, patch.object.size))
            .map_err(|error| crate::init::report::chain(&error))?;
        rate(&mut rates.download, patch.object.size.saturating_sub(kept), began.elapsed());
        let mut disk = self.system_disk().map_err(|error| error.to_string())?;
        let stage = Stage {
            running: &self.own,
            running_stem: &self.stem(),
            statement,
            patch: &path,
            folder: &folder,
            memory: available_memory(),
        };
        let began = Instant::now();
        stage
            .carry_out(&mut disk, &mut |step, done, total| meter.say(step, done, total))
            .map_err(|error| error.to_string())?;
        rate(&mut rates.write, statement.image.root_size, began.elapsed());
        let _only_an_estimate = self.kept.keep_rates(&rates);
        Ok(())
    }

    /// The journal first: should the power go now, the older release finds a patch that was never placed, and says so; the other
    /// way around a newer one would start without a trial.
    fn arm(&self, base: &Record, statement: &Statement) -> Result<(), String> {
        let mut meter = Meter::new(self);
        meter.say("arm", 0, 0);
        crate::init::snapshots::remove_kept(Path::new("/data"))
            .map_err(|error| format!("removing the state of earlier patches: {error}"))?;
        self.record(base, LifeStage::Armed, None)?;
        let place = || -> std::io::Result<()> {
            let esp = self.system_disk()?.mount_esp()?;
            let stem = disk::stem(&statement.identity.name, &statement.identity.version);
            esp.arm(&stem, &stage::uki_path(&self.kept.folder()), &statement.uki.sha256)
        };
        if let Err(error) = place() {
            self.record(base, LifeStage::Staged, Some(format!("it can not be armed: {error}")))?;
            return Err(format!("it can not be armed: {error}"));
        }
        let _only_room = fs::remove_file(stage::uki_path(&self.kept.folder()));
        depot::remove_others(&self.kept.folder(), Path::new("none"));
        Ok(())
    }

    /// Restarts the machine a moment later.
    fn restart(&self, _how: Restart) {
        Meter::new(self).say("restart", 0, 0);
        std::thread::sleep(HEAD_START);
        if let Err(why) = units::systemctl(&["--no-block", "reboot"], RESTART_WAIT) {
            self.lock().notices.push(format!("the machine does not restart: {why}"));
        }
    }

    /// Returns to the release in the other slot; the machine restarts a moment later.
    pub fn roll_back(self: &Arc<Self>) -> Result<(), String> {
        self.take_turn()?;
        let prepared = self.prepare_return();
        let record = match prepared {
            Ok(record) => record,
            Err(why) => {
                self.lock().is_busy = false;
                return Err(why);
            }
        };
        let patching = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(HEAD_START);
            let outcome = patching
                .append(Record {
                    stage: LifeStage::RolledBack,
                    reason: Some("a person".to_owned()),
                    ..record
                })
                .and_then(|()| patching.set_own_aside());
            match outcome {
                Ok(()) => patching.restart(Restart::Machine),
                Err(why) => patching.lock().notices.push(format!("the return did not happen: {why}")),
            }
            patching.lock().is_busy = false;
        });
        Ok(())
    }

    fn prepare_return(&self) -> Result<Record, String> {
        let life = life::fold(&self.lock().records);
        let life =
            life.filter(|life| life.stage() == LifeStage::Confirmed && life.last.to.root_hash == self.own);
        let nothing = "there is no release to return to: the other slot holds none that ran before this one";
        let last = life.ok_or(nothing)?.last;
        if precheck::rollback(&last.from.state_format, &last.to.state_format) == Rollback::Refused {
            return Err(precheck::rollback_text(&last.from.state_format, &last.to.state_format));
        }
        let disk = self.system_disk().map_err(|error| error.to_string())?;
        let esp = disk
            .mount_esp()
            .map_err(|error| format!("the EFI system partition can not be mounted: {error}"))?;
        let before = disk::stem(&self.definition.appliance.name, &last.from.version);
        let is_there = disk.slot_of(&last.from.root_hash).is_some()
            && esp.find(&before).is_ok_and(|found| found.is_some());
        if !is_there {
            return Err(nothing.to_owned());
        }
        Ok(last)
    }

    fn set_own_aside(&self) -> Result<(), String> {
        let act = || self.system_disk()?.mount_esp()?.set_aside(&self.stem());
        act().map_err(|error| format!("the boot loader can not be told: {error}"))
    }

    /// Takes a release, or all, out of consideration.
    pub fn hold(&self, version: Option<String>, reason: String) -> Result<(), String> {
        let mut inner = self.lock();
        let mut holds = inner.holds.clone();
        holds.retain(|hold| hold.version != version);
        holds.push(Hold { version, reason, since: crate::boot::now() });
        self.kept.keep_holds(&holds).map_err(|error| format!("the hold can not be kept: {error}"))?;
        inner.holds = holds;
        Ok(())
    }

    /// Ends a hold.
    pub fn unhold(&self, version: Option<&str>) -> Result<(), String> {
        let mut inner = self.lock();
        let mut holds = inner.holds.clone();
        holds.retain(|hold| hold.version.as_deref() != version);
        if holds.len() == inner.holds.len() {
            return Err(match version {
                Some(version) => format!("{version} is not held"),
                None => "there is no hold on every release".to_owned(),
            });
        }
        self.kept
            .keep_holds(&holds)
            .map_err(|error| format!("the end of the hold can not be kept: {error}"))?;
        inner.holds = holds;
        Ok(())
    }

    /// What the policy does by itself, once an hour or so.
    pub fn follow_policy(self: &Arc<Self>, values: &SettingValues) {
        let follow = self.lock().follow.clone();
        if follow.depot.is_none() {
            return;
        }
        // A depot that does not answer is told by the status.
        let _told = self.check();
        if follow.policy != builtin::AUTOMATIC {
            return;
        }
        let window = follow.window.as_deref().map(str::parse::<Window>);
        let is_open = match window {
            None => true,
            Some(Ok(window)) => window.is_open(crate::boot::now()),
            // A window that can not be read never opens: no restart at a time that nobody meant.
            Some(Err(_)) => false,
        };
        let restart = is_open.then_some(Restart::Shortest);
        let is_staged =
            life::fold(&self.lock().records).is_some_and(|life| life.stage() == LifeStage::Staged);
        if is_staged && restart.is_none() {
            return;
        }
        let wish = Wish { version: None, again: false, restart, by: "the policy" };
        let _nothing_to_do = self.begin(wish, values);
    }

    /// Name of the running UKI without its counter.
    fn stem(&self) -> String {
        disk::stem(&self.definition.appliance.name, &self.definition.appliance.version)
    }

    fn system_disk(&self) -> std::io::Result<SystemDisk> {
        SystemDisk::open(&self.disk)
    }

    fn side(&self) -> Side {
        Side {
            version: self.definition.appliance.version.clone(),
            root_hash: self.own,
            state_format: self.definition.state_format,
        }
    }

    fn record_of(&self, release: &IndexedRelease, statement: &Statement) -> Record {
        Record {
            time: 0,
            stage: LifeStage::Offered,
            to: Side {
                version: statement.identity.version.clone(),
                root_hash: statement.image.root_hash,
                state_format: statement.state_format,
            },
            release: release.id(),
            from: self.side(),
            reason: None,
            boot: String::new(),
        }
    }

    fn record(&self, base: &Record, stage: LifeStage, reason: Option<String>) -> Result<(), String> {
        self.append(Record { stage, reason, ..base.clone() })
    }

    /// A step of the last life.
    fn record_last(&self, stage: LifeStage, reason: Option<String>) {
        let last = life::fold(&self.lock().records).map(|life| life.last);
        if let Some(last) = last.filter(|last| life::may_follow(Some(last.stage), stage)) {
            let kept = self.append(Record { stage, reason, ..last });
            if let Err(why) = kept {
                self.lock().notices.push(why);
            }
        }
    }

    fn append(&self, record: Record) -> Result<(), String> {
        let record = Record { time: crate::boot::now(), boot: self.boot.clone(), ..record };
        self.kept
            .append(&record)
            .map_err(|error| format!("the journal of patches can not be written: {error}"))?;
        self.lock().records.push(record);
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        (self.news)(self.status());
    }

    /// Reads what the slots hold; a machine without slots has none.
    fn look_at_slots(&self) {
        let Ok(disk) = self.system_disk() else { return };
        let mut inner = self.lock();
        let life = life::fold(&inner.records);
        inner.slots = disk.slots().iter().map(|slot| self.slot_state(&disk, slot, life.as_ref())).collect();
    }

    fn slot_state(&self, disk: &SystemDisk, slot: &disk::SlotPlace, life: Option<&Life>) -> Slot {
        let holds = |hash: &Sha256Digest| disk.slot_of(hash).is_some_and(|found| found.name == slot.name);
        let empty =
            Slot { name: slot.name.to_string(), role: SlotRole::Empty, version: None, root_hash: None };
        let filled = |role, side: &Side| Slot {
            role,
            version: Some(side.version.clone()),
            root_hash: Some(side.root_hash.to_string()),
            ..empty.clone()
        };
        if holds(&self.own) {
            return filled(SlotRole::Running, &self.side());
        }
        let Some(life) = life else { return empty };
        let last = &life.last;
        if holds(&last.to.root_hash) {
            let role = match life.stage() {
                LifeStage::FallenBack | LifeStage::RolledBack => SlotRole::SetAside,
                _ => SlotRole::Staged,
            };
            return filled(role, &last.to);
        }
        if holds(&last.from.root_hash) {
            return filled(SlotRole::Previous, &last.from);
        }
        empty
    }
}

/// Tells how far work has come, not more often than people can read.
struct Meter<'a> {
    patching: &'a Patching,
    told: Option<(Instant, &'static str)>,
}

impl<'a> Meter<'a> {
    fn new(patching: &'a Patching) -> Self {
        Meter { patching, told: None }
    }

    fn say(&mut self, step: &'static str, done: u64, total: u64) {
        let is_due = self.told.is_none_or(|(when, what)| what != step || when.elapsed() >= NEWS);
        if is_due {
            self.patching.lock().activity = Some(Activity { step: step.to_owned(), done, total });
            self.patching.tell();
            self.told = Some((Instant::now(), step));
        }
    }
}

fn patch_life(life: &Life, activity: Option<Activity>) -> PatchLife {
    let last = &life.last;
    PatchLife {
        version: last.to.version.clone(),
        from_version: last.from.version.clone(),
        release: last.release.to_string(),
        root_hash: last.to.root_hash.to_string(),
        stage: last.stage,
        since: last.time,
        reason: last.reason.clone().filter(|_| {
            matches!(
                last.stage,
                LifeStage::Failed | LifeStage::FallenBack | LifeStage::Trial | LifeStage::RolledBack
            )
        }),
        activity,
    }
}

fn connect(follow: &Follow) -> Result<Depot, DepotError> {
    let url = follow.depot.as_deref().ok_or(DepotError::NoDepot)?;
    Depot::at(url, follow.authority.as_deref())
}

/// Half of the old rate and half of the new one.
fn rate(rate: &mut u64, bytes: u64, time: Duration) {
    // Short work says nothing about a rate.
    if bytes > 1 << 20 && time.as_millis() > 0 {
        *rate = (*rate + (u128::from(bytes) * 1000 / time.as_millis()) as u64) / 2;
    }
}

fn free_bytes(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(0, |found| found.f_bavail * found.f_frsize)
}

/// Bytes of memory that applying a patch may take.
fn available_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = available.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
    (kibibytes.unwrap_or(0) << 10).saturating_sub(MEMORY_RESERVE).max(LEAST_MEMORY)
}

/// The rates of a machine after a restart that took so long.
fn with_restart(rates: Rates, seconds: u64) -> Rates {
    Rates { restart: (rates.restart + seconds) / 2, ..rates }
}
