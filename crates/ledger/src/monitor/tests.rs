//! A monitor, and every way in which a log can lie to it.

use keys::SecretKey;

use super::*;
use crate::log::{Log, prove};
use crate::merkle::TreeHash;
use crate::note::{Cosigner, NoteSigner};
use crate::proof::ProofError;
use crate::read::AccessError;
use crate::store::memory::Disk;

const LOG: &str = "example.com/ledger";

/// A log with three witnesses of which two have to agree.
struct Bench {
    log: SecretKey,
    witnesses: [SecretKey; 3],
}

impl Bench {
    fn new() -> Self {
        Self {
            log: SecretKey::from_seed(&[1; 32]),
            witnesses: [2, 3, 4].map(|seed| SecretKey::from_seed(&[seed; 32])),
        }
    }

    fn signer(&self) -> NoteSigner<'_> {
        NoteSigner::new(LOG.parse().expect("a name"), &self.log)
    }

    fn cosigner(&self, index: usize) -> Cosigner<'_> {
        Cosigner::new(format!("w{index}.example").parse().expect("a name"), &self.witnesses[index])
    }

    fn policy(&self) -> Policy {
        let [a, b, c] = [0, 1, 2].map(|index| self.cosigner(index).key().clone());
        Policy::of(self.signer().key(), 2, &[("a", &a), ("b", &b), ("c", &c)]).expect("a policy")
    }

    fn cosigned(&self, note: &Note, witnesses: &[usize]) -> Note {
        let mut note = note.clone();
        for index in witnesses {
            note.add(self.cosigner(*index).cosign(note.text(), 1_000).expect("co-signs"));
        }
        note
    }

    fn grow(&self, log: &mut Log<Disk>, what: &str, count: usize, witnesses: &[usize]) {
        let entries: Vec<_> = (0..count).map(|i| format!("{what} {i}")).collect();
        let signed = log.append(&entries, &self.signer()).expect("appends").signed;
        log.publish(&self.cosigned(&signed, witnesses)).expect("publishes");
    }

    fn grown(&self, what: &str, counts: &[usize]) -> (Log<Disk>, Disk) {
        let disk = Disk::default();
        let mut log = Log::create(disk.clone(), &self.signer()).expect("makes a log");
        for count in counts {
            self.grow(&mut log, what, *count, &[0, 1, 2]);
        }
        (log, disk)
    }

    /// A checkpoint that the log signed and all witnesses co-signed, whatever it says.
    fn checkpoint(&self, size: u64, root: TreeHash) -> Note {
        let text = Checkpoint::new(LOG.parse().expect("an origin"), size, root).to_text();
        let mut note = Note::new(text.clone()).expect("a text");
        note.add(self.signer().sign(&text).expect("signs"));
        self.cosigned(&note, &[0, 1, 2])
    }
}

fn follow(monitor: &mut Monitor, disk: &Disk) -> Result<(Progress, Vec<String>), Finding> {
    let mut entries = Vec::new();
    let progress = monitor.follow(disk, &mut |index, entry| {
        entries.push(format!("{index}: {}", String::from_utf8_lossy(entry)));
    })?;
    Ok((progress, entries))
}

#[test]
fn every_entry_is_handed_out_once_and_in_order() {
    let bench = Bench::new();
    let (mut log, disk) = bench.grown("entry", &[3]);
    let mut monitor = Monitor::new(bench.policy());
    let (progress, entries) = follow(&mut monitor, &disk).expect("follows");
    assert_eq!(progress, Progress { from: 0, to: 3, at: Some(1_000), missing: vec![] });
    assert_eq!(entries, ["0: entry 0", "1: entry 1", "2: entry 2"]);
    let mut total = 3;
    for (round, count) in [1, 252, 1, 700, 256].into_iter().enumerate() {
        bench.grow(&mut log, "more", count, &[0, 2]);
        // It may stop and go on at any time.
        monitor = Monitor::resume(bench.policy(), &monitor.kept().expect("was there")).expect("resumes");
        let (progress, entries) = follow(&mut monitor, &disk).expect("follows");
        assert_eq!((progress.from, progress.to), (total, total + count as u64), "round {round}");
        assert_eq!(progress.missing, ["b"]);
        assert_eq!(entries[0], format!("{total}: more 0"));
        assert_eq!(entries.len(), count);
        total += count as u64;
    }
    assert_eq!(follow(&mut monitor, &disk).expect("follows").1, Vec::<String>::new());
}

