//! Requests to an appliance, by `curl`: it speaks TLS and judges no certificate when told so.

use std::process::Command;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines without the status line, as they came.
    pub headers: Vec<String>,
    /// Body; what is not UTF-8 is replaced.
    pub body: String,
}

impl Response {
    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// GETs a URL without following redirections. `Err` is curl's own words: nobody answered.
pub fn get(url: &str) -> Result<Response, String> {
    request(&[url])
}

/// Runs `curl` with these arguments besides those that make its output readable here.
pub fn request(arguments: &[&str]) -> Result<Response, String> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--include", "--max-time", "30", "--noproxy", "*"])
        .args(arguments)
        .output()
        .expect("curl is installed");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    parse(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| "the answer is not HTTP".to_owned())
}

fn parse(text: &str) -> Option<Response> {
    let (mut head, mut body) = text.split_once("\r\n\r\n")?;
    // `100 Continue` comes before the answer proper.
    while head.split_whitespace().nth(1)?.starts_with('1') {
        (head, body) = body.split_once("\r\n\r\n")?;
    }
    let mut lines = head.lines();
    let status = lines.next()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(Response { status, headers: lines.map(str::to_owned).collect(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_read_with_status_headers_and_body() {
        let server = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = server.local_addr().expect("address").port();
        let thread = std::thread::spawn(move || {
            let (mut peer, _) = server.accept().expect("accepts");
            let _ = peer.read(&mut [0; 1024]);
            let answer = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nhi";
            peer.write_all(answer.as_bytes()).expect("writes");
        });
        let response = get(&format!("http://127.0.0.1:{port}/")).expect("answers");
        thread.join().expect("joins");
        assert_eq!((response.status, response.header("location"), &*response.body), (302, Some("/x"), "hi"));
        assert!(get(&format!("http://127.0.0.1:{port}/")).is_err());
    }
}
