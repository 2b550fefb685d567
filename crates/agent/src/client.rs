//! The local client: one call over the unix socket.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use model::control::{Call, Reply, Request, SOCKET_PATH};

/// Reads a call from the words of a command line; the error is for the person who typed them.
pub fn parse(words: &[String]) -> Result<Call, String> {
    match words.split_first() {
        Some((verb, [])) => match verb.as_str() {
            "status" => Ok(Call::Status),
            "settings" => Ok(Call::Settings),
            "undo" => Ok(Call::Undo),
            "history" => Ok(Call::History),
            "undeclared-writes" => Ok(Call::UndeclaredWrites),
            "set" => Err("`set` needs at least one NAME=VALUE".to_owned()),
            _ => Err(format!("`{verb}` is no call")),
        },
        Some((verb, rest)) if verb == "set" => {
            let pair = |word: &String| {
                let (name, text) = word.split_once('=').ok_or_else(|| "NAME=VALUE is expected".to_owned())?;
                Ok((name.to_owned(), text.to_owned()))
            };
            Ok(Call::Set { changes: rest.iter().map(pair).collect::<Result<BTreeMap<_, _>, String>>()? })
        }
        Some((verb, _)) => Err(format!("`{verb}` takes no arguments")),
        None => Err("a call is expected".to_owned()),
    }
}

/// Sends a call and waits for its reply; events in between are passed over.
pub fn ask(call: Call) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(SOCKET_PATH)?;
    let mut line = serde_json::to_string(&Request { id: 1, call }).map_err(io::Error::other)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    for line in BufReader::new(stream).lines() {
        if let Ok(reply) = serde_json::from_str::<Reply>(&line?) {
            return Ok(reply);
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the agent closed the connection"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn calls_are_read_from_words() {
        assert_eq!(parse(&words("status")), Ok(Call::Status));
        let changes = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x=y".to_owned())]);
        assert_eq!(parse(&words("set a=1 b=x=y")), Ok(Call::Set { changes }));
        assert!(parse(&words("set")).is_err());
        assert!(parse(&words("set token")).expect_err("no value").contains("NAME=VALUE"));
        assert!(parse(&words("fly")).is_err());
    }
}
