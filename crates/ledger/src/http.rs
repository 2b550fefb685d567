//! Logs and witnesses over HTTP. What comes is never believed for where it came from; the limits are those of whoever asks.

use std::error::Error;
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::CONTENT_TYPE;

use crate::read::{AccessError, ReadLog};
use crate::witness::Answer;
use crate::witness::client::Transport;

/// A server that does not take a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
/// One request with its answer. Stops a server that sends a byte at a time; the longest bundle takes a slow line less.
const WHOLE_WAIT: Duration = Duration::from_secs(120);
/// More would be a circle.
const REDIRECTS: u32 = 5;

/// A client for both.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
}

/// A log at a URL.
#[derive(Clone, Debug)]
pub struct RemoteLog {
    client: Client,
    prefix: String,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client with the proxy of the environment.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .timeout_connect(Some(CONNECT_WAIT))
            .timeout_global(Some(WHOLE_WAIT))
            .user_agent("ampoule");
        Self { agent: config.build().into() }
    }

    /// A log by its URL.
    pub fn log(&self, url: &str) -> RemoteLog {
        RemoteLog { client: self.clone(), prefix: url.trim_end_matches('/').into() }
    }
}

impl ReadLog for RemoteLog {
    fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, AccessError> {
        let failed = |source: Box<dyn Error + Send + Sync>| {
            let path = format!("{}/{path}", self.prefix);
            AccessError::Failed { path, action: "read", source }
        };
        let response = self.client.agent.get(format!("{}/{path}", self.prefix)).call();
        let mut response = response.map_err(|error| failed(error.into()))?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(None),
            status => return Err(failed(format!("the server answers with status {status}").into())),
        }
        match response.body_mut().with_config().limit(limit as u64).read_to_vec() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ureq::Error::BodyExceedsLimit(_)) => Err(AccessError::TooLong { path: path.into(), limit }),
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl Transport for Client {
    fn post(&self, url: &str, body: &[u8], limit: usize) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let mut response = self.agent.post(url).content_type("text/plain; charset=utf-8").send(body)?;
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = response.body_mut().with_config().limit(limit as u64).read_to_vec()?;
        Ok(Answer { status: response.status().as_u16(), content_type, body })
    }
}

#[cfg(all(test, feature = "serve"))]
mod tests {
    use super::*;
    use crate::witness::serve::{Limits, Server};

    #[test]
    fn answers_come_with_their_status_and_within_their_limit() {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let server = Server::start(listen, Limits::default(), |call| match call.path.as_str() {
            "log/checkpoint" => Answer::plain(200, "text\n"),
            "log/broken" => Answer::plain(500, ""),
            "w/add-checkpoint" => {
                let content_type = "text/x.tlog.size".into();
                Answer { status: 409, content_type, body: [&call.body, &b"\n"[..]].concat() }
            }
            _ => Answer::plain(404, "not found\n"),
        })
        .expect("starts");
        let (client, url) = (Client::new(), format!("http://{}", server.address()));
        let log = client.log(&format!("{url}/log/"));
        assert_eq!(log.read("checkpoint", 5).expect("reads").as_deref(), Some(&b"text\n"[..]));
        assert!(log.read("absent", 5).expect("is absent").is_none());
        assert!(matches!(log.read("checkpoint", 4), Err(AccessError::TooLong { limit: 4, .. })));
        assert!(matches!(log.read("broken", 4), Err(AccessError::Failed { .. })));
        let answer = client.post(&format!("{url}/w/add-checkpoint"), b"7", 100).expect("answers");
        assert_eq!((answer.status, answer.content_type.as_str()), (409, "text/x.tlog.size"));
        assert_eq!(answer.body, b"7\n");
        assert!(client.post(&format!("{url}/w/add-checkpoint"), &[b'7'; 100], 100).is_err());
        drop(server);
        assert!(log.read("checkpoint", 5).is_err());
    }
}
