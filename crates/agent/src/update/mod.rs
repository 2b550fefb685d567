//! The executor of a patch's life in the running appliance: a thread of its own that does what the planner says, in the order
//! of [`flow`], and answers what people ask meanwhile. See `docs/LIFE-OF-A-PATCH.md`.

pub mod apply;
pub mod depot;
pub mod disk;
mod engine;
pub mod files;
pub mod flow;
pub mod stage;
pub mod trust;
pub mod words;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Sha256Digest;
use model::builtin;
use model::control::{
    Activity, ApprovalState, Hold, LifeEntry, LifeStage, Offer, PatchLife, Restart, Slot, SlotRole,
    UpdateStatus,
};
use model::definition::SettingValues;
use release::{Index, ReleaseId};
use update::freshness::{self, Newer};
use update::life::{self, Life, Record, Side};
use update::plan::{self, Again, Question, Wanted};
use update::precheck;

use files::{Checked, Files};

pub use engine::{Host, check, rollback_refusal};
pub(crate) use engine::{plan_for, precheck_for, run};

/// Bytes of memory for applying a patch that every appliance has.
const LEAST_MEMORY: u64 = 64 << 20;

/// What the settings say of updates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// URL of the depot.
    pub depot: Option<String>,
    /// Its certificate authority.
    pub authority: Option<String>,
    /// The series of releases.
    pub channel: String,
    /// `manual` or `automatic`.
    pub policy: String,
    /// See [`update::window`].
    pub window: Option<String>,
    /// The officers' keys, one a line.
    pub officers: Option<String>,
    /// How many of them have to approve.
    pub approvals: usize,
    /// The group of appliances that it belongs to.
    pub group: Option<String>,
}

impl Choices {
    /// Reads the built-in settings. A window that can not be read is told as such and keeps automatic patches from restarting.
    pub fn of(values: &SettingValues) -> Choices {
        let text = |name: &str| values.get(name).map(ToString::to_string).filter(|text| !text.is_empty());
        Choices {
            depot: text(builtin::DEPOT),
            authority: text(builtin::DEPOT_CERTIFICATE),
            channel: text(builtin::CHANNEL).unwrap_or_else(|| "stable".into()),
            policy: text(builtin::POLICY).unwrap_or_else(|| builtin::MANUAL.into()),
            window: text(builtin::WINDOW),
            officers: text(builtin::OFFICERS),
            // A number that can not be read is more than there can be officers.
            approvals: text(builtin::APPROVALS).map_or(1, |text| text.parse().unwrap_or(usize::MAX)),
            group: text(builtin::GROUP),
        }
    }
}

/// What somebody asked the thread to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Down to the restart, or to a staged slot without one.
    Install {
        /// What was planned.
        planned: Box<engine::Planned>,
        /// Whether it restarts.
        then: Option<Restart>,
        /// Who said yes.
        by: &'static str,
    },
    /// Back to the release in the other slot.
    Rollback,
}

/// What is known, shared with those who ask.
pub struct Updater {
    pub(crate) files: Option<Files>,
    pub(crate) own: Side,
    state: Mutex<State>,
    jobs: Sender<Job>,
}

#[derive(Default)]
pub(crate) struct State {
    pub index: Option<Index>,
    pub checked: Option<Checked>,
    pub check_failed: Option<String>,
    pub running_release: Option<ReleaseId>,
    pub life: Option<Life>,
    pub history: Vec<Record>,
    pub holds: Vec<Hold>,
    /// Notes of officers, as they were signed.
    pub words: Vec<String>,
    pub activity: Option<Activity>,
    /// What is being done, for whoever asks for something else.
    pub busy: Option<String>,
    pub notices: Vec<String>,
    pub slots: Vec<Slot>,
}

