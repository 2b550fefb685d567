//! Laws of bundles: what is carried in arrives whole and signed, or not at all.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;

use depot::bundle::{Opened, Selection, import, pack};
use depot::publish::publish;
use depot::take::Believing;
use depot::{DepotError, DepotFolder, care, words};
use keys::Sign as _;
use keys::role::RoleSign;
use ledger::note::Note;
use model::Sha256Digest;
use release::{Index, Statement, trust};
use tuf::Time;

use common::carried::{Carried, DAY, refused, told};
use common::maker::Maker;
use common::{APPLIANCE, Bench, Copies, NOW};

#[test]
fn law_10_a_customers_depot_offers_what_the_maker_signed_without_a_network() {
    let carried = Carried::with(&[("1.0.0", "one and more"), ("1.0.1", "two!")]);
    let (file, packed) = carried.pack(&["1.0.0", "1.0.1"], true);
    assert_eq!(packed.fresh_until, Some(NOW + DAY));
    assert_eq!(
        fs::read(&file).expect("reads"),
        fs::read(carried.pack(&["1.0.0", "1.0.1"], true).0).expect("reads")
    );
    let imported = carried.import(&file).expect("imports");
    assert_eq!(imported.taken.new_releases.len(), 2);
    assert_eq!(imported.taken.fresh_until, Some(NOW + DAY));
    assert_eq!(carried.believed(), carried.index());
    assert_eq!(carried.index().releases, carried.bench.index().releases);
    for entry in carried.index().releases {
        let depot = carried.customer();
        let statement = depot.read_object(&entry.statement, 1 << 20).expect("whole");
        let proof = depot.read_object(&entry.proof.expect("a proof"), trust::PROOF_LIMIT).expect("whole");
        let statement = Statement::parse(&statement).expect("a statement");
        trust::proved(&statement, Some(&proof), &carried.maker.policy).expect("it holds");
    }
    let report = care::check(&carried.customer()).expect("checks");
    assert_eq!((report.problems, report.unreferenced), (vec![], vec![]));
    // Nothing is signed again: the maker's documents, byte for byte.
    for (path, bytes) in common::files_in(&carried.bench.path("depot/tuf")) {
        let name = path.file_name().expect("a name").to_owned();
        if !name.to_string_lossy().starts_with("1.s") && !name.to_string_lossy().starts_with("1.t") {
            assert_eq!(
                fs::read(carried.customer.join("tuf").join(&name)).expect("is there"),
                bytes,
                "{name:?}"
            );
        }
    }
    // The same again changes nothing.
    let before = carried.shown();
    assert_eq!(carried.import(&file).expect("again").taken.new_releases, []);
    assert_eq!(carried.shown(), before);
}

#[test]
fn law_2_a_byte_changed_anywhere_is_refused_and_the_depot_is_as_it_was() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let note = "hold\n\n— officer AAAAAAAAAAAA\n";
    Note::parse(note.as_bytes()).expect("a note");
    words::add(&carried.bench.depot(), APPLIANCE, carried.bench.index().releases[0].id(), note)
        .expect("added");
    let (file, _) = carried.pack(&[], true);
    let good = fs::read(&file).expect("reads");
    let before = carried.shown();
    // Two at once, each with a copy of its own: every byte is a bundle.
    std::thread::scope(|scope| {
        for part in 0..2 {
            let (good, carried) = (&good, &carried);
            let place = carried.bench.path(&format!("customer-{part}"));
            scope.spawn(move || {
                let depot = DepotFolder::open_or_create(&place).expect("a depot");
                let (file, before) = (place.with_extension("bundle"), common::files_in(&place));
                for at in (part..good.len()).step_by(2) {
                    let mut changed = good.clone();
                    changed[at] ^= 1 << (at / 2 % 8);
                    fs::write(&file, &changed).expect("writes");
                    let outcome = import(&file, &depot, carried.believing(), NOW);
                    let error = told(&outcome.expect_err("a changed byte"));
                    assert!(error.contains("is refused"), "byte {at}: {error}");
                    assert!(is_noticed(&file), "byte {at}");
                }
                assert_eq!(common::files_in(&place), before);
            });
        }
    });
    assert_eq!(carried.shown(), before);
    fs::write(&file, &good).expect("writes");
    carried.import(&file).expect("the bundle itself is good");
}

/// Whether a look alone finds that something is wrong, without taking anything.
fn is_noticed(bundle: &Path) -> bool {
    let Ok(opened) = Opened::open(bundle) else { return true };
    if !opened.check().expect("reads").is_empty() {
        return true;
    }
    let bytes = opened.read(&opened.index_path(), 1 << 20).expect("reads").expect("an index");
    Index::parse(&bytes, APPLIANCE, "stable").map_or(true, |index| opened.compare(&index).is_some())
}

