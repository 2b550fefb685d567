//! Making a bundle: decide what goes in, then write it under another name, and rename it once it is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use model::Sha256Digest;
use release::index::{Index, IndexedRelease, ObjectRef, index_path, object_path, words_path};
use release::statement::{STATEMENT_LIMIT, Statement};
use release::trust;
use release::version::Version;

use super::write::Writer;
use super::{CONTENTS, Contents, Member};
use crate::error::{DepotError, io};
use crate::folder::DepotFolder;
use crate::roles::{self, Served};
use crate::words;

/// What goes into a bundle.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// `vendor/name`; `None`: the only one in the depot.
    pub appliance: Option<&'a str>,
    /// The series of releases.
    pub channel: &'a str,
    /// Versions; none: the newest.
    pub releases: &'a [String],
    /// Versions that it has to lead from; none: all that the depot has patches from.
    pub from: &'a [String],
    /// Whether full images are in it, too.
    pub full: bool,
}

/// What was packed.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Its index.
    pub index: Index,
    /// Members besides `bundle.json`.
    pub members: usize,
    /// Bytes of the file.
    pub size: u64,
    /// When the roles' documents in it expire, seconds since 1970; `None`: nobody signed them.
    pub fresh_until: Option<u64>,
    /// Officers' notes in it.
    pub words: usize,
}

