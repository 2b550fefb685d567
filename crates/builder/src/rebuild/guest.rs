//! The guest's programs as a release has them: the agent in its root, `init` in its initrd.

use std::io;

use image::uki;
use model::Sha256Digest;
use release::{ReleaseFolder, names};
use sbom::provenance;
use sha2::{Digest, Sha256};

use super::RebuildError;
use super::compare::{content_of, uki_of};
use crate::compose::GuestPrograms;

/// Path of the agent in the image.
const AGENT: &str = "usr/lib/ampoule/agent";

/// Takes the programs out of a release.
pub fn guest_of(release: &ReleaseFolder) -> Result<GuestPrograms, RebuildError> {
    let agent = content_of(release, &AGENT.parse().expect("the path is constant and plain"))?;
    let damaged = |why: &str| RebuildError::Image {
        path: "the initrd".into(),
        source: io::Error::new(io::ErrorKind::InvalidData, why.to_owned()),
    };
    let kernel_image = uki_of(release)?;
    let sections = uki::sections(&kernel_image).map_err(|error| damaged(&error.to_string()))?;
    let initrd = sections.iter().find(|it| it.name == ".initrd").ok_or_else(|| damaged("there is none"))?;
    let init = cpio_file(initrd.data, "init").ok_or_else(|| damaged("it has no init"))?;
    Ok(GuestPrograms { agent, init })
}

/// Whether a release says in its provenance that it was built with other programs than these.
pub fn is_other_guest(release: &ReleaseFolder, programs: &GuestPrograms) -> bool {
    let bytes = release.read_checked_document(names::PROVENANCE, provenance::DOCUMENT_LIMIT).ok();
    let Some(statement) = bytes.and_then(|bytes| provenance::parse(&bytes).ok()) else { return false };
    let told = statement.predicate.run_details.builder.builder_dependencies;
    let ours = [("ampoule-agent", &programs.agent), ("ampoule-init", &programs.init)];
    ours.iter().any(|(name, bytes)| {
        let digest = Sha256Digest(Sha256::digest(bytes).into()).to_string();
        told.iter().any(|it| it.name == *name && it.sha256() != digest)
    })
}

/// One file of an archive in the form `newc` (cpio(5)), as ours are: uncompressed.
fn cpio_file(mut archive: &[u8], wanted: &str) -> Option<Vec<u8>> {
    const HEADER: usize = 110;
    loop {
        let header = archive.get(..HEADER).filter(|header| header.starts_with(b"070701"))?;
        let field = |index: usize| {
            let digits = header.get(6 + index * 8..14 + index * 8)?;
            usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        let (size, name_size) = (field(6)?, field(11)?);
        let name = archive.get(HEADER..HEADER.checked_add(name_size)?)?.strip_suffix(b"\0")?;
        if name == b"TRAILER!!!" {
            return None;
        }
        let data_at = (HEADER + name_size).next_multiple_of(4);
        let data = archive.get(data_at..data_at.checked_add(size)?)?;
        let plain = name.strip_prefix(b"./").or_else(|| name.strip_prefix(b"/")).unwrap_or(name);
        if plain == wanted.as_bytes() {
            return Some(data.to_vec());
        }
        archive = archive.get((data_at + size).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::cpio::{Entry, Kind, write};

    #[test]
    fn a_file_of_our_own_archive_is_found_and_nothing_is_found_in_a_damaged_one() {
        let entry = |path: &str, kind| Entry { path: path.parse().expect("plain"), mode: 0o755, kind };
        let entries = [
            entry("modules", Kind::Directory),
            entry("other", Kind::File(b"xyz")),
            entry("init", Kind::File(b"program")),
        ];
        let mut bytes = Vec::new();
        write(&entries, &mut bytes).expect("writes");
        assert_eq!(cpio_file(&bytes, "init").as_deref(), Some(&b"program"[..]));
        assert_eq!(cpio_file(&bytes, "missing"), None);
        for end in 0..bytes.len().min(300) {
            let _ = cpio_file(&bytes[..end], "init");
        }
        assert_eq!(cpio_file(b"no archive", "init"), None);
    }
}
