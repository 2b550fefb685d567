//! An apt root of our own: configuration, state and cache in one folder, apt's commands run against it.
//!
//! `APT_CONFIG` is read before the machine's files and points their folders elsewhere, so that none of them is read.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use model::definition::Base;
use sha2::{Digest, Sha256};

use super::ResolveError;
use crate::mirror::Mirrors;

/// What a command printed when it failed.
#[derive(Clone, Debug)]
pub(super) struct AptFailure {
    pub command: String,
    pub stdout: String,
    pub stderr: String,
}

/// A failure of apt, or of starting it.
#[derive(Debug)]
pub(super) enum Failure {
    Apt(AptFailure),
    Other(ResolveError),
}

/// A prepared root. While it exists, no other process uses the same one.
pub(super) struct AptRoot {
    folder: PathBuf,
    _guard: File,
}

/// A line of `--print-uris`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PrintedUri {
    /// With percent signs undone.
    pub url: String,
}

impl AptRoot {
    /// Makes or reuses the root for these suites on the mirrors of one attempt.
    pub fn prepare(
        base: &Base,
        suites: &[String],
        mirrors: &Mirrors,
        attempt: usize,
        cache: &Path,
        keyring: &Path,
    ) -> Result<Self, ResolveError> {
        if !keyring.is_file() {
            return Err(ResolveError::KeyringMissing { path: keyring.to_owned() });
        }
        let sources = sources_list(base, suites, mirrors, attempt, keyring)?;
        // Indices of other suites and mirrors stay: apt removes what its sources do not name.
        let key = format!("{sources}\0{}", base.architecture);
        let digest = model::Sha256Digest(Sha256::digest(key).into()).to_string();
        let cache = std::path::absolute(cache).map_err(|source| io_error(cache, source))?;
        let folder = cache.join("apt").join(&digest[..16]);
        for part in ["etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d", "etc/trusted.gpg.d"] {
            make_folder(&folder.join(part))?;
        }
        for part in ["lists/partial", "cache/archives/partial", "state", "log"] {
            make_folder(&folder.join(part))?;
        }
        let guard_path = folder.join("lock");
        let guard = File::create(&guard_path).map_err(|source| io_error(&guard_path, source))?;
        guard.lock().map_err(|source| io_error(&guard_path, source))?;
        write(&folder.join("state/status"), "")?;
        write(&folder.join("etc/sources.list"), &sources)?;
        write(&folder.join("etc/preferences"), &preferences(suites))?;
        write(&folder.join("apt.conf"), &configuration(base, mirrors, &folder)?)?;
        Ok(Self { folder, _guard: guard })
    }

    /// Fetches and verifies the indices; quick when they did not change.
    pub fn update(&self) -> Result<(), Failure> {
        let output = self.run("apt-get", &["update", "-q"])?;
        // Older versions of apt only warn when an index can not be fetched.
        let stderr = String::from_utf8_lossy(&output.stderr);
        let is_partial = stderr.lines().any(|line| line.contains("Failed to fetch"));
        if output.status.success() && !is_partial {
            return Ok(());
        }
        Err(failure("apt-get update", &output))
    }

