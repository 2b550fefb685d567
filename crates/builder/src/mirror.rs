//! Where packages are fetched from, and how this machine reaches it.
//!
//! Owns the choice of mirrors: a flag, else the definition, else the building machine's own apt configuration, which is
//! only read. No mirror is built in, and none is ever written into a lock.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use model::definition::Base;

mod sources;

/// Largest apt configuration file that is read. Stops a stray file in `sources.list.d` from filling memory.
const MAX_CONFIGURATION: u64 = 1 << 20;
/// The code names and their aliases by which a source is known to be Debian's, and not another archive.
pub const KNOWN_SUITES: [&str; 12] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
];
/// apt settings about the way to a mirror and about the clock. A machine whose mirror is a snapshot says
/// `Acquire::Check-Valid-Until false`, one behind a proxy names it. Nothing here can switch signatures off.
const HONOURED_SETTINGS: [&str; 10] = [
    "Acquire::Check-Valid-Until",
    "Acquire::Check-Date",
    "Acquire::Max-ValidTime",
    "Acquire::Min-ValidTime",
    "Acquire::Max-FutureTime",
    "Acquire::Retries",
    "Acquire::ForceIPv4",
    "Acquire::ForceIPv6",
    "Acquire::http::",
    "Acquire::https::",
];

/// Base URLs without a slash at the end, best first, and how apt reaches them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Mirrors of the suite, its updates and backports.
    pub archive: Vec<String>,
    /// Mirrors of the security suite.
    pub security: Vec<String>,
    /// apt settings of this machine that are honoured, as `apt-config dump` writes them: name and value.
    pub settings: Vec<(String, String)>,
}

/// Mirrors named on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorFlags {
    /// `--mirror`
    pub archive: Option<String>,
    /// `--security-mirror`
    pub security: Option<String>,
}

/// No mirror could be found.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Nothing names one.
    #[error(
        "no mirror for `{suite}`: neither the definition, a flag, nor this machine's apt configuration names one"
    )]
    None {
        /// The suite that has no mirror.
        suite: String,
    },
    /// What was named is no base URL.
    #[error("`{url}` is not a mirror: a base URL such as `http://mirror.example.org/debian` is expected")]
    Url {
        /// What was named.
        url: String,
    },
}

impl Mirrors {
    /// Finds the mirrors for `base`: flags before the definition before this machine's apt configuration.
    ///
    /// # Errors
    /// [`MirrorError`] when a part of the archive has none.
    pub fn find(base: &Base, flags: &MirrorFlags) -> Result<Self, MirrorError> {
        let machine = Self::of_this_machine();
        let archive = flags.archive.as_ref().or(base.mirror.as_ref());
        let security = flags.security.as_ref().or(base.security_mirror.as_ref());
        let named = |url: Option<&String>| url.map(|url| check_url(url).map(|url| vec![url])).transpose();
        let archive = named(archive)?.unwrap_or(machine.archive);
        // A full mirror has the security archive beside it; the machine's own configuration knows better.
        let beside = || {
            archive
                .iter()
                .filter_map(|url| Some(format!("{}/debian-security", url.strip_suffix("/debian")?)))
                .collect()
        };
        let security = match named(security)? {
            Some(named) => named,
            None if machine.security.is_empty() => beside(),
            None => machine.security,
        };
        let mirrors = Self { archive, security, settings: machine.settings };
        let none = |suite| Err(MirrorError::None { suite });
        if mirrors.archive.is_empty() {
            return none(base.suite.clone());
        }
        if mirrors.security.is_empty() && base.extra_suites.iter().any(|suite| suite == "security") {
            return none(format!("{}-security", base.suite));
        }
        Ok(mirrors)
    }

