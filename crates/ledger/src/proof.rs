//! Proof bundles (c2sp.org/tlog-proof): that an entry is in a log, for somebody without a network.

use crate::encoding::{decimal, from_base64, to_base64};
use crate::merkle::{MerkleError, PROOF_LIMIT, TreeHash, check_inclusion};
use crate::note::{NOTE_LIMIT, Note, NoteError};
use crate::policy::{Policy, PolicyError, Witnessed};

/// What proofs are called beside the thing they prove.
pub const FILE_SUFFIX: &str = ".tlog-proof";
/// First line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Longest extra data in bytes. Nobody vouches for it: stops it from carrying anything.
pub const EXTRA_LIMIT: usize = 16 << 10;
/// Longest proof in bytes: the note, the hashes, the extra data and the words around them. Stops a depot from filling memory.
pub const BUNDLE_LIMIT: usize = NOTE_LIMIT + 2 * EXTRA_LIMIT + (PROOF_LIMIT + 4) * 64;

/// That one entry is in a log. Reading one proves nothing: only [`Proof::verify`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Data of the application, which nothing protects. Ours have none.
    pub extra: Option<Vec<u8>>,
    /// Number of the entry, from 0.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub hashes: Vec<TreeHash>,
    /// The checkpoint, with its signatures.
    pub checkpoint: Note,
}

/// A proof can not be read, or does not prove.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Longer than [`BUNDLE_LIMIT`].
    #[error("the proof has more than {BUNDLE_LIMIT} bytes")]
    TooLong,
    /// The first line is another one.
    #[error("the proof does not begin with `{HEADER}`")]
    Header,
    /// A line that does not belong there.
    #[error("line {0} of the proof can not be read")]
    Line(usize),
    /// More hashes than a tree has levels.
    #[error("the proof has more than {PROOF_LIMIT} hashes")]
    TooManyHashes,
    /// What follows the blank line is no note.
    #[error("the proof's checkpoint can not be read")]
    Note(#[source] NoteError),
    /// The checkpoint does not fulfil the policy.
    #[error("the proof's checkpoint does not fulfil the policy")]
    Policy(#[source] PolicyError),
    /// The entry is not in the tree.
    #[error("the log does not have this entry at place {index}")]
    NotIncluded {
        /// Where the proof says it is.
        index: u64,
        /// Why not.
        #[source]
        source: MerkleError,
    },
}

impl Proof {
    /// Reads a proof.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > BUNDLE_LIMIT {
            return Err(ProofError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ProofError::Header)?;
        // Hash lines are not empty, so the first blank line is the one before the checkpoint.
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofError::Header)?;
        let mut lines = head.split('\n').enumerate().map(|(at, line)| (at + 1, line)).peekable();
        if lines.next().map(|(_, line)| line) != Some(HEADER) {
            return Err(ProofError::Header);
        }
        let mut extra = None;
        if let Some((at, encoded)) =
            lines.peek().and_then(|(at, line)| Some((*at, line.strip_prefix("extra ")?)))
        {
            let bytes = from_base64(encoded).filter(|bytes| bytes.len() <= EXTRA_LIMIT);
            extra = Some(bytes.ok_or(ProofError::Line(at))?);
            lines.next();
        }
        let (at, line) = lines.next().ok_or(ProofError::Line(2))?;
        let index = line.strip_prefix("index ").and_then(decimal).ok_or(ProofError::Line(at))?;
        let mut hashes = Vec::new();
        for (at, line) in lines {
            if hashes.len() == PROOF_LIMIT {
                return Err(ProofError::TooManyHashes);
            }
            hashes.push(line.parse().map_err(|_| ProofError::Line(at))?);
        }
        let checkpoint = Note::parse(checkpoint.as_bytes()).map_err(ProofError::Note)?;
        Ok(Self { extra, index, hashes, checkpoint })
    }

    /// The bytes of the proof.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            head.push_str(&format!("extra {}\n", to_base64(extra)));
        }
        head.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            head.push_str(&format!("{hash}\n"));
        }
        head.push('\n');
        [head.into_bytes(), self.checkpoint.to_bytes()].concat()
    }

    /// Checks everything: the log's signature, the quorum, and that the entry with this hash is in the tree. Needs no network
    /// and no clock.
    pub fn verify(&self, leaf: TreeHash, policy: &Policy) -> Result<Witnessed, ProofError> {
        let witnessed = policy.check(&self.checkpoint).map_err(ProofError::Policy)?;
        let (size, root) = witnessed.checkpoint.tree();
        check_inclusion(leaf, self.index, size, &self.hashes, root)
            .map_err(|source| ProofError::NotIncluded { index: self.index, source })?;
        Ok(witnessed)
    }
}

