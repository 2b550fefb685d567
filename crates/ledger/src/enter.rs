//! Entering: from an entry to its proof, in the order that is safe, and again after anything went wrong.
//!
//! # Steps, and what is left when one fails
//! 1. Witnesses are asked for the checkpoint that was signed last. One of them has seen more: the log was set back (an old copy of its
//!    folder); nothing is appended, and nothing new is signed.
//! 2. What the log does not have yet is appended: [`Log::append`].
//! 3. Witnesses are asked for the new checkpoint. Too few answer: the entries are in the log, and not published. Entering them again
//!    finds them and goes on here.
//! 4. The checkpoint is published, and the proofs are made and checked as an appliance checks them.

use crate::log::{Log, LogError};
use crate::merkle::leaf_hash;
use crate::note::{Note, NoteSigner};
use crate::policy::{Policy, PolicyError};
use crate::proof::{Proof, ProofError};
use crate::read::{AccessError, Tree};
use crate::store::Store;
use crate::witness::client::{ClientError, Collected, Transport, collect};

/// Entries with their proofs.
#[derive(Debug)]
pub struct Entered {
    /// One for each entry, in the order they were given.
    pub proofs: Vec<Proof>,
    /// How many of them were not in the log before.
    pub new: usize,
    /// Names of witnesses that did not co-sign, and why. Those that did are enough.
    pub missing: Vec<(String, ClientError)>,
}

/// Entries could not be entered. Unless it says otherwise, entering them again is right.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The log itself.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its files.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A witness has seen a tree that this log does not have. Never to be tried again with this folder.
    #[error("the witness `{witness}` knows more of this log than the log does")]
    WentBack {
        /// Its name in the policy.
        witness: String,
        /// What it has seen.
        #[source]
        source: Box<ClientError>,
    },
    /// Too few witnesses. The entries are in the log, and not published.
    #[error("the entries are in the log, and too few witnesses co-signed it to publish them")]
    Quorum {
        /// Whose co-signatures there are, and what is needed.
        #[source]
        source: Box<PolicyError>,
        /// Why the others did not co-sign.
        missing: Vec<(String, ClientError)>,
    },
    /// What was published would not convince an appliance.
    #[error("the new proof does not hold")]
    Proof(#[source] Box<ProofError>),
}

/// Enters records, each once however often it is called. `policy` is the one that readers have, with the URLs of all its witnesses.
pub fn enter<S: Store, E: AsRef<[u8]>>(
    log: &mut Log<S>,
    entries: &[E],
    signer: &NoteSigner<'_>,
    policy: &Policy,
    transport: &dyn Transport,
) -> Result<Entered, EnterError> {
    let before = log.published()?.map_or(0, |(_, checkpoint)| checkpoint.size);
    // Of an empty log nobody can know more.
    let is_empty = log.size() == 0;
    let mut asked =
        if is_empty { None } else { Some(ask(&log.tree(), log.signed(), policy, before, transport)?) };
    let new = absent(&log.tree(), entries)?;
    if !new.is_empty() {
        let guess = log.size();
        // Its checkpoint is that of the log from now on.
        let _ = log.append(&new, signer)?;
        asked = Some(ask(&log.tree(), log.signed(), policy, guess, transport)?);
    }
    let collected = asked.map_or_else(|| ask(&log.tree(), log.signed(), policy, 0, transport), Ok)?;
    let Collected { checkpoint, missing } = collected;
    if let Err(source) = policy.check(&checkpoint) {
        return Err(EnterError::Quorum { source: Box::new(source), missing });
    }
    log.publish(&checkpoint)?;
    let mut proofs = Vec::new();
    for entry in entries {
        let leaf = leaf_hash(entry.as_ref());
        let index = log.tree().find(leaf)?.expect("BUG: an entry that was appended is not there");
        let proof = log.prove(index)?;
        proof.verify(leaf, policy).map_err(|error| EnterError::Proof(Box::new(error)))?;
        proofs.push(proof);
    }
    Ok(Entered { proofs, new: new.len(), missing })
}

/// The entries that the log does not have, each once.
fn absent<'a, E: AsRef<[u8]>>(tree: &Tree<'_>, entries: &'a [E]) -> Result<Vec<&'a [u8]>, AccessError> {
    let mut new: Vec<&[u8]> = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref) {
        if !new.contains(&entry) && tree.find(leaf_hash(entry))?.is_none() {
            new.push(entry);
        }
    }
    Ok(new)
}

