//! A small image for tests: Debian packages, a maker's application with packages of four languages, generated files.

use std::collections::HashMap;
use std::io::{self, Cursor, Read, Write};

use model::{Definition, Sha256Digest};
use release::documents::PackageDocuments;
use sha2::{Digest, Sha256};
use tree::{Content, ContentSource, Entry, Metadata, Node, Origin, Tree};

use crate::gather::{Boot, Sources};

/// An image in memory.
#[derive(Default)]
pub struct Image {
    pub tree: Tree,
    contents: HashMap<Sha256Digest, Vec<u8>>,
}

impl ContentSource for Image {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(Cursor::new(self.contents[&content.sha256].as_slice())))
    }
}

pub fn maker(path: &str) -> Origin {
    Origin::Maker(path.to_owned())
}

pub fn of_package(name: &str) -> Origin {
    Origin::Package(name.to_owned())
}

impl Image {
    pub fn add(&mut self, path: &str, node: Node, origin: Origin) {
        let entry = Entry { metadata: Metadata { mode: 0o644, ..Metadata::default() }, node, origin };
        self.tree.entries.insert(path.parse().unwrap(), entry);
    }

    pub fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>, origin: Origin) {
        let bytes = bytes.into();
        let sha256 = Sha256Digest(Sha256::digest(&bytes).into());
        let content = Content { sha256, size: bytes.len() as u64 };
        self.contents.insert(sha256, bytes);
        let mut parent = path.parse::<tree::TreePath>().unwrap().parent();
        while let Some(folder) = parent {
            if !self.tree.entries.contains_key(&folder) {
                self.add(folder.as_str(), Node::Directory, origin.clone());
            }
            parent = folder.parent();
        }
        self.add(path, Node::File(content), origin);
    }

    /// A file of the maker's.
    pub fn makers(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.file(path, bytes, maker("app"));
    }

    pub fn sources<'a>(&'a self, definition: &'a Definition, packages: &'a PackageDocuments) -> Sources<'a> {
        Sources {
            definition,
            root_hash: Sha256Digest([7; 32]),
            time: debian::date::Timestamp(1_763_200_080),
            tool_version: "0.1.0",
            tree: &self.tree,
            contents: self,
            packages,
            boot: Boot {
                kernel_version: "6.12.1-amd64".into(),
                uki: "shop_1.4.0.efi".into(),
                kernel: "linux-image-6.12".into(),
                stub: "systemd-boot-efi".into(),
                loader: "systemd-boot-efi".into(),
            },
            init: b"no program",
            claims: &[],
        }
    }
}

/// A definition with one named component.
pub fn definition() -> Definition {
    let text = "[appliance]\nvendor = \"acme\"\nname = \"shop\"\ntitle = \"Acme Shop\"\nversion = \"1.4.0\"\n\
                summary = \"A shop\"\nurl = \"https://example.org\"\ncontact = \"a@example.org\"\n\
                [base]\nsuite = \"trixie\"\n\
                [[components]]\nname = \"chart.js\"\nversion = \"4.4.1\"\nlicence = \"MIT\"\n\
                purl = \"pkg:npm/chart.js@4.4.1\"\npaths = [\"/srv/www/js/chart*\"]\n";
    model::parse(text).expect("parses").definition
}

/// The documents of some packages.
pub fn packages() -> PackageDocuments {
    let record = |name: &str, source: &str, version: &str, role: &str, depends: &str| {
        format!(
            r#"{{"name":"{name}","version":"{version}","architecture":"amd64","source":"{source}","source-version":"1.0-1","suite":"trixie","component":"main","path":"pool/{name}.deb","size":1,"sha256":"{}","role":"{role}","maintainer":"A <a@b>","homepage":"https://example.org/ x","depends":[{depends}]}}"#,
            "01".repeat(32)
        )
    };
    let lines = [
        record("libc6", "glibc", "2.41-12", "installed", ""),
        record("apache2", "apache2", "1:2.4+b1", "installed", r#""libc6","perl""#),
        record("perl", "perl", "5.40", "installed", r#""libc6""#),
        record("linux-image-6.12", "linux-signed-amd64", "6.12", "installed", ""),
        record("systemd-boot-efi", "systemd", "257", "boot", ""),
    ]
    .join("\n");
    let copyright = "Format: x\n\nFiles: *\nLicense: Apache-2.0 and odd-one\n";
    let mut archive = tar_of(&[("packages.jsonl", &lines), ("apache2/copyright", copyright)]);
    let mut packed = Vec::new();
    io::copy(&mut archive.as_slice(), &mut packed).unwrap();
    archive.clear();
    PackageDocuments::read(zstd_stored(&packed).as_slice()).expect("reads")
}

/// A plain ustar archive.
fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, text) in files {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        out.write_all(&header).unwrap();
        out.write_all(text.as_bytes()).unwrap();
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A zstd frame that stores (RFC 8878, section 3.1.1): one raw block of less than 128 KiB.
fn zstd_stored(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128 << 10, "BUG: the test's archive needs one block");
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((bytes.len() as u32).to_le_bytes());
    frame.extend(&((bytes.len() as u32) << 3 | 1).to_le_bytes()[..3]);
    frame.extend(bytes);
    frame
}

/// The smallest 64-bit ELF program with one section of that name.
pub fn elf_with(section: &str, data: &[u8]) -> Vec<u8> {
    let names = format!("\0{section}\0.shstrtab\0");
    let (data_at, names_at) = (64u64, 64 + data.len() as u64);
    let table_at = names_at + names.len() as u64;
    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [3u16, 62] {
        out.extend(half.to_le_bytes());
    }
    out.extend(1u32.to_le_bytes());
    for word in [0, 0, table_at] {
        out.extend(word.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    for half in [64u16, 0, 0, 64, 3, 2] {
        out.extend(half.to_le_bytes());
    }
    out.extend(data);
    out.extend(names.as_bytes());
    let mut header = |name: u32, kind: u32, at: u64, size: u64| {
        out.extend(name.to_le_bytes());
        out.extend(kind.to_le_bytes());
        for word in [0, 0, at, size] {
            out.extend(word.to_le_bytes());
        }
        out.extend([0u8; 8]);
        out.extend(1u64.to_le_bytes());
        out.extend(0u64.to_le_bytes());
    };
    header(0, 0, 0, 0);
    header(1, 1, data_at, data.len() as u64);
    header(2 + section.len() as u32, 3, names_at, names.len() as u64);
    out
}
