//! Paths in a tree: relative to its root, normalised, UTF-8.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// A path such as `usr/bin/env`: no leading slash, no empty, `.` or `..` component. The root is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TreePath(String);

/// The text can not be a path in a tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a path inside an image: `..`, empty parts and NUL bytes are not allowed")]
pub struct PathSyntax(String);

impl TreePath {
    /// The root directory.
    pub fn root() -> Self {
        Self::default()
    }

    /// Without leading slash; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory it is in; `None` for the root.
    pub fn parent(&self) -> Option<TreePath> {
        if self.0.is_empty() {
            return None;
        }
        Some(TreePath(self.0.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default()))
    }

    /// Last component; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Appends one component or a relative path.
    pub fn join(&self, more: &str) -> Result<TreePath, PathSyntax> {
        if self.0.is_empty() { more.parse() } else { format!("{}/{more}", self.0).parse() }
    }

    /// Whether it is `ancestor` or lies below it.
    pub fn is_within(&self, ancestor: &TreePath) -> bool {
        ancestor.0.is_empty()
            || self.0.strip_prefix(&ancestor.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for TreePath {
    type Err = PathSyntax;

    /// Accepts `./usr/bin`, `/usr/bin/` and `usr/bin` alike, as archives write them.
    fn from_str(text: &str) -> Result<Self, PathSyntax> {
        let trimmed = text.strip_prefix("./").unwrap_or(text).trim_matches('/');
        if trimmed.is_empty() || trimmed == "." {
            return Ok(Self::root());
        }
        let is_bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if trimmed.split('/').any(is_bad) {
            return Err(PathSyntax(text.chars().take(200).collect()));
        }
        Ok(Self(trimmed.to_owned()))
    }
}

impl fmt::Display for TreePath {
    /// With leading slash, as people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_forms_of_a_path_are_one_path() {
        for form in ["usr/bin", "./usr/bin", "/usr/bin/", "./usr/bin/"] {
            assert_eq!(form.parse::<TreePath>().unwrap().as_str(), "usr/bin");
        }
        assert_eq!("./".parse(), Ok(TreePath::root()));
    }

    #[test]
    fn a_path_never_leaves_the_tree() {
        for form in ["../etc", "usr/../../etc", "usr//bin", "a\0b"] {
            assert!(form.parse::<TreePath>().is_err(), "{form:?}");
        }
    }

    #[test]
    fn being_within_respects_component_borders() {
        let path: TreePath = "usr/library/x".parse().unwrap();
        assert!(!path.is_within(&"usr/lib".parse().unwrap()));
        assert!(path.is_within(&"usr/library".parse().unwrap()));
        assert!(path.is_within(&TreePath::root()));
    }
}