    /// What this machine's apt configuration says. Empty when there is no apt or nothing Debian in it.
    pub fn of_this_machine() -> Self {
        let mut mirrors = Self { settings: honoured_settings(), ..Self::default() };
        let mut seen = BTreeSet::new();
        for path in source_files() {
            let Some(text) = read_small(&path) else { continue };
            let is_deb822 = path.extension().is_some_and(|extension| extension == "sources");
            let sources = if is_deb822 { sources::deb822(&text) } else { sources::one_line(&text) };
            for source in sources {
                let Ok(url) = check_url(&source.url) else { continue };
                let list = match part_of(&source.suite) {
                    Some(Part::Archive) => &mut mirrors.archive,
                    Some(Part::Security) => &mut mirrors.security,
                    None => continue,
                };
                if seen.insert(url.clone()) {
                    list.push(url);
                }
            }
        }
        mirrors
    }

    /// Base URLs of the mirrors that have `suite`, a full name such as `trixie-security`.
    pub fn of_suite(&self, suite: &str) -> &[String] {
        if is_security(suite) { &self.security } else { &self.archive }
    }

    /// The proxy for `url`, when this machine's apt configuration names one.
    pub fn proxy_for(&self, url: &str) -> Option<&str> {
        let (scheme, rest) = url.split_once("://")?;
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        let value = |name: &str| {
            let setting = self.settings.iter().find(|(setting, _)| setting.eq_ignore_ascii_case(name))?;
            Some(setting.1.as_str())
        };
        // apt.conf(5): a proxy for one host comes first, DIRECT means none.
        let proxy = value(&format!("Acquire::{scheme}::Proxy::{host}"))
            .or_else(|| value(&format!("Acquire::{scheme}::Proxy")))
            .or_else(|| value("Acquire::http::Proxy"))?;
        (!proxy.is_empty() && proxy != "DIRECT").then_some(proxy)
    }
}

/// The two archives of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Archive,
    Security,
}

/// Which archive a suite of a `sources.list` belongs to; `None` for what is not Debian's.
fn part_of(suite: &str) -> Option<Part> {
    let name = suite.trim_end_matches('/');
    let (code, rest) = name.split_once(['-', '/']).unwrap_or((name, ""));
    if !KNOWN_SUITES.contains(&code) {
        return None;
    }
    match rest {
        "" | "updates" | "proposed-updates" | "backports" if !name.contains('/') => Some(Part::Archive),
        // Until buster the security suite was called `buster/updates`.
        "security" | "updates" => Some(Part::Security),
        _ => None,
    }
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security")
}

/// A base URL as `sources.list` can hold it: no spaces, brackets or comments, and one of the known ways.
fn check_url(url: &str) -> Result<String, MirrorError> {
    let trimmed = url.trim().trim_end_matches('/');
    let is_known = ["http://", "https://", "file:/"].iter().any(|way| trimmed.starts_with(way));
    let is_plain = trimmed.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]#\"'\\?".contains(&byte));
    if !is_known || !is_plain || trimmed.len() > 1024 {
        return Err(MirrorError::Url { url: url.chars().take(200).collect() });
    }
    Ok(trimmed.to_owned())
}

/// Output of `apt-config`, empty when there is none.
fn apt_config(arguments: &[&str]) -> String {
    let output = Command::new("apt-config").args(arguments).env("LC_ALL", "C.UTF-8").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn honoured_settings() -> Vec<(String, String)> {
    parse_settings(&apt_config(&["dump"]))
}

/// Lines `Name "value";` of `apt-config dump`.
fn parse_settings(dump: &str) -> Vec<(String, String)> {
    let is_honoured = |name: &str| {
        HONOURED_SETTINGS.iter().any(|honoured| match honoured.strip_suffix("::") {
            Some(group) => name.strip_prefix(group).is_some_and(|rest| rest.starts_with("::")),
            None => name == *honoured,
        })
    };
    let settings = dump.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        let value = value.strip_prefix('"')?.strip_suffix("\";")?;
        let is_plain = !value.is_empty() && !value.contains(['"', '\\']) && !name.contains(['"', '{', '}']);
        (is_plain && is_honoured(name)).then(|| (name.to_owned(), value.to_owned()))
    });
    settings.collect()
}

