//! Appliances that run, in QEMU. Booting is what costs here, so one boot serves many checks: see `testkit::Suite`.
//!
//! `cargo test --workspace --all-features --test vm -- PART-OF-A-CHAPTER` runs one chapter.

#[path = "vm/accidents.rs"]
mod accidents;
#[path = "vm/counter.rs"]
mod counter;
#[path = "vm/examples.rs"]
mod examples;
#[path = "vm/life.rs"]
mod life;
#[path = "vm/patch/mod.rs"]
mod patch;
#[path = "vm/scaffold.rs"]
mod scaffold;
#[path = "vm/settings.rs"]
mod settings;

use std::process::ExitCode;

use testkit::Suite;

fn main() -> ExitCode {
    let mut suite = Suite::from_arguments();
    life::chapters(&mut suite);
    patch::chapters(&mut suite);
    accidents::chapters(&mut suite);
    counter::chapters(&mut suite);
    examples::chapters(&mut suite);
    scaffold::chapters(&mut suite);
    suite.finish()
}
