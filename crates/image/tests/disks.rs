//! Laws of disks, judged by `sgdisk`, `sfdisk`, `fsck.vfat`, `mdir`, `mtype`, `qemu-img` and `systemd-dissect`.

mod common;

use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use common::{Fixture, ask, hash_tree, judge, noise, threads};
use image::gpt::{Copy, Table};
use image::qcow2::{self, ClusterCache, Qcow2, Qcow2Error};
use image::verity::HashTree;
use image::{ReadAt, Section, SeekReadAt, disk, esp};
use model::Sha256Digest;
use proptest::prelude::*;
use tree::TreePath;

struct Parts {
    esp: Vec<u8>,
    root: Vec<u8>,
    tree: HashTree,
}

impl Parts {
    fn new() -> Self {
        let mut fixture = Fixture::everything();
        fixture.directory("usr/bin");
        fixture.file("etc/os-release", b"ID=ampoule-test\nVERSION_ID=1\n");
        fixture.file("usr/lib/os-release", b"ID=ampoule-test\nVERSION_ID=1\n");
        let root = fixture.image();
        let tree = hash_tree(&root, &[3; 32]);
        Self { esp: esp(&esp_files()), root, tree }
    }

    fn compose(&self) -> disk::Disk<'_> {
        disk::compose(&disk::Contents {
            esp: &self.esp,
            root: &self.root,
            verity: &self.tree.bytes,
            root_hash: self.tree.root_hash,
            data_size: 32 << 20,
        })
        .unwrap()
    }
}

fn esp_files() -> Vec<(TreePath, Vec<u8>)> {
    [
        ("loader/loader.conf", b"timeout 0\n".to_vec()),
        ("EFI/BOOT/BOOTX64.EFI", noise(100_000, 1)),
        ("EFI/Linux/appliance-name_2026.11.1+3.efi", noise(3_000_000, 2)),
    ]
    .map(|(path, bytes)| (path.parse().unwrap(), bytes))
    .to_vec()
}

fn esp(files: &[(TreePath, Vec<u8>)]) -> Vec<u8> {
    let files: Vec<_> = files.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice())).collect();
    esp::write(&files, &esp::Options { volume_id: 0x1234_ABCD, size: esp::size_for(&files) }).unwrap()
}

fn write_disk(disk: &disk::Disk<'_>, folder: &Path) -> PathBuf {
    let path = folder.join("disk.raw");
    disk.write(&mut File::create(&path).unwrap()).unwrap();
    path
}

#[test]
fn partition_tools_find_nothing_to_complain_about() {
    let parts = Parts::new();
    let disk = parts.compose();
    let folder = tempfile::tempdir().unwrap();
    let path = write_disk(&disk, folder.path());
    let path = path.to_str().unwrap();
    assert!(judge("sgdisk", &["-v", path]).contains("No problems found"));
    assert!(judge("sfdisk", &["--verify", path]).contains("No errors detected"));
    let json = judge("sfdisk", &["-J", path]).to_lowercase();
    let root_hash = parts.tree.root_hash.to_string();
    for partition in &disk.table().partitions {
        assert!(json.contains(&partition.uuid.to_string()), "{json}");
        assert!(json.contains(&format!("\"name\": \"{}\"", partition.name)), "{json}");
        assert_eq!(partition.start % (1 << 20), 0);
    }
    let text_of = |name: &str| disk.table().named(name).unwrap().uuid.to_string().replace('-', "");
    assert_eq!(text_of("root-a"), root_hash[..32]);
    assert_eq!(text_of("verity-a"), root_hash[32..]);
}

#[test]
fn partition_tools_accept_a_grown_and_renamed_table() {
    let parts = Parts::new();
    let composed = parts.compose();
    let folder = tempfile::tempdir().unwrap();
    let path = write_disk(&composed, folder.path());
    let size = composed.size() + (100 << 20) + 512;
    let grown = composed.table().grow(size).unwrap().rename(disk::NEW_DATA_NAME, disk::DATA_NAME).unwrap();
    let encoded = grown.encode().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(size).unwrap();
    use std::os::unix::fs::FileExt;
    file.write_all_at(&encoded.backup, encoded.backup_offset).unwrap();
    file.write_all_at(&encoded.primary, 0).unwrap();
    assert!(judge("sgdisk", &["-v", path.to_str().unwrap()]).contains("No problems found"));
    let read = SeekReadAt::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(Table::read(&read).unwrap(), (grown, Copy::Primary));
}

