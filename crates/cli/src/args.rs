//! The command line: parsing and the checks that need nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

mod bulletin;
mod bundle;
mod depot;
mod keys;
mod ledger;
mod mirror;
mod papers;
mod patch;
mod patching;
mod settings;
mod signing;
mod test;
mod verify;

pub use bulletin::{BulletinArgs, DiffArgs, EvidenceArgs, ExplainArgs};
pub use bundle::{BundleArgs, ImportArgs};
pub use depot::{DepotAction, DepotArgs, FollowArgs, ReleaseArgs, RemoveArgs};
pub use keys::{
    KeyRef, KeysAction, KeysArgs, NewKeyArgs, NewRootArgs, NextRootArgs, PassphraseArgs, RootAction,
    RootWritingArgs, SignRootArgs, SignTargetsArgs, TargetsAction,
};
pub use ledger::{KeyArgs, LedgerAction, LedgerArgs};
pub use mirror::MirrorArgs;
pub use papers::{AgesArgs, RebuildArgs, SbomArgs, SbomFormat};
pub use patch::{MakeArgs, PatchAction, PatchApplyArgs, PatchArgs, ShowArgs};
pub use patching::{
    ApplyArgs, HoldArgs, PrecheckArgs, RestartChoice, RollbackArgs, StageArgs, UnholdArgs, UpdatesAction,
    UpdatesArgs,
};
pub use settings::{Change, ChangeValue, SettingsAction, SettingsArgs};
pub use signing::{ApproveArgs, AuditArgs, ElsewhereArgs, RolesArgs, SigningArgs, WordChoice};
pub use test::TestArgs;
pub use verify::VerifyArgs;

