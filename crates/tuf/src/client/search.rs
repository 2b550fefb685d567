//! Who speaks of a target: delegations, depth first, in their order (5.6.7).

use std::collections::BTreeSet;

use super::Updated;
use crate::error::{Error, ErrorKind};
use crate::metadata::{TargetFile, Targets};
use crate::names::{RoleName, TargetPath};
use crate::threshold::Authority;

/// A target that can be trusted, and on whose word.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its path.
    pub path: TargetPath,
    /// Its length, its digests, and what its maker says of it.
    pub file: TargetFile,
    /// The role that lists it.
    pub role: RoleName,
    /// The version of that role's document.
    pub version: u64,
    /// Where the file is below a base URL, encoded; with its digest where the repository has consistent snapshots (7.2.1).
    pub url_path: String,
}

/// A role that may speak of the target, and who says so.
struct Candidate {
    role: RoleName,
    authority: Authority,
}

impl Updated<'_> {
    /// Finds a target. A role that may speak of it and can not be had or trusted ends the search: it might have said something else.
    pub fn find(&mut self, path: &TargetPath) -> Result<Found, Error> {
        if let Some(file) = self.targets.targets.get(path.as_str()) {
            return self.found(path, file.clone(), RoleName::targets(), self.targets.version);
        }
        let mut visited = BTreeSet::from([RoleName::targets()]);
        // The next one to ask is last.
        let mut waiting = Vec::new();
        push(&mut waiting, &self.targets, &RoleName::targets(), path);
        while let Some(Candidate { role, authority }) = waiting.pop() {
            // Cycles (5.6.7.1).
            if !visited.insert(role.clone()) {
                continue;
            }
            let limit = self.client.limits.roles;
            if visited.len() > limit {
                return Err(Error::new(
                    role.file_name(),
                    ErrorKind::TooManyRoles { limit, path: path.clone() },
                ));
            }
            let targets = self.client.listed_targets(&self.root, &self.snapshot, &role, &authority)?;
            if let Some(file) = targets.targets.get(path.as_str()) {
                return self.found(path, file.clone(), role, targets.version);
            }
            push(&mut waiting, &targets, &role, path);
        }
        Err(Error::new(RoleName::targets().file_name(), ErrorKind::NoSuchTarget { path: path.clone() }))
    }

    fn found(
        &self,
        path: &TargetPath,
        file: TargetFile,
        role: RoleName,
        version: u64,
    ) -> Result<Found, Error> {
        let digest = file.hashes.for_name();
        // Without a digest that is understood nothing could be compared later.
        let Some(digest) = digest else {
            return Err(Error::new(role.file_name(), ErrorKind::OtherBytes(crate::Mismatch::NoneKnown)));
        };
        let url_path = path.url_path(self.root.consistent_snapshot.then_some(digest));
        Ok(Found { path: path.clone(), file, role, version, url_path })
    }
}

/// Adds the roles that a document lets speak of a path, in their order; none after a terminating one, and none that waited before it.
fn push(waiting: &mut Vec<Candidate>, targets: &Targets, by: &RoleName, path: &TargetPath) {
    let Some(delegations) = &targets.delegations else { return };
    let mut children = Vec::new();
    for delegation in delegations.roles.iter().filter(|delegation| delegation.covers(path.as_str())) {
        let by = format!("`{by}` version {}", targets.version);
        let authority = Authority::delegation(delegation, &delegations.keys, by);
        children.push(Candidate { role: delegation.name.clone(), authority });
        if delegation.terminating {
            waiting.clear();
            break;
        }
    }
    waiting.extend(children.into_iter().rev());
}