fn ask(
    tree: &Tree<'_>,
    signed: &Note,
    policy: &Policy,
    guess: u64,
    transport: &dyn Transport,
) -> Result<Collected, EnterError> {
    let mut collected = collect(tree, signed, policy.witnesses(), guess, transport);
    let ahead = collected.missing.iter().position(|(_, error)| error.is_evidence());
    match ahead.map(|at| collected.missing.swap_remove(at)) {
        Some((witness, source)) => Err(EnterError::WentBack { witness, source: Box::new(source) }),
        None => Ok(collected),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use keys::SecretKey;

    use super::*;
    use crate::note::Cosigner;
    use crate::store::memory::{Disk, Loss};
    use crate::witness::{Answer, KnownLog, Witness};

    const LOG: &str = "example.com/ledger";

    /// A log's key, three witnesses with memories, and which of them are down.
    struct Bench {
        log: SecretKey,
        witnesses: [(SecretKey, Disk); 3],
        down: RefCell<BTreeSet<usize>>,
    }

    impl Bench {
        fn new() -> Self {
            let witness = |seed| (SecretKey::from_seed(&[seed; 32]), Disk::default());
            let bench = Self {
                log: SecretKey::from_seed(&[1; 32]),
                witnesses: [2, 3, 4].map(witness),
                down: RefCell::default(),
            };
            for index in 0..3 {
                bench.witness(index).enroll(&LOG.parse().expect("an origin")).expect("enrolls");
            }
            bench
        }

        fn signer(&self) -> NoteSigner<'_> {
            NoteSigner::new(LOG.parse().expect("a name"), &self.log)
        }

        fn cosigner(&self, index: usize) -> Cosigner<'_> {
            Cosigner::new(format!("w{index}.example").parse().expect("a name"), &self.witnesses[index].0)
        }

        fn witness(&self, index: usize) -> Witness<Disk> {
            let known = KnownLog::of(self.signer().key().clone()).expect("an origin");
            Witness::new(self.witnesses[index].1.clone(), self.cosigner(index).key().clone(), vec![known])
        }

        fn policy(&self) -> Policy {
            let mut text = format!("log {}\n", self.signer().key());
            for index in 0..3 {
                text += &format!("witness w{index} {} https://{index}\n", self.cosigner(index).key());
            }
            Policy::parse((text + "group all 2 w0 w1 w2\nquorum all\n").as_bytes()).expect("a policy")
        }

        fn enter(&self, disk: &Disk, entries: &[&str]) -> Result<Entered, EnterError> {
            let signer = self.signer();
            let mut log = match Log::open(disk.clone(), signer.key().clone()) {
                Err(LogError::NoLog) => Log::create(disk.clone(), &signer)?,
                log => log?,
            };
            enter(&mut log, entries, &signer, &self.policy(), self)
        }
    }

    impl Transport for Bench {
        fn post(
            &self,
            url: &str,
            body: &[u8],
            _: usize,
        ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
            let index = url["https://".len()..][..1].parse()?;
            if self.down.borrow().contains(&index) {
                return Err("connection refused".into());
            }
            Ok(self.witness(index).add_checkpoint(body, &self.cosigner(index), 1_000)?)
        }
    }

    #[test]
    fn a_record_is_entered_once_however_often_it_is_tried() {
        let (bench, disk) = (Bench::new(), Disk::default());
        let entered = bench.enter(&disk, &["a", "b", "a"]).expect("enters");
        assert_eq!((entered.new, entered.proofs.len()), (2, 3));
        assert_eq!(entered.proofs[0], entered.proofs[2]);
        let again = bench.enter(&disk, &["b", "c"]).expect("enters");
        assert_eq!(again.new, 1);
        assert_eq!(again.proofs.iter().map(|proof| proof.index).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(bench.enter(&disk, &["c"]).expect("enters").new, 0);
        assert!(again.proofs[0].verify(leaf_hash(b"b"), &bench.policy()).is_ok());
    }

    #[test]
    fn without_a_quorum_nothing_is_published_and_the_next_try_goes_on() {
        let (bench, disk) = (Bench::new(), Disk::default());
        bench.enter(&disk, &["a"]).expect("enters");
        bench.down.replace(BTreeSet::from([0, 2]));
        let error = bench.enter(&disk, &["b"]).expect_err("too few");
        assert!(matches!(error, EnterError::Quorum { ref missing, .. } if missing.len() == 2), "{error}");
        assert!(matches!(
            crate::log::prove(&disk, bench.signer().key(), 1),
            Err(LogError::NoEntry { size: 1, .. })
        ));
        bench.down.replace(BTreeSet::from([1]));
        let entered = bench.enter(&disk, &["b", "c"]).expect("two are enough");
        assert_eq!((entered.new, entered.missing[0].0.as_str()), (1, "w1"));
        bench.down.replace(BTreeSet::new());
        assert!(bench.enter(&disk, &["d"]).expect("the third one catches up").missing.is_empty());
    }

    #[test]
    fn a_log_that_was_set_back_signs_nothing_new() {
        let (bench, disk) = (Bench::new(), Disk::default());
        bench.enter(&disk, &["a"]).expect("enters");
        let old = disk.files();
        bench.enter(&disk, &["b"]).expect("enters");
        disk.replace(old.clone());
        // One witness that remembers is enough.
        bench.down.replace(BTreeSet::from([0, 1]));
        let error = bench.enter(&disk, &["another b"]).expect_err("is noticed");
        assert!(matches!(error, EnterError::WentBack { ref witness, .. } if witness == "w2"), "{error}");
        assert_eq!(disk.files(), old);
    }

    #[test]
    fn entering_goes_on_after_a_crash_at_any_step() {
        for loss in
            [Loss::Nothing, Loss::Unsynced, Loss::Some(1), Loss::Some(2), Loss::Some(3), Loss::Some(4)]
        {
            for cut in 0.. {
                // Witnesses remember what they saw before the crash: what they co-signed must not be lost.
                let (bench, disk) = (Bench::new(), Disk::default());
                bench.enter(&disk, &["a", "b"]).expect("enters");
                disk.cut_after(cut);
                let is_done = bench.enter(&disk, &["c", "d"]).is_ok();
                let disk = disk.after(loss);
                let entered = bench.enter(&disk, &["c", "d", "e"]);
                let entered = entered.unwrap_or_else(|error| panic!("{cut} {loss:?}: {error}"));
                let places: Vec<_> = entered.proofs.iter().map(|proof| proof.index).collect();
                assert_eq!(places, [2, 3, 4], "{cut} {loss:?}");
                if is_done {
                    assert!(cut > 5, "{cut} steps");
                    break;
                }
            }
        }
    }
}
