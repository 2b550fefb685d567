//! What people meet first: help, `init`, `check`, and errors that point at the line.

mod support;

use support::{ampoule_in, lamp_in};
use testkit::Bench;

const COMMANDS: [&str; 35] = [
    "init", "check", "lock", "build", "release", "depot", "test", "run", "status", "settings", "logs",
    "updates", "precheck", "stage", "apply", "rollback", "hold", "unhold", "stop", "inspect", "schema",
    "patch", "sbom", "ages", "rebuild", "bulletin", "diff", "explain", "keys", "ledger", "approve", "audit",
    "verify", "bundle", "import",
];

#[test]
fn help_names_every_command_and_every_command_has_help() {
    let bench = Bench::new();
    let help = ampoule_in(bench.path(), ["--help"]);
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    let listed: Vec<&str> = help
        .out
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for command in COMMANDS {
        assert!(listed.contains(&command), "{command} is not in\n{}", help.out);
        let own = ampoule_in(bench.path(), [command, "--help"]);
        assert_eq!(own.code, 0, "{own:?}");
        assert!(own.out.contains(&format!("Usage: ampoule {command}")), "{}", own.out);
    }
    assert!(help.out.lines().all(|line| line.len() <= 100), "help fits a terminal:\n{}", help.out);
}

#[test]
fn no_command_and_an_unknown_one_are_the_users_fault() {
    let bench = Bench::new();
    assert_eq!(ampoule_in::<&str>(bench.path(), []).code, 2);
    let unknown = ampoule_in(bench.path(), ["biuld"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("build"), "a near command is suggested: {}", unknown.err);
}

#[test]
fn what_init_writes_passes_check() {
    let bench = Bench::new();
    let init = ampoule_in(bench.path(), ["init", "my-site"]);
    assert_eq!(init.code, 0, "{init:?}");
    assert!(init.out.contains("ampoule check my-site"), "the next command is told: {}", init.out);
    let check = ampoule_in(bench.path(), ["check", "my-site"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(check.out.contains("example/my-site 0.1.0"), "{}", check.out);
    let json = ampoule_in(&bench.join("my-site"), ["check", "--json"]).json();
    assert_eq!(json["definition"]["appliance"]["name"], "my-site");
}

#[test]
fn init_never_touches_what_is_there() {
    let bench = Bench::new();
    bench.write("mine/file", "precious");
    let again = ampoule_in(bench.path(), ["init", "mine"]);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("exists already") && again.err.contains("unchanged:"), "{}", again.err);
    assert_eq!(std::fs::read_dir(bench.join("mine")).expect("reads").count(), 1);
}

#[test]
fn the_example_passes_check() {
    let said = ampoule_in(&testkit::workspace(), ["check", "examples/lamp"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_list_of_components_that_is_none_is_found_before_a_build() {
    let bench = Bench::new();
    ampoule_in(bench.path(), ["init", "my-site"]);
    let file = bench.join("my-site/appliance.toml");
    let text = std::fs::read_to_string(&file).expect("a definition");
    std::fs::write(&file, format!("{text}\n[sbom]\nmerge = [\"app.json\"]\n")).expect("writes");
    let good = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}"#;
    for (content, code) in [(good, 0), ("{\"neither\": 1}", 3), ("{", 3)] {
        bench.write("my-site/app.json", content);
        let said = ampoule_in(bench.path(), ["check", "my-site"]);
        assert_eq!(said.code, code, "{content}: {said:?}");
        assert_eq!(said.err.contains("app.json"), code != 0, "{}", said.err);
    }
}

#[test]
fn a_typo_in_any_section_is_an_error_that_points_at_its_line() {
    let bench = Bench::new();
    let full = testkit::workspace().join("crates/model/src/testdata/full.toml");
    let full = std::fs::read_to_string(full).expect("a definition with every section");
    let headers: Vec<usize> = full
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with('['))
        .map(|(number, _)| number)
        .collect();
    assert!(headers.len() > 20, "the sample has every section");
    for header in headers {
        let mut lines: Vec<&str> = full.lines().collect();
        let section = lines[header];
        lines.insert(header + 1, "tittle = \"x\"");
        bench.write("appliance.toml", lines.join("\n"));
        let said = ampoule_in(bench.path(), ["check"]);
        let place = format!("appliance.toml:{}:1", header + 2);
        assert_eq!(said.code, 3, "{section}: {said:?}");
        assert!(
            said.err.contains(&place) && said.err.contains("tittle"),
            "{section}, {place}:\n{}",
            said.err
        );
        assert!(said.err.contains("^^^^^^"), "the word is marked:\n{}", said.err);
    }
}

#[test]
fn an_unknown_section_is_an_error_that_suggests_the_near_one() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    support::replace(&lamp.join("appliance.toml"), "[resources]", "[resorces]");
    let said = ampoule_in(&lamp, ["check"]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("resorces") && said.err.contains("did you mean `resources`"), "{}", said.err);
}

#[test]
fn all_mistakes_are_told_in_one_go() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    let file = lamp.join("appliance.toml");
    support::replace(&file, "max-length = 60", "max-length = \"sixty\"");
    support::replace(&file, "port = 443", "port = 70000");
    support::replace(&file, "source = \"templates/php.ini\"", "source = \"templates/missing.ini\"");
    support::replace(&lamp.join("templates/notes.json"), "site_name |", "sight_name |");
    let said = ampoule_in(&lamp, ["check"]);
    assert_eq!(said.code, 3, "{said:?}");
    // What can not be read hides what would be checked later; both kinds must come whole.
    for (wrong, right) in [("max-length = \"sixty\"", "max-length = 60"), ("port = 70000", "port = 443")] {
        assert!(said.err.contains(wrong), "`{wrong}` is shown:\n{}", said.err);
        support::replace(&file, wrong, right);
    }
    let said = ampoule_in(&lamp, ["check"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("templates/missing.ini"), "{}", said.err);
    assert!(said.err.contains("sight_name") && said.err.contains("notes.json:1"), "{}", said.err);
}

#[test]
fn a_failure_in_json_has_code_message_and_hints_and_nothing_else_is_on_standard_output() {
    let bench = Bench::new();
    let said = ampoule_in(bench.path(), ["check", "--json"]);
    assert_eq!(said.code, 2);
    let error = &said.json()["error"];
    assert_eq!(error["code"], "user");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("appliance.toml")), "{error}");
    assert!(error["hints"].as_array().is_some_and(|hints| !hints.is_empty()), "{error}");
}

