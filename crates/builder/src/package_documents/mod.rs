//! What packages say about themselves, as one archive beside the image: where they came from, licences, changelogs,
//! kernel options. `release::documents::packages` reads it.
//!
//! An image does not carry them, but its readers need them: who may do what with the code, and what changed.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use debian::lock::Lock;
use release::documents::PackageRecord;
use release::documents::packages::{RECORDS, TEXT_LIMIT};
use sha2::{Digest, Sha256};
use tree::{ContentSource, TreePath};

use crate::base::Document;

mod records;

pub use records::records;

/// zstd level. Documents of `examples/lamp`, 10.4 MB of texts (10.6 MB as packages compress them one by one), in MB and seconds
/// of a busy core: level 3 3.3 in 0.2, 9 2.9 in 0.8, 12 2.8 in 1.2, 15 2.7 in 8.9, 19 2.5 in 19.
const LEVEL: i32 = 9;
/// Log of zstd's window: changelogs of one source repeat each other over many megabytes. Readers accept it unasked.
const WINDOW_LOG: u32 = 27;

/// Documents of a package that is not part of the base, with their bytes: the boot loader's.
pub struct LooseDocument {
    /// Whose.
    pub package: String,
    /// Where the package has it.
    pub path: TreePath,
    /// Its bytes, as the package has them.
    pub bytes: Vec<u8>,
}

/// Everything the archive is made from.
pub struct Sources<'a> {
    /// Where every package came from.
    pub lock: &'a Lock,
    /// What the archive says of every package.
    pub records: &'a [PackageRecord],
    /// Documents of the base.
    pub documents: &'a [Document],
    /// Their contents.
    pub contents: &'a dyn ContentSource,
    /// Documents of other packages.
    pub loose: &'a [LooseDocument],
}

/// A tar archive, zstd. Nothing in it varies: the order is that of sources, packages and names; owner and time are 0.
pub fn archive(sources: &Sources<'_>) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(WINDOW_LOG)?;
    let mut archive = tar::Builder::new(encoder);
    let mut lines = Vec::new();
    for record in sources.records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    append(&mut archive, RECORDS, &lines)?;

    let mut first_names: HashMap<[u8; 32], String> = HashMap::new();
    for (name, text) in texts(sources)? {
        match first_names.get(&<[u8; 32]>::from(Sha256::digest(&text))) {
            Some(first) => {
                let mut header = plain_header(0);
                header.set_entry_type(tar::EntryType::Link);
                archive.append_link(&mut header, &name, first)?;
            }
            None => {
                append(&mut archive, &name, &text)?;
                first_names.insert(Sha256::digest(&text).into(), name);
            }
        }
    }
    archive.into_inner()?.finish()
}

/// Name in the archive and text of everything that is kept, packages of one source beside each other.
fn texts(sources: &Sources<'_>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut packages: BTreeMap<(&str, &str), BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    let source_of = |package: &str| sources.lock.package(package).map_or("", |it| it.source.as_str());
    let mut add = |package: &'_ str, path: &TreePath, bytes: Vec<u8>| {
        // Where else it may lie: a package can bring the documents of its parts in folders of their own.
        let (name, bytes) = unpacked(path.name(), bytes);
        let lock_name = sources.lock.package(package).map(|it| it.name.as_str());
        let Some(package) = lock_name else { return };
        let names = packages.entry((source_of(package), package)).or_default();
        let folder = path.as_str().rsplit('/').nth(1).unwrap_or_default();
        let is_own = folder == package || !path.as_str().starts_with("usr/share/doc/");
        match is_own || !names.contains_key(&name) {
            true => names.insert(name, bytes),
            false => names.insert(format!("{folder}/{name}"), bytes),
        };
    };
    let mut sorted: Vec<&Document> = sources.documents.iter().collect();
    // A package's own folder first, so that the plain names are its own.
    sorted.sort_by_key(|it| {
        let folder = it.path.as_str().rsplit('/').nth(1).unwrap_or_default();
        (&it.package, folder != it.package, &it.path)
    });
    for document in sorted {
        let mut bytes = Vec::with_capacity(document.content.size as usize);
        sources.contents.open(&document.content)?.read_to_end(&mut bytes)?;
        add(&document.package, &document.path, bytes);
    }
    for document in sources.loose {
        add(&document.package, &document.path, document.bytes.clone());
    }
    let mut texts = Vec::new();
    for ((_, package), mut names) in packages {
        // Upstream's own changes are in Debian's changelog where they matter, and are the larger part.
        if names.contains_key("changelog.Debian") {
            names.remove("changelog");
        }
        texts.extend(names.into_iter().map(|(name, bytes)| (format!("{package}/{name}"), bytes)));
    }
    Ok(texts)
}

/// Compressed together, texts need a fraction of the room. What is no sound gzip file of bearable size stays as it is.
fn unpacked(name: &str, bytes: Vec<u8>) -> (String, Vec<u8>) {
    let Some(plain) = name.strip_suffix(".gz") else { return (name.to_owned(), bytes) };
    let mut text = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(TEXT_LIMIT + 1);
    match decoder.read_to_end(&mut text) {
        Ok(length) if length as u64 <= TEXT_LIMIT => (plain.to_owned(), text),
        _ => (name.to_owned(), bytes),
    }
}

fn append<W: io::Write>(archive: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    archive.append_data(&mut plain_header(bytes.len() as u64), name, bytes)
}

fn plain_header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests;
