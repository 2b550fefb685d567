//! Running a program to its end with a limit on time and output.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Output that is kept: a program that prints for ever must not fill the memory.
const OUTPUT_LIMIT: u64 = 64 << 10;

/// How a program ended.
#[derive(Debug)]
pub struct Finished {
    /// `None` when it took too long and was killed.
    status: Option<ExitStatus>,
    /// What it printed, both streams.
    pub output: String,
}

impl Finished {
    /// Whether it ended by itself with 0.
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// What a person needs to know when it did not.
    pub fn explain(&self) -> String {
        let end = match self.status {
            Some(status) => format!("it ended with {status}"),
            None => "it took too long".to_owned(),
        };
        match self.output.trim() {
            "" => end,
            output => format!("{output}\n({end})"),
        }
    }
}

/// Runs a command with a private environment.
pub fn run(mut command: Command, input: Option<Vec<u8>>, time: Duration) -> io::Result<Finished> {
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feeder = std::thread::spawn(move || {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that does not read its input fails for its own reasons.
            let _closed = stdin.write_all(&input);
        }
    });
    let readers =
        [std::thread::spawn(move || read_limited(stdout)), std::thread::spawn(move || read_limited(stderr))];
    let status = wait(&mut child, time)?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
        // Grandchildren may hold the pipes open for ever: the threads are left to themselves.
        return Ok(Finished { status, output: String::new() });
    }
    let _fed = feeder.join();
    let output = readers.into_iter().map(|reader| reader.join().unwrap_or_default()).collect();
    Ok(Finished { status, output })
}

/// Waits with growing pauses: short programs end quickly, long ones cost nothing.
fn wait(child: &mut Child, time: Duration) -> io::Result<Option<ExitStatus>> {
    let (began, mut pause) = (Instant::now(), Duration::from_millis(2));
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if began.elapsed() > time {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn read_limited(pipe: Option<impl Read>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let mut bytes = Vec::new();
    let _what_came = pipe.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
    // The rest is read so that the program does not wait for ever.
    let _rest = io::copy(&mut pipe, &mut io::sink());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Finished {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, None, Duration::from_secs(5)).expect("sh is there")
    }

    #[test]
    fn output_and_end_are_told() {
        assert!(shell("true").is_success());
        let finished = shell("echo out; echo err >&2; exit 3");
        assert_eq!(finished.explain(), "out\nerr\n(it ended with exit status: 3)");
    }

    #[test]
    fn a_program_that_never_ends_is_stopped() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let finished = run(command, None, Duration::from_millis(50)).expect("sleep is there");
        assert_eq!(finished.explain(), "it took too long");
    }

    #[test]
    fn endless_output_is_cut() {
        assert_eq!(shell("head -c 300000 /dev/zero").output.len() as u64, OUTPUT_LIMIT);
    }
}
