//! A maker's side: several signers one after another, and what is published in which order.

use std::collections::BTreeMap;

use keys::role::RoleSign;
use keys::{PublicKey, SecretKey, Sign, SignError, Signature};
use tuf::client::{trust_root, update};
use tuf::metadata::{Delegation, Root, TargetFile, Targets, TopRole};
use tuf::repository::{
    Basis, Changes, Complete, Freshness, Partial, Publication, PublishError, Repository, RootChange,
    SigningError, Stage, TargetsChange, Unsigned, root_changes, targets_changes,
};
use tuf::{Authority, Key, Limits, RoleName, TargetPath, Time};

/// 2026-11-26.
const NOW: Time = Time(1_795_694_400);

type Files = BTreeMap<String, Vec<u8>>;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number + 1; 32])
}

/// Root and targets: two of the keys 0, 1, 2. Snapshot: 3. Timestamp: 4.
fn shared_root() -> Root {
    let shared = [TopRole::Root, TopRole::Targets];
    let root = Root::new(NOW.plus_days(365))
        .with_key(TopRole::Snapshot, key(3).public())
        .with_key(TopRole::Timestamp, key(4).public());
    shared.into_iter().fold(root, |root, role| {
        let root = (0..3).fold(root, |root, number| root.with_key(role, key(number).public()));
        root.with_threshold(role, 2)
    })
}

fn signed_root() -> Complete<Root> {
    Unsigned::root(None, shared_root()).expect("follows").sign_by(&[&key(0), &key(1)]).expect("signs")
}

fn targets_of(root: &Root, targets: Targets) -> Complete<Targets> {
    Unsigned::top_level(root, targets).sign_by(&[&key(0), &key(2)]).expect("signs")
}

fn renewed(
    repository: Repository,
    changes: Changes,
    renew_snapshot: bool,
) -> Result<(Repository, Publication), PublishError> {
    let freshness = Freshness {
        snapshot: &[&key(3)],
        timestamp: &[&key(4)],
        snapshot_expires: NOW.plus_days(7),
        timestamp_expires: NOW.plus_days(1),
        renew_snapshot,
    };
    repository.renew(changes, freshness)
}

/// A repository that was published once.
fn published() -> (Repository, Files) {
    let root = signed_root();
    let targets = targets_of(root.body(), Targets::new(NOW.plus_days(90)));
    let changes = Changes { roots: vec![], targets: vec![(RoleName::targets(), targets)] };
    let (repository, publication) = renewed(Repository::new(root), changes, false).expect("renews");
    let mut files = Files::new();
    publication.write(&mut files).expect("writes");
    (repository, files)
}

fn next_targets(repository: &Repository) -> Changes {
    let targets = repository.targets(&RoleName::targets()).expect("targets").next(NOW.plus_days(90));
    let path = TargetPath::new("a").expect("a path");
    let targets = targets.with_target(&path, TargetFile::of(b"a"));
    let targets = targets_of(repository.root(), targets);
    Changes { roots: vec![], targets: vec![(RoleName::targets(), targets)] }
}

/// What a client that begins with the first root sees.
fn client_sees(files: &Files) -> Result<u64, tuf::Error> {
    let mut store = Files::new();
    trust_root(&mut store, signed_root().bytes())?;
    let mut server = files.clone();
    update(&mut store, &mut server, Limits::DEFAULT, NOW).map(|updated| updated.targets().version)
}

#[test]
fn two_people_sign_a_root_on_two_machines() {
    let unsigned = Unsigned::root(None, shared_root()).expect("follows");
    let carried = unsigned.into_partial().bytes().to_vec();

    let Stage::Partial(partial) = Partial::read_root(&carried, None).expect("reads") else {
        panic!("nobody signed yet");
    };
    assert_eq!(partial.body(), &shared_root());
    let Stage::Partial(partial) = partial.sign(&key(0)).expect("signs") else {
        panic!("one signature is not enough");
    };
    let missing = partial.missing();
    assert_eq!((missing[0].by.as_str(), missing[0].needed, missing[0].keys.len()), ("root version 1", 1, 2));

    let Stage::Partial(partial) = Partial::read_root(partial.bytes(), None).expect("reads") else {
        panic!("one signature is not enough");
    };
    // Signing once more with the same key is no second signature.
    let Stage::Partial(partial) = partial.sign(&key(0)).expect("signs") else {
        panic!("a key counts once");
    };
    let complete = partial.sign(&key(2)).expect("signs").complete().expect("two signatures");
    assert!(trust_root(&mut Files::new(), complete.bytes()).is_ok());
}

