//! A depot's server that misbehaves as it is told, while it runs. Deliberately not the one of the crate `depot`: an appliance
//! has to get along with any server of files, good or bad.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest request line or header that is read: what tests ask for is shorter.
const LINE_LIMIT: u64 = 8 << 10;
/// How QEMU's user network calls this machine.
const HOST_IN_GUEST: &str = "10.0.2.2";

/// What is wrong with the depot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Connections are taken and closed without an answer.
    Gone,
    /// Every answer is something else than was asked for, with status 200.
    Garbage,
    /// Status 500.
    Broken,
    /// Ranges are ignored.
    NoRanges,
    /// Each answer ends after so many bytes, though more were promised.
    BreaksOff(usize),
    /// One bit in the middle is another one.
    Flipped,
    /// The last byte is missing, and the length says so.
    Truncated,
    /// Pieces of so many bytes, five a second.
    Slow(usize),
    /// An answer without a length that never ends.
    Endless,
    /// Redirected to itself.
    Circle,
}

/// Serves a folder on 127.0.0.1 until the test is over.
#[derive(Debug)]
pub struct DepotServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<(Fault, String)>,
    asked: Vec<String>,
}

impl DepotServer {
    /// Starts it, well-behaved.
    #[track_caller]
    pub fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(Mutex::new(State::default()));
        let (folder, shared) = (folder.to_owned(), Arc::clone(&state));
        // Ends with the test program: a thread that waits costs nothing.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (folder, shared) = (folder.clone(), Arc::clone(&shared));
                // A client that goes away is its own business.
                std::thread::spawn(move || drop(serve(stream, &folder, &shared)));
            }
        });
        Self { address, state }
    }

    /// Its URL, as an appliance in QEMU reaches it.
    pub fn url(&self) -> String {
        format!("http://{HOST_IN_GUEST}:{}", self.address.port())
    }

    /// Its URL on this machine.
    pub fn local_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, `fault` is what happens to paths that begin with `path`; "" are all.
    pub fn misbehave(&self, fault: Fault, path: &str) {
        self.state.lock().expect("state").fault = Some((fault, path.trim_start_matches('/').to_owned()));
    }

    /// From now on, nothing is wrong.
    pub fn behave(&self) {
        self.state.lock().expect("state").fault = None;
    }

    /// Paths that were asked for since the last call, in order.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().expect("state").asked)
    }
}

fn serve(mut stream: TcpStream, folder: &Path, state: &Mutex<State>) -> std::io::Result<()> {
    let Some((path, first)) = read_request(&stream)? else { return Ok(()) };
    let fault = {
        let mut state = state.lock().expect("state");
        state.asked.push(path.clone());
        state.fault.as_ref().filter(|(_, of)| path.starts_with(of.as_str())).map(|(fault, _)| *fault)
    };
    let head = |status: &str, length: usize, more: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
    };
    let content = fs::read(place(folder, &path));
    let Ok(mut content) = content else {
        return stream.write_all(head("404 Not Found", 0, "").as_bytes());
    };
    match fault {
        Some(Fault::Gone) => return Ok(()),
        Some(Fault::Broken) => return stream.write_all(head("500 Broken", 0, "").as_bytes()),
        Some(Fault::Circle) => {
            return stream.write_all(head("302 Found", 0, &format!("Location: /{path}\r\n")).as_bytes());
        }
        Some(Fault::Endless) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            // Ends with the client, which goes away.
            loop {
                stream.write_all(&[b'{'; 4096])?;
            }
        }
        Some(Fault::Garbage) => content = b"<html>Please log in to the guest network.</html>\n".repeat(100),
        Some(Fault::Flipped) => {
            let middle = content.len() / 2;
            content[middle] ^= 0x10;
        }
        Some(Fault::Truncated) => drop(content.pop()),
        _ => {}
    }
    let total = content.len();
    let first = first.filter(|first| *first < total && fault != Some(Fault::NoRanges));
    let body = &content[first.unwrap_or(0)..];
    let head = match first {
        Some(first) => {
            let range = format!("Content-Range: bytes {first}-{}/{total}\r\n", total - 1);
            head("206 Partial Content", body.len(), &range)
        }
        None => head("200 OK", total, ""),
    };
    stream.write_all(head.as_bytes())?;
    match fault {
        Some(Fault::BreaksOff(after)) => stream.write_all(&body[..after.min(body.len())]),
        Some(Fault::Slow(size)) => body.chunks(size).try_for_each(|piece| {
            std::thread::sleep(Duration::from_millis(200));
            stream.write_all(piece)
        }),
        _ => stream.write_all(body),
    }
}

/// The path, and the first byte of a range that goes to the end: all that a download that is resumed asks for.
fn read_request(stream: &TcpStream) -> std::io::Result<Option<(String, Option<usize>)>> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(std::io::Read::take(stream, 16 * LINE_LIMIT));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let Some(path) = line.split_whitespace().nth(1).map(|path| path.trim_start_matches('/').to_owned())
    else {
        return Ok(None);
    };
    let mut first = None;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(Some((path, first)));
        }
        let lower = line.trim().to_ascii_lowercase();
        if let Some(range) =
            lower.strip_prefix("range:").and_then(|range| range.trim().strip_prefix("bytes="))
        {
            first = range.split('-').next().and_then(|first| first.parse().ok());
        }
    }
}

/// Tests serve their own folders; still nothing outside of them.
fn place(folder: &Path, path: &str) -> PathBuf {
    let is_plain = path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
    if is_plain { folder.join(path) } else { folder.join("no such file") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bench, http};

    #[test]
    fn it_misbehaves_as_told_and_only_there() {
        let bench = Bench::new();
        bench.write("objects/ab", "0123456789");
        bench.write("depot.json", "{}");
        let server = DepotServer::start(bench.path());
        let url = |path: &str| format!("http://127.0.0.1:{}/{path}", server.address.port());
        let get = |path: &str| http::get(&url(path));
        let body = || get("objects/ab").expect("answers").body;
        assert_eq!(body(), "0123456789");
        let range = http::request(&["--range", "4-", &url("objects/ab")]).expect("answers");
        assert_eq!((range.status, range.body.as_str()), (206, "456789"));
        server.misbehave(Fault::NoRanges, "");
        assert_eq!(http::request(&["--range", "4-", &url("objects/ab")]).expect("answers").status, 200);
        server.misbehave(Fault::Flipped, "objects/");
        assert_eq!(body(), "01234%6789");
        assert_eq!(get("depot.json").expect("answers").body, "{}");
        server.misbehave(Fault::Truncated, "objects/");
        assert_eq!(body(), "012345678");
        server.misbehave(Fault::Garbage, "");
        assert!(get("depot.json").expect("answers").body.contains("log in"));
        server.misbehave(Fault::Broken, "");
        assert_eq!(get("depot.json").expect("answers").status, 500);
        for fault in [Fault::Gone, Fault::BreaksOff(3)] {
            server.misbehave(fault, "");
            assert!(get("objects/ab").is_err(), "{fault:?}");
        }
        server.misbehave(Fault::Circle, "");
        let circle = get("depot.json").expect("answers");
        assert_eq!((circle.status, circle.header("location")), (302, Some("/depot.json")));
        server.behave();
        assert_eq!(get("../etc/passwd").expect("answers").status, 404);
        assert!(server.asked().contains(&"objects/ab".to_owned()));
    }
}