impl Updater {
    /// Reads what is kept on data. Without data, an agent that is tried outside of an appliance, nothing can be patched.
    pub(crate) fn load(data: &Path, own: Side) -> (Updater, Receiver<Job>) {
        let files = Files::open(data).ok().filter(|_| own.root_hash != Sha256Digest([0; 32]));
        let (jobs, receiver) = mpsc::channel();
        let mut state = State::default();
        if let Some(files) = &files {
            state.history = files.records();
            state.life = life::fold(&state.history);
            state.holds = files.holds();
            match files.words() {
                Ok(words) => state.words = words,
                Err(why) => state.notices.push(format!(
                    "what the officers said can not be read, and does not count any more ({why}); ask them to say it again"
                )),
            }
            state.running_release =
                files.release_of(&own.root_hash).or_else(|| life::release_of(&state.history, &own.root_hash));
        }
        (Updater { files, own, state: Mutex::new(state), jobs }, receiver)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the running release is on trial.
    pub fn is_on_trial(&self) -> bool {
        let state = self.lock();
        state.life.as_ref().is_some_and(|life| {
            matches!(life.stage(), LifeStage::Armed | LifeStage::Trial)
                && life.last.to.root_hash == self.own.root_hash
        })
    }

    /// What a person should know.
    pub fn notices(&self) -> Vec<String> {
        let state = self.lock();
        let fell_back =
            state.life.as_ref().filter(|life| life.stage() == LifeStage::FallenBack).map(|life| {
                let reason = life.last.reason.as_deref().unwrap_or("nobody knows why");
                format!(
                    "version {} did not stay, {} runs again: {reason}",
                    life.last.to.version, life.last.from.version
                )
            });
        fell_back.into_iter().chain(state.notices.iter().cloned()).collect()
    }

    /// The whole state at `now`.
    pub fn status(&self, choices: &Choices, now: u64) -> UpdateStatus {
        let state = self.lock();
        let fallen = life::set_aside(&state.history);
        let (mut newer, mut available) = (Newer::None, None);
        // An index of another depot or channel says nothing of this one.
        let is_ours = state.checked.as_ref().is_some_and(|checked| {
            Some(&checked.depot) == choices.depot.as_ref() && checked.channel == choices.channel
        });
        let checked = state.checked.as_ref().filter(|_| is_ours).map(|checked| checked.time);
        if let Some(index) = state.index.as_ref().filter(|_| is_ours) {
            let question = self.question(&state, index, &fallen);
            newer = plan::newer_state(&question);
            available = plan::plan(&question).ok().map(|plan| (plan.release.id(), plan.offer()));
        }
        // It looks at the words by itself.
        drop(state);
        let available = available.map(|(release, offer): (ReleaseId, Offer)| {
            let approval = words::verdict(self, choices, release, now).ok().and_then(words::shown);
            Offer { approval, ..offer }
        });
        if let Some(ApprovalState::Held { .. }) = available.as_ref().and_then(|offer| offer.approval.as_ref())
        {
            newer = Newer::Held;
        }
        let state = self.lock();
        UpdateStatus {
            state: freshness::state(newer, checked, now),
            checked,
            check_failed: state.check_failed.clone(),
            depot: choices.depot.clone(),
            channel: choices.channel.clone(),
            available,
            slots: state.slots.clone(),
            patch: state.life.as_ref().map(|life| PatchLife {
                version: life.last.to.version.clone(),
                from_version: life.last.from.version.clone(),
                release: life.last.release.to_string(),
                root_hash: life.last.to.root_hash.to_string(),
                stage: life.stage(),
                since: life.last.time,
                reason: life.last.reason.clone().or_else(|| life.verdict.clone()),
                activity: state.activity.clone(),
            }),
            rollback: self.way_back(&state),
            holds: state.holds.clone(),
            policy: choices.policy.clone(),
            window: choices.window.clone(),
        }
    }

    /// What a return to the release in the other slot does to the state.
    fn way_back(&self, state: &State) -> Option<String> {
        let life = state.life.as_ref().filter(|life| life.last.to.root_hash == self.own.root_hash)?;
        match life.stage() {
            LifeStage::Trial | LifeStage::Confirmed => {
                Some(precheck::return_text(&life.last.from, &life.last.to))
            }
            _ => None,
        }
    }

    pub(crate) fn question<'a>(
        &'a self,
        state: &'a State,
        index: &'a Index,
        fallen: &'a BTreeSet<ReleaseId>,
    ) -> Question<'a> {
        Question {
            running: &self.own.version,
            running_release: state.running_release,
            index,
            holds: &state.holds,
            set_aside: fallen,
            wanted: Wanted::Newest,
            again: Again::No,
            memory: engine::memory_available(),
        }
    }

    /// History, newest first.
    pub fn history(&self) -> Vec<LifeEntry> {
        life::history(&self.lock().history)
    }

    /// Takes a release out of consideration, or all.
    pub fn hold(&self, hold: Hold) -> Result<(), String> {
        self.change_holds(|holds| {
            holds.retain(|other| other.version != hold.version);
            holds.push(hold);
            Ok(())
        })
    }

    /// Ends a hold.
    pub fn unhold(&self, version: Option<&str>) -> Result<(), String> {
        self.change_holds(|holds| {
            let before = holds.len();
            holds.retain(|hold| hold.version.as_deref() != version);
            if holds.len() == before {
                return Err(match version {
                    Some(version) => format!("{version} is not held"),
                    None => "there is no hold on all releases".to_owned(),
                });
            }
            Ok(())
        })
    }

    fn change_holds(&self, change: impl FnOnce(&mut Vec<Hold>) -> Result<(), String>) -> Result<(), String> {
        let files = self.files()?;
        let mut state = self.lock();
        let mut holds = state.holds.clone();
        change(&mut holds)?;
        files.keep_holds(&holds).map_err(|error| format!("the hold can not be kept: {error}"))?;
        state.holds = holds;
        Ok(())
    }

    /// Whether another patch may begin. One at a time.
    pub fn is_free(&self) -> Result<(), String> {
        let is_on_trial = self.is_on_trial();
        match &self.lock().busy {
            Some(busy) => Err(format!("another patch is under way: {busy}")),
            None if is_on_trial => Err(format!("version {} is still on trial", self.own.version)),
            None => Ok(()),
        }
    }

    /// Begins a patch, or a rollback, on the thread. One at a time.
    pub(crate) fn begin(&self, job: Job) -> Result<(), String> {
        self.files()?;
        let mut state = self.lock();
        if let Some(busy) = &state.busy {
            return Err(format!("another patch is under way: {busy}"));
        }
        state.busy = Some(match &job {
            Job::Install { planned, .. } => format!("version {}", planned.release.version),
            Job::Rollback => "a rollback".to_owned(),
        });
        self.jobs.send(job).map_err(|_| "the agent's update thread has ended; restart the machine".to_owned())
    }

    pub(crate) fn files(&self) -> Result<&Files, String> {
        self.files.as_ref().ok_or_else(|| "this machine has no data disk to keep a patch on".to_owned())
    }

    /// Appends a step to the journal and to what is known of it.
    pub(crate) fn keep(&self, record: &Record) -> std::io::Result<()> {
        if let Some(files) = &self.files {
            files.record(record)?;
        }
        self.note(record);
        Ok(())
    }

    /// A step that the journal has already.
    pub(crate) fn note(&self, record: &Record) {
        let mut state = self.lock();
        state.history.push(record.clone());
        state.life = life::fold(&state.history);
    }
}