#[test]
fn a_look_tells_every_changed_member_and_takes_nothing() {
    let carried = Carried::with(&[("1.0.0", "one"), ("1.0.1", "two")]);
    let (file, _) = carried.pack(&["1.0.0", "1.0.1"], true);
    let mut bytes = fs::read(&file).expect("reads");
    let opened = Opened::open(&file).expect("a bundle");
    assert!(opened.check().expect("reads").is_empty());
    let index = opened.index_path();
    assert_eq!(opened.read(&index, 9).expect("reads").expect("is there"), b"{\n  \"form");
    assert_eq!(opened.read("tuf/nobody.json", 9).expect("reads"), None);
    // Two members are changed: both are told, so that a person knows how much of it is damaged.
    for content in ["lock of 1.0.0", "lock of 1.0.1"] {
        let at = bytes.windows(content.len()).position(|it| it == content.as_bytes()).expect("is there");
        bytes[at] ^= 1;
    }
    fs::write(&file, &bytes).expect("writes");
    assert_eq!(Opened::open(&file).expect("a bundle").check().expect("reads").len(), 2);
    // Where the archive breaks off, what follows is not guessed.
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("writes");
    let wrong = Opened::open(&file).expect("a bundle").check().expect("reads");
    assert!(wrong.last().expect("told").to_string().contains("it ends within"), "{wrong:?}");
    let opened = Opened::open(&file).expect("a bundle");
    let is_object = |member: &&depot::bundle::Member| member.path.starts_with("objects/");
    let objects = opened.contents().members.iter().filter(is_object).count();
    let wrong = opened.objects(&[(Sha256Digest([9; 32]), "the lock of 7".to_owned())].into());
    assert_eq!(wrong.len(), objects + 1);
    assert!(wrong[0].to_string().contains("the lock of 7 is missing"), "{wrong:?}");
    assert!(wrong[1..].iter().all(|it| it.to_string().contains("no release in it needs")), "{wrong:?}");
}

#[test]
fn law_11_a_bundle_that_ends_early_or_goes_on_is_refused() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let (file, _) = carried.pack(&[], true);
    let good = fs::read(&file).expect("reads");
    let before = carried.shown();
    for length in (0..good.len()).step_by(97) {
        fs::write(&file, &good[..length]).expect("writes");
        refused(carried.import(&file), "it ends within");
    }
    for more in [&b"\0"[..], &[0; 1024], b"more"] {
        fs::write(&file, [&good, more].concat()).expect("writes");
        refused(carried.import(&file), "belongs to no member");
    }
    assert_eq!(carried.shown(), before);
}

/// An archive as other programs make it.
fn archive(write: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    write(&mut builder);
    builder.into_inner().expect("written")
}

/// `bundle.json` of a good bundle, and where the next member begins.
fn first_member(good: &[u8]) -> (&[u8], usize) {
    let size = tar::Header::from_byte_slice(&good[..512]).size().expect("a size") as usize;
    (&good[512..512 + size], 512 + size.next_multiple_of(512))
}

#[test]
fn law_11_links_foreign_paths_and_members_without_end_are_refused() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let (file, _) = carried.pack(&[], true);
    let good = fs::read(&file).expect("reads");
    let before = carried.shown();
    let (_, next) = first_member(&good);
    let instead = |kind: tar::EntryType, path: &[u8], size: u64| {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        [&good[..next], header.as_bytes(), &good[next + 512..]].concat()
    };
    for (bytes, why) in [
        (instead(tar::EntryType::Symlink, b"tuf/1.root.json", 0), "is a link"),
        (instead(tar::EntryType::Link, b"tuf/1.root.json", 0), "is a link"),
        (instead(tar::EntryType::Regular, b"../../etc/passwd", 1), "is a file `../../etc/passwd`"),
        (instead(tar::EntryType::Directory, b"tuf", 0), "is a folder"),
        (instead(tar::EntryType::Regular, b"bundle.json", u64::MAX >> 1), "is a file `bundle.json`"),
        (archive(|_| ()), "it is no bundle"),
        (
            archive(|it| {
                let mut header = tar::Header::new_ustar();
                header.set_size(4 << 40);
                it.append_data(&mut header, "bundle.json", &b""[..]).expect("written");
            }),
            "4194304 is the most",
        ),
        (b"PK\x03\x04".repeat(1000), "it is no bundle"),
    ] {
        fs::write(&file, bytes).expect("writes");
        refused(carried.import(&file), why);
    }
    // The same member once more.
    let mut again = fs::File::create(&file).expect("creates");
    again.write_all(&good[..good.len() - 1024]).expect("writes");
    again.write_all(&good[next..]).expect("writes");
    refused(carried.import(&file), "belongs to no member");
    assert_eq!(carried.shown(), before);
}

