//! What the tests of formats share: trees with contents in memory, and outside tools as judges.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor, Read};
use std::process::Command;

use image::{Uuid, erofs, verity};
use model::Sha256Digest;
use sha2::{Digest, Sha256};
use tree::{Content, ContentSource, Entry, Metadata, Node, Origin, Tree, TreePath};

/// Contents by digest, in memory.
#[derive(Default)]
pub struct Contents(pub HashMap<Sha256Digest, Vec<u8>>);

impl Contents {
    pub fn add(&mut self, bytes: &[u8]) -> Content {
        let sha256 = Sha256Digest(Sha256::digest(bytes).into());
        self.0.insert(sha256, bytes.to_vec());
        Content { sha256, size: bytes.len() as u64 }
    }
}

impl ContentSource for Contents {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.0.get(&content.sha256).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes.as_slice())))
    }
}

/// A tree with its contents.
pub struct Fixture {
    pub tree: Tree,
    pub contents: Contents,
}

impl Fixture {
    pub fn new() -> Self {
        let mut fixture = Self { tree: Tree::default(), contents: Contents::default() };
        fixture.add("", 0o755, Node::Directory);
        fixture
    }

    pub fn add(&mut self, path: &str, mode: u32, node: Node) -> &mut Metadata {
        let metadata = Metadata { mode, ..Metadata::default() };
        let entry = Entry { metadata, node, origin: Origin::Generator("test".to_owned()) };
        let path: TreePath = path.parse().expect("a path of a test");
        self.tree.entries.insert(path.clone(), entry);
        &mut self.tree.entries.get_mut(&path).expect("inserted above").metadata
    }

    pub fn directory(&mut self, path: &str) -> &mut Metadata {
        self.add(path, 0o755, Node::Directory)
    }

    pub fn file(&mut self, path: &str, bytes: &[u8]) -> &mut Metadata {
        let content = self.contents.add(bytes);
        self.add(path, 0o644, Node::File(content))
    }

    pub fn symlink(&mut self, path: &str, target: &str) {
        self.add(path, 0o777, Node::Symlink { target: target.to_owned() });
    }

    /// All that the format has, at its edges.
    pub fn everything() -> Self {
        let mut fixture = Self::new();
        for directory in ["bin", "dev", "etc", "etc/empty", "usr", "usr/lib", "+first"] {
            fixture.directory(directory);
        }
        for size in [0, 1, 31, 2047, 2048, 2049, 4000, 4095, 4096, 4097, 8192, 100_000] {
            fixture.file(&format!("usr/lib/{size}"), &noise(size, size as u64));
        }
        fixture.file("usr/lib/large", &noise(3 << 20, 5));
        fixture.file("bin/ping", b"ping").xattrs = BTreeMap::from([
            (
                "security.capability".to_owned(),
                vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            ("user.note".to_owned(), b"value".to_vec()),
        ]);
        fixture.file("bin/su", b"su").mode = 0o4755;
        fixture.add("bin/su2", 0o4755, Node::HardLink { target: "bin/su".parse().unwrap() });
        fixture.add("usr/lib/also-su", 0o4755, Node::HardLink { target: "bin/su".parse().unwrap() });
        let owner = fixture.file("etc/high-owner", b"x");
        (owner.uid, owner.gid) = (100_000, 4_000_000_000);
        fixture.file("etc/acl", b"x").xattrs = BTreeMap::from([(
            "system.posix_acl_access".to_owned(),
            [2u32.to_le_bytes().to_vec(), acl(1, 6), acl(2, 4), acl(4, 4), acl(0x10, 4), acl(0x20, 4)]
                .concat(),
        )]);
        fixture.file("etc/many-xattrs", &noise(1000, 1)).xattrs =
            (0..20).map(|i| (format!("user.attribute-{i:02}"), noise(300, i))).collect();
        fixture.symlink("lib", "usr/lib");
        fixture.symlink("etc/long-link", &"x/".repeat(2040));
        fixture.symlink("etc/longest-link", &"y".repeat(4095));
        fixture.add("dev/null", 0o666, Node::CharacterDevice { major: 1, minor: 3 });
        fixture.add("dev/large", 0o600, Node::CharacterDevice { major: 511, minor: 300_000 });
        fixture.add("dev/pipe", 0o600, Node::Fifo);
        fixture.file(&format!("etc/{}", "n".repeat(255)), b"long name");
        fixture.file("etc/ünïcode 文", b"utf-8");
        fixture
    }

    pub fn layout(&self) -> erofs::Layout {
        erofs::plan(&self.tree, &options()).expect("a tree of a test can be planned")
    }

    pub fn image(&self) -> Vec<u8> {
        let layout = self.layout();
        let mut image = Vec::new();
        layout.write(&self.contents, &mut image).expect("memory takes any image");
        assert_eq!(image.len() as u64, layout.size());
        image
    }
}

fn acl(tag: u16, permissions: u16) -> Vec<u8> {
    let id = if tag == 2 { 1000u32 } else { u32::MAX };
    [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
}

pub fn options() -> erofs::Options {
    erofs::Options {
        uuid: Uuid::derived("erofs", b"test"),
        volume_name: "test".to_owned(),
        time: 1_700_000_000,
    }
}

pub fn threads() -> std::num::NonZeroUsize {
    std::num::NonZeroUsize::new(2).unwrap()
}

pub fn hash_tree(data: &[u8], salt: &[u8]) -> verity::HashTree {
    let uuid = Uuid::derived("verity", b"test");
    let mut builder =
        verity::VerityBuilder::new(verity::Options { salt: salt.to_vec(), uuid, threads: threads() })
            .unwrap();
    data.chunks(70_001).for_each(|piece| builder.update(piece));
    builder.finish().unwrap()
}

/// A stub as systemd's: headers of 1 KiB, two sections.
pub fn stub() -> Vec<u8> {
    let mut stub = vec![0; 2048];
    let mut put = |at: usize, bytes: &[u8]| stub[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(60, &0x78u32.to_le_bytes());
    put(0x78, b"PE\0\0\x64\x86\x02\0");
    put(0x78 + 4 + 16, &240u16.to_le_bytes());
    // A symbol table behind the sections, as Debian 12's stub has.
    put(0x78 + 4 + 8, &2048u32.to_le_bytes());
    put(0x78 + 4 + 12, &5u32.to_le_bytes());
    let optional = 0x78 + 24;
    put(optional, &0x20Bu16.to_le_bytes());
    for (at, value) in [(32, 4096u32), (36, 512), (56, 0x3000), (60, 1024), (108, 16)] {
        put(optional + at, &value.to_le_bytes());
    }
    for (index, (name, address, offset)) in
        [(".text", 0x1000u32, 1024u32), (".sbat", 0x2000, 1536)].iter().enumerate()
    {
        let header = optional + 240 + index * 40;
        put(header, name.as_bytes());
        for (at, value) in [(8, 300u32), (12, *address), (16, 512), (20, *offset), (36, 0x4000_0040)] {
            put(header + at, &value.to_le_bytes());
        }
    }
    stub.resize(2048 + 5 * 18 + 4, 0);
    stub
}

/// Bytes that do not compress, the same at every call.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Runs a tool that must succeed; its output, both streams.
pub fn judge(program: &str, arguments: &[&str]) -> String {
    let (succeeded, text) = ask(program, arguments);
    assert!(succeeded, "{program} {arguments:?} refused:\n{text}");
    text
}

/// Runs a tool; whether it succeeded and what it said.
pub fn ask(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap_or_else(|error| {
            panic!("this test needs the program `{program}`, which can not be run: {error}")
        });
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}
