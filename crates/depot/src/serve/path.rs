//! The paths a depot has. Everything else is no path.

use std::path::PathBuf;

use model::Sha256Digest;
use release::trust::FOLDER as ROLES;

use crate::folder::{APPLIANCES, MARK, OBJECTS, ensure_name};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `depot.json`, an index, a document of the maker's roles, or what officers say: may be replaced.
    Replaced(PathBuf),
    /// An object: never changes.
    Object(Sha256Digest),
}

impl Kind {
    /// Recognises the path of a URL. No decoding: names of a depot need none.
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        match parts[..] {
            [file] if file == MARK => Some(Self::Replaced(MARK.into())),
            [appliances, vendor, name, file] if appliances == APPLIANCES => {
                let channel = file.strip_suffix(".json")?;
                for part in [vendor, name, channel] {
                    ensure_name("a part", part).ok()?;
                }
                Some(Self::Replaced([APPLIANCES, vendor, name, file].iter().collect()))
            }
            [appliances, vendor, name, words, file] if (appliances, words) == (APPLIANCES, "approvals") => {
                for part in [vendor, name] {
                    ensure_name("a part", part).ok()?;
                }
                let digest = file.strip_suffix(".json")?;
                let is_digest = digest.parse::<Sha256Digest>().is_ok_and(|it| it.to_string() == digest);
                is_digest.then(|| Self::Replaced([APPLIANCES, vendor, name, words, file].iter().collect()))
            }
            [roles, file] if roles == ROLES => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
                let is_document =
                    file.ends_with(".json") && !file.starts_with('.') && file.bytes().all(is_plain);
                is_document.then(|| Self::Replaced([ROLES, file].iter().collect()))
            }
            [objects, start, name] if objects == OBJECTS => {
                let digest: Sha256Digest = name.parse().ok()?;
                // As it is written, in lower case: one object has one URL, which caches count on.
                (digest.to_string() == name && name.get(..2) == Some(start)).then_some(Self::Object(digest))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_depot_has_is_a_path() {
        let digest = "ab".repeat(32);
        assert!(matches!(Kind::of(&format!("/objects/ab/{digest}")), Some(Kind::Object(_))));
        assert!(matches!(Kind::of("/depot.json"), Some(Kind::Replaced(_))));
        assert!(matches!(Kind::of("/appliances/acme/shop/stable.json"), Some(Kind::Replaced(_))));
        for path in [
            "",
            "/",
            "depot.json",
            "/.lock",
            "/.incoming/0001",
            "//depot.json",
            "/../etc/passwd",
            "/%2e%2e/etc/passwd",
            "/appliances/../../etc/passwd.json",
            "/appliances/acme/../shop.json",
            "/appliances/acme/shop/..json",
            "/appliances/acme/shop/.json",
            "/appliances/acme/shop/stable.json/",
            "/objects/ab",
            "/objects/ab/x",
            &format!("/objects/cd/{digest}"),
            &format!("/objects/AB/{}", digest.to_uppercase()),
            &format!("/objects/ab/{digest}/"),
        ] {
            assert_eq!(Kind::of(path), None, "{path}");
        }
    }
}
