//! Laws of the `.deb` reader, on packages that `dpkg-deb` makes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use proptest::prelude::*;

const ONE: NonZeroUsize = NonZeroUsize::MIN;

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need {program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A folder as dpkg-deb packs it: setuid, a link of either kind, a long name, a script.
fn package_folder(root: &Path) {
    let write = |path: &str, bytes: &[u8], mode: u32| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let control = b"Package: probe\nVersion: 1.0-1\nArchitecture: all\nMaintainer: A <a@example.org>\n\
        Description: probe\n of the reader\n";
    write("DEBIAN/control", control, 0o644);
    write("DEBIAN/postinst", b"#!/bin/sh\nexit 0\n", 0o755);
    write("usr/bin/tool", &vec![b'x'; 100_000], 0o4755);
    write(&format!("usr/share/{}/file", "long".repeat(50)), b"long", 0o640);
    write("etc/empty", b"", 0o600);
    write("etc/zertifikat_ü", b"utf-8", 0o644);
    symlink("../bin/tool", root.join("usr/bin/link")).unwrap();
    fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/twin")).unwrap();
}

fn build(folder: &Path, compression: &str) -> PathBuf {
    let root = folder.join("root");
    if !root.exists() {
        package_folder(&root);
    }
    let deb = folder.join(format!("{compression}.deb"));
    let option = format!("-Z{compression}");
    run(
        "dpkg-deb",
        &["--root-owner-group", &option, "--build", root.to_str().unwrap(), deb.to_str().unwrap()],
    );
    deb
}

type Contents = Vec<(DataEntry, Vec<u8>)>;

fn read_all(bytes: &[u8]) -> Result<Contents, DebError> {
    let mut reader = DebReader::open(bytes, "probe.deb", ONE)?;
    let mut all = Vec::new();
    while let Some((entry, mut content)) = reader.next_entry()? {
        let mut bytes = Vec::new();
        content
            .read_to_end(&mut bytes)
            .map_err(|error| error.downcast::<DebError>().expect("a DebError is inside"))?;
        all.push((entry, bytes));
    }
    Ok(all)
}

#[test]
fn every_compression_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let all = ["none", "gzip", "xz", "zstd"].map(|compression| {
        let bytes = fs::read(build(folder.path(), compression)).unwrap();
        let reader = DebReader::open(&bytes[..], "probe.deb", ONE).unwrap();
        assert_eq!(reader.control().field("Package"), Some("probe"));
        assert_eq!(reader.control_files()["postinst"].mode, 0o755);
        assert_eq!(reader.control_files()["postinst"].bytes, b"#!/bin/sh\nexit 0\n");
        read_all(&bytes).unwrap()
    });
    assert!(all.iter().all(|contents| *contents == all[0]));
    let find = |path: &str| all[0].iter().find(|(entry, _)| entry.path == path).expect(path).clone();
    assert_eq!(find("").0.kind, DataKind::Directory);
    let names = [find("usr/bin/tool"), find("usr/bin/twin")];
    let file =
        names.iter().find(|(entry, _)| matches!(entry.kind, DataKind::File { .. })).expect("one is the file");
    let link = names
        .iter()
        .find(|(entry, _)| matches!(entry.kind, DataKind::HardLink { .. }))
        .expect("one the link");
    assert_eq!((file.0.mode, file.0.uid, file.0.user.as_str(), file.1.len()), (0o4755, 0, "root", 100_000));
    assert_eq!(link.0.kind, DataKind::HardLink { target: file.0.path.clone() });
    assert_eq!(find("usr/bin/link").0.kind, DataKind::Symlink { target: "../bin/tool".to_owned() });
    assert_eq!(find(&format!("usr/share/{}/file", "long".repeat(50))).1, b"long");
    assert_eq!(find("etc/empty").0.kind, DataKind::File { size: 0 });
    assert_eq!(find("etc/zertifikat_ü").1, b"utf-8");
}

#[test]
fn a_truncated_package_is_an_error_that_names_it_wherever_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    for compression in ["none", "gzip", "xz", "zstd"] {
        let bytes = fs::read(build(folder.path(), compression)).unwrap();
        for length in (0..bytes.len() - 1).step_by(bytes.len() / 97 + 1) {
            let error = read_all(&bytes[..length]).expect_err("it is truncated");
            assert!(error.to_string().starts_with("probe.deb: "), "{error}");
            assert!(
                matches!(error.problem, DebProblem::Truncated),
                "{compression} at {length}: {:?}",
                error.problem
            );
        }
    }
}

#[test]
fn a_flipped_bit_in_a_compressed_archive_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for compression in ["gzip", "xz"] {
        let good = fs::read(build(folder.path(), compression)).unwrap();
        let start = good.windows(8).position(|part| part == b"data.tar").unwrap() + 60;
        for place in (start..good.len() - 1).step_by((good.len() - start) / 50 + 1) {
            let mut bytes = good.clone();
            bytes[place] ^= 0x10;
            // gzip's header has bytes without meaning: reading the same is right too.
            if let Ok(contents) = read_all(&bytes) {
                assert_eq!(contents, read_all(&good).unwrap(), "{compression} at {place}");
            }
        }
    }
}

