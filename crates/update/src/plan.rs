//! The planner: which release is next and by which way, or why none is.

use std::collections::BTreeSet;

use model::control::{Hold, Offer};
use release::version::Version;
use release::{Index, IndexedRelease, PatchRef, ReleaseId};

use crate::freshness::Newer;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// The newest release that fits.
    Newest,
    /// This version.
    Version(&'a str),
}

/// Whether a release that fell back or was left is tried once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is passed over.
    No,
    /// Somebody asked for it.
    Yes,
}

/// Everything that decides.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Version that runs.
    pub running: &'a str,
    /// Which release that is, when it is known: patches are made against releases.
    pub running_release: Option<ReleaseId>,
    /// What the depot has.
    pub index: &'a Index,
    /// What is held.
    pub holds: &'a [Hold],
    /// What fell back or was left; see [`crate::life::set_aside`].
    pub set_aside: &'a BTreeSet<ReleaseId>,
    /// What is asked for.
    pub wanted: Wanted<'a>,
    /// See [`Again`].
    pub again: Again,
    /// Bytes of memory that applying may take.
    pub memory: u64,
}

/// The way to a release.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan<'a> {
    /// The release.
    pub release: &'a IndexedRelease,
    /// The object that leads there.
    pub patch: &'a PatchRef,
}

impl Plan<'_> {
    /// What people are told.
    pub fn offer(&self) -> Offer {
        Offer {
            version: self.release.version.clone(),
            release: self.release.id().to_string(),
            published: self.release.published,
            notes: self.release.notes.clone(),
            download: self.patch.object.size,
            full: self.patch.from.is_none(),
            approval: None,
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// Nothing newer.
    #[error("{running} is the newest release in this channel")]
    UpToDate {
        /// Version that runs.
        running: String,
    },
    /// All that is newer, or the one asked for, is held.
    #[error("{version} is held: {reason}")]
    Held {
        /// The release.
        version: String,
        /// Why.
        reason: String,
    },
    /// It was tried before.
    #[error("{version} was installed before and did not stay; it is tried again only when asked for")]
    SetAside {
        /// The release.
        version: String,
    },
    /// The depot does not have it.
    #[error("the depot has no release {version} in this channel")]
    Absent {
        /// What was asked for.
        version: String,
    },
    /// Older, or the same.
    #[error("{version} is not newer than {running}; to go back one release, use rollback")]
    NotNewer {
        /// What was asked for.
        version: String,
        /// Version that runs.
        running: String,
    },
    /// No object that fits.
    #[error(
        "the depot has no way from {running} to {version} for this machine: neither a full image nor a patch from it, that it has the memory for"
    )]
    NoWay {
        /// The release.
        version: String,
        /// Version that runs.
        running: String,
    },
}

/// Decides. Only newer versions are offered; the newest first.
pub fn plan<'a>(question: &Question<'a>) -> Result<Plan<'a>, NoPlan> {
    let running = || question.running.to_owned();
    let newer = newer(question.index, question.running);
    if let Wanted::Version(wanted) = question.wanted {
        let version = wanted.to_owned();
        let release = newer.iter().find(|release| release.version == wanted).copied();
        let Some(release) = release else {
            let is_known = question.index.releases.iter().any(|release| release.version == wanted);
            return Err(if is_known {
                NoPlan::NotNewer { version, running: running() }
            } else {
                NoPlan::Absent { version }
            });
        };
        return judge(question, release);
    }
    let mut first = None;
    for release in newer {
        match judge(question, release) {
            Ok(plan) => return Ok(plan),
            // A person is told about the newest one.
            Err(why) => drop(first.get_or_insert(why)),
        }
    }
    Err(first.unwrap_or_else(|| NoPlan::UpToDate { running: running() }))
}

/// All releases that there is a plan for, newest first: what may be installed unasked is not always the newest.
pub fn plans<'a>(question: &Question<'a>) -> Vec<Plan<'a>> {
    let newer = newer(question.index, question.running);
    newer.into_iter().filter_map(|release| judge(question, release).ok()).collect()
}

