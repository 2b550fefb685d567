//! What a bundle is: some releases of a depot in one file, for places without a network (docs/DEPOT.md, "Without a network").
//!
//! A bundle is a plain archive with one form only: the same depot gives the same bytes, and one byte changed anywhere is found. Its first
//! member, `bundle.json`, lists all others with their digests; that finds accidents. What finds everything else are the checks of whoever
//! takes something from it: nothing in a bundle is believed because it is in a bundle.

pub mod archive;
mod error;

use std::collections::{BTreeMap, BTreeSet};

use model::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::index::{INDEX_LIMIT, Index, WORDS_LIMIT, index_path, is_path_name, object_path, words_path};
use crate::{ReleaseId, trust};

pub use error::{BundleError, BundleErrorKind};

/// The format this version writes and reads.
pub const FORMAT: u32 = 1;
/// The first member.
pub const CONTENTS: &str = "bundle.json";
/// Longest `bundle.json`. Stops a bundle from filling memory before anything is known of it.
pub const CONTENTS_LIMIT: u64 = 4 << 20;
/// Most members. Stops a bundle from filling a file system with small files.
pub const MEMBER_LIMIT: usize = 16 << 10;
/// Longest document of the roles. The longest that a client takes.
pub const ROLE_LIMIT: u64 = tuf::Limits::DEFAULT.targets;
/// Longest object: what the size of a plain archive's member can say. Stops members without end.
pub const OBJECT_LIMIT: u64 = (8 << 30) - 1;
/// All members but objects together. They are kept in memory.
pub const DOCUMENTS_LIMIT: u64 = 64 << 20;

/// What `bundle.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Contents {
    /// [`FORMAT`].
    pub format: u32,
    /// `vendor/name`.
    pub appliance: String,
    /// The series of releases.
    pub channel: String,
    /// The releases, as the index has them.
    pub releases: Vec<Contained>,
    /// Every other member, in their order: first the index, notes and roles by path, then objects by path.
    pub members: Vec<Member>,
}

/// A release in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Contained {
    /// Its version.
    pub version: String,
    /// Which release it is.
    pub release: ReleaseId,
}

/// A file in a bundle. Its path is its place in a depot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Member {
    /// Relative to a depot's root.
    pub path: String,
    /// Digest of its bytes.
    pub sha256: Sha256Digest,
    /// Bytes.
    pub size: u64,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The index.
    Index,
    /// Officers' notes on a release.
    Words(ReleaseId),
    /// A document of the roles, by its name.
    Role(String),
    /// An object.
    Object,
}

impl Contents {
    /// Of an index and the other members, in their order. Refuses what can not be a bundle.
    pub fn of(index: &Index, members: Vec<Member>) -> Result<Self, BundleErrorKind> {
        let (appliance, channel) = (index.appliance.clone(), index.channel.clone());
        let contents = Self { format: FORMAT, appliance, channel, releases: contained(index), members };
        contents.check().map(|()| contents)
    }

    /// Reads `bundle.json`. What it lists can be a member of a bundle and is within its limits.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleErrorKind> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        let FormatOnly { format } = serde_json::from_slice(bytes).map_err(BundleErrorKind::Contents)?;
        if format != FORMAT {
            return Err(BundleErrorKind::Format { found: format });
        }
        let contents: Self = serde_json::from_slice(bytes).map_err(BundleErrorKind::Contents)?;
        if contents.to_bytes() != bytes {
            return Err(BundleErrorKind::Form);
        }
        contents.check()?;
        Ok(contents)
    }

    fn check(&self) -> Result<(), BundleErrorKind> {
        let names = self.appliance.split_once('/').unwrap_or((&self.appliance, ""));
        if let Some(name) = [names.0, names.1, &self.channel].into_iter().find(|name| !is_path_name(name)) {
            return Err(BundleErrorKind::Path { path: name.chars().take(80).collect() });
        }
        if self.members.len() > MEMBER_LIMIT {
            return Err(BundleErrorKind::TooMany { what: "members", limit: MEMBER_LIMIT as u64 });
        }
        let ids: BTreeSet<ReleaseId> = self.releases.iter().map(|it| it.release).collect();
        let (mut last, mut documents) = (None, 0_u64);
        for member in &self.members {
            let path = || member.path.chars().take(200).collect::<String>();
            let kind = self.kind(member, &ids).ok_or_else(|| BundleErrorKind::Path { path: path() })?;
            let limit = kind.limit();
            if member.size > limit {
                return Err(BundleErrorKind::TooLong { path: path(), size: member.size, limit });
            }
            let place = Some((kind == Kind::Object, member.path.as_str()));
            if place <= last {
                return Err(BundleErrorKind::Order { path: path() });
            }
            last = place;
            documents += if kind == Kind::Object { 0 } else { member.size };
            if documents > DOCUMENTS_LIMIT {
                return Err(BundleErrorKind::TooMany { what: "bytes of documents", limit: DOCUMENTS_LIMIT });
            }
        }
        Ok(())
    }

    /// What a member is; `None`: nothing that can be in this bundle. There is no other way for a path to get into a depot. `releases`: those
    /// of this bundle.
    pub fn kind(&self, member: &Member, releases: &BTreeSet<ReleaseId>) -> Option<Kind> {
        let path = member.path.as_str();
        if path == object_path(&member.sha256) {
            return Some(Kind::Object);
        }
        if path == index_path(&self.appliance, &self.channel) {
            return Some(Kind::Index);
        }
        if let Some(name) = path.strip_prefix(trust::FOLDER).and_then(|rest| rest.strip_prefix('/')) {
            return is_role_document(name).then(|| Kind::Role(name.to_owned()));
        }
        let name = path.rsplit('/').next()?.strip_suffix(".json")?;
        let release = name.parse::<ReleaseId>().ok().filter(|release| releases.contains(release))?;
        (path == words_path(&self.appliance, release)).then_some(Kind::Words(release))
    }

    /// Where each member's header is, by its path: it follows from the list, because an archive has one form.
    pub fn places(&self) -> BTreeMap<String, (u64, Member)> {
        let (mut at, mut places) = (archive::place_after(0, self.to_bytes().len() as u64).1, BTreeMap::new());
        for member in &self.members {
            places.insert(member.path.clone(), (at, member.clone()));
            at = archive::place_after(at, member.size).1;
        }
        places
    }

    /// `bundle.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a list of members has only string keys");
        bytes.push(b'\n');
        bytes
    }
}

