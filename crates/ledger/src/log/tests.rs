//! A log, whatever happens to it.

use keys::SecretKey;

use super::*;
use crate::merkle::{Frontier, check_consistency, leaf_hash};
use crate::policy::Policy;
use crate::store::memory::{Disk, Loss};

const NAME: &str = "example.com/ledger";

fn secret() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn signer(secret: &SecretKey) -> NoteSigner<'_> {
    NoteSigner::new(NAME.parse().expect("a name"), secret)
}

fn entries(what: &str, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("{what} {i}").into_bytes()).collect()
}

fn tree_of(note: &Note) -> (u64, TreeHash) {
    Checkpoint::parse(note.text()).expect("a checkpoint").tree()
}

/// Everything that a public checkpoint promises is there and right: each entry, each tile, each proof it is asked for.
fn check_published(disk: &Disk, key: &VerifierKey) -> u64 {
    let Some((_, checkpoint)) = read_checkpoint(disk, CHECKPOINT_PATH, key).expect("reads") else { return 0 };
    let tree = Tree::new(disk, checkpoint.size);
    let mut frontier = Frontier::new();
    for index in 0..checkpoint.size.div_ceil(256) {
        for entry in tree.entries(index).expect("the bundle is there") {
            frontier.push(leaf_hash(&entry));
        }
    }
    assert_eq!(frontier.root(), checkpoint.root, "entries");
    assert_eq!(tree.root().expect("tiles are there"), checkpoint.root, "tiles");
    for tile in Tile::new_between(0, checkpoint.size).filter(|tile| tile.level() != Level::Entries) {
        tree.tile(tile).expect("the tile is there");
    }
    for index in [0, checkpoint.size / 2, checkpoint.size.saturating_sub(1)] {
        if index < checkpoint.size {
            prove(disk, key, index).expect("proves");
        }
    }
    checkpoint.size
}

#[test]
fn what_is_appended_and_published_can_be_proved() {
    let (disk, secret) = (Disk::default(), secret());
    let signer = signer(&secret);
    let policy = Policy::of(signer.key(), 0, &[]).expect("a policy");
    let mut log = Log::create(disk.clone(), &signer).expect("makes a log");
    let mut all = Vec::new();
    for count in [1, 2, 250, 3, 1, 700, 256] {
        let batch = entries("entry", count);
        let appended = log.append(&batch, &signer).expect("appends");
        assert_eq!(appended.first, all.len() as u64);
        all.extend(batch);
        log.publish(&appended.signed).expect("publishes");
        assert_eq!(check_published(&disk, signer.key()), all.len() as u64);
    }
    for (index, entry) in all.iter().enumerate() {
        let proof = log.prove(index as u64).expect("proves");
        proof.verify(leaf_hash(entry), &policy).expect("is in the log");
    }
    assert!(matches!(log.prove(all.len() as u64), Err(LogError::NoEntry { .. })));
    assert_eq!(
        log.tree().find(leaf_hash(&all[900])).expect("reads"),
        Some(all.iter().position(|it| *it == all[900]).expect("there") as u64)
    );
    assert_eq!(log.tree().find(leaf_hash(b"absent")).expect("reads"), None);
}

#[test]
fn full_tiles_never_change_and_partial_ones_leave() {
    let (disk, secret) = (Disk::default(), secret());
    let signer = signer(&secret);
    let mut log = Log::create(disk.clone(), &signer).expect("makes a log");
    let mut before = disk.files();
    for count in [200, 30, 40, 500, 1, 250] {
        let appended = log.append(&entries("entry", count), &signer).expect("appends");
        log.publish(&appended.signed).expect("publishes");
        let after = disk.files();
        for (path, bytes) in &before {
            if let Ok(tile) = path.parse::<Tile>() {
                let now = after.get(path);
                assert!(now == Some(bytes) || (now.is_none() && !tile.is_full()), "{path}");
            }
        }
        for path in after.keys().filter_map(|path| path.parse::<Tile>().ok()).filter(|tile| !tile.is_full()) {
            assert!(!after.contains_key(&path.full().to_string()), "{path} is partial and full");
        }
        before = after;
    }
}

