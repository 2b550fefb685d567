//! Laws of lists that several people sign elsewhere, two of three, one after another: what is prepared, and what is published of it.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use depot::DepotError;
use depot::care;
use depot::publish::{Ledger, Request, Summary, prepare, publish};
use depot::roles::{CarriedError, Prepared, RolesError, Signing};
use keys::role::RoleSign;
use keys::{SecretKey, Sign as _};
use ledger::note::NoteSigner;
use ledger::policy::Policy;
use release::{Listing, ReleaseId, Statement, trust};
use tuf::metadata::{Root, TargetFile, Targets, TopRole};
use tuf::repository::{Complete, Partial, SigningError, TargetsChange, Unsigned};
use tuf::store::Store as _;
use tuf::{Document, Key, Time};

use common::{APPLIANCE, Bench, Copies, NOW, request};

const DAY: u64 = 24 * 3600;

/// What somebody makes of a list.
type Change<'a> = &'a dyn Fn(&mut Targets);

/// A maker of three people, two of whom it takes, and a depot with 1.0.0 that they published together.
struct Group {
    bench: Bench,
    people: [SecretKey; 3],
    online: SecretKey,
    root: Vec<u8>,
}

impl Group {
    fn new() -> Self {
        let people = [1, 2, 3].map(|seed| SecretKey::from_seed(&[seed; 32]));
        let online = SecretKey::from_seed(&[9; 32]);
        let mut root = Root::new(Time(NOW).plus_days(365));
        for role in [TopRole::Root, TopRole::Targets] {
            root = people.iter().fold(root, |root, person| root.with_key(role, person.public()));
            root = root.with_threshold(role, 2);
        }
        for role in [TopRole::Snapshot, TopRole::Timestamp] {
            root = root.with_key(role, online.public());
        }
        let root = Unsigned::root(None, root).expect("possible").sign_by(&[&people[0], &people[1]]);
        let root = root.expect("signed").bytes().to_vec();
        let group = Self { bench: Bench::new(), people, online, root };
        let release = group.bench.release("1.0.0", "one");
        let signers: [&dyn RoleSign; 3] = [&group.people[0], &group.people[2], &group.online];
        let wanted = Request { signing: Some(group.signing(&signers, None)), ..request(&release) };
        publish(&group.bench.depot(), &wanted, &Copies::default(), &|_, _| ()).expect("published");
        group
    }

    fn signing<'a>(&'a self, signers: &'a [&'a dyn RoleSign], signed: Option<&'a Path>) -> Signing<'a> {
        Signing { root: &self.root, signers, now: NOW, fresh_days: 1, signed }
    }

    fn trusted(&self) -> Complete<Root> {
        Complete::trusted(&self.root).expect("a root")
    }

    /// The list that publishing the release takes, as a file that nobody has signed.
    fn prepared(&self, release: &Path) -> PathBuf {
        let wanted = Request { signing: Some(self.signing(&[], None)), ..request(release) };
        self.carry(prepare(&self.bench.depot(), &wanted).expect("prepared"))
    }

    fn carry(&self, prepared: Prepared) -> PathBuf {
        self.write(prepared.stage.bytes())
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let file = self.bench.path("list.json");
        fs::write(&file, bytes).expect("writes");
        file
    }

    /// One person signs, at home.
    fn sign(&self, file: &Path, person: usize) {
        self.sign_for(&self.trusted(), file, person).expect("signed");
    }

    fn sign_for(&self, root: &Complete<Root>, file: &Path, person: usize) -> Result<(), SigningError> {
        let (stage, _) = Partial::read_carried(&fs::read(file).expect("reads"), root)?;
        fs::write(file, stage.sign(&self.people[person])?.bytes()).expect("writes");
        Ok(())
    }

    /// Publishes with the online key and what was signed elsewhere.
    fn publish(&self, release: &Path, signed: &Path) -> Result<Summary, DepotError> {
        let online: [&dyn RoleSign; 1] = [&self.online];
        let wanted = Request { signing: Some(self.signing(&online, Some(signed))), ..request(release) };
        publish(&self.bench.depot(), &wanted, &Copies::default(), &|_, _| ())
    }

    fn document(&self, name: &str) -> PathBuf {
        self.bench.path("depot").join(trust::FOLDER).join(name)
    }

    fn listed(&self) -> Vec<String> {
        let store = tuf::store::FolderStore::new(self.bench.path("depot").join(trust::FOLDER));
        let repository = tuf::repository::Repository::read(&store, &self.root).expect("reads");
        let targets = repository.targets(&tuf::RoleName::targets()).expect("a list");
        targets.targets.keys().map(|path| path.rsplit('/').next().expect("a name").to_owned()).collect()
    }

    fn versions(&self) -> Vec<String> {
        self.bench.index().releases.into_iter().map(|release| release.version).collect()
    }

    /// A list that enough of them signed, whatever it says.
    fn signed_anyhow(&self, file: &Path, change: impl FnOnce(&mut Targets)) -> PathBuf {
        let mut targets: Targets =
            Document::parse(&fs::read(file).expect("reads")).expect("one").body().expect("a list");
        change(&mut targets);
        let signed = Unsigned::top_level(self.trusted().body(), targets);
        let signed = signed.sign_by(&[&self.people[0], &self.people[1]]).expect("signed");
        self.write(signed.bytes())
    }
}

