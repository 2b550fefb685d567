//! Laws of the resolver, against a small archive on this machine that a key of the test signs. They need apt and gpg.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::progress::Silent;

struct Archive {
    folder: tempfile::TempDir,
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need {program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn paragraph(name: &str, version: &str, fields: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: A <a@example.org>\n{fields}\
         Filename: pool/main/{name}_{version}_amd64.deb\nSize: 100\nSHA256: {}\nDescription: a test's package\n\n",
        "ab".repeat(32)
    )
}

/// The base set, and what a test adds.
fn packages(more: &[(&str, &str, &str)]) -> String {
    let mut text = paragraph("base-files", "13", "Essential: yes\n");
    for name in base_packages("trixie").iter().chain(boot_packages("trixie")) {
        text += &paragraph(name, "257-1", "Source: systemd (257)\n");
    }
    text += &paragraph("linux-image-amd64", "6.12-1", "");
    more.iter().for_each(|(name, version, fields)| text += &paragraph(name, version, fields));
    text
}

impl Archive {
    /// A key of its own, and one suite.
    fn new(more: &[(&str, &str, &str)]) -> Self {
        let archive = Self { folder: tempfile::tempdir().unwrap() };
        let home = archive.path("gpg");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let generate =
            ["--passphrase", "", "--quick-generate-key", "test@example.org", "rsa2048", "sign", "never"];
        archive.gpg(&generate);
        archive.gpg(&["--output", &archive.path("keyring.gpg"), "--export"]);
        archive.publish("trixie", &packages(more));
        archive
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn gpg(&self, arguments: &[&str]) {
        let home = self.path("gpg");
        let fixed = ["--batch", "--yes", "--quiet", "--homedir", &home, "--pinentry-mode", "loopback"];
        run("gpg", &[&fixed, arguments].concat());
    }

    fn publish(&self, suite: &str, packages: &str) {
        let folder = self.path(&format!("debian/dists/{suite}"));
        fs::create_dir_all(format!("{folder}/main/binary-amd64")).unwrap();
        fs::write(format!("{folder}/main/binary-amd64/Packages"), packages).unwrap();
        let digest = model::Sha256Digest(<sha2::Sha256 as sha2::Digest>::digest(packages).into());
        let release = format!(
            "Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}\nVersion: 13.2\n\
             Date: Sat, 15 Nov 2025 09:48:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n {digest} {} \
             main/binary-amd64/Packages\n",
            packages.len()
        );
        fs::write(format!("{folder}/Release"), release).unwrap();
        let (release, signed) = (format!("{folder}/Release"), format!("{folder}/InRelease"));
        self.gpg(&["--output", &signed, "--clearsign", &release]);
        fs::remove_file(release).unwrap();
    }

    fn resolve(&self, base: &Base, scope: Scope) -> Result<Lock, ResolveError> {
        self.resolve_with(base, scope, &self.path("keyring.gpg"))
    }

    fn resolve_with(&self, base: &Base, scope: Scope, keyring: &str) -> Result<Lock, ResolveError> {
        let archive = vec![format!("file:{}", self.path("debian"))];
        let mirrors = Mirrors { archive, ..Mirrors::default() };
        resolve_with_keys(base, scope, &mirrors, Path::new(&self.path("cache")), Path::new(keyring), &Silent)
    }
}

fn base(packages: &[&str]) -> Base {
    Base {
        suite: "trixie".to_owned(),
        extra_suites: Vec::new(),
        components: vec!["main".to_owned()],
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        kernel: "linux-image-amd64".to_owned(),
        architecture: "amd64".to_owned(),
        mirror: None,
        security_mirror: None,
        recommends: false,
    }
}

#[test]
fn a_lock_has_the_essential_the_base_the_asked_for_and_what_they_need() {
    let archive = Archive::new(&[
        ("web", "1:1-1", "Depends: lib\nRecommends: extra\n"),
        ("lib", "2+b1", ""),
        ("extra", "1", ""),
    ]);
    let lock = archive.resolve(&base(&["web"]), Scope::Current).unwrap();
    let names: Vec<&str> = lock.packages.iter().map(|package| package.name.as_str()).collect();
    assert!(
        ["base-files", "web", "lib", "linux-image-amd64", "nftables"].iter().all(|name| names.contains(name))
    );
    assert!(!names.contains(&"extra"));
    assert!(lock.package("base-files").unwrap().essential);
    assert!(lock.package("web").unwrap().requested && !lock.package("lib").unwrap().requested);
    assert_eq!(lock.boot().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["systemd-boot-efi"]);
    assert_eq!(lock.package("udev").unwrap().source_version.as_str(), "257");
    assert_eq!(lock.date().to_string(), "2025-11-15T09:48:00Z");
    let place = |name: &str| lock.order.iter().position(|other| other == name).unwrap();
    assert!(place("lib") < place("web"));
    // No host and no path of this machine is in it.
    let text = lock.to_text();
    assert!(!text.contains("file:") && !text.contains(&archive.path("")), "{text}");
    assert_eq!(archive.resolve(&base(&["web"]), Scope::Current).unwrap().to_text(), text);
    let with = Base { recommends: true, ..base(&["web"]) };
    assert!(archive.resolve(&with, Scope::Current).unwrap().package("extra").is_some());
}

#[test]
fn a_point_release_leaves_updates_out_and_backports_are_only_used_when_asked() {
    let archive = Archive::new(&[("web", "1", "")]);
    archive.publish("trixie-updates", &paragraph("web", "2", ""));
    archive.publish("trixie-backports", &paragraph("web", "3~bpo13+1", ""));
    let base = Base { extra_suites: vec!["updates".to_owned(), "backports".to_owned()], ..base(&["web"]) };
    let version = |base: &Base, scope| {
        let lock = archive.resolve(base, scope).unwrap();
        let web = lock.package("web").unwrap();
        format!("{} {}", web.version, web.suite)
    };
    assert_eq!(version(&base, Scope::Current), "2 trixie-updates");
    assert_eq!(version(&base, Scope::PointRelease), "1 trixie");
    let asked = Base { packages: vec!["web/trixie-backports".to_owned()], ..base.clone() };
    assert_eq!(version(&asked, Scope::Current), "3~bpo13+1 trixie-backports");
}

#[test]
fn packages_that_do_not_exist_are_all_named_with_near_names() {
    let archive = Archive::new(&[("apache2", "1", "")]);
    let error = archive.resolve(&base(&["apahce2", "zzzzzzzz"]), Scope::Current).unwrap_err();
    let ResolveError::UnknownPackages { packages } = &error else { panic!("{error:?}") };
    assert_eq!(packages.len(), 2);
    assert_eq!(packages[0].near, ["apache2"]);
    assert!(error.to_string().contains("`apahce2` (did you mean `apache2`?), `zzzzzzzz`"), "{error}");
}

#[test]
fn an_impossible_set_is_explained_in_plain_words() {
    let archive = Archive::new(&[
        ("one", "1", "Depends: missing\n"),
        ("two", "1", "Depends: lib (>= 5)\n"),
        ("lib", "4", ""),
        ("three", "1", "Conflicts: lib\n"),
    ]);
    for (packages, expected) in [
        (vec!["one"], "`one` needs `missing`, which is not in trixie"),
        (vec!["two"], "`two` needs `lib (>= 5)`"),
        (vec!["three", "lib"], "`three` can not be beside `lib`"),
    ] {
        let error = archive.resolve(&base(&packages), Scope::Current).unwrap_err();
        let ResolveError::Unsatisfiable { reasons, detail } = &error else { panic!("{error:?}") };
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "{reasons:?}");
        assert!(!detail.is_empty());
    }
}

#[test]
fn an_index_that_another_key_signed_is_not_trusted() {
    let (archive, other) = (Archive::new(&[]), Archive::new(&[]));
    let error = archive.resolve_with(&base(&[]), Scope::Current, &other.path("keyring.gpg")).unwrap_err();
    assert!(matches!(error, ResolveError::Untrusted { .. }), "{error:?}");
    fs::remove_file(archive.path("debian/dists/trixie/InRelease")).unwrap();
    let error = archive.resolve(&base(&[]), Scope::Current).unwrap_err();
    assert!(matches!(error, ResolveError::SuiteUnknown { .. }), "{error:?}");
}

#[test]
fn a_mirror_or_suite_that_is_not_there_is_named() {
    let archive = Archive::new(&[]);
    let unknown = Base { suite: "trixy".to_owned(), ..base(&[]) };
    let error = archive.resolve(&unknown, Scope::Current).unwrap_err();
    let ResolveError::SuiteUnknown { suite, near, .. } = &error else { panic!("{error:?}") };
    assert_eq!((suite.as_str(), near.as_slice()), ("trixy", &["trixie".to_owned()][..]));
    let away = Mirrors { archive: vec!["http://127.0.0.1:1/debian".to_owned()], ..Mirrors::default() };
    let (cache, keyring) = (archive.path("cache"), archive.path("keyring.gpg"));
    let resolved =
        resolve_with_keys(&base(&[]), Scope::Current, &away, Path::new(&cache), Path::new(&keyring), &Silent);
    let error = resolved.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    let missing = archive.resolve_with(&base(&[]), Scope::Current, "/nowhere/keyring.gpg").unwrap_err();
    assert!(matches!(missing, ResolveError::KeyringMissing { .. }));
}

#[test]
fn words_that_apt_would_take_for_something_else_are_refused() {
    for word in
        ["-oAPT::Get::AllowUnauthenticated=1", "?installed", "bash-", "a b", "web/", "Web", "web=1 -o"]
    {
        assert!(check_package_argument(word).is_err(), "{word}");
    }
    for word in ["g++", "php8.4", "web/trixie-backports", "web=1:2.0-1~deb13u1"] {
        assert!(check_package_argument(word).is_ok(), "{word}");
    }
}
