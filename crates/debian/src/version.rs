//! Debian package versions: syntax and order, as deb-version(7) has them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest version that is read. Stops comparing and printing of megabytes that a forged index calls a version.
pub const MAX_VERSION_LENGTH: usize = 256;

/// A Debian version: `[epoch:]upstream[-revision]`.
///
/// Equality follows the order, so that `1.0` equals `0:1.00`; compare [`Version::as_str`] to ask whether two are
/// written alike.
#[derive(Clone)]
pub struct Version {
    text: String,
    epoch: u32,
    /// Byte ranges of `text`: where upstream begins, where it ends.
    upstream: (usize, usize),
}

/// The text is not a Debian version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a Debian version: {rule}")]
pub struct VersionSyntax {
    /// The text, shortened.
    pub text: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl Version {
    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The epoch, 0 when none is written.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The upstream part.
    pub fn upstream(&self) -> &str {
        &self.text[self.upstream.0..self.upstream.1]
    }

    /// The Debian revision, empty when none is written (which orders like `0`).
    pub fn revision(&self) -> &str {
        self.text.get(self.upstream.1 + 1..).unwrap_or("")
    }
}

impl FromStr for Version {
    type Err = VersionSyntax;

    fn from_str(text: &str) -> Result<Self, VersionSyntax> {
        let fail = |rule| VersionSyntax { text: text.chars().take(80).collect(), rule };
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        if text.len() > MAX_VERSION_LENGTH {
            return Err(fail("it is too long"));
        }
        let (epoch, start) = match text.split_once(':') {
            None => (0, 0),
            Some((epoch, _)) => {
                if epoch.is_empty() || !epoch.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(fail("the epoch before `:` must be a number"));
                }
                // dpkg keeps epochs in a C int.
                let number: i32 = epoch.parse().map_err(|_| fail("the epoch is too large"))?;
                (number as u32, epoch.len() + 1)
            }
        };
        let rest = &text[start..];
        let end = start + rest.rfind('-').unwrap_or(rest.len());
        let (upstream, revision) = (&text[start..end], text.get(end + 1..));
        if !upstream.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(fail("the upstream part must begin with a digit"));
        }
        if !upstream.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+~:".contains(&byte)) {
            return Err(fail("the upstream part may hold letters, digits and `.+-~:` only"));
        }
        if let Some(revision) = revision {
            if revision.is_empty() {
                return Err(fail("the revision after `-` is empty"));
            }
            if !revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~".contains(&byte)) {
                return Err(fail("the revision may hold letters, digits and `.+~` only"));
            }
        }
        Ok(Self { text: text.to_owned(), epoch, upstream: (start, end) })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_parts(self.upstream(), other.upstream()))
            .then_with(|| compare_parts(self.revision(), other.revision()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.text)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// deb-version(7): alternately compare the longest prefix without digits, by [`weight`], and the longest prefix of
/// digits, as numbers.
fn compare_parts(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let is_text = |part: &[u8]| part.first().is_some_and(|byte| !byte.is_ascii_digit());
        while is_text(left) || is_text(right) {
            let order = weight(left.first()).cmp(&weight(right.first()));
            if order != Ordering::Equal {
                return order;
            }
            // Equal weights mean that both stand at the same character, none of them at a digit.
            (left, right) = (&left[1..], &right[1..]);
        }
        let (left_number, right_number) = (take_number(&mut left), take_number(&mut right));
        // Without leading zeros the longer number is the larger one, whatever its size.
        let order = left_number.len().cmp(&right_number.len()).then_with(|| left_number.cmp(right_number));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// `~` sorts before the end of a part, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Cuts the leading digits off `part` and returns them without leading zeros.
fn take_number<'a>(part: &mut &'a [u8]) -> &'a [u8] {
    let end = part.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(part.len());
    let (number, rest) = part.split_at(end);
    *part = rest;
    &number[number.iter().position(|byte| *byte != b'0').unwrap_or(number.len())..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn version(text: &str) -> Version {
        text.parse().expect("the test's own version is valid")
    }

    /// What dpkg says of `left OP right`.
    fn dpkg_says(left: &str, operator: &str, right: &str) -> bool {
        let status = Command::new("dpkg")
            .args(["--compare-versions", left, operator, right])
            .status()
            .expect("these tests need dpkg");
        status.success()
    }

    #[test]
    fn parts_are_found_between_the_first_colon_and_the_last_hyphen() {
        let version = version("2:1.0-rc1-3~deb12u1");
        assert_eq!((version.epoch(), version.upstream(), version.revision()), (2, "1.0-rc1", "3~deb12u1"));
        let native = "1.0".parse::<Version>().unwrap();
        assert_eq!((native.epoch(), native.upstream(), native.revision()), (0, "1.0", ""));
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        let long = "1".repeat(MAX_VERSION_LENGTH + 1);
        for text in ["", ":1", "a:1", "-1:1", "1-", "a1", "1 2", "1_2", "1:", "1-é", "99999999999:1", &long]
        {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn equal_versions_may_be_written_differently() {
        assert_eq!(version("1.0"), version("0:1.00-0"));
        assert_ne!(version("1.0").as_str(), version("0:1.00-0").as_str());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn the_order_is_the_one_dpkg_has(
            left in "([0-2]:)?[0-2][0-2a.+~Z]{0,5}(-[0-2a.+~]{1,3})?",
            right in "([0-2]:)?[0-2][0-2a.+~Z]{0,5}(-[0-2a.+~]{1,3})?",
        ) {
            let operator = match version(&left).cmp(&version(&right)) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            prop_assert!(dpkg_says(&left, operator, &right), "{} {} {}", left, operator, right);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,20}") {
            let _ = text.parse::<Version>();
        }
    }
}
