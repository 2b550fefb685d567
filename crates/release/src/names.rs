//! Names of the files in a release folder. A name is one path component and can not leave the folder.

use std::fmt;
use std::str::FromStr;

use model::definition::Identity;
use serde::{Deserialize, Serialize};

/// The manifest; written last.
pub const MANIFEST: &str = "release.json";
/// The disk, raw and sparse.
pub const DISK_RAW: &str = "disk.raw";
/// The disk, compressed, as it is downloaded.
pub const DISK_QCOW2: &str = "disk.qcow2";
/// The sealed root file system.
pub const ROOT: &str = "root.erofs";
/// The hash tree of [`ROOT`], with its superblock.
pub const VERITY: &str = "root.verity";
/// The lock the release was built from.
pub const LOCK: &str = "appliance.lock";
/// The contents document: every path of the image, one JSON object a line.
pub const CONTENTS: &str = "contents.jsonl";
/// The settings schema.
pub const SETTINGS: &str = "settings.json";
/// The trim report.
pub const TRIM: &str = "trim.json";
/// The definition, as JSON.
pub const DEFINITION: &str = "definition.json";
/// The packages of the image, from dpkg's status file.
pub const PACKAGES: &str = "packages.json";
/// Origins, licences, changelogs and kernel options of packages, which are not in the image: a tar archive, zstd. Read with
/// [`crate::documents::PackageDocuments`].
pub const PACKAGE_DOCUMENTS: &str = "package-documents.tar.zst";
/// The components, as CycloneDX.
pub const SBOM_CYCLONEDX: &str = "sbom.cdx.json";
/// The components, as SPDX.
pub const SBOM_SPDX: &str = "sbom.spdx.json";
/// Where the release came from: an in-toto statement with SLSA's provenance.
pub const PROVENANCE: &str = "provenance.intoto.json";
/// The definition and the files beside it: a tar archive, zstd.
pub const SOURCES: &str = "sources.tar.zst";

/// Longest name. Stops a manifest whose names do not fit into any file system's directory entry.
pub const NAME_LIMIT: usize = 200;

/// The name of one file of a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactName(String);

/// The text is not a name of an artifact.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` can not be the name of an artifact: letters, digits, `.`, `_`, `-`, `+` and `~`, not beginning with a dot"
)]
pub struct NameSyntax(String);

impl ArtifactName {
    /// The UKI of an appliance: `NAME_VERSION.efi`, the name it also has on the ESP.
    pub fn uki(identity: &Identity) -> Result<Self, NameSyntax> {
        format!("{}_{}.efi", identity.name, identity.version).parse()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ArtifactName {
    type Err = NameSyntax;

    fn from_str(text: &str) -> Result<Self, NameSyntax> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~".contains(&byte);
        // A leading dot would allow `..` and hidden files; a slash would leave the folder.
        if text.is_empty()
            || text.len() > NAME_LIMIT
            || text.starts_with('.')
            || !text.bytes().all(is_allowed)
        {
            return Err(NameSyntax(text.chars().take(NAME_LIMIT).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ArtifactName {
    type Error = NameSyntax;

    fn try_from(text: String) -> Result<Self, NameSyntax> {
        text.parse()
    }
}

impl From<ArtifactName> for String {
    fn from(name: ArtifactName) -> Self {
        name.0
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_ours_is_a_name() {
        for name in [
            MANIFEST,
            DISK_RAW,
            DISK_QCOW2,
            ROOT,
            VERITY,
            LOCK,
            CONTENTS,
            SETTINGS,
            TRIM,
            DEFINITION,
            PACKAGES,
            PACKAGE_DOCUMENTS,
            SBOM_CYCLONEDX,
            SBOM_SPDX,
            PROVENANCE,
            SOURCES,
        ] {
            assert_eq!(name.parse::<ArtifactName>().map(String::from), Ok(name.to_owned()));
        }
    }

    #[test]
    fn a_name_can_not_leave_the_folder() {
        for name in ["", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden", "a\0b", "ä", &"x".repeat(201)] {
            assert!(name.parse::<ArtifactName>().is_err(), "{name:?}");
        }
    }
}
