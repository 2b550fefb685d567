//! Patching a running appliance: `updates`, `precheck`, `stage`, `apply`, `rollback`, `hold`, `unhold`.

use clap::{Args, Subcommand, ValueEnum};

use super::VmArgs;

/// `updates`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct UpdatesArgs {
    #[command(subcommand)]
    /// Something else than the present.
    pub action: Option<UpdatesAction>,
    /// Ask the depot now
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
}

/// Other views on updates.
#[derive(Debug, Subcommand)]
pub enum UpdatesAction {
    /// Show what happened to patches, newest first
    History(VmArgs),
}

/// `precheck`
#[derive(Debug, Args)]
pub struct PrecheckArgs {
    /// Version; the newest when absent
    pub version: Option<String>,
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
}

/// `stage`
#[derive(Debug, Args)]
pub struct StageArgs {
    /// Version; the newest when absent
    pub version: Option<String>,
    /// Try a release again that fell back before
    #[arg(long)]
    pub again: bool,
    /// Seconds to follow it
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    pub timeout: u64,
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
}

/// `apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    /// What to install.
    pub stage: StageArgs,
    /// How it restarts
    #[arg(long, value_enum, default_value_t = RestartChoice::Shortest)]
    pub restart: RestartChoice,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}

/// How an appliance restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RestartChoice {
    /// User space alone where that does it, otherwise the machine
    Shortest,
    /// The machine
    Machine,
}

/// `rollback`
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Seconds to follow it
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    pub timeout: u64,
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
}

/// `hold`
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// Version; all releases when absent
    pub version: Option<String>,
    /// Why, for those who come later
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
}

/// `unhold`
#[derive(Debug, Args)]
pub struct UnholdArgs {
    /// Version; the hold on all releases when absent
    pub version: Option<String>,
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
}
