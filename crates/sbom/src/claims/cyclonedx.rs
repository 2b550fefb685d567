//! CycloneDX as others write it: only what is merged is read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Claims, shortened};
use crate::bill::Component;
use crate::licence::{self, Licence};

#[derive(Deserialize)]
struct Bom {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    components: Vec<Part>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    component: Option<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default, rename = "bom-ref")]
    bom_ref: String,
    #[serde(default)]
    group: String,
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    purl: String,
    #[serde(default)]
    publisher: String,
    supplier: Option<Supplier>,
    #[serde(default)]
    licenses: Vec<LicenceChoice>,
    #[serde(default)]
    components: Vec<Part>,
}

#[derive(Deserialize)]
struct Supplier {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct LicenceChoice {
    expression: Option<String>,
    license: Option<NamedLicence>,
}

#[derive(Deserialize)]
struct NamedLicence {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    #[serde(default, rename = "dependsOn")]
    on: Vec<String>,
}

pub(super) fn read(bytes: &[u8]) -> Result<Claims, serde_json::Error> {
    let bom: Bom = serde_json::from_slice(bytes)?;
    let mut depends: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for dependency in bom.dependencies {
        depends.entry(dependency.of).or_default().extend(dependency.on);
    }
    let mut components = Vec::new();
    let root = bom.metadata.component.map(|part| flatten(part, &mut components));
    bom.components.into_iter().for_each(|part| {
        flatten(part, &mut components);
    });
    for component in &mut components {
        component.depends.extend(depends.remove(&component.id).unwrap_or_default());
    }
    Ok(Claims { document: String::new(), components, roots: root.into_iter().collect() })
}

/// Adds a part and its own parts; gives its reference.
fn flatten(part: Part, into: &mut Vec<Component>) -> String {
    let licence = licence_of(&part.licenses);
    let name = if part.group.is_empty() { part.name } else { format!("{}/{}", part.group, part.name) };
    let id = match part.bom_ref.is_empty() {
        true => format!("{name}@{}", part.version),
        false => part.bom_ref,
    };
    let index = into.len();
    into.push(Component {
        id: id.clone(),
        name: shortened(&name),
        version: shortened(&part.version),
        supplier: shortened(
            &part.supplier.map(|it| it.name).filter(|it| !it.is_empty()).unwrap_or(part.publisher),
        ),
        summary: shortened(&part.description),
        purl: shortened(&part.purl),
        licence,
        ..Component::default()
    });
    let parts: Vec<String> = part.components.into_iter().map(|it| flatten(it, into)).collect();
    into[index].depends = parts;
    id
}

fn licence_of(choices: &[LicenceChoice]) -> Option<Licence> {
    let texts = choices.iter().filter_map(|choice| {
        let named = choice.license.as_ref().and_then(|it| it.id.clone().or_else(|| it.name.clone()));
        choice.expression.clone().or(named)
    });
    licence::all_of(texts)
}
