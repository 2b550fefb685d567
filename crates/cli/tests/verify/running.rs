//! Running appliances: what one says of itself is compared, and is never more than its own word. The agent here is a socket that answers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;

use model::control::{
    Answer, Call, Health, LifeEntry, LifeStage, OfficerWord, Outcome, Refusal, Reply, Request, SettingState,
    Slot, SlotRole, Source, Status, UpdateStatus,
};
use model::settings::Value;
use release::ReleaseFolder;
use release::approval::Word;

use crate::common::APPLIANCE;
use crate::world::World;
use crate::{fails, says};

/// What the appliance says.
#[derive(Clone)]
struct Says {
    status: Status,
    notes: Vec<String>,
    history: Vec<LifeEntry>,
    group: Option<String>,
    is_old: bool,
}

impl Says {
    /// That it runs a release of the bench.
    fn of(world: &World, version: &str) -> Self {
        let release = ReleaseFolder::open(&world.path(&format!("lamp-{version}"))).expect("a release");
        let root_hash = release.manifest().image.root_hash.to_string();
        let slot = |name: &str, role| Slot {
            name: name.into(),
            role,
            version: Some(version.into()),
            root_hash: Some(root_hash.clone()),
        };
        let update = UpdateStatus { slots: vec![slot("a", SlotRole::Running)], ..UpdateStatus::unknown() };
        let status = Status {
            appliance: APPLIANCE.into(),
            title: "Lamp".into(),
            version: version.into(),
            root_hash,
            health: Health::Healthy,
            checks: vec![],
            hostname: "lamp".into(),
            addresses: vec![],
            urls: vec![],
            uptime: 60,
            settings_version: 1,
            notices: vec![],
            update,
        };
        Self { status, notes: vec![], history: vec![], group: None, is_old: false }
    }

    fn answer(&self, call: &Call) -> Outcome {
        match call {
            Call::Status => Outcome::Ok(Answer::Status(self.status.clone())),
            Call::Settings => {
                let group = SettingState {
                    name: model::builtin::GROUP.into(),
                    title: "Group".into(),
                    value: self.group.clone().map(Value::String),
                    is_set: self.group.is_some(),
                    source: Source::Customer,
                };
                Outcome::Ok(Answer::Settings { version: 1, settings: vec![group] })
            }
            _ if self.is_old => Outcome::Refused(Refusal {
                message: "the call is not known".into(),
                setting: None,
                rule: None,
                output: None,
            }),
            Call::Words => {
                let word = |note: &String| OfficerWord { officers: vec![], note: note.clone() };
                Outcome::Ok(Answer::Words(self.notes.iter().map(word).collect()))
            }
            Call::UpdateHistory => Outcome::Ok(Answer::UpdateHistory(self.history.clone())),
            other => panic!("nothing else is asked: {other:?}"),
        }
    }

    /// Answers in the folder `NAME` from now on.
    fn run(self, world: &World, name: &str) {
        let folder = world.path(name);
        fs::create_dir(&folder).expect("creates");
        let listener = UnixListener::bind(folder.join("control.sock")).expect("binds");
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines();
                while let Some(Ok(line)) = lines.next() {
                    let request: Request = serde_json::from_str(&line).expect("a request");
                    let reply = Reply { id: request.id, outcome: self.answer(&request.call) };
                    let line = serde_json::to_string(&reply).expect("serialises") + "\n";
                    if (&stream).write_all(line.as_bytes()).is_err() {
                        break;
                    }
                }
            }
        });
    }
}

const CLAIM: &str = "not proven  what runs: ampoule-examples/lamp 1.0.1 with root hash";

#[test]
fn what_runs_is_compared_and_stays_the_machines_own_word() {
    let world = World::with(&["1.0.0", "1.0.1"]);
    let mut good = Says::of(&world, "1.0.1");
    good.status.notices.push("the clock was set".into());
    let before = Says::of(&world, "1.0.0").status;
    good.status.update.slots.push(Slot {
        name: "b".into(),
        role: SlotRole::Previous,
        version: Some(before.version),
        root_hash: Some(before.root_hash),
    });
    good.run(&world, "vm");
    let said = world.verify("vm", " --depot depot");
    assert_eq!(said.code, 0, "{said:?}");
    says(
        &said,
        &[
            CLAIM,
            "<- attestation: a running machine says so itself, and nothing proves from afar",
            "not proven  notice of the appliance <- its own word: the clock was set",
            "ok          what runs, as it says <- root hash of statement",
            "ok          slot b, as the appliance says <- root hash of statement",
            "ok          statement of 1.0.1 <- targets version 2",
            "ok          ledger entry of 1.0.1",
        ],
    );
    let said = world.ampoule("verify vm --release lamp-1.0.1");
    assert_eq!(said.code, 0, "{said:?}");
    says(
        &said,
        &[CLAIM, "ok          what runs, as it says <- appliance, version and root hash of `lamp-1.0.1`"],
    );
    let words = [
        "wrong       what runs, as it says",
        "the folder has the version 1.0.0",
        "next: find out who installed it",
    ];
    fails(&world.ampoule("verify vm --release lamp-1.0.0"), &words);
    // Nothing to compare with proves nothing.
    fails(
        &world.ampoule("verify vm"),
        &["there is nothing to compare it with", "name a depot with `--depot`"],
    );
    fails(&world.verify("vm", " --release lamp-1.0.1"), &["not proven  maker", "not proven  ledger"]);
}

