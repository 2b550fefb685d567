//! A ledger with its witnesses and its monitor, as people run them. Needs no network but the machine's own.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keys::SecretKey;
use keys::file::{KeyFile, Protection};
use support::{Said, ampoule_in};
use testkit::Bench;

/// A witness that runs until the test ends.
struct Witness {
    process: Child,
    url: String,
    key: String,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn make_key(folder: &Path, name: &str, seed: u8) {
    let key = KeyFile::seal(name, &SecretKey::from_seed(&[seed; 32]), Protection::DangerNone).expect("seals");
    key.write_new(&folder.join(name)).expect("writes");
}

fn witness(folder: &Path, name: &str, ledger: &str, enroll: bool) -> Witness {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ampoule"));
    command.current_dir(folder).args([
        "ledger",
        "witness",
        name,
        "--name",
        name,
        "--key",
        &format!("{name}.key"),
    ]);
    command.args(["--ledger", ledger, "--listen", "127.0.0.1:0", "--json"]);
    if enroll {
        command.arg("--enroll");
    }
    let mut process =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the witness starts");
    let mut text = String::new();
    let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let said = loop {
        text += &lines.next().expect("it says where it is").expect("reads");
        if let Ok(said) = serde_json::from_str::<serde_json::Value>(&text) {
            break said;
        }
    };
    let word = |name: &str| said[name].as_str().expect("a text").to_owned();
    Witness { process, url: word("url"), key: word("key") }
}

fn statement(folder: &Path, version: &str, root: &str) {
    let identity = serde_json::json!({
        "vendor": "acme", "name": "lamp", "title": "Lamp", "version": version, "summary": "A lamp.",
        "contact": null, "url": null, "end-of-support": null,
    });
    let uki = serde_json::json!({
        "name": format!("lamp_{version}.efi"), "size": 7, "sha256": "0".repeat(64), "purpose": "image",
    });
    let statement = serde_json::json!({
        "format": 1, "identity": identity, "architecture": "amd64",
        "image": { "root-hash": root.repeat(64), "verity-salt": "00", "root-size": 4096, "verity-size": 4096 },
        "uki": uki, "kernel-version": "6.12", "documents": [],
        "state-format": { "current": 1, "reads-from": 1, "rollback-floor": 1 },
    });
    fs::write(folder.join(format!("{version}-{root}.json")), statement.to_string()).expect("writes");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("makes");
    for entry in fs::read_dir(from).expect("reads") {
        let entry = entry.expect("reads");
        let place = to.join(entry.file_name());
        if entry.path().is_dir() { copy(&entry.path(), &place) } else { drop(fs::copy(entry.path(), place)) }
    }
}

#[track_caller]
fn fails(said: &Said, code: i32, words: &str) {
    assert_eq!(said.code, code, "{said:?}");
    assert!(said.err.contains(words), "`{words}` is said: {}", said.err);
}

#[test]
fn a_release_is_entered_proved_and_watched_and_every_lie_is_found() {
    let bench = Bench::new();
    let folder = bench.path();
    let call = |line: &str| ampoule_in(folder, line.split(' '));
    for (name, seed) in [("ledger.key", 1), ("one.key", 2), ("two.key", 3)] {
        make_key(folder, name, seed);
    }
    for (version, root) in [("1.0.0", "a"), ("1.0.1", "b"), ("1.0.1", "c")] {
        statement(folder, version, root);
    }
    let made = call("ledger init ledger --name example.com/ledger --key ledger.key --json");
    assert_eq!(made.code, 0, "{made:?}");
    let key = made.json()["key"].as_str().expect("a key").to_owned();
    fails(
        &call("ledger init ledger --name example.com/ledger --key ledger.key"),
        2,
        "there is a log already",
    );

    let policy = |witnesses: &[&Witness]| {
        let mut text = format!("log {key}\n");
        for (index, witness) in witnesses.iter().enumerate() {
            text += &format!("witness w{index} {} {}\n", witness.key, witness.url);
        }
        fs::write(folder.join("policy"), text + "group both 2 w0 w1\nquorum both\n").expect("writes");
    };
    let (one, two) = (witness(folder, "one", &key, true), witness(folder, "two", &key, true));
    policy(&[&one, &two]);

    // Entered once, proved without a network.
    let append = "ledger append ledger 1.0.0-a.json --policy policy --key ledger.key";
    let entered = call(append);
    assert_eq!((entered.code, entered.out.starts_with("entered 1 release\n")), (0, true), "{entered:?}");
    let again = call(append);
    assert!(again.code == 0 && again.out.starts_with("in the ledger already\n"), "{again:?}");
    let verify = "ledger verify lamp_1.0.0.tlog-proof 1.0.0-a.json --policy policy";
    let proved = call(verify);
    assert!(proved.out.contains("acme/lamp 1.0.0 is entry 0 of example.com/ledger"), "{proved:?}");
    assert!(proved.out.contains("co-signed by w0") && proved.out.contains("co-signed by w1"), "{proved:?}");
    let other = "ledger verify lamp_1.0.0.tlog-proof 1.0.1-b.json --policy policy";
    fails(&call(other), 5, "does not have this entry");
    fails(&call("ledger prove ledger 1.0.1-b.json --policy policy"), 5, "is not in the ledger");
    assert_eq!(call("ledger prove ledger 1.0.0-a.json --policy policy --proofs .").code, 0);
    assert_eq!(call("ledger audit ledger --policy policy").code, 0);
    let look = "ledger monitor ledger --policy policy --state seen --known 1.0.0-a.json --known 1.0.1-b.json";
    assert_eq!(call(look).code, 0);
    copy(&folder.join("ledger"), &folder.join("old"));

    // Without a quorum nothing is published; the same command goes on later.
    drop(two);
    let append = "ledger append ledger 1.0.1-b.json --policy policy --key ledger.key";
    fails(&call(append), 4, "too few witnesses");
    fails(&call("ledger prove ledger 1.0.1-b.json --policy policy"), 5, "is not in the ledger");
    let two = witness(folder, "two", &key, false);
    policy(&[&one, &two]);
    let entered = call(append);
    assert!(entered.code == 0 && entered.out.starts_with("in the ledger already\n"), "{entered:?}");
    assert_eq!(call(look).code, 0);

    // A folder that was set back signs nothing, and a monitor that is shown it says so.
    let append = "ledger append old 1.0.1-c.json --policy policy --key ledger.key";
    fails(&call(append), 5, "knows more of this log");
    fails(&call(&look.replacen("ledger --policy", "old --policy", 1)), 5, "went back from 2 to 1");

    // Somebody with the key publishes in the maker's name.
    assert_eq!(call(&append.replacen("old", "ledger", 1)).code, 0);
    let alarmed = call(look);
    fails(&alarmed, 5, "1 entry that should not be there");
    assert!(alarmed.out.contains("alert: entry 2 is a release of `acme/lamp`, version 1.0.1"), "{alarmed:?}");

    // A tile that rots or is changed.
    let tile = folder.join("ledger/tile/0/000.p/3");
    let mut bytes = fs::read(&tile).expect("reads");
    bytes[40] ^= 1;
    fs::write(&tile, bytes).expect("writes");
    fails(&call("ledger audit ledger --policy policy"), 5, "is not the one in its tree");
    fails(&call(append.replacen("old", "ledger", 1).as_str()), 5, "another root");
}
