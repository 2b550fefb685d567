//! The service of the `counter` appliance, one static program: the page, the check of a whole configuration, the probe, and
//! the making of the database cluster at the first boot.

use std::process::ExitCode;

mod cluster;
mod configuration;
mod database;
mod log;
mod network;
mod page;
mod server;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => server::serve(),
        ["--check"] => configuration::Configuration::load().map(drop),
        ["--probe"] => database::probe(),
        ["--make-cluster"] => cluster::make(),
        _ => Err("usage: counter [--check | --probe | --make-cluster]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