#[test]
fn the_same_signers_give_the_same_bytes_in_any_order() {
    let sign = |signers: &[&dyn RoleSign]| {
        let unsigned = Unsigned::root(None, shared_root()).expect("follows");
        unsigned.sign_by(signers).expect("signs").bytes().to_vec()
    };
    assert_eq!(sign(&[&key(0), &key(1)]), sign(&[&key(1), &key(0)]));
}

#[test]
fn an_incomplete_document_says_whose_signatures_are_needed() {
    let unsigned = Unsigned::root(None, shared_root()).expect("follows");
    let error = unsigned.sign_by(&[&key(0)]).expect_err("is incomplete");
    assert_eq!(error.to_string(), "signatures are missing: 1 more, of keys that root version 1 names");
}

#[test]
fn a_document_that_was_changed_on_its_way_is_found_out_by_the_next_signer() {
    let unsigned = Unsigned::root(None, shared_root()).expect("follows");
    let stage = unsigned.sign(&key(0)).expect("signs");
    let text = String::from_utf8(stage.bytes().to_vec()).expect("text");
    let changed = text.replace("2027-11-26", "2036-11-26");
    assert_ne!(text, changed);
    let error = Partial::read_root(changed.as_bytes(), None).expect_err("is refused");
    assert!(matches!(error, SigningError::StraySignature { .. }), "{error}");
}

#[test]
fn a_key_without_a_say_does_not_sign() {
    let unsigned = Unsigned::root(None, shared_root()).expect("follows");
    let error = unsigned.sign(&key(4)).expect_err("is refused");
    let id = Key::of(key(4).public()).id();
    assert_eq!(error.to_string(), format!("the key {id} has no say in this document"));
}

#[test]
fn what_a_signer_returns_is_verified_before_it_is_believed() {
    struct Broken(PublicKey);
    impl Sign for Broken {
        fn public(&self) -> PublicKey {
            self.0
        }
        fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
            key(9).sign(b"something else")
        }
    }
    let unsigned = Unsigned::root(None, shared_root()).expect("follows");
    let error = unsigned.sign(&Broken(key(0).public())).expect_err("is refused");
    assert!(matches!(error, SigningError::WrongSignature { .. }), "{error}");
}

#[test]
fn a_root_that_nobody_could_follow_is_not_made() {
    let alone = Root::new(NOW).with_key(TopRole::Root, key(0).public());
    let error = Unsigned::root(None, alone).expect_err("is refused");
    assert_eq!(error.to_string(), "the role `targets` has fewer keys than it takes: 0 of 1");
    let error = Unsigned::root(None, shared_root().with_threshold(TopRole::Root, 4)).expect_err("is refused");
    assert_eq!(error.to_string(), "the role `root` has fewer keys than it takes: 3 of 4");
    let error = Unsigned::root(None, shared_root().next(NOW)).expect_err("is refused");
    assert_eq!(error.to_string(), "a root of version 2 does not follow one of version 0");
}

#[test]
fn a_new_root_needs_the_old_keys_and_the_new_ones_and_says_what_it_changes() {
    let before = shared_root();
    let [lost, new] = [key(0), key(6)].map(|key| key.public());
    let lost = Key::of(lost).id();
    let after =
        before.next(NOW.plus_days(400)).without_key(TopRole::Root, &lost).with_key(TopRole::Root, new);
    let changes = root_changes(Some(&before), &after);
    assert_eq!(
        changes,
        [
            RootChange::KeyRemoved { role: TopRole::Root, key: lost.clone() },
            RootChange::KeyAdded { role: TopRole::Root, key: Key::of(new).id() },
            RootChange::Expires { from: before.expires, to: after.expires },
        ]
    );
    assert_eq!(changes[0].to_string(), format!("root: the key {lost} is taken away"));
    let stage = Unsigned::root(Some(&before), after).expect("follows").sign(&key(6)).expect("signs");
    let Stage::Partial(partial) = stage else { panic!("the old keys did not sign") };
    let missing: Vec<_> =
        partial.missing().iter().map(|missing| (missing.by.clone(), missing.needed)).collect();
    assert_eq!(missing, [("root version 1".to_owned(), 2), ("root version 2".to_owned(), 1)]);
    let Stage::Partial(partial) = partial.sign(&key(1)).expect("signs") else {
        panic!("one old key is not enough")
    };
    partial.sign(&key(2)).expect("signs").complete().expect("two old keys, three new ones");
}

