//! Locks of folders that one writer has at a time.

use std::fs::{File, TryLockError};
use std::thread;
use std::time::Duration;

/// A quarter of a second in all.
const ATTEMPTS: u32 = 25;
const PAUSE: Duration = Duration::from_millis(10);

/// Takes a lock, or says that somebody else has it. A program that this process is just starting has copies of its locks for a moment, until it
/// has begun: that is waited out.
pub fn take(file: &File) -> Result<(), TryLockError> {
    for _ in 1..ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    file.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_in_a_moment_is_taken_and_what_is_held_is_told() {
        let place = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let open = || File::open(place.path()).expect("opens");
        let (held, wanted) = (open(), open());
        take(&held).expect("nobody has it");
        assert!(matches!(take(&wanted), Err(TryLockError::WouldBlock)));
        let letting_go = thread::spawn(move || {
            thread::sleep(5 * PAUSE);
            drop(held);
        });
        take(&wanted).expect("it was let go");
        letting_go.join().expect("ended");
    }
}
