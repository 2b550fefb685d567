//! The laws of a bulletin.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bulletin::compare::{Evidence, compare, question};
use bulletin::facts::{Class, Kind, Nature, Status, Step, TopicId, Urgency};
use bulletin::feed;
use bulletin::gates::{Rule, broken};
use common::{Draft, bulletin_of, changelog, maker, package_origin};
use tree::Node;

/// A generator of numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A tree in which much is like in the other one, and paths hold versions.
fn some_tree(seed: u64, kernel: &str) -> Draft {
    let mut numbers = Numbers(seed);
    let mut draft = Draft::appliance("1.0.0");
    for index in 0..400 {
        let path = match index % 4 {
            0 => format!("usr/lib/modules/{kernel}/kernel/m{index}.ko"),
            1 => format!("usr/lib/libx{index}.so.{}", numbers.below(3)),
            _ => format!("usr/share/d{}/f{index}", index % 7),
        };
        match numbers.below(10) {
            0 => continue,
            1 => {
                let target = format!("t{}", numbers.below(2));
                draft.put(&path, 0o777, Node::Symlink { target }, package_origin("p"));
            }
            2 => {
                draft.put(&path, 0o755, Node::Directory, package_origin("p"));
            }
            3 => {
                // Another name of a file: it changes when that file does.
                draft
                    .file("usr/first", format!("{}", seed % 5).as_bytes(), package_origin("p"))
                    .metadata
                    .mode = 0o600;
                let target = "usr/first".parse().expect("a path");
                draft.put(&path, 0o600, Node::HardLink { target }, package_origin("p"));
            }
            _ => {
                let bytes = format!("{}", numbers.below(3));
                draft.file(&path, bytes.as_bytes(), package_origin("p")).metadata.mode =
                    0o600 + numbers.below(2) as u32;
            }
        }
    }
    draft
}

#[test]
fn the_list_of_changed_files_is_exactly_the_difference_of_the_two_trees() {
    for seed in 0..20 {
        let (old, new) = (some_tree(seed, "6.1.1-amd64"), some_tree(seed + 1000, "6.1.2-amd64"));
        let mut sides = (old.side("old"), new.side("new"));
        sides.0.kernel_version = Some("6.1.1-amd64".into());
        sides.1.kernel_version = Some("6.1.2-amd64".into());
        let found = compare(&sides.0, &sides.1, &Evidence::default());
        // Counted without the crate `tree`'s own difference: path by path, all that an entry has.
        let entries = |draft: &Draft| -> BTreeMap<String, String> {
            let text = |entry: &tree::Entry| match &entry.node {
                Node::HardLink { target } => {
                    format!("{:?} {:?} {:?}", entry.metadata, entry.node, draft.tree.entries[target].node)
                }
                node => format!("{:?} {node:?}", entry.metadata),
            };
            draft.tree.entries.iter().map(|(path, entry)| (path.to_string(), text(entry))).collect()
        };
        let (before, after) = (entries(&old), entries(&new));
        let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let expected: BTreeSet<&String> =
            all.into_iter().filter(|path| before.get(*path) != after.get(*path)).collect();
        let listed: Vec<&String> = found
            .files
            .changes
            .iter()
            .flat_map(|change| [Some(&change.path), change.was.as_ref()])
            .flatten()
            .collect();
        let once: BTreeSet<&String> = listed.iter().copied().collect();
        assert_eq!(once, expected, "seed {seed}");
        assert_eq!(listed.len(), once.len(), "no path is listed twice, seed {seed}");
        let sum = &found.files.summary;
        assert_eq!(sum.added + sum.removed + sum.changed + 2 * sum.moved, expected.len());
        assert!(sum.moved > 0, "paths with versions are joined");
        for change in &found.files.changes {
            let sides = (change.old.is_some(), change.new.is_some(), change.was.is_some());
            let right = match change.nature {
                Nature::Added => (false, true, false),
                Nature::Removed => (true, false, false),
                Nature::Changed => (true, true, false),
                Nature::Moved => (true, true, true),
            };
            assert_eq!(sides, right, "{change:?}");
        }
    }
}

/// A shop before and after a security update of nginx.
fn security_update() -> (Draft, Draft) {
    let mut old = Draft::appliance("1.0.0");
    old.package("nginx", "nginx", "1.26.3-3", "");
    let mut new = Draft::appliance("1.0.1");
    let text = changelog(
        "nginx",
        "1.26.3-3+deb13u1",
        "trixie-security",
        "  * CVE-2026-1111: a buffer overflow\n  * Revert the fix of CVE-2026-2222",
    );
    new.package("nginx", "nginx", "1.26.3-3+deb13u1", &text);
    (old, new)
}

