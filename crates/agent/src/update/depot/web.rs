//! A depot on a server.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::{DepotError, SILENCE_WAIT};

/// A server that does not take a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(15);
/// A small document whole: stops a server that sends a byte at a time.
const SMALL_WAIT: Duration = Duration::from_secs(60);
/// More would be a circle.
const REDIRECTS: u32 = 5;

/// The server.
pub struct Web {
    url: String,
    agent: Agent,
}

impl Web {
    pub fn new(url: &str, authority: Option<&str>) -> Result<Web, DepotError> {
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
        Ok(Web { url: url.trim_end_matches('/').to_owned(), agent })
    }

    pub fn url_of(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    /// A small file.
    pub fn open(&self, url: &str) -> Result<Box<dyn Read>, DepotError> {
        let silent = |why: String| DepotError::Silent { url: url.to_owned(), why };
        let request = self.agent.get(url).config().timeout_global(Some(SMALL_WAIT)).build();
        let response = request.call().map_err(|error| silent(error.to_string()))?;
        match response.status() {
            StatusCode::OK => Ok(Box::new(response.into_body().into_reader())),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(DepotError::Absent { url: url.to_owned() }),
            status => Err(silent(format!("it answers {status}"))),
        }
    }

    /// An object from `offset` on, and where what comes begins: a server that does not resume sends it from the start.
    pub fn object(&self, url: &str, offset: u64) -> Result<(Box<dyn Read>, u64), DepotError> {
        let silent = |why: String| DepotError::Silent { url: url.to_owned(), why };
        let mut request = self.agent.get(url);
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        let response = request.call().map_err(|error| silent(error.to_string()))?;
        let begins = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(header::CONTENT_RANGE).and_then(|it| it.to_str().ok());
                let start = range.and_then(|it| it.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                start.unwrap_or(u64::MAX)
            }
            // It has a shorter object: from the start, it is a whole one or none.
            StatusCode::RANGE_NOT_SATISFIABLE => u64::MAX,
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                return Err(DepotError::Absent { url: url.to_owned() });
            }
            status => return Err(silent(format!("it answers {status}"))),
        };
        Ok((Box::new(response.into_body().into_reader()), begins))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_authority_of_the_setting_counts() {
        let one = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(&format!("{one}# the next one\n{one}")).expect("two").len(), 2);
        for none in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(certificates(none), Err(DepotError::Certificate)), "{none}");
        }
    }
}
