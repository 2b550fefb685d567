//! A depot with one signed release, made without an image.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use depot::DepotFolder;
use depot::publish::{Request, publish};
use depot::roles::Signing;
use depot::ways::{ImageFiles, Made, Recipe, WayError, Ways};
use keys::SecretKey;
use keys::role::RoleSign;
use release::{ArtifactName, ImageFacts, Manifest, Purpose, ReleaseDraft, names};
use testkit::Bench;

use super::{Said, ampoule_in, without_starts};

/// A command with its arguments, none of which has a space.
pub fn ampoule(folder: &Path, command: &str) -> Said {
    ampoule_in(folder, command.split(' '))
}

/// Full images that are the image itself.
struct Plain;

impl Ways for Plain {
    fn make(
        &self,
        _: Option<&ImageFiles>,
        new: &ImageFiles,
        _: Recipe,
        out: &Path,
        _: &(dyn Fn(u64) + Sync),
    ) -> Result<Made, WayError> {
        fs::copy(&new.root, out)?;
        Ok(Made { memory: 1 })
    }

    fn rebuild(&self, _: &Path, _: &ImageFiles) -> Result<(), WayError> {
        Err("there is one release".into())
    }
}

/// A depot with one release of a few bytes, signed by one key, and `1.root.json` beside it.
pub fn signed_depot(bench: &Bench) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let key = SecretKey::from_seed(&[1; 32]);
    let roles = ["root", "targets", "snapshot", "timestamp"];
    let file = keys::file::KeyFile::seal("maker", &key, keys::file::Protection::DangerNone).expect("seals");
    file.write_new(&bench.join("maker.key")).expect("writes");
    let named: Vec<String> = roles.iter().map(|role| format!("--{role} maker.key")).collect();
    let said = ampoule(bench.path(), &format!("keys root new {}", named.join(" ")));
    assert_eq!(said.code, 0, "{said:?}");
    let said = ampoule(bench.path(), "keys root sign 1.root.json --key maker.key --yes");
    assert_eq!(said.code, 0, "{said:?}");

    let text = include_str!("../../../../examples/lamp/appliance.toml");
    let definition = model::parse(text).expect("parses").definition;
    let manifest = Manifest {
        format: release::manifest::FORMAT,
        identity: definition.appliance.clone(),
        architecture: "amd64".into(),
        image: ImageFacts {
            root_hash: model::Sha256Digest([7; 32]),
            verity_salt: "00".into(),
            root_size: 5,
            verity_size: 1,
        },
        kernel_version: "6".into(),
        tool_version: "0".into(),
        artifacts: vec![],
        partitions: vec![],
        resources: definition.resources.clone(),
        ports: vec![],
    };
    let mut draft = ReleaseDraft::begin(&bench.join("out")).expect("begins");
    let uki = ArtifactName::uki(&manifest.identity).expect("a name");
    let json = serde_json::to_vec(&definition).expect("serialises");
    for (name, purpose, bytes) in [
        (names::ROOT, Purpose::Image, &b"image"[..]),
        (uki.as_str(), Purpose::Image, b"uki"),
        (names::DEFINITION, Purpose::Document, &json),
    ] {
        draft.write(&name.parse().expect("a name"), purpose, bytes).expect("writes");
    }
    draft.publish(manifest).expect("publishes");
    let depot = DepotFolder::open_or_create(&bench.join("depot")).expect("a depot");
    let root = fs::read(bench.join("1.root.json")).expect("reads");
    let signers: [&dyn RoleSign; 1] = [&key];
    let request = Request {
        release: &bench.join("out"),
        channel: "stable",
        notes: None,
        patches: 0,
        from: &[],
        now,
        security_only_from: Vec::new(),
        signing: Some(Signing { root: &root, signers: &signers, now, fresh_days: 1, signed: None }),
        ledger: None,
    };
    let _locks = without_starts();
    publish(&depot, &request, &Plain, &|_, _| ()).expect("published");
}
