//! PHP: `vendor/composer/installed.json`, which Composer writes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tree::TreePath;

use super::{Found, Looker, beside, folder_of};
use crate::bill::{Component, Kind};
use crate::licence;
use crate::purl::purl;

/// Composer 2 has an object, Composer 1 had the list alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Installed {
    New { packages: Vec<Package> },
    Old(Vec<Package>),
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    description: Value,
    #[serde(default)]
    homepage: Value,
    #[serde(default)]
    license: Vec<String>,
    #[serde(default)]
    require: BTreeMap<String, Value>,
    #[serde(default, rename = "install-path")]
    install_path: Option<String>,
}

pub(super) fn find(looker: &Looker<'_>) -> Vec<Found> {
    let lists = looker.makers_files().filter(|(path, _)| path.as_str().ends_with("composer/installed.json"));
    let mut found = Vec::new();
    for (path, _) in lists {
        let Some(folder) = folder_of(path) else { continue };
        let text = looker.text(path).unwrap_or_default();
        let packages = match serde_json::from_str(&text) {
            Ok(Installed::New { packages } | Installed::Old(packages)) => packages,
            Err(_) => continue,
        };
        let ids: BTreeMap<String, String> = packages.iter().map(|it| (it.name.clone(), id(it))).collect();
        found.extend(packages.into_iter().map(|package| installed(&folder, package, &ids)));
    }
    found
}

fn id(package: &Package) -> String {
    format!("composer:{}@{}", package.name, plain_version(&package.version))
}

/// Tags are `v1.2.3`; the version is not.
fn plain_version(version: &str) -> &str {
    version.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(version)
}

fn installed(composer: &TreePath, package: Package, ids: &BTreeMap<String, String>) -> Found {
    let (vendor, name) = package.name.split_once('/').unwrap_or(("", &package.name));
    let version = plain_version(&package.version);
    // Composer 1 did not say where: it is always beside its own folder.
    let place = package.install_path.clone().unwrap_or_else(|| format!("../{}", package.name));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let component = Component {
        id: id(&package),
        kind: Kind::Language,
        name: package.name.clone(),
        version: version.to_owned(),
        summary: text(&package.description),
        homepage: text(&package.homepage),
        purl: purl("composer", vendor, name, version, &[]),
        // Several licences are a choice (composer.json's schema).
        licence: licence::declared(&package.license.join(" OR ")),
        depends: package.require.keys().filter_map(|name| ids.get(name).cloned()).collect(),
        ..Component::default()
    };
    Found { component, folders: beside(composer, &place).into_iter().collect(), files: Vec::new() }
}
