//! `run`: the agent as a service. Answers the control protocol, watches health, draws the status card.
//!
//! Threads: this one (signals, watchdog, card), health, kernel messages, the socket's listener and one a peer. Locks are
//! taken one at a time: `settings` may be held for as long as a change takes; the others only for copying.

mod answer;
mod hub;
mod notify;
mod port;
mod socket;
mod system;
mod watch;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::Definition;
use model::control::{CheckState, Event, Health, Restart, Status, UndeclaredWrite};
use model::definition::SettingValues;
use update::life::Side;

use crate::accounts::Accounts;
use crate::facts::{FACTS_PATH, Facts, kernel_uptime};
use crate::health::{self, Subject, Tracked, probe};
use crate::render::{LIST_PATH, Renderer};
use crate::settings::change::Settings;
use crate::update::{self as patching, Choices, Updater};
use crate::{boot, card, sys, undeclared, units};

/// The main loop's beat: the card follows a change within it, and systemd's watchdog waits many times longer.
const BEAT: Duration = Duration::from_secs(1);
/// A kernel message may have written over the card: it is drawn again without a change too.
const REDRAW: Duration = Duration::from_secs(30);
/// The stack of a thread: none recurses deep, and sixteen of the default size would be 32 MiB of address space. Only what is
/// used of it costs memory.
const STACK: usize = 1 << 20;
/// Pause between two rounds of checks during a trial.
const TRIAL_PAUSE: Duration = Duration::from_secs(2);
const STOP_TIME: Duration = Duration::from_secs(20);

/// Everything the threads share.
struct App {
    definition: Definition,
    accounts: Accounts,
    facts: Facts,
    settings: Mutex<Settings>,
    /// Copied from the settings after each change, so that nobody waits for one that is under way.
    summary: Mutex<Summary>,
    live: Mutex<Live>,
    hub: hub::Hub,
    updates: Updater,
    /// Wakes the health thread.
    nudge: Sender<()>,
    /// Counts up when a change of settings begins and when it ends: odd while one is under way. What checks see then is a
    /// service that restarts, and says nothing about the appliance.
    change_count: AtomicU64,
}

#[derive(Clone)]
struct Summary {
    version: u64,
    hostname: String,
    /// What the settings say of updates.
    choices: Choices,
    /// Values that somebody gave.
    given: SettingValues,
}

impl Summary {
    fn of(settings: &Settings) -> Summary {
        Summary {
            version: settings.version(),
            hostname: settings.hostname(),
            choices: Choices::of(settings.values()),
            given: settings.given(),
        }
    }
}

struct Live {
    checks: Vec<Tracked>,
    corrupted: Vec<String>,
}

/// The subcommand. Returns when the system stops it.
pub fn main() -> io::Result<()> {
    sys::signal::block()?;
    let root = Path::new("/");
    let renderer = Renderer::load(boot::load_definition(root)?, root)?;
    let (definition, accounts) = (renderer.definition.clone(), renderer.accounts().clone());
    let settings = Settings::load(renderer, boot::open_store()?)?;
    let (nudge, nudged) = mpsc::channel();
    let facts = Facts::load(Path::new(FACTS_PATH));
    let own = Side {
        version: definition.appliance.version.clone(),
        root_hash: facts.root_hash.parse().unwrap_or(model::Sha256Digest([0; 32])),
        state_format: definition.state_format,
    };
    let (updates, jobs) = Updater::load(Path::new("/data"), own);
    let app = Arc::new(App {
        summary: Mutex::new(Summary::of(&settings)),
        settings: Mutex::new(settings),
        live: Mutex::new(Live {
            checks: Subject::all(&definition.health).into_iter().map(Tracked::new).collect(),
            corrupted: Vec::new(),
        }),
        definition,
        accounts,
        facts,
        updates,
        hub: hub::Hub::default(),
        nudge,
        change_count: AtomicU64::new(0),
    });
    let listener = socket::bind()?;
    spawn("socket", {
        let app = app.clone();
        move || socket::serve(&app, &listener)
    })?;
    spawn("port", {
        let app = app.clone();
        move || port::serve(&app)
    })?;
    spawn("kernel", {
        let app = app.clone();
        move || watch::corruption(&app)
    })?;
    spawn("health", {
        let app = app.clone();
        move || watch_health(&app, &nudged)
    })?;
    spawn("update", {
        let app = app.clone();
        move || patching::run(&*app, &jobs)
    })?;
    notify::tell("READY=1");
    app.hub.broadcast(&Event::Hello(app.status()));
    let mut shown = String::new();
    let mut drawn = Instant::now();
    loop {
        let card = card::render(&app.definition, &app.status());
        if card != shown {
            draw_on_serial_port(&card);
        }
        if card != shown || drawn.elapsed() > REDRAW {
            draw_on_screen(&card);
            (shown, drawn) = (card, Instant::now());
        }
        notify::tell("WATCHDOG=1");
        if sys::signal::wait(BEAT).is_some() {
            notify::tell("STOPPING=1");
            app.hub.broadcast(&Event::Stopping { undeclared_writes: undeclared_writes() });
            // Writers have a moment to hand it over.
            app.hub.flush(Duration::from_millis(500));
            return Ok(());
        }
    }
}