#[track_caller]
fn carried<T: std::fmt::Debug>(result: Result<T, DepotError>) -> CarriedError {
    match result {
        Err(DepotError::Roles(RolesError::Carried { source, .. })) => source,
        other => panic!("it is not refused: {other:?}"),
    }
}

fn next_release(group: &Group) -> PathBuf {
    group.bench.release("1.0.1", "two!")
}

#[test]
fn two_of_three_sign_one_after_another_and_the_release_is_published() {
    let group = Group::new();
    let release = next_release(&group);
    let before = group.bench.files();
    let list = group.prepared(&release);
    assert_eq!(group.bench.files(), before, "preparing publishes nothing");
    group.sign(&list, 2);
    group.sign(&list, 1);
    group.publish(&release, &list).expect("published");
    assert_eq!(
        (group.versions(), group.listed()),
        (vec!["1.0.0".into(), "1.0.1".into()], vec!["1.0.0.json".into(), "1.0.1.json".into()],)
    );
    assert_eq!(fs::read(group.document("2.targets.json")).expect("reads"), fs::read(&list).expect("reads"));
    // What appliances see: signed for by the root, and fresh.
    let mut client: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    tuf::client::trust_root(&mut client, &group.root).expect("a root");
    let mut server: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (path, bytes) in group.bench.files() {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        server.write(&name, &bytes).expect("writes");
    }
    let mut updated =
        tuf::client::update(&mut client, &mut server, tuf::Limits::DEFAULT, Time(NOW)).expect("updates");
    let signed = trust::signed(&mut updated, &group.bench.index()).expect("told apart");
    assert_eq!(signed.releases.len(), 2);
}

#[test]
fn keys_at_hand_sign_while_it_is_prepared() {
    let group = Group::new();
    let release = next_release(&group);
    let signers: [&dyn RoleSign; 2] = [&group.people[0], &group.online];
    let wanted = Request { signing: Some(group.signing(&signers, None)), ..request(&release) };
    let prepared = prepare(&group.bench.depot(), &wanted).expect("prepared");
    assert_eq!(prepared.stage.missing()[0].needed, 1);
    let list = group.carry(prepared);
    group.sign(&list, 1);
    group.publish(&release, &list).expect("published");
}

#[test]
fn law_2_a_list_that_too_few_signed_is_not_published() {
    let group = Group::new();
    let release = next_release(&group);
    let list = group.prepared(&release);
    for _ in 0..2 {
        let before = group.bench.files();
        let error = carried(group.publish(&release, &list));
        assert!(matches!(error, CarriedError::Signing(SigningError::Incomplete { .. })), "{error}");
        assert_eq!(group.bench.files(), before);
        // The second time: one has signed.
        group.sign(&list, 0);
    }
}

