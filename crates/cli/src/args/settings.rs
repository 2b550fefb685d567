//! `settings`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::VmArgs;

/// `settings`
#[derive(Debug, Args)]
pub struct SettingsArgs {
    #[command(subcommand)]
    /// Show, set, history or undo.
    pub action: SettingsAction,
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum SettingsAction {
    /// Show all settings
    Show(VmArgs),
    /// Change settings, all or none
    Set {
        /// NAME=VALUE, or NAME=@FILE for a value in a file
        #[arg(required = true, value_name = "NAME=VALUE")]
        changes: Vec<Change>,
        #[command(flatten)]
        /// Which machine.
        vm: VmArgs,
    },
    /// Show the versions of the settings
    History(VmArgs),
    /// Return to the version before the current one
    Undo(VmArgs),
}

/// One change of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Setting.
    pub name: String,
    /// New value.
    pub value: ChangeValue,
}

/// Where a new value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeValue {
    /// On the command line.
    Text(String),
    /// In a file.
    File(PathBuf),
}

impl std::str::FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` is not NAME=VALUE, such as max-upload=64"))?;
        let value = match value.strip_prefix('@') {
            Some(path) if !path.is_empty() => ChangeValue::File(path.into()),
            _ => ChangeValue::Text(value.to_owned()),
        };
        Ok(Change { name: name.to_owned(), value })
    }
}
