//! Following a maker's depot: what is new comes, as it was signed, and what was withdrawn goes (docs/DEPOT.md, "A copy inside").
//!
//! Steps: (1) [`look`] brings the small files - the roles' documents from the root that the operator names, the index, officers' notes,
//! statements and proofs - and decides what of it is believed ([`crate::take`]) and which objects are missing; (2) [`Coming::bring`] looks at
//! the space, and downloads what is missing to a folder that is not served, each object compared with its digest; (3) all of it is
//! checked once more under the depot's lock, and goes through an [`Intake`]. Whatever breaks off before the end of (3) leaves what the depot
//! offers as it was; the same again goes on with what is here.
//!
//! Refuses: documents that go back, also the index, whose serial is remembered; anything beyond its limit in bytes or in time.

mod documents;
mod error;
mod place;
mod room;
mod select;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use ledger::policy::Policy;
use model::Sha256Digest;
use release::index::{Index, IndexedRelease, ObjectRef, object_path};
use release::statement::STATEMENT_LIMIT;
use release::trust::{self, PROOF_LIMIT, TrustError};
use tuf::client::{Updated, trust_root, update};
use tuf::{Limits, Time};

use crate::bundle::OBJECT_LIMIT;
use crate::error::{DepotError, io};
use crate::folder::{DepotFolder, ensure_name};
use crate::intake::Intake;
use crate::take::{Believing, Followed, Offer, Plan, TakeError, Taken};
use documents::{Documents, Roles};
use room::Event;

pub use error::{MirrorError, MirrorErrorKind};
pub use place::{Patience, Place};
pub use room::ROOM;
pub(crate) use room::Room;
pub use select::{Skipped, Wanted, Why};

/// Stays free on the disk: for the documents, and for whatever else writes there.
const RESERVE: u64 = 16 << 20;
/// For the depot's lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// What is followed, and whom the depot believes.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `vendor/name`; `None`: the only one that the maker's roles list in this channel.
    pub appliance: Option<&'a str>,
    /// The series of releases.
    pub channel: &'a str,
    /// What of it comes.
    pub wanted: Wanted<'a>,
    /// The root that appliances are sealed with, or an older one.
    pub root: &'a [u8],
    /// What the ledger's proofs have to fulfil; `None`: they are carried along and not checked.
    pub policy: Option<&'a Policy>,
    /// Seconds since 1970.
    pub now: u64,
}

impl<'a> Request<'a> {
    fn believing(&self) -> Believing<'a> {
        Believing::Maker { root: self.root, policy: self.policy }
    }
}

/// What would come. Nothing of it is visible yet.
#[must_use = "nothing comes before it is brought"]
pub struct Coming<'a> {
    place: &'a Place,
    depot: &'a DepotFolder,
    request: Request<'a>,
    offer: Offer,
    /// Statements and proofs that the depot does not have.
    small: BTreeMap<Sha256Digest, Vec<u8>>,
    /// Every object that the releases need, and what needs it.
    needed: BTreeMap<Sha256Digest, (ObjectRef, String)>,
    /// What it is.
    pub summary: Summary,
}

/// What would come, in numbers.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The maker's index with the releases that are wanted, believed and led to.
    pub index: Index,
    /// Those of them that the depot does not have.
    pub new_releases: Vec<release::ReleaseId>,
    /// Releases that do not come, and why.
    pub skipped: Vec<Skipped>,
    /// Releases that the depot has and that their maker withdrew.
    pub withdrawn: Vec<IndexedRelease>,
    /// Objects that the depot does not have.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How many of the bytes are here from a run that broke off.
    pub here: u64,
    /// Bytes that are free on the depot's disk.
    pub free: u64,
}

/// What bringing tells while it goes on.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// So many bytes of all that are missing are here.
    Bytes {
        /// Bytes.
        done: u64,
        /// What they are of: `a way to 1.0.1`.
        of: &'a str,
    },
    /// The other depot breaks off, and is asked again.
    Again {
        /// What was asked for.
        of: &'a str,
        /// Why it is asked again.
        why: &'a MirrorErrorKind,
    },
    /// Everything is here.
    Commit,
}