#[test]
fn law_2_no_byte_of_it_is_changed_between_its_signers_and_the_depot() {
    let group = Group::new();
    let release = next_release(&group);
    let list = group.prepared(&release);
    group.sign(&list, 0);
    group.sign(&list, 1);
    let good = fs::read(&list).expect("reads");
    let online: [&dyn RoleSign; 1] = [&group.online];
    let depot = group.bench.depot();
    let statement = statement_of(&group, &release);
    let take = |bytes: &[u8]| {
        let list = group.write(bytes);
        group.signing(&online, Some(&list)).list(&depot, "stable", &statement, &[]).map(|_| ())
    };
    take(&good).expect("it is good");
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(take(&changed).is_err(), "byte {at}: {}", String::from_utf8_lossy(&changed));
    }
    // The next signer finds it out, too.
    let text = String::from_utf8(good).expect("text").replace("1.0.1", "1.0.2");
    let list = group.write(text.as_bytes());
    let error = group.sign_for(&group.trusted(), &list, 2).expect_err("is refused");
    assert!(matches!(error, SigningError::StraySignature { .. }), "{error}");
}

/// The statement of a release folder, which is published in a depot of its own to learn it.
fn statement_of(group: &Group, release: &Path) -> Statement {
    let elsewhere = depot::DepotFolder::open_or_create(&group.bench.path("elsewhere")).expect("a depot");
    let published =
        publish(&elsewhere, &request(release), &Copies::default(), &|_, _| ()).expect("published");
    let bytes = elsewhere.read_object(&published.entry.statement, 1 << 20).expect("reads");
    Statement::parse(&bytes).expect("a statement")
}

#[test]
fn law_2_a_list_is_not_published_over_another_one_than_it_was_prepared_over() {
    let group = Group::new();
    let (release, other) = (next_release(&group), group.bench.release("1.0.2", "three"));
    let list = group.prepared(&release);
    group.sign(&list, 0);
    group.sign(&list, 1);
    let kept = fs::read(&list).expect("reads");
    // Meanwhile somebody publishes another one.
    let overtaking = group.prepared(&other);
    group.sign(&overtaking, 1);
    group.sign(&overtaking, 2);
    group.publish(&other, &overtaking).expect("published");
    let before = group.bench.files();
    let list = group.write(&kept);
    let online: [&dyn RoleSign; 1] = [&group.online];
    let depot = group.bench.depot();
    let statement = statement_of(&group, &release);
    let error = carried(group.signing(&online, Some(&list)).list(&depot, "stable", &statement, &[]));
    let CarriedError::Signing(SigningError::OtherBefore { found, given }) = &error else { panic!("{error}") };
    let version = |origin: &Option<tuf::repository::Origin>| origin.as_ref().expect("a list").version;
    assert_eq!((version(found), version(given)), (1, 2));
    assert!(!error.is_refusal());
    assert_eq!(group.bench.files(), before);
}

#[test]
fn law_2_a_list_says_what_was_asked_for_and_nothing_else() {
    let group = Group::new();
    let release = next_release(&group);
    let path = |version: &str| format!("{APPLIANCE}/stable/{version}.json");
    let add = |targets: &mut Targets| {
        targets.targets.insert(path("6.6.6"), TargetFile::of(b"another one"));
    };
    let file = group.prepared(&release);
    let clean = fs::read(&file).expect("reads");
    let cases: [(&str, Change); 8] = [
        ("`ampoule-examples/lamp/stable/6.6.6.json` is added", &add),
        ("`ampoule-examples/lamp/stable/1.0.0.json` is taken away", &|targets| {
            targets.targets.remove(&path("1.0.0"));
        }),
        ("`ampoule-examples/lamp/stable/1.0.1.json` is taken away", &|targets| {
            targets.targets.remove(&path("1.0.1"));
        }),
        ("`ampoule-examples/lamp/stable/1.0.1.json` is listed with something else", &|targets| {
            targets.targets.insert(path("1.0.1"), TargetFile::of(b"another one"));
        }),
        ("`ampoule-examples/lamp/stable/1.0.1.json` is listed with something else", &|targets| {
            let file = targets.targets.get_mut(&path("1.0.1")).expect("is listed");
            let words = file.custom.as_mut().expect("words");
            words.insert(trust::SECURITY_ONLY_FROM.into(), serde_json::json!(["ab".repeat(32)]));
        }),
        ("the member `delegations` is changed", &|targets| {
            targets.delegations = Some(tuf::metadata::Delegations::default());
        }),
        ("the member `more` is changed", &|targets| {
            targets.extra.insert("more".into(), true.into());
        }),
        ("the member `spec_version` is changed", &|targets| targets.spec_version = "1.9.9".into()),
    ];
    for (told, change) in cases {
        let list = group.signed_anyhow(&group.write(&clean), change);
        let before = group.bench.files();
        let error = carried(group.publish(&release, &list));
        assert_eq!(error.to_string(), format!("it is not what this command asks for: {told}"));
        assert!(error.is_refusal());
        assert_eq!(group.bench.files(), before);
    }
    let list = group.signed_anyhow(&group.write(&clean), |targets| targets.version = 3);
    let error = carried(group.publish(&release, &list));
    assert!(matches!(error, CarriedError::NotNext { found: 3, expected: 2 }), "{error}");
    let list = group.signed_anyhow(&group.write(&clean), |targets| {
        targets.extra.remove("basis");
    });
    let error = carried(group.publish(&release, &list));
    assert!(matches!(error, CarriedError::Signing(SigningError::NoBasis)), "{error}");
    // Left alone, it is published.
    let list = group.signed_anyhow(&group.write(&clean), |_| ());
    group.publish(&release, &list).expect("published");
}

