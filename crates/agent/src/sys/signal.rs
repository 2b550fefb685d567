//! Signals taken one at a time, instead of handlers.

use std::io;
use std::time::Duration;

/// A signal that ends the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGTERM or SIGINT.
    Terminate,
}

/// Keeps the ending signals from their default action. MUST be called before the first thread starts: threads inherit it.
pub fn block() -> io::Result<()> {
    // JUSTIFICATION: no safe wrapper of signal masks is among the dependencies.
    // SAFETY: `set` is initialised by `sigemptyset` before it is used, and lives until the call returns.
    let result = unsafe {
        let mut set = ending_set();
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw mut set, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Waits for an ending signal, at most for `time`.
pub fn wait(time: Duration) -> Option<Ending> {
    let time = libc::timespec {
        // The type's name is deprecated on musl until its width is settled.
        tv_sec: time.as_secs() as _,
        tv_nsec: time.subsec_nanos() as libc::c_long,
    };
    // JUSTIFICATION: see above.
    // SAFETY: both values live until the call returns; no information about the signal is asked for.
    let signal = unsafe {
        let set = ending_set();
        libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const time)
    };
    (signal > 0).then_some(Ending::Terminate)
}

fn ending_set() -> libc::sigset_t {
    // JUSTIFICATION: see above.
    // SAFETY: a signal set is plain data for which zero is valid, and `sigemptyset` initialises it anyway.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        set
    }
}
