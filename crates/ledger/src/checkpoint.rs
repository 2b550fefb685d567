//! Checkpoints (c2sp.org/tlog-checkpoint): what a log says its tree is.
//!
//! This is the text only; a [`crate::note::Note`] carries it with its signatures.

use std::fmt;
use std::str::FromStr;

use crate::encoding::{decimal, shown};
use crate::merkle::{SIZE_LIMIT, TreeHash, empty_root};

/// Longest origin in bytes, as in c2sp.org/tlog-cosignature. Stops a stranger from making a witness keep long names.
pub const ORIGIN_LIMIT: usize = 255;
/// Most extension lines that are read. Nobody checks them, so nobody should need them.
const EXTENSIONS_LIMIT: usize = 16;

/// Which log: its unique name, by convention its URL without scheme and without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

/// The tree of a log at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: Origin,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree.
    pub root: TreeHash,
    /// Further lines, which nobody answers for. Ours have none.
    extensions: Vec<String>,
}

/// The text is no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// No origin, or an impossible one.
    #[error("`{0}` can not name a log: 1 to {ORIGIN_LIMIT} bytes on one line, without control characters")]
    Origin(String),
    /// Fewer than three lines, an empty one, or no newline at the end.
    #[error("a checkpoint has three lines: origin, number of entries, root")]
    Lines,
    /// No number, or one that no log reaches.
    #[error("`{0}` is no number of entries")]
    Size(String),
    /// Not the base64 of 32 bytes.
    #[error("`{0}` is no root")]
    Root(String),
    /// More than are read.
    #[error("the checkpoint has more than {EXTENSIONS_LIMIT} extension lines")]
    Extensions,
}

impl Origin {
    /// The line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let is_good = (1..=ORIGIN_LIMIT).contains(&text.len()) && !text.chars().any(char::is_control);
        if is_good { Ok(Self(text.into())) } else { Err(CheckpointError::Origin(shown(text))) }
    }
}

impl Checkpoint {
    /// The tree of a log.
    pub fn new(origin: Origin, size: u64, root: TreeHash) -> Self {
        Self { origin, size, root, extensions: Vec::new() }
    }

    /// The tree before the first entry.
    pub fn empty(origin: Origin) -> Self {
        Self::new(origin, 0, empty_root())
    }

    /// Reads the text of a note.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let text = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let mut lines = text.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError::Lines);
        let (origin, size, root) = (line()?, line()?, line()?);
        let mut extensions = Vec::new();
        for line in lines {
            if line.is_empty() {
                return Err(CheckpointError::Lines);
            }
            if extensions.len() == EXTENSIONS_LIMIT {
                return Err(CheckpointError::Extensions);
            }
            extensions.push(line.into());
        }
        let count = decimal(size).filter(|size| *size <= SIZE_LIMIT);
        Ok(Self {
            origin: origin.parse()?,
            size: count.ok_or_else(|| CheckpointError::Size(shown(size)))?,
            root: root.parse().map_err(|_| CheckpointError::Root(shown(root)))?,
            extensions,
        })
    }

    /// Size and root, as [`crate::merkle::check_consistency`] takes them.
    pub fn tree(&self) -> (u64, TreeHash) {
        (self.size, self.root)
    }

    /// The text that is signed.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root);
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of c2sp.org/tlog-checkpoint.
    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_example_of_the_specification_reads() {
        let checkpoint = Checkpoint::parse(TEXT).expect("reads");
        assert_eq!(checkpoint.origin.as_str(), "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.to_text(), TEXT);
        let extended = format!("{TEXT}more\n");
        assert_eq!(Checkpoint::parse(&extended).expect("reads").to_text(), extended);
        assert_eq!(
            Checkpoint::empty("o".parse().expect("an origin")).to_text(),
            "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        );
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for text in [
            String::new(),
            "\n".into(),
            "o\n".into(),
            "o\n1\n".into(),
            format!("o\n1\n{root}"),
            format!("\n1\n{root}\n"),
            format!("o\n01\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n+1\n{root}\n"),
            format!("o\n1 \n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            format!("o\n18446744073709551615\n{root}\n"),
            format!("o\n1\n{}\n", &root[1..]),
            "o\n1\nAAAA\n".into(),
            format!("o\n1\n{root}\n\n"),
            format!("o\n1\n{root}\n\nx\n"),
            format!("o\n1\n{root}\n{}", "x\n".repeat(17)),
            format!("{}\n1\n{root}\n", "o".repeat(256)),
        ] {
            assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_checkpoint_or_refused(text in "(.{0,40}\n){0,5}|.{0,80}|o\n[0-9]{0,25}\n[A-Za-z0-9+/=]{40,46}\n") {
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert_eq!(checkpoint.to_text(), text);
            }
        }
    }
}
