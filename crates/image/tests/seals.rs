//! Laws of hash trees, initrds and kernels, judged by `veritysetup`, `cpio` and `objdump`.

mod common;

use common::{ask, hash_tree, judge, noise, stub, threads};
use image::verity::{self, VerityBuilder, VerityError};
use image::{Uuid, cpio, uki};
use model::Sha256Digest;

fn veritysetup_format(data: &[u8], salt: &[u8]) -> (String, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let (data_file, tree_file) = (folder.path().join("data"), folder.path().join("tree"));
    std::fs::write(&data_file, data).unwrap();
    let salt: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = judge(
        "veritysetup",
        &[
            "format",
            "--salt",
            if salt.is_empty() { "-" } else { &salt },
            "--uuid",
            &Uuid::derived("verity", b"test").to_string(),
            data_file.to_str().unwrap(),
            tree_file.to_str().unwrap(),
        ],
    );
    let root_hash = text.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap().trim().to_owned();
    (root_hash, std::fs::read(tree_file).unwrap())
}

#[test]
fn veritysetup_makes_the_same_tree_and_root_hash() {
    for (blocks, salt) in [(1, 32), (2, 32), (127, 0), (128, 32), (129, 32), (700, 7), (16_385, 32)] {
        let (data, salt) = (noise(blocks * 4096, blocks as u64), noise(salt, 3));
        let (root_hash, bytes) = veritysetup_format(&data, &salt);
        let tree = hash_tree(&data, &salt);
        assert_eq!(tree.root_hash.to_string(), root_hash, "{blocks} blocks");
        assert!(tree.bytes == bytes, "{blocks} blocks: trees differ");
        assert_eq!(tree.bytes.len() as u64, verity::tree_size(blocks as u64));
    }
}

#[test]
fn veritysetup_verifies_our_tree_and_refuses_a_flipped_bit() {
    let mut data = noise(300 * 4096, 1);
    let tree = hash_tree(&data, b"salt");
    let folder = tempfile::tempdir().unwrap();
    let (data_file, tree_file) = (folder.path().join("data"), folder.path().join("tree"));
    std::fs::write(&data_file, &data).unwrap();
    std::fs::write(&tree_file, &tree.bytes).unwrap();
    let root_hash = tree.root_hash.to_string();
    let arguments = ["verify", data_file.to_str().unwrap(), tree_file.to_str().unwrap(), &root_hash];
    judge("veritysetup", &arguments);
    data[200 * 4096 + 9] ^= 4;
    std::fs::write(&data_file, &data).unwrap();
    assert!(!ask("veritysetup", &arguments).0);
}

#[test]
fn verification_names_the_first_bad_block() {
    let data = noise(20_000 * 4096, 1);
    let tree = hash_tree(&data, b"salt");
    verity::verify(&data, &tree.bytes, &tree.root_hash).unwrap();
    for block in [0, 255, 256, 19_999] {
        let mut bad = data.clone();
        bad[block * 4096 + 4095] ^= 1;
        let result = verity::verify(&bad, &tree.bytes, &tree.root_hash);
        assert!(matches!(result, Err(VerityError::DataBlock { block: found }) if found == block as u64));
    }
    for block in 1..tree.bytes.len() / 4096 {
        let mut bad = tree.bytes.clone();
        bad[block * 4096] ^= 1;
        let result = verity::verify(&data, &bad, &tree.root_hash);
        assert!(matches!(result, Err(VerityError::HashBlock { block: found, .. }) if found == block as u64));
    }
    let other = Sha256Digest([7; 32]);
    assert!(matches!(
        verity::verify(&data, &tree.bytes, &other),
        Err(VerityError::HashBlock { block: 1, .. })
    ));
}

#[test]
fn data_and_tree_may_lie_in_longer_partitions() {
    let mut data = noise(130 * 4096, 1);
    let mut tree = hash_tree(&data, b"");
    data.resize(1 << 20, 9);
    tree.bytes.resize(1 << 20, 9);
    verity::verify(&data, &tree.bytes, &tree.root_hash).unwrap();
    assert_eq!(verity::covered_size(&tree.bytes).unwrap(), 130 * 4096);
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let data = noise(5 << 20, 1);
    let build = |threads: usize| {
        let threads = threads.try_into().unwrap();
        let options = verity::Options { salt: vec![1; 32], uuid: Uuid::NIL, threads };
        let mut builder = VerityBuilder::new(options).unwrap();
        builder.update(&data);
        builder.finish().unwrap()
    };
    assert_eq!(build(1), build(7));
}

#[test]
fn a_hostile_hash_tree_is_refused() {
    let data = noise(4096 * 4, 1);
    let tree = hash_tree(&data, b"salt");
    for (at, value) in [(0, 0), (8, 2), (32, b'x'), (65, 1), (79, 255), (72, 200), (81, 255)] {
        let mut bad = tree.bytes.clone();
        bad[at] = value;
        assert!(verity::verify(&data, &bad, &tree.root_hash).is_err(), "{at}");
    }
    assert!(verity::verify(&data, &vec![0; 100], &tree.root_hash).is_err());
    let options = |salt| verity::Options { salt, uuid: Uuid::NIL, threads: threads() };
    assert!(matches!(VerityBuilder::new(options(vec![0; 33])), Err(VerityError::SaltTooLong { length: 33 })));
    let mut partial = VerityBuilder::new(options(vec![])).unwrap();
    partial.update(&[0; 5000]);
    assert!(matches!(partial.finish(), Err(VerityError::PartialBlock { length: 5000 })));
}