#[test]
fn a_definition_of_hostile_bytes_is_refused_without_a_panic() {
    let bench = Bench::new();
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    for bytes in [&b"\xff\xfe\0\0"[..], b"[appliance", b"", deep.as_bytes(), "[[[[\u{202e}".as_bytes()] {
        bench.write("appliance.toml", bytes);
        let said = ampoule_in(bench.path(), ["check"]);
        assert!([2, 3].contains(&said.code), "{said:?}");
        assert!(said.err.starts_with("error: ") && !said.err.contains("panicked"), "{}", said.err);
    }
}

#[test]
fn the_published_schema_and_reference_are_what_the_command_prints() {
    let root = testkit::workspace();
    let schema = ampoule_in(&root, ["schema"]);
    let published = std::fs::read_to_string(root.join("docs/appliance.schema.json")).expect("the schema");
    assert_eq!(schema.out.trim(), published.trim(), "run `ampoule schema > docs/appliance.schema.json`");
    let reference = ampoule_in(&root, ["schema", "--reference"]);
    let published = std::fs::read_to_string(root.join("docs/DEFINITION.md")).expect("the reference");
    assert_eq!(
        reference.out.trim(),
        published.trim(),
        "run `ampoule schema --reference > docs/DEFINITION.md`"
    );
}
