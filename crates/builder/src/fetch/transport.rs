//! Bytes of a URL from an offset: `http:`, `https:` and `file:`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use ureq::Agent;
use ureq::http::{StatusCode, header};

use crate::mirror::Mirrors;

/// Waits that end a connection which says nothing; what was received is resumed.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
const SILENCE_WAIT: Duration = Duration::from_secs(60);

/// An answer that can be read.
pub(super) struct Answer {
    pub body: Box<dyn Read>,
    /// The offset of its first byte: 0 when the mirror does not resume.
    pub starts_at: u64,
}

/// No bytes from this URL.
#[derive(Debug)]
pub(super) enum TransportError {
    /// It does not exist.
    NotFound,
    /// Nothing is at the offset.
    RangeRefused,
    /// Anything else; trying again may help.
    Failed(String),
}

/// Connections to mirrors, kept between files.
pub(super) struct Transport<'a> {
    mirrors: &'a Mirrors,
    direct: Agent,
    agents: std::sync::Mutex<Vec<(String, Agent)>>,
}

impl<'a> Transport<'a> {
    pub fn new(mirrors: &'a Mirrors) -> Self {
        // Proxies of the environment count when apt's configuration names none.
        Self { mirrors, direct: agent(ureq::Proxy::try_from_env()), agents: std::sync::Mutex::default() }
    }

    /// Opens `url` from `offset` on.
    pub fn open(&self, url: &str, offset: u64) -> Result<Answer, TransportError> {
        match url.strip_prefix("file:") {
            Some(path) => open_file(path, offset),
            None => self.open_http(url, offset),
        }
    }

    fn open_http(&self, url: &str, offset: u64) -> Result<Answer, TransportError> {
        let mut request = self.agent_for(url)?.get(url);
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        let response = request.call().map_err(|error| TransportError::Failed(error.to_string()))?;
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(TransportError::NotFound),
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(TransportError::RangeRefused),
            _ => return Err(TransportError::Failed(format!("the mirror answers {status}"))),
        }
        let starts_at = if status == StatusCode::PARTIAL_CONTENT {
            let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
            range.and_then(range_start).ok_or_else(|| {
                TransportError::Failed("the mirror sends a part without saying which".to_owned())
            })?
        } else {
            0
        };
        Ok(Answer { body: Box::new(response.into_body().into_reader()), starts_at })
    }

    fn agent_for(&self, url: &str) -> Result<Agent, TransportError> {
        let Some(proxy) = self.mirrors.proxy_for(url) else { return Ok(self.direct.clone()) };
        let mut agents = self.agents.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, agent)) = agents.iter().find(|(name, _)| name == proxy) {
            return Ok(agent.clone());
        }
        let parsed = ureq::Proxy::new(proxy).map_err(|error| {
            TransportError::Failed(format!("the proxy `{proxy}` can not be used: {error}"))
        })?;
        let agent = agent(Some(parsed));
        agents.push((proxy.to_owned(), agent.clone()));
        Ok(agent)
    }
}

fn agent(proxy: Option<ureq::Proxy>) -> Agent {
    Agent::config_builder()
        .proxy(proxy)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_WAIT))
        .timeout_recv_response(Some(SILENCE_WAIT))
        .timeout_per_read(Some(SILENCE_WAIT))
        // One a download: a new connection for each small file costs more than the file.
        .max_idle_connections_per_host(super::CONNECTIONS)
        .user_agent("ampoule")
        .build()
        .into()
}

/// RFC 9110, 14.4: `bytes FIRST-LAST/LENGTH`.
fn range_start(value: &str) -> Option<u64> {
    value.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn open_file(path: &str, offset: u64) -> Result<Answer, TransportError> {
    // `file:/srv/debian` and `file:///srv/debian`; the escapes are ours.
    let path = path.strip_prefix("//").unwrap_or(path).replace("%2b", "+").replace("%25", "%");
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => TransportError::NotFound,
        _ => TransportError::Failed(error.to_string()),
    };
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    Ok(Answer { body: Box::new(file), starts_at: offset })
}
