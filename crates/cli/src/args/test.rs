//! `test`

use std::path::PathBuf;

use clap::Args;

use super::SigningArgs;

/// `test`
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Release folder of the release that customers run
    pub old: PathBuf,
    /// Release folder of the one that is to come
    pub new: PathBuf,
    /// Leave out the power cuts: one patch and one rollback, a few minutes
    #[arg(long)]
    pub no_power_cuts: bool,
    /// Write the report there too, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// A program of yours that is called with `write` and `check`: see docs/TEST.md
    #[arg(long, value_name = "PROGRAM")]
    pub probe: Option<PathBuf>,
    /// Settings for the first boot (TOML)
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Seconds that a boot, a patch or a rollback may take
    #[arg(long, default_value_t = 900)]
    pub timeout: u64,
    /// Keep the machines and the depot there; otherwise they are gone afterwards
    #[arg(long, value_name = "FOLDER")]
    pub keep: Option<PathBuf>,
    #[command(flatten)]
    /// Who signs both, where the appliance takes signed releases only.
    pub signing: SigningArgs,
}
