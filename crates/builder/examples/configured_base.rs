//! Makes a configured base out of a directory of `.deb` files, for measuring:
//! `configured_base DEBS ORDER SUITE CACHE`, where ORDER is the output of `apt-get -s install`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use builder::base::{BaseError, BasePackage, BaseRequest, configured_base, document_patterns, early_rules};
use builder::progress::{Event, Progress};
use debian::control::Paragraph;
use debian::deb::DebReader;
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some(builder::sandbox::SUBCOMMAND) {
        return builder::sandbox::sandbox_main(arguments.into_iter().skip(2));
    }
    let [_, debs, order, suite, cache] = &arguments[..] else {
        eprintln!("usage: configured_base DEBS ORDER SUITE CACHE");
        return ExitCode::from(2);
    };
    let request = BaseRequest {
        packages: packages(Path::new(debs), Path::new(order)),
        suite: suite.clone(),
        trim: early_rules(),
        documents: document_patterns(),
        source_date_epoch: 1_760_000_000,
    };
    let clock = Clock { start: Instant::now(), last: Mutex::new(None), costs: Mutex::new(Vec::new()) };
    let cache = Path::new(cache);
    match configured_base(&request, cache, &cache.join("work"), &clock) {
        Ok(base) => {
            clock.costs();
            println!(
                "{:8.3} base with {} entries",
                clock.start.elapsed().as_secs_f64(),
                base.tree.entries.len()
            );
            println!("listing {}", tree::listing::digest(&base.tree));
            println!("{}", base.digest);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            if let BaseError::Script { output, .. } | BaseError::Dpkg { output, .. } = &error {
                eprintln!("{output}");
            }
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn packages(debs: &Path, order: &Path) -> Vec<BasePackage> {
    let mut by_name = std::collections::HashMap::new();
    for entry in std::fs::read_dir(debs).expect("DEBS is a directory") {
        let deb = entry.expect("DEBS can be read").path();
        if deb.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let file = std::fs::File::open(&deb).expect("a package file opens");
        let reader =
            DebReader::open(file, "a package", NonZeroUsize::MIN).expect("a package file can be read");
        let text =
            String::from_utf8(reader.control_files()["control"].bytes.clone()).expect("control is UTF-8");
        let name = reader.control().field("Package").expect("a package has a name").to_owned();
        by_name.insert(name, (deb, text));
    }
    let order = std::fs::read_to_string(order).expect("ORDER can be read");
    let names = order.lines().filter_map(|line| line.strip_prefix("Inst ")?.split([' ', ':']).next());
    names
        .map(|name| package(by_name.remove(name).unwrap_or_else(|| panic!("{name} was not downloaded"))))
        .collect()
}

fn package((deb, text): (PathBuf, String)) -> BasePackage {
    let control = Paragraph::parse_only(&text).expect("a control file is one paragraph");
    let field = |name| control.field(name).unwrap_or_default().to_owned();
    let bytes = std::fs::read(&deb).expect("a package file can be read");
    BasePackage {
        name: field("Package"),
        version: field("Version"),
        architecture: field("Architecture"),
        essential: field("Essential") == "yes",
        sha256: model::Sha256Digest(Sha256::digest(&bytes).into()),
        size: bytes.len() as u64,
        deb,
    }
}

struct Clock {
    start: Instant,
    last: Mutex<Option<(Instant, String)>>,
    costs: Mutex<Vec<(f64, String)>>,
}

impl Clock {
    fn costs(&self) {
        let mut costs = self.costs.lock().unwrap().clone();
        costs.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (seconds, item) in costs.into_iter().take(25) {
            println!("    {seconds:6.3} {item}");
        }
    }
}

impl Progress for Clock {
    fn report(&self, event: Event) {
        let now = Instant::now();
        let item = match &event {
            Event::Advanced { step, item, .. } => format!("{step:?} {}", item.clone().unwrap_or_default()),
            other => format!("{other:?}"),
        };
        if let Some((since, before)) = self.last.lock().unwrap().replace((now, item)) {
            self.costs.lock().unwrap().push(((now - since).as_secs_f64(), before));
        }
        match event {
            Event::Advanced { .. } => {}
            other => println!("{:8.3} {other:?}", self.start.elapsed().as_secs_f64()),
        }
    }
}
