//! One GET request to the appliance itself. HTTP/1.0, so that no answer comes in chunks.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::settings::pairs::provider;

/// Longest answer that is read: a page without end must not fill the memory.
const ANSWER_LIMIT: u64 = 1 << 20;

/// Parts of an URL that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target<'a> {
    is_tls: bool,
    host: &'a str,
    port: u16,
    path: &'a str,
}

/// Asks for a page and judges status and content. `Err` says why in one line.
pub fn check(url: &str, status: u16, contains: Option<&str>, time: Duration) -> Result<(), String> {
    let target = parse(url).ok_or_else(|| format!("`{url}` is not an address of this appliance"))?;
    let answer = ask(&target, time).map_err(|error| format!("{url} does not answer: {}", words(&error)))?;
    let found = status_of(&answer).ok_or_else(|| format!("{url} does not answer with HTTP"))?;
    if found != status {
        return Err(format!("{url} answers with status {found}, {status} is expected"));
    }
    match contains {
        Some(text) if !String::from_utf8_lossy(&answer).contains(text) => {
            Err(format!("{url} answers without the text `{text}`"))
        }
        _ => Ok(()),
    }
}

/// What the operating system says, without its number.
pub fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "it takes too long".to_owned(),
        _ => error.to_string(),
    }
}

fn parse(url: &str) -> Option<Target<'_>> {
    let (is_tls, rest) = match url.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, url.strip_prefix("http://")?),
    };
    let path_at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let default = if is_tls { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let path = if path.is_empty() { "/" } else { path };
    (!host.is_empty() && is_plain(host) && is_plain(path)).then_some(Target { is_tls, host, port, path })
}

fn ask(target: &Target<'_>, time: Duration) -> io::Result<Vec<u8>> {
    // A static program has no NSS; `localhost` is the usual name and must not depend on files.
    let host = if target.host == "localhost" { "127.0.0.1" } else { target.host };
    let address = (host, target.port).to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let stream = TcpStream::connect_timeout(&address, time)?;
    stream.set_read_timeout(Some(time))?;
    stream.set_write_timeout(Some(time))?;
    if !target.is_tls {
        return exchange(stream, target);
    }
    let name = ServerName::try_from(target.host.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(configuration()?, name).map_err(io::Error::other)?;
    exchange(StreamOwned::new(connection, stream), target)
}

fn exchange(mut stream: impl Read + Write, target: &Target<'_>) -> io::Result<Vec<u8>> {
    let Target { host, path, .. } = target;
    // One write: a server that answers before it has read all of it would make the connection look reset.
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: ampoule-health\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_LIMIT).read_to_end(&mut answer) {
        // Servers that close without TLS's goodbye have answered all the same.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof || answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|&byte| byte == b'\r' || byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

fn configuration() -> io::Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    // The request does not leave the machine, and a self-signed or expired certificate is the customer's choice: the check
    // asks whether the service answers, not whether its name is right.
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate));
    Ok(Arc::new(builder.with_no_client_auth()))
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustls::pki_types::pem::PemObject;

    use super::*;

    const TIME: Duration = Duration::from_secs(5);

    #[test]
    fn urls_are_taken_apart() {
        let https = Target { is_tls: true, host: "localhost", port: 443, path: "/" };
        assert_eq!(parse("https://localhost"), Some(https));
        let plain = Target { is_tls: false, host: "::1", port: 8080, path: "/a?b" };
        assert_eq!(parse("http://[::1]:8080/a?b"), Some(plain));
        assert_eq!(parse("ftp://localhost/"), None);
        assert_eq!(parse("http://localhost/a b"), None);
        assert_eq!(parse("http://localhost:port/"), None);
    }

    fn serve(answer: &'static str, tls: bool) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut request = [0u8; 512];
            if tls {
                let made = crate::settings::generate::self_signed("localhost", 2026).expect("made");
                let chain = vec![CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM")];
                let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(made.key.as_bytes()).expect("PEM");
                let builder = rustls::ServerConfig::builder_with_provider(provider());
                let builder = builder.with_safe_default_protocol_versions().expect("ring has them");
                let server = builder.with_no_client_auth().with_single_cert(chain, key).expect("they fit");
                let connection = rustls::ServerConnection::new(Arc::new(server)).expect("made");
                let mut stream = StreamOwned::new(connection, stream);
                let _asked = stream.read(&mut request);
                let _told = stream.write_all(answer.as_bytes());
            } else {
                let _asked = stream.read(&mut request);
                let _told = stream.write_all(answer.as_bytes());
            }
        });
        port
    }

    #[test]
    fn status_and_content_are_judged() {
        const ANSWER: &str = "HTTP/1.1 200 OK\r\n\r\nhello";
        let ask = |answer, status, text| {
            check(&format!("http://localhost:{}/", serve(answer, false)), status, text, TIME)
        };
        assert_eq!(ask(ANSWER, 200, Some("hello")), Ok(()));
        assert!(ask(ANSWER, 200, Some("bye")).expect_err("not there").contains("without the text `bye`"));
        let error = ask("HTTP/1.1 503 Busy\r\n\r\n", 200, None).expect_err("busy");
        assert!(error.contains("answers with status 503, 200 is expected"), "{error}");
        assert!(ask("SSH-2.0", 200, None).expect_err("no HTTP").contains("does not answer with HTTP"));
    }

    #[test]
    fn a_self_signed_certificate_is_no_reason_to_be_unhealthy() {
        let port = serve("HTTP/1.1 200 OK\r\n\r\n", true);
        assert_eq!(check(&format!("https://localhost:{port}/"), 200, None, TIME), Ok(()));
    }

    #[test]
    fn nobody_there_is_told_in_plain_words() {
        let (port, _held) = crate::testing::silent_port();
        let error = check(&format!("http://localhost:{port}/"), 200, None, TIME).expect_err("nobody listens");
        assert!(error.ends_with("does not answer: connection refused"), "{error}");
    }
}
