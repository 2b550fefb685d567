//! Kernel messages about blocks that are not what the maker sealed.

use std::fs::File;
use std::io::{self, Read};

use super::{App, lock};
use crate::init::report::tell_consoles;
use crate::init::verity::corrupted_block;

/// Blocks that are told; see `init`.
const BLOCK_LIMIT: usize = 8;

/// Reads messages for ever, from the first one of this boot on.
pub fn corruption(app: &App) {
    let Ok(mut messages) = File::open("/dev/kmsg") else { return };
    let mut record = [0u8; 8192];
    loop {
        match messages.read(&mut record) {
            Ok(length) => {
                if let Some(block) = corrupted_block(&String::from_utf8_lossy(&record[..length])) {
                    remember(app, block);
                }
            }
            // Records were overwritten while reading.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(_) => return,
        }
    }
}

fn remember(app: &App, block: &str) {
    {
        let mut live = lock(&app.live);
        if live.corrupted.len() >= BLOCK_LIMIT || live.corrupted.iter().any(|known| known == block) {
            return;
        }
        live.corrupted.push(block.to_owned());
    }
    tell_consoles(&format!("\n  The system is damaged: {block} has not the content its maker sealed.\n\n"));
    let _health_thread_gone = app.nudge.send(());
}
