//! Whether private keys belong to the certificates beside them.

use std::sync::Arc;

use model::definition::SettingValues;
use model::settings::{Kind, Setting};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A certificate and a key that can not be used together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Name of the certificate setting.
    pub certificate: String,
    /// Name of the key setting.
    pub key: String,
    /// What is expected.
    pub rule: String,
}

/// The first pair that does not fit. A certificate without key, and the reverse, is one.
pub fn find_mismatch(settings: &[Setting], values: &SettingValues) -> Option<Mismatch> {
    settings.iter().find_map(|setting| {
        let Kind::Certificate { key: Some(key) } = &setting.kind else { return None };
        let mismatch = |rule: &str| {
            Some(Mismatch { certificate: setting.name.clone(), key: key.clone(), rule: rule.to_owned() })
        };
        match (values.get(&setting.name), values.get(key)) {
            (None, None) => None,
            (Some(_), None) => mismatch(&format!("`{key}` has to be given with it")),
            (None, Some(_)) => mismatch(&format!("`{}` has to be given with it", setting.name)),
            (Some(certificate), Some(private)) => match check(&certificate.to_string(), &private.to_string())
            {
                Ok(()) => None,
                Err(rule) => mismatch(rule),
            },
        }
    })
}

fn check(certificate: &str, key: &str) -> Result<(), &'static str> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "a certificate in PEM form is expected")?;
    let key =
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| "a private key in PEM form is expected")?;
    match CertifiedKey::from_der(chain, key, &provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err("the private key does not belong to the certificate"),
        Err(rustls::Error::InvalidCertificate(_)) => Err("the certificate can not be read"),
        Err(_) => Err(
            "the private key is of an unknown kind: RSA from 2048 bits, ECDSA P-256 and P-384, and Ed25519 work",
        ),
    }
}

/// The cryptography of all TLS in this program.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::generate::self_signed;
    use crate::testing::certificate_with_key;

    fn values(certificate: &str, key: &str) -> SettingValues {
        let text = |text: &str| model::settings::Value::String(text.to_owned());
        [("certificate".to_owned(), text(certificate)), ("key".to_owned(), text(key))].into()
    }

    #[test]
    fn a_key_of_another_certificate_is_found() {
        let settings = certificate_with_key();
        let one = self_signed("one.example", 2026).expect("made");
        let other = self_signed("other.example", 2026).expect("made");
        assert_eq!(find_mismatch(&settings, &values(&one.certificate, &one.key)), None);
        let mismatch = find_mismatch(&settings, &values(&one.certificate, &other.key)).expect("they differ");
        assert_eq!(mismatch.rule, "the private key does not belong to the certificate");
        assert_eq!((mismatch.certificate.as_str(), mismatch.key.as_str()), ("certificate", "key"));
    }

    #[test]
    fn a_certificate_without_key_is_found() {
        let mut lonely = values("x", "y");
        lonely.remove("key");
        assert_eq!(
            find_mismatch(&certificate_with_key(), &lonely).expect("no key").rule,
            "`key` has to be given with it"
        );
    }
}
