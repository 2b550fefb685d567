//! The maker's roles, checked from the root that the operator names and with what the depot remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read};

use release::ReleaseId;
use release::index::{Index, IndexedRelease, index_path};
use release::trust::{self, TrustError};
use tuf::client::{ROOT, SNAPSHOT, TIMESTAMP, Updated, trust_root, update};
use tuf::fetch::{Fetch, FetchError};
use tuf::{Limits, Time};

use super::{Followed, Offer, TakeError};
use crate::error::DepotError;
use crate::folder::{DepotFolder, read_limited};
use crate::intake::Intake;
use crate::roles::Served;

/// What a depot remembers of the roles whose releases it took: an object of names and documents as JSON. In one file, so that it is the
/// old one or the new one after a crash; beginning with a dot, so that it is not served.
pub const MEMORY: &str = ".trust";
/// Longest memory: all documents that a client keeps. Stops a foreign file from filling memory.
const MEMORY_LIMIT: u64 = 64 << 20;
/// The roles' list, as a client keeps it.
const TARGETS: &str = "targets.json";

type Kept = BTreeMap<String, Vec<u8>>;

/// Documents that are checked.
#[derive(Debug)]
pub(super) struct Believed {
    /// In the order in which they have to appear: lists, snapshot, roots, timestamp.
    documents: Vec<(String, Vec<u8>)>,
    memory: Vec<u8>,
    /// Seconds since 1970.
    pub(super) fresh_until: u64,
    /// Releases of a depot that follows its maker's which the roles list no more.
    pub(super) unlisted: BTreeSet<ReleaseId>,
}

impl Believed {
    /// The memory first: a crash after it leaves a depot that takes the same documents again, and no older ones.
    pub(super) fn add_to(self, intake: &mut Intake<'_>) {
        intake.replace(MEMORY.into(), self.memory);
        for (name, bytes) in self.documents {
            intake.replace(format!("{}/{name}", trust::FOLDER).into(), bytes);
        }
    }
}

/// Checks the roles' documents, and that they list every release of the offer.
pub(super) fn believe(
    depot: &DepotFolder,
    root: &[u8],
    offer: &Offer,
    known: Option<&Index>,
    now: u64,
) -> Result<Believed, DepotError> {
    let failed = |error| DepotError::from(Box::new(TakeError::Roles(Box::new(error))));
    // From the operator's root alone: what is served has to convince an appliance that knows nothing else.
    let mut fresh = Kept::new();
    let first = trust_root(&mut fresh, root).map_err(failed)?;
    let mut from_root = Offered::new(offer);
    let fresh_until;
    let mut listed = BTreeMap::new();
    {
        let mut updated = update(&mut fresh, &mut from_root, Limits::DEFAULT, Time(now)).map_err(failed)?;
        ensure_listed(&mut updated, offer)?;
        fresh_until = updated.fresh_until().0;
        listed.extend(updated.snapshot().meta.clone());
    }
    // With what the depot remembers: nothing goes back.
    let mut memory = remembered(depot)?;
    let kept = match memory.get(ROOT) {
        Some(kept) => {
            let damaged = |_| TakeError::Memory { path: depot.path().join(MEMORY) };
            Some(trust_root(&mut Kept::new(), kept).map_err(|error| Box::new(damaged(error)))?.version)
        }
        None => None,
    };
    if kept.is_none_or(|kept| kept < first.version) {
        trust_root(&mut memory, root).map_err(failed)?;
    }
    let mut from_memory = Offered::new(offer);
    let mut updated = update(&mut memory, &mut from_memory, Limits::DEFAULT, Time(now)).map_err(failed)?;
    ensure_listed(&mut updated, offer)?;
    let mut unlisted = BTreeSet::new();
    if let (Some(known), Some(_)) = (known, &offer.followed) {
        for entry in &known.releases {
            if !is_listed(&mut updated, known, entry, offer)? {
                unlisted.insert(entry.id());
            }
        }
    }
    drop(updated);
    if let Some(Followed { serial, .. }) = offer.followed {
        never_back(&mut memory, offer, serial)?;
    }

    let mut documents = Vec::new();
    for (name, bytes) in &offer.roles {
        // What no check has looked at is not served. Other appliances' lists are known by the snapshot's digest.
        let is_listed = name.split_once('.').is_some_and(|(version, name)| {
            listed.get(name).is_some_and(|file: &tuf::metadata::MetaFile| {
                version == file.version.to_string()
                    && file.hashes.as_ref().is_some_and(|hashes| hashes.check(bytes).is_ok())
            })
        });
        if is_listed || from_root.accepted.contains(name) {
            documents.push((name.clone(), bytes.clone()));
        }
    }
    documents.push((format!("{}.root.json", first.version), root.to_vec()));
    let order = |name: &str| match name {
        TIMESTAMP => 3,
        name if name.ends_with(".root.json") => 2,
        name if name.ends_with(".snapshot.json") => 1,
        _ => 0,
    };
    documents.sort_by_key(|(name, _)| order(name));
    Ok(Believed { documents, memory: to_bytes(&memory), fresh_until, unlisted })
}

