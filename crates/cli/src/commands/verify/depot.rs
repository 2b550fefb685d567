//! What a depot has, by its folder or its URL: small files only, every one with a limit and a digest.

use std::collections::BTreeMap;
use std::io::Read;

use ledger::folder::Folder;
use ledger::http::Client;
use ledger::read::{AccessError, ReadLog};
use model::Sha256Digest;
use release::index::{INDEX_LIMIT, ObjectRef, WORDS_LIMIT, index_path, object_path, words_path};
use release::statement::STATEMENT_LIMIT;
use release::verify::{Link, chain, digest, listed, logged, roles, roles_failed};
use release::{Index, IndexedRelease, ReleaseId, Statement, trust};
use tuf::Limits;
use tuf::client::{Updated, trust_root, update};
use tuf::fetch::{Fetch, FetchError};
use update::approval::{Here, Verdict};

use super::Trusted;
use crate::args::VerifyArgs;
use crate::error::{Failure, Fault};

/// A depot's files, from a folder or a server.
type Files = dyn ReadLog;

/// Whether a subject is a URL.
pub fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn open(place: &str) -> Box<Files> {
    match is_url(place) {
        true => Box::new(Client::new().log(place)),
        false => Box::new(Folder::new(place)),
    }
}

/// The release that an image should be: only it is looked at.
pub struct Wanted {
    pub appliance: String,
    pub version: String,
    pub root_hash: Sha256Digest,
    pub uki: Sha256Digest,
    /// Known of a folder, and not of a disk.
    pub id: Option<ReleaseId>,
}

/// All releases of a channel, or the one that is named.
pub fn links(place: &str, args: &VerifyArgs, trusted: &Trusted) -> Result<Vec<Link>, Failure> {
    let appliance = match &args.appliance {
        Some(appliance) => appliance.clone(),
        None => only_appliance(place, &args.channel)?,
    };
    let mut links = walk(place, &appliance, args.release.as_deref(), None, args, trusted)?;
    links.extend(trusted.open(None));
    let images = Link::ok("images and patches", "what a statement says of them");
    links.push(images.not_proven("not read here: an appliance compares them with the root hash; `ampoule depot check` reads all of a folder", false));
    Ok(links)
}

/// The one release that an image claims to be.
pub fn links_of(
    place: &str,
    wanted: &Wanted,
    args: &VerifyArgs,
    trusted: &Trusted,
) -> Result<Vec<Link>, Failure> {
    walk(place, &wanted.appliance, Some(&wanted.version), Some(wanted), args, trusted)
}

fn only_appliance(place: &str, channel: &str) -> Result<String, Failure> {
    let name = || {
        Failure::new(Fault::User, "which appliance is not known")
            .hint("name it with `--appliance VENDOR/NAME`")
    };
    if is_url(place) {
        return Err(name());
    }
    let depot = ::depot::DepotFolder::open(place.as_ref()).map_err(super::super::release::depot_failure)?;
    let indices = depot.indices().map_err(super::super::release::depot_failure)?;
    let mut found = indices.into_iter().filter(|index| index.channel == channel);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one.appliance),
        _ => Err(name()),
    }
}

fn walk(
    place: &str,
    appliance: &str,
    version: Option<&str>,
    wanted: Option<&Wanted>,
    args: &VerifyArgs,
    trusted: &Trusted,
) -> Result<Vec<Link>, Failure> {
    let parts = appliance.split_once('/').into_iter().flat_map(|(vendor, name)| [vendor, name]);
    let names: Vec<&str> = parts.chain([args.channel.as_str()]).collect();
    let is_good =
        names.len() == 3 && names.iter().all(|name| ::depot::folder::ensure_name("a name", name).is_ok());
    if !is_good {
        let message = format!("`{appliance}` and `{}` are no appliance and channel", args.channel);
        return Err(Failure::new(Fault::User, message).hint("an appliance is VENDOR/NAME"));
    }
    let files = open(place);
    let path = index_path(appliance, &args.channel);
    let environment = |error: AccessError| Failure::from_error(Fault::Environment, &error);
    let bytes = files.read(&path, INDEX_LIMIT as usize).map_err(environment)?;
    let bytes = bytes.ok_or_else(|| {
        Failure::new(Fault::User, format!("the depot `{place}` has no `{path}`"))
            .hint("name an appliance and a channel that it has")
    })?;
    let index = Index::parse(&bytes, appliance, &args.channel)
        .map_err(|error| Failure::from_error(Fault::Trust, &error))?;
    let known = |release: &&IndexedRelease| version.is_none_or(|version| release.version == version);
    let releases: Vec<&IndexedRelease> = index.releases.iter().filter(known).collect();
    if releases.is_empty() && wanted.is_none() {
        return Err(Failure::new(Fault::User, format!("the depot `{place}` does not offer that release")));
    }

    let mut store: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut fetch = Roles { files: &*files, place };
    let mut links = Vec::new();
    let mut signed = None;
    if let Some(root) = &trusted.root {
        match trust_root(&mut store, root) {
            Err(error) => links.push(roles_failed(&error)),
            Ok(_) => match update(&mut store, &mut fetch, Limits::DEFAULT, trusted.now) {
                Err(error) => links.push(roles_failed(&error)),
                Ok(updated) => {
                    links.extend(roles(&updated));
                    signed = Some(updated);
                }
            },
        }
    }
    let newest = releases.last().map(|release| release.id());
    let is_offered = Link::ok("release", format!("what the depot `{place}` offers"));
    if releases.is_empty() {
        links.push(is_offered.not_proven("the depot does not have this version", trusted.is_asked()));
    }
    for release in releases {
        let of_officers = Some(release.id()) == newest;
        links.extend(release_links(&*files, &index, release, signed.as_mut(), wanted, of_officers, trusted));
    }
    Ok(links)
}

