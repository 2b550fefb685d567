//! Whatever the server of a maker's depot does, the customer's depot offers what it offered before, and a download that broke off goes on.

mod common;

use std::cell::RefCell;
use std::fs;
use std::time::{Duration, Instant};

use depot::care;
use depot::mirror::{self, Place, Progress};
use release::index::object_path;
use testkit::depot::{DepotServer, Fault};

use common::carried::{Carried, IMPATIENT, refused, told};

/// One fault at a place of the depot. The customer's depot is as it was, and follows once the fault is gone.
#[track_caller]
fn unchanged_by(fault: Fault, at: &str, why: &str) {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let server = DepotServer::start(carried.bench.depot().path());
    carried.mirror(&server.local_url()).expect("the first run");
    carried.publish("1.0.1", &"two, and more than fits into one piece of a slow server".repeat(9), 1);
    let before = carried.shown();
    let object = object_path(&carried.newest_object().sha256);
    let at = at.replace("OBJECT", &object);
    server.misbehave(fault, &at);
    let begin = Instant::now();
    let error = carried.mirror(&server.local_url()).expect_err("refused");
    let text = told(&error);
    assert!(text.contains(why), "{fault:?} at {at}: {text}");
    assert!(text.contains(&server.local_url()), "{fault:?} at {at} names the URL: {text}");
    assert!(begin.elapsed() < Duration::from_secs(30), "{fault:?} at {at}: it ends");
    assert_eq!(carried.shown(), before, "{fault:?} at {at}: {text}");
    server.behave();
    carried.mirror(&server.local_url()).unwrap_or_else(|error| panic!("{fault:?}: {}", told(&error)));
    assert_eq!(carried.versions(), ["1.0.0", "1.0.1"]);
    assert_eq!(care::check(&carried.customer()).expect("checks").problems, vec![]);
}

#[test]
fn law_11_a_depot_that_is_gone_or_broken_changes_nothing() {
    unchanged_by(Fault::Gone, "", "does not answer");
    unchanged_by(Fault::Gone, "tuf/", "does not answer");
    unchanged_by(Fault::Gone, "OBJECT", "does not answer");
    unchanged_by(Fault::Broken, "depot.json", "status 500");
    unchanged_by(Fault::Broken, "tuf/timestamp.json", "status 500");
    unchanged_by(Fault::Broken, "OBJECT", "status 500");
}

#[test]
fn law_2_garbage_and_changed_bytes_change_nothing() {
    unchanged_by(Fault::Garbage, "depot.json", "is not what marks a depot");
    unchanged_by(Fault::Garbage, "tuf/timestamp.json", "is refused");
    unchanged_by(Fault::Garbage, "appliances/", "can not be used");
    unchanged_by(Fault::Garbage, "OBJECT", "bytes");
    unchanged_by(Fault::Flipped, "tuf/timestamp.json", "is refused");
    unchanged_by(Fault::Flipped, "tuf/2.targets.json", "is refused");
    unchanged_by(Fault::Flipped, "objects/", "has SHA-256");
    unchanged_by(Fault::Flipped, "OBJECT", "has SHA-256");
}

#[test]
fn law_11_answers_that_end_early_are_slow_or_never_end_change_nothing() {
    unchanged_by(Fault::Truncated, "tuf/2.targets.json", "is refused");
    unchanged_by(Fault::Truncated, "OBJECT", "ended too early");
    unchanged_by(Fault::BreaksOff(3), "tuf/timestamp.json", "does not answer");
    unchanged_by(Fault::Slow(1), "tuf/timestamp.json", "comes too slowly");
    unchanged_by(Fault::Slow(1), "OBJECT", "comes too slowly");
    unchanged_by(Fault::Endless, "depot.json", "has more than 65536 bytes");
    unchanged_by(Fault::Endless, "tuf/timestamp.json", "longer than 16384 bytes");
    unchanged_by(Fault::Endless, "appliances/", "has more than 4194304 bytes");
    unchanged_by(Fault::Endless, "OBJECT", "bytes");
    unchanged_by(Fault::Circle, "depot.json", "is redirected more than 5 times");
    unchanged_by(Fault::Circle, "tuf/timestamp.json", "is redirected more than 5 times");
    unchanged_by(Fault::Circle, "OBJECT", "is redirected more than 5 times");
}

#[test]
fn a_download_that_broke_off_goes_on_in_the_next_run() {
    let carried = Carried::new();
    carried.publish("1.0.0", &"x".repeat(3 << 20), 1);
    let server = DepotServer::start(carried.bench.depot().path());
    let object = carried.newest_object();
    let path = object_path(&object.sha256);
    server.misbehave(Fault::BreaksOff(100_000), &path);
    refused(carried.mirror(&server.local_url()), "does not answer");
    let waits = carried.customer.join(".mirror").join(object.sha256.to_string());
    let here = fs::metadata(&waits).expect("is kept").len();
    assert_eq!(here, 200_000, "two attempts, one after where the other ended");
    let files = common::files_in(&carried.customer.join(".mirror"));
    let here = files.values().map(|bytes| bytes.len() as u64).sum::<u64>();
    server.behave();
    let place = Place::new(&server.local_url(), None, IMPATIENT).expect("a URL");
    let customer = carried.customer();
    let coming = mirror::look(&place, &customer, carried.asked()).expect("looks");
    assert_eq!((coming.summary.here, coming.summary.bytes > object.size), (here, true));
    let told = RefCell::new(Vec::new());
    coming
        .bring(&|progress| {
            if let Progress::Bytes { done, .. } = progress {
                told.borrow_mut().push(done);
            }
        })
        .expect("goes on");
    let told = told.into_inner();
    assert!(told.iter().any(|done| *done >= here) && told.is_sorted(), "{told:?}");
    assert_eq!(fs::read_dir(carried.customer.join(".mirror")).expect("lists").count(), 1, "its lock alone");
    assert_eq!(carried.versions(), ["1.0.0"]);
    // A server without ranges begins again, and what waits may be somebody else's bytes.
    for fault in [Some(Fault::NoRanges), None] {
        let carried = Carried::with(&[("1.0.0", "one, which is long enough")]);
        let server = DepotServer::start(carried.bench.depot().path());
        if let Some(fault) = fault {
            server.misbehave(fault, "objects/");
        }
        let object = carried.newest_object();
        let room = carried.customer().path().join(".mirror");
        fs::create_dir_all(&room).expect("creates");
        fs::write(room.join(object.sha256.to_string()), "wrong").expect("writes");
        fs::write(room.join("00".repeat(32)), "of a release that is gone").expect("writes");
        carried.mirror(&server.local_url()).expect("from the start");
        assert_eq!(care::check(&carried.customer()).expect("checks").problems, vec![]);
        assert_eq!(fs::read_dir(&room).expect("lists").count(), 1);
    }
}

#[test]
fn a_server_that_drops_long_connections_is_patiently_resumed_within_one_run() {
    let carried = Carried::new();
    carried.publish("1.0.0", &"x".repeat(6 << 20), 1);
    let server = DepotServer::start(carried.bench.depot().path());
    let path = object_path(&carried.newest_object().sha256);
    server.misbehave(Fault::BreaksOff(1 << 20), &path);
    carried.mirror(&server.local_url()).expect("a piece at a time");
    assert!(server.asked().iter().filter(|asked| **asked == path).count() >= 6);
}
