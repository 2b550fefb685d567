//! Follows a patch through an appliance's restarts until it came to an end.
//!
//! The socket stays the same over a restart, the agent behind it does not: while it is away its calls are refused, and that is
//! waited out. What counts is what the agent says, by asking: events make it quick, and a lost one makes nothing wrong.

use std::path::Path;
use std::time::{Duration, Instant};

use model::control::{Answer, Call, Event, Health, LifeStage, PatchLife, SlotRole, UpdateStatus};

use crate::control::{ControlClient, ControlError};

/// How often the agent is asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long one answer may take: an appliance that is about to restart may never give it.
const ANSWER: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The inactive slot holds the release.
    Staged,
    /// The release runs and proved itself.
    Confirmed,
    /// The release before runs again.
    RolledBack {
        /// Its version.
        to: String,
    },
}

/// How it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Whether the goal was reached; otherwise the patch failed or fell back, and the status says why.
    pub reached: bool,
    /// What the agent said last.
    pub status: UpdateStatus,
    /// The longest time without an answer: the restart, as it is felt from outside.
    pub restart_seconds: Option<f64>,
}

/// The patch came to no end.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Time is up.
    #[error("the patch to {version} came to no end in {} seconds; {heard}", .timeout.as_secs())]
    Timeout {
        /// Where it leads.
        version: String,
        /// How long it was followed.
        timeout: Duration,
        /// What was heard last, and when.
        heard: String,
    },
    /// The appliance is off.
    #[error("the appliance ended while it was patched to {version}")]
    Gone {
        /// Where it leads.
        version: String,
        /// Why it can not be asked.
        #[source]
        source: ControlError,
    },
}

/// Follows the patch to `version` that was just begun at `socket`. `before` is what the agent said before. `news` is told
/// the patch whenever something was heard of it, and `None` while nobody answers.
pub fn follow(
    socket: &Path,
    before: &UpdateStatus,
    version: &str,
    goal: &Goal,
    timeout: Duration,
    mut news: impl FnMut(Option<PatchLife>),
) -> Result<End, FollowError> {
    let deadline = Instant::now() + timeout;
    let mut silence = Silence::default();
    let mut client = None;
    loop {
        let asked = ask(&mut client, socket);
        match asked {
            Ok(status) => {
                silence.heard(status.patch.as_ref());
                news(status.patch.clone());
                if let Some(reached) = judge(&status, before, version, goal) {
                    return Ok(End { reached, status, restart_seconds: silence.longest() });
                }
            }
            // The run itself is gone: no agent will ever answer there again.
            Err(source @ ControlError::Absent { .. }) => {
                return Err(FollowError::Gone { version: version.to_owned(), source });
            }
            Err(_) => {
                client = None;
                news(None);
            }
        }
        if Instant::now() > deadline {
            let heard = silence.told();
            return Err(FollowError::Timeout { version: version.to_owned(), timeout, heard });
        }
        wait(&mut client, &mut silence, &mut news);
    }
}

/// Waits until what runs again after a patch that did not stay is healthy: its services have only just been started. Whether it is, in time.
pub fn wait_healthy(socket: &Path, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    let health = || {
        let mut client = ControlClient::connect(socket).ok()?.with_timeout(ANSWER);
        match client.call(Call::Status).ok()? {
            Answer::Status(status) => Some(status.health),
            _ => None,
        }
    };
    while health() != Some(Health::Healthy) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(INTERVAL);
    }
    true
}

/// Until the next time to ask. Events that come meanwhile are passed on.
fn wait(client: &mut Option<ControlClient>, silence: &mut Silence, news: &mut impl FnMut(Option<PatchLife>)) {
    let until = Instant::now() + INTERVAL;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        match client.as_mut().map(|client| client.next_event(left)) {
            Some(Ok(Some(Event::Update(status)))) => {
                silence.heard(status.patch.as_ref());
                news(status.patch);
                return;
            }
            Some(Ok(Some(_))) => return,
            Some(Ok(None)) => return,
            Some(Err(_)) => *client = None,
            None => std::thread::sleep(left),
        }
    }
}

fn ask(client: &mut Option<ControlClient>, socket: &Path) -> Result<UpdateStatus, ControlError> {
    if client.is_none() {
        *client = Some(ControlClient::connect(socket)?.with_timeout(ANSWER));
    }
    let asked = client.as_mut().expect("it was just made").call(Call::Updates)?;
    match asked {
        Answer::Updates(status) => Ok(status),
        _ => Err(ControlError::Foreign {
            path: socket.to_owned(),
            sample: "an answer to another question".to_owned(),
        }),
    }
}

