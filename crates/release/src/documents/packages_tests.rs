//! Tests of the module above, with texts of the shapes that are met.

use super::*;

const CHANGELOG: &str = "apache2 (2.4.65-2) trixie; urgency=medium\n\n  * Fix CVE-2025-1.\n\n -- A <a@b>  Sat, 15 Nov 2025 09:48:00 +0000\n";

fn record(name: &str, source: &str) -> PackageRecord {
    PackageRecord {
        name: name.into(),
        version: "2.4.65-2+b1".into(),
        architecture: "amd64".into(),
        source: source.into(),
        source_version: "2.4.65-2".into(),
        suite: "trixie".into(),
        component: "main".into(),
        section: "httpd".into(),
        path: format!("pool/main/a/{source}/{name}.deb"),
        size: 7,
        sha256: Sha256Digest([1; 32]),
        role: PackageRole::Installed,
        requested: true,
        maintainer: "Debian".into(),
        homepage: String::new(),
        summary: "web server".into(),
        depends: vec!["libc6".into()],
    }
}

/// What lies at a path of an archive.
enum File<'a> {
    Text(&'a [u8]),
    Link(&'a str),
}

fn archive(records: &[PackageRecord], files: &[(&str, File<'_>)]) -> Vec<u8> {
    let lines: String = records.iter().map(|it| serde_json::to_string(it).unwrap() + "\n").collect();
    let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), 3).unwrap());
    let mut add = |path: &str, file: &File<'_>| {
        let mut header = tar::Header::new_ustar();
        match file {
            File::Text(bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, *bytes).unwrap();
            }
            File::Link(target) => {
                header.set_size(0);
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    };
    add(RECORDS, &File::Text(lines.as_bytes()));
    files.iter().for_each(|(path, file)| add(path, file));
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn a_package_without_a_changelog_has_that_of_its_source() {
    let records = [record("apache2", "apache2"), record("apache2-bin", "apache2"), record("zlib1g", "zlib")];
    let bytes = archive(
        &records,
        &[
            ("apache2/changelog.Debian", File::Text(CHANGELOG.as_bytes())),
            ("apache2/copyright", File::Text(b"Format: x\n")),
            ("apache2-bin/changelog.Debian.amd64", File::Text(b"apache2 (2.4.65-2+b1) binary-only=yes\n")),
            ("zlib1g/changelog", File::Text(b"Changes of zlib 1.3\n")),
            ("linux-image-6.12/config-6.12.1-amd64", File::Text(b"CONFIG_X=y\n")),
        ],
    );
    let documents = PackageDocuments::read(bytes.as_slice()).unwrap();
    assert_eq!(documents.changelog("apache2"), Some(CHANGELOG));
    assert_eq!(documents.changelog("apache2-bin"), Some(CHANGELOG));
    assert_eq!(documents.changelog_of_source("apache2"), Some(CHANGELOG));
    assert!(documents.rebuild_changelog("apache2-bin").unwrap().contains("binary-only"));
    assert_eq!(documents.copyright("apache2-bin"), Some("Format: x\n"));
    assert_eq!(documents.changelog("zlib1g"), None, "upstream's is not Debian's");
    assert_eq!(documents.kernel_options(), Some(("6.12.1-amd64", "CONFIG_X=y\n")));
    assert_eq!(documents.package("apache2-bin"), Some(&records[1]));
    assert_eq!(documents.packages().count(), 3);
}

#[test]
fn a_native_package_and_a_linked_text_and_an_old_archive_are_read() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    io::Write::write_all(&mut packed, CHANGELOG.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let bytes = archive(
        &[],
        &[
            ("dpkg/changelog", File::Text(CHANGELOG.as_bytes())),
            ("dpkg-dev/changelog", File::Link("dpkg/changelog")),
            ("old/changelog.Debian.gz", File::Text(&packed)),
            ("old/changelog.Debian.amd64.gz", File::Text(&packed)),
            ("broken/changelog.Debian.gz", File::Text(b"no gzip")),
            ("lost/changelog", File::Link("nowhere/changelog")),
            ("latin/changelog.Debian", File::Text(b"caf\xe9 (1) x; urgency=low\n")),
        ],
    );
    let documents = PackageDocuments::read(bytes.as_slice()).unwrap();
    for package in ["dpkg", "dpkg-dev", "old"] {
        assert_eq!(documents.changelog(package), Some(CHANGELOG), "{package}");
    }
    assert_eq!(documents.rebuild_changelog("old"), Some(CHANGELOG));
    assert_eq!(documents.changelog("broken"), None);
    assert_eq!(documents.changelog("lost"), None);
    assert!(documents.changelog("latin").unwrap().starts_with("caf\u{fffd}"));
}

#[test]
fn what_is_no_archive_or_goes_beyond_its_limits_is_refused() {
    assert!(matches!(PackageDocuments::read(&b"nothing"[..]), Err(PackageDocumentsError::Read(_))));
    let damaged = archive(&[], &[("a/copyright", File::Text(&[b'x'; 5000]))]);
    assert!(PackageDocuments::read(&damaged[..damaged.len() - 9]).is_err());
    let mut lines = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    let mut header = tar::Header::new_ustar();
    header.set_size(3);
    lines.append_data(&mut header, RECORDS, &b"{}\n"[..]).unwrap();
    let bytes = lines.into_inner().unwrap().finish().unwrap();
    assert!(matches!(
        PackageDocuments::read(bytes.as_slice()),
        Err(PackageDocumentsError::Record { line: 1, .. })
    ));
    let mut header = tar::Header::new_ustar();
    header.set_path("a/changelog").unwrap();
    header.set_size(TEXT_LIMIT + 1);
    header.set_cksum();
    let long = zstd::encode_all(&header.as_bytes()[..], 1).unwrap();
    assert!(matches!(PackageDocuments::read(long.as_slice()), Err(PackageDocumentsError::TooLarge { .. })));
}
