//! The ceremony of docs/KEYS.md, by commands, and what people are told when it goes wrong.

mod support;

use std::fs;
use std::path::Path;

use support::{Said, ampoule_in, replace};
use testkit::Bench;

const PASSPHRASE: &str = "correct horse battery staple";

fn ampoule(folder: &Path, command: &str) -> Said {
    ampoule_in(folder, command.split(' '))
}

#[track_caller]
fn good(folder: &Path, command: &str) -> Said {
    let said = ampoule(folder, command);
    assert_eq!(said.code, 0, "{command}: {said:?}");
    said
}

/// Keys of three people and of a server.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("passphrase", format!("{PASSPHRASE}\n"));
    for name in ["anna", "ben", "chris"] {
        good(bench.path(), &format!("keys new {name} --passphrase-file passphrase"));
    }
    good(bench.path(), "keys new online --without-passphrase");
    bench
}

/// A root that takes two of three, signed by Anna and Ben.
fn signed_root(bench: &Bench) {
    let people = |role: &str| format!("--{role} keys/anna.key --{role} keys/ben.key --{role} keys/chris.key");
    let online = "--snapshot keys/online.key --timestamp keys/online.key";
    let thresholds = "--threshold root=2 --threshold targets=2";
    good(
        bench.path(),
        &format!("keys root new {} {} {online} {thresholds}", people("root"), people("targets")),
    );
    let once = good(
        bench.path(),
        "keys root sign 1.root.json --key keys/anna.key --passphrase-file passphrase --yes",
    );
    assert!(
        once.out.contains("signed: needs 1 more signature of keys that root version 1 names"),
        "{}",
        once.out
    );
    let twice = good(
        bench.path(),
        "keys root sign 1.root.json --key keys/ben.key --passphrase-file passphrase --yes",
    );
    assert!(
        twice.out.contains("root: 2 of 3 keys") && twice.out.contains("signed: complete"),
        "{}",
        twice.out
    );
}

#[test]
fn people_make_a_root_and_replace_a_lost_key() {
    let bench = bench();
    signed_root(&bench);
    let listed = good(bench.path(), "keys list --json").json();
    let key = |name: &str| {
        let keys = listed["keys"].as_array().expect("an array");
        keys.iter().find(|key| key["name"] == name).expect("is listed").clone()
    };
    assert_eq!(key("anna")["kept-by"], "a passphrase");
    assert_eq!(key("online")["kept-by"], "the mode of its file");
    let lost = key("chris")["id"].as_str().expect("an id").to_owned();

    good(bench.path(), "keys new dora --passphrase-file passphrase");
    let change = format!(
        "keys root next 1.root.json --remove root={lost} --remove targets={lost} --add root=keys/dora.key --add targets=keys/dora.key"
    );
    let dry = good(bench.path(), &format!("{change} --dry-run"));
    assert!(dry.out.contains(&format!("  root: the key {lost} is taken away\n")), "{}", dry.out);
    assert!(dry.err.contains("nothing was written") && !bench.join("2.root.json").exists());
    good(bench.path(), &change);
    for name in ["anna", "ben"] {
        let sign = format!("keys root sign 2.root.json --after 1.root.json --key keys/{name}.key --yes");
        good(bench.path(), &format!("{sign} --passphrase-file passphrase"));
    }
    let shown = good(bench.path(), "keys root show 2.root.json --after 1.root.json --json").json();
    assert_eq!((&shown["version"], &shown["complete"]), (&2.into(), &true.into()));
}

#[test]
fn a_root_that_was_changed_on_its_way_is_not_signed() {
    let bench = bench();
    signed_root(&bench);
    replace(&bench.join("1.root.json"), "\"threshold\": 2", "\"threshold\": 1");
    let before = fs::read(bench.join("1.root.json")).expect("reads");
    let said = ampoule(
        bench.path(),
        "keys root sign 1.root.json --key keys/chris.key --passphrase-file passphrase --yes",
    );
    assert_eq!(said.code, 5, "{said:?}");
    assert!(
        said.err.contains("is not good, or not asked for")
            && said.err.contains("unchanged: nothing was signed")
    );
    assert_eq!(fs::read(bench.join("1.root.json")).expect("reads"), before);
}