#[test]
fn a_publication_appears_at_once() {
    let (repository, mut files) = published();
    assert_eq!(client_sees(&files).expect("updates"), 1);
    let (_, publication) = renewed(repository.clone(), next_targets(&repository), false).expect("renews");
    let names: Vec<&str> = publication.files().map(|(name, _)| name).collect();
    assert_eq!(names, ["2.targets.json", "2.snapshot.json", "timestamp.json"]);
    // A crash after each file but the last leaves what was there.
    for (name, bytes) in publication.files() {
        assert_eq!(client_sees(&files).expect("updates"), 1, "before {name}");
        files.insert(name.to_owned(), bytes.to_vec());
    }
    assert_eq!(client_sees(&files).expect("updates"), 2);
}

#[test]
fn a_published_version_never_changes() {
    let (repository, mut files) = published();
    let (_, first) = renewed(repository.clone(), next_targets(&repository), false).expect("renews");
    first.write(&mut files).expect("writes");
    first.write(&mut files).expect("the same again is no change");
    let other = repository.targets(&RoleName::targets()).expect("targets").next(NOW.plus_days(30));
    let other = targets_of(repository.root(), other);
    let changes = Changes { roots: vec![], targets: vec![(RoleName::targets(), other)] };
    let (_, second) = renewed(repository, changes, false).expect("renews");
    let before = files.clone();
    let error = second.write(&mut files).expect_err("is refused");
    assert_eq!(
        error.to_string(),
        "`2.targets.json` exists already with other content: a published version never changes"
    );
    assert_eq!(files, before);
}

#[test]
fn freshness_is_renewed_without_any_offline_key() {
    let (repository, mut files) = published();
    let trusted = signed_root();
    let repository_read = Repository::read(&files, trusted.bytes()).expect("reads");
    assert_eq!(repository_read.root(), repository.root());
    let (repository, publication) = renewed(repository_read, Changes::default(), false).expect("renews");
    assert_eq!(publication.files().map(|(name, _)| name).collect::<Vec<_>>(), ["timestamp.json"]);
    publication.write(&mut files).expect("writes");
    let (_, publication) = renewed(repository, Changes::default(), true).expect("renews");
    let names: Vec<&str> = publication.files().map(|(name, _)| name).collect();
    assert_eq!(names, ["2.snapshot.json", "timestamp.json"]);
    publication.write(&mut files).expect("writes");
    assert_eq!(client_sees(&files).expect("updates"), 1);
}

#[test]
fn a_root_that_changes_a_roles_keys_comes_with_that_roles_document_signed_again() {
    let (repository, mut files) = published();
    let root = repository.root();
    let id = Key::of(key(2).public()).id();
    let next = root.next(root.expires).without_key(TopRole::Targets, &id);
    let next =
        Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0), &key(1)]).expect("signs");
    let only = Changes { roots: vec![next.clone()], targets: vec![] };
    let error = renewed(repository.clone(), only, false).expect_err("is refused");
    assert_eq!(error.to_string(), "`targets` has to be signed again: its keys changed");

    let targets = repository.targets(&RoleName::targets()).expect("targets").next(NOW.plus_days(90));
    let targets = Unsigned::top_level(next.body(), targets).sign_by(&[&key(0), &key(1)]).expect("signs");
    let both = Changes { roots: vec![next], targets: vec![(RoleName::targets(), targets)] };
    let (_, publication) = renewed(repository, both, false).expect("renews");
    let names: Vec<&str> = publication.files().map(|(name, _)| name).collect();
    assert_eq!(names, ["2.targets.json", "2.snapshot.json", "2.root.json", "timestamp.json"]);
    publication.write(&mut files).expect("writes");
    assert_eq!(client_sees(&files).expect("updates"), 2);
}

#[test]
fn versions_count_up_by_one() {
    let (repository, _) = published();
    let targets = Targets { version: 7, ..Targets::new(NOW.plus_days(9)) };
    let targets = targets_of(repository.root(), targets);
    let changes = Changes { roots: vec![], targets: vec![(RoleName::targets(), targets)] };
    let error = renewed(repository, changes, false).expect_err("is refused");
    assert_eq!(error.to_string(), "`targets.json` has version 7, and 2 comes next");
}

