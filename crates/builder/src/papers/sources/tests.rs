//! Tests of the module above, with texts of the shapes that are met.

use super::*;

const TEXT: &str = "[appliance]\nvendor = \"acme\"\nname = \"shop\"\ntitle = \"Shop\"\nversion = \"1.0.0\"\n\
    summary = \"A shop\"\n[base]\nsuite = \"trixie\"\n[[files]]\nsource = \"site\"\ntarget = \"/srv/www\"\n\
    [units]\nadd = [\"shop.service\"]\n[sbom]\nmerge = [\"app.cdx.json\"]\n# the maker's words\n";

fn lay(folder: &Path) -> Definition {
    fs::create_dir_all(folder.join("site/empty")).unwrap();
    fs::write(folder.join("site/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("site/run"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("run", folder.join("site/link")).unwrap();
    for name in ["shop.service", "app.cdx.json", "site/index.html", "not-named"] {
        fs::write(folder.join(name), name).unwrap();
    }
    model::parse(TEXT).expect("parses").definition
}

#[test]
fn an_archive_has_what_the_definition_names_and_gives_the_same_bytes_again() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let definition = lay(first.path());
    let bytes = archive(&definition, TEXT, first.path()).unwrap();
    unpack(bytes.as_slice(), second.path()).unwrap();
    let read = |name: &str| fs::read_to_string(second.path().join(name)).unwrap();
    assert_eq!(read(DEFINITION), TEXT);
    assert_eq!(read("site/index.html"), "site/index.html");
    assert_eq!(fs::read_link(second.path().join("site/link")).unwrap(), Path::new("run"));
    assert!(second.path().join("site/empty").is_dir());
    assert!(!second.path().join("not-named").exists());
    assert_eq!(fs::metadata(second.path().join("site/run")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(archive(&definition, TEXT, second.path()).unwrap(), bytes);
}

fn made(add: impl FnOnce(&mut tar::Builder<zstd::Encoder<'static, Vec<u8>>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    add(&mut builder);
    builder.into_inner().unwrap().finish().unwrap()
}

/// A header whose name is not checked by the library that writes it.
fn raw_header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = plain_header(0o644, size);
    header.set_entry_type(kind);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    header
}

#[test]
fn a_strangers_archive_writes_nothing_outside_of_its_folder() {
    for name in ["../escaped", "a/../../escaped", "..", ""] {
        let bytes =
            made(|builder| builder.append(&raw_header(name, tar::EntryType::Regular, 1), &b"x"[..]).unwrap());
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("in");
        fs::create_dir(&folder).unwrap();
        assert!(unpack(bytes.as_slice(), &folder).is_err(), "{name}");
        assert!(!outer.path().join("escaped").exists());
    }
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("in");
    fs::create_dir(&folder).unwrap();
    let bytes = made(|builder| {
        let mut header = plain_header(0o777, 0);
        header.set_entry_type(tar::EntryType::Symlink);
        builder.append_link(&mut header, "way", "..").unwrap();
        builder.append_data(&mut plain_header(0o644, 1), "way/escaped", &b"x"[..]).unwrap();
    });
    assert!(unpack(bytes.as_slice(), &folder).is_err());
    assert!(!outer.path().join("escaped").exists());
    let device =
        made(|builder| builder.append(&raw_header("dev", tar::EntryType::Char, 0), io::empty()).unwrap());
    assert!(matches!(unpack(device.as_slice(), &folder), Err(SourcesError::Damaged { .. })));
    assert!(unpack(&b"nothing"[..], &folder).is_err());
}
