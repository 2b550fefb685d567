//! The journal: one record a line, as JSON.

use crate::life::Record;

/// Longest journal that is read, in bytes. Stops a data disk from elsewhere from filling the memory of a booting machine.
pub const JOURNAL_LIMIT: u64 = 4 << 20;
/// A longer journal is written again with its newest records.
pub const COMPACT_ABOVE: usize = 256 << 10;
/// Records that stay.
pub const KEPT_RECORDS: usize = 200;

/// Reads a journal. A line that can not be read, such as the last one after a power cut, is passed over.
pub fn read(text: &str) -> Vec<Record> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// A record as bytes to append. It begins on a line of its own even behind one that was cut.
pub fn line(record: &Record, is_behind_a_cut: bool) -> Vec<u8> {
    let mut bytes = if is_behind_a_cut { vec![b'\n'] } else { Vec::new() };
    serde_json::to_writer(&mut bytes, record).expect("a record has only string keys");
    bytes.push(b'\n');
    bytes
}

/// The text of a journal with its newest records only, when it has become long.
pub fn compacted(text: &str) -> Option<String> {
    if text.len() <= COMPACT_ABOVE {
        return None;
    }
    let records = read(text);
    let kept = &records[records.len().saturating_sub(KEPT_RECORDS)..];
    Some(kept.iter().map(|record| String::from_utf8_lossy(&line(record, false)).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use model::control::LifeStage;

    use super::*;
    use crate::life::tests::record;

    #[test]
    fn a_journal_reads_what_it_writes_and_a_torn_last_line_is_passed_over() {
        let one = record(LifeStage::Offered, None);
        let two = record(LifeStage::Verified, Some("said\n\"so\""));
        let mut bytes = line(&one, false);
        let second = line(&two, false);
        for cut in 0..second.len() - 1 {
            let mut torn = bytes.clone();
            torn.extend(&second[..cut]);
            let behind = !torn.ends_with(b"\n");
            torn.extend(line(&two, behind));
            let text = String::from_utf8_lossy(&torn).into_owned();
            assert_eq!(read(&text), [one.clone(), two.clone()], "cut after {cut} bytes");
        }
        bytes.extend(second);
        assert_eq!(read(&String::from_utf8_lossy(&bytes)), [one, two]);
    }

    #[test]
    fn a_long_journal_keeps_its_newest_records() {
        let text = String::from_utf8(line(&record(LifeStage::Offered, Some(&"x".repeat(2000))), false))
            .expect("text");
        assert_eq!(compacted(&text), None);
        let long = text.repeat(400);
        assert_eq!(read(&compacted(&long).expect("it is long")).len(), KEPT_RECORDS);
    }
}