/// `sources.list` and what lies beside it, in apt's order.
fn source_files() -> Vec<PathBuf> {
    let shell = apt_config(&["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"]);
    let value = |name: &str| {
        let line = shell.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(PathBuf::from(line.trim_matches('\'')))
    };
    let mut files: Vec<PathBuf> = value("LIST").into_iter().collect();
    let folder = value("PARTS").and_then(|folder| fs::read_dir(folder).ok());
    let mut parts: Vec<PathBuf> = folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    parts.retain(|path| {
        path.extension().is_some_and(|extension| extension == "list" || extension == "sources")
    });
    parts.sort();
    files.extend(parts);
    files
}

fn read_small(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= MAX_CONFIGURATION).then(|| fs::read_to_string(path).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_debian_suites_name_mirrors() {
        assert_eq!(part_of("trixie"), Some(Part::Archive));
        assert_eq!(part_of("bookworm-updates"), Some(Part::Archive));
        assert_eq!(part_of("stable-security"), Some(Part::Security));
        assert_eq!(part_of("bullseye-security"), Some(Part::Security));
        assert_eq!(part_of("buster/updates"), Some(Part::Security));
        for other in ["nodistro", "cloud-sdk-bookworm", "noble", "trixie-pgdg", "./"] {
            assert_eq!(part_of(other), None, "{other}");
        }
    }

    #[test]
    fn settings_about_the_way_are_honoured_and_those_about_trust_are_not() {
        let dump = "APT \"\";\nAcquire::Check-Valid-Until \"false\";\nAcquire::AllowInsecureRepositories \"true\";\n\
            Acquire::http::Proxy \"http://proxy.example.org:3128\";\nAcquire::http::Proxy::mirror.example.org \"DIRECT\";\n\
            Acquire::httpx \"1\";\nAPT::Get::AllowUnauthenticated \"true\";\nAcquire::http \"\";\n";
        let settings = parse_settings(dump);
        let names: Vec<_> = settings.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "Acquire::Check-Valid-Until",
            "Acquire::http::Proxy",
            "Acquire::http::Proxy::mirror.example.org",
        ];
        assert_eq!(names, expected);
        let mirrors = Mirrors { settings, ..Mirrors::default() };
        assert_eq!(
            mirrors.proxy_for("http://other.example.org/debian/x"),
            Some("http://proxy.example.org:3128")
        );
        assert_eq!(mirrors.proxy_for("http://mirror.example.org/debian/x"), None);
    }

    #[test]
    fn flags_come_before_the_definition_and_security_lies_beside() {
        let base = Base {
            suite: "trixie".to_owned(),
            extra_suites: vec!["security".to_owned()],
            components: vec!["main".to_owned()],
            packages: Vec::new(),
            kernel: "linux-image-amd64".to_owned(),
            architecture: "amd64".to_owned(),
            mirror: Some("http://definition.example.org/debian/".to_owned()),
            security_mirror: Some("http://definition.example.org/security".to_owned()),
            recommends: false,
        };
        let found = Mirrors::find(&base, &MirrorFlags::default()).unwrap();
        assert_eq!(found.of_suite("trixie-updates"), ["http://definition.example.org/debian"]);
        assert_eq!(found.of_suite("trixie-security"), ["http://definition.example.org/security"]);
        let flag = MirrorFlags { archive: Some("file:/srv/debian".to_owned()), security: None };
        assert_eq!(Mirrors::find(&base, &flag).unwrap().archive, ["file:/srv/debian"]);
        for bad in
            ["debian.example.org", "http://a b/", "http://a/[trusted=yes]", "ftp://a/debian", "http://a/\nx"]
        {
            let flag = MirrorFlags { archive: Some(bad.to_owned()), security: None };
            assert!(Mirrors::find(&base, &flag).is_err(), "{bad}");
        }
    }
}
