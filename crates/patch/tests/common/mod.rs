//! What the tests of patches share: a small pair of releases, a target in memory, and an encoder of its own.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::HashMap;
use std::io::{self, Cursor, Read};
use std::sync::LazyLock;

use image::{Uuid, erofs, uki};
use model::Sha256Digest;
use patch::{
    Applied, ApplyError, ApplyOptions, Described, Header, MakeOptions, Old, Operation, Recipe, Resume, Sides,
    Target, Work,
};
use sha2::{Digest, Sha256};
use tree::{Content, ContentSource, Entry, Metadata, Node, Origin, Tree};

/// A release's image.
#[derive(Clone)]
pub struct Release {
    pub root: Vec<u8>,
    pub uki: Vec<u8>,
    pub root_hash: Sha256Digest,
}

impl Release {
    pub fn sides(&self) -> Sides<'_> {
        Sides { root: &self.root, uki: &self.uki, root_hash: self.root_hash }
    }

    pub fn old(&self) -> Old<'_> {
        Old { root: &self.root, uki: &self.uki, root_hash: self.root_hash }
    }

    pub fn described(&self) -> Described {
        Described {
            root_hash: self.root_hash,
            root_size: self.root.len() as u64,
            uki_sha256: Sha256Digest(Sha256::digest(&self.uki).into()),
            uki_size: self.uki.len() as u64,
        }
    }
}

#[derive(Default)]
struct Contents(HashMap<Sha256Digest, Vec<u8>>);

impl ContentSource for Contents {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        let bytes = self.0.get(&content.sha256).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes.as_slice())))
    }
}

/// An EROFS image of these files.
pub fn root(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut tree, mut contents) = (Tree::default(), Contents::default());
    let mut add = |path: &str, node: Node| {
        let metadata = Metadata { mode: 0o755, ..Metadata::default() };
        let entry = Entry { metadata, node, origin: Origin::Generator("test".into()) };
        tree.entries.insert(path.parse().expect("a path of a test"), entry);
    };
    for folder in ["", "usr", "usr/lib"] {
        add(folder, Node::Directory);
    }
    for (path, bytes) in files {
        let sha256 = Sha256Digest(Sha256::digest(bytes).into());
        contents.0.insert(sha256, bytes.clone());
        add(path, Node::File(Content { sha256, size: bytes.len() as u64 }));
    }
    let options = erofs::Options {
        uuid: Uuid::derived("erofs", b"test"),
        volume_name: "test".into(),
        time: 1_700_000_000,
    };
    let mut image = Vec::new();
    erofs::plan(&tree, &options).expect("plans").write(&contents, &mut image).expect("writes");
    image
}

/// A UKI with a bzImage whose payload is `kernel`, compressed as Debian's are.
pub fn uki_with(kernel: &[u8], initrd: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 22).expect("zstd");
    encoder.include_checksum(true).expect("zstd");
    encoder.include_contentsize(false).expect("zstd");
    encoder.multithread(1).expect("zstd");
    io::Write::write_all(&mut encoder, kernel).expect("zstd");
    let payload = encoder.finish().expect("zstd");
    let mut linux = vec![0; 0x400];
    linux[0x1F1] = 1;
    linux[0x202..0x206].copy_from_slice(b"HdrS");
    linux[0x206..0x208].copy_from_slice(&0x20Fu16.to_le_bytes());
    linux[0x24C..0x250].copy_from_slice(&(payload.len() as u32 + 4).to_le_bytes());
    linux.extend(payload);
    linux.extend((kernel.len() as u32).to_le_bytes());
    let section = |name, data| uki::NewSection { name, data };
    uki::assemble(&stub(), &[section(".initrd", initrd), section(".linux", &linux)]).expect("assembles")
}

