//! Accounts of an image.

use image::ReadAt;
use serde::Serialize;

use super::{InspectError, Texts};

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct User {
    /// Name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Login shell.
    pub shell: String,
    /// Whether a password could let somebody in.
    pub has_password: bool,
}

pub(super) fn users<R: ReadAt>(texts: &Texts<'_, R>) -> Result<Vec<User>, InspectError> {
    let passwd = texts.text("etc/passwd")?.unwrap_or_default();
    let shadow = texts.text("etc/shadow")?.unwrap_or_default();
    let has_password = |name: &str| {
        let field =
            shadow.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split(':').next());
        // No line means that the password field of passwd counts, which is `x` everywhere.
        field.is_some_and(|field| !field.starts_with(['!', '*']))
    };
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let (name, uid) = (fields.first()?, fields.get(2)?.parse().ok()?);
        let shell = fields.get(6).copied().unwrap_or_default().to_owned();
        Some(User { name: (*name).to_owned(), uid, shell, has_password: has_password(name) })
    };
    Ok(passwd.lines().filter_map(user).collect())
}
