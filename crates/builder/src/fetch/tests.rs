//! Laws of the fetcher, against a mirror on this machine that misbehaves on purpose.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::*;
use crate::progress::Silent;

/// How the mirror answers one request for a path.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// As it should, ranges included.
    Well,
    /// The whole file, whatever range is asked for.
    WithoutRanges,
    /// Promises everything and ends after so many bytes.
    EndsAfter(usize),
    /// Other bytes of the same length.
    Corrupts,
    /// More bytes than the file has.
    Longer,
    /// A status and no file.
    Status(u16),
}

struct Mirror {
    url: String,
    /// `PATH RANGE` of each request.
    requests: Arc<Mutex<Vec<String>>>,
}

/// Starts a mirror. Each path has its manners, one a request; the last one stays.
fn mirror(files: &[(&str, &[u8], &[Manner])]) -> Mirror {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/debian", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let files: HashMap<String, (Vec<u8>, Vec<Manner>)> = files
        .iter()
        .map(|(path, bytes, manners)| (format!("/debian/{path}"), (bytes.to_vec(), manners.to_vec())))
        .collect();
    let files = Arc::new(Mutex::new(files));
    let seen = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (files, seen) = (Arc::clone(&files), Arc::clone(&seen));
            std::thread::spawn(move || answer(stream.unwrap(), &files, &seen));
        }
    });
    Mirror { url, requests }
}

type Files = Mutex<HashMap<String, (Vec<u8>, Vec<Manner>)>>;

/// One request, then the connection ends.
fn answer(mut stream: TcpStream, files: &Files, seen: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let range =
        headers.iter().find_map(|line| Some(line.to_lowercase().strip_prefix("range: bytes=")?.to_owned()));
    seen.lock().unwrap().push(format!("{path} {}", range.as_deref().unwrap_or("all")));
    let (bytes, manner) = {
        let mut files = files.lock().unwrap();
        let Some((bytes, manners)) = files.get_mut(&path) else {
            let _ =
                stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        };
        let manner = if manners.len() > 1 { manners.remove(0) } else { manners[0] };
        (bytes.clone(), manner)
    };
    let start: usize = match (&range, manner) {
        (Some(range), Manner::Well | Manner::EndsAfter(_) | Manner::Corrupts) => {
            range.trim_end_matches('-').parse().unwrap()
        }
        _ => 0,
    };
    let mut body = bytes[start..].to_vec();
    match manner {
        Manner::Status(status) => {
            let _ = write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
        Manner::Corrupts => body.iter_mut().for_each(|byte| *byte ^= 1),
        Manner::Longer => body.extend([0; 1000]),
        _ => {}
    }
    let status = if start > 0 {
        format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{}", bytes.len() - 1, bytes.len())
    } else {
        "200 OK".to_owned()
    };
    let _ =
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    if let Manner::EndsAfter(count) = manner {
        body.truncate(count);
    }
    let _ = stream.write_all(&body);
}

fn content(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u8).wrapping_mul(31) ^ seed ^ (at >> 8) as u8).collect()
}

fn package(name: &str, bytes: &[u8]) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: "1.0".parse().unwrap(),
        source: name.to_owned(),
        source_version: "1.0".parse().unwrap(),
        architecture: "all".to_owned(),
        suite: "trixie".to_owned(),
        component: "main".to_owned(),
        section: String::new(),
        size: bytes.len() as u64,
        sha256: Sha256Digest(Sha256::digest(bytes).into()),
        path: format!("pool/{name}.deb"),
        role: debian::lock::Role::Installed,
        essential: false,
        requested: false,
    }
}

fn fetch_from(
    urls: &[&str],
    packages: &[&LockedPackage],
    cache: &Path,
) -> Result<FetchedPackages, FetchError> {
    let archive = urls.iter().map(|url| (*url).to_owned()).collect();
    let mirrors = Mirrors { archive, ..Mirrors::default() };
    fetch(packages, cache, &|| Ok(mirrors.clone()), NonZeroUsize::new(2).unwrap(), &Silent)
}

