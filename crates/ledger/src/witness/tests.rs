//! A witness, its client, and logs that cheat.

use keys::SecretKey;
use proptest::prelude::*;

use super::client::{ClientError, Transport, cosign};
use super::*;
use crate::log::Log;
use crate::merkle::{TreeHash, leaf_hash};
use crate::note::NoteSigner;
use crate::policy::Party;
use crate::store::memory::{Disk, Loss};

const LOG: &str = "example.com/ledger";

struct Bench {
    log: SecretKey,
    witness: SecretKey,
    disk: Disk,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            log: SecretKey::from_seed(&[1; 32]),
            witness: SecretKey::from_seed(&[2; 32]),
            disk: Disk::default(),
        };
        assert!(bench.witness().enroll(&LOG.parse().expect("an origin")).expect("writes"));
        bench
    }

    fn signer(&self) -> NoteSigner<'_> {
        NoteSigner::new(LOG.parse().expect("a name"), &self.log)
    }

    fn cosigner(&self) -> Cosigner<'_> {
        Cosigner::new("witness.example/w".parse().expect("a name"), &self.witness)
    }

    fn witness(&self) -> Witness<Disk> {
        let log = KnownLog::of(self.signer().key().clone()).expect("an origin");
        Witness::new(self.disk.clone(), self.cosigner().key().clone(), vec![log])
    }

    fn post(&self, request: &AddCheckpoint, now: u64) -> Answer {
        self.witness().add_checkpoint(&request.to_bytes(), &self.cosigner(), now).expect("answers")
    }

    fn checkpoint(&self, size: u64, root: TreeHash) -> Note {
        let text = Checkpoint::new(LOG.parse().expect("an origin"), size, root).to_text();
        let mut note = Note::new(text.clone()).expect("a text");
        note.add(self.signer().sign(&text).expect("signs"));
        note
    }

    /// A log with `count` entries of a kind.
    fn grown(&self, what: &str, count: usize) -> Log<Disk> {
        let mut log = Log::create(Disk::default(), &self.signer()).expect("makes a log");
        self.grow(&mut log, what, count);
        log
    }

    fn grow(&self, log: &mut Log<Disk>, what: &str, count: usize) {
        let entries: Vec<_> = (0..count).map(|i| format!("{what} {i}")).collect();
        let _ = log.append(&entries, &self.signer()).expect("appends");
    }

    fn request(&self, log: &Log<Disk>, old: u64) -> AddCheckpoint {
        let proof = log.tree().consistency(old).expect("reads");
        AddCheckpoint { old, proof, checkpoint: log.signed().clone() }
    }

    fn party(&self) -> Party {
        Party {
            name: "w".into(),
            key: self.cosigner().key().clone(),
            url: Some("https://witness.example/w/".into()),
        }
    }
}

/// A witness without a network between.
impl Transport for Bench {
    fn post(
        &self,
        url: &str,
        body: &[u8],
        _: usize,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        assert_eq!(url, "https://witness.example/w/add-checkpoint");
        Ok(self.witness().answer("POST", "add-checkpoint", body, &self.cosigner(), 1_000)?)
    }
}

#[test]
fn a_growing_log_is_cosigned_and_monitors_can_ask_for_it() {
    let bench = Bench::new();
    let hash = origin_hash(&LOG.parse().expect("an origin"));
    let get = || {
        let path = format!("{hash}/checkpoint");
        bench.witness().answer("GET", &path, b"", &bench.cosigner(), 1).expect("answers")
    };
    assert_eq!(get().status, 404);
    let mut log = bench.grown("entry", 3);
    let mut guess = 0;
    for count in [1, 4, 300, 7] {
        bench.grow(&mut log, "more", count);
        let line = cosign(&log.tree(), log.signed(), &bench.party(), guess, &bench).expect("is co-signed");
        let mut note = log.signed().clone();
        note.add(line);
        let (ours, cosigner) = (bench.signer(), bench.cosigner());
        assert_eq!(note.verify([ours.key(), cosigner.key()]).expect("verifies").len(), 2);
        let answer = get();
        assert_eq!((answer.status, answer.body), (200, note.to_bytes()));
        guess = log.size();
    }
    // Asked again for the same tree, and by a log that has forgotten what the witness knows.
    for guess in [guess, 0, 5] {
        cosign(&log.tree(), log.signed(), &bench.party(), guess, &bench).expect("is co-signed");
    }
}

