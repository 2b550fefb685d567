//! Documents that are complete already, read again. None of this says whether they expired.

use super::signing::Complete;
use crate::document::Document;
use crate::error::{Error, ErrorKind};
use crate::metadata::{Body, Root, Targets, TopRole};
use crate::threshold::Authority;

impl Complete<Root> {
    /// A root of any version that the caller trusts: it is good by its own keys.
    pub fn trusted(bytes: &[u8]) -> Result<Self, Error> {
        root_after(None, bytes).map_err(|kind| Error::new(Root::TYPE, kind))
    }

    /// The root that follows this one: good by the keys of both.
    pub fn followed_by(&self, bytes: &[u8]) -> Result<Self, Error> {
        root_after(Some(self.body()), bytes).map_err(|kind| Error::new(Root::TYPE, kind))
    }
}

impl Complete<Targets> {
    /// A list that enough of the keys signed that this root names.
    pub fn signed_for(root: &Root, bytes: &[u8]) -> Result<Self, Error> {
        let authority = Authority::top_level(root, TopRole::Targets);
        Self::read(bytes, authority).map_err(|kind| Error::new(Targets::TYPE, kind))
    }
}

/// A root that follows another one, or that is trusted as it is.
pub(super) fn root_after(before: Option<&Root>, bytes: &[u8]) -> Result<Complete<Root>, ErrorKind> {
    let root: Root = Document::parse(bytes)?.body()?;
    let expected = before.map(|before| before.version.saturating_add(1));
    if let Some(expected) = expected.filter(|expected| *expected != root.version) {
        return Err(ErrorKind::OtherVersion { found: root.version, expected });
    }
    Complete::read(bytes, Authority::root(before, &root))
}
