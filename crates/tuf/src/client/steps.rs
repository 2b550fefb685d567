//! Timestamp, snapshot and targets documents (5.4 to 5.6.6).

use super::{Client, SNAPSHOT, TIMESTAMP, check_fresh, check_listed, signed_by};
use crate::error::{Error, ErrorKind};
use crate::metadata::{Body, MetaFile, Root, Snapshot, Targets, Timestamp, TopRole};
use crate::names::RoleName;
use crate::threshold::Authority;

/// 5.4.3: a timestamp MUST NOT go back, nor its snapshot.
fn check_no_rollback(trusted: &Timestamp, new: &Timestamp) -> Result<(), ErrorKind> {
    if new.version < trusted.version {
        return Err(ErrorKind::Rollback { found: new.version, trusted: trusted.version });
    }
    // The same version is the trusted one, whatever it says (5.4.3.1).
    if new.version > trusted.version && new.snapshot().version < trusted.snapshot().version {
        return Err(ErrorKind::ListedRollback {
            file: SNAPSHOT.to_owned(),
            found: new.snapshot().version,
            trusted: trusted.snapshot().version,
        });
    }
    Ok(())
}

/// 5.5.5: no targets document may go back, or go away.
fn check_no_listed_rollback(trusted: &Snapshot, new: &Snapshot) -> Result<(), ErrorKind> {
    for (file, MetaFile { version: trusted, .. }) in &trusted.meta {
        match new.meta.get(file) {
            None => return Err(ErrorKind::RoleRemoved { file: file.clone() }),
            Some(MetaFile { version: found, .. }) if found < trusted => {
                return Err(ErrorKind::ListedRollback {
                    file: file.clone(),
                    found: *found,
                    trusted: *trusted,
                });
            }
            Some(_) => (),
        }
    }
    Ok(())
}

fn check_version(found: u64, expected: u64) -> Result<(), ErrorKind> {
    if found == expected { Ok(()) } else { Err(ErrorKind::OtherVersion { found, expected }) }
}

/// At most as many bytes as are listed; a thief of the key that lists them is held by the limit.
fn limit(listed: &MetaFile, limit: u64) -> u64 {
    listed.length.map_or(limit, |length| length.min(limit))
}

impl Client<'_> {
    /// A trusted document. One that its role's present keys did not sign binds nothing: it is told as damaged.
    fn trusted<B: Body>(
        &mut self,
        name: &'static str,
        authority: &Authority,
    ) -> Result<Option<(Vec<u8>, B)>, Error> {
        let Some(bytes) = self.stored(name)? else { return Ok(None) };
        match signed_by(authority, &bytes) {
            Ok(body) => Ok(Some((bytes, body))),
            Err(_) => {
                self.damaged.push(name);
                Ok(None)
            }
        }
    }

    /// 5.4.
    pub(super) fn newest_timestamp(&mut self, root: &Root) -> Result<Timestamp, Error> {
        let authority = Authority::top_level(root, TopRole::Timestamp);
        let trusted: Option<Timestamp> = self.trusted(TIMESTAMP, &authority)?.map(|(_, timestamp)| timestamp);
        let now = self.now;
        let accept = |bytes: &[u8]| {
            let new: Timestamp = signed_by(&authority, bytes)?;
            if let Some(trusted) = &trusted {
                check_no_rollback(trusted, &new)?;
                if new.version == trusted.version {
                    // 5.4.3.1: nothing new. 5.4.4 holds for what is kept, too.
                    check_fresh(trusted.expires, now)?;
                    return Ok((trusted.clone(), false));
                }
            }
            check_fresh(new.expires, now)?;
            Ok((new, true))
        };
        let ((timestamp, is_new), bytes) = self.bring_listed(TIMESTAMP, self.limits.timestamp, accept)?;
        if is_new {
            self.keep(TIMESTAMP, &bytes)?;
        }
        Ok(timestamp)
    }

    /// 5.5.
    pub(super) fn listed_snapshot(&mut self, root: &Root, timestamp: &Timestamp) -> Result<Snapshot, Error> {
        let authority = Authority::top_level(root, TopRole::Snapshot);
        let listed = timestamp.snapshot();
        let now = self.now;
        let check = |bytes: &[u8], snapshot: &Snapshot| {
            check_listed(listed, bytes)?;
            check_version(snapshot.version, listed.version)?;
            check_fresh(snapshot.expires, now)
        };
        let trusted = match self.trusted::<Snapshot>(SNAPSHOT, &authority)? {
            Some((bytes, snapshot)) if check(&bytes, &snapshot).is_ok() => return Ok(snapshot),
            trusted => trusted.map(|(_, snapshot)| snapshot),
        };
        let name = match root.consistent_snapshot {
            true => format!("{}.{SNAPSHOT}", listed.version),
            false => SNAPSHOT.to_owned(),
        };
        let accept = |bytes: &[u8]| {
            check_listed(listed, bytes)?;
            let new: Snapshot = signed_by(&authority, bytes)?;
            check_version(new.version, listed.version)?;
            trusted.iter().try_for_each(|trusted| check_no_listed_rollback(trusted, &new))?;
            check_fresh(new.expires, now)?;
            Ok(new)
        };
        let (snapshot, bytes) = self.bring_listed(&name, limit(listed, self.limits.snapshot), accept)?;
        self.keep(SNAPSHOT, &bytes)?;
        Ok(snapshot)
    }

    /// 5.6.1 to 5.6.6, for any role: `authority` is who delegates to it.
    pub(super) fn listed_targets(
        &mut self,
        root: &Root,
        snapshot: &Snapshot,
        role: &RoleName,
        authority: &Authority,
    ) -> Result<Targets, Error> {
        let file = role.file_name();
        let listed = snapshot.role(role).ok_or_else(|| Error::new(&file, ErrorKind::NotInSnapshot))?;
        let now = self.now;
        let accept = |bytes: &[u8]| {
            check_listed(listed, bytes)?;
            let targets: Targets = signed_by(authority, bytes)?;
            check_version(targets.version, listed.version)?;
            check_fresh(targets.expires, now)?;
            Ok(targets)
        };
        // What is stored passes the same checks, every time: another role may have delegated to it then (diamonds).
        if let Some(bytes) = self.stored(&file)?
            && let Ok(targets) = accept(&bytes)
        {
            return Ok(targets);
        }
        let name = match root.consistent_snapshot {
            true => role.versioned_file_name(listed.version),
            false => file.clone(),
        };
        let (targets, bytes) = self.bring_listed(&name, limit(listed, self.limits.targets), accept)?;
        self.keep(&file, &bytes)?;
        Ok(targets)
    }
}