#[test]
fn a_role_that_no_server_of_files_could_serve_is_not_published() {
    let (repository, _) = published();
    let role = RoleName::delegated("acme/shop").expect("a name");
    let delegation = Delegation::terminating(role.clone(), 1, ["acme/shop/*/*"]);
    let targets = repository.targets(&RoleName::targets()).expect("targets").next(NOW.plus_days(9));
    let targets = targets.with_delegation(delegation, &[key(5).public()]);
    let shop = Unsigned::delegated(&targets, "targets", "acme/shop", Targets::new(NOW.plus_days(9)));
    let shop = shop.expect("is delegated to").sign_by(&[&key(5)]).expect("signs");
    let targets = targets_of(repository.root(), targets);
    let changes = Changes { roots: vec![], targets: vec![(RoleName::targets(), targets), (role, shop)] };
    let error = renewed(repository, changes, false).expect_err("is refused");
    assert!(error.to_string().starts_with("the role `acme/shop` can not be published"), "{error}");
}

#[test]
fn online_keys_that_the_root_does_not_name_publish_nothing() {
    let (repository, _) = published();
    let freshness = Freshness {
        snapshot: &[],
        timestamp: &[&key(3)],
        snapshot_expires: NOW.plus_days(7),
        timestamp_expires: NOW.plus_days(1),
        renew_snapshot: false,
    };
    let error = repository.renew(Changes::default(), freshness).expect_err("is refused");
    assert_eq!(error.to_string(), "the timestamp can not be signed");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert!(cause.to_string().contains("has no say in this document"));
}

#[test]
fn a_folder_with_a_forged_document_is_not_gone_on_with() {
    let (_, mut files) = published();
    let trusted = signed_root();
    let text = String::from_utf8(files["1.targets.json"].clone()).expect("text");
    files.insert("1.targets.json".to_owned(), text.replace("2027", "2028").into());
    let error = Repository::read(&files, trusted.bytes()).expect_err("is refused");
    assert!(
        error.to_string().starts_with("`1.targets.json` is refused: too few signed it: 0 of the 2"),
        "{error}"
    );
}

#[test]
fn a_person_alone_can_be_a_maker() {
    // One offline key for root and targets, one online key for snapshot and timestamp.
    let root = Root::new(NOW.plus_days(365));
    let root =
        [TopRole::Root, TopRole::Targets].into_iter().fold(root, |r, role| r.with_key(role, key(0).public()));
    let root = [TopRole::Snapshot, TopRole::Timestamp]
        .into_iter()
        .fold(root, |r, role| r.with_key(role, key(3).public()));
    let root = Unsigned::root(None, root).expect("follows").sign_by(&[&key(0)]).expect("signs");
    let shop = RoleName::delegated("acme.shop").expect("a name");
    let delegation = Delegation::terminating(shop.clone(), 1, ["acme/shop/*/*"]);
    let targets = Targets::new(NOW.plus_days(90)).with_delegation(delegation, &[key(5).public()]);
    let path = TargetPath::new("acme/shop/1.0/statement.json").expect("a path");
    let listed = Targets::new(NOW.plus_days(90)).with_target(&path, TargetFile::of(b"statement"));
    let listed = Unsigned::delegated(&targets, "targets", shop.as_str(), listed).expect("is delegated to");
    let listed = listed.sign_by(&[&key(5)]).expect("signs");
    let targets = Unsigned::top_level(root.body(), targets).sign_by(&[&key(0)]).expect("signs");
    let changes =
        Changes { roots: vec![], targets: vec![(RoleName::targets(), targets), (shop.clone(), listed)] };
    let freshness = Freshness {
        snapshot: &[&key(3)],
        timestamp: &[&key(3)],
        snapshot_expires: NOW.plus_days(7),
        timestamp_expires: NOW.plus_days(1),
        renew_snapshot: false,
    };
    let (repository, publication) = Repository::new(root.clone()).renew(changes, freshness).expect("renews");
    assert!(repository.authority(&shop).is_some());
    let (mut files, mut store) = (Files::new(), Files::new());
    publication.write(&mut files).expect("writes");
    trust_root(&mut store, root.bytes()).expect("is signed");
    let mut updated = update(&mut store, &mut files, Limits::DEFAULT, NOW).expect("updates");
    assert_eq!(updated.find(&path).expect("finds").role, shop);
    assert_eq!(updated.fresh_until(), NOW.plus_days(1));
    assert!(Authority::delegated(updated.targets(), "targets", "acme.bank").is_none());
}

