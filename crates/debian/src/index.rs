//! Archive indices: what `Packages` and `Release` files say.
//!
//! Refuses to judge signatures: apt has checked an index before its text gets here.

use model::Sha256Digest;

use crate::control::{ControlError, Paragraph, paragraphs};
use crate::date::{DateSyntax, Timestamp};
use crate::version::{Version, VersionSyntax};

/// Largest `Packages` text. Stops a forged index from filling memory; Debian's largest is below 100 MiB.
pub const MAX_PACKAGES_BYTES: u64 = 512 << 20;
/// Largest `Release` text; Debian's are below 1 MiB.
pub const MAX_RELEASE_BYTES: u64 = 16 << 20;
/// Most files that a `Release` lists. Stops a forged one from filling memory.
pub const MAX_RELEASE_FILES: usize = 100_000;

/// An index that can not be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The text is no control file.
    #[error("the index is malformed")]
    Control(#[from] ControlError),
    /// A field that is needed is missing.
    #[error("{subject}: field `{field}` is missing")]
    Missing {
        /// The package, or `Release`.
        subject: String,
        /// The field.
        field: &'static str,
    },
    /// A field does not have the form it needs.
    #[error("{subject}: field `{field}` is malformed: `{value}`")]
    Malformed {
        /// The package, or `Release`.
        subject: String,
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        value: String,
    },
    /// A version is none.
    #[error("{subject}: the version is malformed")]
    Version {
        /// The package.
        subject: String,
        /// The rule it breaks.
        #[source]
        source: VersionSyntax,
    },
    /// A `Release` date is none.
    #[error("the release's date is malformed")]
    Date(#[from] DateSyntax),
    /// [`MAX_RELEASE_FILES`].
    #[error("the release lists more than {MAX_RELEASE_FILES} files")]
    TooManyFiles,
}

/// One package of a `Packages` index: the fields the lock needs.
#[derive(Clone, Debug)]
pub struct IndexEntry {
    /// Binary package name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Source package name.
    pub source: String,
    /// Version of the source package.
    pub source_version: Version,
    /// `amd64`, `all`, ...
    pub architecture: String,
    /// Section, empty when not given.
    pub section: String,
    /// `Essential: yes`.
    pub essential: bool,
    /// Size of the `.deb`.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub sha256: Sha256Digest,
    /// Path below the archive's root.
    pub path: String,
}

impl IndexEntry {
    /// Reads a package's paragraph.
    ///
    /// # Errors
    /// [`IndexError`] for a field that is missing or malformed.
    pub fn from_paragraph(paragraph: &Paragraph<'_>) -> Result<Self, IndexError> {
        let name = paragraph.field("Package").unwrap_or("a package without a name");
        let need = |field: &'static str| {
            paragraph.field(field).ok_or_else(|| IndexError::Missing { subject: name.to_owned(), field })
        };
        let malformed = |field: &'static str, value: &str| IndexError::Malformed {
            subject: name.to_owned(),
            field,
            value: value.chars().take(80).collect(),
        };
        let parse_version = |text: &str| {
            text.parse::<Version>().map_err(|source| IndexError::Version { subject: name.to_owned(), source })
        };
        let version = parse_version(need("Version")?)?;
        let (source, source_version) = match paragraph.field("Source") {
            None => (name, version.clone()),
            Some(text) => match text.split_once(" (") {
                None => (text, version.clone()),
                Some((source, rest)) => {
                    let inner = rest.strip_suffix(')').ok_or_else(|| malformed("Source", text))?;
                    (source, parse_version(inner)?)
                }
            },
        };
        let (size, sha256) = (need("Size")?, need("SHA256")?);
        Ok(Self {
            name: need("Package")?.to_owned(),
            version,
            source: source.to_owned(),
            source_version,
            architecture: need("Architecture")?.to_owned(),
            section: paragraph.field("Section").unwrap_or_default().to_owned(),
            essential: paragraph.field("Essential") == Some("yes"),
            size: size.parse().map_err(|_| malformed("Size", size))?,
            sha256: sha256.parse().map_err(|_| malformed("SHA256", sha256))?,
            path: need("Filename")?.to_owned(),
        })
    }
}

/// The paragraphs of a `Packages` text for which `is_wanted` answers yes, asked with the package's name.
///
/// Indices hold tens of thousands of packages and a lock some hundred: paragraphs that nobody wants are only scanned.
pub fn wanted_paragraphs<'a>(
    text: &'a str,
    mut is_wanted: impl FnMut(&str) -> bool,
) -> impl Iterator<Item = Result<Paragraph<'a>, ControlError>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let end = rest.find("\n\n").map_or(rest.len(), |at| at + 2);
            let (block, after) = rest.split_at(end);
            rest = after;
            if name_of(block).is_some_and(&mut is_wanted)
                && let Some(paragraph) = paragraphs(block).next()
            {
                return Some(paragraph);
            }
        }
    })
}

/// The names of all packages of a `Packages` text, in its order, several times when there are several versions.
pub fn package_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("Package: ").map(str::trim_ascii))
}

fn name_of(block: &str) -> Option<&str> {
    let after = match block.strip_prefix("Package: ") {
        Some(after) => after,
        None => &block[block.find("\nPackage: ")? + "\nPackage: ".len()..],
    };
    after.lines().next().map(str::trim_ascii)
}

