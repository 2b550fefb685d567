//! Laws of publishing, with images of a few bytes and ways that are copies.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use depot::DepotError;
use depot::care::{self, Problem};
use depot::publish::{Request, publish};
use model::Sha256Digest;
use release::index::{index_path, object_path};
use release::{Statement, names};

use common::{APPLIANCE, Bench, Copies, request};

#[test]
fn a_published_release_is_whole_in_the_depot_with_patches_from_the_ones_before() {
    let bench = Bench::new();
    let ways = Copies::default();
    bench.publish(&bench.release("1.0.0", "one"), &ways).expect("publishes");
    bench.publish(&bench.release("1.0.1", "two!"), &ways).expect("publishes");
    let third = bench.release("1.1.0", "three");
    let summary = bench.publish(&third, &ways).expect("publishes");
    let index = bench.index();
    assert_eq!((index.serial, summary.serial, index.releases.len()), (3, 3, 3));
    let entry = index.releases.last().expect("a release");
    assert_eq!((entry.version.as_str(), entry.id()), ("1.1.0", summary.published.id));
    let from: Vec<_> = entry.patches.iter().map(|patch| patch.from).collect();
    assert_eq!(from, [None, Some(index.releases[1].id()), Some(index.releases[0].id())]);
    // Images of earlier releases came out of the depot.
    let made = ways.made.borrow();
    assert!(made.contains(&"rebuild one".into()) && made.contains(&"one->three Allowed".into()), "{made:?}");
    let statement = bench.depot().read_object(&entry.statement, 1 << 20).expect("whole");
    let statement = Statement::parse(&statement).expect("a statement");
    assert_eq!(statement.documents.len(), 2);
    for document in &statement.documents {
        let object = release::ObjectRef { sha256: document.sha256, size: document.size };
        bench.depot().read_object(&object, 1 << 20).expect("a document");
    }
    let report = care::check(&bench.depot()).expect("checks");
    assert_eq!((report.releases, report.problems, report.unreferenced), (3, vec![], vec![]));
    assert!(!bench.path("depot/.incoming").exists());
}

#[test]
fn a_patch_that_needs_much_memory_has_a_companion_that_needs_less() {
    let bench = Bench::new();
    let ways = Copies { memory: 1 << 30, ..Copies::default() };
    bench.publish(&bench.release("1.0.0", "one"), &ways).expect("publishes");
    bench.publish(&bench.release("1.0.1", "two two two"), &ways).expect("publishes");
    let entry = bench.index().releases.pop().expect("a release");
    let memory: Vec<u64> = entry.patches.iter().map(|patch| patch.memory).collect();
    assert_eq!(memory, [1, 1 << 30, 1]);
}

#[test]
fn a_failure_or_a_full_disk_at_any_step_leaves_the_depot_as_it_was() {
    let bench = Bench::new();
    bench.publish(&bench.release("1.0.0", "one"), &Copies::default()).expect("publishes");
    let second = bench.release("1.0.1", "two!");
    let before = bench.files();
    for step in 1..=3 {
        let ways = Copies { fails_at: Some(step), ..Copies::default() };
        let error = bench.publish(&second, &ways).expect_err("fails");
        assert!(error.is_full_disk(), "{error}");
        assert_eq!(bench.files(), before, "after a failure at step {step}");
    }
    bench.publish(&second, &Copies::default()).expect("goes on as if nothing had been");
}

#[test]
fn what_a_killed_publisher_left_is_removed_by_the_next_one() {
    let bench = Bench::new();
    let first = bench.release("1.0.0", "one");
    bench.depot();
    fs::create_dir(bench.path("depot/.incoming")).expect("creates");
    fs::write(bench.path("depot/.incoming/0001"), "half").expect("writes");
    bench.publish(&first, &Copies::default()).expect("publishes");
    assert!(!bench.path("depot/.incoming").exists());
    // Objects without an index: a crash between the two.
    let needless = Sha256Digest([9; 32]);
    let path = bench.path("depot").join(object_path(&needless));
    fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
    fs::write(&path, "x").expect("writes");
    let report = care::check(&bench.depot()).expect("checks");
    assert_eq!((report.problems.len(), report.unreferenced.len()), (0, 1));
    assert_eq!(care::clean(&bench.depot()).expect("cleans").len(), 1);
    assert!(!path.exists());
    assert_eq!(care::check(&bench.depot()).expect("checks").unreferenced, []);
}

/// A disk of 128 KiB; unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let arguments = ["-t", "tmpfs", "-o", "size=128k", "none"];
        let output = Command::new("mount").args(arguments).arg(at).output();
        output.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_real_full_disk_leaves_the_depot_as_it_was() {
    let bench = Bench::new();
    let disk = bench.path("depot");
    fs::create_dir(&disk).expect("creates");
    // Without the right to mount the failing ways above stand for it.
    let Some(mounted) = SmallDisk::mount(&disk) else { return };
    let small = bench.publish(&bench.release("1.0.0", "one"), &Copies::default());
    let before = bench.files();
    let large = bench.release("1.0.1", &"x".repeat(1 << 20));
    let error = bench.publish(&large, &Copies::default());
    let after = bench.files();
    drop(mounted);
    small.expect("a small one fits");
    let error = error.expect_err("a large one does not");
    assert!(error.is_full_disk(), "{error}");
    assert_eq!(after, before);
}

