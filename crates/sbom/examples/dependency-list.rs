//! Makes the section `.dep-v0` (cargo-auditable's form) of a program: `cargo tree --prefix depth --format ' {p}'` on standard input, the
//! section's bytes on standard output. `scripts/build` puts it into the guest's programs, so that a list of components, of ours or
//! of anybody's, tells what they were built from.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::json;

/// Name, version, and whether it is of the workspace.
type Package = (String, String, bool);

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let mut packages: BTreeMap<Package, Vec<Package>> = BTreeMap::new();
    let mut above: Vec<Package> = Vec::new();
    for line in text.lines() {
        let (depth, package) = line.split_once(' ').ok_or("a line has no depth")?;
        let depth: usize = depth.parse()?;
        let mut words = package.split(' ');
        let name = words.next().ok_or("a line has no name")?.to_owned();
        let version =
            words.next().and_then(|it| it.strip_prefix('v')).ok_or("a line has no version")?.to_owned();
        // Packages of the workspace are followed by their folder.
        let is_local = words.next().is_some_and(|it| it.starts_with("(/"));
        let key = (name, version, is_local);
        above.truncate(depth);
        if let Some(parent) = above.last().and_then(|parent| packages.get_mut(parent))
            && !parent.contains(&key)
        {
            parent.push(key.clone());
        }
        packages.entry(key.clone()).or_default();
        above.push(key);
    }
    let root = above.first().cloned().ok_or("there is no package")?;
    let indices: BTreeMap<_, usize> = packages.keys().cloned().zip(0..).collect();
    let list: Vec<_> = packages
        .iter()
        .map(|(key, needs)| {
            let (name, version, is_local) = key;
            let mut needs: Vec<usize> = needs.iter().map(|it| indices[it]).collect();
            needs.sort_unstable();
            let source = if *is_local { "local" } else { concat!("crates", ".io") };
            let mut package =
                json!({"name": name, "version": version, "source": source, "dependencies": needs});
            if *key == root {
                package["root"] = true.into();
            }
            package
        })
        .collect();
    let mut encoder = ZlibEncoder::new(std::io::stdout().lock(), Compression::best());
    encoder.write_all(serde_json::to_string(&json!({ "packages": list }))?.as_bytes())?;
    encoder.finish()?.flush()?;
    Ok(())
}
