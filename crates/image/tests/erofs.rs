//! Laws of EROFS images, judged by `fsck.erofs`, `dump.erofs` and our own reader.

mod common;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use common::{Fixture, ask, judge, noise, options};
use image::erofs::{self, Image, NodeKind, PlanError, ReadError, WriteError};
use proptest::prelude::*;
use tree::{Content, Node, Tree, TreePath};

/// What the reader finds, as a tree again. Contents are named by their digest.
fn read_back(image: &[u8], fixture: &mut Fixture) -> Result<Tree, ReadError> {
    let image = Image::open(image)?;
    let mut tree = Tree::default();
    image.walk(|entry| {
        let node = match entry.kind.clone() {
            NodeKind::Directory => Node::Directory,
            NodeKind::File { size } => {
                let mut bytes = Vec::new();
                image.open_file(&entry).read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len() as u64, size);
                Node::File(fixture.contents.add(&bytes))
            }
            NodeKind::HardLink { target } => Node::HardLink { target },
            NodeKind::Symlink { target } => Node::Symlink { target },
            NodeKind::CharacterDevice { major, minor } => Node::CharacterDevice { major, minor },
            NodeKind::Fifo => Node::Fifo,
        };
        let origin = tree::Origin::Generator("test".to_owned());
        tree.entries.insert(entry.path, tree::Entry { metadata: entry.metadata, node, origin });
    })?;
    Ok(tree)
}

/// The tree as the reader names it: the first name of a file in walking order is the file, others are links.
fn with_first_names(tree: &Tree) -> Tree {
    let mut order: Vec<&TreePath> = tree.entries.keys().collect();
    order.sort_by_key(|path| path.as_str().split('/').map(str::to_owned).collect::<Vec<_>>());
    let mut first: BTreeMap<TreePath, TreePath> = BTreeMap::new();
    let mut renamed = Tree::default();
    for path in order {
        let mut entry = tree.entries[path].clone();
        let inode = match &entry.node {
            Node::HardLink { target } => target.clone(),
            _ => path.clone(),
        };
        if let Node::File(_) | Node::HardLink { .. } = entry.node {
            entry.node = match first.get(&inode) {
                Some(target) => Node::HardLink { target: target.clone() },
                None => tree.entries[&inode].node.clone(),
            };
            first.entry(inode).or_insert_with(|| path.clone());
        }
        renamed.entries.insert(path.clone(), entry);
    }
    renamed
}

fn check_round_trip(mut fixture: Fixture) -> Vec<u8> {
    let image = fixture.image();
    let found = read_back(&image, &mut fixture).unwrap();
    let expected = with_first_names(&fixture.tree);
    for (path, entry) in &expected.entries {
        assert_eq!(found.entries.get(path), Some(entry), "{path}");
    }
    assert_eq!(found.entries.len(), expected.entries.len());
    image
}

fn fsck(image: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.erofs");
    std::fs::write(&file, image).unwrap();
    let text = judge("fsck.erofs", &["-d3", "--extract", file.to_str().unwrap()]);
    assert!(text.contains("No errors found"), "{text}");
}

#[test]
fn an_image_reads_back_as_the_tree_it_was_made_of() {
    fsck(&check_round_trip(Fixture::everything()));
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    assert!(Fixture::everything().image() == Fixture::everything().image());
}

#[test]
fn fsck_extracts_every_file_with_its_bytes_mode_and_owner() {
    let fixture = Fixture::everything();
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("root.erofs"), folder.path().join("out"));
    std::fs::write(&file, fixture.image()).unwrap();
    let is_root = std::fs::metadata(folder.path()).unwrap().uid() == 0;
    let mut arguments =
        vec!["--extract".to_owned() + "=" + out.to_str().unwrap(), "--no-preserve-owner".to_owned()];
    arguments.push(file.to_str().unwrap().to_owned());
    judge("fsck.erofs", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for (path, entry) in &fixture.tree.entries {
        let place = out.join(path.as_str());
        let found = std::fs::symlink_metadata(&place).unwrap_or_else(|error| panic!("{path}: {error}"));
        match &entry.node {
            Node::Directory => assert!(found.is_dir()),
            Node::File(content) => {
                assert!(std::fs::read(&place).unwrap() == fixture.contents.0[&content.sha256], "{path}");
                assert_eq!(found.permissions().mode() & 0o777, entry.metadata.mode & 0o777, "{path}");
            }
            Node::HardLink { target } => {
                assert_eq!(std::fs::read(&place).unwrap(), std::fs::read(out.join(target.as_str())).unwrap());
            }
            Node::Symlink { target } => {
                assert_eq!(std::fs::read_link(&place).unwrap().to_str().unwrap(), target);
            }
            Node::CharacterDevice { .. } => assert!(!is_root || found.file_type().is_char_device(), "{path}"),
            Node::Fifo => assert!(found.file_type().is_fifo()),
        }
    }
}

