//! How the maker's roles list a release: one target of theirs, with what is worth knowing of it without its statement. Pure.

use model::Sha256Digest;
use serde_json::{Map, Value};
use tuf::metadata::TargetFile;
use tuf::{Hashes, TargetPath};

use crate::statement::{ReleaseId, Statement};
use crate::trust::{ROOT_HASH, SECURITY_ONLY_FROM, TrustError, target_path};

const VERSION: &str = "version";
const STATE_FORMAT: &str = "state-format";

/// A release as the roles list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// `vendor/name`.
    pub appliance: String,
    /// The series of releases.
    pub channel: String,
    /// Its version.
    pub version: String,
    /// Digest of its statement: which release it is.
    pub statement: ReleaseId,
    /// Bytes of its statement.
    pub length: u64,
    /// What the sealed root has to have.
    pub root_hash: Sha256Digest,
    /// Which form the state has.
    pub state_format: u32,
    /// Releases from which it brings security fixes and nothing else.
    pub security_only_from: Vec<ReleaseId>,
}

impl Listing {
    /// The only way in which a release is listed in a channel.
    pub fn of(statement: &Statement, channel: &str, security_only_from: &[ReleaseId]) -> Self {
        Self {
            appliance: statement.identity.id(),
            channel: channel.to_owned(),
            version: statement.identity.version.clone(),
            statement: statement.id(),
            length: statement.to_bytes().len() as u64,
            root_hash: statement.image.root_hash,
            state_format: statement.state_format.current,
            security_only_from: security_only_from.to_vec(),
        }
    }

    /// Where it is listed.
    pub fn path(&self) -> Result<TargetPath, TrustError> {
        target_path(&self.appliance, &self.channel, &self.version)
    }

    /// What is listed.
    pub fn file(&self) -> TargetFile {
        let from = self.security_only_from.iter().map(|release| Value::String(release.to_string())).collect();
        let custom = [
            (VERSION, Value::String(self.version.clone())),
            (ROOT_HASH, Value::String(self.root_hash.to_string())),
            (STATE_FORMAT, Value::String(self.state_format.to_string())),
            (SECURITY_ONLY_FROM, Value::Array(from)),
        ];
        let custom: Map<_, _> = custom.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        TargetFile::new(self.length, Hashes::sha256(&self.statement.to_string())).with_custom(custom)
    }

    /// Reads what is listed at a path. `None`: it is something else, or says more or less than this version would: nothing of it is left out
    /// of what a signer is shown.
    pub fn read(path: &str, file: &TargetFile) -> Option<Self> {
        let [vendor, name, channel, document] = path.split('/').collect::<Vec<_>>().try_into().ok()?;
        let custom = file.custom.as_ref()?;
        let text = |name: &str| custom.get(name)?.as_str();
        let from = custom.get(SECURITY_ONLY_FROM)?.as_array()?.iter();
        let listing = Self {
            appliance: format!("{vendor}/{name}"),
            channel: channel.to_owned(),
            version: document.strip_suffix(".json")?.to_owned(),
            statement: file.hashes.digest_by("sha256")?.parse().ok()?,
            length: file.length,
            root_hash: text(ROOT_HASH)?.parse().ok()?,
            state_format: text(STATE_FORMAT)?.parse().ok()?,
            security_only_from: from.map(|id| id.as_str()?.parse().ok()).collect::<Option<_>>()?,
        };
        (listing.file() == *file).then_some(listing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        Listing {
            appliance: "acme/shop".into(),
            channel: "stable".into(),
            version: "1.0.1".into(),
            statement: ReleaseId(Sha256Digest([1; 32])),
            length: 7,
            root_hash: Sha256Digest([2; 32]),
            state_format: 3,
            security_only_from: vec![ReleaseId(Sha256Digest([4; 32]))],
        }
    }

    #[test]
    fn a_listing_is_read_as_it_was_written() {
        let listing = listing();
        let path = listing.path().expect("a path");
        assert_eq!(path.as_str(), "acme/shop/stable/1.0.1.json");
        assert_eq!(Listing::read(path.as_str(), &listing.file()), Some(listing));
    }

    #[test]
    fn what_is_listed_in_another_way_is_no_listing() {
        let file = listing().file();
        // Its own words contradict its path.
        assert_eq!(Listing::read("acme/shop/stable/1.0.2.json", &file), None);
        for path in ["acme/shop/1.0.1.json", "acme/shop/stable/more/1.0.1.json", "acme/shop/stable/1.0.1"] {
            assert_eq!(Listing::read(path, &file), None, "{path}");
        }
        let path = "acme/shop/stable/1.0.1.json";
        let mut more = file.clone();
        more.custom.as_mut().expect("words").insert("urgent".into(), true.into());
        assert_eq!(Listing::read(path, &more), None);
        let mut beside = file.clone();
        beside.extra.insert("urgent".into(), true.into());
        assert_eq!(Listing::read(path, &beside), None);
        assert_eq!(Listing::read(path, &TargetFile { custom: None, ..file }), None);
    }
}
