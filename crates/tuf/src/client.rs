//! The detailed client workflow (specification, section 5).
//!
//! | step | what it does | what is stored, and what a crash after it leaves |
//! |---|---|---|
//! | 5.1 | the time is a value, compared with the last complete update's | nothing |
//! | 5.2 | the trusted root is loaded | nothing |
//! | 5.3 | newer roots are followed, one version at a time | each root, after snapshot and timestamp were dropped if their keys changed: the next update goes on from it |
//! | 5.4 | the newest timestamp | the timestamp: the next update asks for the snapshot it lists |
//! | 5.5 | its snapshot | the snapshot |
//! | 5.6 | its targets document | the targets document, then the time of the update |
//! | 5.6.7 | delegated documents, when a target is asked for | each of them |
//!
//! Documents are stored as they came, byte for byte, and only once every check has passed. What is stored is checked again at every
//! update: a store that was tampered with brings nothing in that was not signed.

mod roots;
mod search;
mod steps;

use std::io::Read as _;

use crate::document::Document;
use crate::error::{Error, ErrorKind};
use crate::fetch::{Fetch, FetchError};
use crate::hashes::Mismatch;
use crate::limits::Limits;
use crate::metadata::{MetaFile, Root, Snapshot, Targets, Timestamp};
use crate::names::RoleName;
use crate::store::Store;
use crate::threshold::Authority;
use crate::time::Time;

pub use search::Found;

/// The trusted root in a store.
pub const ROOT: &str = "root.json";
/// The trusted timestamp in a store.
pub const TIMESTAMP: &str = "timestamp.json";
/// The trusted snapshot in a store.
pub const SNAPSHOT: &str = "snapshot.json";
/// When the last update was complete, in a store: a line with a moment.
pub const LAST_UPDATE: &str = "last-update";

/// How far a clock may go back between two updates: as far as setting it right takes it.
const CLOCK_TOLERANCE: u64 = 3600;

/// Puts a first root into a store. It MUST have come in a way that can be trusted: with the sealed image, or in person.
///
/// The root has to be signed by itself; that says nothing about whose it is, and finds out a damaged one early.
pub fn trust_root(store: &mut dyn Store, root: &[u8]) -> Result<Root, Error> {
    let trusted = roots::read_root(root)?;
    store.write(ROOT, root).map_err(Error::store(ROOT, "written"))?;
    Ok(trusted)
}

/// An update that went through: fresh, consistent, signed. Targets can be asked for until it is dropped.
#[must_use = "an update is made to ask for targets"]
pub struct Updated<'a> {
    client: Client<'a>,
    root: Root,
    timestamp: Timestamp,
    snapshot: Snapshot,
    targets: Targets,
}

/// Brings the trusted documents up to date (5.1 to 5.6.6).
///
/// `now` MUST be a time that an attacker can not choose, as far as the machine can tell. It is the only time of this update, also for
/// targets that are asked for later.
pub fn update<'a>(
    store: &'a mut dyn Store,
    fetch: &'a mut dyn Fetch,
    limits: Limits,
    now: Time,
) -> Result<Updated<'a>, Error> {
    let mut client = Client { store, fetch, limits, now, damaged: Vec::new() };
    client.check_clock()?;
    let root = client.follow_roots()?;
    let timestamp = client.newest_timestamp(&root)?;
    let snapshot = client.listed_snapshot(&root, &timestamp)?;
    let authority = Authority::top_level(&root, crate::metadata::TopRole::Targets);
    let targets = client.listed_targets(&root, &snapshot, &RoleName::targets(), &authority)?;
    client
        .store
        .write(LAST_UPDATE, format!("{now}\n").as_bytes())
        .map_err(Error::store(LAST_UPDATE, "written"))?;
    Ok(Updated { client, root, timestamp, snapshot, targets })
}

impl Updated<'_> {
    /// The trusted root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The trusted timestamp.
    pub fn timestamp(&self) -> &Timestamp {
        &self.timestamp
    }

    /// The trusted snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The trusted top-level targets document.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Trusted documents that were there and that their roles did not sign: the store was damaged, or tampered with, and what they said
    /// about older versions is lost. They were replaced. Whoever looks after the machine should know.
    pub fn damaged(&self) -> &[&'static str] {
        &self.client.damaged
    }

    /// When what was found here has to be asked for again: the first of all documents to expire.
    pub fn fresh_until(&self) -> Time {
        let Self { root, timestamp, snapshot, targets, .. } = self;
        [root.expires, timestamp.expires, snapshot.expires, targets.expires]
            .into_iter()
            .min()
            .expect("four moments")
    }
}

/// What one update works with.
struct Client<'a> {
    store: &'a mut dyn Store,
    fetch: &'a mut dyn Fetch,
    limits: Limits,
    now: Time,
    /// Trusted documents that were there and were not what was stored.
    damaged: Vec<&'static str>,
}

