//! Making the database cluster at the first boot, as user postgres.
//!
//! An image carries no cluster: every copy would have the same system identifier, and state is the customer's, not ours.
//! **Steps**, and what a power cut after each leaves:
//! 1. what an earlier attempt has left in `main.new` is removed: nothing;
//! 2. the cluster is made in `main.new`, with the service's role and database: a part of it, removed by step 1;
//! 3. all of it is synced: the same;
//! 4. `main.new` is renamed to `main`: a whole cluster, which is never made again.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Declared state.
const FOLDER: &str = "/var/lib/postgresql/15";
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// One statement a line: PostgreSQL's single-user mode ends a statement at the end of a line.
const STATEMENTS: &str = "CREATE ROLE counter LOGIN\nCREATE DATABASE counter OWNER counter\n";

/// Makes the cluster unless there is one.
pub fn make() -> Result<(), String> {
    make_in(Path::new(FOLDER), &Programs)
}

/// What PostgreSQL does.
trait Making {
    /// Makes a cluster in a folder that does not exist.
    fn make(&self, folder: &Path) -> Result<(), String>;
}

fn make_in(folder: &Path, making: &dyn Making) -> Result<(), String> {
    let (unfinished, finished) = (folder.join("main.new"), folder.join("main"));
    if finished.exists() {
        return Ok(());
    }
    let words = |error: std::io::Error| format!("{}: {error}", folder.display());
    // Step 1.
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(words)?;
    }
    // Steps 2 and 3.
    making.make(&unfinished)?;
    // Step 4.
    fs::rename(&unfinished, &finished).map_err(words)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(words)
}

struct Programs;

impl Making for Programs {
    fn make(&self, folder: &Path) -> Result<(), String> {
        let usual =
            ["--username=postgres", "--auth=peer", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"];
        // Synced once, at the end.
        run("initdb", folder, &[&usual[..], &["--no-sync", "--no-instructions"]].concat(), "")?;
        run("postgres", folder, &["--single", "postgres"], STATEMENTS)?;
        run("initdb", folder, &["--sync-only"], "")
    }
}

fn run(program: &str, folder: &Path, arguments: &[&str], input: &str) -> Result<(), String> {
    let words = |error: std::io::Error| format!("{program}: {error}");
    let mut command = Command::new(format!("{PROGRAMS}/{program}"));
    // `--single` has to come first.
    command.args(arguments.first()).arg("-D").arg(folder).args(arguments.iter().skip(1));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(words)?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes()).map_err(words)?;
    }
    let status = child.wait().map_err(words)?;
    if status.success() { Ok(()) } else { Err(format!("{program} {}: {status}", arguments.join(" "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a folder with one file, or stops half way as a power cut does.
    struct Pretended {
        is_cut: bool,
    }

    impl Making for Pretended {
        fn make(&self, folder: &Path) -> Result<(), String> {
            fs::create_dir(folder).map_err(|error| error.to_string())?;
            if self.is_cut {
                return Err("cut".to_owned());
            }
            fs::write(folder.join("PG_VERSION"), "15").map_err(|error| error.to_string())
        }
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("counter-{name}-{}", std::process::id()));
        fs::create_dir(&folder).expect("a temporary folder can be made");
        folder
    }

    #[test]
    fn a_cut_attempt_is_never_taken_for_a_cluster() {
        let folder = folder("cut");
        assert!(make_in(&folder, &Pretended { is_cut: true }).is_err());
        assert!(!folder.join("main").exists());
        make_in(&folder, &Pretended { is_cut: false }).expect("made after the cut");
        assert!(folder.join("main/PG_VERSION").exists() && !folder.join("main.new").exists());
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_cluster_is_never_made_again() {
        let folder = folder("again");
        make_in(&folder, &Pretended { is_cut: false }).expect("made");
        make_in(&folder, &Pretended { is_cut: true }).expect("nothing to do");
        fs::remove_dir_all(folder).expect("removed");
    }
}
