//! A bill as CycloneDX 1.6, JSON.
//!
//! Owns which field says what. Files are occurrences of their component (`evidence.occurrences`), with their digest as context:
//! as components of their own they would hide the few hundred that count. What was trimmed away whole has the scope
//! `excluded`. What is not known is said: the parts of an application without a list of its own are `unknown`.

mod format;

use crate::bill::{Bill, Component, Kind};
use crate::licence::{Licence, is_spdx};
pub use format::*;

/// The version that is written.
pub const SPEC_VERSION: &str = "1.6";
/// Begins the names of properties that are ours.
pub const PROPERTY_PREFIX: &str = "ampoule:";

/// The document's bytes: the same bill gives the same bytes.
pub fn to_bytes(bill: &Bill) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(&document(bill)).expect("a document is plain data");
    bytes.push(b'\n');
    bytes
}

/// Reads a document that [`to_bytes`] wrote.
pub fn parse(bytes: &[u8]) -> Result<Document, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// The document of a bill.
pub fn document(bill: &Bill) -> Document {
    let identity = &bill.identity;
    let appliance = bill.appliance_id();
    let roots: Vec<String> = bill.roots().into_iter().map(str::to_owned).collect();
    let mut dependencies = vec![Dependency { reference: appliance.clone(), depends_on: roots }];
    dependencies.extend(
        bill.components
            .iter()
            .map(|it| Dependency { reference: it.id.clone(), depends_on: it.depends.clone() }),
    );
    Document {
        bom_format: "CycloneDX".into(),
        spec_version: SPEC_VERSION.into(),
        serial_number: format!("urn:uuid:{}", bill.serial()),
        version: 1,
        metadata: Metadata {
            timestamp: bill.time.to_string(),
            lifecycles: vec![Lifecycle { phase: "build".into() }],
            tools: Tools {
                components: vec![Part {
                    name: "ampoule".into(),
                    version: bill.tool_version.clone(),
                    ..Part::of_kind("application")
                }],
            },
            authors: vec![Organisation { name: identity.vendor.clone() }],
            component: appliance_part(bill, &appliance),
            supplier: Organisation { name: identity.vendor.clone() },
        },
        components: bill.components.iter().map(part).collect(),
        dependencies,
        compositions: compositions(bill, appliance),
    }
}

fn appliance_part(bill: &Bill, id: &str) -> Part {
    let identity = &bill.identity;
    let mut references = Vec::new();
    references.extend(identity.url.clone().map(|url| Reference { kind: "website".into(), url }));
    references.extend(
        identity.contact.as_ref().map(|it| Reference { kind: "support".into(), url: format!("mailto:{it}") }),
    );
    Part {
        bom_ref: id.to_owned(),
        supplier: Some(Organisation { name: identity.vendor.clone() }),
        group: identity.vendor.clone(),
        name: identity.name.clone(),
        version: identity.version.clone(),
        description: identity.summary.clone(),
        hashes: vec![Hash { algorithm: "SHA-256".into(), content: bill.root_hash.to_string() }],
        purl: crate::purl::purl("generic", &identity.vendor, &identity.name, &identity.version, &[]),
        external_references: references,
        properties: properties([
            ("title", identity.title.as_str()),
            ("end-of-support", identity.end_of_support.as_deref().unwrap_or_default()),
            ("hash", "dm-verity root hash of the image"),
        ]),
        ..Part::of_kind("firmware")
    }
}

fn part(component: &Component) -> Part {
    let source = component.source.as_ref();
    let of_source = |field: fn(&crate::bill::SourcePackage) -> &str| source.map(field).unwrap_or_default();
    let occurrences: Vec<Occurrence> = component
        .files
        .iter()
        .map(|file| Occurrence {
            location: file.path.to_string(),
            context: match (&file.sha256, file.is_directory) {
                (Some(digest), _) => format!("sha256:{digest}"),
                (None, true) => "directory".into(),
                (None, false) => String::new(),
            },
        })
        .chain(component.places.iter().map(|it| Occurrence { location: it.clone(), context: String::new() }))
        .collect();
    let supplier = Some(&component.supplier).filter(|name| !name.is_empty());
    let homepage = Some(&component.homepage).filter(|url| is_url(url));
    Part {
        bom_ref: component.id.clone(),
        supplier: supplier.map(|name| Organisation { name: name.clone() }),
        publisher: component.maintainer.clone(),
        name: component.name.clone(),
        version: component.version.clone(),
        description: component.summary.clone(),
        scope: if component.is_present() { "required" } else { "excluded" }.into(),
        hashes: component
            .sha256
            .iter()
            .map(|digest| Hash { algorithm: "SHA-256".into(), content: digest.to_string() })
            .collect(),
        licenses: component.licence.as_ref().map(licences).unwrap_or_default(),
        cpe: component.cpe.clone(),
        purl: component.purl.clone(),
        external_references: homepage
            .map(|url| Reference { kind: "website".into(), url: url.clone() })
            .into_iter()
            .collect(),
        properties: properties([
            ("kind", component.kind.as_str()),
            ("source", of_source(|it| &it.name)),
            ("source-version", of_source(|it| &it.version)),
            ("suite", of_source(|it| &it.suite)),
            ("archive-component", of_source(|it| &it.component)),
            ("archive-path", of_source(|it| &it.path)),
            ("requested", source.filter(|it| it.requested).map(|_| "true").unwrap_or_default()),
            ("claimed-by", component.claimed_by.as_deref().unwrap_or_default()),
        ]),
        evidence: (!occurrences.is_empty()).then_some(Evidence { occurrences }),
        ..Part::of_kind(type_of(component))
    }
}

fn type_of(component: &Component) -> &'static str {
    match component.kind {
        Kind::OperatingSystem => "operating-system",
        Kind::Application | Kind::Ampoule => "application",
        Kind::Generator => "data",
        Kind::Debian | Kind::Language | Kind::Claimed => "library",
    }
}

/// The schema knows ids of SPDX's list, and expressions.
fn licences(licence: &Licence) -> Vec<LicenceChoice> {
    let expression = &licence.expression;
    vec![match is_spdx(expression) {
        true => LicenceChoice::License { license: LicenceId { id: expression.clone() } },
        false => LicenceChoice::Expression { expression: expression.clone() },
    }]
}

/// Which parts of the document are whole.
fn compositions(bill: &Bill, appliance: String) -> Vec<Composition> {
    let is_known = |it: &&Component| it.kind != Kind::Application || !it.depends.is_empty();
    let (known, unknown): (Vec<&Component>, Vec<&Component>) = bill.components.iter().partition(is_known);
    let ids = |list: Vec<&Component>| list.into_iter().map(|it| it.id.clone()).collect::<Vec<_>>();
    let mut compositions = vec![
        Composition { aggregate: "complete".into(), assemblies: vec![appliance], dependencies: Vec::new() },
        Composition { aggregate: "complete".into(), assemblies: Vec::new(), dependencies: ids(known) },
    ];
    if !unknown.is_empty() {
        let dependencies = ids(unknown);
        compositions.push(Composition { aggregate: "unknown".into(), assemblies: Vec::new(), dependencies });
    }
    compositions
}

fn properties<const N: usize>(pairs: [(&str, &str); N]) -> Vec<Property> {
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    given
        .map(|(name, value)| Property { name: format!("{PROPERTY_PREFIX}{name}"), value: value.to_owned() })
        .collect()
}

/// The schema demands an address; metadata of packages has whatever their authors wrote.
fn is_url(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c);
    (text.starts_with("http://") || text.starts_with("https://")) && text.chars().all(is_plain)
}
