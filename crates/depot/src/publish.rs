//! Adding a release to a depot, by [`publish`]: decide first, then do.
//!
//! Steps: (1) the release folder is read, every digest compared, and the index asked whether the release may come;
//! (2) objects are made in the intake: statement, documents, full image, patches from the last releases; (3) the statement goes through
//! its stages: the maker's roles sign it, then it is entered into the ledger, and its proof becomes an object, too; (4) the intake
//! commits: objects, the roles' documents, then the index. Only then is the release `Published`.

use std::fs;
use std::path::{Path, PathBuf};

use ledger::policy::Policy;
use model::definition::Definition;
use release::index::{Index, IndexedRelease, ObjectRef, PATCH_LIMIT, PatchRef, RELEASE_LIMIT};
use release::stages::{Drafted, Entry, Logged, Published, Signatures};
use release::statement::STATEMENT_LIMIT;
use release::version::Version;
use release::{ReleaseFolder, ReleaseId, Statement, names};

use crate::error::{DepotError, io};
use crate::folder::DepotFolder;
use crate::intake::Intake;
use crate::roles::{self, Listed, Prepared, RolesError, Signing};
use crate::ways::{ImageFiles, Recipe, Ways};

/// Longest definition in a release folder. Stops a folder from elsewhere from filling memory.
const DEFINITION_LIMIT: u64 = 4 << 20;
/// A way that needs more memory than every appliance has gets a companion that needs less.
pub(crate) const EVERYBODYS_MEMORY: u64 = 64 << 20;

/// What to publish, and how.
#[derive(Clone)]
pub struct Request<'a> {
    /// The release folder.
    pub release: &'a Path,
    /// The series of releases.
    pub channel: &'a str,
    /// What the maker says of it.
    pub notes: Option<String>,
    /// From how many earlier releases patches are made.
    pub patches: usize,
    /// Release folders of earlier releases, which need not be rebuilt from the depot then.
    pub from: &'a [PathBuf],
    /// Seconds since 1970.
    pub now: u64,
    /// Releases from which it is proven to bring security fixes and nothing else.
    pub security_only_from: Vec<ReleaseId>,
    /// Who signs; `None`: nobody.
    pub signing: Option<Signing<'a>>,
    /// The ledger that has to have it; `None`: the maker has none.
    pub ledger: Option<Ledger<'a>>,
}

/// What enters a record into a ledger.
pub type Enter<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// A ledger that releases are entered into.
#[derive(Clone, Copy)]
pub struct Ledger<'a> {
    /// What appliances ask of its proofs.
    pub policy: &'a Policy,
    /// Enters a record and returns its proof. Entering it again returns a proof again.
    pub enter: &'a Enter<'a>,
}

/// What goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The release folder's digests are compared.
    Check,
    /// The full image is written.
    Full,
    /// An earlier release is made again from its full image.
    Rebuild {
        /// Its version.
        version: String,
    },
    /// A patch is made.
    Patch {
        /// The version it leads from.
        from: String,
        /// Whether the kernel may be made again by compressing.
        recipe: Recipe,
    },
    /// The maker's roles sign it.
    Sign,
    /// It is entered into the ledger.
    Log,
    /// Everything is made visible.
    Commit,
}

/// Told how far publishing has come: the step, and parts of 1000 of it.
pub type Progress<'a> = &'a (dyn Fn(&Step, u64) + Sync);

/// What was published.
#[derive(Debug)]
pub struct Summary {
    /// Which release.
    pub published: Published,
    /// What the index says of it.
    pub entry: IndexedRelease,
    /// Whether it was there before, and nothing was done.
    pub is_old: bool,
    /// The index's serial.
    pub serial: u64,
}

