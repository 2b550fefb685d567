//! Makers whose keys are in devices that have no Ed25519. `openssl` behind a command is the device.

use std::fs;
use std::process::Command;

use super::{Group, PUBLISH, world::World};
use crate::support::Said;

const ROLES: &str = "--root keys/anna.key --root keys/token.key --targets keys/anna.key --targets token.pem \
                     --snapshot keys/online.key --timestamp online.pem --threshold root=2 --threshold targets=2";

#[track_caller]
fn openssl(group: &Group, arguments: &str) {
    let mut command = Command::new("openssl");
    let output = command.args(arguments.split(' ')).current_dir(group.path("")).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A key that `openssl` keeps; its public key is `NAME.pem`.
fn device(group: &Group, name: &str) -> Said {
    openssl(group, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.secret"));
    openssl(group, &format!("pkey -in {name}.secret -pubout -out {name}.pem"));
    let sign = format!("openssl dgst -sha256 -sign {name}.secret");
    group.good(&format!("keys new {name} --public {name}.pem --json -- {sign}"))
}

/// One person, one device that signs with her, and a device on the server.
fn mixed() -> Group {
    let group = Group(World::new());
    for name in ["anna", "ledger"] {
        group.good(&format!("keys new {name} --without-passphrase"));
    }
    for name in ["token", "online"] {
        device(&group, name);
    }
    group
}

/// Refused as a person's mistake, in these words. There is no depot yet.
#[track_caller]
fn mistake(group: &Group, command: &str, words: &[&str]) -> Said {
    let said = group.say(command);
    assert_eq!(said.code, 2, "{command}: {said:?}");
    for word in words {
        assert!(said.err.contains(word), "`{word}` is said: {}", said.err);
    }
    said
}

fn key(name: &str) -> String {
    format!("--key keys/{name}.key")
}

#[test]
fn keys_of_two_kinds_sign_a_root_and_releases_and_appliances_follow() {
    let group = mixed();
    group.good(&format!("keys root new {}", ROLES));
    let once = group.good(&format!("keys root sign 1.root.json {} --yes", key("token")));
    assert!(once.out.contains("signed: needs 1 more signature"), "{}", once.out);
    let twice = group.good(&format!("keys root sign 1.root.json {} --yes", key("token")));
    assert!(twice.out.contains("signed: needs 1 more signature"), "the same key counts once: {}", twice.out);
    let both = group.good(&format!("keys root sign 1.root.json {} --yes", key("anna")));
    assert!(both.out.contains("signed: complete"), "{}", both.out);

    let ledger = group.good("ledger init ledger --name example.com/ledger --key keys/ledger.key --json");
    let line = ledger.json()["key"].as_str().expect("a key").to_owned();
    fs::write(group.path("ledger.policy"), format!("log {line}\nquorum none\n")).expect("writes");
    for version in ["1.0.0", "1.0.1"] {
        group.0.release(version, &[]);
    }
    let keys = [key("anna"), key("token"), key("online")].join(" ");
    group.good(&format!("release lamp-1.0.0 --depot depot --root 1.root.json {keys} {PUBLISH}"));
    let verify = "verify depot --root 1.root.json --policy ledger.policy --release";
    group.good(&format!("{verify} 1.0.0"));

    // People who are not together.
    group.prepare("1.0.1");
    group.sign("token", 1, " --release lamp-1.0.1");
    group.refused(&Group::publishing("1.0.1"), 2, &["signatures are missing: 1 more"]);
    group.sign("anna", 1, "");
    group.good(&Group::publishing("1.0.1"));
    group.good(&format!("{verify} 1.0.1"));
    group.good(&format!("depot refresh depot --root 1.root.json {}", key("online")));
    group.good(&format!("depot remove depot ampoule-examples/lamp 1.0.0 --root 1.root.json {keys}"));

    // Another device takes the place of the first one.
    let id = group.good("keys show keys/token.key --json").json()["id"].as_str().expect("an id").to_owned();
    device(&group, "new");
    let change =
        format!("--remove root={id} --remove targets={id} --add root=keys/new.key --add targets=new.pem");
    let shown = group.good(&format!("keys root next 1.root.json {change}"));
    assert!(shown.out.contains(&format!("root: the key {id} is taken away")), "{}", shown.out);
    for name in ["anna", "token", "new"] {
        group.good(&format!("keys root sign 2.root.json --after 1.root.json {} --yes", key(name)));
    }
    let keys = [key("anna"), key("new"), key("online")].join(" ");
    group.good(&format!("depot follow depot --root 1.root.json --next 2.root.json {keys}"));
    group.good(&format!("{verify} 1.0.1"));
}

#[test]
fn a_key_says_of_which_kind_it_is() {
    let group = mixed();
    let shown = group.good("keys show keys/token.key");
    let pem = fs::read_to_string(group.path("token.pem")).expect("reads");
    assert!(shown.out.contains("kind        ECDSA P-256\n") && shown.out.ends_with(&pem), "{}", shown.out);
    assert!(!shown.out.contains("as officer"), "it signs no notes: {}", shown.out);
    let json = group.good("keys show keys/token.key --json").json();
    assert_eq!((&json["kind"], &json["public"]), (&"ecdsa-p256".into(), &pem.into()));
    assert!(json["verifier"].is_null());
    let json = group.good("keys show keys/anna.key --json").json();
    assert_eq!(json["kind"], "ed25519");
    let listed = group.good("keys list").out;
    assert!(listed.contains("Ed25519") && listed.contains("ECDSA P-256"), "{listed}");
}

#[test]
fn a_key_in_two_spellings_is_one_key() {
    let group = mixed();
    let pem = fs::read_to_string(group.path("token.pem")).expect("reads");
    fs::write(group.path("odd.pem"), pem.trim_end().replace('\n', "\r\n")).expect("writes");
    let roles = "--targets odd.pem --snapshot odd.pem --timestamp odd.pem";
    let said = group.say(&format!(
        "keys root new --root keys/token.key --root token.pem --root odd.pem {roles} --threshold root=2"
    ));
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("the role `root` has fewer keys than it takes: 1 of 2"), "{}", said.err);
}

#[test]
fn a_device_that_signs_something_else_signs_nothing() {
    let group = mixed();
    for (name, command, why) in [
        ("garbage", "echo no signature", "printed no signature"),
        ("stranger", "openssl dgst -sha256 -sign online.secret", "signed with another key than this one"),
        ("other", "openssl dgst -sha256 -sign token.secret token.pem", "or something else"),
        ("mute", "openssl dgst -sha256 -sign nowhere.pem", "failed: exit status: 1"),
    ] {
        group.good(&format!("keys new {name} --public token.pem -- {command}"));
        let _ = fs::remove_file(group.path("1.root.json"));
        group.good(&format!("keys root new {}", ROLES));
        let before = fs::read(group.path("1.root.json")).expect("reads");
        let said = group.say(&format!("keys root sign 1.root.json {} --yes", key(name)));
        assert_eq!(said.code, 4, "{said:?}");
        assert!(said.err.contains(why) && said.err.contains("unchanged: nothing was signed"), "{}", said.err);
        assert_eq!(fs::read(group.path("1.root.json")).expect("reads"), before);
    }
}

#[test]
fn a_key_of_a_role_signs_no_note() {
    let group = mixed();
    let nothing = "0".repeat(64);
    for command in [
        "ledger init ledger --name example.com/ledger".to_owned(),
        "ledger witness witness --name example.com/witness --ledger x --listen 127.0.0.1:0".to_owned(),
        format!("approve {nothing} --reason none --output note"),
    ] {
        let command = format!("{command} {}", key("token"));
        mistake(
            &group,
            &command,
            &[
                "key file `keys/token.key` has an ECDSA P-256 key, which signs for the roles only",
                "unchanged: nothing was signed",
                "hint: make an Ed25519 key for it: `ampoule keys new NAME`",
            ],
        );
    }
    assert!(!group.path("ledger").exists() && !group.path("note").exists());
}

#[test]
fn another_key_is_told_for_what_it_is_and_makes_no_file() {
    let group = mixed();
    for (kind, why) in [
        ("ec -pkeyopt ec_paramgen_curve:P-384", "has a key of another curve than P-256"),
        ("ed25519", "has an Ed25519 key, which is given as 64 hexadecimal digits"),
        ("rsa -pkeyopt rsa_keygen_bits:2048", "has an RSA key, and ECDSA on P-256 is wanted"),
    ] {
        openssl(&group, &format!("genpkey -algorithm {kind} -out wrong.secret"));
        openssl(&group, "pkey -in wrong.secret -pubout -out wrong.pem");
        let refused = |file: &str, why: &str| {
            let command = format!("keys new wrong --public {file} -- true");
            let said = mistake(&group, &command, &[why, "unchanged: no key was made", "hint: "]);
            assert!(said.err.contains(&format!("key file `{file}` ")), "{}", said.err);
            assert!(!group.path("keys/wrong.key").exists());
        };
        refused("wrong.pem", why);
        refused("wrong.secret", "has a secret key, and the public one is wanted");
    }
    mistake(&group, "keys new wrong --public 6e7a -- true", &["64 hexadecimal digits of an Ed25519 key"]);
    fs::write(group.path("garbage"), "garbage").expect("writes");
    let garbage = "keys new wrong --public garbage -- true";
    mistake(&group, garbage, &["key file `garbage` can not be understood", "unchanged: no key was made"]);
}