#[test]
fn a_written_disk_equals_the_composed_one_and_has_holes() {
    let parts = Parts::new();
    let disk = parts.compose();
    let folder = tempfile::tempdir().unwrap();
    let path = write_disk(&disk, folder.path());
    let written = std::fs::read(&path).unwrap();
    assert_eq!(written.len() as u64, disk.size());
    let mut whole = vec![0; written.len()];
    disk.read_exact_at(&mut whole, 0).unwrap();
    assert!(whole == written);
    use std::os::unix::fs::MetadataExt;
    let used = std::fs::metadata(&path).unwrap().blocks() * 512;
    assert!(used < 16 << 20, "{used} bytes of {} are in use", written.len());
}

#[test]
fn systemd_dissect_opens_the_disk_with_its_root_hash() {
    let parts = Parts::new();
    let folder = tempfile::tempdir().unwrap();
    let path = write_disk(&parts.compose(), folder.path());
    let root_hash = parts.tree.root_hash.to_string();
    // Without the right to make loop devices it can say no more than what the partition table holds.
    let (succeeded, text) = ask("systemd-dissect", &["--root-hash", &root_hash, path.to_str().unwrap()]);
    let needs_root = text.contains("Permission denied") || text.contains("Operation not permitted");
    assert!(succeeded || needs_root, "{text}");
    if succeeded {
        assert!(text.contains("root-verity") && text.contains("root"), "{text}");
    }
}

#[test]
fn fat_tools_find_the_files_with_their_long_names() {
    let files = esp_files();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("esp.img");
    std::fs::write(&path, esp(&files)).unwrap();
    let path = path.to_str().unwrap();
    judge("fsck.vfat", &["-n", path]);
    assert!(judge("mdir", &["-i", path, "-/", "::"]).contains("appliance-name_2026.11.1+3.efi"));
    assert_eq!(judge("mtype", &["-i", path, "::loader/loader.conf"]), "timeout 0\n");
    assert!(judge("mdir", &["-i", path, "::"]).contains("1234-ABCD"));
    let kernel = folder.path().join("kernel");
    judge("mcopy", &["-i", path, "::EFI/Linux/appliance-name_2026.11.1+3.efi", kernel.to_str().unwrap()]);
    assert!(std::fs::read(kernel).unwrap() == files[2].1);
}

#[test]
fn an_esp_reads_back_and_does_not_depend_on_the_order_of_its_files() {
    let mut files = esp_files();
    let bytes = esp(&files);
    let mut expected: Vec<_> = files.iter().map(|(path, bytes)| (path.clone(), bytes.len() as u64)).collect();
    expected.sort();
    assert_eq!(esp::list(&bytes).unwrap(), expected);
    for (path, content) in &files {
        assert!(esp::read(&bytes, path).unwrap() == *content);
    }
    assert!(esp::read(&bytes, &"gone".parse().unwrap()).is_err());
    files.reverse();
    assert!(esp(&files) == bytes);
    let twice: Vec<(TreePath, &[u8])> = vec![("a".parse().unwrap(), b""), ("A".parse().unwrap(), b"")];
    let options = esp::Options { volume_id: 1, size: esp::MINIMUM_SIZE };
    assert!(matches!(esp::write(&twice, &options), Err(esp::EspError::Duplicate { .. })));
    assert!(matches!(
        esp::write(&[], &esp::Options { size: 1 << 20, ..options }),
        Err(esp::EspError::Size { .. })
    ));
}

#[test]
fn a_damaged_esp_ends_in_an_error_or_an_end() {
    let mut bytes = esp(&esp_files());
    let table_start = 32 * 512;
    let root_start = bytes.windows(11).position(|window| window == b"ESP        ").unwrap();
    let root_start =
        bytes[root_start + 512..].windows(11).position(|w| w == b"ESP        ").unwrap() + root_start + 512;
    for at in (0..512).chain(table_start..table_start + 64).chain(root_start..root_start + 4096) {
        let kept = bytes[at];
        for value in [0, 1, 2, 0x41, 0xFF] {
            bytes[at] = value;
            if let Ok(files) = esp::list(&bytes) {
                files.iter().take(2).for_each(|(path, _)| drop(esp::read(&bytes, path)));
            }
        }
        bytes[at] = kept;
    }
    assert!(esp::list(&bytes).is_ok());
    assert!(esp::list(&bytes[..bytes.len() / 2].to_vec()).is_err());
}

