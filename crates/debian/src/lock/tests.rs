//! Laws of the lock.

use super::*;
use proptest::prelude::*;

pub(crate) fn package(name: &str, version: &str) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: version.parse().expect("the test's own version is valid"),
        source: name.to_owned(),
        source_version: version.parse().expect("the test's own version is valid"),
        architecture: "amd64".to_owned(),
        suite: "trixie".to_owned(),
        component: "main".to_owned(),
        section: "admin".to_owned(),
        size: 1234,
        sha256: Sha256Digest([7; 32]),
        path: format!("pool/main/{name}_{version}_amd64.deb"),
        role: Role::Installed,
        essential: false,
        requested: false,
    }
}

pub(crate) fn lock(packages: Vec<LockedPackage>) -> Lock {
    let order = packages.iter().filter(|package| package.role == Role::Installed);
    let suite = LockedSuite {
        name: "trixie".to_owned(),
        date: Timestamp(1_763_200_080),
        release_sha256: Sha256Digest([1; 32]),
    };
    Lock {
        architecture: "amd64".to_owned(),
        request: Sha256Digest([2; 32]),
        suites: vec![suite],
        order: order.map(|package| package.name.clone()).collect(),
        packages,
    }
    .ensure_valid()
    .expect("the test's own lock is valid")
}

#[test]
fn a_lock_reads_back_as_it_was_written() {
    let mut boot = package("systemd-boot-efi", "257.9-1~deb13u1");
    boot.role = Role::Boot;
    let mut rebuilt = package("bash", "5.2.37-2+b5");
    rebuilt.source_version = "5.2.37-2".parse().unwrap();
    (rebuilt.essential, rebuilt.requested, rebuilt.section) = (true, true, String::new());
    let lock = lock(vec![package("zlib1g", "1:1.3"), rebuilt, boot]);
    let text = lock.to_text();
    assert_eq!(Lock::parse(&text).unwrap(), lock);
    assert_eq!(Lock::parse(&text).unwrap().to_text(), text);
    assert_eq!(lock.installed().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["zlib1g", "bash"]);
    assert_eq!(lock.boot().count(), 1);
}

#[test]
fn the_text_of_a_lock_stays_as_it_is() {
    let text = lock(vec![package("bash", "5.2-1")]).to_text();
    let expected = r#"# The exact packages of this appliance. Written by `ampoule lock`; keep it under version control.
# To change it, change `appliance.toml` and lock again.
format = 1
architecture = "amd64"
request = "0202020202020202020202020202020202020202020202020202020202020202"

# The order in which apt unpacks them.
order = [
    "bash",
]

[[suite]]
name = "trixie"
date = "2025-11-15T09:48:00Z"
release-sha256 = "0101010101010101010101010101010101010101010101010101010101010101"

[[package]]
name = "bash"
version = "5.2-1"
source = "bash"
architecture = "amd64"
suite = "trixie"
component = "main"
section = "admin"
size = 1234
sha256 = "0707070707070707070707070707070707070707070707070707070707070707"
path = "pool/main/bash_5.2-1_amd64.deb"
"#;
    assert_eq!(text, expected);
}

