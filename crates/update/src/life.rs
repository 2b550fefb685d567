//! Steps in the life of a patch, and which may follow which.

use std::collections::BTreeSet;

use model::Sha256Digest;
use model::control::{LifeEntry, LifeStage, Restart};
use model::definition::StateFormat;
use release::ReleaseId;
use serde::{Deserialize, Serialize};

/// One line of the journal: a step that was done, and everything a later boot has to know of it, also one of the other
/// release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// Seconds since 1970. It informs; nothing is decided by it.
    pub time: u64,
    /// The step.
    pub stage: LifeStage,
    /// Where the patch leads.
    pub to: Side,
    /// Which release that is.
    pub release: ReleaseId,
    /// Where it leads from.
    pub from: Side,
    /// Why, for failures and fall-backs; who, for approvals.
    pub reason: Option<String>,
    /// The kernel's boot id when it was written: tells whether the machine has restarted since.
    #[serde(default)]
    pub boot: String,
    /// How the machine is to restart into it once it is staged; `None`: staging is all that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
}

/// One end of a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Side {
    /// Version.
    pub version: String,
    /// Verity root hash.
    pub root_hash: Sha256Digest,
    /// Its state format.
    pub state_format: StateFormat,
}

/// Whether a step may follow another. The whole state machine is this one table.
pub const fn may_follow(before: Option<LifeStage>, next: LifeStage) -> bool {
    use LifeStage::*;
    match (before, next) {
        // A new life begins when there is none under way. A staged patch that never started may be replaced.
        (None | Some(Confirmed | FallenBack | Failed | RolledBack | Staged), Offered) => true,
        (Some(Offered), Verified) | (Some(Verified), Approved) | (Some(Approved), Staged) => true,
        (Some(Offered | Verified | Approved | Staged), Failed) => true,
        (Some(Staged), Armed) => true,
        // Arming was cut before the boot loader knew of it.
        (Some(Armed), Staged) => true,
        (Some(Armed), Trial | FallenBack) => true,
        // The trial of the next start, or the reason why this one ends.
        (Some(Trial), Trial | Confirmed | FallenBack) => true,
        (Some(Confirmed), RolledBack) => true,
        _ => false,
    }
}

/// The last life, from its last record.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// Its last record.
    pub last: Record,
    /// Why the trial failed, as the release on trial wrote it.
    pub verdict: Option<String>,
}

impl Life {
    /// Where it is.
    pub fn stage(&self) -> LifeStage {
        self.last.stage
    }

    /// Whether work on it goes on, so that another patch has to wait.
    pub fn is_under_way(&self) -> bool {
        use LifeStage::*;
        matches!(self.stage(), Offered | Verified | Approved | Armed | Trial)
    }
}

/// The last life that the records tell. A record that may not follow the one before it is passed over: the journal may have
/// lost lines.
pub fn fold(records: &[Record]) -> Option<Life> {
    let mut life: Option<Life> = None;
    for record in records {
        let before = life.as_ref().map(Life::stage);
        let is_same = life.as_ref().is_some_and(|life| life.last.to.root_hash == record.to.root_hash);
        if !may_follow(before, record.stage) || (record.stage != LifeStage::Offered && !is_same) {
            continue;
        }
        let verdict = match record.stage {
            LifeStage::Trial => record.reason.clone().or_else(|| life.and_then(|life| life.verdict)),
            LifeStage::Offered => None,
            _ => life.and_then(|life| life.verdict),
        };
        life = Some(Life { last: record.clone(), verdict });
    }
    life
}

/// Releases that fell back, or that somebody left by a rollback, and that were not confirmed since: not tried again unless
/// somebody asks.
pub fn set_aside(records: &[Record]) -> BTreeSet<ReleaseId> {
    let mut fallen = BTreeSet::new();
    for record in records {
        match record.stage {
            LifeStage::FallenBack | LifeStage::RolledBack => drop(fallen.insert(record.release)),
            LifeStage::Confirmed => drop(fallen.remove(&record.release)),
            _ => {}
        }
    }
    fallen
}

/// Times that a patch is begun again by itself: one that stops the machine each time must not do so for ever.
const RESUMES: usize = 3;

/// The end of a patch that somebody had approved and that a stop of the machine cut short, so that it may be begun again
/// unasked, as far as was asked for. A failure of its own was recorded in the boot in which it was approved.
pub fn cut_short(records: &[Record]) -> Option<&Record> {
    let last = records.last().filter(|last| last.stage == LifeStage::Failed)?;
    let is_cut = |pair: &&[Record]| {
        let (before, failed) = (&pair[0], &pair[1]);
        before.stage == LifeStage::Approved
            && before.release == last.release
            && failed.release == last.release
            && before.boot != failed.boot
    };
    let failures = records.windows(2).rev().filter(|pair| pair[1].stage == LifeStage::Failed);
    let cuts = failures.take_while(is_cut).count();
    (1..=RESUMES).contains(&cuts).then_some(last)
}

/// The release with a root hash, when a patch led to it.
pub fn release_of(records: &[Record], root_hash: &Sha256Digest) -> Option<ReleaseId> {
    records.iter().rev().find(|record| record.to.root_hash == *root_hash).map(|record| record.release)
}

/// What people are told, newest first.
pub fn history(records: &[Record]) -> Vec<LifeEntry> {
    let entry = |record: &Record| LifeEntry {
        time: record.time,
        stage: record.stage,
        version: record.to.version.clone(),
        release: record.release.to_string(),
        reason: record.reason.clone(),
    };
    records.iter().rev().map(entry).collect()
}

/// What a boot of the release with root hash `own` is, by the last life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Nothing to do with a patch.
    Ordinary,
    /// The newer release starts and has to prove itself.
    Trial,
    /// The older release runs although the newer one was armed in an earlier boot.
    Returned,
    /// The older release runs after a person asked for it.
    RolledBack,
}