    /// What apt would unpack to install `arguments` into an empty system, in its order.
    pub fn install_uris(&self, arguments: &[String]) -> Result<Vec<PrintedUri>, Failure> {
        let mut all = vec!["install", "-y", "-q", "--print-uris", "--"];
        all.extend(arguments.iter().map(String::as_str));
        let output = self.run("apt-get", &all)?;
        if !output.status.success() {
            return Err(failure("apt-get install", &output));
        }
        Ok(printed_uris(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The candidates of `packages`, without what they depend on.
    pub fn download_uris(&self, packages: &[&str]) -> Result<Vec<PrintedUri>, Failure> {
        let all: Vec<&str> =
            ["download", "-q", "--print-uris", "--"].iter().chain(packages).copied().collect();
        let output = self.run("apt-get", &all)?;
        if !output.status.success() {
            return Err(failure("apt-get download", &output));
        }
        Ok(printed_uris(&String::from_utf8_lossy(&output.stdout)))
    }

    /// `FILENAME|REPO_URI|RELEASE|COMPONENT|METAKEY` of each `Packages` index.
    pub fn index_targets(&self) -> Result<String, ResolveError> {
        let format = "$(FILENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(METAKEY)";
        let output = self.run("apt-get", &["indextargets", "--format", format, "Created-By: Packages"]);
        let output = output.map_err(|failure| failure.into_error())?;
        if !output.status.success() {
            return Err(failure("apt-get indextargets", &output).into_error());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, program: &'static str, arguments: &[&str]) -> Result<Output, Failure> {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().stdin(Stdio::null());
        // Only these of the caller's environment: the search path, the folder for temporary files, proxies.
        for name in ["PATH", "TMPDIR", "HOME", "http_proxy", "https_proxy", "no_proxy"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("LC_ALL", "C.UTF-8").env("APT_CONFIG", self.folder.join("apt.conf"));
        command.output().map_err(|source| Failure::Other(ResolveError::AptMissing { program, source }))
    }
}

impl Failure {
    /// A failure nobody knows better.
    pub fn into_error(self) -> ResolveError {
        match self {
            Self::Other(error) => error,
            Self::Apt(failure) => {
                ResolveError::Apt { command: failure.command, detail: failure.stderr.trim().to_owned() }
            }
        }
    }
}

fn failure(command: &str, output: &Output) -> Failure {
    Failure::Apt(AptFailure {
        command: command.to_owned(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Lines `'URL' FILE SIZE HASH`; the others are apt's progress.
fn printed_uris(stdout: &str) -> Vec<PrintedUri> {
    let lines = stdout.lines().filter_map(|line| {
        let (url, _) = line.strip_prefix('\'')?.split_once('\'')?;
        Some(PrintedUri { url: undo_percents(url) })
    });
    lines.collect()
}

fn undo_percents(url: &str) -> String {
    let mut bytes = Vec::with_capacity(url.len());
    let mut rest = url.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn sources_list(
    base: &Base,
    suites: &[String],
    mirrors: &Mirrors,
    attempt: usize,
    keyring: &Path,
) -> Result<String, ResolveError> {
    check_words(suites, "a suite")?;
    check_words(&base.components, "a component")?;
    check_words(std::slice::from_ref(&base.architecture), "an architecture")?;
    let keyring = plain_path(keyring)?;
    let mut text = String::new();
    for suite in suites {
        let urls = mirrors.of_suite(suite);
        let url = urls.get(attempt.min(urls.len().saturating_sub(1)));
        let url = url.ok_or_else(|| ResolveError::MirrorDown {
            url: suite.clone(),
            why: "no mirror is known for this suite".to_owned(),
        })?;
        let components = base.components.join(" ");
        text.push_str(&format!("deb [signed-by={keyring}] {url} {suite} {components}\n"));
    }
    Ok(text)
}

/// Backports are used only for packages that ask for them (`name/trixie-backports`).
fn preferences(suites: &[String]) -> String {
    let backports = suites.iter().filter(|suite| suite.ends_with("-backports"));
    backports.map(|suite| format!("Package: *\nPin: release n={suite}\nPin-Priority: 100\n\n")).collect()
}

fn configuration(base: &Base, mirrors: &Mirrors, folder: &Path) -> Result<String, ResolveError> {
    let root = plain_path(folder)?;
    let mut text = String::new();
    // The machine's own settings first: whatever they say, the lines below have the last word.
    let own = [
        ("Dir", root.clone()),
        ("Dir::Etc", format!("{root}/etc")),
        ("Dir::State", format!("{root}/state")),
        ("Dir::State::lists", format!("{root}/lists")),
        ("Dir::State::status", format!("{root}/state/status")),
        ("Dir::Cache", format!("{root}/cache")),
        ("Dir::Log", format!("{root}/log")),
        ("APT::Architecture", base.architecture.clone()),
        ("APT::Install-Recommends", base.recommends.to_string()),
        ("APT::Install-Suggests", "false".to_owned()),
        // Files are downloaded by the caller's user: the root may lie where apt's own user may not look.
        ("APT::Sandbox::User", "root".to_owned()),
        ("APT::Update::Error-Mode", "any".to_owned()),
        // A word that is no package is an error, not a regular expression.
        ("APT::Cmd::Pattern-Only", "true".to_owned()),
        // Otherwise apt takes itself for essential.
        ("pkgCacheGen::ForceEssential", ",".to_owned()),
        ("APT::Get::AllowUnauthenticated", "false".to_owned()),
        ("Acquire::AllowInsecureRepositories", "false".to_owned()),
        ("Acquire::AllowWeakRepositories", "false".to_owned()),
        ("Acquire::AllowDowngradeToInsecureRepositories", "false".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
        ("Acquire::GzipIndexes", "false".to_owned()),
        ("Acquire::PDiffs", "false".to_owned()),
    ];
    let settings = mirrors.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in settings.chain(own) {
        text.push_str(&format!("{name} \"{value}\";\n"));
    }
    text.push_str(&format!("APT::Architectures {{ \"{}\"; }};\n", base.architecture));
    Ok(text)
}

/// Words that `sources.list` takes without quotes and that no option begins with.
fn check_words(words: &[String], what: &'static str) -> Result<(), ResolveError> {
    let is_plain = |word: &String| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./".contains(&byte))
    };
    match words.iter().find(|word| !is_plain(word)) {
        Some(word) => Err(ResolveError::Word { word: word.chars().take(80).collect(), what }),
        None => Ok(()),
    }
}

/// A path that apt's configuration files can hold.
fn plain_path(path: &Path) -> Result<String, ResolveError> {
    match path.to_str() {
        Some(text) if !text.contains(['"', '\\', ' ', '[', ']', '\n', ';', '{', '}', '#']) => {
            Ok(text.to_owned())
        }
        _ => Err(ResolveError::Word { word: path.display().to_string(), what: "a folder for apt" }),
    }
}

pub(super) fn io_error(path: &Path, source: std::io::Error) -> ResolveError {
    ResolveError::Io { path: path.to_owned(), source }
}

fn make_folder(path: &Path) -> Result<(), ResolveError> {
    fs::create_dir_all(path).map_err(|source| io_error(path, source))
}

/// Leaves a file alone that has the text already: apt's caches go by times.
fn write(path: &Path, text: &str) -> Result<(), ResolveError> {
    if fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    fs::write(path, text).map_err(|source| io_error(path, source))
}