/// Sealed virtual appliances you can see into.
#[derive(Debug, Parser)]
#[command(name = "ampoule", version, about, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// Print data and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but data and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value_t = ProgressMode::Auto, value_name = "MODE")]
    pub progress: ProgressMode,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// Bars on a terminal, lines elsewhere
    Auto,
    /// Bars
    Tty,
    /// One line a step
    Plain,
    /// One JSON object a line on standard error
    Jsonl,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a small working definition to start from
    #[command(after_help = "Examples:\n  ampoule init my-appliance")]
    Init(InitArgs),
    /// Check a definition and the files beside it
    #[command(after_help = "Examples:\n  ampoule check\n  ampoule check examples/lamp")]
    Check(DefinitionArgs),
    /// Resolve the definition to exact packages and write appliance.lock
    #[command(
        after_help = "Examples:\n  ampoule lock\n  ampoule lock --point-release examples/lamp\n  ampoule lock --dry-run"
    )]
    Lock(LockArgs),
    /// Build a release folder from a definition and its lock
    #[command(after_help = "Examples:\n  ampoule build\n  ampoule build examples/lamp --output out/lamp")]
    Build(BuildArgs),
    /// Publish a release in a depot, with patches from earlier ones
    #[command(
        after_help = "Examples:\n  ampoule release out/lamp --depot depot --notes 'Security fixes of May'\n  ampoule release out/lamp --depot depot --channel testing --from out/lamp-1.0.0\n  ampoule release out/lamp --depot depot --root 1.root.json --prepare list.json\n  ampoule release out/lamp --depot depot --root 1.root.json --signed list.json --key online.key"
    )]
    Release(ReleaseArgs),
    /// Show, check, serve, mirror or clean a depot
    #[command(
        after_help = "Examples:\n  ampoule depot list depot\n  ampoule depot serve depot --listen 127.0.0.1:8000\n  ampoule depot mirror https://example.com/depot --into depot --root 1.root.json"
    )]
    Depot(DepotArgs),
    /// Pack releases of a depot into one file, for places without a network
    #[command(
        after_help = "Examples:\n  ampoule bundle depot -o shop.bundle --full\n  ampoule bundle depot -o shop.bundle --release 1.0.2 --from 1.0.0 --from 1.0.1"
    )]
    Bundle(BundleArgs),
    /// Check a bundle as an appliance would, and add what it holds to a depot of your own
    #[command(
        after_help = "Examples:\n  ampoule import shop.bundle --depot depot --root 1.root.json --policy ledger.policy"
    )]
    Import(ImportArgs),
    /// Keep, check, watch or witness a ledger, the public list of what was released
    #[command(
        after_help = "Examples:\n  ampoule ledger init ledger --name example.com/ledger --key ledger.key\n  ampoule ledger append ledger out/lamp --policy ledger.policy --key ledger.key\n  ampoule ledger verify lamp_1.0.1.tlog-proof out/lamp --policy ledger.policy\n  ampoule ledger monitor https://example.com/ledger --policy ledger.policy --state seen --known out/lamp"
    )]
    Ledger(LedgerArgs),
    /// Make keys, and roots that say which keys may sign what
    #[command(
        after_help = "Examples:\n  ampoule keys new root-anna\n  ampoule keys new root-hsm --public KEY -- pkcs11-sign --slot 0\n  ampoule keys root new --root keys/root-anna.key --targets keys/root-anna.key --snapshot keys/online.key --timestamp keys/online.key\n  ampoule keys root sign 1.root.json --key keys/root-anna.key"
    )]
    Keys(KeysArgs),
    /// Make, apply or show a patch between two releases as a file
    #[command(
        after_help = "Examples:\n  ampoule patch make out/lamp-1.0.0 out/lamp-1.0.1 -o lamp.patch\n  ampoule patch show lamp.patch --release out/lamp-1.0.1\n  ampoule patch apply out/lamp-1.0.0 lamp.patch -o image --release out/lamp-1.0.1/release.json\n  ampoule patch make --full out/lamp-1.0.1 -o lamp.full"
    )]
    Patch(PatchArgs),
    /// Patch one release to another in virtual machines, with power cuts, and report
    #[command(
        after_help = "Examples:\n  ampoule test out/lamp-1.0.0 out/lamp-1.0.1\n  ampoule test OLD NEW --probe ./probe --report report.json"
    )]
    Test(TestArgs),
    /// Boot a release in QEMU
    #[command(
        after_help = "Examples:\n  ampoule run out/lamp --forward 8443:443\n  ampoule run out/lamp --ephemeral --direct"
    )]
    Run(RunArgs),
    /// Show the state of a running appliance
    Status(VmArgs),
    /// Show or change the settings of a running appliance
    #[command(
        after_help = "Examples:\n  ampoule settings show\n  ampoule settings set site-name='Our notes' max-upload=64\n  ampoule settings undo"
    )]
    Settings(SettingsArgs),
    /// Show the journal of a running appliance
    Logs(LogsArgs),
    /// Show what is known of newer releases, and the patch under way
    #[command(
        after_help = "Examples:\n  ampoule updates\n  ampoule updates --check\n  ampoule updates history"
    )]
    Updates(UpdatesArgs),
    /// Show what a patch would need and do
    Precheck(PrecheckArgs),
    /// Download a patch and write it into the inactive slot
    Stage(StageArgs),
    /// Patch a running appliance, and follow it until it proved itself or fell back
    #[command(
        after_help = "Examples:\n  ampoule apply\n  ampoule apply 1.0.1 --yes\n  ampoule apply 1.0.1 --again --restart machine"
    )]
    Apply(ApplyArgs),
    /// Return to the release before
    Rollback(RollbackArgs),
    /// Take a release, or all of them, out of consideration
    #[command(
        after_help = "Examples:\n  ampoule hold 1.0.1 --reason 'breaks our login'\n  ampoule hold --reason 'audit until Friday'"
    )]
    Hold(HoldArgs),
    /// End a hold
    Unhold(UnholdArgs),
    /// Say as an officer, with your key, whether a release may be installed
    #[command(
        after_help = "Examples:\n  ampoule approve out/lamp-1.0.1 --reason 'read the bulletin' --bulletin bulletin.json --key alice.key --depot depot\n  ampoule approve out/lamp-1.0.1 --say hold --reason 'CVE-2026-1234 is open' --key alice.key --tell"
    )]
    Approve(ApproveArgs),
    /// Show who approved what, when, on which evidence, and what came of it
    Audit(AuditArgs),
    /// Stop a running appliance cleanly
    Stop(VmArgs),
    /// Show what is inside a release folder or a bare disk image, without booting it
    #[command(
        after_help = "Examples:\n  ampoule inspect out/lamp\n  ampoule inspect out/lamp/disk.qcow2 --path /usr/bin/env\n  ampoule inspect out/lamp --section setuid"
    )]
    Inspect(InspectArgs),
    /// Check a release, a depot, a bundle, a disk or what runs, up to the keys that you trust
    #[command(
        after_help = "Examples:\n  ampoule verify out/lamp\n  ampoule verify out/lamp/disk.qcow2 --depot depot --root 1.root.json --policy ledger.policy\n  ampoule verify https://example.com/depot --appliance acme/lamp --root 1.root.json\n  ampoule verify depot --release 1.0.1 --officers officers --approvals 2\n  ampoule verify shop.bundle --root 1.root.json --policy ledger.policy\n  ampoule verify .ampoule/vm/lamp --depot depot --root 1.root.json"
    )]
    Verify(VerifyArgs),
    /// Show the components of a release, or print its SBOM as CycloneDX or SPDX
    #[command(
        after_help = "Examples:\n  ampoule sbom out/lamp\n  ampoule sbom out/lamp --format cyclonedx --output lamp.cdx.json"
    )]
    Sbom(SbomArgs),
    /// Show the oldest parts of a release
    #[command(
        after_help = "Examples:\n  ampoule ages out/lamp\n  ampoule ages out/lamp --at 2027-06-01 --top 0"
    )]
    Ages(AgesArgs),
    /// Rebuild a release from what it carries itself, and compare every file
    #[command(
        after_help = "Examples:\n  ampoule rebuild out/lamp\n  ampoule rebuild out/lamp --attestation lamp.rebuilt --output again"
    )]
    Rebuild(RebuildArgs),
    /// Show what changes from one release to another, what it fixes, and who should act
    #[command(
        after_help = "Examples:\n  ampoule bulletin out/lamp-1.0.0 out/lamp-1.0.1\n  ampoule bulletin OLD NEW --html bulletin.html --feed tracker.json\n  ampoule bulletin OLD NEW --json"
    )]
    Bulletin(BulletinArgs),
    /// Compare two releases or disk images, and fail when a rule is broken (exit code 7)
    #[command(
        after_help = "Examples:\n  ampoule diff old.qcow2 new.qcow2\n  ampoule diff OLD NEW --quiet --fail-on new-setuid,new-port,not-security-only\n  ampoule diff OLD NEW --feed tracker.json --fail-on open-cve=high"
    )]
    Diff(DiffArgs),
    /// Tell where a path, a package or an issue comes from, since when, and why it is there
    #[command(
        after_help = "Examples:\n  ampoule explain /usr/lib/x86_64-linux-gnu/libssl.so.3 --release out/lamp\n  ampoule explain openssl --release out/lamp-1.0.1 --before out/lamp-1.0.0\n  ampoule explain CVE-2026-1234 --release out/lamp --feed tracker.json"
    )]
    Explain(ExplainArgs),
    /// Print the JSON Schema of appliance.toml, or its reference as Markdown
    Schema(SchemaArgs),
}

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder to create; its name becomes the appliance's
    pub folder: PathBuf,
}

