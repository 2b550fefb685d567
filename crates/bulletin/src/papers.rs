//! What packages say about themselves: changelogs by source package, and kernel options. Read from the archive beside an image.
//!
//! The one module that knows the archive's form.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use serde::Deserialize;

use crate::changelog::{self, CHANGELOG_LIMIT};

/// Most bytes of the archive, unpacked once: what packages ship compressed stays so. Stops a bomb.
pub const ARCHIVE_LIMIT: u64 = 1 << 30;
/// Most files of the archive.
pub const FILE_LIMIT: usize = 100_000;
/// Largest file of the archive that is read.
pub const DOCUMENT_LIMIT: u64 = 64 << 20;

/// First file of newer archives: one JSON object a line for each package.
const RECORDS: &str = "packages.jsonl";

/// Documents of packages, as they were shipped: packed one by one in older archives, plain in newer ones.
#[derive(Clone, Debug, Default)]
pub struct Papers {
    /// `(package, file name)` to bytes; equal texts are there once.
    documents: BTreeMap<(String, String), Arc<Vec<u8>>>,
    /// Packages to the packages that they need.
    depends: BTreeMap<String, Vec<String>>,
}

/// As much of a record as is asked for here.
#[derive(Deserialize)]
struct Record {
    name: String,
    #[serde(default)]
    depends: Vec<String>,
}

impl Papers {
    /// Reads a tar archive, zstd, of `PACKAGE/NAME`. Equal texts may be hard links to the first of them.
    pub fn read(archive: impl Read) -> io::Result<Self> {
        let plain = zstd::Decoder::new(archive)?.take(ARCHIVE_LIMIT);
        let mut papers = Self::default();
        let mut archive = tar::Archive::new(plain);
        for (count, entry) in archive.entries()?.enumerate() {
            let entry = entry?;
            if count >= FILE_LIMIT {
                return Err(io::Error::other(format!("it has more than {FILE_LIMIT} files")));
            }
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let is_link = entry.header().entry_type().is_hard_link();
            let target = entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
            if path == RECORDS {
                let mut bytes = Vec::new();
                entry.take(DOCUMENT_LIMIT).read_to_end(&mut bytes)?;
                papers.depends = depends(&bytes);
                continue;
            }
            let key = |path: &str| {
                path.split_once('/').map(|(package, name)| (package.to_owned(), name.to_owned()))
            };
            let Some(place) = key(&path) else { continue };
            // Licences are the larger half, and a bulletin does not read them.
            if !place.1.starts_with("changelog") && !place.1.starts_with("config-") {
                continue;
            }
            let bytes = if is_link {
                target.as_deref().and_then(key).and_then(|target| papers.documents.get(&target).cloned())
            } else {
                let mut bytes = Vec::new();
                entry.take(DOCUMENT_LIMIT).read_to_end(&mut bytes)?;
                Some(Arc::new(bytes))
            };
            // A link to what was not kept leads nowhere.
            if let Some(bytes) = bytes {
                papers.documents.insert(place, bytes);
            }
        }
        Ok(papers)
    }

    /// Packages that a package needs, where the archive tells.
    pub fn depends(&self, package: &str) -> &[String] {
        self.depends.get(package).map(Vec::as_slice).unwrap_or_default()
    }

