//! Releases that two of three people sign on machines without a network, as they type it (docs/KEYS.md), and what they are told when it goes
//! wrong.

#[path = "../../../depot/tests/common/mod.rs"]
mod common;
mod devices;
#[path = "../../../image/tests/common/mod.rs"]
mod pieces;
#[path = "../support/mod.rs"]
mod support;
#[path = "../verify/world.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod world;

use std::fs;
use std::path::PathBuf;

use support::{Said, replace};
use world::World;

/// The time that goes with `common::NOW`.
#[allow(dead_code, reason = "the world's own verification is at it")]
const AT: &str = "2023-11-14T22:13:20Z";

/// A maker of three people, two of whom it takes, with a ledger and a depot that has 1.0.0. The root of the world is a stranger's.
struct Group(World);

const PUBLISH: &str = "--ledger ledger --policy ledger.policy --ledger-key keys/ledger.key";

impl Group {
    fn new() -> Self {
        let group = Self(World::new());
        for name in ["anna", "ben", "chris", "online", "ledger"] {
            group.good(&format!("keys new {name} --without-passphrase"));
        }
        let roles =
            ["anna", "ben", "chris"].map(|name| format!("--root keys/{name}.key --targets keys/{name}.key"));
        group.good(&format!(
            "keys root new {} --snapshot keys/online.key --timestamp keys/online.key --threshold root=2 --threshold targets=2",
            roles.join(" ")
        ));
        for name in ["anna", "ben"] {
            group.good(&format!("keys root sign 1.root.json --key keys/{name}.key --yes"));
        }
        let ledger = group.good("ledger init ledger --name example.com/ledger --key keys/ledger.key --json");
        let key = ledger.json()["key"].as_str().expect("a key").to_owned();
        fs::write(group.path("ledger.policy"), format!("log {key}\nquorum none\n")).expect("writes");
        group.0.release("1.0.0", &[]);
        group.0.release("1.0.1", &[]);
        group.good(&format!(
            "release lamp-1.0.0 --depot depot --root 1.root.json --key keys/anna.key --key keys/ben.key --key keys/online.key {PUBLISH}"
        ));
        group
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn say(&self, command: &str) -> Said {
        self.0.ampoule(command)
    }

    #[track_caller]
    fn good(&self, command: &str) -> Said {
        let said = self.say(command);
        assert_eq!(said.code, 0, "{command}: {said:?}");
        said
    }

    /// Refused with this exit code, in these words; nobody's file is changed.
    #[track_caller]
    fn refused(&self, command: &str, code: i32, words: &[&str]) -> Said {
        let before = self.files();
        let said = self.say(command);
        assert_eq!(said.code, code, "{command}: {said:?}");
        assert!(said.out.is_empty() && said.err.matches("error: ").count() == 1, "{said:?}");
        for word in words.iter().chain(&["unchanged: ", "hint: "]) {
            assert!(said.err.contains(word), "`{word}` is said: {}", said.err);
        }
        assert_eq!(self.files(), before, "{command}");
        said
    }

    /// What may not change when something is refused.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let depot = common::files_in(&self.path("depot")).into_iter();
        let ledger = common::files_in(&self.path("ledger")).into_iter();
        let list = self.path("list.json");
        let list = fs::read(&list).ok().map(|bytes| (list, bytes));
        let stays = |path: &PathBuf| !path.ends_with(".lock");
        depot.chain(ledger).chain(list).filter(|(path, _)| stays(path)).collect()
    }

    fn prepare(&self, version: &str) -> Said {
        let _ = fs::remove_file(self.path("list.json"));
        self.good(&format!(
            "release lamp-{version} --depot depot --root 1.root.json --prepare list.json {PUBLISH}"
        ))
    }

    fn sign(&self, name: &str, after: u64, more: &str) -> Said {
        self.good(&Self::signing(name, after, more))
    }

    fn signing(name: &str, after: u64, more: &str) -> String {
        let after = format!("--after depot/tuf/{after}.targets.json");
        format!("keys targets sign list.json --root 1.root.json {after} --key keys/{name}.key --yes{more}")
    }

    fn publishing(version: &str) -> String {
        format!(
            "release lamp-{version} --depot depot --root 1.root.json --key keys/online.key --signed list.json {PUBLISH}"
        )
    }

    fn versions(&self) -> Vec<String> {
        self.0.bench.index().releases.into_iter().map(|release| release.version).collect()
    }
}

