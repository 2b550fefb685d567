//! Values the appliance makes itself at the first boot, and keeps.

use std::io;

use model::definition::SettingValues;
use model::settings::{Generate, Kind, Setting, Value};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// Characters of a made secret: no look-alikes, nothing that a shell, an URL or a configuration file treats specially.
const ALPHABET: &[u8; 56] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
/// Characters of a made secret: 185 bits.
const SECRET_LENGTH: usize = 32;
/// Years a self-signed certificate is good for: nothing renews it, and an expired one would stop the service.
const YEARS: i32 = 20;

/// A certificate and its key, both PEM.
pub struct SelfSigned {
    /// Certificate.
    pub certificate: String,
    /// PKCS #8 key.
    pub key: String,
}

/// Makes what is declared as generated and has neither a kept nor a given value. `given` are values from outside.
/// Returns whether something was made.
pub fn complete(
    settings: &[Setting],
    generated: &mut SettingValues,
    given: &SettingValues,
    hostname: &str,
    year: i32,
) -> io::Result<bool> {
    let mut made_any = false;
    for setting in settings {
        let has = |values: &SettingValues, name: &str| values.contains_key(name);
        let Some(way) = setting.generate else { continue };
        if has(generated, &setting.name) || has(given, &setting.name) {
            continue;
        }
        match (way, &setting.kind) {
            (Generate::SelfSigned, Kind::Certificate { key: Some(key) }) if !has(given, key) => {
                let made = self_signed(hostname, year)?;
                generated.insert(setting.name.clone(), Value::String(made.certificate));
                generated.insert(key.clone(), Value::String(made.key));
            }
            (Generate::Random, _) => {
                drop(generated.insert(setting.name.clone(), Value::String(random_secret()?)))
            }
            // A key was given without its certificate: making one would not fit it.
            (Generate::SelfSigned, _) => continue,
        }
        made_any = true;
    }
    Ok(made_any)
}

/// A self-signed certificate (ECDSA P-256) for a host name. It begins in 2020, so that a machine whose clock is not set yet
/// can use it.
pub fn self_signed(hostname: &str, year: i32) -> io::Result<SelfSigned> {
    let make = || -> Result<SelfSigned, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(vec![hostname.to_owned(), "localhost".to_owned()])?;
        let mut name = DistinguishedName::new();
        // X.520 limits a common name to 64 characters.
        name.push(DnType::CommonName, hostname.chars().take(64).collect::<String>());
        parameters.distinguished_name = name;
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(year.max(2026) + YEARS, 1, 1);
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = parameters.self_signed(&key)?;
        Ok(SelfSigned { certificate: certificate.pem(), key: key.serialize_pem() })
    };
    make().map_err(io::Error::other)
}

fn random_secret() -> io::Result<String> {
    let mut text = String::with_capacity(SECRET_LENGTH);
    while text.len() < SECRET_LENGTH {
        let mut bytes = [0u8; 64];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        // Bytes beyond a multiple of the alphabet would make its first letters likelier.
        let fair = 256 / ALPHABET.len() * ALPHABET.len();
        let letters = bytes.iter().filter(|&&byte| usize::from(byte) < fair);
        let letters = letters.map(|&byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        text.extend(letters.take(SECRET_LENGTH - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{certificate_with_key, secret};

    #[test]
    fn generated_values_are_made_once_and_kept() {
        let mut token = secret("token");
        token.generate = Some(Generate::Random);
        let [certificate, key] = certificate_with_key();
        let settings = [token, certificate, key];
        let mut generated = SettingValues::new();
        assert!(complete(&settings, &mut generated, &SettingValues::new(), "shop", 2026).expect("made"));
        assert_eq!(generated.len(), 3);
        assert_eq!(generated["token"].to_string().len(), SECRET_LENGTH);
        let kept = generated.clone();
        assert!(!complete(&settings, &mut generated, &SettingValues::new(), "other", 2026).expect("kept"));
        assert_eq!(generated, kept);
    }

    #[test]
    fn what_was_given_is_not_made() {
        let settings = certificate_with_key();
        let given: SettingValues = [("certificate".to_owned(), Value::String("given".to_owned()))].into();
        let mut generated = SettingValues::new();
        assert!(!complete(&settings, &mut generated, &given, "shop", 2026).expect("nothing to make"));
        assert!(generated.is_empty());
    }

    #[test]
    fn openssl_reads_the_certificate() {
        let made = self_signed("shop.example", 2026).expect("made");
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(file.path(), &made.certificate).expect("written");
        let said = std::process::Command::new("openssl")
            .args(["x509", "-noout", "-subject", "-enddate", "-ext", "subjectAltName", "-in"])
            .arg(file.path())
            .output()
            .expect("openssl is needed for this test: install openssl");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(
            said.contains("CN = shop.example") && said.contains("2046") && said.contains("DNS:localhost"),
            "{said}"
        );
    }
}
