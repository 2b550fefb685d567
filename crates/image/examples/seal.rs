//! Seals a folder into images and says how long each step takes: `seal FOLDER OUTPUT-FOLDER`.
//!
//! A bench for people, not a part of Ampoule: it reads the real file system, which the library refuses to do.
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use image::{ReadAt, SeekReadAt, Uuid, disk, erofs, esp, qcow2, verity};
use model::Sha256Digest;
use sha2::{Digest, Sha256};
use tree::{Content, ContentSource, Entry, Metadata, Node, Origin, Tree, TreePath};

struct Folder(HashMap<Sha256Digest, PathBuf>);

impl ContentSource for Folder {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(File::open(&self.0[&content.sha256])?))
    }
}

struct Tee<'a>(&'a mut dyn Write, &'a mut verity::VerityBuilder);

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.update(bytes);
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(source), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("usage: seal FOLDER OUTPUT-FOLDER".into());
    };
    let (tree, folder) = scan(&source)?;
    let threads = NonZeroUsize::new(2).expect("two is not zero");
    let options = erofs::Options { uuid: Uuid::derived("bench", b""), volume_name: "bench".into(), time: 0 };

    let start = Instant::now();
    let layout = erofs::plan(&tree, &options)?;
    let planned = start.elapsed();
    let options = verity::Options { salt: vec![7; 32], uuid: options.uuid, threads };
    let mut builder = verity::VerityBuilder::new(options)?;
    let root_path = out.join("root.erofs");
    layout.write(&folder, &mut Tee(&mut File::create(&root_path)?, &mut builder))?;
    let hash_tree = builder.finish()?;
    println!(
        "{} entries, {} MiB: plan {planned:?}, plan + write + verity {:?}",
        tree.entries.len(),
        layout.size() >> 20,
        start.elapsed()
    );
    fs::write(out.join("root.verity"), &hash_tree.bytes)?;
    println!("root hash {}", hash_tree.root_hash);

    let root = SeekReadAt::new(File::open(&root_path)?)?;
    let start = Instant::now();
    verity::verify(&root, &hash_tree.bytes, &hash_tree.root_hash)?;
    println!("verify {:?}", start.elapsed());

    let start = Instant::now();
    let kernel = vec![7; 20 << 20];
    let path: TreePath = "EFI/Linux/bench.efi".parse()?;
    let files = [(path, kernel.as_slice())];
    let esp = esp::write(&files, &esp::Options { volume_id: 7, size: esp::size_for(&files) })?;
    println!("esp {:?}", start.elapsed());
    let root_hash = hash_tree.root_hash;
    let contents =
        disk::Contents { esp: &esp, root: &root, verity: &hash_tree.bytes, root_hash, data_size: 1 << 30 };
    let disk = disk::compose(&contents)?;
    let start = Instant::now();
    disk.write(&mut File::create(out.join("disk.raw"))?)?;
    println!("raw disk {:?}", start.elapsed());
    for level in [1, 3, 6, 9, 12, 15, 19] {
        let start = Instant::now();
        let path = out.join(format!("disk-{level}.qcow2"));
        let mut file = BufWriter::new(File::create(&path)?);
        qcow2::write(&disk, &disk.data_ranges(), &qcow2::Options { level, threads }, None, &mut file)?;
        file.flush()?;
        let size = fs::metadata(&path)?.len();
        println!("qcow2 level {level}: {:.1} MiB in {:?}", size as f64 / 1_048_576.0, start.elapsed());
    }
    let packed = qcow2::Qcow2::open(SeekReadAt::new(File::open(out.join("disk-3.qcow2"))?)?)?;
    let start = Instant::now();
    let mut buffer = vec![0; 1 << 20];
    (0..packed.size() >> 20).try_for_each(|piece| packed.read_exact_at(&mut buffer, piece << 20))?;
    println!("reading qcow2 {:?}", start.elapsed());
    Ok(())
}

fn scan(source: &Path) -> Result<(Tree, Folder), Box<dyn Error>> {
    let (mut tree, mut folder) = (Tree::default(), Folder(HashMap::new()));
    let mut pending = vec![(TreePath::root(), source.to_owned())];
    while let Some((path, place)) = pending.pop() {
        let found = fs::symlink_metadata(&place)?;
        let node = if found.is_dir() {
            for child in fs::read_dir(&place)? {
                let child = child?;
                let name = child.file_name().into_string().map_err(|_| "a name that is not UTF-8")?;
                pending.push((path.join(&name)?, child.path()));
            }
            Node::Directory
        } else if found.is_symlink() {
            let target = fs::read_link(&place)?;
            Node::Symlink { target: target.into_os_string().into_string().map_err(|_| "not UTF-8")? }
        } else if found.is_file() {
            let bytes = fs::read(&place)?;
            let sha256 = Sha256Digest(Sha256::digest(&bytes).into());
            folder.0.insert(sha256, place);
            Node::File(Content { sha256, size: bytes.len() as u64 })
        } else {
            continue;
        };
        let metadata = Metadata {
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
            ..Metadata::default()
        };
        tree.entries.insert(path, Entry { metadata, node, origin: Origin::Generator("bench".into()) });
    }
    Ok((tree, folder))
}