fn release_links(
    files: &Files,
    index: &Index,
    release: &IndexedRelease,
    signed: Option<&mut Updated<'_>>,
    wanted: Option<&Wanted>,
    of_officers: bool,
    trusted: &Trusted,
) -> Vec<Link> {
    let again = "the depot is damaged, or half-copied: ask another one, or its maker";
    let link = Link::ok(format!("statement {}", release.id()), format!("index, version {}", release.version));
    let statement = object(files, &release.statement, STATEMENT_LIMIT)
        .and_then(|bytes| Statement::parse(&bytes).map_err(|error| chain(&error)));
    let statement = match statement {
        Ok(statement) => statement,
        Err(why) => return vec![link.wrong(why, again)],
    };
    let mut links = Vec::new();
    let identity = &statement.identity;
    links.push(match (identity.id() == index.appliance, identity.version == release.version) {
        (true, true) => link.by("its bytes"),
        _ => link.wrong(format!("it is the statement of {} {}", identity.id(), identity.version), again),
    });
    if let Some(wanted) = wanted {
        let link = Link::ok("the image", format!("root hash and kernel image of statement {}", release.id()));
        let is_same = statement.image.root_hash == wanted.root_hash
            && statement.uki.sha256 == wanted.uki
            && wanted.id.is_none_or(|id| id == release.id());
        links.push(match is_same {
            true => link,
            false => link.wrong(
                format!("the depot has another release under the version {}", release.version),
                "do not use it: ask its maker which of the two is theirs",
            ),
        });
    }
    if let Some(updated) = signed {
        links.push(listed(updated, index, release));
    }
    if let Some(policy) = &trusted.policy {
        let proof = release.proof.as_ref().map(|proof| object(files, proof, trust::PROOF_LIMIT)).transpose();
        links.push(match proof {
            Ok(proof) => logged(&statement, proof.as_deref(), policy),
            Err(why) => Link::ok(format!("proof of {}", release.version), "index").wrong(why, again),
        });
    }
    if of_officers {
        links.extend(approved(files, &index.appliance, release, trusted));
    }
    links
}

/// What officers say of a release, for appliances of all groups.
fn approved(files: &Files, appliance: &str, release: &IndexedRelease, trusted: &Trusted) -> Option<Link> {
    let officers = trusted.officers.as_ref()?;
    let link = Link::ok(format!("approval of {}", release.version), "the officers' keys you gave");
    let notes = files.read(&words_path(appliance, release.id()), WORDS_LIMIT as usize);
    let notes: Vec<String> = match notes {
        Ok(None) => Vec::new(),
        Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
            Ok(notes) => notes,
            Err(error) => return Some(link.not_proven(format!("the notes can not be read: {error}"), true)),
        },
        Err(error) => return Some(link.not_proven(chain(&error), true)),
    };
    // A note that none of the officers signed says nothing.
    let words: Vec<_> =
        notes.iter().filter_map(|note| officers.read(note.as_bytes()).ok()).flatten().collect();
    let here = Here { machine: "", group: None, now: trusted.now.0 };
    let names =
        |by: &[ledger::note::KeyName]| by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Some(match officers.judge(&words, release.id(), &here) {
        Verdict::Free => link.not_proven("no officer is named", true),
        Verdict::Approved { by } => link.by(names(&by)),
        Verdict::Missing { by, needed } => Link {
            next: Some("ask the officers; `ampoule approve --depot` signs and brings it there".into()),
            ..link.not_proven(format!("{} of {needed} approve it for all appliances", by.len()), true)
        },
        Verdict::Held { by, reason } => link
            .wrong(format!("{by} says no: {reason}"), "do not install it before the officer takes it back"),
    })
}

fn object(files: &Files, object: &ObjectRef, limit: u64) -> Result<Vec<u8>, String> {
    let path = object_path(&object.sha256);
    if object.size > limit {
        return Err(format!("{path} has more than {limit} bytes"));
    }
    let bytes = files.read(&path, object.size as usize).map_err(|error| chain(&error))?;
    let bytes = bytes.ok_or_else(|| format!("the depot has no {path}"))?;
    let found = digest(&bytes);
    match found == object.sha256 {
        true => Ok(bytes),
        false => Err(format!("{path} has not the content it should have: its SHA-256 is {found}")),
    }
}

impl Trusted {
    /// Whether a depot was needed to prove what was asked.
    fn is_asked(&self) -> bool {
        self.root.is_some() || self.policy.is_some() || self.officers.is_some()
    }
}

/// The roles' documents of a depot.
struct Roles<'a> {
    files: &'a Files,
    place: &'a str,
}

impl Fetch for Roles<'_> {
    fn open(&mut self, name: &str, _: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        let limit = Limits::DEFAULT.targets as usize + 1;
        match self.files.read(&format!("{}/{name}", trust::FOLDER), limit) {
            Ok(Some(bytes)) => Ok(Box::new(std::io::Cursor::new(bytes))),
            Ok(None) => Err(FetchError::Missing),
            Err(error) => Err(FetchError::Unreachable(Box::new(error))),
        }
    }

    fn called(&self, name: &str, _: usize) -> String {
        format!("{}/{}/{name}", self.place.trim_end_matches('/'), trust::FOLDER)
    }
}