/// Step 1. Downloads small files only, and writes nothing.
pub fn look<'a>(
    place: &'a Place,
    depot: &'a DepotFolder,
    request: Request<'a>,
) -> Result<Coming<'a>, DepotError> {
    place.ensure_depot().map_err(Box::new)?;
    let documents = Documents::of(place);
    let of = format!("the depot `{}`", place.name());
    let (mut offer, skipped) = believed_offer(&documents, &of, depot, &request)?;
    for entry in &offer.index.releases {
        let notes = documents.words(&offer.index.appliance, entry.id()).map_err(Box::new)?;
        if !notes.is_empty() {
            offer.words.insert(entry.id(), notes);
        }
    }
    let plan = {
        let _lock = when_free(|| depot.lock())?;
        Plan::make(depot, request.believing(), offer, request.now)?
    };
    let mut small = BTreeMap::new();
    let mut needed = BTreeMap::new();
    for entry in plan.releases() {
        let statement = (Some(entry.statement), STATEMENT_LIMIT);
        for (object, limit) in [statement, (entry.proof, PROOF_LIMIT)] {
            let Some(object) = object.filter(|object| !has(depot, object)) else { continue };
            small.insert(object.sha256, documents.object(&object, limit).map_err(Box::new)?);
        }
        need(depot, &plan, entry, request.believing(), &small, &mut needed)?;
    }
    if let Some((object, _)) = needed.values().find(|(object, _)| object.size > OBJECT_LIMIT) {
        let kind = MirrorErrorKind::TooLong { limit: OBJECT_LIMIT };
        return Err(Box::new(place.wrong(&object_path(&object.sha256), kind)).into());
    }
    let mut summary = Summary {
        index: Index { releases: plan.releases().to_vec(), ..plan.offered().clone() },
        new_releases: plan.new_releases().to_vec(),
        skipped,
        withdrawn: plan.withdrawn().to_vec(),
        objects: 0,
        bytes: 0,
        here: 0,
        free: free(depot)?,
    };
    for (object, _) in needed.values().filter(|(object, _)| !has(depot, object)) {
        summary.objects += 1;
        summary.bytes = summary.bytes.saturating_add(object.size);
        let waits = fs::metadata(depot.path().join(ROOM).join(object.sha256.to_string()));
        summary.here += waits.map_or(0, |found| found.len().min(object.size));
    }
    Ok(Coming { place, depot, request, offer: plan.into_offer(), small, needed, summary })
}

impl Coming<'_> {
    /// Steps 2 and 3.
    pub fn bring(self, progress: &dyn Fn(Progress<'_>)) -> Result<Taken, DepotError> {
        let Self { place, depot, request, offer, small, needed, summary } = self;
        let room = Room::open(depot)?;
        let is_missing = |object: &ObjectRef| !has(depot, object) && !small.contains_key(&object.sha256);
        let missing: BTreeMap<Sha256Digest, &(ObjectRef, String)> = needed
            .iter()
            .filter(|(_, (object, _))| is_missing(object))
            .map(|(digest, wanted)| (*digest, wanted))
            .collect();
        room.keep(&missing.keys().copied().collect())?;
        let (needs, free) = ((summary.bytes - summary.here).saturating_add(RESERVE), free(depot)?);
        if needs > free {
            return Err(DepotError::NoSpace { path: depot.path().to_owned(), needs, free });
        }
        let mut before: u64 = small.values().map(|bytes| bytes.len() as u64).sum();
        for (object, what) in missing.values() {
            room.bring(place, object, &mut |event| match event {
                Event::Here(bytes) => progress(Progress::Bytes { done: before + bytes, of: what }),
                Event::Again(why) => progress(Progress::Again { of: what, why }),
            })?;
            before += object.size;
        }
        progress(Progress::Commit);
        let mut intake = when_free(|| Intake::begin(depot))?;
        let plan = Plan::make(depot, request.believing(), offer, request.now)?;
        for entry in plan.releases() {
            need(depot, &plan, entry, request.believing(), &small, &mut BTreeMap::new())?;
        }
        for bytes in small.values() {
            intake.write(bytes)?;
        }
        for (object, _) in missing.values() {
            intake.add_checked(room.path(object), *object)?;
        }
        let is_coming =
            |object: &ObjectRef| small.contains_key(&object.sha256) || missing.contains_key(&object.sha256);
        // Somebody cleaned the depot meanwhile: what was here is not.
        if let Some((object, _)) =
            needed.values().find(|(object, _)| !is_coming(object) && !has(depot, object))
        {
            let path = depot.object(&object.sha256);
            let source = std::io::ErrorKind::NotFound.into();
            return Err(DepotError::Io { action: "find", path, source });
        }
        plan.take(intake)
    }
}

