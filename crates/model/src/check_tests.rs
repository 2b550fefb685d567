//! Laws of [`super`].

use std::collections::BTreeMap;

use super::*;
use crate::parse::parse;
use crate::problem::render_problems;

/// Files of a definition in memory; a path that ends with a slash is a folder.
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Surroundings for Files {
    fn kind(&self, path: &str) -> Option<Kind> {
        if self.0.contains_key(path) {
            return Some(Kind::File);
        }
        let folder = format!("{path}/");
        self.0.keys().any(|other| other.starts_with(&folder)).then_some(Kind::Directory)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

const FULL: &str = include_str!("testdata/full.toml");

fn files(template: &str) -> Files {
    let files = [
        ("site/index.php", ""),
        ("bin/job", ""),
        ("units/shop.service", ""),
        ("templates/site.conf", template),
        ("trust/root.json", "{}"),
        ("trust/ledger.policy", ""),
    ];
    Files(files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect())
}

fn shown(template: &str) -> String {
    let parsed = parse(FULL).expect("it is right");
    render_problems(&check(&parsed, &files(template)), "x/appliance.toml", FULL)
}

#[test]
fn a_definition_with_all_its_files_has_no_problems() {
    assert_eq!(
        shown("{{ site_name }} {% if relay %}{{ relay | json }}{% endif %} {{ appliance.title }}\n"),
        ""
    );
}

#[test]
fn missing_files_are_reported_at_the_line_that_names_them() {
    let parsed = parse(FULL).expect("it is right");
    let problems = check(&parsed, &Files(BTreeMap::new()));
    let texts: Vec<_> = problems.iter().map(|problem| &FULL[problem.span.clone()]).collect();
    let named = [
        "site",
        "bin/job",
        "units/shop.service",
        "templates/site.conf",
        "trust/root.json",
        "trust/ledger.policy",
    ];
    assert_eq!(texts, named.map(|name| format!("\"{name}\"")));
    let folder = Files([("templates/site.conf/x".to_owned(), Vec::new())].into());
    assert!(check(&parsed, &folder).iter().any(|problem| problem.message.contains("is a folder")));
}

#[test]
fn what_is_trusted_fits_into_every_image() {
    let mut files = files("");
    files.0.insert("trust/root.json".into(), vec![b' '; TRUST_LIMIT + 1]);
    let problems = check(&parse(FULL).expect("it is right"), &files);
    assert!(
        problems.iter().any(|problem| problem.message.contains("longer than 16384 bytes")),
        "{problems:?}"
    );
}

#[test]
fn an_undeclared_setting_is_reported_at_its_line_of_the_template() {
    assert_eq!(
        shown("a\nname {{ sitename }}\n"),
        "error: the template uses the setting `sitename`, which is not declared\n \
         --> x/templates/site.conf:2:9\n  \
         |\n\
         2 | name {{ sitename }}\n  \
         |         ^^^^^^^^\n  \
         = hint: did you mean `site_name`?\n"
    );
    assert!(shown("{{ color_of_the_day }}").contains("`[settings.color-of-the-day]`"));
}

#[test]
fn a_broken_template_is_reported_at_its_line() {
    assert!(shown("a\n{% if site_name %}\nb\n").contains("templates/site.conf:"));
    assert!(shown("a\n{{ site_name | uper }}\n").contains("templates/site.conf:2:"));
}

#[test]
fn a_template_that_is_no_text_is_refused() {
    let parsed = parse(FULL).expect("it is right");
    let mut files = files("");
    files.0.insert("templates/site.conf".into(), vec![0xff]);
    assert!(check(&parsed, &files)[0].message.contains("UTF-8"));
}

#[test]
fn units_that_nothing_brings_are_reported_where_they_are_named() {
    let text = FULL.replace("[\"apt-daily.timer\"]", "[\"apt-daly.timer\", \"getty@tty1.service\"]");
    let parsed = parse(&text).expect("it is right");
    let known = ["apache2.service", "apt-daily.timer", "apache-htcacheclean.service", "getty@.service"];
    let problems = unknown_units(&parsed, &known.map(String::from).into());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(&text[problems[0].span.clone()], "\"apt-daly.timer\"");
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean `apt-daily.timer`?"));
    assert_eq!(unknown_units(&parsed, &BTreeSet::new()).len(), 5);
}