#[test]
fn law_2_a_list_of_one_release_does_not_publish_another_one_of_its_version() {
    let group = Group::new();
    let (release, other) = (next_release(&group), group.bench.release("1.0.1", "two, but another"));
    let list = group.prepared(&release);
    group.sign(&list, 0);
    group.sign(&list, 1);
    let error = carried(group.publish(&other, &list));
    let CarriedError::Other { differences } = &error else { panic!("{error}") };
    assert!(matches!(&differences[..], [TargetsChange::Changed { .. }]), "{error}");
    // Nor does it with other words about the same one.
    let online: [&dyn RoleSign; 1] = [&group.online];
    let proven = ReleaseId(model::Sha256Digest([4; 32]));
    let wanted = Request {
        signing: Some(group.signing(&online, Some(&list))),
        security_only_from: vec![proven],
        ..request(&release)
    };
    let refused = publish(&group.bench.depot(), &wanted, &Copies::default(), &|_, _| ());
    assert!(matches!(carried(refused), CarriedError::Other { .. }));
    let wanted = Request { channel: "beta", security_only_from: vec![], ..wanted };
    let refused = publish(&group.bench.depot(), &wanted, &Copies::default(), &|_, _| ());
    assert!(matches!(carried(refused), CarriedError::Other { .. }));
}

#[test]
fn a_list_is_published_within_its_time_only() {
    let group = Group::new();
    let release = next_release(&group);
    let file = group.prepared(&release);
    let clean = fs::read(&file).expect("reads");
    for (expires, is_late) in [(NOW, true), (NOW + 92 * DAY, false)] {
        let list = group.signed_anyhow(&group.write(&clean), |targets| targets.expires = Time(expires));
        let error = carried(group.publish(&release, &list));
        match is_late {
            true => assert!(matches!(error, CarriedError::Expired { .. }), "{error}"),
            false => assert!(matches!(error, CarriedError::TooLong { .. }), "{error}"),
        }
    }
}

#[test]
fn a_list_that_is_refused_costs_no_patches_and_no_entry_in_the_ledger() {
    let group = Group::new();
    let release = next_release(&group);
    let list = group.prepared(&release);
    group.sign(&list, 0);
    let log = SecretKey::from_seed(&[7; 32]);
    let key = NoteSigner::new("example.com/log".parse().expect("a name"), &log).key().to_string();
    let policy = Policy::parse(format!("log {key}\nquorum none\n").as_bytes()).expect("reads");
    let enter = |_: &[u8]| panic!("nothing is entered");
    let online: [&dyn RoleSign; 1] = [&group.online];
    let wanted = Request {
        signing: Some(group.signing(&online, Some(&list))),
        ledger: Some(Ledger { policy: &policy, enter: &enter }),
        ..request(&release)
    };
    let ways = Copies::default();
    carried(publish(&group.bench.depot(), &wanted, &ways, &|_, _| ()));
    assert!(ways.made.borrow().is_empty());
}