/// The list that follows, as it is carried to its signers.
fn carried(repository: &Repository) -> Vec<u8> {
    let before = repository.signed_targets(&RoleName::targets()).expect("a list");
    let targets = before.body().next(NOW.plus_days(90));
    let targets = targets.with_target(&TargetPath::new("a").expect("a path"), TargetFile::of(b"a"));
    Unsigned::carried(repository.signed_root(), Some(before), targets).into_partial().bytes().to_vec()
}

#[test]
fn a_list_goes_from_one_signer_to_the_next_in_any_order() {
    let (repository, _) = published();
    let root = repository.signed_root();
    let signed = |signers: [u8; 2]| {
        signers.into_iter().fold(carried(&repository), |bytes, number| {
            let (stage, _) = Partial::read_carried(&bytes, root).expect("reads");
            stage.sign(&key(number)).expect("signs").bytes().to_vec()
        })
    };
    assert_eq!(signed([0, 2]), signed([2, 0]));
    let (stage, basis) = Partial::read_carried(&signed([0, 2]), root).expect("reads");
    assert_eq!(stage.signed_by().len(), 2);
    basis.check_before(repository.signed_targets(&RoleName::targets())).expect("the list before it");
    let targets = vec![(RoleName::targets(), stage.complete().expect("complete"))];
    let (repository, _) =
        renewed(repository, Changes { roots: vec![], targets }, false).expect("is published");
    assert_eq!(repository.targets(&RoleName::targets()).expect("targets").version, 2);
}

#[test]
fn a_list_is_signed_and_published_over_the_root_and_the_list_that_it_was_prepared_over_only() {
    let (repository, _) = published();
    let bytes = carried(&repository);
    // Of the same keys and thresholds, and yet another root.
    let other = Root { expires: NOW.plus_days(9), ..shared_root() };
    let other = Unsigned::root(None, other).expect("follows").sign_by(&[&key(0), &key(1)]).expect("signs");
    let error = Partial::read_carried(&bytes, &other).expect_err("is refused");
    assert!(matches!(error, SigningError::OtherRoot { .. }), "{error}");
    assert!(error.to_string().starts_with("it was prepared for root version 1 ("), "{error}");
    let (_, basis) = Partial::read_carried(&bytes, repository.signed_root()).expect("reads");
    let error = basis.check_before(None).expect_err("is refused");
    assert!(error.to_string().ends_with("and here is no list"), "{error}");
    // One signature more makes no other list and no other root of it.
    let more = |bytes: &[u8]| Complete::trusted(bytes).expect("a root").sign(&key(2)).expect("signs");
    let root = more(repository.signed_root().bytes());
    assert_ne!(root.bytes(), repository.signed_root().bytes());
    let (stage, _) = Partial::read_carried(&bytes, &root).expect("reads");
    assert_eq!(stage.body().version, 2);
    let plain = targets_of(repository.root(), Targets::new(NOW));
    let error = Partial::read_carried(plain.bytes(), repository.signed_root()).expect_err("is refused");
    assert!(matches!(error, SigningError::NoBasis), "{error}");
}

#[test]
fn what_a_list_was_prepared_over_is_not_said_by_the_one_after_it() {
    let (repository, _) = published();
    let (stage, _) = Partial::read_carried(&carried(&repository), repository.signed_root()).expect("reads");
    assert!(Basis::of(stage.body()).is_some());
    assert_eq!(Basis::of(&stage.body().next(NOW)), None);
}

