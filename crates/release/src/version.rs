//! Versions of releases and their order: Semantic Versioning 2.0.0, section 11, without build metadata.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Longest text that is read. Stops an index from making comparisons slow.
const LENGTH_LIMIT: usize = 100;

/// `1.4.0`, `2.0.0-rc.1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    /// Empty for a release that is none before another.
    before: Vec<Part>,
}

/// One identifier of a pre-release. Numbers are lower than words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

/// The text is no version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a version: three numbers with dots are expected, and a pre-release after a hyphen if there is one"
)]
pub struct VersionSyntax(String);

impl FromStr for Version {
    type Err = VersionSyntax;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            if text.len() > LENGTH_LIMIT {
                return None;
            }
            let (numbers, before) = match text.split_once('-') {
                Some((numbers, before)) => (numbers, Some(before)),
                None => (text, None),
            };
            let mut parts = numbers.split('.').map(number);
            let numbers = [parts.next()??, parts.next()??, parts.next()??];
            if parts.next().is_some() {
                return None;
            }
            let before = match before {
                Some(before) => before.split('.').map(part).collect::<Option<Vec<_>>>()?,
                None => Vec::new(),
            };
            Some(Version { numbers, before })
        };
        read().ok_or_else(|| VersionSyntax(text.chars().take(LENGTH_LIMIT).collect()))
    }
}

fn number(text: &str) -> Option<u64> {
    let is_plain = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && digits).then(|| text.parse().ok()).flatten()
}

fn part(text: &str) -> Option<Part> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(text).map(Part::Number);
    }
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_word.then(|| Part::Word(text.to_owned()))
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.before.is_empty(), other.before.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => self.before.cmp(&other.before),
            }
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        for (index, part) in self.before.iter().enumerate() {
            f.write_str(if index == 0 { "-" } else { "." })?;
            match part {
                Part::Number(number) => write!(f, "{number}")?,
                Part::Word(word) => f.write_str(word)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn versions_are_ordered_as_semantic_versioning_says() {
        let order = [
            "0.9.10",
            "1.0.0-1",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "2.0.0",
        ];
        for pair in order.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{} is older than {}", pair[0], pair[1]);
        }
        assert_eq!(version("1.0.0-rc.1").to_string(), "1.0.0-rc.1");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "1",
            "1.0",
            "1.0.0.0",
            "01.0.0",
            "1.0.0-",
            "1.0.0-a..b",
            "v1.0.0",
            "1.0.0-ä",
            "1.0.99999999999999999999",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!("1".repeat(500).parse::<Version>().is_err());
    }
}
