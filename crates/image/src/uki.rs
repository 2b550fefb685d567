//! Unified kernel images: a kernel, its initrd and command line as sections of systemd's EFI stub.
//!
//! Owns appending sections to a PE file and listing them. What the stub itself holds is kept byte for byte but for the
//! headers. Formats: the PE/COFF specification; the UAPI group's UKI specification for the names.

use crate::bytes::{le16, le32, put, round_up};

/// A section to append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSection<'a> {
    /// With its dot, at most 8 bytes: `.linux`.
    pub name: &'a str,
    /// Its content.
    pub data: &'a [u8],
}

/// A section of an existing image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// With its dot; what is not UTF-8 is replaced.
    pub name: String,
    /// Without padding.
    pub data: &'a [u8],
    /// Where it is loaded, relative to the image's base.
    pub virtual_address: u32,
}

/// Why an image can not be made or read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UkiError {
    /// Not a 64-bit PE file.
    #[error("this is not a 64-bit EFI program: {problem}")]
    NotPe {
        /// What is missing or wrong.
        problem: &'static str,
    },
    /// The stub's header has no room for more section headers.
    #[error("the stub's header has room for {room} more sections, not for {wanted}")]
    NoHeaderRoom {
        /// Sections that would fit.
        room: usize,
        /// Sections given.
        wanted: usize,
    },
    /// A name that PE can not store.
    #[error("section name `{name}` is empty or longer than 8 bytes")]
    Name {
        /// The name.
        name: String,
    },
    /// The stub has it already, or it was given twice.
    #[error("section `{name}` exists already")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Nothing may be empty: a stub takes an empty section for a missing one.
    #[error("section `{name}` is empty")]
    Empty {
        /// The name.
        name: String,
    },
    /// A signature would not survive.
    #[error("the stub is signed; an unsigned one is needed")]
    Signed,
    /// Beyond what PE's fields can say.
    #[error("the image would be larger than 4 GiB")]
    TooLarge,
}

/// Most sections read: stops headers that claim 65535 of them. systemd's stubs and all UKI sections together have about 20.
const MAXIMUM_SECTIONS: usize = 96;

const SECTION_HEADER: usize = 40;
/// Initialised data, readable.
const SECTION_FLAGS: u32 = 0x4000_0040;

/// Appends sections in the order given. The result depends on the arguments alone: the stub's time stamp stays, the
/// checksum is computed.
pub fn assemble(stub: &[u8], sections: &[NewSection<'_>]) -> Result<Vec<u8>, UkiError> {
    let pe = Headers::parse(stub)?;
    check(stub, &pe, sections)?;
    let mut names_and_sizes = Vec::with_capacity(sections.len());
    // New sections are loaded behind everything the stub has, in file order, so that none can overlap.
    let mut address = pe.image_end(stub)?;
    let mut file_end = round_up(pe.file_end(stub)?, pe.file_alignment);
    let mut initialized = u64::from(le32(stub, pe.optional + 8));
    for section in sections {
        address = round_up(address, pe.section_alignment);
        let raw_size = round_up(section.data.len() as u64, pe.file_alignment);
        names_and_sizes.push((address, file_end, raw_size));
        address += section.data.len() as u64;
        file_end += raw_size;
        initialized += raw_size;
    }
    let image_size = round_up(address, pe.section_alignment);
    let narrow = |value: u64| u32::try_from(value).map_err(|_| UkiError::TooLarge);
    narrow(file_end)?;

    let mut image = vec![0; file_end as usize];
    let kept = pe.file_end(stub)? as usize;
    put(&mut image, 0, &stub[..kept]);
    let mut header = pe.sections + pe.section_count * SECTION_HEADER;
    for (section, (address, offset, raw_size)) in sections.iter().zip(names_and_sizes) {
        put(&mut image, header, section.name.as_bytes());
        put(&mut image, header + 8, &narrow(section.data.len() as u64)?.to_le_bytes());
        put(&mut image, header + 12, &narrow(address)?.to_le_bytes());
        put(&mut image, header + 16, &narrow(raw_size)?.to_le_bytes());
        put(&mut image, header + 20, &narrow(offset)?.to_le_bytes());
        put(&mut image, header + 36, &SECTION_FLAGS.to_le_bytes());
        put(&mut image, offset as usize, section.data);
        header += SECTION_HEADER;
    }
    let count = (pe.section_count + sections.len()) as u16;
    put(&mut image, pe.coff + 2, &count.to_le_bytes());
    // Debian 12's stub has a symbol table behind its sections. It is not kept, and must not be pointed at.
    put(&mut image, pe.coff + 8, &[0; 8]);
    put(&mut image, pe.optional + 8, &narrow(initialized)?.to_le_bytes());
    put(&mut image, pe.optional + 56, &narrow(image_size)?.to_le_bytes());
    put(&mut image, pe.optional + 64, &[0; 4]);
    let checksum = checksum(&image);
    put(&mut image, pe.optional + 64, &checksum.to_le_bytes());
    Ok(image)
}

/// All sections of a PE file that have bytes in it.
pub fn sections(image: &[u8]) -> Result<Vec<Section<'_>>, UkiError> {
    Headers::parse(image)?.section_list(image)
}

