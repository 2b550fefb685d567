//! Laws of mirrors: a maker's depot is followed over HTTP, and whatever its server does, the customer's depot offers what was signed or
//! what it offered before.

mod common;

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use depot::bundle::{Selection, pack};
use depot::mirror::{self, Place, Progress, Request, Wanted, Why};
use depot::serve::{Limits, Server};
use depot::take::Taken;
use depot::{DepotError, care, words};
use keys::Sign as _;
use keys::role::RoleSign;
use release::index::object_path;
use testkit::depot::{DepotServer, Fault};
use tuf::RoleName;
use tuf::metadata::{Delegation, Targets};

use common::carried::{Carried, DAY, IMPATIENT, refused};
use common::{APPLIANCE, NOW};

fn serve(carried: &Carried) -> Server {
    let listen = "127.0.0.1:0".parse().expect("an address");
    Server::start(carried.bench.depot().path(), listen, Limits::default(), |_| ()).expect("starts")
}

#[test]
fn law_10_a_customers_depot_follows_its_makers_over_http_and_offers_what_was_signed() {
    let carried = Carried::with(&[("1.0.0", "one and more"), ("1.0.1", "two!")]);
    let id = carried.bench.index().releases[1].id();
    words::add(&carried.bench.depot(), APPLIANCE, id, "a\n\n— alice AAAAAAAAAAAA\n").expect("added");
    let server = serve(&carried);
    let taken = carried.mirror(&server.url()).expect("followed");
    assert_eq!((taken.new_releases.len(), taken.new_words, taken.fresh_until), (2, 1, Some(NOW + DAY)));
    assert_eq!(carried.believed(), carried.index());
    assert_eq!(carried.index().releases, carried.bench.index().releases);
    let report = care::check(&carried.customer()).expect("checks");
    assert_eq!((report.problems, report.unreferenced), (vec![], vec![]));
    // Nothing is signed again: every visible file is the maker's, byte for byte, but the index, whose serial is the depot's own.
    for (path, bytes) in carried.shown() {
        let name = path.strip_prefix(&carried.customer).expect("below");
        if name.to_string_lossy() != ".trust" && !name.ends_with("stable.json") {
            assert_eq!(
                fs::read(carried.bench.depot().path().join(name)).expect("is there"),
                bytes,
                "{name:?}"
            );
        }
    }
    // The same from a folder changes nothing, nor does the same again.
    let before = carried.shown();
    carried.mirror(&carried.bench.depot().path().to_string_lossy()).expect("a folder");
    carried.mirror(&server.url()).expect("again");
    assert_eq!(carried.shown(), before);
}

#[test]
fn a_second_run_downloads_small_documents_only_and_then_what_is_new() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let server = DepotServer::start(carried.bench.depot().path());
    carried.mirror(&server.local_url()).expect("the first run");
    server.asked();
    carried.mirror(&server.local_url()).expect("the second run");
    let asked = server.asked();
    assert!(asked.iter().all(|path| !path.starts_with("objects/")), "{asked:?}");
    carried.publish("1.0.1", "two!", 1);
    carried.mirror(&server.local_url()).expect("the third run");
    let old = carried.bench.index().releases[0].clone();
    let asked = server.asked();
    assert!(asked.iter().any(|path| *path == object_path(&carried.newest_object().sha256)), "{asked:?}");
    for object in [old.statement, old.patches[0].object] {
        assert!(!asked.contains(&object_path(&object.sha256)), "{asked:?}");
    }
    assert_eq!(carried.versions(), ["1.0.0", "1.0.1"]);
}

#[test]
fn what_the_roles_do_not_list_is_left_out_and_told() {
    let carried = Carried::with(&[("1.0.0", "one"), ("1.0.1", "two!")]);
    let path = release::trust::target_path(APPLIANCE, "stable", "1.0.1").expect("a path");
    let depot = carried.bench.depot();
    carried.maker.relist(&depot, "", |top| (top.without_target(&path), None));
    let server = serve(&carried);
    let place = Place::new(&server.url(), None, IMPATIENT).expect("a URL");
    let customer = carried.customer();
    let coming = mirror::look(&place, &customer, carried.asked()).expect("looks");
    let skipped: Vec<_> = coming.summary.skipped.iter().map(|it| (it.version.as_str(), it.why)).collect();
    assert_eq!(skipped, [("1.0.1", Why::NotListed)]);
    coming.bring(&|_| ()).expect("the rest of it");
    assert_eq!(carried.versions(), ["1.0.0"]);
    let report = care::check(&carried.customer()).expect("checks");
    assert_eq!((report.problems, report.unreferenced), (vec![], vec![]));
}

