//! Where trusted documents are kept, under names without versions (5.3.8: "as FILENAME.EXT").

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Longest document that is read back. Above every limit of what is stored; stops a foreign file in the store from filling memory.
const FILE_LIMIT: u64 = 64 << 20;

/// Keeps documents by name. Names are single parts of a path, safe as file names.
pub trait Store {
    /// A document, or nothing if there is none of that name.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Replaces a document. Returned `Ok` means: after a crash the new one is there. A crash before that MUST leave the old one or the
    /// new one, whole.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a document; one that is not there is no error. Returned `Ok` means: after a crash it is not there.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A folder of files.
#[derive(Clone, Debug)]
pub struct FolderStore(PathBuf);

impl FolderStore {
    /// The store in this folder, which exists.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

impl Store for FolderStore {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.0.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "no document is that long"));
        }
        Ok(Some(bytes))
    }

    /// Written beside it, synced, renamed over it, folder synced. The name beside begins with a dot, as no document's does.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let partial = self.0.join(format!(".{name}.partial"));
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, self.0.join(name))?;
        self.sync()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.sync(),
        }
    }
}

/// Documents in memory: what is tried out, and tests.
impl Store for BTreeMap<String, Vec<u8>> {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.get(name).cloned())
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        BTreeMap::remove(self, name);
        Ok(())
    }
}
