//! The structure of PEM texts (RFC 7468): labels, base64 and the outermost DER length.
//!
//! Tells a truncated or swapped paste from a usable one. Refuses cryptography: whether a key belongs to a certificate,
//! and whether it has expired, is for the agent.

/// Longest PEM text: a chain of a dozen large certificates. Stops a setting from filling the appliance's memory.
pub const PEM_LIMIT: usize = 128 * 1024;

/// Labels of private keys that can be used without a passphrase.
const KEY_LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// Checks a certificate, or a chain beginning with it.
pub fn check_certificates(text: &str) -> Result<(), &'static str> {
    let blocks = blocks(text)?;
    if blocks.iter().any(|label| label.ends_with("PRIVATE KEY")) {
        // Certificates are shown to people; a key pasted along would be shown too.
        return Err("a PEM certificate without a private key is expected; the key has its own setting");
    }
    if blocks.iter().any(|label| *label != "CERTIFICATE") || blocks.is_empty() {
        return Err("a PEM certificate is expected, beginning with `-----BEGIN CERTIFICATE-----`");
    }
    Ok(())
}

/// Checks one private key without passphrase.
pub fn check_private_key(text: &str) -> Result<(), &'static str> {
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("a private key without a passphrase is expected: the appliance can not ask for one");
    }
    let blocks = blocks(text)?;
    // OpenSSL writes the curve's name in front of old-style keys.
    let mut keys = blocks.iter().filter(|label| **label != "EC PARAMETERS");
    match (keys.next(), keys.next()) {
        (Some(label), None) if KEY_LABELS.contains(label) => Ok(()),
        _ => Err("one PEM private key is expected, beginning with `-----BEGIN PRIVATE KEY-----`"),
    }
}

/// Labels of the blocks, each with sound base64 and a whole DER value. Text outside of blocks is explanation
/// (RFC 7468 section 2) and is passed over.
fn blocks(text: &str) -> Result<Vec<&str>, &'static str> {
    if text.len() > PEM_LIMIT {
        return Err("at most 128 KiB of PEM text are expected");
    }
    let mut labels = Vec::new();
    let mut open: Option<(&str, Vec<u8>)> = None;
    for line in text.lines().map(str::trim) {
        let boundary = |word: &str| line.strip_prefix(word)?.strip_suffix("-----");
        match &mut open {
            None => open = boundary("-----BEGIN ").map(|label| (label, Vec::new())),
            Some((label, body)) => match boundary("-----END ") {
                Some(end) if end == *label => {
                    let der = decode_base64(body).ok_or("sound base64 is expected between the PEM lines")?;
                    if !is_whole_der(&der) {
                        return Err("a whole PEM block is expected; this one is cut short or damaged");
                    }
                    labels.push(*label);
                    open = None;
                }
                Some(_) => return Err("a PEM END line with the label of its BEGIN line is expected"),
                None => body.extend_from_slice(line.as_bytes()),
            },
        }
    }
    match open {
        Some(_) => Err("a PEM END line is expected; the text is cut short"),
        None => Ok(labels),
    }
}

/// Decodes base64 with padding, RFC 4648 section 4.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in &text[..text.len() - padding] {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

/// One DER value whose length is the data's (X.690 section 8.1.3). Keys, certificates and parameters are sequences or,
/// for `EC PARAMETERS`, an object identifier.
fn is_whole_der(der: &[u8]) -> bool {
    let (Some(0x30 | 0x06), Some(first)) = (der.first(), der.get(1)) else { return false };
    let (length, header) = match first {
        0..=0x7f => (usize::from(*first), 2),
        0x81..=0x84 => {
            let bytes = usize::from(first & 0x7f);
            let Some(digits) = der.get(2..2 + bytes) else { return false };
            (digits.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)), 2 + bytes)
        }
        _ => return false,
    };
    der.len() == header + length
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Made with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes` for this test alone.
    pub(crate) const CERTIFICATE: &str = include_str!("testdata/certificate.pem");
    /// The key of [`CERTIFICATE`].
    pub(crate) const PRIVATE_KEY: &str = include_str!("testdata/key.pem");

    #[test]
    fn what_openssl_writes_is_taken() {
        assert_eq!(check_certificates(CERTIFICATE), Ok(()));
        assert_eq!(check_certificates(&format!("subject=x\n{CERTIFICATE}\n{CERTIFICATE}")), Ok(()));
        assert_eq!(check_private_key(PRIVATE_KEY), Ok(()));
        assert_eq!(check_private_key(&PRIVATE_KEY.replace('\n', "\r\n")), Ok(()));
    }

    #[test]
    fn a_key_is_not_a_certificate_nor_the_reverse() {
        assert!(check_certificates(PRIVATE_KEY).is_err());
        assert!(check_certificates(&format!("{CERTIFICATE}{PRIVATE_KEY}")).is_err());
        assert!(check_private_key(CERTIFICATE).is_err());
        assert!(check_private_key(&PRIVATE_KEY.repeat(2)).is_err());
    }

    #[test]
    fn every_missing_line_is_noticed() {
        let lines: Vec<_> = CERTIFICATE.lines().collect();
        for missing in 0..lines.len() {
            let mut rest = lines.clone();
            rest.remove(missing);
            assert!(check_certificates(&rest.join("\n")).is_err(), "without line {missing}");
        }
        assert!(check_certificates("").is_err());
    }

    #[test]
    fn a_key_with_a_passphrase_is_refused_with_the_reason() {
        let encrypted = PRIVATE_KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(check_private_key(&encrypted).is_err_and(|rule| rule.contains("passphrase")));
    }
}
