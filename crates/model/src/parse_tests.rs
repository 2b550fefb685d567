//! Laws of [`super`]: what is right is read whole, what is wrong is reported at its line, all in one go.

use proptest::prelude::*;

use super::*;
use crate::definition::{Probe, Protocol};
use crate::describe::{Need, SECTIONS};
use crate::problem::{position, render_problems};
use crate::settings::{Generate, Kind, Value};
use crate::size::ByteSize;

/// A definition that uses every section and nearly every key.
const FULL: &str = include_str!("testdata/full.toml");

fn problems(text: &str) -> Vec<Problem> {
    parse(text).err().unwrap_or_default()
}

/// Problems as `line: message`.
fn lines(text: &str) -> Vec<String> {
    problems(text)
        .iter()
        .map(|problem| format!("{}: {}", position(text, problem.span.start).0, problem.message))
        .collect()
}

#[test]
fn a_full_definition_is_read_whole() {
    let parsed =
        parse(FULL).unwrap_or_else(|problems| panic!("{}", render_problems(&problems, "full.toml", FULL)));
    let definition = parsed.definition;
    assert_eq!(definition.appliance.id(), "acme/shop");
    assert_eq!(definition.base.kernel, "linux-image-amd64");
    assert_eq!(definition.files[1].mode, Some(0o755));
    assert_eq!(definition.templates[0].mode, 0o644);
    let names: Vec<_> = definition.settings.iter().map(|setting| setting.name.as_str()).collect();
    assert_eq!(
        names,
        ["site-name", "admin-email", "max-upload", "theme", "certificate", "a-key", "api-token", "relay"]
    );
    assert_eq!(definition.settings[2].default, Some(Value::Integer(16)));
    assert_eq!(definition.settings[4].generate, Some(Generate::SelfSigned));
    assert_eq!(definition.settings[4].kind, Kind::Certificate { key: Some("a-key".into()) });
    assert_eq!((definition.ports[1].port, definition.ports[1].protocol), (514, Protocol::Udp));
    assert!(matches!(&definition.health[0].probe, Probe::Http { status: 200, contains: Some(_), .. }));
    assert_eq!(definition.trim.rules[0].except.len(), 1);
    assert_eq!(definition.resources.memory, ByteSize(2 << 30));
    assert_eq!(definition.resources.data, ByteSize(2 << 30));
}

#[test]
fn spans_lead_back_to_the_text() {
    let parsed = parse(FULL).expect("it is right");
    let text = |path: &str| &FULL[parsed.spans.value(path).expect(path)];
    assert_eq!(text("appliance.vendor"), "\"acme\"");
    assert_eq!(text("base.packages[1]"), "\"php\"");
    assert_eq!(text("settings[2].default"), "16");
    assert_eq!(text("trim.rules[0].name"), "\"php-tests\"");
    assert_eq!(&FULL[parsed.spans.header("settings[2]").expect("a header")], "max-upload");
}

#[test]
fn a_definition_survives_json() {
    let definition = parse(FULL).expect("it is right").definition;
    let json = serde_json::to_string(&definition).expect("it can be written");
    assert_eq!(serde_json::from_str::<Definition>(&json).expect("it can be read"), definition);
}

#[test]
fn examples_of_the_table_and_its_defaults_are_valid() {
    for section in SECTIONS {
        let mut text = String::new();
        for name in ["appliance", "base"] {
            if section.name != name {
                text += crate::describe::section(name).expect("it exists").example;
            }
        }
        text += section.example;
        assert_eq!(lines(&text), Vec::<String>::new(), "{text}");
        for key in section.keys {
            if let Need::Default(default) = key.need {
                assert!(default_value(key, default).is_some(), "{}.{}", section.name, key.name);
            }
        }
    }
}

