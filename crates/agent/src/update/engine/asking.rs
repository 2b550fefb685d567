//! Asking the depot, and what its answers mean for this appliance: the plan, the precheck, the way back.

use super::*;
use patch::{HEADER_LENGTH, Header};
use release::Index;

use crate::media;
use crate::next_root;
use crate::update::trust::Sealed;

/// Releases whose officers' words are asked for when nobody asked for one. Stops an index of thousands from being thousands of questions.
const UNASKED_LIMIT: usize = 8;

/// Patches whose beginnings are read to find out which release runs.
const PATCH_TRIES: usize = 8;

/// A release that is to be installed, and how.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub release: IndexedRelease,
    pub patch: PatchRef,
    pub statement: Statement,
}

pub(super) fn explain(error: &dyn std::error::Error) -> String {
    chain(error)
}

/// Asks the depot now.
pub fn check(host: &dyn Host) -> Result<(), String> {
    let outcome = look(host);
    host.updater().lock().check_failed = outcome.as_ref().err().cloned();
    host.tell();
    outcome
}

pub(super) fn depot(host: &dyn Host) -> Result<(Depot, Choices, String), String> {
    let choices = host.choices();
    let Some(url) = choices.depot.clone() else {
        return Err(format!("this appliance has no depot to look into; set `{}`", builtin::DEPOT));
    };
    let depot = match url.as_str() {
        builtin::ATTACHED => {
            Depot::attached(&media::devices(), &host.definition().appliance.id(), &choices.channel)
        }
        url => Depot::at(url, choices.authority.as_deref()),
    };
    Ok((depot.map_err(|error| explain(&error))?, choices, url))
}

pub(super) fn look(host: &dyn Host) -> Result<(), String> {
    let (depot, choices, url) = depot(host)?;
    let updater = host.updater();
    let files = updater.files()?;
    let appliance = host.definition().appliance.id();
    let (index, bytes) = depot.index(&appliance, &choices.channel).map_err(|error| explain(&error))?;
    let checked = Checked { time: host.now(), depot: url, channel: choices.channel, serial: index.serial };
    let known = updater.lock().running_release;
    let (index, bytes, told) = match Sealed::read(Path::new("/"))? {
        Some(sealed) => {
            let mut notice = |text| tell_once(updater, text);
            let (index, told) =
                sealed.believe(&depot, files, &index, &updater.own, host.now(), &mut notice)?;
            let bytes = index.to_bytes();
            (index, bytes, told)
        }
        None => {
            refuse_older(files, &checked)?;
            let told = if known.is_none() { patched_from(&depot, &index, updater) } else { None };
            (index, bytes, told)
        }
    };
    let same = index.releases.iter().filter(|release| release.version == updater.own.version);
    let running = known.or(told).or_else(|| {
        same.rev().take(STATEMENT_TRIES).find_map(|release| {
            let statement = depot.statement(&release.statement).ok()?;
            (statement.image.root_hash == updater.own.root_hash).then(|| release.id())
        })
    });
    if let Some(release) = running.filter(|_| known.is_none()) {
        files.keep_release(updater.own.root_hash, release);
    }
    match files.keep_checked(&checked, &bytes) {
        // It is known until the next start, and what is planned with it is told how much room it needs.
        Err(error) if !apply::is_full(&error) => return Err(format!("the answer can not be kept: {error}")),
        _ => {}
    }
    let mut state = updater.lock();
    (state.index, state.checked, state.running_release) = (Some(index), Some(checked), running);
    Ok(())
}

/// Which release runs, by patches that say that they are made from its image: where nobody signs, a depot is believed what it says, and one
/// that was brought on a disk may have nothing of the release itself.
fn patched_from(depot: &Depot, index: &Index, updater: &Updater) -> Option<ReleaseId> {
    let patches = index.releases.iter().rev().flat_map(|release| &release.patches);
    let patches = patches.filter(|patch| patch.from.is_some()).take(PATCH_TRIES);
    patches.into_iter().find_map(|patch| {
        let header = depot.beginning(&patch.object, HEADER_LENGTH).ok()?;
        let old = Header::read(&mut header.as_slice()).ok()?.old?;
        patch.from.filter(|_| old.root_hash == updater.own.root_hash)
    })
}