#[test]
fn what_the_maker_withdrew_goes_and_comes_back_without_a_download() {
    let carried = Carried::with(&[("1.0.0", "one"), ("1.0.1", "two, and more")]);
    let server = DepotServer::start(carried.bench.depot().path());
    let index_file = carried.bench.path("depot/appliances").join(APPLIANCE).join("stable.json");
    let old_index = fs::read(&index_file).expect("reads");
    carried.mirror(&server.local_url()).expect("all of it");
    // Out of the index, which nobody signs.
    care::remove(&carried.bench.depot(), APPLIANCE, "stable", "1.0.0", NOW, None).expect("removed");
    let taken = carried.mirror(&server.local_url()).expect("followed");
    assert_eq!(taken.withdrawn.iter().map(|it| it.version.as_str()).collect::<Vec<_>>(), ["1.0.0"]);
    assert_eq!(carried.versions(), ["1.0.1"]);
    let gone = taken.withdrawn[0].id();
    let leads_from = |index: release::Index| index.releases[0].patches.iter().any(|it| it.from == Some(gone));
    assert!(!leads_from(carried.index()), "nothing leads from what is gone");
    // An index that goes back takes nothing away, and brings nothing back.
    let new_index = fs::read(&index_file).expect("reads");
    fs::write(&index_file, &old_index).expect("writes");
    let before = carried.shown();
    refused(carried.mirror(&server.local_url()), "and one with 3 was followed before");
    assert_eq!(carried.shown(), before);
    // The maker offers it again: its objects are here still.
    let again = String::from_utf8(old_index).expect("text").replace("\"serial\": 2", "\"serial\": 9");
    fs::write(&index_file, again).expect("writes");
    server.asked();
    carried.mirror(&server.local_url()).expect("followed");
    assert_eq!(carried.versions(), ["1.0.0", "1.0.1"]);
    assert!(server.asked().iter().all(|path| !path.starts_with("objects/")));
    // Out of the roles' list, which counts although the index has it.
    let path = release::trust::target_path(APPLIANCE, "stable", "1.0.1").expect("a path");
    carried.maker.relist(&carried.bench.depot(), "", |top| (top.without_target(&path), None));
    carried.mirror(&server.local_url()).expect("followed");
    assert_eq!(carried.versions(), ["1.0.0"]);
    drop(new_index);
}

#[test]
fn a_new_root_and_a_new_timestamp_are_followed_and_what_is_older_is_refused() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let depot = carried.bench.depot();
    let server = DepotServer::start(depot.path());
    carried.mirror(&server.local_url()).expect("the first run");
    let roles = carried.bench.path("depot/tuf");
    let old = fs::read(roles.join("timestamp.json")).expect("reads");
    // Two days later nobody vouches for it, until its maker does.
    let later = NOW + 2 * DAY;
    let at = |now| carried.mirror_as(&server.local_url(), Request { now, ..carried.asked() });
    let before = carried.shown();
    refused(at(later), "expired");
    assert_eq!(carried.shown(), before);
    let online: [&dyn RoleSign; 1] = [&carried.maker.online];
    let signing = depot::roles::Signing {
        root: &carried.maker.root,
        signers: &online,
        now: later,
        fresh_days: 1,
        signed: None,
    };
    signing.refresh(&depot).expect("refreshed");
    assert_eq!(at(later).expect("fresh again").fresh_until, Some(later + DAY));
    let refreshed = fs::read(roles.join("timestamp.json")).expect("reads");
    // The old one again, as somebody in between would send it.
    fs::write(roles.join("timestamp.json"), &old).expect("writes");
    let before = carried.shown();
    refused(at(NOW + DAY / 2), "the clock says");
    refused(at(later), "expired");
    assert_eq!(carried.shown(), before);
    fs::write(roles.join("timestamp.json"), &refreshed).expect("writes");
    // A root that takes the online key away.
    let rotated = carried.maker.rotate(&depot, 2, later);
    at(later).expect("followed");
    assert_eq!(fs::read(carried.customer.join("tuf/2.root.json")).expect("is served"), rotated.root);
    assert_eq!(carried.believed_at(later), carried.index());
    // What the old key signed is nobody's word now, and a depot without the new root goes back.
    let before = carried.shown();
    fs::write(roles.join("timestamp.json"), &refreshed).expect("writes");
    refused(at(later), "too few signed it");
    fs::remove_file(roles.join("2.root.json")).expect("removes");
    refused(at(later), "is refused");
    assert_eq!(carried.shown(), before);
}