fn ensure_listed(updated: &mut Updated<'_>, offer: &Offer) -> Result<(), DepotError> {
    for entry in &offer.index.releases {
        let of = || offer.of.clone();
        let listed = trust::listed(updated, &offer.index, entry)
            .map_err(|source| Box::new(TakeError::Trust { of: of(), source }))?;
        if listed.is_none() {
            return Err(Box::new(TakeError::NotListed { of: of(), version: entry.version.clone() }).into());
        }
    }
    Ok(())
}

/// Whether the roles list a release that the depot has, as it has it.
fn is_listed(
    updated: &mut Updated<'_>,
    known: &Index,
    entry: &IndexedRelease,
    offer: &Offer,
) -> Result<bool, DepotError> {
    match trust::listed(updated, known, entry) {
        Ok(listed) => Ok(listed.is_some()),
        Err(TrustError::OtherStatement { .. } | TrustError::Name(_)) => Ok(false),
        Err(source) => Err(Box::new(TakeError::Trust { of: offer.of.clone(), source }).into()),
    }
}

/// Nobody signs an index. An older one than was followed before would take away what its maker offers, and appliances refuse it, too.
fn never_back(memory: &mut Kept, offer: &Offer, serial: u64) -> Result<(), DepotError> {
    // Beside the roles' documents, whose names have no slash.
    let name = index_path(&offer.index.appliance, &offer.index.channel);
    let known = memory.get(&name).and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
    if let Some(known) = known.filter(|known| *known > serial) {
        return Err(Box::new(TakeError::OlderIndex { of: offer.of.clone(), found: serial, known }).into());
    }
    memory.insert(name, serial.to_string().into_bytes());
    Ok(())
}

/// What the depot knows. One that took nothing yet knows what it serves: its documents are checked like all others that are kept.
fn remembered(depot: &DepotFolder) -> Result<Kept, DepotError> {
    let path = depot.path().join(MEMORY);
    let damaged = || Box::new(TakeError::Memory { path: path.clone() });
    match read_limited(&path, MEMORY_LIMIT) {
        Ok(bytes) => {
            let texts: BTreeMap<String, String> = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
            if !texts.contains_key(ROOT) {
                return Err(damaged().into());
            }
            Ok(texts.into_iter().map(|(name, text)| (name, text.into_bytes())).collect())
        }
        Err(DepotError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            if !crate::roles::has_roles(depot) {
                return Ok(Kept::new());
            }
            let served = Served::read(depot)?;
            let kept = |name: &str| Some((name.to_owned(), served.newest(name)?.clone()));
            Ok([TIMESTAMP, SNAPSHOT, TARGETS].into_iter().filter_map(kept).collect())
        }
        Err(error) => Err(error),
    }
}

fn to_bytes(kept: &Kept) -> Vec<u8> {
    let texts: BTreeMap<&String, String> =
        kept.iter().map(|(name, bytes)| (name, String::from_utf8_lossy(bytes).into_owned())).collect();
    serde_json::to_vec(&texts).expect("texts are JSON")
}

/// The documents of an offer, and which of them a client took.
struct Offered<'a> {
    offer: &'a Offer,
    accepted: BTreeSet<String>,
}

impl<'a> Offered<'a> {
    fn new(offer: &'a Offer) -> Self {
        Self { offer, accepted: BTreeSet::new() }
    }
}

impl Fetch for Offered<'_> {
    /// There is one place: an update that went through accepted every document that was there.
    fn open(&mut self, name: &str, _: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        let bytes = self.offer.roles.get(name).ok_or(FetchError::Missing)?;
        self.accepted.insert(name.to_owned());
        Ok(Box::new(bytes.as_slice()))
    }

    fn called(&self, name: &str, _: usize) -> String {
        format!("{}/{name} of {}", trust::FOLDER, self.offer.of)
    }
}
