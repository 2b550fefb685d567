//! Where another depot is: a server, or a folder. Whatever comes from there has a limit in bytes and in time, and nobody vouches for it.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::Agent;
use ureq::http::{StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::error::{MirrorError, MirrorErrorKind};
use crate::folder::{FORMAT, MARK, MARK_LIMIT};

/// More would be a circle.
const REDIRECTS: u32 = 5;
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long a server is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection. Stops a server that takes none.
    pub connect: Duration,
    /// For the next bytes. Stops a server that says nothing.
    pub silence: Duration,
    /// Fewer bytes than this in [`Patience::silence`] are no download. Stops a server that sends a byte at a time.
    pub least_bytes: u64,
    /// For a small document, whole. Stops the same.
    pub document: Duration,
    /// For all small documents. Stops a server that is just quick enough with each of a thousand.
    pub documents: Duration,
    /// Attempts that bring next to nothing, one after the other.
    pub attempts: u32,
    /// Before the second attempt; twice as long before each further one, up to half a minute.
    pub first_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(30),
            least_bytes: 16 << 10,
            document: Duration::from_secs(60),
            documents: Duration::from_secs(30 * 60),
            attempts: 5,
            first_wait: Duration::from_millis(500),
        }
    }
}

impl Patience {
    /// Before attempt number `attempt`, counted from 1; the first one does not wait.
    pub(super) fn wait(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(2).min(16);
        if attempt < 2 { Duration::ZERO } else { (self.first_wait * (1 << doublings)).min(LONGEST_WAIT) }
    }
}

/// Another depot.
pub struct Place {
    name: String,
    kind: Kind,
    pub(super) patience: Patience,
}

enum Kind {
    Server(Agent),
    Folder(PathBuf),
}

/// An object that is being sent.
pub(super) struct Opened {
    pub(super) body: Box<dyn Read>,
    /// The first byte of it.
    pub(super) starts_at: u64,
}

