//! The sandbox's own process: mounts, then unpack, configure and collect.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::Mode;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::protocol::{Message, Phase, Task};
use crate::base::error::At;
use crate::base::{BaseError, collect};
use crate::configure::{Chroot, Listener, configure};
use crate::unpack::stage::Selection;
use crate::unpack::{Staging, ToStage};

/// Work happens in memory when at least this much is free: a large appliance's root and what the build needs besides.
const MEMORY_FOR_TMPFS: u64 = 4 << 30;

/// Devices that scripts may use. Nothing of the machine's own is among them.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

pub(super) fn main(task: Option<String>) -> ExitCode {
    let output = Output(Mutex::new(std::io::stdout()));
    let task = task.ok_or("no task was given".to_owned()).and_then(|path| {
        let text = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
        serde_json::from_slice::<Task>(&text).map_err(|error| format!("{path}: {error}"))
    });
    let result = match task {
        Ok(task) => perform(&task, &output),
        Err(reason) => Err(BaseError::Sandbox { reason }),
    };
    match result {
        Ok(()) => {
            output.send(&Message::Done);
            ExitCode::SUCCESS
        }
        Err(error) => {
            output.send(&Message::Failed(error.into()));
            ExitCode::FAILURE
        }
    }
}

/// Lines of messages on standard output, from several threads.
struct Output(Mutex<std::io::Stdout>);

impl Output {
    fn send(&self, message: &Message) {
        let mut line = serde_json::to_vec(message).expect("messages are plain texts and numbers");
        line.push(b'\n');
        let mut out = self.0.lock().expect("no thread panics while it writes");
        // Without a listener there is nobody to tell.
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

fn perform(task: &Task, output: &Output) -> Result<(), BaseError> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::system::sethostname(b"localhost").at("set the host name", "localhost")?;
    // Nothing mounted from here on reaches the machine, and nothing of the machine's new mounts comes in.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).at("make private", "/")?;
    let in_memory = available_memory().is_some_and(|available| available >= MEMORY_FOR_TMPFS);
    if in_memory {
        let options = Some(c"mode=0755,nr_inodes=0,size=75%");
        rustix::mount::mount("tmpfs", &task.mount, "tmpfs", MountFlags::empty(), options)
            .at("mount memory at", &task.mount)?;
    } else {
        output.send(&Message::Note("little memory is free: unpacking on disk, which is slower".into()));
    }
    let result = build(task, output);
    if in_memory {
        // Frees the memory now; at the latest it goes with the sandbox.
        let _ = rustix::mount::unmount(&task.mount, UnmountFlags::DETACH);
    } else {
        // Only in here is everything below owned by "us".
        let removed = ["root", "stage"].into_iter().try_for_each(|name| {
            let path = task.mount.join(name);
            if path.exists() { std::fs::remove_dir_all(&path).at("remove", path) } else { Ok(()) }
        });
        result?;
        return removed;
    }
    result
}

fn build(task: &Task, output: &Output) -> Result<(), BaseError> {
    let request = &task.request;
    let (root, stage) = (task.mount.join("root"), task.mount.join("stage"));
    let aside = stage.join("aside");
    for directory in [&root, &stage, &aside] {
        std::fs::create_dir(directory).at("create", directory)?;
    }
    let rules = request.early_rules();
    let selection = Selection { trim: &rules, documents: &request.documents };
    let (bootstrap, count) = (request.bootstrap_count(), request.packages.len());
    let packages: Vec<ToStage> = request
        .packages
        .iter()
        .enumerate()
        .map(|(index, package)| ToStage {
            deb: package.deb.clone(),
            class: u8::from(index >= bootstrap),
            size: package.size,
        })
        .collect();
    let chroot = Chroot { root: root.clone(), source_date_epoch: request.source_date_epoch };
    let listener = Reporter { output, placed: AtomicU64::new(0), configured: AtomicU64::new(0) };
    output.send(&Message::Started { step: Phase::Unpack, total: Some(count as u64) });
    let mut mounts = Mounts { root: root.clone(), mounted: Vec::new() };
    let configured = std::thread::scope(|scope| {
        let mut staging = Staging::begin(scope, &packages, &stage, &selection, task.threads);
        configure(&chroot, &mut staging, (bootstrap, count), &listener, &mut || mounts.mount())
    })?;
    mounts.unmount()?;
    let configured_count = listener.configured.load(Ordering::Relaxed);
    let summary = format!("configured {configured_count} packages");
    output.send(&Message::Finished { step: Phase::Configure, summary });
    collect(&root, configured, &rules, request.source_date_epoch, (&task.out, &aside), task.threads)?;
    Ok(())
}

struct Reporter<'a> {
    output: &'a Output,
    placed: AtomicU64,
    configured: AtomicU64,
}

