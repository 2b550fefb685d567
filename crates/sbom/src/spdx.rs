//! A bill as SPDX 2.3, JSON.
//!
//! Owns which field says what. Files are not listed: SPDX 2.3 demands a SHA-1 of each, which nobody should lean on; the
//! CycloneDX document and the contents document of the release list them with SHA-256.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bill::{Bill, Component, Kind};

/// The document of a bill. Fields are named as the specification names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    spdx_version: String,
    data_license: String,
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    document_namespace: String,
    comment: String,
    creation_info: CreationInfo,
    /// The appliance and its components.
    pub packages: Vec<Package>,
    /// What contains and needs what.
    pub relationships: Vec<Relationship>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<ExtractedLicence>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Package {
    /// Unique within the document.
    #[serde(rename = "SPDXID")]
    pub id: String,
    /// Its name.
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    version_info: String,
    supplier: String,
    download_location: String,
    files_analyzed: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    homepage: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    source_info: String,
    license_concluded: String,
    license_declared: String,
    copyright_text: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    summary: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    primary_package_purpose: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Checksum {
    algorithm: String,
    checksum_value: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExternalRef {
    reference_category: String,
    reference_type: String,
    reference_locator: String,
}

/// One relationship.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Relationship {
    /// Of whom.
    pub spdx_element_id: String,
    /// Of what kind.
    pub relationship_type: String,
    /// To whom.
    pub related_spdx_element: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExtractedLicence {
    license_id: String,
    name: String,
    extracted_text: String,
}

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const APPLIANCE: &str = "SPDXRef-appliance";
const UNKNOWN: &str = "NOASSERTION";

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
    let ids = ids(bill);
    let mut packages = vec![appliance(bill)];
    packages.extend(bill.components.iter().map(|it| package(it, &ids[it.id.as_str()])));
    let mut named: BTreeMap<&str, &str> = BTreeMap::new();
    for licence in bill.components.iter().filter_map(|it| it.licence.as_ref()) {
        named.extend(licence.named.iter().map(|(id, name)| (id.as_str(), name.as_str())));
    }
    Document {
        spdx_version: "SPDX-2.3".into(),
        data_license: "CC0-1.0".into(),
        id: DOCUMENT.into(),
        name: format!("{}-{}-{}", identity.vendor, identity.name, identity.version),
        document_namespace: format!(
            "https://spdx.org/spdxdocs/{}-{}-{}-{}",
            identity.vendor,
            identity.name,
            identity.version,
            bill.serial()
        ),
        comment: format!("Root hash of the image: {}", bill.root_hash),
        creation_info: CreationInfo {
            created: bill.time.to_string(),
            creators: vec![
                format!("Tool: ampoule-{}", bill.tool_version),
                format!("Organization: {}", identity.vendor),
            ],
        },
        packages,
        relationships: relationships(bill, &ids),
        has_extracted_licensing_infos: named
            .into_iter()
            .map(|(id, name)| ExtractedLicence {
                license_id: id.to_owned(),
                name: name.to_owned(),
                extracted_text: format!(
                    "Named `{name}` in the copyright file of the package, which is among the release's package documents."
                ),
            })
            .collect(),
    }
}

/// SPDX 2.3, 7.2: letters, digits, `.` and `-`. Distinct ids stay distinct.
fn ids(bill: &Bill) -> BTreeMap<&str, String> {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for component in &bill.components {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let id = format!("SPDXRef-{}", component.id.chars().map(plain).collect::<String>());
        let count = taken.entry(id.clone()).or_default();
        *count += 1;
        // Two dashes are no part of a component's own number.
        let id = if *count == 1 { id } else { format!("{id}--{count}") };
        ids.insert(component.id.as_str(), id);
    }
    ids
}

fn appliance(bill: &Bill) -> Package {
    let identity = &bill.identity;
    let purl = crate::purl::purl("generic", &identity.vendor, &identity.name, &identity.version, &[]);
    Package {
        id: APPLIANCE.into(),
        name: identity.name.clone(),
        version_info: identity.version.clone(),
        supplier: format!("Organization: {}", identity.vendor),
        download_location: UNKNOWN.into(),
        files_analyzed: false,
        checksums: Vec::new(),
        homepage: identity.url.clone().unwrap_or_default(),
        source_info: String::new(),
        license_concluded: UNKNOWN.into(),
        license_declared: UNKNOWN.into(),
        copyright_text: UNKNOWN.into(),
        summary: identity.summary.clone(),
        external_refs: vec![purl_ref(&purl)],
        primary_package_purpose: "FIRMWARE".into(),
    }
}

fn package(component: &Component, id: &str) -> Package {
    let licence = component.licence.as_ref().map_or(UNKNOWN, |it| &it.expression);
    let digest = component.sha256.iter();
    let mut references: Vec<ExternalRef> =
        Some(&component.purl).filter(|it| !it.is_empty()).map(|it| purl_ref(it)).into_iter().collect();
    references.extend(Some(&component.cpe).filter(|it| !it.is_empty()).map(|cpe| ExternalRef {
        reference_category: "SECURITY".into(),
        reference_type: "cpe23Type".into(),
        reference_locator: cpe.clone(),
    }));
    Package {
        id: id.to_owned(),
        name: component.name.clone(),
        version_info: component.version.clone(),
        supplier: match component.supplier.is_empty() {
            true => UNKNOWN.into(),
            false => format!("Organization: {}", plain(&component.supplier)),
        },
        download_location: UNKNOWN.into(),
        files_analyzed: false,
        checksums: digest
            .map(|it| Checksum { algorithm: "SHA256".into(), checksum_value: it.to_string() })
            .collect(),
        homepage: if component.homepage.starts_with("http") && !component.homepage.contains(' ') {
            component.homepage.clone()
        } else {
            String::new()
        },
        source_info: match (&component.source, &component.claimed_by) {
            (Some(source), _) => format!("built from source package {} {}", source.name, source.version),
            (None, Some(document)) => format!("claimed by the maker's document {document}"),
            (None, None) => String::new(),
        },
        license_concluded: UNKNOWN.into(),
        license_declared: licence.to_owned(),
        copyright_text: UNKNOWN.into(),
        summary: component.summary.clone(),
        external_refs: references,
        primary_package_purpose: match component.kind {
            Kind::OperatingSystem => "OPERATING-SYSTEM",
            Kind::Application | Kind::Ampoule => "APPLICATION",
            Kind::Generator => "OTHER",
            Kind::Debian | Kind::Language | Kind::Claimed => "LIBRARY",
        }
        .into(),
    }
}

fn purl_ref(purl: &str) -> ExternalRef {
    ExternalRef {
        reference_category: "PACKAGE-MANAGER".into(),
        reference_type: "purl".into(),
        reference_locator: purl.to_owned(),
    }
}

/// SPDX reads an address in brackets at the end of a supplier.
fn plain(text: &str) -> String {
    text.replace(['(', ')'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn relationships(bill: &Bill, ids: &BTreeMap<&str, String>) -> Vec<Relationship> {
    let relation = |of: &str, kind: &str, to: &str| Relationship {
        spdx_element_id: of.to_owned(),
        relationship_type: kind.to_owned(),
        related_spdx_element: to.to_owned(),
    };
    let mut all = vec![relation(DOCUMENT, "DESCRIBES", APPLIANCE)];
    for component in &bill.components {
        let id = &ids[component.id.as_str()];
        all.push(match component.is_present() {
            true => relation(APPLIANCE, "CONTAINS", id),
            // It helped to build the image, and nothing of it stayed.
            false => relation(id, "BUILD_DEPENDENCY_OF", APPLIANCE),
        });
    }
    all.extend(bill.roots().into_iter().map(|id| relation(APPLIANCE, "DEPENDS_ON", &ids[id])));
    for component in &bill.components {
        let of = &ids[component.id.as_str()];
        all.extend(component.depends.iter().map(|it| relation(of, "DEPENDS_ON", &ids[it.as_str()])));
    }
    all
}