impl Kind {
    fn limit(&self) -> u64 {
        match self {
            Self::Index => INDEX_LIMIT,
            Self::Words(_) => WORDS_LIMIT,
            Self::Role(_) => ROLE_LIMIT,
            Self::Object => OBJECT_LIMIT,
        }
    }
}

/// What `bundle.json` tells of an index.
pub fn contained(index: &Index) -> Vec<Contained> {
    let contained =
        |entry: &crate::IndexedRelease| Contained { version: entry.version.clone(), release: entry.id() };
    index.releases.iter().map(contained).collect()
}

/// Names that the roles' documents have: those that every server of files can serve.
pub fn is_role_document(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    name.ends_with(".json") && !name.starts_with('.') && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(members: Vec<Member>) -> Contents {
        let release = ReleaseId(Sha256Digest([7; 32]));
        let releases = vec![Contained { version: "1.0.0".into(), release }];
        let (appliance, channel) = ("acme/shop".to_owned(), "stable".to_owned());
        Contents { format: FORMAT, appliance, channel, releases, members }
    }

    fn member(path: &str, size: u64) -> Member {
        Member { path: path.to_owned(), sha256: Sha256Digest([1; 32]), size }
    }

    fn refused(members: Vec<Member>) -> String {
        Contents::parse(&contents(members).to_bytes()).expect_err("refused").to_string()
    }

    #[test]
    fn law_11_nothing_is_listed_that_is_no_file_of_a_depot() {
        for path in [
            "../x",
            "/etc/passwd",
            "tuf/../x.json",
            "tuf/.json",
            "tuf/a/b.json",
            "depot.json",
            ".trust",
            "objects/01/../x",
            "appliances/acme/shop/other.json",
            "appliances/acme/other/stable.json",
            "appliances/acme/shop/approvals/x.json",
        ] {
            let why = refused(vec![member(path, 1)]);
            assert!(why.contains("can not be a member of a bundle"), "{path}: {why}");
        }
        let foreign = words_path("acme/shop", ReleaseId(Sha256Digest([8; 32])));
        assert!(refused(vec![member(&foreign, 1)]).contains("can not be a member"));
        let good = words_path("acme/shop", ReleaseId(Sha256Digest([7; 32])));
        Contents::parse(&contents(vec![member(&good, 1)]).to_bytes()).expect("a note on its release");
    }

    #[test]
    fn law_11_each_limit_of_a_list_has_its_name() {
        let object = object_path(&Sha256Digest([1; 32]));
        assert!(refused(vec![member(&object, OBJECT_LIMIT + 1)]).contains("8589934591 is the most"));
        assert!(refused(vec![member("tuf/1.root.json", ROLE_LIMIT + 1)]).contains("4194304 is the most"));
        assert!(refused(vec![member(&object, 1), member(&object, 1)]).contains("twice, or out of order"));
        let roles = |count: usize, size| {
            (0..count).map(|number| member(&format!("tuf/{number:06}.a.json"), size)).collect::<Vec<_>>()
        };
        assert!(refused(roles(MEMBER_LIMIT + 1, 1)).contains("more than 16384 members"));
        assert!(refused(roles(17, ROLE_LIMIT)).contains("bytes of documents"));
        let spaced = [contents(Vec::new()).to_bytes(), b" ".to_vec()].concat();
        assert!(matches!(Contents::parse(&spaced), Err(BundleErrorKind::Form)));
    }
}
