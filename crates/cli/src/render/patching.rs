//! Newer releases, and the life of a patch.

use model::ByteSize;
use model::control::{
    Activity, ApprovalState, Finding, LifeEntry, LifeStage, Offer, PatchLife, Precheck, Restart, Slot,
    SlotRole, UpdateState, UpdateStatus,
};

use super::{counted, harmless, table, time};

/// `ampoule updates`
pub fn updates(update: &UpdateStatus) -> String {
    let mut text = labelled("updates", &state(update));
    if let Some(offer) = &update.available {
        text.push_str(&labelled("newest", &self::offer(offer)));
        for line in offer.notes.as_deref().unwrap_or_default().lines() {
            text.push_str(&labelled("", line));
        }
    }
    for hold in &update.holds {
        let what = hold.version.as_deref().unwrap_or("all releases");
        text.push_str(&labelled("held", &format!("{what} since {}: {}", time(hold.since), hold.reason)));
    }
    let depot = match &update.depot {
        Some(depot) => format!("{depot}, channel {}", update.channel),
        None => "none is followed; the setting `update-depot` names one".to_owned(),
    };
    text.push_str(&labelled("depot", &depot));
    let window = update.window.as_ref().map(|window| format!(", {window}")).unwrap_or_default();
    text.push_str(&labelled("policy", &format!("{}{window}", update.policy)));
    text.push_str(&slots(&update.slots));
    if let Some(patch) = &update.patch {
        text.push_str(&labelled("patch", &life(patch)));
    }
    text
}

/// What `ampoule status` tells of patching: the state, the slots, and a patch that is not long settled.
pub fn summary(update: &UpdateStatus) -> String {
    let mut text = labelled("updates", &state(update));
    text.push_str(&slots(&update.slots));
    if let Some(patch) = &update.patch {
        text.push_str(&labelled("patch", &life(patch)));
    }
    text
}

/// The four answers to "is it up to date". Only a fresh look says `current`.
pub fn state(update: &UpdateStatus) -> String {
    let failed = || update.check_failed.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    match update.state {
        UpdateState::Current => match update.checked {
            Some(checked) => format!("current, by the depot's answer of {}", time(checked)),
            None => "current".to_owned(),
        },
        UpdateState::Available => match &update.available {
            Some(offer) => format!("{} is available", offer.version),
            None => "a newer release is available".to_owned(),
        },
        UpdateState::Unknown(0) if update.depot.is_none() => "unknown: no depot is followed".to_owned(),
        UpdateState::Unknown(0) => format!("unknown: the depot has not answered yet{}", failed()),
        UpdateState::Unknown(since) => format!("unknown since {}{}", time(since), failed()),
        UpdateState::Held => {
            let newest = update.available.as_ref().map(|offer| format!("{} is ", offer.version));
            format!("{}held", newest.unwrap_or_default())
        }
    }
}

/// A release in one line.
pub fn offer(offer: &Offer) -> String {
    let kind = if offer.full { "the full image" } else { "a patch" };
    let size = ByteSize(offer.download);
    let approval = offer.approval.as_ref().map(|state| format!(", {}", approval(state))).unwrap_or_default();
    format!("{}, {kind} of {size}, published {}{approval}", offer.version, time(offer.published))
}

/// What the officers say, as the end of a line.
fn approval(state: &ApprovalState) -> String {
    match state {
        ApprovalState::Approved { by } => format!("approved by {}", harmless(&by.join(", "))),
        ApprovalState::Waiting { by, needed } if by.is_empty() => {
            format!("waits for {}", counted(*needed as usize, "officer", "officers"))
        }
        ApprovalState::Waiting { by, needed } => {
            format!("waits for officers: {} of {needed} approve ({})", by.len(), harmless(&by.join(", ")))
        }
        ApprovalState::Held { by, reason } => {
            format!("held by {}: {}", harmless(by), harmless(reason))
        }
    }
}

fn slots(slots: &[Slot]) -> String {
    let line = |(index, slot): (usize, &Slot)| {
        let version = slot.version.as_deref().map(|version| format!("{version}, ")).unwrap_or_default();
        let hash =
            slot.root_hash.as_deref().map(|hash| format!("  {}", hash.chars().take(16).collect::<String>()));
        let label = if index == 0 { "slots" } else { "" };
        labelled(label, &format!("{} {version}{}{}", slot.name, role(slot.role), hash.unwrap_or_default()))
    };
    slots.iter().enumerate().map(line).collect()
}