#[test]
fn an_older_bundle_takes_nothing_back() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let (old, _) = carried.pack(&["1.0.0"], true);
    carried.publish("1.0.1", "two!", 1);
    let (new, _) = carried.pack(&["1.0.1"], true);
    carried.import(&new).expect("the newer one");
    let before = carried.shown();
    refused(carried.import(&old), "older than version 2 that is trusted already");
    assert_eq!(carried.shown(), before);
    // A depot that lost its memory knows what it serves.
    fs::remove_file(carried.customer.join(".trust")).expect("removes");
    refused(carried.import(&old), "older than version 2 that is trusted already");
    // The older release in a newer bundle is no step back: it takes its place in the order.
    let (both, _) = carried.pack(&["1.0.0", "1.0.1"], true);
    carried.import(&both).expect("imports");
    let versions: Vec<String> = carried.index().releases.into_iter().map(|it| it.version).collect();
    assert_eq!(versions, ["1.0.0", "1.0.1"]);
}

#[test]
fn a_damaged_memory_is_told_and_never_replaced_by_what_is_offered() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let (file, _) = carried.pack(&[], true);
    carried.import(&file).expect("imports");
    let memory = carried.customer.join(".trust");
    let good = fs::read_to_string(&memory).expect("reads");
    for damaged in ["", "{}", &good.replace("sig", "gis")] {
        fs::write(&memory, damaged).expect("writes");
        let before = carried.shown();
        refused(carried.import(&file), "is damaged");
        assert_eq!(carried.shown(), before);
    }
}

#[test]
fn a_bundle_is_good_as_long_as_its_maker_said() {
    let carried = Carried::new();
    carried.publish("1.0.0", "one", 30);
    let (file, packed) = carried.pack(&[], true);
    assert_eq!(packed.fresh_until, Some(NOW + 30 * DAY));
    let before = carried.shown();
    refused(carried.import_at(&file, NOW + 31 * DAY), "expired");
    assert_eq!(carried.shown(), before);
    carried.import_at(&file, NOW + 29 * DAY).expect("fresh enough");
    let day = Carried::with(&[("1.0.0", "one")]);
    refused(day.import_at(&day.pack(&[], true).0, NOW + 2 * DAY), "expired");
}

#[test]
fn law_2_and_law_7_what_is_not_signed_or_not_logged_is_not_taken() {
    // Signed by nobody.
    let carried = Carried::new();
    let release = carried.bench.release("1.0.0", "one");
    carried.bench.publish(&release, &Copies::default()).expect("published");
    let (unsigned, packed) = carried.pack(&[], true);
    assert_eq!(packed.fresh_until, None);
    let before = carried.shown();
    refused(carried.import(&unsigned), "nobody signed what it offers");
    assert_eq!(carried.shown(), before);
    import(&unsigned, &carried.customer(), Believing::DangerAnybody, NOW).expect("as it was asked");

    // Signed by the roles, and in no ledger.
    let (bench, maker) = (Bench::new(), Maker::new());
    let signers: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
    let release = bench.release("1.0.0", "one");
    publish(
        &bench.depot(),
        &common::maker::signed(&maker, &signers, &release),
        &Copies::default(),
        &|_, _| (),
    )
    .expect("published");
    let signed = Carried { customer: bench.path("customer"), bench, maker };
    let (file, _) = signed.pack(&[], true);
    refused(signed.import(&file), "has no proof that 1.0.0 is in the ledger");
    refused(
        import(&file, &signed.customer(), Believing::DangerAnybody, NOW),
        "without looking at its signatures",
    );
    let without = Believing::Maker { root: &signed.maker.root, policy: None };
    import(&file, &signed.customer(), without, NOW).expect("a maker without a ledger");
    refused(
        import(&unsigned, &signed.customer(), Believing::DangerAnybody, NOW),
        "the releases of the depot are signed",
    );

    // Another maker's root.
    let other = keys::SecretKey::from_seed(&[9; 32]);
    let root = tuf::metadata::Root::new(Time(NOW).plus_days(365));
    let root = [
        tuf::metadata::TopRole::Root,
        tuf::metadata::TopRole::Targets,
        tuf::metadata::TopRole::Snapshot,
        tuf::metadata::TopRole::Timestamp,
    ]
    .into_iter()
    .fold(root, |root, role| root.with_key(role, other.public()));
    let root =
        tuf::repository::Unsigned::root(None, root).expect("possible").sign_by(&[&other]).expect("signed");
    let foreign = Believing::Maker { root: root.bytes(), policy: None };
    let place = signed.bench.path("other");
    let elsewhere = DepotFolder::open_or_create(&place).expect("a depot");
    refused(import(&file, &elsewhere, foreign, NOW), "too few signed it");
}