/// Writes a bundle to `out`.
pub fn pack(depot: &DepotFolder, selection: &Selection<'_>, out: &Path) -> Result<Packed, DepotError> {
    let index = select(depot, selection)?;
    let mut documents = BTreeMap::from([(index_path(&index.appliance, &index.channel), index.to_bytes())]);
    let mut notes = 0;
    for entry in &index.releases {
        let known = words::read(depot, &index.appliance, entry.id())?;
        if !known.is_empty() {
            documents.insert(words_path(&index.appliance, entry.id()), words::to_bytes(&known));
            notes += known.len();
        }
    }
    let served = roles::has_roles(depot).then(|| Served::read(depot)).transpose()?;
    let fresh_until = served.as_ref().and_then(|served| served.fresh_until);
    for (name, bytes) in served.into_iter().flat_map(|served| served.documents) {
        documents.insert(format!("{}/{name}", trust::FOLDER), bytes);
    }
    let objects = objects(depot, &index)?;
    let partial = out.with_file_name(format!(
        ".{}.partial",
        out.file_name().map_or("bundle".into(), |name| name.to_string_lossy())
    ));
    let written = write(depot, &index, &documents, &objects, &partial)
        .and_then(|()| fs::rename(&partial, out).map_err(io("write", out)));
    if let Err(error) = written {
        // Best effort: the error says what happened.
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    let size = fs::metadata(out).map_err(io("look at", out))?.len();
    Ok(Packed { index, members: documents.len() + objects.len(), size, fresh_until, words: notes })
}

fn write(
    depot: &DepotFolder,
    index: &Index,
    documents: &BTreeMap<String, Vec<u8>>,
    objects: &BTreeSet<ByPath>,
    to: &Path,
) -> Result<(), DepotError> {
    let digest = |bytes: &[u8]| Sha256Digest(<sha2::Sha256 as sha2::Digest>::digest(bytes).into());
    let mut members: Vec<Member> = documents
        .iter()
        .map(|(path, bytes)| Member { path: path.clone(), sha256: digest(bytes), size: bytes.len() as u64 })
        .collect();
    members.extend(objects.iter().map(|ByPath(path, object)| Member {
        path: path.clone(),
        sha256: object.sha256,
        size: object.size,
    }));
    let contents = Contents::of(index, members)
        .map_err(|kind| Box::new(super::BundleError { bundle: to.to_owned(), kind }))?;
    let bytes = contents.to_bytes();
    let mut writer = Writer::create(to)?;
    writer.member(CONTENTS, bytes.len() as u64, &mut bytes.as_slice())?;
    for member in &contents.members {
        let path = depot.path().join(&member.path);
        let mut from: Box<dyn Read> = match documents.get(&member.path) {
            Some(bytes) => Box::new(bytes.as_slice()),
            None => Box::new(File::open(&path).map_err(io("open", &path))?),
        };
        let found = writer.member(&member.path, member.size, &mut from)?;
        if found != member.sha256 {
            return Err(DepotError::Digest { path, expected: member.sha256, found });
        }
    }
    writer.finish()
}

/// The depot's index with what was asked for.
fn select(depot: &DepotFolder, selection: &Selection<'_>) -> Result<Index, DepotError> {
    let appliance = match selection.appliance {
        Some(appliance) => appliance.to_owned(),
        None => only_appliance(depot)?,
    };
    let no_version = |version: &str| DepotError::NoVersion {
        appliance: appliance.clone(),
        channel: selection.channel.to_owned(),
        version: version.to_owned(),
    };
    let index = depot.index(&appliance, selection.channel)?.ok_or_else(|| no_version("at all"))?;
    let find = |version: &str| {
        let found = index.releases.iter().find(|entry| entry.version == version);
        found.ok_or_else(|| no_version(version))
    };
    let wanted: Vec<&IndexedRelease> = match selection.releases {
        [] => {
            let newest = index.releases.iter().max_by_key(|it| it.version.parse::<Version>().ok());
            vec![newest.ok_or_else(|| no_version("at all"))?]
        }
        versions => versions.iter().map(|version| find(version)).collect::<Result<_, _>>()?,
    };
    let from = selection.from.iter().map(|version| find(version)).collect::<Result<Vec<_>, _>>()?;
    let is_wanted = |entry: &&IndexedRelease| wanted.iter().any(|wanted| wanted.id() == entry.id());
    let mut releases = Vec::new();
    for entry in index.releases.iter().filter(is_wanted) {
        let mut entry = entry.clone();
        let no_way = |from: Option<&IndexedRelease>| DepotError::NoWay {
            version: entry.version.clone(),
            from: from.map_or("an earlier release".to_owned(), |from| from.version.clone()),
        };
        let leads_from = |from: &IndexedRelease| entry.patches.iter().any(|it| it.from == Some(from.id()));
        let needs_patch = |from: &&&IndexedRelease| !selection.full && from.id() != entry.id();
        if let Some(missing) = from.iter().filter(needs_patch).find(|from| !leads_from(from)) {
            return Err(no_way(Some(missing)));
        }
        let none = no_way(None);
        entry.patches.retain(|patch| match patch.from {
            None => selection.full,
            Some(id) => from.is_empty() || from.iter().any(|from| from.id() == id),
        });
        if entry.patches.is_empty() {
            return Err(none);
        }
        releases.push(entry);
    }
    Ok(Index { releases, ..index })
}

fn only_appliance(depot: &DepotFolder) -> Result<String, DepotError> {
    let found: BTreeSet<String> = depot.indices()?.into_iter().map(|index| index.appliance).collect();
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(DepotError::WhichAppliance { path: depot.path().to_owned() }),
    }
}

/// An object in the order of paths.
#[derive(PartialEq, Eq)]
struct ByPath(String, ObjectRef);

impl PartialOrd for ByPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

fn objects(depot: &DepotFolder, index: &Index) -> Result<BTreeSet<ByPath>, DepotError> {
    let mut objects = BTreeSet::new();
    let mut add = |object: ObjectRef| objects.insert(ByPath(object_path(&object.sha256), object));
    for entry in &index.releases {
        let bytes = depot.read_object(&entry.statement, STATEMENT_LIMIT)?;
        let path = depot.object(&entry.statement.sha256);
        let statement = Statement::parse(&bytes).map_err(|source| DepotError::Statement { path, source })?;
        add(entry.statement);
        entry.proof.map(&mut add);
        for patch in &entry.patches {
            add(patch.object);
        }
        for document in &statement.documents {
            let path = depot.object(&document.sha256);
            // The statement's size is the release folder's; what lies there is what counts.
            let size = fs::metadata(&path).map_err(io("look at", &path))?.len();
            add(ObjectRef { sha256: document.sha256, size });
        }
    }
    Ok(objects)
}