/// Whether the patch came to an end, and whether it is the wanted one.
fn judge(status: &UpdateStatus, before: &UpdateStatus, version: &str, goal: &Goal) -> Option<bool> {
    use LifeStage::*;
    let runs = |wanted: &str| {
        let running = status.slots.iter().find(|slot| slot.role == SlotRole::Running);
        running.is_some_and(|slot| slot.version.as_deref() == Some(wanted))
    };
    let patch = status.patch.as_ref()?;
    let is_old = before.patch.as_ref().is_some_and(|old| {
        (old.stage, old.since, &old.release, &old.reason)
            == (patch.stage, patch.since, &patch.release, &patch.reason)
    });
    if is_old || patch.activity.is_some() {
        return None;
    }
    match (goal, patch.stage) {
        (Goal::RolledBack { to }, RolledBack) if runs(to) => Some(true),
        (Goal::RolledBack { .. }, _) => None,
        (_, _) if patch.version != version => None,
        (Goal::Staged, Staged | Armed) => Some(true),
        (Goal::Confirmed, Confirmed) => Some(true),
        (_, Failed | FallenBack | RolledBack) => Some(false),
        _ => None,
    }
}

/// Measures the time without an answer.
#[derive(Default)]
struct Silence {
    last: Option<Instant>,
    longest: Duration,
    patch: Option<PatchLife>,
}

impl Silence {
    fn heard(&mut self, patch: Option<&PatchLife>) {
        let now = Instant::now();
        self.patch = patch.cloned();
        if let Some(last) = self.last.replace(now) {
            self.longest = self.longest.max(now - last);
        }
    }

    /// What was heard last, in words.
    fn told(&self) -> String {
        let Some(last) = self.last else { return "the agent never answered".to_owned() };
        let ago = last.elapsed().as_secs();
        let patch = self.patch.as_ref().map_or("no patch".to_owned(), |patch| {
            let activity = patch.activity.as_ref().map_or(String::new(), |activity| {
                format!(", {} {} of {}", activity.step, activity.done, activity.total)
            });
            let stage = format!("{:?}", patch.stage).to_lowercase();
            format!("{} {stage}{activity}", patch.version)
        });
        format!("the agent said {ago} seconds ago: {patch}")
    }

    /// What is no more than the pace of asking is no restart.
    fn longest(&self) -> Option<f64> {
        (self.longest > 3 * INTERVAL).then_some(self.longest.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use model::control::{Activity, Slot};

    use super::*;

    fn status(stage: LifeStage, since: u64, running: &str) -> UpdateStatus {
        let patch = PatchLife {
            version: "1.0.1".into(),
            from_version: "1.0.0".into(),
            release: "r".into(),
            root_hash: "h".into(),
            stage,
            since,
            reason: None,
            activity: None,
        };
        let slot = Slot {
            name: "a".into(),
            role: SlotRole::Running,
            version: Some(running.into()),
            root_hash: None,
        };
        UpdateStatus { patch: Some(patch), slots: vec![slot], ..UpdateStatus::unknown() }
    }

    #[test]
    fn the_end_of_an_earlier_patch_is_not_taken_for_this_ones() {
        let before = status(LifeStage::FallenBack, 7, "1.0.0");
        let judge = |now: &UpdateStatus| judge(now, &before, "1.0.1", &Goal::Confirmed);
        assert_eq!(judge(&before), None);
        assert_eq!(judge(&status(LifeStage::Offered, 9, "1.0.0")), None);
        assert_eq!(judge(&status(LifeStage::FallenBack, 20, "1.0.0")), Some(false));
        assert_eq!(judge(&status(LifeStage::Confirmed, 20, "1.0.1")), Some(true));
    }

    #[test]
    fn who_waited_in_vain_is_told_what_was_heard_last() {
        let mut silence = Silence::default();
        assert_eq!(silence.told(), "the agent never answered");
        let mut patch = status(LifeStage::Approved, 9, "1.0.0").patch.expect("a patch");
        patch.activity = Some(Activity { step: "download".into(), done: 3, total: 7 });
        silence.heard(Some(&patch));
        assert_eq!(silence.told(), "the agent said 0 seconds ago: 1.0.1 approved, download 3 of 7");
        silence.heard(None);
        assert_eq!(silence.told(), "the agent said 0 seconds ago: no patch");
    }

    #[test]
    fn a_goal_is_reached_when_its_work_is_over() {
        let before = UpdateStatus::unknown();
        let mut staged = status(LifeStage::Staged, 9, "1.0.0");
        assert_eq!(judge(&staged, &before, "1.0.1", &Goal::Staged), Some(true));
        assert_eq!(judge(&staged, &before, "1.0.1", &Goal::Confirmed), None);
        let activity = Activity { step: "read back".into(), done: 0, total: 1 };
        staged.patch.as_mut().expect("a patch").activity = Some(activity);
        assert_eq!(judge(&staged, &before, "1.0.1", &Goal::Staged), None);
        let back = Goal::RolledBack { to: "1.0.0".into() };
        assert_eq!(judge(&status(LifeStage::RolledBack, 9, "1.0.1"), &before, "1.0.0", &back), None);
        assert_eq!(judge(&status(LifeStage::RolledBack, 9, "1.0.0"), &before, "1.0.0", &back), Some(true));
        assert_eq!(
            judge(&status(LifeStage::Failed, 9, "1.0.0"), &before, "1.0.1", &Goal::Staged),
            Some(false)
        );
    }
}
