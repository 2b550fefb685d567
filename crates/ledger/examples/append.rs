//! Appends records to a log on disk, and prints entries per second for several sizes of a batch.
//!
//! Usage: `append FOLDER [SECONDS]`. The folder must not exist; it is left for whoever wants to check it. Each batch is what a
//! publisher does: entries, tiles, signature and checkpoint, all synced before it counts, and published.

#![allow(clippy::print_stdout, reason = "it prints its result")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use keys::SecretKey;
use ledger::folder::{Folder, Writer};
use ledger::log::Log;
use ledger::monitor::Monitor;
use ledger::note::{Cosigner, NoteSigner};
use ledger::policy::Policy;
use ledger::proof::Proof;
use ledger::record::ReleaseRecord;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let folder: PathBuf = arguments.next().expect("usage: append FOLDER [SECONDS]").into();
    let seconds = arguments.next().map_or(5.0, |it| it.to_string_lossy().parse().expect("seconds"));
    let secret = SecretKey::from_seed(&[7; 32]);
    let signer = NoteSigner::new("example.com/bench".parse().expect("a name"), &secret);
    let mut log = Log::create(Writer::open(&folder).expect("opens"), &signer).expect("makes a log");
    println!("batch\tentries\tseconds\tentries/s\tslowest batch, ms");
    for batch in [1usize, 16, 256, 1024, 4096] {
        let (mut count, mut slowest) = (0u64, Duration::ZERO);
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < seconds {
            let entries: Vec<_> = (0..batch as u64).map(|i| record(log.size() + i).to_bytes()).collect();
            let began = Instant::now();
            let appended = log.append(&entries, &signer).expect("appends");
            log.publish(&appended.signed).expect("publishes");
            slowest = slowest.max(began.elapsed());
            count += batch as u64;
        }
        let took = start.elapsed().as_secs_f64();
        let (rate, slowest) = (count as f64 / took, slowest.as_secs_f64() * 1000.0);
        println!("{batch}\t{count}\t{took:.2}\t{rate:.0}\t{slowest:.1}");
    }
    // Three witnesses for the last checkpoint, and the policy asks for two.
    let witnesses: [_; 3] = std::array::from_fn(|index| SecretKey::from_seed(&[index as u8 + 1; 32]));
    let cosigners: [_; 3] = std::array::from_fn(|index| {
        let name = format!("witness{index}.example");
        Cosigner::new(name.parse().expect("a name"), &witnesses[index])
    });
    let mut note = log.signed().clone();
    for cosigner in &cosigners {
        note.add(cosigner.cosign(note.text(), 1_700_000_000).expect("co-signs"));
    }
    log.publish(&note).expect("publishes");
    let [a, b, c] = &cosigners;
    let policy =
        Policy::of(signer.key(), 2, &[("a", a.key()), ("b", b.key()), ("c", c.key())]).expect("a policy");
    let (index, rounds) = (log.size() / 3, 1_000);
    let proof = log.prove(index).expect("proves").to_bytes();
    let leaf = record(index).leaf();
    let start = Instant::now();
    for _ in 0..rounds {
        Proof::parse(&proof).expect("reads").verify(leaf, &policy).expect("proves");
    }
    println!("proof\t{}\t{:.0}", proof.len(), start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    let (start, mut seen) = (Instant::now(), 0u64);
    Monitor::new(policy).follow(&Folder::new(&folder), &mut |_, _| seen += 1).expect("is a good log");
    let took = start.elapsed().as_secs_f64();
    println!("monitor\t{seen}\t{took:.2}\t{:.0}\t", seen as f64 / took);
}

fn record(number: u64) -> ReleaseRecord {
    let word = |text: &str| text.parse().expect("a word");
    let mut statement = [0; 32];
    statement[..8].copy_from_slice(&number.to_be_bytes());
    ReleaseRecord {
        vendor: word("example"),
        appliance: word("lamp"),
        version: word(&format!("1.0.{number}")),
        architecture: word("amd64"),
        statement,
        root_hash: statement,
    }
}
