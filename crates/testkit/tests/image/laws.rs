//! What is in the image: every path accounted for, rights as the packages ship them, and no secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use debian::lock::Lock;
use release::{documents, names};
use serde_json::Value;
use testkit::flip::artifact;
use testkit::{Bench, tools};
use tree::{Node, Origin, Tree, listing};

use crate::judges::LAMP;

static CONTENTS: LazyLock<Tree> = LazyLock::new(|| {
    let file = File::open(artifact(&LAMP, names::CONTENTS)).expect("the contents document");
    listing::parse(&mut std::io::BufReader::new(file)).expect("the contents document reads")
});

/// The root as `fsck.erofs` unpacks it, which is not our reader.
struct Unpacked {
    _bench: Bench,
    root: PathBuf,
}

static UNPACKED: LazyLock<Unpacked> = LazyLock::new(|| {
    let bench = Bench::new();
    let root = bench.join("root");
    let mut arguments = vec![format!("--extract={}", root.display()), "--preserve".to_owned()];
    if !tools::is_root() {
        arguments = vec![format!("--extract={}", root.display()), "--no-preserve".to_owned()];
    }
    arguments.push(artifact(&LAMP, names::ROOT).display().to_string());
    tools::run("fsck.erofs", arguments);
    Unpacked { _bench: bench, root }
});

fn below(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("lists") {
        let path = entry.expect("an entry").path();
        found.insert(path.strip_prefix(root).expect("below").to_string_lossy().into_owned());
        if path.symlink_metadata().expect("metadata").is_dir() {
            below(root, &path, found);
        }
    }
}

#[test]
fn law_6_every_path_of_the_image_is_in_the_contents_document_and_the_reverse() {
    let mut found = BTreeSet::from([String::new()]);
    below(&UNPACKED.root, &UNPACKED.root, &mut found);
    let told: BTreeSet<String> = CONTENTS.entries.keys().map(|path| path.as_str().to_owned()).collect();
    let only =
        |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&found, &told), Vec::<String>::new(), "in the image only");
    assert_eq!(only(&told, &found), Vec::<String>::new(), "in the document only");
    assert!(told.len() > 1000);
}

#[test]
fn law_6_every_path_has_an_origin_that_exists() {
    let lock =
        Lock::parse(&fs::read_to_string(artifact(&LAMP, names::LOCK)).expect("reads")).expect("a lock");
    let example = testkit::workspace().join("examples/lamp");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, entry) in &CONTENTS.entries {
        let kind = match &entry.origin {
            Origin::Package(name) => {
                assert!(lock.package(name).is_some(), "{path} is of the package {name}, which is not locked");
                "package"
            }
            Origin::Maker(file) => {
                assert!(
                    example.join(file).symlink_metadata().is_ok(),
                    "{path} is of the maker's file {file}, which is not there"
                );
                "maker"
            }
            Origin::Generator(name) => {
                assert!(!name.is_empty(), "{path} has a generator without name");
                "generator"
            }
        };
        *kinds.entry(kind).or_default() += 1;
    }
    assert_eq!(kinds.len(), 3, "all kinds of origins are there: {kinds:?}");
}

#[test]
fn law_6_the_sealed_origins_are_those_of_the_contents_document() {
    let path = UNPACKED.root.join(documents::sealed_path(documents::ORIGINS).as_str());
    let sealed: documents::Origins =
        serde_json::from_slice(&fs::read(path).expect("reads")).expect("origins");
    assert!(sealed == documents::Origins::of(&CONTENTS));
}

#[test]
fn the_contents_document_tells_type_size_digest_mode_and_owner_as_they_are() {
    for (path, entry) in &CONTENTS.entries {
        let place = UNPACKED.root.join(path.as_str());
        let found = place.symlink_metadata().unwrap_or_else(|error| panic!("{path}: {error}"));
        match &entry.node {
            Node::Directory => assert!(found.is_dir(), "{path}"),
            Node::File(content) => {
                assert!(found.is_file() && found.len() == content.size, "{path}");
                assert_eq!(digest(&place), content.sha256.to_string(), "{path}");
            }
            Node::HardLink { target } => {
                let target = UNPACKED.root.join(target.as_str());
                assert_eq!(found.ino(), target.symlink_metadata().expect("the target").ino(), "{path}");
            }
            Node::Symlink { target } => {
                assert_eq!(fs::read_link(&place).expect("a link").to_string_lossy(), *target)
            }
            Node::CharacterDevice { .. } => assert!(found.file_type().is_char_device(), "{path}"),
            _ => {}
        }
        if tools::is_root() && !found.is_symlink() {
            let metadata = &entry.metadata;
            assert_eq!(
                (found.mode() & 0o1777, found.uid(), found.gid()),
                (metadata.mode & 0o1777, metadata.uid, metadata.gid),
                "{path}"
            );
        }
    }
}

