//! Notes: examples of the specification, and what is refused.

use keys::{SecretKey, Sign};
use proptest::prelude::*;

use super::*;

/// The example of c2sp.org/signed-note.
const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn key(text: &str) -> VerifierKey {
    text.parse().expect("a verifier key")
}

fn named(name: &str) -> KeyName {
    name.parse().expect("a name")
}

fn signed(text: &str, signers: &[&NoteSigner<'_>]) -> Note {
    let mut note = Note::new(text.into()).expect("a text");
    for signer in signers {
        note.add(signer.sign(text).expect("signs"));
    }
    note
}

#[test]
fn the_example_of_the_specification_verifies() {
    let note = Note::parse(NOTE.as_bytes()).expect("reads");
    let key = key(VKEY);
    assert_eq!(note.verify([&key]), Ok(vec![Verified { key: &key, time: None }]));
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.to_bytes(), NOTE.as_bytes());
    assert_eq!(key.to_string(), VKEY);
}

#[test]
fn every_changed_byte_of_a_note_is_noticed() {
    let key = key(VKEY);
    for at in 0..NOTE.len() {
        for bit in 0..8 {
            let mut bytes = NOTE.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let verified = Note::parse(&bytes).and_then(|note| note.verify([&key]).map(|_| ()));
            assert!(verified.is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn keys_that_are_not_trusted_are_ignored_even_with_the_same_name_or_id() {
    let (ours, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let ours = NoteSigner::new(named("example.com/a"), &ours);
    let same_name = NoteSigner::new(named("example.com/a"), &other);
    let other_name = NoteSigner::new(named("example.com/b"), &other);
    let mut note = signed("text\n", &[&same_name, &other_name]);
    assert_eq!(note.verify([ours.key()]), Err(NoteError::NoTrustedSignature));
    // The id of our key under another name, and a type nobody knows.
    note.add(SignatureLine { name: "example.com/c".into(), id: ours.key().id(), signature: vec![1; 64] });
    note.add(SignatureLine { name: "example.com/d".into(), id: KeyId([9; 4]), signature: vec![1; 2420] });
    note.add(ours.sign("text\n").expect("signs"));
    let note = Note::parse(&note.to_bytes()).expect("reads");
    assert_eq!(note.verify([ours.key()]).expect("verifies").len(), 1);
    assert_eq!(note.signatures().len(), 5);
}

#[test]
fn a_wrong_signature_of_a_trusted_key_refuses_the_note() {
    let (first, second) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let (first, second) =
        (NoteSigner::new(named("example.com/a"), &first), NoteSigner::new(named("example.com/b"), &second));
    let mut note = signed("text\n", &[&first]);
    note.add(second.sign("another text\n").expect("signs"));
    assert_eq!(note.verify([first.key()]).expect("the second is unknown").len(), 1);
    let wrong = Err(NoteError::WrongSignature(named("example.com/b")));
    assert_eq!(note.verify([first.key(), second.key()]), wrong);
    // Also when a good one is there too: `add` would replace it, a stranger would not.
    let twice = [note.to_bytes(), second.sign("text\n").expect("signs").to_line().into_bytes()].concat();
    assert_eq!(Note::parse(&twice).expect("reads").verify([second.key()]), wrong);
}

#[test]
fn sixteen_signatures_are_accepted_and_too_many_are_refused() {
    let secrets: Vec<_> = (0..70).map(|i| SecretKey::from_seed(&[i; 32])).collect();
    let signers: Vec<_> = (0..70).map(|i| NoteSigner::new(named(&format!("k{i}")), &secrets[i])).collect();
    for count in [16, SIGNATURES_LIMIT] {
        let note = signed("text\n", &signers[..count].iter().collect::<Vec<_>>());
        let note = Note::parse(&note.to_bytes()).expect("reads");
        let verified = note.verify(signers.iter().map(NoteSigner::key)).expect("verifies");
        assert_eq!(verified.len(), count);
    }
    let note = signed("text\n", &signers[..=SIGNATURES_LIMIT].iter().collect::<Vec<_>>());
    assert_eq!(Note::parse(&note.to_bytes()), Err(NoteError::TooManySignatures));
    let long = vec![b'a'; NOTE_LIMIT + 1];
    assert_eq!(Note::parse(&long), Err(NoteError::TooLong));
}

#[test]
fn malformed_notes_are_refused() {
    let line = NOTE.rsplit_once("\n\n").expect("has a blank line").1.trim_end();
    let refused = [
        ("", NoteError::Unsigned),
        ("text\n", NoteError::Unsigned),
        ("text\n\n", NoteError::Unsigned),
        (&format!("text\n{line}\n"), NoteError::Unsigned),
        (&format!("text\n\n{line}"), NoteError::Unsigned),
        (&format!("text\n\n{line}\n\n"), NoteError::Unsigned),
        (&format!("text\n\n{line}\nmore\n"), NoteError::SignatureSyntax(2)),
        (&format!("text\n\n {line}\n"), NoteError::SignatureSyntax(1)),
        (&format!("text\n\n{line} \n"), NoteError::SignatureSyntax(1)),
        (&format!("text\r\n\n{line}\n"), NoteError::NotText),
        (&format!("te\0xt\n\n{line}\n"), NoteError::NotText),
        (&format!("te\txt\n\n{line}\n"), NoteError::NotText),
        ("text\n\n— a\u{a0}b AAAAAAA=\n", NoteError::SignatureSyntax(1)),
        ("text\n\n— a+b AAAAAAA=\n", NoteError::SignatureSyntax(1)),
        ("text\n\n—  AAAAAAA=\n", NoteError::SignatureSyntax(1)),
        ("text\n\n— a AAAAAA==\n", NoteError::SignatureSyntax(1)),
        ("text\n\n— a AAAA\n", NoteError::SignatureSyntax(1)),
        ("text\n\n— a AAAAAAA\n", NoteError::SignatureSyntax(1)),
        ("text\n\n- a AAAAAAA=\n", NoteError::SignatureSyntax(1)),
    ];
    for (text, error) in refused {
        assert_eq!(Note::parse(text.as_bytes()), Err(error), "{text:?}");
    }
    assert_eq!(Note::parse(b"te\xffxt\n\n"), Err(NoteError::NotText));
    assert_eq!(Note::new("text".into()), Err(NoteError::NoNewline));
}

#[test]
fn a_text_may_have_blank_lines() {
    let secret = SecretKey::from_seed(&[1; 32]);
    let signer = NoteSigner::new(named("a"), &secret);
    for text in ["one\n\ntwo\n", "\n", "one\n\n", "\n\n\n", "— a AAAAAAA=\n\n— a AAAAAAA=\n"] {
        let note = signed(text, &[&signer]);
        let read = Note::parse(&note.to_bytes()).expect("reads");
        assert_eq!(read, note);
        assert_eq!(read.verify([signer.key()]).expect("verifies").len(), 1);
    }
}

#[test]
fn a_cosignature_binds_time_and_text_and_is_no_plain_signature() {
    let secret = SecretKey::from_seed(&[3; 32]);
    let name = named("witness.example/w1");
    let cosigner = Cosigner::new(name.clone(), &secret);
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let mut note = Note::new(text.into()).expect("a text");
    note.add(cosigner.cosign(text, 1_679_315_147).expect("co-signs"));
    let verified = note.verify([cosigner.key()]).expect("verifies");
    assert_eq!(verified[0].time, Some(1_679_315_147));
    // What is signed, byte by byte.
    let message = format!("cosignature/v1\ntime 1679315147\n{text}");
    let signature = secret.sign(message.as_bytes()).expect("signs").0;
    assert_eq!(note.signatures()[0].signature, [&1_679_315_147u64.to_be_bytes()[..], &signature].concat());
    // The same key as a plain one has another id.
    let plain = VerifierKey::new(name, Algorithm::Ed25519, secret.public());
    assert_ne!(plain.id(), cosigner.key().id());
    assert_eq!(note.verify([&plain]), Err(NoteError::NoTrustedSignature));
    // Another time, no time, and a time that can not be.
    for time in [1_679_315_148u64, 0, u64::MAX] {
        let mut changed = note.clone();
        changed.signatures[0].signature[..8].copy_from_slice(&time.to_be_bytes());
        assert!(matches!(changed.verify([cosigner.key()]), Err(NoteError::WrongSignature(_))), "{time}");
    }
    // Also when it was really signed so.
    for time in [0, TIME_LIMIT + 1, u64::MAX] {
        let signature = secret.sign(cosigned(time, text).as_bytes()).expect("signs").0;
        let mut changed = note.clone();
        changed.signatures[0].signature = [&time.to_be_bytes()[..], &signature].concat();
        assert!(matches!(changed.verify([cosigner.key()]), Err(NoteError::WrongSignature(_))), "{time}");
    }
    assert!(matches!(cosigner.cosign(text, 0), Err(SigningError::Time(0))));
    assert!(matches!(cosigner.cosign(text, u64::MAX), Err(SigningError::Time(_))));
}

#[test]
fn the_latest_of_two_cosignatures_counts_once() {
    let secret = SecretKey::from_seed(&[3; 32]);
    let cosigner = Cosigner::new(named("w"), &secret);
    let mut note = Note::new("text\n".into()).expect("a text");
    for time in [30, 20] {
        note.signatures.push(cosigner.cosign("text\n", time).expect("co-signs"));
    }
    let verified = note.verify([cosigner.key()]).expect("verifies");
    assert_eq!(verified, [Verified { key: cosigner.key(), time: Some(30) }]);
}

#[test]
fn a_device_that_signs_something_else_is_noticed() {
    struct Faulty(SecretKey);
    impl Sign for Faulty {
        fn public(&self) -> keys::PublicKey {
            self.0.public()
        }
        fn sign(&self, _: &[u8]) -> Result<keys::Signature, keys::SignError> {
            self.0.sign(b"something else")
        }
    }
    let faulty = Faulty(SecretKey::from_seed(&[1; 32]));
    let signer = NoteSigner::new(named("a"), &faulty);
    assert!(matches!(signer.sign("text\n"), Err(SigningError::DoesNotFit(_))));
}

#[test]
fn malformed_keys_are_refused() {
    for text in [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example com+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2kAAAA",
        "example.com/foo+530d903a+",
        "example.com/foo+530d903a+Bg==",
        "example.com/foo+530d903a+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert!(text.parse::<VerifierKey>().is_err(), "{text}");
    }
    assert!(matches!(
        "example.com/foo+530d903a+BukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse::<VerifierKey>(),
        Err(KeyError::Kind { kind: 6, .. })
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_a_note_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let _ = Note::parse(&bytes);
        let _ = std::str::from_utf8(&bytes).map(|text| (text.parse::<VerifierKey>(), SignatureLine::parse(text)));
    }

    #[test]
    fn a_note_reads_what_it_writes(
        text in "([ -~é—]{0,20}\n){1,5}", name in "[a-z./]{1,20}", seed in any::<[u8; 32]>(),
    ) {
        let secret = SecretKey::from_seed(&seed);
        let signer = NoteSigner::new(named(&name), &secret);
        let note = signed(&text, &[&signer]);
        let read = Note::parse(&note.to_bytes()).expect("reads");
        prop_assert_eq!(&read, &note);
        prop_assert!(read.verify([signer.key()]).is_ok());
        prop_assert_eq!(signer.key().to_string().parse(), Ok(signer.key().clone()));
    }

    #[test]
    fn a_changed_note_is_refused_or_the_same(at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = NOTE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        let verified = Note::parse(&bytes).and_then(|note| note.verify([&key(VKEY)]).map(|_| ()));
        prop_assert!(verified.is_err());
    }
}
