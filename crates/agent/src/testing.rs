//! Values that tests of this crate share.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::process::Command;

use model::Definition;
use model::settings::{Kind, Setting};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// A port on which nobody listens, and what keeps it from anyone else while the test runs: bound, never listening.
pub fn silent_port() -> (u16, OwnedFd) {
    let held = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = SocketAddr::try_from(getsockname(&held).expect("bound")).expect("an internet address");
    (address.port(), held)
}

/// A definition as sealed, from JSON with only what a test is about.
pub fn definition(changes: serde_json::Value) -> Definition {
    let mut value = serde_json::json!({
        "appliance": {"vendor": "example", "name": "shop", "title": "Example Shop", "version": "1.4.0", "summary": "Sells.",
            "contact": "help@example.org", "url": null, "end-of-support": null},
        "base": {"suite": "trixie", "extra-suites": [], "components": ["main"], "packages": [], "kernel": "linux-image-cloud-amd64",
            "architecture": "amd64", "mirror": null, "security-mirror": null, "recommends": false},
        "files": [], "users": [], "units": {"add": [], "enable": [], "disable": [], "mask": [], "unhardened": []},
        "templates": [], "settings": [], "settings-check": null, "ports": [], "state": [], "health": [],
        "trim": {"keep": [], "rules": []}, "resources": {"memory": 1u64 << 30, "cpus": 1, "data": 2u64 << 30}
    });
    let fields = changes.as_object().expect("BUG: the test gives an object").clone();
    value.as_object_mut().expect("an object").extend(fields);
    serde_json::from_value(value).expect("BUG: the test's definition does not fit the types")
}

fn setting(name: &str, kind: Kind) -> Setting {
    Setting {
        name: name.to_owned(),
        title: name.to_owned(),
        help: String::new(),
        kind,
        default: None,
        generate: None,
        optional: false,
        was: Vec::new(),
        restarts: Vec::new(),
        reloads: Vec::new(),
    }
}

/// A text setting with a pattern.
pub fn string(name: &str, pattern: &str) -> Setting {
    setting(name, Kind::String { pattern: Some(pattern.to_owned()), min_length: None, max_length: None })
}

/// A secret of at least eight characters.
pub fn secret(name: &str) -> Setting {
    setting(name, Kind::Secret { min_length: Some(8), max_length: None })
}

/// A certificate with its key, made by the appliance.
pub fn certificate_with_key() -> [Setting; 2] {
    let mut certificate = setting("certificate", Kind::Certificate { key: Some("key".to_owned()) });
    certificate.generate = Some(model::settings::Generate::SelfSigned);
    [certificate, setting("key", Kind::PrivateKey)]
}

/// An ISO 9660 disk with these files, as genisoimage makes it.
pub fn iso_disk(label: &str, files: &[(&str, &[u8])], extensions: &[&str]) -> tempfile::NamedTempFile {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("written");
    }
    let image = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let mut command = Command::new("genisoimage");
    command.args(["-quiet", "-V", label]).args(extensions).arg("-o").arg(image.path()).arg(folder.path());
    run(&mut command, "genisoimage");
    image
}

/// A FAT disk with these files, as mkfs.vfat and mcopy make it. `kind`: 12, 16 or 32.
pub fn fat_disk(bytes: u64, kind: &str, label: &str, files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
    let disk = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    disk.as_file().set_len(bytes).expect("sized");
    run(Command::new("mkfs.vfat").args(["-F", kind, "-n", label]).arg(disk.path()), "dosfstools");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for (name, content) in files {
        let source = folder.path().join(name);
        std::fs::write(&source, content).expect("written");
        let target = format!("::{name}");
        run(Command::new("mcopy").arg("-i").arg(disk.path()).arg(source).arg(target), "mtools");
    }
    disk
}

fn run(command: &mut Command, package: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("install {package}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
