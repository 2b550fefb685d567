//! One request, one answer.

use std::io;
use std::path::Path;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use model::Sha256Digest;
use release::index::{INDEX_LIMIT, object_path};
use sha2::{Digest, Sha256};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::path::Kind;
use crate::folder::read_limited;

/// Kept by everybody for a year: the longest that caches understand.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// May be kept, and is asked for again each time.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Answers a request for a file below `root`.
pub(super) async fn answer<B>(root: &Path, request: Request<B>) -> Response<Body> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let mut answer = match Kind::of(request.uri().path()) {
        None => plain(StatusCode::NOT_FOUND),
        Some(Kind::Replaced(path)) => small(&root.join(path), request.method(), request.headers()),
        Some(Kind::Object(digest)) => object(root, &digest, request).await,
    };
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// A file that may be replaced: whole, with the digest of what it is now.
fn small(path: &Path, method: &Method, headers: &HeaderMap) -> Response<Body> {
    // Small enough for a blocking read: a few hundred kilobytes that are in memory anyway.
    let Ok(bytes) = read_limited(path, INDEX_LIMIT) else { return plain(StatusCode::NOT_FOUND) };
    let tag = tag(&Sha256Digest(Sha256::digest(&bytes).into()));
    let mut answer = if is_known(headers, &tag) {
        plain(StatusCode::NOT_MODIFIED)
    } else {
        let length = bytes.len();
        let body = if method == Method::HEAD { empty() } else { full(bytes) };
        let mut answer = Response::new(body);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.headers_mut().insert(hyper::header::CONTENT_LENGTH, length.into());
        answer
    };
    answer.headers_mut().insert(CACHE_CONTROL, ASK_AGAIN);
    answer.headers_mut().insert(ETAG, tag);
    answer
}

/// An object, or a part of one.
async fn object<B>(root: &Path, digest: &Sha256Digest, request: Request<B>) -> Response<Body> {
    let tag = tag(digest);
    let headers = request.headers();
    let path = root.join(object_path(digest));
    if !path.is_file() {
        return plain(StatusCode::NOT_FOUND);
    }
    let mut answer = if is_known(headers, &tag) {
        plain(StatusCode::NOT_MODIFIED)
    } else {
        let mut asked = Request::new(Empty::<Bytes>::new());
        *asked.method_mut() = request.method().clone();
        *asked.headers_mut() = headers.clone();
        // An object has one tag and no meaningful date.
        let is_other = headers.get(IF_RANGE).is_some_and(|wanted| *wanted != tag);
        let removed = [IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
        for name in removed.into_iter().chain(is_other.then_some(RANGE)) {
            asked.headers_mut().remove(name);
        }
        let served = ServeFile::new(path).oneshot(asked).await.expect("its error can not exist");
        let mut answer = served.map(|body| UnsyncBoxBody::new(body.map_err(io::Error::other)));
        if answer.status() == StatusCode::NOT_FOUND {
            return plain(StatusCode::NOT_FOUND);
        }
        answer.headers_mut().remove(LAST_MODIFIED);
        answer.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        answer
    };
    answer.headers_mut().insert(CACHE_CONTROL, FOR_EVER);
    answer.headers_mut().insert(ETAG, tag);
    answer
}

fn tag(digest: &Sha256Digest) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("a digest is ASCII")
}

/// Whether the client has what it asks for.
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|value| {
        let Ok(text) = value.to_str() else { return false };
        text.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one == *tag)
    })
}

fn plain(status: StatusCode) -> Response<Body> {
    let words = match status {
        StatusCode::NOT_MODIFIED => String::new(),
        status => format!("{status}\n"),
    };
    let mut answer = Response::new(full(words.into_bytes()));
    *answer.status_mut() = status;
    if status != StatusCode::NOT_MODIFIED {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    answer
}

fn full(bytes: Vec<u8>) -> Body {
    UnsyncBoxBody::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

fn empty() -> Body {
    UnsyncBoxBody::new(Empty::new().map_err(|never| match never {}))
}