#[test]
fn dump_erofs_names_the_superblock_as_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.erofs");
    std::fs::write(&file, Fixture::everything().image()).unwrap();
    let text = judge("dump.erofs", &["-s", file.to_str().unwrap()]);
    assert!(text.contains(&options().uuid.to_string()), "{text}");
    assert!(text.contains("sb_csum"), "{text}");
    assert!(!judge("dump.erofs", &["-S", file.to_str().unwrap()]).is_empty());
}

#[test]
fn a_flipped_bit_in_the_superblock_is_refused_by_fsck_and_by_us() {
    let mut image = Fixture::everything().image();
    image[1024 + 30] ^= 1;
    assert!(matches!(Image::open(&image), Err(ReadError::Checksum { .. })));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.erofs");
    std::fs::write(&file, image).unwrap();
    assert!(!ask("fsck.erofs", &[file.to_str().unwrap()]).0);
}

#[test]
fn a_directory_of_ten_thousand_entries_keeps_them_all() {
    let mut fixture = Fixture::new();
    fixture.directory("many");
    for number in 0..10_000 {
        fixture
            .file(&format!("many/file-{number}-{}", "x".repeat(number % 40)), format!("{number}").as_bytes());
    }
    fsck(&check_round_trip(fixture));
}

#[test]
fn a_path_as_deep_as_linux_opens_is_kept_and_a_deeper_one_refused() {
    let mut fixture = Fixture::new();
    let mut path = String::new();
    for _ in 0..2047 {
        path.push_str(if path.is_empty() { "d" } else { "/d" });
        fixture.directory(&path);
    }
    assert_eq!(path.len(), 4093);
    check_round_trip(fixture);
    let mut fixture = Fixture::new();
    fixture.file(&"d/".repeat(2049), b"");
    assert!(matches!(erofs::plan(&fixture.tree, &options()), Err(PlanError::PathTooLong { .. })));
}

#[test]
fn an_empty_tree_is_an_image() {
    fsck(&check_round_trip(Fixture::new()));
}

#[test]
fn a_file_larger_than_four_gibibytes_is_planned_with_its_size() {
    let mut fixture = Fixture::new();
    let content = Content { size: (5 << 30) + 17, ..fixture.contents.add(b"") };
    fixture.add("huge", 0o644, Node::File(content));
    fixture.file("later", &noise(5000, 1));
    let layout = erofs::plan(&fixture.tree, &options()).unwrap();
    let huge = &layout.files()[0];
    let later = &layout.files()[1];
    assert_eq!(later.offset, huge.offset + (5 << 30) + 4096);
    assert_eq!(layout.size(), later.offset + 8192);
    let enormous = Content { size: 1 << 50, ..content };
    fixture.add("enormous", 0o644, Node::File(enormous));
    assert!(matches!(erofs::plan(&fixture.tree, &options()), Err(PlanError::TooLarge { .. })));
}

#[test]
fn files_longer_than_the_inline_limit_begin_at_blocks_in_path_order() {
    let layout = Fixture::everything().layout();
    let in_blocks: Vec<_> =
        layout.files().iter().filter(|file| file.content.size > erofs::INLINE_LIMIT).collect();
    assert!(in_blocks.len() > 6);
    assert!(in_blocks.iter().all(|file| file.offset % erofs::BLOCK_SIZE == 0));
    assert!(in_blocks.windows(2).all(|pair| pair[0].path < pair[1].path && pair[0].offset < pair[1].offset));
}

#[test]
fn a_changed_file_leaves_the_blocks_of_all_others_as_they_were() {
    let build = |size: usize| {
        let mut fixture = Fixture::everything();
        fixture.file("usr/lib/4096", &noise(size, 9));
        (fixture.layout(), fixture.image())
    };
    let ((old_layout, old), (new_layout, new)) = (build(4096), build(9000));
    for (one, other) in old_layout.files().iter().zip(new_layout.files()) {
        if one.path.as_str() != "usr/lib/4096" {
            let length = one.content.size as usize;
            assert_eq!(old[one.offset as usize..][..length], new[other.offset as usize..][..length]);
        }
    }
}

