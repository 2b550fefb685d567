//! Laws of staging and placing, on small packages that the tests write themselves.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tree::trim::{Emptied, Rule, Stage};

use super::database::Database;
use super::place::Placer;
use super::stage::{Selection, Staged, stage};
use crate::base::BaseError;

/// One member of a test package's data.
enum Member<'a> {
    File(&'a str, &'a [u8]),
    Directory(&'a str),
    Symlink(&'a str, &'a str),
    HardLink(&'a str, &'a str),
}
use Member::{Directory, File, HardLink, Symlink};

/// A directory that is removed at the end of the test.
struct Bench {
    directory: PathBuf,
    placer: Placer,
    count: usize,
}

impl Bench {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ampoule-unpack-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let root = directory.join("root");
        std::fs::create_dir_all(&root).unwrap();
        Self { placer: Placer::new(&root).unwrap(), directory, count: 0 }
    }

    fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    fn stage(&mut self, control: &str, members: &[Member<'_>], rules: &[Rule]) -> Result<Staged, BaseError> {
        self.count += 1;
        let deb = self.directory.join(format!("{}.deb", self.count));
        std::fs::write(&deb, package(control, members)).unwrap();
        let selection = Selection { trim: rules, documents: &[] };
        stage(&deb, &self.directory.join(format!("stage-{}", self.count)), &selection)
    }

    fn install(&mut self, name: &str, members: &[Member<'_>]) -> Result<(), BaseError> {
        let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
        let staged = self.stage(&control, members, &[])?;
        self.placer.place(&staged)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A `.deb` as deb(5) describes it, uncompressed.
fn package(control: &str, members: &[Member<'_>]) -> Vec<u8> {
    let mut data = Vec::new();
    for member in members {
        let (name, kind, link, bytes) = match member {
            File(name, bytes) => (name, b'0', "", *bytes),
            HardLink(name, target) => (name, b'1', *target, &b""[..]),
            Symlink(name, target) => (name, b'2', *target, &b""[..]),
            Directory(name) => (name, b'5', "", &b""[..]),
        };
        data.extend(tar_member(name, kind, link, bytes));
    }
    data.resize(data.len() + 1024, 0);
    let mut control_tar = tar_member("./control", b'0', "", control.as_bytes());
    control_tar.resize(control_tar.len() + 1024, 0);
    let mut deb = b"!<arch>\n".to_vec();
    for (name, bytes) in
        [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control_tar[..]), ("data.tar", &data[..])]
    {
        let size = bytes.len();
        deb.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).bytes());
        deb.extend(bytes);
        if size % 2 == 1 {
            deb.push(b'\n');
        }
    }
    deb
}

fn tar_member(name: &str, kind: u8, link: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = vec![0u8; 512];
    let mode = if kind == b'5' { "0000755" } else { "0000644" };
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, mode);
    // The tester's own ids: chown to others needs privileges.
    put(108, &format!("{:07o}", rustix::process::getuid().as_raw()));
    put(116, &format!("{:07o}", rustix::process::getgid().as_raw()));
    put(124, &format!("{:011o}", bytes.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(157, link);
    put(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend(bytes);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn rule(paths: &[&str]) -> Rule {
    Rule {
        name: "test".into(),
        why: "a test".into(),
        paths: paths.iter().map(|text| text.parse().unwrap()).collect(),
        except: Vec::new(),
        packages: Vec::new(),
        stage: Stage::Early,
        emptied: Emptied::Keep,
    }
}

const CONTROL: &str = "Package: a\nVersion: 1\nArchitecture: all\n";

#[test]
fn files_for_lib_land_in_usr_lib() {
    let mut bench = Bench::new("merged");
    bench.install("a", &[Directory("./lib/"), File("./lib/x", b"hello")]).unwrap();
    assert_eq!(bench.read("usr/lib/x"), "hello");
    assert!(bench.root().join("lib").is_symlink());
    assert!(bench.placer.placed.contains_key(&"usr/lib/x".parse().unwrap()));
}

#[test]
fn no_link_leads_a_package_out_of_the_root() {
    let mut bench = Bench::new("escape");
    let outside = bench.directory.join("outside");
    std::fs::create_dir(&outside).unwrap();
    let text = outside.to_str().unwrap().to_owned();
    bench.install("planter", &[Symlink("./srv", &text), Symlink("./up", "../../../../../..")]).unwrap();
    // The link's target is looked up inside the root, where it does not exist.
    assert!(bench.install("victim", &[File("./srv/x", b"hello")]).is_err());
    bench.install("climber", &[File("./up/x", b"hello")]).unwrap();
    assert_eq!(bench.read("x"), "hello");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(bench.install("dots", &[File("./../x", b"hello")]).is_err());
}

#[test]
fn two_packages_with_one_file_are_refused_by_name_unless_one_replaces_the_other() {
    let mut bench = Bench::new("conflict");
    bench.install("first", &[File("./usr/bin/x", b"1")]).unwrap();
    let error = bench.install("second", &[File("./bin/x", b"2")]).unwrap_err();
    assert_eq!(error.to_string(), "/usr/bin/x is in both first and second");
    let control = "Package: third\nVersion: 1\nArchitecture: all\nReplaces: first (<< 2)\n";
    let staged = bench.stage(control, &[File("./usr/bin/x", b"3")], &[]).unwrap();
    bench.placer.place(&staged).unwrap();
    assert_eq!(bench.read("usr/bin/x"), "3");
}

#[test]
fn a_diverted_file_goes_where_the_diversion_says() {
    let mut bench = Bench::new("divert");
    let diversions = bench.root().join("var/lib/dpkg/diversions");
    std::fs::write(diversions, "/usr/bin/x\n/usr/bin/x.real\nwrapper\n").unwrap();
    bench.install("original", &[File("./usr/bin/x", b"real")]).unwrap();
    bench.install("wrapper", &[File("./usr/bin/x", b"wrapper")]).unwrap();
    assert_eq!((bench.read("usr/bin/x"), bench.read("usr/bin/x.real")), ("wrapper".into(), "real".into()));
}

#[test]
fn what_an_early_rule_names_is_never_written_and_counted() {
    let mut bench = Bench::new("trim");
    let members = [File("./usr/share/doc/a/readme", b"12345"), File("./usr/bin/a", b"x")];
    let staged = bench.stage(CONTROL, &members, &[rule(&["/usr/share/doc/**"])]).unwrap();
    bench.placer.place(&staged).unwrap();
    assert!(!bench.root().join("usr/share/doc/a/readme").exists());
    assert_eq!((staged.trimmed.removed[0].files, staged.trimmed.removed[0].bytes), (1, 5));
    assert!(staged.list.contains("/usr/share/doc/a/readme\n"), "dpkg's list names all files");
}

#[test]
fn a_link_that_stays_takes_the_content_of_a_first_name_that_goes() {
    let mut bench = Bench::new("links");
    let members = [
        File("./usr/doc/a", b"same"),
        HardLink("./usr/bin/b", "./usr/doc/a"),
        HardLink("./usr/bin/c", "./usr/doc/a"),
    ];
    let staged = bench.stage(CONTROL, &members, &[rule(&["/usr/doc/**"])]).unwrap();
    bench.placer.place(&staged).unwrap();
    assert_eq!(bench.read("usr/bin/c"), "same");
    let inode = |path: &str| std::fs::metadata(bench.root().join(path)).unwrap().ino();
    assert_eq!(inode("usr/bin/b"), inode("usr/bin/c"));
    assert!(!bench.root().join("usr/doc/a").exists());
}

#[test]
fn kernel_modules_are_stored_plain() {
    let mut bench = Bench::new("modules");
    let compressed = zstd::encode_all(&b"module"[..], 1).unwrap();
    bench.install("kernel", &[File("./lib/modules/6/kernel/a.ko.zst", &compressed)]).unwrap();
    assert_eq!(bench.read("usr/lib/modules/6/kernel/a.ko"), "module");
}

#[test]
fn dpkg_finds_nothing_wrong_with_the_database() {
    let mut bench = Bench::new("database");
    let control = "Package: a\nVersion: 1:2.3-4\nArchitecture: amd64\nMulti-Arch: same\nMaintainer: T <t@example.invalid>\nDescription: test\n of a package\n";
    let staged = bench.stage(control, &[File("./usr/bin/a", b"x")], &[]).unwrap();
    let mut database = Database::new(&bench.root()).unwrap();
    database.record(&staged).unwrap();
    database.flush().unwrap();
    let query = |arguments: &[&str]| {
        let admin = format!("--admindir={}", bench.root().join("var/lib/dpkg").display());
        let output = std::process::Command::new("dpkg-query").arg(admin).args(arguments).output();
        let output = output.expect("this test needs dpkg-query of the package dpkg");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(query(&["-W", "-f", "${Package} ${Version} ${db:Status-Status}"]), "a 1:2.3-4 unpacked");
    assert_eq!(query(&["-L", "a:amd64"]).trim(), "/usr/bin/a");
    assert!(Path::new(&bench.root()).join("var/lib/dpkg/info/a:amd64.list").exists());
}
