//! Delegations: their order, their ends, their names.

use keys::Sign as _;
use tuf::metadata::{Delegation, TargetFile, Targets};
use tuf::repository::Unsigned;
use tuf::{Attack, RoleName};

use crate::bench::{BANK, Bench, Server, bank, key, path, signed_targets};

fn role(name: &str) -> RoleName {
    RoleName::delegated(name).expect("a name")
}

fn delegation(name: &str, terminating: bool, pattern: &str) -> Delegation {
    Delegation { terminating, ..Delegation::terminating(role(name), 1, [pattern]) }
}

/// A repository of delegations `(from, to, terminating, pattern)`, all with the same key, and of roles that list `evil/tool`.
fn graph(edges: &[(&str, &str, bool, &str)], listing: &[&str]) -> Bench {
    let mut bench = Bench::new();
    let mut documents: Vec<(String, Targets)> = Vec::new();
    for (from, to, terminating, pattern) in edges {
        for name in [from, to] {
            if !documents.iter().any(|(known, _)| known == name) {
                documents.push(((*name).to_owned(), Targets::new(bench.now.plus_days(9))));
            }
        }
        let document = documents.iter_mut().find(|(name, _)| name == from).expect("is there");
        let next = document.1.clone();
        document.1 = next.with_delegation(delegation(to, *terminating, pattern), &[key(4).public()]);
    }
    for (name, document) in &mut documents {
        if listing.contains(&name.as_str()) {
            *document = document.clone().with_target(&path("evil/tool"), TargetFile::of(name.as_bytes()));
        }
    }
    let root = bench.repository.root().clone();
    let mut changes = Vec::new();
    for (name, document) in &documents {
        if name == "targets" {
            changes.push((RoleName::targets(), signed_targets(&root, document.clone())));
        } else {
            let (_, from) = documents
                .iter()
                .find(|(_, from)| tuf::Authority::delegated(from, "x", name).is_some())
                .expect("somebody delegates to it");
            let signed = Unsigned::delegated(from, "x", name, document.clone()).expect("is delegated to");
            changes.push((role(name), signed.sign_by(&[&key(4)]).expect("signs")));
        }
    }
    let first = bench.repository.root().clone();
    let first = Unsigned::root(None, first).expect("follows").sign_by(&[&key(0)]).expect("signs");
    bench.repository = tuf::repository::Repository::new(first);
    bench.server = Server::default();
    bench.publish(vec![], changes, 2, 3);
    bench.update().expect("updates");
    bench.server.asked.clear();
    bench
}

/// The delegated documents that were asked for, in order.
fn asked(bench: &Bench) -> Vec<&str> {
    let names = bench.server.asked.iter().filter_map(|name| name.strip_prefix("1.")?.strip_suffix(".json"));
    names.filter(|name| !["root", "targets", "snapshot"].contains(name)).collect()
}

#[test]
fn roles_are_asked_depth_first_in_their_order() {
    let edges = [
        ("targets", "a", false, "*/*"),
        ("targets", "b", false, "*/*"),
        ("a", "c", false, "*/*"),
        ("a", "d", false, "*/*"),
    ];
    let mut bench = graph(&edges, &[]);
    bench.find("evil/tool").expect_err("nobody lists it");
    assert_eq!(asked(&bench), ["a", "c", "d", "b"]);
}

/// Found in another client: what came after a terminating delegation was asked all the same.
#[test]
fn nobody_after_a_terminating_delegation_is_asked() {
    let edges = [
        ("targets", "a", false, "*/*"),
        ("targets", "b", false, "*/*"),
        ("a", "c", true, "*/*"),
        ("a", "d", false, "*/*"),
    ];
    let mut bench = graph(&edges, &["b", "d"]);
    let said = bench.search_refusal("evil/tool", &["targets.json"]);
    assert!(said.contains("is listed by no role that may list it"), "{said}");
    assert_eq!(asked(&bench), ["a", "c"]);
}

#[test]
fn a_path_has_to_fit_every_delegation_on_the_way() {
    let edges =
        [("targets", "a", false, "evil/*.txt"), ("a", "c", false, "*/*"), ("targets", "b", false, "*/*")];
    let mut bench = graph(&edges, &["c"]);
    bench.find("evil/tool").expect_err("nobody may list it");
    assert_eq!(asked(&bench), ["b"]);
}

#[test]
fn the_first_role_that_lists_it_is_believed() {
    let edges = [("targets", "a", false, "*/*"), ("targets", "b", false, "*/*")];
    let found = graph(&edges, &["a", "b"]).find("evil/tool").expect("finds");
    assert_eq!(found.role.as_str(), "a");
}

