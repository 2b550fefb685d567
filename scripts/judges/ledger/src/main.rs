//! Judges the ledger by programs that are not ours: `tlog_tiles` and `signed_note` (Cloudflare), `sigsum` (Mullvad).
//!
//! Makes logs of many sizes in a folder and has the others read the tiles, compute the roots, make and check the proofs, and verify
//! checkpoints and co-signatures. Stops at the first disagreement.

use base64::Engine as _;
use keys::{SecretKey, Sign};
use ledger::checkpoint::Checkpoint;
use ledger::folder::{Folder, Writer};
use ledger::log::Log;
use ledger::merkle::{TreeHash, leaf_hash};
use ledger::note::{Cosigner, Note, NoteSigner};
use ledger::read::{ReadLog, Tree};
use ledger::tile::{TILE_LIMIT, Tile as OurTile};
use sha2::{Digest, Sha256};
use tlog_tiles::{Hash, Tile, TileHashReader, TileReader};

/// Reads our folder for `tlog_tiles`.
struct Files(Folder);

impl TileReader for Files {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            let ours: OurTile = path.parse().expect("its path is one of ours");
            let found = self.0.read(&path, TILE_LIMIT).expect("reads");
            let mut bytes = found.unwrap_or_else(|| {
                self.0.read(&ours.full().to_string(), TILE_LIMIT).expect("reads").expect("is there")
            });
            bytes.truncate(tile.width() as usize * 32);
            bytes
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

fn theirs(hashes: Vec<TreeHash>) -> Vec<Hash> {
    hashes.into_iter().map(|hash| Hash(hash.0)).collect()
}

/// Tiles, roots, proofs and checkpoints against `tlog_tiles` and `signed_note`.
fn tiles_and_notes() -> usize {
    let (folder, secret) = (tempfile::tempdir().expect("a folder"), SecretKey::from_seed(&[7; 32]));
    let signer = NoteSigner::new("example.com/judged".parse().expect("a name"), &secret);
    let mut log = Log::create(Writer::open(folder.path()).expect("opens"), &signer).expect("makes a log");
    let files = Files(Folder::new(folder.path()));
    let (mut sizes, mut count, mut judged) = (vec![0u64], 0u64, 0);
    for batch in [1, 1, 1, 4, 1, 100, 147, 1, 1, 254, 1, 3_000, 62_000, 23, 1, 500] {
        let entries: Vec<_> = (count..count + batch).map(|i| format!("entry {i}")).collect();
        let appended = log.append(&entries, &signer).expect("appends");
        log.publish(&appended.signed).expect("publishes");
        let old = count;
        count += batch;
        // The checkpoint, and its signature.
        let bytes = files.0.read("checkpoint", 1 << 20).expect("reads").expect("is there");
        let note = signed_note::Note::from_bytes(&bytes).expect("signed_note reads it");
        let key =
            signed_note::StandardVerifier::new(&signer.key().to_string()).expect("signed_note reads the key");
        note.verify(&signed_note::VerifierList::new(vec![Box::new(key)])).expect("signed_note verifies it");
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("tlog_tiles reads it");
        assert_eq!((checkpoint.origin(), checkpoint.size()), ("example.com/judged", count));
        // The files that are new, and the root.
        let mut new: Vec<_> = OurTile::new_between(old, count)
            .map(|tile| tile.to_string())
            .filter(|it| !it.contains("entries"))
            .collect();
        let mut expected: Vec<_> = Tile::new_tiles(8, old, count)
            .iter()
            .map(|tile| tile.path().replacen("tile/8/", "tile/", 1))
            .collect();
        (new.sort(), expected.sort());
        assert_eq!(new, expected, "new tiles from {old} to {count}");
        let root = *checkpoint.hash();
        let reader = TileHashReader::new(count, root, &files);
        assert_eq!(tlog_tiles::tree_hash(count, &reader).expect("computes"), root, "root of {count}");
        // Proofs of entries and of all earlier trees: the same hashes, and accepted.
        let tree = Tree::new(&files.0, count);
        for index in [0, 1, count / 3, count / 2, count - 1].into_iter().filter(|index| *index < count) {
            let proof = tlog_tiles::prove_record(count, index, &reader).expect("proves");
            assert_eq!(theirs(tree.inclusion(index).expect("proves")), proof, "entry {index} of {count}");
            let leaf = leaf_hash(format!("entry {index}").as_bytes());
            tlog_tiles::check_record(&proof, count, root, index, Hash(leaf.0)).expect("accepts");
            judged += 1;
        }
        for old in sizes.iter().copied().filter(|old| *old > 0) {
            let proof = tlog_tiles::prove_tree(count, old, &reader).expect("proves");
            assert_eq!(theirs(tree.consistency(old).expect("proves")), proof, "from {old} to {count}");
            let (first, _) = tree.roots(old).expect("computes");
            tlog_tiles::check_tree(&proof, count, root, old, Hash(first.0)).expect("accepts");
            judged += 1;
        }
        sizes.push(count);
    }
    // Their signature, verified by us.
    let text = "from somebody else\n\nwith a blank line\n";
    let skey = {
        let encoded = base64::engine::general_purpose::STANDARD.encode([&[1u8][..], &[7; 32]].concat());
        format!("PRIVATE+KEY+example.com/judged+{}+{encoded}", signer.key().id())
    };
    let their_signer = signed_note::StandardSigner::new(&skey).expect("signed_note reads the secret key");
    let mut note = signed_note::Note::new(text.as_bytes(), &[]).expect("a text");
    note.add_sigs(&[&their_signer]).expect("signs");
    let ours = Note::parse(&note.to_bytes()).expect("we read it");
    assert_eq!(ours.verify([signer.key()]).expect("we verify it").len(), 1);
    assert_eq!(ours.text(), text);
    judged + 1
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of the one line with this name.
fn signature(note: &Note, name: &str) -> Vec<u8> {
    let lines = note.signatures().iter().map(|line| line.to_line());
    let line = lines.into_iter().find(|line| line.contains(&format!(" {name} "))).expect("signed");
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(line.trim_end().rsplit(' ').next().expect("words"));
    bytes.expect("base64")[4..].to_vec()
}

/// A log's signature, a quorum of co-signatures and an inclusion proof against `sigsum`, whose logs have checkpoints of the same form.
fn cosignatures() -> usize {
    let secret = |seed| SecretKey::from_seed(&[seed; 32]);
    let (log_secret, submitter, witnesses) = (secret(1), secret(2), [secret(3), secret(4), secret(5)]);
    let key_hash = |key: &SecretKey| Sha256::digest(key.public().to_bytes()).to_vec();
    let origin = format!("sigsum.org/v1/tree/{}", hex(&key_hash(&log_secret)));
    let signer = NoteSigner::new(origin.parse().expect("a name"), &log_secret);
    // A sigsum leaf: checksum, signature, hash of the submitter's key.
    let message = Sha256::digest(b"what was published").to_vec();
    let checksum = Sha256::digest(&message).to_vec();
    let signed = [&b"sigsum.org/v1/tree-leaf\0"[..], &checksum].concat();
    let leaf_signature = submitter.sign(&signed).expect("signs").0;
    let leaf = [&checksum[..], &leaf_signature, &key_hash(&submitter)].concat();
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = Log::create(Writer::open(folder.path()).expect("opens"), &signer).expect("makes a log");
    let entries: Vec<_> =
        (0..700).map(|i| if i == 300 { leaf.clone() } else { vec![i as u8; 128] }).collect();
    let mut note = log.append(&entries, &signer).expect("appends").signed;
    let names = ["w1.example", "w2.example", "w3.example"];
    for (index, name) in names.iter().enumerate().take(2) {
        let cosigner = Cosigner::new(name.parse().expect("a name"), &witnesses[index]);
        note.add(cosigner.cosign(note.text(), 1_700_000_000 + index as u64).expect("co-signs"));
    }
    log.publish(&note).expect("publishes");
    let proof = log.prove(300).expect("proves");
    let checkpoint = Checkpoint::parse(note.text()).expect("a checkpoint");
    let mut text = format!(
        "version=2\nlog={}\nleaf={} {}\n\n",
        hex(&key_hash(&log_secret)),
        hex(&key_hash(&submitter)),
        hex(&leaf_signature)
    );
    text += &format!(
        "size={}\nroot_hash={}\nsignature={}\n",
        checkpoint.size,
        hex(&checkpoint.root.0),
        hex(&signature(&note, &origin))
    );
    for (index, name) in names.iter().enumerate().take(2) {
        let bytes = signature(&note, name);
        let (time, signature) = bytes.split_first_chunk().expect("a time");
        text += &format!(
            "cosignature={} {} {}\n",
            hex(&key_hash(&witnesses[index])),
            u64::from_be_bytes(*time),
            hex(signature)
        );
    }
    text += &format!("\nleaf_index={}\n", proof.index);
    for hash in &proof.hashes {
        text += &format!("node_hash={}\n", hex(&hash.0));
    }
    let verdict = |text: &str, needed: usize| {
        let mut policy = format!("log {}\n", hex(&log_secret.public().to_bytes()));
        for (index, witness) in witnesses.iter().enumerate() {
            policy += &format!("witness w{index} {}\n", hex(&witness.public().to_bytes()));
        }
        policy += &format!("group all {needed} w0 w1 w2\nquorum all\n");
        let policy = sigsum::Policy::parse(&policy).expect("sigsum reads the policy");
        let signature = sigsum::SigsumSignature::from_ascii(text).expect("sigsum reads the proof");
        let message: [u8; 32] = message.clone().try_into().expect("32 bytes");
        let key: sigsum::PublicKey = submitter.public().to_bytes().into();
        sigsum::verify(&message.into(), &signature, &[key], &policy)
    };
    verdict(&text, 2).expect("sigsum accepts it");
    assert!(verdict(&text, 3).is_err(), "sigsum accepts two of three where three are needed");
    assert!(
        verdict(&text.replace(" 1700000000 ", " 1700000002 "), 2).is_err(),
        "sigsum accepts another time"
    );
    3
}

fn main() {
    println!("tlog_tiles and signed_note   ok, {} proofs and notes", tiles_and_notes());
    println!("sigsum                       ok, {} verdicts", cosignatures());
}
