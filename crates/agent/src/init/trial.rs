//! What a boot has to do with a patch: the journal on data tells it, and `init` does what has to be done before anything of
//! the release runs.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use model::Definition;
use model::Sha256Digest;
use serde::{Deserialize, Serialize};
use update::journal::{self, JOURNAL_LIMIT};
use update::life::{self, Boot, Life, Record};

use super::counted;
use super::failures;
use super::report::Failure;
use super::snapshots::{self, DataState, Restored, UPDATE_FOLDER};
use super::state::{make_directories, sync_file_system};

/// The journal, relative to data.
pub const JOURNAL: &str = "ampoule/update/journal.jsonl";
/// The mark of a trial, relative to data.
pub const MARK: &str = "ampoule/update/trial.json";
/// Longest mark that is read.
const MARK_LIMIT: u64 = 4096;

/// How far a trial came, in the words of those who came that far. The release before reads it when nothing else was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Mark {
    /// Root hash of the release on trial.
    pub root_hash: String,
    /// How often its first program came as far as data.
    pub starts: u32,
    /// `data`, then `agent`.
    pub reached: String,
}

impl Mark {
    /// Reads the mark; one that can not be read is none.
    pub fn load(data: &Path) -> Mark {
        let bytes = read_limited(&data.join(MARK), MARK_LIMIT).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Writes it, durable.
    pub fn save(&self, data: &Path) -> io::Result<()> {
        let (path, working) = (data.join(MARK), data.join(UPDATE_FOLDER).join("trial.json.new"));
        make_directories(&data.join(UPDATE_FOLDER))?;
        fs::write(&working, serde_json::to_vec(self).map_err(io::Error::other)?)?;
        fs::File::open(&working)?.sync_all()?;
        fs::rename(working, path)?;
        fs::File::open(data.join(UPDATE_FOLDER))?.sync_all()
    }
}

/// Reads the journal on data. Nothing that is wrong with it keeps an appliance from starting.
pub fn read_journal(data: &Path) -> Vec<Record> {
    let bytes = read_limited(&data.join(JOURNAL), JOURNAL_LIMIT).unwrap_or_default();
    journal::read(&String::from_utf8_lossy(&bytes))
}

fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The kernel's boot id.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Does it; what a person should know.
pub fn enter(sysroot: &Path, own: &Sha256Digest, definition: &Definition) -> Result<Vec<String>, Failure> {
    let data = sysroot.join("data");
    let life = life::fold(&read_journal(&data));
    let Some(life) = life else { return Ok(Vec::new()) };
    let state = |error: io::Error| failures::state(&error);
    match life::boot_of(Some(&life), own, &boot_id()) {
        Boot::Ordinary => Ok(Vec::new()),
        Boot::Trial => {
            counted::remember_trial();
            snapshots::take(&mut DataState::of(&data, own)).map_err(state)?;
            let mut mark = Mark::load(&data);
            if mark.root_hash != own.to_string() {
                mark = Mark { root_hash: own.to_string(), ..Mark::default() };
            }
            (mark.starts, mark.reached) = (mark.starts + 1, "data".to_owned());
            mark.save(&data).map_err(state)?;
            end_in_time(sysroot, definition).map_err(state)?;
            Ok(Vec::new())
        }
        Boot::Returned | Boot::RolledBack => come_back(&data, &life, definition).map_err(state),
    }
}

/// Units that live as long as the kernel runs.
pub const RUNTIME_UNITS: &str = "/run/systemd/system";
/// The timer that ends a trial whose agent does not.
pub const TIMER: &str = "ampoule-trial.timer";
const TRIAL_SERVICE: &str = "ampoule-trial.service";
const WANTED: &str = "timers.target.wants/ampoule-trial.timer";
const AGENT_LIMIT: &str = "ampoule-agent.service.d/20-trial.conf";

/// Time beyond the trial's for the agent to end it itself, in seconds.
const AGENT_TIME: u32 = 120;

/// A trial whose agent never answers ends by systemd alone: a timer restarts the machine, and so does an agent that does not
/// stay. The agent removes both when the trial is confirmed.
fn end_in_time(sysroot: &Path, definition: &Definition) -> io::Result<()> {
    let folder = sysroot.join(RUNTIME_UNITS.trim_start_matches('/'));
    let (wanted, agent) = (folder.join(WANTED), folder.join(AGENT_LIMIT));
    for path in [&wanted, &agent] {
        make_directories(path.parent().unwrap_or(&folder))?;
    }
    let seconds = trial_seconds(definition) + AGENT_TIME;
    let timer = format!(
        "[Unit]\nDescription=End of the trial\nDefaultDependencies=no\n\n[Timer]\nOnActiveSec={seconds}\nAccuracySec=1s\n"
    );
    fs::write(folder.join(TIMER), timer)?;
    let service = "[Unit]\nDescription=End of the trial\nDefaultDependencies=no\nSuccessAction=reboot-force\nFailureAction=reboot-force\n\n\
                   [Service]\nType=oneshot\nExecStart=/usr/lib/ampoule/agent trial-over\n";
    fs::write(folder.join(TRIAL_SERVICE), service)?;
    fs::write(
        agent,
        "[Unit]\nStartLimitIntervalSec=300\nStartLimitBurst=6\nStartLimitAction=reboot-force\n",
    )?;
    match std::os::unix::fs::symlink(Path::new("..").join(TIMER), wanted) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Ends what [`end_in_time`] began: `/run` outlives a restart of user space alone.
pub fn leave_time_limit(units: &Path) {
    for name in [WANTED, AGENT_LIMIT, TRIAL_SERVICE, TIMER] {
        let _absent = fs::remove_file(units.join(name));
    }
}

/// Seconds from the start within which every check has to pass: no shorter than the longest grace a check has.
pub fn trial_seconds(definition: &Definition) -> u32 {
    let grace = definition.health.iter().map(|check| check.grace).max().unwrap_or(0);
    definition.updates.trial.max(grace)
}

/// The older release runs again: its state comes back when it can not read the newer one's.
fn come_back(data: &Path, life: &Life, definition: &Definition) -> io::Result<Vec<String>> {
    let newer = &life.last.to;
    if definition.state_format.can_read(newer.state_format.current) {
        return Ok(Vec::new());
    }
    let mut notices = Vec::new();
    if snapshots::restore(&mut DataState::of(data, &newer.root_hash))? == Restored::Before {
        notices.push(format!(
            "the state is as it was before version {}: this release can not read what that one wrote, which is kept until the \
             next patch",
            newer.version
        ));
        sync_file_system(data)?;
    }
    Ok(notices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_what_it_writes_and_a_torn_one_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        assert_eq!(Mark::load(folder.path()), Mark::default());
        let mark = Mark { root_hash: "ab".into(), starts: 2, reached: "data".into() };
        mark.save(folder.path()).expect("written");
        assert_eq!(Mark::load(folder.path()), mark);
        fs::write(folder.path().join(MARK), "{\"starts\":").expect("written");
        assert_eq!(Mark::load(folder.path()), Mark::default());
    }
}