fn role(role: SlotRole) -> &'static str {
    match role {
        SlotRole::Running => "runs",
        SlotRole::Previous => "can be returned to",
        SlotRole::Staged => "written, not started yet",
        SlotRole::SetAside => "set aside",
        SlotRole::Empty => "empty",
    }
}

/// A patch in one line.
pub fn life(patch: &PatchLife) -> String {
    let reason = patch.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let step = patch.activity.as_ref().map(|now| format!("; now {}", activity(now))).unwrap_or_default();
    let (from, to) = (&patch.from_version, &patch.version);
    format!("{from} to {to} {} at {}{reason}{step}", stage(patch.stage), time(patch.since))
}

/// The step, as the end of a sentence that begins with the patch.
pub fn stage(stage: LifeStage) -> &'static str {
    match stage {
        LifeStage::Offered => "is offered",
        LifeStage::Verified => "was verified",
        LifeStage::Approved => "was approved",
        LifeStage::Staged => "was written and read back",
        LifeStage::Armed => "is armed: the next start tries it",
        LifeStage::Trial => "runs on trial",
        LifeStage::Confirmed => "proved itself",
        LifeStage::FallenBack => "fell back",
        LifeStage::Failed => "failed before it was armed",
        LifeStage::RolledBack => "was rolled back",
    }
}

/// Work under way: `download, 3.1 MiB of 7 MiB (44 %)`.
pub fn activity(now: &Activity) -> String {
    let step = &now.step;
    match (now.done, now.total) {
        (0, 0) => step.clone(),
        (done, 0) => format!("{step}, {}", size(done)),
        (done, total) => {
            let percent = u128::from(done) * 100 / u128::from(total);
            format!("{step}, {} of {} ({percent} %)", size(done), size(total))
        }
    }
}

/// With one decimal: progress that stands still for a second looks broken.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// `ampoule precheck`, and what `ampoule apply` shows before it asks.
pub fn precheck(check: &Precheck) -> String {
    let mut text = labelled("release", &offer(&check.offer));
    for line in check.offer.notes.as_deref().unwrap_or_default().lines() {
        text.push_str(&labelled("", line));
    }
    text.push_str(&labelled("restart", restart(check.restart)));
    text.push_str(&labelled("to install", &about(check.install_seconds)));
    text.push_str(&labelled("to roll back", &about(check.rollback_seconds)));
    text.push_str(&labelled("rollback", &check.rollback));
    text.push_str(&findings("problem", &check.problems));
    text.push_str(&findings("to know", &check.findings));
    let verdict = match check.problems.len() {
        0 => "it can be installed".to_owned(),
        number => format!(
            "it can not be installed: {}",
            super::counted(number, "problem has to be solved first", "problems have to be solved first")
        ),
    };
    text.push_str(&labelled("verdict", &verdict));
    text
}

fn findings(label: &str, findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let hint = finding.resolution.as_ref().map(|hint| labelled("", &format!("hint: {hint}")));
        let text = format!("{}: {}", finding.subject, finding.text);
        labelled(label, &text) + &hint.unwrap_or_default()
    };
    findings.iter().map(line).collect()
}

fn restart(restart: Restart) -> &'static str {
    match restart {
        Restart::Shortest => "user space alone; the kernel goes on running",
        Restart::Machine => "the machine",
    }
}

fn about(seconds: u64) -> String {
    match seconds {
        0 => "not known".to_owned(),
        1..90 => format!("about {seconds} s"),
        _ => format!("about {} min", seconds.div_ceil(60)),
    }
}

/// `ampoule updates history`
pub fn history(entries: &[LifeEntry]) -> String {
    if entries.is_empty() {
        return "no patch yet\n".to_owned();
    }
    let mut rows = vec![["time", "version", "step", "why or who"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|entry| {
        let reason = entry.reason.clone().unwrap_or_default();
        vec![time(entry.time), entry.version.clone(), stage(entry.stage).to_owned(), reason]
    }));
    table(&rows)
}

fn labelled(label: &str, value: &str) -> String {
    format!("{}\n", format!("{label:<13}{value}").trim_end())
}

#[cfg(test)]
mod tests {
    use model::control::Hold;

    use super::*;

    fn offer() -> Offer {
        Offer {
            version: "1.0.1".into(),
            release: "ab".repeat(32),
            published: 1_709_209_845,
            notes: Some("Security fixes.\nThe form is faster.".into()),
            download: 7 << 20,
            full: false,
            approval: None,
        }
    }

    fn patch(stage: LifeStage, reason: Option<&str>, activity: Option<Activity>) -> PatchLife {
        PatchLife {
            version: "1.0.1".into(),
            from_version: "1.0.0".into(),
            release: "ab".repeat(32),
            root_hash: "cd".repeat(32),
            stage,
            since: 1_709_209_845,
            reason: reason.map(str::to_owned),
            activity,
        }
    }