fn digest(path: &Path) -> String {
    use sha2::Digest;
    let bytes = fs::read(path).expect("reads");
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rights by path, as `dpkg-deb` lists them in the packages of the lock: mode string such as `-rwsr-xr-x`.
fn privileged_in_packages() -> BTreeMap<String, (String, String)> {
    let lock =
        Lock::parse(&fs::read_to_string(artifact(&LAMP, names::LOCK)).expect("reads")).expect("a lock");
    let cache = cache_folder();
    let mut found = BTreeMap::new();
    for package in lock.installed() {
        let deb = builder::fetch::cached_path(&cache, &package.sha256);
        let listing = tools::run("dpkg-deb", ["--contents".as_ref(), deb.as_os_str()]);
        for line in listing.lines() {
            let mut words = line.split_whitespace();
            let (mode, path) = (words.next().unwrap_or_default(), words.nth(4).unwrap_or_default());
            if mode.starts_with('-') && mode.contains(['s', 'S']) {
                let path = path.trim_start_matches("./");
                // The image has merged /usr; older packages still say /bin and /lib.
                let path = match path.split('/').next() {
                    Some("bin" | "sbin" | "lib") => format!("usr/{path}"),
                    _ => path.to_owned(),
                };
                found.insert(path, (package.name.clone(), mode.to_owned()));
            }
        }
    }
    found
}

fn cache_folder() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let base = || variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    variable("AMPOULE_CACHE").or_else(|| base().map(|base| base.join("ampoule"))).expect("HOME is set")
}

#[test]
fn setuid_and_setgid_bits_of_packages_survive_and_none_is_added() {
    let shipped = privileged_in_packages();
    assert!(!shipped.is_empty(), "the packages ship setuid files");
    let mut kept = 0;
    for (path, (package, mode)) in &shipped {
        // Trimmed files are told in the trim report.
        let Some(entry) = CONTENTS.entries.get(&path.parse().expect("a path")) else { continue };
        let expected =
            (mode.as_bytes()[3].eq_ignore_ascii_case(&b's'), mode.as_bytes()[6].eq_ignore_ascii_case(&b's'));
        let found = (entry.metadata.mode & 0o4000 != 0, entry.metadata.mode & 0o2000 != 0);
        assert_eq!(found, expected, "{path} of {package} is {mode} in the package");
        kept += 1;
    }
    assert!(kept > 0, "some are in the image");
    check_rights_in_the_image();
    for (path, entry) in &CONTENTS.entries {
        if entry.metadata.mode & 0o6000 != 0 && matches!(entry.node, Node::File(_)) {
            let is_shipped = shipped.contains_key(path.as_str());
            let by_script = entry.origin == Origin::Generator("maintainer-scripts".into());
            assert!(is_shipped || by_script, "{path} has rights that no package gave: {entry:?}");
        }
    }
}

/// Unpacked once more without owners: changing an owner takes these bits away.
fn check_rights_in_the_image() {
    let bench = Bench::new();
    let root = bench.join("root");
    let image = artifact(&LAMP, names::ROOT).display().to_string();
    let extract = format!("--extract={}", root.display());
    tools::run("fsck.erofs", [&extract, "--preserve-perms", "--no-preserve-owner", &image]);
    for (path, entry) in &CONTENTS.entries {
        if matches!(entry.node, Node::File(_)) {
            let found = root.join(path.as_str()).symlink_metadata().expect("metadata");
            assert_eq!(found.mode() & 0o7777, entry.metadata.mode, "{path}");
        }
    }
}

#[test]
fn capabilities_in_the_image_are_those_the_contents_document_tells() {
    if !tools::is_root() {
        // Only root may write them, so that the unpacked root has none.
        return;
    }
    let said = tools::run("getcap", ["-r".as_ref(), UNPACKED.root.as_os_str()]);
    let found = said.lines().filter(|line| !line.is_empty()).count();
    let told = CONTENTS.entries.values().filter(|entry| {
        !matches!(entry.node, Node::HardLink { .. })
            && entry.metadata.xattrs.contains_key("security.capability")
    });
    assert_eq!(found, told.count(), "{said}");
}