/// Slots as people see them.
pub(crate) fn slots(
    running: &str,
    own: &Side,
    life: Option<&Life>,
    holds: impl Fn(&Sha256Digest) -> bool,
) -> Vec<Slot> {
    let other = if running == "a" { "b" } else { "a" };
    let mut slots = vec![Slot {
        name: running.to_owned(),
        role: SlotRole::Running,
        version: Some(own.version.clone()),
        root_hash: Some(own.root_hash.to_string()),
    }];
    let mut role = (SlotRole::Empty, None);
    if let Some(life) = life {
        use LifeStage::*;
        let is_new = life.last.to.root_hash == own.root_hash;
        role = match life.stage() {
            Trial | Armed | Confirmed if is_new => (SlotRole::Previous, Some(&life.last.from)),
            Staged | Armed | Trial if !is_new => (SlotRole::Staged, Some(&life.last.to)),
            FallenBack | RolledBack if !is_new => (SlotRole::SetAside, Some(&life.last.to)),
            _ => role,
        };
    }
    let side = role.1.filter(|side| holds(&side.root_hash));
    slots.push(Slot {
        name: other.to_owned(),
        role: if side.is_some() { role.0 } else { SlotRole::Empty },
        version: side.map(|side| side.version.clone()),
        root_hash: side.map(|side| side.root_hash.to_string()),
    });
    slots.sort_by(|one, other| one.name.cmp(&other.name));
    slots
}