#[test]
fn each_refusal_has_the_status_of_the_specification() {
    let bench = Bench::new();
    let mut log = bench.grown("entry", 5);
    let good = bench.request(&log, 0);
    let status = |request: &AddCheckpoint| bench.post(request, 10).status;
    // 404: the log is unknown, before its signature matters.
    let text = Checkpoint::new("example.com/other".parse().expect("an origin"), 5, leaf_hash(b"x")).to_text();
    let mut other = Note::new(text.clone()).expect("a text");
    other.add(bench.signer().sign(&text).expect("signs"));
    assert_eq!(status(&AddCheckpoint { checkpoint: other, ..good.clone() }), 404);
    // 403: no signature of the log, or a wrong one.
    let stranger = SecretKey::from_seed(&[9; 32]);
    let text = good.checkpoint.text();
    let mut unsigned = Note::new(text.into()).expect("a text");
    let stranger = NoteSigner::new(LOG.parse().expect("a name"), &stranger);
    unsigned.add(stranger.sign(text).expect("signs"));
    assert_eq!(status(&AddCheckpoint { checkpoint: unsigned, ..good.clone() }), 403);
    let mut wrong = Note::new(text.into()).expect("a text");
    wrong.add(bench.signer().sign("something else\n").expect("signs"));
    assert_eq!(status(&AddCheckpoint { checkpoint: wrong, ..good.clone() }), 403);
    // 400: old is larger than new; 409: old is not what was co-signed.
    assert_eq!(status(&AddCheckpoint { old: 6, ..good.clone() }), 400);
    let answer = bench.post(&AddCheckpoint { old: 3, ..good.clone() }, 10);
    assert_eq!((answer.status, &answer.body[..]), (409, &b"0\n"[..]));
    assert_eq!(answer.content_type, "text/x.tlog.size");
    // 422: a proof where none belongs; an empty tree with entries.
    assert_eq!(status(&AddCheckpoint { proof: vec![leaf_hash(b"x")], ..good.clone() }), 422);
    let full = bench.checkpoint(0, leaf_hash(b"x"));
    assert_eq!(status(&AddCheckpoint { checkpoint: full, ..good.clone() }), 422);
    // Nothing of this was co-signed.
    assert_eq!(bench.disk.files().values().collect::<Vec<_>>(), [ENROLLED]);
    assert_eq!(status(&good), 200);
    // 422: a proof that is wrong, missing or of another tree; the same size with another root.
    bench.grow(&mut log, "more", 4);
    let good = bench.request(&log, 5);
    let mut changed = good.clone();
    changed.proof[0] = leaf_hash(b"x");
    assert_eq!(status(&changed), 422);
    assert_eq!(status(&AddCheckpoint { proof: Vec::new(), ..good.clone() }), 422);
    let fork = bench.checkpoint(5, leaf_hash(b"fork"));
    assert_eq!(status(&AddCheckpoint { checkpoint: fork, proof: Vec::new(), old: 5 }), 422);
    assert_eq!(status(&good), 200);
    assert_eq!(status(&good), 409);
    // 400: what is no request.
    for body in [&b""[..], b"old 0\n", b"old 00\n\n", b"old 0\nAAAA\n\n", b"new 0\n\n", b"old 0\n\ntext\n"] {
        let answer = bench.witness().add_checkpoint(body, &bench.cosigner(), 10).expect("answers");
        assert_eq!(answer.status, 400, "{body:?}");
    }
    let many = AddCheckpoint { proof: vec![leaf_hash(b"x"); 64], ..good.clone() };
    assert_eq!(status(&many), 400);
}

