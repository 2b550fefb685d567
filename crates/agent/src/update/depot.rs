//! The depot's client: small documents whole, objects with resuming. Everything from the network has a limit in bytes and in
//! time; what comes is only believed when its digest is right.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Sha256Digest;
use release::ReleaseId;
use release::index::{
    INDEX_LIMIT, Index, IndexError, ObjectRef, WORDS_LIMIT, index_path, object_path, words_path,
};
use release::statement::{STATEMENT_LIMIT, Statement, StatementError};
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::http::{StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// A server that does not take a connection, or says nothing.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
const SILENCE_WAIT: Duration = Duration::from_secs(30);
/// A small document whole: stops a server that sends a byte at a time.
const SMALL_WAIT: Duration = Duration::from_secs(60);
/// More would be a circle.
const REDIRECTS: u32 = 5;
/// Times an object is tried; each time goes on where the last one ended. One that brought [`PROGRESS`] is not counted.
const ATTEMPTS: u32 = 5;
const PROGRESS: u64 = 1 << 20;
/// Fewer bytes than this in [`SILENCE_WAIT`] is no download.
const LEAST_BYTES: u64 = 16 << 10;
/// Longest document of a release that the appliance reads: its settings.
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// The depot did not give what was asked for. Nothing on the appliance changed.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// The setting's certificate can not be used.
    #[error("the certificate authority of the depot can not be read")]
    Certificate,
    /// No answer, or a broken one.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// What was asked for.
        url: String,
        /// In the client's words.
        why: String,
    },
    /// It does not exist.
    #[error("the depot has no {url}")]
    Absent {
        /// What was asked for.
        url: String,
    },
    /// Longer than it may be.
    #[error("{url} has more than {limit} bytes")]
    TooLong {
        /// What was asked for.
        url: String,
        /// Its limit.
        limit: u64,
    },
    /// Another content.
    #[error("{url} has not the content it should have: its SHA-256 is {found}")]
    Digest {
        /// What was asked for.
        url: String,
        /// What came.
        found: Sha256Digest,
    },
    /// The index.
    #[error("{url} can not be used")]
    Index {
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        source: IndexError,
    },
    /// A statement.
    #[error("{url} can not be used")]
    Statement {
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        source: StatementError,
    },
    /// The data disk.
    #[error("the download can not be written to the data disk")]
    Disk(#[from] io::Error),
}

/// One depot.
pub struct Depot {
    url: String,
    agent: Agent,
}

