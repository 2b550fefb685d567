//! A release folder: every file, every block, and the depot that speaks for it.

use std::io::Read;
use std::path::Path;

use ::image::ReadAt;
use model::Sha256Digest;
use model::definition::Definition;
use release::verify::{Link, artifact, chain, digest, lengths, root, uki_boots};
use release::{Artifact, Purpose, ReleaseError, ReleaseFolder, Statement, names};
use sha2::{Digest, Sha256};

use super::super::inspect::{DiskFile, unreadable};
use super::depot::{Appliance, STABLE, Wanted, links_of};
use super::{Trusted, disk};
use crate::args::VerifyArgs;
use crate::error::{Failure, Fault};

/// Longest UKI: a kernel, an initrd and a command line.
const UKI_LIMIT: u64 = 1 << 30;

const AGAIN: &str =
    "the folder was not copied whole, or changed: take it from its maker again, and do not boot this one";

/// What a folder, or a disk, is found to be.
pub struct Found {
    pub links: Vec<Link>,
    /// Whose release it says that it is, and which; `None`: it does not say so.
    pub says: Option<(String, Wanted)>,
}

/// A release folder, and the depot that is named.
pub fn links(path: &Path, args: &VerifyArgs, trusted: &Trusted) -> Result<Vec<Link>, Failure> {
    with_depot(look(path, trusted)?, args, trusted)
}

/// What a depot says of what was found.
pub fn with_depot(found: Found, args: &VerifyArgs, trusted: &Trusted) -> Result<Vec<Link>, Failure> {
    let mut links = found.links;
    let channel = args.channel.as_deref().unwrap_or(STABLE);
    match (&args.depot, found.says) {
        (Some(place), Some((appliance, wanted))) => {
            links.extend(links_of(place, &appliance, channel, &[wanted], Appliance::default(), trusted)?);
            links.extend(trusted.open(None));
        }
        (Some(_), None) => links.extend(trusted.open(Some("the image does not say which release it is"))),
        (None, _) => {
            links.extend(trusted.open(Some("signatures and proofs are in a depot: name it with `--depot`")));
        }
    }
    Ok(links)
}

/// The folder alone.
pub fn look(path: &Path, trusted: &Trusted) -> Result<Found, Failure> {
    let release = match ReleaseFolder::open(path) {
        Ok(release) => release,
        Err(error @ ReleaseError::NotARelease { .. }) => {
            return Err(super::nothing_to_verify(path, &error));
        }
        Err(error @ ReleaseError::Io { .. }) => return Err(Failure::from_error(Fault::Environment, &error)),
        Err(error) => {
            let link = Link::ok(format!("files of `{}`", path.display()), names::MANIFEST);
            return Ok(Found { links: vec![link.wrong(chain(&error), AGAIN)], says: None });
        }
    };
    let mut links = Vec::new();
    let stated = stated(&release).map_err(|why| {
        let link =
            Link::ok("statement of this release", format!("{} and {}", names::MANIFEST, names::DEFINITION));
        links.push(link.wrong(why, AGAIN));
    });
    let statement = stated.ok();
    let from = match &statement {
        Some(statement) => format!("statement {}", statement.id()),
        None => names::MANIFEST.to_owned(),
    };
    let is_stated = |listed: &Artifact| {
        statement.as_ref().is_some_and(|it| listed.purpose == Purpose::Document || *listed == it.uki)
    };
    for listed in release.manifest().artifacts.iter().filter(|it| it.purpose != Purpose::Disk) {
        let by = if is_stated(listed) { &from } else { names::MANIFEST };
        links.push(artifact(listed, digest_of(&release, listed.name.as_str())?, by));
    }
    // What is listed was there when the folder was opened.
    let open = |name: &str| match release.artifact(name) {
        Ok(path) => DiskFile::open(&path).map(Ok).map_err(|error| unreadable(&path, error)),
        Err(error) => Ok(Err(chain(&error))),
    };
    let hash = release.manifest().image.root_hash;
    let mut sealed_root = None;
    match (open(names::ROOT)?, open(names::VERITY)?) {
        (Ok(image), Ok(tree)) => {
            links.push(root(&image, &tree, &hash, &from));
            links.extend(statement.as_ref().map(|statement| lengths(statement, image.size(), &tree)));
            let (trusts, sealed) = disk::sealed_in(&image, trusted);
            links.extend(trusts);
            sealed_root = sealed;
        }
        (Err(why), _) | (_, Err(why)) => {
            links.push(Link::ok("root image", format!("root hash {hash} of {from}")).wrong(why, AGAIN));
        }
    }
    let uki = release.uki().map(|path| super::read(&path, UKI_LIMIT as usize));
    let uki = match uki {
        Ok(uki) => Some(uki?),
        Err(error) => {
            links.push(Link::ok("kernel image", names::MANIFEST).wrong(chain(&error), AGAIN));
            None
        }
    };
    links.extend(uki.as_ref().map(|uki| uki_boots(uki, &hash)));
    for listed in release.manifest().artifacts.iter().filter(|it| it.purpose == Purpose::Disk) {
        let name = listed.name.as_str();
        links.push(artifact(listed, digest_of(&release, name)?, names::MANIFEST));
        if let Some(statement) = &statement {
            links.extend(disk::of_release(&release.path().join(name), name, statement)?);
        }
    }
    let says = statement.zip(uki).map(|(statement, uki)| {
        let wanted = Wanted {
            what: "the image".into(),
            version: statement.identity.version.clone(),
            root_hash: statement.image.root_hash,
            uki: Some(digest(&uki)),
            id: Some(statement.id()),
            sealed_root,
            asked: trusted.is_asked(),
        };
        (statement.identity.id(), wanted)
    });
    Ok(Found { links, says })
}

/// The definition decides what the statement says: its own digest is compared first.
fn stated(release: &ReleaseFolder) -> Result<Statement, String> {
    let definition = release.read_checked_document(names::DEFINITION, disk::SEALED_LIMIT);
    let definition = definition.map_err(|error| chain(&error))?;
    let definition: Definition = serde_json::from_slice(&definition)
        .map_err(|error| format!("`{}` can not be read: {error}", names::DEFINITION))?;
    Statement::of(release.manifest(), &definition).map_err(|error| chain(&error))
}

fn digest_of(release: &ReleaseFolder, name: &str) -> Result<Sha256Digest, Failure> {
    let path = release.artifact(name).map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    let mut hasher = Sha256::new();
    let mut file = std::fs::File::open(&path).map_err(|error| unreadable(&path, error))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|error| unreadable(&path, error))? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(Sha256Digest(hasher.finalize().into()))
}