#[test]
fn a_run_that_broke_off_is_repeated_with_the_same_list() {
    // What the run that broke off had written last: the list, the snapshot, or all documents and no index.
    for written in ["2.targets.json", "2.snapshot.json", "timestamp.json"] {
        let group = Group::new();
        let release = next_release(&group);
        let list = group.prepared(&release);
        group.sign(&list, 0);
        group.sign(&list, 1);
        let before = group.bench.files();
        group.publish(&release, &list).expect("published");
        let restore = |path: PathBuf| fs::write(&path, &before[&path]).expect("writes");
        restore(group.bench.path("depot").join(release::index::index_path(APPLIANCE, "stable")));
        if written != "timestamp.json" {
            restore(group.document("timestamp.json"));
        }
        if written == "2.targets.json" {
            fs::remove_file(group.document("2.snapshot.json")).expect("removes");
        }
        assert_eq!(group.versions(), ["1.0.0"]);
        // It is nothing to be prepared once more when it is listed, and to be signed anew when it is not.
        let wanted = Request { signing: Some(group.signing(&[], None)), ..request(&release) };
        match (written, prepare(&group.bench.depot(), &wanted)) {
            ("timestamp.json", Err(DepotError::Roles(RolesError::NothingToSign))) => (),
            ("timestamp.json", other) => panic!("{other:?}"),
            (_, prepared) => assert_eq!(prepared.expect("prepared").stage.body().version, 3),
        }
        group.publish(&release, &list).expect("published");
        assert_eq!(group.versions(), ["1.0.0", "1.0.1"]);
        assert_eq!(group.listed(), ["1.0.0.json", "1.0.1.json"]);
        let summary = group.publish(&release, &list).expect("was published");
        assert!(summary.is_old);
    }
}

#[test]
fn a_release_is_taken_back_by_two_of_three() {
    let group = Group::new();
    let release = next_release(&group);
    let list = group.prepared(&release);
    group.sign(&list, 0);
    group.sign(&list, 1);
    group.publish(&release, &list).expect("published");
    let depot = group.bench.depot();
    let prepare =
        |version| care::prepare_removal(&depot, APPLIANCE, "stable", version, &group.signing(&[], None));
    let online: [&dyn RoleSign; 1] = [&group.online];
    let remove = |version, list: &Path| {
        let signing = group.signing(&online, Some(list));
        care::remove(&depot, APPLIANCE, "stable", version, NOW, Some(&signing))
    };
    assert!(matches!(prepare("7.0.0"), Err(DepotError::NoVersion { .. })));
    let before = group.bench.files();
    let list = group.carry(prepare("1.0.1").expect("prepared"));
    group.sign(&list, 0);
    assert!(matches!(
        carried(remove("1.0.1", &list)),
        CarriedError::Signing(SigningError::Incomplete { .. })
    ));
    group.sign(&list, 2);
    assert!(matches!(carried(remove("1.0.0", &list)), CarriedError::Other { .. }), "of another one");
    assert_eq!(group.bench.files(), before);
    remove("1.0.1", &list).expect("withdrawn");
    assert_eq!((group.versions(), group.listed()), (vec!["1.0.0".into()], vec!["1.0.0.json".into()]));
    // A run that broke off before the index was replaced.
    let index = depot.path().join(release::index::index_path(APPLIANCE, "stable"));
    fs::write(&index, &before[&index]).expect("writes");
    assert!(matches!(prepare("1.0.1"), Err(DepotError::Roles(RolesError::NothingToSign))));
    remove("1.0.1", &list).expect("withdrawn");
    assert_eq!(group.versions(), ["1.0.0"]);
}