#[test]
fn what_a_depot_has_is_never_dropped() {
    let carried = Carried::with(&[("1.0.0", "one"), ("1.0.1", "two, and much more")]);
    let id = carried.bench.index().releases[1].id();
    let notes = ["a\n\n— alice AAAAAAAAAAAA\n", "b\n\n— bob AAAAAAAAAAAA\n"];
    words::add(&carried.customer(), APPLIANCE, id, notes[0]).expect("added");
    words::add(&carried.bench.depot(), APPLIANCE, id, notes[1]).expect("added");
    let (patches, packed) = carried.pack(&["1.0.1"], false);
    assert!(packed.index.releases[0].patches.iter().all(|patch| patch.from.is_some()));
    let imported = carried.import(&patches).expect("imports");
    assert_eq!(imported.taken.new_words, 1);
    assert_eq!(words::read(&carried.customer(), APPLIANCE, id).expect("reads"), notes);
    let serial = carried.index().serial;
    let (full, _) = carried.pack(&["1.0.1"], true);
    carried.import(&full).expect("imports");
    let index = carried.index();
    assert_eq!(index.releases[0].patches.len(), carried.bench.index().releases[1].patches.len());
    assert!(index.serial > serial);
    assert_eq!(carried.believed(), index);
}

#[test]
fn a_bundle_that_leads_nowhere_is_not_made() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let file = carried.bench.path("file");
    let selection =
        Selection { appliance: Some(APPLIANCE), channel: "stable", releases: &[], from: &[], full: false };
    let error = pack(&carried.bench.depot(), &selection, &file).expect_err("no way");
    assert!(error.to_string().contains("no patch from an earlier release leads to 1.0.0"), "{error}");
    let from = ["0.9.0".to_owned()];
    let error = pack(&carried.bench.depot(), &Selection { from: &from, full: true, ..selection }, &file);
    assert!(matches!(error, Err(DepotError::NoVersion { .. })), "{error:?}");
    assert!(!file.exists());
}

#[test]
fn a_bundle_brings_new_roots_and_what_an_old_key_signs_is_refused_from_then_on() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let depot = carried.bench.depot();
    let (before_rotation, _) = carried.pack(&[], true);
    let old = carried.bench.path("old.bundle");
    fs::rename(before_rotation, &old).expect("renames");
    let second = carried.maker.rotate(&depot, 2, NOW);
    let third = carried.maker.rotate(&depot, 3, NOW);
    let (file, _) = carried.pack(&[], true);
    // Both at once, into a depot that knows the first root alone.
    carried.import(&file).expect("two roots on");
    for (name, root) in [("2.root.json", &second.root), ("3.root.json", &third.root)] {
        assert_eq!(&fs::read(carried.customer.join("tuf").join(name)).expect("is served"), root, "{name}");
    }
    assert_eq!(carried.believed(), carried.index());
    let shown = carried.shown();
    refused(carried.import(&old), "too few signed it");
    assert_eq!(carried.shown(), shown);
    // Step by step.
    let other = Carried { customer: carried.bench.path("other"), ..carried };
    other.import(&old).expect("the first");
    other.import(&file).expect("the second");
    assert_eq!(other.believed(), other.index());
    refused(other.import(&old), "too few signed it");
}

#[test]
fn a_bundle_without_a_root_on_the_way_is_refused() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let depot = carried.bench.depot();
    carried.maker.rotate(&depot, 2, NOW);
    carried.maker.rotate(&depot, 3, NOW);
    fs::remove_file(carried.bench.path("depot/tuf/2.root.json")).expect("removes");
    let before = carried.shown();
    let (file, _) = carried.pack(&[], true);
    refused(carried.import(&file), "too few signed it");
    assert_eq!(carried.shown(), before);
}

#[test]
fn a_bundle_carries_the_lists_that_the_roles_delegate_to() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    carried.maker.delegate(&carried.bench.depot(), APPLIANCE);
    let (file, _) = carried.pack(&[], true);
    carried.import(&file).expect("imports");
    assert!(carried.customer.join("tuf/1.team.json").is_file());
    assert_eq!(carried.believed(), carried.index());
    assert_eq!(carried.index().releases.len(), 1);
    // A list of a role that may not speak of this appliance is nobody's word.
    let other = Carried::with(&[("1.0.0", "one")]);
    other.maker.delegate(&other.bench.depot(), "ampoule-examples/other");
    let (file, _) = other.pack(&[], true);
    let before = other.shown();
    refused(other.import(&file), "the roles do not list 1.0.0");
    assert_eq!(other.shown(), before);
}
