//! Looking after a depot: what is in it, whether it is whole, and what nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use model::Sha256Digest;
use release::Statement;
use release::index::{Index, ObjectRef};
use release::statement::STATEMENT_LIMIT;
use serde::Serialize;

use crate::error::{DepotError, io};
use crate::folder::{DepotFolder, OBJECTS, names_in};
use crate::intake::{Intake, object_of};
use crate::mirror::{ROOM, Room};
use crate::roles::{Prepared, Signing};

/// Something wrong with a depot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub enum Problem {
    /// An index or a statement refers to an object that is not there.
    Missing {
        /// The object.
        object: Sha256Digest,
        /// What refers to it: `example/lamp stable 1.0.0: the statement`.
        needed_by: String,
    },
    /// An object has other bytes than its name says.
    Rotten {
        /// The object.
        object: Sha256Digest,
        /// What refers to it.
        needed_by: String,
    },
    /// A statement can not be read, or is of another release than the index says.
    Statement {
        /// The object.
        object: Sha256Digest,
        /// What refers to it.
        needed_by: String,
        /// Why.
        why: String,
    },
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Releases in all indices.
    pub releases: usize,
    /// Objects that are there and needed.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Objects nobody refers to: left by a run that broke off, or by a removal.
    pub unreferenced: Vec<ObjectRef>,
}

/// Reads every object and compares: digests, references, statements.
pub fn check(depot: &DepotFolder) -> Result<Report, DepotError> {
    let mut report =
        Report { releases: 0, objects: 0, bytes: 0, problems: Vec::new(), unreferenced: Vec::new() };
    let indices = depot.indices()?;
    report.releases = indices.iter().map(|index| index.releases.len()).sum();
    let References { needed, problems, .. } = references(depot, &indices)?;
    report.problems = problems;
    for (digest, needed_by) in &needed {
        let path = depot.object(digest);
        if !path.is_file() {
            report.problems.push(Problem::Missing { object: *digest, needed_by: needed_by.clone() });
            continue;
        }
        let found = object_of(&path)?;
        if found.sha256 == *digest {
            report.objects += 1;
            report.bytes += found.size;
        } else {
            report.problems.push(Problem::Rotten { object: *digest, needed_by: needed_by.clone() });
        }
    }
    report.unreferenced =
        objects(depot)?.into_iter().filter(|object| !needed.contains_key(&object.sha256)).collect();
    Ok(report)
}

/// Takes a release out of a channel, with every patch that leads to it or from it; with `signing`, out of the list that the maker's roles
/// sign, too, and that first. Its objects stay until [`clean`] is called: appliances may be downloading them.
pub fn remove(
    depot: &DepotFolder,
    appliance: &str,
    channel: &str,
    version: &str,
    now: u64,
    signing: Option<&Signing<'_>>,
) -> Result<(), DepotError> {
    let intake = Intake::begin(depot)?;
    let (mut index, at) = place_of(depot, appliance, channel, version)?;
    let removed = index.releases.remove(at).id();
    for release in &mut index.releases {
        release.patches.retain(|patch| patch.from != Some(removed));
    }
    index.serial += 1;
    index.updated = now;
    intake.commit(&index, || match signing {
        Some(signing) => signing.withdraw(depot, appliance, channel, version),
        None => Ok(()),
    })
}

/// Makes the list that taking a release back takes, for its signers. Nothing is published.
pub fn prepare_removal(
    depot: &DepotFolder,
    appliance: &str,
    channel: &str,
    version: &str,
    signing: &Signing<'_>,
) -> Result<Prepared, DepotError> {
    place_of(depot, appliance, channel, version)?;
    signing.prepare_withdrawal(depot, appliance, channel, version)
}

/// The index of a channel, and where in it a version is.
fn place_of(
    depot: &DepotFolder,
    appliance: &str,
    channel: &str,
    version: &str,
) -> Result<(Index, usize), DepotError> {
    let no_version = || DepotError::NoVersion {
        appliance: appliance.to_owned(),
        channel: channel.to_owned(),
        version: version.to_owned(),
    };
    let index = depot.index(appliance, channel)?.ok_or_else(no_version)?;
    let at = index.releases.iter().position(|entry| entry.version == version).ok_or_else(no_version)?;
    Ok((index, at))
}

