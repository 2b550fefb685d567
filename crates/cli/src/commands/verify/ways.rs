//! What leads to a release: full images and patches. Their headers say where; applying them shows it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use depot::bundle::Opened;
use depot::unpack::{UnpackError, Wanted, follow};
use depot::ways::ImageFiles;
use model::{ByteSize, Sha256Digest};
use patch::{HEADER_LENGTH, Header};
use release::index::{PatchRef, object_path};
use release::verify::{Link, chain};
use release::{IndexedRelease, ReleaseFolder, ReleaseId, Statement, names};
use sha2::{Digest, Sha256};

use crate::commands::ledger::read_statement;
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Where the objects are.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    Bundle(&'a Opened),
    /// A depot's folder.
    Folder(&'a Path),
}

/// The ways to releases whose statements were read.
pub struct Ways<'a> {
    pub source: Source<'a>,
    pub releases: &'a [(IndexedRelease, Statement)],
    /// What to do when one is wrong.
    pub again: &'a str,
}

impl Source<'_> {
    /// An object as a stream.
    fn open(self, digest: &Sha256Digest) -> Result<Box<dyn Read>, String> {
        let path = object_path(digest);
        let absent = || format!("there is no {path}");
        match self {
            Self::Bundle(opened) => {
                let stream = opened.stream(&path).map_err(|error| chain(&error))?.ok_or_else(absent)?;
                Ok(Box::new(stream))
            }
            Self::Folder(folder) => match File::open(folder.join(&path)) {
                Ok(file) => Ok(Box::new(BufReader::new(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(absent()),
                Err(error) => Err(format!("{path} can not be read: {error}")),
            },
        }
    }
}

/// A stream, and the digest of what went through.
struct Hashed<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }
}

