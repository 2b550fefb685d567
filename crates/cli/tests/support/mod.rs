//! Calling the command as a person or a program does.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod signed;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// What a call of the command gave.
#[derive(Debug)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A process that is just being started holds every lock of this one for a moment.
static STARTS: RwLock<()> = RwLock::new(());

/// For a test that itself takes the lock of a depot or a ledger: no other test starts a process meanwhile.
pub fn without_starts() -> RwLockReadGuard<'static, ()> {
    STARTS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `ampoule` in `folder`.
pub fn ampoule_in<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = S>) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ampoule"));
    command.current_dir(folder).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = {
        let _alone = STARTS.write().unwrap_or_else(PoisonError::into_inner);
        command.spawn().expect("the command starts")
    };
    let output: Output = started.wait_with_output().expect("the command ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

/// The example as a definition that a test may change.
pub fn lamp_in(folder: &Path) -> std::path::PathBuf {
    let place = folder.join("lamp");
    testkit::probe::write_variant(&place, "lamp-copy", "");
    place
}

/// Replaces a text of a file that has it.
#[track_caller]
pub fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("reads");
    assert!(text.contains(from), "{} contains `{from}`", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).expect("writes");
}