#[test]
fn a_split_view_is_found_with_both_signed_trees_as_proof() {
    let bench = Bench::new();
    // The witnesses lie too: only somebody who has seen both trees can tell.
    for (ours, other) in
        [(&[5][..], &[5][..]), (&[5], &[9]), (&[8], &[16]), (&[300], &[100, 700]), (&[256], &[257])]
    {
        let (_, shown_to_us) = bench.grown("ours", ours);
        let (_, shown_to_others) = bench.grown("others", other);
        let mut monitor = Monitor::new(bench.policy());
        follow(&mut monitor, &shown_to_us).expect("follows");
        let error = follow(&mut monitor, &shown_to_others).expect_err("is found");
        let Finding::SplitView { first, second } = error else { panic!("{error}") };
        assert_eq!(first.verify([bench.signer().key()]).expect("is signed").len(), 1);
        assert_eq!(second.verify([bench.signer().key()]).expect("is signed").len(), 1);
        assert_ne!(first, second);
    }
}

#[test]
fn a_split_view_shows_in_a_checkpoint_from_somewhere_else() {
    let bench = Bench::new();
    let (mut log, disk) = bench.grown("ours", &[5]);
    let early = log.signed().clone();
    bench.grow(&mut log, "ours", 300, &[0, 1]);
    let mut monitor = Monitor::new(bench.policy());
    follow(&mut monitor, &disk).expect("follows");
    monitor.compare(&disk, &early).expect("is the beginning of ours");
    monitor.compare(&disk, log.signed()).expect("is ours");
    for counts in [&[5][..], &[100], &[305]] {
        let (fork, _) = bench.grown("fork", counts);
        let error = monitor.compare(&disk, fork.signed()).expect_err("is found");
        assert!(matches!(error, Finding::SplitView { .. }) && error.is_evidence(), "{error}");
    }
    // A larger fork: only the fork's own tiles can show it, and ours do not lead there.
    let (fork, forked) = bench.grown("fork", &[400]);
    assert!(matches!(monitor.compare(&forked, fork.signed()), Err(Finding::SplitView { .. })));
    assert!(monitor.compare(&disk, fork.signed()).is_err());
}

#[test]
fn a_rollback_of_the_log_is_found() {
    let bench = Bench::new();
    let (mut log, disk) = bench.grown("entry", &[5]);
    let old = disk.files();
    bench.grow(&mut log, "more", 3, &[0, 1, 2]);
    let mut monitor = Monitor::new(bench.policy());
    follow(&mut monitor, &disk).expect("follows");
    disk.replace(old);
    let error = follow(&mut monitor, &disk).expect_err("is found");
    assert!(matches!(error, Finding::WentBack { .. }) && error.is_evidence(), "{error}");
    assert_eq!(error.to_string(), "the log went back from 8 to 5 entries");
    // And what comes after it with another history.
    let mut log = Log::open(disk.clone(), bench.signer().key().clone()).expect("does not know");
    bench.grow(&mut log, "another", 3, &[0, 1, 2]);
    assert!(matches!(follow(&mut monitor, &disk), Err(Finding::SplitView { .. })));
}

#[test]
fn a_missing_witness_is_noticed_and_a_missing_quorum_refused() {
    let bench = Bench::new();
    let (mut log, disk) = bench.grown("entry", &[5]);
    let mut monitor = Monitor::new(bench.policy());
    bench.grow(&mut log, "more", 1, &[1, 2]);
    assert_eq!(follow(&mut monitor, &disk).expect("follows").0.missing, ["a"]);
    let leaf = leaf_hash(b"entry 0");
    let prove = || prove(&disk, bench.signer().key(), 0).expect("proves").verify(leaf, &bench.policy());
    prove().expect("two witnesses are enough");
    bench.grow(&mut log, "more", 1, &[2]);
    assert!(matches!(follow(&mut monitor, &disk), Err(Finding::Policy(PolicyError::Quorum { .. }))));
    assert!(matches!(prove(), Err(ProofError::Policy(PolicyError::Quorum { .. }))));
    // The same witness under three lines is one witness.
    let mut note = log.signed().clone();
    for _ in 0..3 {
        let line = bench.cosigner(2).cosign(note.text(), 1_000).expect("co-signs");
        note = Note::parse(&[note.to_bytes(), line.to_line().into_bytes()].concat()).expect("reads");
    }
    assert!(matches!(bench.policy().check(&note), Err(PolicyError::Quorum { .. })));
}