fn check(stub: &[u8], pe: &Headers, sections: &[NewSection<'_>]) -> Result<(), UkiError> {
    if pe.is_signed(stub) {
        return Err(UkiError::Signed);
    }
    let existing = pe.section_list(stub)?;
    let first_data = pe.first_data(stub).min(u64::from(le32(stub, pe.optional + 60)));
    let table_end = (pe.sections + pe.section_count * SECTION_HEADER) as u64;
    let room = (first_data.saturating_sub(table_end) / SECTION_HEADER as u64) as usize;
    if sections.len() > room || sections.len() + pe.section_count > MAXIMUM_SECTIONS {
        return Err(UkiError::NoHeaderRoom { room, wanted: sections.len() });
    }
    for (index, section) in sections.iter().enumerate() {
        let name = || section.name.to_owned();
        if section.name.is_empty() || section.name.len() > 8 {
            return Err(UkiError::Name { name: name() });
        }
        if section.data.is_empty() {
            return Err(UkiError::Empty { name: name() });
        }
        if existing.iter().any(|one| one.name == section.name)
            || sections[..index].iter().any(|one| one.name == section.name)
        {
            return Err(UkiError::Duplicate { name: name() });
        }
    }
    Ok(())
}

/// Where things are in a PE file.
struct Headers {
    coff: usize,
    optional: usize,
    sections: usize,
    section_count: usize,
    section_alignment: u64,
    file_alignment: u64,
}

impl Headers {
    fn parse(image: &[u8]) -> Result<Self, UkiError> {
        let not = |problem| UkiError::NotPe { problem };
        if image.len() < 64 || &image[..2] != b"MZ" {
            return Err(not("no DOS header"));
        }
        let start = le32(image, 60) as usize;
        let fits =
            |offset: usize, length: usize| offset.checked_add(length).is_some_and(|end| end <= image.len());
        if !fits(start, 24) || &image[start..start + 4] != b"PE\0\0" {
            return Err(not("no PE header"));
        }
        let coff = start + 4;
        let optional = coff + 20;
        let optional_size = usize::from(le16(image, coff + 16));
        if optional_size < 112 || !fits(optional, optional_size) || le16(image, optional) != 0x20B {
            return Err(not("no PE32+ header"));
        }
        let section_count = usize::from(le16(image, coff + 2));
        let sections = optional + optional_size;
        if section_count > MAXIMUM_SECTIONS || !fits(sections, section_count * SECTION_HEADER) {
            return Err(not("section headers beyond the end"));
        }
        let (section_alignment, file_alignment) = (le32(image, optional + 32), le32(image, optional + 36));
        let is_alignment = |value: u32| value.is_power_of_two() && (16..=1 << 20).contains(&value);
        if !is_alignment(section_alignment) || !is_alignment(file_alignment) {
            return Err(not("impossible alignment"));
        }
        Ok(Self {
            coff,
            optional,
            sections,
            section_count,
            section_alignment: u64::from(section_alignment),
            file_alignment: u64::from(file_alignment),
        })
    }

    fn headers<'a>(&self, image: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        image[self.sections..][..self.section_count * SECTION_HEADER].chunks(SECTION_HEADER)
    }

    fn section_list<'a>(&self, image: &'a [u8]) -> Result<Vec<Section<'a>>, UkiError> {
        let mut list = Vec::new();
        for header in self.headers(image) {
            let (size, raw_size, offset) = (le32(header, 8), le32(header, 16), le32(header, 20));
            let length = size.min(raw_size) as usize;
            let name = &header[..header[..8].iter().position(|byte| *byte == 0).unwrap_or(8)];
            let data = (offset as usize)
                .checked_add(length)
                .and_then(|end| image.get(offset as usize..end))
                .ok_or(UkiError::NotPe { problem: "section beyond the end" })?;
            list.push(Section {
                name: String::from_utf8_lossy(name).into_owned(),
                data,
                virtual_address: le32(header, 12),
            });
        }
        Ok(list)
    }

    /// Address behind everything loaded, at least what the stub claims for itself.
    fn image_end(&self, image: &[u8]) -> Result<u64, UkiError> {
        let sections = self
            .headers(image)
            .map(|header| u64::from(le32(header, 12)) + u64::from(le32(header, 8).max(le32(header, 16))));
        Ok(sections.max().unwrap_or(0).max(u64::from(le32(image, self.optional + 56))))
    }

    /// Offset behind the last section's bytes; what follows (debugging symbols) is not loaded and not kept.
    fn file_end(&self, image: &[u8]) -> Result<u64, UkiError> {
        let end = self
            .headers(image)
            .map(|header| u64::from(le32(header, 16)) + u64::from(le32(header, 20)))
            .max()
            .unwrap_or(0);
        if end == 0 || end > image.len() as u64 {
            return Err(UkiError::NotPe { problem: "section beyond the end" });
        }
        Ok(end)
    }

    fn first_data(&self, image: &[u8]) -> u64 {
        self.headers(image)
            .filter(|header| le32(header, 16) > 0)
            .map(|header| u64::from(le32(header, 20)))
            .min()
            .unwrap_or(image.len() as u64)
    }

    /// Whether data directory 4, the certificate table, is in use.
    fn is_signed(&self, image: &[u8]) -> bool {
        let directories = le32(image, self.optional + 108) as usize;
        let certificate = self.optional + 112 + 4 * 8;
        directories > 4 && certificate + 8 <= self.sections && le32(image, certificate + 4) != 0
    }
}

/// The PE checksum: 16-bit words added with carry, plus the length. The checksum's own field must be zero.
fn checksum(image: &[u8]) -> u32 {
    let sum: u64 = image
        .chunks(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 8)
        .sum();
    let mut folded = sum;
    while folded > 0xFFFF {
        folded = (folded & 0xFFFF) + (folded >> 16);
    }
    (folded as u32).wrapping_add(image.len() as u32)
}