#[test]
fn lists_that_the_roles_delegate_to_are_followed() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    carried.maker.delegate(&carried.bench.depot(), APPLIANCE);
    let server = serve(&carried);
    let request = Request { appliance: Some(APPLIANCE), ..carried.asked() };
    carried.mirror_as(&server.url(), request).expect("followed");
    assert_eq!(carried.believed(), carried.index());
    assert_eq!(carried.versions(), ["1.0.0"]);
    assert!(carried.customer.join("tuf/1.team.json").is_file());
    // Which appliance it is about is known now.
    carried.mirror(&server.url()).expect("again");
}

#[test]
fn the_lists_of_other_appliances_come_as_they_were_signed_or_nothing_does() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    carried.maker.relist(&carried.bench.depot(), "team", |top| {
        let role = RoleName::delegated("team").expect("a name");
        let role = Delegation::terminating(role, 1, ["acme/other/*/*"]);
        let list = Targets::new(top.expires);
        (top.with_delegation(role, &[carried.maker.delegate.public()]), Some(list))
    });
    let server = DepotServer::start(carried.bench.depot().path());
    let request = Request { appliance: Some(APPLIANCE), ..carried.asked() };
    let mirror = || carried.mirror_as(&server.local_url(), request);
    let (file, before) = (carried.bench.path("depot/tuf/1.team.json"), carried.shown());
    let good = fs::read(&file).expect("reads");
    fs::write(&file, [&good[..], b" "].concat()).expect("writes");
    refused(mirror(), "is not the document that the snapshot lists");
    fs::remove_file(&file).expect("removes");
    refused(mirror(), "1.team.json` is not there");
    assert_eq!(carried.shown(), before);
    fs::write(&file, &good).expect("writes");
    mirror().expect("all of it");
    assert_eq!(fs::read(carried.customer.join("tuf/1.team.json")).expect("is served"), good);
}

#[test]
fn only_what_is_wanted_comes() {
    let carried =
        Carried::with(&[("1.0.0", "one"), ("1.0.1", "two and more"), ("1.0.2", "three, and much more")]);
    let server = serve(&carried);
    let all = carried.asked();
    let (one, from) = (["1.0.1".to_owned()], ["1.0.1".to_owned()]);
    let wanted = |wanted| carried.mirror_as(&server.url(), Request { wanted, ..all });
    wanted(Wanted { releases: &one, ..all.wanted }).expect("one of them");
    assert_eq!(carried.versions(), ["1.0.1"]);
    wanted(Wanted { newest: Some(1), from: &from, full: false, ..all.wanted }).expect("the newest");
    assert_eq!(carried.versions(), ["1.0.1", "1.0.2"]);
    let index = carried.index();
    let ways: Vec<_> = index.releases[1].patches.iter().map(|it| it.from).collect();
    assert_eq!(ways, [Some(index.releases[0].id())]);
    assert_eq!(care::check(&carried.customer()).expect("checks").problems, vec![]);
    let absent = ["9.0.0".to_owned()];
    refused(wanted(Wanted { releases: &absent, ..all.wanted }), "has no version 9.0.0");
}

#[test]
fn a_look_downloads_no_object_and_writes_nothing() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let server = DepotServer::start(carried.bench.depot().path());
    let before = carried.shown();
    let place = Place::new(&server.local_url(), None, IMPATIENT).expect("a URL");
    let customer = carried.customer();
    let coming = mirror::look(&place, &customer, carried.asked()).expect("looks");
    let size = |path: PathBuf| fs::metadata(path).expect("is there").len();
    let objects = common::files_in(&carried.bench.path("depot/objects"));
    assert_eq!(coming.summary.objects, objects.len());
    assert_eq!(coming.summary.bytes, objects.into_keys().map(size).sum::<u64>());
    assert!(coming.summary.free > 0);
    drop(coming);
    assert_eq!(carried.shown(), before);
    assert!(!server.asked().contains(&object_path(&carried.newest_object().sha256)));
}

