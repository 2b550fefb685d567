//! The server as a client sees it, over a socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

struct Bench {
    _folder: tempfile::TempDir,
    server: Server,
    object: String,
}

const CONTENT: &[u8] = b"0123456789";

fn bench(limits: Limits) -> Bench {
    let folder = tempfile::tempdir().expect("folder");
    let depot = DepotFolder::open_or_create(folder.path()).expect("a depot");
    let mut intake = crate::intake::Intake::begin(&depot).expect("begins");
    let object = intake.write(CONTENT).expect("writes");
    intake.commit(&release::Index::new("acme/shop".into(), "stable".into()), || Ok(())).expect("commits");
    std::fs::write(folder.path().join("letter"), "secret").expect("writes");
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(folder.path(), listen, limits, |_| ()).expect("starts");
    Bench { _folder: folder, server, object: format!("/{}", release::index::object_path(&object.sha256)) }
}

/// Sends a request and reads the whole answer: status, headers, body.
fn ask(bench: &Bench, method: &str, path: &str, headers: &[&str]) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(bench.server.address()).expect("connects");
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).expect("writes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("reads");
    let split = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..split]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    (status, head, answer[split + 4..].to_vec())
}

#[test]
fn objects_are_kept_for_ever_and_served_whole_or_in_parts() {
    let bench = bench(Limits::default());
    let (status, head, body) = ask(&bench, "GET", &bench.object, &[]);
    assert_eq!((status, &*body), (200, CONTENT));
    assert!(head.contains("immutable") && head.contains("accept-ranges: bytes"), "{head}");
    assert!(head.contains("content-length: 10"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").to_owned();
    let (status, head, body) = ask(&bench, "GET", &bench.object, &["Range: bytes=4-"]);
    assert_eq!((status, &*body), (206, &CONTENT[4..]));
    assert!(head.contains("content-range: bytes 4-9/10"), "{head}");
    let (status, _, body) = ask(&bench, "GET", &bench.object, &["Range: bytes=2-3"]);
    assert_eq!((status, &*body), (206, &b"23"[..]));
    let (status, head, _) = ask(&bench, "GET", &bench.object, &["Range: bytes=10-"]);
    assert_eq!(status, 416, "{head}");
    assert!(!head.contains("immutable"), "a cache must not keep a refusal: {head}");
    assert!(head.contains("content-range: bytes */10"), "{head}");
    let if_range = format!("If-Range: {tag}");
    assert_eq!(ask(&bench, "GET", &bench.object, &["Range: bytes=4-", &if_range]).0, 206);
    let (status, _, body) = ask(&bench, "GET", &bench.object, &["Range: bytes=4-", "If-Range: \"other\""]);
    assert_eq!((status, &*body), (200, CONTENT), "another object's rest is not a rest of this one");
    let (status, _, body) = ask(&bench, "GET", &bench.object, &[&format!("If-None-Match: {tag}")]);
    assert_eq!((status, &*body), (304, &b""[..]));
    let (status, head, body) = ask(&bench, "HEAD", &bench.object, &[]);
    assert_eq!((status, &*body), (200, &b""[..]));
    assert!(head.contains("content-length: 10"), "{head}");
}

#[test]
fn indices_are_asked_for_again_each_time() {
    let bench = bench(Limits::default());
    let path = "/appliances/acme/shop/stable.json";
    let (status, head, body) = ask(&bench, "GET", path, &[]);
    assert_eq!(status, 200);
    assert!(head.contains("cache-control: no-cache"), "{head}");
    release::Index::parse(&body, "acme/shop", "stable").expect("an index");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
    assert_eq!(ask(&bench, "GET", path, &[&format!("If-None-Match: {tag}")]).0, 304);
    let (status, head, body) = ask(&bench, "HEAD", path, &[]);
    assert_eq!((status, body.len()), (200, 0), "{head}");
    assert_eq!(ask(&bench, "GET", "/depot.json", &[]).0, 200);
}

#[test]
fn what_is_no_part_of_a_depot_is_not_found_and_not_changed() {
    let bench = bench(Limits::default());
    let absent = format!("/objects/00/{}", "0".repeat(64));
    let paths =
        ["/", "/letter", "/.lock", "/../letter", "/%2e%2e/etc/passwd", "/appliances/../letter", &absent];
    for path in paths {
        assert_eq!(ask(&bench, "GET", path, &[]).0, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let (status, head, _) = ask(&bench, method, &bench.object, &[]);
        assert_eq!(status, 405, "{method}");
        assert!(head.contains("allow: get, head"), "{head}");
    }
}

#[test]
fn a_client_that_never_ends_its_request_is_cut_off_and_keeps_nobody_out() {
    let limits = Limits { connections: 1, head: Duration::from_millis(300), ..Limits::default() };
    let bench = bench(limits);
    let mut slow = TcpStream::connect(bench.server.address()).expect("connects");
    slow.write_all(b"GET / HT").expect("writes");
    let begin = Instant::now();
    assert_eq!(ask(&bench, "GET", &bench.object, &[]).0, 200, "served when its turn came");
    assert!(begin.elapsed() < Duration::from_secs(10));
    let mut rest = Vec::new();
    slow.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    assert!(slow.read_to_end(&mut rest).is_ok(), "its connection is closed");
}

#[test]
fn a_client_that_never_reads_its_answer_is_cut_off() {
    let folder = tempfile::tempdir().expect("folder");
    let depot = DepotFolder::open_or_create(folder.path()).expect("a depot");
    let mut intake = crate::intake::Intake::begin(&depot).expect("begins");
    let large = intake.write(&vec![7; 64 << 20]).expect("writes");
    intake.commit(&release::Index::new("acme/shop".into(), "stable".into()), || Ok(())).expect("commits");
    let limits = Limits { connections: 1, stall: Duration::from_millis(500), ..Limits::default() };
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(folder.path(), listen, limits, |_| ()).expect("starts");
    let mut deaf = TcpStream::connect(server.address()).expect("connects");
    let path = release::index::object_path(&large.sha256);
    deaf.write_all(format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("writes");
    // The one place is free again although the first client never goes.
    let mut other = TcpStream::connect(server.address()).expect("connects");
    other.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    other.write_all(b"GET /depot.json HTTP/1.0\r\n\r\n").expect("writes");
    let mut answer = String::new();
    other.read_to_string(&mut answer).expect("answers");
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}

#[test]
fn only_a_depot_is_served() {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let served = Server::start(Path::new("/"), listen, Limits::default(), |_| ());
    assert!(matches!(served, Err(DepotError::NotADepot { .. })));
}