    /// Documents found elsewhere: `(package, file name)` to bytes as they were shipped.
    pub fn of(documents: BTreeMap<(String, String), Vec<u8>>) -> Self {
        let documents = documents.into_iter().map(|(key, bytes)| (key, Arc::new(bytes))).collect();
        Self { documents, depends: BTreeMap::new() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Changelogs that one of `packages` ships, unpacked: Debian's own first, those of native packages after them. Upstream's
    /// changelogs have other forms, and reading them as Debian's gives nothing.
    pub fn changelogs<'a>(&self, packages: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut found: Vec<(bool, String)> = Vec::new();
        for package in packages {
            let from = (package.to_owned(), String::new());
            let of_package = self.documents.range(from..).take_while(|((name, _), _)| name == package);
            for ((_, name), bytes) in of_package {
                if name.starts_with("changelog")
                    && let Some(text) = unpacked(bytes)
                    && !changelog::entries(head(&text)).is_empty()
                {
                    found.push((!name.starts_with("changelog.Debian"), text));
                }
            }
        }
        found.sort_by_key(|(is_native, _)| *is_native);
        found.dedup();
        found.into_iter().map(|(_, text)| text).collect()
    }

    /// Kernel options: the text of `config-*` of any package.
    pub fn kernel_options(&self) -> Option<BTreeMap<String, String>> {
        let (_, bytes) = self.documents.iter().find(|((_, name), _)| name.starts_with("config-"))?;
        Some(kernel_options(&String::from_utf8_lossy(bytes)))
    }
}

/// `CONFIG_X=y` and `# CONFIG_X is not set`; strings about the compiler and the build's salt vary and say nothing.
pub fn kernel_options(text: &str) -> BTreeMap<String, String> {
    let option = |line: &str| {
        if let Some(name) = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set")) {
            return Some((name.to_owned(), "not set".to_owned()));
        }
        let (name, value) = line.split_once('=')?;
        name.starts_with("CONFIG_").then(|| (name.to_owned(), value.to_owned()))
    };
    let is_noise = |name: &str| matches!(name, "CONFIG_BUILD_SALT" | "CONFIG_CC_VERSION_TEXT");
    text.lines().filter_map(option).filter(|(name, _)| !is_noise(name)).collect()
}

fn depends(records: &[u8]) -> BTreeMap<String, Vec<String>> {
    let lines = records.split(|byte| *byte == b'\n');
    let parsed = lines.filter_map(|line| serde_json::from_slice::<Record>(line).ok());
    parsed.map(|record| (record.name, record.depends)).collect()
}

fn unpacked(bytes: &[u8]) -> Option<String> {
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        // A damaged one is as good as a missing one: the bulletin says then that there is no changelog.
        flate2::read::MultiGzDecoder::new(bytes).take(CHANGELOG_LIMIT).read_to_end(&mut plain).ok()?;
    } else {
        plain.extend_from_slice(bytes);
    }
    Some(String::from_utf8_lossy(&plain).into_owned())
}

/// Enough of a text to see whether it is Debian's.
fn head(text: &str) -> &str {
    let mut end = text.len().min(4096);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn debians_changelogs_are_told_from_upstreams_and_damaged_ones_are_left_out() {
        let entry = "a (1-1) sid; urgency=low\n\n  * Hello\n\n -- A <a@b>  Mon\n";
        let key = |name: &str| ("a".to_owned(), name.to_owned());
        let mut damaged = packed(entry);
        damaged.truncate(12);
        let papers = Papers::of(BTreeMap::from([
            (key("changelog.Debian.gz"), packed(entry)),
            (key("changelog.gz"), packed("2024-01-01  Somebody\n\t* fix\n")),
            (key("changelog.Debian.amd64.gz"), damaged),
        ]));
        assert_eq!(papers.changelogs(["a", "b"]), [entry]);
        assert!(papers.changelogs(["aa"]).is_empty());
    }

    #[test]
    fn plain_texts_links_and_records_of_newer_archives_are_read() {
        let text = "a (1-1) sid; urgency=low\n\n  * Hello\n\n -- A <a@b>  Mon\n";
        let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).expect("memory"));
        let mut add = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes).expect("memory");
        };
        add(RECORDS, b"{\"name\": \"a\", \"depends\": [\"b\"], \"more\": 1}\nnonsense\n");
        add("a/copyright", b"free");
        add("a/changelog.Debian", text.as_bytes());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        archive.append_link(&mut header, "b/changelog.Debian", "a/changelog.Debian").expect("memory");
        let bytes = archive.into_inner().and_then(zstd::Encoder::finish).expect("memory");
        let papers = Papers::read(bytes.as_slice()).expect("reads");
        assert_eq!(papers.changelogs(["b"]), [text]);
        assert_eq!(papers.depends("a"), ["b"]);
        assert!(papers.depends("b").is_empty());
    }

    #[test]
    fn kernel_options_are_read_whether_set_or_not() {
        let options =
            kernel_options("CONFIG_A=y\n# CONFIG_B is not set\n# a comment\nCONFIG_BUILD_SALT=\"6\"\n");
        let found: Vec<_> = options.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(found, ["CONFIG_A y", "CONFIG_B not set"]);
    }

    #[test]
    fn what_is_no_archive_is_an_error_and_not_a_panic() {
        assert!(Papers::read(&b"nothing"[..]).is_err());
    }
}