/// A definition.
#[derive(Debug, Args)]
pub struct DefinitionArgs {
    /// Folder of the definition, or its file
    #[arg(default_value = ".", value_name = "DEFINITION")]
    pub definition: PathBuf,
}

/// Where packages come from and are kept.
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// Mirror of Debian; otherwise the definition's, otherwise this machine's own
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// Mirror of Debian's security suites
    #[arg(long, value_name = "URL")]
    pub security_mirror: Option<String>,
    /// Cache of packages, indices and configured bases
    #[arg(long, value_name = "FOLDER", env = "AMPOULE_CACHE")]
    pub cache: Option<PathBuf>,
}

/// `lock`
#[derive(Debug, Args)]
pub struct LockArgs {
    #[command(flatten)]
    /// The definition.
    pub definition: DefinitionArgs,
    #[command(flatten)]
    /// Where packages come from.
    pub packages: PackageArgs,
    /// Lock against the suite without its updates and security parts
    #[arg(long)]
    pub point_release: bool,
    /// Show what would change and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the lock here instead of beside the definition
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

/// `build`
#[derive(Debug, Args)]
pub struct BuildArgs {
    #[command(flatten)]
    /// The definition.
    pub definition: DefinitionArgs,
    #[command(flatten)]
    /// Where packages come from.
    pub packages: PackageArgs,
    /// The lock to build from; otherwise appliance.lock beside the definition
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// The release folder to write
    #[arg(long, short, value_name = "FOLDER", default_value = "out")]
    pub output: PathBuf,
    /// Configure the base again even when it is cached
    #[arg(long)]
    pub no_base_cache: bool,
    /// Folder with the static programs ampoule-init and ampoule-agent
    #[arg(long, value_name = "FOLDER", env = "AMPOULE_GUEST")]
    pub guest: Option<PathBuf>,
    /// Disks to write
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [DiskFormat::Raw, DiskFormat::Qcow2], value_name = "FORMATS")]
    pub disks: Vec<DiskFormat>,
}

