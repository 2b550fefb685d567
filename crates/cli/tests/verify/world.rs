//! A maker whose releases are true images of a few kilobytes: file system, hash tree, kernel image and disks, made by the crates that make
//! real ones, published with keys and a ledger.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use depot::publish::{Ledger, Request, publish};
use depot::roles::Signing;
use depot::ways::Patches;
use depot::{DepotFolder, words};
use image::{disk, esp, qcow2, uki};
use keys::SecretKey;
use keys::role::RoleSign;
use ledger::note::{Note, NoteSigner};
use model::definition::{SEALED_PATH, SEALED_TRUST, TRUST_LEDGER, TRUST_ROOT};
use release::approval::{Approval, Scope, Word};
use release::{ArtifactName, ImageFacts, Index, Manifest, Purpose, ReleaseDraft, ReleaseId, names};

use crate::AT;
use crate::common::maker::{Maker, enter_into};
use crate::common::{APPLIANCE, Bench, NOW, request};
use crate::pieces::{Fixture, hash_tree, noise, stub, threads};
use crate::support::{Said, ampoule_in, without_starts};

/// A maker, a bench, and what a customer trusts: `root.json`, `policy`.
pub struct World {
    pub bench: Bench,
    pub maker: Maker,
}

impl World {
    pub fn new() -> Self {
        let world = Self { bench: Bench::new(), maker: Maker::new() };
        fs::write(world.path("root.json"), &world.maker.root).expect("writes");
        fs::write(world.path("policy"), world.policy()).expect("writes");
        world
    }

    /// With these releases in the depot.
    pub fn with(versions: &[&str]) -> Self {
        let world = Self::new();
        for version in versions {
            world.publish_folder(&world.release(version, &[]));
        }
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.bench.path(name)
    }

    fn policy(&self) -> String {
        format!("log {}\nquorum none\n", self.maker.signer().key())
    }

    /// A release folder `lamp-VERSION`, with the disks that are named.
    pub fn release(&self, version: &str, disks: &[&str]) -> PathBuf {
        self.release_of(version, version.bytes().map(u64::from).sum(), disks)
    }

    /// The same with a program of this seed in it.
    pub fn release_of(&self, version: &str, seed: u64, disks: &[&str]) -> PathBuf {
        let place = self.path(&format!("lamp-{version}"));
        let text = include_str!("../../../../examples/lamp/appliance.toml");
        let mut definition = model::parse(text).expect("parses").definition;
        definition.appliance.version = version.into();
        let json = serde_json::to_vec(&definition).expect("serialises");
        let mut fixture = Fixture::new();
        for folder in ["usr", "usr/lib", "usr/lib/ampoule", SEALED_TRUST] {
            fixture.directory(folder);
        }
        fixture.file(SEALED_PATH, &json);
        fixture.file(&format!("{SEALED_TRUST}/{TRUST_ROOT}"), &self.maker.root);
        fixture.file(&format!("{SEALED_TRUST}/{TRUST_LEDGER}"), self.policy().as_bytes());
        fixture.file("usr/lib/program", &noise(20_000, seed));
        let root = fixture.image();
        let tree = hash_tree(&root, &[3; 32]);
        let line = format!("roothash={} quiet\0", tree.root_hash);
        let section = |name, data| uki::NewSection { name, data };
        let sections = [section(".cmdline", line.as_bytes()), section(".linux", b"a kernel")];
        let uki = uki::assemble(&stub(), &sections).expect("assembles");
        let manifest = Manifest {
            format: release::manifest::FORMAT,
            identity: definition.appliance.clone(),
            architecture: "amd64".into(),
            image: ImageFacts {
                root_hash: tree.root_hash,
                verity_salt: "03".repeat(32),
                root_size: root.len() as u64,
                verity_size: tree.bytes.len() as u64,
            },
            kernel_version: "6.12".into(),
            tool_version: "0".into(),
            artifacts: vec![],
            partitions: vec![],
            resources: definition.resources.clone(),
            ports: vec![],
        };
        let uki_name = ArtifactName::uki(&manifest.identity).expect("a name");
        let mut draft = ReleaseDraft::begin(&place).expect("begins");
        for (name, purpose, bytes) in [
            (names::ROOT, Purpose::Image, &root),
            (names::VERITY, Purpose::Image, &tree.bytes),
            (uki_name.as_str(), Purpose::Image, &uki),
            (names::DEFINITION, Purpose::Document, &json),
            (names::LOCK, Purpose::Document, &format!("lock of {version}").into_bytes()),
        ] {
            draft.write(&name.parse().expect("a name"), purpose, bytes).expect("writes");
        }
        let path = format!("EFI/Linux/{uki_name}").parse().expect("a path");
        let files = [(path, uki.as_slice())];
        let esp =
            esp::write(&files, &esp::Options { volume_id: 7, size: esp::size_for(&files) }).expect("writes");
        let contents = disk::Contents {
            esp: &esp,
            root: &root,
            verity: &tree.bytes,
            root_hash: tree.root_hash,
            data_size: 1 << 20,
        };
        let layout = disk::compose(&contents).expect("composes");
        for name in disks {
            let name: ArtifactName = name.parse().expect("a name");
            let mut file = File::create(draft.path_of(&name)).expect("creates");
            match name.as_str() == names::DISK_RAW {
                true => layout.write(&mut file).expect("writes"),
                false => {
                    let options = qcow2::Options { level: 1, threads: threads() };
                    qcow2::write(&layout, &layout.data_ranges(), &options, None, &mut file).expect("writes");
                }
            }
            draft.add(&name, Purpose::Disk).expect("adds");
        }
        draft.publish(manifest).expect("publishes");
        place
    }

