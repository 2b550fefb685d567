//! SPDX 2.x as others write it: only what is merged is read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Claims, shortened};
use crate::bill::Component;
use crate::licence;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    relationships: Vec<Relationship>,
    #[serde(default, rename = "documentDescribes")]
    describes: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(default, rename = "versionInfo")]
    version: String,
    #[serde(default)]
    supplier: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "licenseDeclared")]
    declared: String,
    #[serde(default, rename = "licenseConcluded")]
    concluded: String,
    #[serde(default, rename = "externalRefs")]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default, rename = "referenceType")]
    kind: String,
    #[serde(default, rename = "referenceLocator")]
    locator: String,
}

#[derive(Deserialize)]
struct Relationship {
    #[serde(rename = "spdxElementId")]
    of: String,
    #[serde(rename = "relationshipType")]
    kind: String,
    #[serde(rename = "relatedSpdxElement")]
    to: String,
}

/// What SPDX writes where nothing is known.
const NOTHING: [&str; 3] = ["", "NOASSERTION", "NONE"];

pub(super) fn read(bytes: &[u8]) -> Result<Claims, serde_json::Error> {
    let document: Document = serde_json::from_slice(bytes)?;
    let mut depends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut roots = document.describes;
    for Relationship { of, kind, to } in document.relationships {
        match kind.as_str() {
            "DEPENDS_ON" | "CONTAINS" => depends.entry(of).or_default().push(to),
            "DEPENDENCY_OF" | "CONTAINED_BY" => depends.entry(to).or_default().push(of),
            "DESCRIBES" => roots.push(to),
            _ => {}
        }
    }
    let components = document.packages.into_iter().map(|package| {
        let declared =
            [package.declared, package.concluded].into_iter().find(|it| !NOTHING.contains(&it.as_str()));
        let purl = package.references.iter().find(|it| it.kind == "purl");
        let supplier = package.supplier.split_once(": ").map_or("", |(_, name)| name);
        Component {
            purl: shortened(purl.map_or("", |it| &it.locator)),
            name: shortened(&package.name),
            version: shortened(&package.version),
            supplier: shortened(supplier),
            summary: shortened(&package.description),
            licence: declared.as_deref().and_then(licence::declared),
            depends: depends.remove(&package.id).unwrap_or_default(),
            id: package.id,
            ..Component::default()
        }
    });
    Ok(Claims { document: String::new(), components: components.collect(), roots })
}
