//! Settings: the few typed values a customer may set.

pub mod pem;
pub mod validate;

use serde::{Deserialize, Serialize};

/// One declared setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Setting {
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// What forms show.
    pub title: String,
    /// One or two sentences for the person who fills it in.
    pub help: String,
    /// Type and bounds.
    #[serde(flatten)]
    pub kind: Kind,
    /// The value when nobody sets one. A setting without default, and not generated, has to be given.
    pub default: Option<Value>,
    /// Made by the appliance at first boot when nobody gives a value, and kept.
    pub generate: Option<Generate>,
    /// Whether it may stay without a value. Templates see `none` then.
    #[serde(default)]
    pub optional: bool,
    /// Names that it had in earlier releases.
    #[serde(default)]
    pub was: Vec<String>,
    /// Units restarted after a change.
    pub restarts: Vec<String>,
    /// Units reloaded after a change.
    pub reloads: Vec<String>,
}

/// Type and bounds of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Kind {
    /// One line of text.
    #[serde(rename_all = "kebab-case")]
    String {
        /// Regular expression the whole value has to match.
        pattern: Option<String>,
        /// Least number of characters.
        min_length: Option<u32>,
        /// Greatest number of characters; 1024 when absent.
        max_length: Option<u32>,
    },
    /// Several lines of text.
    #[serde(rename_all = "kebab-case")]
    Text {
        /// Greatest number of bytes; 65536 when absent.
        max_length: Option<u32>,
    },
    /// Whole number.
    Integer {
        /// Least value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
    /// `true` or `false`.
    Boolean,
    /// One of a list.
    Enum {
        /// Allowed values.
        choices: Vec<String>,
    },
    /// E-mail address.
    Email,
    /// Host name, RFC 1123.
    Hostname,
    /// IPv4 or IPv6 address.
    IpAddress,
    /// Address and prefix length.
    Cidr,
    /// Port number, 1 to 65535.
    Port,
    /// Absolute URL.
    Url {
        /// Allowed schemes; `http` and `https` when empty.
        schemes: Vec<String>,
    },
    /// PEM certificate or chain.
    #[serde(rename_all = "kebab-case")]
    Certificate {
        /// The private-key setting that has to belong to it.
        key: Option<String>,
    },
    /// PEM private key. Never shown again.
    PrivateKey,
    /// Password or token. Never shown again.
    #[serde(rename_all = "kebab-case")]
    Secret {
        /// Least number of characters.
        min_length: Option<u32>,
        /// Greatest number of characters; 1024 when absent.
        max_length: Option<u32>,
    },
    /// Name from the time zone database, such as `Europe/Vienna`.
    Timezone,
}

impl Kind {
    /// Whether values are hidden in every answer, log line and support bundle (law 12).
    pub fn is_secret(&self) -> bool {
        matches!(self, Kind::PrivateKey | Kind::Secret { .. })
    }
}

/// How the appliance makes a value at first boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generate {
    /// A self-signed certificate for the host's name, with its key in the setting named by `key`.
    SelfSigned,
    /// 32 random characters, for secrets.
    Random,
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`
    Boolean(bool),
    /// whole number
    Integer(i64),
    /// any text
    String(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::String(value) => f.write_str(value),
        }
    }
}
