//! Tests of the module above, with texts of the shapes that are met.

use std::io::Write;

use super::*;
use crate::testing::{Image, elf_with, of_package};

fn found(image: &Image) -> BTreeMap<String, Found> {
    find(&image.tree, image, &[]).into_iter().map(|it| (it.component.id.clone(), it)).collect()
}

fn purls(found: &BTreeMap<String, Found>) -> Vec<&str> {
    found.values().map(|it| it.component.purl.as_str()).collect()
}

#[test]
fn python_distributions_have_the_files_their_record_names() {
    let mut image = Image::default();
    let site = "opt/app/lib/python3.13/site-packages";
    image.makers(
        &format!("{site}/Foo_Bar-1.2.dist-info/METADATA"),
        "Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.2\nLicense-Expression: MIT\n\
         Requires-Dist: baz[extra] (>=2) ; python_version > '3'\nRequires-Dist: pytest; extra == 'test'\n\nName: body\n",
    );
    let record = "foo/__init__.py,sha256=x,1\n\"foo/a,b.py\",,\n../../../bin/foo,,\n../../../../../../../etc/passwd,,\n";
    image.makers(&format!("{site}/Foo_Bar-1.2.dist-info/RECORD"), record);
    image.makers(&format!("{site}/baz-2.0.dist-info/METADATA"), "Name: baz\nVersion: 2.0\n\n");
    image.file(
        "usr/lib/python3/dist-packages/deb-1.dist-info/METADATA",
        "Name: deb\nVersion: 1\n",
        of_package("p"),
    );
    let found = found(&image);
    assert_eq!(purls(&found), ["pkg:pypi/baz@2.0", "pkg:pypi/foo-bar@1.2"], "Debian's own are Debian's");
    let foo = &found["pypi:foo-bar@1.2"];
    assert_eq!(foo.component.depends, ["pypi:baz@2.0"]);
    let files: Vec<String> = foo.files.iter().map(ToString::to_string).collect();
    let site = format!("/{site}");
    let expected =
        [format!("{site}/foo/__init__.py"), format!("{site}/foo/a,b.py"), "/opt/app/bin/foo".into()];
    assert_eq!(files, expected);
}

#[test]
fn node_packages_are_resolved_as_node_does_and_bundled_ones_come_from_the_lock() {
    let mut image = Image::default();
    let package = |name: &str, version: &str, needs: &str| {
        format!(r#"{{"name":"{name}","version":"{version}","license":"MIT","dependencies":{{{needs}}}}}"#)
    };
    image.makers("srv/node_modules/a/package.json", package("a", "1.0.0", r#""b":"^1","@s/c":"*""#));
    image.makers("srv/node_modules/a/node_modules/b/package.json", package("b", "1.5.0", ""));
    image.makers("srv/node_modules/b/package.json", package("b", "2.0.0", ""));
    image.makers("srv/node_modules/@s/c/package.json", package("@s/c", "3.0.0", r#""b":"2""#));
    image.makers("srv/node_modules/a/test/fixture/package.json", package("fixture", "0.0.1", ""));
    image.makers("srv/node_modules/broken/package.json", "{");
    image.makers(
        "srv/www/package-lock.json",
        r#"{"lockfileVersion":3,"packages":{"":{"name":"app","version":"1"},
            "node_modules/d":{"version":"4.0.0","license":"ISC","dependencies":{"e":"1"}},
            "node_modules/d/node_modules/e":{"version":"1.1.0"},
            "node_modules/dev":{"version":"9.0.0","dev":true}}}"#,
    );
    let found = found(&image);
    assert_eq!(
        purls(&found),
        [
            "pkg:npm/%40s/c@3.0.0",
            "pkg:npm/a@1.0.0",
            "pkg:npm/b@1.5.0",
            "pkg:npm/b@2.0.0",
            "pkg:npm/d@4.0.0",
            "pkg:npm/e@1.1.0"
        ]
    );
    assert_eq!(found["npm:a@1.0.0"].component.depends, ["npm:@s/c@3.0.0", "npm:b@1.5.0"]);
    assert_eq!(found["npm:@s/c@3.0.0"].component.depends, ["npm:b@2.0.0"]);
    assert_eq!(found["npm:d@4.0.0"].component.depends, ["npm:e@1.1.0"]);
    assert!(found["npm:d@4.0.0"].folders.is_empty());
}

#[test]
fn composer_packages_have_their_folder() {
    let mut image = Image::default();
    image.makers(
        "srv/vendor/composer/installed.json",
        r#"{"packages":[{"name":"monolog/monolog","version":"v3.5.0","license":["MIT"],"require":{"psr/log":"^3","php":">=8"},
            "install-path":"../monolog/monolog"},{"name":"psr/log","version":"3.0.2","license":["MIT","GPL-3.0-only"]}]}"#,
    );
    let found = found(&image);
    assert_eq!(purls(&found), ["pkg:composer/monolog/monolog@3.5.0", "pkg:composer/psr/log@3.0.2"]);
    assert_eq!(found["composer:monolog/monolog@3.5.0"].component.depends, ["composer:psr/log@3.0.2"]);
    assert_eq!(found["composer:psr/log@3.0.2"].folders[0].to_string(), "/srv/vendor/psr/log");
    assert_eq!(
        found["composer:psr/log@3.0.2"].component.licence.as_ref().unwrap().expression,
        "MIT OR GPL-3.0-only"
    );
}