#[test]
fn fat_tools_accept_many_files_in_nested_directories() {
    let mut files: Vec<(TreePath, Vec<u8>)> = (0..300)
        .map(|number| (format!("a/b c/d/file number {number}.text").parse().unwrap(), noise(number * 50, 1)))
        .collect();
    files.push(("UPPER.TXT".parse().unwrap(), b"short".to_vec()));
    files.push((format!("{}.x", "l".repeat(253)).parse().unwrap(), b"long".to_vec()));
    files.push(("Ünïcode 文".parse().unwrap(), b"".to_vec()));
    let bytes = esp(&files);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("esp.img");
    std::fs::write(&path, &bytes).unwrap();
    judge("fsck.vfat", &["-n", path.to_str().unwrap()]);
    let text = judge("mdir", &["-i", path.to_str().unwrap(), "-b", "-/", "::"]);
    assert!(text.contains("::/a/b c/d/file number 299.text"), "{text}");
    files.sort();
    let expected: Vec<_> = files.iter().map(|(path, bytes)| (path.clone(), bytes.len() as u64)).collect();
    assert_eq!(esp::list(&bytes).unwrap(), expected);
    let full: Vec<u8> = vec![1; 63 << 20];
    let options = esp::Options { volume_id: 1, size: esp::MINIMUM_SIZE };
    let too_much = [("x".parse().unwrap(), full.as_slice()), ("y".parse().unwrap(), &full)];
    assert!(matches!(esp::write(&too_much, &options), Err(esp::EspError::Full { .. })));
    assert!(matches!(
        esp::write(&[("a:b".parse().unwrap(), b"")], &options),
        Err(esp::EspError::Name { .. })
    ));
}

fn pack(
    disk: &dyn ReadAt,
    data: &[std::ops::Range<u64>],
    cache: Option<&dyn ClusterCache>,
    count: usize,
) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let options = qcow2::Options { level: 3, threads: count.try_into().unwrap() };
    qcow2::write(disk, data, &options, cache, &mut out).unwrap();
    out.into_inner()
}

#[test]
fn qemu_finds_the_packed_disk_sound_and_equal() {
    let parts = Parts::new();
    let disk = parts.compose();
    let folder = tempfile::tempdir().unwrap();
    let raw = write_disk(&disk, folder.path());
    let packed = pack(&disk, &disk.data_ranges(), None, 2);
    let path = folder.path().join("disk.qcow2");
    std::fs::write(&path, &packed).unwrap();
    let (raw, path) = (raw.to_str().unwrap(), path.to_str().unwrap());
    assert!(judge("qemu-img", &["check", path]).contains("No errors were found"));
    assert!(judge("qemu-img", &["compare", "-f", "raw", "-F", "qcow2", raw, path]).contains("identical"));
    assert!(packed.len() < 10 << 20);
    // Known holes change nothing, nor do threads.
    assert!(pack(&disk, std::slice::from_ref(&(0..disk.size())), None, 1) == packed);
}

#[test]
fn our_reader_reads_what_we_and_what_qemu_packed() {
    let parts = Parts::new();
    let disk = parts.compose();
    let folder = tempfile::tempdir().unwrap();
    let raw = write_disk(&disk, folder.path());
    let mut files = vec![pack(&disk, &disk.data_ranges(), None, 2)];
    for options in [
        &["-c"][..],
        &["-c", "-o", "compression_type=zstd"],
        &[],
        &["-o", "compat=0.10,cluster_size=4k", "-c"],
    ] {
        let path = folder.path().join("qemu.qcow2");
        let mut arguments = vec!["convert", "-O", "qcow2"];
        arguments.extend(options);
        arguments.extend([raw.to_str().unwrap(), path.to_str().unwrap()]);
        judge("qemu-img", &arguments);
        files.push(std::fs::read(path).unwrap());
    }
    for file in files {
        let packed = Qcow2::open(&file).unwrap();
        assert_eq!(packed.size(), disk.size());
        for range in disk.data_ranges() {
            let length = (range.end - range.start) as usize;
            let (mut one, mut other) = (vec![0; length], vec![0; length]);
            packed.read_exact_at(&mut one, range.start).unwrap();
            disk.read_exact_at(&mut other, range.start).unwrap();
            assert!(one == other);
        }
        assert_eq!(Table::read(&packed).unwrap().0, *disk.table());
    }
}