/// What a `Release` or `InRelease` file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Such as `stable`; empty when not given.
    pub suite: String,
    /// Such as `trixie`; empty when not given.
    pub codename: String,
    /// Version of a point release, such as `13.2`; empty when not given.
    pub version: String,
    /// When it was made.
    pub date: Timestamp,
    /// The files it vouches for.
    pub files: Vec<ReleaseFile>,
}

/// A file that a release vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseFile {
    /// SHA-256 of the file.
    pub sha256: Sha256Digest,
    /// Its size.
    pub size: u64,
    /// Path relative to the release file's folder.
    pub path: String,
}

impl Release {
    /// Reads the text of `Release` or of `InRelease`, whose signature is stripped and NOT checked.
    ///
    /// # Errors
    /// [`IndexError`] for a field that is missing or malformed.
    pub fn parse(text: &str) -> Result<Self, IndexError> {
        let paragraph = Paragraph::parse_signed(text)?;
        let field = |name| paragraph.field(name).unwrap_or_default().to_owned();
        let missing = |field| IndexError::Missing { subject: "Release".to_owned(), field };
        let date = Timestamp::parse_release_date(paragraph.field("Date").ok_or_else(|| missing("Date"))?)?;
        let lines = paragraph.field("SHA256").ok_or_else(|| missing("SHA256"))?.lines();
        let mut files = Vec::new();
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            if files.len() == MAX_RELEASE_FILES {
                return Err(IndexError::TooManyFiles);
            }
            let file = parse_file(line).ok_or_else(|| IndexError::Malformed {
                subject: "Release".to_owned(),
                field: "SHA256",
                value: line.chars().take(80).collect(),
            })?;
            files.push(file);
        }
        Ok(Self {
            suite: field("Suite"),
            codename: field("Codename"),
            version: field("Version"),
            date,
            files,
        })
    }
}

fn parse_file(line: &str) -> Option<ReleaseFile> {
    let mut words = line.split_ascii_whitespace();
    let sha256 = words.next()?.parse().ok()?;
    let size = words.next()?.parse().ok()?;
    let path = words.next()?.to_owned();
    words.next().is_none().then_some(ReleaseFile { sha256, size, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGES: &str = "\
Package: bash
Version: 5.2.37-2+b5
Source: bash (5.2.37-2)
Essential: yes
Architecture: amd64
Section: shells
Filename: pool/main/b/bash/bash_5.2.37-2+b5_amd64.deb
Size: 1500
SHA256: 0101010101010101010101010101010101010101010101010101010101010101

Package: zsh
Version: 5.9-1
Architecture: all
Filename: pool/main/z/zsh/zsh_5.9-1_all.deb
Size: 7
SHA256: 0202020202020202020202020202020202020202020202020202020202020202
";

    #[test]
    fn a_package_is_read_with_its_source() {
        let wanted: Vec<_> =
            wanted_paragraphs(PACKAGES, |name| name == "bash").collect::<Result<_, _>>().unwrap();
        assert_eq!(wanted.len(), 1);
        let bash = IndexEntry::from_paragraph(&wanted[0]).unwrap();
        assert_eq!((bash.source.as_str(), bash.source_version.as_str()), ("bash", "5.2.37-2"));
        assert_eq!((bash.essential, bash.size, bash.section.as_str()), (true, 1500, "shells"));
        let all: Vec<_> = wanted_paragraphs(PACKAGES, |_| true).collect::<Result<_, _>>().unwrap();
        let zsh = IndexEntry::from_paragraph(&all[1]).unwrap();
        assert_eq!((zsh.source.as_str(), zsh.source_version.as_str()), ("zsh", "5.9-1"));
        assert_eq!(package_names(PACKAGES).collect::<Vec<_>>(), ["bash", "zsh"]);
    }

    #[test]
    fn a_package_without_what_the_lock_needs_is_refused() {
        for (from, to) in [
            ("Size: 1500\n", ""),
            ("Size: 1500", "Size: x"),
            ("SHA256: 01", "SHA256: 0"),
            ("Version: 5", "Version: x"),
            ("(5.2.37-2)", "(5.2.37-2"),
            ("Filename", "File"),
        ] {
            let text = PACKAGES.replacen(from, to, 1);
            let paragraph = wanted_paragraphs(&text, |_| true).next().unwrap().unwrap();
            let error = IndexEntry::from_paragraph(&paragraph).expect_err(to);
            assert!(error.to_string().starts_with("bash: "), "{error}");
        }
    }

    #[test]
    fn a_signed_release_reads_like_a_bare_one() {
        let bare = "Suite: stable\nCodename: trixie\nVersion: 13.2\nDate: Sat, 15 Nov 2025 09:48:00 UTC\nSHA256:\n \
            0101010101010101010101010101010101010101010101010101010101010101       12 main/Contents\n";
        let signed = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{bare}-----BEGIN PGP SIGNATURE-----\n\nab=\n-----END PGP SIGNATURE-----\n"
        );
        let release = Release::parse(bare).unwrap();
        assert_eq!(Release::parse(&signed).unwrap(), release);
        assert_eq!((release.codename.as_str(), release.version.as_str()), ("trixie", "13.2"));
        assert_eq!((release.files[0].size, release.files[0].path.as_str()), (12, "main/Contents"));
        assert!(Release::parse(&bare.replace("Date: Sat", "Data: Sat")).is_err());
        assert!(Release::parse(&bare.replace("       12", " -1")).is_err());
    }
}