#[test]
fn forged_proofs_are_refused() {
    let bench = Bench::new();
    let (_, disk) = bench.grown("entry", &[300]);
    let (_, other) = bench.grown("other", &[300]);
    let key = bench.signer().key().clone();
    let proof = prove(&disk, &key, 77).expect("proves");
    let verify = |proof: &crate::proof::Proof, entry: &str| {
        proof.verify(leaf_hash(entry.as_bytes()), &bench.policy()).map(|_| ())
    };
    verify(&proof, "entry 77").expect("is in the log");
    assert!(verify(&proof, "entry 78").is_err());
    assert!(verify(&proof, "other 77").is_err());
    // An entry of a tree nobody signed, under a checkpoint that was signed.
    let mut forged = prove(&other, &key, 77).expect("proves");
    forged.checkpoint = proof.checkpoint.clone();
    assert!(matches!(verify(&forged, "other 77"), Err(ProofError::NotIncluded { .. })));
    // A node of the tree is no entry, and a log signed by somebody else is no log.
    let mut shorter = proof.clone();
    shorter.hashes.remove(0);
    shorter.index /= 2;
    assert!(
        shorter
            .verify(crate::merkle::node_hash(leaf_hash(b"entry 77"), proof.hashes[0]), &bench.policy())
            .is_err()
    );
    let thief = Bench { log: SecretKey::from_seed(&[9; 32]), ..Bench::new() };
    let (_, stolen) = thief.grown("entry", &[300]);
    let forged = prove(&stolen, thief.signer().key(), 77).expect("proves");
    assert!(matches!(verify(&forged, "entry 77"), Err(ProofError::Policy(PolicyError::NotSigned(_)))));
}

/// Changes of one file: what they are called, and the change.
type Change = (&'static str, fn(&mut Vec<u8>));

/// The ways to change a file of the log: of STANDARDS section 2, as far as they make sense for files.
fn changes() -> Vec<Change> {
    vec![
        ("first bit", |bytes| bytes[0] ^= 1),
        ("last bit", |bytes| *bytes.last_mut().expect("not empty") ^= 0x80),
        ("bit in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 8;
        }),
        ("truncated by one byte", |bytes| bytes.truncate(bytes.len() - 1)),
        ("truncated by one hash", |bytes| bytes.truncate(bytes.len().saturating_sub(32))),
        ("emptied", Vec::clear),
        ("a byte behind", |bytes| bytes.push(0)),
        ("a hash behind", |bytes| bytes.extend([7; 32])),
        ("a hash before", |bytes| drop(bytes.splice(0..0, [7; 32]))),
        (
            "first two hashes swapped",
            |bytes| {
                if bytes.len() >= 64 { bytes.rotate_left(32) } else { bytes.reverse() }
            },
        ),
        ("all zeros", |bytes| bytes.fill(0)),
        ("reversed", |bytes| bytes.reverse()),
    ]
}

#[test]
fn mutated_tiles_and_entries_are_found_wherever_they_are() {
    let bench = Bench::new();
    let (mut log, disk) = bench.grown("entry", &[600]);
    let mut early = Monitor::new(bench.policy());
    follow(&mut early, &disk).expect("follows");
    bench.grow(&mut log, "more", 500, &[0, 1, 2]);
    let good = disk.files();
    let tiles: Vec<_> = Tile::new_between(0, 1_100).map(|tile| tile.to_string()).collect();
    assert_eq!(tiles.len(), 5 + 5 + 1);
    for path in &tiles {
        for (what, change) in changes() {
            disk.replace(good.clone());
            let before = good[path].clone();
            disk.tamper(path, change);
            if disk.files()[path] == before {
                continue;
            }
            let mut seen = Vec::new();
            let found = Monitor::new(bench.policy()).follow(&disk, &mut |_, entry| seen.push(entry.to_vec()));
            let error = found.expect_err("is found");
            let is_named = matches!(
                error,
                Finding::Tiles { .. }
                    | Finding::Entry { .. }
                    | Finding::Access(
                        AccessError::Tile { .. } | AccessError::Bundle { .. } | AccessError::TooLong { .. }
                    )
            );
            assert!(is_named, "{path}, {what}: {error}");
            // Who serves other entries than those in the tree is told from who serves another tree.
            if path.contains("entries") && what == "last bit" {
                assert!(matches!(error, Finding::Entry { .. }), "{path}, {what}: {error}");
            }
            // And nothing wrong was handed out before.
            for (index, entry) in seen.iter().enumerate() {
                let good =
                    if index < 600 { format!("entry {index}") } else { format!("more {}", index - 600) };
                assert_eq!(entry, good.as_bytes(), "{path}, {what}");
            }
            // A monitor that knew the first 600 entries never accepts a wrong one of the others.
            let mut monitor = early.clone();
            match follow(&mut monitor, &disk) {
                Ok((progress, entries)) => {
                    assert_eq!(progress.to, 1_100);
                    let expected: Vec<_> = (0..500).map(|i| format!("{}: more {i}", i + 600)).collect();
                    assert_eq!(entries, expected, "{path}, {what}");
                }
                // Damage is no second history: the log is not accused of one.
                Err(error) => assert!(
                    !matches!(error, Finding::SplitView { .. } | Finding::WentBack { .. }),
                    "{path}, {what}: {error}"
                ),
            }
        }
    }
    for path in &tiles {
        let mut files = good.clone();
        files.remove(path);
        disk.replace(files);
        let error = follow(&mut Monitor::new(bench.policy()), &disk).expect_err("is found");
        assert!(matches!(error, Finding::Access(AccessError::Missing { .. })), "{path}: {error}");
    }
}

