//! What a new targets document changes, for whoever is asked to sign it, and for whoever asked for just one change.

use std::fmt;

use crate::metadata::{BASIS, Delegation, Delegations, TargetFile, Targets};
use crate::names::RoleName;

/// One change from one targets document to the next. Version and expiry, which change each time, are none.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetsChange {
    /// A file is trusted that was not.
    Added {
        /// Its path.
        path: String,
        /// What is listed.
        file: TargetFile,
    },
    /// A file is trusted no longer.
    Removed {
        /// Its path.
        path: String,
        /// What was listed.
        file: TargetFile,
    },
    /// A file has other content, or its maker says something else of it.
    Changed {
        /// Its path.
        path: String,
        /// Before.
        from: TargetFile,
        /// From now on.
        to: TargetFile,
    },
    /// Another role may speak.
    RoleAdded {
        /// Its name.
        role: RoleName,
    },
    /// A role has no say any more.
    RoleRemoved {
        /// Its name.
        role: RoleName,
    },
    /// A role has other keys, paths, or another place among the roles.
    RoleChanged {
        /// Its name.
        role: RoleName,
    },
    /// A member that this version does not know.
    Member {
        /// Its name.
        name: String,
    },
}

/// What changes. A first document is compared with an empty one.
pub fn targets_changes(before: Option<&Targets>, after: &Targets) -> Vec<TargetsChange> {
    let nothing = Targets::new(after.expires);
    let before = before.unwrap_or(&nothing);
    let mut changes = Vec::new();
    for (path, file) in &before.targets {
        if !after.targets.contains_key(path) {
            changes.push(TargetsChange::Removed { path: path.clone(), file: file.clone() });
        }
    }
    for (path, to) in &after.targets {
        let (path, to) = (path.clone(), to.clone());
        match before.targets.get(&path) {
            None => changes.push(TargetsChange::Added { path, file: to }),
            Some(from) if *from != to => {
                changes.push(TargetsChange::Changed { path, from: from.clone(), to });
            }
            Some(_) => {}
        }
    }
    role_changes(before.delegations.as_ref(), after.delegations.as_ref(), &mut changes);
    let names = before.extra.keys().chain(after.extra.keys()).filter(|name| *name != BASIS);
    let mut names: Vec<_> = names.filter(|name| before.extra.get(*name) != after.extra.get(*name)).collect();
    names.sort();
    names.dedup();
    changes.extend(names.into_iter().map(|name| TargetsChange::Member { name: name.clone() }));
    changes
}

/// What changes of who else may speak. All of it: what none of the roles explains is a member.
fn role_changes(before: Option<&Delegations>, after: Option<&Delegations>, changes: &mut Vec<TargetsChange>) {
    let nothing = Delegations::default();
    let (old, new) = (before.unwrap_or(&nothing), after.unwrap_or(&nothing));
    let place = |roles: &[Delegation], name: &RoleName| roles.iter().position(|role| role.name == *name);
    let known = changes.len();
    for role in &old.roles {
        let name = role.name.clone();
        match place(&new.roles, &name) {
            None => changes.push(TargetsChange::RoleRemoved { role: name }),
            // Which one is asked first is part of what a role may say.
            Some(at) if new.roles[at] != *role || Some(at) != place(&old.roles, &name) => {
                changes.push(TargetsChange::RoleChanged { role: name });
            }
            Some(_) => {}
        }
    }
    let added = new.roles.iter().filter(|role| place(&old.roles, &role.name).is_none());
    changes.extend(added.map(|role| TargetsChange::RoleAdded { role: role.name.clone() }));
    if changes.len() == known && before != after {
        changes.push(TargetsChange::Member { name: "delegations".to_owned() });
    }
}

impl fmt::Display for TargetsChange {
    /// Names are a stranger's: what a terminal would obey is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { path, .. } => write!(f, "`{}` is added", path.escape_debug()),
            Self::Removed { path, .. } => write!(f, "`{}` is taken away", path.escape_debug()),
            Self::Changed { path, .. } => {
                write!(f, "`{}` is listed with something else", path.escape_debug())
            }
            Self::RoleAdded { role } => write!(f, "the role `{}` is added", role.as_str().escape_debug()),
            Self::RoleRemoved { role } => {
                write!(f, "the role `{}` is taken away", role.as_str().escape_debug())
            }
            Self::RoleChanged { role } => write!(f, "the role `{}` is changed", role.as_str().escape_debug()),
            Self::Member { name } => write!(f, "the member `{}` is changed", name.escape_debug()),
        }
    }
}