/// What there is, for [`crate::freshness::state`]. What was set aside counts as available: a person may ask for it again.
pub fn newer_state(question: &Question<'_>) -> Newer {
    match plan(&Question { again: Again::Yes, wanted: Wanted::Newest, ..*question }) {
        Ok(_) => Newer::Available,
        Err(NoPlan::Held { .. }) => Newer::Held,
        // Never `current` because the way is missing: a person has to bring the full image.
        Err(NoPlan::NoWay { .. }) => Newer::Available,
        Err(_) => Newer::None,
    }
}

/// Newer releases, newest first. Versions that can not be read are passed over: another channel's tool wrote them.
fn newer<'a>(index: &'a Index, running: &str) -> Vec<&'a IndexedRelease> {
    let Ok(running) = running.parse::<Version>() else { return Vec::new() };
    let read = |release: &'a IndexedRelease| Some((release.version.parse::<Version>().ok()?, release));
    let mut newer: Vec<_> =
        index.releases.iter().filter_map(read).filter(|(version, _)| *version > running).collect();
    newer.sort_by(|(one, _), (other, _)| other.cmp(one));
    newer.into_iter().map(|(_, release)| release).collect()
}

fn judge<'a>(question: &Question<'a>, release: &'a IndexedRelease) -> Result<Plan<'a>, NoPlan> {
    let version = || release.version.clone();
    let holds = |hold: &&Hold| hold.version.as_ref().is_none_or(|version| *version == release.version);
    if let Some(hold) = question.holds.iter().find(holds) {
        return Err(NoPlan::Held { version: version(), reason: hold.reason.clone() });
    }
    if question.again == Again::No && question.set_aside.contains(&release.id()) {
        return Err(NoPlan::SetAside { version: version() });
    }
    let fits = |patch: &&PatchRef| {
        patch.memory <= question.memory && (patch.from.is_none() || patch.from == question.running_release)
    };
    let smallest = release.patches.iter().filter(fits).min_by_key(|patch| patch.object.size);
    let patch =
        smallest.ok_or_else(|| NoPlan::NoWay { version: version(), running: question.running.to_owned() })?;
    Ok(Plan { release, patch })
}

#[cfg(test)]
mod tests {
    use model::Sha256Digest;
    use release::ObjectRef;

    use super::*;

    const MEMORY: u64 = 64 << 20;

    fn id(byte: u8) -> ReleaseId {
        ReleaseId(Sha256Digest([byte; 32]))
    }

    fn release(version: &str, byte: u8, patches: &[(Option<u8>, u64, u64)]) -> IndexedRelease {
        let object = |size| ObjectRef { sha256: Sha256Digest([0; 32]), size };
        let patch = |&(from, size, memory): &(Option<u8>, u64, u64)| PatchRef {
            from: from.map(id),
            object: object(size),
            memory,
        };
        IndexedRelease {
            version: version.to_owned(),
            statement: ObjectRef { sha256: id(byte).0, size: 1 },
            published: 1,
            notes: None,
            proof: None,
            security_only_from: Vec::new(),
            patches: patches.iter().map(patch).collect(),
        }
    }

    fn index() -> Index {
        let mut index = Index::new("a/b".into(), "stable".into());
        index.releases = vec![
            release("1.0.0", 1, &[(None, 100, 1)]),
            release("1.1.0", 2, &[(None, 100, 1), (Some(1), 5, 1), (Some(1), 4, MEMORY + 1)]),
            release("1.2.0-rc.1", 3, &[(None, 90, 1), (Some(2), 1, 1)]),
            release("not a version", 4, &[(None, 1, 1)]),
        ];
        index
    }

    fn question<'a>(index: &'a Index, nothing: &'a BTreeSet<ReleaseId>) -> Question<'a> {
        Question {
            running: "1.0.0",
            running_release: Some(id(1)),
            index,
            holds: &[],
            set_aside: nothing,
            wanted: Wanted::Newest,
            again: Again::No,
            memory: MEMORY,
        }
    }

