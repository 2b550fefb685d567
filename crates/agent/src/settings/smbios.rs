//! Settings in SMBIOS type 11 (OEM strings), which most hypervisors can pass. Format: DSP0134, 6.1.2 and 7.12.

/// Longest table that is read; firmware's are a few kilobytes.
pub const TABLE_LIMIT: usize = 4 << 20;
/// OEM strings.
const TYPE_OEM_STRINGS: u8 = 11;
const TYPE_END: u8 = 127;
const PREFIXES: [&str; 2] = ["ampoule.settings=", "io.systemd.credential.binary:ampoule.settings="];

/// Documents in the structure table, decoded, in its order.
pub fn documents(table: &[u8]) -> Vec<Result<String, &'static str>> {
    let payload =
        |text: &str| PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)).map(str::to_owned);
    let decode = |text: String| {
        let bytes = base64(&text).ok_or("it is not base64")?;
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")
    };
    oem_strings(table).iter().filter_map(|text| payload(text)).map(decode).collect()
}

fn oem_strings(table: &[u8]) -> Vec<String> {
    let mut strings = Vec::new();
    let mut rest = table;
    // A structure: type, length of the formatted part, handle, …; then strings, each with a NUL, and one more NUL.
    while let [kind, length, ..] = *rest {
        let Some(body) = rest.get(usize::from(length).max(4)..) else { break };
        let Some(end) = body.windows(2).position(|pair| pair == [0, 0]) else { break };
        if kind == TYPE_OEM_STRINGS {
            let texts = body[..end].split(|&byte| byte == 0).filter(|text| !text.is_empty());
            strings.extend(texts.map(|text| String::from_utf8_lossy(text).into_owned()));
        }
        if kind == TYPE_END {
            break;
        }
        rest = &body[end + 2..];
    }
    strings
}

/// RFC 4648 base64, padding and line ends optional.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace()) {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(kind: u8, strings: &[&str]) -> Vec<u8> {
        let mut bytes = vec![kind, 5, 0, 0, strings.len() as u8];
        strings.iter().for_each(|text| bytes.extend([text.as_bytes(), &[0]].concat()));
        bytes.extend(if strings.is_empty() { &[0u8, 0][..] } else { &[0][..] });
        bytes
    }

    #[test]
    fn both_spellings_are_found_among_other_structures() {
        let table = [
            structure(1, &["QEMU", "ampoule.settings=eA=="]),
            structure(2, &[]),
            structure(
                11,
                &["hello", "ampoule.settings=YSA9IDE=", "io.systemd.credential.binary:ampoule.settings=Yg"],
            ),
            structure(127, &[]),
            structure(11, &["ampoule.settings=Yw=="]),
        ]
        .concat();
        assert_eq!(documents(&table), [Ok("a = 1".to_owned()), Ok("b".to_owned())]);
    }

    #[test]
    fn a_cut_or_wrong_table_is_no_panic() {
        let table = structure(11, &["ampoule.settings=###"]);
        assert_eq!(documents(&table), [Err("it is not base64")]);
        for end in 0..table.len() {
            documents(&table[..end]);
        }
        documents(&[11, 0, 0, 0, 0, 0, 11, 255]);
    }
}