/// Decides what would be installed, with the depot's newest answer.
pub(crate) fn plan_for(host: &dyn Host, version: Option<&str>, again: Again) -> Result<Planned, String> {
    check(host)?;
    plan_known(host, version, again)
}

/// The newest release that the policy installs unasked and that the officers let in: while they read one, another may be published.
pub(super) fn plan_unasked(host: &dyn Host) -> Option<Planned> {
    check(host).ok()?;
    let (depot, choices, _) = depot(host).ok()?;
    let updater = host.updater();
    let releases: Vec<IndexedRelease> = {
        let state = updater.lock();
        let index = state.index.as_ref()?;
        let running = state.running_release;
        let is_wanted = |release: &IndexedRelease| {
            choices.policy != builtin::SECURITY
                || running.is_some_and(|running| release.security_only_from.contains(&running))
        };
        let fallen = life::set_aside(&state.history);
        let plans = update::plan::plans(&updater.question(&state, index, &fallen));
        plans
            .iter()
            .map(|plan| plan.release)
            .filter(|it| is_wanted(it))
            .take(UNASKED_LIMIT)
            .cloned()
            .collect()
    };
    releases.iter().find_map(|release| {
        hear_of(host, &depot, release.id());
        words::admit(updater, &choices, release.id(), host.now()).ok()?;
        plan_known(host, Some(&release.version), Again::No).ok()
    })
}

/// The same with what is known of the depot.
fn plan_known(host: &dyn Host, version: Option<&str>, again: Again) -> Result<Planned, String> {
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
    if let Some(sealed) = Sealed::read(Path::new("/"))? {
        sealed.prove(&depot, &release, &statement)?;
    }
    hear_of(host, &depot, release.id());
    if statement.identity.id() != definition.appliance.id()
        || statement.identity.version != release.version
        || statement.architecture != definition.base.architecture
    {
        return Err(format!("the statement of {} is of something else", release.version));
    }
    Ok(Planned { release, patch, statement })
}

/// Where nobody signs, a number is all that tells an older index from a newer one. Where the roles do, it counts for nothing: anybody who can
/// write to a depot could count it up for ever.
fn refuse_older(files: &Files, checked: &Checked) -> Result<(), String> {
    match files.checked() {
        Some((last, _))
            if (&last.depot, &last.channel) == (&checked.depot, &checked.channel)
                && last.serial > checked.serial =>
        {
            Err(format!(
                "the depot's index is older than the one it had before (number {}, before {})",
                checked.serial, last.serial
            ))
        }
        _ => Ok(()),
    }
}

fn tell_once(updater: &Updater, notice: String) {
    let mut state = updater.lock();
    if !state.notices.contains(&notice) {
        state.notices.push(notice);
    }
}

/// Takes what the depot has of the officers' words. None there, or one that does not count, is no failure: it is only missing.
fn hear_of(host: &dyn Host, depot: &Depot, release: ReleaseId) {
    let choices = host.choices();
    if choices.officers.is_none() {
        return;
    }
    let notes = depot.words(&host.definition().appliance.id(), release).unwrap_or_default();
    for note in notes {
        let _does_not_count = words::hear(host.updater(), &choices, &note);
    }
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
        approval: words::admit(updater, &host.choices(), planned.release.id(), host.now()),
        start: if esp_free.is_some() { Start::Loader } else { Start::Outside },
        restart: expected_restart(&planned.statement),
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

/// How it would restart, as far as that shows before it is downloaded; what decides is [`next_root::obstacle`].
fn expected_restart(statement: &Statement) -> Restart {
    let running = rustix::system::uname();
    if next_root::is_supported() && running.release().to_bytes() == statement.kernel_version.as_bytes() {
        Restart::Shortest
    } else {
        Restart::Machine
    }
}

/// The release's settings, when the depot gives them.
pub(super) fn settings_of(host: &dyn Host, statement: &Statement) -> Option<Vec<Setting>> {
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
    (kibibytes.unwrap_or(0) << 10).saturating_sub(RESERVE).max(crate::update::LEAST_MEMORY)
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
        return Some(precheck::refused_text(older, newer));
    }
    match SystemDisk::find(own) {
        Ok(disk) if disk.holds(&older.root_hash) => None,
        Ok(_) => Some(format!("version {} is not on the disk any more", older.version)),
        Err(error) => Some(explain(&error)),
    }
}