#[test]
fn a_security_update_and_nothing_else_is_proven_to_be_one() {
    let (old, new) = security_update();
    let it = bulletin_of(&old, &new);
    assert_eq!((it.verdict.kind, it.verdict.urgency), (Kind::Security, Urgency::Soon));
    assert!(it.verdict.security_only.proven, "{:?}", it.verdict.security_only);
    assert_eq!((it.issues.counts.fixed, it.issues.counts.unclear, it.issues.counts.open), (1, 1, None));
    let classes: Vec<Class> = it.issues.list.iter().map(|issue| issue.class).collect();
    assert_eq!(classes, [Class::Changelog, Class::Unclear]);
    assert_eq!(it.sources[0].step, Step::Newer);
}

/// What is said against it, and a change that deserves it.
type Spoil = (&'static str, fn(&mut Draft));

#[test]
fn whatever_else_changes_stands_against_security_only() {
    let (old, new) = security_update();
    let spoil: [Spoil; 6] = [
        ("the maker's own", |it| {
            it.file("usr/share/shop/index.html", b"new", maker("index.html"));
        }),
        ("packages that were not there", |it| it.package("evil", "evil", "1", "")),
        ("as new upstream versions", |it| {
            let text =
                changelog("nginx", "1.26.4-1", "trixie-security", "  * New upstream version: CVE-2026-1111");
            it.package("nginx", "nginx", "1.26.4-1", &text);
        }),
        ("updates whose changelog says nothing", |it| it.package("nginx", "nginx", "1.28-1", "")),
        ("more than before in setuid", |it| {
            it.file("usr/bin/x", b"x", package_origin("nginx")).metadata.mode = 0o4755
        }),
        ("settings changed", |it| {
            let text = "[appliance]\nvendor = \"acme\"\nname = \"shop\"\ntitle = \"Shop\"\nversion = \"1.0.1\"\nsummary = \"A shop\"\n\
                [base]\nsuite = \"trixie\"\n[settings.x]\ntype = \"string\"\ntitle = \"X\"\ndefault = \"y\"\n";
            it.definition = Some(model::parse(text).expect("parses").definition);
        }),
    ];
    for (expected, change) in spoil {
        let mut new = new.clone();
        change(&mut new);
        let it = bulletin_of(&old, &new);
        assert!(!it.verdict.security_only.proven, "{expected}");
        let reasons = it.verdict.security_only.reasons.join("\n");
        assert!(reasons.contains(expected), "{expected}: {reasons}");
        assert_eq!(broken(&it, &[Rule::NotSecurityOnly]).len(), 1);
    }
}

#[test]
fn a_fix_in_a_part_that_the_image_does_not_have_is_told_apart() {
    let (old, mut new) = security_update();
    // The package is newer, and nothing of it in the image is.
    new.file("usr/lib/nginx.data", b"1.26.3-3", package_origin("nginx"));
    new.file("usr/lib/ampoule/definition.json", b"{}", tree::Origin::Generator("definition".into()));
    let it = bulletin_of(&old, &new);
    assert_eq!((it.issues.counts.fixed, it.issues.counts.fixed_elsewhere), (0, 2));
    assert!(!it.issues.list[0].in_image);
    assert_eq!((it.verdict.urgency, it.verdict.kind), (Urgency::Routine, Kind::Bugfix));
}

#[test]
fn going_back_brings_the_issues_back() {
    let (old, new) = security_update();
    let it = bulletin_of(&new, &old);
    assert_eq!(it.issues.counts.new, Some(2));
    assert_eq!(it.issues.list[0].status, Status::New);
    assert!(it.verdict.sentence.contains("is older than"), "{}", it.verdict.sentence);
    assert!(it.verdict.security_only.reasons.iter().any(|reason| reason.contains("go back")));
}

#[test]
fn a_patch_that_fixes_and_brings_back_says_both_in_one_sentence() {
    let (mut old, mut new) = security_update();
    let text = changelog("pcre2", "10.42-2", "trixie-security", "  * CVE-2026-7777: a loop");
    old.package("libpcre2", "pcre2", "10.42-2", &text);
    new.package("libpcre2", "pcre2", "10.42-1", "");
    let sentence = bulletin_of(&old, &new).verdict.sentence;
    assert!(
        sentence.contains("fixes") && sentence.contains("brings 1 known issue that was not there"),
        "{sentence}"
    );
}

#[test]
fn the_same_release_asks_nobody_to_act() {
    let (old, _) = security_update();
    let it = bulletin_of(&old, &old);
    assert_eq!((it.verdict.kind, it.verdict.urgency), (Kind::Nothing, Urgency::None));
    assert!(it.files.changes.is_empty() && it.sources.is_empty() && it.issues.list.is_empty());
}

#[test]
fn two_appliances_are_compared_and_called_two() {
    let (old, mut new) = security_update();
    new.definition.as_mut().expect("it has one").appliance.name = "other".into();
    let it = bulletin_of(&old, &new);
    assert!(it.verdict.sentence.contains("two appliances"), "{}", it.verdict.sentence);
    assert!(!it.verdict.rollback.possible && it.verdict.urgency == Urgency::None);
}

#[test]
fn a_feed_confirms_adds_contradicts_and_knows_what_is_open() {
    let (old, new) = security_update();
    let (old, new) = (old.side("old"), new.side("new"));
    let tracker = r#"{"nginx": {
        "CVE-2026-1111": {"releases": {"trixie": {"status": "resolved", "fixed_version": "1.26.3-3+deb13u1", "urgency": "high"}}},
        "CVE-2026-3333": {"releases": {"trixie": {"status": "resolved", "fixed_version": "1.26.3-3+deb13u1"}}},
        "CVE-2026-4444": {"releases": {"trixie": {"status": "open", "urgency": "medium"}}},
        "CVE-2026-5555": {"releases": {"trixie": {"status": "open", "urgency": "unimportant"}}},
        "CVE-2026-6666": {"releases": {"trixie": {"status": "resolved", "fixed_version": "1.20-1"}}}}}"#;
    let feed =
        feed::read("t", tracker.as_bytes(), Some("2026-11-01".into()), &question(&old, &new)).expect("reads");
    let mut evidence = Evidence { feeds: vec![feed], ..Evidence::default() };
    let it = compare(&old, &new, &evidence);
    let of = |id: &str| {
        it.issues.list.iter().find(|issue| issue.id == id).map(|issue| (issue.status, issue.class))
    };
    assert_eq!(of("CVE-2026-1111"), Some((Status::Fixed, Class::Both)));
    assert_eq!(of("CVE-2026-3333"), Some((Status::Fixed, Class::Feed)));
    assert_eq!(of("CVE-2026-4444"), Some((Status::Open, Class::Feed)));
    assert_eq!(of("CVE-2026-6666"), None, "settled long before");
    assert_eq!((it.issues.counts.open, it.issues.counts.new), (Some(1), Some(0)));
    assert_eq!(it.verdict.urgency, Urgency::High);
    let rules =
        ["open-cve=high", "open-cve=medium", "new-cve"].map(|rule| rule.parse::<Rule>().expect("a rule"));
    let names: Vec<String> = broken(&it, &rules).iter().map(|broken| broken.rule.to_string()).collect();
    assert_eq!(names, ["open-cve=medium"]);
    // A statement that it does not apply takes an issue out of the count, and leaves it in the list.
    let vex = br#"{"@context": "https://openvex.dev/ns/v0.2.0", "author": "Acme", "statements": [
        {"vulnerability": {"name": "CVE-2026-4444"}, "status": "not_affected", "justification": "vulnerable_code_not_present"}]}"#;
    evidence.vex = bulletin::vex::read(vex).expect("reads");
    let it = compare(&old, &new, &evidence);
    assert_eq!(it.issues.counts.open, Some(0));
    assert!(it.issues.list.iter().any(|issue| issue.vex.as_deref().is_some_and(|vex| vex.contains("Acme"))));
}

