//! Laws of publishing with keys and a ledger: what a client of the depot finds that believes nobody else.

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use depot::care;
use depot::publish::{Ledger, Request, publish};
use depot::roles::Signing;
use depot::{DepotError, DepotFolder};
use keys::role::RoleSign;
use release::trust;
use tuf::client::{Updated, trust_root, update};
use tuf::fetch::{Fetch, FetchError};
use tuf::{Limits, Time};

use common::maker::{Maker, enter_into, signed};
use common::{APPLIANCE, Bench, Copies, NOW, request};

struct Files(PathBuf);

impl Fetch for Files {
    fn open(&mut self, name: &str, _: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        let file = fs::File::open(self.0.join(trust::FOLDER).join(name));
        Ok(Box::new(file.map_err(|_| FetchError::Missing)?))
    }
}

fn with_client<T>(
    maker: &Maker,
    depot: &DepotFolder,
    now: u64,
    act: impl FnOnce(&mut Updated<'_>) -> T,
) -> T {
    let mut store: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    trust_root(&mut store, &maker.root).expect("a root");
    let mut files = Files(depot.path().to_owned());
    act(&mut update(&mut store, &mut files, Limits::DEFAULT, Time(now)).expect("fresh and signed"))
}

/// 1.0.0 and 1.0.1, signed.
fn publish_two(bench: &Bench, maker: &Maker) {
    let signers: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
    for (version, content) in [("1.0.0", "one"), ("1.0.1", "two!")] {
        let release = bench.release(version, content);
        publish(&bench.depot(), &signed(maker, &signers, &release), &Copies::default(), &|_, _| ())
            .expect("published");
    }
}

#[test]
fn law_2_a_client_takes_what_the_roles_sign_and_nothing_else_of_the_index() {
    let (bench, maker) = (Bench::new(), Maker::new());
    publish_two(&bench, &maker);
    let mut index = bench.index();
    with_client(&maker, &bench.depot(), NOW, |client| {
        assert_eq!(trust::signed(client, &index).expect("all of it"), index);
        // Somebody who can write to the depot adds a release, and takes the place of another one.
        let mut foreign = index.releases[0].clone();
        foreign.version = "9.0.0".into();
        index.releases.push(foreign);
        let versions = |index: &release::Index| -> Vec<String> {
            index.releases.iter().map(|it| it.version.clone()).collect()
        };
        assert_eq!(versions(&trust::signed(client, &index).expect("told apart")), ["1.0.0", "1.0.1"]);
        index.releases[1].statement = index.releases[0].statement;
        let error = trust::signed(client, &index).expect_err("another statement");
        assert!(error.to_string().contains("another statement of 1.0.1"), "{error}");
    });
}

#[test]
fn an_appliance_learns_which_release_it_runs_from_the_roles_and_by_its_root_hash() {
    let (bench, maker) = (Bench::new(), Maker::new());
    publish_two(&bench, &maker);
    let index = bench.index();
    let folder = bench.depot();
    let bytes = folder.read_object(&index.releases[0].statement, 1 << 20).expect("a statement");
    let own = release::Statement::parse(&bytes).expect("reads").image.root_hash;
    with_client(&maker, &folder, NOW, |client| {
        let mut of =
            |channel, version, root_hash| trust::release_of(client, APPLIANCE, channel, version, &root_hash);
        assert_eq!(of("stable", "1.0.0", own), Some(index.releases[0].id()));
        assert_eq!(of("stable", "1.0.0", model::Sha256Digest([9; 32])), None, "another image");
        assert_eq!(of("stable", "7.0.0", own), None);
        assert_eq!(of("other", "1.0.0", own), None);
    });
}

#[test]
fn law_2_what_its_maker_withdrew_is_taken_from_nowhere() {
    let (bench, maker) = (Bench::new(), Maker::new());
    publish_two(&bench, &maker);
    let signers: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
    // Somebody keeps the index of before.
    let (kept, files) = (bench.index(), bench.files());
    let withdraw = |signers: &[&dyn RoleSign]| {
        let signing = Signing { root: &maker.root, signers, now: NOW, fresh_days: 1, signed: None };
        care::remove(&bench.depot(), APPLIANCE, "stable", "1.0.1", NOW, Some(&signing))
    };
    withdraw(&signers[1..]).expect_err("the key of freshness alone decides nothing");
    assert_eq!(bench.files(), files);
    withdraw(&signers).expect("withdrawn");
    let versions =
        |index: &release::Index| index.releases.iter().map(|it| it.version.clone()).collect::<Vec<_>>();
    assert_eq!(versions(&bench.index()), ["1.0.0"]);
    with_client(&maker, &bench.depot(), NOW, |client| {
        assert_eq!(versions(&trust::signed(client, &kept).expect("told apart")), ["1.0.0"]);
    });
}

#[test]
fn what_brings_security_fixes_only_is_the_roles_word_and_not_the_index_s() {
    let (bench, maker) = (Bench::new(), Maker::new());
    let signers: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
    let from = release::ReleaseId(model::Sha256Digest([4; 32]));
    for (version, content, security_only_from) in [("1.0.0", "one", vec![]), ("1.0.1", "two!", vec![from])] {
        let release = bench.release(version, content);
        let wanted = Request { security_only_from, ..signed(&maker, &signers, &release) };
        publish(&bench.depot(), &wanted, &Copies::default(), &|_, _| ()).expect("published");
    }
    let mut index = bench.index();
    index.releases[0].security_only_from = vec![from];
    index.releases[1].security_only_from.clear();
    with_client(&maker, &bench.depot(), NOW, |client| {
        let signed = trust::signed(client, &index).expect("all of it");
        let said: Vec<_> = signed.releases.iter().map(|it| it.security_only_from.clone()).collect();
        assert_eq!(said, [vec![], vec![from]]);
    });
}

#[test]
fn law_7_a_release_is_not_published_before_it_is_logged() {
    let (bench, maker) = (Bench::new(), Maker::new());
    let signers: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
    let release = bench.release("1.0.0", "one");
    bench.depot();
    let before = bench.files();
    // The ledger does not answer, and then it answers with a proof of something else.
    let is_down = Cell::new(true);
    let enter_record = |record: &[u8]| match is_down.get() {
        true => Err("the ledger is down".into()),
        false => Ok(enter_into(&maker, bench.path("log"), &[record, b"x"].concat())),
    };
    let ledger = Ledger { policy: &maker.policy, enter: &enter_record };
    let wanted = Request { ledger: Some(ledger), ..signed(&maker, &signers, &release) };
    for _ in 0..2 {
        let refused = publish(&bench.depot(), &wanted, &Copies::default(), &|_, _| ());
        assert!(matches!(refused, Err(DepotError::Ledger(_))), "{refused:?}");
        is_down.set(false);
        let visible: Vec<_> = bench.files().into_keys().filter(|path| !before.contains_key(path)).collect();
        let is_nothing = |path: &PathBuf| path.ends_with("depot.json") || path.ends_with(".lock");
        assert!(visible.iter().all(is_nothing), "{visible:?}");
    }
    // With its proof it is published, and an appliance with this policy accepts the proof from the depot.
    let enter_record = |record: &[u8]| Ok(enter_into(&maker, bench.path("log"), record));
    let ledger = Ledger { policy: &maker.policy, enter: &enter_record };
    let wanted = Request { ledger: Some(ledger), ..signed(&maker, &signers, &release) };
    publish(&bench.depot(), &wanted, &Copies::default(), &|_, _| ()).expect("published");
    let (depot, entry) = (bench.depot(), bench.index().releases.remove(0));
    let bytes = depot.read_object(&entry.statement, 1 << 20).expect("whole");
    let statement = release::Statement::parse(&bytes).expect("a statement");
    let proof = depot.read_object(&entry.proof.expect("a proof"), trust::PROOF_LIMIT).expect("whole");
    trust::proved(&statement, Some(&proof), &maker.policy).expect("it holds");
    for at in 0..proof.len() {
        let mut changed = proof.clone();
        changed[at] ^= 1;
        assert!(trust::proved(&statement, Some(&changed), &maker.policy).is_err(), "byte {at}");
    }
    assert!(trust::proved(&statement, None, &maker.policy).is_err());
    let report = depot::care::check(&depot).expect("checks");
    assert_eq!((report.problems, report.unreferenced), (vec![], vec![]));
}

#[test]
fn too_few_keys_publish_nothing_and_a_signed_depot_stays_signed() {
    let (bench, maker) = (Bench::new(), Maker::new());
    let release = bench.release("1.0.0", "one");
    let online: [&dyn RoleSign; 1] = [&maker.online];
    let refused = publish(&bench.depot(), &signed(&maker, &online, &release), &Copies::default(), &|_, _| ());
    assert!(matches!(refused, Err(DepotError::Roles(_))), "{refused:?}");
    assert!(bench.depot().index(APPLIANCE, "stable").expect("reads").is_none());
    let both: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
    publish(&bench.depot(), &signed(&maker, &both, &release), &Copies::default(), &|_, _| ())
        .expect("published");
    let next = bench.release("1.0.1", "two!");
    let refused = publish(&bench.depot(), &request(&next), &Copies::default(), &|_, _| ());
    assert!(matches!(refused, Err(DepotError::Unsigned { .. })), "{refused:?}");
    assert_eq!(bench.index().releases.len(), 1);
}

#[test]
fn a_depot_is_fresh_again_after_a_refresh_with_the_online_key_alone() {
    let (bench, maker) = (Bench::new(), Maker::new());
    let release = bench.release("1.0.0", "one");
    let both: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
    publish(&bench.depot(), &signed(&maker, &both, &release), &Copies::default(), &|_, _| ())
        .expect("published");
    let later = NOW + 20 * 24 * 3600;
    let mut store: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    trust_root(&mut store, &maker.root).expect("a root");
    let mut files = Files(bench.path("depot"));
    assert!(update(&mut store, &mut files, Limits::DEFAULT, Time(later)).is_err(), "it is expired");
    let online: [&dyn RoleSign; 1] = [&maker.online];
    let signing = Signing { root: &maker.root, signers: &online, now: later, fresh_days: 1, signed: None };
    signing.refresh(&bench.depot()).expect("renewed");
    with_client(&maker, &bench.depot(), later, |client| {
        assert_eq!(trust::signed(client, &bench.index()).expect("fresh").releases.len(), 1);
    });
}
