//! The kernel command line, as far as `init` reads it.

use model::Sha256Digest;

/// What the sealed command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// `roothash=`: the only root this kernel may boot.
    pub root_hash: Sha256Digest,
    /// `ampoule.on-failure=`
    pub on_failure: OnFailure,
    /// `ampoule.debug`
    pub progress: Progress,
}

/// What happens after a failed start was explained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The default: a machine that stays off is noticed, one that restarts for ever is not.
    #[default]
    PowerOff,
    /// `ampoule.on-failure=reboot`: boot counting needs it to fall back.
    Reboot,
}

/// Whether steps are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing but failures.
    #[default]
    Silent,
    /// One line a step on the console.
    Printed,
}

/// The command line can not start an appliance.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CommandLineError {
    /// No `roothash=`.
    #[error("the kernel command line has no `roothash=`")]
    NoRootHash,
    /// Not a digest.
    #[error("`roothash=` of the kernel command line is not a root hash")]
    BadRootHash(#[source] model::digest::DigestSyntax),
}

/// Reads `/proc/cmdline`. Of a word given twice the last one counts, except `roothash=`, where the first does: words
/// that a boot loader appends must not replace the sealed ones.
pub fn parse(text: &str) -> Result<CommandLine, CommandLineError> {
    let words = || text.split_ascii_whitespace();
    let root_hash =
        words().find_map(|word| word.strip_prefix("roothash=")).ok_or(CommandLineError::NoRootHash)?;
    Ok(CommandLine {
        root_hash: root_hash.parse().map_err(CommandLineError::BadRootHash)?,
        on_failure: on_failure(text),
        progress: if words().any(|word| word == "ampoule.debug") {
            Progress::Printed
        } else {
            Progress::Silent
        },
    })
}

/// The failure action alone: it is needed when the rest can not be read.
pub fn on_failure(text: &str) -> OnFailure {
    match text.split_ascii_whitespace().rev().find_map(|word| word.strip_prefix("ampoule.on-failure=")) {
        Some("reboot") => OnFailure::Reboot,
        _ => OnFailure::PowerOff,
    }
}

/// Partition UUIDs of root and verity: first and last 128 bits of the root hash (Discoverable Partitions
/// Specification), as the text forms of `PARTUUID`.
pub fn partition_uuids(root_hash: &Sha256Digest) -> (String, String) {
    (uuid_text(&root_hash.0[..16]), uuid_text(&root_hash.0[16..]))
}

/// Sixteen bytes in the order people write them, as `8-4-4-4-12` digits.
fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f";

    #[test]
    fn the_sealed_root_hash_can_not_be_replaced_by_appended_words() {
        let line = format!("console=ttyS0 roothash={HASH} quiet roothash={}", "0".repeat(64));
        let line = parse(&line).expect("a root hash is there");
        assert_eq!(line.root_hash.to_string(), HASH);
        assert_eq!(line.on_failure, OnFailure::PowerOff);
        assert_eq!(line.progress, Progress::Silent);
    }

    #[test]
    fn a_command_line_without_root_hash_is_refused() {
        assert_eq!(parse("quiet"), Err(CommandLineError::NoRootHash));
        assert!(matches!(parse("roothash=12"), Err(CommandLineError::BadRootHash(_))));
    }

    #[test]
    fn failure_and_debug_words_are_read() {
        let line =
            parse(&format!("roothash={HASH} ampoule.on-failure=reboot ampoule.debug")).expect("complete");
        assert_eq!(line.on_failure, OnFailure::Reboot);
        assert_eq!(line.progress, Progress::Printed);
    }

    #[test]
    fn partition_uuids_are_the_halves_of_the_root_hash() {
        let (root, verity) = partition_uuids(&HASH.parse().expect("64 digits"));
        assert_eq!(root, "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(verity, "10213243-5465-7687-98a9-bacbdcedfe0f");
    }
}
