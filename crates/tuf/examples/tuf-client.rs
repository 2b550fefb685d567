//! The client of this crate as a program, for conformance suites that drive clients from outside.
//!
//! ```text
//! tuf-client --metadata-dir D init ROOT
//! tuf-client --metadata-dir D --metadata-url U refresh
//! tuf-client --metadata-dir D --metadata-url U --target-name N --target-base-url B --target-dir T download
//! ```
//!
//! `--target-name` may be repeated. Ends with 0, or with 1 after saying what is wrong.

use std::error::Error as StdError;
use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use tuf::client::{Found, Updated, trust_root, update};
use tuf::fetch::{Fetch, FetchError};
use tuf::store::FolderStore;
use tuf::{Limits, TargetPath, Time};

type Failure = Box<dyn StdError>;

/// How long a server may take for one document. Stops one that sends a byte now and then.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes that are checked and written at once.
const PIECE: usize = 64 << 10;

const USAGE: &str = "usage: tuf-client --metadata-dir D init ROOT
       tuf-client --metadata-dir D --metadata-url U refresh
       tuf-client --metadata-dir D --metadata-url U --target-name N... --target-base-url B --target-dir T download";

#[expect(
    clippy::print_stderr,
    reason = "a program for test suites: what failed is for whoever reads their log"
)]
fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            let causes = std::iter::successors(failure.source(), |cause: &&(dyn StdError + 'static)| {
                (*cause).source()
            });
            causes.for_each(|cause| eprintln!("  because: {cause}"));
            if let Some(refusal) = failure.downcast_ref::<tuf::Error>() {
                eprintln!("unchanged: {}\nhint: {}", refusal.unchanged(), refusal.hint());
            }
            ExitCode::FAILURE
        }
    }
}

/// What the command line says.
#[derive(Default)]
struct Arguments {
    metadata_dir: Option<PathBuf>,
    metadata_url: Option<String>,
    target_names: Vec<String>,
    target_base_url: Option<String>,
    target_dir: Option<PathBuf>,
    words: Vec<String>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, Failure> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(USAGE);
        match word.as_str() {
            "--metadata-dir" => arguments.metadata_dir = Some(value()?.into()),
            "--metadata-url" => arguments.metadata_url = Some(value()?),
            "--target-name" => arguments.target_names.push(value()?),
            "--target-base-url" => arguments.target_base_url = Some(value()?),
            "--target-dir" => arguments.target_dir = Some(value()?.into()),
            option if option.starts_with("--") => return Err(USAGE.into()),
            _ => arguments.words.push(word),
        }
    }
    Ok(arguments)
}

fn run(words: impl Iterator<Item = String>) -> Result<(), Failure> {
    let arguments = parse(words)?;
    let mut store = FolderStore::new(arguments.metadata_dir.ok_or(USAGE)?);
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    if let ["init", root] = words[..] {
        trust_root(&mut store, &fs::read(root)?)?;
        return Ok(());
    }
    let now = Time(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs());
    let mut server = Server::new(arguments.metadata_url.ok_or(USAGE)?);
    let mut updated = update(&mut store, &mut server, Limits::DEFAULT, now)?;
    match words[..] {
        ["refresh"] => Ok(()),
        ["download"] => {
            let targets = Server::new(arguments.target_base_url.ok_or(USAGE)?);
            let folder = arguments.target_dir.ok_or(USAGE)?;
            arguments.target_names.iter().try_for_each(|name| download(&mut updated, &targets, &folder, name))
        }
        _ => Err(USAGE.into()),
    }
}

/// Brings one target, unless it is there already.
fn download(updated: &mut Updated, server: &Server, folder: &Path, name: &str) -> Result<(), Failure> {
    let found = updated.find(&TargetPath::new(name)?)?;
    // One name for each target, whatever folders are in its path.
    let file = folder.join(TargetPath::new(name)?.as_str().replace('%', "%25").replace('/', "%2F"));
    if fs::read(&file).is_ok_and(|bytes| found.file.check_bytes(&bytes).is_ok()) {
        return Ok(());
    }
    let partial = folder.join(".partial");
    let brought = bring(&found, server, &partial).and_then(|()| Ok(fs::rename(&partial, &file)?));
    if brought.is_err() {
        drop(fs::remove_file(&partial));
    }
    brought
}

fn bring(found: &Found, server: &Server, partial: &Path) -> Result<(), Failure> {
    let mut output = fs::File::create(partial)?;
    let mut input = server.get(&found.url_path)?;
    let mut check = found.file.check();
    let mut piece = vec![0; PIECE];
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            break;
        }
        check.update(&piece[..read])?;
        output.write_all(&piece[..read])?;
    }
    check.finish()?;
    output.sync_all()?;
    Ok(())
}

/// A web server, and a place on it.
struct Server {
    base: String,
    agent: ureq::Agent,
}

impl Server {
    fn new(base: String) -> Self {
        let agent = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into();
        Self { base: base.trim_end_matches('/').to_owned(), agent }
    }

    fn get(&self, path: &str) -> Result<Box<dyn Read>, FetchError> {
        match self.agent.get(format!("{}/{path}", self.base)).call() {
            Ok(answer) => Ok(Box::new(answer.into_body().into_reader())),
            // Some object stores say 403 of what is not there.
            Err(ureq::Error::StatusCode(403 | 404)) => Err(FetchError::Missing),
            Err(error) => Err(FetchError::Unreachable(Box::new(error))),
        }
    }
}

impl Fetch for Server {
    fn open(&mut self, name: &str, _place: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        self.get(name)
    }

    fn called(&self, name: &str, _place: usize) -> String {
        format!("{}/{name}", self.base)
    }
}