#[test]
fn rust_and_go_programs_tell_what_they_were_built_from() {
    let list = r#"{"packages":[{"name":"cc","version":"1.0.0","source":"PUBLIC","kind":"build"},
        {"name":"serde","version":"1.0.1","source":"PUBLIC"},
        {"name":"shop","version":"0.3.0","source":"local","dependencies":[0,1],"root":true}]}"#;
    let list = list.replace("PUBLIC", concat!("crates", ".io"));
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(list.as_bytes()).unwrap();
    let mut image = Image::default();
    image.makers("usr/lib/shop/shop", elf_with(".dep-v0", &packed.finish().unwrap()));
    image.makers("usr/lib/shop/bomb", elf_with(".dep-v0", b"no zlib"));
    let modules = "0123456789abcdefpath\tacme.org/x\nmod\tacme.org/x\tv1.2.3\th1:a=\ndep\tgolang.org/x/net\tv0.1.0\t\n\
                   dep\told/one\tv1.0.0\n=>\tnew/one\tv2.0.0\th1:b=\nbuild\t-race=false\n0123456789abcdef";
    let mut go = b"\xff Go buildinf:\x08\x02".to_vec();
    go.resize(32, 0);
    go.push(8);
    go.extend(b"go1.22.3");
    go.extend([(modules.len() & 0x7f | 0x80) as u8, (modules.len() >> 7) as u8]);
    go.extend(modules.as_bytes());
    image.makers("usr/bin/x", elf_with(".go.buildinfo", &go));
    let found = found(&image);
    assert_eq!(
        purls(&found),
        [
            "pkg:cargo/serde@1.0.1",
            "",
            "pkg:golang/acme.org/x@v1.2.3",
            "pkg:golang/golang.org/x/net@v0.1.0",
            "pkg:golang/new/one@v2.0.0",
            "pkg:golang/stdlib@1.22.3"
        ]
    );
    let outside = programs::of_bytes(&elf_with(".go.buildinfo", &go), None).unwrap();
    assert!(outside.iter().all(|it| it.files.is_empty()));
    assert_eq!(found["cargo:shop@0.3.0"].component.depends, ["cargo:serde@1.0.1"]);
    assert_eq!(found["cargo:shop@0.3.0"].files[0].to_string(), "/usr/lib/shop/shop");
    assert_eq!(found["golang:acme.org/x@v1.2.3"].component.depends.len(), 3);
}
