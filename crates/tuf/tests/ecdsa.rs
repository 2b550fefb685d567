//! Keys of devices: `openssl` makes them and signs behind a command, side by side with keys of ours.

use std::collections::BTreeMap;
use std::process::Command;

use keys::command::CommandSigner;
use keys::ecdsa::EcdsaKey;
use keys::role::RoleSign as _;
use keys::{SecretKey, Sign as _};
use serde_json::{Value, json};
use tuf::client::{trust_root, update};
use tuf::metadata::{Root, Targets, TopRole};
use tuf::repository::{Changes, Freshness, Partial, Repository, SigningError, Stage, Unsigned};
use tuf::{Key, Limits, RoleName, Time};

/// 2026-11-26.
const NOW: Time = Time(1_795_694_400);
/// RFC 6979, A.2.5.
const PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7
Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==
-----END PUBLIC KEY-----
";

/// A key in a folder, as if it were in a device.
struct Device {
    signer: CommandSigner<EcdsaKey>,
    _folder: tempfile::TempDir,
}

impl Device {
    fn new() -> Self {
        Self::that("openssl dgst -sha256 -sign $KEY")
    }

    fn that(signs: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.pem");
        let script = "openssl ecparam -name prime256v1 -genkey -noout -out $0 && openssl pkey -in $0 -pubout";
        let made = Command::new("sh").args(["-c", script]).arg(&path).output().expect("openssl is installed");
        let public = EcdsaKey::from_pem(&String::from_utf8_lossy(&made.stdout)).expect("a key");
        let script = format!("KEY={}; {signs}", path.display());
        Self { signer: CommandSigner::new(public, "sh", ["-c".to_owned(), script]), _folder: folder }
    }
}

fn person() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

/// Two of two, of two kinds; another device is online.
fn root(device: &Device, online: &Device) -> Root {
    let mut root = Root::new(NOW.plus_days(365))
        .with_key(TopRole::Snapshot, online.signer.role_key())
        .with_key(TopRole::Timestamp, online.signer.role_key());
    for role in [TopRole::Root, TopRole::Targets] {
        let both = root.with_key(role, person().public()).with_key(role, device.signer.role_key());
        root = both.with_threshold(role, 2);
    }
    root
}

#[test]
fn a_key_is_written_as_securesystemslib_writes_it() {
    let key = Key::of(EcdsaKey::from_pem(PEM).expect("a key"));
    let written = json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": PEM}});
    assert_eq!(serde_json::to_value(&key).expect("JSON"), written);
    // `SSlibKey.from_crypto` of securesystemslib 1.3.
    assert_eq!(key.id().as_str(), "716d622ec609eff48475645919645bb30ef604f59a69c764608fb64272dd5fe5");
    assert_eq!(serde_json::from_value::<Key>(written).expect("reads"), key);
}

#[test]
fn a_client_follows_a_repository_of_keys_of_two_kinds() {
    let (device, online) = (Device::new(), Device::new());
    let stage = Unsigned::root(None, root(&device, &online)).expect("follows").sign(&device.signer);
    // Carried from the device's keeper to the other person.
    let stage = Partial::read_root(stage.expect("signs").bytes(), None).expect("reads");
    let missing = stage.missing();
    assert_eq!((missing[0].needed, &missing[0].keys), (1, &vec![Key::of(person().public()).id()]));
    let first = stage.sign(&person()).expect("signs").complete().expect("two signed");

    let targets = Targets::new(NOW.plus_days(90));
    let targets = Unsigned::top_level(first.body(), targets).sign_by(&[&person(), &device.signer]);
    let changes = Changes { roots: vec![], targets: vec![(RoleName::targets(), targets.expect("signs"))] };
    let freshness = Freshness {
        snapshot: &[&online.signer],
        timestamp: &[&online.signer],
        snapshot_expires: NOW.plus_days(7),
        timestamp_expires: NOW.plus_days(1),
        renew_snapshot: false,
    };
    let renewed = Repository::new(first.clone()).renew(changes, freshness);
    let mut files = BTreeMap::<String, Vec<u8>>::new();
    renewed.expect("renews").1.write(&mut files).expect("writes");

    let sees = |files: &BTreeMap<String, Vec<u8>>| {
        let mut store = BTreeMap::new();
        trust_root(&mut store, first.bytes())?;
        update(&mut store, &mut files.clone(), Limits::DEFAULT, NOW).map(|updated| updated.targets().version)
    };
    assert_eq!(sees(&files).expect("updates"), 1);
    // The device's signature is needed, and has to be good.
    let name = "1.targets.json";
    let mut value: Value = serde_json::from_slice(&files[name]).expect("JSON");
    let device_id = Key::of(device.signer.role_key()).id();
    let signatures = value["signatures"].as_array_mut().expect("an array");
    let other = signatures.iter().find(|one| one["keyid"] != device_id.as_str()).expect("two")["sig"].clone();
    signatures.iter_mut().find(|one| one["keyid"] == device_id.as_str()).expect("two")["sig"] = other;
    files.insert(name.to_owned(), value.to_string().into_bytes());
    assert!(sees(&files).is_err());
}

#[test]
fn a_key_in_two_spellings_counts_once() {
    let device = Device::new();
    let spelled = json!({
        "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256",
        "keyval": {"public": device.signer.role_key().to_string().trim_end()},
    });
    let other: Key = serde_json::from_value(spelled).expect("reads");
    assert_ne!(other.id(), Key::of(device.signer.role_key()).id());
    let both = |root: Root| {
        let root = root.with_any_key(TopRole::Root, other.clone()).with_threshold(TopRole::Root, 2);
        TopRole::ALL.into_iter().fold(root, |root, role| root.with_key(role, device.signer.role_key()))
    };
    let unsigned = Unsigned::root(None, both(Root::new(NOW.plus_days(1)))).expect("follows");
    let Stage::Partial(partial) = unsigned.sign(&device.signer).expect("signs") else {
        panic!("one key signed, and it takes two");
    };
    // Signing again, with another signature, is no second one either.
    let stage = partial.sign(&device.signer).expect("signs");
    assert_eq!((stage.missing()[0].needed, stage.signed_by().len()), (1, 2));
    assert!(stage.complete().is_err());
}

#[test]
fn who_signs_something_else_or_nothing_is_told_by_the_id_of_the_key() {
    let device = Device::that("echo something else | openssl dgst -sha256 -sign $KEY");
    let unsigned = Unsigned::root(None, root(&device, &device)).expect("follows");
    let Err(SigningError::Signer { key, source }) = unsigned.clone().sign(&device.signer) else {
        panic!("it signed something else");
    };
    assert_eq!(key, Key::of(device.signer.role_key()).id());
    assert!(source.to_string().contains("signed with another key than this one, or something else"));

    let stranger = Device::new();
    let error = unsigned.sign(&stranger.signer).expect_err("has no say");
    let id = Key::of(stranger.signer.role_key()).id();
    assert_eq!(error.to_string(), format!("the key {id} has no say in this document"));
}