#[test]
fn an_older_tree_can_be_read_after_its_partial_tiles_left() {
    let (disk, secret) = (Disk::default(), secret());
    let signer = signer(&secret);
    let mut log = Log::create(disk.clone(), &signer).expect("makes a log");
    let (mut old, mut all) = (Vec::new(), Vec::new());
    for count in [200, 40, 30, 500] {
        let batch = entries(&format!("batch of {count}"), count);
        let signed = log.append(&batch, &signer).expect("appends").signed;
        log.publish(&signed).expect("publishes");
        all.extend(batch);
        old.push(tree_of(&signed));
    }
    assert!(
        !disk.files().contains_key("tile/0/000.p/200")
            && !disk.files().contains_key("tile/entries/000.p/240")
    );
    for (size, root) in old {
        let tree = Tree::new(&disk, size);
        assert_eq!(tree.root().expect("reads"), root, "{size}");
        let last = tree.entries((size - 1) / 256).expect("reads");
        assert_eq!(last.last(), all.get(size as usize - 1), "{size}");
        assert_eq!(last.len() as u64, (size - 1) % 256 + 1);
    }
}

/// Runs a log until the disk is cut off. Gives every checkpoint that came out of it, and what was published for certain.
fn run(disk: &Disk, signer: &NoteSigner<'_>) -> (Vec<Note>, u64) {
    let (mut out, mut published) = (Vec::new(), 0);
    let mut steps = || {
        let mut log = Log::create(disk.clone(), signer)?;
        for (batch, count) in [3, 250, 10, 1, 600].into_iter().enumerate() {
            let appended = log.append(&entries(&format!("batch {batch}"), count), signer)?;
            out.push(appended.signed.clone());
            log.publish(&appended.signed)?;
            published = log.size();
        }
        Ok::<_, LogError>(())
    };
    let _ = steps();
    (out, published)
}

