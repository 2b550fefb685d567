//! What a test asks of a running appliance, and how long it waits for the end of it.

use std::time::{Duration, Instant};

use machine::ControlError;
use machine::follow::{End, Goal, follow};
use model::control::{Answer, Call, LifeStage, Restart, SlotRole, Status, UpdateStatus};
use testkit::{BootedAppliance, http};

/// Long enough for a patch, and for two starts on an emulated processor that each end by the watchdog after five minutes.
pub const PATCH_TIMEOUT: Duration = Duration::from_secs(1200);
/// Long enough for a patch to be downloaded and written.
pub const STAGE_TIMEOUT: Duration = Duration::from_secs(600);
/// Long enough for an appliance to look at its depot unasked, three to four minutes after its start, and to write a patch.
pub const FIRST_LOOK: Duration = Duration::from_secs(420);

pub fn apply_call(version: &str, again: bool) -> Call {
    Call::Apply { version: Some(version.to_owned()), again, restart: Restart::Shortest }
}

#[track_caller]
pub fn apply(it: &BootedAppliance, version: &str, again: bool) -> End {
    let before = check_updates(it);
    it.call(apply_call(version, again));
    wait(it, &before, version, &Goal::Confirmed)
}

#[track_caller]
pub fn set(it: &BootedAppliance, name: &str, value: &str) {
    it.call(Call::Set { changes: [(name.to_owned(), value.to_owned())].into() });
}

#[track_caller]
pub fn stage(it: &BootedAppliance, version: &str) -> End {
    let before = check_updates(it);
    it.call(Call::Stage { version: Some(version.to_owned()), again: false });
    wait(it, &before, version, &Goal::Staged)
}

#[track_caller]
pub fn wait(it: &BootedAppliance, before: &UpdateStatus, version: &str, goal: &Goal) -> End {
    let timeout = if *goal == Goal::Staged { STAGE_TIMEOUT } else { PATCH_TIMEOUT };
    let followed = follow(&it.running().control_socket(), before, version, goal, timeout, |_| ());
    followed.unwrap_or_else(|error| it.fail(&error.to_string()))
}

/// Until the agent is gone: from then on it restarts.
pub fn wait_for_silence(it: &BootedAppliance) {
    let deadline = Instant::now() + PATCH_TIMEOUT;
    let mut silent = 0;
    while silent < 3 && Instant::now() < deadline {
        let asked = it
            .running()
            .control()
            .and_then(|client| client.with_timeout(Duration::from_secs(1)).call(Call::Updates).map(drop));
        silent = if asked.is_ok() { 0 } else { silent + 1 };
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(silent >= 3, "it never restarted");
}

pub fn slot(status: &UpdateStatus, role: SlotRole) -> Option<String> {
    status.slots.iter().find(|slot| slot.role == role).and_then(|slot| slot.version.clone())
}

#[track_caller]
pub fn updates(it: &BootedAppliance) -> UpdateStatus {
    expect_updates(it.call(Call::Updates))
}

#[track_caller]
pub fn check_updates(it: &BootedAppliance) -> UpdateStatus {
    expect_updates(it.call(Call::CheckUpdates))
}

#[track_caller]
pub fn expect_updates(answer: Answer) -> UpdateStatus {
    match answer {
        Answer::Updates(status) => status,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub fn status(it: &BootedAppliance) -> Status {
    match it.call(Call::Status) {
        Answer::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// The words with which a call is refused.
#[track_caller]
pub fn refused(it: &BootedAppliance, call: Call) -> String {
    let mut client = it.running().control().expect("the agent answers");
    match client.call(call) {
        Err(ControlError::Refused { refusal, .. }) => refusal.message,
        other => panic!("it was not refused: {other:?}"),
    }
}

#[track_caller]
pub fn write_note(it: &BootedAppliance, text: &str) {
    let form = format!("text={text}");
    let answer = http::request(&["--form", &form, &it.url("https", 443, "/")]).expect("answers");
    assert_eq!(answer.status, 303, "{answer:?}");
}

/// Why a version came to a stage, the last time.
pub fn reason(it: &BootedAppliance, version: &str, stage: LifeStage) -> String {
    let Answer::UpdateHistory(entries) = it.call(Call::UpdateHistory) else { panic!("another answer") };
    let last = entries.iter().find(|entry| entry.version == version && entry.stage == stage);
    last.and_then(|entry| entry.reason.clone()).unwrap_or_default()
}