#[test]
fn what_breaks_a_rule_is_refused_with_its_line() {
    let good = lock(vec![package("bash", "5.2-1"), package("zsh", "5-1")]).to_text();
    let edits = [
        ("path = \"pool/main/bash", "path = \"../pool/main/bash", "path"),
        ("path = \"pool/main/bash", "path = \"pool/main/?bash", "path"),
        ("path = \"pool/main/bash", "path = \"http://x/bash", "path"),
        ("suite = \"trixie\"", "suite = \"sid\"", "not one of the lock's suites"),
        ("size = 1234", "size = 0", "size"),
        ("size = 1234", "size = -1", "line 26: invalid value"),
        ("size = 1234", "size = 1234\nhost = \"x\"", "unknown field"),
        ("    \"zsh\",\n", "", "order does not name it"),
        ("    \"zsh\",\n", "    \"zsh\",\n    \"zsh\",\n", "twice"),
        ("    \"zsh\",\n", "    \"zsh\",\n    \"fish\",\n", "not in the lock"),
        ("name = \"zsh\"", "name = \"bash\"", "sorted"),
        ("name = \"bash\"", "name = \"../bash\"", "name"),
        ("architecture = \"amd64\"\nsuite", "architecture = \"arm64\"\nsuite", "architecture"),
        ("format = 1", "format = 2", "line 3: the lock has format 2"),
        ("sha256 = \"07", "sha256 = \"0", "64 hexadecimal digits"),
    ];
    for (from, to, expected) in edits {
        assert!(good.contains(from), "{from}");
        let error = Lock::parse(&good.replacen(from, to, 1)).expect_err(to).to_string();
        assert!(error.starts_with("line ") && error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn the_change_table_names_what_changed() {
    let old = lock(vec![package("apache2", "2.4.1-1"), package("bash", "5.2-1"), package("nano", "8-1")]);
    let mut rebuilt = package("bash", "5.2-1");
    rebuilt.sha256 = Sha256Digest([9; 32]);
    let new = lock(vec![package("apache2", "2.4.10-1"), rebuilt, package("vim", "9-1")]);
    let change = new.change_from(&old);
    let expected = "\
package  old      new                         source   suite
apache2  2.4.1-1  2.4.10-1                    apache2  trixie
bash     5.2-1    (same version, other file)  bash     trixie
nano     8-1      -                           nano     trixie
vim      -        9-1                         vim      trixie
1 added, 1 removed, 1 upgraded, 1 changed in place
";
    assert_eq!(change.to_table(), expected);
    assert!(new.change_from(&new).is_empty());
    assert_eq!(new.change_from(&new).to_table(), "no package changes\n");
    assert_eq!(old.change_from(&new).summary(), "1 added, 1 removed, 1 downgraded, 1 changed in place");
}

#[test]
fn a_request_ignores_order_and_mirrors_and_nothing_else() {
    let base = Base {
        suite: "trixie".to_owned(),
        extra_suites: vec!["updates".to_owned(), "security".to_owned()],
        components: vec!["main".to_owned()],
        packages: vec!["apache2".to_owned(), "php".to_owned()],
        kernel: "linux-image-amd64".to_owned(),
        architecture: "amd64".to_owned(),
        mirror: None,
        security_mirror: None,
        recommends: false,
    };
    let digest = request_digest(&base);
    let reordered = Base {
        packages: vec!["php".to_owned(), "apache2".to_owned()],
        mirror: Some("http://mirror.invalid/debian".to_owned()),
        ..base.clone()
    };
    assert_eq!(request_digest(&reordered), digest);
    for other in [
        Base { recommends: true, ..base.clone() },
        Base { packages: vec!["apache2php".to_owned()], ..base.clone() },
        Base { extra_suites: vec!["updates".to_owned()], ..base.clone() },
        Base { components: base.packages.clone(), packages: base.components.clone(), ..base.clone() },
    ] {
        assert_ne!(request_digest(&other), digest);
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        text in "(format = 1\n|order = \\[\\]\n|\\[\\[package\\]\\]\n|name = \"[a-z]\"\n|size = [0-9]{1,20}\n|.{0,8}\n){0,12}"
    ) {
        let _ = Lock::parse(&text);
    }

    #[test]
    fn every_valid_lock_reads_back(names in prop::collection::btree_set("[a-z][a-z0-9+.-]{1,8}", 0..12)) {
        let packages = names.iter().filter(|name| !name.contains("..")).map(|name| package(name, "1:2.0-3+b1"));
        let lock = lock(packages.collect());
        prop_assert_eq!(Lock::parse(&lock.to_text()), Ok(lock));
    }
}
