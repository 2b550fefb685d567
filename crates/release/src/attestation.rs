//! A rebuild attestation: who rebuilt a release from its own sources and got the same bytes says so in this form.
//!
//! Pure. The text is the body of a signed note (C2SP); signing and checking signatures come with keys. Until then it is what its
//! bearer says.

use std::fmt::Write as _;

use model::Sha256Digest;

use crate::manifest::Artifact;
use crate::statement::ReleaseId;

/// First line of the text: what it is, and which version.
pub const HEAD: &str = "ampoule.rebuild/v1";
/// Longest text. Stops a stranger's attestation from filling memory.
pub const TEXT_LIMIT: usize = 256 << 10;

/// What was rebuilt, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// `VENDOR/NAME`.
    pub appliance: String,
    /// Its version.
    pub version: String,
    /// Which release.
    pub release: ReleaseId,
    /// Root hash of its image.
    pub root_hash: Sha256Digest,
    /// Version of the Ampoule that rebuilt it.
    pub tool_version: String,
    /// Where the guest's programs came from.
    pub guest: Guest,
    /// Every file that is the same byte for byte: name and digest, sorted by name.
    pub artifacts: Vec<(String, Sha256Digest)>,
}

/// Where the programs came from that Ampoule itself puts into an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// Whoever rebuilt the release built them too.
    Built,
    /// They were taken from the release, and were not checked.
    FromRelease,
}

/// The text is no attestation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} of the rebuild attestation is not `{expected}`")]
pub struct AttestationSyntax {
    /// Counted from 1.
    pub line: usize,
    /// What is expected there.
    pub expected: &'static str,
}

impl Attestation {
    /// Names and digests of a release's files.
    pub fn artifacts_of<'a>(
        artifacts: impl IntoIterator<Item = &'a Artifact>,
    ) -> Vec<(String, Sha256Digest)> {
        artifacts.into_iter().map(|it| (it.name.to_string(), it.sha256)).collect()
    }

    /// The body of the note: lines that end with a line feed.
    pub fn to_text(&self) -> String {
        let guest = match self.guest {
            Guest::Built => "built",
            Guest::FromRelease => "from-release",
        };
        let mut text = format!(
            "{HEAD}\nappliance {} {}\nrelease {}\nroot-hash {}\ntool ampoule {}\nguest {guest}\n",
            self.appliance, self.version, self.release, self.root_hash, self.tool_version
        );
        for (name, digest) in &self.artifacts {
            writeln!(text, "same {digest} {name}").expect("writing to memory does not fail");
        }
        text
    }

    /// Reads what [`Attestation::to_text`] wrote. Signatures after an empty line are not looked at.
    pub fn parse(text: &str) -> Result<Self, AttestationSyntax> {
        let text = text.get(..text.len().min(TEXT_LIMIT)).unwrap_or_default();
        let body = text.split_once("\n\n").map_or(text, |(body, _)| body);
        let mut lines = body.lines().enumerate();
        let mut next = |expected: &'static str, key: &str| {
            let (index, line) = lines.next().unwrap_or((0, ""));
            let rest = line.strip_prefix(key).map(|rest| rest.trim_start().to_owned());
            rest.ok_or(AttestationSyntax { line: index + 1, expected })
        };
        let wrong = |line: usize, expected: &'static str| AttestationSyntax { line, expected };
        if !next("ampoule.rebuild/v1", HEAD)?.is_empty() {
            return Err(wrong(1, "ampoule.rebuild/v1"));
        }
        let appliance = next("appliance VENDOR/NAME VERSION", "appliance ")?;
        let (appliance, version) =
            appliance.split_once(' ').ok_or_else(|| wrong(2, "appliance VENDOR/NAME VERSION"))?;
        let release = next("release DIGEST", "release ")?.parse().map_err(|_| wrong(3, "release DIGEST"))?;
        let root_hash = next("root-hash DIGEST", "root-hash ")?.parse();
        let root_hash = root_hash.map_err(|_| wrong(4, "root-hash DIGEST"))?;
        let tool_version = next("tool ampoule VERSION", "tool ampoule ")?;
        let guest = match next("guest built", "guest ")?.as_str() {
            "built" => Guest::Built,
            "from-release" => Guest::FromRelease,
            _ => return Err(wrong(6, "guest built")),
        };
        let artifact = |(index, line): (usize, &str)| {
            let parts = line.strip_prefix("same ").and_then(|rest| rest.split_once(' '));
            let pair = parts.and_then(|(digest, name)| Some((name.to_owned(), digest.parse().ok()?)));
            pair.ok_or(wrong(index + 1, "same DIGEST NAME"))
        };
        Ok(Self {
            appliance: appliance.to_owned(),
            version: version.to_owned(),
            release,
            root_hash,
            tool_version,
            guest,
            artifacts: lines.map(artifact).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Attestation {
        Attestation {
            appliance: "acme/shop".into(),
            version: "1.4.0".into(),
            release: ReleaseId(Sha256Digest([1; 32])),
            root_hash: Sha256Digest([2; 32]),
            tool_version: "0.1.0".into(),
            guest: Guest::Built,
            artifacts: vec![("root.erofs".into(), Sha256Digest([3; 32]))],
        }
    }

    #[test]
    fn an_attestation_reads_what_it_writes_with_and_without_signatures() {
        for guest in [Guest::Built, Guest::FromRelease] {
            let attestation = Attestation { guest, ..sample() };
            let text = attestation.to_text();
            assert!(text.ends_with('\n') && !text.contains("\n\n"), "the body of a note");
            assert_eq!(Attestation::parse(&text), Ok(attestation.clone()));
            assert_eq!(Attestation::parse(&format!("{text}\n\u{2014} key abcd\n")), Ok(attestation));
        }
    }

    #[test]
    fn what_is_none_is_refused_by_its_line() {
        let text = sample().to_text();
        let of = |text: &str| Attestation::parse(text).unwrap_err().line;
        assert_eq!(of(""), 1);
        assert_eq!(of("ampoule.rebuild/v2\n"), 1);
        assert_eq!(of(&text.replace("guest built", "guest maybe")), 6);
        assert_eq!(of(&text.replace("same ", "like ")), 7);
    }
}
