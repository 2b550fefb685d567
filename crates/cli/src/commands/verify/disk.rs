//! A disk image: what it boots, and what is sealed in it.

use std::path::Path;

use ::image::ReadAt;
use ::image::gpt::SECTOR;
use ::image::qcow2::Qcow2;
use model::Sha256Digest;
use model::definition::{Definition, SEALED_PATH, SEALED_TRUST, TRUST_LEDGER, TRUST_ROOT};
use release::Statement;
use release::inspect::{InspectError, Parts, parts_of_disk};
use release::verify::{Link, booted_root_hash, chain, digest, root, sealed_file, sealed_policy, sealed_root};

use super::super::inspect::{DiskFile, unreadable};
use super::Trusted;
use super::depot::Wanted;
use super::folder::{Found, with_depot};
use crate::args::VerifyArgs;
use crate::error::Failure;

/// Longest root of roles, longest policy and longest definition in an image.
pub const SEALED_LIMIT: u64 = 4 << 20;

const AGAIN: &str = "do not boot this disk: take the release from its maker again";

/// A disk, and the depot that is named.
pub fn links(path: &Path, args: &VerifyArgs, trusted: &Trusted) -> Result<Vec<Link>, Failure> {
    with_depot(look(path, trusted)?, args, trusted)
}

fn look(path: &Path, trusted: &Trusted) -> Result<Found, Failure> {
    let file = DiskFile::open(path).map_err(|error| unreadable(path, error))?;
    let link = Link::ok(
        format!("disk `{}`", path.display()),
        "what a disk has: partitions, a kernel image, its root",
    );
    let broken = |why| Ok(Found { links: vec![link.wrong(why, AGAIN)], says: None });
    let is_disk = Qcow2::is_qcow2(&file) || has_mark(&file);
    let opened = match open(file) {
        Ok(opened) => opened,
        Err(why) => return broken(why),
    };
    let Parts { root: image, verity, uki } = match parts_of_disk(&opened) {
        Ok(parts) => parts,
        // Nothing says that this ever was a disk: there is no chain to show.
        Err(error @ InspectError::Table(_)) if !is_disk => {
            return Err(super::nothing_to_verify(path, &error));
        }
        Err(error) => return broken(chain(&error)),
    };
    let hash = match booted_root_hash(&uki) {
        Ok(hash) => hash,
        Err(why) => return broken(why),
    };
    let mut links = vec![root(&image, &verity, &hash, "the kernel image on this disk")];
    let (trusts, sealed_root) = sealed_in(&image, trusted);
    links.extend(trusts);
    let rest = Link::ok("boot loader and partition table", "the statement");
    links.push(rest.not_proven("nobody signs them: they only choose which kernel image starts", false));
    let definition = sealed_file(&image, SEALED_PATH, SEALED_LIMIT).ok().flatten();
    let definition = definition.and_then(|bytes| serde_json::from_slice::<Definition>(&bytes).ok());
    let says = definition.map(|definition| {
        let wanted = Wanted {
            what: "the image".into(),
            version: definition.appliance.version.clone(),
            root_hash: hash,
            uki: Some(digest(&uki)),
            id: None,
            sealed_root,
            asked: trusted.is_asked(),
        };
        (definition.appliance.id(), wanted)
    });
    Ok(Found { links, says })
}

/// A disk beside an image: nobody signs it, so what it boots is compared with what the statement says.
pub fn of_release(path: &Path, name: &str, statement: &Statement) -> Result<Vec<Link>, Failure> {
    let link = Link::ok(
        format!("kernel image on {name}"),
        format!("SHA-256 {} of the statement", statement.uki.sha256),
    );
    let opened = match open(DiskFile::open(path).map_err(|error| unreadable(path, error))?) {
        Ok(opened) => opened,
        Err(why) => return Ok(vec![link.wrong(why, AGAIN)]),
    };
    let parts = match parts_of_disk(&opened) {
        Ok(parts) => parts,
        Err(error) => return Ok(vec![link.wrong(chain(&error), AGAIN)]),
    };
    let kernel = match digest(&parts.uki) == statement.uki.sha256 {
        true => link,
        false => link.wrong("the disk boots another one", AGAIN),
    };
    let system = root(&parts.root, &parts.verity, &statement.image.root_hash, "the statement");
    Ok(vec![kernel, Link { what: format!("root image on {name}"), ..system }])
}

/// Whom an image trusts: the roles' root and the ledger's policy that are sealed in it; and the digest of that root.
pub fn sealed_in(image: &dyn ReadAt, trusted: &Trusted) -> (Vec<Link>, Option<Sha256Digest>) {
    let sealed = |name: &str| sealed_file(image, &format!("{SEALED_TRUST}/{name}"), SEALED_LIMIT);
    let broken = |why| Link::ok("what the image trusts", "files sealed in it").wrong(why, AGAIN);
    let root = match sealed(TRUST_ROOT) {
        Ok(root) => root,
        // The same image gives the same answer once more.
        Err(why) => return (vec![broken(why)], None),
    };
    let policy = match sealed(TRUST_LEDGER) {
        Ok(sealed) => sealed_policy(sealed.as_deref(), trusted.policy.as_ref()),
        Err(why) => broken(why),
    };
    (vec![sealed_root(root.as_deref(), trusted.root.as_deref()), policy], root.as_deref().map(digest))
}

fn open(file: DiskFile) -> Result<Box<dyn ReadAt>, String> {
    match Qcow2::is_qcow2(&file) {
        true => Ok(Box::new(Qcow2::open(file).map_err(|error| chain(&error))?)),
        false => Ok(Box::new(file)),
    }
}

/// Whether a file has a mark of a partitioned disk, damaged as it may be: the boot sector's, or that of the first table.
fn has_mark(file: &DiskFile) -> bool {
    let mut beginning = [0; SECTOR as usize + 8];
    file.read_exact_at(&mut beginning, 0).is_ok()
        && (beginning[510..512] == [0x55, 0xaa] || beginning[512..] == *b"EFI PART")
}