/// The roles' documents, the index, and what of it is believed and wanted.
fn believed_offer(
    documents: &Documents<'_>,
    of: &str,
    depot: &DepotFolder,
    request: &Request<'_>,
) -> Result<(Offer, Vec<Skipped>), DepotError> {
    let failed = |error| DepotError::from(Box::new(TakeError::Roles(Box::new(error))));
    let mut store: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    trust_root(&mut store, request.root).map_err(failed)?;
    let mut roles = Roles::of(documents);
    let mut updated = update(&mut store, &mut roles, Limits::DEFAULT, Time(request.now)).map_err(failed)?;
    let appliance = match request.appliance {
        Some(appliance) => appliance.to_owned(),
        None => only_appliance(&updated, depot, request.channel)?
            .ok_or_else(|| DepotError::WhichAppliance { path: documents.place().name().into() })?,
    };
    let parts = appliance.split_once('/').unwrap_or((&appliance, ""));
    ensure_name("a vendor", parts.0)?;
    ensure_name("an appliance", parts.1)?;
    ensure_name("a channel", request.channel)?;
    let index = documents.index(&appliance, request.channel).map_err(Box::new)?;
    let (offered, skipped) = select::select(&index, &request.wanted, |entry| {
        Ok(match trust::listed(&mut updated, &index, entry) {
            Ok(None) | Err(TrustError::Name(_)) => Some(Why::NotListed),
            Ok(Some(_)) if request.policy.is_some() && entry.proof.is_none() => Some(Why::NoProof),
            Ok(Some(_)) => None,
            Err(source) => return Err(Box::new(TakeError::Trust { of: of.to_owned(), source }).into()),
        })
    })?;
    let meta = updated.snapshot().meta.clone();
    drop(updated);
    roles.bring_listed(&meta).map_err(Box::new)?;
    let releases = index.releases.iter().map(IndexedRelease::id).collect();
    let followed = Some(Followed { serial: index.serial, releases });
    let (of, words) = (of.to_owned(), BTreeMap::new());
    Ok((Offer { of, index: offered, roles: roles.kept, words, followed }, skipped))
}

/// The one appliance of which the roles list releases in a channel.
fn only_appliance(
    updated: &Updated<'_>,
    depot: &DepotFolder,
    channel: &str,
) -> Result<Option<String>, DepotError> {
    // What it follows already; otherwise the one that its maker signs. Roles that the list delegates to are not asked: there are others, then.
    let mut found: BTreeSet<String> = depot
        .indices()?
        .into_iter()
        .filter(|index| index.channel == channel)
        .map(|index| index.appliance)
        .collect();
    if found.is_empty() && updated.targets().delegations.is_none() {
        found = updated
            .targets()
            .targets
            .keys()
            .filter_map(|path| match path.split('/').collect::<Vec<_>>()[..] {
                [vendor, name, of, _] if of == channel => Some(format!("{vendor}/{name}")),
                _ => None,
            })
            .collect();
    }
    let is_one = found.len() == 1;
    Ok(found.into_iter().next().filter(|_| is_one))
}

/// Checks statement and proof of a release, and adds the objects that it needs.
fn need(
    depot: &DepotFolder,
    plan: &Plan,
    entry: &IndexedRelease,
    believing: Believing<'_>,
    small: &BTreeMap<Sha256Digest, Vec<u8>>,
    needed: &mut BTreeMap<Sha256Digest, (ObjectRef, String)>,
) -> Result<(), DepotError> {
    let version = &entry.version;
    let read = |digest: &Sha256Digest| match small.get(digest) {
        Some(bytes) => Some(bytes.clone()),
        None => {
            let objects = [Some(entry.statement), entry.proof];
            let object = objects.into_iter().flatten().find(|object| object.sha256 == *digest)?;
            depot.read_object(&object, STATEMENT_LIMIT.max(PROOF_LIMIT)).ok()
        }
    };
    let mut add = |object: ObjectRef, what: String| needed.insert(object.sha256, (object, what));
    for document in plan.check_release(entry, believing, &read)? {
        let object = ObjectRef { sha256: document.sha256, size: document.size };
        add(object, format!("{} of {version}", document.name));
    }
    add(entry.statement, format!("the statement of {version}"));
    entry.proof.map(|proof| add(proof, format!("the ledger's proof of {version}")));
    for patch in &entry.patches {
        let what = if patch.from.is_some() { "a patch to" } else { "the full image of" };
        add(patch.object, format!("{what} {version}"));
    }
    Ok(())
}

/// Waits for another writer, as long as an officer needs to say something: what was downloaded for hours is not put off by that.
fn when_free<T>(begin: impl Fn() -> Result<T, DepotError>) -> Result<T, DepotError> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match begin() {
            Err(DepotError::Busy { .. }) if Instant::now() < until => std::thread::sleep(LOCK_WAIT / 50),
            outcome => return outcome,
        }
    }
}

/// Whether the depot has an object. Its bytes are not read: they were when it came, and `depot check` reads them all.
fn has(depot: &DepotFolder, object: &ObjectRef) -> bool {
    fs::metadata(depot.object(&object.sha256))
        .is_ok_and(|found| found.is_file() && found.len() == object.size)
}

/// Bytes that are free on a depot's disk.
fn free(depot: &DepotFolder) -> Result<u64, DepotError> {
    let space =
        rustix::fs::statvfs(depot.path()).map_err(|error| io("look at", depot.path())(error.into()))?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}
