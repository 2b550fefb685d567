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
use model::control::{CheckState, Event, Health, Status, UndeclaredWrite, UpdateStatus};

use model::definition::SettingValues;

use crate::accounts::Accounts;
use crate::facts::{FACTS_PATH, Facts};
use crate::health::{self, Subject, Tracked, probe};
use crate::patching::{Follow, Patching};
use crate::render::{LIST_PATH, Renderer};
use crate::settings::change::Settings;
use crate::{boot, card, sys, undeclared};

/// The main loop's beat: the card follows a change within it, and systemd's watchdog waits many times longer.
const BEAT: Duration = Duration::from_secs(1);
/// A kernel message may have written over the card: it is drawn again without a change too.
const REDRAW: Duration = Duration::from_secs(30);
/// How often the policy for patches is followed: six hours, and up to one more by the machine's own number, so that not all
/// appliances of a maker ask at once.
const POLICY_INTERVAL: Duration = Duration::from_secs(6 * 3600);
const POLICY_SPREAD: u64 = 3600;
/// The first look at the depot: services come first.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// The stack of a thread: none recurses deep, and sixteen of the default size would be 32 MiB of address space.
const STACK: usize = 256 << 10;

/// Everything the threads share.
struct App {
    definition: Definition,
    accounts: Accounts,
    facts: Facts,
    settings: Mutex<Settings>,
    /// Copied from the settings after each change, so that nobody waits for one that is under way.
    summary: Mutex<Summary>,
    live: Mutex<Live>,
    hub: Arc<hub::Hub>,
    /// Absent where nothing says which image runs: the agent is tried outside of an appliance.
    patching: Option<Arc<Patching>>,
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
    values: SettingValues,
}

impl Summary {
    fn of(settings: &Settings) -> Summary {
        Summary {
            version: settings.version(),
            hostname: settings.hostname(),
            values: settings.values().clone(),
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
    let hub = Arc::new(hub::Hub::default());
    let facts = Facts::load(Path::new(FACTS_PATH));
    let patching = load_patching(&definition, &facts, &settings, &hub);
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
        hub,
        patching,
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
    if let Some(patching) = app.patching.clone() {
        if patching.enter() {
            spawn("trial", {
                let app = app.clone();
                move || undergo_trial(&app)
            })?;
        }
        spawn("policy", {
            let app = app.clone();
            move || follow_policy(&app)
        })?;
    }
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
    fn check_states(&self) -> Vec<CheckState> {
        let since_boot = uptime();
        lock(&self.live).checks.iter().map(|check| check.state(since_boot)).collect()
    }

    fn status(&self) -> Status {
        let since_boot = uptime();
        let (checks, corrupted) = (self.check_states(), lock(&self.live).corrupted.clone());
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
            uptime: since_boot.as_secs(),
            settings_version: summary.version,
            notices: told
                .chain(self.facts.notices.iter().cloned())
                .chain(self.patching.as_ref().map(|patching| patching.notices()).unwrap_or_default())
                .collect(),
            update: self.patching.as_ref().map_or_else(UpdateStatus::unknown, |patching| patching.status()),
        }
    }
}

/// Without the facts of `init` nothing is known of slots; without data nothing can be kept. Both are told by its absence.
fn load_patching(
    definition: &Definition,
    facts: &Facts,
    settings: &Settings,
    hub: &Arc<hub::Hub>,
) -> Option<Arc<Patching>> {
    let hub = hub.clone();
    let news = Box::new(move |update| hub.broadcast(&Event::Update(update)));
    Patching::load(definition.clone(), facts, Follow::of(settings.values()), news).ok().map(Arc::new)
}

fn undergo_trial(app: &App) {
    let Some(patching) = &app.patching else { return };
    let checks = || {
        // The health thread rests for seconds when all is well.
        let _gone = app.nudge.send(());
        app.check_states()
    };
    patching.undergo(checks, uptime);
}

fn follow_policy(app: &App) {
    let Some(patching) = &app.patching else { return };
    std::thread::sleep(FIRST_LOOK);
    let spread = u64::from(std::process::id()) * 7919 % POLICY_SPREAD;
    loop {
        patching.follow_policy(&lock(&app.summary).values.clone());
        std::thread::sleep(POLICY_INTERVAL + Duration::from_secs(spread));
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
        let rest = health::pause(health).saturating_sub(began.elapsed()).max(Duration::from_millis(100));
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

fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds = text.split(' ').next().and_then(|word| word.parse().ok());
    Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default()
}