/// Publishes a release.
pub fn publish(
    depot: &DepotFolder,
    request: &Request<'_>,
    ways: &dyn Ways,
    progress: Progress<'_>,
) -> Result<Summary, DepotError> {
    let mut intake = Intake::begin(depot)?;
    progress(&Step::Check, 0);
    let release = ReleaseFolder::open(request.release)?;
    release.check_digests(|_| ())?;
    let (statement, definition) = statement_of(&release)?;
    check_trust(depot, request, &definition)?;
    let appliance = statement.identity.id();
    let index = depot.index(&appliance, request.channel)?;
    let index = index.unwrap_or_else(|| Index::new(appliance.clone(), request.channel.to_owned()));
    if let Some(entry) = check_place(&index, &statement)? {
        let (serial, entry) = (index.serial, entry.clone());
        // What is there was signed and logged when it came.
        let there = Drafted::new(statement).sign(Signatures::listed_before()).log(Entry::none());
        return Ok(Summary { published: there.published(), entry, is_old: true, serial });
    }
    let earlier = earlier(&index, request, &appliance)?;
    if let Some(signing) = request.signing.filter(|signing| signing.signed.is_some()) {
        // Before hours of patches: what was signed elsewhere has to be what is asked for. It is read again when its turn comes.
        signing.list(depot, request.channel, &statement, &request.security_only_from)?;
    }

    let object = intake.write(&statement.to_bytes())?;
    debug_assert_eq!(object.sha256, statement.id().0);
    for document in &statement.documents {
        intake.copy(&release.artifact(document.name.as_str())?, document.sha256)?;
    }
    let image = image_files(&release, &statement)?;
    let mut patches = Vec::new();
    let full = make_full(&mut intake, ways, &image, progress)?;
    let full_size = full.object.size;
    patches.push(full);
    for from in &earlier {
        let made = make_patches(&mut intake, ways, from, &image, progress)?;
        // Nobody downloads a patch that is larger than the full image.
        patches.extend(made.into_iter().filter(|patch| patch.object.size < full_size));
    }
    patches.truncate(PATCH_LIMIT);

    let (logged, listed) = stages(depot, request, statement, progress)?;
    let statement = logged.statement();
    let proof = logged.entry().proof().map(|proof| intake.write(proof)).transpose()?;

    progress(&Step::Commit, 0);
    let entry = IndexedRelease {
        version: statement.identity.version.clone(),
        statement: object,
        published: request.now,
        notes: request.notes.clone(),
        proof,
        security_only_from: request.security_only_from.clone(),
        patches,
    };
    let mut next = index;
    next.serial += 1;
    next.updated = request.now;
    next.releases.push(entry.clone());
    let serial = next.serial;
    intake.commit(&next, || match (&request.signing, listed) {
        (Some(signing), Some(listed)) => signing.publish(depot, listed),
        _ => Ok(()),
    })?;
    Ok(Summary { published: logged.published(), entry, is_old: false, serial })
}

/// Makes the list that publishing the release takes, for its signers: everything is checked that can be, and nothing is published or logged.
pub fn prepare(depot: &DepotFolder, request: &Request<'_>) -> Result<Prepared, DepotError> {
    let Some(signing) = &request.signing else {
        return Err(DepotError::Unsigned { what: "a list is prepared for signers, and no root names them" });
    };
    let release = ReleaseFolder::open(request.release)?;
    release.check_digests(|_| ())?;
    let (statement, _) = statement_of(&release)?;
    let appliance = statement.identity.id();
    let index = depot.index(&appliance, request.channel)?;
    let index = index.unwrap_or_else(|| Index::new(appliance.clone(), request.channel.to_owned()));
    if check_place(&index, &statement)?.is_some() {
        return Err(RolesError::NothingToSign.into());
    }
    earlier(&index, request, &appliance)?;
    signing.prepare_list(depot, request.channel, &statement, &request.security_only_from)
}

/// The statement, signed and logged, and what the roles are about to say.
fn stages(
    depot: &DepotFolder,
    request: &Request<'_>,
    statement: Statement,
    progress: Progress<'_>,
) -> Result<(Logged, Option<Listed>), DepotError> {
    let listed = match &request.signing {
        Some(signing) => {
            progress(&Step::Sign, 0);
            Some(signing.list(depot, request.channel, &statement, &request.security_only_from)?)
        }
        None => None,
    };
    let signatures = listed.as_ref().map_or_else(Signatures::none, Listed::signatures);
    let entry = match &request.ledger {
        Some(ledger) => {
            progress(&Step::Log, 0);
            let failed = |error| DepotError::Ledger(Box::new(error));
            let record = release::trust::record(&statement).map_err(failed)?;
            let proof = (ledger.enter)(&record.to_bytes()).map_err(DepotError::Ledger)?;
            Entry::proved(&statement, proof, ledger.policy)
                .map_err(|error| DepotError::Ledger(Box::new(error)))?
        }
        None => Entry::none(),
    };
    Ok((Drafted::new(statement).sign(signatures).log(entry), listed))
}

