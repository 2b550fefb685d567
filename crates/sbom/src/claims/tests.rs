//! Tests of the module above, with texts of the shapes that are met.

use super::*;

const CYCLONEDX: &str = r#"{
  "bomFormat": "CycloneDX", "specVersion": "1.4",
  "metadata": {"component": {"type": "application", "bom-ref": "root", "name": "shop", "version": "2.0"}},
  "components": [
    {"type": "library", "bom-ref": "a", "group": "org.acme", "name": "core", "version": "1.2",
     "purl": "pkg:maven/org.acme/core@1.2?type=jar", "licenses": [{"license": {"id": "Apache-2.0"}}],
     "components": [{"type": "file", "name": "inner", "version": "3"}]},
    {"type": "library", "bom-ref": "b", "name": "left-pad", "version": "1.3.0", "purl": "pkg:npm/left-pad@1.3.0",
     "licenses": [{"expression": "WTFPL OR MIT"}], "supplier": {"name": "Acme"}}],
  "dependencies": [{"ref": "root", "dependsOn": ["a", "b"]}]}"#;

const SPDX: &str = r#"{
  "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT",
  "packages": [
    {"SPDXID": "SPDXRef-root", "name": "shop", "versionInfo": "2.0", "licenseDeclared": "NOASSERTION"},
    {"SPDXID": "SPDXRef-x", "name": "left-pad", "versionInfo": "1.3.0", "supplier": "Organization: Acme",
     "licenseDeclared": "MIT", "externalRefs": [
       {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:npm/left-pad@1.3.0"}]}],
  "relationships": [
    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-root"},
    {"spdxElementId": "SPDXRef-x", "relationshipType": "DEPENDENCY_OF", "relatedSpdxElement": "SPDXRef-root"}]}"#;

fn known() -> BTreeMap<String, Component> {
    let application = Component { id: "maker:shop".into(), kind: Kind::Application, ..Component::default() };
    let package = Component {
        id: "npm:left-pad@1.3.0".into(),
        kind: Kind::Language,
        purl: "pkg:npm/left-pad@1.3.0".into(),
        ..Component::default()
    };
    [application, package].map(|it| (it.id.clone(), it)).into()
}

#[test]
fn what_cyclonedx_claims_is_listed_and_marked_and_what_was_found_is_completed() {
    let claims = Claims::read("app.cdx.json", CYCLONEDX.as_bytes()).unwrap();
    let mut all = known();
    merge(&[claims], "maker:shop", &mut all);
    let core = &all["claim:1:a"];
    assert_eq!((core.name.as_str(), core.kind), ("org.acme/core", Kind::Claimed));
    assert_eq!(core.claimed_by.as_deref(), Some("app.cdx.json"));
    assert_eq!(core.licence.as_ref().unwrap().expression, "Apache-2.0");
    assert_eq!(core.depends, ["claim:1:inner@3"]);
    let found = &all["npm:left-pad@1.3.0"];
    assert_eq!((found.kind, &found.claimed_by, found.supplier.as_str()), (Kind::Language, &None, "Acme"));
    assert_eq!(found.licence.as_ref().unwrap().expression, "WTFPL OR MIT");
    assert_eq!(all["maker:shop"].depends, ["claim:1:root"]);
    assert_eq!(all["claim:1:root"].depends, ["claim:1:a", "npm:left-pad@1.3.0"]);
}

#[test]
fn what_spdx_claims_is_the_same() {
    let claims = Claims::read("app.spdx.json", SPDX.as_bytes()).unwrap();
    assert_eq!(claims.roots, ["SPDXRef-root"]);
    let mut all = known();
    merge(&[claims], "maker:shop", &mut all);
    assert_eq!(all["claim:1:SPDXRef-root"].depends, ["npm:left-pad@1.3.0"]);
    assert_eq!(all["claim:1:SPDXRef-root"].licence, None);
    assert_eq!(all["npm:left-pad@1.3.0"].licence.as_ref().unwrap().expression, "MIT");
    assert_eq!(all.len(), 3);
}

#[test]
fn what_is_neither_is_refused_by_name() {
    let of = |text: &str| Claims::read("x.json", text.as_bytes()).unwrap_err();
    assert!(matches!(of("{}"), ClaimsError::Format { .. }));
    assert!(matches!(of(r#"{"spdxVersion": "SPDX-3.0"}"#), ClaimsError::Format { .. }));
    assert!(matches!(of("<bom/>"), ClaimsError::Syntax { .. }));
    assert!(matches!(
        of(r#"{"bomFormat": "CycloneDX", "components": [{"version": "1"}]}"#),
        ClaimsError::Syntax { .. }
    ));
    let deep = format!(r#"{{"bomFormat":"CycloneDX","x":{}"#, "[".repeat(100_000));
    assert!(matches!(of(&deep), ClaimsError::Syntax { .. }));
    assert!(matches!(Claims::read("x", &vec![b' '; DOCUMENT_LIMIT + 1]), Err(ClaimsError::TooLong { .. })));
}