#[test]
fn trees_that_no_image_can_hold_are_refused_by_path() {
    let plan = |change: fn(&mut Fixture)| {
        let mut fixture = Fixture::new();
        change(&mut fixture);
        erofs::plan(&fixture.tree, &options()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(erofs::plan(&Tree::default(), &options()), Err(PlanError::NoRoot)));
    assert!(matches!(plan(|f| _ = f.file("no/parent", b"")), PlanError::NoParent { .. }));
    assert!(matches!(
        plan(|f| {
            f.file("file", b"");
            f.file("file/child", b"");
        }),
        PlanError::NoParent { .. }
    ));
    assert!(matches!(
        plan(|f| _ = f.add("l", 0o644, Node::HardLink { target: "gone".parse().unwrap() })),
        PlanError::LinkTarget { .. }
    ));
    assert!(matches!(plan(|f| f.symlink("l", "")), PlanError::LinkText { .. }));
    assert!(matches!(plan(|f| f.file("m", b"").mode = 0o10000), PlanError::Mode { .. }));
    assert!(matches!(plan(|f| _ = f.file(&"n".repeat(256), b"")), PlanError::PathTooLong { .. }));
    assert!(matches!(
        plan(|f| f.file("x", b"").xattrs = BTreeMap::from([("btrfs.x".to_owned(), vec![])])),
        PlanError::Xattr { .. }
    ));
}

#[test]
fn a_content_of_another_length_than_promised_is_refused_by_path() {
    for (promised, given) in [(10, 9), (10, 11), (9000, 8999), (9000, 9001)] {
        let mut fixture = Fixture::new();
        let content = fixture.contents.add(&noise(given, 1));
        fixture.add("liar", 0o644, Node::File(Content { size: promised, ..content }));
        let result = fixture.layout().write(&fixture.contents, &mut Vec::new());
        assert!(matches!(result, Err(WriteError::Length { path, .. }) if path.as_str() == "liar"));
    }
}

fn random_fixture() -> impl Strategy<Value = Fixture> {
    let name = "[ -.0-~]{1,12}".prop_filter("names of files", |name| name != "." && name != "..");
    let node = (0u8..6, 0usize..9000, any::<u64>(), any::<prop::sample::Index>(), 0u32..0o10000);
    let xattrs =
        prop::collection::btree_map("user\\.[a-z]{1,20}", prop::collection::vec(any::<u8>(), 0..600), 0..4);
    let owner = prop_oneof![Just(0u32), any::<u32>()];
    prop::collection::vec((name, node, xattrs, owner), 0..60).prop_map(|items| {
        let mut fixture = Fixture::new();
        let mut directories = vec![TreePath::root()];
        let mut files: Vec<TreePath> = Vec::new();
        for (name, (kind, size, seed, at, mode), xattrs, uid) in items {
            let path = directories[at.index(directories.len())].join(&name).unwrap();
            if fixture.tree.entries.contains_key(&path) {
                continue;
            }
            let node = match kind {
                0 => Node::Directory,
                1 => Node::Symlink { target: "t".repeat(size.clamp(1, 4095)) },
                2 if !files.is_empty() => Node::HardLink { target: files[at.index(files.len())].clone() },
                3 => Node::CharacterDevice { major: (seed % 4096) as u32, minor: (seed % 1_048_576) as u32 },
                _ => Node::File(fixture.contents.add(&noise(size, seed))),
            };
            if let Node::HardLink { target } = &node {
                let metadata = fixture.tree.entries[target].metadata.clone();
                *fixture.add(path.as_str(), 0, node) = metadata;
                continue;
            }
            match &node {
                Node::Directory => directories.push(path.clone()),
                Node::File(_) => files.push(path.clone()),
                _ => {}
            }
            let metadata = fixture.add(path.as_str(), mode, node);
            (metadata.uid, metadata.gid, metadata.xattrs) = (uid, uid / 2, xattrs);
        }
        fixture
    })
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.tree.fmt(f)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_tree_reads_back_as_it_was(fixture in random_fixture()) {
        check_round_trip(fixture);
    }

    #[test]
    fn a_hostile_image_ends_in_an_error_or_an_end(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30),
    ) {
        let mut image = Fixture::everything().image();
        // Metadata only: contents have no structure to break.
        let metadata = 4096 * 16;
        for (at, value) in flips {
            image[4096 + at.index(metadata)] = value;
        }
        if let Ok(image) = Image::open(&image) {
            let _ = image.walk(|entry| {
                let _ = image.open_file(&entry).take(1 << 20).read_to_end(&mut Vec::new());
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(16) })]

    #[test]
    fn fsck_accepts_any_tree(fixture in random_fixture()) {
        fsck(&fixture.image());
    }
}
