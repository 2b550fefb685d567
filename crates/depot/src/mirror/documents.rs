//! The small files of another depot: all of them within one limit of bytes and one of time.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Instant;

use ledger::note::Note;
use model::Sha256Digest;
use release::ReleaseId;
use release::index::{INDEX_LIMIT, Index, ObjectRef, WORDS_LIMIT, index_path, object_path, words_path};
use release::trust;
use sha2::{Digest, Sha256};
use tuf::client::{ROOT, SNAPSHOT, TIMESTAMP};
use tuf::fetch::{Fetch, FetchError};
use tuf::metadata::MetaFile;

use super::error::{MirrorError, MirrorErrorKind};
use super::place::Place;
use crate::bundle::{DOCUMENTS_LIMIT, ROLE_LIMIT, is_role_document};

/// What is left of both limits.
pub(super) struct Documents<'a> {
    place: &'a Place,
    until: Instant,
    bytes: Cell<u64>,
}

impl<'a> Documents<'a> {
    pub(super) fn of(place: &'a Place) -> Self {
        Self { place, until: Instant::now() + place.patience.documents, bytes: Cell::new(0) }
    }

    pub(super) fn place(&self) -> &'a Place {
        self.place
    }

    fn small(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, MirrorError> {
        let bytes = self.place.small(path, limit, self.until)?;
        let length = bytes.as_ref().map_or(0, Vec::len) as u64;
        self.bytes.set(self.bytes.get() + length);
        match self.bytes.get() > DOCUMENTS_LIMIT {
            true => Err(self.place.wrong(path, MirrorErrorKind::TooMany { limit: DOCUMENTS_LIMIT })),
            false => Ok(bytes),
        }
    }

    /// The index of an appliance's channel.
    pub(super) fn index(&self, appliance: &str, channel: &str) -> Result<Index, MirrorError> {
        let path = index_path(appliance, channel);
        let wrong = |kind| self.place.wrong(&path, kind);
        let bytes = self.small(&path, INDEX_LIMIT)?.ok_or_else(|| wrong(MirrorErrorKind::Absent))?;
        Index::parse(&bytes, appliance, channel).map_err(|source| wrong(MirrorErrorKind::Index(source)))
    }

    /// What officers say of a release there.
    pub(super) fn words(&self, appliance: &str, release: ReleaseId) -> Result<Vec<String>, MirrorError> {
        let path = words_path(appliance, release);
        let Some(bytes) = self.small(&path, WORDS_LIMIT)? else { return Ok(Vec::new()) };
        let notes: Option<Vec<String>> = serde_json::from_slice(&bytes).ok();
        let is_note = |note: &String| Note::parse(note.as_bytes()).is_ok();
        let notes = notes.filter(|notes| notes.iter().all(is_note));
        notes.ok_or_else(|| self.place.wrong(&path, MirrorErrorKind::Words))
    }

    /// A statement or a proof.
    pub(super) fn object(&self, object: &ObjectRef, limit: u64) -> Result<Vec<u8>, MirrorError> {
        let path = object_path(&object.sha256);
        let wrong = |kind| self.place.wrong(&path, kind);
        if object.size > limit {
            return Err(wrong(MirrorErrorKind::TooLong { limit }));
        }
        let bytes = self.small(&path, object.size)?.ok_or_else(|| wrong(MirrorErrorKind::Absent))?;
        let found = Sha256Digest(Sha256::digest(&bytes).into());
        match found == object.sha256 {
            true => Ok(bytes),
            false => Err(wrong(MirrorErrorKind::Digest { expected: object.sha256, found })),
        }
    }
}

/// The documents of the roles, asked for by a client, which checks each before it asks for the next. All that came are kept.
pub(super) struct Roles<'a> {
    documents: &'a Documents<'a>,
    pub(super) kept: BTreeMap<String, Vec<u8>>,
}

impl<'a> Roles<'a> {
    pub(super) fn of(documents: &'a Documents<'a>) -> Self {
        Self { documents, kept: BTreeMap::new() }
    }

    fn path(name: &str) -> String {
        format!("{}/{name}", trust::FOLDER)
    }

    fn bring(&mut self, name: &str) -> Result<Option<&[u8]>, MirrorError> {
        if !self.kept.contains_key(name) {
            // It becomes the name of a file here. Whoever has a key of the roles must not choose another place for it.
            if !is_role_document(name) {
                return Err(self.documents.place.wrong(&Self::path(name), MirrorErrorKind::Name));
            }
            let Some(bytes) = self.documents.small(&Self::path(name), limit(name))? else {
                return Ok(None);
            };
            self.kept.insert(name.to_owned(), bytes);
        }
        Ok(self.kept.get(name).map(Vec::as_slice))
    }

    /// Every list that a snapshot speaks of, also those of other appliances: a half of them would not be the depot that its maker signed.
    pub(super) fn bring_listed(&mut self, meta: &BTreeMap<String, MetaFile>) -> Result<(), MirrorError> {
        for (file, listed) in meta {
            let name = format!("{}.{file}", listed.version);
            let place = self.documents.place;
            let wrong = |kind| place.wrong(&Self::path(&name), kind);
            let bytes = self.bring(&name)?.ok_or_else(|| wrong(MirrorErrorKind::Absent))?;
            let is_it = listed.length.is_none_or(|length| length == bytes.len() as u64)
                && listed.hashes.as_ref().is_none_or(|hashes| hashes.check(bytes).is_ok());
            if !is_it {
                return Err(wrong(MirrorErrorKind::NotListed));
            }
        }
        Ok(())
    }
}

/// What a client takes of a document.
fn limit(name: &str) -> u64 {
    let limits = tuf::Limits::DEFAULT;
    match name {
        TIMESTAMP => limits.timestamp,
        name => match name.split_once('.') {
            Some((_, ROOT)) => limits.root,
            Some((_, SNAPSHOT)) => limits.snapshot,
            _ => ROLE_LIMIT,
        },
    }
}

impl Fetch for Roles<'_> {
    fn open(&mut self, name: &str, _: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        match self.bring(name) {
            Ok(Some(bytes)) => Ok(Box::new(bytes)),
            Ok(None) => Err(FetchError::Missing),
            // Refused by the client, which has the same limits and counts itself: more than can be taken is what it sees.
            Err(MirrorError { kind: MirrorErrorKind::TooLong { .. }, .. }) => {
                Ok(Box::new(std::io::repeat(b' ')))
            }
            Err(error) => Err(FetchError::Unreachable(Box::new(error))),
        }
    }

    fn called(&self, name: &str, _: usize) -> String {
        self.documents.place.called(&Self::path(name))
    }
}
