//! `snapshot.json` (4.4) and `timestamp.json` (4.6).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Body, SPEC_VERSION};
use crate::document::Document;
use crate::hashes::Hashes;
use crate::json::positive;
use crate::names::RoleName;
use crate::time::Time;

/// The name of a snapshot in a timestamp.
const SNAPSHOT: &str = "snapshot.json";

/// Which versions of all targets documents belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The specification's version.
    pub spec_version: String,
    /// Counts up with every snapshot.
    #[serde(deserialize_with = "positive")]
    pub version: u64,
    /// When a client stops trusting it.
    pub expires: Time,
    /// The documents, by `NAME.json`.
    pub meta: BTreeMap<String, MetaFile>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Which snapshot is the newest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timestamp {
    /// The specification's version.
    pub spec_version: String,
    /// Counts up with every timestamp.
    #[serde(deserialize_with = "positive")]
    pub version: u64,
    /// When a client stops trusting it: soon.
    pub expires: Time,
    /// The snapshot, and nothing else.
    pub meta: BTreeMap<String, MetaFile>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One version of another document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetaFile {
    /// Its version.
    #[serde(deserialize_with = "positive")]
    pub version: u64,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl MetaFile {
    /// The description of a document, with length and digest.
    pub fn of(version: u64, document: &Document) -> Self {
        let bytes = document.bytes();
        Self { version, length: Some(bytes.len() as u64), hashes: Some(Hashes::of(bytes)), extra: Map::new() }
    }
}

impl Snapshot {
    /// A snapshot of no document yet.
    pub fn new(version: u64, expires: Time) -> Self {
        let spec_version = SPEC_VERSION.to_owned();
        Self { spec_version, version, expires, meta: BTreeMap::new(), extra: Map::new() }
    }

    /// What it lists of a role.
    pub fn role(&self, role: &RoleName) -> Option<&MetaFile> {
        self.meta.get(&role.meta_path())
    }
}

impl Timestamp {
    /// A timestamp of a snapshot.
    pub fn new(version: u64, expires: Time, snapshot: MetaFile) -> Self {
        let meta = [(SNAPSHOT.to_owned(), snapshot)].into();
        Self { spec_version: SPEC_VERSION.to_owned(), version, expires, meta, extra: Map::new() }
    }

    /// What it lists of the snapshot.
    pub fn snapshot(&self) -> &MetaFile {
        self.meta.get(SNAPSHOT).expect("a timestamp was checked to list a snapshot")
    }
}

impl Body for Snapshot {
    const TYPE: &'static str = "snapshot";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    fn check(&self) -> Result<(), String> {
        match self.role(&RoleName::targets()) {
            Some(_) => Ok(()),
            None => Err("it does not list `targets.json`".to_owned()),
        }
    }
}

impl Body for Timestamp {
    const TYPE: &'static str = "timestamp";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    /// 4.6: a timestamp "MUST only include a description of the snapshot.json file".
    fn check(&self) -> Result<(), String> {
        if self.meta.len() == 1 && self.meta.contains_key(SNAPSHOT) {
            Ok(())
        } else {
            Err("it does not list `snapshot.json` and nothing else".to_owned())
        }
    }
}