#[test]
fn law_11_what_does_not_fit_on_the_disk_is_not_begun() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let file = carried.bench.path("depot/appliances").join(APPLIANCE).join("stable.json");
    let mut index = carried.bench.index();
    // Nobody signs an index: it can say what it wants.
    for byte in 0..60 {
        let mut way = index.releases[0].patches[0].clone();
        way.object.sha256 = model::Sha256Digest([byte; 32]);
        way.object.size = depot::bundle::OBJECT_LIMIT;
        index.releases[0].patches.push(way);
    }
    fs::write(&file, index.to_bytes()).expect("writes");
    let server = DepotServer::start(carried.bench.depot().path());
    let before = carried.shown();
    refused(carried.mirror(&server.local_url()), "are needed");
    let small = [Some(index.releases[0].statement), index.releases[0].proof]
        .map(|it| object_path(&it.expect("one").sha256));
    let asked = server.asked();
    assert!(asked.iter().all(|path| !path.starts_with("objects/") || small.contains(path)), "{asked:?}");
    // One that no depot can have.
    index.releases[0].patches.truncate(2);
    index.releases[0].patches[1].object.size = u64::MAX;
    fs::write(&file, index.to_bytes()).expect("writes");
    refused(carried.mirror(&server.local_url()), "has more than 8589934591 bytes");
    assert_eq!(carried.shown(), before);
}

#[test]
fn notes_of_strangers_leave_room_for_the_officers_here() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let id = carried.bench.index().releases[0].id();
    let junk: Vec<String> =
        (0..700).map(|at| format!("{at}{}\n\n— stranger AAAAAAAAAAAA\n", "x".repeat(1000))).collect();
    let place = carried.bench.path("depot").join(release::index::words_path(APPLIANCE, id));
    fs::create_dir_all(place.parent().expect("a folder")).expect("creates");
    fs::write(&place, serde_json::to_vec(&junk).expect("JSON")).expect("writes");
    let before = carried.shown();
    refused(carried.mirror(&carried.bench.path("depot").to_string_lossy()), "notes on one release");
    refused(carried.import(&carried.pack(&[], true).0), "notes on one release");
    assert_eq!(carried.shown(), before);
    fs::write(&place, serde_json::to_vec(&junk[..400]).expect("JSON")).expect("writes");
    carried.mirror(&carried.bench.path("depot").to_string_lossy()).expect("some");
    words::add(&carried.customer(), APPLIANCE, id, "hold\n\n— bob AAAAAAAAAAAA\n").expect("there is room");
}

#[test]
fn a_mirror_is_mirrored_and_packed_as_its_makers_depot_is() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    carried.maker.rotate(&carried.bench.depot(), 2, NOW);
    carried.mirror(&carried.bench.depot().path().to_string_lossy()).expect("the first");
    let first = carried.customer().path().to_string_lossy().into_owned();
    let second = Carried { customer: carried.bench.path("second"), ..carried };
    second.mirror(&first).expect("a mirror of it");
    assert_eq!(second.believed(), second.index());
    let file = second.bench.path("packed");
    let selection = Selection { appliance: None, channel: "stable", releases: &[], from: &[], full: true };
    pack(&second.customer(), &selection, &file).expect("packs");
    let third = Carried { customer: second.bench.path("third"), ..second };
    third.import(&file).expect("imports");
    assert_eq!(third.believed(), third.index());
}

#[test]
fn the_depot_is_free_while_objects_come_and_one_mirror_at_a_time_fills_it() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let id = carried.bench.index().releases[0].id();
    let maker = carried.bench.depot().path().to_string_lossy().into_owned();
    let place = Place::new(&maker, None, IMPATIENT).expect("a folder");
    let customer = carried.customer();
    let coming = mirror::look(&place, &customer, carried.asked()).expect("looks");
    let (is_said, second) = (RefCell::new(false), RefCell::new(None::<Result<Taken, DepotError>>));
    coming
        .bring(&|progress| {
            if matches!(progress, Progress::Bytes { .. }) && !is_said.replace(true) {
                words::add(&carried.customer(), APPLIANCE, id, "hold\n\n— bob AAAAAAAAAAAA\n").expect("free");
                second.replace(Some(carried.mirror(&maker)));
            }
        })
        .expect("followed");
    assert!(matches!(second.into_inner(), Some(Err(DepotError::Busy { .. }))));
    assert_eq!(words::read(&carried.customer(), APPLIANCE, id).expect("reads").len(), 1, "not lost");
}