#[test]
fn a_release_goes_from_one_signer_to_the_next_and_into_the_depot() {
    let group = Group::new();
    let before = group.files();
    let said = group.prepare("1.0.1");
    assert!(
        said.err.contains("written to list.json, to be signed: `ampoule keys targets sign`"),
        "{}",
        said.err
    );
    let after: Vec<_> = group.files().into_iter().filter(|(path, _)| !path.ends_with("list.json")).collect();
    assert_eq!(after, before, "nothing is published, and nothing entered");

    let show = "keys targets show list.json --root 1.root.json --after depot/tuf/1.targets.json";
    let statement =
        group.good(&format!("{show} --json")).json()["changes"][0]["release"]["statement"].clone();
    let statement = statement.as_str().expect("a digest").to_owned();
    let text = group.good(show).out;
    for part in [
        "list version 2, good until ",
        "changes since list version 1\n  ampoule-examples/lamp stable 1.0.1 is added\n",
        &format!("    statement     {statement}\n"),
        "    root hash     ",
        "    state format  1\n",
        "lists 2 releases\n  ampoule-examples/lamp stable 1.0.0  ",
        "signers: 2 of 3 keys\n",
        "signed: needs 2 more signatures of keys that root version 1 names\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let said = group.sign("chris", 1, " --release lamp-1.0.1");
    assert!(said.out.contains("compared      it is the release in lamp-1.0.1\n"), "{}", said.out);
    assert!(said.out.contains("  signed\n") && said.out.contains("needs 1 more signature"), "{}", said.out);
    group.refused(
        &Group::publishing("1.0.1"),
        2,
        &[
            "`list.json` can not be published",
            "because: signatures are missing: 1 more, of keys that root version 1 names",
            "carry it to more signers",
        ],
    );
    let said = group.sign("ben", 1, " --json");
    assert_eq!(
        (&said.json()["complete"], said.json()["signed-by"].as_array().map(Vec::len)),
        (&true.into(), Some(2))
    );
    let once = fs::read(group.path("list.json")).expect("reads");
    group.good(&Group::publishing("1.0.1"));
    assert_eq!(group.versions(), ["1.0.0", "1.0.1"]);
    group.good("verify depot --root 1.root.json --policy ledger.policy --release 1.0.1");
    assert_eq!(fs::read(group.path("depot/tuf/2.targets.json")).expect("reads"), once);
    // A list that was published can be looked at, too; the same once more is done already.
    group.good(
        "keys targets show depot/tuf/2.targets.json --root 1.root.json --after depot/tuf/1.targets.json",
    );
    group.good("keys targets show depot/tuf/1.targets.json --root 1.root.json");
    assert!(group.good(&Group::publishing("1.0.1")).out.contains("nothing was done"));
}

#[test]
fn the_same_signers_give_the_same_file_in_any_order() {
    let group = Group::new();
    group.prepare("1.0.1");
    let clean = fs::read(group.path("list.json")).expect("reads");
    let signed = [["anna", "chris"], ["chris", "anna"]].map(|names| {
        fs::write(group.path("list.json"), &clean).expect("writes");
        for name in names {
            group.sign(name, 1, "");
        }
        fs::read(group.path("list.json")).expect("reads")
    });
    assert_eq!(signed[0], signed[1]);
}

#[test]
fn who_signs_is_not_led_to_sign_something_else() {
    let group = Group::new();
    group.prepare("1.0.1");
    let sign = |more: &str| Group::signing("ben", 1, more);
    // Without knowing what changes, or asked by nobody.
    let said = group.refused(
        "keys targets sign list.json --root 1.root.json --key keys/ben.key --yes",
        2,
        &["what the list changes is not known", "--after 1.targets.json"],
    );
    assert!(said.err.contains("unchanged: nothing was signed"), "{}", said.err);
    let said = group.say(
        "keys targets sign list.json --root 1.root.json --after depot/tuf/1.targets.json --key keys/ben.key",
    );
    assert!(
        said.code == 2 && said.err.contains("1.0.1 is added") && said.err.contains("nobody is there"),
        "{said:?}"
    );
    let said = group.say(
        "-q keys targets sign list.json --root 1.root.json --after depot/tuf/1.targets.json --key keys/ben.key",
    );
    assert!(said.code == 2 && said.err.contains("1.0.1 is added"), "quiet is not blind: {said:?}");
    // A release that is another one, one that the list says nothing new of, and one that it does not name.
    group.0.release_of("1.0.1", 7, &[]);
    group.refused(
        &sign(" --release lamp-1.0.1"),
        5,
        &[
            "`lamp-1.0.1` is not the release that the list names as ampoule-examples/lamp 1.0.1",
            "because: the list says ",
        ],
    );
    group.refused(&sign(" --release lamp-1.0.0"), 2, &["changes nothing about ampoule-examples/lamp 1.0.0"]);
    group.0.release("1.0.2", &[]);
    group.refused(&sign(" --release lamp-1.0.2"), 2, &["does not name ampoule-examples/lamp 1.0.2"]);
    // A key without a say, a root of somebody else's, and a list before that is not the one.
    group.refused(&Group::signing("online", 1, ""), 2, &["has no say", "`ampoule keys targets show`"]);
    let of = |root: &str, after: &str| {
        format!("keys targets sign list.json --root {root} --after {after} --key keys/ben.key --yes")
    };
    group.refused(
        &of("root.json", "depot/tuf/1.targets.json"),
        5,
        &["`depot/tuf/1.targets.json` is refused"],
    );
    group.refused(
        "keys targets sign list.json --root root.json --key keys/ben.key --yes",
        2,
        &["it was prepared for root version 1 (", "otherwise sign nothing"],
    );
    fs::copy(group.path("list.json"), group.path("unsigned.json")).expect("copies");
    group.refused(&of("1.root.json", "unsigned.json"), 5, &["too few signed it: 0 of the 2"]);
    // A list whose time is over by this machine's clock.
    let clean = fs::read(group.path("list.json")).expect("reads");
    let mut late: serde_json::Value = serde_json::from_slice(&clean).expect("JSON");
    late["signed"]["expires"] = "2001-01-01T00:00:00Z".into();
    fs::write(group.path("list.json"), late.to_string()).expect("writes");
    group.refused(&sign(""), 2, &["the list expired at 2001-01-01T00:00:00Z", "set this machine's clock"]);
    fs::write(group.path("list.json"), clean).expect("writes");
    // A byte that was changed after Anna had signed.
    group.sign("anna", 1, "");
    replace(&group.path("list.json"), "\"state-format\": \"1\"", "\"state-format\": \"2\"");
    group.refused(&sign(""), 5, &["may have been changed after it was signed", "ask who had it last"]);
    group.refused(
        &Group::publishing("1.0.1"),
        5,
        &["`list.json` can not be published", "may have been changed"],
    );
}

#[test]
fn a_list_is_published_for_what_it_was_prepared_for_only() {
    let group = Group::new();
    group.0.release("1.0.2", &[]);
    group.prepare("1.0.1");
    group.refused(
        "release lamp-1.0.1 --depot depot --root 1.root.json --prepare list.json",
        2,
        &["`list.json` exists already", "`--prepare`"],
    );
    group.sign("anna", 1, "");
    group.sign("ben", 1, "");
    group.refused(
        &Group::publishing("1.0.2"),
        5,
        &[
            "it is not what this command asks for: ",
            "`ampoule-examples/lamp/stable/1.0.1.json` is added",
            "the same arguments as with `--prepare`",
        ],
    );
    group.refused(
        &format!("{} --channel beta", Group::publishing("1.0.1")),
        5,
        &["beta/1.0.1.json` is taken away"],
    );
    let remove = "depot remove depot ampoule-examples/lamp 1.0.0 --root 1.root.json --key keys/online.key --signed list.json";
    group.refused(remove, 5, &["it is not what this command asks for"]);
    // Two are prepared, one is published.
    let kept = fs::read(group.path("list.json")).expect("reads");
    group.prepare("1.0.2");
    group.sign("anna", 1, "");
    group.sign("chris", 1, "");
    let overtaking = fs::read(group.path("list.json")).expect("reads");
    fs::write(group.path("list.json"), kept).expect("writes");
    group.good(&Group::publishing("1.0.1"));
    fs::write(group.path("list.json"), overtaking).expect("writes");
    group.refused(
        &Group::publishing("1.0.2"),
        2,
        &[
            "it was prepared over list version 1 (",
            "and here is list version 2 (",
            "hint: somebody published meanwhile: prepare it again",
        ],
    );
    group.refused(&Group::signing("ben", 2, ""), 2, &["let it be prepared again"]);
    group.prepare("1.0.2");
    group.sign("ben", 2, " --release lamp-1.0.2");
    group.sign("chris", 2, "");
    group.good(&Group::publishing("1.0.2"));
    assert_eq!(group.versions(), ["1.0.0", "1.0.1", "1.0.2"]);
    group.refused(
        "release lamp-1.0.2 --depot depot --root 1.root.json --prepare more.json",
        2,
        &["nothing to sign"],
    );
}

#[test]
fn a_release_is_taken_back_by_people_who_are_not_together() {
    let group = Group::new();
    group.prepare("1.0.1");
    group.sign("anna", 1, "");
    group.sign("ben", 1, "");
    group.good(&Group::publishing("1.0.1"));
    fs::remove_file(group.path("list.json")).expect("removes");
    let remove = "depot remove depot ampoule-examples/lamp 1.0.1 --root 1.root.json";
    // The key that is at hand signs at once.
    let said = group.good(&format!("{remove} --key keys/anna.key --prepare list.json --json"));
    let json = said.json();
    assert_eq!(
        (&json["changes"][0]["change"], &json["missing"][0]["needed"]),
        (&"removed".into(), &1.into())
    );
    assert_eq!(group.versions().len(), 2);
    let said = group.sign("chris", 2, "");
    assert!(said.out.contains("ampoule-examples/lamp stable 1.0.1 is taken away\n"), "{}", said.out);
    group.good(&format!("{remove} --key keys/online.key --signed list.json"));
    assert_eq!(group.versions(), ["1.0.0"]);
    group.refused(
        "depot remove depot ampoule-examples/lamp 1.0.1 --root 1.root.json --prepare more.json",
        2,
        &["has no version 1.0.1"],
    );
}

#[test]
fn a_new_root_comes_with_a_list_that_its_own_signers_signed() {
    let group = Group::new();
    let keys = group.good("keys list --json").json();
    let of =
        |name: &str| keys["keys"].as_array().expect("keys").iter().find(|key| key["name"] == name).cloned();
    let ben = of("ben").expect("a key")["id"].as_str().expect("an id").to_owned();
    group.good("keys new dora --without-passphrase");
    group.good(&format!(
        "keys root next 1.root.json --remove root={ben} --remove targets={ben} --add root=keys/dora.key --add targets=keys/dora.key"
    ));
    for name in ["anna", "chris"] {
        group.good(&format!("keys root sign 2.root.json --after 1.root.json --key keys/{name}.key --yes"));
    }
    let follow = "depot follow depot --root 1.root.json --next 2.root.json";
    let said = group.good(&format!("{follow} --prepare list.json"));
    assert!(said.out.contains("none but its version and until when it is good"), "{}", said.out);
    let sign = |name: &str, roots: &str| {
        format!(
            "keys targets sign list.json {roots} --after depot/tuf/1.targets.json --key keys/{name}.key --yes"
        )
    };
    let both = "--root 1.root.json --root 2.root.json";
    group.refused(
        &sign("anna", "--root 1.root.json"),
        2,
        &["it was prepared for root version 2 (", "`--root OLD --root NEW`"],
    );
    // The list before was signed by Anna and by Ben, whose key the new root does not name.
    group.refused(
        &sign("anna", "--root 2.root.json"),
        5,
        &["too few signed it: 1 of the 2", "name that one, too"],
    );
    group.refused(&sign("ben", both), 2, &["has no say"]);
    group.good(&sign("anna", both));
    group.good(&sign("dora", both));
    group.good(&format!("{follow} --key keys/online.key --signed list.json"));
    group.good("depot refresh depot --root 1.root.json --key keys/online.key");
    group.good("verify depot --root 1.root.json --policy ledger.policy --release 1.0.0");
}

#[test]
fn people_are_asked_for_keys_or_for_a_file() {
    let group = Group::new();
    for command in [
        "release lamp-1.0.1 --depot depot --root 1.root.json",
        "release lamp-1.0.1 --depot depot --prepare list.json",
        "release lamp-1.0.1 --depot depot --root 1.root.json --signed list.json",
        "release lamp-1.0.1 --depot depot --root 1.root.json --key keys/online.key --signed a --prepare b",
        "depot follow depot --root 1.root.json --next 2.root.json",
        "depot remove depot ampoule-examples/lamp 1.0.0 --root 1.root.json",
        "keys targets sign list.json --key keys/anna.key",
    ] {
        let said = group.say(command);
        assert_eq!(said.code, 2, "{command}: {said:?}");
    }
    let said = group.say("release lamp-1.0.1 --depot depot --root 1.root.json --key keys/online.key");
    assert!(said.err.contains("`--prepare FILE`"), "{}", said.err);
}
