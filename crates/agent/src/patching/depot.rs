//! The depot's client. Everything it brings is bounded: texts by their limits, objects by the size that the index names.
//!
//! A download goes on where it ended. A server without ranges begins again; one that sends other bytes is found by the
//! digest, and what it sent is thrown away.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Sha256Digest;
use release::index::{INDEX_LIMIT, IndexError, index_path, object_path};
use release::statement::{STATEMENT_LIMIT, StatementError};
use release::{Index, ObjectRef, Statement};
use sha2::{Digest, Sha256};
use ureq::http::{StatusCode, header};

/// Time for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
/// Longest silence of a server that is waited for.
const SILENCE_WAIT: Duration = Duration::from_secs(30);
/// Attempts that bring nothing before a download is given up.
const ATTEMPTS: u32 = 4;
/// An attempt that brings less than this does not count as one that brought something: a server that sends a byte at a time
/// must not keep a patch under way for ever.
const PROGRESS: u64 = 64 << 10;
const PIECE: usize = 64 << 10;

/// Why the depot could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum DepotError {
    /// No depot is set.
    #[error("no depot is set")]
    NoDepot,
    /// The certificate of its authority can not be read.
    #[error("the certificate of the depot's authority can not be read: {0}")]
    Certificate(String),
    /// It does not answer, or not as a depot does.
    #[error("the depot does not give `{url}`: {why}")]
    Failed {
        /// What was asked for.
        url: String,
        /// Why.
        why: String,
    },
    /// More than there should be.
    #[error("the depot sends more for `{url}` than the {limit} bytes that are expected")]
    TooLong {
        /// What was asked for.
        url: String,
        /// Bytes.
        limit: u64,
    },
    /// The index is of no use.
    #[error("the depot's index can not be used: {0}")]
    Index(#[source] IndexError),
    /// A release is of no use.
    #[error("the statement of a release can not be used: {0}")]
    Statement(#[source] StatementError),
    /// Other bytes than the index names.
    #[error("`{url}` is not what the index names: its digest is {found}")]
    Digest {
        /// What was asked for.
        url: String,
        /// What came.
        found: Sha256Digest,
    },
    /// The data disk.
    #[error("the download can not be kept on the data disk: {0}")]
    Disk(#[source] io::Error),
}

/// A depot.
pub struct Depot {
    agent: ureq::Agent,
    base: String,
}

impl Depot {
    /// A depot by its URL; `authority` is the PEM of its certificate authority, when it is a private one.
    pub fn at(base: &str, authority: Option<&str>) -> Result<Depot, DepotError> {
        use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
        let mut tls = TlsConfig::builder();
        if let Some(pem) = authority {
            let read = parse_pem(pem.as_bytes())
                .map(|item| item.map_err(|error| DepotError::Certificate(error.to_string())));
            let mut certificates = Vec::new();
            for item in read {
                if let PemItem::Certificate(certificate) = item? {
                    certificates.push(certificate);
                }
            }
            tls = tls.root_certs(RootCerts::from(certificates));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(3)
            .timeout_connect(Some(CONNECT_WAIT))
            .timeout_recv_response(Some(SILENCE_WAIT))
            .timeout_per_read(Some(SILENCE_WAIT))
            .tls_config(tls.build())
            .user_agent("ampoule")
            .build()
            .into();
        Ok(Depot { agent, base: base.trim_end_matches('/').to_owned() })
    }

    /// The index of a channel.
    pub fn index(&self, appliance: &str, channel: &str) -> Result<Index, DepotError> {
        let bytes = self.text(&index_path(appliance, channel), INDEX_LIMIT)?;
        Index::parse(&bytes, appliance, channel).map_err(DepotError::Index)
    }

    /// A release's statement.
    pub fn statement(&self, object: &ObjectRef) -> Result<Statement, DepotError> {
        let bytes = self.small_object(object, STATEMENT_LIMIT)?;
        Statement::parse(&bytes).map_err(DepotError::Statement)
    }

    /// A small object, whole and checked.
    pub fn small_object(&self, object: &ObjectRef, limit: u64) -> Result<Vec<u8>, DepotError> {
        let path = object_path(&object.sha256);
        let bytes = self.text(&path, object.size.min(limit))?;
        let found = Sha256Digest(Sha256::digest(&bytes).into());
        match found == object.sha256 {
            true => Ok(bytes),
            false => Err(DepotError::Digest { url: self.url(&path), found }),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    fn open(&self, url: &str, offset: u64) -> Result<(impl Read + use<>, u64), DepotError> {
        let failed = |why: String| DepotError::Failed { url: url.to_owned(), why };
        let mut request = self.agent.get(url);
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        let response = request.call().map_err(|error| failed(error.to_string()))?;
        let starts_at = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => {
                let range =
                    response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
                range
                    .and_then(range_start)
                    .ok_or_else(|| failed("it sends a part without saying which".into()))?
            }
            status => return Err(failed(format!("it answers {status}"))),
        };
        Ok((response.into_body().into_reader(), starts_at))
    }

    fn text(&self, path: &str, limit: u64) -> Result<Vec<u8>, DepotError> {
        let url = self.url(path);
        let (reader, _) = self.open(&url, 0)?;
        let mut bytes = Vec::new();
        let read = reader.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| DepotError::Failed { url: url.clone(), why: error.to_string() })?;
        if bytes.len() as u64 > limit {
            return Err(DepotError::TooLong { url, limit });
        }
        Ok(bytes)
    }

    /// Downloads an object to `folder` and returns its path. `progress` gets the bytes that are there.
    ///
    /// (1) the partial file grows, over any number of attempts; (2) its digest is compared; (3) synced and renamed. A crash
    /// before 3 leaves a partial file, which is continued.
    pub fn download(
        &self,
        object: &ObjectRef,
        folder: &Path,
        progress: &mut dyn FnMut(u64),
    ) -> Result<PathBuf, DepotError> {
        let place = place(folder, object);
        if fs::metadata(&place).is_ok_and(|found| found.len() == object.size)
            && digest(&place)? == object.sha256
        {
            return Ok(place);
        }
        remove_others(folder, &place);
        let partial = place.with_extension("part");
        let path = object_path(&object.sha256);
        let url = self.url(&path);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&partial)
            .map_err(DepotError::Disk)?;
        if file.metadata().map_err(DepotError::Disk)?.len() > object.size {
            file.set_len(0).map_err(DepotError::Disk)?;
        }
        let mut attempts = 0;
        let mut was_wrong = false;
        loop {
            let before = file.metadata().map_err(DepotError::Disk)?.len();
            let outcome = match before == object.size {
                true => Ok(()),
                false => self.attempt(&url, &mut file, object.size, progress),
            };
            let now = file.metadata().map_err(DepotError::Disk)?.len();
            match outcome {
                Ok(()) if now == object.size => {
                    let found = digest(&partial)?;
                    if found == object.sha256 {
                        break;
                    }
                    // What was resumed may be the culprit: one more time from the beginning.
                    file.set_len(0).map_err(DepotError::Disk)?;
                    if std::mem::replace(&mut was_wrong, true) || before == 0 {
                        let _removed = fs::remove_file(&partial);
                        return Err(DepotError::Digest { url, found });
                    }
                }
                Ok(()) => attempts += 1,
                Err(error @ (DepotError::Disk(_) | DepotError::TooLong { .. })) => return Err(error),
                Err(error) => {
                    attempts = if now > before + PROGRESS { 0 } else { attempts + 1 };
                    if attempts >= ATTEMPTS {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_secs(1 << attempts.min(4)));
                }
            }
            if attempts >= ATTEMPTS {
                return Err(DepotError::Failed { url, why: "it ends too early, again and again".into() });
            }
        }
        file.sync_all().and_then(|()| fs::rename(&partial, &place)).map_err(DepotError::Disk)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(DepotError::Disk)?;
        Ok(place)
    }

    /// One connection: appends what it brings. Ends without error when the server ends.
    fn attempt(
        &self,
        url: &str,
        file: &mut File,
        size: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), DepotError> {
        let offset = file.metadata().map_err(DepotError::Disk)?.len();
        let (mut reader, starts_at) = self.open(url, offset)?;
        let mut at = offset;
        if starts_at != offset {
            if starts_at != 0 {
                return Err(DepotError::Failed {
                    url: url.to_owned(),
                    why: "it sends another part than was asked for".into(),
                });
            }
            at = 0;
            file.set_len(0).map_err(DepotError::Disk)?;
        }
        file.seek(SeekFrom::Start(at)).map_err(DepotError::Disk)?;
        let mut piece = vec![0; PIECE];
        loop {
            let count = reader
                .read(&mut piece)
                .map_err(|error| DepotError::Failed { url: url.to_owned(), why: error.to_string() })?;
            if count == 0 {
                return Ok(());
            }
            at += count as u64;
            if at > size {
                return Err(DepotError::TooLong { url: url.to_owned(), limit: size });
            }
            file.write_all(&piece[..count]).map_err(DepotError::Disk)?;
            progress(at);
        }
    }
}

/// Where an object is kept.
pub fn place(folder: &Path, object: &ObjectRef) -> PathBuf {
    folder.join(format!("object-{}.patch", &object.sha256.to_string()[..32]))
}

/// Bytes of an object that are kept already.
pub fn kept_bytes(folder: &Path, object: &ObjectRef) -> u64 {
    let place = place(folder, object);
    let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    length(&place).max(length(&place.with_extension("part")))
}

/// Objects of other patches are of no use any more.
pub fn remove_others(folder: &Path, place: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_object = entry.file_name().to_string_lossy().starts_with("object-");
        if is_object && path != place && path != place.with_extension("part") {
            let _only_room = fs::remove_file(path);
        }
    }
}

fn digest(path: &Path) -> Result<Sha256Digest, DepotError> {
    let read = || -> io::Result<Sha256Digest> {
        let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 18]);
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(Sha256Digest(hasher.finalize().into())),
                count => hasher.update(&piece[..count]),
            }
        }
    };
    read().map_err(DepotError::Disk)
}

/// RFC 9110, 14.4: `bytes FIRST-LAST/LENGTH`.
fn range_start(value: &str) -> Option<u64> {
    value.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
#[path = "depot_tests.rs"]
mod tests;
