//! Where documents come from. Nobody vouches for what comes.

use std::collections::BTreeMap;
use std::io::Read;

/// Brings documents from one or more places that say they have them.
///
/// An implementation MUST give up on its own on a server that does not answer or sends too slowly: the client counts bytes, not seconds.
pub trait Fetch {
    /// How many places there are: a depot and its mirrors, best first. At least one.
    fn places(&self) -> usize {
        1
    }

    /// Opens a document. `name` is one part of a path, encoded already: `timestamp.json`, `3.root.json`, `7.acme%2Fshop.json`.
    fn open(&mut self, name: &str, place: usize) -> Result<Box<dyn Read + '_>, FetchError>;

    /// What to call a document in a message: its URL, if it has one.
    fn called(&self, name: &str, _place: usize) -> String {
        name.to_owned()
    }
}

/// A document could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The place answered, and does not have it. For a root this is how a client learns that it has the newest.
    #[error("it is not there")]
    Missing,
    /// The place did not answer, or can not.
    #[error("it can not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Documents in memory: a bundle that was unpacked, or a test.
impl Fetch for BTreeMap<String, Vec<u8>> {
    fn open(&mut self, name: &str, _place: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        match self.get(name) {
            Some(bytes) => Ok(Box::new(bytes.as_slice())),
            None => Err(FetchError::Missing),
        }
    }
}
