//! OpenVEX 0.2.0: statements that an issue does not apply, with reason and author. Shown beside the issue, which stays listed.

use serde::Deserialize;

/// Largest document.
pub const VEX_LIMIT: u64 = 64 << 20;

/// One statement that something does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAffected {
    /// Issue.
    pub id: String,
    /// Products it is about, as identifiers; empty: all.
    pub products: Vec<String>,
    /// Why, and who says so.
    pub text: String,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@context")]
    context: String,
    #[serde(default)]
    author: String,
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
struct Statement {
    vulnerability: Vulnerability,
    #[serde(default)]
    products: Vec<Product>,
    status: String,
    #[serde(default)]
    justification: String,
    #[serde(default)]
    impact_statement: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vulnerability {
    Name(String),
    Object { name: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Product {
    Name(String),
    Object {
        #[serde(rename = "@id", default)]
        id: String,
    },
}

/// A document that can not be read.
#[derive(Debug, thiserror::Error)]
pub enum VexError {
    /// Not JSON of this shape.
    #[error("it is not an OpenVEX document")]
    Json(#[source] serde_json::Error),
    /// Another kind of document.
    #[error("its context `{0}` is not OpenVEX")]
    Context(String),
}

/// The statements of `not_affected`.
pub fn read(bytes: &[u8]) -> Result<Vec<NotAffected>, VexError> {
    let document: Document = serde_json::from_slice(bytes).map_err(VexError::Json)?;
    if !document.context.contains("openvex") {
        return Err(VexError::Context(document.context.chars().take(80).collect()));
    }
    let statements = document.statements.into_iter().filter(|statement| statement.status == "not_affected");
    let author = if document.author.is_empty() { "an unnamed author" } else { &document.author };
    Ok(statements
        .map(|statement| {
            let id = match statement.vulnerability {
                Vulnerability::Name(name) | Vulnerability::Object { name } => name,
            };
            let products = statement.products.into_iter().map(|product| match product {
                Product::Name(id) | Product::Object { id } => id,
            });
            let reason = [statement.justification.replace('_', " "), statement.impact_statement];
            let reason = reason.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
            let reason = if reason.is_empty() { "no reason given".to_owned() } else { reason };
            NotAffected {
                id,
                products: products.collect(),
                text: format!("not affected, says {author}: {reason}"),
            }
        })
        .collect())
}

impl NotAffected {
    /// Whether it speaks of an issue in a source package, or of the appliance as a whole.
    pub fn is_about(&self, id: &str, source: &str, appliance: Option<&str>) -> bool {
        let is_product = |product: &String| {
            let name = product.split(['@', '?']).next().unwrap_or_default().trim_start_matches("pkg:");
            let last = name.rsplit('/').next().unwrap_or_default();
            last == source
                || appliance
                    .is_some_and(|appliance| name == appliance || name.ends_with(&format!("/{appliance}")))
        };
        self.id == id && (self.products.is_empty() || self.products.iter().any(is_product))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"@context": "https://openvex.dev/ns/v0.2.0", "author": "Acme", "statements": [
        {"vulnerability": {"name": "CVE-2026-1"}, "products": [{"@id": "pkg:deb/debian/openssl@3.5.1-1?arch=source"}],
         "status": "not_affected", "justification": "vulnerable_code_not_present"},
        {"vulnerability": "CVE-2026-2", "status": "not_affected", "products": ["pkg:generic/acme/shop@1.0"]},
        {"vulnerability": {"name": "CVE-2026-3"}, "status": "affected"}]}"#;

    #[test]
    fn a_statement_counts_for_what_it_names_and_says_who_made_it() {
        let statements = read(TEXT.as_bytes()).expect("reads");
        assert_eq!(statements.len(), 2);
        assert!(statements[0].is_about("CVE-2026-1", "openssl", None));
        assert!(!statements[0].is_about("CVE-2026-1", "openssh", None));
        assert!(statements[1].is_about("CVE-2026-2", "apache2", Some("acme/shop")));
        assert_eq!(statements[0].text, "not affected, says Acme: vulnerable code not present");
        assert!(read(b"{}").is_err());
    }
}