impl Place {
    /// A depot by its URL or its folder. With `authorities`, PEM, no other certificate authority counts.
    pub fn new(place: &str, authorities: Option<&[u8]>, patience: Patience) -> Result<Self, MirrorError> {
        let name = place.trim_end_matches('/').to_owned();
        let wrong = |kind| MirrorError { place: place.to_owned(), kind };
        let Some(rest) = name.strip_prefix("http://").or_else(|| name.strip_prefix("https://")) else {
            if name.contains("://") {
                return Err(wrong(MirrorErrorKind::Url { why: "it has to begin with https:// or http://" }));
            }
            let folder = PathBuf::from(place);
            return Ok(Self { name, kind: Kind::Folder(folder), patience });
        };
        // It is shown in messages and logs; and what follows `?` or `#` would come before the files' names.
        let why = match rest {
            _ if rest.split('/').next().is_some_and(|host| host.contains('@')) => "it has a user name",
            _ if rest.contains(['?', '#']) => "it has a query",
            _ if rest.is_empty() || rest.contains(char::is_whitespace) => "it has no host",
            _ => "",
        };
        if !why.is_empty() {
            let place = "the URL".to_owned();
            return Err(MirrorError { place, kind: MirrorErrorKind::Url { why } });
        }
        let roots = match authorities {
            Some(pem) => RootCerts::Specific(Arc::new(certificates(pem).map_err(wrong)?)),
            None => RootCerts::WebPki,
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(name.starts_with("https://"))
            .max_redirects(REDIRECTS)
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent("ampoule")
            .build();
        Ok(Self { name, kind: Kind::Server(agent.into()), patience })
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to call a file of it.
    pub(super) fn called(&self, path: &str) -> String {
        format!("{}/{path}", self.name)
    }

    /// That it says that it is a depot. Before a depot is made for what is in it.
    pub fn ensure_depot(&self) -> Result<(), MirrorError> {
        #[derive(Deserialize)]
        struct Mark {
            format: u32,
        }
        let wrong = |kind| self.wrong(MARK, kind);
        let bytes = self.small(MARK, MARK_LIMIT, Instant::now() + self.patience.documents)?;
        let bytes = bytes.ok_or_else(|| wrong(MirrorErrorKind::Absent))?;
        match serde_json::from_slice(&bytes) {
            Ok(Mark { format: FORMAT }) => Ok(()),
            Ok(Mark { format }) => Err(wrong(MirrorErrorKind::Format { found: format, known: FORMAT })),
            Err(_) => Err(wrong(MirrorErrorKind::NotADepot)),
        }
    }

    pub(super) fn wrong(&self, path: &str, kind: MirrorErrorKind) -> MirrorError {
        MirrorError { place: self.called(path), kind }
    }

    /// A small file, whole; `None`: it is not there. Tried several times, and never after `until`.
    pub(super) fn small(
        &self,
        path: &str,
        limit: u64,
        until: Instant,
    ) -> Result<Option<Vec<u8>>, MirrorError> {
        let mut attempt = 1;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.small_once(path, limit, left.min(self.patience.document)) {
                Err(kind) if kind.is_passing() && attempt < self.patience.attempts => {
                    attempt += 1;
                    let wait = self.patience.wait(attempt);
                    if wait >= until.saturating_duration_since(Instant::now()) {
                        return Err(self.wrong(path, kind));
                    }
                    std::thread::sleep(wait);
                }
                outcome => return outcome.map_err(|kind| self.wrong(path, kind)),
            }
        }
    }

    fn small_once(&self, path: &str, limit: u64, time: Duration) -> Result<Option<Vec<u8>>, MirrorErrorKind> {
        let slow = || MirrorErrorKind::Slow { what: format!("{} s are not enough", time.as_secs_f32()) };
        if time.is_zero() {
            return Err(slow());
        }
        let body = match &self.kind {
            Kind::Folder(folder) => match open_file(&folder.join(path)) {
                Ok(file) => Box::new(file) as Box<dyn Read>,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(MirrorErrorKind::File(error)),
            },
            Kind::Server(agent) => {
                let request = agent.get(self.called(path)).config().timeout_global(Some(time)).build();
                let response = request.call().map_err(|error| told(error, slow))?;
                match response.status() {
                    StatusCode::OK => Box::new(response.into_body().into_reader()),
                    StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
                    status => return Err(MirrorErrorKind::Status { status: status.as_u16() }),
                }
            }
        };
        let mut bytes = Vec::new();
        body.take(limit + 1).read_to_end(&mut bytes).map_err(|error| self.broken(error, slow))?;
        match bytes.len() as u64 > limit {
            true => Err(MirrorErrorKind::TooLong { limit }),
            false => Ok(Some(bytes)),
        }
    }

    /// A file from its byte `from` on, or from its beginning, as the server can.
    pub(super) fn open(&self, path: &str, from: u64) -> Result<Opened, MirrorErrorKind> {
        let agent = match &self.kind {
            Kind::Server(agent) => agent,
            Kind::Folder(folder) => {
                let mut file = open_file(&folder.join(path)).map_err(|error| match is_absent(&error) {
                    true => MirrorErrorKind::Absent,
                    false => MirrorErrorKind::File(error),
                })?;
                file.seek(SeekFrom::Start(from)).map_err(MirrorErrorKind::File)?;
                return Ok(Opened { body: Box::new(file), starts_at: from });
            }
        };
        let mut request = agent.get(self.called(path));
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let slow = || MirrorErrorKind::Slow { what: "it does not begin to answer".to_owned() };
        let response = request.call().map_err(|error| told(error, slow))?;
        let starts_at = match response.status() {
            // Also of a server that does not resume.
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(header::CONTENT_RANGE).and_then(|it| it.to_str().ok());
                let start = range.and_then(|it| it.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                start.unwrap_or(u64::MAX)
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(MirrorErrorKind::Absent),
            status => return Err(MirrorErrorKind::Status { status: status.as_u16() }),
        };
        Ok(Opened { body: Box::new(response.into_body().into_reader()), starts_at })
    }

    /// Reading what is sent broke off.
    pub(super) fn broken(
        &self,
        error: std::io::Error,
        slow: impl FnOnce() -> MirrorErrorKind,
    ) -> MirrorErrorKind {
        match &self.kind {
            Kind::Folder(_) => MirrorErrorKind::File(error),
            Kind::Server(_) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
                match inner {
                    Some(ureq::Error::Timeout(ureq::Timeout::Global)) => slow(),
                    _ => MirrorErrorKind::Silent { why: error.to_string() },
                }
            }
        }
    }
}

/// A pipe in the place of a file would be waited for without end.
fn open_file(path: &Path) -> std::io::Result<File> {
    match std::fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(std::io::Error::other("it is no file")),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A request that was not answered.
fn told(error: ureq::Error, slow: impl FnOnce() -> MirrorErrorKind) -> MirrorErrorKind {
    match error {
        ureq::Error::TooManyRedirects => MirrorErrorKind::Redirects { limit: REDIRECTS },
        ureq::Error::RequireHttpsOnly(_) => MirrorErrorKind::Downgrade,
        ureq::Error::Timeout(ureq::Timeout::Global) => slow(),
        error => MirrorErrorKind::Silent { why: error.to_string() },
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, MirrorErrorKind> {
    let wrong = |why: String| MirrorErrorKind::Authorities { why };
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            found.push(certificate);
        }
    }
    match found.is_empty() {
        true => Err(wrong("there is no certificate in it".to_owned())),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_have_an_end() {
        let patience = Patience::default();
        let waits: Vec<u128> = (1..=5).map(|attempt| patience.wait(attempt).as_millis()).collect();
        assert_eq!(waits, [0, 500, 1000, 2000, 4000]);
        assert_eq!(patience.wait(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(MARK);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("a pipe");
        let place =
            Place::new(&folder.path().to_string_lossy(), None, Patience::default()).expect("a folder");
        let error = place.ensure_depot().expect_err("refused");
        assert!(error.to_string().ends_with("can not be read"), "{error}");
    }
}