impl Ways<'_> {
    /// What the headers say: claims that an appliance compares with what comes out.
    pub fn said(&self) -> Vec<Link> {
        let said = |(entry, statement): &(IndexedRelease, Statement)| {
            entry.patches.iter().map(|way| self.leads(way, entry, statement)).collect::<Vec<_>>()
        };
        self.releases.iter().flat_map(said).collect()
    }

    /// Applies all of them, in a folder that goes away again: from the full images that are there, from what patches made of those, and from
    /// `others`, release folders.
    pub fn applied(&self, others: &[PathBuf], printer: &Printer) -> Result<Vec<Link>, Failure> {
        let folder = tempfile::tempdir().map_err(|error| Failure::from_error(Fault::Environment, &error))?;
        let mut images: BTreeMap<ReleaseId, ImageFiles> = BTreeMap::new();
        for other in others {
            let (id, image) = image_of(other)?;
            images.insert(id, image);
        }
        let mut links = Vec::new();
        for (entry, statement) in self.releases {
            // A patch can begin with what the full image made.
            let mut ways: Vec<&PatchRef> = entry.patches.iter().collect();
            ways.sort_by_key(|way| way.from.is_some());
            let mut open = Vec::new();
            for way in ways {
                let link = self.link(way, entry);
                let from = match way.from.map(|from| images.get(&from).ok_or(from)) {
                    None => None,
                    Some(Ok(image)) => Some(image),
                    Some(Err(_)) => {
                        open.push(link);
                        continue;
                    }
                };
                printer.passing(&link.what);
                let to = ImageFiles {
                    root: folder.path().join("new.root"),
                    uki: folder.path().join("new.uki"),
                    facts: statement.image.clone(),
                };
                let followed = self
                    .follow(way, from, statement, &to)
                    .map_err(|failure| failure.unchanged("verifying changes nothing"))?;
                let is_new = followed.is_ok() && !images.contains_key(&entry.id());
                links.push(match followed {
                    Ok(()) => link.by("what it makes"),
                    Err(why) => link.wrong(why, self.again),
                });
                if is_new {
                    let kept = |name: &str| folder.path().join(format!("{}.{name}", entry.id()));
                    let image = ImageFiles { root: kept("root"), uki: kept("uki"), ..to };
                    let moved = fs::rename(folder.path().join("new.root"), &image.root)
                        .and_then(|()| fs::rename(folder.path().join("new.uki"), &image.uki));
                    moved.map_err(|error| Failure::from_error(Fault::Environment, &error))?;
                    images.insert(entry.id(), image);
                }
            }
            // What leads here from elsewhere is for who is there, as long as something leads here.
            let is_made = images.contains_key(&entry.id());
            let why = "the image that it is made from is not here: name its release folder with `--from`";
            links.extend(open.into_iter().map(|link| link.not_proven(why, !is_made)));
        }
        printer.clear();
        Ok(links)
    }

    /// Follows one way. The inner error is about the way, the outer one about this machine.
    fn follow(
        &self,
        way: &PatchRef,
        from: Option<&ImageFiles>,
        statement: &Statement,
        to: &ImageFiles,
    ) -> Result<Result<(), String>, Failure> {
        let stream = match self.source.open(&way.object.sha256) {
            Ok(stream) => stream,
            Err(why) => return Ok(Err(why)),
        };
        let mut stream = Hashed { inner: stream.take(way.object.size + 1), hasher: Sha256::new() };
        let wanted = Wanted::new(&statement.image, Some(statement.uki.sha256), &statement.documents);
        let path = object_path(&way.object.sha256);
        let followed = follow(path.as_ref(), &mut stream, from, wanted, to, &mut |_, _| ());
        if let Err(error @ (UnpackError::Write { .. } | UnpackError::From(_))) = &followed {
            return Err(Failure::from_error(Fault::Environment, error));
        }
        // Where it was given up, the rest tells whether the object is another one.
        if let Err(error) = io::copy(&mut stream, &mut io::sink()) {
            return Ok(Err(format!("{path} can not be read: {error}")));
        }
        let found = Sha256Digest(stream.hasher.finalize().into());
        Ok(match followed {
            _ if found != way.object.sha256 => {
                Err(format!("{path} has not the content it should have: its SHA-256 is {found}"))
            }
            Ok(()) => Ok(()),
            Err(error) => Err(chain(&error)),
        })
    }

    fn link(&self, way: &PatchRef, entry: &IndexedRelease) -> Link {
        let what = match way.from {
            None => format!("full image of {}", entry.version),
            Some(id) => match self.releases.iter().find(|(entry, _)| entry.id() == id) {
                Some((from, _)) => format!("patch from {} to {}", from.version, entry.version),
                None => format!("patch from release {id} to {}", entry.version),
            },
        };
        // For appliances with less memory there is a second one.
        let is_one_of_two = entry.patches.iter().filter(|other| other.from == way.from).count() > 1;
        let memory = match is_one_of_two {
            true => format!(", with {} of memory", ByteSize(way.memory)),
            false => String::new(),
        };
        Link::ok(what + &memory, "root hash and kernel image of the statement")
    }

    /// A way to a release: what its header says.
    fn leads(&self, way: &PatchRef, entry: &IndexedRelease, statement: &Statement) -> Link {
        let link = self.link(way, entry);
        let header = self.source.open(&way.object.sha256).and_then(|stream| {
            Header::read(&mut stream.take(HEADER_LENGTH as u64)).map_err(|error| chain(&error))
        });
        let header = match header {
            Ok(header) => header,
            Err(why) => return link.wrong(why, self.again),
        };
        let is_of = |image: &patch::Described, statement: &Statement| {
            (image.root_hash, image.root_size) == (statement.image.root_hash, statement.image.root_size)
                && (image.uki_sha256, image.uki_size) == (statement.uki.sha256, statement.uki.size)
        };
        let from = way.from.map(|id| self.releases.iter().find(|(entry, _)| entry.id() == id));
        let comes_from = match (&header.old, from) {
            (None, None) => true,
            (Some(old), Some(Some((_, statement)))) => is_of(old, statement),
            // A patch from a release that is not here: its statement is where the patch is applied.
            (Some(_), Some(None)) => true,
            _ => false,
        };
        match (is_of(&header.new, statement), comes_from) {
            (false, _) => link.wrong("it says that it leads to another image", self.again),
            (true, false) => link.wrong("it says that it comes from another image", self.again),
            (true, true) => link.not_proven(
                "it says so; whoever applies it compares what it makes with the root hash; `--apply` does it here",
                false,
            ),
        }
    }
}

/// The image in a release folder. Its bytes are what patches are applied to: another image gives another root hash.
fn image_of(folder: &Path) -> Result<(ReleaseId, ImageFiles), Failure> {
    let wrong = |error: release::ReleaseError| Failure::from_error(Fault::User, &error);
    let id = read_statement(folder)?.id();
    let release = ReleaseFolder::open(folder).map_err(wrong)?;
    let image = ImageFiles {
        root: release.artifact(names::ROOT).map_err(wrong)?,
        uki: release.uki().map_err(wrong)?,
        facts: release.manifest().image.clone(),
    };
    Ok((id, image))
}