#[test]
fn what_nobody_released_is_found_on_a_machine_that_does_not_lie() {
    let world = World::with(&["1.0.0"]);
    let good = Says::of(&world, "1.0.0");
    let run = |name: &str, change: &dyn Fn(&mut Says)| {
        let mut says = good.clone();
        change(&mut says);
        says.run(&world, name);
        world.verify(name, " --depot depot")
    };
    let other = run("other", &|says| says.status.root_hash = "b".repeat(64));
    let contradiction = "wrong       slot a, which runs <- what runs: the appliance contradicts itself";
    fails(
        &other,
        &["wrong       what runs, as it says", "another release has the version 1.0.0 there", contradiction],
    );
    let unknown = run("unknown", &|says| says.status.version = "7.0.0".into());
    fails(
        &unknown,
        &[
            contradiction,
            "what runs, as it says, version 7.0.0 <- what the depot `depot` offers: it does not have this version",
        ],
    );
    let nonsense = run("nonsense", &|says| says.status.root_hash = "\u{1b}[2J".into());
    fails(&nonsense, &["wrong       root hash that the appliance tells"]);
    assert!(!nonsense.out.contains('\u{1b}'), "{nonsense:?}");
    let patched = run("patched", &|says| {
        says.history.push(LifeEntry {
            time: 1,
            stage: LifeStage::Confirmed,
            version: "1.0.0".into(),
            release: "c".repeat(64),
            reason: None,
        });
    });
    fails(&patched, &["wrong       what runs, as it says"]);
    let path = run("path", &|says| says.status.appliance = "../../etc".into());
    fails(&path, &["wrong       name and channel that the appliance tells", "`../../etc stable` is none"]);
    let said = world.verify("other", " --appliance acme/shop --depot depot");
    fails(&said, &["wrong       appliance, as it says <- `acme/shop`, which you named"]);
}

#[test]
fn words_that_the_appliance_keeps_count_as_those_of_a_depot_because_they_are_signed() {
    let world = World::with(&["1.0.1"]);
    world.officers(&[11, 12]);
    let id = world.bench.index().releases[0].id();
    let mut says_so = Says::of(&world, "1.0.1");
    says_so.notes = vec![World::note(11, Word::Approve, id, None), "no note".into()];
    says_so.clone().run(&world, "vm");
    let officers = " --officers officers --approvals";
    let said = world.verify("vm", &format!(" --depot depot{officers} 1"));
    assert_eq!(said.code, 0, "{said:?}");
    fails(&world.verify("vm", &format!(" --depot depot{officers} 2")), &["1 of 2 approve it"]);
    world.say(id, &World::note(12, Word::Approve, id, None));
    assert_eq!(world.verify("vm", &format!(" --depot depot{officers} 2")).code, 0);
    // A word to a group is one to the appliance that says it is in it.
    let mut of_group = says_so.clone();
    (of_group.notes, of_group.group) = (vec![World::note_to_group(13, id, "berlin")], Some("berlin".into()));
    world.officers(&[13]);
    of_group.clone().run(&world, "berlin");
    assert_eq!(world.verify("berlin", &format!(" --depot depot{officers} 1")).code, 0);
    of_group.group = Some("rome".into());
    of_group.status.update.channel = "beta".into();
    of_group.run(&world, "rome");
    let said = world.verify("rome", &format!(" --channel stable --depot depot{officers} 1"));
    fails(&said, &["0 of 1 approve it for all appliances, or for the group `rome`"]);
    // The channel is the one that it follows.
    let said = world.verify("rome", " --depot depot");
    fails(
        &said,
        &["not proven  index appliances/", "lamp/beta.json`", "next: name an appliance and a channel"],
    );
    world.officers(&[11, 12]);
    // Without a depot, the folder says which release it is that they speak of.
    let said = world.ampoule(
        "verify vm --release lamp-1.0.1 --officers officers --approvals 1 --at 2023-11-14T22:13:20Z",
    );
    assert_eq!(said.code, 0, "{said:?}");
    says(&said, &["ok          approval of 1.0.1 <- the officers' keys you gave; by officer-11"]);
    // An agent from before officers is asked no more than it knows.
    says_so.is_old = true;
    says_so.run(&world, "old");
    let said = world.verify("old", &format!(" --depot depot{officers} 1"));
    says(
        &said,
        &[
            "not proven  officers' notes that the appliance keeps",
            "it does not tell them",
            "ok          approval of 1.0.1",
        ],
    );
}

#[test]
fn a_machine_that_is_off_has_no_chain() {
    let world = World::with(&["1.0.0"]);
    fs::create_dir(world.path("vm")).expect("creates");
    fs::write(world.path("vm/appliance"), APPLIANCE).expect("writes");
    let said = world.verify("vm", " --depot depot");
    assert_eq!(said.code, 4, "{said:?}");
    for part in ["no appliance answers at", "unchanged: verifying changes nothing", "hint: is it running?"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
}
