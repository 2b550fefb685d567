//! What a boot is, the trial and its ends, and the return to the release before.

use super::*;

impl Engine<'_> {
    /// Looks at what the last boot left.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let Some(life) = self.updater().lock().life.clone() else { return Ok(()) };
        let own = *self.own();
        let is_new = life.last.to.root_hash == own;
        match life::boot_of(Some(&life), &own, &boot_id()) {
            Boot::Trial => {
                let data = self.updater().files()?.data().to_owned();
                let mark = Mark { reached: "agent".to_owned(), ..Mark::load(&data) };
                mark.save(&data).map_err(|error| explain(&error))?;
                self.keep(LifeStage::Trial, &life.last, None)
            }
            Boot::Returned => self.come_back(&life),
            _ => match life.stage() {
                LifeStage::Confirmed if is_new => self.with_world(|world| flow::remove_counted(world, &own)),
                LifeStage::RolledBack if is_new => self.leave(Restart::Machine),
                LifeStage::Offered | LifeStage::Verified | LifeStage::Approved => self.keep(
                    LifeStage::Failed,
                    &life.last,
                    Some("the machine stopped before it was written; what was downloaded is kept, and it is begun again".to_owned()),
                ),
                _ => Ok(()),
            },
        }
    }

    /// The older release runs although the newer one was armed.
    pub(super) fn come_back(&mut self, life: &Life) -> Result<(), String> {
        let to = life.last.to.root_hash;
        let data = self.updater().files()?.data().to_owned();
        let mark = Mark::load(&data);
        let mark = (mark.root_hash == to.to_string()).then_some(mark);
        let entries = self.with_world(|world| world.entries())?;
        let entry = entries.into_iter().find(|entry| entry.root_hash == Some(to));
        let tries = entry.as_ref().and_then(|entry| flow::tries(&entry.name));
        if life.stage() == LifeStage::Armed && life.verdict.is_none() && mark.is_none() && entry.is_none() {
            return self.keep(
                LifeStage::Staged,
                &life.last,
                Some("the machine stopped before the boot loader knew of it".to_owned()),
            );
        }
        let reason = life.verdict.clone().unwrap_or_else(|| derived_reason(mark.as_ref(), tries));
        if entry.is_some() {
            self.with_world(|world| flow::set_aside(world, &to))?;
        }
        self.keep(LifeStage::FallenBack, &life.last, Some(reason))
    }

    /// One look at the trial of the running release.
    pub(super) fn watch_trial(&mut self) -> Result<(), String> {
        let Some(life) = self.updater().lock().life.clone() else { return Ok(()) };
        if life.verdict.is_some() {
            // It was judged, and the restart has not come yet.
            return self.leave(Restart::Machine);
        }
        let (health, checks) = self.host.checks();
        let limit = Duration::from_secs(trial_seconds(self.host.definition()).into());
        self.act("trial", self.host.uptime().as_secs(), limit.as_secs());
        let now = Instant::now();
        match health {
            Health::Healthy => {
                self.failing_since = None;
                if now - *self.healthy_since.get_or_insert(now) >= SETTLED {
                    if units::is_answering() {
                        return self.confirm(&life);
                    }
                    // Services run on behind a systemd that stands still, and look healthy.
                    self.unanswered += 1;
                    if self.unanswered >= UNANSWERED {
                        return self.give_up(&life, "systemd does not answer");
                    }
                }
            }
            Health::Unhealthy => {
                self.healthy_since = None;
                if now - *self.failing_since.get_or_insert(now) >= FAILING {
                    return self.give_up(&life, &failing(&checks, "it is not healthy"));
                }
            }
            Health::Starting => (self.healthy_since, self.failing_since) = (None, None),
        }
        if self.host.uptime() > limit + SETTLED {
            let why = format!("it was not healthy within {} seconds", limit.as_secs());
            return self.give_up(&life, &failing(&checks, &why));
        }
        Ok(())
    }

    pub(super) fn confirm(&mut self, life: &Life) -> Result<(), String> {
        self.act("confirm", 0, 0);
        let own = *self.own();
        let name = format!("{}_{}.efi", self.host.definition().appliance.name, self.updater().own.version);
        let record = self.record(LifeStage::Confirmed, &life.last, None);
        self.with_world(|world| flow::confirm(world, &own, &record, &name))?;
        self.updater().note(&record);
        self.updater().lock().activity = None;
        let files = self.updater().files()?;
        files.remove_objects(None);
        let _absent = fs::remove_file(files.uki());
        if precheck::rollback(&life.last.from.state_format, &life.last.to.state_format)
            == Rollback::KeepsState
        {
            snapshots::remove_kept(files.data()).map_err(|error| explain(&error))?;
        }
        let mut rates = files.rates();
        rates.restart = self.host.uptime().as_secs();
        files.keep_rates(&rates);
        let _no_such_timer = units::systemctl(&["stop", TIMER], UNIT_TIME);
        leave_time_limit(Path::new(RUNTIME_UNITS));
        let _as_before = units::systemctl(&["daemon-reload"], UNIT_TIME);
        self.show_slots();
        self.host.tell();
        Ok(())
    }

    /// The trial failed: the reason first, durable.
    pub(super) fn give_up(&mut self, life: &Life, why: &str) -> Result<(), String> {
        self.keep(LifeStage::Trial, &life.last, Some(why.to_owned()))?;
        self.leave(Restart::Machine)
    }

    /// Takes the running release from the boot loader and restarts into the other.
    pub(super) fn leave(&mut self, restart: Restart) -> Result<(), String> {
        let own = *self.own();
        self.act("set aside", 0, 0);
        self.with_world(|world| match world.entries()?.iter().any(|entry| entry.root_hash == Some(own)) {
            true => flow::set_aside(world, &own),
            // Done before the agent was started again.
            false => Ok(()),
        })?;
        self.act("restart", 0, 0);
        self.host.restart(restart)
    }

    pub(super) fn roll_back(&mut self) -> Result<(), String> {
        if let Some(why) = rollback_refusal(self.host) {
            return Err(why);
        }
        let Some(life) = self.updater().lock().life.clone() else { return Ok(()) };
        match life.stage() {
            LifeStage::Trial => self.give_up(&life, "somebody asked for a rollback"),
            _ => {
                let older = life.last.from.root_hash;
                // Nobody waits for a confirmation on this way: the release that it leads to has proved itself before.
                let (restart, how) = self.restart_into(&older, Restart::Shortest, |esp| esp.uki_of(&older));
                self.keep(LifeStage::RolledBack, &life.last, Some(format!("somebody asked for it; {how}")))?;
                self.leave(restart)
            }
        }
    }
}