impl Client<'_> {
    /// 5.1, and against a clock that is set back to make old documents fresh: the last update's time is remembered. A far time is
    /// never remembered: at such a time the timestamp would have expired.
    fn check_clock(&mut self) -> Result<(), Error> {
        let text = self.stored(LAST_UPDATE)?;
        let is_there = text.is_some();
        let last = text.and_then(|text| String::from_utf8(text).ok()?.trim_end().parse::<Time>().ok());
        if is_there && last.is_none() {
            self.damaged.push(LAST_UPDATE);
        }
        match last {
            Some(last) if self.now.0.saturating_add(CLOCK_TOLERANCE) < last.0 => {
                Err(Error::new("the clock", ErrorKind::ClockBehind { now: self.now, last }))
            }
            _ => Ok(()),
        }
    }

    /// Asks one place after the other for a document, until one has one that is accepted. Nothing of what is refused is kept.
    fn bring<T>(
        &mut self,
        name: &str,
        limit: u64,
        mut accept: impl FnMut(&[u8]) -> Result<T, ErrorKind>,
    ) -> Result<(T, Vec<u8>), Nothing> {
        let mut nothing = Nothing { is_missing: false, failure: None };
        for place in 0..self.fetch.places() {
            let outcome = match self.read(name, place, limit) {
                Ok(Some(bytes)) => accept(&bytes).map(|accepted| (accepted, bytes)),
                Ok(None) => {
                    nothing.is_missing = true;
                    continue;
                }
                Err(kind) => Err(kind),
            };
            match outcome {
                Ok(brought) => return Ok(brought),
                Err(kind) => {
                    let error = Error::new(self.fetch.called(name, place), kind);
                    // The first refusal says most, more than a place that can not be reached.
                    if nothing
                        .failure
                        .as_ref()
                        .is_none_or(|earlier| !earlier.is_refusal() && error.is_refusal())
                    {
                        nothing.failure = Some(error);
                    }
                }
            }
        }
        Err(nothing)
    }

    /// The same for a document that has to be there.
    fn bring_listed<T>(
        &mut self,
        name: &str,
        limit: u64,
        accept: impl FnMut(&[u8]) -> Result<T, ErrorKind>,
    ) -> Result<(T, Vec<u8>), Error> {
        self.bring(name, limit, accept).map_err(|nothing| {
            nothing.failure.unwrap_or_else(|| Error::new(self.fetch.called(name, 0), ErrorKind::Missing))
        })
    }

    /// The same for a document that need not be there. A place that does not have it is believed, whatever others answer: one that
    /// answers nonsense to everything would keep clients from updating for ever.
    fn bring_if_there<T>(
        &mut self,
        name: &str,
        limit: u64,
        accept: impl FnMut(&[u8]) -> Result<T, ErrorKind>,
    ) -> Result<Option<(T, Vec<u8>)>, Error> {
        match self.bring(name, limit, accept) {
            Ok(brought) => Ok(Some(brought)),
            Err(Nothing { is_missing: false, failure: Some(failure) }) => Err(failure),
            Err(_) => Ok(None),
        }
    }

    fn read(&mut self, name: &str, place: usize, limit: u64) -> Result<Option<Vec<u8>>, ErrorKind> {
        let reader = match self.fetch.open(name, place) {
            Ok(reader) => reader,
            Err(FetchError::Missing) => return Ok(None),
            Err(FetchError::Unreachable(source)) => return Err(ErrorKind::Unreachable(source)),
        };
        let mut bytes = Vec::new();
        // One byte more than is taken: what is too long is told from what is just as long.
        reader
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| ErrorKind::Unreachable(Box::new(error)))?;
        if bytes.len() as u64 > limit { Err(ErrorKind::TooLong { limit }) } else { Ok(Some(bytes)) }
    }

    fn stored(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.store.read(name).map_err(Error::store(name, "read"))
    }

    fn keep(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.store.write(name, bytes).map_err(Error::store(name, "written"))
    }
}

/// No place has a document that is accepted.
struct Nothing {
    /// At least one place answered that it does not have it.
    is_missing: bool,
    failure: Option<Error>,
}

/// Compares bytes with what another document lists of them. Comes before their signatures: what lists them is trusted already (5.5.2).
fn check_listed(listed: &MetaFile, bytes: &[u8]) -> Result<(), ErrorKind> {
    let found = bytes.len() as u64;
    if let Some(listed) = listed.length.filter(|length| *length != found) {
        return Err(ErrorKind::OtherBytes(Mismatch::Length { found, listed }));
    }
    match &listed.hashes {
        Some(hashes) => hashes.check(bytes).map_err(ErrorKind::OtherBytes),
        None => Ok(()),
    }
}

/// A document that its role signed.
fn signed_by<B: crate::metadata::Body>(authority: &Authority, bytes: &[u8]) -> Result<B, ErrorKind> {
    let document = Document::parse(bytes)?;
    // The type first: another role's document gets its own message. Nothing of the body is used before the signatures are good.
    let body = document.body::<B>()?;
    authority.check(&document)?;
    Ok(body)
}

fn check_fresh(expires: Time, now: Time) -> Result<(), ErrorKind> {
    if expires > now { Ok(()) } else { Err(ErrorKind::Expired { expires, now }) }
}