    #[test]
    fn the_newest_release_by_the_smallest_download_that_fits() {
        let (index, nothing) = (index(), BTreeSet::new());
        let newest = plan(&question(&index, &nothing)).expect("a plan").offer();
        assert_eq!((newest.version.as_str(), newest.download, newest.full), ("1.2.0-rc.1", 90, true));
        let wanted = Question { wanted: Wanted::Version("1.1.0"), ..question(&index, &nothing) };
        let offer = plan(&wanted).expect("a plan").offer();
        assert_eq!((offer.download, offer.full), (5, false), "the smaller one needs too much memory");
        let offer = plan(&Question { running_release: None, ..wanted }).expect("a plan").offer();
        assert!(offer.full, "nobody knows what a patch would be made against");
    }

    #[test]
    fn every_release_with_a_way_and_nothing_against_it_has_a_plan_newest_first() {
        let (index, nothing) = (index(), BTreeSet::new());
        let versions = |question: &Question<'_>| -> Vec<String> {
            plans(question).iter().map(|plan| plan.release.version.clone()).collect()
        };
        assert_eq!(versions(&question(&index, &nothing)), ["1.2.0-rc.1", "1.1.0"]);
        let fallen = BTreeSet::from([id(3)]);
        assert_eq!(versions(&question(&index, &fallen)), ["1.1.0"]);
        assert!(versions(&Question { running: "2.0.0", ..question(&index, &nothing) }).is_empty());
    }

    #[test]
    fn a_newer_release_without_a_way_is_no_reason_to_call_this_one_current() {
        let (mut index, nothing) = (index(), BTreeSet::new());
        index.releases = vec![release("1.1.0", 2, &[(Some(9), 5, 1)])];
        let stuck = question(&index, &nothing);
        assert!(matches!(plan(&stuck), Err(NoPlan::NoWay { .. })));
        assert_eq!(newer_state(&stuck), Newer::Available);
    }

    #[test]
    fn only_newer_versions_are_offered() {
        let (index, nothing) = (index(), BTreeSet::new());
        let base = Question { running: "1.2.0", ..question(&index, &nothing) };
        assert_eq!(plan(&base), Err(NoPlan::UpToDate { running: "1.2.0".into() }));
        let older = Question { wanted: Wanted::Version("1.1.0"), ..base };
        assert!(matches!(plan(&older), Err(NoPlan::NotNewer { .. })));
        let absent = Question { wanted: Wanted::Version("9.0.0"), ..base };
        assert!(matches!(plan(&absent), Err(NoPlan::Absent { .. })));
        assert_eq!(newer_state(&base), Newer::None);
    }

    #[test]
    fn holds_and_what_fell_back_are_passed_over() {
        let (index, nothing) = (index(), BTreeSet::new());
        let hold = |version: Option<&str>| Hold {
            version: version.map(str::to_owned),
            reason: "audit".into(),
            since: 1,
        };
        let one = [hold(Some("1.2.0-rc.1"))];
        let held = Question { holds: &one, ..question(&index, &nothing) };
        assert_eq!(plan(&held).expect("the one before").offer().version, "1.1.0");
        let all = [hold(None)];
        let held = Question { holds: &all, ..question(&index, &nothing) };
        assert!(matches!(plan(&held), Err(NoPlan::Held { reason, .. }) if reason == "audit"));
        assert_eq!(newer_state(&held), Newer::Held);
        let fallen = BTreeSet::from([id(3), id(2)]);
        let after = question(&index, &fallen);
        assert_eq!(plan(&after), Err(NoPlan::SetAside { version: "1.2.0-rc.1".into() }));
        assert_eq!(newer_state(&after), Newer::Available);
        assert!(plan(&Question { again: Again::Yes, ..after }).is_ok());
    }
}
