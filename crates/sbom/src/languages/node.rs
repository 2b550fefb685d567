//! Node: `node_modules/NAME/package.json`, and `package-lock.json` for what was bundled.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tree::TreePath;

use super::{Found, Looker, beside, folder_of};
use crate::bill::{Component, Kind};
use crate::licence;
use crate::purl::purl;

#[derive(Deserialize)]
struct PackageJson {
    name: String,
    version: String,
    #[serde(default)]
    description: Value,
    #[serde(default)]
    homepage: Value,
    #[serde(default)]
    license: Value,
    #[serde(default)]
    author: Value,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct PackageLock {
    /// Format 2 and 3: by the folder it is installed in.
    #[serde(default)]
    packages: BTreeMap<String, Locked>,
}

#[derive(Deserialize)]
struct Locked {
    #[serde(default)]
    version: String,
    #[serde(default)]
    license: Value,
    #[serde(default)]
    dev: bool,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
}

pub(super) fn find(looker: &Looker<'_>) -> Vec<Found> {
    let mut installed: BTreeMap<TreePath, PackageJson> = BTreeMap::new();
    let mut locks = Vec::new();
    for (path, _) in looker.makers_files() {
        let Some(folder) = folder_of(path) else { continue };
        match path.name() {
            "package.json" if is_package_folder(&folder) => {
                let text = looker.text(path).unwrap_or_default();
                if let Ok(package) = serde_json::from_str(&text) {
                    installed.insert(folder, package);
                }
            }
            "package-lock.json" if !path.as_str().contains("node_modules/") => {
                let text = looker.text(path).unwrap_or_default();
                locks.extend(serde_json::from_str::<PackageLock>(&text));
            }
            _ => {}
        }
    }
    let ids: BTreeMap<TreePath, String> =
        installed.iter().map(|(folder, it)| (folder.clone(), id(&it.name, &it.version))).collect();
    let mut found: Vec<Found> =
        installed.into_iter().map(|(folder, package)| installed_package(folder, package, &ids)).collect();
    found.extend(locks.into_iter().flat_map(locked_packages));
    found
}

fn id(name: &str, version: &str) -> String {
    format!("npm:{name}@{version}")
}

/// `.../node_modules/NAME` or `.../node_modules/@SCOPE/NAME`.
fn is_package_folder(folder: &TreePath) -> bool {
    let mut parts = folder.as_str().rsplit('/').skip(1);
    match parts.next() {
        Some("node_modules") => !folder.name().starts_with('@'),
        Some(scope) if scope.starts_with('@') => parts.next() == Some("node_modules"),
        _ => false,
    }
}

fn installed_package(folder: TreePath, package: PackageJson, ids: &BTreeMap<TreePath, String>) -> Found {
    let needs = package.dependencies.keys().filter_map(|name| resolve(&folder, name, ids));
    let author = package.author.as_str().or_else(|| package.author["name"].as_str()).unwrap_or_default();
    let component = Component {
        depends: needs.collect(),
        supplier: author.to_owned(),
        summary: package.description.as_str().unwrap_or_default().to_owned(),
        homepage: package.homepage.as_str().unwrap_or_default().to_owned(),
        ..component(&package.name, &package.version, &package.license)
    };
    Found { component, folders: vec![folder], files: Vec::new() }
}

/// As Node does: `node_modules` here, then in every folder above.
fn resolve(folder: &TreePath, name: &str, ids: &BTreeMap<TreePath, String>) -> Option<String> {
    let mut here = Some(folder.clone());
    while let Some(folder) = here {
        let place = beside(&folder, &format!("node_modules/{name}"))?;
        if let Some(id) = ids.get(&place) {
            return Some(id.clone());
        }
        here = folder_of(&folder);
    }
    None
}

/// What a lock says was installed where the bundle was made: it is in the bundle, without files of its own.
fn locked_packages(lock: PackageLock) -> Vec<Found> {
    let name_of = |place: &str| place.rsplit_once("node_modules/").map(|(_, name)| name.to_owned());
    let shipped = |it: &Locked| !it.dev && !it.version.is_empty();
    let by_place: BTreeMap<&str, String> = lock
        .packages
        .iter()
        .filter(|(_, it)| shipped(it))
        .filter_map(|(place, it)| Some((place.as_str(), id(&name_of(place)?, &it.version))))
        .collect();
    let packages = lock.packages.iter().filter_map(|(place, it)| {
        if !shipped(it) {
            return None;
        }
        let resolve = |name: &String| {
            let nested = format!("{place}/node_modules/{name}");
            let top = format!("node_modules/{name}");
            by_place.get(nested.as_str()).or_else(|| by_place.get(top.as_str())).cloned()
        };
        let component = Component {
            depends: it.dependencies.keys().filter_map(resolve).collect(),
            ..component(&name_of(place)?, &it.version, &it.license)
        };
        Some(Found { component, ..Found::default() })
    });
    packages.collect()
}

fn component(name: &str, version: &str, licence: &Value) -> Component {
    let (scope, plain) = match name.split_once('/') {
        Some((scope, plain)) => (scope, plain),
        None => ("", name),
    };
    let licence = licence.as_str().or_else(|| licence["type"].as_str()).unwrap_or_default();
    Component {
        id: id(name, version),
        kind: Kind::Language,
        name: name.to_owned(),
        version: version.to_owned(),
        purl: purl("npm", scope, plain, version, &[]),
        licence: licence::declared(licence),
        ..Component::default()
    }
}