#[test]
fn a_log_with_two_histories_gets_one_of_them_cosigned() {
    let bench = Bench::new();
    let (first, mut second) = (bench.grown("first", 20), bench.grown("second", 20));
    cosign(&first.tree(), first.signed(), &bench.party(), 0, &bench).expect("is co-signed");
    for more in [0, 1, 5, 12] {
        if more > 0 {
            bench.grow(&mut second, "more", more);
        }
        let error =
            cosign(&second.tree(), second.signed(), &bench.party(), 20, &bench).expect_err("is refused");
        assert!(matches!(error, ClientError::Refused { status: 422, .. }) && error.is_evidence(), "{error}");
    }
}

#[test]
fn a_log_that_was_set_back_hears_it_from_its_witness() {
    let bench = Bench::new();
    let log = bench.grown("entry", 20);
    cosign(&log.tree(), log.signed(), &bench.party(), 0, &bench).expect("is co-signed");
    let old = bench.grown("entry", 12);
    let error = cosign(&old.tree(), old.signed(), &bench.party(), 12, &bench).expect_err("is refused");
    assert!(matches!(error, ClientError::Ahead { witnessed: 20, ours: 12 }), "{error}");
}

#[test]
fn a_witness_that_was_cut_off_cosigns_one_history_only() {
    for cut in 0..6 {
        for loss in [Loss::Nothing, Loss::Unsynced, Loss::Some(1), Loss::Some(4), Loss::Some(9)] {
            let mut bench = Bench::new();
            let log = bench.grown("first", 5);
            cosign(&log.tree(), log.signed(), &bench.party(), 0, &bench).expect("is co-signed");
            let (mut ours, mut fork) = (bench.grown("first", 5), bench.grown("first", 5));
            bench.grow(&mut ours, "ours", 3);
            bench.grow(&mut fork, "fork", 3);
            bench.disk.cut_after(cut);
            let body = bench.request(&ours, 5).to_bytes();
            let answered = bench.witness().add_checkpoint(&body, &bench.cosigner(), 1_000);
            let is_out = answered.is_ok_and(|answer| answer.status == 200);
            bench.disk = bench.disk.after(loss);
            // Asked as often as it takes, from whatever size it names.
            let other = cosign(&fork.tree(), fork.signed(), &bench.party(), 5, &bench);
            assert!(!is_out || other.is_err(), "{cut} {loss:?}: both histories are co-signed");
            let earlier = cosign(&log.tree(), log.signed(), &bench.party(), 0, &bench);
            assert!(
                is_out || earlier.is_err() || other.is_err(),
                "{cut} {loss:?}: it forgot what it co-signed"
            );
        }
    }
}

#[test]
fn a_witness_that_lost_its_memory_believes_nobody() {
    let mut bench = Bench::new();
    let log = bench.grown("entry", 5);
    bench.disk = Disk::default();
    assert_eq!(bench.post(&bench.request(&log, 0), 10).status, 404);
}

#[test]
fn a_damaged_memory_stops_the_witness() {
    let bench = Bench::new();
    let mut log = bench.grown("entry", 5);
    assert_eq!(bench.post(&bench.request(&log, 0), 10).status, 200);
    let path = memory_path(&origin_hash(&LOG.parse().expect("an origin")));
    bench.grow(&mut log, "more", 1);
    let whole = bench.disk.files()[&path].clone();
    for at in 0..whole.len() {
        bench.disk.tamper(&path, |bytes| {
            *bytes = whole.clone();
            bytes[at] ^= 4;
        });
        let body = bench.request(&log, 5).to_bytes();
        let answer = bench.witness().add_checkpoint(&body, &bench.cosigner(), 11);
        // The log's own signature, which the witness does not need, may be hurt.
        let is_in_cosignature = at < whole.iter().position(|byte| *byte == 0xe2).expect("signatures");
        assert!(answer.is_err() || !is_in_cosignature, "byte {at}");
    }
}

