//! Whether the officers let a release in: their keys, their words, and what follows from them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ledger::note::{Algorithm, KeyError, KeyName, Note, NoteError, VerifierKey};
use release::ReleaseId;
use release::approval::{Approval, ApprovalError, Scope, Word};

/// Most officers of an appliance. Stops a setting from making every note a long list of checks.
pub const OFFICERS_LIMIT: usize = 32;
/// How far an approval may lie in the future: clocks differ. Stops one that is made today for a day nobody has seen.
const CLOCK_DIFFERENCE: u64 = 24 * 3600;

/// Whose words count, and how many of them have to agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Officers {
    keys: Vec<VerifierKey>,
    needed: usize,
}

/// The officers can not be read from the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfficersError {
    /// A line is no key.
    #[error("line {line} of the officers' keys")]
    Key {
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A key that signs something else.
    #[error("`{0}` is the key of a witness, and can not be an officer's")]
    Witness(KeyName),
    /// A key or a name twice.
    #[error("`{0}` is an officer twice, by name or by key: each counts once")]
    Twice(KeyName),
    /// More than [`OFFICERS_LIMIT`].
    #[error("there are more than {OFFICERS_LIMIT} officers")]
    TooMany,
    /// More approvals than officers.
    #[error("{needed} approvals are asked for, and there are {officers} officers")]
    TooFew {
        /// How many have to agree.
        needed: usize,
        /// How many there are.
        officers: usize,
    },
}

/// A note that says nothing that counts here.
#[derive(Debug, thiserror::Error)]
pub enum WordError {
    /// No note, or signed by nobody who is known here.
    #[error("{0}")]
    Note(#[from] NoteError),
    /// The note is of something else.
    #[error("{0}")]
    Approval(#[from] ApprovalError),
}

/// One officer's word, whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Who.
    pub officer: KeyName,
    /// What.
    pub approval: Approval,
}

/// The appliance that asks.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// Its machine id.
    pub machine: &'a str,
    /// The group that its owner has put it into.
    pub group: Option<&'a str>,
    /// Seconds since 1970; not before any time that was seen before.
    pub now: u64,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There are no officers: nobody has to approve.
    Free,
    /// Enough of them approve.
    Approved {
        /// Who.
        by: Vec<KeyName>,
    },
    /// Not enough of them do.
    Missing {
        /// Who does.
        by: Vec<KeyName>,
        /// How many have to.
        needed: usize,
    },
    /// One of them says no.
    Held {
        /// Who.
        by: KeyName,
        /// Why.
        reason: String,
    },
}

impl Officers {
    /// Reads keys, one a line (C2SP vkeys); empty lines and lines that begin with `#` are passed over. `needed` of them have to agree;
    /// without keys it does not matter.
    pub fn parse(text: &str, needed: usize) -> Result<Self, OfficersError> {
        let mut keys: Vec<VerifierKey> = Vec::new();
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        for (line, text) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let key: VerifierKey = text.parse().map_err(|source| OfficersError::Key { line, source })?;
            if key.algorithm() != Algorithm::Ed25519 {
                return Err(OfficersError::Witness(key.name().clone()));
            }
            if keys.iter().any(|other| other.name() == key.name() || other.key() == key.key()) {
                return Err(OfficersError::Twice(key.name().clone()));
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Ok(Self::default()),
            officers if officers > OFFICERS_LIMIT => Err(OfficersError::TooMany),
            officers if needed > officers => Err(OfficersError::TooFew { needed, officers }),
            _ => Ok(Self { keys, needed: needed.max(1) }),
        }
    }

    /// Whether nobody has to approve.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Reads a note: the words of all officers who signed it.
    pub fn read(&self, note: &[u8]) -> Result<Vec<Spoken>, WordError> {
        let note = Note::parse(note)?;
        let signed = note.verify(&self.keys)?;
        let approval = Approval::parse(note.text())?;
        let spoken = |by: &VerifierKey| Spoken { officer: by.name().clone(), approval: approval.clone() };
        Ok(signed.iter().map(|by| spoken(by.key)).collect())
    }

