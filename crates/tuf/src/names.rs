//! Names that become paths: of roles and of targets.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Longest file name of a delegated role's document, encoded, in bytes; with version and extension it stays below what file systems
/// take. Stops names that no store can keep.
const ENCODED_LIMIT: usize = 200;
/// Longest path of a target, in bytes. Stops paths that fill memory.
const PATH_LIMIT: usize = 1024;

/// The name of a role. Delegated roles may be called almost anything, but not like a top-level role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RoleName(String);

/// The text can not be the name of a delegated role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoleName {
    /// A document of that name would take a top-level role's place.
    #[error("a delegated role is called `{0}`, which is a top-level role's name")]
    TopLevel(String),
    /// Empty, or too long to be kept.
    #[error(
        "a delegated role has an empty name, or one of more than {ENCODED_LIMIT} bytes once it is encoded"
    )]
    Length,
}

impl RoleName {
    /// The name of a delegated role.
    pub fn delegated(name: &str) -> Result<Self, NoRoleName> {
        if ["root", "timestamp", "snapshot", "targets", "mirrors"].contains(&name) {
            return Err(NoRoleName::TopLevel(name.to_owned()));
        }
        if name.is_empty() || encode(name, "").len() > ENCODED_LIMIT {
            return Err(NoRoleName::Length);
        }
        Ok(Self(name.to_owned()))
    }

    pub(crate) fn top_level(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The top-level targets role.
    pub fn targets() -> Self {
        Self::top_level("targets")
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its document in a snapshot: `NAME.json` (METAPATH, 4.4).
    pub fn meta_path(&self) -> String {
        format!("{}.json", self.0)
    }

    /// The name of its document in a store, and on a server without consistent snapshots. Safe as a file name and in a URL.
    pub fn file_name(&self) -> String {
        format!("{}.json", encode(&self.0, ""))
    }

    /// The name of one version of its document on a server (7.2.1).
    pub fn versioned_file_name(&self, version: u64) -> String {
        format!("{version}.{}", self.file_name())
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::delegated(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A path of a target that is safe to join to a base: relative, without `.`, `..`, empty parts, backslashes and control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetPath(String);

/// The text can not be the path of a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no path of a target: relative, with plain parts, at most {PATH_LIMIT} bytes")]
pub struct NoTargetPath(String);

impl TargetPath {
    /// Reads a path.
    pub fn new(path: &str) -> Result<Self, NoTargetPath> {
        let is_plain = |part: &str| !matches!(part, "" | "." | "..");
        let is_safe = |character: char| !character.is_control() && character != '\\';
        if path.len() <= PATH_LIMIT && path.split('/').all(is_plain) && path.chars().all(is_safe) {
            Ok(Self(path.to_owned()))
        } else {
            Err(NoTargetPath(path.chars().take(80).collect()))
        }
    }

    /// The path as it is listed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the file is below a base URL, encoded: `a/b.tar`, or `a/HASH.b.tar` with a digest (7.2.1).
    pub fn url_path(&self, digest: Option<&str>) -> String {
        let (folder, name) = self.0.rsplit_once('/').map_or(("", &*self.0), |(folder, name)| (folder, name));
        let slash = if folder.is_empty() { "" } else { "/" };
        let digest = digest.map(|digest| format!("{digest}.")).unwrap_or_default();
        format!("{}{slash}{digest}{}", encode(folder, "/"), encode(name, ""))
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986) and those in `kept`.
fn encode(text: &str, kept: &str) -> String {
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || kept.as_bytes().contains(byte);
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_role_name_leaves_its_folder() {
        for (name, file) in [
            ("acme/shop", "acme%2Fshop.json"),
            ("../delegated", "..%2Fdelegated.json"),
            ("?", "%3F.json"),
            ("é", "%C3%A9.json"),
            ("..", "...json"),
        ] {
            let role = RoleName::delegated(name).expect("a name");
            assert_eq!(role.file_name(), file);
            assert!(!role.versioned_file_name(7).contains('/'));
        }
    }

    #[test]
    fn a_delegated_role_can_not_take_a_top_level_ones_place() {
        for name in ["root", "timestamp", "snapshot", "targets"] {
            assert_eq!(RoleName::delegated(name), Err(NoRoleName::TopLevel(name.to_owned())));
        }
        assert_eq!(RoleName::delegated(""), Err(NoRoleName::Length));
        assert_eq!(RoleName::delegated(&"é".repeat(100)), Err(NoRoleName::Length));
    }

    #[test]
    fn no_target_path_leaves_its_base() {
        for path in
            ["", "/etc/passwd", "../a", "a/../b", "a//b", "a/", ".", "a\\b", "a\nb", &"a".repeat(1025)]
        {
            assert!(TargetPath::new(path).is_err(), "{path}");
        }
        let path = TargetPath::new("acme/shop/1.0~1/image #1").expect("a path");
        assert_eq!(path.url_path(None), "acme/shop/1.0~1/image%20%231");
        assert_eq!(path.url_path(Some("ab")), "acme/shop/1.0~1/ab.image%20%231");
        assert_eq!(TargetPath::new("b").expect("a path").url_path(Some("ab")), "ab.b");
    }
}
