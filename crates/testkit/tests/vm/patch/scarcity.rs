//! Too little: room on data, and speed of the depot.

use std::fs;

use machine::{RunOptions, folder::names as vm_names};
use model::ByteSize;
use model::control::Call;
use testkit::depot::{DepotServer, Fault};
use testkit::variant::{self, patch_object};
use testkit::{Bench, BootedAppliance, Suite, http, tools};

use super::asking::{apply_call, refused, stage, updates, write_note};
use super::expecting::{NOTE, expect_note, expect_running, expect_untouched};
use super::releases::{first, following, good, unhealthy};

pub fn scarcity(suite: &mut Suite) {
    let (old, new) = (first(), good());
    let depot = variant::depot("patched-depot", &[&old, &new, &unhealthy()]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let options = RunOptions { data: ByteSize(320 << 20), ..following(&old, &server) };
    let folder = bench.join("vm");
    let booted = suite.check("it is healthy", || BootedAppliance::boot(&old, &folder, options));
    let Some(it) = booted else { return };
    let (patch, _) = patch_object(&depot, "1.0.0", "1.0.1");
    // The patch has a thousand bytes.
    suite.check("law_4_a_depot_that_hardly_moves_is_given_up_with_the_reason", || {
        server.misbehave(Fault::Slow(1), &patch);
        let end = stage(&it, "1.0.1");
        server.behave();
        expect_untouched(&it, &end, "1.0.0");
        let reason = end.status.patch.and_then(|patch| patch.reason).unwrap_or_default();
        assert!(reason.contains("too slow"), "{reason}");
    });
    suite.check("a slow depot takes longer, and that is all", || {
        // Another one than is installed below.
        server.misbehave(Fault::Slow(16), &patch_object(&depot, "1.0.0", "1.0.2").0);
        let end = stage(&it, "1.0.2");
        server.behave();
        assert!(end.reached, "{end:?}");
    });
    suite.check("law_4_a_full_data_disk_never_costs_what_runs", || {
        write_note(&it, NOTE);
        let large = bench.join("large");
        fs::File::create(&large).and_then(|file| file.set_len(0)).expect("creates");
        // What btrfs can not make small.
        tools::run(
            "dd",
            ["if=/dev/urandom", &format!("of={}", large.display()), "bs=1M", "count=64", "status=none"],
        );
        it.call(Call::Set { changes: [("max-upload".into(), "512".into())].into() });
        for _ in 0..8 {
            let form = format!("attachment=@{}", large.display());
            let url = it.url("https", 443, "/");
            // The last ones are refused, or the connection breaks: that is what is wanted.
            let _ = http::request(&["--max-time", "180", "--form", "text=fills", "--form", &form, &url]);
        }
        let before = updates(&it);
        let message = refused(&it, apply_call("1.0.1", false));
        assert!(message.contains("are needed on the data disk"), "{message}");
        assert_eq!(updates(&it).slots, before.slots);
        expect_running(&it, &old);
    });
    suite.check("law_9_a_larger_data_disk_is_all_it_needs", || {
        it.kill_power();
        let disk = fs::File::options().write(true).open(folder.join(vm_names::DATA)).expect("a disk");
        disk.set_len(1 << 30).expect("it can be made larger");
        let it = BootedAppliance::boot(&old, &folder, following(&old, &server));
        // The application can not write on a full disk, and says so instead of its notes.
        expect_note(&it);
        let end = stage(&it, "1.0.1");
        assert!(end.reached, "{end:?}");
        it.kill_power();
    });
}