    /// Judges a release. Of each officer only the last word counts that is about this release and this appliance; of two of the same
    /// second the stricter one. One hold outweighs every approval.
    pub fn judge(&self, words: &[Spoken], release: ReleaseId, here: &Here<'_>) -> Verdict {
        if self.is_empty() {
            return Verdict::Free;
        }
        let mut last: BTreeMap<&KeyName, &Approval> = BTreeMap::new();
        for Spoken { officer, approval } in words {
            let is_officer = self.keys.iter().any(|key| key.name() == officer);
            if !is_officer || approval.release != release || !is_for(&approval.scope, here) {
                continue;
            }
            let known = last.entry(officer).or_insert(approval);
            if age(approval) > age(known) {
                *known = approval;
            }
        }
        let counts = |approval: &&Approval| approval.until.is_none_or(|until| here.now < until);
        let mut by = Vec::new();
        for (officer, approval) in last.iter().filter(|(_, approval)| counts(approval)) {
            match approval.word {
                Word::Hold => {
                    return Verdict::Held { by: (*officer).clone(), reason: approval.reason.clone() };
                }
                // A no counts whenever it was made; a yes of the future does not yet.
                Word::Approve if approval.made <= here.now.saturating_add(CLOCK_DIFFERENCE) => {
                    by.push((*officer).clone());
                }
                Word::Approve | Word::Revoke => {}
            }
        }
        if by.len() >= self.needed {
            Verdict::Approved { by }
        } else {
            Verdict::Missing { by, needed: self.needed }
        }
    }
}

/// Orders the words of one officer; the greatest is the last.
fn age(approval: &Approval) -> (u64, u8, Reverse<Option<u64>>) {
    let strictness = match approval.word {
        Word::Approve => 0,
        Word::Revoke => 1,
        Word::Hold => 2,
    };
    (approval.made, strictness, Reverse(approval.until))
}

fn is_for(scope: &Scope, here: &Here<'_>) -> bool {
    match scope {
        Scope::All => true,
        Scope::Group(name) => here.group == Some(name),
        Scope::Machine(id) => here.machine == id,
    }
}

#[cfg(test)]
mod tests {
    use keys::SecretKey;
    use ledger::note::NoteSigner;
    use model::Sha256Digest;

    use super::*;

    const NOW: u64 = 1_764_150_000;
    const HERE: Here<'_> = Here { machine: "0f", group: Some("berlin"), now: NOW };
    const RELEASE: ReleaseId = ReleaseId(Sha256Digest([1; 32]));

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn key(seed: u8) -> String {
        NoteSigner::new(name(seed), &secret(seed)).key().to_string()
    }

    fn name(seed: u8) -> KeyName {
        format!("officer-{seed}").parse().expect("a name")
    }

    /// Officers 1, 2 and 3.
    fn officers(needed: usize) -> Officers {
        let text: Vec<String> = [1, 2, 3].map(key).into();
        Officers::parse(&format!("# security\n\n{}\n", text.join("\n")), needed).expect("reads")
    }

    fn approval(word: Word) -> Approval {
        Approval {
            word,
            release: RELEASE,
            bulletin: None,
            scope: Scope::All,
            made: NOW - 60,
            until: None,
            reason: "read".into(),
        }
    }

    fn note(approval: &Approval, seeds: &[u8]) -> Vec<u8> {
        let mut note = Note::new(approval.to_text().expect("fits")).expect("a note");
        for seed in seeds {
            let secret = secret(*seed);
            let signer = NoteSigner::new(name(*seed), &secret);
            note.add(signer.sign(&approval.to_text().expect("fits")).expect("signs"));
        }
        note.to_bytes()
    }

    fn verdict(needed: usize, notes: &[(Approval, &[u8])]) -> Verdict {
        let officers = officers(needed);
        let words: Vec<Spoken> = notes
            .iter()
            .filter_map(|(approval, seeds)| officers.read(&note(approval, seeds)).ok())
            .flatten()
            .collect();
        officers.judge(&words, RELEASE, &HERE)
    }

