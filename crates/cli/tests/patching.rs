//! The operator's verbs against an agent that says what a test wants. No virtual machine runs here.

mod support;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use model::control::{
    Activity, Answer, Call, Finding, LifeStage, Offer, Outcome, PatchLife, Precheck, Refusal, Reply, Request,
    Restart, Slot, SlotRole, UpdateState, UpdateStatus,
};
use support::{Said, ampoule_in};
use testkit::Bench;

/// An agent behind `control.sock`.
struct Agent {
    bench: Bench,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Agent {
    /// `updates` are its answers to that call, one after the other; the last one stays. `others` answers all other calls.
    fn new(
        updates: Vec<UpdateStatus>,
        others: impl Fn(&Call) -> Result<Answer, String> + Send + Sync + 'static,
    ) -> Self {
        let bench = Bench::new();
        std::fs::create_dir(bench.join("vm")).expect("creates");
        let listener = UnixListener::bind(bench.join("vm/control.sock")).expect("listens");
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (heard, updates) = (Arc::clone(&calls), Arc::new(Mutex::new(VecDeque::from(updates))));
        let others = Arc::new(others);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (heard, updates, others) =
                    (Arc::clone(&heard), Arc::clone(&updates), Arc::clone(&others));
                std::thread::spawn(move || {
                    let mut writer = stream.expect("connects");
                    let reader = BufReader::new(writer.try_clone().expect("clones"));
                    for line in reader.lines().map_while(Result::ok) {
                        let Request { id, call } = serde_json::from_str(&line).expect("a request");
                        let answer = match &call {
                            Call::Updates => {
                                let mut updates = updates.lock().expect("updates");
                                let first = updates.front().cloned().expect("an answer");
                                if updates.len() > 1 {
                                    updates.pop_front();
                                }
                                Ok(Answer::Updates(first))
                            }
                            other => others(other),
                        };
                        heard.lock().expect("calls").push(call);
                        let outcome = match answer {
                            Ok(answer) => Outcome::Ok(answer),
                            Err(message) => {
                                Outcome::Refused(Refusal { message, setting: None, rule: None, output: None })
                            }
                        };
                        let mut line = serde_json::to_string(&Reply { id, outcome }).expect("serialises");
                        line.push('\n');
                        if writer.write_all(line.as_bytes()).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { bench, calls }
    }

    fn ampoule(&self, arguments: &[&str]) -> Said {
        ampoule_in(self.bench.path(), arguments.iter().chain(&["--vm", "vm"]))
    }

    fn calls(&self) -> Vec<Call> {
        let calls = self.calls.lock().expect("calls");
        calls.iter().filter(|call| **call != Call::Updates).cloned().collect()
    }
}

fn offer() -> Offer {
    Offer {
        version: "1.0.1".into(),
        release: "ab".repeat(32),
        published: 1_709_209_845,
        notes: Some("Security fixes.".into()),
        download: 7 << 20,
        full: false,
        approval: None,
    }
}

fn status(stage: Option<LifeStage>, running: &str) -> UpdateStatus {
    let slot = |name: &str, role, version: &str| Slot {
        name: name.into(),
        role,
        version: Some(version.into()),
        root_hash: Some("cd".repeat(32)),
    };
    let other = if running == "1.0.0" { "1.0.1" } else { "1.0.0" };
    let patch = stage.map(|stage| PatchLife {
        version: "1.0.1".into(),
        from_version: "1.0.0".into(),
        release: "ab".repeat(32),
        root_hash: "cd".repeat(32),
        stage,
        since: 1_709_209_845 + stage as u64,
        reason: (stage == LifeStage::FallenBack).then(|| "check `web` did not pass in 120 s".into()),
        activity: None,
    });
    UpdateStatus {
        state: UpdateState::Available,
        depot: Some("http://10.0.2.2:8000".into()),
        available: Some(offer()),
        slots: vec![slot("a", SlotRole::Running, running), slot("b", SlotRole::Previous, other)],
        patch,
        ..UpdateStatus::unknown()
    }
}

fn working(stage: LifeStage, step: &str) -> UpdateStatus {
    let mut status = status(Some(stage), "1.0.0");
    let activity = Activity { step: step.into(), done: 3 << 20, total: 7 << 20 };
    status.patch.as_mut().expect("a patch").activity = Some(activity);
    status
}

fn precheck(problems: Vec<Finding>) -> Precheck {
    Precheck {
        offer: offer(),
        problems,
        findings: vec![],
        restart: Restart::Shortest,
        rollback: "possible; state stays as it is".into(),
        install_seconds: 40,
        rollback_seconds: 30,
    }
}

fn willing(call: &Call) -> Result<Answer, String> {
    match call {
        Call::Precheck { .. } => Ok(Answer::Precheck(precheck(vec![]))),
        Call::Hold { .. } | Call::Unhold { .. } | Call::CheckUpdates => {
            Ok(Answer::Updates(status(None, "1.0.0")))
        }
        Call::UpdateHistory => Ok(Answer::UpdateHistory(vec![])),
        _ => Ok(Answer::Done),
    }
}

#[test]
fn apply_shows_what_it_does_and_follows_the_patch_until_it_proved_itself() {
    use LifeStage::{Confirmed, Offered, Staged, Trial};
    let story = vec![
        status(None, "1.0.0"),
        working(Offered, "download"),
        status(Some(Staged), "1.0.0"),
        status(Some(Trial), "1.0.1"),
        status(Some(Confirmed), "1.0.1"),
    ];
    let agent = Agent::new(story, willing);
    let said = agent.ampoule(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    for words in
        ["verdict      it can be installed", "1.0.1 was written and read back", "1.0.1 runs on trial"]
    {
        assert!(said.err.contains(words), "`{words}` is not in: {}", said.err);
    }
    assert!(said.out.starts_with("1.0.1 runs and proved itself\n"), "{}", said.out);
    // The version that was shown is the one that is asked for.
    let asked = Call::Apply { version: Some("1.0.1".into()), again: false, restart: Restart::Shortest };
    assert_eq!(agent.calls(), [Call::Precheck { version: None }, asked]);
}

#[test]
fn a_patch_that_falls_back_is_exit_code_6_with_the_reason() {
    let story = vec![
        status(None, "1.0.0"),
        status(Some(LifeStage::Trial), "1.0.1"),
        status(Some(LifeStage::FallenBack), "1.0.0"),
    ];
    let agent = Agent::new(story, willing);
    let said = agent.ampoule(&["apply", "1.0.1", "--yes", "--json"]);
    assert_eq!(said.code, 6, "{said:?}");
    let error = &said.json()["error"];
    assert_eq!(error["message"], "1.0.1 fell back: check `web` did not pass in 120 s");
    assert!(error["unchanged"].as_str().expect("text").starts_with("1.0.0 runs again"), "{error}");
}

#[test]
fn without_a_terminal_nothing_is_asked_and_nothing_done() {
    let agent = Agent::new(vec![status(None, "1.0.1")], willing);
    for verb in ["apply", "rollback"] {
        let said = agent.ampoule(&[verb]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(
            said.err.contains("nobody is there to say yes") && said.err.contains("--yes"),
            "{}",
            said.err
        );
        assert!(said.err.contains("unchanged: "), "{}", said.err);
    }
    let acts = |call: &Call| matches!(call, Call::Apply { .. } | Call::Rollback);
    assert!(!agent.calls().iter().any(acts));
}

#[test]
fn a_precheck_with_problems_is_told_and_stops_apply() {
    let problem = || Finding {
        subject: "space".into(),
        text: "the slot has 100 MiB, the release needs 200 MiB".into(),
        resolution: Some("move the data to a larger disk".into()),
    };
    let agent = Agent::new(vec![status(None, "1.0.0")], move |call| match call {
        Call::Precheck { .. } => Ok(Answer::Precheck(precheck(vec![problem()]))),
        _ => Ok(Answer::Done),
    });
    for arguments in [&["precheck"][..], &["apply", "--yes"][..]] {
        let said = agent.ampoule(arguments);
        assert_eq!(said.code, 6, "{said:?}");
        assert!(said.err.contains("1.0.1 can not be installed: space"), "{}", said.err);
        assert!(said.err.contains("hint: move the data to a larger disk"), "{}", said.err);
    }
    assert!(agent.calls().iter().all(|call| matches!(call, Call::Precheck { .. })));
}

#[test]
fn rollback_says_first_what_it_does_to_the_state() {
    let confirmed = UpdateStatus {
        rollback: Some("the state of before 1.0.1 comes back".into()),
        ..status(Some(LifeStage::Confirmed), "1.0.1")
    };
    let story = vec![confirmed.clone(), confirmed, status(Some(LifeStage::RolledBack), "1.0.0")];
    // As an appliance answers: a precheck is for newer releases only.
    let agent = Agent::new(story, |call| match call {
        Call::Precheck { .. } => {
            Err("1.0.0 is not newer than 1.0.1; to go back one release, use rollback".into())
        }
        _ => willing(call),
    });
    let said = agent.ampoule(&["rollback", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("1.0.1 to 1.0.0"), "{}", said.err);
    assert!(said.err.contains("state: the state of before 1.0.1 comes back"), "{}", said.err);
    assert!(said.out.starts_with("1.0.0 runs again"), "{}", said.out);
}

#[test]
fn a_refusal_is_shown_in_the_agents_words_and_says_what_is_unchanged() {
    let agent = Agent::new(vec![status(None, "1.0.0")], |_| Err("no depot is followed".into()));
    for arguments in
        [&["updates", "--check"][..], &["stage", "1.0.1"], &["hold", "--reason", "audit"], &["unhold"]]
    {
        let said = agent.ampoule(arguments);
        assert_eq!(said.code, 6, "{said:?}");
        assert!(said.err.starts_with("error: no depot is followed\nunchanged: "), "{}", said.err);
    }
}

#[test]
fn updates_holds_and_history_have_json() {
    let agent = Agent::new(vec![status(None, "1.0.0")], willing);
    let updates = agent.ampoule(&["updates", "--json"]).json();
    assert_eq!(updates["available"]["version"], "1.0.1");
    assert_eq!(agent.ampoule(&["updates", "history", "--json"]).json(), serde_json::json!([]));
    assert_eq!(agent.ampoule(&["hold", "1.0.1", "--reason", "audit", "--json"]).code, 0);
    assert_eq!(agent.ampoule(&["unhold", "1.0.1"]).code, 0);
    let hold = Call::Hold { version: Some("1.0.1".into()), reason: "audit".into() };
    assert_eq!(agent.calls(), [Call::UpdateHistory, hold, Call::Unhold { version: Some("1.0.1".into()) }]);
    assert_eq!(agent.ampoule(&["hold", "1.0.1"]).code, 2, "a hold without a reason is refused");
}

#[test]
fn nothing_that_runs_is_one_clear_error() {
    let bench = Bench::new();
    for verb in ["updates", "precheck", "stage", "apply", "rollback", "unhold"] {
        let said = ampoule_in(bench.path(), [verb, "--vm", "absent"]);
        assert_eq!(said.code, 4, "{verb}: {said:?}");
        assert!(said.err.contains("no appliance answers"), "{}", said.err);
    }
    assert!(!Path::new("absent").exists());
}
