//! Tests of the module above, with texts of the shapes that are met.

use super::*;

fn expression_of(text: &str) -> Option<String> {
    of_copyright(text).map(|licence| licence.expression)
}

#[test]
fn a_machine_readable_file_gives_the_licences_of_its_files_and_not_of_the_packaging() {
    let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
                Upstream-Name: x\n\nFiles: *\nCopyright: A\nLicense: GPL-2+\n\n\
                Files: lib/*\nCopyright: B\nLicense: Expat or Apache-2.0\n The text\n .\n goes on\n\n\
                Files: odd/*\nLicense: GPL-2+ with OpenSSL exception\n\n\
                Files: debian/*\nLicense: WTFPL-2\n\nLicense: GPL-2+\n On Debian systems ...\n";
    let licence = of_copyright(text).unwrap();
    assert_eq!(
        licence.expression,
        "GPL-2.0-or-later AND LicenseRef-GPL-2-with-OpenSSL-exception AND (MIT OR Apache-2.0)"
    );
    let names = [("LicenseRef-GPL-2-with-OpenSSL-exception", "GPL-2+ with OpenSSL exception")];
    assert_eq!(licence.named, names.map(|(id, name)| (id.to_owned(), name.to_owned())).into());
}

#[test]
fn prose_gives_no_licence() {
    assert_eq!(expression_of("This package was debianized by X.\n\nIt is GPL-2.\n"), None);
    assert_eq!(expression_of(""), None);
    assert_eq!(expression_of("Format: x\n\nFiles: *\nCopyright: A\n"), None);
}

#[test]
fn single_licences_are_written_as_spdx_has_them() {
    let of = |name: &str| expression_of(&format!("Format: x\n\nFiles: *\nLicense: {name}\n")).unwrap();
    assert_eq!(of("GPL-3"), "GPL-3.0-only");
    assert_eq!(of("LGPL-2.1+"), "LGPL-2.1-or-later");
    assert_eq!(of("Artistic or GPL-1+"), "Artistic-1.0-Perl OR GPL-1.0-or-later");
    assert_eq!(of("BSD-3-clause and Zlib"), "BSD-3-Clause AND Zlib");
    assert_eq!(of("public-domain"), "LicenseRef-public-domain");
    assert_eq!(of("ä/ö"), "LicenseRef-unnamed");
}

#[test]
fn declared_expressions_keep_what_spdx_knows() {
    let of = |text: &str| declared(text).map(|licence| licence.expression);
    assert_eq!(of("(MIT OR Apache-2.0) AND Unicode-3.0").unwrap(), "(MIT OR Apache-2.0) AND Unicode-3.0");
    assert_eq!(of("Apache-2.0 WITH LLVM-exception").unwrap(), "Apache-2.0 WITH LLVM-exception");
    assert_eq!(of("MIT/Apache-2.0").unwrap(), "MIT OR Apache-2.0");
    assert_eq!(of("LicenseRef-Acme").unwrap(), "LicenseRef-Acme");
    assert_eq!(of("see the file LICENSE").unwrap(), "LicenseRef-see-the-file-LICENSE");
    assert_eq!(of(""), None);
    assert_eq!(
        all_of(["MIT".into(), "GPL-2.0-only OR ISC".into()]).unwrap().expression,
        "(GPL-2.0-only OR ISC) AND MIT"
    );
    assert!(is_spdx("MIT") && is_spdx("GPL-2.0-only") && !is_spdx("GPL-2.0") && !is_spdx("Acme-only"));
}
