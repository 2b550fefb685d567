//! Small releases in memory: a tree with contents, packages and changelogs.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor, Read, Write};

use bulletin::Side;
use model::Sha256Digest;
use release::documents::PackageDocuments;
use release::documents::PackageFacts;
use sha2::{Digest, Sha256};
use tree::{Content, ContentSource, Entry, Metadata, Node, Origin, Tree};

#[derive(Clone, Default)]
pub struct Contents(pub HashMap<Sha256Digest, Vec<u8>>);

impl ContentSource for Contents {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.0.get(&content.sha256).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes.as_slice())))
    }
}

/// A release under construction.
#[derive(Clone, Default)]
pub struct Draft {
    pub tree: Tree,
    pub contents: Contents,
    pub packages: Vec<PackageFacts>,
    pub documents: BTreeMap<(String, String), Vec<u8>>,
    pub definition: Option<model::Definition>,
}

pub fn package_origin(name: &str) -> Origin {
    Origin::Package(name.to_owned())
}

pub fn maker(path: &str) -> Origin {
    Origin::Maker(path.to_owned())
}

impl Draft {
    /// An appliance of that version, with one port.
    pub fn appliance(version: &str) -> Self {
        let text = format!(
            "[appliance]\nvendor = \"acme\"\nname = \"shop\"\ntitle = \"Shop\"\nversion = \"{version}\"\nsummary = \"A shop\"\n\
             [base]\nsuite = \"trixie\"\npackages = [\"nginx\"]\n[[ports]]\nport = 443\nprotocol = \"tcp\"\npurpose = \"the shop\"\n"
        );
        let mut draft =
            Self { definition: Some(model::parse(&text).expect("parses").definition), ..Self::default() };
        draft.put("", 0o755, Node::Directory, maker("x"));
        draft
    }

    pub fn put(&mut self, path: &str, mode: u32, node: Node, origin: Origin) -> &mut Entry {
        let path: tree::TreePath = path.parse().expect("a path of a test");
        let entry = Entry { metadata: Metadata { mode, ..Metadata::default() }, node, origin };
        self.tree.entries.insert(path.clone(), entry);
        self.tree.entries.get_mut(&path).expect("inserted above")
    }

    pub fn file(&mut self, path: &str, bytes: &[u8], origin: Origin) -> &mut Entry {
        let content =
            Content { sha256: Sha256Digest(Sha256::digest(bytes).into()), size: bytes.len() as u64 };
        self.contents.0.insert(content.sha256, bytes.to_vec());
        self.put(path, 0o644, Node::File(content), origin)
    }

    /// A package with one file, whose content is its version.
    pub fn package(&mut self, name: &str, source: &str, version: &str, changelog: &str) {
        self.packages.retain(|package| package.name != name);
        self.packages.push(PackageFacts {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".into(),
            source: source.to_owned(),
            source_version: version.to_owned(),
            suite: "trixie-security".into(),
            files: 1,
        });
        self.file(&format!("usr/lib/{name}.data"), version.as_bytes(), package_origin(name));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(changelog.as_bytes()).expect("memory");
        let key = (name.to_owned(), "changelog.Debian.gz".to_owned());
        self.documents.insert(key, packed.finish().expect("memory"));
    }

    pub fn side(&self, label: &str) -> Side<'static> {
        let mut side = Side::of_tree(label, self.tree.clone(), Box::new(self.contents.clone()));
        side.packages = self.packages.clone();
        side.papers = PackageDocuments::of(self.documents.clone()).expect("within all limits");
        side.definition = self.definition.clone();
        side
    }
}

/// A changelog with one entry.
pub fn changelog(source: &str, version: &str, suite: &str, text: &str) -> String {
    format!(
        "{source} ({version}) {suite}; urgency=medium\n\n{text}\n\n -- A <a@example.org>  Mon, 02 Nov 2026 10:00:00 +0000\n"
    )
}

/// The bulletin of two drafts without outside evidence.
pub fn bulletin_of(old: &Draft, new: &Draft) -> bulletin::Bulletin {
    bulletin::compare(&old.side("old"), &new.side("new"), &bulletin::Evidence::default())
}