impl App {
    /// Since this system started, which may be later than the kernel.
    fn uptime(&self) -> Duration {
        kernel_uptime().saturating_sub(Duration::from_secs(self.facts.began))
    }

    fn status(&self) -> Status {
        let since_start = self.uptime();
        let (checks, corrupted) = {
            let live = lock(&self.live);
            (
                live.checks.iter().map(|check| check.state(since_start)).collect::<Vec<_>>(),
                live.corrupted.clone(),
            )
        };
        let summary = lock(&self.summary).clone();
        let addresses = sys::addresses::addresses().unwrap_or_default();
        let identity = &self.definition.appliance;
        let told = corrupted
            .iter()
            .map(|block| format!("the system is damaged: {block} has not the content its maker sealed"));
        Status {
            appliance: identity.id(),
            title: identity.title.clone(),
            version: identity.version.clone(),
            root_hash: self.facts.root_hash.clone(),
            health: health::overall(&checks, corrupted.len()),
            checks,
            hostname: summary.hostname,
            urls: answer::urls(&self.definition, &addresses),
            addresses: addresses.iter().map(|(address, prefix)| format!("{address}/{prefix}")).collect(),
            uptime: since_start.as_secs(),
            settings_version: summary.version,
            notices: self
                .updates
                .notices()
                .into_iter()
                .chain(told)
                .chain(self.facts.notices.iter().cloned())
                .collect(),
            update: self.updates.status(&summary.choices, boot::now()),
        }
    }
}

impl patching::Host for App {
    fn updater(&self) -> &Updater {
        &self.updates
    }

    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn choices(&self) -> Choices {
        lock(&self.summary).choices.clone()
    }

    fn values(&self) -> SettingValues {
        lock(&self.summary).given.clone()
    }

    fn checks(&self) -> (Health, Vec<CheckState>) {
        let status = self.status();
        (status.health, status.checks)
    }

    fn uptime(&self) -> Duration {
        App::uptime(self)
    }

    fn now(&self) -> u64 {
        boot::now()
    }

    fn tell(&self) {
        let status = self.updates.status(&self.choices(), boot::now());
        self.hub.broadcast(&Event::Update(status));
    }

    fn restart(&self, restart: Restart) -> Result<(), String> {
        self.hub.flush(Duration::from_millis(300));
        let verb = match restart {
            Restart::Shortest => "soft-reboot",
            Restart::Machine => "reboot",
        };
        let asked = units::systemctl(&["--no-block", verb], STOP_TIME);
        if asked.is_err() && restart == Restart::Machine && !units::is_answering() {
            // Nobody is left who could stop the services: what they have not written is lost as in a power cut.
            rustix::fs::sync();
            rustix::system::reboot(rustix::system::RebootCommand::Restart).map_err(|error| {
                format!("systemd does not answer, and the kernel does not restart: {error}")
            })?;
        }
        asked
    }
}

/// A thread that panicked has left plain values behind; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body).map(drop)
}

fn watch_health(app: &App, nudged: &Receiver<()>) {
    let mut told = None;
    loop {
        let began = Instant::now();
        let change = app.change_count.load(Ordering::Acquire);
        let checks: Vec<_> = lock(&app.live).checks.iter().map(|tracked| tracked.subject.clone()).collect();
        let results = probe::round(&checks, &app.accounts);
        let is_calm = change.is_multiple_of(2) && app.change_count.load(Ordering::Acquire) == change;
        if is_calm {
            lock(&app.live)
                .checks
                .iter_mut()
                .zip(results)
                .for_each(|(tracked, result)| tracked.record(result));
        }
        let status = app.status();
        let health = status.health;
        if told != Some(health) {
            told = Some(health);
            notify::tell(&format!("STATUS={}", health_word(health)));
            app.hub.broadcast(&Event::Health(status));
        }
        let pause = if app.updates.is_on_trial() { TRIAL_PAUSE } else { health::pause(health) };
        let rest = pause.saturating_sub(began.elapsed()).max(Duration::from_millis(100));
        match nudged.recv_timeout(rest) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn health_word(health: Health) -> &'static str {
    match health {
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    }
}

fn undeclared_writes() -> Vec<UndeclaredWrite> {
    let rendered = fs::read(LIST_PATH).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    undeclared::find(Path::new("/"), &rendered.unwrap_or_default())
}

/// Draws on the screen, cleared and without cursor.
fn draw_on_screen(card: &str) {
    write_to("/dev/tty1", &format!("\x1b[?25l\x1b[H\x1b[2J{}", card.replace('\n', "\r\n")));
}

/// Appends to what the serial port shows, which is a log for most people: once a change.
fn draw_on_serial_port(card: &str) {
    write_to("/dev/ttyS0", &card.replace('\n', "\r\n"));
}

fn write_to(console: &str, text: &str) {
    // A machine without this console has nothing to show on it.
    let _absent =
        File::options().write(true).open(console).and_then(|mut file| file.write_all(text.as_bytes()));
}
