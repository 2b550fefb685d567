//! The control protocol on the virtio serial port, for the host. Opens no network port.

use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::control::PORT_NAME;

use super::App;
use super::socket::answer_lines;

/// Pause between two looks for a port or a host that is not there.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves the port for ever: reading ends whenever the host goes away.
pub fn serve(app: &Arc<App>) {
    let mut file = loop {
        match find().and_then(|path| File::options().read(true).write(true).open(path).ok()) {
            Some(file) => break file,
            None => std::thread::sleep(PAUSE),
        }
    };
    let (peer, outbox) = app.hub.join();
    let Ok(reader) = file.try_clone() else { return };
    // Writing waits for a host; the queue drops what is too much until then.
    let started =
        super::spawn("port-writer", move || outbox.write_to(|line| file.write_all(line.as_bytes())));
    if started.is_err() {
        return;
    }
    let mut reader = BufReader::new(reader);
    loop {
        let _host_gone = answer_lines(app, &peer, &mut reader);
        std::thread::sleep(PAUSE);
    }
}

/// Finds the port by its name in sysfs: udev's link may come later.
fn find() -> Option<PathBuf> {
    fs::read_dir("/sys/class/virtio-ports").ok()?.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("name")).ok()?;
        (name.trim() == PORT_NAME).then(|| Path::new("/dev").join(entry.file_name()))
    })
}