#[test]
fn a_circle_of_delegations_ends() {
    let edges = [("targets", "a", false, "*/*"), ("a", "b", false, "*/*"), ("b", "a", false, "*/*")];
    let mut bench = graph(&edges, &[]);
    bench.find("evil/tool").expect_err("nobody lists it");
    assert_eq!(asked(&bench), ["a", "b"]);
}

#[test]
fn endless_delegations_end_at_a_limit() {
    let names: Vec<String> = (0..40).map(|number| format!("role{number}")).collect();
    let edges: Vec<_> = names.iter().map(|name| ("targets", name.as_str(), false, "*/*")).collect();
    let mut bench = graph(&edges, &["role39"]);
    let error = bench.find("evil/tool").expect_err("is refused");
    assert_eq!(error.attack(), Some(Attack::EndlessData));
    assert!(
        error.to_string().contains("more than 32 roles would have to be asked about `evil/tool`"),
        "{error}"
    );
}

#[test]
fn a_delegated_role_that_the_snapshot_does_not_list_is_refused() {
    let mut bench = Bench::new();
    bench.forge("1.snapshot.json", &[2], |signed| {
        signed["meta"].as_object_mut().expect("an object").remove("acme.bank.json");
    });
    bench.list("1.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.search_refusal(BANK, &[]);
    assert!(said.contains("the role is delegated to, and the snapshot does not list it"), "{said}");
    assert!(!bench.server.asked.iter().any(|name| name.contains("bank")), "it was not even asked for");
}

#[test]
fn a_delegated_role_called_like_a_top_level_one_is_refused() {
    // Its document would be stored as the trusted root.
    let mut bench = Bench::new();
    bench.forge("1.targets.json", &[1], |signed| signed["delegations"]["roles"][0]["name"] = "root".into());
    bench.list("1.targets.json", "targets.json", "1.snapshot.json", &[2]);
    bench.forge("1.snapshot.json", &[2], |signed| signed["version"] = 1.into());
    bench.list("1.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.refusal(&["root.json", "targets.json"]);
    assert!(said.contains("a delegated role is called `root`, which is a top-level role's name"), "{said}");
}

#[test]
fn a_stored_document_is_judged_by_who_delegates_now() {
    // Two roles delegate to a third, each with its own key; it is signed for one of them only.
    let mut bench = graph(&[("targets", "a", false, "a/*"), ("targets", "b", false, "b/*")], &[]);
    let expires = bench.now.plus_days(9);
    let of = |key_number: u8, pattern: &str| {
        Targets::new(expires)
            .with_delegation(delegation("shared", false, pattern), &[key(key_number).public()])
    };
    let (a, b) = (of(6, "a/*"), of(7, "b/*"));
    let shared = Targets::new(expires)
        .with_target(&path("a/tool"), TargetFile::of(b"a"))
        .with_target(&path("b/tool"), TargetFile::of(b"b"));
    let shared = Unsigned::delegated(&a, "a", "shared", shared).expect("is delegated to");
    let shared = shared.sign_by(&[&key(6)]).expect("signs");
    let from = bench.repository.targets(&RoleName::targets()).expect("targets").clone();
    let sign = |name: &str, document: Targets| {
        let document = Targets { version: 2, ..document };
        let unsigned = Unsigned::delegated(&from, "targets", name, document).expect("is delegated to");
        (role(name), unsigned.sign_by(&[&key(4)]).expect("signs"))
    };
    bench.publish(vec![], vec![sign("a", a), sign("b", b), (role("shared"), shared)], 2, 3);
    bench.find("a/tool").expect("its delegator trusts this key");
    let said = bench.search_refusal("b/tool", &["shared.json"]);
    assert!(
        said.contains("too few signed it: 0 of the 1 that it takes, among the keys that `b` version 2 names"),
        "{said}"
    );
}

#[test]
fn a_delegation_that_was_taken_back_is_not_followed() {
    let mut bench = Bench::updated();
    let next = bench.repository.targets(&RoleName::targets()).expect("targets").next(bench.now.plus_days(9));
    let next = signed_targets(bench.repository.root(), next.without_delegation(&bank()));
    bench.publish(vec![], vec![(RoleName::targets(), next)], 2, 3);
    let said = bench.search_refusal(BANK, &[]);
    assert!(said.contains("is listed by no role that may list it"), "{said}");
    // The maker's next publications still list what clients have seen.
    let trusted = bench.store["root.json"].clone();
    bench.repository = tuf::repository::Repository::read(&bench.server.files, &trusted).expect("reads");
    bench.publish_targets();
    bench.update().expect("no role went away");
}
