//! From the trusted root to the newest one (5.2, 5.3).

use super::{Client, ROOT, SNAPSHOT, TIMESTAMP, check_fresh};
use crate::document::Document;
use crate::error::{Error, ErrorKind};
use crate::metadata::{Root, TopRole};
use crate::threshold::Authority;

/// A root that is signed by itself.
pub(super) fn read_root(bytes: &[u8]) -> Result<Root, Error> {
    let read = || {
        let document = Document::parse(bytes)?;
        let root: Root = document.body()?;
        Authority::root(None, &root).check(&document)?;
        Ok(root)
    };
    read().map_err(|kind: ErrorKind| Error::new(ROOT, kind))
}

/// A root that follows the trusted one.
fn next_root(trusted: &Root, bytes: &[u8]) -> Result<Root, ErrorKind> {
    let document = Document::parse(bytes)?;
    let root: Root = document.body()?;
    // 5.3.4: signed by a threshold of the trusted root's keys, then of its own.
    Authority::root(Some(trusted), &root).check(&document)?;
    // 5.3.5: exactly the next version, whatever its file is called.
    let expected = trusted.version.saturating_add(1);
    if root.version == expected {
        Ok(root)
    } else {
        Err(ErrorKind::OtherVersion { found: root.version, expected })
    }
}

impl Client<'_> {
    /// Follows roots until there is no newer one. The last one MUST be fresh; those on the way need not (5.3.6).
    pub(super) fn follow_roots(&mut self) -> Result<Root, Error> {
        let bytes = self.stored(ROOT)?.ok_or_else(|| Error::new(ROOT, ErrorKind::NoRoot))?;
        let mut root = read_root(&bytes)?;
        for _ in 0..self.limits.roots {
            let Some(version) = root.version.checked_add(1) else { break };
            let next = self.bring_if_there(&format!("{version}.{ROOT}"), self.limits.root, |bytes| {
                next_root(&root, bytes)
            })?;
            let Some((next, bytes)) = next else { break };
            // 5.3.11, before 5.3.8: a crash in between drops too much rather than too little. What is dropped is asked for again.
            if [TopRole::Timestamp, TopRole::Snapshot].iter().any(|role| next.takes_keys_from(&root, *role)) {
                for name in [TIMESTAMP, SNAPSHOT] {
                    self.store.remove(name).map_err(Error::store(name, "removed"))?;
                }
            }
            self.keep(ROOT, &bytes)?;
            root = next;
        }
        // 5.3.10: against news that are held back. Checked after storing: the way to the newest root is not walked twice.
        check_fresh(root.expires, self.now)
            .map_err(|kind| Error::new(format!("{}.{ROOT}", root.version), kind))?;
        Ok(root)
    }
}
