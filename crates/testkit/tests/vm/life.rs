//! The life of one appliance: first boot, changes, a power cut, the next boot, a clean stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use machine::{Forward, HostPort, Note, StopMethod, seed};
use model::control::{Answer, Call, Source, Status};
use model::definition::Protocol;
use release::ReleaseFolder;
use serde_json::Value;
use testkit::probe::probe_release;
use testkit::{Bench, BootedAppliance, Suite, http, tools};

use crate::settings;

/// A port that nothing declares.
pub const UNDECLARED_PORT: u16 = 7777;

/// Long enough for DHCP on an emulated processor.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(60);

/// What the first boot leaves for the second to be compared with.
struct Remembered {
    fingerprint: String,
    machine_id: String,
}

pub fn chapters(suite: &mut Suite) {
    suite.chapter("one life: first boot, settings, power cut, second boot, stop", |suite| {
        let bench = Bench::new();
        let folder = bench.join("vm");
        let release = probe_release();
        let Some(remembered) = first_boot(suite, &bench, &release, &folder) else { return };
        second_boot(suite, &release, &folder, &remembered);
    });
}

fn first_boot(
    suite: &mut Suite,
    bench: &Bench,
    release: &ReleaseFolder,
    folder: &Path,
) -> Option<Remembered> {
    let mut options = BootedAppliance::options(release);
    let undeclared = Forward { host: HostPort::Any, guest: UNDECLARED_PORT, protocol: Protocol::Tcp };
    options.forwards.push(undeclared);
    options.settings = Some("site-name = \"From the hypervisor\"\nmax-upload = 32\n".into());
    let seed_disk = bench.join("seed.img");
    seed::write(&seed_disk, "site-name = \"From the seed\"\n").expect("the seed disk is written");
    options.seed = Some(seed_disk);
    let appliance = suite
        .check("it is healthy after its first boot", || BootedAppliance::boot(release, folder, options))?;
    let it = &appliance;

    suite.check("law_2_what_runs_is_the_root_hash_of_the_release", || {
        let status = status(it);
        assert_eq!(status.root_hash, release.manifest().image.root_hash.to_string());
        assert_eq!(status.version, release.manifest().identity.version);
    });
    suite.check("its status tells address and page as soon as the network has given it one", || {
        let deadline = Instant::now() + ADDRESS_TIMEOUT;
        while status(it).urls.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_secs(1));
        }
        let status = status(it);
        assert!(status.urls.iter().any(|url| url.starts_with("https://")), "{status:?}");
    });
    suite.check("it answers over HTTPS through a forwarded port, and HTTP leads there", || {
        assert_eq!(it.get("https", 443, "/").status, 200);
        assert_eq!(it.get("http", 80, "/").status, 307);
    });
    suite.check("the console shows name, version, address and health", || {
        // The card is drawn after its news were sent here.
        for word in ["Notes", "1.0.0", "https://", "ealthy"] {
            it.wait_for_serial(word, ADDRESS_TIMEOUT);
        }
    });
    suite.check("a seed disk comes before the hypervisor, and both before defaults", || {
        let state = settings::state_of(it);
        assert_eq!(state["site-name"], (Some("From the seed".into()), Source::Seed));
        assert_eq!(state["max-upload"], (Some("32".into()), Source::Hypervisor));
        assert_eq!(state["admin-email"], (Some("admin@example.com".into()), Source::Default));
        assert_eq!(state["certificate"].1, Source::Generated);
        assert!(it.get("https", 443, "/").body.contains("<h1>From the seed</h1>"));
    });
    suite.check("the root is read-only, for everybody and everywhere", || {
        for path in ["/usr/probe", "/usr/lib/ampoule/probe", "/probe", "/data/probe"] {
            let outcome = probe(it, &format!("write={path}"))["outcome"].to_string();
            let is_refused = ["Read-only", "denied", "refused"].iter().any(|word| outcome.contains(word));
            assert!(is_refused, "{path}: {outcome}");
        }
        let mounts = probe(it, "")["mounts"].to_string();
        assert!(mounts.contains(" / erofs ro"), "{mounts}");
    });
    suite.check("a port that is not declared does not answer, even when something listens there", || {
        let answer = std::thread::scope(|scope| {
            let page = scope.spawn(|| probe(it, &format!("listen={UNDECLARED_PORT}")));
            for _ in 0..8 {
                assert!(!answers(it, UNDECLARED_PORT), "the port answered");
            }
            page.join().expect("the page answers")
        });
        assert_eq!(answer["inside"], true, "the probe's listener works: {answer}");
        assert_eq!(answer["outside"], false, "somebody came through the firewall: {answer}");
    });
    settings::checks(suite, bench, it, folder);
    suite.check("law_12_no_private_key_is_in_the_answers_the_journal_or_on_the_console", || {
        let journal = format!("{:?}", it.call(Call::Logs { unit: None, lines: 1000 }));
        let answers = format!("{:?} {:?}", it.call(Call::Settings), it.call(Call::History));
        for (place, text) in [("journal", journal), ("answers", answers), ("console", it.serial())] {
            assert!(!text.contains("PRIVATE KEY"), "a private key is in the {place}");
        }
    });
    let remembered = suite.check("identity and certificate can be read", || Remembered {
        fingerprint: fingerprint(it),
        machine_id: machine_id(it),
    })?;
    suite.check("a file written outside of declared state is there until the next boot", || {
        assert_eq!(probe(it, "write=/var/lib/probe/forgotten")["outcome"], "written");
        assert_eq!(probe(it, "exists=/var/lib/probe/forgotten")["exists"], true);
        let Answer::UndeclaredWrites(writes) = it.call(Call::UndeclaredWrites) else {
            panic!("another answer")
        };
        assert!(writes.iter().any(|write| write.path == "/var/lib/probe/forgotten"), "{writes:?}");
    });
    suite.check("a note is kept", || {
        let url = it.url("https", 443, "/");
        let answer =
            http::request(&["--form", "text=written just before the power went", &url]).expect("answers");
        assert_eq!(answer.status, 303, "{answer:?}");
    })?;
    // At once: nothing is given time to be written.
    appliance.kill_power();
    Some(remembered)
}

