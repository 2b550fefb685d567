//! A maker's bench: release folders with images of a few bytes, a depot, and ways that are copies.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod carried;
pub mod maker;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use depot::publish::{Request, Summary, publish};
use depot::ways::{ImageFiles, Made, Recipe, WayError, Ways};
use depot::{DepotError, DepotFolder};
use model::Sha256Digest;
use model::definition::Definition;
use release::index::Index;
use release::manifest::FORMAT;
use release::{ArtifactName, ImageFacts, Manifest, Purpose, ReleaseDraft, names};
use tempfile::TempDir;

pub const NOW: u64 = 1_700_000_000;
pub const APPLIANCE: &str = "ampoule-examples/lamp";

pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn depot(&self) -> DepotFolder {
        DepotFolder::open_or_create(&self.path("depot")).expect("a depot")
    }

    /// A release folder whose image is `content`.
    pub fn release(&self, version: &str, content: &str) -> PathBuf {
        let facts = ImageFacts {
            root_hash: Sha256Digest([content.len() as u8; 32]),
            verity_salt: "00".into(),
            root_size: content.len() as u64,
            verity_size: 1,
        };
        self.release_of(version, content, facts)
    }

    /// The same, with a root that is as `facts` say.
    pub fn release_of(&self, version: &str, content: &str, facts: ImageFacts) -> PathBuf {
        let place = self.path(&format!("{version}-{}", &content[..content.len().min(20)]));
        let text = include_str!("../../../../examples/lamp/appliance.toml");
        let mut definition: Definition = model::parse(text).expect("parses").definition;
        definition.appliance.version = version.into();
        let manifest = Manifest {
            format: FORMAT,
            identity: definition.appliance.clone(),
            architecture: "amd64".into(),
            image: facts,
            kernel_version: "6".into(),
            tool_version: "0".into(),
            artifacts: vec![],
            partitions: vec![],
            resources: definition.resources.clone(),
            ports: vec![],
        };
        let mut draft = ReleaseDraft::begin(&place).expect("begins");
        let mut write = |name: &ArtifactName, purpose, bytes: &[u8]| {
            draft.write(name, purpose, bytes).expect("writes");
        };
        let name = |name: &str| name.parse::<ArtifactName>().expect("a name");
        write(&name(names::ROOT), Purpose::Image, content.as_bytes());
        let uki = ArtifactName::uki(&manifest.identity).expect("a name");
        write(&uki, Purpose::Image, format!("uki of {content}").as_bytes());
        let json = serde_json::to_vec(&definition).expect("serialises");
        write(&name(names::DEFINITION), Purpose::Document, &json);
        write(&name(names::LOCK), Purpose::Document, format!("lock of {version}").as_bytes());
        draft.publish(manifest).expect("publishes");
        place
    }

    pub fn publish(&self, release: &Path, ways: &Copies) -> Result<Summary, DepotError> {
        publish(&self.depot(), &request(release), ways, &|_, _| ())
    }

    pub fn index(&self) -> Index {
        self.depot().index(APPLIANCE, "stable").expect("reads").expect("is there")
    }

    /// Every file of the depot and its bytes.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path("depot"), &mut files);
        files
    }
}

/// Every file in a folder and its bytes.
pub fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    collect(folder, &mut files);
    files
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("lists") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).expect("reads"));
        }
    }
}

pub fn request(release: &Path) -> Request<'_> {
    Request {
        release,
        channel: "stable",
        notes: Some("fixes".into()),
        patches: 5,
        from: &[],
        now: NOW,
        security_only_from: Vec::new(),
        signing: None,
        ledger: None,
    }
}

/// Ways that are the image itself. What is made from an old image names it.
#[derive(Default)]
pub struct Copies {
    pub made: RefCell<Vec<String>>,
    /// Fails at this call, counted from 1.
    pub fails_at: Option<usize>,
    /// What a patch with the kernel's recipe needs.
    pub memory: u64,
}

impl Copies {
    fn count(&self, what: String) -> Result<(), WayError> {
        self.made.borrow_mut().push(what);
        match self.fails_at {
            Some(at) if at == self.made.borrow().len() => {
                Err(io::Error::from(io::ErrorKind::StorageFull).into())
            }
            _ => Ok(()),
        }
    }
}

impl Ways for Copies {
    fn make(
        &self,
        old: Option<&ImageFiles>,
        new: &ImageFiles,
        recipe: Recipe,
        out: &Path,
        _progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Made, WayError> {
        let read = |image: &ImageFiles| fs::read_to_string(&image.root);
        let old = old.map(read).transpose()?;
        let new_root = read(new)?;
        self.count(format!("{}->{new_root} {recipe:?}", old.as_deref().unwrap_or("nothing")))?;
        let uki = fs::read_to_string(&new.uki)?;
        let text = match &old {
            None => format!("{new_root}\n{uki}"),
            Some(old) => format!("{old}>{new_root}"),
        };
        fs::write(out, if recipe == Recipe::Allowed { text } else { text + " " })?;
        let with_recipe = old.is_some() && recipe == Recipe::Allowed;
        Ok(Made { memory: if with_recipe { self.memory } else { 1 } })
    }

    fn rebuild(&self, full: &Path, to: &ImageFiles) -> Result<(), WayError> {
        let text = fs::read_to_string(full)?;
        let (root, uki) = text.trim().split_once('\n').ok_or("no full image")?;
        self.count(format!("rebuild {root}"))?;
        fs::write(&to.root, root)?;
        fs::write(&to.uki, uki)?;
        Ok(())
    }
}
