//! Settings of a running appliance, through the command as a person uses it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use model::control::{Answer, Call, Source};
use testkit::{Bench, BootedAppliance, Suite, ampoule, tools};

/// What the site is called when these checks are through.
pub const KEPT_NAME: &str = "Grüße & <notes>";

/// Values and sources by name.
pub fn state_of(it: &BootedAppliance) -> BTreeMap<String, (Option<String>, Source)> {
    match it.call(Call::Settings) {
        Answer::Settings { settings, .. } => settings
            .into_iter()
            .map(|state| (state.name, (state.value.map(|value| value.to_string()), state.source)))
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// Runs the `ampoule` command for the appliance of this VM folder.
pub fn command(folder: &Path, arguments: &[&str]) -> Output {
    let program = ampoule().display().to_string();
    let vm = folder.display().to_string();
    tools::attempt(&program, arguments.iter().copied().chain(["--vm", &vm]))
}

/// As [`command`], for what has to work; what it said.
#[track_caller]
pub fn must(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", tools::said(&output));
    tools::said(&output)
}

/// The change is refused with exit code 6, says all of `words`, and the settings stay as they are.
#[track_caller]
fn refused(it: &BootedAppliance, folder: &Path, changes: &[&str], words: &[&str]) {
    let before = state_of(it);
    let output = command(folder, &[&["settings", "set"], changes].concat());
    let said = tools::said(&output);
    assert_eq!(output.status.code(), Some(6), "{changes:?}: {said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(said.contains("unchanged: "), "{said}");
    assert_eq!(state_of(it), before, "settings are as before");
    assert_eq!(it.get("https", 443, "/health.php").status, 200, "it serves as before");
}

pub fn checks(suite: &mut Suite, bench: &Bench, it: &BootedAppliance, folder: &Path) {
    suite.check("`ampoule status` reaches it from another process", || {
        let said = must(folder, &["status"]);
        assert!(said.contains("healthy") && said.contains("1.0.0"), "{said}");
    });
    suite.check("a changed setting changes the page, at once and escaped", || {
        let said = must(folder, &["settings", "set", &format!("site-name={KEPT_NAME}"), "max-upload=64"]);
        assert!(said.contains("site-name") && said.contains("apache2.service"), "{said}");
        let body = it.get("https", 443, "/").body;
        assert!(body.contains("<h1>Grüße &amp; &lt;notes&gt;</h1>"), "{body}");
        assert_eq!(state_of(it)["site-name"].1, Source::Customer);
    });
    suite.check("history tells versions and who made them, and undo goes back", || {
        let history = must(folder, &["settings", "history"]);
        assert!(history.contains("site-name") && history.contains("max-upload"), "{history}");
        must(folder, &["settings", "undo"]);
        assert!(it.get("https", 443, "/").body.contains("<h1>From the seed</h1>"));
        assert_eq!(state_of(it)["max-upload"], (Some("32".into()), Source::Hypervisor));
        must(folder, &["settings", "set", &format!("site-name={KEPT_NAME}")]);
    });
    suite.check("a bad value is refused with the setting, the value and the rule", || {
        refused(it, folder, &["max-upload=9999"], &["max-upload", "9999", "512"]);
        refused(it, folder, &["max-upload=many"], &["max-upload", "many"]);
        refused(it, folder, &["admin-email=nobody"], &["admin-email", "nobody"]);
        refused(it, folder, &["redirect-to-https=perhaps"], &["redirect-to-https", "perhaps"]);
        refused(it, folder, &["site-nmae=x"], &["site-nmae", "site-name"]);
    });
    suite.check("of several changes all are made or none", || {
        refused(it, folder, &["site-name=Half", "max-upload=0"], &["max-upload"]);
        assert!(!it.get("https", 443, "/").body.contains("Half"));
    });
    suite.check(
        "a change that breaks the web server's configuration is refused with the server's own words",
        || {
            let change = "extra-configuration=Nonsense yes";
            refused(it, folder, &[change], &["Invalid command 'Nonsense'", "extra.conf"]);
        },
    );
    suite.check("a change that only a running server refuses is taken back, and the server serves", || {
        // `configtest` does not open ports; the reload does.
        refused(it, folder, &["extra-configuration=SSLRandomSeed startup file:/absent/device"], &[]);
    });
    suite.check("a key that does not belong to its certificate is refused, and neither is shown", || {
        let (certificate, _) = key_pair(bench, "one");
        let (_, key) = key_pair(bench, "two");
        let changes = [format!("certificate=@{certificate}"), format!("certificate-key=@{key}")];
        refused(it, folder, &[&changes[0], &changes[1]], &["certificate", "does not belong"]);
    });
    suite.check("a certificate of the customer is served, and undo brings the generated one back", || {
        let (certificate, key) = key_pair(bench, "three");
        let changes = [format!("certificate=@{certificate}"), format!("certificate-key=@{key}")];
        let said = must(folder, &["settings", "set", &changes[0], &changes[1]]);
        assert!(!said.contains("BEGIN"), "{said}");
        let shown = must(folder, &["settings", "show"]);
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
        let port = it.running().host_port(443).expect("forwarded").to_string();
        let script = "openssl s_client -connect 127.0.0.1:\"$1\" < /dev/null 2> /dev/null | openssl x509 -noout -subject";
        let subject = || tools::run("sh", ["-c", script, "sh", &port]);
        assert!(subject().contains("three.example"), "{}", subject());
        must(folder, &["settings", "undo"]);
        assert!(!subject().contains("three.example"), "{}", subject());
    });
}

/// A certificate and its key, made by `openssl`: (certificate, key), both paths.
fn key_pair(bench: &Bench, name: &str) -> (String, String) {
    let path = |end: &str| bench.join(format!("{name}.{end}")).display().to_string();
    let (certificate, key) = (path("crt"), path("key"));
    let subject = format!("/CN={name}.example");
    let kind =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let places = ["-subj", &subject, "-keyout", &key, "-out", &certificate];
    tools::run("openssl", kind.into_iter().chain(places));
    (certificate, key)
}