#[test]
fn a_checkpoint_over_entries_nobody_can_see_is_found() {
    let bench = Bench::new();
    let (_, disk) = bench.grown("entry", &[5]);
    let mut monitor = Monitor::new(bench.policy());
    follow(&mut monitor, &disk).expect("follows");
    // Signed and witnessed, but the root is of other entries than those that are served.
    let (hidden, _) = bench.grown("hidden", &[9]);
    let mut log = Log::open(disk.clone(), bench.signer().key().clone()).expect("opens");
    bench.grow(&mut log, "more", 4, &[0, 1, 2]);
    let root = hidden.tree().root().expect("reads");
    disk.tamper(CHECKPOINT_PATH, |bytes| *bytes = bench.checkpoint(9, root).to_bytes());
    for monitor in [&mut monitor, &mut Monitor::new(bench.policy())] {
        let error = follow(monitor, &disk).expect_err("is found");
        assert!(matches!(error, Finding::Tiles { size: 9 }), "{error}");
    }
}

#[test]
fn entries_of_a_whole_forged_tree_are_never_handed_out() {
    let bench = Bench::new();
    let (_, disk) = bench.grown("entry", &[700]);
    let signed = disk.files()[CHECKPOINT_PATH].clone();
    // Every file fits every other one; only the signed root is of other entries.
    let (_, forged) = bench.grown("forged", &[700]);
    forged.tamper(CHECKPOINT_PATH, |bytes| *bytes = signed);
    let mut seen = 0;
    let error = Monitor::new(bench.policy()).follow(&forged, &mut |_, _| seen += 1).expect_err("is found");
    assert!(matches!(error, Finding::Tiles { size: 700 }), "{error}");
    assert_eq!(seen, 0);
}

#[test]
fn an_error_never_repeats_its_cause() {
    let bench = Bench::new();
    let (mut log, disk) = bench.grown("entry", &[5]);
    let mut findings: Vec<Box<dyn std::error::Error>> = Vec::new();
    let mut monitor = Monitor::new(bench.policy());
    disk.tamper("tile/0/000.p/5", |bytes| bytes.truncate(3));
    findings.push(Box::new(follow(&mut monitor, &disk).expect_err("no tile")));
    bench.grow(&mut log, "more", 1, &[2]);
    findings.push(Box::new(follow(&mut monitor, &disk).expect_err("no quorum")));
    disk.tamper(CHECKPOINT_PATH, |bytes| bytes.truncate(20));
    findings.push(Box::new(follow(&mut monitor, &disk).expect_err("no note")));
    findings.push(Box::new(Log::open(disk.clone(), bench.signer().key().clone()).expect_err("no note")));
    findings.push(Box::new(crate::policy::Policy::parse(b"witness a b\nquorum a\n").expect_err("no key")));
    for finding in findings {
        let texts: Vec<_> =
            std::iter::successors(Some(&*finding), |error| error.source()).map(ToString::to_string).collect();
        for (outer, inner) in texts.iter().zip(texts.iter().skip(1)) {
            assert!(!outer.contains(inner), "{texts:?}");
        }
        for text in &texts {
            assert!(text.starts_with(|it: char| it.is_lowercase() || it == '`'), "{text}");
            assert!(!text.ends_with('.'), "{text}");
        }
    }
}

#[test]
fn what_is_no_checkpoint_of_the_log_is_refused() {
    let bench = Bench::new();
    let (_, disk) = bench.grown("entry", &[5]);
    let mut monitor = Monitor::new(bench.policy());
    assert!(matches!(follow(&mut monitor, &Disk::default()), Err(Finding::NoCheckpoint)));
    let good = disk.files();
    for at in 0..good[CHECKPOINT_PATH].len() {
        disk.replace(good.clone());
        disk.tamper(CHECKPOINT_PATH, |bytes| bytes[at] ^= 2);
        // One of three co-signatures may be made unknown, when its name changes: two are left.
        if let Ok((progress, _)) = follow(&mut Monitor::new(bench.policy()), &disk) {
            assert_eq!((progress.missing.len(), progress.to), (1, 5), "byte {at}");
        }
    }
    disk.tamper(CHECKPOINT_PATH, |bytes| *bytes = vec![b'a'; NOTE_LIMIT + 1]);
    assert!(matches!(follow(&mut monitor, &disk), Err(Finding::Access(AccessError::TooLong { .. }))));
}