#[test]
fn a_gate_that_can_not_see_does_not_open() {
    let (old, new) = security_update();
    let it = bulletin_of(&old, &new);
    assert_eq!(broken(&it, &[Rule::OpenCve(None)]).len(), 1, "no feed was given");
}

#[test]
fn new_rights_ports_and_users_are_seen() {
    let (mut old, mut new) = security_update();
    old.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", maker("x"));
    new.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nmallory:x:0:0::/:/bin/sh\n", maker("x"));
    new.file("etc/shadow", b"root:*:1::::::\nmallory::1::::::\n", maker("x"));
    new.file("usr/bin/x", b"x", maker("x")).metadata.mode = 0o4755;
    new.file("usr/lib/systemd/system/x.socket", b"[Socket]\nListenStream=8080\n", maker("x"));
    new.put(
        "etc/systemd/system/multi-user.target.wants/x.service",
        0o777,
        Node::Symlink { target: "/x".into() },
        maker("x"),
    );
    new.file("etc/sudoers.d/x", b"ALL", maker("x"));
    let it = bulletin_of(&old, &new);
    let wider = |id: TopicId| -> Vec<&str> {
        let topic = it.topics.iter().find(|topic| topic.id == id).expect("a topic");
        topic.items.iter().filter(|item| item.widens).map(|item| item.what.as_str()).collect()
    };
    assert_eq!(wider(TopicId::Privileges), ["/usr/bin/x"]);
    assert_eq!(wider(TopicId::Accounts), ["user mallory"]);
    assert_eq!(wider(TopicId::Network), ["socket x.socket"]);
    assert_eq!(wider(TopicId::Services), ["x.service"]);
    assert_eq!(wider(TopicId::Rules), ["/etc/sudoers.d/x"]);
    let rules = [
        Rule::NewSetuid,
        Rule::NewPort,
        Rule::NewUser,
        Rule::NewService,
        Rule::NewPackage,
        Rule::RemovedHardening,
    ];
    let names: Vec<String> = broken(&it, &rules).iter().map(|broken| broken.rule.to_string()).collect();
    assert_eq!(names, ["new-setuid", "new-port", "new-user", "new-service"]);
    assert!(!format!("{it:?}").contains("mallory::1"), "no line of /etc/shadow is shown");
}