    /// Publishes a release with keys and ledger.
    pub fn publish_folder(&self, release: &Path) {
        let maker = &self.maker;
        let signers: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
        let enter = |record: &[u8]| Ok(enter_into(maker, self.path("log"), record));
        let wanted = Request {
            signing: Some(Signing {
                root: &maker.root,
                signers: &signers,
                now: NOW,
                fresh_days: 1,
                signed: None,
            }),
            ledger: Some(Ledger { policy: &maker.policy, enter: &enter }),
            ..request(release)
        };
        let _locks = without_starts();
        let ways = Patches { threads: NonZeroUsize::MIN };
        publish(&self.bench.depot(), &wanted, &ways, &|_, _| ()).expect("published");
    }

    /// A root that follows, published in the depot. `root.json` stays the first one.
    pub fn follow(&mut self) {
        let mut store = std::collections::BTreeMap::<String, Vec<u8>>::new();
        let before = tuf::client::trust_root(&mut store, &self.maker.root).expect("a root");
        let next = tuf::metadata::Root { version: before.version + 1, ..before.clone() };
        let signed = tuf::repository::Unsigned::root(Some(&before), next).expect("follows");
        let signed = signed.sign_by(&[&self.maker.offline]).expect("signed");
        let path = self.path("2.root.json");
        fs::write(&path, signed.bytes()).expect("writes");
        let signers: [&dyn RoleSign; 2] = [&self.maker.offline, &self.maker.online];
        let signing =
            Signing { root: &self.maker.root, signers: &signers, now: NOW, fresh_days: 1, signed: None };
        let _locks = without_starts();
        signing.follow(&self.bench.depot(), &path).expect("follows");
        self.maker.root = signed.bytes().to_vec();
    }

    /// What somebody who can write to the depot does.
    pub fn change_index(&self, change: impl FnOnce(&mut Index)) {
        let mut index = self.bench.index();
        change(&mut index);
        let path = self.path("depot").join(release::index::index_path(APPLIANCE, "stable"));
        fs::write(path, index.to_bytes()).expect("writes");
    }

    /// An officer's note.
    pub fn note(officer: u8, word: Word, release: ReleaseId, until: Option<u64>) -> String {
        Self::signed(officer, word, release, until, Scope::All)
    }

    /// An officer's yes to the appliances of a group.
    pub fn note_to_group(officer: u8, release: ReleaseId, group: &str) -> String {
        Self::signed(officer, Word::Approve, release, None, Scope::Group(group.into()))
    }

    fn signed(officer: u8, word: Word, release: ReleaseId, until: Option<u64>, scope: Scope) -> String {
        let (made, reason) = (NOW - 100, "read the bulletin".into());
        let approval = Approval { word, release, bulletin: None, scope, made, until, reason };
        let key = SecretKey::from_seed(&[officer; 32]);
        let mut note = Note::new(approval.to_text().expect("a text")).expect("a note");
        let line = Self::officer(officer, &key).sign(note.text()).expect("signs");
        note.add(line);
        String::from_utf8(note.to_bytes()).expect("text")
    }

    fn officer(officer: u8, key: &SecretKey) -> NoteSigner<'_> {
        NoteSigner::new(format!("officer-{officer}").parse().expect("a name"), key)
    }

    /// Puts a note into the depot.
    pub fn say(&self, release: ReleaseId, note: &str) {
        let _locks = without_starts();
        let depot = DepotFolder::open(&self.path("depot")).expect("a depot");
        words::add(&depot, APPLIANCE, release, note).expect("added");
    }

    /// The file `officers` with the keys of these.
    pub fn officers(&self, officers: &[u8]) {
        let key = |officer: &u8| {
            let key = SecretKey::from_seed(&[*officer; 32]);
            format!("{}\n", Self::officer(*officer, &key).key())
        };
        fs::write(self.path("officers"), officers.iter().map(key).collect::<String>()).expect("writes");
    }

    /// `ampoule verify`, with what the customer trusts and `more`.
    pub fn verify(&self, subject: &str, more: &str) -> Said {
        self.ampoule(&format!("verify {subject} --root root.json --policy policy --at {AT}{more}"))
    }

    pub fn ampoule(&self, command: &str) -> Said {
        ampoule_in(&self.path(""), command.split(' '))
    }
}

/// Changes one byte of a file.
pub fn change_byte(file: &Path, offset: u64) {
    testkit::flip::flip_bit(file, offset);
}