    #[test]
    fn k_of_n_officers_have_to_agree_on_one_note_or_on_several() {
        let yes = || approval(Word::Approve);
        assert_eq!(verdict(2, &[(yes(), &[1])]), Verdict::Missing { by: vec![name(1)], needed: 2 });
        assert_eq!(verdict(2, &[(yes(), &[1, 3])]), Verdict::Approved { by: vec![name(1), name(3)] });
        assert_eq!(
            verdict(2, &[(yes(), &[1]), (yes(), &[2])]),
            Verdict::Approved { by: vec![name(1), name(2)] }
        );
        assert!(
            matches!(verdict(2, &[(yes(), &[1]), (yes(), &[1])]), Verdict::Missing { .. }),
            "twice is once"
        );
    }

    #[test]
    fn strangers_and_other_releases_and_other_appliances_do_not_count() {
        let yes = approval(Word::Approve);
        let other = Approval { release: ReleaseId(Sha256Digest([2; 32])), ..yes.clone() };
        let elsewhere = Approval { scope: Scope::Group("bonn".into()), ..yes.clone() };
        let machine = Approval { scope: Scope::Machine("0e".into()), ..yes.clone() };
        for (approval, seeds) in [(yes.clone(), [9]), (other, [1]), (elsewhere, [1]), (machine, [1])] {
            assert!(matches!(verdict(1, &[(approval, &seeds)]), Verdict::Missing { .. }));
        }
        for scope in [Scope::Group("berlin".into()), Scope::Machine("0f".into())] {
            let here = Approval { scope, ..yes.clone() };
            assert!(matches!(verdict(1, &[(here, &[1])]), Verdict::Approved { .. }));
        }
    }

    #[test]
    fn the_last_word_counts_and_a_replayed_one_does_not() {
        let yes = approval(Word::Approve);
        let later = |word| Approval { made: yes.made + 1, ..approval(word) };
        let revoked = [(yes.clone(), &[1][..]), (later(Word::Revoke), &[1]), (yes.clone(), &[1])];
        assert!(matches!(verdict(1, &revoked), Verdict::Missing { .. }));
        let others_do = [(later(Word::Revoke), &[1][..]), (yes.clone(), &[2])];
        assert!(
            matches!(verdict(1, &others_do), Verdict::Approved { .. }),
            "a revocation is of one's own word"
        );
        let same_second = [(approval(Word::Hold), &[1][..]), (yes.clone(), &[1])];
        assert!(matches!(verdict(1, &same_second), Verdict::Held { .. }), "the stricter one");
    }

    #[test]
    fn one_hold_outweighs_every_approval_until_it_is_revoked() {
        let notes = [(approval(Word::Approve), &[1, 2][..]), (approval(Word::Hold), &[3])];
        assert_eq!(verdict(1, &notes), Verdict::Held { by: name(3), reason: "read".into() });
        let revoked = (Approval { made: NOW, ..approval(Word::Revoke) }, &[3][..]);
        assert!(matches!(verdict(1, &[notes.to_vec(), vec![revoked]].concat()), Verdict::Approved { .. }));
    }

    #[test]
    fn what_is_expired_or_of_the_future_does_not_count() {
        let expired = Approval { until: Some(NOW), ..approval(Word::Approve) };
        let future = Approval { made: NOW + 2 * CLOCK_DIFFERENCE, ..approval(Word::Approve) };
        for approval in [expired, future] {
            assert!(matches!(verdict(1, &[(approval, &[1])]), Verdict::Missing { .. }));
        }
        let no = Approval { made: NOW + 2 * CLOCK_DIFFERENCE, ..approval(Word::Hold) };
        assert!(matches!(verdict(1, &[(no, &[1])]), Verdict::Held { .. }));
    }

    #[test]
    fn a_note_with_one_byte_changed_anywhere_says_nothing() {
        let good = note(&approval(Word::Approve), &[1]);
        assert!(officers(1).read(&good).is_ok());
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(officers(1).read(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn officers_that_can_not_be_are_told() {
        let one = key(1);
        let twice = format!("{one}\n{one}");
        assert_eq!(Officers::parse(&twice, 1), Err(OfficersError::Twice(name(1))));
        assert_eq!(Officers::parse(&one, 2), Err(OfficersError::TooFew { needed: 2, officers: 1 }));
        assert!(matches!(Officers::parse("x", 1), Err(OfficersError::Key { line: 1, .. })));
        assert_eq!(Officers::parse("", 3).expect("none").judge(&[], RELEASE, &HERE), Verdict::Free);
    }
}