#[test]
fn a_wrong_passphrase_signs_nothing_and_nobody_is_asked_without_a_terminal() {
    let bench = bench();
    signed_root(&bench);
    bench.write("wrong", "not this one at all\n");
    let said = ampoule(
        bench.path(),
        "keys root sign 1.root.json --key keys/chris.key --passphrase-file wrong --yes",
    );
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.err.contains("the passphrase is wrong, or the file was changed"), "{}", said.err);
    assert!(said.err.contains("unchanged: nothing was signed\nhint: "), "{}", said.err);
    let said = ampoule(bench.path(), "keys root sign 1.root.json --key keys/chris.key --yes");
    assert!(said.err.contains("nobody is there to type it") && said.err.contains("--passphrase-file FILE"));
    let said = ampoule(bench.path(), "keys root sign 1.root.json --key keys/online.key");
    assert!(said.err.contains("nobody is there to say yes"), "{}", said.err);
}

#[test]
fn a_key_is_never_replaced_and_a_weak_passphrase_makes_none() {
    let bench = bench();
    let before = fs::read(bench.join("keys/anna.key")).expect("reads");
    let said = ampoule(bench.path(), "keys new anna --passphrase-file passphrase");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("exists already") && said.err.contains("unchanged: no key was made"),
        "{}",
        said.err
    );
    assert_eq!(fs::read(bench.join("keys/anna.key")).expect("reads"), before);
    bench.write("weak", "secret\n");
    let said = ampoule(bench.path(), "keys new emil --passphrase-file weak");
    assert!(said.err.contains("needs a passphrase of 10 to 1024 bytes"), "{}", said.err);
    assert!(!bench.join("keys/emil.key").exists());
    let said = ampoule(bench.path(), "keys new ../emil --passphrase-file passphrase");
    assert!(said.err.contains("is no name of a key"), "{}", said.err);
}

#[test]
fn a_passphrase_is_changed_and_the_key_stays() {
    let bench = bench();
    let before = good(bench.path(), "keys show keys/anna.key").out;
    bench.write("next", "another one, much better\n");
    let change = "keys passphrase keys/anna.key --passphrase-file";
    let said = ampoule(bench.path(), &format!("{change} next --new-passphrase-file next"));
    assert_eq!(said.code, 5, "{said:?}");
    assert!(said.err.contains("unchanged: the key file is as it was"), "{}", said.err);
    good(bench.path(), &format!("{change} passphrase --new-passphrase-file next"));
    good(bench.path(), &format!("{change} next --new-passphrase-file passphrase"));
    assert_eq!(good(bench.path(), "keys show keys/anna.key").out, before);
}

#[test]
fn a_root_that_locks_its_maker_out_is_not_written() {
    let bench = bench();
    let all =
        "--root keys/anna.key --targets keys/anna.key --snapshot keys/online.key --timestamp keys/online.key";
    let said = ampoule(bench.path(), &format!("keys root new {all} --threshold root=2"));
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("the role `root` has fewer keys than it takes: 1 of 2"), "{}", said.err);
    assert!(said.err.contains("unchanged: no root was written") && !bench.join("1.root.json").exists());
}

#[test]
fn a_command_signs_once_its_signature_verifies() {
    let bench = bench();
    let public = good(bench.path(), "keys show keys/online.key --json").json()["public"].clone();
    let public = public.as_str().expect("a key");
    good(bench.path(), &format!("keys new token --public {public} -- sh -c false"));
    good(
        bench.path(),
        &format!("keys root new --root {public} --targets {public} --snapshot {public} --timestamp {public}"),
    );
    let said = ampoule(bench.path(), "keys root sign 1.root.json --key keys/token.key --yes");
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("the signing command `sh` failed: exit status: 1"), "{}", said.err);
    good(bench.path(), "keys root sign 1.root.json --key keys/online.key --yes");
}
