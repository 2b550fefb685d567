//! Malicious mirrors: one that answers nonsense does not keep the others from being heard.

use serde_json::json;

use crate::bench::{Bench, Files};

#[test]
fn a_mirror_that_answers_garbage_keeps_nobody_from_updating() {
    for bad in 0..3 {
        let mut bench = Bench::updated();
        let root = bench.repository.root();
        let next = root.next(root.expires);
        let next = tuf::repository::Unsigned::root(Some(root), next).expect("follows");
        let next = next.sign_by(&[&crate::bench::key(0)]).expect("signs");
        bench.publish(vec![next], vec![], 2, 3);
        bench.publish_targets();
        let good = bench.server.files.clone();
        bench.server.mirrors = vec![good.clone(), good];
        // Also to roots that nobody made.
        bench.server.garbage = Some(bad);
        bench.update().expect("two of three places are good");
        assert_eq!(
            bench.store["targets.json"],
            bench.server.mirrors[usize::from(bad == 1)]["2.targets.json"]
        );
    }
}

#[test]
fn a_mirror_that_is_behind_or_away_keeps_nobody_from_updating() {
    let mut bench = Bench::updated();
    let behind = bench.server.files.clone();
    bench.publish_targets();
    bench.update().expect("updates");
    bench.publish_targets();
    bench.server.mirrors = vec![std::mem::replace(&mut bench.server.files, behind)];
    bench.update().expect("the mirror is up to date");
    bench.server.files = Files::new();
    bench.publish_from_mirror();
    bench.update().expect("the mirror is there");
}

#[test]
fn when_every_place_is_refused_the_first_refusal_is_told() {
    let mut bench = Bench::updated();
    bench.publish_targets();
    let mut other = bench.server.files.clone();
    other.remove("timestamp.json");
    bench.server.mirrors = vec![other];
    bench.forge("timestamp.json", &[5], |signed| signed["version"] = json!(9));
    let said = bench.refusal(&["timestamp.json"]);
    assert!(
        said.contains("https://depot0.example/timestamp.json") && said.contains("too few signed it: 0 of"),
        "{said}"
    );
}

impl Bench {
    /// The maker publishes to the mirror.
    fn publish_from_mirror(&mut self) {
        std::mem::swap(&mut self.server.files, &mut self.server.mirrors[0]);
        self.publish_targets();
        std::mem::swap(&mut self.server.files, &mut self.server.mirrors[0]);
    }
}