/// Formats of disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DiskFormat {
    /// Sparse raw image
    Raw,
    /// Compressed qcow2 image
    Qcow2,
}

/// Which virtual machine.
#[derive(Debug, Args)]
pub struct VmArgs {
    /// Folder of the virtual machine; otherwise the only one below .ampoule/vm
    #[arg(long, value_name = "FOLDER")]
    pub vm: Option<PathBuf>,
}

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The release folder
    #[arg(default_value = "out")]
    pub release: PathBuf,
    #[command(flatten)]
    /// Where the machine's files are kept.
    pub vm: VmArgs,
    /// Forward a port of this machine, on 127.0.0.1, to one of the appliance (repeatable); 0 picks a free one
    #[arg(long, short, value_name = "HOST:GUEST")]
    pub forward: Vec<Forward>,
    /// Keep nothing: no data disk, no changes to the system disk
    #[arg(long)]
    pub ephemeral: bool,
    /// Boot the kernel directly, without firmware and boot loader: faster, and it can not be patched
    #[arg(long)]
    pub direct: bool,
    /// Install the system disk anew even when it was patched; data stays
    #[arg(long)]
    pub reinstall: bool,
    /// URL of the depot to follow, a depot's folder that is served while it runs, or a bundle that is attached as a disk
    #[arg(long, value_name = "URL|FOLDER|BUNDLE")]
    pub depot: Option<String>,
    /// Memory, such as "1 GiB"; otherwise what the definition says
    #[arg(long)]
    pub memory: Option<model::ByteSize>,
    /// Virtual CPUs; otherwise what the definition says
    #[arg(long)]
    pub cpus: Option<u32>,
    /// Settings for the first boot, passed as the hypervisor would (TOML)
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Settings for the first boot, passed on a seed disk (TOML)
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// Return when the appliance is healthy and leave it running
    #[arg(long)]
    pub detach: bool,
    /// Seconds to wait until healthy
    #[arg(long, default_value_t = 300)]
    pub timeout: u64,
    /// Show the serial console
    #[arg(long)]
    pub serial: bool,
}

/// One forwarded port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Port on 127.0.0.1; 0 for any free one.
    pub host: u16,
    /// Port in the appliance.
    pub guest: u16,
}

impl std::str::FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (host, guest) = text.split_once(':')?;
            Some(Forward { host: host.parse().ok()?, guest: guest.parse().ok().filter(|port| *port != 0)? })
        };
        parse().ok_or_else(|| format!("`{text}` is not HOST:GUEST, such as 8443:443"))
    }
}

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
    /// Only this unit
    #[arg(long)]
    pub unit: Option<String>,
    /// How many lines
    #[arg(long, short = 'n', default_value_t = 100)]
    pub lines: u32,
}

/// `inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A release folder, or a disk image (raw or qcow2)
    #[arg(default_value = "out")]
    pub subject: PathBuf,
    /// Show one path of the image and its origin
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// Show one section whole
    #[arg(long, value_enum)]
    pub section: Option<Section>,
}

/// Parts of an inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Packages
    Packages,
    /// Units and what starts them
    Units,
    /// Declared ports
    Ports,
    /// Users
    Users,
    /// Setuid files, setgid files and file capabilities
    Setuid,
    /// Settings
    Settings,
    /// What was trimmed
    Trim,
    /// Every file
    Files,
}

/// `schema`
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Print the reference as Markdown instead
    #[arg(long)]
    pub reference: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn forwards_and_changes_say_what_they_expect() {
        assert_eq!("8443:443".parse(), Ok(Forward { host: 8443, guest: 443 }));
        assert!("443".parse::<Forward>().unwrap_err().contains("8443:443"));
        assert!("8443:0".parse::<Forward>().is_err());
        assert_eq!(
            "a=@/tmp/x".parse(),
            Ok(Change { name: "a".into(), value: ChangeValue::File("/tmp/x".into()) })
        );
        assert_eq!("a=b=c".parse(), Ok(Change { name: "a".into(), value: ChangeValue::Text("b=c".into()) }));
    }
}
