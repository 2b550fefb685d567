//! Lists of components that a maker brings along: read, and kept as the maker's claim.
//!
//! CycloneDX 1.2 to 1.6 and SPDX 2.2 and 2.3, both as JSON. Nothing in them is checked against the bits; a claim about a package
//! that was found in the image as well adds what was not known of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::bill::{Component, Kind};

mod cyclonedx;
mod spdx;

/// Longest document. Stops a file given by mistake from filling memory.
pub const DOCUMENT_LIMIT: usize = 64 << 20;
/// Most components of a document. Stops a list that nobody could read.
pub const COMPONENT_LIMIT: usize = 100_000;
/// Longest text taken from a document. Stops a page of text where a name is expected.
const TEXT_LIMIT: usize = 2048;

/// What one document says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// The document, by its path beside the definition.
    pub document: String,
    /// Its components; their ids and dependencies are the document's own references.
    pub components: Vec<Component>,
    /// References of what the document describes.
    pub roots: Vec<String>,
}

/// Why a document can not be merged.
#[derive(Debug, thiserror::Error)]
pub enum ClaimsError {
    /// Longer than [`DOCUMENT_LIMIT`].
    #[error("`{document}` is longer than {DOCUMENT_LIMIT} bytes")]
    TooLong {
        /// The document.
        document: String,
    },
    /// More components than [`COMPONENT_LIMIT`].
    #[error("`{document}` has more than {COMPONENT_LIMIT} components")]
    TooMany {
        /// The document.
        document: String,
    },
    /// Neither of the two formats.
    #[error("`{document}` is neither CycloneDX 1.x nor SPDX 2.x in JSON")]
    Format {
        /// The document.
        document: String,
    },
    /// Damaged.
    #[error("`{document}` can not be read")]
    Syntax {
        /// The document.
        document: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
}

/// How a document says what it is.
#[derive(Deserialize)]
struct Head {
    #[serde(default, rename = "bomFormat")]
    bom_format: String,
    #[serde(default, rename = "spdxVersion")]
    spdx_version: String,
}

impl Claims {
    /// Reads a document. `name` is its path beside the definition.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, ClaimsError> {
        let document = name.to_owned();
        if bytes.len() > DOCUMENT_LIMIT {
            return Err(ClaimsError::TooLong { document });
        }
        // Windows tools write a byte order mark.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let syntax = |source| ClaimsError::Syntax { document: name.to_owned(), source };
        let head: Head = serde_json::from_slice(bytes).map_err(syntax)?;
        let claims = if head.bom_format == "CycloneDX" {
            cyclonedx::read(bytes).map_err(syntax)?
        } else if head.spdx_version.starts_with("SPDX-2.") {
            spdx::read(bytes).map_err(syntax)?
        } else {
            return Err(ClaimsError::Format { document });
        };
        if claims.components.len() > COMPONENT_LIMIT {
            return Err(ClaimsError::TooMany { document });
        }
        Ok(Self { document, ..claims })
    }
}

/// Adds what documents say to the components. `application` is who needs what they describe.
pub fn merge(documents: &[Claims], application: &str, all: &mut BTreeMap<String, Component>) {
    for (index, claims) in documents.iter().enumerate() {
        merge_one(index + 1, claims, application, all);
    }
}

fn merge_one(number: usize, claims: &Claims, application: &str, all: &mut BTreeMap<String, Component>) {
    let by_purl: BTreeMap<String, String> = all
        .values()
        .filter(|it| !it.purl.is_empty())
        .map(|it| (without_qualifiers(&it.purl).to_owned(), it.id.clone()))
        .collect();
    let id_of = |component: &Component| {
        let known = by_purl.get(without_qualifiers(&component.purl)).filter(|_| !component.purl.is_empty());
        known.cloned().unwrap_or_else(|| format!("claim:{number}:{}", component.id))
    };
    let ids: BTreeMap<&str, String> =
        claims.components.iter().map(|it| (it.id.as_str(), id_of(it))).collect();
    for component in &claims.components {
        let id = ids[component.id.as_str()].clone();
        let needs = component.depends.iter().filter_map(|reference| ids.get(reference.as_str()).cloned());
        match all.get_mut(&id) {
            Some(known) => {
                known.depends.extend(needs);
                known.licence = known.licence.take().or_else(|| component.licence.clone());
                if known.supplier.is_empty() {
                    known.supplier.clone_from(&component.supplier);
                }
            }
            None => {
                let depends = needs.collect();
                let claimed_by = Some(claims.document.clone());
                let kind = Kind::Claimed;
                let claimed = Component { id: id.clone(), kind, depends, claimed_by, ..component.clone() };
                all.insert(id, claimed);
            }
        }
    }
    // Without a word about what the document describes, the application needs everything that nothing else in it needs.
    let needed: BTreeSet<&String> = claims.components.iter().flat_map(|it| &it.depends).collect();
    let roots: Vec<String> =
        match claims.roots.iter().filter_map(|it| ids.get(it.as_str())).cloned().collect() {
            roots if roots != Vec::<String>::new() => roots,
            _ => {
                let free = claims.components.iter().filter(|it| !needed.contains(&it.id));
                free.map(|it| ids[it.id.as_str()].clone()).collect()
            }
        };
    if let Some(application) = all.get_mut(application) {
        application.depends.extend(roots);
    }
}

fn without_qualifiers(purl: &str) -> &str {
    purl.split(['?', '#']).next().unwrap_or(purl)
}

/// A text of bearable length.
fn shortened(text: &str) -> String {
    text.chars().take(TEXT_LIMIT).collect()
}

#[cfg(test)]
mod tests;
