//! Taking a bundle into a depot. It is read once; its objects wait in the intake until all of it is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use ledger::note::Note;
use model::Sha256Digest;
use release::index::{Index, ObjectRef};
use release::statement::STATEMENT_LIMIT;
use release::trust::PROOF_LIMIT;

use release::bundle::archive::Reader;

use super::{BundleErrorKind, Contents, Kind, Member, contained, reader};
use crate::error::{DepotError, io};
use crate::folder::DepotFolder;
use crate::intake::Intake;
use crate::take::{Believing, Offer, Plan, Taken};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// What was taken.
    pub taken: Taken,
    /// Objects in the bundle.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Looks at the beginning of a file: whether it says that it is a bundle. Before a depot is made for it.
pub fn ensure_bundle(bundle: &Path) -> Result<(), DepotError> {
    let mut reader = reader(bundle)?;
    let bytes = reader.contents()?;
    Contents::parse(&bytes).map(drop).map_err(|kind| reader.refused(kind).into())
}

/// Checks a bundle as an appliance would check a depot, and makes it visible once everything is right. `now`: seconds since 1970.
pub fn import(
    bundle: &Path,
    depot: &DepotFolder,
    believing: Believing<'_>,
    now: u64,
) -> Result<Imported, DepotError> {
    let mut reader = reader(bundle)?;
    let bytes = reader.contents()?;
    let contents = Contents::parse(&bytes).map_err(|kind| reader.refused(kind))?;
    let releases: BTreeSet<_> = contents.releases.iter().map(|it| it.release).collect();
    let kind = |member: &Member| contents.kind(member, &releases).expect("BUG: members were checked");
    let is_object = |member: &&Member| kind(member) == Kind::Object;
    let (objects, documents): (Vec<&Member>, Vec<&Member>) = contents.members.iter().partition(is_object);

    let offer = read_offer(&mut reader, bundle, &contents, &documents, &kind)?;
    let mut intake = Intake::begin(depot)?;
    // Before the objects: what is not signed or goes back is refused before gigabytes are written.
    let plan = Plan::make(depot, believing, offer, now)?;
    let small = small_objects(&plan);
    let (mut waiting, mut kept) = (Vec::new(), BTreeMap::new());
    for member in &objects {
        let path = intake.path();
        let mut file = File::create_new(&path).map_err(io("create", &path))?;
        let keep = small.get(&member.sha256).is_some_and(|limit| member.size <= *limit);
        let mut bytes = Vec::new();
        reader.member(member, &mut |piece| {
            if keep {
                bytes.extend_from_slice(piece);
            }
            file.write_all(piece).map_err(io("write", &path))
        })?;
        if keep {
            kept.insert(member.sha256, bytes);
        }
        waiting.push((path, ObjectRef { sha256: member.sha256, size: member.size }));
    }
    let refused =
        |kind| -> DepotError { Box::new(super::BundleError { bundle: bundle.to_owned(), kind }).into() };
    reader.finish()?;

    let needed = needed(&plan, believing, &kept)?;
    let sizes: BTreeMap<Sha256Digest, u64> = objects.iter().map(|it| (it.sha256, it.size)).collect();
    for (object, (size, needed_by)) in &needed {
        let found = sizes.get(object);
        if found.is_none() || size.is_some_and(|size| found != Some(&size)) {
            let (object, needed_by) = (*object, needed_by.clone());
            return Err(refused(BundleErrorKind::Missing { object, needed_by }));
        }
    }
    if let Some(needless) = objects.iter().find(|member| !needed.contains_key(&member.sha256)) {
        return Err(refused(BundleErrorKind::Needless { path: needless.path.clone() }));
    }
    for (path, object) in waiting {
        intake.add_checked(path, object)?;
    }
    let taken = plan.take(intake)?;
    Ok(Imported { taken, objects: objects.len(), bytes: objects.iter().map(|it| it.size).sum() })
}

/// Index, notes and the roles' documents.
fn read_offer(
    reader: &mut Reader<File>,
    bundle: &Path,
    contents: &Contents,
    documents: &[&Member],
    kind: &dyn Fn(&Member) -> Kind,
) -> Result<Offer, DepotError> {
    let (mut index, mut roles, mut words) = (None, BTreeMap::new(), BTreeMap::new());
    for member in documents {
        let bytes = reader.whole(member)?;
        match kind(member) {
            Kind::Index => {
                let read = Index::parse(&bytes, &contents.appliance, &contents.channel);
                index = Some(read.map_err(|source| reader.refused(BundleErrorKind::Index(source)))?);
            }
            Kind::Words(release) => {
                let no_notes = || reader.refused(BundleErrorKind::Words { path: member.path.clone() });
                let notes: Vec<String> = serde_json::from_slice(&bytes).map_err(|_| no_notes())?;
                if notes.iter().any(|note| Note::parse(note.as_bytes()).is_err()) {
                    return Err(no_notes().into());
                }
                words.insert(release, notes);
            }
            Kind::Role(name) => {
                roles.insert(name, bytes);
            }
            Kind::Object => unreachable!("BUG: objects are no documents"),
        }
    }
    let index = index.ok_or_else(|| reader.refused(BundleErrorKind::NoIndex))?;
    if contained(&index) != contents.releases {
        return Err(reader.refused(BundleErrorKind::OtherReleases).into());
    }
    Ok(Offer { of: format!("the bundle `{}`", bundle.display()), index, roles, words, followed: None })
}

/// Objects that are read while they are written, with their limits.
fn small_objects(plan: &Plan) -> BTreeMap<Sha256Digest, u64> {
    let mut small = BTreeMap::new();
    for entry in plan.releases() {
        small.insert(entry.statement.sha256, STATEMENT_LIMIT);
        small.extend(entry.proof.map(|proof| (proof.sha256, PROOF_LIMIT)));
    }
    small
}

/// Every object that the releases need, with its size where the index tells it.
type Needed = BTreeMap<Sha256Digest, (Option<u64>, String)>;

fn needed(
    plan: &Plan,
    believing: Believing<'_>,
    kept: &BTreeMap<Sha256Digest, Vec<u8>>,
) -> Result<Needed, DepotError> {
    let mut needed = Needed::new();
    for entry in plan.releases() {
        let version = &entry.version;
        for document in plan.check_release(entry, believing, &|digest| kept.get(digest).cloned())? {
            needed.insert(document.sha256, (None, format!("{} of {version}", document.name)));
        }
        let mut add = |object: ObjectRef, what: &str| {
            needed.insert(object.sha256, (Some(object.size), format!("{what} {version}")));
        };
        add(entry.statement, "the statement of");
        entry.proof.into_iter().for_each(|proof| add(proof, "the ledger's proof of"));
        entry.patches.iter().for_each(|patch| add(patch.object, "a way to"));
    }
    Ok(needed)
}