/// Whether those who follow the depot would take it.
fn check_trust(
    depot: &DepotFolder,
    request: &Request<'_>,
    definition: &Definition,
) -> Result<(), DepotError> {
    let unsigned = |what| Err(DepotError::Unsigned { what });
    let trust = definition.trust.as_ref();
    if request.signing.is_none() && (trust.is_some() || roles::has_roles(depot)) {
        return unsigned(match trust {
            Some(_) => "the appliance takes signed releases only, and no keys were given",
            None => "the depot's releases are signed, and no keys were given",
        });
    }
    if request.ledger.is_none() && trust.is_some_and(|trust| trust.ledger.is_some()) {
        return unsigned("the appliance takes releases only that its ledger has, and no ledger was given");
    }
    Ok(())
}

fn statement_of(release: &ReleaseFolder) -> Result<(Statement, Definition), DepotError> {
    let text = release.read_document(names::DEFINITION, DEFINITION_LIMIT)?;
    let definition: Definition = serde_json::from_slice(&text)
        .map_err(|source| DepotError::Document { path: release.path().join(names::DEFINITION), source })?;
    let statement = Statement::of(release.manifest(), &definition)
        .map_err(|source| DepotError::Statement { path: release.path().to_owned(), source })?;
    Ok((statement, definition))
}

/// Whether the release may come into the index; its entry when it is there already.
fn check_place<'a>(
    index: &'a Index,
    statement: &Statement,
) -> Result<Option<&'a IndexedRelease>, DepotError> {
    let wanted = &statement.identity.version;
    if let Some(same) = index.releases.iter().find(|entry| entry.version == *wanted) {
        if same.id() == statement.id() {
            return Ok(Some(same));
        }
        return Err(DepotError::OtherContent { appliance: index.appliance.clone(), version: wanted.clone() });
    }
    let parsed = |text: &str| text.parse::<Version>().ok();
    let newest = index.releases.iter().max_by_key(|release| parsed(&release.version));
    match newest {
        Some(newest) if parsed(wanted) <= parsed(&newest.version) => Err(DepotError::NotNewer {
            appliance: index.appliance.clone(),
            version: wanted.clone(),
            newest: newest.version.clone(),
            channel: index.channel.clone(),
        }),
        _ if index.releases.len() >= RELEASE_LIMIT => {
            Err(DepotError::Full { what: "releases", limit: RELEASE_LIMIT })
        }
        _ => Ok(None),
    }
}

/// An earlier release and where its image comes from.
struct Earlier {
    entry: IndexedRelease,
    folder: Option<PathBuf>,
}

/// The releases patches are made from, the newest first.
fn earlier(index: &Index, request: &Request<'_>, appliance: &str) -> Result<Vec<Earlier>, DepotError> {
    let mut named = Vec::new();
    for path in request.from {
        let folder = ReleaseFolder::open(path)?;
        let found = folder.manifest().identity.id();
        if found != appliance {
            return Err(DepotError::OtherAppliance {
                path: path.clone(),
                found,
                expected: appliance.to_owned(),
            });
        }
        folder.check_digests(|_| ())?;
        let (statement, _) = statement_of(&folder)?;
        let entry = index.releases.iter().find(|entry| entry.id() == statement.id());
        let entry = entry.ok_or_else(|| DepotError::FromUnknown {
            path: path.clone(),
            version: statement.identity.version.clone(),
        })?;
        named.push(Earlier { entry: entry.clone(), folder: Some(path.clone()) });
    }
    let last = index.releases.iter().rev().take(request.patches);
    let others = last.filter(|entry| !named.iter().any(|named| named.entry.id() == entry.id())).cloned();
    let others: Vec<Earlier> = others.map(|entry| Earlier { entry, folder: None }).collect();
    named.extend(others);
    Ok(named)
}

