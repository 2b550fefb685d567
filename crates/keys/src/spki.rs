//! PEM public keys: `SubjectPublicKeyInfo` (RFC 5280) between the lines of RFC 7468.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest PEM text, in bytes: an RSA key of 8192 bits has 1.5 KiB. Stops a key from filling memory.
pub const PEM_LIMIT: usize = 4 << 10;

/// How the text begins.
pub const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// Characters of a line (RFC 7468, 2).
const LINE: usize = 64;

pub(crate) const SEQUENCE: u8 = 0x30;
#[cfg(feature = "foreign")]
pub(crate) const BIT_STRING: u8 = 0x03;

/// The DER of a PEM text.
pub(crate) fn decode(pem: &str) -> Option<Vec<u8>> {
    if pem.len() > PEM_LIMIT {
        return None;
    }
    let body = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

/// The one text of these bytes, as OpenSSL and python's `cryptography` write it.
pub(crate) fn encode(der: &[u8]) -> String {
    let mut text = format!("{BEGIN}\n");
    let mut body = STANDARD.encode(der);
    while !body.is_empty() {
        let rest = body.split_off(LINE.min(body.len()));
        text.extend([&body, "\n"]);
        body = rest;
    }
    text + END + "\n"
}

/// The algorithm of a key: its identifier and parameters.
pub(crate) fn algorithm(der: &[u8]) -> Option<&[u8]> {
    let (info, _) = element(der, SEQUENCE)?;
    Some(element(info, SEQUENCE)?.0)
}

/// The content of one DER element with this tag, and what follows it.
pub(crate) fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), &rest[2..]),
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_was_written_is_read_and_no_bytes_make_the_readers_panic(
            body in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ) {
            let pem = encode(&body);
            assert!(pem.lines().all(|line| line.len() <= LINE) && pem.ends_with("-----\n"));
            assert_eq!(decode(&pem), Some(body.clone()));
            let _ = (element(&body, SEQUENCE), algorithm(&body));
        }
    }
}
