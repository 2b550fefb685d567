//! What `init` tells the agent, in one JSON file below `/run`.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where the facts lie, seen from the running system.
pub const FACTS_PATH: &str = "/run/ampoule/facts.json";

/// Facts of this start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Facts {
    /// Verity root hash the kernel enforces, 64 hexadecimal digits.
    pub root_hash: String,
    /// Device node of the data partition.
    pub data_device: String,
    /// Whether the data partition was formatted in this start.
    pub first_boot: bool,
    /// Kernel name of the disk that the system is on.
    #[serde(default)]
    pub system_disk: String,
    /// The kernel's uptime in seconds when this system began: 0 for a start of the machine, more for one of user space alone.
    #[serde(default)]
    pub began: u64,
    /// Things a person should know.
    pub notices: Vec<String>,
}

impl Facts {
    /// Reads the facts; without a file (the agent is tried outside of an appliance) they are empty.
    pub fn load(path: &Path) -> Facts {
        std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes the facts.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec(self).map_err(std::io::Error::other)?)
    }
}

/// Since the kernel started.
pub fn kernel_uptime() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default()
}
