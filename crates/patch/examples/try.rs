//! Makes a patch of two release folders and applies it, with times: for experiments. Usage: try OLD NEW PATCH
use std::fs;
use std::io;
use std::time::Instant;

struct Out(Vec<u8>, Vec<u8>);
impl patch::Target for Out {
    fn write_root(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
    fn read_root(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(&self.0[offset as usize..offset as usize + buffer.len()]);
        Ok(())
    }
    fn write_uki(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(offset as usize, self.1.len());
        self.1.extend(bytes);
        Ok(())
    }
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let load = |folder: &str| {
        let uki = fs::read_dir(folder)
            .unwrap()
            .flatten()
            .find(|e| e.file_name().to_string_lossy().ends_with(".efi"))
            .unwrap();
        (fs::read(format!("{folder}/root.erofs")).unwrap(), fs::read(uki.path()).unwrap())
    };
    let old = (args[1] != "-").then(|| load(&args[1]));
    let new = load(&args[2]);
    let hash = |n: u8| model::Sha256Digest([n; 32]);
    let began = Instant::now();
    let mut out = Vec::new();
    let recipe = if args.len() > 4 { patch::Recipe::Forbidden } else { patch::Recipe::Allowed };
    let options = patch::MakeOptions { threads: 2.try_into().unwrap(), recipe };
    let sides = |it: &'static u8, root, uki| patch::Sides { root, uki, root_hash: hash(*it) };
    let summary = patch::make(
        old.as_ref().map(|(r, u)| sides(&1, r, u)),
        sides(&2, &new.0, &new.1),
        &options,
        &mut out,
        &|_, _| (),
    )
    .unwrap();
    println!(
        "{} bytes, {} operations, memory {} MiB, {:.1} s",
        summary.size,
        summary.costs.len(),
        summary.header.memory >> 20,
        began.elapsed().as_secs_f32()
    );
    let mut costs = summary.costs.clone();
    costs.sort_by_key(|c| std::cmp::Reverse(c.cost));
    for c in costs.iter().take(20) {
        println!("{:?} {:>10} +{:>9} {:>8}", c.side, c.offset, c.length, c.cost);
    }
    fs::write(&args[3], &out).unwrap();
    let began = Instant::now();
    let mut target = Out(vec![0; new.0.len()], Vec::new());
    let o = old.as_ref().map(|(r, u)| patch::Old { root: r, uki: u, root_hash: hash(1) });
    patch::apply(
        &mut out.as_slice(),
        o.as_ref(),
        &mut target,
        &patch::ApplyOptions { memory: u64::MAX, resume: patch::Resume::Never },
        &mut |_, _| (),
    )
    .unwrap();
    println!(
        "applied in {:.1} s, same: {}",
        began.elapsed().as_secs_f32(),
        target.0 == new.0 && target.1 == new.1
    );
}