fn failing(checks: &[CheckState], otherwise: &str) -> String {
    let not_healthy = checks.iter().filter(|check| check.health != Health::Healthy);
    let told: Vec<String> = not_healthy
        .map(|check| {
            let why = check.why.as_deref().unwrap_or("it never answered");
            format!("{}: {}", check.name, why.chars().take(300).collect::<String>())
        })
        .collect();
    if told.is_empty() { otherwise.to_owned() } else { format!("{otherwise}: {}", told.join("; ")) }
}

/// The reason when the newer release said none, from how far it came.
fn derived_reason(mark: Option<&Mark>, tries: Option<(u32, u32)>) -> String {
    let times = |count: u32| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    match (mark, tries) {
        (Some(mark), _) if mark.reached == "agent" => format!(
            "it was started {} and ended before it was confirmed: its system hung, crashed or lost power",
            times(mark.starts)
        ),
        (Some(mark), _) if mark.reached == "data" => format!(
            "it was started {}, and its system came no further than its first program: it hung, or its agent never answered",
            times(mark.starts)
        ),
        (_, Some((_, done))) if done > 0 => format!(
            "it was started {} and never came as far as its data: its kernel or its first program failed",
            times(done)
        ),
        _ => "the boot loader did not start it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_release_fell_back_is_derived_from_how_far_it_came() {
        let mark = |reached: &str| Mark { root_hash: String::new(), starts: 2, reached: reached.into() };
        assert!(derived_reason(None, Some((0, 2))).contains("2 times and never came as far as its data"));
        assert!(
            derived_reason(Some(&mark("data")), Some((0, 2))).contains("no further than its first program")
        );
        assert!(derived_reason(Some(&mark("agent")), None).contains("before it was confirmed"));
        assert!(derived_reason(Some(&Mark::default()), Some((2, 0))).contains("did not start it"));
    }

    #[test]
    fn failing_checks_are_named_with_why() {
        let check = |name: &str, health, why: Option<&str>| CheckState {
            name: name.into(),
            health,
            why: why.map(str::to_owned),
        };
        let checks = [
            check("web", Health::Unhealthy, Some("refused")),
            check("database", Health::Healthy, None),
            check("mail", Health::Starting, None),
        ];
        assert_eq!(failing(&checks, "late"), "late: web: refused; mail: it never answered");
    }
}
