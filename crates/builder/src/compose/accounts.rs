//! Users and groups of the image, as the texts of `/etc/passwd`, `/etc/group` and `/etc/shadow`.
//!
//! Pure: texts in, texts out. Numbers for the maker's users are given in the order they are declared, from
//! [`FIRST_ID`], so that they do not depend on the building machine and stay when packages are added.

use model::definition::SystemUser;

/// First number for declared users. Debian gives system users that packages create numbers downwards from 999;
/// starting at 400 keeps the two apart.
pub const FIRST_ID: u32 = 400;

/// The account files of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounts {
    /// `/etc/passwd`
    pub passwd: String,
    /// `/etc/group`
    pub group: String,
    /// `/etc/shadow`
    pub shadow: String,
}

/// An owner of files: numeric user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

/// A name that the image does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The user is neither in a package nor declared.
    #[error("the image has no user `{0}`: declare it under [[users]] or add the package that makes it")]
    UnknownUser(String),
    /// The group is neither in a package nor declared.
    #[error("the image has no group `{0}`")]
    UnknownGroup(String),
    /// A package already makes a user of that name.
    #[error("user `{0}` is declared under [[users]], but a package makes it already")]
    Duplicate(String),
}

impl Accounts {
    /// Adds the declared users, each with a group of its own, a locked password and no shell.
    ///
    /// The password field is `x` where the image has shadow passwords; without them `x` would point at nothing,
    /// so the account is locked in `passwd` itself (`*`, as passwd(5) has it).
    pub fn add(&mut self, users: &[SystemUser]) -> Result<(), AccountError> {
        let has_shadow = !self.shadow.is_empty();
        let password = if has_shadow { "x" } else { "*" };
        for user in users {
            if field(&self.passwd, &user.name, 2).is_some() {
                return Err(AccountError::Duplicate(user.name.clone()));
            }
            let id = self.free_id();
            append(
                &mut self.passwd,
                &format!("{0}:{password}:{id}:{id}::{1}:/usr/sbin/nologin", user.name, user.home),
            );
            append(&mut self.group, &format!("{}:x:{id}:", user.name));
            if has_shadow {
                append(&mut self.shadow, &format!("{}:!*:::::::", user.name));
            }
        }
        // Memberships come last: a group may be that of a user declared further below.
        for user in users {
            for group in &user.groups {
                self.join(&user.name, group)?;
            }
        }
        Ok(())
    }

    /// Resolves `user` or `user:group`; numbers are taken as they are. Without group, the user's own.
    pub fn owner(&self, text: &str) -> Result<Owner, AccountError> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let unknown = || AccountError::UnknownUser(user.to_owned());
        let uid = number(user).or_else(|| field(&self.passwd, user, 2)).ok_or_else(unknown)?;
        let gid = match group {
            Some(group) => number(group)
                .or_else(|| field(&self.group, group, 2))
                .ok_or_else(|| AccountError::UnknownGroup(group.to_owned()))?,
            None => field(&self.passwd, user, 3).or_else(|| number(user)).ok_or_else(unknown)?,
        };
        Ok(Owner { uid, gid })
    }

    fn free_id(&self) -> u32 {
        let is_taken = |id: u32| {
            let has = |text: &str| text.lines().any(|line| nth(line, 2).and_then(number) == Some(id));
            has(&self.passwd) || has(&self.group)
        };
        (FIRST_ID..).find(|id| !is_taken(*id)).expect("there are fewer accounts than numbers")
    }

    fn join(&mut self, user: &str, group: &str) -> Result<(), AccountError> {
        if field(&self.group, group, 2).is_none() {
            return Err(AccountError::UnknownGroup(group.to_owned()));
        }
        self.group = self
            .group
            .lines()
            .map(|line| match nth(line, 0) == Some(group) {
                true if line.ends_with(':') => format!("{line}{user}\n"),
                true => format!("{line},{user}\n"),
                false => format!("{line}\n"),
            })
            .collect();
        Ok(())
    }
}

fn nth(line: &str, index: usize) -> Option<&str> {
    line.split(':').nth(index)
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

fn field(text: &str, name: &str, index: usize) -> Option<u32> {
    text.lines().find(|line| nth(line, 0) == Some(name)).and_then(|line| nth(line, index)).and_then(number)
}

fn append(text: &mut String, line: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n".into(),
            group: "root:x:0:\nwww-data:x:33:\nssl-cert:x:400:\n".into(),
            shadow: "root:*:::::::\n".into(),
        }
    }

    fn user(name: &str, groups: &[&str]) -> SystemUser {
        SystemUser {
            name: name.into(),
            home: "/var/lib/x".into(),
            groups: groups.iter().map(|group| group.to_string()).collect(),
        }
    }

    #[test]
    fn declared_users_get_free_numbers_and_no_way_in() {
        let mut accounts = accounts();
        accounts.add(&[user("notes", &["www-data", "later"]), user("later", &[])]).unwrap();
        assert!(accounts.passwd.ends_with(
            "notes:x:401:401::/var/lib/x:/usr/sbin/nologin\nlater:x:402:402::/var/lib/x:/usr/sbin/nologin\n"
        ));
        assert!(accounts.group.contains("www-data:x:33:notes\n"));
        assert!(accounts.group.contains("later:x:402:notes\n"));
        assert!(accounts.shadow.contains("notes:!*:"));
    }

    #[test]
    fn without_shadow_declared_users_are_locked_in_passwd() {
        let mut accounts = Accounts { shadow: String::new(), ..accounts() };
        accounts.add(&[user("notes", &[])]).unwrap();
        assert!(accounts.passwd.ends_with("notes:*:401:401::/var/lib/x:/usr/sbin/nologin\n"));
        assert!(accounts.shadow.is_empty());
    }

    #[test]
    fn owners_are_found_by_name_number_or_both() {
        let accounts = accounts();
        assert_eq!(accounts.owner("www-data"), Ok(Owner { uid: 33, gid: 33 }));
        assert_eq!(accounts.owner("root:ssl-cert"), Ok(Owner { uid: 0, gid: 400 }));
        assert_eq!(accounts.owner("7:8"), Ok(Owner { uid: 7, gid: 8 }));
        assert_eq!(accounts.owner("nobody-here"), Err(AccountError::UnknownUser("nobody-here".into())));
        assert_eq!(accounts.owner("root:nope"), Err(AccountError::UnknownGroup("nope".into())));
    }

    #[test]
    fn a_user_that_a_package_makes_can_not_be_declared_again() {
        assert_eq!(accounts().add(&[user("www-data", &[])]), Err(AccountError::Duplicate("www-data".into())));
    }
}