fn no_mirrors() -> Result<Mirrors, MirrorError> {
    Err(MirrorError::None { suite: "trixie".to_owned() })
}

/// All files below the cache, by name.
fn files_in(cache: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![cache.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                names.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    names
}

#[test]
fn what_is_cached_needs_no_mirror() {
    let cache = tempfile::tempdir().unwrap();
    let (one, two) = (content(1, 300_000), content(2, 17));
    let mirror =
        mirror(&[("pool/one.deb", &one, &[Manner::Well]), ("pool/two%2b.deb", &two, &[Manner::Well])]);
    let packages =
        [package("one", &one), LockedPackage { path: "pool/two+.deb".to_owned(), ..package("two", &two) }];
    let packages: Vec<&LockedPackage> = packages.iter().collect();
    let fetched = fetch_from(&[&mirror.url], &packages, cache.path()).unwrap();
    assert_eq!(fetched.downloaded, 300_017);
    assert_eq!(fs::read(&fetched.files["one"]).unwrap(), one);
    assert_eq!(fs::read(&fetched.files["two"]).unwrap(), two);
    let again = fetch(&packages, cache.path(), &no_mirrors, NonZeroUsize::MIN, &Silent).unwrap();
    assert_eq!((again.downloaded, again.files), (0, fetched.files));
    assert!(files_in(cache.path()).iter().all(|name| name.ends_with(".deb")));
}

#[test]
fn a_download_that_ends_too_early_goes_on_where_it_ended() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(3, 200_000);
    let manners = [Manner::EndsAfter(70_000), Manner::EndsAfter(30_000), Manner::Well];
    let mirror = mirror(&[("pool/p.deb", &bytes, &manners)]);
    let fetched = fetch_from(&[&mirror.url], &[&package("p", &bytes)], cache.path()).unwrap();
    assert_eq!((fetched.downloaded, fs::read(&fetched.files["p"]).unwrap()), (200_000, bytes));
    let requests = mirror.requests.lock().unwrap().clone();
    assert_eq!(
        requests,
        ["/debian/pool/p.deb all", "/debian/pool/p.deb 70000-", "/debian/pool/p.deb 100000-"]
    );
}

#[test]
fn a_partial_file_of_an_earlier_run_is_resumed() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(4, 100_000);
    let package = package("p", &bytes);
    let path = cached_path(cache.path(), &package.sha256);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path.with_extension("deb.partial"), &bytes[..60_000]).unwrap();
    let mirror = mirror(&[("pool/p.deb", &bytes, &[Manner::Well])]);
    let fetched = fetch_from(&[&mirror.url], &[&package], cache.path()).unwrap();
    assert_eq!(fetched.downloaded, 40_000);
    assert_eq!(*mirror.requests.lock().unwrap(), ["/debian/pool/p.deb 60000-"]);
}

#[test]
fn a_mirror_without_ranges_is_asked_for_everything() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(5, 100_000);
    let mirror = mirror(&[("pool/p.deb", &bytes, &[Manner::EndsAfter(50_000), Manner::WithoutRanges])]);
    let fetched = fetch_from(&[&mirror.url], &[&package("p", &bytes)], cache.path()).unwrap();
    assert_eq!((fetched.downloaded, fs::read(&fetched.files["p"]).unwrap()), (150_000, bytes));
}

#[test]
fn a_corrupted_download_is_fetched_once_more() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(6, 100_000);
    let mirror = mirror(&[("pool/p.deb", &bytes, &[Manner::Corrupts, Manner::Well])]);
    let fetched = fetch_from(&[&mirror.url], &[&package("p", &bytes)], cache.path()).unwrap();
    assert_eq!(fs::read(&fetched.files["p"]).unwrap(), bytes);
}