#[test]
fn law_7_a_release_without_a_proof_is_left_out_and_one_with_a_wrong_proof_refused() {
    let carried = Carried::with(&[("1.0.0", "one"), ("1.0.1", "two!")]);
    let file = carried.bench.path("depot/appliances").join(APPLIANCE).join("stable.json");
    let mut index = carried.bench.index();
    let proof = index.releases[0].proof.take();
    fs::write(&file, index.to_bytes()).expect("writes");
    let maker = carried.bench.depot().path().to_string_lossy().into_owned();
    carried.mirror(&maker).expect("the other one");
    assert_eq!(carried.versions(), ["1.0.1"]);
    // The proof of another release.
    index.releases[0].proof = index.releases[1].proof;
    index.serial += 1;
    fs::write(&file, index.to_bytes()).expect("writes");
    let before = carried.shown();
    refused(carried.mirror(&maker), "does not hold");
    assert_eq!(carried.shown(), before);
    index.releases[0].proof = proof;
    fs::write(&file, index.to_bytes()).expect("writes");
    carried.mirror(&maker).expect("both");
    // Any number is a serial, and nothing is added to the largest.
    index.serial = u64::MAX;
    fs::write(&file, index.to_bytes()).expect("writes");
    carried.mirror(&maker).expect("followed");
    let removed = index.releases.remove(0);
    fs::write(&file, index.to_bytes()).expect("writes");
    carried.mirror(&maker).expect("changed");
    assert_eq!((carried.versions(), carried.index().serial), (vec!["1.0.1".to_owned()], u64::MAX));
    index.releases.insert(0, removed);
    fs::write(&file, index.to_bytes()).expect("writes");
    carried.mirror(&maker).expect("and changed again");
    assert_eq!(carried.versions(), ["1.0.0", "1.0.1"]);
}

#[test]
fn another_root_and_an_unsigned_depot_are_refused() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let server = serve(&carried);
    let before = carried.shown();
    let mut other = carried.maker.root.clone();
    let at = other.len() / 2;
    other[at] ^= 1;
    let refused_root = carried.mirror_as(&server.url(), Request { root: &other, ..carried.asked() });
    refused(refused_root, "root.json");
    fs::remove_dir_all(carried.bench.path("depot/tuf")).expect("removes");
    refused(carried.mirror(&server.url()), "is not there");
    assert_eq!(carried.shown(), before);
    for (url, why) in [
        ("ftp://example.com/depot", "http://"),
        ("https://user:secret@example.com/", "user name"),
        ("http://example.com/?x", "query"),
    ] {
        let error = Place::new(url, None, IMPATIENT).err().expect("no place").to_string();
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn law_11_a_name_that_leads_elsewhere_is_no_name_of_a_document_whoever_signed_it() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let outside = carried.bench.path("depot/x.json");
    fs::write(&outside, "{}").expect("writes");
    carried.maker.list_also(&carried.bench.depot(), "x/../../x.json", b"{}");
    fs::create_dir(carried.bench.path("depot/tuf/1.x")).expect("creates");
    let before = carried.shown();
    // From a server, and from a folder, where the name would lead to the file.
    let server = DepotServer::start(carried.bench.depot().path());
    refused(carried.mirror(&server.local_url()), "is no name of a document in a depot");
    let folder = carried.bench.depot().path().to_string_lossy().into_owned();
    refused(carried.mirror(&folder), "is no name of a document in a depot");
    assert_eq!(carried.shown(), before);
}

#[test]
fn cleaning_removes_what_waits_for_nobody_and_a_short_writer_is_waited_for() {
    let carried = Carried::with(&[("1.0.0", "one, and a little more")]);
    let server = DepotServer::start(carried.bench.depot().path());
    server.misbehave(Fault::BreaksOff(3), &object_path(&carried.newest_object().sha256));
    refused(carried.mirror(&server.local_url()), "does not answer");
    let room = carried.customer.join(".mirror");
    assert!(fs::read_dir(&room).expect("lists").count() > 1);
    care::clean(&carried.customer()).expect("cleans");
    assert_eq!(fs::read_dir(&room).expect("lists").count(), 1, "its lock");
    server.behave();
    // Whoever says something holds the lock for a moment, before the look and before the end.
    let customer = carried.customer();
    let place = Place::new(&server.local_url(), None, IMPATIENT).expect("a URL");
    let during_lock = |act: &dyn Fn()| {
        let lock = customer.lock().expect("free");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(700));
                drop(lock);
            });
            act();
        });
    };
    let coming = RefCell::new(None);
    during_lock(&|| {
        coming.replace(Some(mirror::look(&place, &customer, carried.asked()).expect("afterwards")));
    });
    during_lock(&|| {
        coming.take().expect("is there").bring(&|_| ()).expect("afterwards");
    });
    assert_eq!(carried.versions(), ["1.0.0"]);
}