#[test]
fn law_12_no_private_key_password_or_identity_is_in_the_image_or_beside_it() {
    for (path, entry) in &CONTENTS.entries {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        assert!(!name.starts_with("ssh_host_"), "{path} is a host key");
        assert!(name != "ssl-cert-snakeoil.key", "{path} is a private key");
        if let Node::File(_) = entry.node {
            let bytes = fs::read(UNPACKED.root.join(path.as_str())).expect("reads");
            assert!(!holds_private_key(&bytes), "{path} holds a private key");
        }
    }
    let shadow = fs::read_to_string(UNPACKED.root.join("etc/shadow")).unwrap_or_default();
    for line in shadow.lines() {
        let password = line.split(':').nth(1).unwrap_or_default();
        assert!(password.starts_with(['!', '*']), "an account has a password: {line}");
    }
    for account in fs::read_to_string(UNPACKED.root.join("etc/passwd")).expect("accounts").lines() {
        // `x` leads to shadow; a star is Debian's own lock where there is no shadow.
        let password = account.split(':').nth(1).unwrap_or_default();
        assert!(["x", "*"].contains(&password), "an account has a password: {account}");
    }
    let identity = fs::read_to_string(UNPACKED.root.join("etc/machine-id")).unwrap_or_default();
    assert!(["", "uninitialized"].contains(&identity.trim()), "a machine id is sealed: {identity}");
    assert!(!UNPACKED.root.join("var/lib/systemd/random-seed").exists());
    for artifact in &LAMP.manifest().artifacts {
        if artifact.name.as_str().ends_with(".json") {
            let bytes = fs::read(LAMP.path().join(artifact.name.as_str())).expect("reads");
            assert!(!holds_private_key(&bytes), "{} holds a private key", artifact.name);
        }
    }
}

/// A marker with a key behind it; programs and documents that only speak of keys hold the marker alone.
///
/// Libraries of cryptography carry the keys of their own self-tests, which guard nothing: programs are left out.
fn holds_private_key(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\x7fELF") {
        return false;
    }
    const MARKER: &[u8] = b"PRIVATE KEY-----";
    let starts = bytes.windows(MARKER.len()).enumerate().filter(|(_, window)| *window == MARKER);
    starts.into_iter().any(|(at, _)| {
        let rest = &bytes[at + MARKER.len()..];
        let rest = &rest[rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()..];
        rest.iter().take(48).filter(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte)).count()
            >= 48
    })
}

#[test]
fn a_private_key_is_known_when_it_is_seen() {
    let key = format!(
        "x-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
        "MIIEvQIBADANBgkqhkiG".repeat(4)
    );
    assert!(holds_private_key(key.as_bytes()));
    assert!(!holds_private_key(b"-----BEGIN PRIVATE KEY-----\0-----END PRIVATE KEY-----\0"));
}

#[test]
fn nobody_can_log_in_and_no_package_manager_is_there() {
    for path in ["usr/bin/apt", "usr/bin/dpkg", "usr/sbin/sshd", "usr/bin/perl", "usr/bin/gcc"] {
        assert!(!UNPACKED.root.join(path).exists(), "{path}");
    }
}

#[test]
fn the_settings_schema_tells_every_declared_setting() {
    let schema: Value =
        serde_json::from_slice(&fs::read(artifact(&LAMP, names::SETTINGS)).expect("reads")).expect("JSON");
    let settings = schema.as_array().expect("a list");
    let names: Vec<_> = settings.iter().filter_map(|setting| setting["name"].as_str()).collect();
    let declared =
        ["site-name", "admin-email", "certificate", "certificate-key", "max-upload", "redirect-to-https"];
    // The declared ones in their order, then those that every appliance has.
    assert_eq!(names, [&declared[..], &model::builtin::NAMES].concat());
    for setting in settings {
        assert!(setting["title"].is_string() && setting["type"].is_string(), "{setting}");
        let is_secret = setting["type"] == "private-key" || setting["type"] == "secret";
        assert!(!is_secret || setting["default"].is_null(), "no secret has a default: {setting}");
    }
}

#[test]
fn the_trim_report_accounts_for_what_was_removed() {
    let report: Value =
        serde_json::from_slice(&fs::read(artifact(&LAMP, names::TRIM)).expect("reads")).expect("JSON");
    let text = report.to_string();
    for rule in ["apache-defaults", "perl-of-apache", "php-command-line"] {
        assert!(text.contains(rule), "{rule} is not in {text}");
    }
}
