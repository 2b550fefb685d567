//! What packages say about themselves, as one archive beside the image: licences, changelogs, kernel options.
//!
//! An image does not carry them, but its readers need them: who may do what with the code, and what changed.

use std::io::{self, Read};

use tree::ContentSource;

use crate::base::Document;

/// zstd level: most documents are compressed already, so a higher one gains nothing.
const LEVEL: i32 = 3;

/// A tar archive, zstd, of `PACKAGE/NAME` in the order of packages and paths. Nothing in it varies: owner and time are 0.
pub fn archive(documents: &[Document], contents: &dyn ContentSource) -> io::Result<Vec<u8>> {
    let mut sorted: Vec<&Document> = documents.iter().collect();
    sorted.sort_by(|one, other| (&one.package, &one.path).cmp(&(&other.package, &other.path)));
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    for document in sorted {
        let mut bytes = Vec::with_capacity(document.content.size as usize);
        contents.open(&document.content)?.read_to_end(&mut bytes)?;
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_mtime(0);
        let name = format!("{}/{}", document.package, document.path.name());
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tree::Content;

    use super::*;

    struct Same;

    impl ContentSource for Same {
        fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
            Ok(Box::new(Cursor::new(vec![b'x'; content.size as usize])))
        }
    }

    #[test]
    fn the_archive_does_not_depend_on_the_order_documents_are_found_in() {
        let document = |package: &str, name: &str| Document {
            package: package.to_owned(),
            path: format!("usr/share/doc/{package}/{name}").parse().unwrap(),
            content: Content { sha256: model::Sha256Digest([0; 32]), size: 3 },
        };
        let mut documents =
            vec![document("b", "copyright"), document("a", "copyright"), document("a", "changelog.gz")];
        let bytes = archive(&documents, &Same).unwrap();
        documents.reverse();
        assert_eq!(archive(&documents, &Same).unwrap(), bytes);
        let plain = zstd::decode_all(bytes.as_slice()).unwrap();
        let names: Vec<String> = tar::Archive::new(plain.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a/changelog.gz", "a/copyright", "b/copyright"]);
    }
}