#[test]
fn a_crash_after_any_step_loses_nothing_that_was_promised_and_forks_nothing() {
    let secret = secret();
    let signer = signer(&secret);
    let whole = Disk::default();
    assert_eq!(run(&whole, &signer).1, 864);
    let total = whole.steps();
    assert!(total > 40, "{total} steps");
    for cut in 0..total {
        let losses = (0..6).map(|seed| Loss::Some(seed * 7 + cut as u64));
        for loss in losses.chain([Loss::Nothing, Loss::Unsynced]) {
            let what = format!("cut after {cut} of {total} steps, {loss:?}");
            let disk = Disk::default();
            disk.cut_after(cut);
            let (mut promised, published) = run(&disk, &signer);
            let disk = disk.after(loss);
            let mut log = match Log::open(disk.clone(), signer.key().clone()) {
                Ok(log) => log,
                Err(LogError::NoLog) if promised.is_empty() => {
                    Log::create(disk.clone(), &signer).expect("makes a log")
                }
                Err(error) => panic!("{what}: {error}"),
            };
            assert!(check_published(&disk, signer.key()) >= published, "{what}: published entries are lost");
            let last = promised.last().map_or(0, |note| tree_of(note).0);
            assert!(log.size() >= last, "{what}: promised entries are lost");
            // Witnesses may be asked for it from now on.
            promised.push(log.signed().clone());
            // Another history from here on: if something promised could be overwritten, it is now.
            for count in [2, 255, 300] {
                let signed = log.append(&entries("after", count), &signer).expect("appends").signed;
                log.publish(&signed).expect("publishes");
                promised.push(signed);
            }
            assert_eq!(check_published(&disk, signer.key()), log.size(), "{what}");
            let tree = log.tree();
            let new = (tree.size(), tree.root().expect("reads"));
            for note in &promised {
                let old = tree_of(note);
                let proof = tree.consistency(old.0).expect("reads");
                check_consistency(old, new, &proof).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}

#[test]
fn after_a_failed_write_the_log_has_to_be_opened_again() {
    let (disk, secret) = (Disk::default(), secret());
    let signer = signer(&secret);
    let mut log = Log::create(disk.clone(), &signer).expect("makes a log");
    disk.cut_after(1);
    assert!(matches!(log.append(&entries("a", 3), &signer), Err(LogError::Access(_))));
    assert!(matches!(log.append(&entries("a", 3), &signer), Err(LogError::Uncertain)));
    let signed = log.signed().clone();
    assert!(matches!(log.publish(&signed), Err(LogError::Uncertain)));
}

#[test]
fn a_log_that_was_set_back_does_not_go_on() {
    let (disk, secret) = (Disk::default(), secret());
    let signer = signer(&secret);
    let mut log = Log::create(disk.clone(), &signer).expect("makes a log");
    let mut append = |count| {
        let signed = log.append(&entries("entry", count), &signer).expect("appends").signed;
        log.publish(&signed).expect("publishes");
    };
    append(3);
    let old = disk.files();
    append(4);
    // An old private state beside what is public.
    let mut files = disk.files();
    files.insert(SIGNED_PATH.into(), old[SIGNED_PATH].clone());
    files.extend(old.into_iter().filter(|(path, _)| path.starts_with("tile/")));
    disk.replace(files);
    let error = Log::open(disk.clone(), signer.key().clone()).expect_err("was set back");
    assert!(matches!(error, LogError::WentBack { published: 7, signed: 3 }), "{error}");
}

#[test]
fn a_published_checkpoint_of_another_tree_is_noticed() {
    let secret = secret();
    let signer = signer(&secret);
    let make = |what: &str, counts: &[usize]| {
        let disk = Disk::default();
        let mut log = Log::create(disk.clone(), &signer).expect("makes a log");
        for count in counts {
            let signed = log.append(&entries(what, *count), &signer).expect("appends").signed;
            log.publish(&signed).expect("publishes");
        }
        disk
    };
    let (ours, other) = (make("ours", &[3, 4]), make("other", &[5]));
    ours.tamper(CHECKPOINT_PATH, |bytes| *bytes = other.files()[CHECKPOINT_PATH].clone());
    let error = Log::open(ours, signer.key().clone()).expect_err("is another tree");
    assert!(matches!(error, LogError::Forked { published: 5 }), "{error}");
}

#[test]
fn damage_is_refused_and_never_repaired() {
    let secret = secret();
    let signer = signer(&secret);
    let make = || {
        let disk = Disk::default();
        let mut log = Log::create(disk.clone(), &signer).expect("makes a log");
        let signed = log.append(&entries("entry", 300), &signer).expect("appends").signed;
        log.publish(&signed).expect("publishes");
        disk
    };
    let open = |disk: &Disk| Log::open(disk.clone(), signer.key().clone());
    open(&make()).expect("opens");
    for path in ["tile/0/001.p/44", "tile/1/000.p/1"] {
        let disk = make();
        disk.tamper(path, |bytes| bytes[5] ^= 1);
        assert!(matches!(open(&disk), Err(LogError::Damaged { size: 300 })), "{path}");
        disk.tamper(path, |bytes| bytes.truncate(31));
        assert!(matches!(open(&disk), Err(LogError::Access(AccessError::Tile { .. }))), "{path}");
    }
    let disk = make();
    disk.tamper("tile/entries/001.p/44", |bytes| bytes[5] ^= 1);
    assert!(matches!(open(&disk), Err(LogError::Damaged { size: 300 })));
    for path in [SIGNED_PATH, CHECKPOINT_PATH] {
        let disk = make();
        disk.tamper(path, |bytes| bytes[1] ^= 1);
        assert!(matches!(open(&disk), Err(LogError::Note { .. })), "{path}");
    }
    // A tile in the middle is found when it is used.
    let disk = make();
    disk.tamper("tile/0/000", |bytes| bytes[5] ^= 1);
    assert!(matches!(prove(&disk, signer.key(), 100), Err(LogError::Damaged { size: 300 })));
}

#[test]
fn only_its_own_key_signs_and_only_the_last_checkpoint_is_published() {
    let (disk, secret, other) = (Disk::default(), secret(), SecretKey::from_seed(&[2; 32]));
    let (signer, other) = (signer(&secret), NoteSigner::new(NAME.parse().expect("a name"), &other));
    let mut log = Log::create(disk.clone(), &signer).expect("makes a log");
    assert!(matches!(log.append(&entries("a", 1), &other), Err(LogError::OtherKey { .. })));
    assert!(matches!(Log::open(disk.clone(), other.key().clone()), Err(LogError::Note { .. })));
    assert!(matches!(Log::create(disk.clone(), &signer), Err(LogError::Occupied)));
    assert!(matches!(Log::open(Disk::default(), signer.key().clone()), Err(LogError::NoLog)));
    let first = log.append(&entries("a", 1), &signer).expect("appends").signed;
    let second = log.append(&entries("b", 1), &signer).expect("appends").signed;
    assert!(matches!(log.publish(&first), Err(LogError::NotTheLast)));
    let unsigned = Note::new(second.text().into()).expect("a text");
    assert!(matches!(log.publish(&unsigned), Err(LogError::Note { .. })));
    log.publish(&second).expect("publishes");
    assert!(matches!(log.append::<Vec<u8>>(&[], &signer), Err(LogError::NothingToAppend)));
    assert!(matches!(log.append(&[vec![0; 65_536]], &signer), Err(LogError::EntryTooLong(0))));
    let longest = vec![vec![0; 65_535]; 1_025];
    assert!(matches!(log.append(&longest, &signer), Err(LogError::BatchTooLong)));
    let _ = log.append(&longest[..3], &signer).expect("the longest entries there are");
}