fn entry<'a>(path: &str, mode: u32, kind: cpio::Kind<'a>) -> cpio::Entry<'a> {
    cpio::Entry { path: path.parse().unwrap(), mode, kind }
}

#[test]
fn cpio_lists_the_initrd_whatever_the_order_it_was_given_in() {
    let module = noise(1001, 1);
    let mut entries = vec![
        entry("init", 0o755, cpio::Kind::File(b"#!")),
        entry("modules/erofs.ko", 0o644, cpio::Kind::File(&module)),
        entry("dev/console", 0o600, cpio::Kind::CharacterDevice { major: 5, minor: 1 }),
        entry("bin", 0o777, cpio::Kind::Symlink("usr/bin")),
    ];
    let mut archive = Vec::new();
    cpio::write(&entries, &mut archive).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("initrd");
    std::fs::write(&file, &archive).unwrap();
    let text = judge("cpio", &["-itv", "--quiet", "-F", file.to_str().unwrap()]);
    for line in
        ["drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--", "crw-------", "bin -> usr/bin", "modules/erofs.ko", "1001"]
    {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    entries.reverse();
    let mut again = Vec::new();
    cpio::write(&entries, &mut again).unwrap();
    assert!(again == archive);
}

#[test]
fn an_initrd_with_a_path_twice_or_below_a_file_is_refused() {
    let file = |path| entry(path, 0o644, cpio::Kind::File(b""));
    let write = |entries: &[cpio::Entry<'_>]| cpio::write(entries, &mut Vec::new());
    assert!(matches!(write(&[file("a"), file("a")]), Err(cpio::CpioError::Duplicate { .. })));
    assert!(matches!(write(&[file("a"), file("a/b")]), Err(cpio::CpioError::NotADirectory { .. })));
}

fn new(name: &'static str, data: &'static [u8]) -> uki::NewSection<'static> {
    uki::NewSection { name, data }
}

#[test]
fn a_kernel_image_lists_the_sections_it_was_made_of_and_none_overlap() {
    let added = [
        new(".osrel", b"ID=x\n"),
        new(".cmdline", b"roothash=00"),
        new(".initrd", &[7; 5000]),
        new(".linux", &[9; 9000]),
    ];
    let image = uki::assemble(&stub(), &added).unwrap();
    assert_eq!(image, uki::assemble(&stub(), &added).unwrap());
    let found = uki::sections(&image).unwrap();
    let names: Vec<_> = found.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(names, [".text", ".sbat", ".osrel", ".cmdline", ".initrd", ".linux"]);
    for (section, added) in found[2..].iter().zip(&added) {
        assert_eq!(section.data, added.data);
        assert_eq!(section.virtual_address % 4096, 0);
    }
    assert!(found.windows(2).all(
        |pair| pair[0].virtual_address as usize + pair[0].data.len() <= pair[1].virtual_address as usize
    ));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("uki.efi");
    std::fs::write(&file, image).unwrap();
    let text = judge("objdump", &["-h", file.to_str().unwrap()]);
    let extracted = folder.path().join("initrd");
    let (from, to) = (file.to_str().unwrap(), extracted.to_str().unwrap());
    judge("objcopy", &["-O", "binary", "--only-section=.initrd", from, to]);
    assert_eq!(std::fs::read(&extracted).unwrap(), [7; 5000]);
    assert!(text.contains("pei-x86-64") && text.contains(".linux        00002328"), "{text}");
}

#[test]
fn a_stub_without_room_or_with_the_section_already_is_refused() {
    let names =
        [".a", ".b", ".c", ".d", ".e", ".f", ".g", ".h", ".i", ".j", ".k", ".l", ".m", ".n", ".o", ".p"];
    let many: Vec<_> = names.iter().map(|name| new(name, b"x")).collect();
    let error = uki::assemble(&stub(), &many).unwrap_err();
    assert_eq!(error, uki::UkiError::NoHeaderRoom { room: 14, wanted: 16 });
    let refused = |section| uki::assemble(&stub(), &[section]).unwrap_err();
    assert!(matches!(refused(new(".sbat", b"x")), uki::UkiError::Duplicate { .. }));
    assert!(matches!(refused(new(".nine-nine", b"x")), uki::UkiError::Name { .. }));
    assert!(matches!(refused(new(".linux", b"")), uki::UkiError::Empty { .. }));
    assert!(matches!(uki::assemble(b"not a program", &[]), Err(uki::UkiError::NotPe { .. })));
    let mut signed = stub();
    signed[0x78 + 24 + 112 + 36] = 8;
    assert_eq!(uki::assemble(&signed, &[new(".linux", b"x")]), Err(uki::UkiError::Signed));
}

#[test]
fn no_cut_or_flipped_kernel_image_panics_the_reader() {
    let image = uki::assemble(&stub(), &[new(".linux", &[9; 900])]).unwrap();
    for length in 0..1100 {
        let _ = uki::sections(&image[..length]);
        let _ = uki::assemble(&image[..length], &[new(".osrel", b"x")]);
    }
    for at in 0..1024 {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut bad = image.clone();
            bad[at] = value;
            let _ = uki::sections(&bad);
            let _ = uki::assemble(&bad, &[new(".osrel", b"x")]);
        }
    }
}
