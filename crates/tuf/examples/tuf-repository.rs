//! Makes a repository for other programs to read: two roots, a delegated role, keys of two kinds, and two versions of everything.
//!
//! Usage: `tuf-repository FOLDER`, which has to be empty. Writes `trusted-root.json`, `metadata/` and `targets/`. The keys are drawn
//! for this one repository and forgotten. One of them is an ECDSA key that `openssl` keeps, and signs with, as a device would.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use keys::command::CommandSigner;
use keys::ecdsa::EcdsaKey;
use keys::role::RoleSign as _;
use keys::{SecretKey, Sign as _};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tuf::metadata::{Delegation, Root, TargetFile, Targets, TopRole};
use tuf::repository::{Changes, Freshness, Publication, Repository, Unsigned};
use tuf::store::FolderStore;
use tuf::{Key, RoleName, TargetPath, Time};

type Failure = Box<dyn Error>;

/// What is listed by the top-level role.
const STATEMENT: (&str, &[u8]) = ("acme/shop/1.0/statement.json", b"{\"version\":\"1.0\"}\n");
/// What is listed by a delegated role.
const BANK: (&str, &[u8]) = ("acme/bank/2.0/statement é.json", b"{\"version\":\"2.0\"}\n");

fn main() -> Result<(), Failure> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: tuf-repository FOLDER")?;
    let now = Time(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs());
    let [second, third, snapshot, timestamp, bank_key] = keys_of(now, &folder);
    let secret = std::env::temp_dir().join(format!("tuf-repository-{}.pem", std::process::id()));
    let first = device(&secret)?;
    let (metadata, files) = (folder.join("metadata"), folder.join("targets"));
    fs::create_dir_all(&metadata)?;
    let mut store = FolderStore::new(&metadata);
    let freshness = Freshness {
        snapshot: &[&snapshot],
        timestamp: &[&timestamp],
        snapshot_expires: now.plus_days(7),
        timestamp_expires: now.plus_days(1),
        renew_snapshot: false,
    };

    // Two of two sign roots and targets.
    let mut root = Root::new(now.plus_days(365))
        .with_key(TopRole::Snapshot, snapshot.public())
        .with_key(TopRole::Timestamp, timestamp.public());
    for role in [TopRole::Root, TopRole::Targets] {
        root = root.with_key(role, first.role_key()).with_key(role, second.public()).with_threshold(role, 2);
    }
    let root = Unsigned::root(None, root)?.sign_by(&[&first, &second])?;
    fs::write(folder.join("trusted-root.json"), root.bytes())?;

    let bank = RoleName::delegated("acme.bank")?;
    let delegation = Delegation::terminating(bank.clone(), 1, ["acme/bank/*/*"]);
    let targets = Targets::new(now.plus_days(90)).with_delegation(delegation, &[bank_key.public()]);
    let listed = list(&files, Targets::new(now.plus_days(90)), BANK)?;
    let listed = Unsigned::delegated(&targets, "targets", bank.as_str(), listed)?.sign_by(&[&bank_key])?;
    let signed = Unsigned::top_level(root.body(), targets).sign_by(&[&first, &second])?;
    let changes = Changes { roots: vec![], targets: vec![(RoleName::targets(), signed), (bank, listed)] };
    let (repository, publication): (Repository, Publication) =
        Repository::new(root).renew(changes, freshness)?;
    publication.write(&mut store)?;

    // The second key is lost: a third one takes its place, and what it signed is signed again.
    let mut next = repository.root().next(now.plus_days(365));
    for role in [TopRole::Root, TopRole::Targets] {
        next = next.with_key(role, third.public()).without_key(role, &Key::of(second.public()).id());
    }
    let next = Unsigned::root(Some(repository.root()), next)?.sign_by(&[&first, &second, &third])?;
    let targets = repository.targets(&RoleName::targets()).ok_or("BUG: no targets")?.next(now.plus_days(90));
    let targets = list(&files, targets, STATEMENT)?;
    let targets = Unsigned::top_level(next.body(), targets).sign_by(&[&first, &third])?;
    let changes = Changes { roots: vec![next], targets: vec![(RoleName::targets(), targets)] };
    let (_, publication) = repository.renew(changes, freshness)?;
    publication.write(&mut store)?;
    fs::remove_file(&secret)?;
    Ok(())
}

/// A key that `openssl` keeps in a file.
fn device(secret: &Path) -> Result<CommandSigner<EcdsaKey>, Failure> {
    let script = "umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out \"$0\" && openssl pkey -in \"$0\" -pubout";
    let made = Command::new("sh").args(["-c", script]).arg(secret).output()?;
    let public = EcdsaKey::from_pem(&String::from_utf8(made.stdout)?)?;
    let sign =
        ["dgst", "-sha256", "-sign"].map(Into::into).into_iter().chain([secret.as_os_str().to_owned()]);
    Ok(CommandSigner::new(public, "openssl", sign))
}

/// Lists a file, and puts it where a repository with consistent snapshots has it.
fn list(folder: &Path, targets: Targets, (path, bytes): (&str, &[u8])) -> Result<Targets, Failure> {
    let target = TargetPath::new(path)?;
    let file = TargetFile::of(bytes);
    let digest = file.hashes.digest_by("sha256").unwrap_or_default();
    let (inner, name) = path.rsplit_once('/').unwrap_or(("", path));
    fs::create_dir_all(folder.join(inner))?;
    fs::write(folder.join(inner).join(format!("{digest}.{name}")), bytes)?;
    let custom: Map<String, Value> = [("version".to_owned(), json!(path))].into_iter().collect();
    Ok(targets.with_target(&target, file.with_custom(custom)))
}

/// Keys that nobody keeps: of the time and the folder, because an example needs no secret.
fn keys_of<const COUNT: usize>(now: Time, folder: &Path) -> [SecretKey; COUNT] {
    std::array::from_fn(|number| {
        SecretKey::from_seed(&Sha256::digest(format!("{number} {now} {}", folder.display())).into())
    })
}
