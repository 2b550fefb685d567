//! Public keys as metadata writes them (KEY, 4.2.2).

use std::fmt;

use keys::ecdsa::EcdsaKey;
use keys::role::RoleKey;
#[cfg(feature = "foreign")]
use keys::rsa::RsaKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::hashes::{hex, unhex};
use crate::json::canonical;

/// A key's id: the SHA-256 of its canonical form, as 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KeyId(String);

/// A public key with all its members. One whose kind is not known is kept, and verifies nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    members: Map<String, Value>,
    material: Material,
}

/// What signatures are judged with.
#[derive(Clone, Debug, PartialEq)]
enum Material {
    /// A key that we can sign with, too.
    Role(RoleKey),
    #[cfg(feature = "foreign")]
    Rsa(RsaKey),
    Unknown,
}

impl Key {
    /// One of our keys, as the specification writes it.
    pub fn of(key: impl Into<RoleKey>) -> Self {
        let key = key.into();
        let (kind, scheme) = match &key {
            RoleKey::Ed25519(_) => ("ed25519", "ed25519"),
            RoleKey::EcdsaP256(_) => ("ecdsa", "ecdsa-sha2-nistp256"),
        };
        let value = json!({ "keytype": kind, "scheme": scheme, "keyval": { "public": key.to_string() } });
        match value {
            Value::Object(members) => Self { members, material: Material::Role(key) },
            _ => unreachable!("BUG: an object was written"),
        }
    }

    fn read(members: Map<String, Value>) -> Result<Self, &'static str> {
        let text = |name| members.get(name).and_then(Value::as_str);
        let kind = text("keytype").ok_or("a key has no `keytype`")?;
        let scheme = text("scheme").ok_or("a key has no `scheme`")?;
        let value = members.get("keyval").and_then(Value::as_object).ok_or("a key has no `keyval`")?;
        let public = value.get("public").and_then(Value::as_str).unwrap_or_default();
        let material = material(kind, scheme, public).unwrap_or(Material::Unknown);
        Ok(Self { members, material })
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        KeyId(hex(&Sha256::digest(canonical(&Value::Object(self.members.clone())))))
    }

    /// Whether this is the key, however it is written.
    pub fn is_key(&self, key: &RoleKey) -> bool {
        matches!(&self.material, Material::Role(other) if other == key)
    }

    /// Its kind, as it is written.
    pub fn kind(&self) -> &str {
        self.members.get("keytype").and_then(Value::as_str).unwrap_or_default()
    }

    /// A member beside those of the specification, such as whom the key belongs to.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The same key with one more member. Its id is another one.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }

    /// Whether two keys verify the same signatures, whatever else is written with them.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.material == other.material && self.material != Material::Unknown
    }

    /// Whether the signature, in hexadecimal digits, is this key's over the message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Some(signature) = unhex(signature) else { return false };
        match &self.material {
            Material::Role(key) => key.verifies(message, &signature),
            #[cfg(feature = "foreign")]
            Material::Rsa(key) => key.verifies(message, &signature),
            Material::Unknown => false,
        }
    }
}

/// Kinds and schemes of the specification. `ecdsa-sha2-nistp256` as a kind is how it was written before 1.0.32.
fn material(kind: &str, scheme: &str, public: &str) -> Option<Material> {
    match (kind, scheme) {
        ("ed25519", "ed25519") => {
            public.to_ascii_lowercase().parse().ok().map(|key| Material::Role(RoleKey::Ed25519(key)))
        }
        ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => {
            EcdsaKey::from_pem(public).ok().map(|key| Material::Role(key.into()))
        }
        #[cfg(feature = "foreign")]
        ("rsa", "rsassa-pss-sha256") => RsaKey::from_pem(public).ok().map(Material::Rsa),
        _ => None,
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl KeyId {
    /// The id as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a key's id is not 64 lower-case hexadecimal digits")
        }
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