/// What this boot is. `boot` is the kernel's boot id.
pub fn boot_of(life: Option<&Life>, own: &Sha256Digest, boot: &str) -> Boot {
    use LifeStage::*;
    let Some(life) = life else { return Boot::Ordinary };
    let (is_new, is_old) = (life.last.to.root_hash == *own, life.last.from.root_hash == *own);
    match life.stage() {
        Armed | Trial if is_new => Boot::Trial,
        Armed | Trial if is_old && life.last.boot != boot => Boot::Returned,
        RolledBack if is_old => Boot::RolledBack,
        _ => Boot::Ordinary,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use LifeStage::*;

    pub fn record(stage: LifeStage, reason: Option<&str>) -> Record {
        let side = |version: &str, byte| Side {
            version: version.to_owned(),
            root_hash: Sha256Digest([byte; 32]),
            state_format: StateFormat::default(),
        };
        Record {
            time: 7,
            stage,
            to: side("1.0.1", 2),
            release: ReleaseId(Sha256Digest([9; 32])),
            from: side("1.0.0", 1),
            reason: reason.map(str::to_owned),
            boot: "first".to_owned(),
            restart: None,
        }
    }

    const ALL: [LifeStage; 10] =
        [Offered, Verified, Approved, Staged, Armed, Trial, Confirmed, FallenBack, Failed, RolledBack];

    #[test]
    fn nothing_is_armed_that_was_not_staged_and_nothing_confirmed_without_a_trial() {
        for before in ALL {
            assert_eq!(may_follow(Some(before), Armed), before == Staged, "{before:?}");
            assert_eq!(may_follow(Some(before), Confirmed), before == Trial, "{before:?}");
            assert_eq!(may_follow(Some(before), Verified), before == Offered, "{before:?}");
            assert_eq!(may_follow(Some(before), FallenBack), matches!(before, Armed | Trial), "{before:?}");
        }
        assert!(ALL.iter().filter(|next| may_follow(None, **next)).eq([&Offered]));
    }

    #[test]
    fn a_life_is_folded_from_its_records_and_keeps_why_its_trial_failed() {
        let mut records: Vec<Record> =
            [Offered, Verified, Approved, Staged, Armed, Trial].map(|stage| record(stage, None)).into();
        records.push(record(Trial, Some("web: refused")));
        let life = fold(&records).expect("a life");
        assert_eq!((life.stage(), life.verdict.as_deref()), (Trial, Some("web: refused")));
        records.push(record(FallenBack, Some("web: refused")));
        assert_eq!(fold(&records).expect("a life").stage(), FallenBack);
        assert_eq!(set_aside(&records).len(), 1);
        records.push(record(Offered, None));
        assert_eq!(fold(&records).expect("a life").verdict, None, "a new life begins without it");
    }

    #[test]
    fn the_journal_knows_which_release_a_patch_led_to() {
        let records = [record(Offered, None)];
        assert_eq!(release_of(&records, &Sha256Digest([2; 32])), Some(ReleaseId(Sha256Digest([9; 32]))));
        assert_eq!(
            release_of(&records, &Sha256Digest([1; 32])),
            None,
            "nobody said which one was there before"
        );
    }

    #[test]
    fn a_patch_that_was_cut_short_is_begun_again_a_few_times_and_a_failed_one_is_not() {
        let of = |stage, boot: &str| Record { boot: boot.to_owned(), ..record(stage, None) };
        let attempt = |boot: &str, next: &str| {
            [of(Offered, boot), of(Verified, boot), of(Approved, boot), of(Failed, next)]
        };
        assert!(cut_short(&attempt("first", "first")).is_none(), "it failed by itself");
        assert!(cut_short(&[of(Offered, "first"), of(Failed, "second")]).is_none(), "nobody had said yes");
        let mut records = Vec::from(attempt("1", "2"));
        for (boot, next) in [("2", "3"), ("3", "4")] {
            assert!(cut_short(&records).is_some());
            records.extend(attempt(boot, next));
        }
        assert!(cut_short(&records).is_some(), "the third time");
        records.extend(attempt("4", "5"));
        assert!(cut_short(&records).is_none(), "it stops the machine");
        records.extend(attempt("5", "5"));
        assert!(cut_short(&records).is_none(), "it failed by itself");
        records.push(of(Offered, "5"));
        assert!(cut_short(&records).is_none(), "it is under way");
    }

    #[test]
    fn a_record_out_of_order_changes_nothing() {
        let records = [record(Offered, None), record(Armed, None), record(Confirmed, None)];
        assert_eq!(fold(&records).expect("a life").stage(), Offered);
        let mut foreign = record(Verified, None);
        foreign.to.root_hash = Sha256Digest([8; 32]);
        assert_eq!(fold(&[record(Offered, None), foreign]).expect("a life").stage(), Offered);
    }

    #[test]
    fn a_boot_is_known_by_root_hash_and_boot_id() {
        let stages = [Offered, Verified, Approved, Staged, Armed].map(|stage| record(stage, None));
        let life = fold(&stages);
        let (old, new, other) = (Sha256Digest([1; 32]), Sha256Digest([2; 32]), Sha256Digest([3; 32]));
        assert_eq!(boot_of(life.as_ref(), &new, "second"), Boot::Trial);
        assert_eq!(boot_of(life.as_ref(), &old, "second"), Boot::Returned);
        assert_eq!(boot_of(life.as_ref(), &old, "first"), Boot::Ordinary, "it has not restarted yet");
        assert_eq!(boot_of(life.as_ref(), &other, "second"), Boot::Ordinary);
        assert_eq!(boot_of(None, &new, "second"), Boot::Ordinary);
    }
}
