//! The depot that an appliance started by `ampoule run --depot` follows.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use depot::DepotError;
use depot::bundle::ensure_bundle;
use depot::serve::{Limits, Server};
use machine::{RunOptions, Running};
use model::builtin::ATTACHED;
use model::control::{Call, Status};

use super::release::depot_failure;
use super::test::HOST_IN_GUEST;
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// The setting that names the depot.
const SETTING: &str = "update-depot";
/// Which port a folder's depot had in the last run: an appliance remembers the URL.
const PORT_FILE: &str = "depot.port";

/// A depot, and the server or the disk that is there for it while the run lasts.
pub struct Followed {
    url: String,
    bundle: Option<PathBuf>,
    _server: Option<Server>,
}

impl Followed {
    /// Takes a URL as it is; serves a folder; attaches a bundle.
    pub fn start(depot: &str, vm: &Path, printer: &Arc<Printer>) -> Result<Self, Failure> {
        if depot.contains("://") {
            return Ok(Self { url: depot.to_owned(), bundle: None, _server: None });
        }
        if Path::new(depot).is_file() {
            ensure_bundle(Path::new(depot)).map_err(depot_failure)?;
            printer.note(&format!("attaches the bundle `{depot}` as a disk"));
            return Ok(Self { url: ATTACHED.to_owned(), bundle: Some(depot.into()), _server: None });
        }
        fs::create_dir_all(vm).map_err(|error| Failure::from_error(Fault::Environment, &error))?;
        let file = vm.join(PORT_FILE);
        let last = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let start = |port: u16| {
            let listen = SocketAddr::from(([127, 0, 0, 1], port));
            Server::start(Path::new(depot), listen, Limits::default(), |_| ())
        };
        let server = match start(last) {
            // Taken meanwhile: the appliance is told the new one.
            Err(DepotError::Listen { .. }) if last != 0 => start(0),
            other => other,
        };
        let server = server.map_err(depot_failure)?;
        let port = server.address().port();
        fs::write(&file, format!("{port}\n"))
            .map_err(|error| Failure::from_error(Fault::Environment, &error))?;
        printer.note(&format!("serves the depot `{depot}` at {} while it runs", server.url()));
        Ok(Self { url: format!("http://{HOST_IN_GUEST}:{port}"), bundle: None, _server: Some(server) })
    }

    /// For the first boot, as the hypervisor would; what the settings document says itself comes first.
    pub fn hand_over(&self, options: &mut RunOptions) {
        options.brought.clone_from(&self.bundle);
        let text = options.settings.take().unwrap_or_default();
        let is_said = text.lines().any(|line| line.trim_start().starts_with(SETTING));
        options.settings = Some(if is_said { text } else { format!("{SETTING} = \"{}\"\n{text}", self.url) });
    }

    /// An appliance that booted before has its settings already.
    pub fn ensure_followed(&self, running: &Running, status: &Status, printer: &Printer) {
        if status.update.depot.as_deref() == Some(&self.url) {
            return;
        }
        let changes = [(SETTING.to_owned(), self.url.clone())].into();
        let asked = running.control().and_then(|mut client| client.call(Call::Set { changes }));
        if let Err(error) = asked {
            printer.note(&format!("it does not follow the depot: {error}"));
        }
    }
}