#[test]
fn the_same_version_with_other_content_and_an_older_version_are_refused() {
    let bench = Bench::new();
    let ways = Copies::default();
    let first = bench.release("1.0.0", "one");
    bench.publish(&first, &ways).expect("publishes");
    let again = bench.publish(&first, &ways).expect("is there already");
    assert!(again.is_old);
    let before = bench.files();
    let other = bench.publish(&bench.release("1.0.0", "other"), &ways).expect_err("refused");
    assert!(matches!(other, DepotError::OtherContent { .. }), "{other}");
    for version in ["0.9.9", "1.0.0-rc.1"] {
        let older = bench.publish(&bench.release(version, "older"), &ways).expect_err("refused");
        assert!(matches!(&older, DepotError::NotNewer { newest, .. } if newest == "1.0.0"), "{older}");
    }
    assert_eq!(bench.files(), before);
}

#[test]
fn a_broken_release_folder_is_refused() {
    let bench = Bench::new();
    let release = bench.release("1.0.0", "one");
    fs::write(release.join(names::ROOT), "eno").expect("writes");
    let error = bench.publish(&release, &Copies::default()).expect_err("refused");
    assert!(matches!(error, DepotError::Release(release::ReleaseError::Digest { .. })), "{error}");
    assert!(bench.depot().index(APPLIANCE, "stable").expect("reads").is_none());
}

#[test]
fn from_names_folders_of_published_releases_of_the_same_appliance_only() {
    let bench = Bench::new();
    let first = bench.release("1.0.0", "one");
    bench.publish(&first, &Copies::default()).expect("publishes");
    let second = bench.release("1.0.1", "two!");
    let stranger = [bench.release("1.0.0", "stranger")];
    let request = Request { from: &stranger, ..request(&second) };
    let error = publish(&bench.depot(), &request, &Copies::default(), &|_, _| ()).expect_err("refused");
    assert!(matches!(error, DepotError::FromUnknown { .. }), "{error}");
    let from = [first];
    let ways = Copies::default();
    let request = Request { from: &from, patches: 0, ..self::request(&second) };
    publish(&bench.depot(), &request, &ways, &|_, _| ()).expect("publishes");
    assert_eq!(*ways.made.borrow(), ["nothing->two! Forbidden", "one->two! Allowed"]);
}

#[test]
fn rotten_missing_and_foreign_objects_are_found() {
    let bench = Bench::new();
    bench.publish(&bench.release("1.0.0", "one"), &Copies::default()).expect("publishes");
    let entry = bench.index().releases.remove(0);
    let object = |digest: &Sha256Digest| bench.depot().object(digest);
    let full = entry.patches[0].object.sha256;
    let whole = fs::read(object(&full)).expect("reads");
    fs::write(object(&full), "rotten").expect("writes");
    let problems = care::check(&bench.depot()).expect("checks").problems;
    assert!(matches!(&problems[..], [Problem::Rotten { object, .. }] if *object == full), "{problems:?}");
    // A rotten full image does not become a rotten patch.
    let second = bench.release("1.0.1", "two!");
    let error = bench.publish(&second, &Copies::default()).expect_err("refused");
    assert!(matches!(error, DepotError::Digest { .. }), "{error}");
    fs::write(object(&full), whole).expect("writes");
    fs::remove_file(object(&entry.statement.sha256)).expect("removes");
    let problems = care::check(&bench.depot()).expect("checks").problems;
    assert!(matches!(&problems[..], [Problem::Missing { needed_by, .. }] if needed_by.contains("statement")));
    assert!(care::clean(&bench.depot()).is_err(), "nothing is removed when nobody knows what is needed");
}

#[test]
fn a_removed_release_is_no_way_and_no_goal_any_more() {
    let bench = Bench::new();
    bench.publish(&bench.release("1.0.0", "one"), &Copies::default()).expect("publishes");
    bench.publish(&bench.release("1.0.1", "two!"), &Copies::default()).expect("publishes");
    care::remove(&bench.depot(), APPLIANCE, "stable", "1.0.0", 7, None).expect("removes");
    let index = bench.index();
    assert_eq!((index.serial, index.updated, index.releases.len()), (3, 7, 1));
    assert!(index.releases[0].patches.iter().all(|patch| patch.from.is_none()));
    let error = care::remove(&bench.depot(), APPLIANCE, "stable", "1.0.0", 8, None).expect_err("is gone");
    assert!(matches!(error, DepotError::NoVersion { .. }), "{error}");
    let removed = care::clean(&bench.depot()).expect("cleans");
    assert!(!removed.is_empty());
    assert_eq!(care::check(&bench.depot()).expect("checks").problems, []);
}

#[test]
fn channels_and_names_can_not_leave_the_depot() {
    let bench = Bench::new();
    let release = bench.release("1.0.0", "one");
    let request = Request { channel: "../../etc", ..request(&release) };
    let error = publish(&bench.depot(), &request, &Copies::default(), &|_, _| ()).expect_err("refused");
    assert!(matches!(error, DepotError::Name { .. }), "{error}");
    assert!(!bench.path("depot").join(index_path(APPLIANCE, "stable")).exists());
}