impl Depot {
    /// A depot at a URL; with `authority`, one or more certificates as PEM, no other certificate authority counts.
    pub fn new(url: &str, authority: Option<&str>) -> Result<Depot, DepotError> {
        let roots = match authority {
            Some(pem) => RootCerts::Specific(Arc::new(certificates(pem)?)),
            None => RootCerts::WebPki,
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(REDIRECTS)
            .timeout_connect(Some(CONNECT_WAIT))
            .timeout_recv_response(Some(SILENCE_WAIT))
            .timeout_per_read(Some(SILENCE_WAIT))
            // An idle connection costs memory for nothing.
            .max_idle_connections(0)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent("ampoule-agent")
            .build()
            .into();
        Ok(Depot { url: url.trim_end_matches('/').to_owned(), agent })
    }

    /// The index of an appliance's channel, with its bytes.
    pub fn index(&self, appliance: &str, channel: &str) -> Result<(Index, Vec<u8>), DepotError> {
        let url = self.url_of(&index_path(appliance, channel));
        let bytes = self.small(&url, INDEX_LIMIT)?;
        let index =
            Index::parse(&bytes, appliance, channel).map_err(|source| DepotError::Index { url, source })?;
        Ok((index, bytes))
    }

    /// A statement.
    pub fn statement(&self, object: &ObjectRef) -> Result<Statement, DepotError> {
        let bytes = self.document(object, STATEMENT_LIMIT)?;
        let url = self.object_url(object);
        Statement::parse(&bytes).map_err(|source| DepotError::Statement { url, source })
    }

    /// Notes of officers on a release, none of them checked.
    pub fn words(&self, appliance: &str, release: ReleaseId) -> Result<Vec<String>, DepotError> {
        let url = self.url_of(&words_path(appliance, release));
        let bytes = self.small(&url, WORDS_LIMIT)?;
        let broken =
            |error: serde_json::Error| DepotError::Silent { url: url.clone(), why: error.to_string() };
        serde_json::from_slice(&bytes).map_err(broken)
    }

    /// A small object, whole.
    pub fn document(&self, object: &ObjectRef, limit: u64) -> Result<Vec<u8>, DepotError> {
        let url = self.object_url(object);
        if object.size > limit {
            return Err(DepotError::TooLong { url, limit });
        }
        let bytes = self.small(&url, object.size)?;
        let found = Sha256Digest(Sha256::digest(&bytes).into());
        if found != object.sha256 {
            return Err(DepotError::Digest { url, found });
        }
        Ok(bytes)
    }

    /// Downloads an object to `path`, through `PATH.partial`, which a later call resumes. `progress` hears how many bytes are
    /// there.
    pub fn download(
        &self,
        object: &ObjectRef,
        path: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), DepotError> {
        let url = self.object_url(object);
        let mut partial = Partial::open(path)?;
        if partial.length > object.size {
            partial.clear()?;
        }
        let mut was_wrong = false;
        loop {
            self.complete(object, &url, &mut partial, progress)?;
            let found = partial.digest();
            if found == object.sha256 {
                return Ok(partial.finish(path)?);
            }
            // What was resumed may be the culprit: once from the start, and no third time.
            partial.clear()?;
            if std::mem::replace(&mut was_wrong, true) {
                return Err(DepotError::Digest { url, found });
            }
        }
    }

    fn complete(
        &self,
        object: &ObjectRef,
        url: &str,
        partial: &mut Partial,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), DepotError> {
        let (mut failures, mut wait) = (0, Duration::from_millis(500));
        while partial.length < object.size {
            let before = partial.length;
            match self.attempt(object, url, partial, progress) {
                Ok(()) => {}
                Err(error @ DepotError::Silent { .. }) => {
                    failures += u32::from(partial.length.saturating_sub(before) < PROGRESS);
                    if failures >= ATTEMPTS {
                        return Err(error);
                    }
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(Duration::from_secs(8));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn attempt(
        &self,
        object: &ObjectRef,
        url: &str,
        partial: &mut Partial,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), DepotError> {
        let silent = |why: String| DepotError::Silent { url: url.to_owned(), why };
        let mut request = self.agent.get(url);
        if partial.length > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", partial.length));
        }
        let response = request.call().map_err(|error| silent(error.to_string()))?;
        match response.status() {
            // A server that does not resume sends it from the start.
            StatusCode::OK => partial.clear()?,
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(header::CONTENT_RANGE).and_then(|it| it.to_str().ok());
                let start = range.and_then(|it| it.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                if start != Some(partial.length) {
                    partial.clear()?;
                    return Err(silent("it sent another part than was asked for".into()));
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                partial.clear()?;
                return Err(silent("it has a shorter object".into()));
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(DepotError::Absent { url: url.to_owned() });
            }
            status => return Err(silent(format!("it answers {status}"))),
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 64 << 10];
        let (mut period, mut in_period) = (Instant::now(), 0);
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) if partial.length == object.size => return Ok(()),
                Ok(0) => return Err(silent("the connection ended too early".into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(silent(error.to_string())),
            };
            // Before it is written: a server that never ends must not fill the disk.
            if partial.length + count as u64 > object.size {
                partial.clear()?;
                return Err(DepotError::TooLong { url: url.to_owned(), limit: object.size });
            }
            partial.append(&buffer[..count])?;
            progress(partial.length);
            in_period += count as u64;
            if period.elapsed() > SILENCE_WAIT {
                if in_period < LEAST_BYTES {
                    return Err(silent("it is too slow".into()));
                }
                (period, in_period) = (Instant::now(), 0);
            }
        }
    }

    /// A small file, to be read by whoever has a limit for it.
    pub fn open(&self, path: &str) -> Result<impl Read + use<>, DepotError> {
        self.open_url(&self.url_of(path))
    }

    /// Where a file of the depot is.
    pub fn url_of(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    fn open_url(&self, url: &str) -> Result<impl Read + use<>, DepotError> {
        let silent = |why: String| DepotError::Silent { url: url.to_owned(), why };
        let request = self.agent.get(url).config().timeout_global(Some(SMALL_WAIT)).build();
        let response = request.call().map_err(|error| silent(error.to_string()))?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body().into_reader()),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(DepotError::Absent { url: url.to_owned() }),
            status => Err(silent(format!("it answers {status}"))),
        }
    }

    fn small(&self, url: &str, limit: u64) -> Result<Vec<u8>, DepotError> {
        let mut bytes = Vec::new();
        let mut body = self.open_url(url)?.take(limit + 1);
        body.read_to_end(&mut bytes)
            .map_err(|error| DepotError::Silent { url: url.to_owned(), why: error.to_string() })?;
        if bytes.len() as u64 > limit {
            return Err(DepotError::TooLong { url: url.to_owned(), limit });
        }
        Ok(bytes)
    }

    fn object_url(&self, object: &ObjectRef) -> String {
        self.url_of(&object_path(&object.sha256))
    }
}

/// All of a PEM text: while an authority is changed for another one, both count.
fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, DepotError> {
    let mut found = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.map_err(|_| DepotError::Certificate)? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(DepotError::Certificate) } else { Ok(found) }
}

/// The file that is being filled, and the digest of what is in it.
struct Partial {
    path: std::path::PathBuf,
    file: File,
    length: u64,
    hasher: Sha256,
}

impl Partial {
    fn open(path: &Path) -> io::Result<Partial> {
        let path = path.with_extension("partial");
        let mut file = File::options().read(true).append(true).create(true).open(&path)?;
        let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 64 << 10]);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(Partial { path, file, length, hasher });
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.length, self.hasher) = (0, Sha256::new());
        Ok(())
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest(self.hasher.clone().finalize().into())
    }

    fn finish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()
    }
}

#[cfg(test)]
mod tests;