fn second_boot(suite: &mut Suite, release: &ReleaseFolder, folder: &Path, before: &Remembered) {
    // The same machine: the seed disk is detached and the hypervisor passes nothing any more.
    let booted = suite.check("law_4_it_is_healthy_again_after_a_power_cut", || {
        BootedAppliance::boot(release, folder, BootedAppliance::options(release))
    });
    let Some(appliance) = booted else { return };
    let it = &appliance;
    suite.check("law_9_declared_state_is_never_lost", || {
        assert!(it.get("https", 443, "/").body.contains("written just before the power went"));
    });
    suite.check("law_9_undeclared_state_does_not_survive", || {
        assert_eq!(probe(it, "exists=/var/lib/probe/forgotten")["exists"], false);
        assert_eq!(probe(it, "exists=/var/lib/probe/README")["exists"], true);
    });
    suite.check("its certificate and its machine id are those of its first boot", || {
        assert_eq!(fingerprint(it), before.fingerprint);
        assert_eq!(machine_id(it), before.machine_id);
    });
    suite.check("settings of the customer, the seed and the hypervisor are kept", || {
        let state = settings::state_of(it);
        assert_eq!(state["site-name"].0.as_deref(), Some(settings::KEPT_NAME));
        assert_eq!(state["max-upload"], (Some("32".into()), Source::Hypervisor));
    });
    suite.check("the journal of the first boot is there", || {
        let Answer::Logs(lines) = it.call(Call::Logs { unit: None, lines: 1000 }) else {
            panic!("another answer")
        };
        assert!(!lines.is_empty());
    });
    suite.check("a clean stop is the agent's, and tells what was written outside of declared state", || {
        assert_eq!(probe(&appliance, "write=/var/lib/probe/forgotten-again")["outcome"], "written");
        let notes = appliance.notes();
        let stopped = appliance.shutdown();
        assert_eq!(stopped.method, StopMethod::Agent);
        let writes = stopped.undeclared_writes.expect("the agent tells at the end");
        assert!(writes.iter().any(|write| write.path == "/var/lib/probe/forgotten-again"), "{writes:?}");
        assert!(notes.iter().all(|note| matches!(note, Note::Emulated { .. })), "{notes:?}");
    });
}

fn status(it: &BootedAppliance) -> Status {
    match it.call(Call::Status) {
        Answer::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn probe(it: &BootedAppliance, query: &str) -> Value {
    let answer = it.get("https", 443, &format!("/probe.php?{query}"));
    serde_json::from_str(&answer.body).unwrap_or_else(|error| it.fail(&format!("{error}: {answer:?}")))
}

fn machine_id(it: &BootedAppliance) -> String {
    let id = probe(it, "")["machine_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(id.len(), 32, "`{id}` is a machine id");
    id
}

/// QEMU takes every connection and hands it on: what counts is whether bytes come back.
fn answers(it: &BootedAppliance, guest: u16) -> bool {
    let port = it.running().host_port(guest).expect("it is forwarded");
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout can be set");
    let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    stream.read(&mut [0; 16]).is_ok_and(|count| count > 0)
}

/// SHA-256 of the certificate it shows, by `openssl`.
fn fingerprint(it: &BootedAppliance) -> String {
    let port = it.running().host_port(443).expect("it is forwarded");
    let script = "openssl s_client -connect \"$1\" < /dev/null 2> /dev/null | openssl x509 -noout -fingerprint -sha256";
    tools::run("sh", ["-c", script, "sh", &format!("127.0.0.1:{port}")]).trim().to_owned()
}
