//! A depot that does what it likes.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};

use super::*;

type Answers = Vec<fn(&[u8], Option<u64>) -> Vec<u8>>;

/// Serves `answers`, one a connection, then nothing. An answer gets the request's `Range` header.
fn server(answers: Answers, content: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let content = content.to_vec();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let range = read_range(&stream);
            let _cut = stream.write_all(&answer(&content, range));
        }
    });
    format!("http://{address}")
}

fn read_range(stream: &TcpStream) -> Option<u64> {
    let mut range = None;
    for line in BufReader::new(stream).lines() {
        let line = line.expect("a line").to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("range: bytes=") {
            range = value.trim_end_matches('-').parse().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    range
}

fn head(status: &str, length: usize, more: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n").into_bytes()
}

fn whole(content: &[u8], _range: Option<u64>) -> Vec<u8> {
    [head("200 OK", content.len(), ""), content.to_vec()].concat()
}

fn cut(content: &[u8], _range: Option<u64>) -> Vec<u8> {
    [head("200 OK", content.len(), ""), content[..content.len() / 2].to_vec()].concat()
}

fn rest(content: &[u8], range: Option<u64>) -> Vec<u8> {
    let from = range.expect("a range is asked for") as usize;
    let more = format!("Content-Range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len());
    [head("206 Partial Content", content.len() - from, &more), content[from..].to_vec()].concat()
}

fn garbage(content: &[u8], _range: Option<u64>) -> Vec<u8> {
    [head("200 OK", content.len(), ""), vec![b'x'; content.len()]].concat()
}

fn endless(content: &[u8], _range: Option<u64>) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(), vec![0; content.len() * 3]].concat()
}

fn absent(_content: &[u8], _range: Option<u64>) -> Vec<u8> {
    head("404 Not Found", 0, "")
}

fn nonsense(_content: &[u8], _range: Option<u64>) -> Vec<u8> {
    b"I am no web server\n".to_vec()
}

fn download(answers: Answers) -> (Result<PathBuf, DepotError>, tempfile::TempDir) {
    let content: Vec<u8> = (0..300_000u32).flat_map(|number| number.to_le_bytes()).collect();
    let object =
        ObjectRef { sha256: Sha256Digest(Sha256::digest(&content).into()), size: content.len() as u64 };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let depot = Depot::at(&server(answers, &content), None).expect("a depot");
    let outcome = depot.download(&object, folder.path(), &mut |_| ());
    if let Ok(path) = &outcome {
        assert!(fs::read(path).expect("there") == content, "it is the object");
    }
    (outcome, folder)
}

#[test]
fn a_download_that_was_cut_goes_on_where_it_ended() {
    let (outcome, _folder) = download(vec![cut, rest]);
    outcome.expect("downloaded");
}

#[test]
fn a_server_without_ranges_begins_again() {
    let (outcome, _folder) = download(vec![cut, whole]);
    outcome.expect("downloaded");
}

#[test]
fn other_bytes_are_found_and_nothing_of_them_stays() {
    let (outcome, folder) = download(vec![garbage]);
    assert!(matches!(outcome, Err(DepotError::Digest { .. })), "{outcome:?}");
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
    // What an earlier attempt left may be the culprit.
    let (outcome, _folder) = download(vec![cut, garbage_rest, whole]);
    outcome.expect("downloaded");
}

fn garbage_rest(content: &[u8], range: Option<u64>) -> Vec<u8> {
    rest(&vec![b'y'; content.len()], range)
}

#[test]
fn law_11_a_server_that_sends_without_end_is_cut_off() {
    let (outcome, _folder) = download(vec![endless]);
    assert!(matches!(outcome, Err(DepotError::TooLong { .. })), "{outcome:?}");
    let content = vec![b' '; INDEX_LIMIT as usize];
    let depot = Depot::at(&server(vec![endless], &content), None).expect("a depot");
    assert!(matches!(depot.index("a/b", "stable"), Err(DepotError::TooLong { .. })));
}

#[test]
fn what_is_no_depot_is_told_in_one_sentence() {
    let ask = |answer| Depot::at(&server(vec![answer], b"{"), None).expect("a depot").index("a/b", "stable");
    let text = ask(absent).expect_err("refused").to_string();
    assert!(text.contains("404") && text.contains("/appliances/a/b/stable.json"), "{text}");
    assert!(matches!(ask(nonsense), Err(DepotError::Failed { .. })));
    assert!(matches!(ask(whole), Err(DepotError::Index(_))));
}
