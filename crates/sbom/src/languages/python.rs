//! Python: `NAME-VERSION.dist-info` with METADATA and RECORD (core metadata and recording of installed packages).

use std::collections::BTreeMap;

use tree::TreePath;

use super::{Found, Looker, beside, folder_of};
use crate::bill::{Component, Kind};
use crate::licence;
use crate::purl::purl;

pub(super) fn find(looker: &Looker<'_>) -> Vec<Found> {
    let mut found: Vec<(Found, Vec<String>)> = Vec::new();
    for (path, _) in looker.makers_files() {
        let Some(folder) = folder_of(path) else { continue };
        let is_metadata = match path.name() {
            "METADATA" => folder.name().ends_with(".dist-info"),
            "PKG-INFO" => folder.name().ends_with(".egg-info"),
            _ => false,
        };
        if let (true, Some(text)) = (is_metadata, looker.text(path)) {
            found.extend(distribution(looker, &folder, &text));
        }
    }
    let ids: BTreeMap<String, String> =
        found.iter().map(|(it, _)| (normalised(&it.component.name), it.component.id.clone())).collect();
    found
        .into_iter()
        .map(|(mut it, needs)| {
            it.component.depends = needs.iter().filter_map(|name| ids.get(name).cloned()).collect();
            it
        })
        .collect()
}

fn distribution(looker: &Looker<'_>, folder: &TreePath, metadata: &str) -> Option<(Found, Vec<String>)> {
    let headers: Vec<(&str, &str)> = metadata
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
        .collect();
    let header = |name: &str| {
        let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value).unwrap_or_default()
    };
    let (name, version) = (header("Name"), header("Version"));
    if name.is_empty() || version.is_empty() {
        return None;
    }
    let licence = [header("License-Expression"), header("License")].into_iter().find(|it| !it.is_empty());
    let needs = headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case("Requires-Dist"));
    // `requests[socks] (>=2); extra == "test"`: what is only needed with an extra is not known to be there.
    let needs = needs.filter(|(_, value)| !value.contains("extra ==")).map(|(_, value)| {
        let end =
            value.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(value.len());
        normalised(&value[..end])
    });
    let normal = normalised(name);
    let component = Component {
        id: format!("pypi:{normal}@{version}"),
        kind: Kind::Language,
        name: name.to_owned(),
        version: version.to_owned(),
        supplier: first_of([header("Author"), header("Maintainer"), header("Author-email")]),
        summary: header("Summary").to_owned(),
        homepage: header("Home-page").to_owned(),
        purl: purl("pypi", "", &normal, version, &[]),
        licence: licence.and_then(licence::declared),
        ..Component::default()
    };
    let needs = needs.collect();
    Some((Found { component, folders: vec![folder.clone()], files: recorded(looker, folder) }, needs))
}

/// The files that the installer recorded, `PATH,HASH,SIZE` a line, relative to the folder of packages.
fn recorded(looker: &Looker<'_>, folder: &TreePath) -> Vec<TreePath> {
    let record = beside(folder, "RECORD").and_then(|path| looker.text(&path)).unwrap_or_default();
    let Some(packages) = folder_of(folder) else { return Vec::new() };
    let paths = record.lines().filter_map(|line| {
        let path = match line.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next()?,
            None => line.split(',').next()?,
        };
        beside(&packages, path)
    });
    paths.collect()
}

/// PEP 503.
fn normalised(name: &str) -> String {
    let dashed: String =
        name.chars().map(|c| if "-_.".contains(c) { '-' } else { c.to_ascii_lowercase() }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn first_of<const N: usize>(texts: [&str; N]) -> String {
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned()
}
