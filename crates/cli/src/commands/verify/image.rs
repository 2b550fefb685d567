//! A release folder or a disk image, and the depot that speaks for it.

use std::io::Read;
use std::path::Path;

use ::image::ReadAt;
use ::image::qcow2::Qcow2;
use model::Sha256Digest;
use model::definition::{Definition, SEALED_PATH, SEALED_TRUST, TRUST_ROOT};
use release::inspect::{Parts, parts_of_disk};
use release::verify::{
    Link, artifact, booted_root_hash, digest, lengths, root, sealed_file, sealed_root, uki_boots,
};
use release::{Purpose, ReleaseError, ReleaseFolder, Statement, names};
use sha2::{Digest, Sha256};

use super::super::inspect::{DiskFile, foreign, unreadable};
use super::super::ledger::read_statement;
use super::{Trusted, depot};
use crate::args::VerifyArgs;
use crate::error::{Failure, Fault};

/// Longest root of roles and longest definition in an image.
const SEALED_LIMIT: u64 = 4 << 20;
/// Longest UKI: a kernel, an initrd and a command line.
const UKI_LIMIT: u64 = 1 << 30;

/// A release folder, or a disk.
pub fn links(subject: &Path, args: &VerifyArgs, trusted: &Trusted) -> Result<Vec<Link>, Failure> {
    let (mut links, wanted) =
        if subject.is_dir() { folder(subject, trusted)? } else { disk(subject, trusted)? };
    match (&args.depot, wanted) {
        (Some(place), Some(wanted)) => {
            links.extend(depot::links_of(place, &wanted, args, trusted)?);
            links.extend(trusted.open(None));
        }
        (Some(_), None) => links.extend(trusted.open(Some("the image does not say which release it is"))),
        (None, _) => {
            links.extend(trusted.open(Some("signatures and proofs are in a depot: name it with `--depot`")));
        }
    }
    Ok(links)
}

type Found = (Vec<Link>, Option<depot::Wanted>);

fn folder(path: &Path, trusted: &Trusted) -> Result<Found, Failure> {
    let release = match ReleaseFolder::open(path) {
        Ok(release) => release,
        Err(error @ (ReleaseError::Size { .. } | ReleaseError::Missing { .. })) => {
            return Err(Failure::from_error(Fault::Trust, &error)
                .hint("the folder was not copied whole, or changed: take it from its maker again"));
        }
        Err(error) => return Err(Failure::from_error(Fault::User, &error)),
    };
    let environment = |error| Failure::from_error(Fault::Environment, &error);
    let open = |name: &str| {
        let path = release.artifact(name).map_err(environment)?;
        DiskFile::open(&path).map_err(|error| unreadable(&path, error))
    };
    // The definition decides what the statement says: its own digest is compared first.
    release.read_checked_document(names::DEFINITION, SEALED_LIMIT).map_err(|error| {
        Failure::from_error(Fault::Trust, &error)
            .hint("the folder was changed: take it from its maker again, and do not boot this one")
    })?;
    let statement = read_statement(path)?;
    let id = statement.id();
    let from = format!("statement {id}");
    let mut links = Vec::new();
    for listed in release.manifest().artifacts.iter().filter(|it| it.purpose != Purpose::Disk) {
        let is_stated = listed.purpose == Purpose::Document || *listed == statement.uki;
        let by = if is_stated { &from } else { names::MANIFEST };
        links.push(artifact(listed, digest_of(&release, listed.name.as_str())?, by));
    }
    let (image, tree) = (open(names::ROOT)?, open(names::VERITY)?);
    links.push(root(&image, &tree, &statement.image.root_hash, &from));
    links.push(lengths(&statement, image.size(), &tree));
    let uki = release.uki().map_err(environment)?;
    let uki = super::read(&uki, UKI_LIMIT as usize)?;
    links.push(uki_boots(&uki, &statement.image.root_hash));
    for listed in release.manifest().artifacts.iter().filter(|it| it.purpose == Purpose::Disk) {
        links.push(artifact(listed, digest_of(&release, listed.name.as_str())?, names::MANIFEST));
        links.extend(disk_of(&release, listed.name.as_str(), &statement)?);
    }
    links.push(trust_in(&image, trusted));
    let wanted = depot::Wanted {
        appliance: statement.identity.id(),
        version: statement.identity.version.clone(),
        root_hash: statement.image.root_hash,
        uki: digest(&uki),
        id: Some(id),
    };
    Ok((links, Some(wanted)))
}

/// A disk beside the image: nobody signs it, so what it boots is compared with what the statement says.
fn disk_of(release: &ReleaseFolder, name: &str, statement: &Statement) -> Result<Vec<Link>, Failure> {
    let path = release.artifact(name).map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    let opened = open_disk(&path)?;
    let again = "do not boot this disk: take the release from its maker again";
    let link = Link::ok(
        format!("kernel image on {name}"),
        format!("SHA-256 {} of the statement", statement.uki.sha256),
    );
    let parts = match parts_of_disk(&opened) {
        Ok(parts) => parts,
        Err(error) => return Ok(vec![link.wrong(release::verify::chain(&error), again)]),
    };
    let kernel = match digest(&parts.uki) == statement.uki.sha256 {
        true => link,
        false => link.wrong("the disk boots another one", again),
    };
    let system = root(&parts.root, &parts.verity, &statement.image.root_hash, "the statement");
    Ok(vec![kernel, Link { what: format!("root image on {name}"), ..system }])
}

fn disk(path: &Path, trusted: &Trusted) -> Result<Found, Failure> {
    let opened = open_disk(path)?;
    let Parts { root: image, verity, uki } = parts_of_disk(&opened).map_err(|error| foreign(path, &error))?;
    let hash = booted_root_hash(&uki).map_err(|why| Failure::new(Fault::Trust, why))?;
    let mut links = vec![root(&image, &verity, &hash, "the kernel image on this disk")];
    links.push(trust_in(&image, trusted));
    let rest = Link::ok("boot loader and partition table", "the statement");
    links.push(rest.not_proven("nobody signs them: they only choose which kernel image starts", false));
    let definition = sealed_file(&image, SEALED_PATH, SEALED_LIMIT);
    let definition = definition.and_then(|bytes| serde_json::from_slice::<Definition>(&bytes).ok());
    let wanted = definition.map(|definition| depot::Wanted {
        appliance: definition.appliance.id(),
        version: definition.appliance.version,
        root_hash: hash,
        uki: digest(&uki),
        id: None,
    });
    Ok((links, wanted))
}

fn trust_in(image: &dyn ReadAt, trusted: &Trusted) -> Link {
    let sealed = sealed_file(image, &format!("{SEALED_TRUST}/{TRUST_ROOT}"), SEALED_LIMIT);
    sealed_root(sealed.as_deref(), trusted.root.as_deref())
}

fn open_disk(path: &Path) -> Result<Box<dyn ReadAt>, Failure> {
    let file = DiskFile::open(path).map_err(|error| unreadable(path, error))?;
    match Qcow2::is_qcow2(&file) {
        true => Ok(Box::new(Qcow2::open(file).map_err(|error| foreign(path, &error))?)),
        false => Ok(Box::new(file)),
    }
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
