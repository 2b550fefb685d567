//! `tough`, the TUF client that Bottlerocket is updated with, on a repository of ours: it follows the roots, reads what both roles list, fetches it,
//! and refuses what was changed. Argument: the repository's folder. See scripts/judge-tuf.

use std::fs;
use std::path::{Path, PathBuf};

use futures::StreamExt;
use tough::{FilesystemTransport, Repository, RepositoryLoader, TargetName};
use url::Url;

const LISTED: [(&str, &[u8]); 2] = [
    ("acme/shop/1.0/statement.json", b"{\"version\":\"1.0\"}\n"),
    ("acme/bank/2.0/statement \u{e9}.json", b"{\"version\":\"2.0\"}\n"),
];

/// The specification puts a digest before the last part of a path, tough before the whole: the same files lie in both places.
fn put_where_it_looks(targets: &Path) {
    for (name, _) in LISTED {
        let (folder, last) = name.rsplit_once('/').expect("a folder");
        let ending = format!(".{last}");
        let entries = fs::read_dir(targets.join(folder)).expect("a folder");
        let files = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
        let file = files.into_iter().find(|file| file.ends_with(&ending)).expect("the target");
        let digest = file.strip_suffix(&ending).expect("a digest");
        let place = targets.join(format!("{digest}.{folder}"));
        fs::create_dir_all(&place).expect("creates");
        // Its transport for files asks the disk for the name as it stands in a URL.
        let url = Url::from_file_path(format!("/{last}")).expect("a path");
        fs::copy(targets.join(folder).join(&file), place.join(&url.path()[1..])).expect("copies");
    }
}

/// Every file that tough reads.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

async fn load(place: &Path) -> Result<Repository, String> {
    let url = |name: &str| Url::from_directory_path(place.join(name)).expect("an absolute path");
    let root = fs::read(place.join("trusted-root.json")).expect("a root");
    let loader = RepositoryLoader::new(&root, url("metadata"), url("targets"));
    loader.transport(FilesystemTransport).load().await.map_err(|error| error.to_string())
}

async fn fetch(repository: &Repository, name: &str) -> Result<Vec<u8>, String> {
    let name = TargetName::new(name).map_err(|error| error.to_string())?;
    let found = repository.read_target(&name).await.map_err(|error| error.to_string())?;
    let mut stream = found.ok_or("it is not listed")?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.map_err(|error| error.to_string())?);
    }
    Ok(bytes)
}

async fn whole(place: &Path) -> Result<(), String> {
    let repository = load(place).await?;
    for (name, content) in LISTED {
        let bytes = fetch(&repository, name).await.map_err(|error| format!("{name}: {error}"))?;
        if bytes != content {
            return Err(format!("{name} has another content"));
        }
    }
    let root = &repository.root().signed;
    let is_as_made =
        root.version.get() == 2 && root.consistent_snapshot && repository.targets().signed.version.get() == 2;
    if is_as_made { Ok(()) } else { Err("the versions are others".to_owned()) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let place = std::env::args_os().nth(1).expect("a repository");
    let place = fs::canonicalize(place).expect("a repository");
    put_where_it_looks(&place.join("targets"));
    let as_made = |error| panic!("the repository as it was made: {error}");
    whole(&place).await.unwrap_or_else(as_made);
    let current = ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "1.acme.bank.json"];
    let mut refused = 0;
    for path in files(&place) {
        let kept = fs::read(&path).expect("reads");
        let name = path.file_name().expect("a name").to_str().expect("text");
        // Where the specification has the targets, their names begin with a digest: tough does not look there.
        let is_read = current.contains(&name) || name.starts_with("statement");
        if !is_read {
            continue;
        }
        // A digit of a version or a date, or a letter of a statement.
        let at = kept.iter().rposition(u8::is_ascii_digit).expect("a digit");
        let mut changed = kept.clone();
        changed[at] = if kept[at] == b'9' { b'0' } else { kept[at] + 1 };
        fs::write(&path, changed).expect("writes");
        assert!(whole(&place).await.is_err(), "a changed {name} was accepted");
        fs::write(&path, kept).expect("writes");
        refused += 1;
    }
    assert_eq!(refused, current.len() + LISTED.len(), "every file was changed once");
    whole(&place).await.unwrap_or_else(as_made);
}