#[test]
fn a_mirror_that_stays_corrupted_is_an_error_and_nothing_is_kept() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(7, 100_000);
    let package = package("p", &bytes);
    let mirror = mirror(&[("pool/p.deb", &bytes, &[Manner::Corrupts])]);
    let error = fetch_from(&[&mirror.url], &[&package], cache.path()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&mirror.url) && text.contains(&package.sha256.to_string()), "{text}");
    assert!(matches!(error, FetchError::Corrupted { .. }));
    assert_eq!(files_in(cache.path()), Vec::<String>::new());
    assert_eq!(mirror.requests.lock().unwrap().len(), 2);
}

#[test]
fn a_file_larger_than_locked_is_refused_before_it_fills_the_disk() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(8, 100_000);
    let mirror = mirror(&[("pool/p.deb", &bytes, &[Manner::Longer])]);
    let error = fetch_from(&[&mirror.url], &[&package("p", &bytes)], cache.path()).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    assert_eq!(files_in(cache.path()), Vec::<String>::new());
}

#[test]
fn a_file_that_is_gone_says_to_lock_again() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(9, 100);
    let mirror = mirror(&[]);
    let error = fetch_from(&[&mirror.url], &[&package("p", &bytes)], cache.path()).unwrap_err();
    assert!(matches!(error, FetchError::Gone { .. }));
    assert!(error.to_string().contains("ampoule lock"), "{error}");
}

#[test]
fn the_next_mirror_helps_when_one_has_lost_the_file_or_is_away() {
    let bytes = content(10, 100_000);
    let good = mirror(&[("pool/p.deb", &bytes, &[Manner::Well])]);
    let lost = mirror(&[]);
    let broken = mirror(&[("pool/p.deb", &bytes, &[Manner::Status(503)])]);
    for first in [lost.url.as_str(), &broken.url, "http://127.0.0.1:1/debian"] {
        let cache = tempfile::tempdir().unwrap();
        let fetched = fetch_from(&[first, &good.url], &[&package("p", &bytes)], cache.path()).unwrap();
        assert_eq!(fs::read(&fetched.files["p"]).unwrap(), bytes, "{first}");
    }
}

#[test]
fn a_mirror_that_is_away_is_an_error_after_some_attempts() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(11, 100);
    let error =
        fetch_from(&["http://127.0.0.1:1/debian"], &[&package("p", &bytes)], cache.path()).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { attempts: 5, .. }), "{error:?}");
}

#[test]
fn a_damaged_cached_file_is_fetched_again() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = content(12, 100_000);
    let package = package("p", &bytes);
    let mirror = mirror(&[("pool/p.deb", &bytes, &[Manner::Well])]);
    let path = fetch_from(&[&mirror.url], &[&package], cache.path()).unwrap().files["p"].clone();
    let mut damaged = bytes.clone();
    damaged[500] ^= 1;
    fs::write(&path, &damaged).unwrap();
    fetch_from(&[&mirror.url], &[&package], cache.path()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_mirror_may_be_a_folder() {
    let (cache, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = content(13, 1000);
    fs::create_dir_all(folder.path().join("pool")).unwrap();
    fs::write(folder.path().join("pool/p.deb"), &bytes).unwrap();
    for way in ["file:", "file://"] {
        let cache = cache.path().join(way.len().to_string());
        let url = format!("{way}{}", folder.path().display());
        let fetched = fetch_from(&[&url], &[&package("p", &bytes)], &cache).unwrap();
        assert_eq!(fs::read(&fetched.files["p"]).unwrap(), bytes);
    }
    let error = fetch_from(&["file:/nowhere"], &[&package("q", &content(14, 10))], cache.path()).unwrap_err();
    assert!(matches!(error, FetchError::Gone { .. }), "{error}");
}

#[test]
fn a_full_disk_is_named() {
    let bytes = content(15, 100_000);
    let mirror = mirror(&[("pool/p.deb", &bytes, &[Manner::Well])]);
    let package = package("p", &bytes);
    let cache = tempfile::tempdir().unwrap();
    let path = cached_path(cache.path(), &package.sha256);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Every write to this device fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", path.with_extension("deb.partial")).unwrap();
    let error = fetch_from(&[&mirror.url], &[&package], cache.path()).unwrap_err();
    assert!(error.to_string().contains("no space is left"), "{error}");
}
