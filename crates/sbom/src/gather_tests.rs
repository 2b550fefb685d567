//! Tests of the module above, with texts of the shapes that are met.

use super::*;
use crate::testing::{Image, definition, maker, of_package, packages};
use crate::{cyclonedx, spdx};

fn image() -> Image {
    let mut image = Image::default();
    image.file("usr/sbin/apache2", "program", of_package("apache2"));
    image.add(
        "usr/sbin/httpd",
        Node::HardLink { target: "usr/sbin/apache2".parse().unwrap() },
        of_package("apache2"),
    );
    image.file("usr/lib/libc.so.6", "library", of_package("libc6"));
    image.add("usr/share/perl", Node::Directory, of_package("perl"));
    image.file("etc/ld.so.cache", "cache", Origin::Generator("ldconfig".into()));
    image.file("usr/lib/ampoule/agent", "agent", Origin::Generator("ampoule".into()));
    image.makers("srv/www/index.php", "<?php");
    image.makers("srv/www/js/chart.min.js", "chart");
    image.makers("srv/node_modules/a/package.json", r#"{"name":"a","version":"1.0.0"}"#);
    image.makers("srv/node_modules/a/lib/index.js", "a");
    image.file("usr/lib/ampoule/templates/0000", "x", maker("templates/x"));
    image.file("etc/unrecorded", "x", of_package("unrecorded"));
    image
}

#[test]
fn every_path_belongs_to_exactly_one_component() {
    let (image, definition, packages) = (image(), definition(), packages());
    let bill = gather(&image.sources(&definition, &packages)).unwrap();
    assert_eq!(bill.uncovered(&image.tree), Vec::<String>::new());
    let owners = bill.owners();
    let owner = |path: &str| owners[&path.parse::<TreePath>().unwrap()].id.as_str();
    assert_eq!(owner("usr/sbin/httpd"), "deb:apache2");
    assert_eq!(owner("etc/ld.so.cache"), "generator:ldconfig");
    assert_eq!(owner("usr/lib/ampoule/agent"), "ampoule");
    assert_eq!(owner("srv/www/index.php"), "maker:shop");
    assert_eq!(owner("usr/lib/ampoule/templates/0000"), "maker:shop");
    assert_eq!(owner("srv/www/js/chart.min.js"), "maker:chart.js@4.4.1");
    assert_eq!(owner("srv/node_modules/a/lib/index.js"), "npm:a@1.0.0");
    assert_eq!(owner("etc/unrecorded"), "deb:unrecorded");
    let missing = Image::default();
    assert!(bill.uncovered(&missing.tree).len() > 10, "paths that are not in the tree count too");
}

#[test]
fn packages_name_source_licence_need_and_whether_anything_of_them_is_there() {
    let (image, definition, packages) = (image(), definition(), packages());
    let bill = gather(&image.sources(&definition, &packages)).unwrap();
    let apache = bill.component("deb:apache2").unwrap();
    assert_eq!(
        apache.purl,
        "pkg:deb/debian/apache2@1:2.4%2Bb1?arch=amd64&distro=debian-13&upstream=apache2%401.0-1"
    );
    assert_eq!(apache.licence.as_ref().unwrap().expression, "Apache-2.0 AND LicenseRef-odd-one");
    assert_eq!(apache.depends, ["deb:libc6", "deb:perl"]);
    assert_eq!(apache.files[0].sha256, apache.files[1].sha256, "a hard link has its file's digest");
    assert!(apache.is_present());
    assert!(!bill.component("deb:perl").unwrap().is_present(), "a folder is no presence");
    let kernel = bill.component("deb:linux-image-6.12").unwrap();
    assert_eq!(kernel.places, ["esp:/EFI/Linux/shop_1.4.0.efi#.linux", "initrd:/modules"]);
    assert!(bill.component("deb:systemd-boot-efi").unwrap().is_present());
    let application = bill.component("maker:shop").unwrap();
    assert_eq!(application.depends, ["maker:chart.js@4.4.1", "npm:a@1.0.0"]);
}

#[test]
fn both_documents_read_back_and_the_same_release_gives_the_same_bytes() {
    let (image, definition, packages) = (image(), definition(), packages());
    let bill = gather(&image.sources(&definition, &packages)).unwrap();
    let again = gather(&image.sources(&definition, &packages)).unwrap();
    let bytes = cyclonedx::to_bytes(&bill);
    assert_eq!(bytes, cyclonedx::to_bytes(&again));
    assert_eq!(cyclonedx::parse(&bytes).unwrap(), cyclonedx::document(&bill));
    let bytes = spdx::to_bytes(&bill);
    assert_eq!(bytes, spdx::to_bytes(&again));
    assert_eq!(spdx::parse(&bytes).unwrap(), spdx::document(&bill));
}

#[test]
fn references_of_the_documents_are_unique_and_lead_somewhere() {
    let (image, definition, packages) = (image(), definition(), packages());
    let bill = gather(&image.sources(&definition, &packages)).unwrap();
    let document = cyclonedx::document(&bill);
    let parts = document.components.iter().chain([&document.metadata.component]);
    let references: std::collections::BTreeSet<&str> = parts.map(|it| it.bom_ref.as_str()).collect();
    assert_eq!(references.len(), document.components.len() + 1);
    for dependency in &document.dependencies {
        assert!(references.contains(dependency.reference.as_str()));
        assert!(dependency.depends_on.iter().all(|it| references.contains(it.as_str())), "{dependency:?}");
    }
    let spdx = spdx::document(&bill);
    let ids: std::collections::BTreeSet<&str> = spdx.packages.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids.len(), spdx.packages.len());
    assert!(spdx.relationships.iter().all(|it| ids.contains(it.related_spdx_element.as_str())));
}

#[test]
fn a_bad_pattern_is_refused_with_the_component() {
    let mut definition = definition();
    definition.components[0].paths = vec!["no slash".into()];
    let (image, packages) = (image(), packages());
    let error = gather(&image.sources(&definition, &packages)).unwrap_err();
    assert!(error.to_string().contains("chart.js"));
}
