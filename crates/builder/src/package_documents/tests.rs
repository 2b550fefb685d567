//! Tests of the module above, with texts of the shapes that are met.

use std::collections::HashMap;
use std::io::{Cursor, Write};

use debian::Version;
use debian::lock::{LockedPackage, Role};
use model::Sha256Digest;
use release::documents::PackageDocuments;
use tree::Content;

use super::*;

struct Known(HashMap<Sha256Digest, Vec<u8>>);

impl ContentSource for Known {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Cursor::new(self.0[&content.sha256].clone())))
    }
}

fn locked(name: &str, source: &str) -> LockedPackage {
    LockedPackage {
        name: name.into(),
        version: "1.0-1".parse::<Version>().unwrap(),
        source: source.into(),
        source_version: "1.0-1".parse().unwrap(),
        architecture: "amd64".into(),
        suite: "trixie".into(),
        component: "main".into(),
        section: "libs".into(),
        size: 1,
        sha256: Sha256Digest([1; 32]),
        path: format!("pool/main/{name}.deb"),
        role: Role::Installed,
        essential: false,
        requested: false,
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

const STATUS: &str = "Package: a\nDepends: b (>= 1), missing | c\nMaintainer: A <a@example.org>\n\
                      Description: one line\n more of it\nHomepage: https://example.org\n\nPackage: b\n\nPackage: c\n";

#[test]
fn the_archive_reads_back_whole_and_does_not_depend_on_the_order_documents_are_found_in() {
    let mut known = Known(HashMap::new());
    let mut document = |package: &str, path: &str, bytes: Vec<u8>| {
        let sha256 = Sha256Digest(Sha256::digest(&bytes).into());
        let content = Content { sha256, size: bytes.len() as u64 };
        known.0.insert(sha256, bytes);
        Document { package: package.to_owned(), path: path.parse().unwrap(), content }
    };
    let changelog = "s (1.0-1) trixie; urgency=medium\n";
    let mut documents = vec![
        document("b", "usr/share/doc/b/changelog.Debian.gz", gzip(changelog)),
        document("b", "usr/share/doc/b/changelog.gz", gzip("upstream's\n")),
        document("a", "usr/share/doc/a/changelog.Debian.gz", gzip(changelog)),
        document("a", "usr/share/doc/a-part/copyright", b"of the part".to_vec()),
        document("a", "usr/share/doc/a/copyright", b"of a".to_vec()),
        document("c", "usr/share/doc/other/copyright", b"of c".to_vec()),
        document("c", "usr/share/doc/c/changelog.gz", b"no gzip".to_vec()),
        document("c", "boot/config-6.1", b"CONFIG_A=y\n".to_vec()),
    ];
    let packages = vec![locked("a", "s"), locked("b", "s"), locked("c", "s")];
    let lock = Lock {
        architecture: "amd64".into(),
        request: Sha256Digest([0; 32]),
        suites: Vec::new(),
        packages,
        order: Vec::new(),
    };
    let records = records(&lock, STATUS, &[]);
    let make = |documents: &[Document]| {
        let loose = [];
        let (lock, records) = (&lock, records.as_slice());
        archive(&Sources { lock, records, documents, contents: &known, loose: &loose }).unwrap()
    };
    let bytes = make(&documents);
    documents.reverse();
    assert_eq!(make(&documents), bytes);

    let read = PackageDocuments::read(bytes.as_slice()).unwrap();
    assert_eq!(read.changelog("b"), Some(changelog));
    assert_eq!(read.text("b", "changelog"), None, "upstream's is left out");
    assert_eq!(read.copyright("a"), Some("of a"));
    assert_eq!(read.text("a", "a-part/copyright"), Some("of the part"));
    assert_eq!(read.copyright("c"), Some("of c"));
    assert_eq!(read.kernel_options(), Some(("6.1", "CONFIG_A=y\n")));
    let a = read.package("a").unwrap();
    assert_eq!(
        (a.depends.as_slice(), a.summary.as_str()),
        (["b", "c"].map(str::to_owned).as_slice(), "one line")
    );
    assert_eq!((a.suite.as_str(), a.component.as_str(), a.sha256), ("trixie", "main", Sha256Digest([1; 32])));
}