/// One change to [`FULL`] each: what is replaced, by what, and the message, at the line of the replacement.
const TYPOS: &[(&str, &str, &str)] = &[
    ("[appliance]", "[aplliance]", "a definition has no section `aplliance`"),
    ("vendor = \"acme\"", "vendr = \"acme\"", "`[appliance]` has no key `vendr`"),
    ("vendor = \"acme\"", "vendor = \"Acme Inc\"", "`vendor` can not be `Acme Inc`"),
    ("vendor = \"acme\"", "vendor = 7", "`vendor` in `[appliance]` has to be a text, not a whole number"),
    ("version = \"1.4.0\"", "version = \"1.4\"", "`version` can not be `1.4`"),
    ("end-of-support = \"2030-06-30\"", "end-of-support = \"2030-06-31\"", "`end-of-support` can not be"),
    ("contact = \"support@", "contact = \"support at ", "`contact` can not be"),
    ("url = \"https://example", "url = \"https:/example", "`url` can not be"),
    ("suite = \"trixie\"", "suit = \"trixie\"", "`[base]` has no key `suit`"),
    (
        "packages = [\"apache2\", \"php\"]",
        "packages = \"apache2\"",
        "`packages` in `[base]` has to be a list of texts",
    ),
    ("packages = [\"apache2\", \"php\"]", "packages = [\"apache2\", 7]", "`packages` is a list of texts"),
    (
        "packages = [\"apache2\", \"php\"]",
        "packages = [\"apache2\", \"apache2\"]",
        "the package `apache2` is there twice",
    ),
    ("[\"updates\", \"security\"]", "[\"trixie-updates\"]", "`trixie-updates` has the code name"),
    ("components = [\"main\"]", "components = [\"mian\"]", "`components` can not be `mian`"),
    ("recommends = false", "recommends = \"no\"", "`recommends` in `[base]` has to be `true` or `false`"),
    ("source = \"site\"", "source = \"../site\"", "`source` can not be `../site`"),
    ("target = \"/srv/www\"", "target = \"/srv/www/\"", "`target` can not be `/srv/www/`"),
    ("target = \"/srv/www\"", "target = \"/data/www\"", "`/data/www` can not be used: /data is not"),
    ("target = \"/srv/www\"", "target = \"/run/www\"", "`/run/www` can not be used: /run is empty"),
    ("target = \"/srv/www\"", "target = \"/bin/www\"", "`/bin/www` can not be used: /bin is a link"),
    ("mode = \"0755\"", "mode = 755", "`mode` in `[[files]]` has to be a mode"),
    ("mode = \"0755\"", "mode = \"0799\"", "`mode` can not be `0799`"),
    ("groups = [\"ssl-cert\"]", "grops = [\"ssl-cert\"]", "`[[users]]` has no key `grops`"),
    ("enable = [\"shop.service\"]", "enable = [\"shop\"]", "`enable` can not be `shop`"),
    ("mask = [\"apt-daily.timer\"]", "mask = [\"shop.service\"]", "the unit `shop.service` is named twice"),
    ("target = \"/etc/apache2/", "target = \"/usr/share/", "`/usr/share/site.conf` can not be rendered"),
    ("target = \"/etc/apache2/", "target = \"/run/ampoule/", "`/run/ampoule/site.conf` can not be used"),
    ("[settings.site-name]", "[settings.Site_Name]", "a setting's name can not be `Site_Name`"),
    ("[settings.site-name]", "[settings.appliance]", "a setting's name can not be `appliance`"),
    ("pattern = \"[A-Za-z ]+\"", "pattern = \"[A-Za-z\"", "`pattern` can not be `[A-Za-z`"),
    ("default = \"My Shop\"", "default = \"My Shop 2\"", "the default of `site-name` can not be `My Shop 2`"),
    ("type = \"email\"", "type = \"mail\"", "`type` can not be `mail`"),
    (
        "max = 512",
        "pattern = \"x\"",
        "`pattern` does not go with `type = \"integer\"` in `[settings.max-upload]`",
    ),
    ("max = 512", "max = 0", "no value fits"),
    ("default = 16", "default = \"16\"", "the default of `max-upload` can not be `16`"),
    ("default = 16", "default = 900", "the default of `max-upload` can not be `900`"),
    ("default = \"light\"", "default = \"lite\"", "the default of `theme` can not be `lite`"),
    (
        "choices = [\"light\", \"dark\"]",
        "choices = [\"light\", \"light\"]",
        "the choice `light` is there twice",
    ),
    ("key = \"a-key\"", "key = \"a-kex\"", "no setting is called `a-kex`"),
    ("key = \"a-key\"", "key = \"theme\"", "the setting `theme` is not of type `private-key`"),
    ("generate = \"self-signed\"", "generate = \"random\"", "\"random\" goes with the type `secret` only"),
    (
        "generate = \"random\"",
        "generate = \"self-signed\"",
        "\"self-signed\" goes with the type `certificate` only",
    ),
    ("generate = \"random\"", "default = \"hunter2\"", "`api-token` can not have a default"),
    ("reloads = [\"apache2.service\"]", "reloads = [\"apache2\"]", "`reloads` can not be `apache2`"),
    ("optional = true", "optionl = true", "`[settings.relay]` has no key `optionl`"),
    ("command = [\"apachectl\", \"configtest\"]", "command = []", "a command begins with a program"),
    ("[settings-check]", "[setting-check]", "a definition has no section `setting-check`"),
    ("port = 443", "port = 70000", "`port` can not be `70000`"),
    ("protocol = \"udp\"", "protocol = \"udb\"", "`protocol` can not be `udb`"),
    ("path = \"/var/lib/shop\"", "path = \"var/lib/shop\"", "`path` can not be `var/lib/shop`"),
    (
        "path = \"/var/log/shop\"",
        "path = \"/var/lib/shop/log\"",
        "the state directory `/var/lib/shop/log` lies inside",
    ),
    ("kind = \"http\"", "kind = \"htpp\"", "`kind` can not be `htpp`"),
    (
        "url = \"https://localhost/\"",
        "url = \"https://example.org/\"",
        "`url` can not be `https://example.org/`",
    ),
    ("\nunit = \"shop.service\"", "\nunti = \"shop.service\"", "`[[health]]` has no key `unti`"),
    ("grace = 60", "grace = 0", "`grace` can not be `0`"),
    ("keep = [\"documentation\"]", "kep = [\"documentation\"]", "`[trim]` has no key `kep`"),
    ("why = \"tests", "wy = \"tests", "`[[trim.rules]]` has no key `wy`"),
    ("memory = \"2 GiB\"", "memory = \"2 GB\"", "`memory`: `2 GB` is not a size"),
    ("memory = \"2 GiB\"", "memory = \"1 MiB\"", "`memory` can not be `1 MiB`"),
    ("cpus = 2", "cpu = 2", "`[resources]` has no key `cpu`"),
    ("cpus = 2", "cpus = ", "this is not TOML"),
];

