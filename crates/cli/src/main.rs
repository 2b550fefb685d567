//! The `ampoule` command: parse, call, render.

#![allow(
    clippy::result_large_err,
    reason = "a command fails once, and its failure is shown, not passed around"
)]

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

mod args;
mod commands;
mod error;
mod printer;
mod render;

use args::{Cli, Command};
use error::Failure;
use printer::Printer;

fn main() -> ExitCode {
    // The builder starts this program again inside its sandbox.
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(builder::sandbox::SUBCOMMAND) {
        return builder::sandbox::sandbox_main(arguments);
    }
    let cli = Cli::parse();
    let printer = Arc::new(Printer::new(cli.json, cli.quiet, cli.progress));
    match run(cli.command, &printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer.failure(&failure);
            ExitCode::from(failure.fault.exit_code())
        }
    }
}

fn run(command: Command, printer: &Arc<Printer>) -> Result<(), Failure> {
    match command {
        Command::Init(args) => commands::init::run(&args, printer),
        Command::Check(args) => commands::check::run(&args, printer),
        Command::Lock(args) => commands::lock::run(&args, printer),
        Command::Build(args) => commands::build::run(&args, printer),
        Command::Release(args) => commands::release::run(&args, printer),
        Command::Depot(args) => commands::depot::run(&args, printer),
        Command::Bundle(args) => commands::bundle::bundle(&args, printer),
        Command::Import(args) => commands::bundle::import(&args, printer),
        Command::Ledger(args) => commands::ledger::run(&args, printer),
        Command::Keys(args) => commands::keys::run(&args, printer),
        Command::Patch(args) => commands::patch::run(&args, printer),
        Command::Test(args) => commands::test::run(&args, printer),
        Command::Run(args) => commands::run::run(&args, printer),
        Command::Status(args) => commands::running::status(&args, printer),
        Command::Settings(args) => commands::running::settings(&args, printer),
        Command::Logs(args) => commands::running::logs(&args, printer),
        Command::Updates(args) => commands::patching::updates(&args, printer),
        Command::Precheck(args) => commands::patching::precheck(&args, printer),
        Command::Stage(args) => commands::patching::stage(&args, printer),
        Command::Apply(args) => commands::patching::apply(&args, printer),
        Command::Rollback(args) => commands::patching::rollback(&args, printer),
        Command::Hold(args) => commands::patching::hold(&args, printer),
        Command::Approve(args) => commands::approve::approve(&args, printer),
        Command::Audit(args) => commands::approve::audit(&args, printer),
        Command::Unhold(args) => commands::patching::unhold(&args, printer),
        Command::Stop(args) => commands::running::stop(&args, printer),
        Command::Inspect(args) => commands::inspect::run(&args, printer),
        Command::Verify(args) => commands::verify::run(&args, printer),
        Command::Sbom(args) => commands::sbom::run(&args, printer),
        Command::Ages(args) => commands::ages::run(&args, printer),
        Command::Rebuild(args) => commands::rebuild::run(&args, printer),
        Command::Bulletin(args) => commands::bulletin::bulletin(&args, printer),
        Command::Diff(args) => commands::bulletin::diff(&args, printer),
        Command::Explain(args) => commands::explain::run(&args, printer),
        Command::Schema(args) => commands::schema::run(&args, printer),
    }
}