    fn status(state: UpdateState) -> UpdateStatus {
        UpdateStatus { state, depot: Some("http://10.0.2.2:8000".into()), ..UpdateStatus::unknown() }
    }

    #[test]
    fn nothing_is_called_current_without_a_fresh_look() {
        let none = UpdateStatus::unknown();
        assert_eq!(state(&none), "unknown: no depot is followed");
        let mut unknown = status(UpdateState::Unknown(0));
        unknown.check_failed = Some("connection refused".into());
        assert_eq!(state(&unknown), "unknown: the depot has not answered yet: connection refused");
        unknown.state = UpdateState::Unknown(1_709_209_845);
        assert_eq!(state(&unknown), "unknown since 2024-02-29 12:30:45 UTC: connection refused");
        let mut current = status(UpdateState::Current);
        current.checked = Some(1_709_209_845);
        assert_eq!(state(&current), "current, by the depot's answer of 2024-02-29 12:30:45 UTC");
        let available = UpdateStatus { available: Some(offer()), ..status(UpdateState::Available) };
        assert_eq!(state(&available), "1.0.1 is available");
        let held = UpdateStatus { available: Some(offer()), ..status(UpdateState::Held) };
        assert_eq!(state(&held), "1.0.1 is held");
    }

    #[test]
    fn an_operator_sees_state_slots_holds_and_the_last_patch_with_its_reason() {
        let slot = |name: &str, role, version: Option<&str>| Slot {
            name: name.into(),
            role,
            version: version.map(str::to_owned),
            root_hash: version.map(|_| "ef".repeat(32)),
        };
        let status = UpdateStatus {
            available: Some(offer()),
            slots: vec![slot("a", SlotRole::Running, Some("1.0.0")), slot("b", SlotRole::Empty, None)],
            patch: Some(patch(LifeStage::FallenBack, Some("check `web` did not pass in 120 s"), None)),
            holds: vec![Hold { version: Some("1.0.2".into()), reason: "audit".into(), since: 0 }],
            window: Some("02:00-04:00".into()),
            ..status(UpdateState::Available)
        };
        assert_eq!(
            updates(&status),
            "updates      1.0.1 is available
newest       1.0.1, a patch of 7 MiB, published 2024-02-29 12:30:45 UTC
             Security fixes.
             The form is faster.
held         1.0.2 since 1970-01-01 00:00:00 UTC: audit
depot        http://10.0.2.2:8000, channel stable
policy       manual, 02:00-04:00
slots        a 1.0.0, runs  efefefefefefefef
             b empty
patch        1.0.0 to 1.0.1 fell back at 2024-02-29 12:30:45 UTC: check `web` did not pass in 120 s
"
        );
        assert!(updates(&status).contains(summary(&status).lines().last().expect("lines")));
    }

    #[test]
    fn progress_is_told_in_bytes_and_steps() {
        let now = |step: &str, done, total| Activity { step: step.into(), done, total };
        assert_eq!(activity(&now("download", 3 << 20, 7 << 20)), "download, 3.0 MiB of 7.0 MiB (42 %)");
        assert_eq!(activity(&now("read back", 0, 0)), "read back");
        assert_eq!(activity(&now("write", 2048, 0)), "write, 2.0 KiB");
        let life = life(&patch(LifeStage::Approved, None, Some(now("write", 512, 1024))));
        assert!(life.ends_with("; now write, 512 bytes of 1.0 KiB (50 %)"), "{life}");
    }

    #[test]
    fn a_precheck_says_what_it_takes_and_what_is_in_the_way() {
        let check = Precheck {
            offer: offer(),
            problems: vec![Finding {
                subject: "space".into(),
                text: "the slot has 100 MiB, the release needs 200 MiB".into(),
                resolution: Some("move the data to a larger disk".into()),
            }],
            findings: vec![],
            restart: Restart::Machine,
            rollback: "possible; state stays as it is".into(),
            install_seconds: 45,
            rollback_seconds: 91,
        };
        assert_eq!(
            precheck(&check),
            "release      1.0.1, a patch of 7 MiB, published 2024-02-29 12:30:45 UTC
             Security fixes.
             The form is faster.
restart      the machine
to install   about 45 s
to roll back about 2 min
rollback     possible; state stays as it is
problem      space: the slot has 100 MiB, the release needs 200 MiB
             hint: move the data to a larger disk
verdict      it can not be installed: 1 problem has to be solved first
"
        );
    }
}