#[test]
fn a_typo_in_any_section_is_reported_at_its_line() {
    for (right, wrong, message) in TYPOS {
        assert_eq!(FULL.matches(right).count(), 1, "`{right}` should be in the definition once");
        let at = FULL.find(right).expect("it is there");
        let text = FULL.replace(right, wrong);
        let line = position(&text, at + usize::from(right.starts_with('\n'))).0;
        let found = lines(&text);
        let expected = format!("{line}: {message}");
        assert!(
            found.iter().any(|found| found.starts_with(&expected)),
            "`{wrong}`: no {expected:?} in {found:#?}"
        );
    }
}

#[test]
fn typos_come_with_suggestions() {
    let text = FULL.replace("vendor =", "vendr =").replace("type = \"email\"", "type = \"emial\"");
    let hints: Vec<_> = problems(&text).into_iter().filter_map(|problem| problem.hint).collect();
    assert!(hints.contains(&"did you mean `vendor`?".into()), "{hints:?}");
    assert!(hints.contains(&"did you mean \"email\"?".into()), "{hints:?}");
    // A misspelt name is one problem, not a missing one besides.
    assert_eq!(problems(&text).len(), 2);
    assert_eq!(lines(&FULL.replace("[base]", "[bse]")), ["12: a definition has no section `bse`"]);
    let misplaced = FULL.replace("cpus = 2", "cpus = 2\nsuite = \"trixie\"");
    assert_eq!(problems(&misplaced)[0].hint.as_deref(), Some("`suite` belongs below `[base]`"));
}