#[derive(Default)]
struct Memory(Mutex<HashMap<Sha256Digest, Vec<u8>>>, Mutex<usize>);

impl ClusterCache for Memory {
    fn get(&self, key: &Sha256Digest) -> Option<Vec<u8>> {
        let found = self.0.lock().unwrap().get(key).cloned();
        *self.1.lock().unwrap() += usize::from(found.is_some());
        found
    }

    fn put(&self, key: &Sha256Digest, compressed: &[u8]) {
        self.0.lock().unwrap().insert(*key, compressed.to_vec());
    }
}

#[test]
fn a_cache_of_clusters_is_used_and_changes_no_byte() {
    let parts = Parts::new();
    let disk = parts.compose();
    let cache = Memory::default();
    let plain = pack(&disk, &disk.data_ranges(), None, 2);
    assert!(pack(&disk, &disk.data_ranges(), Some(&cache), 2) == plain);
    let before = *cache.1.lock().unwrap();
    assert!(pack(&disk, &disk.data_ranges(), Some(&cache), 2) == plain);
    let hits = *cache.1.lock().unwrap() - before;
    assert!(hits >= cache.0.lock().unwrap().len(), "{hits} hits");
}

#[test]
fn qcow2_features_that_need_other_files_or_keys_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    judge("qemu-img", &["create", "-f", "raw", &path("base"), "1M"]);
    judge("qemu-img", &["create", "-f", "qcow2", "-F", "raw", "-b", &path("base"), &path("backed")]);
    let backed = std::fs::read(path("backed")).unwrap();
    assert!(
        matches!(Qcow2::open(&backed), Err(Qcow2Error::Unsupported { feature }) if feature == "a backing file")
    );
    judge("qemu-img", &["create", "-f", "qcow2", "-o", "extended_l2=on", &path("extended"), "1M"]);
    let extended = std::fs::read(path("extended")).unwrap();
    assert!(matches!(Qcow2::open(&extended), Err(Qcow2Error::Unsupported { .. })));
    assert!(matches!(Qcow2::open(&vec![0; 500]), Err(Qcow2Error::NotQcow2)));
}

#[test]
fn a_section_of_a_disk_is_its_partition() {
    let parts = Parts::new();
    let disk = parts.compose();
    let root = disk.table().named("root-a").unwrap();
    let section = Section::new(&disk, root.start, root.length).unwrap();
    let image = image::erofs::Image::open(&section).unwrap();
    let mut count = 0;
    image.walk(|_| count += 1).unwrap();
    assert!(count > 20);
    image::verity::verify(&section, &parts.tree.bytes, &parts.tree.root_hash).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn any_disk_packs_to_itself(
        pieces in prop::collection::vec((0u64..3_000_000, 1usize..200_000, any::<u64>(), any::<bool>()), 0..6),
        size in 1u64..3_000_000,
    ) {
        let mut disk = vec![0; size as usize];
        for (at, length, seed, is_noise) in pieces {
            let at = (at % size) as usize;
            let length = length.min(disk.len() - at);
            let piece = if is_noise { noise(length, seed) } else { vec![seed as u8; length] };
            disk[at..at + length].copy_from_slice(&piece);
        }
        let packed = pack(&disk, std::slice::from_ref(&(0..size)), None, threads().get());
        let opened = Qcow2::open(&packed).unwrap();
        let mut read = vec![0; disk.len()];
        opened.read_exact_at(&mut read, 0).unwrap();
        prop_assert!(read == disk);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.qcow2");
        std::fs::write(&path, &packed).unwrap();
        prop_assert!(judge("qemu-img", &["check", path.to_str().unwrap()]).contains("No errors"));
    }

    #[test]
    fn a_hostile_qcow2_file_ends_in_an_error_or_an_end(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let disk = noise(200_000, 1).into_iter().chain(vec![5; 200_000]).collect::<Vec<u8>>();
        let mut packed = pack(&disk, std::slice::from_ref(&(0..400_000)), None, 1);
        let tables = packed.len() - 4 * qcow2::CLUSTER_SIZE;
        for (index, (at, value)) in flips.into_iter().enumerate() {
            let place = if index % 2 == 0 { at.index(112) } else { tables + at.index(64) };
            packed[place] = value;
        }
        if let Ok(opened) = Qcow2::open(&packed) {
            let size = opened.size().min(1 << 20);
            let _ = opened.read_exact_at(&mut vec![0; size as usize], 0);
        }
    }
}
