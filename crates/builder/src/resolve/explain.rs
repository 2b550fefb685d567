//! What apt says, in plain words. What is not understood is passed on word for word.

use super::ResolveError;
use super::apt_root::{AptFailure, Failure};
use super::origin::Indices;
use super::suggest;
use crate::mirror::KNOWN_SUITES;

/// A package that is in none of the suites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPackage {
    /// As the definition has it.
    pub name: String,
    /// Names that are near, or packages that provide it; possibly none.
    pub near: Vec<String>,
}

/// One sentence on all of them.
pub(super) fn unknown_packages(packages: &[UnknownPackage]) -> String {
    let one = |package: &UnknownPackage| match package.near.as_slice() {
        [] => format!("`{}`", package.name),
        near => format!("`{}` (did you mean `{}`?)", package.name, near.join("`, `")),
    };
    let names: Vec<String> = packages.iter().map(one).collect();
    let verb = if packages.len() == 1 { "package is" } else { "packages are" };
    format!("{} {verb} not in the suites: {}", packages.len(), names.join(", "))
}

/// Why indices could not be updated.
pub(super) fn update(failure: Failure, suites: &[String]) -> ResolveError {
    let failure = match failure {
        Failure::Other(error) => return error,
        Failure::Apt(failure) => failure,
    };
    let messages: Vec<&str> = messages(&failure).collect();
    let find = |needle: &str| messages.iter().find(|line| line.contains(needle)).copied();
    // Trust first: a mirror with a bad signature may print other failures too.
    for needle in ["GPG error", "is not signed", "NO_PUBKEY", "BADSIG", "Signing key", "couldn't be verified"]
    {
        if let Some(line) = find(needle) {
            return ResolveError::Untrusted { url: url_in(line), why: line.to_owned() };
        }
    }
    for needle in ["is expired", "is not valid yet", "is not yet valid"] {
        if let Some(line) = find(needle) {
            return ResolveError::Expired { url: url_in(line), why: line.to_owned() };
        }
    }
    if let Some(line) = find("does not have a Release file") {
        // E: The repository 'http://mirror/debian trixy Release' does not have a Release file.
        let mut words = line.split('\'').nth(1).unwrap_or_default().split(' ');
        let mirror = words.next().unwrap_or_default().to_owned();
        let suite = words.next().unwrap_or_default().to_owned();
        let code = suite.split('-').next().unwrap_or_default();
        let is_known = KNOWN_SUITES.contains(&code);
        let near = if is_known { Vec::new() } else { suggest::near(code, KNOWN_SUITES.iter().copied()) };
        return ResolveError::SuiteUnknown { suite, mirror, near };
    }
    if let Some(line) = find("Failed to fetch") {
        // E: Failed to fetch URL  WHY
        let rest = line.split("Failed to fetch ").nth(1).unwrap_or(line).trim();
        let (url, why) = rest.split_once(' ').unwrap_or((rest, ""));
        let suite = suites.iter().find(|suite| url.contains(&format!("/dists/{suite}/")));
        if why.contains("404")
            && let Some(suite) = suite
        {
            let mirror = url.split("/dists/").next().unwrap_or(url).to_owned();
            return ResolveError::SuiteUnknown { suite: suite.clone(), mirror, near: Vec::new() };
        }
        return ResolveError::MirrorDown { url: url.to_owned(), why: why.trim().to_owned() };
    }
    Failure::Apt(failure).into_error()
}

/// Why packages could not be chosen.
pub(super) fn install(failure: Failure, indices: &Indices, suites: &[String]) -> ResolveError {
    let failure = match failure {
        Failure::Other(error) => return error,
        Failure::Apt(failure) => failure,
    };
    let unknown: Vec<UnknownPackage> = messages(&failure)
        .filter_map(|line| {
            let missing = line.strip_prefix("Unable to locate package ");
            let virtual_only =
                || line.strip_prefix("Package '")?.strip_suffix("' has no installation candidate");
            let name = missing.or_else(virtual_only)?.to_owned();
            let mut near = providers(&failure.stdout, &name);
            if near.is_empty() {
                near = suggest::near(&name, indices.names());
            }
            Some(UnknownPackage { name, near })
        })
        .collect();
    if !unknown.is_empty() {
        return ResolveError::UnknownPackages { packages: unknown };
    }
    let text = format!("{}\n{}", failure.stdout, failure.stderr);
    let reasons = reasons(&text, suites);
    if !reasons.is_empty() {
        return ResolveError::Unsatisfiable { reasons, detail: detail(&failure) };
    }
    Failure::Apt(failure).into_error()
}