#[test]
fn all_problems_are_reported_in_one_go_and_in_order() {
    let text = "[appliance]\nvendor = \"A\"\nname = \"a\"\n[base]\nsuite = 1\npackages = [\"B\", \"c1\", \"c1\"]\n[reources]\n";
    assert_eq!(
        lines(text),
        [
            "1: `[appliance]` lacks `title`",
            "1: `[appliance]` lacks `version`",
            "1: `[appliance]` lacks `summary`",
            "2: `vendor` can not be `A`: expected lower-case letters, digits and single hyphens, beginning with a letter, at most 63 of them",
            "5: `suite` in `[base]` has to be a text, not a whole number",
            "6: `packages` can not be `B`: expected the name of a Debian package, such as \"apache2\", without version or architecture",
            "6: the package `c1` is there twice",
            "7: a definition has no section `reources`",
        ]
    );
}

#[test]
fn a_missing_key_is_reported_at_the_header_of_its_own_table() {
    let without = |line: &str| {
        assert_eq!(FULL.matches(line).count(), 1, "{line}");
        lines(&FULL.replace(line, ""))
    };
    let line_of = |part: &str| position(FULL, FULL.find(part).expect("it is there")).0;
    let job = line_of("source = \"bin/job\"");
    assert_eq!(without("target = \"/usr/bin/job\""), [format!("{}: `[[files]]` lacks `target`", job - 1)]);
    let theme = line_of("[settings.theme]");
    assert_eq!(without("title = \"Theme\""), [format!("{theme}: `[settings.theme]` lacks `title`")]);
    assert!(without("choices = [\"light\", \"dark\"]")[0].ends_with("lacks `choices`"));
    let rule = line_of("[[trim.rules]]");
    assert_eq!(
        without("why = \"tests are not run in the appliance\""),
        [format!("{rule}: `[[trim.rules]]` lacks `why`")]
    );
}

#[test]
fn other_spellings_of_toml_are_read_alike() {
    let dotted = "appliance.vendor = \"a\"\nappliance = 1\n";
    assert!(!lines(dotted).is_empty());
    let inline = "base = { suite = \"trixie\" }\nfiles = [{ source = \"a\" }, 7]\nsettings.a = 1\nunits = 3\nports = {}\n\
                  appliance = { vendor = \"a\", name = \"b\", title = \"c\", version = \"1.0.0\", summary = \"d\" }\n";
    assert_eq!(
        lines(inline),
        [
            "2: `[[files]]` lacks `target`",
            "2: `[[files]]` takes tables, not a whole number",
            "3: `a` is a whole number, but each entry of `settings` is a table",
            "4: `units` is a whole number, but is written as `[units]`",
            "5: `ports` is a table, but is written as `[[ports]]`",
        ]
    );
}

#[test]
fn missing_sections_are_reported() {
    assert_eq!(lines(""), ["1: the section `[appliance]` is missing", "1: the section `[base]` is missing"]);
}

#[test]
fn what_is_too_large_is_refused() {
    assert!(lines(&"#".repeat(TEXT_LIMIT + 1))[0].contains("at most"));
    let many = FULL.replace("packages = [", &format!("packages = [{}", "\"aa\",".repeat(ENTRY_LIMIT)));
    assert!(lines(&many).iter().any(|line| line.contains("at most 1000 are allowed")));
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(&deep).is_err());
    let wide: String = (0..20_000).map(|index| format!("k{index} = 1\n")).collect();
    assert_eq!(problems(&wide).len(), PROBLEM_LIMIT);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_mutation_of_a_definition_makes_parsing_or_showing_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[\\[\\]=\"'{}#.\n\r\ta-z0-9é∀-]{0,6}"), 1..8)
    ) {
        let mut characters: Vec<char> = FULL.chars().collect();
        for (at, cut, insert) in edits {
            let at = at.index(characters.len());
            let end = (at + cut).min(characters.len());
            characters.splice(at..end, insert.chars());
        }
        let text: String = characters.into_iter().collect();
        match parse(&text) {
            Ok(parsed) => {
                let json = serde_json::to_string(&parsed.definition).expect("it can be written");
                prop_assert_eq!(serde_json::from_str::<Definition>(&json).expect("it can be read"), parsed.definition);
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in &problems {
                    prop_assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len());
                }
                render_problems(&problems, "appliance.toml", &text);
            }
        }
    }
}
