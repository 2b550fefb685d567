//! ECDSA keys of a program that is not ours: `openssl` makes them, and signs behind a command as a device would.
#![cfg(feature = "signers")]

use std::path::{Path, PathBuf};
use std::process::Command;

use keys::command::CommandSigner;
use keys::ecdsa::{EcdsaKey, NoEcdsaKey};
use keys::file::KeyFileErrorKind;
use keys::role::{RoleKey, RoleSign as _};
use keys::stored::{CommandFile, StoredKey, read_public};

const MESSAGE: &[u8] = b"a document";

struct Device(tempfile::TempDir);

impl Device {
    fn new() -> Self {
        let device = Self(tempfile::tempdir().expect("a folder"));
        device.openssl("ecparam -name prime256v1 -genkey -noout -out key.pem");
        device.openssl("pkey -in key.pem -pubout -out public.pem");
        device
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split(' ')).current_dir(self.0.path()).output();
        let output = output.expect("openssl is installed");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn public(&self) -> EcdsaKey {
        let text = std::fs::read_to_string(self.path("public.pem")).expect("reads");
        EcdsaKey::from_pem(&text).expect("a key")
    }

    /// Signs behind a script that finds `$KEY`.
    fn sign(&self, script: &str) -> Result<Vec<u8>, String> {
        let script = format!("KEY={}; {script}", self.path("key.pem").display());
        let signer = CommandSigner::new(self.public(), "sh", ["-c", &script]);
        assert_eq!(signer.role_key(), RoleKey::EcdsaP256(self.public()));
        signer.sign_document(MESSAGE).map_err(|error| error.to_string())
    }
}

/// r and s of a signature in DER, as PKCS#11 has them.
fn raw_of(der: &[u8]) -> Vec<u8> {
    let (r, rest) = der[4..].split_at(usize::from(der[3]));
    let number = |digits: &[u8]| {
        let digits = &digits[digits.len().saturating_sub(32)..];
        [&vec![0; 32 - digits.len()], digits].concat()
    };
    [number(r), number(&rest[2..])].concat()
}

#[test]
fn der_and_raw_and_their_base64_are_signatures_of_the_key() {
    let device = Device::new();
    let sign = "openssl dgst -sha256 -sign $KEY";
    let der = device.sign(sign).expect("signs");
    assert!(device.public().verifies(MESSAGE, &der));
    for base64 in ["base64", "base64 -A"] {
        let signature = device.sign(&format!("{sign} | openssl {base64}")).expect("signs");
        assert!(device.public().verifies(MESSAGE, &signature));
    }
    let raw = device.path("raw");
    std::fs::write(&raw, raw_of(&der)).expect("writes");
    assert_eq!(raw_of(&der).len(), 64);
    assert_eq!(device.sign(&format!("cat {}", raw.display())), Ok(der.clone()));
    assert_eq!(device.sign(&format!("openssl base64 -in {}", raw.display())), Ok(der));
    // Two signatures over one message are two, and both good.
    assert_ne!(device.sign(sign).expect("signs"), device.sign(sign).expect("signs"));
}

#[test]
fn the_command_is_told_which_key_is_meant() {
    let device = Device::new();
    let public = device.path("public.pem");
    let same = format!("printf %s \"$AMPOULE_PUBLIC_KEY\" | cmp - {} >&2", public.display());
    let script = format!("{same} && openssl dgst -sha256 -sign $KEY");
    device.sign(&script).expect("it is openssl's text, byte by byte");
}

#[test]
fn what_does_not_verify_is_no_signature_whatever_it_looks_like() {
    let device = Device::new();
    let refusal = |script: &str| device.sign(script).expect_err("is refused");
    device.openssl("ecparam -name prime256v1 -genkey -noout -out other.pem");
    let stranger = format!("openssl dgst -sha256 -sign {}", device.path("other.pem").display());
    for script in [
        "echo another | openssl dgst -sha256 -sign $KEY",
        "openssl dgst -sha384 -sign $KEY",
        &stranger,
        "head -c 64 /dev/zero",
    ] {
        let said = refusal(script);
        assert!(said.contains("signed with another key than this one, or something else"), "{said}");
    }
    for garbage in ["echo garbage", "true", "head -c 63 /dev/zero", "openssl dgst -sha256 -binary"] {
        let said = refusal(garbage);
        assert!(said.contains("printed no signature: DER, or the 64 bytes of r and s"), "{said}");
    }
}

#[test]
fn a_file_of_an_ecdsa_key_signs_for_roles_and_signs_no_note() {
    let device = Device::new();
    let secret = device.path("key.pem").display().to_string();
    let command = ["openssl", "dgst", "-sha256", "-sign", &secret].map(str::to_owned).to_vec();
    let path = device.path("device.key");
    CommandFile::new("device", device.public(), command).expect("a file").write_new(&path).expect("writes");
    let stored = StoredKey::read(&path).expect("reads");
    assert_eq!(stored.key(), device.public().into());
    for named in [path, device.path("public.pem")] {
        assert_eq!(read_public(&named).expect("reads"), device.public().into());
    }
    let signature = stored.role_signer(None).expect("opens").sign_document(MESSAGE).expect("signs");
    assert!(stored.key().verifies(MESSAGE, &signature));
    assert!(matches!(stored.note_signer(None), Err(KeyFileErrorKind::NotForNotes)));
}

#[test]
fn other_keys_of_openssl_are_told_for_what_they_are() {
    let device = Device::new();
    let refusal = |path: &Path| match read_public(path).expect_err("is refused").kind {
        KeyFileErrorKind::Public(kind) => kind,
        other => panic!("another refusal: {other}"),
    };
    for (make, expected) in [
        ("genpkey -algorithm ed25519", NoEcdsaKey::Ed25519),
        ("genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048", NoEcdsaKey::Rsa),
        ("genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-384", NoEcdsaKey::OtherCurve),
        ("genpkey -algorithm x25519", NoEcdsaKey::OtherKind),
    ] {
        device.openssl(&format!("{make} -out secret.pem"));
        device.openssl("pkey -in secret.pem -pubout -out other.pem");
        assert_eq!(refusal(&device.path("other.pem")), expected, "{make}");
        assert_eq!(refusal(&device.path("secret.pem")), NoEcdsaKey::Secret, "{make}");
    }
    device.openssl("ec -pubin -in public.pem -conv_form compressed -out compressed.pem");
    assert_eq!(refusal(&device.path("compressed.pem")), NoEcdsaKey::OtherForm);
    device.openssl("ec -pubin -in compressed.pem -conv_form uncompressed -out again.pem");
    assert_eq!(read_public(&device.path("again.pem")).expect("reads"), device.public().into());
    // The one form of a key is OpenSSL's, byte by byte.
    let text = std::fs::read_to_string(device.path("public.pem")).expect("reads");
    assert_eq!(device.public().to_pem(), text);
}