/// A stub as systemd's: headers of 1 KiB, two sections.
fn stub() -> Vec<u8> {
    let mut stub = vec![0; 2048];
    let mut put = |at: usize, bytes: &[u8]| stub[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(60, &0x78u32.to_le_bytes());
    put(0x78, b"PE\0\0\x64\x86\x02\0");
    put(0x78 + 4 + 16, &240u16.to_le_bytes());
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

/// Rows of words with small changes: what compiled code looks like to a comparer.
pub fn code(length: usize, seed: u64) -> Vec<u8> {
    noise(length / 8, seed).into_iter().flat_map(|byte| [0x48, 0x8B, byte, 0xE8, byte / 3, 0, 0, 0]).collect()
}

/// As [`make_pair`], made once.
pub fn pair() -> (Release, Release) {
    static PAIR: LazyLock<(Release, Release)> = LazyLock::new(make_pair);
    PAIR.clone()
}

/// Two releases: a file unchanged, one changed, one renamed by its version, one new, one gone; another kernel and initrd.
fn make_pair() -> (Release, Release) {
    let shifted = |bytes: Vec<u8>| {
        let mut bytes = [&bytes[..9000], b"four", &bytes[9000..]].concat();
        bytes.iter_mut().step_by(701).for_each(|byte| *byte = byte.wrapping_add(4));
        bytes
    };
    let large = noise(300_000, 1);
    let old = root(&[
        ("usr/lib/large", large.clone()),
        ("usr/lib/changed", code(60_000, 2)),
        ("usr/lib/lib-1.2.so", code(30_000, 3)),
        ("usr/lib/gone", noise(10_000, 4)),
        ("usr/small", b"old".to_vec()),
    ]);
    let new = root(&[
        ("usr/lib/large", large),
        ("usr/lib/changed", shifted(code(60_000, 2))),
        ("usr/lib/lib-1.10.so", shifted(code(30_000, 3))),
        ("usr/lib/new", noise(5_000, 5)),
        ("usr/small", b"newer".to_vec()),
    ]);
    let kernel = code(200_000, 6);
    let hash = |byte| Sha256Digest([byte; 32]);
    (
        Release { root: old, uki: uki_with(&kernel, &code(20_000, 7)), root_hash: hash(1) },
        Release { root: new, uki: uki_with(&shifted(kernel), &shifted(code(20_000, 7))), root_hash: hash(2) },
    )
}

pub fn options(threads: usize, recipe: Recipe) -> MakeOptions {
    MakeOptions { threads: threads.try_into().expect("not none"), recipe }
}

/// A patch's bytes.
pub fn make(old: Option<&Release>, new: &Release, recipe: Recipe, threads: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let old = old.map(Release::sides);
    patch::make(old, new.sides(), &options(threads, recipe), &mut out, &|_, _| ()).expect("makes");
    out
}

/// A target in memory that counts what is written to its root, and never takes more than it has room for.
pub struct Memory {
    pub root: Vec<u8>,
    pub uki: Vec<u8>,
    pub written: u64,
    pub room: u64,
}

impl Memory {
    pub fn new(root: Vec<u8>) -> Self {
        Self { root, uki: Vec::new(), written: 0, room: 4 << 20 }
    }
}

impl Target for Memory {
    fn write_root(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        if end > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.root.resize(self.root.len().max(end as usize), 0);
        self.root[offset as usize..end as usize].copy_from_slice(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn read_root(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = (offset as usize).checked_add(buffer.len());
        let bytes =
            end.and_then(|end| self.root.get(offset as usize..end)).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_uki(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(offset, self.uki.len() as u64, "a UKI is written from its beginning to its end");
        if offset + bytes.len() as u64 > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.uki.extend(bytes);
        Ok(())
    }
}

/// Applies with all the memory there is.
pub fn apply(
    patch: &[u8],
    old: Option<&Release>,
    target: &mut Memory,
    resume: Resume,
) -> Result<Applied, ApplyError> {
    apply_within(patch, old, target, resume, u64::MAX)
}

pub fn apply_within(
    mut patch: &[u8],
    old: Option<&Release>,
    target: &mut Memory,
    resume: Resume,
    memory: u64,
) -> Result<Applied, ApplyError> {
    let old = old.map(Release::old);
    patch::apply(&mut patch, old.as_ref(), target, &ApplyOptions { memory, resume }, &mut |_, _| ())
}

/// Header and operations of a patch of ours.
pub fn parts(mut patch: &[u8]) -> (Header, Vec<Operation>) {
    let header = Header::read(&mut patch).expect("a header");
    let read = |number| Operation::read(&mut patch, number, u64::MAX).expect("an operation");
    let operations = (0..header.operations).map(read).collect();
    (header, operations)
}

/// A patch of these operations, whatever they say.
pub fn assemble(header: &Header, operations: &[Operation]) -> Vec<u8> {
    let mut bytes = Header { operations: operations.len() as u64, ..header.clone() }.to_bytes().to_vec();
    operations.iter().for_each(|operation| operation.put(&mut bytes));
    bytes
}

/// An operation that makes `output`, or says so.
pub fn operation(output: &[u8], work: Work) -> Operation {
    let check = Sha256::digest(output)[..8].try_into().expect("8 bytes");
    Operation { length: output.len() as u64, check, work }
}

/// LEB128, as docs/PATCH.md has it.
pub fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 128 {
        bytes.push((value % 128) as u8 | 128);
        value /= 128;
    }
    bytes.push(value as u8);
    bytes
}

/// Zigzag.
pub fn signed(value: i64) -> Vec<u8> {
    number(if value < 0 { (-(value + 1)) as u64 * 2 + 1 } else { value as u64 * 2 })
}

/// A stream of a delta.
pub fn stream(packing: u8, packed: &[u8], length: u64) -> Vec<u8> {
    [&[packing][..], &number(packed.len() as u64), &number(length), packed].concat()
}

/// A delta with plain streams.
pub fn delta(stretches: &[(u64, u64, i64)], differences: &[u8], own: &[u8]) -> Vec<u8> {
    let mut numbers = number(stretches.len() as u64);
    stretches.iter().for_each(|(taken, _, _)| numbers.extend(number(*taken)));
    stretches.iter().for_each(|(_, own, _)| numbers.extend(number(*own)));
    stretches.iter().for_each(|(_, _, step)| numbers.extend(signed(*step)));
    let plain = |bytes: &[u8]| stream(0, bytes, bytes.len() as u64);
    [plain(&numbers), plain(differences), plain(own)].concat()
}
