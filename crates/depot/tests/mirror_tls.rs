//! A maker's depot over HTTPS: whose certificate counts, and that nothing leads away from it.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use depot::mirror::{self, Place};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use common::carried::{Carried, IMPATIENT, told};

/// Serves a folder, or redirects every request. Returns its URL and its certificate.
fn serve(folder: PathBuf, redirect: Option<String>) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they belong together");
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            // A client that goes away is its own business.
            let _ = answer(StreamOwned::new(connection, stream), &folder, redirect.as_deref());
        }
    });
    (url, made.cert.pem())
}

fn answer(mut stream: impl Read + Write, folder: &std::path::Path, to: Option<&str>) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let body = fs::read(folder.join(path)).ok();
    let head = match (to, &body) {
        (Some(to), _) => format!("302 Found\r\nLocation: {to}/{path}"),
        (None, Some(_)) => "200 OK".to_owned(),
        (None, None) => "404 Not Found".to_owned(),
    };
    let body = body.filter(|_| to.is_none()).unwrap_or_default();
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    stream.flush()
}

#[test]
fn the_named_authority_counts_and_no_other() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let (url, authority) = serve(carried.bench.path("depot"), None);
    let (_, other) = serve(carried.bench.path("depot"), None);
    let customer = carried.customer();
    let before = carried.shown();
    for authorities in [None, Some(other.as_bytes())] {
        let place = Place::new(&url, authorities, IMPATIENT).expect("a URL");
        let error = mirror::look(&place, &customer, carried.asked()).err().expect("refused");
        assert!(told(&error).contains("does not answer"), "{}", told(&error));
    }
    assert_eq!(carried.shown(), before);
    // Several in one file.
    let both = other + &authority;
    let place = Place::new(&url, Some(both.as_bytes()), IMPATIENT).expect("a URL");
    mirror::look(&place, &customer, carried.asked()).expect("looks").bring(&|_| ()).expect("followed");
    assert_eq!(carried.believed(), carried.index());
    assert!(Place::new(&url, Some(b"no certificate"), IMPATIENT).is_err());
}

#[test]
fn nothing_leads_away_from_https() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let plain = testkit::depot::DepotServer::start(carried.bench.depot().path());
    let (url, authority) = serve(carried.bench.path("depot"), Some(plain.local_url()));
    let place = Place::new(&url, Some(authority.as_bytes()), IMPATIENT).expect("a URL");
    let customer = carried.customer();
    let error = mirror::look(&place, &customer, carried.asked()).err().expect("refused");
    assert!(told(&error).contains("is redirected away from HTTPS"), "{}", told(&error));
    assert_eq!(plain.asked(), Vec::<String>::new());
}