/// Removes objects nobody refers to, and what waits of a mirror that broke off. Returns the objects.
pub fn clean(depot: &DepotFolder) -> Result<Vec<ObjectRef>, DepotError> {
    // The lock keeps a publisher away, whose objects are not referred to yet.
    let _intake = Intake::begin(depot)?;
    if depot.path().join(ROOM).is_dir() {
        // A mirror that broke off, and nobody knows whether it goes on; one that goes on now keeps its own.
        match Room::open(depot) {
            Ok(room) => room.keep(&BTreeSet::new())?,
            Err(DepotError::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let References { needed, unread, .. } = references(depot, &depot.indices()?)?;
    // Documents are known from statements alone: without all statements nothing is known to be needless.
    if let Some(error) = unread.into_iter().next() {
        return Err(error);
    }
    let mut removed = Vec::new();
    for object in objects(depot)? {
        if !needed.contains_key(&object.sha256) {
            let path = depot.object(&object.sha256);
            fs::remove_file(&path).map_err(io("remove", &path))?;
            removed.push(object);
        }
    }
    Ok(removed)
}

/// What the indices lead to.
struct References {
    /// Objects, and what needs each.
    needed: BTreeMap<Sha256Digest, String>,
    /// Statements that are there and are none.
    problems: Vec<Problem>,
    /// Why each statement that could not be read could not.
    unread: Vec<DepotError>,
}

fn references(depot: &DepotFolder, indices: &[Index]) -> Result<References, DepotError> {
    let mut needed = BTreeMap::new();
    let (mut problems, mut unread) = (Vec::new(), Vec::new());
    for index in indices {
        for entry in &index.releases {
            let of = format!("{} {} {}", index.appliance, index.channel, entry.version);
            let object = entry.statement.sha256;
            needed.insert(object, format!("{of}: its statement"));
            if let Some(proof) = &entry.proof {
                needed.insert(proof.sha256, format!("{of}: its proof of the ledger"));
            }
            for patch in &entry.patches {
                let what = if patch.from.is_some() { "a patch" } else { "its full image" };
                needed.insert(patch.object.sha256, format!("{of}: {what}"));
            }
            match statement(depot, entry) {
                Ok(statement) => {
                    for document in statement.documents {
                        needed.insert(document.sha256, format!("{of}: {}", document.name));
                    }
                }
                // Told once, as missing or rotten.
                Err(error @ (DepotError::Io { .. } | DepotError::Digest { .. })) => unread.push(error),
                Err(error) => {
                    let (needed_by, why) = (format!("{of}: its statement"), chain(&error));
                    problems.push(Problem::Statement { object, needed_by, why });
                    unread.push(error);
                }
            }
        }
    }
    Ok(References { needed, problems, unread })
}

fn statement(depot: &DepotFolder, entry: &release::IndexedRelease) -> Result<Statement, DepotError> {
    let bytes = depot.read_object(&entry.statement, STATEMENT_LIMIT)?;
    let path = depot.object(&entry.statement.sha256);
    let statement =
        Statement::parse(&bytes).map_err(|source| DepotError::Statement { path: path.clone(), source })?;
    if statement.identity.version != entry.version {
        return Err(DepotError::FromUnknown { path, version: statement.identity.version });
    }
    Ok(statement)
}

/// Every object that is there, by name; what has no object's name is left out.
fn objects(depot: &DepotFolder) -> Result<Vec<ObjectRef>, DepotError> {
    let mut found = Vec::new();
    let root = depot.path().join(OBJECTS);
    for folder in names_in(&root)? {
        for name in names_in(&root.join(&folder))? {
            let Ok(sha256) = name.parse::<Sha256Digest>() else { continue };
            let path = root.join(&folder).join(&name);
            let size = fs::metadata(&path).map_err(io("look at", &path))?.len();
            found.push(ObjectRef { sha256, size });
        }
    }
    Ok(found)
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { object, needed_by } => write!(f, "{needed_by}: the object {object} is missing"),
            Self::Rotten { object, needed_by } => {
                write!(f, "{needed_by}: the object {object} has other bytes than its name says")
            }
            Self::Statement { object, needed_by, why } => {
                write!(f, "{needed_by}: the object {object} is no statement of it: {why}")
            }
        }
    }
}
