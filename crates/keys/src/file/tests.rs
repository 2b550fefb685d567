//! Laws of key files.

use std::fs;

use super::*;

const PASSPHRASE: &str = "correct horse battery";

fn key() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

fn sealed() -> KeyFile {
    KeyFile::seal("root-anna", &key(), Protection::Passphrase(PASSPHRASE, [1; RANDOM_LENGTH])).expect("seals")
}

fn changed(from: &str, to: &str) -> Result<SecretKey, KeyFileErrorKind> {
    let text = sealed().to_text();
    assert!(text.contains(from), "{from}");
    KeyFile::parse(text.replace(from, to).as_bytes())?.open(Some(PASSPHRASE))
}

#[test]
fn a_key_comes_back_with_its_passphrase_and_with_no_other() {
    let file = KeyFile::parse(sealed().to_text().as_bytes()).expect("parses");
    assert_eq!((file.name(), file.public(), file.is_encrypted()), ("root-anna", key().public(), true));
    let opened = file.open(Some(PASSPHRASE)).expect("opens");
    assert_eq!(opened.sign(b"m").expect("signs"), key().sign(b"m").expect("signs"));
    assert!(matches!(file.open(Some("correct horse batterz")), Err(KeyFileErrorKind::Wrong)));
    assert!(matches!(file.open(Some(&"x".repeat(4096))), Err(KeyFileErrorKind::Wrong)));
    assert!(matches!(file.open(None), Err(KeyFileErrorKind::PassphraseNeeded)));
}

#[test]
fn no_secret_is_in_an_encrypted_file() {
    let text = sealed().to_text();
    assert!(!text.contains(&"09".repeat(16)) && !text.contains(PASSPHRASE));
}

#[test]
fn a_file_whose_public_part_was_changed_does_not_open() {
    assert!(matches!(changed("root-anna", "root-eve"), Err(KeyFileErrorKind::Wrong)));
    let other = SecretKey::from_seed(&[8; 32]).public().to_string();
    assert!(matches!(changed(&key().public().to_string(), &other), Err(KeyFileErrorKind::Wrong)));
}

#[test]
fn a_file_that_asks_for_endless_work_is_refused_before_it_is_done() {
    for (from, to) in [
        ("\"memory_kib\": 65536", "\"memory_kib\": 4000000000"),
        ("\"passes\": 3", "\"passes\": 4000000000"),
        ("\"passes\": 3", "\"passes\": 0"),
        ("argon2id", "none"),
        (&"01".repeat(16), "01"),
    ] {
        assert!(matches!(changed(from, to), Err(KeyFileErrorKind::Parameters(_))), "{from}");
    }
    assert!(matches!(KeyFile::parse(&[b' '; 17 << 10]), Err(KeyFileErrorKind::TooLong)));
    assert!(matches!(KeyFile::parse(b""), Err(KeyFileErrorKind::Empty)));
}

#[test]
fn a_newer_format_is_told_as_such() {
    let found = changed(FORMAT, "ampoule-key-2").expect_err("is refused");
    assert!(found.to_string().contains("has format `ampoule-key-2`"), "{found}");
}

#[test]
fn a_new_file_never_takes_the_place_of_another_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("root.key");
    sealed().write_new(&path).expect("writes");
    assert_eq!(KeyFile::read(&path).expect("reads"), sealed());
    let error = sealed().write_new(&path).expect_err("is refused");
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1);
    #[cfg(unix)]
    assert_eq!(mode_of(&File::open(&path).expect("opens")).expect("a mode"), 0o600);
}

#[test]
fn another_passphrase_replaces_the_file_and_another_key_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("root.key");
    sealed().write_new(&path).expect("writes");
    let again = Protection::Passphrase("another passphrase", [2; RANDOM_LENGTH]);
    KeyFile::seal("root-anna", &key(), again).expect("seals").replace(&path).expect("replaces");
    assert!(KeyFile::read(&path).expect("reads").open(Some("another passphrase")).is_ok());
    let other =
        KeyFile::seal("root-anna", &SecretKey::from_seed(&[8; 32]), Protection::DangerNone).expect("seals");
    assert!(other.replace(&path).is_err());
}

#[cfg(unix)]
#[test]
fn a_key_without_a_passphrase_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("timestamp.key");
    KeyFile::seal("timestamp", &key(), Protection::DangerNone)
        .expect("seals")
        .write_new(&path)
        .expect("writes");
    assert!(KeyFile::read(&path).expect("reads").open(None).is_ok());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("changes");
    let error = KeyFile::read(&path).expect_err("is refused");
    assert!(error.to_string().contains("is not encrypted and has mode 644"), "{error}");
}

#[test]
fn weak_passphrases_and_names_that_can_not_be_shown_are_refused() {
    let seal = |name: &str, passphrase: &str| {
        KeyFile::seal(name, &key(), Protection::Passphrase(passphrase, [1; RANDOM_LENGTH]))
    };
    assert!(matches!(seal("a", "short"), Err(KeyFileErrorKind::WeakPassphrase)));
    for name in ["", "a\nb", &"x".repeat(65)] {
        assert!(matches!(seal(name, PASSPHRASE), Err(KeyFileErrorKind::Name)), "{name}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let _ = KeyFile::parse(&bytes);
    }
}