impl Listener for Reporter<'_> {
    fn placed(&self, package: &str) {
        let done = self.placed.fetch_add(1, Ordering::Relaxed) + 1;
        self.output.send(&Message::Advanced { step: Phase::Unpack, done, item: package.into() });
    }

    fn configuring(&self, package: &str) {
        let done = self.configured.fetch_add(1, Ordering::Relaxed) + 1;
        self.output.send(&Message::Advanced { step: Phase::Configure, done, item: package.into() });
    }

    fn all_placed(&self) {
        let summary = format!("unpacked {} packages", self.placed.load(Ordering::Relaxed));
        self.output.send(&Message::Finished { step: Phase::Unpack, summary });
        self.output.send(&Message::Started {
            step: Phase::Configure,
            total: Some(self.placed.load(Ordering::Relaxed)),
        });
    }
}

/// What is mounted in the root while scripts run.
struct Mounts {
    root: PathBuf,
    mounted: Vec<PathBuf>,
}

impl Mounts {
    fn mount(&mut self) -> Result<(), BaseError> {
        let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let proc = self.directory("proc")?;
        // A container that covers parts of /proc forbids a fresh one; then the machine's has to do.
        if rustix::mount::mount("proc", &proc, "proc", quiet, None).is_err() {
            rustix::mount::mount_bind_recursive("/proc", &proc).at("mount", &proc)?;
        }
        self.mounted.push(proc);
        for (name, mode) in [("dev", c"mode=0755"), ("run", c"mode=0755"), ("tmp", c"mode=1777")] {
            let path = self.directory(name)?;
            rustix::mount::mount("tmpfs", &path, "tmpfs", MountFlags::NOSUID, Some(mode))
                .at("mount", &path)?;
            self.mounted.push(path);
        }
        let dev = self.root.join("dev");
        for name in DEVICES {
            let (target, source) = (dev.join(name), Path::new("/dev").join(name));
            if source.exists() {
                File::create(&target).at("create", &target)?;
                rustix::mount::mount_bind(&source, &target).at("mount", &target)?;
            }
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "fd/0"),
            ("stdout", "fd/1"),
            ("stderr", "fd/2"),
            ("ptmx", "pts/ptmx"),
        ] {
            let link = dev.join(name);
            std::os::unix::fs::symlink(target, &link).at("create", &link)?;
        }
        for name in ["pts", "shm"] {
            let path = dev.join(name);
            std::fs::create_dir(&path).at("create", &path)?;
        }
        let pts = dev.join("pts");
        let options = Some(c"newinstance,ptmxmode=0666,mode=0620");
        let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
        rustix::mount::mount("devpts", &pts, "devpts", flags, options).at("mount", &pts)?;
        let lock = self.root.join("run/lock");
        std::fs::create_dir(&lock).at("create", &lock)
    }

    fn directory(&self, name: &str) -> Result<PathBuf, BaseError> {
        let path = self.root.join(name);
        if !path.is_dir() {
            std::fs::create_dir(&path).at("create", &path)?;
        }
        Ok(path)
    }

    fn unmount(&mut self) -> Result<(), BaseError> {
        while let Some(path) = self.mounted.pop() {
            rustix::mount::unmount(&path, UnmountFlags::DETACH).at("unmount", path)?;
        }
        Ok(())
    }
}

/// `MemAvailable` in bytes.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
