//! Where signatures and proofs are: a depot's folder, its URL, or a bundle. Small files only, every one with a limit.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use depot::bundle::Opened;
use ledger::folder::Folder;
use ledger::http::Client;
use ledger::read::{AccessError, ReadLog};
use model::Sha256Digest;
use release::index::{ObjectRef, object_path};
use release::trust;
use release::verify::{chain, digest};
use tuf::Limits;
use tuf::fetch::{Fetch, FetchError};

use super::super::release::depot_failure;
use crate::error::Failure;

/// Whether a subject is a URL.
pub fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// A file of a place that can not be had.
#[derive(Debug, thiserror::Error)]
#[error("{message}: {why}")]
pub struct Unread {
    /// Whether it is about what is there, and not about reaching it.
    pub is_damage: bool,
    pub message: String,
    pub why: String,
}

/// A depot, or what is as good as one.
pub struct Place {
    /// As a person named it.
    name: String,
    is_bundle: bool,
    files: Box<dyn ReadLog>,
}

impl Place {
    /// The depot, or the bundle, that a person names.
    pub fn open(name: &str) -> Result<Self, Failure> {
        if is_url(name) {
            return Ok(Self::of(name, false, Box::new(Client::new().log(name))));
        }
        let path = Path::new(name);
        if path.is_file() {
            return Opened::open(path).map(|opened| Self::bundle(name, opened)).map_err(depot_failure);
        }
        Ok(Self::of(name, false, Box::new(Folder::new(name))))
    }

    /// A bundle that is open.
    pub fn bundle(name: &str, opened: Opened) -> Self {
        Self::of(name, true, Box::new(Bundled(opened)))
    }

    fn of(name: &str, is_bundle: bool, files: Box<dyn ReadLog>) -> Self {
        Self { name: name.to_owned(), is_bundle, files }
    }

    /// For messages: "the depot `x`".
    pub fn called(&self) -> String {
        format!("the {} `{}`", self.kind(), self.name)
    }

    fn kind(&self) -> &'static str {
        if self.is_bundle { "bundle" } else { "depot" }
    }

    /// What to do when something of it is missing or changed.
    pub fn again(&self) -> &'static str {
        match self.is_bundle {
            true => "do not take it: carry it again, or ask whoever made it for another one",
            false => "the depot is damaged, or half-copied: ask another one, or its maker",
        }
    }

    /// A small file whole; `None`: there is none.
    pub fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Unread> {
        let is_damage = |error: &AccessError| self.is_bundle || !matches!(error, AccessError::Failed { .. });
        self.files.read(path, limit).map_err(|error| Unread {
            is_damage: is_damage(&error),
            message: format!("`{path}` of {} can not be read", self.called()),
            why: match &error {
                AccessError::Failed { source, .. } => chain(&**source),
                AccessError::TooLong { limit, .. } => format!("it has more than {limit} bytes"),
                other => chain(other),
            },
        })
    }

    /// An object of at most `limit` bytes, whose digest was compared.
    pub fn object(&self, object: &ObjectRef, limit: u64) -> Result<Vec<u8>, String> {
        let path = object_path(&object.sha256);
        if object.size > limit {
            return Err(format!("{path} has more than {limit} bytes"));
        }
        let bytes = self.read(&path, object.size as usize).map_err(|error| error.to_string())?;
        let bytes = bytes.ok_or_else(|| format!("the {} has no {path}", self.kind()))?;
        let found = digest(&bytes);
        match found == object.sha256 {
            true => Ok(bytes),
            false => Err(format!("{path} has not the content it should have: its SHA-256 is {found}")),
        }
    }

    /// The roles' documents. The digests of the roots that are asked for are kept in `roots`: once an update went through, they are a chain.
    pub fn roles<'a>(&'a self, roots: &'a RefCell<BTreeSet<Sha256Digest>>) -> impl Fetch + 'a {
        Roles { place: self, roots }
    }

    /// Whether it is a bundle, which holds all that it needs.
    pub fn is_bundle(&self) -> bool {
        self.is_bundle
    }
}

/// The members of a bundle, under the paths that they have in a depot.
struct Bundled(Opened);

impl ReadLog for Bundled {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, AccessError> {
        if self.0.member(path).is_some_and(|member| member.size > limit as u64) {
            return Err(AccessError::TooLong { path: path.into(), limit });
        }
        let failed =
            |error| AccessError::Failed { path: path.into(), action: "read", source: Box::new(error) };
        self.0.read(path, limit as u64).map_err(failed)
    }
}

struct Roles<'a> {
    place: &'a Place,
    roots: &'a RefCell<BTreeSet<Sha256Digest>>,
}

impl Fetch for Roles<'_> {
    fn open(&mut self, name: &str, _: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        let limit = Limits::DEFAULT.targets as usize + 1;
        match self.place.read(&format!("{}/{name}", trust::FOLDER), limit) {
            Ok(Some(bytes)) => {
                if name.ends_with(".root.json") {
                    self.roots.borrow_mut().insert(digest(&bytes));
                }
                Ok(Box::new(std::io::Cursor::new(bytes)))
            }
            Ok(None) => Err(FetchError::Missing),
            Err(error) => Err(FetchError::Unreachable(Box::new(error))),
        }
    }

    fn called(&self, name: &str, _: usize) -> String {
        format!("{}/{}/{name}", self.place.name.trim_end_matches('/'), trust::FOLDER)
    }
}
