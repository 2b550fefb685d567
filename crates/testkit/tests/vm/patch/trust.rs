//! An appliance that believes its maker's roles, its ledger and its owner's officers, and a depot that lies to it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use depot::roles::Signing;
use keys::stored::StoredKey;
use machine::RunOptions;
use model::control::{ApprovalState, Call, LifeStage};
use release::{Index, index};
use serde_json::json;
use testkit::depot::{DepotServer, Fault};
use testkit::variant::{self, APPLIANCE, CHANNEL, edit};
use testkit::{Bench, BootedAppliance, Suite, ampoule, tools, workspace};

use super::asking::{apply, check_updates, reason, refused, set, updates, write_note};
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::following;

/// Keys, root, ledger and policy of a maker of one person, made once: they are sealed into releases that are kept.
fn maker() -> PathBuf {
    let folder = workspace().join("target/testkit/maker");
    if folder.join("done").exists() {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    let command = |arguments: &[&str]| tools::run_in(&folder, &ampoule().display().to_string(), arguments);
    fs::create_dir_all(&folder).expect("a folder");
    for name in ["maker", "online", "ledger", "alice", "mallory"] {
        command(&["keys", "new", name, "--without-passphrase"]);
    }
    let (maker, online) = ("keys/maker.key", "keys/online.key");
    command(&[
        "keys",
        "root",
        "new",
        "--root",
        maker,
        "--targets",
        maker,
        "--snapshot",
        online,
        "--timestamp",
        online,
    ]);
    command(&["keys", "root", "sign", "1.root.json", "--key", maker, "--yes"]);
    let text = command(&[
        "--json",
        "ledger",
        "init",
        "ledger",
        "--name",
        "example.com/ledger",
        "--key",
        "keys/ledger.key",
    ]);
    let made: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let line = made["policy-line"].as_str().expect("a line");
    fs::write(folder.join("ledger.policy"), format!("{line}\nquorum none\n")).expect("writes");
    fs::write(folder.join("done"), "").expect("writes");
    folder
}

/// Seals what the maker trusts into a release.
fn believing(folder: &Path) {
    let maker = maker();
    for name in ["1.root.json", "ledger.policy"] {
        fs::copy(maker.join(name), folder.join(name)).expect("copies");
    }
    let section = "[trust]\nroot = \"1.root.json\"\nledger = \"ledger.policy\"\n\n[updates]";
    edit(&folder.join("appliance.toml"), "[updates]", section);
}

fn publish(release: &release::ReleaseFolder, depot: &Path) {
    let maker = maker();
    let (release, depot) = (release.path().display().to_string(), depot.display().to_string());
    let arguments = [
        "release",
        &release,
        "--depot",
        &depot,
        "--root",
        "1.root.json",
        "--key",
        "keys/maker.key",
        "--key",
        "keys/online.key",
        "--ledger",
        "ledger",
        "--policy",
        "ledger.policy",
        "--ledger-key",
        "keys/ledger.key",
    ];
    tools::run_in(&maker, &ampoule().display().to_string(), &arguments);
}

/// An officer's key, as the setting `update-officers` has it.
pub fn alice() -> String {
    let shown = ["--json", "keys", "show", "keys/alice.key"];
    let alice = tools::run_in(&maker(), &ampoule().display().to_string(), &shown);
    let alice: serde_json::Value = serde_json::from_str(&alice).expect("JSON");
    alice["verifier"].as_str().expect("a key").to_owned()
}

/// What an officer says, as a signed note.
pub fn approve(arguments: &[&str]) -> String {
    let note = ["approve", "--reason", "read"].iter().chain(arguments);
    let note: Vec<&str> = note.copied().collect();
    tools::run_in(&maker(), &ampoule().display().to_string(), &note)
}

fn index_of(depot: &Path) -> (PathBuf, Index) {
    let path = depot.join(index::index_path(APPLIANCE, CHANNEL));
    let bytes = fs::read(&path).expect("an index");
    (path, Index::parse(&bytes, APPLIANCE, CHANNEL).expect("reads"))
}

/// Changes the index, as somebody can who has the depot and no key, until the guard is dropped.
struct Forged(PathBuf, Vec<u8>);

impl Forged {
    fn new(depot: &Path, change: impl FnOnce(&mut Index)) -> Self {
        let (path, mut index) = index_of(depot);
        let before = fs::read(&path).expect("reads");
        change(&mut index);
        index.serial += 1;
        fs::write(&path, index.to_bytes()).expect("writes");
        Self(path, before)
    }
}

impl Drop for Forged {
    fn drop(&mut self) {
        fs::write(&self.0, &self.1).expect("writes");
    }
}

/// A copy of the depot whose roles were vouched for a month ago.
fn stale(depot: &Path, place: &Path) {
    tools::run("cp", ["-a".as_ref(), depot.as_os_str(), place.as_os_str()]);
    fs::remove_dir_all(place.join("tuf")).expect("removes");
    let maker = maker();
    let signer = |name: &str| {
        let key = StoredKey::read(&maker.join("keys").join(name)).expect("a key");
        key.role_signer(None).expect("opens")
    };
    let (maker_key, online) = (signer("maker.key"), signer("online.key"));
    let root = fs::read(maker.join("1.root.json")).expect("a root");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let signers: [&dyn keys::role::RoleSign; 2] = [maker_key.as_ref(), online.as_ref()];
    let signing =
        Signing { root: &root, signers: &signers, now: now - 30 * 24 * 3600, fresh_days: 1, signed: None };
    let folder = depot::DepotFolder::open(place).expect("a depot");
    let (_, index) = index_of(depot);
    for release in &index.releases {
        let bytes = folder.read_object(&release.statement, 1 << 20).expect("whole");
        let statement = release::Statement::parse(&bytes).expect("reads");
        let listed = signing.list(&folder, CHANNEL, &statement, &[]).expect("signed");
        signing.publish(&folder, listed).expect("written");
    }
}

/// With a place that disks can be attached to while it runs.
fn attachable(release: &release::ReleaseFolder, monitor: &Path) -> RunOptions {
    let monitor = format!("unix:{},server=on,wait=off", monitor.display());
    let extra = ["-device", "pcie-root-port,id=hot,chassis=9", "-qmp", &monitor].map(str::to_owned).to_vec();
    RunOptions { extra, ..BootedAppliance::patchable(release) }
}

/// Attaches a disk as hypervisors do, by QEMU's machine protocol.
fn attach(monitor: &Path, file: &Path) {
    let mut stream = UnixStream::connect(monitor).expect("a monitor");
    let mut answers = BufReader::new(stream.try_clone().expect("cloned")).lines();
    let disk = json!({"driver": "file", "filename": file, "read-only": true});
    let commands = [
        json!({"execute": "qmp_capabilities"}),
        json!({"execute": "blockdev-add", "arguments":
            {"driver": "raw", "node-name": "brought", "read-only": true, "file": disk}}),
        json!({"execute": "device_add", "arguments":
            {"driver": "virtio-blk-pci", "id": "brought", "drive": "brought", "bus": "hot"}}),
    ];
    for command in commands {
        writeln!(stream, "{command}").expect("said");
        let is_answer = |line: &String| line.contains("\"return\"") || line.contains("\"error\"");
        let answer = answers.by_ref().map(|line| line.expect("a line")).find(is_answer);
        assert!(answer.as_ref().is_some_and(|it| it.contains("\"return\"")), "{command}: {answer:?}");
    }
}

pub fn trust(suite: &mut Suite) {
    let bench = Bench::new();
    let depot = bench.join("depot");
    let built = suite.check("two releases are built, signed, logged and published", || {
        let (old, new) = (variant::release("2.0.0", believing), variant::release("2.0.1", believing));
        publish(&old, &depot);
        publish(&new, &depot);
        (old, new)
    });
    let Some((old, new)) = built else { return };
    let stale_depot = bench.join("stale");
    stale(&depot, &stale_depot);
    let (server, stale_server) = (DepotServer::start(&depot), DepotServer::start(&stale_depot));
    let alice = alice();

    let booted = suite.check("it takes nothing of a depot that nobody vouches for any more", || {
        let it = BootedAppliance::boot(&old, &bench.join("vm"), following(&old, &stale_server));
        write_note(&it, NOTE);
        set(&it, "update-officers", &alice);
        let why = refused(&it, Call::CheckUpdates);
        assert!(why.contains("expired"), "{why}");
        it
    });
    let Some(it) = booted else { return };
    suite.check("law_2_what_the_roles_sign_is_offered_and_waits_for_the_officer", || {
        set(&it, "update-depot", &server.url());
        let offer = check_updates(&it).available.expect("an offer");
        assert_eq!(offer.version, "2.0.1");
        assert_eq!(offer.approval, Some(ApprovalState::Waiting { by: vec![], needed: 1 }));
        let apply = Call::Apply { version: None, again: false, restart: model::control::Restart::Shortest };
        let why = refused(&it, apply);
        assert!(why.contains("0 of 1 approve"), "{why}");
    });
    suite.check("a depot that is set back is refused", || {
        let before = bench.join("before");
        tools::run("cp", ["-a".as_ref(), depot.as_os_str(), before.as_os_str()]);
        let older = DepotServer::start(&before);
        let folder = depot.display().to_string();
        let refresh = ["depot", "refresh", &folder, "--root", "1.root.json", "--key", "keys/online.key"];
        tools::run_in(&maker(), &ampoule().display().to_string(), &refresh);
        check_updates(&it);
        set(&it, "update-depot", &older.url());
        let asked = it.running().control().and_then(|mut client| client.call(Call::CheckUpdates));
        set(&it, "update-depot", &server.url());
        let why = format!("{:?}", asked.expect_err("it has seen newer documents"));
        assert!(why.contains("timestamp.json") && why.contains("version"), "{why}");
    });
    suite.check("law_2_a_release_that_nobody_signed_is_not_offered", || {
        let _forged = Forged::new(&depot, |index| {
            let mut foreign = index.releases[1].clone();
            foreign.version = "9.0.0".into();
            index.releases.push(foreign);
        });
        assert_eq!(check_updates(&it).available.expect("an offer").version, "2.0.1");
    });
    suite.check("law_2_another_statement_under_a_signed_version_is_refused", || {
        let _forged = Forged::new(&depot, |index| index.releases[1].statement = index.releases[0].statement);
        let why = refused(&it, Call::CheckUpdates);
        assert!(why.contains("another statement of 2.0.1"), "{why}");
    });
    suite.check("law_7_a_release_without_its_proof_of_the_ledger_is_refused", || {
        for change in [(|index: &mut Index| index.releases[1].proof = None) as fn(&mut Index), |index| {
            index.releases[1].proof = index.releases[0].proof
        }] {
            let _forged = Forged::new(&depot, change);
            let why = refused(&it, Call::Precheck { version: None });
            assert!(why.contains("ledger"), "{why}");
        }
    });
    suite.check("garbage in the place of the roles' documents is refused", || {
        server.misbehave(Fault::Garbage, "tuf/timestamp.json");
        let why = refused(&it, Call::CheckUpdates);
        assert!(why.contains("timestamp.json"), "{why}");
        server.behave();
    });
    suite.check("a stranger's word does not count, and an officer's does", || {
        let release = new.path().display().to_string();
        let strange = approve(&[&release, "--key", "keys/mallory.key", "--name", "alice"]);
        let why = refused(&it, Call::Word { note: strange });
        assert!(why.contains("none of the keys"), "{why}");
        let depot = depot.display().to_string();
        approve(&[&release, "--key", "keys/alice.key", "--say", "hold", "--depot", &depot]);
        let why = refused(&it, Call::Stage { version: None, again: false });
        assert!(why.contains("alice holds it: read"), "{why}");
        // A second is the grain of their words.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        approve(&[&release, "--key", "keys/alice.key", "--depot", &depot]);
    });
    it.kill_power();
    suite.check(
        "a bundle on a disk patches an appliance that never saw a depot, with the officer's word",
        || {
            let bundle = bench.join("november.bundle");
            let (from, to) = (depot.display().to_string(), bundle.display().to_string());
            tools::run_in(&maker(), &ampoule().display().to_string(), &["bundle", &from, "-o", &to]);
            let monitor = bench.join("monitor");
            let it = BootedAppliance::boot(&old, &bench.join("carried"), attachable(&old, &monitor));
            drop((server, stale_server));
            write_note(&it, NOTE);
            set(&it, "update-officers", &alice);
            set(&it, "update-depot", model::builtin::ATTACHED);
            let why = refused(&it, Call::CheckUpdates);
            assert!(why.contains("no disk with a bundle"), "{why}");
            attach(&monitor, &bundle);
            let deadline = Instant::now() + Duration::from_secs(60);
            while updates(&it).available.is_none() {
                assert!(Instant::now() < deadline, "nobody looks at a new disk: {:?}", updates(&it));
                std::thread::sleep(Duration::from_secs(1));
            }
            let offer = updates(&it).available.expect("an offer");
            assert!(!offer.full, "it knows which release it runs: the maker's roles list it");
            let end = apply(&it, "2.0.1", false);
            assert!(end.reached, "{end:?}");
            let why = reason(&it, "2.0.1", LifeStage::Approved);
            assert!(why.contains("approved by alice"), "{why}");
            it.wait_healthy();
            expect_running(&it, &new);
            expect_note(&it);
            assert_eq!(updates(&it).available, None);
            it.kill_power();
        },
    );
}
