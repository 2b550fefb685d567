//! User and group names of the image, read from its own `passwd` and `group`.
//!
//! Refuses NSS: before systemd runs there is none, and a static program has none either.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Longest `passwd` or `group` that is read: a sealed image has a few dozen lines; more is a broken image.
const FILE_LIMIT: u64 = 1 << 20;

/// Numeric owner of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// User number.
    pub user: u32,
    /// Group number.
    pub group: u32,
}

/// Users and groups by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Name to user number and primary group.
    users: BTreeMap<String, Owner>,
    groups: BTreeMap<String, u32>,
}

/// The name is not in the image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the image has no {kind} `{name}`")]
pub struct UnknownAccount {
    kind: &'static str,
    name: String,
}

impl Accounts {
    /// Reads `etc/passwd` and `etc/group` below `root`.
    pub fn load(root: &Path) -> io::Result<Accounts> {
        let read = |name: &str| -> io::Result<String> {
            let path = root.join(name);
            let about =
                |source: io::Error| io::Error::new(source.kind(), format!("{}: {source}", path.display()));
            if std::fs::metadata(&path).map_err(about)?.len() > FILE_LIMIT {
                return Err(about(io::Error::other("larger than 1 MiB")));
            }
            std::fs::read_to_string(&path).map_err(about)
        };
        Ok(Accounts::parse(&read("etc/passwd")?, &read("etc/group")?))
    }

    /// Lines that are not of the format are passed over, as the C library does.
    pub fn parse(passwd: &str, group: &str) -> Accounts {
        let users = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let user = fields.nth(1)?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            Some((name.to_owned(), Owner { user, group }))
        });
        let groups = group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((name.to_owned(), fields.nth(1)?.parse().ok()?))
        });
        Accounts { users: users.collect(), groups: groups.collect() }
    }

    /// Reads `user`, `user:group`, or numbers in their places. Without a group it is the user's primary one.
    pub fn owner(&self, text: &str) -> Result<Owner, UnknownAccount> {
        let (user_name, group_name) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let user = match (self.users.get(user_name), user_name.parse::<u32>()) {
            (Some(owner), _) => *owner,
            (None, Ok(number)) => Owner { user: number, group: number },
            (None, Err(_)) => return Err(UnknownAccount { kind: "user", name: user_name.to_owned() }),
        };
        let Some(group_name) = group_name else { return Ok(user) };
        let group = match (self.groups.get(group_name), group_name.parse::<u32>()) {
            (Some(group), _) => *group,
            (None, Ok(number)) => number,
            (None, Err(_)) => return Err(UnknownAccount { kind: "group", name: group_name.to_owned() }),
        };
        Ok(Owner { user: user.user, group })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::parse(
            "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nbroken\n",
            "root:x:0:\nadm:x:4:syslog\n",
        )
    }

    #[test]
    fn a_user_without_group_gets_its_primary_group() {
        assert_eq!(accounts().owner("www-data"), Ok(Owner { user: 33, group: 33 }));
    }

    #[test]
    fn a_group_is_looked_up_by_its_own_name() {
        assert_eq!(accounts().owner("www-data:adm"), Ok(Owner { user: 33, group: 4 }));
        assert_eq!(accounts().owner("7:8"), Ok(Owner { user: 7, group: 8 }));
    }

    #[test]
    fn an_unknown_name_is_named() {
        assert_eq!(accounts().owner("nobody").unwrap_err().to_string(), "the image has no user `nobody`");
        assert_eq!(accounts().owner("root:wheel").unwrap_err().to_string(), "the image has no group `wheel`");
    }
}
