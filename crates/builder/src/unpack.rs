//! Packages into a root: staged in parallel ([`stage`]), placed in apt's order ([`place`]), recorded in dpkg's
//! database ([`database`]).
//!
//! What dpkg does one after the other with one file at a time is split so that everything expensive (decoding,
//! hashing, writing) needs no order, and everything that needs an order is cheap (renames).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use tree::TreePath;

pub mod control;
pub mod database;
pub mod place;
pub mod stage;
#[cfg(test)]
mod tests;

use crate::base::BaseError;
use debian::deb::ControlFile;
use stage::{Selection, Staged, stage};

/// Control files of a package by name.
pub type ControlFiles = BTreeMap<String, ControlFile>;

/// Directories of `/` that are links into `/usr`. Every root is made that way, as Debian's installers do since
/// bullseye.
pub const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// The path behind the links of [`MERGED`]: `lib/x` is `usr/lib/x`.
pub fn canonical(path: &TreePath) -> TreePath {
    match path.as_str().split_once('/') {
        Some((first, _)) if MERGED.contains(&first) => format!("usr/{}", path.as_str())
            .parse()
            .expect("a path below /usr is as normal as the path itself"),
        _ => path.clone(),
    }
}

/// Packages being staged by threads.
pub struct Staging<'scope> {
    receiver: Receiver<(usize, Result<Staged, BaseError>)>,
    arrived: BTreeMap<usize, Staged>,
    threads: Vec<std::thread::ScopedJoinHandle<'scope, ()>>,
}

/// One package to stage.
pub struct ToStage {
    /// The `.deb`.
    pub deb: PathBuf,
    /// Packages with the smallest class are staged first.
    pub class: u8,
    /// Within a class the largest come first, so that no thread ends alone with a large one.
    pub size: u64,
}

impl<'scope> Staging<'scope> {
    /// Begins staging `packages` into numbered directories of `into` with `threads` threads.
    pub fn begin<'env>(
        scope: &'scope std::thread::Scope<'scope, 'env>,
        packages: &'env [ToStage],
        into: &'env Path,
        selection: &'env Selection<'env>,
        threads: usize,
    ) -> Self {
        let mut order: Vec<usize> = (0..packages.len()).collect();
        order.sort_by_key(|&index| (packages[index].class, std::cmp::Reverse(packages[index].size)));
        order.reverse();
        let queue = Arc::new(Mutex::new(order));
        let (sender, receiver) = channel();
        let threads = (0..threads.max(1))
            .map(|_| {
                let (queue, sender) = (Arc::clone(&queue), sender.clone());
                scope.spawn(move || {
                    loop {
                        let next = queue.lock().expect("no thread panics while it holds the queue").pop();
                        let Some(index) = next else { break };
                        let staged = stage(&packages[index].deb, &into.join(index.to_string()), selection);
                        // Nobody listens once a package failed: then there is no use in going on.
                        if sender.send((index, staged)).is_err() {
                            break;
                        }
                    }
                })
            })
            .collect();
        Self { receiver, arrived: BTreeMap::new(), threads }
    }

    /// The package at `index`, as soon as it is staged.
    pub fn take(&mut self, index: usize) -> Result<Staged, BaseError> {
        loop {
            if let Some(staged) = self.arrived.remove(&index) {
                return Ok(staged);
            }
            match self.receiver.recv() {
                Ok((index, staged)) => {
                    self.arrived.insert(index, staged?);
                }
                Err(_) => {
                    for thread in self.threads.drain(..) {
                        if let Err(panic) = thread.join() {
                            std::panic::resume_unwind(panic);
                        }
                    }
                    return Err(BaseError::Packages { reason: format!("package {index} was never staged") });
                }
            }
        }
    }
}