/// Errors and warnings without their mark.
fn messages(failure: &AptFailure) -> impl Iterator<Item = &str> {
    let mark = |line: &str| line.starts_with("E: ") || line.starts_with("W: ");
    failure.stderr.lines().filter(move |line| mark(line)).map(|line| &line[3..])
}

/// The part of apt's output that is about the failure.
fn detail(failure: &AptFailure) -> String {
    let start = failure.stdout.find("The following packages have unmet dependencies:");
    let unmet = start.map_or("", |start| &failure.stdout[start..]);
    format!("{}\n{}", unmet.trim_end(), failure.stderr.trim()).trim().to_owned()
}

fn url_in(line: &str) -> String {
    let start = ["http://", "https://", "file:/"].iter().filter_map(|way| line.find(way)).min();
    let rest = start.map_or("the index", |start| &line[start..]);
    let end = rest.find(['\'', ':']).filter(|end| !rest[*end..].starts_with(':')).unwrap_or(rest.len());
    // `URL SUITE InRelease: why`: the colon of the scheme is not the one that ends it.
    let text = rest[..end].split(": ").next().unwrap_or(rest);
    text.trim().to_owned()
}

/// Packages that provide a virtual package: apt lists them, indented, below a line that names it.
fn providers(stdout: &str, name: &str) -> Vec<String> {
    let header = format!("Package {name} is a virtual package provided by:");
    let Some((_, rest)) = stdout.split_once(&header) else { return Vec::new() };
    let lines = rest.lines().skip(1).take_while(|line| line.starts_with(' '));
    let mut names: Vec<String> =
        lines.filter_map(|line| line.split_ascii_whitespace().next()).map(str::to_owned).collect();
    names.truncate(6);
    names
}

/// Sentences from the list of unmet dependencies.
fn reasons(text: &str, suites: &[String]) -> Vec<String> {
    let Some((_, list)) = text.split_once("The following packages have unmet dependencies:") else {
        return conflicting_decisions(text);
    };
    let mut package = "";
    let mut reasons = Vec::new();
    for line in list.lines().skip(1).take_while(|line| line.starts_with(' ')) {
        // ` package : Depends: other (>= 2) but 1 is to be installed`, or the same without the package.
        let rest = match line.split_once(" : ") {
            Some((name, rest)) => {
                package = name.trim();
                rest
            }
            None => line,
        };
        if let Some(reason) = sentence(package, rest.trim(), suites) {
            reasons.push(reason);
        }
    }
    reasons
}

fn sentence(package: &str, text: &str, suites: &[String]) -> Option<String> {
    let (relation, rest) = text.split_once(": ")?;
    let (other, why) = rest.split_once(" but ").unwrap_or((rest, ""));
    let (other, why) = (other.trim(), why.trim());
    let suites = suites.join(", ");
    Some(match (relation, why) {
        ("Conflicts" | "Breaks", _) => format!("`{package}` can not be beside `{other}`"),
        (_, "it is not installable") => format!("`{package}` needs `{other}`, which is not in {suites}"),
        (_, "it is not going to be installed") => {
            format!("`{package}` needs `{other}`, which can not be installed beside the others")
        }
        (_, why) => match why.strip_suffix(" is to be installed") {
            Some(version) => format!("`{package}` needs `{other}`, and {suites} have `{version}`"),
            None => format!("`{package}`: {text}"),
        },
    })
}

/// The solver of apt 3: numbered lines below `Reached two conflicting decisions:`.
fn conflicting_decisions(text: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once("conflicting decisions:") else { return Vec::new() };
    let lines =
        rest.lines().skip(1).map(str::trim).take_while(|line| !line.is_empty() && !line.starts_with("E: "));
    lines
        .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim().to_owned())
        .collect()
}
