//! Reading a `.deb`: an `ar` archive of `control.tar.*` and `data.tar.*` (deb(5)).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};
use std::path::Path;

use crate::base::BaseError;

/// Most bytes of all control files together. Stops a control archive that unpacks without end.
pub const MAX_CONTROL: u64 = 64 << 20;

/// Most control files. Stops an archive of endless empty files.
pub const MAX_CONTROL_FILES: usize = 256;

/// Most memory the decoder may take for one archive. Stops a package that asks for a dictionary of gigabytes.
pub const MAX_DECODER_MEMORY: u64 = 512 << 20;

const AR_MAGIC: &[u8] = b"!<arch>\n";
const AR_HEADER: usize = 60;

/// An opened package, its control files read, its data not yet.
pub struct Deb {
    /// `control`, `postinst`, `conffiles`, ... by name.
    pub control: BTreeMap<String, ControlFile>,
    data: Box<dyn Read + Send>,
}

/// One file of the control archive.
#[derive(Clone, Debug)]
pub struct ControlFile {
    /// Content.
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

impl Deb {
    /// Opens the package and reads its control files.
    pub fn open(path: &Path) -> Result<Self, BaseError> {
        let read = |source| BaseError::ArchiveRead { deb: path.to_owned(), source };
        let bad = |reason: &str| BaseError::Archive { deb: path.to_owned(), reason: reason.into() };
        let mut file = File::open(path).map_err(read)?;
        let mut magic = [0; 8];
        file.read_exact(&mut magic).map_err(read)?;
        if magic != AR_MAGIC {
            return Err(bad("it is not an ar archive"));
        }
        let mut control = None;
        loop {
            let Some((name, size)) = member(&mut file).map_err(read)? else {
                return Err(bad("it has no data archive"));
            };
            let start = file.stream_position().map_err(read)?;
            if name == "debian-binary" {
                let mut version = String::new();
                (&mut file).take(size.min(64)).read_to_string(&mut version).map_err(read)?;
                if !version.starts_with("2.") {
                    return Err(bad("its format version is not 2"));
                }
            } else if name.starts_with("control.tar") {
                let decoder = decoder(&name, file.try_clone().map_err(read)?.take(size)).map_err(read)?;
                control = Some(read_control(decoder).map_err(read)?);
            } else if name.starts_with("data.tar") {
                let control = control.ok_or_else(|| bad("its data come before its control files"))?;
                let data = decoder(&name, file.take(size)).map_err(read)?;
                return Ok(Self { control, data });
            } else if !name.starts_with('_') {
                return Err(bad("it has an unknown part"));
            }
            // Parts are padded to even offsets.
            file.seek(SeekFrom::Start(start + size + size % 2)).map_err(read)?;
        }
    }

    /// The data archive.
    pub fn into_data(self) -> tar::Archive<Box<dyn Read + Send>> {
        tar::Archive::new(self.data)
    }
}

/// Name and size of the next part; `None` at the end.
fn member(file: &mut File) -> io::Result<Option<(String, u64)>> {
    let mut header = [0; AR_HEADER];
    let mut filled = 0;
    while filled < AR_HEADER {
        match file.read(&mut header[filled..])? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => filled += more,
        }
    }
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "an ar header is malformed");
    let text = std::str::from_utf8(&header).map_err(|_| bad())?;
    let name = text.get(..16).ok_or_else(bad)?.trim_end().trim_end_matches('/');
    let size = text.get(48..58).ok_or_else(bad)?.trim_end().parse().map_err(|_| bad())?;
    if !text.ends_with("`\n") {
        return Err(bad());
    }
    Ok(Some((name.to_owned(), size)))
}

fn decoder(name: &str, part: Take<File>) -> io::Result<Box<dyn Read + Send>> {
    let input = BufReader::with_capacity(1 << 18, part);
    Ok(match name.rsplit('.').next() {
        Some("tar") => Box::new(input),
        Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Some("xz") => Box::new(xz_decoder(input)?),
        Some("zst") => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "a part has an unknown compression")),
    })
}

/// Decodes one `.xz` stream within [`MAX_DECODER_MEMORY`].
pub(super) fn xz_decoder<R: io::BufRead>(input: R) -> io::Result<liblzma::bufread::XzDecoder<R>> {
    let stream =
        liblzma::stream::Stream::new_stream_decoder(MAX_DECODER_MEMORY, liblzma::stream::CONCATENATED)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(input, stream))
}

fn read_control(decoder: Box<dyn Read + Send>) -> io::Result<BTreeMap<String, ControlFile>> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(decoder.take(MAX_CONTROL));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.into_owned();
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "a control file has a strange name");
        let name = path.strip_prefix(".").unwrap_or(&path).to_str().ok_or_else(bad)?.to_owned();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        if name.is_empty()
            || name.starts_with('.')
            || !name.bytes().all(is_plain)
            || files.len() >= MAX_CONTROL_FILES
        {
            return Err(bad());
        }
        let mode = entry.header().mode()? & 0o777;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(name, ControlFile { bytes, mode });
    }
    Ok(files)
}