#[cfg(test)]
mod tests {
    use keys::SecretKey;
    use proptest::prelude::*;

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::merkle::leaf_hash;
    use crate::note::{Cosigner, NoteSigner};

    fn sample() -> (Proof, Policy) {
        let (log, witness) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let log = NoteSigner::new("example.com/log".parse().expect("a name"), &log);
        let witness = Cosigner::new("example.com/witness".parse().expect("a name"), &witness);
        let hashes = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")];
        let root = crate::merkle::node_hash(crate::merkle::node_hash(hashes[0], hashes[1]), hashes[2]);
        let text = Checkpoint::new("example.com/log".parse().expect("an origin"), 3, root).to_text();
        let mut checkpoint = Note::new(text.clone()).expect("a text");
        checkpoint.add(log.sign(&text).expect("signs"));
        checkpoint.add(witness.cosign(&text, 1_700_000_000).expect("co-signs"));
        let policy = Policy::of(log.key(), 1, &[("w", witness.key())]).expect("reads");
        (Proof { extra: None, index: 1, hashes: vec![hashes[0], hashes[2]], checkpoint }, policy)
    }

    #[test]
    fn a_proof_reads_what_it_writes_and_proves() {
        let (mut proof, policy) = sample();
        for extra in [None, Some(b"more".to_vec()), Some(Vec::new())] {
            proof.extra = extra;
            let read = Proof::parse(&proof.to_bytes()).expect("reads");
            assert_eq!(read, proof);
            let witnessed = read.verify(leaf_hash(b"b"), &policy).expect("proves");
            assert_eq!(witnessed.at, Some(1_700_000_000));
        }
    }

    #[test]
    fn every_changed_byte_of_a_proof_is_noticed() {
        let (proof, policy) = sample();
        let bytes = proof.to_bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let verified =
                    Proof::parse(&changed).and_then(|proof| proof.verify(leaf_hash(b"b"), &policy));
                assert!(verified.is_err(), "bit {bit} of byte {at}");
            }
        }
        for length in 0..bytes.len() {
            let verified =
                Proof::parse(&bytes[..length]).and_then(|proof| proof.verify(leaf_hash(b"b"), &policy));
            assert!(verified.is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_proof_of_another_entry_or_place_is_refused() {
        let (mut proof, policy) = sample();
        assert!(matches!(proof.verify(leaf_hash(b"a"), &policy), Err(ProofError::NotIncluded { .. })));
        proof.index = 0;
        assert!(matches!(proof.verify(leaf_hash(b"b"), &policy), Err(ProofError::NotIncluded { .. })));
    }

    #[test]
    fn malformed_proofs_are_refused() {
        let (proof, _) = sample();
        let text = String::from_utf8(proof.to_bytes()).expect("is text");
        let hash = proof.hashes[0].to_string();
        for (from, to) in [
            (HEADER, "c2sp.org/tlog-proof@v2"),
            (HEADER, "\u{feff}c2sp.org/tlog-proof@v1"),
            ("index 1", "index 01"),
            ("index 1", "index -1"),
            ("index 1", "index 1 "),
            ("index 1", "extra AA\nindex 1"),
            ("index 1", "extra AA==\nextra AA==\nindex 1"),
            ("index 1", "index 1\nindex 1"),
            ("index 1\n", ""),
            (&hash, "AAAA"),
            (&hash, &format!("{hash}\r")),
            (&hash, &format!("{hash}\n").repeat(64)),
            ("\n\n", "\n"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Proof::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{from:?} to {to:?}");
        }
        assert_eq!(Proof::parse(&vec![b'a'; BUNDLE_LIMIT + 1]), Err(ProofError::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_proof_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500), lines in "(.{0,50}\n){0,6}") {
            let _ = Proof::parse(&bytes);
            let _ = Proof::parse(format!("{HEADER}\n{lines}").as_bytes());
        }
    }
}