fn make_patches(
    intake: &mut Intake<'_>,
    ways: &dyn Ways,
    from: &Earlier,
    image: &ImageFiles,
    progress: Progress<'_>,
) -> Result<Vec<PatchRef>, DepotError> {
    let rebuilt;
    let old = match &from.folder {
        Some(path) => {
            let folder = ReleaseFolder::open(path)?;
            let (statement, _) = statement_of(&folder)?;
            image_files(&folder, &statement)?
        }
        None => {
            rebuilt = Rebuilt::make(intake, ways, &from.entry, progress)?;
            match &rebuilt {
                Some(rebuilt) => rebuilt.0.clone(),
                // A depot that keeps no full image of it: the release can only be patched from a folder.
                None => return Ok(Vec::new()),
            }
        }
    };
    let version = &from.entry.version;
    let id = Some(from.entry.id());
    let step = |recipe| Step::Patch { from: version.clone(), recipe };
    let allowed = step(Recipe::Allowed);
    progress(&allowed, 0);
    let failed = |step: &Step| {
        let action = step.to_string();
        move |source| DepotError::Patch { action, source }
    };
    let out = intake.path();
    let patch = ways
        .make(Some(&old), image, Recipe::Allowed, &out, &|part| progress(&allowed, part))
        .map_err(failed(&allowed))?;
    let mut made = Vec::new();
    if patch.memory > EVERYBODYS_MEMORY {
        let forbidden = step(Recipe::Forbidden);
        progress(&forbidden, 0);
        let companion = intake.path();
        let with = ways
            .make_companion(&out, &old, image, &companion, &|part| progress(&forbidden, part))
            .map_err(failed(&forbidden))?;
        made.push(PatchRef { from: id, object: intake.add(companion)?, memory: with.memory });
    }
    made.insert(0, PatchRef { from: id, object: intake.add(out)?, memory: patch.memory });
    Ok(made)
}

fn make_full(
    intake: &mut Intake<'_>,
    ways: &dyn Ways,
    image: &ImageFiles,
    progress: Progress<'_>,
) -> Result<PatchRef, DepotError> {
    let step = Step::Full;
    progress(&step, 0);
    let out = intake.path();
    // A full image is what works when nothing else does: on the smallest appliance too.
    let made = ways
        .make(None, image, Recipe::Forbidden, &out, &|part| progress(&step, part))
        .map_err(|source| DepotError::Patch { action: step.to_string(), source })?;
    Ok(PatchRef { from: None, object: intake.add(out)?, memory: made.memory })
}

/// An earlier image, made again from the depot; its files are gone with the value.
struct Rebuilt(ImageFiles);

impl Rebuilt {
    fn make(
        intake: &mut Intake<'_>,
        ways: &dyn Ways,
        entry: &IndexedRelease,
        progress: Progress<'_>,
    ) -> Result<Option<Self>, DepotError> {
        let step = Step::Rebuild { version: entry.version.clone() };
        progress(&step, 0);
        let depot = intake.depot();
        let Some(full) = entry.patches.iter().find(|patch| patch.from.is_none()) else { return Ok(None) };
        let bytes = depot.read_object(&entry.statement, STATEMENT_LIMIT)?;
        let statement = Statement::parse(&bytes).map_err(|source| DepotError::Statement {
            path: depot.object(&entry.statement.sha256),
            source,
        })?;
        let path = depot.object(&full.object.sha256);
        ensure_object(&path, &full.object)?;
        let files =
            Self(ImageFiles { root: intake.path(), uki: intake.path(), facts: statement.image.clone() });
        ways.rebuild(&path, &files.0)
            .map_err(|source| DepotError::Patch { action: step.to_string(), source })?;
        Ok(Some(files))
    }
}

impl Drop for Rebuilt {
    fn drop(&mut self) {
        // Best effort: the intake removes what stays.
        let _ = fs::remove_file(&self.0.root);
        let _ = fs::remove_file(&self.0.uki);
    }
}

/// A rotten full image would become rotten patches.
fn ensure_object(path: &Path, expected: &ObjectRef) -> Result<(), DepotError> {
    let size = fs::metadata(path).map_err(io("look at", path))?.len();
    let found = crate::intake::object_of(path)?;
    if found.sha256 != expected.sha256 || size != expected.size {
        return Err(DepotError::Digest {
            path: path.to_owned(),
            expected: expected.sha256,
            found: found.sha256,
        });
    }
    Ok(())
}

fn image_files(release: &ReleaseFolder, statement: &Statement) -> Result<ImageFiles, DepotError> {
    Ok(ImageFiles {
        root: release.artifact(names::ROOT)?,
        uki: release.uki()?,
        facts: statement.image.clone(),
    })
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Check => f.write_str("check the release folder"),
            Self::Full => f.write_str("make the full image"),
            Self::Rebuild { version } => write!(f, "make {version} again from the depot"),
            Self::Patch { from, recipe: Recipe::Allowed } => write!(f, "make the patch from {from}"),
            Self::Patch { from, recipe: Recipe::Forbidden } => {
                write!(f, "make the patch from {from} for little memory")
            }
            Self::Sign => f.write_str("sign the release"),
            Self::Log => f.write_str("enter it into the ledger"),
            Self::Commit => f.write_str("make the release visible"),
        }
    }
}