#[test]
fn several_threads_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    package_folder(&root);
    // Too random to compress, so that the archive is large enough for threads.
    let noise: Vec<u8> = (0..12u64 << 20)
        .map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8 ^ (n >> 7) as u8)
        .collect();
    let noise: Vec<u8> = noise.chunks(32).flat_map(digest).collect();
    fs::write(root.join("usr/noise"), &noise).unwrap();
    let bytes = fs::read(build(folder.path(), "xz")).unwrap();
    assert!(bytes.len() > 9 << 20);
    let mut reader = DebReader::open(&bytes[..], "probe.deb", NonZeroUsize::new(4).unwrap()).unwrap();
    let mut found = false;
    while let Some((entry, mut content)) = reader.next_entry().unwrap() {
        if entry.path == "usr/noise" {
            let mut read = Vec::new();
            content.read_to_end(&mut read).unwrap();
            found = read == noise;
        }
    }
    assert!(found);
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    <sha2::Sha256 as sha2::Digest>::digest(bytes).into()
}

/// A `.deb` around tar archives of one's own.
fn deb_of(control: &[u8], data: &[u8]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", control), ("data.tar", data)] {
        bytes
            .extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, content.len()).bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

fn header(path: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}

fn tar_of(entries: &[(tar::Header, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (header, content) in entries {
        bytes.extend(header.as_bytes());
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn control_tar() -> Vec<u8> {
    tar_of(&[(header("./control", tar::EntryType::Regular, 11), b"Package: p\n")])
}

#[test]
fn attributes_in_pax_records_are_kept_byte_for_byte() {
    let capability = b"\x01\x00\x00\x02\n\x04\x00\x00\n\x00=\x00";
    let body = [b" SCHILY.xattr.security.capability=", &capability[..], b"\n"].concat();
    let record = [(body.len() + 2).to_string().as_bytes(), &body].concat();
    let data = tar_of(&[
        (header("pax", tar::EntryType::XHeader, record.len() as u64), &record),
        (header("./usr/bin/ping", tar::EntryType::Regular, 4), b"ping"),
    ]);
    let all = read_all(&deb_of(&control_tar(), &data)).unwrap();
    assert_eq!(all[0].0.xattrs["security.capability"], capability);
    assert_eq!(all[0].1, b"ping");
}

#[test]
fn what_a_package_may_not_hold_is_refused() {
    use tar::EntryType as Type;
    let long = vec![b'a'; 5000];
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (tar_of(&[(header("../etc/passwd", Type::Regular, 0), b"")]), "`..`"),
        (tar_of(&[(header("./usr/../../etc", Type::Directory, 0), b"")]), "`..`"),
        (tar_of(&[(header("./sparse", Type::GNUSparse, 0), b"")]), "not supported"),
        (tar_of(&[(header("./link", Type::Symlink, 0), b"")]), "no target"),
        (tar_of(&[(header("L", Type::GNULongName, 5000), &long)]), "limit of 4096"),
        (tar_of(&[(header("x", Type::XHeader, 2 << 20), b"")]), "limit of 1048576"),
        (tar_of(&[(header("x", Type::XHeader, 6), b"99 a=b")]), "PAX record"),
        (tar_of(&[(header("./huge", Type::Regular, MAX_DATA_BYTES), b"")]), "unpacked size"),
        (vec![b'x'; 1024], "checksum"),
    ];
    for (data, expected) in cases {
        let error = read_all(&deb_of(&control_tar(), &data)).expect_err(expected);
        let text = format!("{error}: {}", error.problem);
        assert!(text.contains(expected), "{text}");
    }
    let no_control = tar_of(&[(header("./other", Type::Regular, 0), b"")]);
    assert!(read_all(&deb_of(&no_control, &tar_of(&[]))).is_err());
    assert!(read_all(b"<html>404</html>").is_err());
}

#[test]
fn a_bomb_is_stopped_at_the_control_limit() {
    let zeros = vec![0u8; (MAX_CONTROL_BYTES + 1024) as usize];
    let bomb = tar_of(&[(header("./control", tar::EntryType::Regular, zeros.len() as u64), &zeros)]);
    let error = read_all(&deb_of(&bomb, &tar_of(&[]))).expect_err("it is too large");
    assert!(matches!(error.problem, DebProblem::Limit { .. }), "{error}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(place in 0usize..4000, byte: u8, cut in 0usize..4000) {
        let data = tar_of(&[(header("./a", tar::EntryType::Regular, 3), b"abc")]);
        let mut bytes = deb_of(&control_tar(), &data);
        let place = place % bytes.len();
        bytes[place] = byte;
        bytes.truncate(bytes.len() - cut % 500);
        let _ = read_all(&bytes);
    }
}
