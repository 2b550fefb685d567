//! A depot that behaves badly, on a socket of this machine.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Answers each connection with `answer(number of the connection, offset asked for)`.
fn serve(answer: impl Fn(usize, Option<u64>, &mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let count = AtomicUsize::new(0);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut offset = None;
            let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                    offset = range.trim().trim_end_matches('-').parse().ok();
                }
                line.clear();
            }
            answer(count.fetch_add(1, Ordering::SeqCst), offset, &mut stream);
        }
    });
    url
}

fn whole(stream: &mut TcpStream, length: usize, bytes: &[u8]) {
    let _gone = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    let _gone = stream.write_all(bytes);
}

fn part(stream: &mut TcpStream, all: &[u8], offset: u64, bytes: &[u8]) {
    let length = all.len() - offset as usize;
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {offset}-{}/{}\r\n\r\n",
        all.len() - 1,
        all.len()
    );
    let _gone = stream.write_all(head.as_bytes());
    let _gone = stream.write_all(bytes);
}

fn content() -> Vec<u8> {
    (0..300_000u32).map(|number| ((number * 7) >> 3) as u8).collect()
}

fn object() -> ObjectRef {
    ObjectRef { sha256: Sha256Digest(Sha256::digest(content()).into()), size: 300_000 }
}

fn download(url: &str) -> (tempfile::TempDir, Result<(), DepotError>) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let depot = Depot::at(url, None).expect("a depot");
    let outcome = depot.download(&object(), &folder.path().join("object"), &mut |_| ());
    (folder, outcome)
}

#[test]
fn a_download_that_is_cut_goes_on_where_it_ended() {
    let url = serve(|number, offset, stream| {
        let all = content();
        match (number, offset) {
            (0, None) => whole(stream, all.len(), &all[..100_000]),
            (1, Some(offset)) => part(stream, &all, offset, &all[offset as usize..200_000]),
            (_, Some(offset)) => part(stream, &all, offset, &all[offset as usize..]),
            (_, None) => panic!("it begins again"),
        }
    });
    let (folder, outcome) = download(&url);
    outcome.expect("it comes in three parts");
    assert_eq!(fs::read(folder.path().join("object")).expect("there"), content());
    assert!(!folder.path().join("object.partial").exists());
}

#[test]
fn a_server_without_ranges_is_asked_from_the_start() {
    let url = serve(|number, _, stream| {
        let all = content();
        whole(stream, all.len(), if number == 0 { &all[..100_000] } else { &all });
    });
    let (folder, outcome) = download(&url);
    outcome.expect("the second answer is whole");
    assert_eq!(fs::read(folder.path().join("object")).expect("there"), content());
}

#[test]
fn garbage_is_one_clear_failure_and_leaves_nothing() {
    let url = serve(|_, _, stream| whole(stream, 300_000, &vec![7; 300_000]));
    let (folder, outcome) = download(&url);
    assert!(matches!(outcome, Err(DepotError::Digest { .. })), "{outcome:?}");
    assert!(!folder.path().join("object").exists());
    let url = serve(|_, _, stream| drop(stream.write_all(b"\x16\x03\x01 what is this\r\n\r\n")));
    let depot = Depot::at(&url, None).expect("a depot");
    assert!(matches!(depot.index("a/b", "stable"), Err(DepotError::Silent { .. })));
    let url = serve(|_, _, stream| whole(stream, 6, b"<html>"));
    let depot = Depot::at(&url, None).expect("a depot");
    assert!(matches!(depot.index("a/b", "stable"), Err(DepotError::Index { .. })));
}

#[test]
fn an_endless_answer_ends_at_the_limit_and_fills_no_disk() {
    let url = serve(|_, _, stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while stream.write_all(&[b' '; 65536]).is_ok() {}
    });
    let (folder, outcome) = download(&url);
    assert!(matches!(outcome, Err(DepotError::TooLong { limit: 300_000, .. })), "{outcome:?}");
    assert_eq!(fs::metadata(folder.path().join("object.partial")).expect("there").len(), 0);
    let depot = Depot::at(&url, None).expect("a depot");
    assert!(matches!(depot.index("a/b", "stable"), Err(DepotError::TooLong { .. })));
}

#[test]
fn what_the_depot_does_not_have_is_told_at_once() {
    let url =
        serve(|_, _, stream| drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")));
    let (_folder, outcome) = download(&url);
    assert!(matches!(outcome, Err(DepotError::Absent { .. })), "{outcome:?}");
}

#[test]
fn a_depot_that_is_gone_is_told_after_some_attempts() {
    let url = serve(|_, _, stream| drop(stream.shutdown(std::net::Shutdown::Both)));
    let (_folder, outcome) = download(&url);
    assert!(matches!(outcome, Err(DepotError::Silent { .. })), "{outcome:?}");
}