#[test]
fn a_clock_that_was_set_back_stops_the_witness() {
    let bench = Bench::new();
    let log = bench.grown("entry", 5);
    assert_eq!(bench.post(&bench.request(&log, 0), 100).status, 200);
    let body = bench.request(&log, 5).to_bytes();
    let error = bench.witness().add_checkpoint(&body, &bench.cosigner(), 99).expect_err("is refused");
    assert!(matches!(error, WitnessError::Clock { now: 99, last: 100, .. }), "{error}");
}

#[test]
fn answers_of_a_witness_that_cheats_are_refused() {
    struct Fixed(Answer);
    impl Transport for Fixed {
        fn post(
            &self,
            _: &str,
            _: &[u8],
            _: usize,
        ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
            Ok(self.0.clone())
        }
    }
    let bench = Bench::new();
    let log = bench.grown("entry", 5);
    let asked = |answer: Answer| {
        cosign(&log.tree(), log.signed(), &bench.party(), 0, &Fixed(answer)).expect_err("is refused")
    };
    let conflict = |size: &str| Answer {
        status: 409,
        content_type: "text/x.tlog.size".into(),
        body: size.as_bytes().to_vec(),
    };
    assert!(matches!(asked(conflict("3\n")), ClientError::Unsteady));
    assert!(matches!(asked(conflict("6\n")), ClientError::Ahead { witnessed: 6, ours: 5 }));
    assert!(matches!(asked(conflict("x\n")), ClientError::Answer));
    assert!(matches!(asked(conflict("3")), ClientError::Answer));
    assert!(matches!(asked(Answer::plain(409, "3\n")), ClientError::Refused { status: 409, .. }));
    assert!(matches!(asked(Answer::plain(200, "")), ClientError::Answer));
    assert!(matches!(asked(Answer::plain(200, b"\xff".to_vec())), ClientError::Answer));
    assert!(matches!(asked(Answer::plain(500, "no")), ClientError::Refused { status: 500, .. }));
    let line = bench.cosigner().cosign("another text\n", 10).expect("co-signs");
    assert!(matches!(asked(Answer::plain(200, line.to_line())), ClientError::Signature(_)));
}

#[test]
fn damaged_tiles_are_not_taken_for_another_history() {
    let (bench, disk) = (Bench::new(), Disk::default());
    let mut log = Log::create(disk.clone(), &bench.signer()).expect("makes a log");
    bench.grow(&mut log, "entry", 5);
    cosign(&log.tree(), log.signed(), &bench.party(), 0, &bench).expect("is co-signed");
    bench.grow(&mut log, "more", 4);
    disk.tamper("tile/0/000.p/9", |bytes| bytes[3] ^= 1);
    let error = cosign(&log.tree(), log.signed(), &bench.party(), 5, &bench).expect_err("is refused");
    assert!(matches!(error, ClientError::Damaged) && !error.is_evidence(), "{error}");
}

#[test]
fn the_example_request_of_the_specification_reads() {
    let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=";
    let text = format!(
        "old 20852014\n{hash}\n{hash}\n\nexample.com/behind-the-sofa\n20852163\n\
         CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
         — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    );
    let request = AddCheckpoint::parse(text.as_bytes()).expect("reads");
    assert_eq!((request.old, request.proof.len()), (20_852_014, 2));
    assert_eq!(request.to_bytes(), text.as_bytes());
}

