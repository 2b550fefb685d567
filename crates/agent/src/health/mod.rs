//! Health: what the maker's checks say, as a value. Probing is in [`probe`].

pub mod http;
pub mod probe;

use std::time::Duration;

use model::control::{CheckState, Health};
use model::definition::HealthCheck;

/// Pause between two rounds while the appliance starts: a person waits for it.
const STARTING_PAUSE: Duration = Duration::from_millis(500);
/// Pause while something fails.
const UNHEALTHY_PAUSE: Duration = Duration::from_secs(3);
/// Pause when all is well.
const HEALTHY_PAUSE: Duration = Duration::from_secs(10);

/// How long the firewall may take to be loaded after the kernel started.
const FIREWALL_GRACE: u32 = 60;

/// What a check looks at.
#[derive(Clone, Debug)]
pub enum Subject {
    /// What the maker declared.
    Declared(HealthCheck),
    /// The appliance's own firewall: open ports must never look healthy.
    Firewall,
}

impl Subject {
    /// All that is checked: the firewall first, then what is declared.
    pub fn all(declared: &[HealthCheck]) -> Vec<Subject> {
        let declared = declared.iter().cloned().map(Subject::Declared);
        std::iter::once(Subject::Firewall).chain(declared).collect()
    }

    fn name(&self) -> &str {
        match self {
            Subject::Declared(check) => &check.name,
            Subject::Firewall => "firewall",
        }
    }

    fn grace(&self) -> Duration {
        Duration::from_secs(match self {
            Subject::Declared(check) => check.grace.into(),
            Subject::Firewall => FIREWALL_GRACE.into(),
        })
    }
}

/// What one check is known to be.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// What it looks at.
    pub subject: Subject,
    has_passed: bool,
    last: Option<Result<(), String>>,
}

impl Tracked {
    /// A check that was not made yet.
    pub fn new(subject: Subject) -> Tracked {
        Tracked { subject, has_passed: false, last: None }
    }

    /// Takes a result in.
    pub fn record(&mut self, result: Result<(), String>) {
        self.has_passed |= result.is_ok();
        self.last = Some(result);
    }

    /// Its state `since_start` after the system started. Before its first pass a check may fail until its grace ends.
    pub fn state(&self, since_start: Duration) -> CheckState {
        let in_grace = !self.has_passed && since_start < self.subject.grace();
        let (health, why) = match &self.last {
            Some(Ok(())) => (Health::Healthy, None),
            Some(Err(why)) if in_grace => (Health::Starting, Some(why.clone())),
            None if in_grace => (Health::Starting, None),
            Some(Err(why)) => (Health::Unhealthy, Some(why.clone())),
            None => (Health::Starting, None),
        };
        CheckState { name: self.subject.name().to_owned(), health, why }
    }
}

/// Health of the whole. A corrupted block makes it unhealthy whatever the checks say.
pub fn overall(checks: &[CheckState], corrupted_blocks: usize) -> Health {
    let any = |health| checks.iter().any(|check| check.health == health);
    if corrupted_blocks > 0 || any(Health::Unhealthy) {
        Health::Unhealthy
    } else if any(Health::Starting) {
        Health::Starting
    } else {
        Health::Healthy
    }
}

/// Time until the next round.
pub fn pause(health: Health) -> Duration {
    match health {
        Health::Starting => STARTING_PAUSE,
        Health::Unhealthy => UNHEALTHY_PAUSE,
        Health::Healthy => HEALTHY_PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use model::definition::Probe;

    use super::*;

    fn tracked() -> Tracked {
        Tracked::new(Subject::Declared(HealthCheck {
            name: "web".to_owned(),
            probe: Probe::Tcp { port: 80 },
            timeout: 5,
            grace: 60,
        }))
    }

    #[test]
    fn a_failing_check_is_starting_until_its_grace_ends() {
        let mut check = tracked();
        assert_eq!(check.state(Duration::from_secs(1)).health, Health::Starting);
        check.record(Err("refused".to_owned()));
        assert_eq!(check.state(Duration::from_secs(59)).health, Health::Starting);
        let late = check.state(Duration::from_secs(60));
        assert_eq!((late.health, late.why.as_deref()), (Health::Unhealthy, Some("refused")));
    }

    #[test]
    fn grace_ends_with_the_first_pass() {
        let mut check = tracked();
        check.record(Ok(()));
        assert_eq!(check.state(Duration::from_secs(2)).health, Health::Healthy);
        check.record(Err("refused".to_owned()));
        assert_eq!(check.state(Duration::from_secs(3)).health, Health::Unhealthy);
    }

    #[test]
    fn an_appliance_whose_firewall_is_not_loaded_is_never_healthy() {
        let mut checks: Vec<Tracked> = Subject::all(&[]).into_iter().map(Tracked::new).collect();
        checks[0].record(Err("the firewall is not loaded".to_owned()));
        let states = |since| checks.iter().map(|check| check.state(since)).collect::<Vec<_>>();
        assert_eq!(overall(&states(Duration::ZERO), 0), Health::Starting);
        let late = states(Duration::from_secs(FIREWALL_GRACE.into()));
        assert_eq!((overall(&late, 0), late[0].name.as_str()), (Health::Unhealthy, "firewall"));
    }

    #[test]
    fn the_worst_check_decides_and_corruption_beats_all() {
        let mut good = tracked();
        good.record(Ok(()));
        let (good, waiting) = (good.state(Duration::ZERO), tracked().state(Duration::ZERO));
        assert_eq!(overall(&[], 0), Health::Healthy);
        assert_eq!(overall(&[good.clone(), waiting], 0), Health::Starting);
        assert_eq!(overall(&[good], 1), Health::Unhealthy);
    }
}
