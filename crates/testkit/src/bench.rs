//! A temporary folder that is gone after the test, or kept for looking at it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Set to anything, benches of failed tests are kept and their paths told.
const KEEP_VARIABLE: &str = "AMPOULE_KEEP_BENCH";

/// A folder of its own for one test.
#[derive(Debug)]
pub struct Bench {
    folder: Option<TempDir>,
}

impl Bench {
    /// Makes the folder.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ampoule-bench-").tempdir();
        Self { folder: Some(folder.expect("a temporary folder can be made")) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.as_ref().expect("BUG: the folder is there until drop").path()
    }

    /// A path below the folder.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.path().join(path)
    }

    /// Writes a file below the folder, with the folders it needs.
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(path);
        let parent = path.parent().expect("a file has a folder");
        std::fs::create_dir_all(parent).unwrap_or_else(|error| panic!("can not create {parent:?}: {error}"));
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("can not write {path:?}: {error}"));
        path
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bench {
    #[expect(clippy::print_stderr, reason = "a test tells where its files are")]
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os(KEEP_VARIABLE).is_some() {
            let kept = self.folder.take().map(TempDir::keep);
            eprintln!("the bench is kept: {}", kept.unwrap_or_default().display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bench_is_gone_after_its_test() {
        let bench = Bench::new();
        let file = bench.write("a/b", "c");
        assert_eq!(std::fs::read(&file).expect("reads"), b"c");
        drop(bench);
        assert!(!file.exists());
    }
}