#[test]
fn two_requests_at_once_never_take_back_what_was_cosigned() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench::new();
    let mut log = bench.grown("entry", 1);
    let mut requests = Vec::new();
    for _ in 0..8 {
        let old = log.size();
        bench.grow(&mut log, "more", 1);
        requests.push(bench.request(&log, old).to_bytes());
    }
    let store = crate::folder::Writer::open(folder.path()).expect("opens");
    let known = KnownLog::of(bench.signer().key().clone()).expect("an origin");
    let witness = Witness::new(store, bench.cosigner().key().clone(), vec![known.clone()]);
    assert!(witness.enroll(&known.origin).expect("writes"));
    let first = bench.grown("entry", 1);
    let body = bench.request(&first, 0).to_bytes();
    assert_eq!(witness.add_checkpoint(&body, &bench.cosigner(), 1).expect("answers").status, 200);
    let cosigned = AtomicU64::new(0);
    let (secret, requests) = (SecretKey::from_seed(&[2; 32]), &requests);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let cosigner = Cosigner::new("witness.example/w".parse().expect("a name"), &secret);
                for body in requests {
                    let answer = witness.add_checkpoint(body, &cosigner, 2).expect("answers");
                    cosigned.fetch_add(u64::from(answer.status == 200), Ordering::Relaxed);
                }
            });
        }
    });
    // Each step from one size to the next was co-signed exactly once.
    assert_eq!(cosigned.load(Ordering::Relaxed), 8);
}

#[cfg(feature = "serve")]
#[test]
fn the_server_answers_as_the_witness_does() {
    use std::io::{Read, Write};
    let (secret, folder) = (SecretKey::from_seed(&[2; 32]), tempfile::tempdir().expect("a folder"));
    let bench = Bench::new();
    let known = KnownLog::of(bench.signer().key().clone()).expect("an origin");
    let store = crate::folder::Writer::open(folder.path()).expect("opens");
    let witness = Witness::new(store, bench.cosigner().key().clone(), vec![known.clone()]);
    witness.enroll(&known.origin).expect("writes");
    let server = super::serve::Server::start(
        "127.0.0.1:0".parse().expect("an address"),
        super::serve::Limits::default(),
        move |call| {
            let cosigner = Cosigner::new("witness.example/w".parse().expect("a name"), &secret);
            let answered = witness.answer(&call.method, &call.path, &call.body, &cosigner, 77);
            answered.unwrap_or_else(|_| Answer::plain(500, "failed\n"))
        },
    )
    .expect("starts");
    let ask = |head: &str, body: &[u8]| {
        let mut stream = std::net::TcpStream::connect(server.address()).expect("connects");
        let head = format!(
            "{head} HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).expect("sends");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let log = bench.grown("entry", 5);
    let body = bench.request(&log, 0).to_bytes();
    let answer = ask("POST /add-checkpoint", &body);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("— witness.example/w "), "{answer}");
    let answer = ask("POST /add-checkpoint", &body);
    assert!(answer.starts_with("HTTP/1.1 409 ") && answer.ends_with("\r\n\r\n5\n"), "{answer}");
    assert!(answer.to_lowercase().contains("content-type: text/x.tlog.size"), "{answer}");
    let answer = ask(&format!("GET /{}/checkpoint", origin_hash(&known.origin)), b"");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(LOG), "{answer}");
    assert!(ask("GET /", b"").starts_with("HTTP/1.1 404 "));
    assert!(ask("GET /../../etc/passwd", b"").starts_with("HTTP/1.1 404 "));
    assert!(ask("POST /add-checkpoint", &vec![b'a'; REQUEST_LIMIT + 1]).starts_with("HTTP/1.1 413 "));
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500), lines in "(.{0,50}\n){0,6}") {
        let _ = AddCheckpoint::parse(&bytes);
        let bench = Bench::new();
        let body = format!("old 0\n{lines}");
        let answer = bench.witness().add_checkpoint(body.as_bytes(), &bench.cosigner(), 1).expect("answers");
        prop_assert!(answer.status >= 400);
    }
}