#[test]
fn a_run_that_breaks_off_anywhere_is_followed_by_one_that_does_not() {
    let (repository, before) = published();
    let changes = next_targets(&repository);
    let (_, publication) = renewed(repository, changes.clone(), false).expect("renews");
    let names: Vec<&str> = publication.files().map(|(name, _)| name).collect();
    assert_eq!(names, ["2.targets.json", "2.snapshot.json", "timestamp.json"]);
    for written in 0..names.len() {
        let mut left = before.clone();
        left.extend(publication.files().take(written).map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
        // The same document once more, and another one.
        let repository = Repository::read(&left, signed_root().bytes()).expect("reads");
        let other = repository.targets(&RoleName::targets()).expect("targets").next(NOW.plus_days(80));
        let other = Targets { version: repository.next_version(&RoleName::targets()), ..other };
        let other = vec![(RoleName::targets(), targets_of(repository.root(), other))];
        for changes in [changes.clone(), Changes { roots: vec![], targets: other }] {
            let freshness = Freshness {
                snapshot: &[&key(3)],
                timestamp: &[&key(4)],
                // A little later.
                snapshot_expires: NOW.plus_days(8),
                timestamp_expires: NOW.plus_days(2),
                renew_snapshot: false,
            };
            let (_, publication) = repository.clone().renew(changes, freshness).expect("renews");
            let mut files = left.clone();
            publication.write(&mut files).expect("writes");
            assert!(client_sees(&files).expect("updates") >= 2);
        }
    }
}

#[test]
fn a_root_that_a_broken_run_left_alone_does_not_lock_its_maker_out() {
    let (repository, before) = published();
    // Other keys for everything but roots: nothing that is there is signed with them.
    let root = repository.root();
    let mut next = root.next(root.expires).without_key(TopRole::Targets, &Key::of(key(2).public()).id());
    for role in [TopRole::Snapshot, TopRole::Timestamp] {
        let old = next.role(role).keyids[0].clone();
        next = next.with_key(role, key(7).public()).without_key(role, &old);
    }
    let next =
        Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0), &key(1)]).expect("signs");
    let mut files = before;
    files.insert("2.root.json".to_owned(), next.bytes().to_vec());
    assert!(client_sees(&files).is_err());
    let repository = Repository::read(&files, signed_root().bytes()).expect("reads");
    assert_eq!(repository.root().version, 2);
    let online = key(7);
    let signers: [&dyn RoleSign; 1] = [&online];
    let freshness = |renew_snapshot| Freshness {
        snapshot: &signers,
        timestamp: &signers,
        snapshot_expires: NOW.plus_days(7),
        timestamp_expires: NOW.plus_days(1),
        renew_snapshot,
    };
    let error = repository.clone().renew(Changes::default(), freshness(true)).expect_err("is refused");
    assert_eq!(error.to_string(), "`targets` has to be signed again: its keys changed");
    let targets = repository.targets(&RoleName::targets()).expect("targets").next(NOW.plus_days(90));
    let targets = Unsigned::top_level(next.body(), targets).sign_by(&[&key(0), &key(1)]).expect("signs");
    let changes = Changes { roots: vec![], targets: vec![(RoleName::targets(), targets)] };
    let (_, publication) = repository.renew(changes, freshness(false)).expect("renews");
    publication.write(&mut files).expect("writes");
    assert_eq!(client_sees(&files).expect("updates"), 2);
}

#[test]
fn every_change_of_a_list_is_told() {
    let path = |path: &str| TargetPath::new(path).expect("a path");
    let team = RoleName::delegated("team").expect("a name");
    let delegation = |pattern: &str| Delegation::terminating(team.clone(), 1, [pattern]);
    let old = Targets::new(NOW)
        .with_target(&path("gone"), TargetFile::of(b"1"))
        .with_target(&path("other"), TargetFile::of(b"1"))
        .with_delegation(delegation("a/*"), &[key(5).public()]);
    let mut new = old
        .next(NOW.plus_days(1))
        .without_target(&path("gone"))
        .with_target(&path("other"), TargetFile::of(b"2"))
        .with_target(&path("new"), TargetFile::of(b"1"))
        .with_delegation(delegation("b/*"), &[key(5).public()]);
    new.extra.insert("x".to_owned(), true.into());
    let told = |before, after: &Targets| -> Vec<String> {
        targets_changes(before, after).iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        told(Some(&old), &new),
        [
            "`gone` is taken away",
            "`new` is added",
            "`other` is listed with something else",
            "the role `team` is changed",
            "the member `x` is changed",
        ]
    );
    assert_eq!(told(None, &old).len(), 3);
    assert_eq!(told(Some(&old), &old.next(NOW.plus_days(9))), Vec::<String>::new());
    let turned = TargetsChange::Member { name: "a\u{202e}\u{1b}[2J".to_owned() };
    assert_eq!(turned.to_string(), "the member `a\\u{202e}\\u{1b}[2J` is changed");
    // A key that no role has is a change, too.
    let mut hidden = old.clone();
    hidden
        .delegations
        .as_mut()
        .expect("roles")
        .keys
        .insert(Key::of(key(6).public()).id(), Key::of(key(6).public()));
    assert_eq!(told(Some(&old), &hidden), ["the member `delegations` is changed"]);
}
