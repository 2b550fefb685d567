//! `ampoule depot mirror` as people call it, against servers on this machine. Needs no other network.

mod support;

use std::fs;

use depot::serve::{Limits, Server};
use support::signed::{ampoule, signed_depot};
use testkit::Bench;
use testkit::depot::{DepotServer, Fault};

#[test]
fn a_makers_depot_is_followed_and_a_second_run_brings_nothing() {
    let bench = Bench::new();
    signed_depot(&bench);
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(&bench.join("depot"), listen, Limits::default(), |_| ()).expect("starts");
    let mirror = format!("depot mirror {} --into inside --root 1.root.json", server.url());
    let said = ampoule(bench.path(), &format!("{mirror} --dry-run"));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("would bring 3 objects") && said.out.contains("are free there"),
        "{}",
        said.out
    );
    assert!(!bench.join("inside").exists(), "a dry run makes no depot");
    let said = ampoule(bench.path(), &format!("{mirror} --json"));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["new-releases"].as_array().map(Vec::len), Some(1));
    assert_eq!((&said.json()["brought"], &said.json()["logged"]), (&true.into(), &false.into()));
    assert!(said.err.contains("brought 3 objects"), "{}", said.err);
    assert_eq!(ampoule(bench.path(), "depot check inside").code, 0);
    let said = ampoule(bench.path(), &mirror);
    assert_eq!(said.code, 0, "{said:?}");
    for part in
        ["nothing new of ", "1 release was there already", "no `--policy`", "appliances take it until"]
    {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    // What the maker takes out goes, and its space with it.
    let version = said_version(&bench);
    let said = ampoule(bench.path(), &format!("depot remove depot ampoule-examples/lamp {version}"));
    assert_eq!(said.code, 0, "{said:?}");
    let said = ampoule(bench.path(), &mirror);
    assert!(said.code == 0 && said.out.contains(&format!("taken out: {version}")), "{said:?}");
    let said = ampoule(bench.path(), "depot clean inside");
    assert!(said.out.contains("removed 3 objects"), "{said:?}");
}

fn said_version(bench: &Bench) -> String {
    let text =
        fs::read_to_string(bench.join("depot/appliances/ampoule-examples/lamp/stable.json")).expect("reads");
    let index: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    index["releases"][0]["version"].as_str().expect("a version").to_owned()
}

#[test]
fn what_a_server_does_wrong_is_one_clear_error_and_leaves_the_depot_as_it_was() {
    let bench = Bench::new();
    signed_depot(&bench);
    let server = DepotServer::start(&bench.join("depot"));
    let mirror = format!("depot mirror {} --into inside --root 1.root.json", server.local_url());
    // Before there is a depot: none is made.
    for (fault, code, part) in [
        (Fault::Garbage, 5, "is not what marks a depot"),
        (Fault::Circle, 5, "is redirected more than 5 times"),
        (Fault::Endless, 5, "has more than 65536 bytes"),
    ] {
        server.misbehave(fault, "depot.json");
        let said = ampoule(bench.path(), &mirror);
        assert_eq!(said.code, code, "{said:?}");
        for part in [part, "unchanged: no depot was made", "hint: ", &server.local_url()] {
            assert!(said.err.contains(part), "{part}: {}", said.err);
        }
        assert_eq!(said.err.matches("error: ").count(), 1, "{}", said.err);
        assert!(!bench.join("inside").exists());
    }
    server.behave();
    assert_eq!(ampoule(bench.path(), &mirror).code, 0);
    let list = ampoule(bench.path(), "depot list inside").out;
    for (fault, at, code, part) in [
        (Fault::Flipped, "tuf/1.targets.json", 5, "is not the listed file"),
        (Fault::Garbage, "appliances/", 5, "stable.json` can not be used"),
        (Fault::Gone, "tuf/timestamp.json", 4, "does not answer"),
        (Fault::Broken, "depot.json", 4, "is answered with status 500"),
    ] {
        server.misbehave(fault, at);
        let said = ampoule(bench.path(), &mirror);
        assert_eq!(said.code, code, "{said:?}");
        for part in [part, "unchanged: the depot `inside` offers what it offered before", "hint: "] {
            assert!(said.err.contains(part), "{part}: {}", said.err);
        }
        assert_eq!(said.err.matches("error: ").count(), 1, "{}", said.err);
        assert_eq!(ampoule(bench.path(), "depot list inside").out, list);
    }
    server.behave();
    assert_eq!(ampoule(bench.path(), &mirror).code, 0);
}

#[test]
fn how_it_is_called_wrongly_is_told() {
    let bench = Bench::new();
    bench.write("1.root.json", "{}");
    let said = ampoule(bench.path(), "depot mirror http://127.0.0.1:9 --into inside");
    assert!(said.code == 2 && said.err.contains("--root"), "{said:?}");
    let said = ampoule(bench.path(), "depot mirror ftp://x/depot --into inside --root 1.root.json");
    assert!(said.code == 2 && said.err.contains("hint: write it as https://HOST/PATH"), "{said:?}");
    let said = ampoule(bench.path(), "depot mirror https://a:secret@x/ --into inside --root 1.root.json");
    assert!(said.code == 2 && !said.err.contains("secret"), "{said:?}");
    let said = ampoule(bench.path(), "depot mirror absent --into inside --root 1.root.json");
    assert!(said.code == 4 && said.err.contains("`absent/depot.json` is not there"), "{said:?}");
    let said =
        ampoule(bench.path(), "depot mirror https://x/ --into inside --root 1.root.json --ca 1.root.json");
    assert!(said.code == 2 && said.err.contains("there is no certificate in it"), "{said:?}");
    let said = ampoule(bench.path(), "depot mirror x --into inside --root 1.root.json --newest 0");
    assert!(said.code == 2 && said.err.contains("--newest"), "{said:?}");
    assert!(!bench.join("inside").exists());
}