#[test]
fn a_root_that_takes_a_key_away_comes_with_the_list_that_the_others_signed() {
    let group = Group::new();
    let depot = group.bench.depot();
    // 1.0.0 was signed by the first and the third; the third's key was stolen.
    let before = group.trusted();
    let stolen = Key::of(group.people[2].public()).id();
    let dora = SecretKey::from_seed(&[4; 32]);
    let mut next = before.body().next(Time(NOW).plus_days(365));
    for role in [TopRole::Root, TopRole::Targets] {
        next = next.without_key(role, &stolen).with_key(role, dora.public());
    }
    let next = Unsigned::root(Some(before.body()), next).expect("follows");
    let next = next.sign_by(&[&group.people[0], &group.people[1]]).expect("signed");
    let file = group.bench.path("2.root.json");
    fs::write(&file, next.bytes()).expect("writes");
    let files = group.bench.files();
    let list = group.carry(group.signing(&[], None).prepare_follow(&depot, &file).expect("prepared"));
    assert_eq!(group.bench.files(), files);
    // The root of before is not the one it is for, and the stolen key has no say.
    let error = group.sign_for(&before, &list, 0).expect_err("is refused");
    assert!(matches!(error, SigningError::OtherRoot { .. }), "{error}");
    let error = group.sign_for(&next, &list, 2).expect_err("is refused");
    assert!(matches!(error, SigningError::NoSay { .. }), "{error}");
    group.sign_for(&next, &list, 0).expect("signed");
    let online: [&dyn RoleSign; 1] = [&group.online];
    let follow = |list: &Path| group.signing(&online, Some(list)).follow(&depot, &file);
    let error = carried(follow(&list));
    assert!(matches!(error, CarriedError::Signing(SigningError::Incomplete { .. })), "{error}");
    assert_eq!(group.bench.files(), files);
    group.sign_for(&next, &list, 1).expect("signed");
    follow(&list).expect("followed");
    assert_eq!(group.listed(), ["1.0.0.json"]);
    assert_eq!(fs::read(group.document("2.root.json")).expect("reads"), next.bytes());
    // A run that broke off between the root and the timestamp.
    let timestamp = group.document("timestamp.json");
    fs::write(&timestamp, &files[&timestamp]).expect("writes");
    follow(&list).expect("followed");
    follow(&list).expect("once more changes nothing but freshness");
    // A list that adds a release is none for a root that follows.
    let release = next_release(&group);
    let wanted = Request { signing: Some(group.signing(&[], None)), ..request(&release) };
    let list = group.carry(prepare(&depot, &wanted).expect("prepared"));
    for person in [0, 1] {
        group.sign_for(&next, &list, person).expect("signed");
    }
    let error = carried(follow(&list));
    assert!(matches!(error, CarriedError::Other { .. }), "{error}");
    group.publish(&release, &list).expect("published");
}

#[test]
fn a_first_list_is_prepared_for_an_empty_depot() {
    let group = Group::new();
    let release = next_release(&group);
    let depot = depot::DepotFolder::open_or_create(&group.bench.path("new")).expect("a depot");
    let wanted = Request { signing: Some(group.signing(&[], None)), ..request(&release) };
    let prepared = prepare(&depot, &wanted).expect("prepared");
    assert!(prepared.before.is_none() && !depot.path().join(trust::FOLDER).exists());
    assert_eq!(prepared.stage.body().version, 1);
    let (path, file) = prepared.stage.body().targets.iter().next().expect("one");
    assert_eq!(Listing::read(path, file).expect("a release").version, "1.0.1");
    let list = group.carry(prepared);
    group.sign(&list, 0);
    group.sign(&list, 1);
    let online: [&dyn RoleSign; 1] = [&group.online];
    let wanted = Request { signing: Some(group.signing(&online, Some(&list))), ..request(&release) };
    publish(&depot, &wanted, &Copies::default(), &|_, _| ()).expect("published");
    assert!(depot::roles::has_roles(&depot));
}

#[test]
fn a_list_that_nothing_is_added_to_is_signed_anew_before_its_time_is_over() {
    let group = Group::new();
    let (depot, root) = (group.bench.depot(), group.bench.path("1.root.json"));
    fs::write(&root, &group.root).expect("writes");
    let later = NOW + 80 * DAY;
    let online: [&dyn RoleSign; 1] = [&group.online];
    let list = Signing { now: later, ..group.signing(&[], None) }.prepare_follow(&depot, &root);
    let list = group.carry(list.expect("prepared"));
    group.sign(&list, 0);
    group.sign(&list, 2);
    let signing = Signing { now: later, ..group.signing(&online, Some(&list)) };
    signing.follow(&depot, &root).expect("signed anew");
    let list = fs::read(group.document("2.targets.json")).expect("reads");
    let list: Targets = Document::parse(&list).expect("one").body().expect("a list");
    assert_eq!((list.expires, list.targets.len()), (Time(later).plus_days(90), 1));
    assert!(!group.document("2.root.json").exists());
}
